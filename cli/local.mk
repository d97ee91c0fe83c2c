EXTRA_DIST += cli/cli.h cli/common.c cli/audit.c cli/main.c cli/run.c
