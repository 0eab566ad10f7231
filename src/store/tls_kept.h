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

/* -- of a day's records, between tlsrpt.c and tlsrpt_send.c -------------- */
enum { TLSRPT_DAYS = 7 };	/* then nobody waits for them any more */
static inline struct partition
tlsrpt_day(uint64_t day)
{
	return (struct partition){ PARTITION_TLSRPT, day };
}
void tlsrpt_key(struct text *, struct span domain);
int  tlsrpt_read(struct span record, struct span *rua, struct span *rows);
	/* 1, 0 damaged */

#endif
