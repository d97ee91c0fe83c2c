/* Clocks and timers. Times are printed only as "about right". */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t hits;
static siginfo_t last;

static double now(clockid_t c)
{
	struct timespec ts = {0};

	clock_gettime(c, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void say(const char *what, long r)
{
	printf("%s: %ld errno %d\n", what, r, r == -1 ? errno : 0);
}

/* Between ms and ms plus half a second. */
static const char *about(double t, double ms)
{
	return t * 1000 >= ms - 0.01 && t * 1000 < ms + 500 ? "in time" : "NOT in time";
}

static void on_hit(int sig, siginfo_t *si, void *uc)
{
	last = *si;
	hits++;
}

static void burn(double s)
{
	double end = now(CLOCK_PROCESS_CPUTIME_ID) + s;

	while (now(CLOCK_PROCESS_CPUTIME_ID) < end)
		;
}

static void test_clocks(void)
{
	static const clockid_t clocks[] = {
	    CLOCK_REALTIME,	     CLOCK_MONOTONIC,	  CLOCK_PROCESS_CPUTIME_ID,
	    CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
	    CLOCK_MONOTONIC_COARSE,  CLOCK_BOOTTIME,	  CLOCK_TAI};
	struct timespec ts;
	struct timeval tv;

	for (unsigned i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		double t0 = now(clocks[i]), t1 = now(clocks[i]);

		printf("clock %d: %d %ld goes %s\n", clocks[i], clock_gettime(clocks[i], &ts),
		       syscall(SYS_clock_gettime, clocks[i], &ts), t1 >= t0 ? "on" : "back");
	}
	say("bad clock", clock_gettime(99, &ts));
	gettimeofday(&tv, NULL);
	printf("same time: %d\n", labs(tv.tv_sec - time(NULL)) <= 1 &&
				      (long)(now(CLOCK_REALTIME) - (double)tv.tv_sec) <= 1);
	for (int i = 0; i < 1000; i++) { /* the two ways to ask agree, about */
		double a = now(CLOCK_MONOTONIC);

		syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
		double b = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9, c = now(CLOCK_MONOTONIC);

		if (b < a - 1e-4 || c < b - 1e-4) {
			printf("clocks disagree\n");
			break;
		}
	}
	burn(0.02);
	printf("cpu %d thread %d\n", now(CLOCK_PROCESS_CPUTIME_ID) >= 0.02,
	       now(CLOCK_THREAD_CPUTIME_ID) >= 0.02);
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	printf("rusage %d\n", ru.ru_utime.tv_sec * 1000000 + ru.ru_utime.tv_usec +
				      ru.ru_stime.tv_sec * 1000000 + ru.ru_stime.tv_usec >=
				  15000);
	clockid_t pc;

	printf("cpu clock id: %d %d\n", clock_getcpuclockid(0, &pc), now(pc) > 0);
	pthread_getcpuclockid(pthread_self(), &pc);
	printf("thread cpu clock: %d\n", now(pc) > 0);
}

static void test_sleep(void)
{
	struct timespec ts = {0, 30000000}, bad = {0, -1};
	double t = now(CLOCK_MONOTONIC);

	say("nanosleep", nanosleep(&ts, NULL));
	printf("%s\n", about(now(CLOCK_MONOTONIC) - t, 30));
	say("bad", nanosleep(&bad, NULL));
	say("null", syscall(SYS_nanosleep, NULL, NULL));
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_nsec += 20000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
	t = now(CLOCK_MONOTONIC);
	printf("absolute: %d\n", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL));
	printf("%s\n", about(now(CLOCK_MONOTONIC) - t, 15));
	ts.tv_sec -= 100;
	printf("past: %d\n", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, NULL));
	printf("thread clock: %d\n", clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &ts, NULL));
}

static void test_itimer(void)
{
	struct itimerval it = {{0, 20000}, {0, 20000}}, off = {{0, 0}, {0, 0}}, old;
	struct sigaction sa = {.sa_sigaction = on_hit, .sa_flags = SA_SIGINFO};
	double t = now(CLOCK_MONOTONIC);

	sigaction(SIGALRM, &sa, NULL);
	sigaction(SIGVTALRM, &sa, NULL);
	sigaction(SIGPROF, &sa, NULL);
	hits = 0;
	say("setitimer", setitimer(ITIMER_REAL, &it, NULL));
	while (hits < 3)
		pause();
	printf("3 alarms %s, code %d\n", about(now(CLOCK_MONOTONIC) - t, 60), last.si_code);
	setitimer(ITIMER_REAL, &off, &old);
	printf("old interval %ld\n", (long)old.it_interval.tv_usec);
	getitimer(ITIMER_REAL, &old);
	printf("off: %ld %ld\n", (long)old.it_value.tv_sec, (long)old.it_value.tv_usec);
	printf("alarm: %u %u\n", alarm(10), alarm(0));
	hits = 0;
	it.it_interval.tv_usec = 0;
	setitimer(ITIMER_PROF, &it, NULL);
	t = now(CLOCK_PROCESS_CPUTIME_ID);
	while (!hits)
		burn(0.001);
	printf("prof: sig %d %s\n", last.si_signo, about(now(CLOCK_PROCESS_CPUTIME_ID) - t, 4));
	say("bad itimer", syscall(SYS_setitimer, 7, &it, NULL));
}

static void test_posix(void)
{
	struct sigaction sa = {.sa_sigaction = on_hit, .sa_flags = SA_SIGINFO};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2};
	struct itimerspec it = {{0, 10000000}, {0, 10000000}}, cur, off = {{0, 0}, {0, 0}};
	sigset_t s;
	timer_t id;

	ev.sigev_value.sival_int = 4711;
	sigaction(SIGRTMIN + 2, &sa, NULL);
	hits = 0;
	say("timer_create", timer_create(CLOCK_MONOTONIC, &ev, &id));
	say("timer_settime", timer_settime(id, 0, &it, NULL));
	while (hits < 2)
		usleep(1000);
	printf("code %d value %d\n", last.si_code, last.si_value.sival_int);
	timer_gettime(id, &cur);
	printf("interval %ld left %d\n", cur.it_interval.tv_nsec, cur.it_value.tv_nsec <= 10000000);
	sigemptyset(&s);
	sigaddset(&s, SIGRTMIN + 2);
	sigprocmask(SIG_BLOCK, &s, NULL);
	usleep(100000);
	timer_settime(id, 0, &off, NULL);
	hits = 0;
	sigprocmask(SIG_UNBLOCK, &s, NULL);
	printf("blocked: hits at most one: %d\n", hits <= 1);
	say("delete", timer_delete(id));
	say("delete again", syscall(SYS_timer_delete, 12345));
	say("bad clock", timer_create(99, &ev, &id));
	ev.sigev_notify = SIGEV_NONE;
	say("none", timer_create(CLOCK_REALTIME, &ev, &id));
	timer_settime(id, 0, &it, NULL);
	timer_gettime(id, &cur);
	printf("armed %d\n", cur.it_value.tv_nsec > 0);
	timer_delete(id);
	ev.sigev_notify = SIGEV_THREAD_ID;
	ev._sigev_un._tid = gettid();
	hits = 0;
	say("thread id", timer_create(CLOCK_PROCESS_CPUTIME_ID, &ev, &id));
	timer_settime(id, 0, &it, NULL);
	while (hits < 2)
		burn(0.001);
	printf("cpu timer: code %d\n", last.si_code);
	timer_delete(id);
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	test_clocks();
	test_sleep();
	test_itimer();
	test_posix();
	return 0;
}
