/*
 * schema.h - every key and record of the store, in one place.
 *
 * A record begins with its version byte. A reader takes every version up to
 * its own and refuses later ones (RESULT_DAMAGED, with a word to the
 * operator), so that an older program never misreads a newer store.
 */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

#include "base/base.h"
#include "store/engine.h"

/* Partition kinds. The numbers are on disk: never change one. */
enum partition_kind {
	PARTITION_META = 1,		/* one: id 0. format, next ids */
	PARTITION_DIRECTORY = 2,	/* one: id 0. domains, accounts, aliases */
	PARTITION_ACCOUNT = 3,		/* id: account. names of mailboxes, keys */
	PARTITION_MAILBOX = 4,		/* id: mailbox. head, chunks, tail */
	PARTITION_QUEUE = 5,		/* id 0. envelopes */
	PARTITION_TRACE = 6,		/* id: day. steps of messages' ways */
	PARTITION_SENDERS = 7,		/* id 0. what our senders may, and did */
	PARTITION_STS = 8,		/* id 0. MTA-STS policies of others */
	PARTITION_TLSRPT = 9,		/* id: day. counts for TLS reports */
	PARTITION_SHARES = 10,		/* id 0. who shares what with whom */
	PARTITION_INDEX = 11,		/* id: mailbox. segments of its index */
	PARTITION_DIGEST = 12,		/* id: mailbox. pages of summaries */
};

/*
 * Keys are a letter and what follows it; numbers in keys are big-endian, so
 * that they sort. The record behind each is made and read by the module
 * named beside it.
 */
enum meta_key {				/* store.c */
	META_FORMAT = 'f',		/* the version of the whole store */
	META_NEXT_ID = 'i',		/* ids below it may have been given out */
	META_SECRET = 's',		/* 32 random bytes of this store */
};
enum directory_key {			/* directory.c */
	DIRECTORY_DEFAULT = 'D',	/* the first domain that was added */
	DIRECTORY_DOMAIN = 'd',		/* domain */
	DIRECTORY_NAME = 'n',		/* domain NUL local part, folded */
	DIRECTORY_ACCOUNT = 'a',	/* account */
	DIRECTORY_REMOVED = 'x',	/* account: its mail is being removed */
	DIRECTORY_KNOWN = 'k',		/* account: where it logged in from */
	DIRECTORY_MASK = 'm',		/* account address: note of a mask */
	DIRECTORY_QUOTA = 'q',		/* account, or '@' domain: its limits */
	DIRECTORY_LOGIN = 'l',		/* account: login_rules.c */
	DIRECTORY_APP = 'p',		/* account id: app_password.c */
};
enum senders_key {
	SENDERS_SUPPRESSED = 's',	/* address: why, until. suppress.c */
	SENDERS_COUNT = 'c',		/* account: of each hour. limit.c */
	SENDERS_MASK = 'm',		/* account address: its use. mask.c */
	SENDERS_APP = 'p',		/* account id: its use. app_password.c */
};
enum account_key {			/* mailbox_names.c */
	ACCOUNT_HEAD = 'a',		/* the last uidvalidity given out */
	ACCOUNT_METADATA = 'e',		/* mailbox entry: a value. metadata.c */
	ACCOUNT_INTENT = 'i',		/* token: a move or removal under way */
	ACCOUNT_MAILBOX = 'm',		/* mailbox: its name and use */
	ACCOUNT_RIGHTS = 'r',		/* mailbox: its access control list. acl.c */
	ACCOUNT_SUBSCRIBED = 's',	/* name: nothing */
	ACCOUNT_URL = 'u',		/* mailbox: what signs its URLs. url.c */
};
/*
 * Read in this order: the chunks, what the head says of them, and the tail
 * of changes made since.
 */
enum mailbox_key {			/* mailbox_record.c */
	MAILBOX_CHUNK = 'c',		/* uid / CHUNK_UIDS: rows */
	MAILBOX_DELIVERED = 'd',	/* queue id: when; until it is finished */
	MAILBOX_EXPUNGED = 'e',		/* modseq uid: a page of tombstones */
	MAILBOX_HEAD = 'h',		/* counters, keywords */
	MAILBOX_DONE = 'k',		/* tokens answered lately */
	MAILBOX_RECENT = 'r',		/* \\Recent begins at this uid */
	MAILBOX_SEEN = 's',		/* user page: uids with their \\Seen */
	MAILBOX_TAIL = 't',		/* modseq: one change */
	MAILBOX_SUMS = 'u',		/* messages and bytes there are */
};
/* What links a body; the letter, then: */
enum holder_kind {
	HOLDER_MESSAGE = 'm',		/* mailbox uid */
	HOLDER_QUEUE = 'q',		/* token */
	HOLDER_INDEX = 'x',		/* mailbox segment */
};
enum shares_key {			/* shares.c */
	SHARES_MAILBOX = 'm',		/* mailbox: its owner, with whom */
	SHARES_WITH = 'w',		/* whom owner mailbox: nothing */
};
enum queue_key {			/* queue_record.c */
	QUEUE_ENVELOPE = 'e',		/* token: queue/envelope.h */
};
enum trace_key {			/* trace.c */
	TRACE_STEPS = 'q',		/* token attempt: trace_row records */
	TRACE_MESSAGE_ID = 'm',		/* hash token: nothing */
};
enum sts_key {				/* sts.c */
	STS_POLICY = 'p',		/* domain: policy, from when to when */
};
enum tlsrpt_key {			/* tlsrpt.c */
	TLSRPT_DOMAIN = 'd',		/* domain: who asks, rows of counts */
	TLSRPT_TOKEN = 't',		/* token that was added: nothing */
};

enum index_key {			/* index_record.c */
	INDEX_SEGMENT = 's',		/* segment: its body, what it tells of */
	INDEX_SETTLED = 'v',		/* version of the mailbox that is indexed */
};

enum digest_key {			/* digest.c */
	DIGEST_HEAD = 'h',		/* up to which uid, and modseq */
	DIGEST_PAGE = 'p',		/* uid: summaries from it on */
};

enum { STORE_FORMAT = 1 };

#endif
