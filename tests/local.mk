# Tests print TAP. Guest programs are static, built without sanitizers, and run natively and in sbx.
AM_TESTS_ENVIRONMENT = \
	SBX='$(abs_builddir)/sbx$(EXEEXT)'; export SBX; \
	srcdir='$(abs_srcdir)'; export srcdir; \
	builddir='$(abs_builddir)'; export builddir; \
	guestdir='$(abs_builddir)/tests/guest'; export guestdir; \
	hostiledir='$(abs_builddir)/tests/hostile'; export hostiledir; \
	netdir='$(abs_builddir)/tests/net'; export netdir; \
	SBX_POLICY_PATH='$(abs_srcdir)/examples/policies'; export SBX_POLICY_PATH; \
	CMOCKA_MESSAGE_OUTPUT=TAP; export CMOCKA_MESSAGE_OUTPUT;

GUEST_CFLAGS = -O2 -g -Wall -Wextra -Wno-unused-parameter -D_GNU_SOURCE -pthread -static

guest_tests = \
	tests/guest/chroot \
	tests/guest/clocks \
	tests/guest/clockset \
	tests/guest/dev_files \
	tests/guest/exec \
	tests/guest/file_attr \
	tests/guest/file_bigdir \
	tests/guest/file_corner \
	tests/guest/file_fd \
	tests/guest/file_inotify \
	tests/guest/file_io \
	tests/guest/file_lockedge \
	tests/guest/file_locks \
	tests/guest/file_name \
	tests/guest/file_open \
	tests/guest/file_random \
	tests/guest/file_splice \
	tests/guest/file_xattr \
	tests/guest/fork \
	tests/guest/forkedge \
	tests/guest/futexes \
	tests/guest/futex_pi \
	tests/guest/hello \
	tests/guest/jobs \
	tests/guest/limits \
	tests/guest/mmadvice \
	tests/guest/mmap \
	tests/guest/mmfiles \
	tests/guest/mmflood \
	tests/guest/mmrandom \
	tests/guest/mmthreads \
	tests/guest/mqueue \
	tests/guest/mremap \
	tests/guest/net_cred \
	tests/guest/net_dgram \
	tests/guest/net_inet6 \
	tests/guest/net_netlink \
	tests/guest/net_opts \
	tests/guest/net_proc \
	tests/guest/net_rights \
	tests/guest/net_tcp \
	tests/guest/net_udp \
	tests/guest/net_unix \
	tests/guest/domains \
	tests/guest/outside \
	tests/guest/overlay \
	tests/guest/peers \
	tests/guest/pidfd \
	tests/guest/prctls \
	tests/guest/proc_files \
	tests/guest/pty_job \
	tests/guest/pty_line \
	tests/guest/ready_async \
	tests/guest/ready_epoll \
	tests/guest/ready_intr \
	tests/guest/ready_nest \
	tests/guest/ready_pipe \
	tests/guest/ready_poll \
	tests/guest/ready_signalfd \
	tests/guest/restart \
	tests/guest/sched \
	tests/guest/sigmore \
	tests/guest/sigs \
	tests/guest/sysv_shm \
	tests/guest/sysv_sem \
	tests/guest/sysv_msg \
	tests/guest/sysv_stress \
	tests/guest/tasks \
	tests/guest/threads64 \
	tests/guest/timers \
	tests/guest/tmpfs \
	tests/guest/tty \
	tests/guest/tty_inject \
	tests/guest/usage \
	tests/guest/vector

hostile_tests = \
	tests/hostile/abuse \
	tests/hostile/corner \
	tests/hostile/flood \
	tests/hostile/fuzz_calls \
	tests/hostile/fuzz_net \
	tests/hostile/procs \
	tests/hostile/ptys \
	tests/hostile/race_names \
	tests/hostile/race_path \
	tests/hostile/ring \
	tests/hostile/storm \
	tests/hostile/stress

# Unit tests: one name here, its LDADD below.
unit_tests = tests/table/test_table
if HAVE_CMOCKA
unit_tests += \
	tests/unit/test_audit \
	tests/unit/test_base \
	tests/unit/test_confine \
	tests/unit/test_differential \
	tests/unit/test_elf \
	tests/unit/test_epoll \
	tests/unit/test_extents \
	tests/unit/test_fdtab \
	tests/unit/test_fork \
	tests/unit/test_image \
	tests/unit/test_loader \
	tests/unit/test_lockgraph \
	tests/unit/test_mm \
	tests/unit/test_net \
	tests/unit/test_parser \
	tests/unit/test_task \
	tests/unit/test_path \
	tests/unit/test_path_slow \
	tests/unit/test_procfs \
	tests/unit/test_tmpfs \
	tests/unit/test_vdso
endif
check_PROGRAMS += $(unit_tests)
tests_table_test_table_LDADD = policy/libpolicy.a
mm_fixture = tests/unit/mm_fixture.c tests/unit/mm_fixture.h \
	tests/unit/fake_platform.c tests/unit/fake_platform.h
mm_libs = sentry/libsentry.a base/libbase.a $(CMOCKA_LIBS) $(MD_LIBS) -lpthread
tests_unit_test_fork_SOURCES = tests/unit/test_fork.c $(mm_fixture)
tests_unit_test_fork_LDADD = $(mm_libs)
tests_unit_test_extents_LDADD = sentry/libsentry.a $(CMOCKA_LIBS)
tests_unit_test_lockgraph_LDADD = sentry/libsentry.a $(CMOCKA_LIBS) -lpthread
tests_unit_test_mm_SOURCES = tests/unit/test_mm.c $(mm_fixture)
tests_unit_test_mm_LDADD = $(mm_libs)
tests_unit_test_elf_SOURCES = tests/unit/test_elf.c tests/unit/elf_make.h
tests_unit_test_elf_LDADD = $(mm_libs)
tests_unit_test_loader_SOURCES = tests/unit/test_loader.c tests/unit/elf_make.h $(mm_fixture)
tests_unit_test_loader_LDADD = $(mm_libs)
tests_unit_test_task_SOURCES = tests/unit/test_task.c \
	tests/unit/task_fixture.c tests/unit/task_fixture.h \
	tests/unit/fake_platform.c tests/unit/fake_platform.h
tests_unit_test_task_LDADD = sentry/libsentry.a audit/libaudit.a policy/libpolicy.a base/libbase.a \
	$(CMOCKA_LIBS) $(SECCOMP_LIBS) $(JANSSON_LIBS) $(MD_LIBS) -lpthread
tests_unit_test_vdso_SOURCES = tests/unit/test_vdso.c $(mm_fixture)
tests_unit_test_vdso_LDADD = $(mm_libs)
policy_libs = policy/libpolicy.a parser/libparser.a base/libbase.a $(CMOCKA_LIBS) $(YAML_LIBS) $(MD_LIBS)
tests_unit_test_differential_SOURCES = tests/unit/test_differential.c \
	tests/unit/random_policy.c tests/unit/random_policy.h
tests_unit_test_differential_LDADD = $(policy_libs)
tests_unit_test_image_SOURCES = tests/unit/test_image.c $(exercise_image)
tests_unit_test_image_LDADD = $(policy_libs)
# All of the sentry over the fake platform.
sentry_test_libs = sentry/libsentry.a audit/libaudit.a policy/libpolicy.a base/libbase.a \
	$(CMOCKA_LIBS) $(SECCOMP_LIBS) $(JANSSON_LIBS) $(MD_LIBS) -lpthread
fake_platform = tests/unit/fake_platform.c tests/unit/fake_platform.h
tests_unit_test_confine_SOURCES = tests/unit/test_confine.c tests/unit/file_test.h $(fake_platform)
tests_unit_test_confine_LDADD = $(sentry_test_libs)
tests_unit_test_procfs_SOURCES = tests/unit/test_procfs.c tests/unit/file_test.h $(fake_platform)
tests_unit_test_procfs_LDADD = $(sentry_test_libs)
tests_unit_test_tmpfs_SOURCES = tests/unit/test_tmpfs.c tests/unit/file_test.h $(fake_platform)
tests_unit_test_tmpfs_LDADD = $(sentry_test_libs)
tests_unit_test_audit_LDADD = audit/libaudit.a policy/libpolicy.a parser/libparser.a base/libbase.a \
	$(CMOCKA_LIBS) $(YAML_LIBS) $(MD_LIBS) $(JANSSON_LIBS)
tests_unit_test_base_LDADD = base/libbase.a $(CMOCKA_LIBS) $(MD_LIBS)
tests_unit_test_epoll_LDADD = sentry/libsentry.a $(CMOCKA_LIBS) -lpthread
tests_unit_test_parser_LDADD = parser/libparser.a base/libbase.a $(CMOCKA_LIBS) $(YAML_LIBS) $(MD_LIBS)
file_libs = sentry/libsentry.a audit/libaudit.a policy/libpolicy.a kvm/libkvm.a base/libbase.a \
	$(CMOCKA_LIBS) $(JANSSON_LIBS) $(SECCOMP_LIBS) $(MD_LIBS) -lpthread
tests_unit_test_fdtab_SOURCES = tests/unit/test_fdtab.c tests/unit/file_test.h
tests_unit_test_fdtab_LDADD = $(file_libs)
tests_unit_test_path_SOURCES = tests/unit/test_path.c tests/unit/file_test.h
tests_unit_test_path_LDADD = $(file_libs)
tests_unit_test_path_slow_SOURCES = $(tests_unit_test_path_SOURCES)
tests_unit_test_path_slow_CPPFLAGS = $(AM_CPPFLAGS) -DTEST_NO_OPENAT2
tests_unit_test_path_slow_LDADD = $(file_libs)
tests_unit_test_net_LDADD = sentry/libsentry.a base/libbase.a $(CMOCKA_LIBS) $(MD_LIBS) -lpthread

host_tests = tools/check-includes $(unit_tests) tests/diag/diag.t tests/diag/manual.t \
	tests/fuzz/replay.t tests/policy/rows.t
program_tests = \
	tests/cli/files.t \
	tests/cli/overlay.t \
	tests/cli/phases.t \
	tests/cli/rate.t \
	tests/cli/run.t \
	tests/net/gate.t \
	tests/net/netlink.t \
	tests/programs/modes.t \
	tests/programs/domains.t \
	tests/programs/python.t \
	tests/programs/shell.t \
	tests/programs/system.t \
	tests/programs/terminal.t \
	tests/programs/tools.t \
	tests/programs/web.t
# Programs of the distribution that take long or many packages; SBX_SMALL=1 leaves them out.
big_tests = \
	tests/programs/pty.t \
	tests/hostile/run-storms \
	tests/programs/build.t \
	tests/programs/postgres.t \
	tests/programs/pystd.t \
	tests/programs/runtimes.t \
	tests/programs/scale.t \
	tests/programs/servers.t \
	tests/programs/trees.t
kvm_tests = $(kvm_programs) tests/trace/trace.t tests/guest/run-guest tests/guest/domains.t tests/guest/outside.t tests/guest/overlay.t tests/guest/tty.t tests/hostile/run-hostile $(program_tests) $(big_tests)

# The platform below the sentry.
if HAVE_CMOCKA
kvm_programs = tests/kvm/test_platform tests/kvm/test_tables tests/kvm/test_tier0 tests/kvm/test_resident tests/kvm/test_hostile
check_PROGRAMS += $(kvm_programs)
tests_kvm_test_tier0_LDADD = kvm/libkvm.a policy/libpolicy.a base/libbase.a $(CMOCKA_LIBS) \
	$(MD_LIBS) -lpthread
tests_kvm_test_resident_SOURCES = tests/kvm/test_resident.c tests/kvm/guest.c tests/kvm/guest.h
tests_kvm_test_tables_SOURCES = tests/kvm/test_tables.c tests/kvm/guest.c tests/kvm/guest.h
tests_kvm_test_resident_LDADD = $(tests_kvm_test_platform_LDADD)
tests_kvm_test_tables_LDADD = $(tests_kvm_test_platform_LDADD)
tests_kvm_test_hostile_LDADD = $(tests_kvm_test_platform_LDADD)
tests_kvm_test_hostile_SOURCES = tests/kvm/test_hostile.c tests/kvm/guest.c tests/kvm/guest.h
tests_kvm_test_platform_SOURCES = tests/kvm/test_platform.c tests/kvm/guest.c tests/kvm/guest.h
tests_kvm_test_tier0_SOURCES = tests/kvm/test_tier0.c tests/kvm/guest.c tests/kvm/guest.h
tests_kvm_test_platform_LDADD = kvm/libkvm.a policy/libpolicy.a base/libbase.a $(CMOCKA_LIBS) $(MD_LIBS) -lpthread
endif

# One call, step by step, through the whole sandbox.
check_PROGRAMS += tests/trace/trace
tests_trace_trace_SOURCES = tests/trace/trace.c
tests_trace_trace_LDADD = $(sbx_LDADD)
tests_trace_trace_LDFLAGS = -Wl,--wrap=platform_run -Wl,--wrap=confine_apply
tests/trace/trace.o: ring0/ring0_syms.h

guest_programs = tests/trace/calls $(guest_tests) $(hostile_tests) tests/net/gate
$(guest_programs): %: $(srcdir)/%.c
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(CC) $(GUEST_CFLAGS) -I$(srcdir) -o $@ $<

check_DATA = $(guest_programs) bench/scale
CLEANFILES += $(guest_programs)
EXTRA_DIST += tests/hostile/storm.h tests/guest/files.h tests/guest/pty.h $(guest_programs:=.c) tests/lib.sh tests/guest/guest.pol tests/guest/overlay.pol tests/guest/domains.pol tests/guest/domains.expect tests/guest/say.h tests/net/gate.pol tests/net/gate.expect tests/net/netlink.pol tests/net/outside.py \
	tests/net/addr.h tests/tap.h tests/trace/calls.c tests/programs/pystd.known tests/programs/pystd.py tests/programs/script.py tests/programs/terminal.py tests/programs/cluster.js
dist_check_SCRIPTS += tests/svm/svm.t tests/trace/trace.t tests/guest/run-guest tests/guest/domains.t tests/guest/outside.t tests/guest/overlay.t tests/guest/tty.t tests/hostile/run-hostile $(program_tests) $(big_tests)
TESTS += $(host_tests) $(kvm_tests)

# What needs KVM, once more in a virtual machine that emulates AMD's.
check-svm: all $(check_PROGRAMS) $(check_DATA)
	$(MAKE) $(AM_MAKEFLAGS) check-TESTS TESTS=tests/svm/svm.t
.PHONY: check-svm

# What needs no /dev/kvm: for sanitizer builds.
check-host: all
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(host_tests)'

# What runs in host mode, for sanitizer builds where /dev/kvm exists. Memory that is still reachable
# when a sandbox ends is not a leak worth a failure.
check-san: all $(check_PROGRAMS) $(check_DATA)
	ASAN_OPTIONS=detect_leaks=0 $(MAKE) $(AM_MAKEFLAGS) check \
		TESTS='$(host_tests) tests/guest/run-guest tests/hostile/run-hostile tests/cli/run.t'
.PHONY: check-host check-san

include tests/diag/local.mk
include tests/fuzz/local.mk
include tests/policy/local.mk

# Data of tests: whole folders.
dist-hook: dist-test-data
dist-test-data:
	for d in parse diag/parse diag/check fuzz/corpus programs/src; do \
		if test -d "$(srcdir)/tests/$$d"; then \
			$(MKDIR_P) "$(distdir)/tests/$$d" && cp -R "$(srcdir)/tests/$$d/." "$(distdir)/tests/$$d/"; \
		fi || exit 1; \
	done
.PHONY: dist-test-data
