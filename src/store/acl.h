/*
 * acl.h - an access control list (RFC 4314): what it says, as bytes, and what
 * follows from it. Pure.
 *
 * Accounts are named by their number, so that an address may change; groups
 * by their address. A right that several entries grant is granted once, and
 * one that any entry for somebody takes away is not theirs, whatever grants
 * it.
 */
#ifndef STORE_ACL_H
#define STORE_ACL_H

#include "base/base.h"
#include "base/text.h"
#include "ipc/contract.h"

enum {
	ACL_ENTRIES_MAX = 500,		/* of one mailbox */
	ACL_GROUP_MAX = 512,		/* bytes of its address */
};

/* On disk: never change a number. */
enum acl_kind { ACL_ANYONE = 1, ACL_ACCOUNT = 2, ACL_GROUP = 3 };

struct acl_who {
	enum acl_kind kind;
	bool negative;			/* the rights are taken */
	uint64_t account;
	struct span group;		/* in the form that is compared */
};

struct acl_entry {
	struct acl_who who;
	uint32_t rights;
	char *own;			/* what who.group points into */
};

struct acl {
	struct acl_entry *at;
	size_t n, room;
};

void acl_free(struct acl *);
void acl_copy(struct acl *, const struct acl *from);	/* into an empty one */

bool acl_same_who(const struct acl_who *, const struct acl_who *);
const struct acl_entry *acl_find(const struct acl *, const struct acl_who *);
/* 1; 0 there are too many entries. One without rights is none. */
int  acl_change(struct acl *, const struct acl_who *, enum store_mode,
    uint32_t rights);
/* Entries for them go, those that take rights too. Was there any? */
bool acl_forget(struct acl *, const struct acl_who *);

/* Somebody, as far as lists can tell. */
struct acl_asker {
	uint64_t account;		/* 0: nobody of ours */
	bool is_owner;
	bool (*is_member)(void *arg, struct span group);
	void *arg;
};
/*
 * What they may. The owner may everything that no entry of theirs says
 * otherwise, and always looks up and administers.
 */
uint32_t acl_rights(const struct acl *, const struct acl_asker *);
/* The same without what is anyone's: they were meant. */
uint32_t acl_rights_by_name(const struct acl *, const struct acl_asker *);
enum { ACL_OWNER_ALWAYS = RIGHT_LOOKUP | RIGHT_ADMIN };

void acl_encode(struct text *, const struct acl *);
int  acl_decode(struct span, struct acl *);	/* into an empty one. 1, 0 */
void acl_who_put(struct text *, const struct acl_who *);

#endif
