/*
 * base.c - the end of a process that can no longer be right, and allocation
 * that cannot fail.
 */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* No stdio buffers, no allocation: the heap may be what is broken. */
_Noreturn static void
die(const char *line, int n, size_t room)
{
	size_t len = n < 0 ? 0 : MIN((size_t)n, room - 1);
	ssize_t ignored = write(STDERR_FILENO, line, len);

	(void)ignored;
	abort();
}

_Noreturn void
must_fail(const char *cond, const char *file, int line)
{
	char text[512];
	int n = snprintf(text, sizeof(text),
	    "postrider: bug: %s:%d: must(%s)\n", file, line, cond);

	die(text, n, sizeof(text));
}

_Noreturn static void
out_of_memory(size_t n)
{
	char text[128];
	int len = snprintf(text, sizeof(text),
	    "postrider: out of memory (%zu bytes)\n", n);

	die(text, len, sizeof(text));
}

void *
xmalloc(size_t n)
{
	void *p = malloc(MAX(n, 1));

	if (p == NULL)
		out_of_memory(n);
	return p;
}

void *
xcalloc(size_t count, size_t size)
{
	void *p = calloc(MAX(count, 1), MAX(size, 1));

	if (p == NULL)
		out_of_memory(size == 0 ? 0 : count);
	return p;
}

void *
xrealloc(void *p, size_t n)
{
	p = realloc(p, MAX(n, 1));
	if (p == NULL)
		out_of_memory(n);
	return p;
}

char *
xstrdup(const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(xmalloc(n), s, n);
}
