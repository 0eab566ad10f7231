/*
 * verbs.h - the handlers behind the contract, as store_handlers lists them.
 *
 * Each checks the grant, does its work and fills the reply; arg is the
 * struct store. What a reply tells of new or vanished messages is durable
 * before it leaves.
 */
#ifndef STORE_VERBS_H
#define STORE_VERBS_H

#include "base/arena.h"
#include "ipc/contract.h"
#include "ipc/serve.h"

#define STORE_VERB(name)						\
	void store_##name(void *arg, const struct caller *,		\
	    struct arena *, const struct name##_request *,		\
	    struct name##_reply *)

/* mailbox_list.c */
STORE_VERB(mailbox_list);
STORE_VERB(mailbox_create);
STORE_VERB(mailbox_delete);
STORE_VERB(mailbox_rename);
STORE_VERB(mailbox_subscribe);

/* mailbox_view.c */
STORE_VERB(mailbox_status);
STORE_VERB(mailbox_open);
STORE_VERB(mailbox_close);
STORE_VERB(mailbox_changes);

/* message.c, message_flags.c, message_copy.c */
STORE_VERB(message_append);
STORE_VERB(message_body);
STORE_VERB(message_details);
STORE_VERB(summary_save);
STORE_VERB(message_store);
STORE_VERB(message_expunge);
STORE_VERB(message_copy);

/* maildrop.c */
STORE_VERB(maildrop_lock);
STORE_VERB(maildrop_unlock);

#undef STORE_VERB

#endif
