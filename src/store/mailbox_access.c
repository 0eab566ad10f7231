/*
 * mailbox_access.c - whose a mailbox is, and who may do what with it.
 *
 * An account's own names come first; what others share stands below two
 * prefixes of the settings, the owner's address and then their name for it.
 * What somebody may do with another's mailbox is remembered a while, since it
 * is asked with every call and a group is a long way to follow.
 */
#include "store/directory.h"
#include "store/mailboxes.h"
#include "store/shares.h"

/* ---- rights ---------------------------------------------------------- */

struct asking {
	struct directory *directory;
	uint64_t account;
};

static bool
is_member(void *arg, struct span group)
{
	const struct asking *asking = arg;

	return directory_is_member(asking->directory, asking->account, group);
}

static struct acl_asker
asker_of(struct asking *asking, const struct names *names)
{
	return (struct acl_asker){ .account = asking->account,
		.is_owner = asking->account == names_account(names),
		.is_member = is_member, .arg = asking };
}

uint32_t
access_rights(struct mailboxes *m, uint64_t account,
    const struct names *names, const struct listed *listed)
{
	struct asking asking = { m->store->directory, account };
	struct acl_asker asker = asker_of(&asking, names);

	return acl_rights(&listed->acl, &asker);
}

/* What an INBOX's list says of them, by one of two functions. */
static uint32_t
inbox_rights(struct mailboxes *m, uint64_t account, uint64_t owner,
    uint32_t (*rights_by)(const struct acl *, const struct acl_asker *))
{
	struct asking asking = { m->store->directory, account };
	const struct listed *inbox;
	struct acl_asker asker;
	struct names *names;
	uint32_t rights = 0;

	if (names_enter(m, owner, &names) != RESULT_OK)
		return 0;
	asker = asker_of(&asking, names);
	inbox = names_find_id(names, names->inbox);
	if (inbox != NULL)
		rights = rights_by(&inbox->acl, &asker);
	names_leave(&names);
	return rights;
}

bool
access_may_post(struct mailboxes *m, uint64_t account, uint64_t owner)
{
	return (inbox_rights(m, account, owner, acl_rights_by_name) &
	    RIGHT_POST) != 0;
}

bool
access_may_write(struct mailboxes *m, uint64_t account, uint64_t owner)
{
	return (inbox_rights(m, account, owner, acl_rights) &
	    RIGHT_POST) != 0;
}

enum result
access_check(uint32_t rights, uint32_t needs)
{
	if (rights != 0 && (rights & needs) == needs)
		return RESULT_OK;
	return (rights & RIGHT_LOOKUP) != 0 ? RESULT_FORBIDDEN
	    : RESULT_NOT_FOUND;
}

/* In the list of who should have it. */
static enum result
look_up(struct mailboxes *m, uint64_t account, uint64_t owner,
    uint64_t mailbox, struct access *access)
{
	const struct listed *listed;
	struct names *names;
	enum result result = names_enter(m, owner, &names);

	if (result != RESULT_OK)
		return result;
	listed = names_find_id(names, mailbox);
	if (listed == NULL)
		result = RESULT_NOT_FOUND;
	else
		*access = (struct access){ owner,
		    access_rights(m, account, names, listed) };
	names_leave(&names);
	return result;
}

void
access_forget(struct mailboxes *m)
{
	/* The directory is there before the mailboxes are. */
	if (m != NULL)
		cache_clear(m->access);
}

enum result
access_of(struct mailboxes *m, uint64_t account, uint64_t mailbox,
    struct access *access)
{
	uint64_t key[2] = { account, mailbox }, owner, generation;
	struct span key_span = span_of(key, sizeof(key));
	enum result result = look_up(m, account, account, mailbox, access);
	int status;

	if (result != RESULT_NOT_FOUND ||
	    cache_read(m->access, key_span, access, sizeof(*access)) == 1)
		return result != RESULT_NOT_FOUND ? result : RESULT_OK;
	generation = cache_generation(m->access);
	status = shares_owner(m->store, mailbox, &owner);
	if (status != 1)
		return status == 0 ? RESULT_NOT_FOUND : RESULT_TEMPORARY;
	memset(access, 0, sizeof(*access));
	result = look_up(m, account, owner, mailbox, access);
	if (result == RESULT_OK)
		cache_put_read(m->access, generation, key_span,
		    span_of(access, sizeof(*access)));
	return result;
}

/* ---- names ----------------------------------------------------------- */

/* An address may hold a '/', which would be another level. */
static struct span
escape(struct span address, struct arena *arena)
{
	struct text t = TEXT_INIT(0);
	struct span out;

	for (size_t i = 0; i < address.n; i++) {
		if (address.p[i] == '/')
			text_str(&t, "%2F");
		else if (address.p[i] == '%')
			text_str(&t, "%25");
		else
			text_char(&t, address.p[i]);
	}
	out = arena_dup(arena, text_span(&t));
	text_free(&t);
	return out;
}

static struct span
unescape(struct span level, struct arena *arena)
{
	struct text t = TEXT_INIT(0);
	struct span out;

	for (size_t i = 0; i < level.n; i++) {
		struct span three = span_sub(level, i, 3);

		if (span_is_nocase(three, "%2F") || span_is(three, "%25")) {
			text_char(&t, three.p[2] == '5' ? '%' : '/');
			i += 2;
		} else {
			text_char(&t, level.p[i]);
		}
	}
	out = arena_dup(arena, text_span(&t));
	text_free(&t);
	return out;
}

static struct span
prefix_of(const struct mailboxes *m, enum mailbox_place kind)
{
	const struct settings *s = store_settings(m->store);

	return span_str(kind == PLACE_SHARED ? s->imap_shared
	    : s->imap_other_users);
}

static bool
is_ours(struct mailboxes *m, uint64_t account, struct span name)
{
	struct names *names;
	bool is;

	if (names_enter(m, account, &names) != RESULT_OK)
		return false;
	is = names_find(names, name) != NULL;
	names_leave(&names);
	return is;
}

static enum result
place_below(struct mailboxes *m, uint64_t account, struct span rest,
    struct arena *arena, struct name_place *place)
{
	struct directory *d = m->store->directory;
	struct span level, address, name = span_cut(rest, '/', &level);
	struct account owner;
	int rc;

	address = unescape(level, arena);
	if (span_find_char(address, '@', 0) == SIZE_MAX || name.n == 0)
		return RESULT_NOT_FOUND;
	rc = directory_login(d, address, arena, &owner);
	if (rc == 1 && owner.id == account)
		rc = 0;
	if (rc == 1)
		rc = directory_is_shared(d, &owner) ==
		    (place->kind == PLACE_SHARED);
	if (rc != 1)
		return rc == 0 ? RESULT_NOT_FOUND : RESULT_TEMPORARY;
	place->owner = owner.id;
	place->prefix = span_of(place->name.p,
	    (size_t)(name.p - place->name.p));
	return names_normal(name, arena, &place->name) == 1 ? RESULT_OK
	    : RESULT_INVALID;
}

enum result
place_named(struct mailboxes *m, uint64_t account, struct span given,
    struct arena *arena, struct name_place *place)
{
	static const enum mailbox_place kinds[] = {
		PLACE_OTHER_USERS, PLACE_SHARED
	};

	*place = (struct name_place){ .kind = PLACE_OWN, .owner = account };
	if (names_normal(given, arena, &place->name) != 1)
		return RESULT_INVALID;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct span prefix = prefix_of(m, kinds[i]);

		if (prefix.n == 0 || !names_is_below(place->name, prefix) ||
		    is_ours(m, account, place->name))
			continue;
		place->kind = kinds[i];
		return place_below(m, account,
		    span_from(place->name, prefix.n + 1), arena, place);
	}
	return RESULT_OK;
}

enum result
place_of_owner(struct mailboxes *m, uint64_t account, uint64_t owner,
    struct arena *arena, struct name_place *place)
{
	struct account who;
	int rc;

	*place = (struct name_place){ .kind = PLACE_OWN, .owner = owner };
	if (owner == account)
		return RESULT_OK;
	rc = directory_account(m->store->directory, owner, arena, &who);
	if (rc != 1)
		return rc == 0 ? RESULT_NOT_FOUND : RESULT_TEMPORARY;
	place->kind = directory_is_shared(m->store->directory, &who) == 1
	    ? PLACE_SHARED : PLACE_OTHER_USERS;
	if (prefix_of(m, place->kind).n == 0)
		return RESULT_NOT_FOUND;
	place->prefix = arena_printf(arena, "%.*s/%.*s/",
	    SPAN_ARG(prefix_of(m, place->kind)),
	    SPAN_ARG(escape(who.address, arena)));
	return place->prefix.p == NULL ? RESULT_TEMPORARY : RESULT_OK;
}
