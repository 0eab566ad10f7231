/*
 * mailbox_list.c - the list of an account's mailboxes, and how it changes.
 *
 * A name is a row in the account's partition; what is in the mailbox is in
 * the mailbox's own. So renaming moves nothing, whatever hangs below; but
 * INBOX, which always is there, gives its messages away instead (RFC 3501
 * 6.3.5). UIDVALIDITY grows with every mailbox that an account ever had.
 */
#include "store/mailboxes.h"
#include "store/metadata.h"
#include "store/quota.h"
#include "store/verbs.h"

#include <stdlib.h>

/* ---- changing the account's partition -------------------------------- */

static void
put_name(struct batch *b, const struct listed *listed)
{
	struct key key = key_u64(ACCOUNT_MAILBOX, listed->mailbox);
	struct text t = TEXT_INIT(0);

	mailbox_name_encode(&t, &(struct mailbox_name){
	    .name = listed->name, .use = listed->use,
	    .uidvalidity = listed->uidvalidity, .token = listed->token });
	batch_put(b, key_span(&key), text_span(&t));
	text_free(&t);
}

static void
put_number(struct batch *b, struct span key, uint64_t v)
{
	struct text t = TEXT_INIT(0);

	number_encode(&t, v);
	batch_put(b, key, text_span(&t));
	text_free(&t);
}

static void
put_subscription(struct batch *b, struct span name, bool on)
{
	struct text key = TEXT_INIT(0);

	text_char(&key, ACCOUNT_SUBSCRIBED);
	text_add(&key, name);
	if (on)
		put_number(b, text_span(&key), 0);
	else
		batch_delete(b, text_span(&key));
	text_free(&key);
}

static enum result
commit(struct names *names, struct batch *b)
{
	if (engine_commit(names->owner->store->engine, b,
	    &names->ticket) != 1)
		return result_of_errno();
	account_names_changed(names->owner, names_account(names));
	return RESULT_OK;
}

/* ---- making ---------------------------------------------------------- */

enum { MAKE_MAX = 64 };			/* a name with all its parents */

/* Mailboxes to be made in one batch; ids were taken before the lock. */
struct making {
	struct names *names;
	struct listed made[MAKE_MAX];
	uint64_t ids[MAKE_MAX];
	struct token intents[MAKE_MAX];	/* of those whose list is not empty */
	size_t n, ids_n;
	uint64_t account;		/* who wishes it */
	bool subscribe;
};

static void
making_free(struct making *making)
{
	for (size_t i = 0; i < making->n; i++)
		acl_free(&making->made[i].acl);
	making->n = 0;
}

static enum result
take_ids(struct store *store, struct making *making, size_t n)
{
	must(n <= MAKE_MAX);
	for (making->ids_n = 0; making->ids_n < n; making->ids_n++)
		if (store_next_id(store, &making->ids[making->ids_n]) != 1)
			return RESULT_TEMPORARY;
	return RESULT_OK;
}

/* Seconds, so that the numbers mean something, but never twice the same. */
static uint32_t
next_uidvalidity(struct names *names)
{
	int64_t now = clock_wall_seconds();
	uint32_t last = names->last_uidvalidity;

	names->last_uidvalidity = now > last && now < UINT32_MAX
	    ? (uint32_t)now : last + 1;
	return names->last_uidvalidity;
}

/* RFC 4314 section 4: what is made has the list of what it is made in. */
static void
inherit(struct making *making, struct listed *made)
{
	const struct listed *above = making->n > 0 && names_is_below(made->name,
	    making->made[making->n - 1].name)
	    ? &making->made[making->n - 1]
	    : names_above(making->names, made->name);

	if (above != NULL)
		acl_copy(&made->acl, &above->acl);
}

static enum result
make(struct making *making, struct span name, uint32_t use,
    struct token token)
{
	struct names *names = making->names;
	struct listed *made = &making->made[making->n];
	size_t most = store_settings(names->owner->store)->store_max_mailboxes;
	enum result result;

	if (names->n + making->n >= most)
		return RESULT_LIMIT;
	result = quota_room_mailboxes(names->owner->store,
	    names_account(names), names->n + making->n + 1);
	if (result != RESULT_OK)
		return result;
	must(making->n < making->ids_n);
	*made = (struct listed){ .name = name, .use = use, .token = token,
	    .mailbox = making->ids[making->n],
	    .uidvalidity = next_uidvalidity(names) };
	inherit(making, made);
	making->n++;
	return mailbox_format(names->owner, made->mailbox,
	    names_account(names), made->uidvalidity);
}

static enum result
make_parents(struct making *making, struct span name)
{
	enum result result = RESULT_OK;

	for (size_t i = 0; i < name.n && result == RESULT_OK; i++) {
		struct span parent = span_sub(name, 0, i);

		if (name.p[i] == '/' &&
		    names_find(making->names, parent) == NULL)
			result = make(making, parent, 0, (struct token){ 0 });
	}
	return result;
}

static enum result
commit_making(struct making *making)
{
	struct names *names = making->names;
	struct batch *b = batch_new(names_partition(names));
	struct key head = key_letter(ACCOUNT_HEAD);
	enum result result;

	for (size_t i = 0; i < making->n; i++) {
		put_name(b, &making->made[i]);
		if (making->made[i].acl.n > 0)
			acl_put(b, &making->made[i], &making->intents[i]);
		if (making->subscribe)
			put_subscription(b, making->made[i].name, true);
	}
	put_number(b, key_span(&head), names->last_uidvalidity);
	result = commit(names, b);
	batch_free(&b);
	for (size_t i = 0; i < making->n && result == RESULT_OK; i++) {
		struct listed *made = &making->made[i];

		names_insert(names, made);
		if (made->acl.n > 0)
			acl_publish(names, made->mailbox,
			    &making->intents[i]);
		made->acl = (struct acl){ 0 };
		if (making->subscribe)
			names_subscribe(names, made->name, true);
	}
	return result;
}

static size_t
levels_of(struct span name)
{
	size_t n = 1;

	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] == '/')
			n++;
	return n;
}

static bool
same_token(const struct token *a, const struct token *b)
{
	return memcmp(a, b, sizeof(*a)) == 0 && !token_is_zero(a);
}

static enum result
create(struct making *making, struct span name, uint32_t use,
    const struct token *token, uint64_t *mailbox)
{
	struct listed *old = names_find(making->names, name);
	enum result result;

	if (old != NULL) {
		*mailbox = old->mailbox;
		return same_token(&old->token, token) ? RESULT_OK
		    : RESULT_EXISTS;
	}
	result = make_parents(making, name);
	if (result == RESULT_OK)
		result = make(making, name, use, *token);
	if (result == RESULT_OK)
		result = commit_making(making);
	if (result == RESULT_OK)
		*mailbox = making->made[making->n - 1].mailbox;
	return result;
}

enum result
mailboxes_make_defaults(struct mailboxes *m, uint64_t account)
{
	static const struct {
		const char *name;
		uint32_t use;
	} defaults[] = {
		{ "INBOX", 0 },
		{ "Drafts", USE_DRAFTS },
		{ "Sent", USE_SENT },
		{ "Junk", USE_JUNK },
		{ "Trash", USE_TRASH },
		{ "Archive", USE_ARCHIVE },
	};
	struct making making = { .subscribe = true };
	enum result result = take_ids(m->store, &making,
	    ARRAY_LEN(defaults));

	if (result == RESULT_OK)
		result = names_enter(m, account, &making.names);
	for (size_t i = 0; i < ARRAY_LEN(defaults) && result == RESULT_OK;
	    i++) {
		struct span name = span_str(defaults[i].name);

		if (names_find(making.names, name) == NULL)
			result = make(&making, name, defaults[i].use,
			    (struct token){ 0 });
	}
	if (result == RESULT_OK && making.n > 0)
		result = commit_making(&making);
	making_free(&making);
	names_answer(&making.names, &result);
	return result;
}

/* ---- who may --------------------------------------------------------- */

static enum result
check(const struct names *names, uint64_t account,
    const struct listed *listed, uint32_t needs)
{
	return listed == NULL ? RESULT_NOT_FOUND : access_check(
	    access_rights(names->owner, account, names, listed), needs);
}

/* At the top only the owner makes mailboxes. */
static enum result
may_make(const struct names *names, uint64_t account, struct span name)
{
	const struct listed *above = names_above(names, name);

	if (above == NULL)
		return names_account(names) == account ? RESULT_OK
		    : RESULT_NOT_FOUND;
	return check(names, account, above, RIGHT_CREATE);
}

/* ---- removing -------------------------------------------------------- */

/* Whoever has it open finds it gone. */
static void
shut(struct mailboxes *m, uint64_t id)
{
	struct mailbox *mb = (struct mailbox *)shelf_take(m->open, id);

	pthread_mutex_lock(&mb->lock);
	mb->removed = true;
	watches_tell(mb, UINT64_MAX);
	mailbox_leave(&mb);
}

static void
put_removal(struct batch *b, const struct listed *listed)
{
	struct intent intent = { .kind = INTENT_REMOVE,
	    .token = token_new(), .source = listed->mailbox };
	struct key key = key_u64(ACCOUNT_MAILBOX, listed->mailbox);

	batch_delete(b, key_span(&key));
	key = key_u64(ACCOUNT_RIGHTS, listed->mailbox);
	batch_delete(b, key_span(&key));
	key = key_u64(ACCOUNT_URL, listed->mailbox);
	batch_delete(b, key_span(&key));
	intent_put(b, &intent);
}

static enum result
delete(struct names *names, struct span name, uint64_t account)
{
	struct listed *listed = names_find(names, name);
	struct batch *b;
	uint64_t id;
	enum result result = check(names, account, listed, RIGHT_REMOVE);

	if (result != RESULT_OK)
		return result;
	if (names_is_inbox(name))
		return RESULT_INVALID;
	id = listed->mailbox;
	b = batch_new(names_partition(names));
	put_removal(b, listed);
	metadata_drop(names, b, id);
	result = commit(names, b);
	batch_free(&b);
	if (result != RESULT_OK)
		return result;
	names_remove(names, id);
	access_forget(names->owner);
	shut(names->owner, id);
	quota_mailbox_gone(names->owner->store, names_account(names), id);
	work_add(names->owner, WORK_INTENTS, names_account(names));
	return RESULT_OK;
}

enum result
mailboxes_remove_account(struct mailboxes *m, uint64_t account)
{
	struct acl_who who = { .kind = ACL_ACCOUNT, .account = account };
	struct names *names;
	struct batch *b;
	enum result result = acl_forget_everywhere(m, &who);

	if (result == RESULT_OK)
		result = names_enter(m, account, &names);
	if (result != RESULT_OK)
		return result;
	b = batch_new(names_partition(names));
	for (size_t i = 0; i < names->n; i++)
		put_removal(b, &names->at[i]);
	result = commit(names, b);
	batch_free(&b);
	for (size_t i = 0; i < names->n && result == RESULT_OK; i++)
		shut(m, names->at[i].mailbox);
	if (result == RESULT_OK && intents_replay(m, account, true) != 1)
		result = RESULT_TEMPORARY;
	if (result == RESULT_OK && engine_drop_partition(m->store->engine,
	    names_partition(names), &names->ticket) < 0)
		result = RESULT_TEMPORARY;
	names->loaded = false;
	names_answer(&names, &result);
	return result;
}

/* ---- repairs --------------------------------------------------------- */

enum result
names_add(struct names *names, const struct listed *listed)
{
	struct batch *b = batch_new(names_partition(names));
	enum result result;

	put_name(b, listed);
	result = commit(names, b);
	batch_free(&b);
	if (result == RESULT_OK)
		names_insert(names, listed);
	return result;
}

enum result
names_forget(struct names *names, struct span keys)
{
	struct cursor c = { .rest = keys };
	struct batch *b = batch_new(names_partition(names));
	enum result result;

	while (c.rest.n > 0)
		batch_delete(b, get_bytes(&c, ENGINE_KEY_MAX));
	result = commit(names, b);
	batch_free(&b);
	return result;
}

/* ---- renaming -------------------------------------------------------- */

static struct span
renamed(struct arena *arena, struct span name, struct span from,
    struct span to)
{
	return arena_printf(arena, "%.*s%.*s", SPAN_ARG(to),
	    SPAN_ARG(span_from(name, from.n)));
}

/* The new rows of the mailbox and of what is below it. */
static enum result
collect(struct names *names, struct arena *arena, struct span from,
    struct span to, struct listed *moved, size_t *count)
{
	for (size_t i = 0; i < names->n; i++) {
		struct listed *l = &names->at[i];

		if (!span_eq(l->name, from) && !names_is_below(l->name, from))
			continue;
		moved[*count] = *l;
		moved[*count].name = renamed(arena, l->name, from, to);
		if (moved[*count].name.p == NULL)
			return RESULT_TEMPORARY;
		if (moved[*count].name.n > MAILBOX_NAME_MAX ||
		    levels_of(moved[*count].name) > MAKE_MAX)
			return RESULT_LIMIT;
		if (names_find(names, moved[*count].name) != NULL)
			return RESULT_EXISTS;
		++*count;
	}
	return RESULT_OK;
}

static enum result
commit_renamed(struct names *names, const struct listed *moved, size_t n)
{
	struct batch *b = batch_new(names_partition(names));
	enum result result;

	for (size_t i = 0; i < n; i++)
		put_name(b, &moved[i]);
	result = commit(names, b);
	batch_free(&b);
	for (size_t i = 0; i < n && result == RESULT_OK; i++) {
		names_move(names, moved[i].mailbox, moved[i].name);
	}
	return result;
}

static enum result
rename_listed(struct making *making, struct arena *arena, struct span from,
    struct span to)
{
	struct names *names = making->names;
	struct listed *moved = xcalloc(MAX(names->n, (size_t)1),
	    sizeof(*moved));
	size_t count = 0;
	enum result result = collect(names, arena, from, to, moved, &count);

	if (result == RESULT_OK)
		result = make_parents(making, to);
	if (result == RESULT_OK && making->n > 0)
		result = commit_making(making);
	if (result == RESULT_OK)
		result = commit_renamed(names, moved, count);
	free(moved);
	return result;
}

/* A share of the source's messages; *rest is the first uid not moved. */
static enum result
move_share(struct mailboxes *m, uint64_t account, uint64_t source,
    uint64_t target, bool *more, ticket_t *ticket)
{
	struct transfer t = { .token = token_new(), .move = true };
	struct mailbox *two[2];
	enum result result = mailbox_enter_two(m, account, source, target,
	    two);
	const struct table *table;
	size_t n;

	if (result != RESULT_OK)
		return result;
	table = &two[0]->table;
	n = MIN(table->n, (size_t)CHANGE_RANGES_MAX);
	*more = n < table->n;
	if (n > 0) {
		for (size_t i = 0; i < n; i++)
			uids_add(&t.uids, table->rows[i].uid,
			    table->rows[i].uid);
		result = mailbox_transfer(two[0], two[1], &t);
	}
	*ticket = MAX(*ticket, two[0]->structural);
	uids_free(&t.uids);
	mailbox_leave(&two[0]);
	mailbox_leave(&two[1]);
	return result;
}

static enum result
rename_inbox(struct store *store, struct making *making, struct span to,
    ticket_t *ticket)
{
	struct mailboxes *m = store->mailboxes;
	struct names *names = making->names;
	uint64_t account = names_account(names), inbox = names->inbox, target;
	struct token token = token_new();
	bool more = true;
	enum result result = create(making, to, 0, &token, &target);

	*ticket = names->ticket;
	names_leave(&making->names);
	while (result == RESULT_OK && more)
		result = move_share(m, account, inbox, target, &more, ticket);
	return result;
}

static enum result
rename_mailbox(struct store *store, struct making *making,
    struct arena *arena, struct span from, struct span to, ticket_t *ticket)
{
	struct names *names = making->names;
	enum result result = check(names, making->account,
	    names_find(names, from), RIGHT_REMOVE);

	if (result == RESULT_OK)
		result = may_make(names, making->account, to);
	if (result != RESULT_OK)
		return result;
	if (names_find(names, to) != NULL)
		return RESULT_EXISTS;
	if (names_is_inbox(from) &&
	    making->account != names_account(names))
		return RESULT_INVALID;
	if (names_is_inbox(from))
		return rename_inbox(store, making, to, ticket);
	if (names_is_below(to, from))
		return RESULT_INVALID;
	return rename_listed(making, arena, from, to);
}

/* ---- the verbs ------------------------------------------------------- */

static enum result
enter(struct store *store, const struct name_place *place, struct names **names)
{
	return names_enter(store->mailboxes, place->owner, names);
}

static enum result
place(struct store *store, const struct grant *grant, struct span name,
    struct arena *arena, uint64_t *account, struct name_place *out)
{
	enum result result = grant_account(store, grant, account);

	return result == RESULT_OK ? place_named(store->mailboxes, *account,
	    name, arena, out) : result;
}

/* To make a name with its parents: ids cost a write, so it is allowed first. */
static enum result
enter_making(struct store *store, const struct name_place *place,
    uint64_t account, struct making *making)
{
	struct names *names;
	enum result result = RESULT_OK;

	making->account = account;
	if (place->owner != account) {
		result = enter(store, place, &names);
		if (result == RESULT_OK)
			result = may_make(names, account, place->name);
		names_leave(&names);
	}
	if (result == RESULT_OK)
		result = take_ids(store, making, levels_of(place->name));
	return result == RESULT_OK ? enter(store, place, &making->names)
	    : result;
}

/* What is anybody's Sent is of no use as mine. */
static enum result
create_there(struct making *making, const struct name_place *place,
    const struct mailbox_create_request *req, uint64_t *mailbox)
{
	const struct listed *old = names_find(making->names, place->name);
	enum result result = RESULT_OK;

	if (old == NULL || place->kind != PLACE_OWN)
		result = may_make(making->names, making->account,
		    place->name);
	if (result == RESULT_OK && req->use != 0 && place->kind != PLACE_OWN)
		result = RESULT_CONFLICT;
	return result == RESULT_OK ? create(making, place->name, req->use,
	    &req->token, mailbox) : result;
}

void
verb_mailbox_create(void *arg, const struct caller *caller,
    struct arena *arena, const struct mailbox_create_request *req,
    struct mailbox_create_reply *reply)
{
	struct making making = { 0 };
	struct name_place to;
	uint64_t account;

	(void)caller;
	reply->result = place(arg, &req->grant, req->name, arena, &account,
	    &to);
	if (reply->result == RESULT_OK)
		reply->result = enter_making(arg, &to, account, &making);
	if (reply->result == RESULT_OK)
		reply->result = create_there(&making, &to, req,
		    &reply->mailbox);
	making_free(&making);
	names_answer(&making.names, &reply->result);
}

void
verb_mailbox_delete(void *arg, const struct caller *caller,
    struct arena *arena, const struct mailbox_delete_request *req,
    struct mailbox_delete_reply *reply)
{
	struct names *names = NULL;
	struct name_place it;
	uint64_t account;

	(void)caller;
	reply->result = place(arg, &req->grant, req->name, arena, &account,
	    &it);
	if (reply->result == RESULT_OK)
		reply->result = enter(arg, &it, &names);
	if (reply->result == RESULT_OK)
		reply->result = delete(names, it.name, account);
	names_answer(&names, &reply->result);
}

void
verb_mailbox_rename(void *arg, const struct caller *caller,
    struct arena *arena, const struct mailbox_rename_request *req,
    struct mailbox_rename_reply *reply)
{
	struct store *store = arg;
	struct making making = { 0 };
	struct name_place from, to;
	ticket_t ticket = 0;
	uint64_t account;

	(void)caller;
	reply->result = place(store, &req->grant, req->from, arena, &account,
	    &from);
	if (reply->result == RESULT_OK)
		reply->result = place_named(store->mailboxes, account, req->to,
		    arena, &to);
	if (reply->result == RESULT_OK && from.owner != to.owner)
		reply->result = RESULT_INVALID;
	if (reply->result == RESULT_OK)
		reply->result = enter_making(store, &to, account, &making);
	if (reply->result == RESULT_OK)
		reply->result = rename_mailbox(store, &making, arena,
		    from.name, to.name, &ticket);
	making_free(&making);
	if (making.names != NULL)
		names_answer(&making.names, &reply->result);
	else if (reply->result == RESULT_OK)
		reply->result = mailboxes_durable(store->mailboxes, ticket);
}

void
verb_mailbox_subscribe(void *arg, const struct caller *caller,
    struct arena *arena, const struct mailbox_subscribe_request *req,
    struct mailbox_subscribe_reply *reply)
{
	struct store *store = arg;
	size_t most = 2 * store_settings(store)->store_max_mailboxes;
	struct names *names = NULL;
	struct span name;
	struct batch *b;
	uint64_t account;

	(void)caller;
	reply->result = names_normal(req->name, arena, &name) ? RESULT_OK
	    : RESULT_INVALID;
	if (reply->result == RESULT_OK)
		reply->result = grant_account(store, &req->grant, &account);
	if (reply->result == RESULT_OK)
		reply->result = names_enter(store->mailboxes, account,
		    &names);
	if (reply->result == RESULT_OK && req->on &&
	    names->subscribed_n >= most)
		reply->result = RESULT_LIMIT;
	if (reply->result == RESULT_OK &&
	    names_is_subscribed(names, name) != (req->on != 0)) {
		b = batch_new(names_partition(names));
		put_subscription(b, name, req->on != 0);
		reply->result = commit(names, b);
		batch_free(&b);
		if (reply->result == RESULT_OK)
			names_subscribe(names, name, req->on != 0);
	}
	names_answer(&names, &reply->result);
}
