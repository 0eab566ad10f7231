/*
 * base.h - what every file of Postrider may use without asking.
 *
 * Statuses: a function that can say no returns int: 1 done, 0 no, -1 failed
 * (errno set where the operating system was the one that failed).
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_USE __attribute__((warn_unused_result))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/*
 * must() guards our own logic, in every build. A false condition is a bug of
 * ours: the process says where and aborts. Never use it on anything received.
 */
#define must(cond) ((cond) ? (void)0 : must_fail(#cond, __FILE__, __LINE__))
_Noreturn void must_fail(const char *cond, const char *file, int line);

/* Allocation that cannot fail: out of memory ends the process, loudly. */
void *xmalloc(size_t n) __attribute__((malloc));
void *xcalloc(size_t count, size_t size) __attribute__((malloc));
void *xrealloc(void *p, size_t n) MUST_USE;
char *xstrdup(const char *s) __attribute__((malloc));

#include "base/span.h"

#endif
