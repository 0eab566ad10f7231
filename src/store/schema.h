/*
 * schema.h - every key and record of the store, in one place.
 *
 * A record begins with its version byte. A reader takes every version up to
 * its own and refuses later ones (RESULT_DAMAGED, with a word to the
 * operator), so that an older program never misreads a newer store.
 */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

#include "base/base.h"
#include "store/engine.h"

/* Partition kinds. The numbers are on disk: never change one. */
enum partition_kind {
	PARTITION_META = 1,		/* one: id 0. format, next ids */
	PARTITION_DIRECTORY = 2,	/* one: id 0. domains, accounts, aliases */
	PARTITION_ACCOUNT = 3,		/* id: account. names of mailboxes, keys */
	PARTITION_MAILBOX = 4,		/* id: mailbox. head, chunks, tail */
	PARTITION_QUEUE = 5,		/* id 0. envelopes */
	PARTITION_TRACE = 6,		/* id: day. steps of messages' ways */
};

#endif
