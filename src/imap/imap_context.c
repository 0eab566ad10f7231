/*
 * imap_context.c - searches whose changes are told (RFC 5267).
 *
 * A context remembers what its search found, by UID, and up to which
 * mod-sequence. When something changed, the keys are tried on what has a higher
 * one alone. What is gone is told before EXPUNGE, while its number holds, and
 * what comes after EXISTS. Of a SORT the whole order is made again, from the
 * facts that are at hand, and the places of what is new are told in turn.
 */
#include "imap/imap_command.h"
#include "imap/imap_searches.h"

#include <stdlib.h>

enum {
	CONTEXT_MEMORY = 1 << 20,
	MESSAGES_MAX = 5 << 20,		/* of all searches of a session */
};

struct imap_context {
	char *tag;
	struct arena *arena;		/* of the command */
	struct imap_search_command wish;
	enum imap_collation collation;
	bool by_uid;
	uint32_t *uids;			/* as found, or in their order */
	size_t count;
	uint64_t modseq;
	struct imap_context *next;
};

static void
context_free(struct imap_context **c)
{
	arena_free(&(*c)->arena);
	free((*c)->tag);
	free((*c)->uids);
	free(*c);
	*c = NULL;
}

void
imap_contexts_free(struct imap_searches *all)
{
	struct imap_context *c;

	while ((c = all->contexts) != NULL) {
		all->contexts = c->next;
		context_free(&c);
	}
	all->context_count = 0;
}

static struct imap_context **
find_context(struct imap_searches *all, struct span tag)
{
	struct imap_context **at = &all->contexts;

	while (*at != NULL && !span_is(tag, (*at)->tag))
		at = &(*at)->next;
	return at;
}

bool
imap_context_known(const struct imap_session *s, struct span tag)
{
	return s->searches != NULL && *find_context(s->searches, tag) != NULL;
}

/* -- begin ---- */

/* Message numbers mean the messages they mean now; so does "$". */
static bool
fix_numbers(const struct imap_said *said, struct arena *arena,
    struct imap_search_key *from, struct imap_search_key *to)
{
	const struct imap_view *view = &said->found->box->view;

	for (; from != NULL; from = from->next, to = to->next) {
		struct imap_range *ranges;
		bool by_uid = from->kind == IMAP_SEARCH_UID;

		if (!fix_numbers(said, arena, from->list, to->list))
			return false;
		if (!by_uid && from->kind != IMAP_SEARCH_SEQUENCE)
			continue;
		ranges = arena_alloc(arena, MAX(from->settled.count, 1) *
		    sizeof(*ranges));
		if (ranges == NULL)
			return false;
		for (size_t i = 0; i < from->settled.count; i++) {
			struct imap_range r = from->settled.ranges[i];
			uint32_t count = imap_view_count(view);

			if (!by_uid && count > 0)
				r = (struct imap_range){ imap_view_uid(view,
				    MIN(MAX(r.first, 1), count) - 1),
				    imap_view_uid(view,
				    MIN(MAX(r.last, 1), count) - 1) };
			ranges[i] = r;
		}
		to->kind = IMAP_SEARCH_UID;
		to->set = (struct imap_set){ .ranges = ranges,
		    .count = from->settled.count };
	}
	return true;
}

/* The command once more, in memory that stays. */
static bool
parse_again(struct imap_context *c, struct imap_task *t,
    const struct imap_said *said, struct span args)
{
	struct imap_task again = *t;
	struct imap_reply why;

	again.arena = c->arena;
	again.in = imap_parser(arena_dup(c->arena, args), c->arena);
	if (!(said->sorted ? imap_parse_sort(&again.in, &c->wish)
	    : imap_parse_search(&again.in, &c->wish)) ||
	    !imap_find_prepare(&again, &c->wish, c->collation, &why))
		return false;
	return fix_numbers(said, c->arena, said->wish->root, c->wish.root);
}

static size_t
messages_of(const struct imap_searches *all)
{
	size_t n = 0;

	for (const struct imap_context *c = all->contexts; c != NULL;
	    c = c->next)
		n += c->count;
	return n;
}

static uint32_t *
uids_of(const struct imap_find *f)
{
	uint32_t *uids = xcalloc(MAX(f->count, 1), sizeof(*uids));

	for (size_t i = 0; i < f->count; i++)
		uids[i] = imap_view_uid(&f->box->view, f->indexes[i]);
	return uids;
}

bool
imap_context_add(struct imap_task *t, const struct imap_said *said,
    struct span args)
{
	struct imap_searches *all = imap_searches(t->s);
	struct imap_context *c;

	if (all->context_count >= imap_settings()->imap_search_contexts ||
	    messages_of(all) + said->found->count > MESSAGES_MAX)
		return false;
	c = xcalloc(1, sizeof(*c));
	c->arena = arena_new(CONTEXT_MEMORY);
	c->collation = said->found->collation;
	c->by_uid = said->by_uid;
	if (!parse_again(c, t, said, args)) {
		context_free(&c);
		return false;
	}
	c->tag = xcalloc(1, t->tag.n + 1);
	memcpy(c->tag, t->tag.p, t->tag.n);
	c->uids = uids_of(said->found);
	c->count = said->found->count;
	c->modseq = imap_view_modseq(&said->found->box->view);
	c->next = all->contexts;
	all->contexts = c;
	all->context_count++;
	return true;
}

/* -- notices ---- */

struct notice {
	struct imap_session *s;
	struct imap_context *c;
	const char *what;		/* "ADDTO", "REMOVEFROM" */
	struct text line;
	struct imap_ranges numbers;
	uint32_t next;			/* the position behind the numbers */
};

static struct notice
notice_begin(struct imap_session *s, struct imap_context *c, const char *what)
{
	return (struct notice){ .s = s, .c = c, .what = what };
}

static void
close_group(struct notice *n)
{
	imap_ranges_end(&n->numbers);
	text_add(&n->line, text_span(&n->numbers.text));
	text_clear(&n->numbers.text);
}

/* `position` 0: the order says nothing. Those that follow each other share
 * one; `step` is how far the next one's position is then. */
static void
notice_add(struct notice *n, uint32_t position, uint32_t step,
    uint32_t number)
{
	if (n->line.n == 0)
		text_printf(&n->line, "* ESEARCH (TAG \"%s\")%s %s (",
		    n->c->tag, n->c->by_uid ? " UID" : "", n->what);
	if (n->numbers.any && position == n->next) {
		imap_ranges_add(&n->numbers, number);
	} else {
		if (n->numbers.any) {
			close_group(n);
			text_char(&n->line, ' ');
		}
		text_printf(&n->line, "%u ", position);
		n->numbers = (struct imap_ranges){
			.text = n->numbers.text };
		imap_ranges_add(&n->numbers, number);
	}
	n->next = position + step;
}

static void
notice_end(struct notice *n)
{
	if (n->line.n > 0) {
		close_group(n);
		text_str(&n->line, ")\r\n");
		imap_say(n->s, &n->line, true);
	}
	text_free(&n->line);
	text_free(&n->numbers.text);
}

static uint32_t
number_of(const struct imap_session *s, const struct imap_context *c,
    uint32_t uid)
{
	return c->by_uid ? uid : imap_view_find(&s->box->view, uid) + 1;
}

/* -- what goes ---- */

static bool
is_there(const struct imap_view *view, uint32_t uid)
{
	uint32_t index = imap_view_find(view, uid);

	return index < imap_view_count(view) &&
	    imap_view_uid(view, index) == uid &&
	    imap_view_row(view, index) != NULL;
}

/*
 * Take those out whose uid is in `gone` (ascending), or, without it, whose
 * message is not there any more. Positions are told from the last to the
 * first, so that each holds when it is read.
 */
static void
remove_some(struct imap_session *s, struct imap_context *c,
    const uint32_t *gone, size_t gone_count)
{
	struct notice n = notice_begin(s, c, "REMOVEFROM");
	struct imap_set set;
	struct imap_range *ranges = NULL;
	bool sorted = c->wish.sort_count > 0;
	size_t to = 0;

	if (gone != NULL) {
		ranges = xcalloc(MAX(gone_count, 1), sizeof(*ranges));
		for (size_t i = 0; i < gone_count; i++)
			ranges[i] = (struct imap_range){ gone[i], gone[i] };
		set = (struct imap_set){ .ranges = ranges,
		    .count = gone_count, .settled = true };
	}
	for (size_t i = 0; i < c->count; i++) {
		size_t at = sorted ? c->count - 1 - i : i;
		uint32_t uid = c->uids[at];

		if (gone != NULL ? !imap_set_has(&set, uid, 0)
		    : is_there(&s->box->view, uid))
			continue;
		notice_add(&n, sorted ? (uint32_t)at + 1 : 0, 0,
		    number_of(s, c, uid));
		c->uids[at] = 0;
	}
	for (size_t i = 0; i < c->count; i++)
		if (c->uids[i] != 0)
			c->uids[to++] = c->uids[i];
	c->count = to;
	notice_end(&n);
	free(ranges);
}

void
imap_contexts_before(struct imap_session *s)
{
	if (s->searches == NULL || s->box == NULL ||
	    !imap_view_any_gone(&s->box->view))
		return;
	for (struct imap_context *c = s->searches->contexts; c != NULL;
	    c = c->next)
		remove_some(s, c, NULL, 0);
}

/* -- what comes ---- */

static int
compare(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The uids of a context, ascending. */
static uint32_t *
ascending(const struct imap_context *c)
{
	uint32_t *uids = xcalloc(MAX(c->count, 1), sizeof(*uids));

	memcpy(uids, c->uids, c->count * sizeof(*uids));
	if (c->wish.sort_count > 0)
		qsort(uids, c->count, sizeof(*uids), compare);
	return uids;
}

static bool
has(const uint32_t *uids, size_t count, uint32_t uid)
{
	return count > 0 &&
	    bsearch(&uid, uids, count, sizeof(*uids), compare) != NULL;
}

/* Those of ours that changed and were not found this time. */
static void
remove_changed(struct imap_session *s, struct imap_context *c,
    const struct imap_find *f)
{
	const struct imap_view *view = &s->box->view;
	uint32_t *old = ascending(c), *found = uids_of(f);
	size_t n = 0;

	for (size_t i = 0; i < c->count; i++) {
		uint32_t index = imap_view_find(view, old[i]);
		const struct message_row *row = index < imap_view_count(view)
		    ? imap_view_row(view, index) : NULL;

		if (row != NULL && row->uid == old[i] &&
		    imap_row_modseq(row) > c->modseq &&
		    !has(found, f->count, old[i]))
			old[n++] = old[i];
	}
	if (n > 0)
		remove_some(s, c, old, n);
	free(old);
	free(found);
}

/* All of ours and what was found, in order: what is new is told. */
static void
add_found(struct imap_session *s, struct imap_context *c,
    const struct imap_find *all, const uint32_t *old, size_t old_count)
{
	struct notice n = notice_begin(s, c, "ADDTO");
	bool sorted = c->wish.sort_count > 0;
	uint32_t *uids = uids_of(all);

	for (size_t i = 0; i < all->count; i++)
		if (!has(old, old_count, uids[i]))
			notice_add(&n, sorted ? (uint32_t)i + 1 : 0,
			    sorted ? 1 : 0, number_of(s, c, uids[i]));
	notice_end(&n);
	free(c->uids);
	c->uids = uids;
	c->count = all->count;
}

/* Ours and those found, each once, as indexes. */
static void
unite(struct imap_session *s, const struct imap_find *f, const uint32_t *old,
    size_t old_count, struct imap_find *all)
{
	const struct imap_view *view = &s->box->view;
	size_t i = 0, j = 0;

	all->room = old_count + f->count;
	all->indexes = xcalloc(MAX(all->room, 1), sizeof(*all->indexes));
	while (i < old_count || j < f->count) {
		uint32_t a = i < old_count ? imap_view_find(view, old[i])
		    : UINT32_MAX;
		uint32_t b = j < f->count ? f->indexes[j] : UINT32_MAX;

		all->indexes[all->count++] = MIN(a, b);
		i += a <= b;
		j += b <= a;
	}
}

/* What was told to be gone without our seeing it. */
static void
drop_unknown(const struct imap_session *s, struct imap_context *c)
{
	const struct imap_view *view = &s->box->view;
	size_t to = 0;

	for (size_t i = 0; i < c->count; i++) {
		uint32_t index = imap_view_find(view, c->uids[i]);

		if (index < imap_view_count(view) &&
		    imap_view_uid(view, index) == c->uids[i])
			c->uids[to++] = c->uids[i];
	}
	c->count = to;
}

static void
update(struct imap_session *s, struct imap_context *c, struct imap_task *t)
{
	struct imap_find f = { .t = t, .box = s->box, .root = c->wish.root,
	    .collation = c->collation, .since = c->modseq };
	struct imap_find all = { .t = t, .box = s->box,
	    .collation = c->collation };
	uint64_t modseq = imap_view_modseq(&s->box->view);
	uint32_t *old;

	drop_unknown(s, c);
	if (imap_find(&f) == 1) {
		remove_changed(s, c, &f);
		old = ascending(c);
		unite(s, &f, old, c->count, &all);
		if (all.count > c->count && imap_order(&all, &c->wish) == 1)
			add_found(s, c, &all, old, c->count);
		c->modseq = modseq;
		free(old);
	}
	imap_find_end(&f);
	imap_find_end(&all);
}

void
imap_contexts_after(struct imap_session *s)
{
	struct imap_task t = { .s = s };

	if (s->searches == NULL || s->box == NULL)
		return;
	for (struct imap_context *c = s->searches->contexts; c != NULL;
	    c = c->next) {
		if (c->modseq >= imap_view_modseq(&s->box->view))
			continue;
		t.arena = imap_arena_get();
		update(s, c, &t);
		imap_arena_put(&t.arena);
	}
}

/* -- CANCELUPDATE ---- */

struct imap_reply
imap_cancel_update(struct imap_task *t)
{
	struct imap_parser check = t->in;
	struct span tag;

	do {
		if (!imap_parse_space(&check) ||
		    !imap_parse_string(&check, &tag))
			return imap_bad("Tags in quotes are expected");
		if (!imap_context_known(t->s, tag))
			return imap_bad("No search of that tag is followed");
	} while (imap_parse_peek(&check) == ' ');
	if (!imap_parse_end(&check))
		return imap_bad("Too many arguments");
	while (imap_parse_next(&t->in, ' ') &&
	    imap_parse_string(&t->in, &tag)) {
		struct imap_context **at = find_context(t->s->searches, tag);
		struct imap_context *c = *at;

		if (c == NULL)
			continue;
		*at = c->next;
		context_free(&c);
		t->s->searches->context_count--;
	}
	return imap_ok("Updates cancelled");
}
