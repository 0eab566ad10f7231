/*
 * digest.c - pages of summaries: which are to be made, and making them.
 *
 * A page is made once, when its last uid has been given out, and again when
 * one of its messages is gone or got another summary. The head says up to
 * which modseq the pages know what is gone: so what a crash left undone is
 * found by the tombstones behind that, and no summary outlives its message
 * for long.
 */
#include "store/digest.h"

#include "store/mailboxes.h"

#include <stdlib.h>

enum {
	HEAD_VERSION = 1,
	PAGE_VERSION = 1,
	STEP_PAGES = 16,		/* made under one look at the rows */
	WALK_MAILBOXES = 1000,
	READ_WORTH = 4,			/* rows that are worth a page */
};

static struct partition
partition_of(uint64_t mailbox)
{
	return (struct partition){ PARTITION_DIGEST, mailbox };
}

static struct key
page_key(uint32_t first)
{
	return key_u64(DIGEST_PAGE, first);
}

static uint32_t
page_of(uint32_t uid)
{
	return uid - uid % DIGEST_UIDS;
}

/* ---- the head ---------------------------------------------------------- */

static int
read_head(struct engine *engine, uint64_t mailbox, struct digest *d)
{
	struct key key = key_letter(DIGEST_HEAD);
	struct arena *arena = arena_new(4096);
	struct cursor c = { .bad = false };
	int status = engine_get(engine, partition_of(mailbox), key_span(&key),
	    arena, &c.rest);
	uint8_t version;

	if (status == 1) {
		version = get_u8(&c);
		d->upto = get_u32(&c);
		d->modseq = get_u64(&c);
		if (c.bad || version > HEAD_VERSION ||
		    d->upto % DIGEST_UIDS != 0)
			d->upto = 0;	/* a cache: made anew */
	}
	arena_free(&arena);
	return status;
}

static void
put_head(struct batch *b, uint32_t upto, uint64_t modseq)
{
	struct key key = key_letter(DIGEST_HEAD);
	struct text t = TEXT_INIT(0);

	put_u8(&t, HEAD_VERSION);
	put_u32(&t, upto);
	put_u64(&t, modseq);
	batch_put(b, key_span(&key), text_span(&t));
	text_free(&t);
}

/* ---- what is to be made ------------------------------------------------ */

static void
mark(struct digest *d, uint32_t uid)
{
	size_t page = uid / DIGEST_UIDS, byte = page / 8, room;
	uint8_t bit = (uint8_t)(1 << page % 8);

	if (uid >= d->upto)
		return;
	if (byte >= d->stale_room) {
		room = d->upto / DIGEST_UIDS / 8 + 1;
		d->stale = xrealloc(d->stale, room);
		memset(d->stale + d->stale_room, 0, room - d->stale_room);
		d->stale_room = room;
	}
	d->stale_count += (d->stale[byte] & bit) == 0;
	d->stale[byte] |= bit;
}

static void
mark_range(struct digest *d, uint32_t first, uint32_t last)
{
	uint64_t uid = page_of(first);

	for (; uid <= last && uid < d->upto; uid += DIGEST_UIDS)
		mark(d, (uint32_t)uid);
}

static uint32_t
full_upto(const struct mailbox *mb)
{
	return page_of(mb->table.uidnext);
}

static void
want(struct mailbox *mb)
{
	struct digest *d = &mb->digest;

	if (d->wanted || (d->stale_count == 0 && d->upto >= full_upto(mb)))
		return;
	d->wanted = true;
	work_add(mb->owner, WORK_DIGEST, mailbox_id(mb));
}

void
digest_load(struct mailbox *mb)
{
	const struct table *t = &mb->table;
	struct digest *d = &mb->digest;

	if (t->uidnext <= DIGEST_UIDS || read_head(mb->owner->store->engine,
	    mailbox_id(mb), d) < 0)
		return;
	d->upto = MIN(d->upto, full_upto(mb));
	if (t->forgotten > d->modseq)
		mark_range(d, 0, UINT32_MAX);
	for (size_t i = t->stone_count; i-- > 0 &&
	    t->stones[i].modseq > d->modseq;)
		mark_range(d, t->stones[i].first, t->stones[i].last);
	want(mb);
}

void
digest_unload(struct mailbox *mb)
{
	bool wanted = mb->digest.wanted;

	free(mb->digest.stale);
	mb->digest = (struct digest){ .wanted = wanted };
}

void
digest_added(struct mailbox *mb)
{
	want(mb);
}

void
digest_gone(struct mailbox *mb, const struct uids *uids)
{
	for (size_t i = 0; i < uids->n; i++)
		mark_range(&mb->digest, uids->at[i].first, uids->at[i].last);
	want(mb);
}

void
digest_changed(struct mailbox *mb, uint32_t uid)
{
	mark(&mb->digest, uid);
	want(mb);
}

/* ---- making pages ------------------------------------------------------ */

/* Some pages, and the rows that they are made of. */
struct step {
	struct mailboxes *m;
	uint64_t mailbox;
	uint32_t first[STEP_PAGES];
	size_t pages;
	struct row *rows;
	size_t n;
	uint32_t upto;			/* when they are there */
	uint64_t modseq;
	bool last;			/* nothing else is to be made */
};

static bool
take_stale(struct digest *d, uint32_t *first)
{
	for (size_t i = 0; d->stale_count > 0 && i < d->stale_room; i++) {
		unsigned bit = 0;

		if (d->stale[i] == 0)
			continue;
		while ((d->stale[i] & 1 << bit) == 0)
			bit++;
		d->stale[i] = (uint8_t)(d->stale[i] & ~(1 << bit));
		d->stale_count--;
		*first = (uint32_t)((i * 8 + bit) * DIGEST_UIDS);
		return true;
	}
	return false;
}

static void
take_rows(struct step *s, const struct table *t, uint32_t first)
{
	size_t i = table_seek(t, first);

	s->first[s->pages++] = first;
	for (; i < t->n && t->rows[i].uid - first < DIGEST_UIDS; i++)
		s->rows[s->n++] = t->rows[i];
}

static void
take_pages(struct step *s, struct mailbox *mb)
{
	uint32_t first;

	s->pages = s->n = 0;
	s->upto = mb->digest.upto;
	while (s->pages < STEP_PAGES && take_stale(&mb->digest, &first))
		take_rows(s, &mb->table, first);
	for (; s->pages < STEP_PAGES && s->upto < full_upto(mb);
	    s->upto += DIGEST_UIDS)
		take_rows(s, &mb->table, s->upto);
	s->modseq = mb->table.modseq;
	s->last = mb->digest.stale_count == 0 && s->upto == full_upto(mb);
}

/* A summary that is not there, or too large, is left out. */
static void
put_page(const struct step *s, size_t *at, uint32_t first,
    struct arena *arena, struct batch *b)
{
	struct engine *engine = s->m->store->engine;
	struct text page = TEXT_INIT(0);
	struct key key = page_key(first);
	struct span summary;

	put_u8(&page, PAGE_VERSION);
	for (; *at < s->n && s->rows[*at].uid - first < DIGEST_UIDS; ++*at) {
		arena_reset(arena);
		if (engine_body_summary(engine, s->rows[*at].body, arena,
		    &summary) != 1 || summary.n == 0 ||
		    summary.n > DIGEST_SUMMARY_MAX)
			continue;
		put_u32(&page, s->rows[*at].uid);
		put_bytes(&page, summary);
	}
	if (page.n > 1)
		batch_put(b, key_span(&key), text_span(&page));
	else
		batch_delete(b, key_span(&key));
	text_free(&page);
}

/* Under the lock: else pages could outlive a mailbox that goes meanwhile. */
static bool
commit_step(const struct step *s, struct batch *b)
{
	struct mailbox *mb;
	bool done;

	if (mailbox_enter_any(s->m, s->mailbox, &mb) != RESULT_OK)
		return false;
	put_head(b, s->upto, s->last ? s->modseq : mb->digest.modseq);
	done = !mb->removed &&
	    engine_commit(s->m->store->engine, b, NULL) == 1;
	if (done) {
		mb->digest.upto = MAX(mb->digest.upto, s->upto);
		if (s->last)
			mb->digest.modseq = s->modseq;
	}
	mailbox_leave(&mb);
	return done;
}

static bool
make_step(struct step *s)
{
	struct arena *arena = arena_new(256 << 10);
	struct batch *b = batch_new(partition_of(s->mailbox));
	size_t at = 0;
	bool done;

	for (size_t i = 0; i < s->pages; i++)
		put_page(s, &at, s->first[i], arena, b);
	done = commit_step(s, b);
	batch_free(&b);
	arena_free(&arena);
	return done;
}

/* What is to be made next. False: nothing, or no such mailbox. */
static bool
begin_step(struct step *s)
{
	struct mailbox *mb;

	if (mailbox_enter_any(s->m, s->mailbox, &mb) != RESULT_OK)
		return false;
	mb->digest.wanted = false;
	s->pages = 0;
	if (!mb->removed)
		take_pages(s, mb);
	mailbox_leave(&mb);
	return s->pages > 0;
}

/* Who begins again goes to the end of the queue. */
static void
continue_later(struct mailboxes *m, uint64_t mailbox)
{
	struct mailbox *mb;

	if (mailbox_enter_any(m, mailbox, &mb) != RESULT_OK)
		return;
	want(mb);
	mailbox_leave(&mb);
}

size_t
digest_make(struct mailboxes *m, uint64_t mailbox, size_t most)
{
	struct step s = { .m = m, .mailbox = mailbox };
	size_t made = 0;
	bool going = true;

	if (most == 0) {
		work_add(m, WORK_DIGEST, mailbox);
		return 0;
	}
	s.rows = xmalloc(STEP_PAGES * DIGEST_UIDS * sizeof(*s.rows));
	while (going && made < most && begin_step(&s)) {
		going = make_step(&s);
		made += s.pages;
	}
	free(s.rows);
	if (made >= most)
		continue_later(m, mailbox);
	return made;
}

int
digest_forget(struct engine *engine, uint64_t mailbox)
{
	return engine_drop_partition(engine, partition_of(mailbox), NULL);
}

/* Has it as many messages as a page? An older store does not say. */
static bool
is_large(struct engine *engine, uint64_t mailbox)
{
	struct key key = key_letter(MAILBOX_SUMS);
	struct arena *arena = arena_new(4096);
	struct span record;
	uint64_t messages, bytes;
	int status = engine_get(engine, (struct partition){
	    PARTITION_MAILBOX, mailbox }, key_span(&key), arena, &record);
	bool large = status == 0 || (status == 1 && sums_decode(record,
	    &messages, &bytes) && messages >= DIGEST_UIDS);

	arena_free(&arena);
	return large;
}

bool
digest_walk(struct mailboxes *m, uint64_t *at)
{
	struct engine *engine = m->store->engine;
	struct digest d = { 0 };

	for (int i = 0; i < WALK_MAILBOXES; i++) {
		if (engine_next_partition(engine, PARTITION_MAILBOX, *at,
		    at) != 1)
			return false;
		if (read_head(engine, *at, &d) == 0 && is_large(engine, *at))
			work_add(m, WORK_DIGEST, *at);
	}
	return true;
}

/* ---- reading ----------------------------------------------------------- */

struct digest_reader {
	struct engine *engine;
	uint64_t mailbox;
	const struct row *rows;
	size_t n;
	struct arena *arena;		/* of a summary that is in no page */
	struct scan *scan;
	int status;			/* of the scan: 1 it stands at a page */
	uint32_t first;			/* of that page */
	bool decided;			/* about this page: */
	uint32_t page;
	bool loaded;
	struct cursor entries;		/* what is left of it */
	uint32_t uid;			/* of the entry before */
	struct span summary;
	struct uids missed;
};

struct digest_reader *
digest_open(struct engine *engine, uint64_t mailbox, const struct row *rows,
    size_t n)
{
	struct digest_reader *r = xcalloc(1, sizeof(*r));

	r->engine = engine;
	r->mailbox = mailbox;
	r->rows = rows;
	r->n = n;
	r->arena = arena_new(256 << 10);
	return r;
}

void
digest_close(struct digest_reader **rp)
{
	struct digest_reader *r = *rp;

	if (r == NULL)
		return;
	scan_close(&r->scan);
	arena_free(&r->arena);
	uids_free(&r->missed);
	free(r);
	*rp = NULL;
}

const struct uids *
digest_missed(const struct digest_reader *r)
{
	return &r->missed;
}

static void
read_on(struct digest_reader *r)
{
	struct span key, value;
	uint64_t first;

	r->status = scan_next(r->scan, &key, &value);
	if (r->status != 1)
		return;
	r->entries = (struct cursor){ .rest = value };
	r->uid = 0;
	if (key_read_u64(key, &first) != 1 || first > UINT32_MAX ||
	    get_u8(&r->entries) != PAGE_VERSION)
		r->entries = (struct cursor){ .bad = true };
	r->first = (uint32_t)MIN(first, UINT32_MAX);
}

static void
seek(struct digest_reader *r, uint32_t first)
{
	struct key from = page_key(first);
	struct key to = key_letter_after(DIGEST_PAGE);

	scan_close(&r->scan);
	r->scan = scan_open(r->engine, partition_of(r->mailbox),
	    key_span(&from), key_span(&to));
	r->status = 0;
	if (r->scan != NULL)
		read_on(r);
}

/* Is the scan at this page now? Neighbours are read one after the other. */
static bool
load(struct digest_reader *r, uint32_t first)
{
	if (r->scan == NULL)
		seek(r, first);
	else if (r->status == 1 && r->first < first)
		read_on(r);
	if (r->status == 1 && r->first < first)
		seek(r, first);
	return r->status == 1 && r->first == first;
}

/* Are enough rows of this page wanted? */
static bool
worth(const struct digest_reader *r, size_t i)
{
	uint32_t first = page_of(r->rows[i].uid);

	return i + READ_WORTH <= r->n &&
	    r->rows[i + READ_WORTH - 1].uid - first < DIGEST_UIDS;
}

static void
decide(struct digest_reader *r, size_t i)
{
	uint32_t first = page_of(r->rows[i].uid);

	if (r->decided && r->page == first)
		return;
	r->decided = true;
	r->page = first;
	r->loaded = worth(r, i) && load(r, first);
	if (!r->loaded && worth(r, i))
		uids_add(&r->missed, r->rows[i].uid, r->rows[i].uid);
}

/* The entries ascend, as what is asked for does. */
static bool
find(struct digest_reader *r, uint32_t uid)
{
	while (r->uid < uid && r->entries.rest.n > 0 && !r->entries.bad) {
		r->uid = get_u32(&r->entries);
		r->summary = get_bytes(&r->entries, DIGEST_SUMMARY_MAX);
	}
	return r->uid == uid && !r->entries.bad;
}

int
digest_next(struct digest_reader *r, size_t i, struct span *summary)
{
	uint32_t uid = r->rows[i].uid;
	int status;

	decide(r, i);
	if (r->loaded && find(r, uid)) {
		*summary = r->summary;
		return 1;
	}
	arena_reset(r->arena);
	status = engine_body_summary(r->engine, r->rows[i].body, r->arena,
	    summary);
	/* Gone meanwhile, or never made: then it is not known. */
	if (status != 1)
		*summary = SPAN_EMPTY;
	else if (r->loaded && summary->n > 0 &&
	    summary->n <= DIGEST_SUMMARY_MAX)
		uids_add(&r->missed, uid, uid);
	return status < 0 ? -1 : 1;
}
