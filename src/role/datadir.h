/*
 * datadir.h - the one directory in which everything is kept.
 *
 *	postrider.conf		the settings
 *	tls/			certificate and key
 *	dkim/			the keys that sign domains' mail (dkim_keys.h)
 *	store/			the store's own: nobody else's, no role's but its
 *	admin.sock		where the operator's commands reach the store
 *	resolver.sock		and the resolver
 *	postrider.pid		whose it is now: locked by the supervisor, or by a
 *				command that works on the store by itself
 */
#ifndef ROLE_DATADIR_H
#define ROLE_DATADIR_H

#include "base/base.h"
#include "base/text.h"

#define DATADIR_DEFAULT	"/var/lib/postrider"
#define DATADIR_CONFIG	"postrider.conf"
#define DATADIR_STORE	"store"
#define DATADIR_ADMIN	"admin.sock"
#define DATADIR_ADMIN_DNS "resolver.sock"
#define DATADIR_LOCK	"postrider.pid"

/* Open it; with `make`, after making it and its store/ where missing. -1. */
int datadir_open(const char *path, bool make, struct text *why);
/*
 * Take it for this process, until the descriptor closes: the descriptor; -1
 * and *pid of who has it (0: not known), or errno when *pid is -1.
 */
int datadir_lock(int directory, pid_t *pid);
/* What lies below store/ belongs to this user from now on. 1; 0 and *why. */
int datadir_give_store(int directory, uid_t, gid_t, struct text *why);
/*
 * A whole file that the settings name, from that directory on. 1; 0 errno says
 * why not (EFBIG: beyond the text's limit).
 */
int datadir_read(int directory, const char *path, struct text *out);
/* A socket for commands: the supervisor's end, and a command's. -1: errno. */
int datadir_admin_listen(int directory, const char *name);
int datadir_admin_connect(int directory, const char *name);

#endif
