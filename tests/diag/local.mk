# Golden reports. `make update-golden` rewrites the .err files; review the difference before a commit.
check_PROGRAMS += tests/diag/polparse
tests_diag_polparse_LDADD = parser/libparser.a base/libbase.a $(YAML_LIBS) $(MD_LIBS)
dist_check_SCRIPTS += tests/diag/diag.t tests/diag/manual.t

update-golden: all $(check_PROGRAMS)
	srcdir='$(abs_srcdir)' UPDATE_GOLDEN=1 $(SHELL) $(srcdir)/tests/diag/diag.t
.PHONY: update-golden
