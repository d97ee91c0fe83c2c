/* Timers on all clocks, overruns, whose CPU time is whose, user and system time, timerfd. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/guest/say.h"

#define SIG (SIGRTMIN + 1)

static double at(clockid_t c)
{
	struct timespec ts = {0};

	if (clock_gettime(c, &ts))
		return -1;
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Burns CPU time without calls to the kernel but for every million rounds. */
static void burn(double s)
{
	double end = at(CLOCK_THREAD_CPUTIME_ID) + s;
	volatile unsigned long n;

	while (at(CLOCK_THREAD_CPUTIME_ID) < end)
		for (n = 0; n < 1000000; n++)
			;
}

static void block(int sig)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, sig);
	sigprocmask(SIG_BLOCK, &s, NULL);
}

static int take(int sig, siginfo_t *si, long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, sig);
	return sigtimedwait(&s, si, &ts);
}

static timer_t make(clockid_t clock, int value)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIG};
	timer_t id = 0;

	ev.sigev_value.sival_int = value;
	if (timer_create(clock, &ev, &id))
		printf("timer_create %s\n", strerrorname_np(errno));
	return id;
}

static void set(timer_t id, long ms, long every_ms)
{
	struct itimerspec it = {{every_ms / 1000, every_ms % 1000 * 1000000},
				{ms / 1000, ms % 1000 * 1000000}};

	if (timer_settime(id, 0, &it, NULL))
		printf("timer_settime %s\n", strerrorname_np(errno));
}

static void test_overrun(void)
{
	timer_t id = make(CLOCK_MONOTONIC, 1), other = make(CLOCK_REALTIME, 2);
	struct itimerspec it;
	siginfo_t si;

	set(id, 2, 2);
	usleep(100000);
	SAY(take(SIG, &si, 1000) == SIG);
	printf("value %d code %d some %d\n", si.si_value.sival_int, si.si_code, si.si_overrun >= 20);
	SAY(timer_getoverrun(id) == si.si_overrun);
	set(id, 0, 0);
	SAY(take(SIG, &si, 20) < 0 || si.si_overrun >= 0);
	set(other, 10, 0);
	SAY(take(SIG, &si, 1000) == SIG);
	printf("value %d overrun %d\n", si.si_value.sival_int, si.si_overrun);
	SAY(timer_getoverrun(other));
	SAY(timer_gettime(other, &it));
	printf("disarmed %ld %ld\n", (long)it.it_value.tv_sec, it.it_value.tv_nsec);
	it = (struct itimerspec){{0, 0}, {0, 1000000000}};
	SAY(timer_settime(other, 0, &it, NULL));
	SAY(timer_settime(other, TIMER_ABSTIME, &(struct itimerspec){{0, 0}, {1, 0}}, NULL));
	SAY(take(SIG, &si, 1000) == SIG);
	SAY(timer_delete(id));
	SAY(timer_delete(other));
	SAY(syscall(SYS_timer_gettime, 77, &it));
	SAY(syscall(SYS_timer_getoverrun, 77));
	SAY(syscall(SYS_timer_settime, 77, 0, &it, NULL));
	SAY(syscall(SYS_timer_create, CLOCK_MONOTONIC, (void *)8, &id));
	SAY(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, (void *)8));
	struct sigevent ev = {.sigev_notify = 77};

	SAY(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id));
	ev.sigev_notify = SIGEV_THREAD_ID;
	ev.sigev_signo = SIG;
	ev._sigev_un._tid = getppid();
	SAY(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id));
}

static clockid_t thread_clock;
static timer_t of_thread;
static atomic_int stage;

static void *worker(void *arg)
{
	pthread_getcpuclockid(pthread_self(), &thread_clock);
	stage = 1;
	while (stage != 2)
		usleep(1000);
	burn(0.06);
	stage = 3;
	while (stage != 4)
		usleep(1000);
	return NULL;
}

static void test_cpu_clocks(void)
{
	struct itimerspec it;
	pthread_t th;
	siginfo_t si;
	double own;

	pthread_create(&th, NULL, worker, NULL);
	while (stage != 1)
		usleep(1000);
	of_thread = make(thread_clock, 5);
	set(of_thread, 30, 0);
	SAY(take(SIG, &si, 50));
	stage = 2;
	SAY(take(SIG, &si, 5000) == SIG);
	printf("value %d\n", si.si_value.sival_int);
	while (stage != 3)
		usleep(1000);
	printf("thread's time %d\n", at(thread_clock) >= 0.06);
	own = at(CLOCK_THREAD_CPUTIME_ID);
	printf("not mine %d, the process's %d\n", own < at(thread_clock) + own,
	       at(CLOCK_PROCESS_CPUTIME_ID) >= 0.06);
	stage = 4;
	pthread_join(th, NULL);
	printf("gone: %d\n", at(thread_clock) < 0);
	SAY(timer_gettime(of_thread, &it));
	SAY(timer_delete(of_thread));
}

static void test_other_process(void)
{
	clockid_t c;
	timer_t id;
	siginfo_t si;
	pid_t p;
	int st;

	fflush(stdout);
	p = fork();
	if (!p) {
		burn(0.08);
		pause();
		_exit(0);
	}
	SAY(clock_getcpuclockid(p, &c));
	id = make(c, 6);
	set(id, 40, 0);
	SAY(take(SIG, &si, 10000) == SIG);
	printf("child's time %d\n", at(c) >= 0.04);
	while (at(c) < 0.08)
		usleep(5000);
	SAY(timer_delete(id));
	kill(p, SIGKILL);
	waitpid(p, &st, 0);
	printf("gone %d\n", at(c) < 0);
	SAY(clock_getcpuclockid(p, &c) == ESRCH);
	/* a thread of another process is nobody's business */
	c = (clockid_t)((~(unsigned)getppid() << 3) | 6);
	SAY(at(c) < 0);
}

static double seconds(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static void test_usage(void)
{
	struct rusage ru, th, ch, w;
	struct tms tms;
	double user, prof;
	pid_t p;
	int st;

	getrusage(RUSAGE_SELF, &ru);
	user = seconds(ru.ru_utime);
	burn(0.15);
	getrusage(RUSAGE_SELF, &ru);
	getrusage(RUSAGE_THREAD, &th);
	prof = seconds(ru.ru_utime) + seconds(ru.ru_stime);
	printf("user time %d, mostly %d, thread %d sum %d\n", seconds(ru.ru_utime) - user > 0.07,
	       seconds(ru.ru_utime) > seconds(ru.ru_stime), seconds(th.ru_utime) > 0.07,
	       prof <= at(CLOCK_PROCESS_CPUTIME_ID) + 0.02 && prof >= 0.14);
	fflush(stdout);
	p = fork();
	if (!p) {
		burn(0.12);
		_exit(0);
	}
	wait4(p, &st, 0, &w);
	getrusage(RUSAGE_CHILDREN, &ch);
	times(&tms);
	printf("child %d children %d maxrss %d times %d\n", seconds(w.ru_utime) > 0.06,
	       seconds(ch.ru_utime) >= seconds(w.ru_utime), w.ru_maxrss > 0 && ch.ru_maxrss > 0,
	       tms.tms_cutime >= 6 && tms.tms_utime >= 6);
	SAY(getrusage(77, &ru));
	SAY(syscall(SYS_getrusage, RUSAGE_SELF, 8));
}

static void test_itimers(void)
{
	struct itimerval it = {{0, 0}, {0, 30000}}, now;
	siginfo_t si;
	double t;

	block(SIGVTALRM);
	block(SIGPROF);
	SAY(setitimer(ITIMER_VIRTUAL, &it, NULL));
	SAY(take(SIGVTALRM, &si, 60)); /* sleeping does not count */
	getitimer(ITIMER_VIRTUAL, &now);
	printf("left %d\n", now.it_value.tv_usec > 0);
	t = at(CLOCK_THREAD_CPUTIME_ID);
	while (take(SIGVTALRM, &si, 0) < 0)
		burn(0.005);
	t = at(CLOCK_THREAD_CPUTIME_ID) - t;
	printf("code %d %d\n", si.si_code, t >= 0.01);
	SAY(setitimer(ITIMER_PROF, &it, NULL));
	while (take(SIGPROF, &si, 0) < 0)
		burn(0.005);
	it.it_value.tv_usec = 1000000;
	SAY(setitimer(ITIMER_REAL, &it, NULL));
	SAY(getitimer(7, &now));
	SAY(syscall(SYS_setitimer, ITIMER_REAL, 8, NULL));
}

static void test_timerfd(void)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	struct itimerspec it = {{0, 5000000}, {0, 5000000}}, cur;
	uint64_t n = 0;

	SAY(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
	SAY(timerfd_create(99, 0));
	SAY(timerfd_create(CLOCK_MONOTONIC, 1));
	SAY(read(fd, &n, 8));
	SAY(timerfd_settime(fd, 0, &it, NULL));
	usleep(52000);
	SAY(read(fd, &n, 4));
	SAY(read(fd, &n, 8));
	printf("ticks %d\n", n >= 9);
	SAY(timerfd_gettime(fd, &cur));
	printf("every %ld left %d\n", cur.it_interval.tv_nsec, cur.it_value.tv_nsec <= 5000000);
	SAY(timerfd_settime(fd, 77, &it, NULL));
	it.it_value.tv_nsec = -1;
	SAY(timerfd_settime(fd, 0, &it, NULL));
	SAY(timerfd_settime(1, 0, &cur, NULL));
	SAY(timerfd_gettime(0x7fff, &cur));
	SAY(write(fd, &n, 8));
	close(fd);
	fd = timerfd_create(CLOCK_REALTIME, 0);
	it = (struct itimerspec){{0, 0}, {1, 0}};
	SAY(timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &it, NULL));
	SAY(read(fd, &n, 8));
	printf("past %lu\n", (unsigned long)n);
	close(fd);
}

static void on_signal(int sig)
{
}

static void test_sleep(void)
{
	struct timespec ts = {1, 0}, rem = {9, 9};
	struct itimerval it = {{0, 0}, {0, 15000}};
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	double t = at(CLOCK_MONOTONIC);

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	SAY(nanosleep(&ts, &rem));
	printf("left %d\n", rem.tv_sec == 0);
	setitimer(ITIMER_REAL, &it, NULL);
	SAY(clock_nanosleep(CLOCK_REALTIME, 0, &ts, &rem) == EINTR);
	signal(SIGALRM, SIG_IGN);
	ts = (struct timespec){0, 60000000};
	setitimer(ITIMER_REAL, &it, NULL);
	t = at(CLOCK_MONOTONIC);
	SAY(nanosleep(&ts, &rem));
	printf("whole %d\n", at(CLOCK_MONOTONIC) - t >= 0.06);
	SAY(clock_nanosleep(CLOCK_MONOTONIC_COARSE, 0, &ts, NULL) == EOPNOTSUPP);
	SAY(clock_nanosleep(77, 0, &ts, NULL) == EINVAL);
	ts.tv_nsec = 1;
	SAY(clock_nanosleep(CLOCK_BOOTTIME, 0, &ts, NULL));
	SAY(clock_nanosleep(CLOCK_TAI, 0, &ts, NULL));
	SAY(syscall(SYS_nanosleep, 8, NULL));
	SAY(clock_getres(CLOCK_MONOTONIC, &ts));
	printf("res %ld\n", ts.tv_nsec);
	SAY(clock_getres(CLOCK_THREAD_CPUTIME_ID, &ts));
	SAY(clock_getres(77, &ts));
	SAY(clock_getres(CLOCK_REALTIME, NULL));
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	block(SIG);
	test_overrun();
	test_cpu_clocks();
	test_other_process();
	test_usage();
	test_itimers();
	test_timerfd();
	test_sleep();
	return 0;
}
