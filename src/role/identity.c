/*
 * identity.c - under which user and group a role runs.
 */
#include "role/identity.h"

#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Each role its own number: they must not be able to signal each other. */
static int
find_unused(const struct role *r, const struct settings *s,
    struct identity *id, struct text *why)
{
	uint64_t n = s->user_fallback_id + (uint64_t)(r - roles);

	if (getpwuid((uid_t)n) != NULL || getgrgid((gid_t)n) != NULL) {
		text_printf(why, "there is no user %s, and the number %" PRIu64
		    " is somebody's: make the user, or change "
		    "user.fallback_id", role_user(r, s), n);
		return 0;
	}
	id->uid = (uid_t)n;
	id->gid = (gid_t)n;
	return 1;
}

int
identity_find(const struct role *r, const struct settings *s,
    struct identity *id, struct text *why)
{
	struct passwd *pw;

	*id = (struct identity){ .uid = geteuid(), .gid = getegid() };
	if (id->uid != 0)
		return 1;
	id->change = true;
	pw = getpwnam(role_user(r, s));
	if (pw == NULL)
		return find_unused(r, s, id, why);
	if (pw->pw_uid == 0 || pw->pw_gid == 0) {
		text_printf(why, "the user %s is root", role_user(r, s));
		return 0;
	}
	id->named = true;
	id->uid = pw->pw_uid;
	id->gid = pw->pw_gid;
	return 1;
}

/* What no later mistake can give back. */
static int
drop_bounding_set(void)
{
	for (int cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
			return errno == EINVAL || errno == EPERM ? 1 : -1;
	return 1;
}

int
identity_become(const struct identity *id)
{
	if (!id->change)
		return 1;
	if (drop_bounding_set() != 1 || setgroups(0, NULL) != 0 ||
	    setresgid(id->gid, id->gid, id->gid) != 0 ||
	    setresuid(id->uid, id->uid, id->uid) != 0)
		return -1;
	return setuid(0) == 0 ? -1 : 1;
}
