bin_PROGRAMS += sbx
sbx_SOURCES = \
	cli/cli.h cli/common.c \
	cli/audit.c cli/check.c cli/doctor.c cli/doctor.h cli/doctor_bench.c \
	cli/explain.c \
	cli/main.c cli/run.c cli/syscalls.c
sbx_LDADD = sentry/libsentry.a kvm/libkvm.a audit/libaudit.a policy/libpolicy.a \
	parser/libparser.a base/libbase.a \
	$(YAML_LIBS) $(SECCOMP_LIBS) $(MD_LIBS) $(JANSSON_LIBS) -lpthread
sbx_CPPFLAGS = $(AM_CPPFLAGS) -DSBX_SOURCE_POLICIES='"$(abs_srcdir)/examples/policies"'
