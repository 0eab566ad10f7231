/*
 * relay_report.c - outcomes, gathered until the store is told.
 */
#include "relay/relay_report.h"
#include "ipc/wire.h"

enum { OUTCOMES_MAX = 16 << 20, TOKENS_MAX = 1 << 20, TEXT_MAX = 1000 };

void
relay_report_init(struct relay_report *r)
{
	*r = (struct relay_report){
		.tokens = TEXT_INIT(TOKENS_MAX),
		.outcomes = TEXT_INIT(OUTCOMES_MAX),
		.reason = TEXT_INIT(TEXT_MAX),
		.state = DESTINATION_UNSURE,
	};
}

void
relay_report_clear(struct relay_report *r)
{
	text_clear(&r->tokens);
	text_clear(&r->outcomes);
	text_clear(&r->reason);
	r->state = DESTINATION_UNSURE;
	r->envelopes = 0;
}

void
relay_report_free(struct relay_report *r)
{
	text_free(&r->tokens);
	text_free(&r->outcomes);
	text_free(&r->reason);
}

/* Cut to what the contract takes. */
void
relay_report_add(struct relay_report *r, const struct outcome_row *row)
{
	struct outcome_row cut = *row;

	cut.reason = span_sub(row->reason, 0, 1000);
	cut.answer = span_sub(row->answer, 0, 1000);
	cut.remote = span_sub(row->remote, 0, 300);
	cut.details = span_sub(row->details, 0, 1000);
	outcome_row_put(&r->outcomes, &cut);
}

void
relay_report_done(struct relay_report *r, const struct token *token)
{
	text_add(&r->tokens, span_of(token->b, sizeof(token->b)));
	r->envelopes++;
}

void
relay_report_all(struct relay_report *r, const struct envelope *e,
    const struct relay_nowhere *why)
{
	for (size_t i = 0; i < e->count; i++) {
		struct outcome_row row = { .token = e->token,
		    .recipient = (uint32_t)i, .outcome = why->outcome,
		    .reason = why->reason, .answer = why->answer,
		    .remote = why->remote };

		if (e->recipients[i].state == RECIPIENT_WAITING)
			relay_report_add(r, &row);
	}
	relay_report_done(r, &e->token);
}

void
relay_report_state(struct relay_report *r, enum destination_state state,
    struct span reason)
{
	static const unsigned weight[DESTINATION_STATES] = {
		[DESTINATION_UNSURE] = 0, [DESTINATION_FINE] = 1,
		[DESTINATION_BUSY] = 2, [DESTINATION_DOWN] = 3,
	};

	if (weight[state] < weight[r->state])
		return;
	r->state = state;
	text_clear(&r->reason);
	text_add(&r->reason, span_sub(reason, 0, TEXT_MAX));
}
