/*
 * imap_command.h - which commands there are, and when each may be given.
 */
#ifndef IMAP_IMAP_COMMAND_H
#define IMAP_IMAP_COMMAND_H

#include "imap/imap_state.h"

enum imap_how {
	IMAP_KEEPS_NUMBERS = 1 << 0,	/* no EXPUNGE told: RFC 3501 7.4.1 */
	IMAP_BY_UID = 1 << 1,		/* numbers are UIDs, told in answers */
	IMAP_PRIVATE = 1 << 2,		/* only where login is allowed */
	IMAP_HAS_MESSAGE = 1 << 3,	/* reads its last literal itself */
	IMAP_WRITES = 1 << 4,		/* not in a mailbox opened by EXAMINE */
	IMAP_BY_NUMBER = 1 << 5,	/* not with UIDONLY (RFC 9586) */
};

struct imap_command {
	const char *name;
	unsigned states;		/* enum imap_state */
	const char *args;		/* see imap_command.c */
	unsigned how;			/* enum imap_how */
	struct imap_reply (*run)(struct imap_task *);
};

/*
 * Take tag and name off a command that has come in part or whole, and see
 * whether it may be given. True: task->tag, ->command and ->in are set; false:
 * *why (the tag is "*" when there was none).
 */
bool imap_command_begin(struct imap_task *, struct imap_reply *why);
/* The line has grown: task->in stands behind the command's name again. */
void imap_command_rewind(struct imap_task *);
/* The whole command is there: take its arguments and do it. */
struct imap_reply imap_command_run(struct imap_task *);
/* Is the literal that was announced the message of an APPEND? */
bool imap_append_wants(struct imap_task *);

/* The handlers, by file. */
/* imap_session.c */
struct imap_reply imap_noop(struct imap_task *);
struct imap_reply imap_logout(struct imap_task *);
struct imap_reply imap_id(struct imap_task *);
/* imap_capability.c */
struct imap_reply imap_capability(struct imap_task *);
struct imap_reply imap_enable(struct imap_task *);
/* imap_auth.c */
struct imap_reply imap_starttls(struct imap_task *);
struct imap_reply imap_authenticate(struct imap_task *);
struct imap_reply imap_login(struct imap_task *);
struct imap_reply imap_unauthenticate(struct imap_task *);
struct imap_reply imap_compress(struct imap_task *);
/* imap_language.c */
struct imap_reply imap_language(struct imap_task *);
/* imap_select.c */
struct imap_reply imap_select(struct imap_task *);
struct imap_reply imap_examine(struct imap_task *);
struct imap_reply imap_close(struct imap_task *);
struct imap_reply imap_unselect(struct imap_task *);
struct imap_reply imap_check(struct imap_task *);
/* imap_mailbox.c */
struct imap_reply imap_create(struct imap_task *);
struct imap_reply imap_delete(struct imap_task *);
struct imap_reply imap_rename(struct imap_task *);
struct imap_reply imap_subscribe(struct imap_task *);
struct imap_reply imap_unsubscribe(struct imap_task *);
struct imap_reply imap_status(struct imap_task *);
struct imap_reply imap_namespace(struct imap_task *);
/* imap_list.c */
struct imap_reply imap_list(struct imap_task *);
struct imap_reply imap_lsub(struct imap_task *);
/* imap_acl.c */
struct imap_reply imap_getacl(struct imap_task *);
struct imap_reply imap_setacl(struct imap_task *);
struct imap_reply imap_deleteacl(struct imap_task *);
struct imap_reply imap_listrights(struct imap_task *);
struct imap_reply imap_myrights(struct imap_task *);
/* the messages */
struct imap_reply imap_append(struct imap_task *);
struct imap_reply imap_replace(struct imap_task *);
struct imap_reply imap_fetch(struct imap_task *);
struct imap_reply imap_store_flags(struct imap_task *);
struct imap_reply imap_search(struct imap_task *);
struct imap_reply imap_sort(struct imap_task *);
struct imap_reply imap_thread(struct imap_task *);
struct imap_reply imap_esearch(struct imap_task *);
struct imap_reply imap_cancel_update(struct imap_task *);
struct imap_reply imap_comparator(struct imap_task *);
struct imap_reply imap_copy(struct imap_task *);
struct imap_reply imap_move(struct imap_task *);
struct imap_reply imap_expunge(struct imap_task *);
struct imap_reply imap_uid_expunge(struct imap_task *);
struct imap_reply imap_uidbatches(struct imap_task *);
/* imap_urlauth.c */
struct imap_reply imap_genurlauth(struct imap_task *);
struct imap_reply imap_urlfetch(struct imap_task *);
struct imap_reply imap_resetkey(struct imap_task *);
/* imap_metadata.c, imap_quota.c, imap_notify.c */
struct imap_reply imap_getmetadata(struct imap_task *);
struct imap_reply imap_setmetadata(struct imap_task *);
struct imap_reply imap_getquota(struct imap_task *);
struct imap_reply imap_getquotaroot(struct imap_task *);
struct imap_reply imap_setquota(struct imap_task *);
struct imap_reply imap_notify(struct imap_task *);
/* imap_idle.c */
struct imap_reply imap_idle(struct imap_task *);
enum session_next imap_idle_input(struct imap_session *);
enum session_next imap_idle_wake(struct imap_session *);

#endif
