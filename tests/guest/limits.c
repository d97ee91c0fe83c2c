/* RLIMIT_CPU: SIGXCPU at the soft limit. */
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

static volatile sig_atomic_t hits;

static void on_xcpu(int sig)
{
	hits++;
}

int main(void)
{
	struct rlimit rl = {1, RLIM_INFINITY};
	struct rusage ru;

	setvbuf(stdout, NULL, _IONBF, 0);
	signal(SIGXCPU, on_xcpu);
	if (setrlimit(RLIMIT_CPU, &rl))
		perror("setrlimit");
	while (!hits)
		;
	getrusage(RUSAGE_SELF, &ru);
	/* Linux compares whole ticks, so the first second may seem short. */
	printf("about a second: %d\n", (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000 +
					       (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1000 >
					   500);
	rl.rlim_max = 1;
	setrlimit(RLIMIT_CPU, &rl);
	for (;;)
		;
}
