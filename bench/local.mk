bench_programs = bench/calls bench/compute bench/hlt bench/scale
$(bench_programs): %: $(srcdir)/%.c
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(CC) $(GUEST_CFLAGS) -o $@ $<
CLEANFILES += $(bench_programs)
EXTRA_DIST += $(bench_programs:=.c)
dist_noinst_SCRIPTS += bench/run-bench bench/run-bench-svm
EXTRA_DIST += bench/inside-svm bench/inside-runsc bench/figures.awk

bench: all $(bench_programs)
	$(srcdir)/bench/run-bench ./sbx$(EXEEXT) bench

# For run-bench-svm, because runsc kills programs with the GNU C library in that machine (see there).
bench/musl/calls: $(srcdir)/bench/calls.c
	$(AM_V_GEN)$(MKDIR_P) $(@D) && musl-gcc -O2 -static -pthread -D_GNU_SOURCE -idirafter /usr/include \
		-idirafter /usr/include/$$($(CC) -print-multiarch) -o $@ $<
CLEANFILES += bench/musl/calls

bench-svm: all $(bench_programs)
	if command -v musl-gcc >/dev/null; then $(MAKE) $(AM_MAKEFLAGS) bench/musl/calls; fi
	$(srcdir)/bench/run-bench-svm ./sbx$(EXEEXT) bench
.PHONY: bench bench-svm
