noinst_LIBRARIES += audit/libaudit.a
audit_libaudit_a_SOURCES = \
	audit/args.c audit/args.h \
	audit/record.c audit/record.h \
	audit/reader.c audit/reader.h \
	audit/risk.c
audit_libaudit_a_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
