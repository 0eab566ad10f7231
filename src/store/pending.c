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

PENDING(queue_resume)
PENDING(queue_lease)
PENDING(queue_body)
PENDING(queue_report)
PENDING(sts_find)
PENDING(sts_save)
PENDING(tlsrpt_add)
PENDING(account_forward)
PENDING(account_limit)
PENDING(group_set)
PENDING(mask_add)
PENDING(mask_list)
PENDING(mask_set)
PENDING(queue_change)
PENDING(queue_table)
PENDING(suppressed_list)
PENDING(suppressed_set)
PENDING(queue_turn)
PENDING(address_expand)
PENDING(url_fetch)
