/*
 * signer_dkim.h - the keys of domains in signer, and what they sign.
 */
#ifndef ROLE_SIGNER_DKIM_H
#define ROLE_SIGNER_DKIM_H

#include "ipc/serve.h"

/* All there are from now on: dkim_secret records. */
void signer_dkim_take(struct span keys);
void signer_dkim_forget(void);

/* Handlers of the contract. */
void signer_dkim_keys(void *, const struct caller *, struct arena *,
    const struct dkim_keys_request *, struct dkim_keys_reply *);
void signer_dkim_sign(void *, const struct caller *, struct arena *,
    const struct dkim_sign_request *, struct dkim_sign_reply *);

#endif
