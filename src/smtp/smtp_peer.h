/*
 * smtp_peer.h - who speaks here, and how fast: see smtp_peer.c.
 */
#ifndef SMTP_SMTP_PEER_H
#define SMTP_SMTP_PEER_H

#include "smtp/smtp_impl.h"

/* A connection came, or XCLIENT gave it another client: may they? */
enum smtp_reply smtp_peer_came(struct smtp *);
/* Before the greeting. REPLY_OK: greet. */
enum smtp_reply smtp_peer_wait(struct smtp *);
void smtp_peer_gone(struct smtp *);
/* A 5xx is said: hold it back for who deserves it. False: enough of them. */
bool smtp_peer_erred(struct smtp *);
/* One more of their messages, one more recipient. REPLY_OK: go on. */
enum smtp_reply smtp_peer_sends(struct smtp *);
enum smtp_reply smtp_peer_names(struct smtp *);
/* The name of the address that leads back to it; "" unknown. Waits for it
 * for a moment. */
struct span smtp_peer_name(struct smtp *);
/* A proxy says what it is; "": it has none. */
void smtp_peer_named(struct smtp *, struct span name);

#endif
