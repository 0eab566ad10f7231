/*
 * identity.h - under which user and group a role runs.
 */
#ifndef ROLE_IDENTITY_H
#define ROLE_IDENTITY_H

#include "base/base.h"
#include "base/settings.h"
#include "base/text.h"
#include "role/role.h"

struct identity {
	bool change;		/* false: we are not root, all stay as they are */
	bool named;		/* the user of the settings exists */
	uid_t uid;
	gid_t gid;
};

/*
 * As root: the user of the settings, or, where there is none, a number that
 * belongs to nobody. 1; 0 and *why.
 */
int identity_find(const struct role *, const struct settings *,
    struct identity *, struct text *why);
/* In the child, before it executes the role: there is no way back. 1, -1. */
int identity_become(const struct identity *);

#endif
