noinst_LIBRARIES += sentry/libsentry.a
sentry_libsentry_a_CPPFLAGS = $(AM_CPPFLAGS) $(SECCOMP_CFLAGS)
sentry_libsentry_a_SOURCES = \
	sentry/platform.h sentry/sys.h \
	$(sentry_memory) $(sentry_tasks) $(sentry_files) $(sentry_memfs) $(sentry_net)

# Memory and loading
sentry_memory = \
	sentry/elf.c sentry/elf.h \
	sentry/gmem.c sentry/gmem.h sentry/gmem_copy.S \
	sentry/loader.c sentry/loader_int.h sentry/loader_script.c sentry/loader_stack.c \
	sentry/mm.c sentry/mm.h sentry/mm_impl.h \
	sentry/mm_advice.c sentry/mm_fault.c sentry/mm_fork.c sentry/mm_maps.c sentry/mm_smaps.c sentry/mm_move.c \
	sentry/mm_shm.c \
	sentry/mm_text.c \
	sentry/pagemap.c sentry/pagemap.h \
	sentry/extents.c sentry/extents.h \
	sentry/pgblocks.c \
	sentry/pgpool.c sentry/pgpool.h sentry/pgpool_int.h \
	sentry/pgrange.c \
	sentry/sys_mm.c \
	sentry/vdso.c sentry/vdso.h sentry/vdso/clock.h sentry/vdso/image.S sentry/vdso/vdso_data.h \
	sentry/vma.c

# Tasks, signals, time
sentry_tasks = \
	sentry/async.c sentry/async.h \
	sentry/auditx.c sentry/auditx.h \
	sentry/cputime.c \
	sentry/decode.c sentry/decode.h \
	sentry/dispatch.c \
	sentry/domain.c sentry/domain.h \
	sentry/fault.c \
	sentry/fork.c \
	sentry/futex.c sentry/futex.h \
	sentry/futex_pi.c \
	sentry/hostcall.c sentry/hostcall_asm.S \
	sentry/ipc.c sentry/ipc.h \
	sentry/job.h \
	sentry/mqueue.c sentry/mqueue.h \
	sentry/pidfd.c sentry/pidfd.h \
	sentry/proc.c \
	sentry/rate.c sentry/rate.h \
	sentry/sandbox.c \
	sentry/sigaction.c \
	sentry/sigframe.c \
	sentry/signal.c sentry/signal.h \
	sentry/stats.c \
	sentry/sys_exec.c \
	sentry/sys_futex.c \
	sentry/sys_job.c \
	sentry/sys_mq.c \
	sentry/sys_msgq.c \
	sentry/sys_numa.c \
	sentry/sys_peer.c \
	sentry/sys_prctl.c \
	sentry/sys_proc.c \
	sentry/sched.h sentry/sys_priority.c sentry/sys_sched.c \
	sentry/sys_sem.c \
	sentry/sys_shm.c \
	sentry/sys_signal.c \
	sentry/sys_thread.c \
	sentry/sys_time.c \
	sentry/sys_wait.c \
	sentry/systable.c sentry/systable.h \
	sentry/ids.c \
	sentry/task.c sentry/task.h sentry/task_int.h \
	sentry/timer.c sentry/timer.h \
	sentry/worker.c

# Names and files
sentry_files = \
	sentry/dirent.c sentry/dirent.h \
	sentry/fdtab.c \
	sentry/file.c sentry/file.h \
	sentry/filelock.c sentry/filelock.h \
	sentry/flock.c \
	sentry/lockgraph.c sentry/lockgraph.h \
	sentry/hostfile.c \
	sentry/hostfs.c sentry/hostfs.h \
	sentry/hostxattr.c \
	sentry/notify.c sentry/notify.h \
	sentry/notify_host.c \
	sentry/path.c sentry/path_int.h \
	sentry/path_move.c \
	sentry/sys_file.h \
	sentry/sys_file_attr.c \
	sentry/sys_file_copy.c \
	sentry/sys_file_fd.c \
	sentry/sys_file_io.c \
	sentry/sys_file_name.c \
	sentry/sys_file_open.c \
	sentry/sys_file_splice.c \
	sentry/sys_file_stat.c \
	sentry/sys_handle.c \
	sentry/sys_inotify.c \
	sentry/sys_xattr.c \
	sentry/textbusy.c sentry/textbusy.h \
	sentry/vfs.c sentry/vfs.h \
	sentry/vfs_role.c

# File systems of the sentry, host confinement
sentry_memfs = \
	sentry/confine.c sentry/confine.h sentry/confine_calls.def sentry/confine_filter.c \
	sentry/cgroupfs.c \
	sentry/devfs.c \
	sentry/devpts.c \
	sentry/hostproc.c sentry/hostproc.h \
	sentry/procfs.c sentry/procfs.h \
	sentry/procfs_fd.c \
	sentry/procfs_mem.c \
	sentry/procfs_more.c \
	sentry/procfs_mounts.c \
	sentry/procfs_net.c \
	sentry/procfs_pid.c \
	sentry/procfs_status.c \
	sentry/procfs_sys.c \
	sentry/procfs_system.c \
	sentry/pseudofs.c sentry/pseudofs.h \
	sentry/pty.c sentry/pty.h \
	sentry/pty_io.c \
	sentry/pty_ioctl.c \
	sentry/sysfs.c \
	sentry/sysfs_cpu.c \
	sentry/tmpfs.c sentry/tmpfs.h \
	sentry/tmpfs_data.c \
	sentry/tmpfs_dir.c \
	sentry/tmpfs_fifo.c \
	sentry/tmpfs_lower.c \
	sentry/tmpfs_nameless.c \
	sentry/tmpfs_rename.c \
	sentry/tmpfs_save.c \
	sentry/tmpfs_xattr.c \
	sentry/tty.h \
	sentry/tty_in.c \
	sentry/tty_out.c

# Network and readiness
sentry_net = \
	sentry/epoll.c \
	sentry/net.h \
	sentry/net_addr.c \
	sentry/net_cmsg.c \
	sentry/net_cred.c sentry/net_cred.h \
	sentry/net_gate.c \
	sentry/net_mcast.c \
	sentry/net_name.c \
	sentry/net_opt.c \
	sentry/net_rights.c \
	sentry/netif.c sentry/netif.h \
	sentry/netif_ioctl.c \
	sentry/netlink.c sentry/netlink.h \
	sentry/netlink_route.c \
	sentry/pipe.c \
	sentry/poll.c \
	sentry/ready.h \
	sentry/readyfd.c sentry/readyfd.h \
	sentry/signalfd.c sentry/signalfd.h \
	sentry/sys_clock.c \
	sentry/sys_epoll.c \
	sentry/sys_ioctl.c \
	sentry/sys_msg.c \
	sentry/sys_net.c

# The vDSO is app code: built freestanding and linked apart, then embedded. None of the user's CFLAGS
# and no sanitizer applies to it.
VDSO_CFLAGS = -std=gnu11 -O2 -g0 -Wall -Wextra -ffreestanding -fno-builtin -fPIC \
	-fvisibility=hidden -mgeneral-regs-only -fno-stack-protector -fcf-protection=none \
	-fasynchronous-unwind-tables
EXTRA_DIST += sentry/vdso/vdso.c sentry/vdso/vdso.lds
sentry/vdso/vdso.so: $(srcdir)/sentry/vdso/vdso.c $(srcdir)/sentry/vdso/vdso.lds \
		$(srcdir)/sentry/vdso/clock.h $(srcdir)/sentry/vdso/vdso_data.h
	$(AM_V_GEN)$(MKDIR_P) sentry/vdso && \
	$(CC) -I$(srcdir) $(VDSO_CFLAGS) -c -o sentry/vdso/vdso.o $(srcdir)/sentry/vdso/vdso.c && \
	$(LD) -m elf_x86_64 -shared -Bsymbolic --hash-style=both --build-id=none -s \
		-soname linux-vdso.so.1 -z max-page-size=4096 -z noexecstack -z now --eh-frame-hdr \
		--no-undefined -T $(srcdir)/sentry/vdso/vdso.lds -o $@ sentry/vdso/vdso.o
sentry/vdso/libsentry_a-image.o sentry/vdso/image.o sentry/vdso/sentry_libsentry_a-image.o: \
	sentry/vdso/vdso.so
CLEANFILES += sentry/vdso/vdso.so sentry/vdso/vdso.o
