/*
 * relay_sign.h - DKIM signatures for what leaves (RFC 6376, RFC 8463).
 *
 * Whose: the domain in From, when it is ours and the message was sent by one
 * of our accounts or made here; for what an alias sends on, the domain of
 * the (rewritten) sender, unless From claims to be ours. One signature for
 * each key that signs (RSA and Ed25519), newest selector that the DNS shows.
 * A message that goes to many destinations is signed once: the last ones
 * are remembered. On a fiber; the private keys are signer's.
 */
#ifndef RELAY_RELAY_SIGN_H
#define RELAY_RELAY_SIGN_H

#include "base/base.h"
#include "base/text.h"
#include "ipc/call.h"
#include "queue/envelope.h"

void relay_sign_setup(struct link *signer);
/* What is remembered of keys, the DNS and signatures: for tests. */
void relay_sign_forget(void);
/*
 * Append the signature fields to `head`. message: as it will be sent, header
 * and body; converted: it is another form of the body than was stored.
 * 1 signed; 0 nothing to sign with; -1 not just now.
 */
int relay_sign(const struct envelope *, struct span message, bool converted,
    struct text *head);

#endif
