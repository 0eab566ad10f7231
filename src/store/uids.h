/*
 * uids.h - sets of UIDs: ascending ranges that neither overlap nor touch.
 */
#ifndef STORE_UIDS_H
#define STORE_UIDS_H

#include "base/arena.h"
#include "base/base.h"
#include "base/text.h"
#include "ipc/contract.h"
#include "ipc/wire.h"

struct uids {
	struct uid_range *at;
	size_t n, room;
};

void uids_free(struct uids *);
void uids_clear(struct uids *);		/* keep the memory */

/* `first` is not below the first of the last range: touching ones join. */
void uids_add(struct uids *, uint32_t first, uint32_t last);
bool uids_have(const struct uids *, uint32_t uid);
uint64_t uids_count(const struct uids *);

/*
 * The contract's uid_range records, in any order, into an empty set. 1; 0
 * they are malformed, or name UID 0.
 */
int uids_read(struct uids *, struct span records);
/* And back, into the arena. 1, -1 it is full. */
int uids_write(const struct uids *, struct arena *, struct span *records);

/* As the store's records hold them: differences, seven bits a byte. */
void uids_put(struct text *, const struct uids *);
void uids_get(struct cursor *, struct uids *);	/* into an empty set */
/* Most bytes that uids_put writes for n ranges. */
size_t uids_put_max(size_t n);

#endif
