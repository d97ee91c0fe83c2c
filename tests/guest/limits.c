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
	printf("stopped after %d s\n", (int)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) >= 1 ? 1 : 0);
	rl.rlim_max = 1;
	setrlimit(RLIMIT_CPU, &rl);
	for (;;)
		;
}
