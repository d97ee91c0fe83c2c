# Rows of (call, arguments, verdict, rule) for the policies in tests/policy.
check_PROGRAMS += tests/policy/run_rows
tests_policy_run_rows_LDADD = $(policy_libs)
dist_check_SCRIPTS += tests/policy/rows.t
EXTRA_DIST += tests/policy/exec.pol tests/policy/exec.rows tests/policy/objects.pol tests/policy/objects.rows tests/policy/overlay.pol tests/policy/overlay.rows tests/policy/rules.pol \
	tests/policy/rules.rows tests/policy/programs.pol tests/policy/programs.rows tests/policy/scratch.pol tests/policy/scratch.rows
