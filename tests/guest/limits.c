/* RLIMIT_CPU: SIGXCPU at the soft limit. */
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/time.h>

static volatile sig_atomic_t hits;

static void on_xcpu(int sig)
{
	hits++;
}

int main(void)
{
	struct rlimit rl = {1, RLIM_INFINITY};
	struct itimerval used = {.it_value.tv_sec = 1000};

	setvbuf(stdout, NULL, _IONBF, 0);
	signal(SIGXCPU, on_xcpu);
	/* Linux checks the limit against the clock of this timer, which counts whole ticks: getrusage
	 * may say much less. */
	setitimer(ITIMER_PROF, &used, NULL);
	if (setrlimit(RLIMIT_CPU, &rl))
		perror("setrlimit");
	while (!hits)
		;
	getitimer(ITIMER_PROF, &used);
	printf("a second: %d\n",
	       1000000 - used.it_value.tv_sec * 1000 - used.it_value.tv_usec / 1000 > 900);
	rl.rlim_max = 1;
	setrlimit(RLIMIT_CPU, &rl);
	for (;;)
		;
}
