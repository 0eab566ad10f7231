/*
 * sasl_impl.h - a SASL dialogue as its mechanism sees it, for sasl*.c alone.
 */
#ifndef STORE_SASL_IMPL_H
#define STORE_SASL_IMPL_H

#include "store/auth.h"

struct dialogue;

/*
 * A response of the client. RESULT_CONTINUE: the challenge goes to the
 * client, or, when d->waiting is set, nothing does and the step is taken
 * again in a moment, with an empty response; RESULT_OK: proved, and a
 * challenge is the last word to the client; else it is over.
 */
typedef enum result mechanism_step(struct dialogue *, struct span response,
    struct span *challenge);

struct mechanism {
	const char *name;
	mechanism_step *step;
	enum scram_hash hash;		/* of SCRAM */
	bool binds;			/* needs a channel binding */
	const char *prompt;		/* to who begins without a response */
};

struct dialogue {
	uint64_t id;
	uint64_t link;
	monotime_t deadline;
	const struct mechanism *mechanism;
	enum protocol service;
	struct auth *auth;
	struct arena *arena;		/* holds what follows */
	struct span peer, exporter, unique, evidence;
	struct login login;
	void *state;			/* the mechanism's own */
	bool begun;			/* login_begin() was made */
	bool finished;			/* proved; the last word is out */
	bool waiting;
	unsigned steps;
};

/* Once, when the name is known: RESULT_OK go on. */
enum result dialogue_begin_login(struct dialogue *, struct span name);
/* An authorization identity must be the account itself, or absent. */
bool dialogue_acts_as(struct dialogue *, struct span authzid);
/* Wrong: counted. What was wrong may be seen (a password) or not. */
enum result dialogue_denied(struct dialogue *, struct span password);

mechanism_step sasl_plain, sasl_login, sasl_scram, sasl_oauthbearer,
    sasl_xoauth2, sasl_external;
/* What it keeps is wiped. */
void sasl_scram_wipe(struct dialogue *);

#endif
