/*
 * deliver.c - from the queue into the mailboxes, or on to where an address
 * leads.
 *
 * A delivery thread takes a group of envelopes. Each that is for here is
 * delivered to the accounts behind its recipients; for what they lead to
 * outside, a new envelope is made in the batch in which the recipient becomes
 * done: once, however often it is tried. mailbox_deliver() makes sure of the
 * same for a mailbox; the marker it needs for that goes when the envelope
 * has. Each that is for another system is put in line for relay.
 */
#include "store/group.h"
#include "base/clock.h"
#include "base/secret.h"
#include "store/directory.h"
#include "store/mask.h"
#include "store/quota.h"
#include "store/trace.h"

#include <stdlib.h>

enum { GROUP_MEMORY = 64 << 20 };

/* -- what stays here ------------------------------------------------------- */

static const char *
failure_text(const struct settings *s, enum result result)
{
	switch (result) {
	case RESULT_NOT_FOUND:
		return "5.1.1 no such account";
	case RESULT_NOT_LOCAL:
		return "5.1.2 the domain is not served here";
	case RESULT_INVALID:
		return "5.1.3 not an address";
	case RESULT_DENIED:
		return "5.1.6 the address is no longer in use";
	case RESULT_FULL:
		return "4.3.1 the disk is full";
	case RESULT_DAMAGED:
		return "4.3.0 the mailbox is damaged";
	case RESULT_LIMIT:
		return "4.2.2 the mailbox is full";
	case RESULT_OVERQUOTA:
		return quota_text(s);
	default:
		return "4.3.0 a temporary failure";
	}
}

static bool
is_permanent(const struct settings *s, enum result result)
{
	if (result == RESULT_OVERQUOTA)
		return quota_refuses(s);
	return result == RESULT_NOT_FOUND || result == RESULT_NOT_LOCAL ||
	    result == RESULT_INVALID || result == RESULT_DENIED;
}

static bool
was_delivered(const struct work *w, uint64_t account)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->accounts[i] == account)
			return true;
	return false;
}

static bool
note_delivered(struct group *g, struct work *w, uint64_t account)
{
	uint64_t *grown = arena_grow(g->arena, w->accounts,
	    w->count * sizeof(*grown), (w->count + 1) * sizeof(*grown));

	if (grown == NULL)
		return false;
	w->accounts = grown;
	w->accounts[w->count++] = account;
	return true;
}

/* Into INBOX; once for an account, by however many names it is reached. */
static enum result
deliver_account(struct group *g, struct work *w, uint64_t account)
{
	const struct envelope *e = &w->envelope;
	struct delivery delivery = { .queue = e->token, .size = e->size,
	    .thread = e->thread, .arrived = e->arrived };
	ticket_t ticket;
	enum result result;

	if (was_delivered(w, account))
		return RESULT_OK;
	memcpy(delivery.body.b, e->body.b, sizeof(delivery.body.b));
	result = mailbox_deliver(g->store->mailboxes, account, &delivery,
	    &ticket);
	if (result == RESULT_OK && !note_delivered(g, w, account))
		return RESULT_TEMPORARY;
	/* An account that went meanwhile is nobody. */
	return result;
}

/*
 * All behind an address: that one is full keeps nothing from the others. What
 * may go better later is tried again, and the others do not get it twice.
 */
static enum result
deliver_accounts(struct group *g, struct work *w, const struct expansion *x)
{
	const struct settings *s = store_settings(g->store);
	enum result result = RESULT_OK, one;

	for (size_t i = 0; i < x->account_count; i++) {
		one = deliver_account(g, w, x->accounts[i]);
		if (one != RESULT_OK &&
		    (result == RESULT_OK || is_permanent(s, result)))
			result = one;
	}
	return result;
}

/* -- what goes on to other systems ----------------------------------------- */

/* An envelope for each place that this one's addresses lead to, outside. */
struct onward {
	struct onward *next;
	struct envelope envelope;
	size_t room;
};

static struct onward *
onward_new(struct group *g, struct work *w, const struct expansion *x,
    struct span domain, struct onward **list)
{
	const struct envelope *e = &w->envelope;
	struct onward *o = arena_zalloc(g->arena, sizeof(*o));

	if (o == NULL)
		return NULL;
	o->envelope = *e;
	o->envelope.arrived = g->now;
	o->envelope.flags = (e->flags | ENVELOPE_FORWARDED) &
	    ~(uint32_t)ENVELOPE_AUTHENTICATED;
	o->envelope.state = ENVELOPE_ACTIVE;
	o->envelope.attempts = 0;
	o->envelope.warned = false;
	o->envelope.next_attempt = g->now / 1000000;
	o->envelope.release_at = 0;
	o->envelope.domain = domain;
	o->envelope.sender = x->new_sender;
	o->envelope.head = arena_printf(g->arena, "Delivered-To: %.*s\r\n",
	    SPAN_ARG(x->delivered_to));
	o->envelope.trace = arena_printf(g->arena, "by=%.*s",
	    SPAN_ARG(x->delivered_to));
	o->envelope.reason = SPAN_EMPTY;
	o->envelope.recipients = NULL;
	o->envelope.count = 0;
	/* The same queue id: it is the same message's way. */
	random_bytes(o->envelope.token.b + QUEUE_ID_TOKEN,
	    sizeof(o->envelope.token.b) - QUEUE_ID_TOKEN);
	o->next = *list;
	*list = o;
	return o;
}

static struct onward *
onward_to(struct group *g, struct work *w, const struct expansion *x,
    struct span domain, struct onward **list)
{
	for (struct onward *o = *list; o != NULL; o = o->next)
		if (span_eq(o->envelope.domain, domain) &&
		    span_eq(o->envelope.sender, x->new_sender) &&
		    o->envelope.count < ENVELOPE_RECIPIENTS_MAX / 50)
			return o;
	return onward_new(g, w, x, domain, list);
}

/*
 * RFC 3461 5.2.7: through an alias of one address what the sender asked for
 * goes along; of several, and of a list, it is answered here.
 */
static uint32_t
onward_notify(const struct expansion *x, const struct envelope_recipient *r)
{
	if (x->is_list)
		return 0;
	if (x->account_count + x->outside_count > 1 && r->notify != 0)
		return (r->notify & ~(uint32_t)NOTIFY_SUCCESS) != 0
		    ? r->notify & ~(uint32_t)NOTIFY_SUCCESS : NOTIFY_NEVER;
	return r->notify;
}

static bool
onward_add(struct group *g, struct onward *o, const struct expansion *x,
    const struct envelope_recipient *r, struct span address)
{
	struct envelope *e = &o->envelope;
	struct envelope_recipient *list = e->recipients;

	for (size_t i = 0; i < e->count; i++)
		if (span_eq(list[i].address, address))
			return true;
	if (e->count == o->room) {
		size_t more = MAX(o->room * 2, 4);

		list = arena_grow(g->arena, list, o->room * sizeof(*list),
		    more * sizeof(*list));
		if (list == NULL)
			return false;
		e->recipients = list;
		o->room = more;
	}
	list[e->count++] = (struct envelope_recipient){ .address = address,
	    .original = x->is_list ? SPAN_EMPTY : r->original.n > 0
	    ? r->original : arena_printf(g->arena, "rfc822;%.*s",
	    SPAN_ARG(r->address)),
	    .notify = onward_notify(x, r) };
	return true;
}

static enum result
send_on(struct group *g, struct work *w, const struct expansion *x,
    const struct envelope_recipient *r, struct onward **list)
{
	for (size_t i = 0; i < x->outside_count; i++) {
		struct span domain = group_domain(g, x->outside[i]);
		struct onward *o;

		if (domain.n == 0)	/* it became one of ours */
			continue;
		o = onward_to(g, w, x, domain, list);
		if (o == NULL || !onward_add(g, o, x, r, x->outside[i]))
			return RESULT_TEMPORARY;
		trace_step(&w->rows, &w->envelope.token, g->now, "forwarded",
		    "to=<%.*s> as=<%.*s>", SPAN_ARG(r->address),
		    SPAN_ARG(x->outside[i]));
	}
	return RESULT_OK;
}

/* -- one recipient --------------------------------------------------------- */

static enum bounce_action
action_of(const struct expansion *x)
{
	if (x->outside_count == 0 || x->is_list)
		return BOUNCE_IS_DELIVERED;
	/* One address: what is outside reports by itself. */
	return x->account_count + x->outside_count == 1 ? BOUNCE_NOTHING
	    : BOUNCE_IS_EXPANDED;
}

static void
deliver_recipient(struct group *g, struct work *w,
    struct envelope_recipient *r, struct onward **list)
{
	const struct envelope *e = &w->envelope;
	struct expansion x = { 0 };
	const char *loop = NULL;
	enum result result = directory_expand(g->store->directory,
	    r->address, e->sender, g->arena, &x);

	if (result == RESULT_OK && x.outside_count > 0)
		loop = directory_loop(g->store->directory, &x,
		    e->delivered_to);
	if (result == RESULT_OK && loop == NULL)
		result = deliver_accounts(g, w, &x);
	if (result == RESULT_OK && loop == NULL)
		result = send_on(g, w, &x, r, list);
	if (result == RESULT_OK && loop == NULL) {
		if (x.is_mask)
			mask_used(g->store, r->address);
		r->state = RECIPIENT_DONE;
		r->reason = SPAN_EMPTY;
		w->fates[r - e->recipients].action = action_of(&x);
		if (x.account_count > 0)
			trace_step(&w->rows, &e->token, g->now, "delivered",
			    "to=<%.*s>", SPAN_ARG(r->address));
		return;
	}
	r->reason = loop != NULL ? span_str(loop) : x.why.n > 0 ? x.why
	    : span_str(failure_text(store_settings(g->store), result));
	r->state = loop != NULL ||
	    is_permanent(store_settings(g->store), result) ? RECIPIENT_FAILED
	    : RECIPIENT_WAITING;
	trace_step(&w->rows, &e->token, g->now,
	    r->state == RECIPIENT_FAILED ? "failed" : "deferred",
	    "to=<%.*s> reason=%.*s", SPAN_ARG(r->address),
	    SPAN_ARG(r->reason));
}

/* -- one envelope ---------------------------------------------------------- */

static void
deliver_here(struct group *g, struct work *w)
{
	struct envelope *e = &w->envelope;
	struct onward *list = NULL;
	bool born = true;

	w->tried = true;
	for (size_t i = 0; i < e->count; i++)
		if (e->recipients[i].state == RECIPIENT_WAITING)
			deliver_recipient(g, w, &e->recipients[i], &list);
	for (; list != NULL && born; list = list->next)
		born = group_bear(g, &list->envelope, SPAN_EMPTY);
	/* Some stand in the batch, some do not: none of it may be written. */
	if (!born)
		g->broken = true;
	group_settle(g, w);
}

/*
 * For another system: into the line for relay, unless its time has not come
 * or is over.
 */
static void
send_out(struct group *g, struct work *w)
{
	const struct envelope *e = &w->envelope;
	int64_t now = g->now / 1000000;
	bool waits = e->next_attempt > now ||
	    (e->flags & ENVELOPE_ETRN_ONLY) != 0;

	if (queue_deadline(store_settings(g->store), e) <= now) {
		group_touch(w);
		group_settle(g, w);
		if (w->outcome != OUTCOME_LINE)
			return;
	}
	group_leave(w, waits && !w->entry->hurry ? OUTCOME_WAIT
	    : OUTCOME_LINE);
}

static void
work_on(struct group *g, struct queue_entry *entry)
{
	struct work *w = group_add(g, entry);

	if (w->outcome == OUTCOME_SKIPPED)
		return;
	/* Its sender wants it to wait (RFC 4865): nobody hurries that. */
	if (w->envelope.state == ENVELOPE_HELD ||
	    w->envelope.release_at > g->now / 1000000)
		group_leave(w, OUTCOME_WAIT);
	else if (w->envelope.domain.n > 0)
		send_out(g, w);
	else
		deliver_here(g, w);
}

/*
 * Deliveries are made as they come; the group ends when it is full or when
 * nothing more comes for a moment.
 */
void *
deliver_thread(void *arg)
{
	struct queue *q = arg;
	struct queue_entry *entries[QUEUE_GROUP];
	struct group *g = xcalloc(1, sizeof(*g));
	struct arena *arena = arena_new(GROUP_MEMORY);
	size_t n;

	while ((n = queue_take(q, entries, QUEUE_GROUP, false)) > 0) {
		group_begin(g, q, arena);
		do {
			g->now = clock_wall();
			for (size_t i = 0; i < n; i++)
				work_on(g, entries[i]);
			n = g->count == QUEUE_GROUP || g->crowded ? 0 :
			    queue_take(q, entries, QUEUE_GROUP - g->count,
			    true);
		} while (n > 0);
		group_end(g);
	}
	arena_free(&arena);
	free(g);
	return NULL;
}
