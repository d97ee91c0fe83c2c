noinst_LIBRARIES += sentry/libsentry.a
sentry_libsentry_a_CPPFLAGS = $(AM_CPPFLAGS) $(SECCOMP_CFLAGS)
sentry_libsentry_a_SOURCES = \
	sentry/platform.h sentry/sys.h \
	$(sentry_memory) $(sentry_tasks) $(sentry_files) $(sentry_memfs) $(sentry_net)

# Memory and loading
sentry_memory = \
	sentry/elf.c sentry/elf.h \
	sentry/gmem.c sentry/gmem.h sentry/gmem_copy.S \
	sentry/loader.c sentry/loader_int.h sentry/loader_stack.c \
	sentry/mm.c sentry/mm.h sentry/mm_impl.h \
	sentry/mm_advice.c sentry/mm_fault.c sentry/mm_maps.c sentry/mm_move.c \
	sentry/pagemap.c sentry/pagemap.h \
	sentry/pgpool.c sentry/pgpool.h \
	sentry/sys_mm.c \
	sentry/vdso.c sentry/vdso.h \
	sentry/vma.c

# Tasks, signals, time
sentry_tasks = \
	sentry/task.h

# Names and files
sentry_files = \
	sentry/dirent.c sentry/dirent.h \
	sentry/fdtab.c \
	sentry/file.c sentry/file.h \
	sentry/filelock.c sentry/filelock.h \
	sentry/hostfile.c \
	sentry/hostfs.c sentry/hostfs.h \
	sentry/path.c \
	sentry/sys_file.h \
	sentry/vfs.c sentry/vfs.h \
	sentry/vfs_role.c

# File systems of the sentry, host confinement
sentry_memfs = \
	sentry/hostproc.c sentry/hostproc.h

# Network and readiness
sentry_net =
