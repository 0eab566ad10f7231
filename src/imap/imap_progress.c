/*
 * imap_progress.c - INPROGRESS (RFC 9585): a command that takes long says
 * how far it is.
 *
 * Costs a look at the clock, so that a loop may call it for each message; the
 * first word comes imap.progress_time after the first call.
 */
#include "imap/imap_state.h"

void
imap_progress(struct imap_task *t, uint64_t done, uint64_t total)
{
	int64_t pause = imap_settings()->imap_progress_time;
	monotime_t now = clock_mono();
	struct stream *out = t->s->stream;

	if (pause == 0)
		return;
	if (t->progress.ms == 0)
		t->progress = now;
	if (now.ms - t->progress.ms < pause)
		return;
	t->progress = now;
	stream_str(out, "* OK [INPROGRESS (\"");
	stream_write(out, t->tag);
	if (total > 0 && done <= total)
		stream_printf(out, "\" %" PRIu64 " %" PRIu64 ")] ", done,
		    total);
	else
		stream_str(out, "\" NIL NIL)] ");
	stream_str(out, imap_words(t->s, "Still working"));
	stream_str(out, "\r\n");
	(void)stream_flush(out);
}
