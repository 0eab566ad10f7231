/*
 * acl.c - access control lists.
 */
#include "store/acl.h"
#include "ipc/wire.h"

#include <stdlib.h>

enum { RECORD_VERSION = 1 };

/* ---- entries ----------------------------------------------------------- */

void
acl_free(struct acl *acl)
{
	for (size_t i = 0; i < acl->n; i++)
		free(acl->at[i].own);
	free(acl->at);
	*acl = (struct acl){ 0 };
}

static struct acl_entry *
append(struct acl *acl, const struct acl_who *who, uint32_t rights)
{
	struct acl_entry *entry;

	if (acl->n == acl->room) {
		acl->room = acl->room * 2 + 2;
		acl->at = xrealloc(acl->at, acl->room * sizeof(*acl->at));
	}
	must(acl->at != NULL);
	entry = &acl->at[acl->n++];
	*entry = (struct acl_entry){ .who = *who, .rights = rights };
	entry->who.group = SPAN_EMPTY;
	if (who->kind == ACL_GROUP) {
		entry->own = xmalloc(who->group.n + 1);
		memcpy(entry->own, who->group.p, who->group.n);
		entry->who.group = span_of(entry->own, who->group.n);
	}
	return entry;
}

static void
drop(struct acl *acl, size_t i)
{
	free(acl->at[i].own);
	memmove(&acl->at[i], &acl->at[i + 1],
	    (--acl->n - i) * sizeof(*acl->at));
}

void
acl_copy(struct acl *acl, const struct acl *from)
{
	must(acl->n == 0);
	for (size_t i = 0; i < from->n; i++)
		append(acl, &from->at[i].who, from->at[i].rights);
}

static bool
same_somebody(const struct acl_who *a, const struct acl_who *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case ACL_ACCOUNT:
		return a->account == b->account;
	case ACL_GROUP:
		return span_eq(a->group, b->group);
	case ACL_ANYONE:
		break;
	}
	return true;
}

bool
acl_same_who(const struct acl_who *a, const struct acl_who *b)
{
	return a->negative == b->negative && same_somebody(a, b);
}

static size_t
seek(const struct acl *acl, const struct acl_who *who)
{
	size_t i = 0;

	while (i < acl->n && !acl_same_who(&acl->at[i].who, who))
		i++;
	return i;
}

const struct acl_entry *
acl_find(const struct acl *acl, const struct acl_who *who)
{
	size_t i = seek(acl, who);

	return i < acl->n ? &acl->at[i] : NULL;
}

int
acl_change(struct acl *acl, const struct acl_who *who, enum store_mode mode,
    uint32_t rights)
{
	size_t i = seek(acl, who);
	uint32_t had = i < acl->n ? acl->at[i].rights : 0;

	if (mode == STORE_ADD)
		rights |= had;
	else if (mode == STORE_REMOVE)
		rights = had & ~rights;
	if (i < acl->n && rights == 0) {
		drop(acl, i);
	} else if (i < acl->n) {
		acl->at[i].rights = rights;
	} else if (rights != 0) {
		if (acl->n >= ACL_ENTRIES_MAX)
			return 0;
		append(acl, who, rights);
	}
	return 1;
}

bool
acl_forget(struct acl *acl, const struct acl_who *who)
{
	size_t before = acl->n;

	for (size_t i = acl->n; i-- > 0;)
		if (same_somebody(&acl->at[i].who, who))
			drop(acl, i);
	return acl->n < before;
}

/* ---- rights ------------------------------------------------------------ */

static bool
is_for(const struct acl_who *who, const struct acl_asker *asker)
{
	switch (who->kind) {
	case ACL_ANYONE:
		return true;
	case ACL_ACCOUNT:
		return who->account == asker->account;
	case ACL_GROUP:
		return asker->account != 0 && asker->is_member != NULL &&
		    asker->is_member(asker->arg, who->group);
	}
	return false;
}

/* by_name: but for what is anyone's. */
static uint32_t
sum(const struct acl *acl, const struct acl_asker *asker, bool by_name)
{
	uint32_t granted = 0, taken = 0;
	bool said = false;

	for (size_t i = 0; i < acl->n; i++) {
		const struct acl_entry *entry = &acl->at[i];

		if (!is_for(&entry->who, asker))
			continue;
		if (entry->who.negative)
			taken |= entry->rights;
		else if (!by_name || entry->who.kind != ACL_ANYONE)
			granted |= entry->rights;
		if (!entry->who.negative && entry->who.kind == ACL_ACCOUNT)
			said = true;
	}
	if (asker->is_owner && !said)
		granted = RIGHTS_ALL;
	granted &= ~taken;
	return asker->is_owner ? granted | ACL_OWNER_ALWAYS : granted;
}

uint32_t
acl_rights(const struct acl *acl, const struct acl_asker *asker)
{
	return sum(acl, asker, false);
}

uint32_t
acl_rights_by_name(const struct acl *acl, const struct acl_asker *asker)
{
	return sum(acl, asker, true);
}

/* ---- bytes ------------------------------------------------------------- */

void
acl_who_put(struct text *t, const struct acl_who *who)
{
	put_u8(t, (uint8_t)who->kind);
	put_u8(t, who->negative);
	put_u64(t, who->account);
	put_bytes(t, who->group);
}

void
acl_encode(struct text *t, const struct acl *acl)
{
	put_u8(t, RECORD_VERSION);
	put_u32(t, (uint32_t)acl->n);
	for (size_t i = 0; i < acl->n; i++) {
		acl_who_put(t, &acl->at[i].who);
		put_u32(t, acl->at[i].rights);
	}
}

/* Is what the kind needs there, and nothing else? */
static bool
is_somebody(const struct acl_who *who)
{
	switch (who->kind) {
	case ACL_ANYONE:
	case ACL_ACCOUNT:
		return who->group.n == 0 && (who->account != 0) ==
		    (who->kind == ACL_ACCOUNT);
	case ACL_GROUP:
		return who->group.n > 0 && who->account == 0;
	}
	return false;
}

int
acl_decode(struct span record, struct acl *acl)
{
	struct cursor c = { .rest = record };
	uint32_t n;

	if (get_u8(&c) != RECORD_VERSION)
		c.bad = true;
	n = get_u32(&c);
	if (n > ACL_ENTRIES_MAX)
		c.bad = true;
	for (uint32_t i = 0; i < n && !c.bad; i++) {
		struct acl_who who = { .kind = get_u8(&c) };
		uint8_t negative = get_u8(&c);
		uint32_t rights;

		who.negative = negative == 1;
		who.account = get_u64(&c);
		who.group = get_bytes(&c, ACL_GROUP_MAX);
		rights = get_u32(&c);
		if (!is_somebody(&who) || negative > 1 || rights == 0 ||
		    (rights & ~(uint32_t)RIGHTS_ALL) != 0 ||
		    acl_find(acl, &who) != NULL)
			c.bad = true;
		if (!c.bad)
			append(acl, &who, rights);
	}
	if (!c.bad && c.rest.n == 0)
		return 1;
	acl_free(acl);
	return 0;
}
