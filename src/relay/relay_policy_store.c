/*
 * relay_policy_store.c - policies and counts that the store keeps for us.
 */
#include "relay/relay.h"
#include "relay/relay_policy_impl.h"

int
relay_sts_kept(struct span domain, struct arena *arena,
    struct sts_kept *kept)
{
	struct sts_find_request request = { .domain = domain };
	struct sts_find_reply reply;

	if (call_sts_find(relay_store(), arena, &request, &reply) != 1)
		return -1;
	if (reply.result != RESULT_OK)
		return reply.result == RESULT_NOT_FOUND ? 0 : -1;
	*kept = (struct sts_kept){ reply.id, reply.policy, reply.fetched };
	return 1;
}

bool
relay_sts_keep(struct span domain, const struct sts_kept *kept,
    int64_t max_age, struct arena *arena)
{
	struct sts_save_request request = { .domain = domain,
	    .id = kept->id, .policy = kept->policy,
	    .fetched = kept->fetched, .expires = kept->fetched + max_age };
	struct sts_save_reply reply;

	return call_sts_save(relay_store(), arena, &request, &reply) == 1 &&
	    reply.result == RESULT_OK;
}

/* False: it may be made again, with the same token. */
bool
relay_report_hand_over(const struct token *token, struct span rows)
{
	struct arena *arena = arena_new(64 << 10);
	struct tlsrpt_add_request request = { .token = *token,
	    .rows = BLOB_OF(rows) };
	struct tlsrpt_add_reply reply;
	bool done = call_tlsrpt_add(relay_store(), arena, &request,
	    &reply) == 1 && reply.result != RESULT_TEMPORARY;

	arena_free(&arena);
	return done;
}
