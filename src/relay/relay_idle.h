/*
 * relay_idle.h - connections that nobody uses just now, kept for a while.
 *
 * Their buffers are given back. One whose time is over says QUIT.
 */
#ifndef RELAY_RELAY_IDLE_H
#define RELAY_RELAY_IDLE_H

#include "relay/relay_connect.h"

/* Ours from then on. On a fiber: one that is of no more use ends at once, and
 * of more than `most` the oldest: others may need its place at the server. */
void relay_idle_put(struct relay_connection **, int64_t keep_ms, size_t most);
/* One that still works; NULL: there is none. */
struct relay_connection *relay_idle_take(struct span destination,
    uint32_t class);
/* End the one that waits longest. On a fiber. false: there is none. */
bool relay_idle_end_one(void);
/* End all, each on a fiber of its own. */
void relay_idle_end_all(void);
size_t relay_idle_count(void);

#endif
