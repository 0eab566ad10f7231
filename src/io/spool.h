/*
 * spool.h - a message on its way in, in memory or in an unnamed file.
 *
 * Bytes are gathered in memory up to SPOOL_INLINE, beyond that in a memfd
 * that is sealed when finished, so that it can be handed to another role. The
 * sum of all spools of the process is limited (spool_set_total).
 */
#ifndef IO_SPOOL_H
#define IO_SPOOL_H

#include "base/base.h"

enum { SPOOL_INLINE = 64 << 10 };

struct spool;

void spool_set_total(uint64_t bytes);	/* 0: no limit */

/* `max` bytes at most; NULL never. */
struct spool *spool_new(uint64_t max);
void spool_free(struct spool **);
/* 1; 0 over max (EMSGSIZE) or over the total (ENOSPC): nothing was added, the
 * spool is then dead and drops what follows; -1 the system failed. */
int  spool_add(struct spool *, struct span);
uint64_t spool_size(const struct spool *);
/* No more additions. Contiguous bytes (mapped when it is a file). 1, -1. */
int  spool_finish(struct spool *, struct span *all);
/* -1 when inline; otherwise the sealed memfd, still owned by the spool. */
int  spool_fd(const struct spool *);

#endif
