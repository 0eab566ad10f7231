/*
 * relay_token.h - asks the token server (oauth.introspection) about access
 * tokens, for the store (RFC 7662).
 */
#ifndef RELAY_RELAY_TOKEN_H
#define RELAY_RELAY_TOKEN_H

#include "base/base.h"

/* With what it is asked; the newest counts. */
void relay_take_token_secret(struct span);
/* There may be questions: a note said so, or the store is back. */
void relay_token_ask(void);
void relay_token_start(void);
void relay_token_stop(void);

#endif
