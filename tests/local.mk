
check_PROGRAMS += tests/table/test_table
TESTS += tests/table/test_table
tests_table_test_table_LDADD = policy/libpolicy.a
