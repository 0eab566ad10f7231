/*
 * relay_report.h - what the store is to hear about envelopes of one
 * destination, gathered. Pure.
 */
#ifndef RELAY_RELAY_REPORT_H
#define RELAY_RELAY_REPORT_H

#include "base/text.h"
#include "queue/envelope.h"
#include "relay/relay_target.h"

struct relay_report {
	struct text tokens, outcomes, reason;
	enum destination_state state;
	size_t envelopes;
};

void relay_report_init(struct relay_report *);
void relay_report_clear(struct relay_report *);	/* keeps the memory */
void relay_report_free(struct relay_report *);

/* One outcome for each recipient that waits; then _done, once an envelope. */
void relay_report_add(struct relay_report *, const struct outcome_row *);
void relay_report_done(struct relay_report *, const struct token *);
/* The same outcome for all of them. */
void relay_report_all(struct relay_report *, const struct envelope *,
    const struct relay_nowhere *);
/* FINE counts for more than UNSURE, trouble for more than either. */
void relay_report_state(struct relay_report *, enum destination_state,
    struct span reason);

#endif
