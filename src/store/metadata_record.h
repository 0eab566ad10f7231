/*
 * metadata_record.h - annotations (RFC 5464): their names, keys and records.
 * Pure.
 *
 * A name is a path, "/private/comment", in lower case: names know no case.
 * Every value lies in an account's partition, under the mailbox it is about
 * (0: the server) and its name.
 */
#ifndef STORE_METADATA_RECORD_H
#define STORE_METADATA_RECORD_H

#include "base/arena.h"
#include "base/base.h"
#include "base/text.h"

enum { METADATA_NAME_MAX = 900 };
#define METADATA_DEPTH_ALL UINT32_MAX

/* The form in which a name is kept. 1, 0 it is none, -1 the arena is full. */
int  metadata_name(struct span given, struct arena *, struct span *name);
bool metadata_is_shared(struct span name);
/* May it have a value? "/shared" itself may not. */
bool metadata_can_hold(struct span name);
/* Is `name` this one, or below it by no more levels than `depth`? */
bool metadata_matches(struct span name, struct span wanted, uint32_t depth);

void metadata_key(struct text *, uint64_t mailbox, struct span name);
/* 1, 0 the key has another form. */
int  metadata_key_read(struct span key, uint64_t *mailbox, struct span *name);
/* The end of the range of all that is about a mailbox. */
void metadata_key_after(struct text *, uint64_t mailbox);
void metadata_encode(struct text *, struct span value);
int  metadata_decode(struct span record, struct span *value); /* 1, 0 */

#endif
