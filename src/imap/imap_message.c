/*
 * imap_message.c - one message while a command looks at it.
 */
#include "imap/imap_message.h"

#include "base/secret.h"
#include "ipc/wire.h"
#include "mail/header.h"

enum {
	BODIES_LIMIT = 8 << 20,
	RECORD_LARGE = 1 << 20,		/* of a summary made for one answer */
};

void
imap_message_begin(struct imap_message *m, struct imap_task *t,
    const struct imap_mailbox *box, struct arena *arena,
    const struct message_row *row)
{
	*m = (struct imap_message){ .task = t, .box = box, .arena = arena,
	    .uid = row->uid, .size = row->size,
	    .rebuilt = TEXT_INIT(2 * RECORD_LARGE) };
}

static void
let_go(struct imap_message *m)
{
	if (m->has_blob)
		blob_release(&m->blob);
	m->has_blob = false;
	m->held = SPAN_EMPTY;
}

void
imap_message_end(struct imap_message *m)
{
	let_go(m);
	text_free(&m->rebuilt);
	arena_reset(m->arena);
}

/* -- bytes ---- */

static bool
at_hand(struct imap_message *m, uint64_t at, uint64_t n, struct span *out)
{
	if (m->held.p == NULL || at < m->held_at ||
	    at - m->held_at > m->held.n ||
	    n > m->held.n - (at - m->held_at))
		return imap_window_has(m->task->s, m->box->id, m->uid, at,
		    n, out);
	*out = span_sub(m->held, (size_t)(at - m->held_at), (size_t)n);
	return true;
}

static int
get(struct imap_message *m, uint64_t at, uint64_t n)
{
	struct message_body_request request = { .grant = m->box->s->grant,
	    .mailbox = m->box->id, .uid = m->uid, .from = at, .count = n };
	struct message_body_reply reply;

	let_go(m);
	if (call_message_body(imap_store(), m->arena, &request, &reply) != 1)
		return -1;
	m->blob = reply.data;
	m->has_blob = true;
	if (reply.result != RESULT_OK || reply.size != m->size ||
	    reply.data.bytes.n != n) {
		let_go(m);
		return reply.result == RESULT_NOT_FOUND ? 0 : -1;
	}
	m->held = reply.data.bytes;
	m->held_at = at;
	return 1;
}

int
imap_message_bytes(struct imap_message *m, uint64_t at, uint64_t n,
    struct span *out)
{
	uint64_t from = at, count = n;
	int status;

	*out = SPAN("");
	if (n == 0 || at_hand(m, at, n, out))
		return 1;
	if (m->size <= IMAP_MESSAGE_WHOLE) {
		from = 0;
		count = m->size;
	} else if (m->read_ahead) {
		count = MIN(MAX(n, IMAP_MESSAGE_AHEAD), m->size - at);
	}
	if ((status = get(m, from, count)) != 1)
		return status;
	if (m->read_ahead && from + count > at + n)
		imap_window_keep(m->task->s, m->box->id, m->uid, from,
		    m->held);
	*out = span_sub(m->held, (size_t)(at - from), (size_t)n);
	return 1;
}

int
imap_message_header(struct imap_message *m, struct span *out)
{
	uint64_t n = m->has_summary ? m->summary.header_size
	    : MIN(m->size, IMAP_MESSAGE_HEADER);
	struct span bytes;
	int status;

	for (;;) {
		status = imap_message_bytes(m, 0, n, &bytes);
		if (status != 1)
			return status;
		n = header_end(bytes);
		if (n < bytes.n || bytes.n == m->size || m->has_summary)
			break;
		n = MIN(m->size, (uint64_t)bytes.n * 8);
	}
	*out = span_sub(bytes, 0, (size_t)n);
	return 1;
}

/* -- the summary ---- */

/* Lost, or of an older form: the store keeps what we made of the bytes. */
static void
save(struct imap_message *m)
{
	struct summary_save_request request = { .grant = m->box->s->grant,
	    .mailbox = m->box->id, .uid = m->uid,
	    .summary = BLOB_OF(text_span(&m->rebuilt)) };
	struct summary_save_reply reply;

	/* It is a cache: unsaved, it is made again next time. */
	(void)!call_summary_save(imap_store(), m->arena, &request, &reply);
}

static int
rebuild(struct imap_message *m, size_t record)
{
	struct summary_limits limits = SUMMARY_LIMITS_DEFAULT;
	struct span bytes;
	int status;

	limits.record = record;
	if ((status = imap_message_bytes(m, 0, m->size, &bytes)) != 1)
		return status;
	text_clear(&m->rebuilt);
	if (summary_build(bytes, &limits, m->arena, &m->rebuilt) != 1 ||
	    summary_open(text_span(&m->rebuilt), m->size, &m->summary) != 1)
		return -1;
	return 1;
}

int
imap_message_summary(struct imap_message *m)
{
	int status = 1;

	if (m->has_summary)
		return 1;
	if (m->record.n == 0 ||
	    summary_open(m->record, m->size, &m->summary) != 1) {
		if ((status = rebuild(m, SUMMARY_MAX)) != 1)
			return status;
		save(m);
	}
	if (m->summary.truncated)
		status = rebuild(m, RECORD_LARGE);
	m->has_summary = status == 1;
	return status;
}

bool
imap_message_has_summary(struct imap_message *m)
{
	return m->has_summary || (m->record.n > 0 &&
	    summary_open(m->record, m->size, &m->summary) == 1);
}

int
imap_message_parts(struct imap_message *m)
{
	int status;

	if (m->root != NULL)
		return 1;
	if ((status = imap_message_summary(m)) != 1)
		return status;
	if (summary_parts(&m->summary, m->arena, &m->root) == 1)
		return 1;
	/* A record that opens but is damaged within. */
	m->root = NULL;
	if (rebuild(m, RECORD_LARGE) != 1 ||
	    summary_parts(&m->summary, m->arena, &m->root) != 1)
		return -1;
	return 1;
}

/* -- many at once ---- */

static struct span
ranges_of(struct arena *arena, const uint32_t *uids, size_t count)
{
	struct text text = TEXT_INIT(0);
	struct span records;

	for (size_t i = 0, next; i < count; i = next) {
		next = i + 1;
		while (next < count && uids[next] == uids[next - 1] + 1)
			next++;
		uid_range_put(&text, &(struct uid_range){ .first = uids[i],
		    .last = uids[next - 1] });
	}
	records = arena_dup(arena, text_span(&text));
	text_free(&text);
	return records;
}

/* What is asked for in several answers. */
struct details {
	const struct grant *grant;
	uint64_t mailbox;
	struct arena *arena;
	const uint32_t *uids;
	size_t count;
	bool with_summary;
	struct message_detail *at;	/* with a place for each */
	size_t next;			/* to be asked for */
	struct blob *blob;		/* of the first answer; or NULL */
};

/* Details go where they belong; a copy of what does not stay where it is. */
static int
place_details(const struct details *d, struct span records, bool stays)
{
	struct cursor c = { .rest = records };
	struct message_detail detail;
	size_t i = d->next;
	int status;

	while ((status = message_detail_get(&c, &detail)) == 1) {
		while (i < d->count && d->uids[i] < detail.uid)
			i++;
		if (i == d->count || d->uids[i] != detail.uid)
			continue;
		d->at[i] = detail;
		if (!stays)
			d->at[i].summary = arena_dup(d->arena,
			    detail.summary);
	}
	return status == 0 ? 1 : -1;
}

/* One answer's worth. */
static int
next_details(struct details *d)
{
	struct message_details_request request = { .grant = *d->grant,
	    .mailbox = d->mailbox, .with_summary = d->with_summary,
	    .uids = BLOB_OF(ranges_of(d->arena, d->uids + d->next,
	    d->count - d->next)) };
	struct message_details_reply reply;
	bool stays = d->blob != NULL && d->next == 0;
	int status = -1;

	if (call_message_details(imap_store(), d->arena, &request,
	    &reply) != 1)
		return -1;
	if (reply.result == RESULT_OK)
		status = place_details(d, reply.details.bytes, stays);
	while (d->next < d->count && (reply.next == 0 ||
	    d->uids[d->next] < reply.next))
		d->next++;
	if (stays)
		*d->blob = reply.details;
	else
		blob_release(&reply.details);
	return status;
}

static int
get_details(struct details *d)
{
	size_t before;

	memset(d->at, 0, d->count * sizeof(*d->at));
	while (d->next < d->count) {
		before = d->next;
		if (next_details(d) != 1)
			return -1;
		if (d->next == before)
			return -1;	/* no progress: not a sane answer */
	}
	return 1;
}

int
imap_get_details(const struct imap_mailbox *box, struct arena *arena,
    const uint32_t *uids, size_t count, bool with_summary,
    struct message_detail *details)
{
	return get_details(&(struct details){ .grant = &box->s->grant,
	    .mailbox = box->id, .arena = arena, .uids = uids, .count = count,
	    .with_summary = with_summary, .at = details });
}

int
imap_details_of(const struct grant *grant, uint64_t mailbox,
    struct arena *arena, const uint32_t *uids, size_t count,
    bool with_summary, struct message_detail *details, struct blob *blob)
{
	return get_details(&(struct details){ .grant = grant,
	    .mailbox = mailbox, .arena = arena, .uids = uids, .count = count,
	    .with_summary = with_summary, .at = details, .blob = blob });
}

int
imap_bodies_of(const struct grant *grant, uint64_t mailbox,
    struct arena *arena, const uint32_t *uids, size_t count,
    struct span *bodies, struct blob *blob)
{
	struct message_bodies_request request = { .grant = *grant,
	    .mailbox = mailbox, .limit = BODIES_LIMIT,
	    .uids = BLOB_OF(ranges_of(arena, uids, count)) };
	struct message_bodies_reply reply;
	struct message_bytes bytes;
	struct cursor at;
	size_t i = 0;
	int status;

	memset(bodies, 0, count * sizeof(*bodies));
	if (call_message_bodies(imap_store(), arena, &request, &reply) != 1)
		return -1;
	*blob = reply.bodies;
	if (reply.result != RESULT_OK)
		return -1;
	at = (struct cursor){ .rest = reply.bodies.bytes };
	while ((status = message_bytes_get(&at, &bytes)) == 1) {
		while (i < count && uids[i] < bytes.uid)
			i++;
		if (i < count && uids[i] == bytes.uid)
			bodies[i] = bytes.data;
	}
	return status == 0 ? 1 : -1;
}

int
imap_get_bodies(const struct imap_mailbox *box, struct arena *arena,
    const uint32_t *uids, size_t count, struct span *bodies, struct blob *blob)
{
	return imap_bodies_of(&box->s->grant, box->id, arena, uids, count,
	    bodies, blob);
}

void
imap_add_email_id(struct text *out, const struct message_detail *detail)
{
	char hex[2 * sizeof(detail->email.b) + 1];

	hex_of(hex, detail->email.b, sizeof(detail->email.b));
	text_char(out, 'M');
	text_str(out, hex);
}

void
imap_add_thread_id(struct text *out, const struct message_detail *detail)
{
	if (detail->thread != 0)
		text_printf(out, "T%016" PRIx64, detail->thread);
}
