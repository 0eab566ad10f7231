/*
 * imap_search_run.c - SEARCH and UID SEARCH.
 *
 * Rows are taken in blocks. Most keys are answered by the view; where the
 * answer hangs on more, the details, then the header or the bytes are got for
 * those rows of the block alone. Other sessions have their turn in between.
 */
#include "imap/imap_command.h"
#include "imap/imap_message.h"
#include "imap/imap_search_match.h"
#include "imap/imap_search_parse.h"
#include "io/fiber.h"

enum {
	BLOCK = 256,
	BLOCKS_A_TURN = 16,
	BODIES_A_TURN = 8,
	GROUP_BYTES = 1 << 20,		/* of bodies got at once */
	GROUP_ALONE = 128 << 10,
};

/* What is known of one row of the block. */
struct entry {
	uint32_t index;
	struct message_row row;
	int match;			/* as imap_search_match says */
	char email_id[40], thread_id[24];
	struct summary summary;
};

struct run {
	struct imap_task *t;
	struct imap_search_command wish;
	struct imap_search_view view;
	struct imap_matcher *matcher;
	unsigned needs;
	bool by_uid;
	struct arena *arena, *block_arena;
	struct entry block[BLOCK];
	size_t count;
	unsigned bodies;
	/* The result. */
	struct imap_ranges all;
	struct text list;		/* " 2 5 6" */
	uint32_t found, first, last;
	uint64_t modseq, first_modseq, last_modseq;
};

/* -- one row ---- */

static struct imap_search_message
message_of(const struct run *r, const struct entry *e)
{
	const struct message_row *row = &e->row;

	return (struct imap_search_message){
		.sequence = e->index + 1, .uid = row->uid,
		.flags = imap_view_flags(&r->t->s->box->view, row),
		.modseq = imap_row_modseq(row), .size = row->size,
		.internal_date = { .seconds = row->internal_date },
	};
}

static void
add_details(struct entry *e, const struct message_detail *detail,
    struct imap_search_message *m)
{
	struct text id = TEXT_INIT(sizeof(e->email_id));

	imap_add_email_id(&id, detail);
	memcpy(e->email_id, id.p, id.n);
	m->email_id = span_of(e->email_id, id.n);
	text_clear(&id);
	imap_add_thread_id(&id, detail);
	memcpy(e->thread_id, id.p, id.n);
	m->thread_id = span_of(e->thread_id, id.n);
	text_free(&id);
	m->has_details = true;
	m->save_date = (struct date){ .seconds = detail->save_date };
	if (summary_open(detail->summary, m->size, &e->summary) == 1)
		m->summary = &e->summary;
}

static int
match(struct run *r, const struct imap_search_message *m)
{
	return imap_search_match(r->matcher, r->wish.root, &r->view, m);
}

/* The header, and if it still hangs on more the whole message. */
static int
match_bytes(struct run *r, struct imap_message *bytes,
    struct imap_search_message *m)
{
	int status, result = -1;

	if (m->bytes.p == NULL && (r->needs & IMAP_NEED_BYTES) == 0) {
		if ((status = imap_message_header(bytes, &m->header)) != 1)
			return status;
		result = match(r, m);
	}
	if (result == -1) {
		if ((status = imap_message_bytes(bytes, 0, bytes->size,
		    &m->bytes)) != 1)
			return status;
		result = match(r, m);
	}
	if (++r->bodies % BODIES_A_TURN == 0)
		(void)fiber_yield();
	return result == -1 ? 0 : result;
}

/* 1, 0; -1 the store is away. */
static int
match_entry(struct run *r, struct entry *e, const struct message_detail *detail,
    struct span body)
{
	struct imap_search_message m = message_of(r, e);
	struct imap_message bytes;
	int result = -1;

	if (detail != NULL && detail->uid == 0)
		return 0;	/* gone */
	if (detail != NULL) {
		add_details(e, detail, &m);
		result = match(r, &m);
	}
	if (result != -1)
		return result;
	imap_message_begin(&bytes, r->t, r->t->s->box, r->arena, &e->row);
	bytes.held = body;
	result = match_bytes(r, &bytes, &m);
	imap_message_end(&bytes);
	return result;
}

/* -- a block ---- */

/* The rows that hang on more than the view knows. */
struct open_rows {
	size_t entry[BLOCK];
	uint32_t uid[BLOCK];
	struct message_detail *details;
	struct span bodies[BLOCK];
	size_t count;
};

static uint64_t
size_of(const struct run *r, const struct open_rows *o, size_t i)
{
	return r->block[o->entry[i]].row.size;
}

/* From `from` on, as many as are got together: small ones. Of a larger message
 * the header, where that will do, is got by itself. */
static size_t
group_end(const struct run *r, const struct open_rows *o, size_t from)
{
	uint64_t alone = (r->needs & IMAP_NEED_BYTES) != 0 ? GROUP_ALONE
	    : IMAP_MESSAGE_HEADER;
	uint64_t bytes = 0;
	size_t end = from;

	while (end < o->count && size_of(r, o, end) <= alone &&
	    bytes + size_of(r, o, end) <= GROUP_BYTES)
		bytes += size_of(r, o, end++);
	return MAX(end, from + 1);
}

static int
match_group(struct run *r, struct open_rows *o, size_t from, size_t end)
{
	struct blob blob = BLOB_OF(SPAN_EMPTY);
	int status = 1;

	memset(o->bodies + from, 0, (end - from) * sizeof(*o->bodies));
	if ((r->needs & (IMAP_NEED_BYTES | IMAP_NEED_HEADER)) != 0 &&
	    end - from > 1)
		status = imap_get_bodies(r->t->s->box, r->block_arena,
		    o->uid + from, end - from, o->bodies + from, &blob);
	for (size_t i = from; status == 1 && i < end; i++) {
		struct entry *e = &r->block[o->entry[i]];

		if (o->bodies[i].n != size_of(r, o, i))
			o->bodies[i] = SPAN_EMPTY;
		e->match = match_entry(r, e, o->details == NULL ? NULL
		    : &o->details[i], o->bodies[i]);
		if (e->match == -1)
			status = -1;
	}
	blob_release(&blob);
	return status;
}

static int
match_open(struct run *r)
{
	struct open_rows *o = arena_zalloc(r->block_arena, sizeof(*o));
	int status = 1;

	if (o == NULL)
		return -1;
	for (size_t i = 0; i < r->count; i++)
		if (r->block[i].match == -1) {
			o->uid[o->count] = r->block[i].row.uid;
			o->entry[o->count++] = i;
		}
	if (o->count > 0 &&
	    (r->needs & (IMAP_NEED_DETAILS | IMAP_NEED_SUMMARY)) != 0) {
		o->details = arena_alloc(r->block_arena,
		    o->count * sizeof(*o->details));
		if (o->details == NULL)
			return -1;
		status = imap_get_details(r->t->s->box, r->block_arena,
		    o->uid, o->count, (r->needs & IMAP_NEED_SUMMARY) != 0, o->details);
	}
	for (size_t i = 0; status == 1 && i < o->count;) {
		size_t end = group_end(r, o, i);

		status = match_group(r, o, i, end);
		i = end;
	}
	return status;
}

static void
note_match(struct run *r, const struct entry *e)
{
	uint32_t number = r->by_uid ? e->row.uid : e->index + 1;
	uint64_t modseq = imap_row_modseq(&e->row);

	if (r->found++ == 0) {
		r->first = number;
		r->first_modseq = modseq;
	}
	r->last = number;
	r->last_modseq = modseq;
	r->modseq = MAX(r->modseq, modseq);
	if (r->wish.returns == 0) {
		text_char(&r->list, ' ');
		text_u64(&r->list, number);
	} else if ((r->wish.returns & IMAP_RETURN_ALL) != 0) {
		imap_ranges_add(&r->all, number);
	}
}

/* The next rows; returns where the block after this one begins. */
static uint32_t
take_block(struct run *r, uint32_t from)
{
	const struct imap_view *view = &r->t->s->box->view;
	uint32_t i = from;

	for (r->count = 0; i < imap_view_count(view) && r->count < BLOCK;
	    i++) {
		const struct message_row *row = imap_view_row(view, i);
		struct entry *e = &r->block[r->count];
		struct imap_search_message m;

		if (row == NULL)
			continue;
		e->index = i;
		e->row = *row;
		m = message_of(r, e);
		e->match = match(r, &m);
		r->count++;
	}
	return i;
}

static int
search(struct run *r)
{
	uint32_t at = 0;
	unsigned blocks = 0;
	int status = 1;

	while (status == 1 && at < imap_view_count(&r->t->s->box->view)) {
		at = take_block(r, at);
		if (r->needs != 0)
			status = match_open(r);
		for (size_t i = 0; status == 1 && i < r->count; i++)
			if (r->block[i].match == 1)
				note_match(r, &r->block[i]);
		arena_reset(r->block_arena);
		if (r->wish.returns == IMAP_RETURN_MIN && r->found > 0)
			break;
		if (++blocks % BLOCKS_A_TURN == 0)
			(void)fiber_yield();
	}
	imap_ranges_end(&r->all);
	return status;
}

/* -- the answer ---- */

static void
say_search(struct run *r)
{
	struct stream *out = r->t->s->stream;

	stream_str(out, "* SEARCH");
	stream_write(out, text_span(&r->list));
	if (r->wish.has_modseq && r->found > 0)
		stream_printf(out, " (MODSEQ %" PRIu64 ")", r->modseq);
	stream_str(out, "\r\n");
}

/* RFC 7162 3.1.10: of the messages that are returned. */
static uint64_t
returned_modseq(const struct run *r)
{
	switch (r->wish.returns) {
	case IMAP_RETURN_MIN:
		return r->first_modseq;
	case IMAP_RETURN_MAX:
		return r->last_modseq;
	case IMAP_RETURN_MIN | IMAP_RETURN_MAX:
		return MAX(r->first_modseq, r->last_modseq);
	default:
		return r->modseq;
	}
}

static void
say_esearch(struct run *r)
{
	unsigned returns = r->wish.returns;
	struct text line = TEXT_INIT(0);

	text_str(&line, "* ESEARCH (TAG \"");
	text_add(&line, r->t->tag);
	text_str(&line, r->by_uid ? "\") UID" : "\")");
	if ((returns & IMAP_RETURN_MIN) != 0 && r->found > 0)
		text_printf(&line, " MIN %u", r->first);
	if ((returns & IMAP_RETURN_MAX) != 0 && r->found > 0)
		text_printf(&line, " MAX %u", r->last);
	if ((returns & IMAP_RETURN_COUNT) != 0)
		text_printf(&line, " COUNT %u", r->found);
	if ((returns & IMAP_RETURN_ALL) != 0 && r->found > 0) {
		text_str(&line, " ALL ");
		text_add(&line, text_span(&r->all.text));
	}
	if (r->wish.has_modseq && r->found > 0)
		text_printf(&line, " MODSEQ %" PRIu64, returned_modseq(r));
	text_str(&line, "\r\n");
	stream_write(r->t->s->stream, text_span(&line));
	text_free(&line);
}

/* Keywords become bits of this mailbox. */
static void
resolve(const struct imap_view *view, struct imap_search_key *key)
{
	for (; key != NULL; key = key->next) {
		if (key->kind == IMAP_SEARCH_KEYWORD)
			key->flags = imap_view_keyword(view, key->text);
		resolve(view, key->list);
	}
}

static struct imap_reply
run_search(struct run *r)
{
	struct mime_limits limits = MIME_LIMITS_DEFAULT;
	int status;

	r->arena = imap_arena_get();
	r->block_arena = imap_arena_get();
	if (r->needs != 0)
		r->matcher = imap_matcher_new(&limits);
	status = search(r);
	if (status == 1 && r->wish.returns == 0)
		say_search(r);
	else if (status == 1)
		say_esearch(r);
	imap_matcher_free(&r->matcher);
	text_free(&r->list);
	text_free(&r->all.text);
	imap_arena_put(&r->block_arena);
	imap_arena_put(&r->arena);
	return status == 1 ? imap_ok("Searched") : imap_unavailable();
}

struct imap_reply
imap_search(struct imap_task *t)
{
	struct run *r = arena_zalloc(t->arena, sizeof(*r));
	const struct imap_view *view = &t->s->box->view;

	if (r == NULL)
		return imap_no_memory();
	if (!imap_parse_search(&t->in, &r->wish))
		return imap_bad_syntax(t);
	switch (imap_search_prepare(r->wish.root, r->wish.charset, t->arena)) {
	case 1:
		break;
	case 0:
		return imap_no("BADCHARSET (US-ASCII UTF-8)",
		    "Unknown charset");
	case -2:
		return imap_bad("A string is not of that charset");
	default:
		return imap_no_memory();
	}
	if (r->wish.has_modseq)
		imap_turn_on(t->s, IMAP_CONDSTORE);
	resolve(view, r->wish.root);
	r->t = t;
	r->by_uid = (t->command->how & IMAP_BY_UID) != 0;
	r->needs = imap_search_needs(r->wish.root);
	r->view = (struct imap_search_view){ .last_sequence = imap_view_count(view),
	    .last_uid = imap_view_last_uid(view),
	    .now = clock_wall_seconds() };
	return run_search(r);
}
