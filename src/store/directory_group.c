/*
 * directory_group.c - groups, forwarding, an account's limits; and what VRFY
 * and EXPN may say.
 *
 * A group is an alias with an owner and a word on who may write to it. Its
 * notifications go to the owner (directory_expand.c says who that is), so a
 * member that is gone is the business of who keeps the list and not of each
 * sender. Longer lists than ALIAS_NAMES_MAX, archives, subscription by mail
 * are the trade of list managers.
 */
#include "base/clock.h"
#include "store/directory_impl.h"
#include "store/limit.h"
#include "store/mailboxes.h"
#include "store/verbs.h"

/* -- forwarding ---------------------------------------------------------- */

static enum result
forward_update(struct directory_change *c, struct span address,
    struct span targets, bool keep, struct text *clean, struct span *bad)
{
	struct name_record record;
	struct account account;
	struct name name;
	enum result result = named_account(c, address, &name, &account);

	if (result == RESULT_OK)
		result = wanted(read_name(c->directory, name.domain,
		    name.local, c->arena, &record));
	if (result == RESULT_OK && targets.n > 0)
		result = checked_targets(c, &name, targets, clean, bad);
	if (result != RESULT_OK)
		return result;
	record.targets = text_span(clean);
	record.flags &= ~(uint32_t)NAME_FORWARD_KEEP;
	if (keep)
		record.flags |= NAME_FORWARD_KEEP;
	put_name(c, &name, &record);
	return RESULT_OK;
}

enum result
directory_forward(struct directory *d, struct span address,
    struct span targets, bool keep, struct arena *arena,
    struct span *bad_target)
{
	struct text clean = TEXT_INIT(TARGETS_LIMIT);
	struct span bad = SPAN_EMPTY;
	struct directory_change c;
	enum result result;

	change_begin(&c, d);
	result = forward_update(&c, address, targets, keep, &clean, &bad);
	*bad_target = result == RESULT_OK ? SPAN_EMPTY
	    : arena_dup(arena, bad);
	result = change_end(&c, result);
	text_free(&clean);
	return result;
}

void
verb_account_forward(void *arg, const struct caller *caller,
    struct arena *arena, const struct account_forward_request *req,
    struct account_forward_reply *reply)
{
	struct store *store = arg;

	(void)caller;
	reply->result = directory_forward(store->directory, req->address,
	    req->targets, req->keep != 0, arena, &reply->bad_target);
}

/* -- limits -------------------------------------------------------------- */

enum result
directory_limit(struct directory *d, struct span address, uint64_t messages,
    uint64_t recipients)
{
	struct account account;
	struct directory_change c;
	struct name name;
	enum result result;

	change_begin(&c, d);
	result = named_account(&c, address, &name, &account);
	if (result == RESULT_OK) {
		if (messages != LIMIT_SAME)
			account.max_messages = messages;
		if (recipients != LIMIT_SAME)
			account.max_recipients = recipients;
		put_account(&c, &account);
	}
	result = change_end(&c, result);
	if (result == RESULT_OK)
		limit_forget(d->store, account.id);
	return result;
}

void
verb_account_limit(void *arg, const struct caller *caller,
    struct arena *arena, const struct account_limit_request *req,
    struct account_limit_reply *reply)
{
	struct store *store = arg;

	(void)caller, (void)arena;
	reply->result = directory_limit(store->directory, req->address,
	    req->messages, req->recipients);
}

/* -- groups -------------------------------------------------------------- */

/* The group of that name, or that there is none yet. */
static enum result
find_group(struct directory_change *c, struct span address, struct name *name,
    struct name_record *record, bool *made)
{
	struct domain_record domain;
	enum result result = free_name(c, address, false, name, &domain);

	*made = result == RESULT_OK;
	*record = (struct name_record){ .kind = NAME_GROUP,
		.created = clock_wall_seconds(), .text = name->text };
	if (result != RESULT_EXISTS)
		return result;
	result = wanted(read_name(c->directory, name->domain, name->local,
	    c->arena, record));
	return result == RESULT_OK && record->kind != NAME_GROUP
	    ? RESULT_EXISTS : result;
}

static enum result
group_update(struct directory_change *c, struct span address,
    struct span members, uint32_t who, bool *made, struct text *clean,
    struct span *bad)
{
	struct name_record record;
	struct name name;
	enum result result;

	if (who >= GROUP_WHOS)
		return RESULT_INVALID;
	result = find_group(c, address, &name, &record, made);
	if (result != RESULT_OK)
		return result;
	if (span_trim(members).n == 0) {
		if (*made)
			return RESULT_NOT_FOUND;
		key_name(&c->key, name.domain, name.local);
		batch_delete(c->batch, text_span(&c->key));
		return RESULT_OK;
	}
	result = checked_targets(c, &name, members, clean, bad);
	record.targets = text_span(clean);
	record.flags = who;
	if (result == RESULT_OK)
		put_name(c, &name, &record);
	return result;
}

/* What was shared with it is not shared with a later one of its name. */
static enum result
forget_group(struct directory *d, struct span address, struct arena *arena)
{
	struct acl_who who = { .kind = ACL_GROUP };
	struct name name;

	if (name_parse(address, false, arena, &name) != 1)
		return RESULT_TEMPORARY;
	who.group = name_group_key(&name, arena);
	return who.group.p == NULL ? RESULT_TEMPORARY
	    : acl_forget_everywhere(d->store->mailboxes, &who);
}

enum result
directory_group_set(struct directory *d, struct span address,
    struct span members, uint32_t who, struct arena *arena, bool *made,
    struct span *bad_target)
{
	struct text clean = TEXT_INIT(TARGETS_LIMIT);
	struct span bad = SPAN_EMPTY;
	struct directory_change c;
	enum result result;

	*made = false;
	change_begin(&c, d);
	result = group_update(&c, address, members, who, made, &clean, &bad);
	*bad_target = result == RESULT_OK ? SPAN_EMPTY
	    : arena_dup(arena, bad);
	result = change_end(&c, result);
	if (result == RESULT_OK && span_trim(members).n == 0)
		result = forget_group(d, address, arena);
	text_free(&clean);
	return result;
}

void
verb_group_set(void *arg, const struct caller *caller, struct arena *arena,
    const struct group_set_request *req, struct group_set_reply *reply)
{
	struct store *store = arg;
	bool made;

	(void)caller;
	reply->result = directory_group_set(store->directory, req->address,
	    req->members.bytes, req->who, arena, &made, &reply->bad_target);
	reply->made = made;
}

/* -- VRFY and EXPN (RFC 5321 3.5) ---------------------------------------- */

/*
 * What stands behind an alias or a group, one level deep. Accounts and masks
 * say nothing but that they are there: whose a mask is, is its point.
 */
static enum result
names_of(struct directory *d, struct span address, struct arena *arena,
    struct span *names)
{
	struct name_record record;
	struct name name;
	int rc = name_parse(address, false, arena, &name);

	if (rc == 1)
		rc = read_name(d, name.domain, name.local, arena, &record);
	if (rc == -1)
		return RESULT_TEMPORARY;
	if (rc != 1 || (record.kind != NAME_ALIAS &&
	    record.kind != NAME_GROUP))
		return RESULT_OK;
	*names = arena_dup(arena, record.targets);
	return names->p == NULL ? RESULT_LIMIT : RESULT_CONTINUE;
}

enum result
directory_names(struct directory *d, struct span address, uint64_t account,
    struct arena *arena, struct span *names)
{
	struct expansion x;
	enum result result = directory_expand(d, address, SPAN_EMPTY, arena,
	    &x);

	*names = SPAN_EMPTY;
	if (result == RESULT_OK && x.restricted)
		result = directory_may_write(d, address, SPAN_EMPTY, account,
		    arena);
	return result == RESULT_OK ? names_of(d, address, arena, names)
	    : result;
}

void
verb_address_expand(void *arg, const struct caller *caller,
    struct arena *arena, const struct address_expand_request *req,
    struct address_expand_reply *reply)
{
	struct store *store = arg;
	struct holder holder = { 0 };

	(void)caller;
	if (grant_check(store, &req->grant, &holder) != 1)
		holder.account = 0;
	reply->result = directory_names(store->directory, req->address,
	    holder.account, arena, &reply->names);
}
