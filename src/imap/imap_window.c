/*
 * imap_window.c - the part of a message that will be asked for next.
 *
 * Clients fetch a large message piece by piece. What was read ahead is kept
 * with the session from one command to the next; all sessions of the process
 * together keep no more than WINDOWS_TOTAL, the oldest go first.
 */
#include "imap/imap_state.h"

#include <stdlib.h>

enum { WINDOW_MAX = 512 << 10, WINDOWS_TOTAL = 16 << 20 };

static struct {
	struct imap_window *oldest, *newest;
	uint64_t total;
} windows;

static void
drop(struct imap_window *w)
{
	if (w->uid == 0)
		return;
	if (w->older != NULL)
		w->older->newer = w->newer;
	else
		windows.oldest = w->newer;
	if (w->newer != NULL)
		w->newer->older = w->older;
	else
		windows.newest = w->older;
	windows.total -= w->n;
	free(w->bytes);
	*w = (struct imap_window){ 0 };
}

void
imap_window_clear(struct imap_session *s)
{
	drop(&s->window);
}

void
imap_window_keep(struct imap_session *s, uint64_t mailbox, uint32_t uid,
    uint64_t at, struct span bytes)
{
	struct imap_window *w = &s->window;

	drop(w);
	if (bytes.n == 0 || bytes.n > WINDOW_MAX)
		return;
	while (windows.total + bytes.n > WINDOWS_TOTAL) {
		must(windows.oldest != NULL && windows.oldest->older == NULL);
		drop(windows.oldest);
	}
	*w = (struct imap_window){ .mailbox = mailbox, .uid = uid, .at = at,
	    .n = bytes.n, .bytes = xmalloc(bytes.n), .older = windows.newest };
	memcpy(w->bytes, bytes.p, bytes.n);
	if (windows.newest != NULL)
		windows.newest->newer = w;
	else
		windows.oldest = w;
	windows.newest = w;
	windows.total += w->n;
}

bool
imap_window_has(struct imap_session *s, uint64_t mailbox, uint32_t uid,
    uint64_t at, uint64_t n, struct span *bytes)
{
	const struct imap_window *w = &s->window;

	if (w->uid != uid || uid == 0 || w->mailbox != mailbox ||
	    at < w->at || at - w->at > w->n ||
	    n > w->n - (at - w->at))
		return false;
	*bytes = span_of(w->bytes + (at - w->at), (size_t)n);
	return true;
}
