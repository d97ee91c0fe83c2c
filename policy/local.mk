noinst_LIBRARIES += policy/libpolicy.a
policy_libpolicy_a_SOURCES = \
	policy/compile.h \
	policy/eval.h \
	policy/flags.def \
	policy/groups.c \
	policy/groups.def \
	policy/image.h \
	policy/structs.def \
	policy/syscalls.def \
	policy/sysconst.c \
	policy/sysdesc.c policy/sysdesc.h
