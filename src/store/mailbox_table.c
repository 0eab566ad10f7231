/*
 * mailbox_table.c - the arrays of a mailbox.
 */
#include "store/mailbox_table.h"

#include <stdlib.h>

enum {
	DONE_DROP = DONE_MAX / 4,	/* make room for some at once */
	TOUCHED_ONCE_MAX = 64,		/* more ranges: not worth keeping */
};

void
table_free(struct table *t)
{
	for (size_t i = 0; i < t->keyword_count; i++)
		free(t->keywords[i]);
	for (size_t i = 0; i < t->done_count; i++)
		uids_free(&t->done[i].sources);
	free(t->rows);
	free(t->stones);
	free(t->done);
	free(t->touched);
	seens_free(&t->seens);
	*t = (struct table){ 0 };
}

size_t
table_bytes(const struct table *t)
{
	size_t sum = t->room * sizeof(*t->rows) +
	    t->stone_room * sizeof(*t->stones) +
	    t->done_room * sizeof(*t->done) +
	    t->touched_room * sizeof(*t->touched);

	for (size_t i = 0; i < t->done_count; i++)
		sum += t->done[i].sources.room * sizeof(struct uid_range);
	return sum + t->keyword_count * 32 + seens_bytes(&t->seens);
}

/* Room for n more entries of `size` bytes in an array that holds `count`. */
static void *
grow(void *array, size_t count, size_t n, size_t *room, size_t size)
{
	if (count + n <= *room)
		return array;
	*room = MAX(count + n, *room + *room / 2);
	return xrealloc(array, *room * size);
}

/* ---- rows ------------------------------------------------------------ */

static void
count_row(struct table *t, const struct row *row, int sign)
{
	uint32_t one = (uint32_t)sign;

	if ((row->flags & FLAG_SEEN) == 0)
		t->unseen += one;
	if ((row->flags & FLAG_DELETED) != 0) {
		t->deleted += one;
		t->deleted_bytes += (uint64_t)((int64_t)row->size * sign);
	}
	t->bytes += (uint64_t)((int64_t)row->size * sign);
}

size_t
table_seek(const struct table *t, uint32_t uid)
{
	size_t low = 0, high = t->n;

	if (t->n == 0 || t->rows[t->n - 1].uid < uid)
		return t->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->rows[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The same, from row i on: near it, for a set may have 50 000 ranges. */
static size_t
seek_on(const struct table *t, size_t i, uint32_t uid)
{
	size_t low = i, high, step = 1;

	while (low + step < t->n && t->rows[low + step].uid < uid) {
		low += step;
		step *= 2;
	}
	high = MIN(low + step, t->n);
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->rows[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct row *
table_find(const struct table *t, uint32_t uid)
{
	size_t i = table_seek(t, uid);

	return i < t->n && t->rows[i].uid == uid ? &t->rows[i] : NULL;
}

struct row *
table_room(struct table *t, size_t n)
{
	t->rows = grow(t->rows, t->n, n, &t->room, sizeof(*t->rows));
	return t->rows + t->n;
}

int
table_added(struct table *t, size_t n)
{
	for (size_t i = t->n; i < t->n + n; i++)
		if (i > 0 && t->rows[i].uid <= t->rows[i - 1].uid)
			return 0;
	t->n += n;
	return 1;
}

/* A uid that is there already was read from its chunk. */
static void
insert_row(struct table *t, const struct row *row)
{
	size_t at = table_seek(t, row->uid);

	if (at < t->n && t->rows[at].uid == row->uid)
		return;
	table_room(t, 1);
	memmove(&t->rows[at + 1], &t->rows[at],
	    (t->n - at) * sizeof(*t->rows));
	t->rows[at] = *row;
	t->n++;
	count_row(t, row, 1);
	t->uidnext = MAX(t->uidnext, row->uid + 1);
}

/* ---- what was read --------------------------------------------------- */

static char *
name_dup(struct span name)
{
	char *p = xmalloc(name.n + 1);

	memcpy(p, name.p, name.n);
	p[name.n] = '\0';
	return p;
}

void
table_set_head(struct table *t, const struct mailbox_head *h)
{
	t->account = h->account;
	t->uidvalidity = h->uidvalidity;
	t->uidnext = h->uidnext;
	t->modseq = t->folded = t->touched_from = h->modseq;
	t->forgotten = h->forgotten;
	for (size_t i = 0; i < t->keyword_count; i++)
		free(t->keywords[i]);
	t->keyword_count = h->keyword_count;
	for (size_t i = 0; i < h->keyword_count; i++)
		t->keywords[i] = name_dup(h->keywords[i]);
}

void
table_get_head(const struct table *t, struct mailbox_head *h)
{
	*h = (struct mailbox_head){
		.account = t->account, .uidvalidity = t->uidvalidity,
		.uidnext = t->uidnext, .modseq = t->modseq,
		.forgotten = t->forgotten, .keyword_count = t->keyword_count,
	};
	for (size_t i = 0; i < t->keyword_count; i++)
		h->keywords[i] = span_str(t->keywords[i]);
}

void
table_add_stones(struct table *t, const struct tombstone *stones, size_t n)
{
	if (n == 0)
		return;
	t->stones = grow(t->stones, t->stone_count, n, &t->stone_room,
	    sizeof(*t->stones));
	memcpy(t->stones + t->stone_count, stones, n * sizeof(*stones));
	/* A page that is not full is the last one; else write all anew. */
	t->stones_saved = t->stone_count % TOMBSTONE_PAGE == 0
	    ? t->stone_count + n : 0;
	t->stone_count += n;
}

void
table_set_done(struct table *t, const struct done *done, size_t n)
{
	must(t->done_count == 0);
	if (n == 0)
		return;
	t->done = grow(t->done, 0, n, &t->done_room, sizeof(*t->done));
	memcpy(t->done, done, n * sizeof(*done));
	t->done_count = n;
}

/*
 * After a fold that was cut short, chunks know more than the head: rows up to
 * what the tail will bring. So only what no tail can mend is refused.
 */
int
table_ready(struct table *t)
{
	t->unseen = t->deleted = 0;
	t->bytes = t->deleted_bytes = 0;
	for (size_t i = 0; i < t->n; i++)
		count_row(t, &t->rows[i], 1);
	if (t->n > 0 && t->rows[t->n - 1].uid >= t->uidnext)
		t->uidnext = t->rows[t->n - 1].uid + 1;
	return t->uidvalidity > 0 && t->uidnext > 0;
}

/* ---- changes --------------------------------------------------------- */

static void
touch(struct table *t, uint64_t modseq, uint32_t first, uint32_t last)
{
	if (t->touched_count == TOUCHED_MAX) {
		size_t half = TOUCHED_MAX / 2;

		t->touched_from = t->touched[half - 1].modseq;
		memmove(t->touched, t->touched + half,
		    (TOUCHED_MAX - half) * sizeof(*t->touched));
		t->touched_count = TOUCHED_MAX - half;
	}
	t->touched = grow(t->touched, t->touched_count, 1, &t->touched_room,
	    sizeof(*t->touched));
	t->touched[t->touched_count++] =
	    (struct touched){ modseq, first, last };
}

static void
touch_all(struct table *t, uint64_t modseq, const struct uids *uids)
{
	if (uids->n > TOUCHED_ONCE_MAX) {
		t->touched_count = 0;
		t->touched_from = modseq;
		return;
	}
	for (size_t i = 0; i < uids->n; i++)
		touch(t, modseq, uids->at[i].first, uids->at[i].last);
}

static void
remember(struct table *t, const struct change *change)
{
	struct done *d;
	size_t ranges = change->uids.n, drop = 0;

	if (token_is_zero(&change->token))
		return;
	if (t->done_count == DONE_MAX)
		drop = DONE_DROP;
	for (size_t i = t->done_count; i-- > drop;) {
		ranges += t->done[i].sources.n;
		if (ranges > DONE_RANGES_MAX)
			drop = i + 1;
	}
	for (size_t i = 0; i < drop; i++)
		uids_free(&t->done[i].sources);
	t->done_count -= drop;
	t->done = grow(t->done, t->done_count, 1, &t->done_room,
	    sizeof(*t->done));
	memmove(t->done, t->done + drop, t->done_count * sizeof(*t->done));
	d = &t->done[t->done_count++];
	*d = (struct done){ .token = change->token, .count = change->total };
	d->first = change->row_count > 0 ? change->rows[0].uid : 0;
	for (size_t i = 0; i < change->uids.n; i++)
		uids_add(&d->sources, change->uids.at[i].first,
		    change->uids.at[i].last);
}

static void
apply_add(struct table *t, const struct change *change)
{
	size_t n = change->row_count;

	remember(t, change);
	if (n == 0)
		return;
	table_room(t, n);
	for (size_t i = 0; i < n; i++)
		insert_row(t, &change->rows[i]);
	touch(t, change->modseq, change->rows[0].uid, change->rows[n - 1].uid);
}

static uint64_t
changed_flags(const struct change *change, uint64_t flags)
{
	switch (change->mode) {
	case STORE_ADD:
		return flags | change->flags;
	case STORE_REMOVE:
		return flags & ~change->flags;
	case STORE_SET:
		break;
	}
	return change->flags;
}

static void
apply_flags(struct table *t, const struct change *change)
{
	size_t i = 0;

	for (size_t r = 0; r < change->uids.n; r++) {
		uint32_t last = change->uids.at[r].last;

		i = seek_on(t, i, change->uids.at[r].first);
		for (; i < t->n && t->rows[i].uid <= last; i++) {
			struct row *row = &t->rows[i];
			uint64_t flags = changed_flags(change, row->flags);

			if (flags == row->flags ||
			    row->modseq >= change->modseq)
				continue;
			count_row(t, row, -1);
			row->flags = flags;
			row->modseq = change->modseq;
			count_row(t, row, 1);
		}
	}
	touch_all(t, change->modseq, &change->uids);
}

/* The ranges name the messages that change, and no other. */
static void
apply_seen(struct table *t, const struct change *change)
{
	for (size_t r = 0; r < change->uids.n; r++) {
		uint32_t last = change->uids.at[r].last;
		size_t i = table_seek(t, change->uids.at[r].first);

		for (; i < t->n && t->rows[i].uid <= last; i++)
			t->rows[i].modseq = MAX(t->rows[i].modseq,
			    change->modseq);
	}
	seen_change(seens_make(&t->seens, change->user), change->mode,
	    &change->uids);
	touch_all(t, change->modseq, &change->uids);
}

static void
add_stone(struct table *t, uint64_t modseq, struct uid_range range)
{
	t->stones = grow(t->stones, t->stone_count, 1, &t->stone_room,
	    sizeof(*t->stones));
	t->stones[t->stone_count++] =
	    (struct tombstone){ range.first, range.last, modseq };
}

/* Runs between the ranges move down, each at once. */
static void
apply_expunge(struct table *t, const struct change *change)
{
	size_t kept = SIZE_MAX, from = 0;

	for (size_t r = 0; r < change->uids.n; r++)
		add_stone(t, change->modseq, change->uids.at[r]);
	for (size_t r = 0; r < change->uids.n && t->n > 0; r++) {
		struct uid_range range = change->uids.at[r];
		size_t low = table_seek(t, range.first), high = low;

		for (; high < t->n && t->rows[high].uid <= range.last; high++)
			count_row(t, &t->rows[high], -1);
		if (kept == SIZE_MAX) {
			kept = low;
		} else {
			memmove(&t->rows[kept], &t->rows[from],
			    (low - from) * sizeof(*t->rows));
			kept += low - from;
		}
		from = high;
	}
	if (kept == SIZE_MAX)
		return;
	memmove(&t->rows[kept], &t->rows[from],
	    (t->n - from) * sizeof(*t->rows));
	t->n = kept + (t->n - from);
}

static void
define_keywords(struct table *t, const struct change *change)
{
	for (size_t i = 0; i < KEYWORDS_MAX; i++) {
		if ((change->defined >> (FLAG_KEYWORD_0 + i) & 1) == 0)
			continue;
		/* Bits are given out in order: a gap would be damage. */
		if (i > t->keyword_count)
			return;
		if (i < t->keyword_count)
			free(t->keywords[i]);
		else
			t->keyword_count++;
		t->keywords[i] = name_dup(change->names[i]);
	}
}

void
table_apply(struct table *t, const struct change *change)
{
	define_keywords(t, change);
	switch (change->kind) {
	case CHANGE_ADD:
		apply_add(t, change);
		break;
	case CHANGE_FLAGS:
		apply_flags(t, change);
		break;
	case CHANGE_EXPUNGE:
		apply_expunge(t, change);
		break;
	case CHANGE_SEEN:
		apply_seen(t, change);
		break;
	}
	t->modseq = MAX(t->modseq, change->modseq);
}

/* ---- questions ------------------------------------------------------- */

const struct done *
table_done(const struct table *t, const struct token *token)
{
	for (size_t i = t->done_count; i-- > 0;)
		if (memcmp(&t->done[i].token, token, sizeof(*token)) == 0)
			return &t->done[i];
	return NULL;
}

static uint64_t
keyword_bit(size_t i)
{
	return UINT64_C(1) << (FLAG_KEYWORD_0 + i);
}

uint64_t
table_keyword(const struct table *t, struct span name)
{
	for (size_t i = 0; i < t->keyword_count; i++)
		if (span_is_nocase(name, t->keywords[i]))
			return keyword_bit(i);
	return 0;
}

/* RFC 3501: flag-keyword is an atom. */
static bool
is_keyword(struct span name)
{
	if (name.n == 0 || name.n > KEYWORD_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~' ||
		    strchr("(){%*\"\\]", name.p[i]) != NULL)
			return false;
	return true;
}

/* The next bit, or else one that no message has any more. */
static uint64_t
free_bit(const struct table *t, uint64_t taken)
{
	for (size_t i = t->keyword_count; i < KEYWORDS_MAX; i++)
		if ((taken & keyword_bit(i)) == 0)
			return keyword_bit(i);
	for (size_t i = 0; i < t->n; i++)
		taken |= t->rows[i].flags;
	for (size_t i = 0; i < KEYWORDS_MAX; i++)
		if ((taken & keyword_bit(i)) == 0)
			return keyword_bit(i);
	return 0;
}

int
table_define(const struct table *t, struct change *change, struct span name,
    uint64_t *bit)
{
	for (size_t i = 0; i < KEYWORDS_MAX; i++) {
		*bit = keyword_bit(i);
		if ((change->defined & *bit) != 0 &&
		    span_eq_nocase(change->names[i], name))
			return 1;
	}
	*bit = table_keyword(t, name);
	if (*bit != 0 && (change->defined & *bit) == 0)
		return 1;
	/* What this change sets may not be taken away by it either. */
	*bit = is_keyword(name)
	    ? free_bit(t, change->defined | change->flags) : 0;
	if (*bit == 0)
		return 0;
	change->defined |= *bit;
	change->names[__builtin_ctzll(*bit) - FLAG_KEYWORD_0] = name;
	return 1;
}

struct span
table_keywords(const struct table *t, struct arena *arena)
{
	struct text names = TEXT_INIT(0);
	struct span s;

	for (size_t i = 0; i < t->keyword_count; i++) {
		if (i > 0)
			text_char(&names, ' ');
		text_str(&names, t->keywords[i]);
	}
	s = arena_dup(arena, text_span(&names));
	text_free(&names);
	return s;
}

static int
by_first(const void *a, const void *b)
{
	uint32_t x = ((const struct touched *)a)->first;
	uint32_t y = ((const struct touched *)b)->first;

	return (x > y) - (x < y);
}

void
table_changed(const struct table *t, uint64_t since, struct uids *uids)
{
	struct touched found[TOUCHED_ONCE_MAX];
	size_t n = 0;

	uids_clear(uids);
	if (since >= t->modseq)
		return;
	for (size_t i = t->touched_count; i-- > 0;) {
		if (t->touched[i].modseq <= since || n == ARRAY_LEN(found))
			break;
		found[n++] = t->touched[i];
	}
	if (since < t->touched_from || n == ARRAY_LEN(found)) {
		uids_add(uids, 1, UINT32_MAX);
		return;
	}
	qsort(found, n, sizeof(*found), by_first);
	for (size_t i = 0; i < n; i++)
		uids_add(uids, found[i].first, found[i].last);
}

static int
range_by_first(const void *a, const void *b)
{
	uint32_t x = ((const struct tombstone *)a)->first;
	uint32_t y = ((const struct tombstone *)b)->first;

	return (x > y) - (x < y);
}

int
table_vanished(const struct table *t, uint64_t since, struct uids *uids)
{
	size_t from = t->stone_count, n;
	struct tombstone *sorted;

	uids_clear(uids);
	if (since < t->forgotten)
		return 0;
	while (from > 0 && t->stones[from - 1].modseq > since)
		from--;
	n = t->stone_count - from;
	if (n == 0)
		return 1;
	sorted = xmalloc(n * sizeof(*sorted));
	memcpy(sorted, t->stones + from, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), range_by_first);
	for (size_t i = 0; i < n; i++)
		uids_add(uids, sorted[i].first, sorted[i].last);
	free(sorted);
	return 1;
}

size_t
table_trim(struct table *t, size_t keep)
{
	size_t drop = 0;

	if (t->stone_count > keep)
		drop = t->stone_count - keep;
	drop -= drop % TOMBSTONE_PAGE;
	if (drop == 0)
		return 0;
	t->forgotten = t->stones[drop - 1].modseq;
	memmove(t->stones, t->stones + drop,
	    (t->stone_count - drop) * sizeof(*t->stones));
	t->stone_count -= drop;
	t->stones_saved -= MIN(t->stones_saved, drop);
	t->stones_trimmed = true;
	return drop;
}
