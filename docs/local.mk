dist_man_MANS += docs/sbx.1
EXTRA_DIST += docs/AUDIT.md docs/HACKING.md docs/HOWTO-add-a-syscall.md
