#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GUEST_LINES_PER_SECOND 10

static enum sbx_log_level log_level = SBX_LOG_WARN;
static int log_fd = 2;

void sbx_log_set_level(enum sbx_log_level level)
{
	log_level = level;
}

enum sbx_log_level sbx_log_get_level(void)
{
	return log_level;
}

void sbx_log_set_fd(int fd)
{
	log_fd = fd;
}

static void emit(const char *fmt, va_list ap)
{
	static const char prefix[] = "sbx: ";
	char line[2048];
	size_t n = sizeof(prefix) - 1;
	ssize_t r;
	int len;

	memcpy(line, prefix, n);
	len = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	if (len < 0)
		return;
	n += (size_t)len < sizeof(line) - n - 1 ? (size_t)len : sizeof(line) - n - 2;
	line[n++] = '\n';
	r = write(log_fd, line, n);
	(void)r; /* there is nowhere left to report to */
}

void sbx_log(enum sbx_log_level level, const char *fmt, ...)
{
	va_list ap;

	if (level > log_level)
		return;
	va_start(ap, fmt);
	emit(fmt, ap);
	va_end(ap);
}

static void note_suppressed(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(fmt, ap);
	va_end(ap);
}

void sbx_log_guest(enum sbx_log_level level, const char *fmt, ...)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static time_t second;
	static unsigned printed, suppressed;
	struct timespec now;
	va_list ap;

	if (level > log_level)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&lock);
	if (now.tv_sec != second) {
		if (suppressed)
			note_suppressed("%u similar messages not shown", suppressed);
		second = now.tv_sec;
		printed = suppressed = 0;
	}
	if (printed < GUEST_LINES_PER_SECOND) {
		printed++;
		va_start(ap, fmt);
		emit(fmt, ap);
		va_end(ap);
	} else {
		suppressed++;
	}
	pthread_mutex_unlock(&lock);
}
