noinst_LIBRARIES += base/libbase.a
base_libbase_a_SOURCES = \
	base/arena.c base/arena.h \
	base/buf.c base/buf.h \
	base/cleanup.h \
	base/digest.c base/digest.h \
	base/err.c base/err.h \
	base/fdx.c base/fdx.h \
	base/hot.h \
	base/list.h \
	base/log.c base/log.h \
	base/overflow.h \
	base/suggest.c base/suggest.h
base_libbase_a_CPPFLAGS = $(AM_CPPFLAGS) $(MD_CFLAGS)
