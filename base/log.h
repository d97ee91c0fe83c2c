/* Diagnostics of sbx itself, to one sink (stderr by default). The audit log is another stream:
 * see audit/. Messages that a guest can trigger go through sbx_log_guest, which limits their rate. */
#ifndef SBX_BASE_LOG_H
#define SBX_BASE_LOG_H

enum sbx_log_level { SBX_LOG_ERROR, SBX_LOG_WARN, SBX_LOG_INFO, SBX_LOG_DEBUG };

/* Messages above level are dropped. Default: SBX_LOG_WARN. */
void sbx_log_set_level(enum sbx_log_level level);
enum sbx_log_level sbx_log_get_level(void);

/* Where messages go; fd is borrowed. Default: 2. */
void sbx_log_set_fd(int fd);

/* Writes "sbx: " and the message and a newline in one write(2). Async-signal-unsafe. */
void sbx_log(enum sbx_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* As sbx_log, for what a guest causes: at most 10 lines a second, the rest counted and said. */
void sbx_log_guest(enum sbx_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...) sbx_log(SBX_LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  sbx_log(SBX_LOG_WARN, __VA_ARGS__)
#define log_info(...)  sbx_log(SBX_LOG_INFO, __VA_ARGS__)
#define log_debug(...) sbx_log(SBX_LOG_DEBUG, __VA_ARGS__)

#endif
