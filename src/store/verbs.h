/*
 * verbs.h - the handlers of the store's verbs, one for each row of the
 * contract that is sent to the store.
 *
 * void verb_NAME(void *arg, const struct caller *, struct arena *,
 *     const struct NAME_request *, struct NAME_reply *);	arg: struct store
 *
 * store.c makes the table of them. A verb lives where its subject does.
 */
#ifndef STORE_VERBS_H
#define STORE_VERBS_H

#include "ipc/serve.h"
#include "store/store.h"

#define VERB_TO_STORE(name)						\
	void verb_##name(void *, const struct caller *, struct arena *,	\
	    const struct name##_request *, struct name##_reply *);
#define VERB_TO_SIGNER(name)
#define VERB_TO_RESOLVER(name)
#define VERB_TO_INDEX(name)
#define VERB_TO_RELAY(name)

#include "ipc/contract_no_fields.h"
#define RECORD(name)
#define END_RECORD(name)
#define CALL(name, from, to, time, again, text) VERB_TO_##to(name)
#define ANSWER(name)
#define END(name)
#define NOTE(name, from, to, text)
#define END_NOTE(name)
#include "ipc/contract.def"
#include "ipc/contract_undef.h"

#undef VERB_TO_STORE
#undef VERB_TO_SIGNER
#undef VERB_TO_RESOLVER
#undef VERB_TO_INDEX
#undef VERB_TO_RELAY

#endif
