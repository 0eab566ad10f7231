/*
 * lockout.h - how many wrong passwords are too many.
 *
 * Failures are counted per account, per client address and per network
 * around it, in a bounded table that forgets what was not seen for longest.
 * Names that do not exist are counted like those that do. A network from
 * which the owner has logged in lately is counted by itself: whoever guesses
 * elsewhere cannot lock the owner out. The same wrong password again is one
 * failure: a phone that was not told of the new one locks nobody out. Any
 * thread.
 */
#ifndef STORE_LOCKOUT_H
#define STORE_LOCKOUT_H

#include "base/base.h"
#include "base/settings.h"
#include "store/directory.h"

struct lockout;

struct attempt {
	struct span login;		/* compare form; "" when it has none */
	struct span peer;		/* the client's address as text */
	bool known;			/* the owner logged in from there */
	bool by_token;			/* not guessed: the address alone counts */
};

struct lockout *lockout_new(void);
void lockout_free(struct lockout **);

bool lockout_locked(struct lockout *, const struct settings *,
    const struct attempt *);
/*
 * Count a failure. `password` may be empty where it is not seen (SCRAM); it
 * is remembered as a keyed hash only. How long to hold the answer back, ms.
 */
uint32_t lockout_failed(struct lockout *, const struct settings *,
    const struct attempt *, struct span password);
void lockout_succeeded(struct lockout *, const struct attempt *);
/* What an account knows: the client's /24 or /64. False: not an address. */
bool lockout_network(struct span peer, uint8_t out[NETWORK_MAX]);

#endif
