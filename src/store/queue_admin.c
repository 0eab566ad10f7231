/*
 * queue_admin.c - the operator's verbs about the queue: what waits, where to,
 * and what shall become of it.
 *
 * Whatever looks through the queue does so in shares: an answer ends after so
 * many envelopes looked at, with the token of the last one, and the next call
 * goes on behind it. So no call takes long, however long the queue is.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "ipc/wire.h"
#include "mail/address.h"
#include "store/queue.h"
#include "store/verbs.h"

#include <stdlib.h>

enum {
	ROW_MAX = 1 << 20,
	ROWS_ROOM = 12 << 20,		/* bytes of an answer */
	ROWS_AT_ONCE = 1000,
	SEEN_AT_ONCE = 50000,		/* envelopes looked at for one answer */
	CHANGES_AT_ONCE = 500,
	RECIPIENTS_TEXT = 65000,
	DESTINATIONS_MAX = 10000,	/* rows of the table */
	AGES = 8,
	TOKEN = sizeof(struct token),
};

/* -- which envelopes ----------------------------------------------------- */

struct filter {
	struct queue *queue;
	const uint8_t *id;		/* NULL: any */
	struct span sender, recipient;	/* address, @domain, "" any */
	struct span destination;	/* "local": here */
	struct span state;
	int64_t before;			/* arrived; INT64_MAX any */
};

/* "later": it has not been tried, since its sender said when. */
static const char *
state_of(const struct envelope *e, int64_t now)
{
	if (e->state == ENVELOPE_ACTIVE && e->attempts == 0 &&
	    e->next_attempt > now)
		return "later";
	return envelope_state_name(e->state);
}

static bool
address_matches(struct span wanted, struct span address)
{
	if (wanted.n == 0)
		return true;
	if (span_is(wanted, "<>"))
		return address.n == 0;
	if (wanted.p[0] != '@')
		return span_eq_nocase(wanted, address);
	return address.n >= wanted.n && span_eq_nocase(wanted,
	    span_from(address, address.n - wanted.n));
}

static bool
recipient_matches(const struct filter *f, const struct envelope *e)
{
	for (size_t i = 0; i < e->count; i++)
		if (address_matches(f->recipient, e->recipients[i].address))
			return true;
	return e->count == 0 && f->recipient.n == 0;
}

static void
destination_of(struct queue *q, const struct envelope *e, struct text *out)
{
	text_clear(out);
	if (e->domain.n > 0)
		queue_destination(q, e->sender, e->count > 0 ?
		    e->recipients[0].address : SPAN_EMPTY, e->domain, out);
}

static bool
destination_matches(const struct filter *f, const struct envelope *e)
{
	struct text name = TEXT_INIT(QUEUE_DESTINATION_MAX);
	bool matches;

	if (f->destination.n == 0)
		return true;
	if (span_is(f->destination, "local"))
		return e->domain.n == 0;
	if (span_eq_nocase(f->destination, e->domain))
		return true;
	destination_of(f->queue, e, &name);
	matches = name.n > 0 && span_eq_nocase(f->destination,
	    text_span(&name));
	text_free(&name);
	return matches;
}

static bool
matches(const struct filter *f, const struct envelope *e)
{
	return e->arrived / 1000000 < f->before &&
	    address_matches(f->sender, e->sender) &&
	    (f->state.n == 0 || span_is_nocase(f->state,
	    state_of(e, clock_wall_seconds()))) &&
	    recipient_matches(f, e) && destination_matches(f, e);
}

/* Both requests have the same fields for it. */
#define FILTER_OF(store, req, id_bytes)					\
	((struct filter){ .queue = (store)->queue,			\
	    .id = (req)->queue_id.n > 0 ? (id_bytes) : NULL,		\
	    .sender = (req)->sender, .recipient = (req)->recipient,	\
	    .destination = (req)->destination, .state = (req)->state,	\
	    .before = (req)->older_than > 0				\
	    ? clock_wall_seconds() - (req)->older_than : INT64_MAX })

/* -- a walk in shares ---------------------------------------------------- */

/* What is told of each match; false: no more now, this one neither. */
typedef bool take_fn(void *, const struct envelope *);

struct share {
	const struct filter *filter;
	take_fn *take;
	void *arg;
	size_t seen;
	struct token last;		/* that was looked at */
	bool more;
};

static bool
share_step(void *arg, const struct envelope *e)
{
	struct share *s = arg;

	if (s->filter->id != NULL &&
	    memcmp(e->token.b, s->filter->id, QUEUE_ID_TOKEN) != 0)
		return false;
	if (s->seen == SEEN_AT_ONCE || (matches(s->filter, e) &&
	    !s->take(s->arg, e))) {
		s->more = true;
		return false;
	}
	s->seen++;
	s->last = e->token;
	return true;
}

/* From behind `after` on; *next is where to go on, or empty. */
static enum result
walk_share(struct store *store, const struct filter *filter,
    struct span after, take_fn *take, void *take_arg, struct arena *arena,
    struct span *next)
{
	struct share s = { .filter = filter, .take = take, .arg = take_arg };
	int rc;

	if (after.n != 0 && after.n != TOKEN)
		return RESULT_INVALID;
	if (after.n == TOKEN)
		memcpy(s.last.b, after.p, TOKEN);
	if (after.n == 0)
		rc = queue_walk(store, filter->id, share_step, &s);
	else
		rc = queue_walk_behind(store, &s.last, share_step, &s);
	if (s.more && s.seen > 0)
		*next = arena_dup(arena, span_of(s.last.b, TOKEN));
	return rc == -1 ? RESULT_TEMPORARY : RESULT_OK;
}

/* -- rows ---------------------------------------------------------------- */

static const char *
recipient_state_name(enum recipient_state state)
{
	static const char *const names[RECIPIENT_STATES] = {
		"waiting", "done", "failed"
	};

	return names[state];
}

static void
add_recipients(struct text *out, const struct envelope *e)
{
	for (size_t i = 0; i < e->count; i++) {
		const struct envelope_recipient *r = &e->recipients[i];

		text_printf(out, "%s<%.*s> %s%s%.*s", i > 0 ? "\n" : "",
		    SPAN_ARG(r->address), recipient_state_name(r->state),
		    r->reason.n > 0 ? ": " : "", SPAN_ARG(r->reason));
	}
}

static void
add_row(struct store *store, struct text *rows, const struct envelope *e)
{
	struct text recipients = TEXT_INIT(RECIPIENTS_TEXT);
	struct text destination = TEXT_INIT(QUEUE_DESTINATION_MAX);
	int64_t now = clock_wall_seconds();
	char id[QUEUE_ID_CHARS + 1];

	queue_id_of(&e->token, id);
	add_recipients(&recipients, e);
	destination_of(store->queue, e, &destination);
	queue_row_put(rows, &(struct queue_row){
	    .queue_id = span_str(id), .sender = e->sender,
	    .recipients = text_span(&recipients), .size = e->size,
	    .arrived = e->arrived / 1000000,
	    .next_attempt = e->state == ENVELOPE_HELD ? 0 : e->next_attempt,
	    .attempts = e->attempts,
	    .state = span_str(queue_is_busy(store->queue, &e->token)
	    ? "sending" : state_of(e, now)),
	    .reason = e->reason, .destination = text_span(&destination),
	    .priority = e->priority,
	    .expires = queue_expiry(store_settings(store), e) });
	text_free(&recipients);
	text_free(&destination);
}

struct listing {
	struct store *store;
	struct text rows;
	size_t count, max;
};

static bool
list_envelope(void *arg, const struct envelope *e)
{
	struct listing *l = arg;
	size_t before = l->rows.n;

	if (l->count == l->max)
		return false;
	add_row(l->store, &l->rows, e);
	if (l->rows.n > ROWS_ROOM && l->count > 0) {
		l->rows.n = before;
		return false;
	}
	l->count++;
	return true;
}

void
verb_queue_list(void *arg, const struct caller *caller, struct arena *arena,
    const struct queue_list_request *req, struct queue_list_reply *reply)
{
	struct store *store = arg;
	uint8_t id[QUEUE_ID_TOKEN];
	struct filter filter = FILTER_OF(store, req, id);
	struct listing l = { store, TEXT_INIT(0), 0,
	    MIN(MAX(req->count, 1), ROWS_AT_ONCE) };
	size_t active, waiting;

	(void)caller;
	serve_may_block();
	if (filter.id != NULL && queue_id_parse(req->queue_id, id) != 1) {
		reply->result = RESULT_INVALID;
		return;
	}
	reply->result = walk_share(store, &filter, req->after, list_envelope,
	    &l, arena, &reply->next);
	queue_counts(store->queue, &active, &waiting);
	reply->total = active + waiting;
	reply->rows = BLOB_OF(arena_dup(arena, text_span(&l.rows)));
	if (reply->rows.bytes.p == NULL && l.rows.n > 0)
		reply->result = RESULT_LIMIT;
	text_free(&l.rows);
}

/* -- one message --------------------------------------------------------- */

struct shown {
	struct listing rows;
	struct body_id body;
	uint64_t size;
};

static bool
show_envelope(void *arg, const struct envelope *e)
{
	struct shown *s = arg;

	memcpy(s->body.b, e->body.b, sizeof(s->body.b));
	s->size = e->size;
	return list_envelope(&s->rows, e);
}

/* The places a message goes to share one body. */
void
verb_queue_show(void *arg, const struct caller *caller, struct arena *arena,
    const struct queue_show_request *req, struct queue_show_reply *reply)
{
	struct store *store = arg;
	struct shown s = { .rows = { store, TEXT_INIT(0), 0, ROWS_AT_ONCE } };
	struct text body = TEXT_INIT(0);
	uint8_t id[QUEUE_ID_TOKEN];

	(void)caller;
	serve_may_block();
	if (queue_id_parse(req->queue_id, id) != 1)
		reply->result = RESULT_INVALID;
	else if (queue_walk(store, id, show_envelope, &s) == -1)
		reply->result = RESULT_TEMPORARY;
	else if (s.rows.count == 0)
		reply->result = RESULT_NOT_FOUND;
	if (reply->result == RESULT_OK && engine_body_read(store->engine,
	    s.body, 0, s.size, &body) != 1)
		reply->result = RESULT_DAMAGED;
	reply->rows = BLOB_OF(arena_dup(arena, text_span(&s.rows.rows)));
	reply->body = BLOB_OF(arena_dup(arena, text_span(&body)));
	if (arena_full(arena))
		reply->result = RESULT_LIMIT;
	text_free(&s.rows.rows);
	text_free(&body);
}

/* -- changes ------------------------------------------------------------- */

struct picked {
	struct token tokens[CHANGES_AT_ONCE];
	size_t count;
};

static bool
pick_envelope(void *arg, const struct envelope *e)
{
	struct picked *p = arg;

	if (p->count == CHANGES_AT_ONCE)
		return false;
	p->tokens[p->count++] = e->token;
	return true;
}

static void
log_changes(enum queue_action action, const struct queue_change_reply *reply)
{
	static const char *const events[QUEUE_ACTIONS] = {
		[QUEUE_RETRY] = "queue.operator_retry",
		[QUEUE_HOLD] = "queue.operator_hold",
		[QUEUE_RELEASE] = "queue.operator_release",
		[QUEUE_DELETE] = "queue.operator_delete",
		[QUEUE_RETURN] = "queue.operator_return",
	};

	if (reply->changed > 0)
		log_event(LOG_LEVEL_INFO, events[action],
		    log_int("messages", (int64_t)reply->changed));
}

static enum result
change_picked(struct store *store, const struct picked *p,
    enum queue_action action, struct queue_change_reply *reply)
{
	ticket_t ticket = 0;

	for (size_t i = 0; i < p->count; i++)
		switch (queue_act_apply(store->queue, &p->tokens[i], action,
		    &ticket)) {
		case RESULT_OK:
			reply->changed++;
			break;
		case RESULT_LOCKED:
			reply->busy++;
			break;
		case RESULT_NOT_FOUND:	/* it went meanwhile */
		case RESULT_CONFLICT:	/* nothing to do */
			break;
		default:
			return RESULT_TEMPORARY;
		}
	return engine_sync(store->engine, ticket) == 1 ? RESULT_OK
	    : RESULT_TEMPORARY;
}

void
verb_queue_change(void *arg, const struct caller *caller,
    struct arena *arena, const struct queue_change_request *req,
    struct queue_change_reply *reply)
{
	struct store *store = arg;
	uint8_t id[QUEUE_ID_TOKEN];
	struct filter filter = FILTER_OF(store, req, id);
	struct picked *p;

	(void)caller;
	serve_may_block();
	if (req->action >= QUEUE_ACTIONS || (filter.id != NULL &&
	    queue_id_parse(req->queue_id, id) != 1)) {
		reply->result = RESULT_INVALID;
		return;
	}
	p = arena_zalloc(arena, sizeof(*p));
	if (p == NULL) {
		reply->result = RESULT_LIMIT;
		return;
	}
	reply->result = walk_share(store, &filter, req->after, pick_envelope,
	    p, arena, &reply->next);
	if (reply->result == RESULT_OK)
		reply->result = change_picked(store, p,
		    (enum queue_action)req->action, reply);
	if (filter.id != NULL && p->count == 0 && req->after.n == 0 &&
	    reply->result == RESULT_OK)
		reply->result = RESULT_NOT_FOUND;
	log_changes((enum queue_action)req->action, reply);
}

/* -- the table ----------------------------------------------------------- */

struct place {
	char *name;
	uint64_t messages, held, ages[AGES];
	uint32_t busy, window;
	int64_t retry_at;
	char *reason;
};

struct table {
	struct store *store;
	struct map *places;		/* by name */
	struct text name;
	int64_t now;
};

static struct place *
place_of(struct table *t, struct span name)
{
	struct place *p = map_get(t->places, name);

	if (p == NULL) {
		p = xcalloc(1, sizeof(*p));
		p->name = xcalloc(1, name.n + 1);
		if (name.n > 0)
			memcpy(p->name, name.p, name.n);
		map_put(t->places, name, p);
	}
	return p;
}

/* Under 5, 10, 20 ... 320 minutes; and older. */
static size_t
age_column(int64_t seconds)
{
	int64_t minutes = MAX(seconds, 0) / 60, bound = 5;
	size_t column = 0;

	for (; column < AGES - 1 && minutes >= bound; column++)
		bound *= 2;
	return column;
}

static bool
count_envelope(void *arg, const struct envelope *e)
{
	struct table *t = arg;
	struct place *p;

	destination_of(t->store->queue, e, &t->name);
	p = place_of(t, text_span(&t->name));
	p->messages++;
	p->held += e->state == ENVELOPE_HELD;
	p->ages[age_column(t->now - e->arrived / 1000000)]++;
	return true;
}

static void
add_destination(void *arg, const struct destination_view *v)
{
	struct table *t = arg;
	struct place *p = place_of(t, v->name);

	p->busy = (uint32_t)MIN(v->busy, UINT32_MAX);
	p->window = v->window;
	if (v->down_until.ms != 0)
		p->retry_at = t->now + mono_left(v->down_until) / 1000;
	free(p->reason);
	p->reason = xcalloc(1, v->reason.n + 1);
	if (v->reason.n > 0)
		memcpy(p->reason, v->reason.p, v->reason.n);
}

static int
fuller(const void *a, const void *b)
{
	const struct place *x = *(struct place *const *)a;
	const struct place *y = *(struct place *const *)b;

	if (x->messages != y->messages)
		return x->messages < y->messages ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void
add_place(struct text *rows, const struct place *p)
{
	struct text ages = TEXT_INIT(0);

	for (size_t i = 0; i < AGES; i++)
		put_u64(&ages, p->ages[i]);
	queue_table_row_put(rows, &(struct queue_table_row){
	    .destination = span_str(p->name), .messages = p->messages,
	    .ages = text_span(&ages), .held = p->held, .busy = p->busy,
	    .window = p->window, .retry_at = p->retry_at,
	    .reason = span_str(p->reason) });
	text_free(&ages);
}

/* The rows, the fullest first; the table is taken apart. */
static void
finish_table(struct table *t, struct text *rows)
{
	size_t n = map_count(t->places), at = 0, i = 0;
	struct place **all = xcalloc(MAX(n, 1), sizeof(struct place *));
	struct span key;
	void *value;

	while (map_next(t->places, &at, &key, &value))
		all[i++] = value;
	qsort(all, n, sizeof(struct place *), fuller);
	for (i = 0; i < n; i++) {
		if (i < DESTINATIONS_MAX && rows->n < ROWS_ROOM)
			add_place(rows, all[i]);
		free(all[i]->name);
		free(all[i]->reason);
		free(all[i]);
	}
	free(all);
	map_free(&t->places);
	text_free(&t->name);
}

void
verb_queue_table(void *arg, const struct caller *caller, struct arena *arena,
    const struct queue_table_request *req, struct queue_table_reply *reply)
{
	struct store *store = arg;
	struct table t = { store, map_new(), TEXT_INIT(QUEUE_DESTINATION_MAX),
	    clock_wall_seconds() };
	struct text rows = TEXT_INIT(0);

	(void)caller;
	(void)req;
	serve_may_block();
	if (queue_walk(store, NULL, count_envelope, &t) == -1)
		reply->result = RESULT_TEMPORARY;
	queue_destinations(store->queue, add_destination, &t);
	finish_table(&t, &rows);
	reply->rows = BLOB_OF(arena_dup(arena, text_span(&rows)));
	if (reply->rows.bytes.p == NULL && rows.n > 0)
		reply->result = RESULT_LIMIT;
	text_free(&rows);
}
