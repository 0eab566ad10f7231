/*
 * contract.h - the contract's values: roles, results, flags; and what
 * contract.def generates: a struct for each request, reply, note and record.
 *
 * For CALL(sign, ...) there are struct sign_request, struct sign_reply,
 * VERB_sign and int call_sign() (ipc/call.h); for NOTE(ready, ...) struct
 * ready_note, VERB_ready and int send_ready(); for RECORD(uid_range) struct uid_range with
 * uid_range_put() and uid_range_get() (ipc/wire.h).
 */
#ifndef IPC_CONTRACT_H
#define IPC_CONTRACT_H

#include "base/base.h"

enum { CONTRACT_VERSION = 3 };

enum role_bit {
	SUPERVISOR = 1 << 0, MX = 1 << 1, ACCESS = 1 << 2, STORE = 1 << 3,
	RELAY = 1 << 4, RESOLVER = 1 << 5, FILTER = 1 << 6, SIGNER = 1 << 7,
	CLI = 1 << 8, METRICS = 1 << 9, INDEX = 1 << 10,
	EDGE = MX | ACCESS,
	ANY_ROLE = 0x7fe,
};
const char *role_name(enum role_bit);		/* "mx"; "?" for none */

enum protocol {
	PROTOCOL_SMTP, PROTOCOL_SUBMISSION, PROTOCOL_SUBMISSIONS,
	PROTOCOL_IMAP, PROTOCOL_IMAPS, PROTOCOL_POP3, PROTOCOL_POP3S,
	PROTOCOL_METRICS, PROTOCOL_ADMIN, PROTOCOL_LMTP,
	PROTOCOL_ADMIN_DNS,		/* the command line asks resolver */
	PROTOCOLS
};
const char *protocol_name(enum protocol);

enum result {
	RESULT_OK, RESULT_CONTINUE, RESULT_NOT_FOUND, RESULT_EXISTS,
	RESULT_DENIED,		/* wrong credentials, or the grant does not hold */
	RESULT_NOT_LOCAL, RESULT_INVALID, RESULT_LIMIT, RESULT_LOCKED,
	RESULT_CONFLICT, RESULT_FULL,	/* the disk */
	RESULT_TEMPORARY, RESULT_DAMAGED,
	RESULT_FORBIDDEN,	/* their rights on the mailbox do not suffice */
	RESULT_OVERQUOTA,	/* of an account, or its domain */
	RESULTS
};
const char *result_name(enum result);

/* What an app password is good for, bits. */
enum {
	APP_IMAP = 1 << 0, APP_POP3 = 1 << 1, APP_SMTP = 1 << 2,
	APP_ALL = (1 << 3) - 1,
};

enum second_factor_action {
	SECOND_FACTOR_ON, SECOND_FACTOR_OFF, SECOND_FACTOR_VERIFY,
	SECOND_FACTOR_ACTIONS
};

/* Message flags. Keywords of a mailbox take the bits from FLAG_KEYWORD_0. */
#define FLAG_SEEN	(UINT64_C(1) << 0)
#define FLAG_ANSWERED	(UINT64_C(1) << 1)
#define FLAG_FLAGGED	(UINT64_C(1) << 2)
#define FLAG_DELETED	(UINT64_C(1) << 3)
#define FLAG_DRAFT	(UINT64_C(1) << 4)
#define FLAGS_SYSTEM	UINT64_C(0x1f)
#define FLAG_KEYWORD_0	6		/* bit number; bit 5 is kept free */
#define KEYWORDS_MAX	58		/* in one mailbox */

enum store_mode { STORE_SET, STORE_ADD, STORE_REMOVE };

/* Special use (RFC 6154), bits. */
enum {
	USE_ALL = 1 << 0, USE_ARCHIVE = 1 << 1, USE_DRAFTS = 1 << 2,
	USE_FLAGGED = 1 << 3, USE_JUNK = 1 << 4, USE_SENT = 1 << 5,
	USE_TRASH = 1 << 6,
};

/* What account_changed tells of. */
enum account_change { ACCOUNT_NAMES_CHANGED, ACCOUNT_METADATA_CHANGED };

/* What the index can be asked for: where in a message the words stand. */
enum index_field {
	INDEX_TEXT,		/* header (names and all) or body */
	INDEX_BODY,
	INDEX_SUBJECT, INDEX_FROM, INDEX_TO, INDEX_CC, INDEX_BCC,
	INDEX_HEADER,		/* the value of any other field */
	INDEX_FIELDS
};

enum index_work { INDEX_NOTHING, INDEX_BUILD, INDEX_MERGE, INDEX_WORKS };

/* Rights on a mailbox (RFC 4314), bits. */
enum {
	RIGHT_LOOKUP = 1 << 0,		/* l */
	RIGHT_READ = 1 << 1,		/* r */
	RIGHT_SEEN = 1 << 2,		/* s */
	RIGHT_WRITE = 1 << 3,		/* w: flags but \Seen and \Deleted */
	RIGHT_INSERT = 1 << 4,		/* i: APPEND, COPY into */
	RIGHT_POST = 1 << 5,		/* p: send mail as it */
	RIGHT_CREATE = 1 << 6,		/* k: mailboxes below */
	RIGHT_REMOVE = 1 << 7,		/* x: DELETE, RENAME */
	RIGHT_DELETED = 1 << 8,		/* t: \Deleted */
	RIGHT_EXPUNGE = 1 << 9,		/* e */
	RIGHT_ADMIN = 1 << 10,		/* a: the ACL itself */
	RIGHTS_ALL = (1 << 11) - 1,
	/* Without any of them a mailbox is read-only (RFC 4314 5.2). */
	RIGHTS_TO_CHANGE = RIGHT_SEEN | RIGHT_WRITE | RIGHT_INSERT |
	    RIGHT_DELETED | RIGHT_EXPUNGE,
};

/* queue_commit flags. */
enum {
	ENVELOPE_8BITMIME = 1 << 0, ENVELOPE_SMTPUTF8 = 1 << 1,
	ENVELOPE_BINARYMIME = 1 << 2, ENVELOPE_AUTHENTICATED = 1 << 3,
	ENVELOPE_REQUIRETLS = 1 << 4,	/* RFC 8689 */
	ENVELOPE_TLS_OPTIONAL = 1 << 5,	/* RFC 8689: TLS-Required: No */
	ENVELOPE_BY_RETURN = 1 << 6,	/* RFC 2852; else BY NOTIFY */
	ENVELOPE_BY_TRACE = 1 << 7,
	ENVELOPE_RET_FULL = 1 << 8,	/* RFC 3461; neither: not said */
	ENVELOPE_RET_HDRS = 1 << 9,
	ENVELOPE_FORWARDED = 1 << 10,	/* sent on by an alias of ours */
	ENVELOPE_ETRN_ONLY = 1 << 11,	/* waits for queue_turn */
	ENVELOPE_OURS = 1 << 12,	/* made here: a notice, a report */
	/* The store alone says these; from the edge they are nothing. */
	ENVELOPE_STORE_SAYS = ENVELOPE_AUTHENTICATED | ENVELOPE_FORWARDED |
	    ENVELOPE_ETRN_ONLY | ENVELOPE_OURS,
};

/* NOTIFY of RFC 3461. */
enum {
	NOTIFY_NEVER = 1 << 0, NOTIFY_SUCCESS = 1 << 1,
	NOTIFY_FAILURE = 1 << 2, NOTIFY_DELAY = 1 << 3,
};

/* What became of a recipient, in queue_report. */
enum relay_outcome {
	RELAY_SENT,			/* the next server has it; it tells on */
	RELAY_SENT_SILENT,		/* the same, and it knows no DSN */
	RELAY_DEFERRED,
	RELAY_FAILED,
	RELAY_UNTRIED,		/* not its fault: again at once */
	RELAY_OUTCOMES
};

/* How a destination did, in queue_report. */
enum destination_state {
	DESTINATION_FINE,		/* a message was accepted */
	DESTINATION_UNSURE,		/* it answered, but took nothing */
	DESTINATION_BUSY,		/* 421 or 4xx at the greeting: less at once */
	DESTINATION_DOWN,		/* no connection to be had */
	DESTINATION_STATES
};

enum queue_action {
	QUEUE_RETRY, QUEUE_HOLD, QUEUE_RELEASE, QUEUE_DELETE, QUEUE_RETURN,
	QUEUE_ACTIONS
};

/* Whose a mailbox is, as the account sees it. */
enum mailbox_place { PLACE_OWN, PLACE_OTHER_USERS, PLACE_SHARED };

enum { GROUP_ANYONE, GROUP_ACCOUNTS, GROUP_MEMBERS, GROUP_WHOS };

enum dkim_algorithm { DKIM_RSA_SHA256, DKIM_ED25519_SHA256, DKIM_ALGORITHMS };

enum dns_type {
	DNS_A = 1, DNS_CNAME = 5, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16,
	DNS_AAAA = 28, DNS_TLSA = 52,
};

enum {
	DIRECTORY_DOMAINS, DIRECTORY_ACCOUNTS, DIRECTORY_ALIASES,
	DIRECTORY_GROUPS, DIRECTORY_FORWARDS, DIRECTORY_SHARED,
};

struct grant { uint8_t b[80]; };	/* opaque outside the store */
struct token { uint8_t b[16]; };	/* random: names one attempt */
struct token token_new(void);
/* For people: the first 80 bits in a base 32 that is easy to read out. This
 * is a message's queue id, known before the store has said yes. */
enum { TOKEN_NAMED = 10, TOKEN_NAME_CHARS = 16 };
void token_name(const struct token *, char out[TOKEN_NAME_CHARS + 1]);

/*
 * A large field. To send: set bytes (and fd -1), or a sealed memfd in fd
 * with its length in bytes.n. Received: bytes is always there, mapped when
 * it came as a descriptor; blob_release() ends the mapping.
 */
struct blob {
	struct span bytes;
	int fd;			/* -1: none. Not owned when sending */
	void *map;		/* wire.c's own */
	size_t map_n;
};
#define BLOB_OF(span_) ((struct blob){ .bytes = (span_), .fd = -1 })
void blob_release(struct blob *);

#define U8(name)		uint8_t name;
#define U32(name)		uint32_t name;
#define U64(name)		uint64_t name;
#define I64(name)		int64_t name;
#define TOKEN(name)		struct token name;
#define BODY(name)		struct token name;
#define GRANT(name)		struct grant name;
#define BYTES(name, limit)	struct span name;
#define BLOB(name, limit)	struct blob name;
#define FD(name)		int name;
#define RECORD(name)		struct name {
#define END_RECORD(name)	};
#define CALL(name, from, to, time, again, text)				\
				struct name##_request { uint8_t begin_;
#define ANSWER(name)		};					\
				struct name##_reply { enum result result;
#define END(name)		};
#define NOTE(name, from, to, text)					\
				struct name##_note { uint8_t begin_;
#define END_NOTE(name)		};
#include "ipc/contract.def"
#include "ipc/contract_undef.h"

enum verb {
	VERB_hello,
#define RECORD(name)
#define END_RECORD(name)
#include "ipc/contract_no_fields.h"
#define CALL(name, from, to, time, again, text) VERB_##name,
#define ANSWER(name)
#define END(name)
#define NOTE(name, from, to, text) VERB_##name,
#define END_NOTE(name)
#include "ipc/contract.def"
#include "ipc/contract_undef.h"
	VERBS
};

#endif
