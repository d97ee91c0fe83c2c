/* What the file tests share. */
#ifndef SBX_TESTS_FILE_TEST_H
#define SBX_TESTS_FILE_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "sentry/file.h"
#include "sentry/task.h"
#include "sentry/vfs.h"

#endif
