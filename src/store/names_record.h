/*
 * names_record.h - records of an account's partition. Pure.
 */
#ifndef STORE_NAMES_RECORD_H
#define STORE_NAMES_RECORD_H

#include "base/base.h"
#include "base/text.h"
#include "ipc/contract.h"
#include "store/uids.h"

enum { MAILBOX_NAME_MAX = 1000 };

struct mailbox_name {
	struct span name;
	uint32_t use;
	uint32_t uidvalidity;
	struct token token;		/* of the call that made it */
};

enum intent_kind {
	INTENT_MOVE = 1,		/* messages into another mailbox */
	INTENT_REMOVE = 2,		/* a mailbox without a name now */
	INTENT_SHARE = 3,		/* its access control list changed */
	INTENT_REPLACE = 4,		/* a message has come for these */
};

struct intent {
	enum intent_kind kind;
	struct token token;		/* also of the copies in the target */
	uint64_t source, target;
	struct uids uids;
};

void mailbox_name_encode(struct text *, const struct mailbox_name *);
/* 1, 0 damaged */
int  mailbox_name_decode(struct span, struct mailbox_name *);
void intent_encode(struct text *, const struct intent *);
int  intent_decode(struct span, struct intent *);	/* free its uids */

#endif
