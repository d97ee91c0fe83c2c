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
	sentry/devfs.c \
	sentry/hostproc.c sentry/hostproc.h \
	sentry/procfs.c sentry/procfs.h \
	sentry/procfs_fd.c \
	sentry/procfs_mounts.c \
	sentry/procfs_pid.c \
	sentry/procfs_status.c \
	sentry/procfs_sys.c \
	sentry/pseudofs.c sentry/pseudofs.h \
	sentry/sysfs.c \
	sentry/tmpfs.c sentry/tmpfs.h \
	sentry/tmpfs_data.c \
	sentry/tmpfs_dir.c \
	sentry/tmpfs_fifo.c

# Network and readiness
sentry_net = \
	sentry/epoll.c \
	sentry/net.h \
	sentry/net_addr.c \
	sentry/net_cmsg.c \
	sentry/net_name.c \
	sentry/net_opt.c \
	sentry/pipe.c \
	sentry/ready.h \
	sentry/sys_epoll.c \
	sentry/sys_ioctl.c
