/*
 * cli_queue_change.c - what the operator does with waiting messages: by their
 * ids, or all that the options pick. To change everything takes --all.
 */
#include <stdio.h>

#include "cli/cli_impl.h"
#include "cli/cli_queue.h"

struct changing {
	struct cli *cli;
	enum queue_action action;
	struct cli_filter filter;
	const char *id;			/* NULL: by the filter */
	uint64_t changed, busy;
	struct progress progress;
};

/* What happened, as one word after a number of messages. */
static const char *const done_words[QUEUE_ACTIONS] = {
	[QUEUE_RETRY] = "tried now",
	[QUEUE_HOLD] = "held",
	[QUEUE_RELEASE] = "released",
	[QUEUE_DELETE] = "deleted",
	[QUEUE_RETURN] = "returned",
};

/* A share of the work; 1 there is more. */
static int
change_some(struct changing *c, struct text *after, int *status)
{
	struct queue_change_request request = { .action = c->action,
	    .after = text_span(after), .queue_id = span_str(c->id),
	    .sender = c->filter.sender, .recipient = c->filter.recipient,
	    .destination = c->filter.destination, .state = c->filter.state,
	    .older_than = c->filter.older_than };
	struct queue_change_reply reply;

	if (call_queue_change(c->cli->store, c->cli->arena, &request,
	    &reply) != 1) {
		*status = cli_no_answer();
		return 0;
	}
	*status = cli_result(reply.result, c->id != NULL ? c->id : "queue");
	c->changed += reply.changed;
	c->busy += reply.busy;
	progress_set(&c->progress, c->changed);
	text_clear(after);
	text_add(after, reply.next);
	return *status == EX_OK && after->n > 0;
}

static int
change_all(struct changing *c)
{
	struct text after = TEXT_INIT(64);
	int status = EX_OK;

	while (change_some(c, &after, &status) == 1)
		arena_reset(c->cli->arena);
	text_free(&after);
	return status;
}

/* The worst of all: the others are done all the same. */
static int
change_by_id(struct changing *c)
{
	int worst = EX_OK;

	for (size_t i = 0; i < c->cli->count; i++) {
		int status;

		c->id = c->cli->words[i];
		status = change_all(c);
		if (status != EX_OK)
			worst = status;
	}
	return worst;
}

static int
report(const struct changing *c, int status)
{
	const struct cli *cli = c->cli;

	cli_print_json(cli, json_pack("{s:s, s:I, s:I}", "action",
	    done_words[c->action], "messages", (json_int_t)c->changed,
	    "sending", (json_int_t)c->busy));
	if (!cli->json)
		printf("%" PRIu64 " message%s %s\n", c->changed,
		    c->changed == 1 ? "" : "s", done_words[c->action]);
	if (!cli->json && c->busy > 0)
		printf("%" PRIu64 " on their way just now, left alone\n",
		    c->busy);
	return status == EX_OK && c->changed == 0 && c->busy > 0
	    ? EX_TEMPFAIL : status;
}

static bool
has_filter(const struct cli *cli)
{
	return cli->sender != NULL || cli->recipient != NULL ||
	    cli->destination != NULL || cli->older_than != NULL ||
	    cli->state != NULL;
}

static int
change(struct cli *cli, enum queue_action action, bool all)
{
	struct changing c = { .cli = cli, .action = action };
	int status = cli_queue_filter(cli, &c.filter);

	if (status != EX_OK)
		return status;
	if ((cli->count > 0) + (has_filter(cli) || all) != 1)
		return cli_say(EX_USAGE, "give queue ids, or options that "
		    "pick messages, or --all");
	status = cli_open(cli);
	if (status != EX_OK)
		return status;
	progress_begin(&c.progress, cli, done_words[action], 0);
	status = cli->count > 0 ? change_by_id(&c) : change_all(&c);
	progress_end(&c.progress);
	return report(&c, status);
}

int
cli_queue_retry(struct cli *cli)
{
	return change(cli, QUEUE_RETRY, cli->all);
}

int
cli_queue_flush(struct cli *cli)
{
	return change(cli, QUEUE_RETRY, true);
}

int
cli_queue_hold(struct cli *cli)
{
	return change(cli, QUEUE_HOLD, cli->all);
}

int
cli_queue_release(struct cli *cli)
{
	return change(cli, QUEUE_RELEASE, cli->all);
}

int
cli_queue_return(struct cli *cli)
{
	return change(cli, QUEUE_RETURN, cli->all);
}

int
cli_queue_delete(struct cli *cli)
{
	return change(cli, QUEUE_DELETE, cli->all);
}
