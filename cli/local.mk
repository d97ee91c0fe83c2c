EXTRA_DIST += cli/cli.h cli/common.c cli/audit.c cli/main.c cli/run.c cli/doctor.c cli/doctor.h cli/doctor_bench.c
