noinst_LIBRARIES += policy/libpolicy.a
policy_libpolicy_a_SOURCES = \
	policy/compile.h \
	policy/eval.c policy/eval.h \
	policy/flags.def \
	policy/groups.c \
	policy/groups.def \
	policy/image.c policy/image.h \
	policy/image_build.c policy/image_build.h \
	policy/image_format.h \
	policy/structs.def \
	policy/syscalls.def \
	policy/sysconst.c \
	policy/sysdesc.c policy/sysdesc.h
