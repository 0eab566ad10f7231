/*
 * group.c - failures, delays, expiry, notices; the batches of a group.
 *
 * What becomes of a recipient:
 *	done		in the mailboxes of all its accounts, or another system
 *			has it, or its sender knows that it failed;
 *	waiting		a temporary failure: the envelope is tried again;
 *	failed		for good, or the time for it is over.
 * Of a failure the sender is told, wherever they are, unless they asked not
 * to be. Mail from the null sender, a notification above all, is never
 * answered: what of it fails is dropped, with a step of its trace and a line
 * in the log.
 */
#include "store/group.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "mail/address.h"
#include "mail/encode.h"
#include "store/directory.h"
#include "store/trace.h"

#include <unistd.h>

enum {
	UNREADABLE_RETRY = 86400,	/* seconds */
	BOUNCE_MAX = 4 << 20,
};

void
group_begin(struct group *g, struct queue *q, struct arena *arena)
{
	memset(g, 0, sizeof(*g));
	g->queue = q;
	g->store = q->store;
	g->arena = arena;
	g->now = clock_wall();
	g->batch = batch_new(queue_partition);
}

struct work *
group_add(struct group *g, struct queue_entry *entry)
{
	struct work *w = &g->works[g->count++];

	must(g->count <= QUEUE_GROUP);
	*w = (struct work){ .entry = entry,
	    .rows = TEXT_INIT(2 * TRACE_STEPS_MAX) };
	if (queue_load(g->queue, entry, g->arena, &w->envelope) == 1 &&
	    (w->fates = arena_zalloc(g->arena, (w->envelope.count + 1) *
	    sizeof(w->fates[0]))) != NULL) {
		w->outcome = OUTCOME_WAIT;
		return w;
	}
	w->outcome = OUTCOME_SKIPPED;
	g->crowded = arena_full(g->arena);
	if (!g->crowded)
		log_event(LOG_LEVEL_ERROR, "queue.unreadable", log_errno());
	return w;
}

void
group_leave(struct work *w, enum outcome outcome)
{
	w->outcome = outcome;
}

/* The trace of a message begins with how it came. */
void
group_touch(struct work *w)
{
	struct text steps = w->rows;

	w->changed = true;
	w->rows = TEXT_INIT(2 * TRACE_STEPS_MAX);
	if (w->envelope.attempts++ == 0)
		trace_accepted(&w->rows, &w->envelope);
	text_add(&w->rows, text_span(&steps));
	text_free(&steps);
}

/* -- new envelopes --------------------------------------------------------- */

bool
group_bear(struct group *g, const struct envelope *e, struct span body)
{
	struct newborn *n = arena_zalloc(g->arena, sizeof(*n));
	struct submission s = { .count = 1 };
	struct envelope *one;
	int rc;

	/* batch_body() does not copy: the bytes stay in the arena. */
	s.rest = body.n > 0 ? arena_dup(g->arena, body) : SPAN_EMPTY;
	if (n == NULL || (body.n > 0 && s.rest.p == NULL)) {
		g->crowded = true;
		return false;
	}
	n->envelope = *e;
	one = &n->envelope;
	s.envelopes = &one;
	rc = body.n > 0 ? queue_put(g->store, g->batch, &s)
	    : queue_put_envelope(g->batch, one);
	if (rc != 1)
		return false;
	n->next = g->born;
	g->born = n;
	return true;
}

struct span
group_domain(struct group *g, struct span address)
{
	struct address parsed;
	uint64_t *accounts;
	size_t count;

	if (directory_resolve(g->store->directory, address, g->arena,
	    &accounts, &count) != RESULT_NOT_LOCAL ||
	    address_mailbox(address, ADDRESS_ALLOW_UTF8, g->arena,
	    &parsed) != 1)
		return SPAN_EMPTY;
	return parsed.domain;
}

/* -- telling the sender ---------------------------------------------------- */

static struct span
hostname_of(const struct settings *s, char buffer[256])
{
	if (s->hostname[0] != '\0')
		return span_str(s->hostname);
	if (gethostname(buffer, 255) != 0)
		return SPAN("localhost");
	buffer[255] = '\0';
	return span_str(buffer);
}

static struct envelope
notice_envelope(struct group *g, const struct bounce *b, struct span body,
    uint32_t prefix, struct span message_id, struct envelope_recipient *to)
{
	struct body_id body_id = body_id_new();
	struct envelope e = {
		.token = b->token, .arrived = b->now, .size = body.n,
		.prefix = prefix, .flags = ENVELOPE_8BITMIME | ENVELOPE_OURS,
		.thread = b->envelope->thread, .state = ENVELOPE_ACTIVE,
		.next_attempt = b->now / 1000000,
		.domain = group_domain(g, b->envelope->sender),
		.message_id = arena_dup(g->arena, message_id),
		.trace = SPAN("by=notification"),
		.recipients = to, .count = 1,
	};

	if ((b->envelope->flags & ENVELOPE_SMTPUTF8) != 0 &&
	    !utf8_is_ascii(b->envelope->sender))
		e.flags |= ENVELOPE_SMTPUTF8;
	e.flags |= b->envelope->flags &
	    (ENVELOPE_REQUIRETLS | ENVELOPE_TLS_OPTIONAL);
	*to = (struct envelope_recipient){ .address = b->envelope->sender };
	memcpy(e.body.b, body_id.b, sizeof(e.body.b));
	return e;
}

/* RET=FULL is about failures (RFC 3461 4.3). 1, -1. */
static int
read_original(struct group *g, struct bounce *b, struct text *out)
{
	const struct envelope *e = b->envelope;
	struct body_id body;

	b->whole = b->kind == BOUNCE_FAILED &&
	    (e->flags & ENVELOPE_RET_FULL) != 0 &&
	    e->size - e->prefix <= BOUNCE_WHOLE_MAX;
	memcpy(body.b, e->body.b, sizeof(body.b));
	if (engine_body_read(g->store->engine, body, e->prefix, b->whole
	    ? BOUNCE_WHOLE_MAX : BOUNCE_HEADER_MAX, out) != 1)
		return -1;
	b->original = text_span(out);
	return 1;
}

static void
trace_notice(struct group *g, struct work *w, const struct bounce *b)
{
	static const char *const events[] = { "returned", "warned",
	    "confirmed" };
	char name[QUEUE_ID_CHARS + 1];

	queue_id_of(&b->token, name);
	trace_step(&w->rows, &w->envelope.token, g->now, events[b->kind],
	    "to=<%.*s> queue_id=%s", SPAN_ARG(w->envelope.sender), name);
	g->counts.bounced += b->kind == BOUNCE_FAILED;
}

/* About the recipients with these fates. False: not now. */
static bool
notify(struct group *g, struct work *w, enum bounce_kind kind,
    const struct bounce_fate *fates)
{
	const struct settings *s = store_settings(g->store);
	struct text original = TEXT_INIT(0), out = TEXT_INIT(BOUNCE_MAX);
	struct text id = TEXT_INIT(0);
	struct envelope_recipient *to = arena_zalloc(g->arena, sizeof(*to));
	struct envelope e;
	char host[256];
	uint32_t prefix = 0;
	bool done = false;
	struct bounce b = {
		.kind = kind, .hostname = hostname_of(s, host),
		.now = g->now, .envelope = &w->envelope, .fates = fates,
		.retry_until = queue_expiry(s, &w->envelope),
	};

	random_bytes(b.token.b, sizeof(b.token.b));
	if (to != NULL && read_original(g, &b, &original) == 1) {
		bounce_build(&b, &out, &prefix, &id);
		e = notice_envelope(g, &b, text_span(&out), prefix,
		    text_span(&id), to);
		done = !text_full(&out) && group_bear(g, &e, text_span(&out));
	}
	if (done)
		trace_notice(g, w, &b);
	text_free(&original);
	text_free(&out);
	text_free(&id);
	return done;
}

/* The fates that belong into such a notice, of those who want one. */
static struct bounce_fate *
pick_fates(struct group *g, const struct work *w, enum bounce_kind kind,
    size_t *n)
{
	const struct envelope *e = &w->envelope;
	struct bounce_fate *picked = arena_zalloc(g->arena,
	    (e->count + 1) * sizeof(picked[0]));

	*n = 0;
	for (size_t i = 0; picked != NULL && i < e->count; i++) {
		struct bounce_fate fate = w->fates[i];
		enum bounce_kind of = fate.action == BOUNCE_IS_FAILED
		    ? BOUNCE_FAILED : fate.action == BOUNCE_IS_DELAYED
		    ? BOUNCE_DELAYED : BOUNCE_SUCCESS;

		if (fate.action == BOUNCE_NOTHING || of != kind ||
		    !bounce_wanted(e, &e->recipients[i], kind))
			continue;
		picked[i] = fate;
		++*n;
	}
	return picked;
}

/* False: somebody is to be told, and could not be. */
static bool
tell(struct group *g, struct work *w, enum bounce_kind kind)
{
	size_t n;
	struct bounce_fate *fates = pick_fates(g, w, kind, &n);

	return fates != NULL && (n == 0 || notify(g, w, kind, fates));
}

/* -- what follows ---------------------------------------------------------- */

static size_t
count_recipients(const struct envelope *e, enum recipient_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < e->count; i++)
		n += e->recipients[i].state == state;
	return n;
}

/* What is known of an envelope that was never tried: why it was not. */
static struct span
reason_of(struct group *g, const struct envelope *e,
    const struct envelope_recipient *r)
{
	struct text name = TEXT_INIT(QUEUE_DESTINATION_MAX);
	struct span reason = r->reason;

	if (reason.n == 0 && e->domain.n > 0) {
		queue_destination(g->queue, e->sender, r->address, e->domain,
		    &name);
		reason = queue_reason(g->queue, text_span(&name), g->arena);
	}
	text_free(&name);
	return reason;
}

/* Past lifetime, or the time by which it had to be there (RFC 2852). */
static void
expire(struct group *g, struct work *w)
{
	struct envelope *e = &w->envelope;

	if (g->now / 1000000 < queue_expiry(store_settings(g->store), e))
		return;
	for (size_t i = 0; i < e->count; i++) {
		struct envelope_recipient *r = &e->recipients[i];
		struct span last;

		if (r->state != RECIPIENT_WAITING)
			continue;
		last = reason_of(g, e, r);
		r->state = RECIPIENT_FAILED;
		r->reason = arena_printf(g->arena,
		    "5.4.7 it could not be delivered in time%s%.*s",
		    last.n > 0 ? ": " : "", SPAN_ARG(last));
		w->changed = true;
		trace_step(&w->rows, &e->token, g->now, "failed",
		    "to=<%.*s> reason=%.*s", SPAN_ARG(r->address),
		    SPAN_ARG(r->reason));
	}
}

/* Nobody wants to know: what failed is dropped, and the log says so. */
static void
drop(struct group *g, struct work *w, struct envelope_recipient *r)
{
	char id[QUEUE_ID_CHARS + 1];

	r->state = RECIPIENT_DONE;
	g->counts.dropped++;
	trace_step(&w->rows, &w->envelope.token, g->now, "dropped",
	    "to=<%.*s> reason=%.*s", SPAN_ARG(r->address),
	    SPAN_ARG(r->reason));
	queue_id_of(&w->envelope.token, id);
	log_event(LOG_LEVEL_WARNING, "queue.dropped",
	    log_str("queue_id", id), log_text("to", r->address),
	    log_text("reason", r->reason));
}

/* Told, those who failed are settled; else they are tried again. */
static void
settle_failed(struct group *g, struct work *w)
{
	struct envelope *e = &w->envelope;
	bool told;

	for (size_t i = 0; i < e->count; i++) {
		struct envelope_recipient *r = &e->recipients[i];

		if (r->state != RECIPIENT_FAILED)
			continue;
		if (bounce_wanted(e, r, BOUNCE_FAILED))
			w->fates[i].action = BOUNCE_IS_FAILED;
		else
			drop(g, w, r);
	}
	if (count_recipients(e, RECIPIENT_FAILED) == 0)
		return;
	told = tell(g, w, BOUNCE_FAILED);
	for (size_t i = 0; i < e->count; i++)
		if (e->recipients[i].state == RECIPIENT_FAILED)
			e->recipients[i].state = told ? RECIPIENT_DONE
			    : RECIPIENT_WAITING;
	w->deferred = w->deferred || !told;
}

/* The sender hears of a delay once, and when it was to be there by now. */
static void
warn(struct group *g, struct work *w)
{
	const struct settings *s = store_settings(g->store);
	struct envelope *e = &w->envelope;
	int64_t began = MAX(e->arrived / 1000000, e->release_at);
	bool late = s->queue_delay_warning > 0 && !e->warned &&
	    g->now / 1000000 - began >= s->queue_delay_warning / 1000;
	bool missed = e->deliver_by != 0 && g->now / 1000000 >= e->deliver_by;

	if (!late && !missed)
		return;
	for (size_t i = 0; i < e->count; i++)
		if (e->recipients[i].state == RECIPIENT_WAITING) {
			e->recipients[i].reason = reason_of(g, e,
			    &e->recipients[i]);
			w->fates[i].action = BOUNCE_IS_DELAYED;
		}
	if (!tell(g, w, BOUNCE_DELAYED))
		return;
	w->changed = true;
	e->warned = e->warned || late;
	if (missed)
		e->deliver_by = 0;
}

static int64_t
next_attempt(struct group *g, const struct envelope *e)
{
	const struct settings *s = store_settings(g->store);
	bool out = e->domain.n > 0;
	int64_t first = out ? s->relay_retry_first : s->queue_retry_first;
	int64_t longest = out ? s->relay_retry_longest
	    : s->queue_retry_longest;

	return g->now / 1000000 + schedule_wait(e->attempts, first / 1000,
	    longest / 1000, (uint32_t)random_u64());
}

static void
defer(struct group *g, struct work *w)
{
	struct envelope *e = &w->envelope;

	for (size_t i = 0; i < e->count; i++)
		if (e->recipients[i].state == RECIPIENT_WAITING &&
		    e->recipients[i].reason.n > 0)
			e->reason = e->recipients[i].reason;
	e->state = ENVELOPE_DEFERRED;
	e->next_attempt = next_attempt(g, e);
	g->counts.deferred++;
	w->outcome = OUTCOME_WAIT;
}

void
group_settle(struct group *g, struct work *w)
{
	struct envelope *e = &w->envelope;

	if (w->tried)
		group_touch(w);
	expire(g, w);
	settle_failed(g, w);
	/* Done is done: who cannot be told now is not told. */
	(void)tell(g, w, BOUNCE_SUCCESS);
	if (count_recipients(e, RECIPIENT_WAITING) == 0) {
		w->changed = true;
		w->outcome = OUTCOME_ENDED;
		return;
	}
	warn(g, w);
	if (w->tried && (w->deferred || e->domain.n == 0))
		defer(g, w);
	else
		w->outcome = e->domain.n > 0 ? OUTCOME_LINE : OUTCOME_WAIT;
}

/* -- the batches ----------------------------------------------------------- */

static bool
is_written(const struct work *w)
{
	return w->outcome != OUTCOME_SKIPPED && w->changed;
}

/* What happened, by the day each message arrived on. 1, -1. */
static int
commit_trace(struct group *g)
{
	struct batch *batch = NULL;
	struct partition day = { 0 };
	int rc = 1;

	for (size_t i = 0; rc == 1 && i < g->count; i++) {
		struct work *w = &g->works[i];
		struct partition own = trace_partition(w->envelope.arrived);

		if (!is_written(w) || w->rows.n == 0)
			continue;
		if (batch != NULL && own.id != day.id) {
			rc = engine_commit(g->store->engine, batch, NULL);
			batch_free(&batch);
		}
		if (batch == NULL)
			batch = batch_new(own);
		day = own;
		trace_put(batch, &w->envelope, w->envelope.attempts,
		    text_span(&w->rows));
	}
	if (rc == 1 && batch != NULL)
		rc = engine_commit(g->store->engine, batch, NULL);
	batch_free(&batch);
	return rc;
}

static int
commit_queue(struct group *g)
{
	bool any = g->born != NULL;

	for (size_t i = 0; i < g->count; i++) {
		struct work *w = &g->works[i];

		if (!is_written(w))
			continue;
		any = true;
		if (w->outcome == OUTCOME_ENDED)
			queue_end(g->batch, &w->envelope);
		else
			queue_update(g->batch, &w->envelope);
	}
	return any ? engine_commit(g->store->engine, g->batch, &g->ticket) : 1;
}

static void
log_work(const struct work *w)
{
	const struct envelope *e = &w->envelope;
	char id[QUEUE_ID_CHARS + 1];

	queue_id_of(&e->token, id);
	if (w->outcome == OUTCOME_ENDED)
		log_event(LOG_LEVEL_INFO, "queue.finished",
		    log_str("queue_id", id),
		    log_int("accounts", (int64_t)w->count),
		    log_int("sent", (int64_t)w->sent),
		    log_int("ms", (clock_wall() - e->arrived) / 1000));
	else if (w->tried)
		log_event(LOG_LEVEL_WARNING, "queue.deferred",
		    log_str("queue_id", id), log_text("reason", e->reason),
		    log_int("attempts", e->attempts));
}

/* Markers of earlier attempts too: their accounts are found once more. */
static void
forget_markers(struct group *g, struct work *w)
{
	const struct envelope *e = &w->envelope;
	struct arena *arena = e->attempts > 1 && e->domain.n == 0
	    ? arena_new(1 << 20) : NULL;

	for (size_t i = 0; i < w->count; i++)
		mailbox_delivery_done(g->store->mailboxes, w->accounts[i],
		    &e->token);
	for (size_t i = 0; arena != NULL && i < e->count; i++) {
		struct expansion x = { 0 };

		arena_reset(arena);
		if (directory_expand(g->store->directory,
		    e->recipients[i].address, e->sender, arena, &x) !=
		    RESULT_OK)
			continue;
		for (size_t a = 0; a < x.account_count; a++)
			mailbox_delivery_done(g->store->mailboxes,
			    x.accounts[a], &e->token);
	}
	arena_free(&arena);
}

static void
let_go(struct group *g, struct work *w)
{
	const struct settings *s = store_settings(g->store);
	const struct envelope *e = &w->envelope;
	int64_t due = e->state == ENVELOPE_HELD ? QUEUE_NEVER
	    : e->next_attempt;

	switch (w->outcome) {
	case OUTCOME_SKIPPED:
		/* At once if only room was lacking. */
		queue_wait(g->queue, w->entry, g->now / 1000000 +
		    (g->crowded ? 0 : UNREADABLE_RETRY));
		break;
	case OUTCOME_ENDED:
		forget_markers(g, w);
		queue_ended(g->queue, w->entry);
		break;
	case OUTCOME_WAIT:
		if (e->domain.n > 0 && due != QUEUE_NEVER)
			due = MIN(due, MAX(queue_deadline(s, e),
			    g->now / 1000000 + 1));
		queue_wait(g->queue, w->entry, due);
		break;
	case OUTCOME_LINE:
		queue_line(g->queue, w->entry, e);
		break;
	}
}

/* Nothing was written: everything is tried again in a while. */
static void
group_failed(struct group *g, int error)
{
	int64_t due = clock_wall_seconds() +
	    store_settings(g->store)->queue_retry_first / 1000;

	log_event(LOG_LEVEL_ERROR, "queue.stuck",
	    log_int("envelopes", (int64_t)g->count),
	    log_str("error", strerror(error)));
	for (size_t i = 0; i < g->count; i++)
		queue_wait(g->queue, g->works[i].entry, due);
}

/* The batches are applied: entries follow what stands on disk. */
static void
group_applied(struct group *g)
{
	for (struct newborn *n = g->born; n != NULL; n = n->next)
		queue_add(g->queue, &n->envelope);
	for (size_t i = 0; i < g->count; i++) {
		const struct work *w = &g->works[i];
		bool ended = w->outcome == OUTCOME_ENDED;

		if (is_written(w))
			log_work(w);
		g->counts.delivered += ended && w->count > 0;
		g->counts.sent += ended && w->sent > 0;
	}
	queue_count(g->queue, &g->counts);
	for (size_t i = 0; i < g->count; i++)
		let_go(g, &g->works[i]);
}

int
group_end(struct group *g)
{
	int rc = -1;

	errno = EFBIG;
	if (!g->broken)
		rc = commit_trace(g);
	if (rc == 1)
		rc = commit_queue(g);
	if (rc == 1)
		group_applied(g);
	else
		group_failed(g, errno);
	group_abort(g);
	return rc == 1 ? 1 : -1;
}

void
group_abort(struct group *g)
{
	for (size_t i = 0; i < g->count; i++)
		text_free(&g->works[i].rows);
	batch_free(&g->batch);
	arena_reset(g->arena);
	g->count = 0;
}
