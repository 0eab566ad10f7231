/*
 * imap_facts.c - what SORT and THREAD ask of messages, kept by mailbox.
 *
 * One holder at a time: who comes meanwhile waits, and finds everything done.
 */
#include "imap/imap_facts.h"

#include <stdlib.h>

#include "imap/imap_message.h"
#include "io/fiber.h"
#include "mail/words.h"

enum {
	PAGE = 1024,			/* messages asked for at once */
	PAGE_MEMORY = 96 << 20,
	FIRST_ROOM = 256,
	SLACK = 4096,			/* rows of messages that are gone */
	LINKS_EACH = 8,			/* kept of a message, on average */
	ROW_USUAL = 80,			/* bytes of all columns */
	WAIT = 60 * 1000,		/* milliseconds, for another's turn */
};

struct waiter {
	struct fiber *fiber;
	bool done;
	struct waiter *next;
};

/* A table of facts with who uses it, among all of the process. */
struct table {
	struct imap_facts facts;	/* first: what callers hold */
	uint64_t mailbox;
	enum imap_collation collation;
	unsigned wanted;
	size_t bytes;			/* as counted when it was given back */
	bool taken;
	struct waiter *waiters;
	struct table *older, *newer;
};

static struct {
	struct table *oldest, *newest;
	size_t bytes;
} tables;

/* -- the list of tables ---- */

static void
unhook(struct table *t)
{
	if (t->older != NULL)
		t->older->newer = t->newer;
	else
		tables.oldest = t->newer;
	if (t->newer != NULL)
		t->newer->older = t->older;
	else
		tables.newest = t->older;
	t->older = t->newer = NULL;
}

static void
hook(struct table *t)
{
	t->older = tables.newest;
	if (tables.newest != NULL)
		tables.newest->newer = t;
	else
		tables.oldest = t;
	tables.newest = t;
}

static void
clear(struct imap_facts *f)
{
	free(f->uids);
	free(f->sent);
	free(f->subjects);
	free(f->replies);
	for (size_t i = 0; i < IMAP_ADDRESS_COLUMNS; i++)
		free(f->addresses[i]);
	free(f->ids);
	free(f->links_at);
	free(f->links);
	imap_intern_free(&f->strings);
	*f = (struct imap_facts){ .strings = imap_intern_new() };
}

static void
drop(struct table *t)
{
	must(!t->taken && t->waiters == NULL);
	unhook(t);
	tables.bytes -= t->bytes;
	clear(&t->facts);
	imap_intern_free(&t->facts.strings);
	free(t);
}

static size_t
bytes_of(const struct table *t)
{
	const struct imap_facts *f = &t->facts;
	size_t row = sizeof(*f->uids) + sizeof(*f->sent);

	if ((t->wanted & IMAP_FACTS_SUBJECT) != 0)
		row += sizeof(*f->subjects) + sizeof(*f->replies);
	if ((t->wanted & IMAP_FACTS_ADDRESSES) != 0)
		row += IMAP_ADDRESS_COLUMNS * sizeof(*f->addresses[0]);
	if ((t->wanted & IMAP_FACTS_LINKS) != 0)
		row += sizeof(*f->ids) + sizeof(*f->links_at);
	return sizeof(*t) + f->room * row + f->link_room * sizeof(*f->links) +
	    imap_intern_bytes(f->strings);
}

/* The oldest go, as far as nobody holds them. */
static void
keep_within(size_t limit)
{
	struct table *next;

	for (struct table *t = tables.oldest; t != NULL &&
	    tables.bytes > limit; t = next) {
		next = t->newer;
		if (!t->taken && t->waiters == NULL)
			drop(t);
	}
}

static struct table *
find(uint64_t mailbox, enum imap_collation collation)
{
	struct table *t = tables.newest;

	while (t != NULL && (t->mailbox != mailbox ||
	    t->collation != collation))
		t = t->older;
	if (t != NULL)
		return t;
	t = xcalloc(1, sizeof(*t));
	t->mailbox = mailbox;
	t->collation = collation;
	t->facts.strings = imap_intern_new();
	hook(t);
	return t;
}

/* False: it was not our turn in time. */
static bool
take_turn(struct table *t)
{
	struct waiter me = { .fiber = fiber_self() }, **at = &t->waiters;

	if (!t->taken) {
		t->taken = true;
		return true;
	}
	if (me.fiber == NULL)
		return false;
	while (*at != NULL)
		at = &(*at)->next;
	*at = &me;
	if (fiber_wait_for(&me.done, clock_after(WAIT)) == 1)
		return true;	/* `taken` was left to us */
	for (at = &t->waiters; *at != NULL; at = &(*at)->next)
		if (*at == &me) {
			*at = me.next;
			return false;
		}
	return me.done;
}

static void
end_turn(struct table *t)
{
	struct waiter *first = t->waiters;

	if (first == NULL) {
		t->taken = false;
		return;
	}
	t->waiters = first->next;
	first->done = true;
	fiber_nudge(first->fiber);
}

void
imap_facts_give(struct imap_facts **facts)
{
	struct table *t = (struct table *)*facts;

	*facts = NULL;
	tables.bytes -= t->bytes;
	t->bytes = bytes_of(t);
	tables.bytes += t->bytes;
	unhook(t);
	hook(t);
	end_turn(t);
	keep_within((size_t)imap_settings()->imap_sort_memory);
}

/* -- one message ---- */

#define GROW(array, room_) \
	((array) = xrealloc((array), (room_) * sizeof(*(array))))

static void
make_room(struct table *t)
{
	struct imap_facts *f = &t->facts;

	if (f->count < f->room)
		return;
	f->room = f->room == 0 ? FIRST_ROOM : f->room + f->room / 2;
	GROW(f->uids, f->room);
	GROW(f->sent, f->room);
	if ((t->wanted & IMAP_FACTS_SUBJECT) != 0) {
		GROW(f->subjects, f->room);
		GROW(f->replies, f->room);
	}
	if ((t->wanted & IMAP_FACTS_ADDRESSES) != 0)
		for (size_t i = 0; i < IMAP_ADDRESS_COLUMNS; i++)
			GROW(f->addresses[i], f->room);
	if ((t->wanted & IMAP_FACTS_LINKS) != 0) {
		GROW(f->ids, f->room);
		GROW(f->links_at, f->room + 1);
		if (f->count == 0)
			f->links_at[0] = 0;
	}
}

static uint32_t
number_of(struct table *t, struct span utf8)
{
	struct text key = TEXT_INIT(0);
	uint32_t number;

	imap_collate_add(t->collation, &key, utf8);
	number = imap_intern(t->facts.strings, text_span(&key));
	text_free(&key);
	return number;
}

/* addr-mailbox, as ENVELOPE shows it: of a group its name. */
static uint32_t
mailbox_number(struct table *t, const struct address_entry *e)
{
	if (e == NULL)
		return 0;
	return number_of(t, e->kind == ADDRESS_GROUP ? e->name : e->local);
}

/* RFC 5957 2: the name that is shown, or else the address. */
static uint32_t
display_number(struct table *t, const struct address_entry *e)
{
	struct text shown = TEXT_INIT(0);
	uint32_t number;

	if (e == NULL)
		return 0;
	if (e->name.n > 0) {
		words_decode(e->name, &shown);
	} else {
		text_add(&shown, e->local);
		if (e->domain.n > 0)
			text_char(&shown, '@');
		text_add(&shown, e->domain);
	}
	number = number_of(t, span_trim(text_span(&shown)));
	text_free(&shown);
	return number;
}

static void
add_addresses(struct table *t, size_t i, const struct summary_envelope *e)
{
	uint32_t **to = t->facts.addresses;

	to[IMAP_FROM][i] = mailbox_number(t, e->from);
	to[IMAP_TO][i] = mailbox_number(t, e->to);
	to[IMAP_CC][i] = mailbox_number(t, e->cc);
	to[IMAP_DISPLAY_FROM][i] = display_number(t, e->from);
	to[IMAP_DISPLAY_TO][i] = display_number(t, e->to);
}

static void
add_link(struct imap_facts *f, uint64_t *n, uint64_t key)
{
	if (*n == f->link_room) {
		f->link_room = f->link_room == 0 ? FIRST_ROOM
		    : f->link_room + f->link_room / 2;
		GROW(f->links, f->link_room);
	}
	f->links[(*n)++] = key;
}

/* The key of the first id in a field; 0: none. */
static uint64_t
first_key(struct span raw)
{
	char room[SUMMARY_ID_MAX];
	struct span id;
	size_t at = 0;

	return summary_next_id(raw, &at, room, &id)
	    ? summary_message_id_key(id) : 0;
}

/* A summary from before there were links knows where the thread began and,
 * in its envelope, what was answered. */
static void
add_old_links(struct imap_facts *f, size_t i, uint64_t *n,
    const struct summary *s, const struct summary_envelope *e)
{
	uint64_t answered = first_key(e->in_reply_to);

	f->ids[i] = first_key(e->message_id);
	if (s->thread_key != 0 && s->thread_key != f->ids[i] &&
	    s->thread_key != answered)
		add_link(f, n, s->thread_key);
	if (answered != 0)
		add_link(f, n, answered);
}

/*
 * Where messages name so many others that memory would go there, of each the
 * last one is kept, which is the one it answers.
 */
static void
add_links(struct table *t, size_t i, const struct summary *s,
    const struct summary_envelope *e)
{
	struct imap_facts *f = &t->facts;
	uint64_t n = f->links_at[i];
	size_t links = summary_links(s), from = 1;

	f->ids[i] = 0;
	if (links > 0) {
		f->ids[i] = summary_link(s, 0);
		if (links > 2 && n + links > LINKS_EACH * (i + SLACK))
			from = links - 1;
		for (size_t l = from; l < links; l++)
			add_link(f, &n, summary_link(s, l));
	} else if (s->size > 0) {
		add_old_links(f, i, &n, s, e);
	}
	f->links_at[i + 1] = n;
}

/* What a summary says; of a message whose summary cannot be had: nothing. */
static void
add_row(struct table *t, const struct message_row *row,
    const struct summary *s, struct arena *arena)
{
	struct imap_facts *f = &t->facts;
	struct summary_envelope e = { .date = SPAN_EMPTY };
	size_t i = f->count;
	bool old = s->size > 0 && !s->has_links &&
	    (t->wanted & IMAP_FACTS_LINKS) != 0;

	make_room(t);
	if (s->size > 0 && (old || (t->wanted & IMAP_FACTS_ADDRESSES) != 0) &&
	    summary_envelope(s, arena, &e) != 1)
		e = (struct summary_envelope){ .date = SPAN_EMPTY };
	f->uids[i] = row->uid;
	f->sent[i] = s->has_sent ? s->sent.seconds : row->internal_date;
	if ((t->wanted & IMAP_FACTS_SUBJECT) != 0) {
		f->subjects[i] = number_of(t, s->base_subject);
		f->replies[i] = s->is_reply;
	}
	if ((t->wanted & IMAP_FACTS_ADDRESSES) != 0)
		add_addresses(t, i, &e);
	if ((t->wanted & IMAP_FACTS_LINKS) != 0)
		add_links(t, i, s, &e);
	f->count++;
}

/* -- many messages ---- */

struct page {
	struct message_row rows[PAGE];
	uint32_t uids[PAGE];
	struct message_detail details[PAGE];
	size_t count;
};

/* The next messages of the view from *index on. */
static void
fill_page(struct page *page, const struct imap_view *view, uint32_t *index)
{
	page->count = 0;
	for (; *index < imap_view_count(view) && page->count < PAGE;
	    (*index)++) {
		const struct message_row *row = imap_view_row(view, *index);

		if (row == NULL)
			continue;
		page->rows[page->count] = *row;
		page->uids[page->count++] = row->uid;
	}
}

/* From the detail, or made anew from the message. 1; 0 it is not to be had;
 * -1 the store is away. */
static int
summary_of(struct imap_task *task, const struct imap_mailbox *box,
    struct imap_message *message, const struct page *page, size_t i,
    struct arena *arena, struct summary *out)
{
	const struct message_detail *detail = &page->details[i];

	memset(out, 0, sizeof(*out));
	if (detail->uid == 0)
		return 0;
	if (summary_open(detail->summary, page->rows[i].size, out) == 1)
		return 1;
	imap_message_begin(message, task, box, arena, &page->rows[i]);
	if (imap_message_summary(message) == 1)
		*out = message->summary;
	else
		memset(out, 0, sizeof(*out));
	return link_up(imap_store()) ? 1 : -1;
}

static int
add_page(struct imap_task *task, const struct imap_mailbox *box,
    struct table *t, struct page *page, struct arena *arena)
{
	struct arena *own = imap_arena_get();
	int status = imap_get_details(box, arena, page->uids, page->count,
	    true, page->details);

	for (size_t i = 0; status == 1 && i < page->count; i++) {
		struct imap_message message = { .size = 0 };
		struct summary summary;

		status = summary_of(task, box, &message, page, i, own,
		    &summary);
		if (status == -1)
			break;
		add_row(t, &page->rows[i], &summary, own);
		if (message.arena != NULL)
			imap_message_end(&message);
		arena_reset(own);
		status = 1;
	}
	imap_arena_put(&own);
	return status;
}

/* What is in the view and not in the table comes behind it. */
static int
add_new(struct imap_task *task, const struct imap_mailbox *box,
    struct table *t)
{
	const struct imap_view *view = &box->view;
	uint32_t last = t->facts.count > 0
	    ? t->facts.uids[t->facts.count - 1] : 0;
	uint32_t index = imap_view_find(view, last + 1);
	struct arena *arena;
	struct page *page;
	int status = 1;

	if (index == imap_view_count(view))
		return 1;
	arena = arena_new(PAGE_MEMORY);
	page = xcalloc(1, sizeof(*page));
	while (status == 1 && index < imap_view_count(view)) {
		fill_page(page, view, &index);
		if (page->count > 0)
			status = add_page(task, box, t, page, arena);
		arena_reset(arena);
		/* Nothing is said meanwhile: others may wait for their turn. */
		(void)fiber_share();
	}
	free(page);
	arena_free(&arena);
	return status;
}

/* All columns at once, if they are small: the next SORT may want others, and
 * reading the summaries is what takes long. */
static unsigned
columns_for(unsigned wanted, const struct imap_view *view)
{
	return (uint64_t)imap_view_count(view) * ROW_USUAL <
	    imap_settings()->imap_sort_memory / 2 ? IMAP_FACTS_ALL : wanted;
}

/* Are there so many rows of messages gone that all is better made anew? */
static bool
is_stale(const struct table *t, const struct imap_view *view)
{
	return t->facts.count > (size_t)imap_view_count(view) * 2 + SLACK;
}

int
imap_facts_take(struct imap_task *task, const struct imap_mailbox *box,
    enum imap_collation collation, unsigned wanted, struct imap_facts **out)
{
	struct table *t = find(box->id, collation);
	int status;

	if (!take_turn(t))
		return -1;
	if ((wanted & ~t->wanted) != 0 || is_stale(t, &box->view)) {
		clear(&t->facts);
		t->wanted |= columns_for(wanted, &box->view);
	}
	status = add_new(task, box, t);
	*out = &t->facts;
	if (status != 1)
		imap_facts_give(out);
	return status;
}
