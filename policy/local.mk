noinst_LIBRARIES += policy/libpolicy.a
policy_libpolicy_a_SOURCES = \
	policy/bdd.c policy/bdd.h \
	policy/codegen.c \
	policy/compile.c policy/compile.h \
	policy/conflict.c \
	policy/eval.c policy/eval.h \
	policy/exec.c \
	policy/explain.c \
	policy/expect.c policy/expect.h \
	policy/files.c \
	policy/flags.def \
	policy/groups.c \
	policy/groups.def \
	policy/image.c policy/image.h \
	policy/image_build.c policy/image_build.h \
	policy/image_format.h \
	policy/layers.c \
	policy/near.c \
	policy/net.c \
	policy/pattern.c policy/pattern.h \
	policy/prove.c policy/prove.h \
	policy/refint.c policy/refint.h policy/refint_int.h policy/refint_exec.c policy/refint_object.c policy/refint_text.c \
	policy/resolve.c policy/resolve.h \
	policy/rules.c \
	policy/structs.def \
	policy/syscalls.def \
	policy/sysconst.c \
	policy/sysdesc.c policy/sysdesc.h \
	policy/test_run.c policy/tester.h \
	policy/typecheck.c
