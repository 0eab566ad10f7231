/*
 * message_flags.c - flags and keywords (RFC 3501 6.4.6, RFC 7162 3.1.3).
 *
 * One record in the tail, whatever the number of messages. Its ranges name
 * the messages that may change; those that have the flags already keep their
 * modseq. Who may not set all flags changes those that they may (RFC 4314
 * section 4): then a STORE of FLAGS is one that adds and one that removes.
 */
#include "store/mailboxes.h"
#include "store/verbs.h"

/* The bits of keyword names; those not there yet are defined by the change. */
static enum result
add_keywords(const struct table *t, struct span names, bool define,
    struct change *change)
{
	struct span word;
	uint64_t bit;

	while ((word = span_word(&names)).n > 0) {
		if (!define)
			bit = table_keyword(t, word);
		else if (!table_define(t, change, word, &bit))
			return RESULT_LIMIT;
		change->flags |= bit;
	}
	return RESULT_OK;
}

struct selection {
	struct uids changed, failed;
	bool any;			/* a message really changes */
	bool plain;			/* in one record, as it was asked */
	uint64_t bits;
};

static bool
would_change(const struct mailbox *mb, const struct change *change,
    const struct row *row)
{
	uint64_t flags = row->flags;

	if (change->kind == CHANGE_SEEN)
		return ((mailbox_flags(mb, row) & FLAG_SEEN) != 0) !=
		    (change->mode == STORE_ADD);
	switch (change->mode) {
	case STORE_ADD:
		return (flags | change->flags) != flags;
	case STORE_REMOVE:
		return (flags & change->flags) != 0;
	case STORE_SET:
		break;
	}
	return flags != change->flags;
}

static void
extend(struct uids *uids, size_t *before, size_t i, uint32_t uid)
{
	if (uids->n > 0 && *before + 1 == i)
		uids->at[uids->n - 1].last = uid;
	else
		uids_add(uids, uid, uid);
	*before = i;
}

/* Which rows the change is for, and which changed too lately for it. */
static void
select_rows(const struct mailbox *mb, const struct uids *wanted,
    uint64_t unchanged_since, const struct change *change,
    struct selection *s)
{
	const struct table *t = &mb->table;
	size_t before = SIZE_MAX;

	for (size_t r = 0; r < wanted->n; r++) {
		size_t i = table_seek(t, wanted->at[r].first);
		uint32_t last = wanted->at[r].last;

		for (; i < t->n && t->rows[i].uid <= last; i++) {
			const struct row *row = &t->rows[i];

			if (row->modseq > unchanged_since) {
				uids_add(&s->failed, row->uid, row->uid);
				continue;
			}
			if (would_change(mb, change, row))
				s->any = true;
			else if (change->kind == CHANGE_SEEN)
				continue;
			extend(&s->changed, &before, i, row->uid);
		}
	}
}

/* A set with very many gaps takes more than one record. */
static enum result
make_flags(struct mailbox *mb, struct change *change,
    const struct uids *changed, ticket_t *ticket)
{
	enum result result = RESULT_OK;

	for (size_t i = 0; i < changed->n && result == RESULT_OK;
	    i += CHANGE_RANGES_MAX) {
		struct batch *b = mailbox_batch(mb);

		change->uids = (struct uids){ .at = changed->at + i,
		    .n = MIN(changed->n - i, (size_t)CHANGE_RANGES_MAX) };
		result = mailbox_make(mb, b, change, 1, ticket);
		change->defined = 0;
		batch_free(&b);
	}
	return result;
}

static enum result
store_all(struct mailbox *mb, struct change *change,
    const struct uids *wanted, uint64_t unchanged_since, struct selection *s,
    ticket_t *ticket)
{
	select_rows(mb, wanted, unchanged_since, change, s);
	return s->any ? make_flags(mb, change, &s->changed, ticket)
	    : RESULT_OK;
}

/* As many as needed of a change that somebody may not make as it stands. */
static size_t
parts_of(const struct mailbox *mb, const struct change *whole, uint64_t may,
    struct change parts[3])
{
	bool own = mailbox_has_own_seen(mb) && (may & FLAG_SEEN) != 0;
	bool seen = (whole->flags & FLAG_SEEN) != 0;
	bool set = whole->mode == STORE_SET;
	size_t n = 0;

	if (own && (seen || set))
		parts[n++] = (struct change){ .kind = CHANGE_SEEN,
		    .user = mb->user, .mode = seen &&
		    whole->mode != STORE_REMOVE ? STORE_ADD : STORE_REMOVE };
	if (mailbox_has_own_seen(mb))
		may &= ~FLAG_SEEN;
	if (may != 0 && set) {
		parts[n] = *whole;
		parts[n].mode = STORE_REMOVE;
		parts[n++].flags = ~whole->flags & may;
	}
	if ((whole->flags & may) != 0) {
		parts[n] = *whole;
		if (set)
			parts[n].mode = STORE_ADD;
		parts[n++].flags &= may;
	}
	return n;
}

/* Is this one part all that was asked? */
static bool
is_whole(const struct change *whole, const struct change *part)
{
	return whole->mode != STORE_SET && whole->flags ==
	    (part->kind == CHANGE_SEEN ? FLAG_SEEN : part->flags);
}

/* What changed too lately is said of the first; the others follow it. */
static enum result
store_parts(struct mailbox *mb, struct change *parts, size_t n,
    const struct uids *wanted, uint64_t unchanged_since, struct selection *s,
    ticket_t *ticket)
{
	const struct change nothing = { .kind = CHANGE_FLAGS,
	    .mode = STORE_ADD };
	enum result result = RESULT_OK;

	select_rows(mb, wanted, unchanged_since, &nothing, s);
	for (size_t i = 0; i < n && result == RESULT_OK; i++) {
		struct selection one = { 0 };

		result = store_all(mb, &parts[i], &s->changed, UINT64_MAX,
		    &one, ticket);
		s->plain = n == 1 && one.changed.n <= CHANGE_RANGES_MAX;
		uids_free(&one.changed);
		uids_free(&one.failed);
	}
	return result;
}

static enum result
store_flags(struct mailbox *mb, const struct message_store_request *req,
    const struct uids *wanted, struct selection *s, ticket_t *ticket)
{
	struct change change = {
		.kind = CHANGE_FLAGS, .mode = req->mode,
		.flags = req->flags & FLAGS_SYSTEM,
	}, parts[3] = { 0 };
	uint64_t may = mailbox_may_set(mb);
	bool words = (may & (UINT64_C(1) << FLAG_KEYWORD_0)) != 0;
	enum result result = add_keywords(&mb->table, words ? req->keywords
	    : SPAN_EMPTY, req->mode != STORE_REMOVE, &change);
	size_t n;

	if (result != RESULT_OK)
		return result;
	if (may == UINT64_MAX && !mailbox_has_own_seen(mb)) {
		result = store_all(mb, &change, wanted, req->unchanged_since,
		    s, ticket);
		s->plain = s->changed.n <= CHANGE_RANGES_MAX;
		s->bits = change.flags;
		return result;
	}
	n = parts_of(mb, &change, may, parts);
	if (n == 0 && (may == 0 || change.flags != 0 || req->keywords.n > 0))
		return RESULT_FORBIDDEN;
	result = store_parts(mb, parts, n, wanted, req->unchanged_since, s,
	    ticket);
	s->bits = change.flags;
	s->plain = s->plain && is_whole(&change, &parts[0]);
	return result;
}

static enum result
fill_reply(struct mailbox *mb, const struct message_store_request *req,
    const struct selection *s, bool current, struct arena *arena,
    struct message_store_reply *reply)
{
	struct view view;
	struct span failed;
	enum result result;

	reply->as_asked = current && s->plain;
	reply->bits = s->bits;
	result = view_changes(mb, reply->as_asked ? UINT64_MAX : req->since,
	    arena, &view);
	VIEW_TO_REPLY(&view, reply);
	if (uids_write(&s->failed, arena, &failed) != 1)
		return RESULT_TEMPORARY;
	reply->modified = BLOB_OF(failed);
	return result;
}

void
verb_message_store(void *arg, const struct caller *caller,
    struct arena *arena, const struct message_store_request *req,
    struct message_store_reply *reply)
{
	struct store *store = arg;
	struct uids wanted = { 0 };
	struct selection s = { 0 };
	struct mailbox *mb = NULL;
	ticket_t ticket = 0;
	bool current = false;

	reply->result = req->mode <= STORE_REMOVE &&
	    uids_read(&wanted, req->uids.bytes) ? RESULT_OK : RESULT_INVALID;
	if (reply->result == RESULT_OK)
		reply->result = mailbox_open_for(store, &req->grant,
		    req->mailbox, RIGHT_READ, &mb);
	if (reply->result == RESULT_OK) {
		current = req->brief && req->since == mb->table.modseq;
		watch_by_answer(mb, caller, req->watch);
		reply->result = store_flags(mb, req, &wanted, &s, &ticket);
	}
	if (reply->result == RESULT_OK)
		reply->result = fill_reply(mb, req, &s, current, arena,
		    reply);
	if (!store_settings(store)->store_sync_flags)
		ticket = 0;
	mailbox_answer(&mb, ticket, &reply->result);
	uids_free(&wanted);
	uids_free(&s.changed);
	uids_free(&s.failed);
}
