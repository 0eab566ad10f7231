/*
 * imap_notify_names.c - which mailboxes a session follows, and what became
 * of their names (RFC 5465 sections 5.4, 5.5 and 6).
 *
 * A note says only that something changed: the list is read again and
 * compared. So nothing is missed when notes are lost, and what happened and
 * was undone in between is no event.
 */
#include "imap/imap_command.h"
#include "imap/imap_notify_impl.h"
#include "ipc/wire.h"

#include <stdlib.h>

struct names {
	struct imap_task *t;
	struct imap_notify *n;
	struct mailbox_row *rows;	/* in the order of names */
	size_t count;
	bool say;
	struct text lines;
};

/* ---- the list -------------------------------------------------------------- */

static int
read_rows(struct names *ns, struct span records)
{
	struct cursor at = { .rest = records };
	struct mailbox_row row;
	size_t room = 0;

	while (mailbox_row_get(&at, &row) == 1) {
		if (ns->count == room) {
			size_t more = MAX(room * 2, (size_t)64);

			ns->rows = arena_grow(ns->t->arena, ns->rows,
			    room * sizeof(row), more * sizeof(row));
			if (ns->rows == NULL)
				return -1;
			room = more;
		}
		ns->rows[ns->count++] = row;
	}
	return 1;
}

static int
get_rows(struct names *ns, struct mailbox_list_reply *reply)
{
	struct mailbox_list_request request = { .grant = ns->t->s->grant };

	if (call_mailbox_list(imap_store(), ns->t->arena, &request,
	    reply) != 1)
		return -1;
	return reply->result == RESULT_OK
	    ? read_rows(ns, reply->rows.bytes) : -1;
}

static bool
is_below(struct span name, struct span parent)
{
	return name.n > parent.n && name.p[parent.n] == '/' &&
	    span_starts(name, parent);
}

static struct mailbox_row *
row_named(const struct names *ns, struct span name)
{
	for (size_t i = 0; i < ns->count; i++)
		if (span_eq(ns->rows[i].name, name))
			return &ns->rows[i];
	return NULL;
}

/* ---- which groups are about it ---------------------------------------------- */

static bool
is_named(const struct imap_notify_group *g, struct span name, bool below)
{
	for (size_t i = 0; i < g->count; i++)
		if (span_eq(g->names[i], name) ||
		    (below && is_below(name, g->names[i])))
			return true;
	return false;
}

static bool
is_about(const struct imap_notify_group *g, const struct mailbox_row *row)
{
	switch (g->filter) {
	case NOTIFY_INBOXES:
		return span_is(row->name, "INBOX");
	case NOTIFY_PERSONAL:
		return row->place == PLACE_OWN;
	case NOTIFY_SUBSCRIBED:
		return row->subscribed != 0;
	case NOTIFY_SUBTREE:
		return is_named(g, row->name, true);
	case NOTIFY_MAILBOXES:
		return is_named(g, row->name, false);
	default:
		return false;
	}
}

static unsigned
events_of(const struct imap_notify *n, const struct mailbox_row *row)
{
	unsigned events = 0;

	for (size_t i = 0; i < n->group_count; i++)
		if (is_about(&n->groups[i], row))
			events |= n->groups[i].events;
	return events;
}

/*
 * Who is not subscribed any more still hears of that: the group was about it
 * until now.
 */
static unsigned
events_before(const struct imap_notify *n, const struct mailbox_row *row,
    bool subscribed)
{
	struct mailbox_row before = *row;

	before.subscribed = subscribed;
	return events_of(n, &before);
}

/* ---- telling ------------------------------------------------------------------ */

static void
add_list(struct names *ns, const struct mailbox_row *row,
    const char *old_name)
{
	struct text *line = &ns->lines;
	size_t i = (size_t)(row - ns->rows) + 1;
	bool children = i < ns->count && is_below(ns->rows[i].name,
	    row->name);

	text_str(line, "* LIST (");
	if (row->mailbox == 0)
		text_str(line, "\\NonExistent ");
	if (row->subscribed)
		text_str(line, "\\Subscribed ");
	text_str(line, children ? "\\HasChildren" : "\\HasNoChildren");
	text_str(line, ") \"/\" ");
	imap_add_name(ns->t, line, row->name);
	if (old_name != NULL) {
		text_str(line, " (\"OLDNAME\" (");
		imap_add_name(ns->t, line, span_str(old_name));
		text_str(line, "))");
	}
	text_str(line, "\r\n");
}

/* What this very command did the client knows. */
static bool
is_own_doing(const struct names *ns, struct span name)
{
	const struct imap_task *t = ns->t;

	if (t->command == NULL || t->command->args[0] != 'm')
		return false;
	for (size_t i = 0; i < ARRAY_LEN(t->args); i++)
		if (t->args[i].n > 0 && (span_eq(t->args[i], name) ||
		    is_below(t->args[i], name) || is_below(name, t->args[i])))
			return true;
	return false;
}

/* The parent has children now, or has none any more. */
static void
say_parent(struct names *ns, struct span name)
{
	struct mailbox_row *parent;

	while (name.n > 0 && name.p[name.n - 1] != '/')
		name.n--;
	if (name.n == 0)
		return;
	parent = row_named(ns, span_sub(name, 0, name.n - 1));
	if (parent != NULL &&
	    (events_of(ns->n, parent) & NOTIFY_MAILBOX_NAME) != 0)
		add_list(ns, parent, NULL);
}

static void
say_created(struct names *ns, const struct mailbox_row *row, unsigned events)
{
	if (!ns->say || (events & NOTIFY_MAILBOX_NAME) == 0 ||
	    is_own_doing(ns, row->name))
		return;
	add_list(ns, row, NULL);
	say_parent(ns, row->name);
}

static void
say_gone(struct names *ns, const struct imap_followed *f)
{
	struct span name = span_str(f->name);

	if (!ns->say || (f->events & NOTIFY_MAILBOX_NAME) == 0 ||
	    f->mailbox == 0 || is_own_doing(ns, name))
		return;
	text_str(&ns->lines, "* LIST (\\NonExistent) \"/\" ");
	imap_add_name(ns->t, &ns->lines, name);
	text_str(&ns->lines, "\r\n");
	say_parent(ns, name);
}

/* ---- comparing ----------------------------------------------------------------- */

static struct imap_followed *
find(const struct imap_notify *n, const struct mailbox_row *row)
{
	for (size_t i = 0; i < n->n; i++)
		if (row->mailbox != 0 ? n->at[i]->mailbox == row->mailbox
		    : n->at[i]->mailbox == 0 &&
		    span_is(row->name, n->at[i]->name))
			return n->at[i];
	return NULL;
}

static int
compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool
was_there(const struct imap_notify *n, uint64_t mailbox)
{
	return n->id_count > 0 && bsearch(&mailbox, n->ids, n->id_count,
	    sizeof(*n->ids), compare_ids) != NULL;
}

static void
keep_ids(struct names *ns)
{
	struct imap_notify *n = ns->n;

	n->ids = xrealloc(n->ids, (ns->count + 1) * sizeof(*n->ids));
	n->id_count = 0;
	for (size_t i = 0; i < ns->count; i++)
		if (ns->rows[i].mailbox != 0)
			n->ids[n->id_count++] = ns->rows[i].mailbox;
	qsort(n->ids, n->id_count, sizeof(*n->ids), compare_ids);
}

/* Did what it lies in move there with it? Then that is told of. */
static bool
moved_along(const struct names *ns, const struct imap_followed *f,
    const struct mailbox_row *row)
{
	struct span old = span_str(f->name), new = row->name;

	for (size_t i = 0; i < ns->n->n; i++) {
		const struct imap_followed *p = ns->n->at[i];
		struct span above = span_str(p->name);
		struct span rest = span_from(old, above.n);

		if (p == f || !is_below(old, above) || !span_ends(new, rest))
			continue;
		for (size_t r = 0; r < ns->count; r++)
			if (ns->rows[r].mailbox == p->mailbox)
				return ns->rows[r].name.n == new.n - rest.n &&
				    span_starts(new, ns->rows[r].name);
	}
	return false;
}

static void
say_renamed(struct names *ns, const struct imap_followed *f,
    const struct mailbox_row *row, unsigned events)
{
	if (ns->say && (events & NOTIFY_MAILBOX_NAME) != 0 &&
	    !is_own_doing(ns, row->name) && !moved_along(ns, f, row))
		add_list(ns, row, f->name);
}

static void
say_subscribed(struct names *ns, const struct imap_followed *f,
    const struct mailbox_row *row, unsigned events)
{
	if (ns->say && (events & NOTIFY_SUBSCRIPTION) != 0 &&
	    (row->subscribed != 0) != f->subscribed &&
	    !is_own_doing(ns, row->name))
		add_list(ns, row, NULL);
}

/* ---- what is followed from now on ------------------------------------------------ */

/* Messages of it are, or not any more. 1, 0 we may not, -1. */
static int
set_events(struct names *ns, struct imap_followed *f, unsigned events)
{
	bool wanted = (events & NOTIFY_OF_MESSAGES) != 0 && f->mailbox != 0;

	f->events = events;
	if (wanted && f->watch == 0)
		return imap_follow(ns->t, f);
	if (!wanted && f->watch != 0)
		imap_follow_end(f, ns->t->arena);
	return 1;
}

static void
say_no_access(struct names *ns, const struct mailbox_row *row)
{
	text_str(&ns->lines, "* LIST (\\NoAccess) \"/\" ");
	imap_add_name(ns->t, &ns->lines, row->name);
	text_str(&ns->lines, "\r\n");
}

static int
meet_old(struct names *ns, struct imap_followed *f,
    const struct mailbox_row *row)
{
	unsigned events = events_of(ns->n, row);
	unsigned before = events_before(ns->n, row, f->subscribed);

	f->seen = events != 0;
	say_subscribed(ns, f, row, events | before);
	if (!span_is(row->name, f->name))
		say_renamed(ns, f, row, events);
	f->subscribed = row->subscribed != 0;
	return events != 0 ? set_events(ns, f, events) : 1;
}

/* One that was there and is heard of only now is not a new one. */
static int
meet_new(struct names *ns, const struct mailbox_row *row)
{
	unsigned events = events_of(ns->n, row);
	struct imap_followed fresh = { .mailbox = row->mailbox,
	    .subscribed = row->subscribed != 0, .seen = true };
	struct imap_followed *f;
	int status;

	if (events == 0)
		return 1;
	if (ns->n->n >= imap_settings()->imap_notify_mailboxes)
		return 0;
	if (row->mailbox != 0 && !was_there(ns->n, row->mailbox))
		say_created(ns, row, events);
	else
		say_subscribed(ns, &(struct imap_followed){
		    .subscribed = !row->subscribed }, row,
		    row->subscribed ? events : 0);
	f = imap_followed_add(ns->n, &fresh, row->name);
	status = set_events(ns, f, events);
	if (status == 0)
		say_no_access(ns, row);
	return status < 0 ? -1 : 1;
}

static void
rename_all(struct names *ns)
{
	for (size_t i = 0; i < ns->count; i++) {
		const struct mailbox_row *row = &ns->rows[i];
		struct imap_followed *f = find(ns->n, row);

		if (f == NULL || span_is(row->name, f->name))
			continue;
		free(f->name);
		f->name = xmalloc(row->name.n + 1);
		memcpy(f->name, row->name.p, row->name.n);
		f->name[row->name.n] = '\0';
	}
}

static int
compare(struct names *ns)
{
	struct imap_notify *n = ns->n;
	int status = 1;

	for (size_t i = 0; i < n->n; i++)
		n->at[i]->seen = false;
	for (size_t i = 0; i < ns->count && status == 1; i++) {
		struct imap_followed *f = find(n, &ns->rows[i]);

		status = f != NULL ? meet_old(ns, f, &ns->rows[i])
		    : meet_new(ns, &ns->rows[i]);
		if (f != NULL && status == 0)
			status = 1;	/* its messages are not for us */
	}
	if (status != 1)
		return status;
	rename_all(ns);
	for (size_t i = n->n; i-- > 0;) {
		struct imap_followed *f = n->at[i];

		if (f->seen)
			continue;
		if (row_named(ns, span_str(f->name)) == NULL)
			say_gone(ns, f);
		imap_followed_drop(n, i, ns->t->arena);
	}
	return 1;
}

int
imap_notify_names(struct imap_task *t, struct imap_notify *n, bool say)
{
	struct names ns = { .t = t, .n = n, .say = say };
	struct mailbox_list_reply reply = { .rows = BLOB_OF(SPAN_EMPTY) };
	int status;

	ns.lines = TEXT_INIT(0);
	n->names_noted = false;
	status = get_rows(&ns, &reply);
	if (status == 1)
		status = compare(&ns);
	if (status == 1) {
		keep_ids(&ns);
		stream_write(t->s->stream, text_span(&ns.lines));
	} else if (status < 0) {
		n->names_noted = true;
	}
	blob_release(&reply.rows);
	text_free(&ns.lines);
	return status;
}

int
imap_notify_name_of(struct imap_task *t, uint64_t mailbox, struct span *name)
{
	struct names ns = { .t = t };
	struct mailbox_list_reply reply = { .rows = BLOB_OF(SPAN_EMPTY) };
	int status = get_rows(&ns, &reply);

	*name = SPAN_EMPTY;
	for (size_t i = 0; i < ns.count && status == 1; i++)
		if (ns.rows[i].mailbox == mailbox)
			*name = arena_dup(t->arena, ns.rows[i].name);
	blob_release(&reply.rows);
	return status != 1 ? -1 : name->n > 0;
}
