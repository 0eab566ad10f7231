/*
 * imap_fetch.c - FETCH and UID FETCH (RFC 3501 6.4.5).
 *
 * What the view knows costs no call. For the rest messages are taken in
 * batches: one call for their details, one for their \Seen, one for their
 * bytes when they are small; large ones go through in pieces and are never
 * held. A row that vanished under our hands is left out, and said at the end.
 */
#include "imap/imap_fetch.h"

#include "imap/imap_binary.h"
#include "imap/imap_command.h"
#include "imap/imap_fetch_batch.h"
#include "imap/imap_message.h"
#include "imap/imap_resync.h"
#include "imap/imap_rows.h"
#include "io/fiber.h"
#include "ipc/wire.h"
#include "mail/date.h"

/* A batch begins small, for an early answer, and grows to the most. */
enum {
	BATCH_ROWS = 64, BATCH_ROWS_MOST = 1024,
	BATCH_BYTES = 256 << 10,	/* of messages got at once */
	BATCH_BYTES_MOST = 2 << 20,
	AHEAD = 2,			/* that are got while one is told */
	ALONE = 128 << 10,		/* larger ones are got by themselves */
	LINE_FULL = 64 << 10,		/* then it goes to the stream */
	LINE_SECTION = 32 << 10,	/* shorter ones stand in the line */
	ROWS_FULL = 64 << 10,
	ROWS_A_TURN = 8192,
};

struct run {
	struct imap_task *t;
	struct imap_fetch wish;
	struct imap_picks picks;
	struct imap_walk walk;
	struct text line;
	bool line_begun;		/* some of it went to the stream */
	bool item_said;			/* of this message */
	bool seen;			/* set \Seen by the way */
	bool uid_only;			/* RFC 9586: "* 9 UIDFETCH (" */
	bool missing;			/* a message was gone */
	bool unknown_encoding;		/* BINARY could not be decoded */
	struct arena *arena;		/* of one message */
	struct imap_batch *batch;	/* that is told now */
	struct imap_batch *ahead[AHEAD];	/* being got, in this order */
	size_t ahead_count;		/* behind them: memory for others */
	size_t rows_at_once;
	uint64_t bytes_at_once;
	uint64_t left;			/* rows not yet in a batch, at most */
};

/* NULL: it is gone. Good until we wait. */
static const struct message_row *
row_at(const struct run *r, uint32_t index)
{
	return imap_view_row(&r->t->s->box->view, index);
}

/* -- items of the row ---- */

static void
put_line(struct run *r)
{
	stream_write(r->t->s->stream, text_span(&r->line));
	text_clear(&r->line);
}

static void
add_modseq(struct text *line, const struct message_row *row)
{
	text_str(line, "MODSEQ (");
	text_u64(line, imap_row_modseq(row));
	text_char(line, ')');
}

static void
add_flags(struct run *r, const struct message_row *row)
{
	const struct imap_view *view = &r->t->s->box->view;

	text_str(&r->line, "FLAGS (");
	imap_view_add_flags(view, &r->line, imap_view_flags(view, row));
	text_char(&r->line, ')');
	if (imap_has(r->t->s, IMAP_CONDSTORE) && !r->wish.shows_modseq) {
		text_char(&r->line, ' ');
		add_modseq(&r->line, row);
	}
}

static void
add_date(struct text *line, const char *name, int64_t seconds)
{
	text_str(line, name);
	text_str(line, " \"");
	date_add_imap(line, (struct date){ .seconds = seconds });
	text_char(line, '"');
}

/* True: it was one of these. */
static bool
add_row_item(struct run *r, enum imap_fetch_kind kind,
    const struct message_row *row)
{
	switch (kind) {
	case IMAP_FETCH_UID:
		text_str(&r->line, "UID ");
		text_u64(&r->line, row->uid);
		return true;
	case IMAP_FETCH_FLAGS:
		add_flags(r, row);
		return true;
	case IMAP_FETCH_INTERNALDATE:
		add_date(&r->line, "INTERNALDATE", row->internal_date);
		return true;
	case IMAP_FETCH_SIZE:
		text_str(&r->line, "RFC822.SIZE ");
		text_u64(&r->line, row->size);
		return true;
	case IMAP_FETCH_MODSEQ:
		add_modseq(&r->line, row);
		return true;
	default:
		return false;
	}
}

/* -- items of the details and the summary ---- */

static void
add_detail_item(struct run *r, enum imap_fetch_kind kind,
    const struct message_detail *detail)
{
	switch (kind) {
	case IMAP_FETCH_EMAILID:
		text_str(&r->line, "EMAILID (");
		imap_add_email_id(&r->line, detail);
		text_char(&r->line, ')');
		break;
	case IMAP_FETCH_THREADID:
		if (detail->thread == 0) {
			text_str(&r->line, "THREADID NIL");
			break;
		}
		text_str(&r->line, "THREADID (");
		imap_add_thread_id(&r->line, detail);
		text_char(&r->line, ')');
		break;
	default:
		add_date(&r->line, "SAVEDATE", detail->save_date);
		break;
	}
}

static int
add_summary_item(struct run *r, enum imap_fetch_kind kind,
    struct imap_message *m)
{
	struct summary_envelope envelope;
	int status;

	if (kind == IMAP_FETCH_ENVELOPE) {
		if ((status = imap_message_summary(m)) != 1)
			return status;
		if (summary_envelope(&m->summary, m->arena, &envelope) != 1)
			return -1;
		text_str(&r->line, "ENVELOPE ");
		imap_add_envelope(&r->line, &envelope,
		    imap_text_mode(r->t->s));
		return 1;
	}
	if ((status = imap_message_parts(m)) != 1)
		return status;
	text_str(&r->line, kind == IMAP_FETCH_BODY ? "BODY "
	    : "BODYSTRUCTURE ");
	imap_add_body(&r->line, m->root, kind == IMAP_FETCH_BODYSTRUCTURE,
	    imap_text_mode(r->t->s));
	return 1;
}

/* -- BODY[section] ---- */

static void
add_name(struct run *r, const struct imap_fetch_item *item)
{
	if (item->name != NULL)
		text_str(&r->line, item->name);
	else
		imap_add_section(&r->line, &item->section);
	text_char(&r->line, ' ');
}

/* Where the section lies. 1, 0 no such part (or message), -1. */
static int
locate(const struct imap_section *section, struct imap_message *m,
    struct imap_extent *extent, bool *there)
{
	struct summary top = { .size = m->size };
	struct span header;
	int status = 1;

	*there = true;
	*extent = (struct imap_extent){ 0, m->size };
	if (imap_section_needs_parts(section)) {
		if ((status = imap_message_parts(m)) == 1)
			*there = imap_section_extent(section, &m->summary,
			    m->root, extent) == 1;
	} else if (section->kind != IMAP_SECTION_ALL) {
		if ((status = imap_message_header(m, &header)) == 1) {
			top.header_size = header.n;
			*there = imap_section_extent(section, &top, NULL,
			    extent) == 1;
		}
	}
	return status;
}

/* HEADER.FIELDS: chosen out of the header, then cut. */
static int
add_fields(struct run *r, const struct imap_fetch_item *item,
    struct imap_message *m, struct imap_extent extent)
{
	const struct imap_section *section = &item->section;
	struct text fields = TEXT_INIT(0);
	struct imap_extent part;
	struct span header;
	int status;

	if ((status = imap_message_bytes(m, extent.at, extent.size,
	    &header)) != 1)
		return status;
	imap_add_section_fields(&fields, section, header);
	part = imap_section_partial(section,
	    (struct imap_extent){ 0, fields.n });
	add_name(r, item);
	text_printf(&r->line, "{%" PRIu64 "}\r\n", part.size);
	put_line(r);
	r->line_begun = true;
	imap_write_bytes(r->t->s->stream, span_sub(text_span(&fields), (size_t)part.at,
	    (size_t)part.size));
	text_free(&fields);
	return 1;
}

/* As imap_write_bytes() has them; with others in one write. */
static void
add_bytes(struct run *r, struct span bytes)
{
	char *to;

	to = text_room(&r->line, bytes.n);
	if (bytes.n == 0 || to == NULL)
		return;
	memcpy(to, bytes.p, bytes.n);
	for (char *end = to + bytes.n; (to = memchr(to, '\0',
	    (size_t)(end - to))) != NULL; to++)
		*to = (char)0x80;
	text_grew(&r->line, bytes.n);
}

/* A literal, once begun, must be ended: or the connection is. */
static int
write_extent(struct run *r, struct imap_message *m, struct imap_extent left,
    struct span bytes)
{
	for (;;) {
		imap_write_bytes(r->t->s->stream, bytes);
		left.at += bytes.n;
		left.size -= bytes.n;
		if (left.size == 0)
			return 1;
		if (imap_message_bytes(m, left.at,
		    MIN(left.size, IMAP_MESSAGE_CHUNK), &bytes) == 1 &&
		    stream_error(r->t->s->stream) == 0)
			continue;
		r->t->s->bye = "";
		return -1;
	}
}

static int
add_section(struct run *r, const struct imap_fetch_item *item,
    struct imap_message *m)
{
	const struct imap_section *section = &item->section;
	struct imap_extent extent;
	struct span bytes;
	bool there;
	int status;

	m->read_ahead = section->is_partial;
	if ((status = locate(section, m, &extent, &there)) != 1)
		return status;
	if (!there) {
		add_name(r, item);
		text_str(&r->line, "NIL");
		return 1;
	}
	if (section->kind == IMAP_SECTION_FIELDS ||
	    section->kind == IMAP_SECTION_FIELDS_NOT)
		return add_fields(r, item, m, extent);
	extent = imap_section_partial(section, extent);
	if ((status = imap_message_bytes(m, extent.at,
	    MIN(extent.size, IMAP_MESSAGE_CHUNK), &bytes)) != 1)
		return status;
	add_name(r, item);
	text_char(&r->line, '{');
	text_u64(&r->line, extent.size);
	text_str(&r->line, "}\r\n");
	if (bytes.n == extent.size && bytes.n <= LINE_SECTION &&
	    r->line.n < LINE_FULL) {
		add_bytes(r, bytes);
		return 1;
	}
	put_line(r);
	r->line_begun = true;
	return write_extent(r, m, extent, bytes);
}

/* -- BINARY, PREVIEW ---- */

/*
 * RFC 3516 4.3. What cannot be decoded is left out of the response, and the
 * command fails at its end.
 */
static int
measure_binary(struct run *r, const struct imap_fetch_item *item,
    struct imap_message *m, struct imap_binary *binary)
{
	int status = imap_binary_measure(m, &item->section, binary);

	if (status == 1)
		r->unknown_encoding |= !binary->is_known;
	return status;
}

static int
add_binary_size(struct run *r, const struct imap_fetch_item *item,
    struct imap_message *m)
{
	struct imap_binary binary;
	int status = measure_binary(r, item, m, &binary);

	if (status != 1 || !binary.is_known)
		return status;
	imap_binary_add_name(&r->line, "BINARY.SIZE", &item->section);
	text_u64(&r->line, binary.size);
	return 1;
}

static int
add_binary(struct run *r, const struct imap_fetch_item *item,
    struct imap_message *m)
{
	struct imap_binary binary;
	int status = measure_binary(r, item, m, &binary);

	if (status != 1 || !binary.is_known)
		return status;
	imap_binary_add_name(&r->line, "BINARY", &item->section);
	if (!binary.is_there) {
		text_str(&r->line, "NIL");
		return 1;
	}
	text_printf(&r->line, "%s{%" PRIu64 "}\r\n", binary.has_nul ? "~"
	    : "", binary.part.size);
	put_line(r);
	r->line_begun = true;
	if (imap_binary_write(m, &binary, r->t->s->stream) == 1 &&
	    stream_error(r->t->s->stream) == 0)
		return 1;
	r->t->s->bye = "";
	return -1;
}

static int
add_preview(struct run *r, const struct imap_fetch_item *item,
    struct imap_message *m)
{
	int status;

	if (item->lazy && !imap_message_has_summary(m)) {
		text_str(&r->line, "PREVIEW NIL");
		return 1;
	}
	if ((status = imap_message_summary(m)) != 1)
		return status;
	text_str(&r->line, "PREVIEW ");
	imap_add_string(&r->line, m->summary.preview,
	    imap_text_mode(r->t->s));
	return 1;
}

/* -- one message ---- */

static int
add_item(struct run *r, const struct imap_fetch_item *item,
    struct imap_message *m, const struct message_row *row, size_t i)
{
	if (add_row_item(r, item->kind, row))
		return 1;
	switch (item->kind) {
	case IMAP_FETCH_EMAILID:
	case IMAP_FETCH_THREADID:
	case IMAP_FETCH_SAVEDATE:
		add_detail_item(r, item->kind, &r->batch->details[i]);
		return 1;
	case IMAP_FETCH_SECTION:
		return add_section(r, item, m);
	case IMAP_FETCH_BINARY:
		return add_binary(r, item, m);
	case IMAP_FETCH_BINARY_SIZE:
		return add_binary_size(r, item, m);
	case IMAP_FETCH_PREVIEW:
		return add_preview(r, item, m);
	default:
		return add_summary_item(r, item->kind, m);
	}
}

/* What is left of a response whose message went away in the middle of it:
 * a section may be NIL, nothing else may. */
static void
add_nothing(struct run *r, const struct imap_fetch_item *item)
{
	if (item->kind != IMAP_FETCH_SECTION &&
	    item->kind != IMAP_FETCH_BINARY) {
		r->t->s->bye = "";
		return;
	}
	if (r->item_said)
		text_char(&r->line, ' ');
	if (item->kind == IMAP_FETCH_BINARY)
		imap_binary_add_name(&r->line, "BINARY", &item->section);
	else
		add_name(r, item);
	text_str(&r->line, "NIL");
}

static void
end_row(struct run *r, const struct message_row *row, uint32_t index)
{
	bool shown = r->wish.shows_flags;

	if (!shown && r->seen &&
	    imap_view_changed(&r->t->s->box->view, index)) {
		text_char(&r->line, ' ');
		add_flags(r, row);
		shown = true;
	}
	if (shown)
		imap_view_told(&r->t->s->box->view, index);
	text_str(&r->line, ")\r\n");
}

/* An item and the space before it; or neither. */
static int
add_spaced(struct run *r, const struct imap_fetch_item *item,
    struct imap_message *m, const struct message_row *row, size_t i)
{
	bool space = r->item_said;
	size_t before = r->line.n;
	int status;

	if (space)
		text_char(&r->line, ' ');
	status = add_item(r, item, m, row, i);
	if (r->line.n == before + space)
		r->line.n = before;
	else
		r->item_said = true;
	return status;
}

/* 1 told, 0 it is gone (nothing was said of it, if possible), -1. */
static int
say_row(struct run *r, struct imap_message *m, const struct message_row *row,
    uint32_t index, size_t i)
{
	size_t begin = r->line.n, n;
	int status = 1;

	r->line_begun = r->item_said = false;
	imap_add_number_line(&r->line, r->uid_only ? row->uid : index + 1,
	    r->uid_only ? " UIDFETCH (" : " FETCH (");
	for (n = 0; n < r->wish.count; n++) {
		if (status == 1)
			status = add_spaced(r, &r->wish.items[n], m, row, i);
		if (status != 1 && (!r->line_begun || r->t->s->bye != NULL))
			break;
		if (status != 1)
			add_nothing(r, &r->wish.items[n]);
	}
	if (n < r->wish.count || !r->item_said) {
		r->line.n = r->line_begun ? 0 : begin;
		return status;
	}
	end_row(r, row, index);
	if (r->line.n >= LINE_FULL)
		put_line(r);
	return status;
}

/* -- a batch ---- */

/* CHANGEDSINCE lets it pass. */
static bool
changed(const struct run *r, uint32_t index)
{
	return !r->wish.is_conditional ||
	    imap_row_modseq(row_at(r, index)) > r->wish.changed_since;
}

static bool
wanted(struct run *r, uint32_t index)
{
	if (row_at(r, index) != NULL)
		return changed(r, index);
	r->missing = true;
	return false;
}

/* How much of it is got together with others; 0: nothing. */
static uint64_t
shared_bytes(const struct run *r, const struct message_row *row)
{
	if (!r->wish.needs_bytes)
		return 0;
	if (r->wish.headers_only && row->size > IMAP_MESSAGE_HEADER)
		return 0;
	return row->size;
}

static void
grow_batches(struct run *r)
{
	r->rows_at_once = MIN(2 * r->rows_at_once, (size_t)BATCH_ROWS_MOST);
	r->bytes_at_once = MIN(2 * r->bytes_at_once,
	    (uint64_t)BATCH_BYTES_MOST);
}

/* The next rows, as many as go together. False: there are none; or no memory. */
static bool
take_batch(struct run *r, struct imap_batch *b)
{
	uint64_t bytes = 0;
	uint32_t index;

	if (r->left == 0 || !imap_batch_empty(b, (size_t)MIN(r->left,
	    r->rows_at_once)))
		return false;
	while (b->count < b->room) {
		struct imap_walk before = r->walk;
		uint64_t more;

		if (!imap_walk(&r->picks, &r->walk, &index)) {
			r->left = 0;
			break;
		}
		r->left--;
		if (!wanted(r, index))
			continue;
		b->rows[b->count] = *row_at(r, index);
		more = shared_bytes(r, &b->rows[b->count]);
		if (b->count > 0 && (more > ALONE ||
		    bytes + more > r->bytes_at_once)) {
			r->walk = before;
			r->left++;
			break;
		}
		bytes += more;
		b->together[b->count] = more > 0;
		b->index[b->count++] = index;
		if (more > ALONE)
			break;
	}
	b->wants_details = r->wish.needs_details;
	b->wants_summary = r->wish.needs_summary;
	b->wants_bodies = r->wish.needs_bytes;
	grow_batches(r);
	return b->count > 0 || (r->left > 0 && take_batch(r, b));
}

/* \Seen for those that lack it: one call. RFC 3501 6.4.5. */
static int
set_seen(struct run *r)
{
	struct imap_session *s = r->t->s;
	const struct imap_batch *b = r->batch;
	struct text uids = TEXT_INIT(0);
	struct message_store_request request = { .grant = s->grant,
	    .mailbox = s->box->id, .mode = STORE_ADD, .flags = FLAG_SEEN,
	    .unchanged_since = UINT64_MAX, .watch = imap_mailbox_watch(s->box),
	    .since = imap_view_modseq(&s->box->view) };
	struct message_store_reply reply;
	int status = 1;

	for (size_t i = 0; i < b->count; i++)
		if ((b->rows[i].flags & FLAG_SEEN) == 0)
			uid_range_put(&uids, &(struct uid_range){
			    .first = b->rows[i].uid, .last = b->rows[i].uid });
	if (uids.n == 0)
		goto out;
	request.uids = BLOB_OF(text_span(&uids));
	if (call_message_store(imap_store(), b->arena, &request,
	    &reply) != 1) {
		status = -1;
		goto out;
	}
	if (reply.result != RESULT_OK ||
	    !imap_apply(s->box, &IMAP_CHANGES(reply)))
		status = -1;
	blob_release(&reply.modified);
	blob_release(&reply.rows);
	blob_release(&reply.vanished);
out:
	text_free(&uids);
	return status;
}

static int
say_batch_row(struct run *r, size_t i)
{
	struct imap_batch *b = r->batch;
	const struct message_row *now = row_at(r, b->index[i]);
	struct imap_message m;
	int status;

	if (b->details != NULL && b->details[i].uid == 0)
		return 0;
	if (now != NULL)
		b->rows[i] = *now;	/* its flags may be others */
	imap_message_begin(&m, r->t, r->t->s->box, r->arena, &b->rows[i]);
	if (b->details != NULL)
		m.record = b->details[i].summary;
	if (b->bodies != NULL)
		m.held = b->bodies[i];
	status = say_row(r, &m, &b->rows[i], b->index[i], i);
	imap_message_end(&m);
	return status;
}

static int
say_batch(struct run *r)
{
	int status = imap_batch_wait(r->batch);

	if (status == 1 && r->seen)
		status = set_seen(r);
	for (size_t i = 0; status != -1 && i < r->batch->count; i++) {
		status = say_batch_row(r, i);
		if (status == 0)
			r->missing = true;
	}
	return status == -1 ? -1 : 1;
}

/* The next batches are on their way while this one is told. */
static void
look_ahead(struct run *r)
{
	while (r->ahead_count < AHEAD &&
	    take_batch(r, r->ahead[r->ahead_count]))
		imap_batch_begin(r->ahead[r->ahead_count++]);
}

/* The first of them is next. False: there is none. */
static bool
next_batch(struct run *r)
{
	struct imap_batch *told = r->batch;

	if (r->ahead_count == 0)
		return false;
	r->batch = r->ahead[0];
	memmove(r->ahead, r->ahead + 1,
	    (AHEAD - 1) * sizeof(struct imap_batch *));
	r->ahead[AHEAD - 1] = told;
	r->ahead_count--;
	return true;
}

static int
say_batches(struct run *r)
{
	bool more = take_batch(r, r->batch);
	int status = 1;

	if (more && r->left == 0)
		imap_batch_get(r->batch);
	else if (more)
		imap_batch_begin(r->batch);
	while (more && status == 1 && stream_error(r->t->s->stream) == 0) {
		look_ahead(r);
		status = say_batch(r);
		more = next_batch(r);
	}
	return status;
}

/* -- the command ---- */

/* Nothing but numbers and flags: many of them, and often. */
static void
say_rows(struct run *r)
{
	struct imap_view *view = &r->t->s->box->view;
	struct imap_rows rows;
	uint32_t index;

	imap_rows_begin(&rows, view, &r->wish, r->uid_only,
	    imap_has(r->t->s, IMAP_CONDSTORE));
	while (imap_walk(&r->picks, &r->walk, &index)) {
		if (!wanted(r, index))
			continue;
		imap_rows_add(&rows, &r->line, row_at(r, index), index + 1);
		if (r->wish.shows_flags)
			imap_view_told(view, index);
		if (r->line.n < ROWS_FULL)
			continue;
		put_line(r);
		(void)fiber_share();
	}
	imap_rows_end(&rows);
}

/* The view knows everything that was asked for. */
static void
say_from_view(struct run *r)
{
	struct message_row row;
	uint32_t index;
	unsigned rows = 0;

	while (imap_walk(&r->picks, &r->walk, &index)) {
		if (!wanted(r, index))
			continue;
		row = *row_at(r, index);
		say_row(r, NULL, &row, index, 0);
		if (++rows % ROWS_A_TURN == 0)
			(void)fiber_yield();
	}
}

static struct imap_reply
run_fetch(struct run *r)
{
	const struct imap_fetch *w = &r->wish;
	int status = 1;

	if (imap_rows_can(w))
		say_rows(r);
	else if (!w->needs_details && !w->needs_summary && !w->needs_bytes)
		say_from_view(r);
	else
		status = say_batches(r);
	put_line(r);
	if (status == -1)
		return imap_unavailable();
	if (r->missing && (r->t->command->how & IMAP_BY_UID) == 0)
		return imap_expunge_issued();
	if (r->unknown_encoding)
		return imap_no("UNKNOWN-CTE", "An encoding is not known");
	return imap_ok("Fetched");
}

/* RFC 7162 3.2.6. */
static bool
may_ask_vanished(const struct imap_task *t, const struct imap_fetch *wish)
{
	return imap_has(t->s, IMAP_QRESYNC) && !wish->set.saved &&
	    (t->command->how & IMAP_BY_UID) != 0;
}

struct imap_reply
imap_fetch(struct imap_task *t)
{
	struct run *r = arena_zalloc(t->arena, sizeof(*r));
	struct imap_reply why;

	if (r == NULL)
		return imap_no_memory();
	r->t = t;
	r->line = TEXT_INIT(0);
	r->uid_only = imap_has(t->s, IMAP_UIDONLY);
	if (!imap_parse_fetch(&t->in, (t->command->how & IMAP_BY_UID) != 0 &&
	    !r->uid_only, &r->wish))
		return imap_bad_syntax(t);
	if (r->wish.vanished && !may_ask_vanished(t, &r->wish))
		return imap_bad("VANISHED goes with QRESYNC and UID FETCH");
	if (r->wish.partial.first != 0 &&
	    (t->command->how & IMAP_BY_UID) == 0)
		return imap_bad("PARTIAL goes with UID FETCH");
	if (!imap_pick(t, &r->wish.set, &r->picks, &why))
		return why;
	imap_limit(t, &r->picks);
	if (r->wish.partial.first != 0)
		imap_pick_partial(t, &r->wish.partial, r->wish.changed_since,
		    &r->picks);
	if (r->wish.shows_modseq)
		imap_turn_on(t->s, IMAP_CONDSTORE);
	if (r->wish.vanished && !imap_say_vanished(t, r->wish.changed_since,
	    &r->wish.set, NULL, &why))
		return why;
	r->seen = r->wish.sets_seen && !t->s->box->read_only;
	for (size_t i = 0; i < r->picks.count; i++)
		r->left += r->picks.picks[i].to - r->picks.picks[i].from;
	r->rows_at_once = BATCH_ROWS;
	r->bytes_at_once = BATCH_BYTES;
	r->batch = imap_batch_new(t->s->box);
	for (size_t i = 0; i < AHEAD; i++)
		r->ahead[i] = imap_batch_new(t->s->box);
	r->arena = imap_arena_get();
	why = run_fetch(r);
	imap_arena_put(&r->arena);
	for (size_t i = 0; i < AHEAD; i++)
		imap_batch_free(&r->ahead[i]);
	imap_batch_free(&r->batch);
	text_free(&r->line);
	return why;
}
