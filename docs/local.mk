dist_man_MANS += docs/sbx.1 docs/sbx-policy.5
EXTRA_DIST += docs/ARCHITECTURE.md docs/AUDIT.md docs/HACKING.md docs/STATUS.md docs/THREAT-MODEL.md docs/HOWTO-add-a-syscall.md
