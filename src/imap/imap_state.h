/*
 * imap_state.h - what the parts of the IMAP server know of one session.
 *
 * For the files of src/imap alone. A struct imap_session lives as long as the
 * connection and is small: thousands of them are parked. A struct imap_task
 * lives on the fiber's stack while one command runs, with an arena of its
 * own.
 */
#ifndef IMAP_IMAP_STATE_H
#define IMAP_IMAP_STATE_H

#include "base/settings.h"
#include "imap/imap_envelope.h"
#include "imap/imap_parse.h"
#include "imap/imap_session.h"
#include "imap/imap_view.h"

enum imap_state {
	IMAP_GREETED = 1 << 0,		/* not authenticated */
	IMAP_AUTHENTICATED = 1 << 1,
	IMAP_SELECTED = 1 << 2,
};

/* What ENABLE, or a command that implies it, turned on for the session. */
enum imap_enabled {
	IMAP_CONDSTORE = 1 << 0,	/* RFC 7162: MODSEQ in every FETCH */
	IMAP_QRESYNC = 1 << 1,		/* RFC 7162: VANISHED, not EXPUNGE */
	IMAP_UTF8 = 1 << 2,		/* RFC 6855: names and strings */
	IMAP_REV2 = 1 << 3,		/* RFC 9051 */
	IMAP_UIDONLY = 1 << 4,		/* RFC 9586: no message numbers */
	IMAP_METADATA = 1 << 5,		/* RFC 5464: changes are told */
};

/* A mailbox that is open: the one selected, or another for a while. */
struct imap_mailbox {
	struct imap_session *s;
	uint64_t id;
	struct imap_shared *shared;	/* with the others that look at it */
	struct imap_mailbox *next, *before;	/* of these */
	bool read_only;
	struct imap_view view;
};

/* Bytes of a message, kept for the next part of it that is asked for. */
struct imap_window {
	uint64_t mailbox;
	uint32_t uid;			/* 0: none */
	uint64_t at, n;
	char *bytes;
	struct imap_window *older, *newer;	/* among all of the process */
};

struct imap_session {
	struct session *io;
	struct stream *stream;
	enum imap_state state;
	unsigned enabled;		/* enum imap_enabled */
	bool idling;
	bool notifies;			/* NOTIFY says what is told */
	bool hears;			/* it says so of what is selected */
	uint8_t language;		/* imap_language.c */
	unsigned errors;		/* bad commands in a row */
	unsigned auth_failures;
	const char *bye;		/* close, and say why; NULL: go on */
	char *idle_tag;
	char *login;			/* the account's address */
	struct grant grant;
	uint64_t inbox;			/* its id, once known */
	struct imap_mailbox *box;
	struct imap_searches *searches;	/* NULL: nothing to remember */
	struct imap_notify *notify;	/* NULL: it follows nothing else */
	struct imap_window window;
	struct imap_session *before, *after;	/* all of the process */
};

static inline bool
imap_has(const struct imap_session *s, enum imap_enabled what)
{
	return (s->enabled & what) != 0;
}

static inline void
imap_turn_on(struct imap_session *s, unsigned what)
{
	s->enabled |= what;
}

/* Is it told at once of what happens in the selected mailbox? */
static inline bool
imap_listens(const struct imap_session *s)
{
	return s->notifies ? s->hears : s->idling;
}

/* Names and quoted strings hold UTF-8 as it is. */
static inline bool
imap_speaks_utf8(const struct imap_session *s)
{
	return imap_has(s, IMAP_UTF8) || imap_has(s, IMAP_REV2);
}

static inline enum imap_text_mode
imap_text_mode(const struct imap_session *s)
{
	return imap_speaks_utf8(s) ? IMAP_TEXT_UTF8 : IMAP_TEXT_ASCII;
}

/* -- one command ---- */

struct imap_command;

struct imap_task {
	struct imap_session *s;
	const struct imap_command *command;
	struct span tag;
	struct text line;		/* as it came, with its literals */
	struct arena *arena;
	size_t args_at;			/* in the line: behind its name */
	struct imap_parser in;		/* from there on */
	struct span args[2];		/* see imap_command.c */
	struct imap_literal literal;	/* announced, nothing of it read yet */
	bool literal_pending;
	bool too_long;			/* the line was, and is not whole */
	monotime_t progress;		/* when it was told of last */
	uint32_t lowest_uid;		/* see imap_limit(); 0: all was done */
};

enum imap_status { IMAP_OK, IMAP_NO, IMAP_BAD, IMAP_SAID };

/* The tagged line. IMAP_SAID: there is none (any more). */
struct imap_reply {
	enum imap_status status;
	const char *code;		/* "TRYCREATE"; NULL: none */
	const char *text;
};

/* -- imap_reply.c ---- */

struct imap_reply imap_ok(const char *text);
struct imap_reply imap_no(const char *code, const char *text);
struct imap_reply imap_bad(const char *text);
/* BAD with the parser's hint. */
struct imap_reply imap_bad_syntax(const struct imap_task *);
/* RFC 9586: a message number was used where there are none. */
struct imap_reply imap_uid_required(void);
/* No answer from the store. */
struct imap_reply imap_unavailable(void);
/* What the store said instead of RESULT_OK. */
struct imap_reply imap_refused(struct imap_task *, enum result);
struct imap_reply imap_no_memory(void);
void imap_say_reply(struct imap_task *, struct imap_reply);
/* What a literal holds, where a NUL may stand in none. */
void imap_write_bytes(struct stream *, struct span);

/* -- imap_session.c ---- */

struct link *imap_store(void);
const char *imap_hostname(void);
struct link *imap_index(void);		/* NULL: there is none */
const struct settings *imap_settings(void);
monotime_t imap_input_deadline(const struct imap_session *);
/* Arenas for commands, a few of them kept. */
struct arena *imap_arena_get(void);
void imap_arena_put(struct arena **);

/* -- imap_input.c ---- */

/* What a command of this session may grow to. */
struct text imap_line_new(const struct imap_session *);
/* More of a command: the next line is added to task->line. 1, 0 closed, -1. */
int  imap_read_line(struct imap_task *);
int  imap_invite(struct imap_task *);	/* "+ OK", when it waits for that */
/* The literal announced, added to task->line; it has room. 1, 0, -1. */
int  imap_read_literal(struct imap_task *);
/* Read away what a client sends that does not wait. 1, 0, -1. */
int  imap_discard_literal(struct imap_task *);
/*
 * The rest of the command, literal by literal. False: *why is the answer; the
 * literal that stands announced was not read.
 */
bool imap_read_literals(struct imap_task *, struct imap_reply *why);

/* -- imap_capability.c ---- */

/* "IMAP4rev1 LITERAL+ ...": what there is in the session's state. */
void imap_add_capabilities(struct imap_session *, struct text *);

/* -- imap_language.c ---- */

/* A text for people, in the session's language. */
const char *imap_words(const struct imap_session *, const char *english);

/* -- imap_progress.c ---- */

/*
 * A long command's loop says how far it is; total 0: not known. Now and then
 * that goes to the client, between two responses: never call it inside one.
 */
void imap_progress(struct imap_task *, uint64_t done, uint64_t total);

/* -- imap_auth.c ---- */

/* All that came with the login, for UNAUTHENTICATE and at the end. */
void imap_forget_login(struct imap_session *);

/* -- imap_change.c ---- */

/* The mailbox is selected no more. Tells the store; says nothing. */
void imap_unselect_mailbox(struct imap_session *, struct arena *);
/* Say what the client does not know yet. */
void imap_tell(struct imap_session *, bool expunges, bool with_uid);
/* Lines to the client, when there are many of them or `all`. */
void imap_say(struct imap_session *, struct text *lines, bool all);
void imap_add_number_line(struct text *lines, uint32_t number,
    const char *what);
/* "* 4 FETCH (UID 9 ", or "* 9 UIDFETCH (" with UIDONLY. */
void imap_begin_fetch(struct imap_session *, struct text *, uint32_t uid,
    uint32_t index, bool with_uid);
/* "* 4 FETCH (UID 9 FLAGS (\Seen) MODSEQ (7))" of a row, told thereby. */
void imap_tell_flags(struct imap_session *, uint32_t index, bool with_uid,
    struct text *lines);
/* "* FLAGS (...)" and PERMANENTFLAGS. */
void imap_tell_keywords(struct imap_session *, struct text *lines);

/* -- imap_name.c ---- */

/* A mailbox's name as this client writes it; as imap_name_decode(). */
int  imap_take_name(struct imap_task *, struct span sent, struct span *name);
/* As this client reads it; p NULL: arena full. And as an astring. */
struct span imap_show_name(struct imap_task *, struct span name);
void imap_add_name(struct imap_task *, struct text *, struct span name);

/* -- imap_shared.c ---- */

/* Open a mailbox; nothing is said. False: *why. */
bool imap_mailbox_open(struct imap_task *, uint64_t id, bool read_only,
    struct imap_mailbox **, struct imap_reply *why);
void imap_mailbox_close(struct imap_mailbox **, struct arena *);
/* What a call says of our watch: the answer tells us, no note shall. */
uint64_t imap_mailbox_watch(const struct imap_mailbox *);
uint32_t imap_mailbox_rights(const struct imap_mailbox *);	/* RIGHT_* */
/*
 * Bring the selected mailbox up to date where the store noted changes. 1 it
 * is of now, 0 it is gone (the session must end: there is no other way to say
 * so), -1 the store is away.
 */
int  imap_refresh(struct imap_session *, struct arena *);
/* The next command, or IDLE, shall ask whether there are changes. */
void imap_look(struct imap_mailbox *);
/* The changes at the end of a reply. False: the session must end. */
bool imap_apply(struct imap_mailbox *, const struct imap_changes *);
bool imap_apply_expected(struct imap_mailbox *, const struct imap_changes *,
    const struct imap_expected *);
void imap_note_changed(void *arg, const void *note);

/* -- imap_acl.c ---- */

/* "* MYRIGHTS name letters". */
void imap_say_rights(struct imap_task *, struct span name, uint32_t rights);

/* -- imap_mailbox.c ---- */

/* The id of a mailbox by name. 1; 0 there is none; -1, *why says what. */
int  imap_mailbox_find(struct imap_task *, struct span name, uint64_t *id,
    struct imap_reply *why);
/* "* STATUS name (...)"; false: *why. */
enum imap_status_item {
	IMAP_STATUS_MESSAGES = 1 << 0, IMAP_STATUS_RECENT = 1 << 1,
	IMAP_STATUS_UIDNEXT = 1 << 2, IMAP_STATUS_UIDVALIDITY = 1 << 3,
	IMAP_STATUS_UNSEEN = 1 << 4, IMAP_STATUS_HIGHESTMODSEQ = 1 << 5,
	IMAP_STATUS_SIZE = 1 << 6, IMAP_STATUS_APPENDLIMIT = 1 << 7,
	IMAP_STATUS_MAILBOXID = 1 << 8, IMAP_STATUS_DELETED = 1 << 9,
	IMAP_STATUS_DELETED_STORAGE = 1 << 10,
};
bool imap_parse_status_items(struct imap_parser *, unsigned *items);
bool imap_say_status(struct imap_task *, uint64_t mailbox, struct span name,
    unsigned items, struct imap_reply *why);
/* RFC 8474: "F" and 16 hexadecimal digits. */
void imap_add_mailbox_id(struct text *, uint64_t id);

/* -- imap_quota.c ---- */

/* Is there room for so much in a mailbox? False: *why. */
bool imap_quota_room(struct imap_task *, uint64_t mailbox, uint64_t bytes,
    uint64_t messages, struct imap_reply *why);

/* -- imap_metadata.c ---- */

/* "* METADATA name (...)" behind a LIST response (RFC 9590). */
struct imap_metadata;
void imap_say_list_metadata(struct imap_task *, const struct imap_metadata *,
    struct span name, uint64_t mailbox);

/* -- imap_pick.c ---- */

/* The rows a sequence set of the command stands for; false: *why. */
bool imap_take_set(struct imap_task *, struct imap_set *);
bool imap_pick(struct imap_task *, const struct imap_set *,
    struct imap_picks *, struct imap_reply *why);
/* Of those that are there and changed since, only these (RFC 9394 3.3). */
struct imap_partial;
void imap_pick_partial(struct imap_task *, const struct imap_partial *,
    uint64_t changed_since, struct imap_picks *);
/*
 * RFC 9738: leave the highest of them, as many as one command may work on; the
 * answer will say where it stopped.
 */
void imap_limit(struct imap_task *, struct imap_picks *);
/* Are they more than that? NO [MESSAGELIMIT n], for what is all or nothing. */
bool imap_within_limit(struct imap_task *, uint64_t messages,
    struct imap_reply *why);
/* Walk them, those that are gone too: start with { 0 }. */
struct imap_walk { size_t pick; uint32_t index; bool inside; };
bool imap_walk(const struct imap_picks *, struct imap_walk *,
    uint32_t *index);
bool imap_any_gone(const struct imap_view *, const struct imap_picks *);
struct imap_reply imap_expunge_issued(void);
/* uid_range records of the rows picked, in the arena. */
struct span imap_uids_of(const struct imap_view *, const struct imap_picks *,
    struct arena *);
/* What the store said of a verb on the selected mailbox. */
struct imap_reply imap_box_refused(struct imap_task *, enum result);
/* Remove these, or everything, that is \Deleted. */
struct imap_reply imap_expunge_deleted(struct imap_task *,
    const struct imap_picks *);

/* -- imap_window.c ---- */

void imap_window_clear(struct imap_session *);
/* Keep a copy of these bytes (they may be too many: then nothing is kept). */
void imap_window_keep(struct imap_session *, uint64_t mailbox, uint32_t uid,
    uint64_t at, struct span bytes);
bool imap_window_has(struct imap_session *, uint64_t mailbox, uint32_t uid,
    uint64_t at, uint64_t n, struct span *bytes);

#endif
