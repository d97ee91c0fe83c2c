bench_programs = bench/calls bench/compute
$(bench_programs): %: $(srcdir)/%.c
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(CC) $(GUEST_CFLAGS) -o $@ $<
CLEANFILES += $(bench_programs)
EXTRA_DIST += $(bench_programs:=.c)
dist_noinst_SCRIPTS += bench/run-bench

bench: all $(bench_programs)
	$(srcdir)/bench/run-bench ./sbx$(EXEEXT) bench
.PHONY: bench
