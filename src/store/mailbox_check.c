/*
 * mailbox_check.c - what an account has, against what it should have.
 *
 * Looked at: that every record can be read, that every message has its body,
 * of its size, and holds it. Repaired: a row without a body goes (its bytes
 * are lost, and a client that cached it keeps its copy); a lost link is made
 * anew; damaged records are removed and what they held is built again from
 * the bodies that still name the mailbox as their holder: their messages come
 * back under their UIDs, unread. Mailboxes that lost their name get one.
 */
#include "store/index.h"
#include "store/mailboxes.h"
#include "store/quota.h"
#include "store/shares.h"

#include <stdio.h>

struct check {
	struct mailboxes *m;
	struct names *names;
	struct text *report;
	bool repair;
	uint32_t found, repaired;
};

static void
tell(struct check *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
tell(struct check *c, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	text_printf(c->report, "account %" PRIu64 ": ",
	    names_account(c->names));
	text_vprintf(c->report, fmt, args);
	text_char(c->report, '\n');
	va_end(args);
	c->found++;
}

/* ---- rows ------------------------------------------------------------ */

/* 1 as it should be; 0 the row must go; -1 its link must be made anew. */
static int
check_row(struct check *c, const struct mailbox *mb, const struct row *row)
{
	struct engine *engine = c->m->store->engine;
	struct key holder = message_holder(mailbox_id(mb), row->uid);
	uint64_t size;
	int status = engine_body_size(engine, row->body, &size);

	if (status < 0) {
		tell(c, "mailbox %" PRIu64 " uid %" PRIu32 ": the body cannot "
		    "be read", mailbox_id(mb), row->uid);
		return 1;
	}
	if (status == 0 || size != row->size) {
		tell(c, "mailbox %" PRIu64 " uid %" PRIu32 ": %s",
		    mailbox_id(mb), row->uid, status == 0
		    ? "the body is lost" : "the body is not of its size");
		return 0;
	}
	if (engine_body_linked(engine, row->body, key_span(&holder)) == 0) {
		tell(c, "mailbox %" PRIu64 " uid %" PRIu32 ": the body is not "
		    "linked", mailbox_id(mb), row->uid);
		return -1;
	}
	return 1;
}

static void
relink(struct check *c, struct mailbox *mb, const struct row *row)
{
	struct key holder = message_holder(mailbox_id(mb), row->uid);
	struct batch *b = mailbox_batch(mb);

	batch_link(b, row->body, key_span(&holder));
	if (mailbox_commit(mb, b, NULL) == 1)
		c->repaired++;
	batch_free(&b);
}

static void
check_rows(struct check *c, struct mailbox *mb)
{
	const struct table *t = &mb->table;
	struct uids lost = { 0 };

	for (size_t i = 0; i < t->n; i++) {
		int status = check_row(c, mb, &t->rows[i]);

		if (status == 0)
			uids_add(&lost, t->rows[i].uid, t->rows[i].uid);
		else if (status < 0 && c->repair)
			relink(c, mb, &t->rows[i]);
	}
	if (c->repair && lost.n > 0 &&
	    mailbox_expunge(mb, &lost) == RESULT_OK)
		c->repaired += (uint32_t)uids_count(&lost);
	uids_free(&lost);
}

/* Not mail: what is lost there is built anew. */
static void
check_index(struct check *c, const struct mailbox *mb)
{
	uint32_t found = index_check(c->m->store, mailbox_id(mb), c->repair,
	    c->report);

	c->found += found;
	if (c->repair)
		c->repaired += found;
}

/* ---- building again -------------------------------------------------- */

static enum result
add_row(struct check *c, struct mailbox *mb, const struct body_id *body,
    uint32_t uid)
{
	int64_t now = clock_wall_seconds();
	struct row row = { .uid = uid, .body = *body, .internal_date = now,
	    .save_date = now };
	struct change change = { .kind = CHANGE_ADD, .rows = &row,
	    .row_count = 1, .total = 1 };
	struct batch *b;
	enum result result;
	uint64_t size;

	if (uid == 0 || uid == UINT32_MAX ||
	    table_find(&mb->table, uid) != NULL ||
	    engine_body_size(c->m->store->engine, *body, &size) != 1 ||
	    size > UINT32_MAX)
		return RESULT_OK;
	row.size = (uint32_t)size;
	b = mailbox_batch(mb);
	result = mailbox_make(mb, b, &change, 1, NULL);
	batch_free(&b);
	if (result == RESULT_OK)
		tell(c, "mailbox %" PRIu64 " uid %" PRIu32 ": %s",
		    mailbox_id(mb), uid, "found again by its body");
	return result;
}

/* A walk over all links of the store; only after damage. */
static enum result
find_rows(struct check *c, struct mailbox *mb)
{
	struct arena *arena = arena_new(1 << 20);
	struct body_id body = { { 0 } };
	char last[ENGINE_KEY_MAX];
	struct span holder = SPAN_EMPTY;
	enum result result = RESULT_OK;
	uint64_t mailbox;
	uint32_t uid;
	int status;

	while (result == RESULT_OK && (status = engine_next_link(
	    c->m->store->engine, arena, &body, &holder)) == 1) {
		if (message_holder_read(holder, &mailbox, &uid) &&
		    mailbox == mailbox_id(mb))
			result = add_row(c, mb, &body, uid);
		memcpy(last, holder.p, holder.n);
		holder = span_of(last, holder.n);
		arena_reset(arena);
	}
	arena_free(&arena);
	return result == RESULT_OK && status < 0 ? RESULT_TEMPORARY : result;
}

/* What the head said and the account still knows. */
static void
restore_head(struct mailbox *mb, const struct check *c,
    const struct listed *listed)
{
	struct table *t = &mb->table;

	t->account = names_account(c->names);
	if (t->uidvalidity == 0)
		t->uidvalidity = listed->uidvalidity;
	if (t->uidnext == 0)
		t->uidnext = 1;
	table_ready(t);
	for (size_t i = 0; i < t->n; i++)
		t->modseq = MAX(t->modseq, t->rows[i].modseq);
	t->modseq++;
}

static void
rebuild(struct check *c, struct mailbox *mb, const struct listed *listed)
{
	struct damage damage = { .report = c->report };
	uint32_t before = c->found;
	enum result result = mailbox_read(mb, &damage);

	c->found += damage.found;
	if (result == RESULT_NOT_FOUND || result == RESULT_DAMAGED) {
		tell(c, "mailbox %" PRIu64 " (%.*s): its head is lost",
		    mailbox_id(mb), SPAN_ARG(listed->name));
		result = RESULT_OK;
	}
	if (result == RESULT_OK && c->repair) {
		restore_head(mb, c, listed);
		mb->loaded = true;
		if (find_rows(c, mb) == RESULT_OK && mailbox_rewrite(mb,
		    text_span(&damage.keys)) == 1)
			c->repaired += c->found - before;
	}
	text_free(&damage.keys);
}

/* ---- what it holds all in all ---------------------------------------- */

static void
check_sums(struct check *c, struct mailbox *mb)
{
	if (quota_mailbox_is_right(mb))
		return;
	tell(c, "mailbox %" PRIu64 ": its sums are not of its messages",
	    mailbox_id(mb));
	if (c->repair && mailbox_put_sums(mb) == 1)
		c->repaired++;
}

/* ---- a mailbox ------------------------------------------------------- */

static void
check_mailbox(struct check *c, const struct listed *listed)
{
	struct mailbox *mb = (struct mailbox *)shelf_take(c->m->open,
	    listed->mailbox);
	enum result result = RESULT_OK;

	pthread_mutex_lock(&mb->lock);
	/* Not what is in memory, but what is stored. */
	if (!mb->loaded || engine_is_durable(c->m->store->engine,
	    mb->structural))
		result = mailbox_read(mb, NULL);
	if (result == RESULT_DAMAGED || result == RESULT_NOT_FOUND)
		rebuild(c, mb, listed);
	else if (result != RESULT_OK)
		tell(c, "mailbox %" PRIu64 " (%.*s) cannot be read now",
		    mailbox_id(mb), SPAN_ARG(listed->name));
	if (mb->loaded) {
		check_rows(c, mb);
		check_index(c, mb);
		check_sums(c, mb);
	}
	mailbox_leave(&mb);
}

/* The index of who shares what against the list of the mailbox. */
static void
check_share(struct check *c, const struct listed *listed)
{
	const struct share share = { names_account(c->names),
	    listed->mailbox };

	if (shares_agree(c->m->store, &share, &listed->acl) != 0)
		return;
	tell(c, "mailbox %" PRIu64 " (%.*s): the index of what is shared "
	    "says otherwise", listed->mailbox, SPAN_ARG(listed->name));
	if (c->repair && shares_apply(c->m->store, &share) == RESULT_OK)
		c->repaired++;
}

/* ---- mailboxes without a name ---------------------------------------- */

static enum result
name_again(struct check *c, struct mailbox *mb)
{
	char name[64];
	struct listed listed = {
		.mailbox = mailbox_id(mb),
		.uidvalidity = mb->table.uidvalidity,
	};

	snprintf(name, sizeof(name), "Recovered-%" PRIu64, mailbox_id(mb));
	listed.name = span_str(name);
	/* INBOX cannot be done without. */
	if (c->names->inbox == 0)
		listed.name = SPAN("INBOX");
	return names_add(c->names, &listed);
}

static void
check_unnamed(struct check *c, uint64_t id)
{
	struct mailbox *mb;

	if (names_find_id(c->names, id) != NULL ||
	    mailbox_enter_any(c->m, id, &mb) != RESULT_OK)
		return;
	if (mb->table.account == names_account(c->names) && !mb->removed) {
		tell(c, "mailbox %" PRIu64 " has lost its name", id);
		if (c->repair && name_again(c, mb) == RESULT_OK)
			c->repaired++;
	}
	mailbox_leave(&mb);
}

/* A walk over all mailboxes of the store; only after damage. */
static void
find_unnamed(struct check *c)
{
	uint64_t id = 0;

	while (engine_next_partition(c->m->store->engine, PARTITION_MAILBOX,
	    id, &id) == 1)
		check_unnamed(c, id);
}

static enum result
check_names(struct check *c, struct damage *damage)
{
	enum result result = names_read(c->names, damage);

	c->found += damage->found;
	if (result != RESULT_OK || damage->found == 0)
		return result;
	if (c->repair && names_forget(c->names,
	    text_span(&damage->keys)) == RESULT_OK)
		c->repaired += damage->found;
	find_unnamed(c);
	return RESULT_OK;
}

enum result
mailboxes_check(struct mailboxes *m, uint64_t account, bool repair,
    struct text *report, uint32_t *found, uint32_t *repaired)
{
	struct check c = { .m = m, .report = report, .repair = repair };
	struct damage damage = { .report = report };
	enum result result;

	c.names = (struct names *)shelf_take(m->names, account);
	pthread_mutex_lock(&c.names->lock);
	result = check_names(&c, &damage);
	for (size_t i = 0; i < c.names->n && result == RESULT_OK; i++) {
		check_mailbox(&c, &c.names->at[i]);
		check_share(&c, &c.names->at[i]);
	}
	text_free(&damage.keys);
	*found += c.found;
	*repaired += c.repaired;
	names_answer(&c.names, &result);
	return result;
}

/* ---- usage ----------------------------------------------------------- */

enum result
mailboxes_usage(struct mailboxes *m, uint64_t account, uint64_t *messages,
    uint64_t *bytes)
{
	struct quota_sums sums = { 0 };
	struct names *names;
	enum result result;

	*messages = *bytes = 0;
	if (m->store->quotas != NULL) {
		result = quota_usage(m->store, account, &sums);
		*messages = sums.messages;
		*bytes = sums.bytes;
		return result;
	}
	result = names_enter(m, account, &names);
	if (result != RESULT_OK)
		return result;
	for (size_t i = 0; i < names->n && result == RESULT_OK; i++) {
		struct mailbox *mb;

		result = mailbox_enter_any(m, names->at[i].mailbox, &mb);
		if (result != RESULT_OK)
			break;
		*messages += mb->table.n;
		*bytes += mb->table.bytes;
		mailbox_leave(&mb);
	}
	names_leave(&names);
	return result;
}
