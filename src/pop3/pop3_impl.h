/*
 * pop3_impl.h - the session, as the files of this folder share it.
 */
#ifndef POP3_POP3_IMPL_H
#define POP3_POP3_IMPL_H

#include "base/arena.h"
#include "base/settings.h"
#include "io/session.h"
#include "ipc/call.h"
#include "ipc/wire.h"
#include "pop3/pop3_command.h"

struct login;

struct item {
	uint32_t uid, size;
	bool deleted;			/* DELE, until QUIT or RSET */
	bool fetched;			/* whole, by RETR */
};

/* Bodies that came ahead of their RETR; not kept while parked. */
struct ahead {
	struct blob blob;
	struct cursor next;
	struct message_bytes message;	/* the one the cursor gave last */
	bool valid;
};

struct pop3 {
	struct session *session;
	struct stream *stream;
	enum pop3_state state;
	bool utf8;
	bool closing;
	bool locked;			/* the maildrop is ours */
	unsigned errors, failures;
	char *user;			/* of USER, until PASS */
	struct grant grant;
	struct token lock;
	uint64_t inbox;
	uint32_t uidvalidity;
	struct item *items;		/* message n is items[n - 1] */
	uint32_t count;
	struct ahead ahead;
	struct arena *arena;		/* of the command that runs */
};

/* -- pop3_session.c */
const struct settings *pop3_settings(void);
struct link *pop3_store(void);
void pop3_ok(struct pop3 *, const char *text);
void pop3_err(struct pop3 *, const char *text);
/* A mistake of the client's: too many, and it has to go. */
void pop3_mistake(struct pop3 *, const char *text);
/* What the store's refusal means to a client. */
void pop3_refuse(struct pop3 *, enum result);
extern const char pop3_store_away[];

/* -- pop3_maildrop.c */
void pop3_maildrop_enter(struct pop3 *, const struct login *);
void pop3_maildrop_close(struct pop3 *);
/* The message a command names; NULL: answered. */
struct item *pop3_item(struct pop3 *, const struct pop3_command *);
void pop3_ahead_drop(struct pop3 *);

/* -- the commands, in their state's file: pop3_login.c, pop3_maildrop.c,
 * pop3_message.c */
typedef void pop3_handler(struct pop3 *, const struct pop3_command *);
pop3_handler pop3_apop, pop3_auth, pop3_capa, pop3_dele, pop3_lang,
    pop3_list, pop3_noop, pop3_pass, pop3_quit, pop3_retr, pop3_rset,
    pop3_stat, pop3_stls, pop3_top, pop3_uidl, pop3_user, pop3_utf8;

#endif
