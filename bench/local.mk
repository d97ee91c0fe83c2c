bench_programs = bench/calls bench/compute bench/hlt bench/scale
$(bench_programs): %: $(srcdir)/%.c
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(CC) $(GUEST_CFLAGS) -o $@ $<
CLEANFILES += $(bench_programs)
EXTRA_DIST += $(bench_programs:=.c)
dist_noinst_SCRIPTS += bench/run-bench bench/run-bench-svm
EXTRA_DIST += bench/inside-svm bench/inside-runsc bench/figures.awk

bench: all $(bench_programs)
	$(srcdir)/bench/run-bench ./sbx$(EXEEXT) bench

bench-svm: all $(bench_programs)
	$(srcdir)/bench/run-bench-svm ./sbx$(EXEEXT) bench
.PHONY: bench bench-svm
