/*
 * imap_pick.c - from the sets of a command to messages.
 */
#include "imap/imap_command.h"
#include "imap/imap_searches.h"
#include "imap/imap_state.h"
#include "ipc/wire.h"

bool
imap_take_set(struct imap_task *t, struct imap_set *set)
{
	return imap_parse_space(&t->in) && imap_parse_set(&t->in, set);
}

bool
imap_pick(struct imap_task *t, const struct imap_set *set,
    struct imap_picks *picks, struct imap_reply *why)
{
	bool by_uid = (t->command->how & IMAP_BY_UID) != 0;
	struct imap_set saved;

	if (set->saved) {		/* "$" is kept by UID (RFC 5182) */
		saved = imap_searches_saved(t->s);
		set = &saved;
		by_uid = true;
	}
	switch (imap_view_pick(&t->s->box->view, set, by_uid, t->arena,
	    picks)) {
	case 1:
		return true;
	case 0:
		*why = imap_bad("No message of that number");
		return false;
	default:
		*why = imap_no_memory();
		return false;
	}
}

void
imap_limit(struct imap_task *t, struct imap_picks *picks)
{
	uint64_t limit = imap_settings()->imap_message_limit;
	uint32_t over, n;

	if (limit == 0 || picks->messages <= limit)
		return;
	over = picks->messages - (uint32_t)limit;
	picks->messages = (uint32_t)limit;
	while (over > 0) {
		n = picks->picks->to - picks->picks->from;
		if (n > over) {
			picks->picks->from += over;
			break;
		}
		over -= n;
		picks->picks++;
		picks->count--;
	}
	t->lowest_uid = imap_view_uid(&t->s->box->view, picks->picks->from);
}

bool
imap_within_limit(struct imap_task *t, uint64_t messages,
    struct imap_reply *why)
{
	uint64_t limit = imap_settings()->imap_message_limit;

	if (limit == 0 || messages <= limit)
		return true;
	*why = imap_no(arena_printf(t->arena, "MESSAGELIMIT %" PRIu64,
	    limit).p, "Too many messages for one command");
	return false;
}

bool
imap_walk(const struct imap_picks *picks, struct imap_walk *w, uint32_t *index)
{
	if (!w->inside) {
		if (w->pick == picks->count)
			return false;
		w->index = picks->picks[w->pick].from;
		w->inside = true;
	}
	*index = w->index++;
	if (w->index == picks->picks[w->pick].to) {
		w->pick++;
		w->inside = false;
	}
	return true;
}

static bool
is_counted(const struct imap_view *view, uint32_t index, uint64_t since)
{
	const struct message_row *row = imap_view_row(view, index);

	return row != NULL && imap_row_modseq(row) > since;
}

/* The picks as far as they lie in [from, to). */
static void
clip(struct imap_picks *picks, uint32_t from, uint32_t to)
{
	size_t n = 0;

	picks->messages = 0;
	for (size_t i = 0; i < picks->count; i++) {
		struct imap_pick p = picks->picks[i];

		p.from = MAX(p.from, from);
		p.to = MIN(p.to, to);
		if (p.from >= p.to)
			continue;
		picks->picks[n++] = p;
		picks->messages += p.to - p.from;
	}
	picks->count = n;
}

void
imap_pick_partial(struct imap_task *t, const struct imap_partial *partial,
    uint64_t changed_since, struct imap_picks *picks)
{
	const struct imap_view *view = &t->s->box->view;
	struct imap_walk walk = { 0 }, again = { 0 };
	size_t count = 0, from, n, at = 0;
	uint32_t index, first = UINT32_MAX, end = 0;

	while (imap_walk(picks, &walk, &index))
		count += is_counted(view, index, changed_since);
	n = imap_partial_of(partial, count, &from);
	while (at < from + n && imap_walk(picks, &again, &index)) {
		if (!is_counted(view, index, changed_since))
			continue;
		if (at >= from)
			first = MIN(first, index);
		end = index + 1;
		at++;
	}
	clip(picks, n > 0 ? first : 0, n > 0 ? end : 0);
}

bool
imap_any_gone(const struct imap_view *view, const struct imap_picks *picks)
{
	struct imap_walk walk = { 0 };
	uint32_t index;

	if (!imap_view_any_gone(view))
		return false;
	while (imap_walk(picks, &walk, &index))
		if (imap_view_row(view, index) == NULL)
			return true;
	return false;
}

/* RFC 5530: it will be told when it may be. */
struct imap_reply
imap_expunge_issued(void)
{
	return imap_no("EXPUNGEISSUED", "Some of the messages are gone");
}

struct span
imap_uids_of(const struct imap_view *view, const struct imap_picks *picks,
    struct arena *arena)
{
	struct text text = TEXT_INIT(0);
	struct span records;

	for (size_t i = 0; i < picks->count; i++)
		uid_range_put(&text, &(struct uid_range){
		    .first = imap_view_uid(view, picks->picks[i].from),
		    .last = imap_view_uid(view, picks->picks[i].to - 1) });
	records = arena_dup(arena, text_span(&text));
	text_free(&text);
	return records;
}

struct imap_reply
imap_box_refused(struct imap_task *t, enum result result)
{
	if (result != RESULT_NOT_FOUND)
		return imap_refused(t, result);
	t->s->bye = "The selected mailbox was deleted";
	return imap_no("NONEXISTENT", "The mailbox was deleted");
}
