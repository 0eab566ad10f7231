/*
 * pending.c - verbs whose modules are not there yet. Each goes when its module
 * comes; then this file does.
 */
#include "store/verbs.h"

#define PENDING(name)							\
	void								\
	verb_##name(void *arg, const struct caller *caller,		\
	    struct arena *arena, const struct name##_request *req,	\
	    struct name##_reply *reply)					\
	{								\
		(void)arg, (void)caller, (void)arena, (void)req;	\
		reply->result = RESULT_TEMPORARY;			\
	}

