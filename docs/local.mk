dist_man_MANS += docs/sbx.1 docs/sbx-policy.5
EXTRA_DIST += docs/ARCHITECTURE.md docs/AUDIT.md docs/COMPATIBILITY.md docs/HACKING.md docs/STATUS.md docs/THREAT-MODEL.md docs/HOWTO-add-a-syscall.md

# From the table that the program is built with.
nodist_man_MANS += docs/sbx-syscalls.7
docs/sbx-syscalls.7: sbx$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) docs && ./sbx$(EXEEXT) syscalls --man >$@.tmp && mv $@.tmp $@
CLEANFILES += docs/sbx-syscalls.7
