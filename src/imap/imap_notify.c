/*
 * imap_notify.c - NOTIFY (RFC 5465): a session is told of other mailboxes
 * than the one it has selected, and of that one between commands.
 *
 * Each mailbox that is followed costs a watch at the store and a few words
 * here. A note wakes the session, which asks for counters or names and tells
 * what differs; then it is parked again. What comes in between is told
 * together.
 *
 * Without a group for the selected mailbox nothing of it is told between
 * commands, nor in IDLE (section 3.1); the end of a command tells what it
 * always did, as message numbers need that.
 */
#include "imap/imap_notify.h"

#include <stdlib.h>

#include "base/map.h"
#include "imap/imap_command.h"
#include "imap/imap_fetch.h"
#include "imap/imap_notify_impl.h"

enum { ANNOTATED_MAX = 1000 };

/* Who a watch is of: the account's (followed NULL), or a mailbox's. */
struct mark {
	struct imap_notify *n;
	struct imap_followed *followed;
};

static struct map *marks;		/* by watch */
static uint64_t last_watch;

static struct span
mark_key(const uint64_t *watch)
{
	return span_of(watch, sizeof(*watch));
}

static uint64_t
mark_set(struct imap_notify *n, struct imap_followed *followed)
{
	struct mark *mark = xmalloc(sizeof(*mark));
	uint64_t watch = ++last_watch | IMAP_NOTIFY_WATCH;

	if (marks == NULL)
		marks = map_new();
	*mark = (struct mark){ n, followed };
	map_put(marks, mark_key(&watch), mark);
	return watch;
}

static void
mark_clear(uint64_t watch)
{
	free(map_remove(marks, mark_key(&watch)));
}

/* ---- one mailbox -------------------------------------------------------------- */

static int
ask(struct imap_task *t, struct imap_followed *f,
    struct mailbox_watch_reply *reply)
{
	struct mailbox_watch_request request = { .grant = t->s->grant,
	    .mailbox = f->mailbox, .watch = f->watch };

	f->noted = false;
	if (call_mailbox_watch(imap_store(), t->arena, &request, reply) == 1)
		return reply->result == RESULT_OK;
	f->noted = f->owner->any_noted = true;
	return -1;
}

static void
take_counters(struct imap_followed *f,
    const struct mailbox_watch_reply *reply)
{
	f->messages = reply->messages;
	f->unseen = reply->unseen;
	f->uidnext = reply->uidnext;
	f->uidvalidity = reply->uidvalidity;
	f->modseq = reply->highestmodseq;
}

int
imap_follow(struct imap_task *t, struct imap_followed *f)
{
	struct mailbox_watch_reply reply;
	int status;

	f->watch = mark_set(f->owner, f);
	status = ask(t, f, &reply);
	if (status == 1) {
		take_counters(f, &reply);
		return 1;
	}
	mark_clear(f->watch);
	f->watch = 0;
	return status;
}

void
imap_follow_end(struct imap_followed *f, struct arena *arena)
{
	struct mailbox_close_request request = { .grant = f->owner->s->grant,
	    .mailbox = f->mailbox, .watch = f->watch };
	struct mailbox_close_reply reply;

	if (f->watch == 0)
		return;
	mark_clear(f->watch);
	f->watch = 0;
	/* The watch ends with the link, should the store be away. */
	if (link_up(imap_store()))
		(void)!call_mailbox_close(imap_store(), arena, &request,
		    &reply);
}

struct imap_followed *
imap_followed_add(struct imap_notify *n, const struct imap_followed *like,
    struct span name)
{
	struct imap_followed *f = xmalloc(sizeof(*f));

	*f = *like;
	f->owner = n;
	f->name = xmalloc(name.n + 1);
	memcpy(f->name, name.p, name.n);
	f->name[name.n] = '\0';
	if (n->n == n->room) {
		n->room = n->room * 2 + 8;
		n->at = xrealloc(n->at, n->room *
		    sizeof(struct imap_followed *));
	}
	n->at[n->n++] = f;
	return f;
}

void
imap_followed_drop(struct imap_notify *n, size_t i, struct arena *arena)
{
	struct imap_followed *f = n->at[i];

	imap_follow_end(f, arena);
	n->at[i] = n->at[--n->n];
	free(f->name);
	free(f);
}

/* ---- STATUS -------------------------------------------------------------------- */

void
imap_say_followed(struct imap_task *t, const struct imap_followed *f,
    unsigned events)
{
	struct text line = TEXT_INIT(0);

	text_str(&line, "* STATUS ");
	imap_add_name(t, &line, span_str(f->name));
	text_str(&line, " (");
	if ((events & (NOTIFY_MESSAGE_NEW | NOTIFY_MESSAGE_EXPUNGE)) != 0)
		text_printf(&line, "MESSAGES %u UIDNEXT %u ", f->messages,
		    f->uidnext);
	text_printf(&line, "UIDVALIDITY %u", f->uidvalidity);
	if ((events & NOTIFY_FLAG_CHANGE) != 0)
		text_printf(&line, " UNSEEN %u", f->unseen);
	if (imap_has(t->s, IMAP_CONDSTORE))
		text_printf(&line, " HIGHESTMODSEQ %" PRIu64, f->modseq);
	text_str(&line, ")\r\n");
	stream_write(t->s->stream, text_span(&line));
	text_free(&line);
}

/* Which of its events is there to tell of? */
static unsigned
news_of(const struct imap_session *s, const struct imap_followed *f,
    const struct mailbox_watch_reply *now)
{
	unsigned news = 0;

	if (now->messages != f->messages || now->uidnext != f->uidnext ||
	    now->uidvalidity != f->uidvalidity)
		news |= NOTIFY_MESSAGE_NEW | NOTIFY_MESSAGE_EXPUNGE |
		    (now->unseen != f->unseen ? NOTIFY_FLAG_CHANGE : 0);
	else if (now->unseen != f->unseen || (now->highestmodseq !=
	    f->modseq && imap_has(s, IMAP_CONDSTORE)))
		news |= NOTIFY_FLAG_CHANGE;
	return news & f->events;
}

/* What is selected is told of by itself. 1, -1 the store is away. */
static int
look_at(struct imap_task *t, struct imap_followed *f)
{
	struct mailbox_watch_reply reply;
	unsigned news;
	int status;

	if (t->s->box != NULL && t->s->box->id == f->mailbox)
		return 1;
	status = ask(t, f, &reply);
	if (status != 1)
		return status < 0 ? -1 : 1;	/* gone: the names tell it */
	news = news_of(t->s, f, &reply);
	take_counters(f, &reply);
	if (news != 0)
		imap_say_followed(t, f, news);
	return 1;
}

static int
look_at_all(struct imap_task *t, struct imap_notify *n)
{
	n->any_noted = false;
	for (size_t i = 0; i < n->n; i++)
		if (n->at[i]->noted && n->at[i]->watch != 0 &&
		    look_at(t, n->at[i]) != 1)
			return -1;
	return 1;
}

/* ---- annotations ---------------------------------------------------------------- */

static bool
wants_annotations(const struct imap_notify *n, uint64_t mailbox)
{
	if (imap_has(n->s, IMAP_METADATA))
		return true;
	for (size_t i = 0; i < n->group_count; i++)
		if (mailbox == 0 && (n->groups[i].events &
		    NOTIFY_SERVER_METADATA) != 0)
			return true;
	for (size_t i = 0; i < n->n; i++)
		if (mailbox != 0 && n->at[i]->mailbox == mailbox &&
		    (n->at[i]->events & NOTIFY_MAILBOX_METADATA) != 0)
			return true;
	return false;
}

static void
note_annotation(struct imap_notify *n, uint64_t mailbox, struct span entry)
{
	struct imap_annotated *a;

	if (!wants_annotations(n, mailbox))
		return;
	if (n->annotated_n == ANNOTATED_MAX) {
		n->lost = true;
		return;
	}
	if (n->annotated_n == n->annotated_room) {
		n->annotated_room = n->annotated_room * 2 + 4;
		n->annotated = xrealloc(n->annotated,
		    n->annotated_room * sizeof(*n->annotated));
	}
	a = &n->annotated[n->annotated_n++];
	a->mailbox = mailbox;
	a->entry = xmalloc(entry.n + 1);
	memcpy(a->entry, entry.p, entry.n);
	a->entry[entry.n] = '\0';
}

static void
say_annotation(struct imap_task *t, const struct imap_annotated *a)
{
	struct text line = TEXT_INIT(0);
	struct span name = SPAN_EMPTY;

	if (a->mailbox != 0 && imap_notify_name_of(t, a->mailbox, &name) != 1)
		return;
	text_str(&line, "* METADATA ");
	if (a->mailbox != 0)
		imap_add_name(t, &line, name);
	else
		text_str(&line, "\"\"");
	text_char(&line, ' ');
	imap_add_astring(&line, span_str(a->entry), IMAP_TEXT_ASCII);
	text_str(&line, "\r\n");
	stream_write(t->s->stream, text_span(&line));
	text_free(&line);
}

static void
forget_annotated(struct imap_notify *n, size_t count)
{
	if (count == 0)
		return;
	for (size_t i = 0; i < count; i++)
		free(n->annotated[i].entry);
	n->annotated_n -= count;
	memmove(n->annotated, n->annotated + count,
	    n->annotated_n * sizeof(*n->annotated));
}

/* More may come while we ask for names. */
static void
say_annotated(struct imap_task *t, struct imap_notify *n)
{
	while (n->annotated_n > 0) {
		struct imap_annotated first = n->annotated[0];

		n->annotated[0].entry = NULL;
		forget_annotated(n, 1);
		say_annotation(t, &first);
		free(first.entry);
	}
}

/* ---- the account ----------------------------------------------------------------- */

static int
watch_account(struct imap_task *t, struct imap_notify *n, bool on)
{
	struct account_watch_request request = { .grant = t->s->grant,
	    .watch = n->watch, .on = on };
	struct account_watch_reply reply;

	if (call_account_watch(imap_store(), t->arena, &request,
	    &reply) != 1 || reply.result != RESULT_OK)
		return -1;
	n->watching = on;
	return 1;
}

static struct imap_notify *
notify_of(struct imap_session *s)
{
	struct imap_notify *n = s->notify;

	if (n == NULL) {
		n = s->notify = xcalloc(1, sizeof(*n));
		n->s = s;
		n->watch = mark_set(n, NULL);
	}
	return n;
}

uint64_t
imap_notify_watch(const struct imap_session *s)
{
	return s->notify != NULL ? s->notify->watch : 0;
}

void
imap_notify_metadata(struct imap_task *t)
{
	struct imap_notify *n = notify_of(t->s);

	if (!n->watching && watch_account(t, n, true) != 1)
		n->renew = true;
}

/* NOTIFY NONE: but ENABLE METADATA holds. */
static void
stop(struct imap_notify *n, struct arena *arena)
{
	while (n->n > 0)
		imap_followed_drop(n, n->n - 1, arena);
	for (size_t i = 0; i < n->group_count; i++) {
		for (size_t k = 0; k < n->groups[i].count; k++)
			free((char *)(uintptr_t)n->groups[i].names[k].p);
		free(n->groups[i].names);
	}
	free(n->groups);
	free(n->fetch);
	free(n->ids);
	n->groups = NULL;
	n->group_count = 0;
	n->fetch = NULL;
	n->ids = NULL;
	n->id_count = 0;
	n->selected = 0;
	n->names_noted = n->any_noted = n->lost = false;
	n->s->notifies = n->s->hears = false;
}

void
imap_notify_end(struct imap_session *s)
{
	struct imap_notify *n = s->notify;
	struct arena *arena;

	s->notifies = s->hears = false;
	if (n == NULL)
		return;
	arena = imap_arena_get();
	stop(n, arena);
	if (n->watching && link_up(imap_store()))
		(void)watch_account(&(struct imap_task){ .s = s,
		    .arena = arena }, n, false);
	imap_arena_put(&arena);
	mark_clear(n->watch);
	forget_annotated(n, n->annotated_n);
	free(n->annotated);
	free(n);
	s->notify = NULL;
}

/* ---- the selected mailbox ----------------------------------------------------------- */

static uint32_t
last_told(const struct imap_session *s)
{
	const struct imap_view *view = &s->box->view;

	return view->told_count > 0
	    ? imap_view_uid(view, view->told_count - 1) : 0;
}

/* As if the client had asked for it, but that nothing is answered. */
static void
fetch(struct imap_task *t, uint32_t first, uint32_t last)
{
	struct imap_task inner = { .s = t->s, .arena = imap_arena_get() };
	struct imap_reply why;

	inner.line = TEXT_INIT(0);
	text_printf(&inner.line, "* UID FETCH %u:%u %s\r\n", first, last,
	    t->s->notify->fetch);
	inner.line.p[0] = 'n';		/* a tag */
	if (imap_command_begin(&inner, &why))
		(void)imap_command_run(&inner);
	text_free(&inner.line);
	imap_arena_put(&inner.arena);
}

/* Those whose arrival this connection caused itself are not fetched. */
static bool
came_by_itself(const struct imap_task *t)
{
	return t->command == NULL || (t->command->run != imap_append &&
	    t->command->run != imap_copy && t->command->run != imap_move);
}

void
imap_notify_tell_selected(struct imap_task *t, bool expunges, bool with_uid)
{
	struct imap_session *s = t->s;
	uint32_t before = last_told(s), after;

	imap_tell(s, expunges, with_uid || s->hears);
	if (s->notify == NULL || s->notify->fetch == NULL || s->bye != NULL)
		return;
	after = last_told(s);
	if (after > before && came_by_itself(t))
		fetch(t, before + 1, after);
}

static void
tell_selected(struct imap_task *t)
{
	struct imap_session *s = t->s;
	const struct imap_notify *n = s->notify;

	if (s->box == NULL || !s->hears)
		return;
	(void)imap_refresh(s, t->arena);
	if (s->bye != NULL)
		return;
	if ((n->selected & NOTIFY_FLAG_CHANGE) == 0)
		imap_view_told_all(&s->box->view, 0,
		    imap_view_count(&s->box->view));
	imap_notify_tell_selected(t, s->idling || !n->delayed, true);
}

/* ---- telling ------------------------------------------------------------------------- */

static void
overflow(struct imap_task *t, struct imap_notify *n)
{
	stop(n, t->arena);
	t->s->notifies = true;		/* as after NOTIFY NONE */
	stream_str(t->s->stream, "* OK [NOTIFICATIONOVERFLOW] "
	    "There is too much to tell, NOTIFY has ended\r\n");
}

/* The store knows nothing of us any more: the account, and each mailbox. */
static int
renew(struct imap_task *t, struct imap_notify *n)
{
	if (watch_account(t, n, true) != 1)
		return -1;
	n->renew = false;
	for (size_t i = 0; i < n->n; i++)
		n->at[i]->noted = n->any_noted = true;
	n->names_noted = n->group_count > 0;
	return 1;
}

/* In an order that lets a client make sense of it: names come first. */
static void
tell_others(struct imap_task *t)
{
	struct imap_notify *n = t->s->notify;
	int status = 1;

	if (n == NULL)
		return;
	link_poll(imap_store());
	if (n->renew && renew(t, n) != 1)
		return;
	if (n->lost && t->s->notifies) {
		overflow(t, n);
		return;
	}
	n->lost = false;
	if (n->names_noted && n->group_count > 0) {
		/* Others may show us something now: they are followed too. */
		(void)watch_account(t, n, true);
		status = imap_notify_names(t, n, true);
	}
	if (status == 0)
		overflow(t, n);
	else if (status == 1 && n->any_noted)
		(void)look_at_all(t, n);
	say_annotated(t, n);
}

bool
imap_notify_catch_up(struct imap_session *s)
{
	struct imap_task t = { .s = s, .tag = SPAN("*"),
	    .arena = imap_arena_get() };

	tell_selected(&t);
	if (s->bye == NULL)
		tell_others(&t);
	imap_arena_put(&t.arena);
	return s->bye == NULL;
}

void
imap_notify_answer(struct imap_task *t)
{
	if (t->s->notify != NULL && t->s->bye == NULL)
		tell_others(t);
}

/* ---- notes ------------------------------------------------------------------------------- */

static void
wake(struct imap_session *s)
{
	if (s->notifies || s->idling)
		session_wake(s->io);
}

void
imap_notify_mailbox_changed(uint64_t watch)
{
	struct mark *mark = marks == NULL ? NULL
	    : map_get(marks, mark_key(&watch));

	if (mark == NULL || mark->followed == NULL)
		return;
	mark->followed->noted = mark->n->any_noted = true;
	if (mark->n->s->box == NULL ||
	    mark->n->s->box->id != mark->followed->mailbox)
		wake(mark->n->s);
}

void
imap_notify_account_changed(void *arg, const void *data)
{
	const struct account_changed_note *note = data;
	struct mark *mark = marks == NULL ? NULL
	    : map_get(marks, mark_key(&note->watch));
	struct imap_notify *n;

	(void)arg;
	if (mark == NULL)
		return;
	n = mark->n;
	if (note->what == ACCOUNT_METADATA_CHANGED)
		note_annotation(n, note->mailbox, note->entry);
	else
		n->names_noted = true;
	wake(n->s);
}

/* Sessions are woken by who calls this, some at a time. */
void
imap_notify_attached(void)
{
	struct span key;
	size_t at = 0;
	void *value;

	while (marks != NULL && map_next(marks, &at, &key, &value)) {
		struct mark *mark = value;

		if (mark->followed != NULL)
			continue;
		mark->n->renew = true;
		for (size_t i = 0; i < mark->n->group_count; i++)
			if ((mark->n->groups[i].events &
			    (NOTIFY_MAILBOX_METADATA |
			    NOTIFY_SERVER_METADATA)) != 0)
				mark->n->lost = true;
	}
}

bool
imap_notify_behind(const struct imap_session *s)
{
	return s->notify != NULL && s->notify->renew;
}

/* ---- the command ----------------------------------------------------------------------------- */

static char *
own(struct span s)
{
	char *p = xmalloc(s.n + 1);

	memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return p;
}

/* A name that nobody can have is the name of no mailbox: passed over. */
static void
keep_names(struct imap_task *t, struct imap_notify_group *to,
    const struct imap_notify_group *from)
{
	struct span name;

	to->names = xcalloc(from->count + 1, sizeof(*to->names));
	to->count = 0;
	for (size_t i = 0; i < from->count; i++)
		if (imap_take_name(t, from->names[i], &name) == 1)
			to->names[to->count++] = span_of(own(name), name.n);
}

static void
keep_groups(struct imap_task *t, struct imap_notify *n,
    const struct imap_notify_wish *w)
{
	n->groups = xcalloc(w->count, sizeof(*n->groups));
	for (size_t i = 0; i < w->count; i++) {
		const struct imap_notify_group *g = &w->groups[i];

		if (g->filter == NOTIFY_SELECTED ||
		    g->filter == NOTIFY_SELECTED_DELAYED) {
			n->selected = g->events;
			n->delayed = g->filter == NOTIFY_SELECTED_DELAYED;
			if (g->fetch.n > 0)
				n->fetch = own(g->fetch);
			continue;
		}
		n->groups[n->group_count] = *g;
		n->groups[n->group_count].fetch = SPAN_EMPTY;
		keep_names(t, &n->groups[n->group_count++], g);
	}
	t->s->hears = n->selected != 0;
}

/* Would FETCH take these items? */
static bool
check_items(struct imap_task *t, const struct imap_notify_wish *w)
{
	struct imap_fetch wish = { 0 };
	struct imap_parser in;

	for (size_t i = 0; i < w->count; i++) {
		if (w->groups[i].fetch.n == 0)
			continue;
		in = imap_parser(arena_printf(t->arena, " 1 %.*s\r\n",
		    SPAN_ARG(w->groups[i].fetch)), t->arena);
		if (!imap_parse_fetch(&in, true, &wish)) {
			t->in.hint = in.hint;
			return false;
		}
	}
	return true;
}

/* There are no annotations of messages here (RFC 5257). */
static bool
is_supported(const struct imap_notify_wish *w)
{
	bool supported = !w->unknown;

	for (size_t i = 0; i < w->count; i++)
		if ((w->groups[i].events & NOTIFY_ANNOTATION_CHANGE) != 0)
			supported = false;
	return supported;
}

static void
say_all(struct imap_task *t, const struct imap_notify *n)
{
	for (size_t i = 0; i < n->n; i++)
		if (n->at[i]->watch != 0 && (t->s->box == NULL ||
		    t->s->box->id != n->at[i]->mailbox))
			imap_say_followed(t, n->at[i], n->at[i]->events);
}

static struct imap_reply
begin(struct imap_task *t, const struct imap_notify_wish *w)
{
	struct imap_notify *n = notify_of(t->s);
	int status = 1;

	stop(n, t->arena);
	if (!n->watching && watch_account(t, n, true) != 1)
		return imap_unavailable();
	keep_groups(t, n, w);
	if (n->group_count > 0)
		status = imap_notify_names(t, n, false);
	if (status != 1) {
		stop(n, t->arena);
		return status < 0 ? imap_unavailable()
		    : imap_no("NOTIFICATIONOVERFLOW",
		    "These are too many mailboxes");
	}
	if (w->status)
		say_all(t, n);
	t->s->notifies = true;
	return imap_ok("You will be notified");
}

struct imap_reply
imap_notify(struct imap_task *t)
{
	struct imap_notify_wish w;

	if (!imap_parse_notify(&t->in, &w))
		return imap_bad_syntax(t);
	if (!is_supported(&w))
		return imap_no("BADEVENT (MessageNew MessageExpunge "
		    "FlagChange MailboxName SubscriptionChange "
		    "MailboxMetadataChange ServerMetadataChange)",
		    "There is no such event");
	if (!check_items(t, &w))
		return imap_bad_syntax(t);
	if (!w.none)
		return begin(t, &w);
	if (t->s->notify != NULL)
		stop(t->s->notify, t->arena);
	/* Nothing at all is to be told between commands. */
	t->s->notifies = true;
	return imap_ok("You will not be notified");
}
