/* Signals from outside, for outside.t. "listen": says what comes, until SIGTERM. A number: raises
 * it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t got[65];

static void on_signal(int sig)
{
	got[sig] = 1;
}

int main(int argc, char **argv)
{
	static const int sigs[] = {SIGHUP,  SIGINT,  SIGQUIT,  SIGUSR1,
				   SIGUSR2, SIGALRM, SIGWINCH, SIGCONT};
	struct sigaction old;
	sigset_t all, none;
	unsigned i;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc < 2)
		return 0;
	if (strcmp(argv[1], "listen")) {
		raise(atoi(argv[1]));
		printf("went on\n");
		return 3;
	}
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	for (i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		sigaction(sigs[i], NULL, &old);
		if (old.sa_handler == SIG_IGN)
			printf("ignored %s\n", strsignal(sigs[i]));
		else
			signal(sigs[i], on_signal);
	}
	signal(SIGTERM, on_signal);
	printf("ready\n");
	sigdelset(&all, SIGTSTP);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (;;) {
		sigemptyset(&none);
		sigsuspend(&none);
		for (i = 1; i < 65; i++) {
			if (got[i])
				printf("got %s\n", strsignal((int)i));
			if (got[i] && i == SIGTERM)
				return 5;
			got[i] = 0;
		}
	}
}
