/* A compute-bound loop over 256 MB; prints seconds. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(void)
{
	size_t n = (256u << 20) / sizeof(uint64_t), i;
	uint64_t *a = malloc(n * sizeof(*a)), sum = 0;
	struct timespec s, e;
	int r;

	for (i = 0; i < n; i++)
		a[i] = i * 0x9e3779b97f4a7c15ull;
	clock_gettime(CLOCK_MONOTONIC, &s);
	for (r = 0; r < 8; r++)
		for (i = 0; i < n; i++)
			sum = sum * 31 + (a[i] ^ (sum >> 7));
	clock_gettime(CLOCK_MONOTONIC, &e);
	fprintf(stderr, "%llx\n", (unsigned long long)sum);
	printf("%.4f\n", (double)(e.tv_sec - s.tv_sec) + (double)(e.tv_nsec - s.tv_nsec) / 1e9);
	return 0;
}
