/*
 * mailbox_record.c - keys and records of a mailbox, to bytes and back.
 */
#include "store/mailbox_record.h"

#include <endian.h>
#include <stdlib.h>

enum { RECORD_VERSION = 1, CHUNK_VERSION = 2 };

#define UID_MAX (UINT32_MAX - 1)	/* so that there is a next one */

/* ---- keys ------------------------------------------------------------ */

struct span
key_span(const struct key *k)
{
	return span_of(k->b, k->n);
}

struct key
key_letter(char letter)
{
	return (struct key){ .b = { letter }, .n = 1 };
}

struct key
key_letter_after(char letter)
{
	return key_letter((char)(letter + 1));
}

static void
key_add(struct key *k, const void *p, size_t n)
{
	must(k->n + n <= sizeof(k->b));
	memcpy(k->b + k->n, p, n);
	k->n += n;
}

static void
key_add_u32(struct key *k, uint32_t v)
{
	v = htobe32(v);
	key_add(k, &v, sizeof(v));
}

static void
key_add_u64(struct key *k, uint64_t v)
{
	v = htobe64(v);
	key_add(k, &v, sizeof(v));
}

struct key
key_u64(char letter, uint64_t v)
{
	struct key k = key_letter(letter);

	key_add_u64(&k, v);
	return k;
}

struct key
key_token(char letter, const struct token *token)
{
	struct key k = key_letter(letter);

	key_add(&k, token->b, sizeof(token->b));
	return k;
}

struct key
key_chunk(uint32_t uid)
{
	struct key k = key_letter(MAILBOX_CHUNK);

	key_add_u32(&k, uid / CHUNK_UIDS);
	return k;
}

struct key
key_chunk_after(uint32_t uid)
{
	struct key k = key_letter(MAILBOX_CHUNK);

	key_add_u32(&k, uid / CHUNK_UIDS + 1);
	return k;
}

struct key
key_tombstone(const struct tombstone *t)
{
	struct key k = key_u64(MAILBOX_EXPUNGED, t->modseq);

	key_add_u32(&k, t->first);
	return k;
}

struct key
key_seen(uint64_t user, uint32_t uid)
{
	struct key k = key_u64(MAILBOX_SEEN, user);

	key_add_u32(&k, uid / SEEN_PAGE);
	return k;
}

int
key_read_seen(struct span key, uint64_t *user, uint32_t *first_uid)
{
	uint32_t page;

	if (key.n != 1 + sizeof(*user) + sizeof(page))
		return 0;
	memcpy(user, key.p + 1, sizeof(*user));
	*user = be64toh(*user);
	memcpy(&page, key.p + 1 + sizeof(*user), sizeof(page));
	page = be32toh(page);
	if (page > UINT32_MAX / SEEN_PAGE)
		return 0;
	*first_uid = page * SEEN_PAGE;
	return 1;
}

int
key_read_u64(struct span key, uint64_t *v)
{
	if (key.n != 1 + sizeof(*v))
		return 0;
	memcpy(v, key.p + 1, sizeof(*v));
	*v = be64toh(*v);
	return 1;
}

int
key_read_token(struct span key, struct token *token)
{
	if (key.n != 1 + sizeof(token->b))
		return 0;
	memcpy(token->b, key.p + 1, sizeof(token->b));
	return 1;
}

int
key_read_chunk(struct span key, uint32_t *first_uid)
{
	uint32_t v;

	if (key.n != 1 + sizeof(v))
		return 0;
	memcpy(&v, key.p + 1, sizeof(v));
	v = be32toh(v);
	if (v > UINT32_MAX / CHUNK_UIDS)
		return 0;
	*first_uid = v * CHUNK_UIDS;
	return 1;
}

struct key
message_holder(uint64_t mailbox, uint32_t uid)
{
	struct key k = key_u64(HOLDER_MESSAGE, mailbox);

	key_add_u32(&k, uid);
	return k;
}

int
message_holder_read(struct span holder, uint64_t *mailbox, uint32_t *uid)
{
	if (holder.n != 1 + sizeof(*mailbox) + sizeof(*uid) ||
	    holder.p[0] != HOLDER_MESSAGE)
		return 0;
	memcpy(mailbox, holder.p + 1, sizeof(*mailbox));
	memcpy(uid, holder.p + 1 + sizeof(*mailbox), sizeof(*uid));
	*mailbox = be64toh(*mailbox);
	*uid = be32toh(*uid);
	return 1;
}

bool
token_is_zero(const struct token *token)
{
	static const struct token zero;

	return memcmp(token, &zero, sizeof(zero)) == 0;
}

/* ---- rows and chunks ------------------------------------------------- */

/* Fixed places: a mailbox of 100 000 messages is read at every opening. */
static void
store32(char **p, uint32_t v)
{
	v = htole32(v);
	memcpy(*p, &v, sizeof(v));
	*p += sizeof(v);
}

static void
store64(char **p, uint64_t v)
{
	v = htole64(v);
	memcpy(*p, &v, sizeof(v));
	*p += sizeof(v);
}

static uint32_t
load32(const char **p)
{
	uint32_t v;

	memcpy(&v, *p, sizeof(v));
	*p += sizeof(v);
	return le32toh(v);
}

static uint64_t
load64(const char **p)
{
	uint64_t v;

	memcpy(&v, *p, sizeof(v));
	*p += sizeof(v);
	return le64toh(v);
}

static void
row_store(char *p, const struct row *row)
{
	store32(&p, row->uid);
	store32(&p, row->size);
	store64(&p, row->flags);
	store64(&p, row->modseq);
	store64(&p, (uint64_t)row->internal_date);
	store64(&p, (uint64_t)row->save_date);
	memcpy(p, row->body.b, sizeof(row->body.b));
	p += sizeof(row->body.b);
	store64(&p, row->thread);
}

static void
row_load(const char *p, struct row *row)
{
	row->uid = load32(&p);
	row->size = load32(&p);
	row->flags = load64(&p);
	row->modseq = load64(&p);
	row->internal_date = (int64_t)load64(&p);
	row->save_date = (int64_t)load64(&p);
	memcpy(row->body.b, p, sizeof(row->body.b));
	p += sizeof(row->body.b);
	row->thread = load64(&p);
}

static void
put_rows(struct text *t, const struct row *rows, size_t n)
{
	char *p;

	put_u32(t, (uint32_t)n);
	p = text_room(t, n * ROW_BYTES);
	if (p == NULL)
		return;
	for (size_t i = 0; i < n; i++)
		row_store(p + i * ROW_BYTES, &rows[i]);
	text_grew(t, n * ROW_BYTES);
}

/* The count was read. Ascending from `first` to `last`. */
static void
get_rows(struct cursor *c, struct row *rows, size_t n, uint32_t first,
    uint32_t last)
{
	if (n * ROW_BYTES > c->rest.n)
		c->bad = true;
	for (size_t i = 0; i < n && !c->bad; i++) {
		row_load(c->rest.p + i * ROW_BYTES, &rows[i]);
		if (rows[i].uid < first || rows[i].uid > last ||
		    (i > 0 && rows[i].uid <= rows[i - 1].uid))
			c->bad = true;
	}
	if (!c->bad)
		c->rest = span_from(c->rest, n * ROW_BYTES);
}

static void
put_version(struct text *t)
{
	put_u8(t, RECORD_VERSION);
}

static struct cursor
open_record(struct span record)
{
	struct cursor c = { .rest = record };

	if (get_u8(&c) != RECORD_VERSION)
		c.bad = true;
	return c;
}

static int
whole(const struct cursor *c)
{
	return !c->bad && c->rest.n == 0;
}

/* A count of things of at least `size` bytes each, at most `max` of them. */
static size_t
get_count(struct cursor *c, size_t max, size_t size)
{
	uint32_t n = get_u32(c);

	if (n > max || n * size > c->rest.n)
		c->bad = true;
	return c->bad ? 0 : n;
}

/*
 * A chunk is columns, so that opening a mailbox is little work: half the
 * bytes that rows take, and next to nothing left to decompress. A number is
 * its distance from the least of its column, in as few bytes as hold them
 * all; those that grow by one from row to row take none. Then the bodies.
 * In version 1 it was rows.
 */
enum column { UID, SIZE, FLAGS, MODSEQ, INTERNAL_DATE, SAVE_DATE, THREAD,
	COLUMNS };

static uint64_t
number_of(const struct row *rows, size_t i, enum column column)
{
	switch (column) {
	case UID:
		return (uint64_t)rows[i].uid - i;
	case SIZE:
		return rows[i].size;
	case FLAGS:
		return rows[i].flags;
	case MODSEQ:
		return rows[i].modseq - i;
	case INTERNAL_DATE:
		return (uint64_t)rows[i].internal_date;
	case SAVE_DATE:
		return (uint64_t)rows[i].save_date;
	case THREAD:
		return rows[i].thread;
	case COLUMNS:
		break;
	}
	return 0;
}

static void
put_column(struct text *t, const struct row *rows, size_t n,
    enum column column)
{
	uint64_t least = number_of(rows, 0, column), most = 0;
	uint8_t width = 0;

	for (size_t i = 1; i < n; i++)
		if ((int64_t)number_of(rows, i, column) < (int64_t)least)
			least = number_of(rows, i, column);
	for (size_t i = 0; i < n; i++)
		most = MAX(most, number_of(rows, i, column) - least);
	while (width < 8 && most >> (8 * width) != 0)
		width++;
	put_u8(t, width);
	put_u64(t, least);
	for (size_t i = 0; i < n; i++) {
		uint64_t v = htole64(number_of(rows, i, column) - least);

		put_raw(t, &v, width);
	}
}

void
chunk_encode(struct text *t, const struct row *rows, size_t n)
{
	must(n > 0 && n <= CHUNK_UIDS);
	put_u8(t, CHUNK_VERSION);
	put_u32(t, (uint32_t)n);
	for (int column = 0; column < COLUMNS; column++)
		put_column(t, rows, n, (enum column)column);
	for (size_t i = 0; i < n; i++)
		put_raw(t, rows[i].body.b, sizeof(rows[i].body.b));
}

struct packed {
	const char *p;
	size_t width;
	uint64_t least, mask;
};

/* What is read beyond the last one's end are the bodies. */
static uint64_t
unpack(const struct packed *column, size_t i)
{
	uint64_t v;

	memcpy(&v, column->p + i * column->width, sizeof(v));
	return column->least + (le64toh(v) & column->mask);
}

static struct packed
get_column(struct cursor *c, size_t n)
{
	struct packed column = { .width = get_u8(c), .least = get_u64(c) };
	size_t size = column.width * n;

	if (column.width > 8 ||
	    c->rest.n < size + n * sizeof(((struct row *)NULL)->body.b))
		c->bad = true;
	if (c->bad)
		return column;
	column.p = c->rest.p;
	column.mask = column.width == 8 ? UINT64_MAX
	    : (UINT64_C(1) << (8 * column.width)) - 1;
	c->rest = span_from(c->rest, size);
	return column;
}

/* Ascending from `first` to `last`. */
static void
get_columns(struct cursor *c, struct row *rows, size_t n, uint32_t first,
    uint32_t last)
{
	struct packed at[COLUMNS];
	uint64_t before = (uint64_t)first - 1, size = 0;

	for (int i = 0; i < COLUMNS; i++)
		at[i] = get_column(c, n);
	for (size_t i = 0; i < n && !c->bad; i++) {
		struct row *row = &rows[i];
		uint64_t uid = unpack(&at[UID], i) + i;

		c->bad = uid <= before || uid > last;
		before = uid;
		row->uid = (uint32_t)uid;
		row->size = (uint32_t)unpack(&at[SIZE], i);
		size = MAX(size, unpack(&at[SIZE], i));
		row->flags = unpack(&at[FLAGS], i);
		row->modseq = unpack(&at[MODSEQ], i) + i;
		row->internal_date = (int64_t)unpack(&at[INTERNAL_DATE], i);
		row->save_date = (int64_t)unpack(&at[SAVE_DATE], i);
		row->thread = unpack(&at[THREAD], i);
		get_raw(c, row->body.b, sizeof(row->body.b));
	}
	if (size > UINT32_MAX)
		c->bad = true;
}

int
chunk_decode(struct span record, uint32_t first_uid, struct row *rows,
    size_t *n)
{
	struct cursor c = { .rest = record };
	uint8_t version = get_u8(&c);
	uint32_t first = MAX(first_uid, 1);
	uint32_t last = MIN(first_uid + (CHUNK_UIDS - 1), UID_MAX);

	*n = get_u32(&c);
	if (*n > CHUNK_UIDS || (version != 1 && version != CHUNK_VERSION))
		c.bad = true;
	if (c.bad)
		*n = 0;
	else if (version == 1)
		get_rows(&c, rows, *n, first, last);
	else
		get_columns(&c, rows, *n, first, last);
	return whole(&c);
}

/* ---- head, numbers, tombstones, tokens ------------------------------- */

void
head_encode(struct text *t, const struct mailbox_head *h)
{
	put_version(t);
	put_u64(t, h->account);
	put_u32(t, h->uidvalidity);
	put_u32(t, h->uidnext);
	put_u64(t, h->modseq);
	put_u64(t, h->forgotten);
	put_u32(t, (uint32_t)h->keyword_count);
	for (size_t i = 0; i < h->keyword_count; i++)
		put_bytes(t, h->keywords[i]);
}

int
head_decode(struct span record, struct mailbox_head *h)
{
	struct cursor c = open_record(record);

	*h = (struct mailbox_head){ 0 };
	h->account = get_u64(&c);
	h->uidvalidity = get_u32(&c);
	h->uidnext = get_u32(&c);
	h->modseq = get_u64(&c);
	h->forgotten = get_u64(&c);
	h->keyword_count = get_count(&c, KEYWORDS_MAX, sizeof(uint32_t));
	for (size_t i = 0; i < h->keyword_count; i++)
		h->keywords[i] = get_bytes(&c, KEYWORD_NAME_MAX);
	return whole(&c) && h->uidnext > 0 && h->uidvalidity > 0;
}

void
sums_encode(struct text *t, uint64_t messages, uint64_t bytes)
{
	put_u8(t, RECORD_VERSION);
	put_u64(t, messages);
	put_u64(t, bytes);
}

int
sums_decode(struct span record, uint64_t *messages, uint64_t *bytes)
{
	struct cursor c = { .rest = record };

	if (get_u8(&c) != RECORD_VERSION)
		c.bad = true;
	*messages = get_u64(&c);
	*bytes = get_u64(&c);
	return !c.bad && c.rest.n == 0;
}

void
number_encode(struct text *t, uint64_t v)
{
	put_version(t);
	put_u64(t, v);
}

int
number_decode(struct span record, uint64_t *v)
{
	struct cursor c = open_record(record);

	*v = get_u64(&c);
	return whole(&c);
}

void
tombstones_encode(struct text *t, const struct tombstone *stones, size_t n)
{
	put_version(t);
	put_u32(t, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		put_u32(t, stones[i].first);
		put_u32(t, stones[i].last);
		put_u64(t, stones[i].modseq);
	}
}

int
tombstones_decode(struct span record, struct tombstone *stones, size_t *n)
{
	struct cursor c = open_record(record);

	*n = get_count(&c, TOMBSTONE_PAGE, 16);
	for (size_t i = 0; i < *n; i++) {
		stones[i].first = get_u32(&c);
		stones[i].last = get_u32(&c);
		stones[i].modseq = get_u64(&c);
		if (stones[i].first == 0 || stones[i].first > stones[i].last ||
		    (i > 0 && stones[i].modseq < stones[i - 1].modseq))
			c.bad = true;
	}
	return whole(&c);
}

void
seen_encode(struct text *t, const struct uids *uids)
{
	put_version(t);
	uids_put(t, uids);
}

int
seen_decode(struct span record, uint32_t first_uid, struct uids *uids)
{
	struct cursor c = open_record(record);

	uids_get(&c, uids);
	if (uids->n > 0 && (uids->at[0].first < first_uid ||
	    uids->at[uids->n - 1].last - first_uid >= SEEN_PAGE))
		c.bad = true;
	return whole(&c);
}

void
done_encode(struct text *t, const struct done *done, size_t n)
{
	put_version(t);
	put_u32(t, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		put_raw(t, done[i].token.b, sizeof(done[i].token.b));
		put_u32(t, done[i].first);
		put_u32(t, done[i].count);
		uids_put(t, &done[i].sources);
	}
}

int
done_decode(struct span record, struct done *done, size_t *n)
{
	struct cursor c = open_record(record);

	*n = get_count(&c, DONE_MAX, sizeof(done->token.b) + 9);
	memset(done, 0, *n * sizeof(*done));
	for (size_t i = 0; i < *n; i++) {
		get_raw(&c, done[i].token.b, sizeof(done[i].token.b));
		done[i].first = get_u32(&c);
		done[i].count = get_u32(&c);
		uids_get(&c, &done[i].sources);
	}
	return whole(&c);
}

/* ---- changes --------------------------------------------------------- */

static void
put_names(struct text *t, const struct change *change)
{
	put_u64(t, change->defined);
	for (unsigned i = 0; i < KEYWORDS_MAX; i++)
		if (change->defined >> (FLAG_KEYWORD_0 + i) & 1)
			put_bytes(t, change->names[i]);
}

static void
get_names(struct cursor *c, struct change *change)
{
	change->defined = get_u64(c);
	if (change->defined << (64 - FLAG_KEYWORD_0) != 0)
		c->bad = true;
	for (unsigned i = 0; i < KEYWORDS_MAX; i++)
		if (change->defined >> (FLAG_KEYWORD_0 + i) & 1)
			change->names[i] = get_bytes(c, KEYWORD_NAME_MAX);
}

void
change_encode(struct text *t, const struct change *change)
{
	must(change->row_count <= CHANGE_ROWS_MAX);
	put_version(t);
	put_u8(t, (uint8_t)change->kind);
	put_raw(t, change->token.b, sizeof(change->token.b));
	put_names(t, change);
	if (change->kind == CHANGE_ADD) {
		put_u32(t, change->total);
		put_rows(t, change->rows, change->row_count);
	}
	if (change->kind == CHANGE_FLAGS || change->kind == CHANGE_SEEN) {
		put_u8(t, (uint8_t)change->mode);
		put_u64(t, change->kind == CHANGE_SEEN ? change->user
		    : change->flags);
	}
	uids_put(t, &change->uids);
}

static void
get_added(struct cursor *c, struct change *change)
{
	change->total = get_u32(c);
	change->row_count = get_count(c, CHANGE_ROWS_MAX, ROW_BYTES);
	change->rows = xrealloc(change->rows,
	    MAX(change->row_count, (size_t)1) * sizeof(*change->rows));
	get_rows(c, change->rows, change->row_count, 1, UID_MAX);
	for (size_t i = 0; i < change->row_count && !c->bad; i++)
		change->rows[i].modseq = change->modseq;
}

int
change_decode(struct span record, uint64_t modseq, struct change *change)
{
	struct cursor c = open_record(record);

	change->kind = get_u8(&c);
	change->modseq = modseq;
	change->row_count = 0;
	get_raw(&c, change->token.b, sizeof(change->token.b));
	get_names(&c, change);
	switch (change->kind) {
	case CHANGE_ADD:
		get_added(&c, change);
		break;
	case CHANGE_FLAGS:
		change->mode = get_u8(&c);
		change->flags = get_u64(&c);
		if (change->mode > STORE_REMOVE)
			c.bad = true;
		break;
	case CHANGE_SEEN:
		change->mode = get_u8(&c);
		change->user = get_u64(&c);
		if (change->mode != STORE_ADD && change->mode != STORE_REMOVE)
			c.bad = true;
		break;
	case CHANGE_EXPUNGE:
		break;
	default:
		c.bad = true;
	}
	uids_get(&c, &change->uids);
	return whole(&c);
}

void
change_free(struct change *change)
{
	free(change->rows);
	uids_free(&change->uids);
	*change = (struct change){ 0 };
}
