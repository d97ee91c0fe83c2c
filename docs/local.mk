EXTRA_DIST += docs/AUDIT.md docs/HACKING.md docs/HOWTO-add-a-syscall.md
