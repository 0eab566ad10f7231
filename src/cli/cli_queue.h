/*
 * cli_queue.h - which messages of the queue a command is about.
 */
#ifndef CLI_CLI_QUEUE_H
#define CLI_CLI_QUEUE_H

#include "base/span.h"

struct cli;

struct cli_filter {
	struct span sender, recipient, destination, state;	/* "" any */
	int64_t older_than;		/* seconds; 0 any */
};
/* As the options say. EX_OK, or a status after saying why. */
int cli_queue_filter(const struct cli *, struct cli_filter *);

#endif
