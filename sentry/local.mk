noinst_LIBRARIES += sentry/libsentry.a
sentry_libsentry_a_CPPFLAGS = $(AM_CPPFLAGS) $(SECCOMP_CFLAGS)
sentry_libsentry_a_SOURCES = \
	sentry/platform.h sentry/sys.h \
	$(sentry_memory) $(sentry_tasks) $(sentry_files) $(sentry_memfs) $(sentry_net)

# Memory and loading
sentry_memory = \
	sentry/gmem.h sentry/mm.h

# Tasks, signals, time
sentry_tasks = \
	sentry/task.h

# Names and files
sentry_files = \
	sentry/file.h sentry/vfs.h

# File systems of the sentry, host confinement
sentry_memfs = \
	sentry/hostproc.c sentry/hostproc.h

# Network and readiness
sentry_net =
