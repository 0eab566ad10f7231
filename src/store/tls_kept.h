/*
 * tls_kept.h - what is kept about TLS with other systems: their MTA-STS
 * policies (sts.c), and what they will be told of each day (tlsrpt.c).
 */
#ifndef STORE_TLS_KEPT_H
#define STORE_TLS_KEPT_H

#include "store/store.h"

/* Policies whose time is over. 1, -1. A chore of the keeper. */
int sts_expire(struct store *);
/*
 * Reports on days that are over, each domain's at a time of its own within
 * four hours. 1, -1. A chore of the keeper.
 */
int tlsrpt_send(struct store *);

#endif
