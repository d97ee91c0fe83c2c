/* Between the parts of `sbx doctor`. */
#ifndef SBX_CLI_DOCTOR_H
#define SBX_CLI_DOCTOR_H

/* Measures the platform and prints a table; an exit status. */
int doctor_bench(void);

#endif
