/*
 * imap_multisearch.c - ESEARCH: a search over several mailboxes (RFC 7377).
 *
 * The mailboxes are found in the list of all there are, then searched one
 * after the other, each opened for the time it takes; those that are not to
 * be had any more are passed over. Only the selected one can be saved.
 */
#include "imap/imap_command.h"

#include "imap/imap_searches.h"
#include "io/fiber.h"
#include "ipc/wire.h"

struct target {
	uint64_t id;
	struct span name;
};

struct targets {
	struct target *all;
	size_t count;
};

/* -- which ---- */

static bool
is_below(struct span name, struct span top, bool one_level)
{
	struct span rest;

	if (span_eq(name, top))
		return true;
	if (name.n <= top.n + 1 || !span_starts(name, top) ||
	    name.p[top.n] != '/')
		return false;
	rest = span_from(name, top.n + 1);
	return !one_level || span_find_char(rest, '/', 0) == SIZE_MAX;
}

static bool
source_has(const struct imap_task *t, const struct imap_source *source,
    const struct mailbox_row *row)
{
	switch (source->kind) {
	case IMAP_SOURCE_SELECTED:
		return t->s->box != NULL && row->mailbox == t->s->box->id;
	case IMAP_SOURCE_INBOXES:
		return span_is(row->name, "INBOX");
	case IMAP_SOURCE_PERSONAL:
		return row->place == PLACE_OWN;
	case IMAP_SOURCE_SUBSCRIBED:
		return row->subscribed != 0;
	case IMAP_SOURCE_SUBTREE:
		return is_below(row->name, source->name, false);
	case IMAP_SOURCE_SUBTREE_ONE:
		return is_below(row->name, source->name, true);
	default:
		return span_eq(row->name, source->name);
	}
}

static int
read_targets(struct imap_task *t, const struct imap_source *sources,
    struct span rows, struct targets *out)
{
	struct cursor at = { .rest = rows };
	struct mailbox_row row;
	size_t room = 0, most = imap_settings()->imap_search_mailboxes;
	int status;

	while ((status = mailbox_row_get(&at, &row)) == 1) {
		const struct imap_source *s = sources;

		while (s != NULL && !source_has(t, s, &row))
			s = s->next;
		if (s == NULL || row.mailbox == 0 ||
		    (row.rights & RIGHT_READ) == 0)
			continue;
		if (out->count == most)
			return -1;
		if (out->count == room) {
			size_t more = room == 0 ? 16 : room * 2;
			struct target *grown = arena_grow(t->arena, out->all,
			    room * sizeof(*grown), more * sizeof(*grown));

			if (grown == NULL)
				return -1;
			out->all = grown;
			room = more;
		}
		out->all[out->count++] = (struct target){ row.mailbox,
		    arena_dup(t->arena, row.name) };
	}
	return status == 0 ? 1 : -1;
}

/* Names as they were sent become those of the store. A name that can be no
 * mailbox stands for none. */
static bool
decode_names(struct imap_task *t, struct imap_source *s)
{
	for (; s != NULL; s = s->next) {
		if (s->name.p == NULL)
			continue;
		switch (imap_take_name(t, s->name, &s->name)) {
		case 1:
			break;
		case 0:
			s->name = SPAN("/");
			break;
		default:
			return false;
		}
	}
	return true;
}

static bool
find_targets(struct imap_task *t, struct imap_source *sources,
    struct targets *out, struct imap_reply *why)
{
	struct mailbox_list_request request = { .grant = t->s->grant };
	struct mailbox_list_reply reply;
	bool found = false;

	if (!decode_names(t, sources)) {
		*why = imap_no_memory();
		return false;
	}
	if (call_mailbox_list(imap_store(), t->arena, &request, &reply) != 1) {
		*why = imap_unavailable();
		return false;
	}
	if (reply.result != RESULT_OK)
		*why = imap_refused(t, reply.result);
	else if (read_targets(t, sources, reply.rows.bytes, out) != 1)
		*why = imap_no("LIMIT", "Too many mailboxes");
	else
		found = true;
	blob_release(&reply.rows);
	return found;
}

/* -- one after the other ---- */

static int
search_box(struct imap_task *t, struct imap_search_command *wish,
    const struct imap_mailbox *box, struct span name)
{
	struct imap_find f = { .t = t, .box = box, .root = wish->root,
	    .collation = imap_collation(t->s), .fuzzy = wish->has_fuzzy };
	struct text shown = TEXT_INIT(0);
	struct imap_said said = { .found = &f, .wish = wish, .by_uid = true };
	int status = imap_find(&f);

	imap_add_name(t, &shown, name);
	said.mailbox = text_span(&shown);
	if (status == 1 && (wish->returns & IMAP_RETURN_SAVE) != 0)
		imap_save_found(t, &said);
	if (status == 1 && f.count > 0)
		imap_say_found(t, &said);
	imap_find_end(&f);
	text_free(&shown);
	return status;
}

/* The selected mailbox as the session sees it; others as they are now. */
static int
search_target(struct imap_task *t, struct imap_search_command *wish,
    const struct target *target)
{
	struct imap_mailbox *box;
	struct imap_reply why;
	int status;

	if (t->s->box != NULL && t->s->box->id == target->id)
		return search_box(t, wish, t->s->box, target->name);
	if (!imap_mailbox_open(t, target->id, true, &box, &why))
		return link_up(imap_store()) ? 1 : -1;
	status = search_box(t, wish, box, target->name);
	imap_mailbox_close(&box, t->arena);
	(void)fiber_share();
	return status;
}

/* RFC 7377 2.1: what is of one mailbox cannot be asked of others. */
static bool
check(struct imap_task *t, struct imap_search_command *wish,
    struct imap_reply *why)
{
	static struct imap_source selected = { .kind = IMAP_SOURCE_SELECTED };
	bool others = false;

	if (wish->sources == NULL)
		wish->sources = &selected;
	for (const struct imap_source *s = wish->sources; s != NULL;
	    s = s->next) {
		if (s->kind != IMAP_SOURCE_SELECTED)
			others = true;
		else if (t->s->box == NULL) {
			*why = imap_bad("No mailbox is selected");
			return false;
		}
	}
	if ((wish->returns & IMAP_RETURN_UPDATE) != 0)
		*why = imap_bad("ESEARCH follows no changes");
	else if (others && (wish->returns & IMAP_RETURN_SAVE) != 0)
		*why = imap_bad("Only the selected mailbox can be saved");
	else if (imap_has(t->s, IMAP_UTF8) && wish->charset.n > 0)
		*why = imap_bad("Strings are in UTF-8 now");
	else if (wish->has_numbers && (others ||
	    imap_has(t->s, IMAP_UIDONLY)))
		*why = imap_bad("Message numbers are of one mailbox");
	else
		return true;
	return false;
}

struct imap_reply
imap_esearch(struct imap_task *t)
{
	struct imap_search_command wish;
	struct targets targets = { .count = 0 };
	struct imap_reply why;
	int status = 1;

	if (!imap_parse_esearch(&t->in, &wish))
		return imap_bad_syntax(t);
	if (!check(t, &wish, &why) ||
	    !imap_find_prepare(t, &wish, imap_collation(t->s), &why) ||
	    !find_targets(t, wish.sources, &targets, &why))
		return why;
	if (wish.has_modseq)
		imap_turn_on(t->s, IMAP_CONDSTORE);
	for (size_t i = 0; status == 1 && i < targets.count; i++)
		status = search_target(t, &wish, &targets.all[i]);
	return status == 1 ? imap_ok("Searched") : imap_unavailable();
}
