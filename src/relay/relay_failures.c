/*
 * relay_failures.c - several hosts failed, each in its way: what is told of it.
 *
 * The failure that got furthest says most. It is permanent only when every
 * host that could be asked said so: RFC 5321 4.2.1 has a 5yz greeting mean
 * "do not come again", but one host of several does not speak for all.
 */
#include "relay/relay_connect.h"

static uint32_t
badness(enum destination_state state)
{
	return state == DESTINATION_DOWN ? 2 : state == DESTINATION_BUSY;
}

void
relay_failures_add(struct relay_failures *all, enum failure_rank rank,
    const struct relay_nowhere *one)
{
	enum destination_state state = one->state;

	if (one->outcome != RELAY_FAILED)
		all->temporary = true;
	if (all->rank != FAILURE_NONE &&
	    badness(all->worst.state) < badness(state))
		state = all->worst.state;
	if (rank >= all->rank) {
		all->worst = *one;
		all->rank = rank;
	}
	all->worst.state = state;
}

/* "5.3.2 ..." becomes "4.3.2 ...". */
struct relay_nowhere
relay_failures_sum(const struct relay_failures *all, struct arena *arena)
{
	struct relay_nowhere sum = all->worst;

	if (all->rank == FAILURE_NONE)
		return (struct relay_nowhere){ .outcome = RELAY_DEFERRED,
		    .state = DESTINATION_DOWN,
		    .reason = SPAN("4.4.4 there is no host to connect to") };
	if (sum.outcome == RELAY_FAILED && all->temporary) {
		sum.outcome = RELAY_DEFERRED;
		sum.reason = arena_printf(arena, "4%.*s",
		    SPAN_ARG(span_from(sum.reason, 1)));
	}
	return sum;
}
