/*
 * mailbox_acl.c - access control lists (RFC 4314): shown and changed.
 *
 * A list is a record beside the mailbox's name, in its owner's partition. The
 * index of who shares what with whom is told by an intent in the same batch;
 * whoever has the mailbox open is told to look again, and finds out what is
 * left to them.
 */
#include "base/log.h"
#include "store/directory.h"
#include "store/mailboxes.h"
#include "store/shares.h"
#include "store/verbs.h"

#include <stdlib.h>

/* ---- a list changes -------------------------------------------------- */

void
acl_put(struct batch *b, const struct listed *listed, struct token *token)
{
	struct key key = key_u64(ACCOUNT_RIGHTS, listed->mailbox);
	struct intent intent = { .kind = INTENT_SHARE,
	    .token = token_new(), .source = listed->mailbox };
	struct text t = TEXT_INIT(0);

	if (listed->acl.n > 0) {
		acl_encode(&t, &listed->acl);
		batch_put(b, key_span(&key), text_span(&t));
	} else {
		batch_delete(b, key_span(&key));
	}
	intent_put(b, &intent);
	*token = intent.token;
	text_free(&t);
}

void
acl_publish(struct names *names, uint64_t mailbox, const struct token *token)
{
	struct mailboxes *m = names->owner;
	uint64_t owner = names_account(names);

	if (shares_apply(m->store, &(struct share){ owner, mailbox }) !=
	    RESULT_OK || intent_forget(m, owner, token) != RESULT_OK)
		work_add(m, WORK_INTENTS, owner);
	/* Whoever sees it from now on does not follow the owner yet. */
	account_names_changed(m, owner);
	account_names_changed(m, ACCOUNT_OF_ALL);
}

void
mailbox_rights_changed(struct mailboxes *m, uint64_t mailbox)
{
	struct mailbox *mb = (struct mailbox *)shelf_take(m->open, mailbox);

	pthread_mutex_lock(&mb->lock);
	watches_tell(mb, UINT64_MAX);
	mailbox_leave(&mb);
}

/* `acl` becomes the list of the mailbox; it is taken over. */
static enum result
replace(struct names *names, struct listed *listed, struct acl *acl)
{
	struct listed changed = *listed;
	struct batch *b = batch_new(names_partition(names));
	struct token token;
	enum result result;

	changed.acl = *acl;
	acl_put(b, &changed, &token);
	result = engine_commit(names->owner->store->engine, b,
	    &names->ticket) == 1 ? RESULT_OK : result_of_errno();
	batch_free(&b);
	if (result != RESULT_OK) {
		acl_free(acl);
		return result;
	}
	acl_free(&listed->acl);
	listed->acl = *acl;
	*acl = (struct acl){ 0 };
	acl_publish(names, listed->mailbox, &token);
	return RESULT_OK;
}

enum result
acl_change_inbox(struct mailboxes *m, uint64_t owner,
    const struct acl_who *who, uint32_t rights)
{
	struct names *names;
	struct listed *inbox;
	struct acl acl = { 0 };
	enum result result = names_enter(m, owner, &names);

	if (result != RESULT_OK)
		return result;
	inbox = names_find_id(names, names->inbox);
	if (inbox == NULL) {
		result = RESULT_NOT_FOUND;
	} else {
		acl_copy(&acl, &inbox->acl);
		result = acl_change(&acl, who, STORE_SET, rights) == 1
		    ? replace(names, inbox, &acl) : RESULT_LIMIT;
		acl_free(&acl);
	}
	names_answer(&names, &result);
	return result;
}

static enum result
forget_one(struct mailboxes *m, const struct share *share,
    const struct acl_who *who)
{
	struct names *names;
	struct listed *listed;
	struct acl acl = { 0 };
	enum result result = names_enter(m, share->owner, &names);

	if (result != RESULT_OK)
		return result;
	listed = names_find_id(names, share->mailbox);
	if (listed != NULL) {
		acl_copy(&acl, &listed->acl);
		if (acl_forget(&acl, who))
			result = replace(names, listed, &acl);
		acl_free(&acl);
	}
	names_leave(&names);
	return result;
}

enum result
acl_forget_everywhere(struct mailboxes *m, const struct acl_who *who)
{
	struct share *shares;
	enum result result = RESULT_OK;
	size_t n;

	if (shares_with(m->store, who, &shares, &n) != 1)
		return RESULT_TEMPORARY;
	for (size_t i = 0; i < n && result == RESULT_OK; i++)
		result = forget_one(m, &shares[i], who);
	free(shares);
	return result;
}

/* ---- identifiers ----------------------------------------------------- */

static enum result
who_is_account(struct store *store, struct span address, struct arena *arena,
    struct acl_who *who)
{
	struct account account;
	int rc = directory_login(store->directory, address, arena, &account);

	if (rc != 1)
		return rc == 0 ? RESULT_INVALID : RESULT_TEMPORARY;
	who->kind = ACL_ACCOUNT;
	who->account = account.id;
	return RESULT_OK;
}

static enum result
who_is_group(struct store *store, struct span address, struct arena *arena,
    struct acl_who *who)
{
	int rc = directory_group_key(store->directory, address, arena,
	    &who->group);

	who->kind = ACL_GROUP;
	return rc == 1 ? RESULT_OK : rc == 0 ? RESULT_INVALID
	    : RESULT_TEMPORARY;
}

/* What a client calls somebody. `owner` is a word for whose mailbox it is. */
static enum result
who_is(struct store *store, struct span identifier, uint64_t owner,
    struct arena *arena, struct acl_who *who)
{
	*who = (struct acl_who){ .negative =
	    span_starts(identifier, SPAN("-")) };
	if (who->negative)
		identifier = span_from(identifier, 1);
	if (span_is_nocase(identifier, "anyone") ||
	    span_is_nocase(identifier, "authenticated")) {
		who->kind = ACL_ANYONE;
		return RESULT_OK;
	}
	if (span_is_nocase(identifier, "owner")) {
		who->kind = ACL_ACCOUNT;
		who->account = owner;
		return RESULT_OK;
	}
	return span_starts(identifier, SPAN("$")) ? who_is_group(store,
	    span_from(identifier, 1), arena, who)
	    : who_is_account(store, identifier, arena, who);
}

/* And back. Empty: they are no more. */
static struct span
identifier_of(struct store *store, const struct acl_who *who,
    struct arena *arena)
{
	const char *minus = who->negative ? "-" : "";
	struct account account;

	switch (who->kind) {
	case ACL_ANYONE:
		return arena_printf(arena, "%sanyone", minus);
	case ACL_GROUP:
		return arena_printf(arena, "%s$%.*s", minus,
		    SPAN_ARG(who->group));
	case ACL_ACCOUNT:
		break;
	}
	if (directory_account(store->directory, who->account, arena,
	    &account) != 1)
		return SPAN_EMPTY;
	return arena_printf(arena, "%s%.*s", minus,
	    SPAN_ARG(account.address));
}

/* ---- the verbs ------------------------------------------------------- */

/* The owner's names, entered, with the mailbox that the caller may manage. */
static enum result
enter(struct store *store, const struct grant *grant, struct span name,
    struct arena *arena, struct names **names, struct listed **listed)
{
	struct mailboxes *m = store->mailboxes;
	struct name_place place;
	uint64_t account;
	enum result result = grant_account(store, grant, &account);

	if (result == RESULT_OK)
		result = place_named(m, account, name, arena, &place);
	if (result == RESULT_OK)
		result = names_enter(m, place.owner, names);
	if (result != RESULT_OK)
		return result;
	*listed = names_find(*names, place.name);
	result = *listed == NULL ? RESULT_NOT_FOUND : access_check(
	    access_rights(m, account, *names, *listed), RIGHT_ADMIN);
	if (result != RESULT_OK)
		names_leave(names);
	return result;
}

static void
put_row(struct text *out, struct span identifier, uint32_t rights)
{
	if (identifier.n > 0)
		acl_row_put(out, &(struct acl_row){
		    .identifier = identifier, .rights = rights });
}

/* What is true of the owner without an entry is shown as one. */
static void
put_rows(struct store *store, const struct names *names,
    const struct listed *listed, struct arena *arena, struct text *out)
{
	const struct acl *acl = &listed->acl;
	struct acl_who owner = { .kind = ACL_ACCOUNT,
	    .account = names_account(names) };
	const struct acl_entry *entry = acl_find(acl, &owner);

	put_row(out, identifier_of(store, &owner, arena), entry == NULL
	    ? RIGHTS_ALL : entry->rights | ACL_OWNER_ALWAYS);
	for (size_t i = 0; i < acl->n; i++)
		if (&acl->at[i] != entry)
			put_row(out, identifier_of(store, &acl->at[i].who,
			    arena), acl->at[i].rights);
}

void
verb_acl_get(void *arg, const struct caller *caller, struct arena *arena,
    const struct acl_get_request *req, struct acl_get_reply *reply)
{
	struct store *store = arg;
	struct names *names = NULL;
	struct listed *listed;
	struct text out = TEXT_INIT(0);

	(void)caller;
	reply->result = enter(store, &req->grant, req->mailbox, arena, &names,
	    &listed);
	if (reply->result == RESULT_OK) {
		put_rows(store, names, listed, arena, &out);
		reply->rows = BLOB_OF(arena_dup(arena, text_span(&out)));
		if (reply->rows.bytes.p == NULL)
			reply->result = RESULT_TEMPORARY;
	}
	names_answer(&names, &reply->result);
	text_free(&out);
}

static bool
is_owner(const struct names *names, const struct acl_who *who)
{
	return who->kind == ACL_ACCOUNT && !who->negative &&
	    who->account == names_account(names);
}

/*
 * An owner's first own entry begins with what is true without one: so that
 * taking a right from oneself takes that one alone.
 */
static enum result
change(struct names *names, struct listed *listed, const struct acl_who *who,
    enum store_mode mode, uint32_t rights)
{
	const struct acl_entry *entry = acl_find(&listed->acl, who);
	uint32_t had = entry == NULL ? RIGHTS_ALL : entry->rights;
	struct acl acl = { 0 };

	if (is_owner(names, who) && (mode != STORE_SET || rights != 0)) {
		rights = mode == STORE_ADD ? had | rights
		    : mode == STORE_REMOVE ? had & ~rights : rights;
		rights |= ACL_OWNER_ALWAYS;
		mode = STORE_SET;
	}
	acl_copy(&acl, &listed->acl);
	if (acl_change(&acl, who, mode, rights) == 1)
		return replace(names, listed, &acl);
	acl_free(&acl);
	return RESULT_LIMIT;
}

void
verb_acl_set(void *arg, const struct caller *caller, struct arena *arena,
    const struct acl_set_request *req, struct acl_set_reply *reply)
{
	struct store *store = arg;
	struct names *names = NULL;
	struct listed *listed;
	struct acl_who who;
	uint64_t mailbox = 0;

	(void)caller;
	reply->result = req->mode <= STORE_REMOVE &&
	    (req->rights & ~(uint32_t)RIGHTS_ALL) == 0 ? RESULT_OK
	    : RESULT_INVALID;
	if (reply->result == RESULT_OK)
		reply->result = enter(store, &req->grant, req->mailbox, arena,
		    &names, &listed);
	if (reply->result == RESULT_OK)
		reply->result = who_is(store, req->identifier,
		    names_account(names), arena, &who);
	if (reply->result == RESULT_OK) {
		mailbox = listed->mailbox;
		reply->result = change(names, listed, &who,
		    (enum store_mode)req->mode, req->rights);
	}
	if (reply->result == RESULT_OK)
		log_event(LOG_LEVEL_INFO, "acl.changed",
		    log_int("account", (int64_t)names_account(names)),
		    log_int("mailbox", (int64_t)mailbox),
		    log_text("identifier", req->identifier));
	names_answer(&names, &reply->result);
	if (reply->result == RESULT_OK)
		mailbox_rights_changed(store->mailboxes, mailbox);
}

void
verb_acl_rights(void *arg, const struct caller *caller, struct arena *arena,
    const struct acl_rights_request *req, struct acl_rights_reply *reply)
{
	struct store *store = arg;
	struct names *names = NULL;
	struct listed *listed;
	struct acl_who who;

	(void)caller;
	reply->result = enter(store, &req->grant, req->mailbox, arena, &names,
	    &listed);
	if (reply->result == RESULT_OK)
		reply->result = who_is(store, req->identifier,
		    names_account(names), arena, &who);
	if (reply->result == RESULT_OK && is_owner(names, &who))
		reply->always = ACL_OWNER_ALWAYS;
	names_answer(&names, &reply->result);
}
