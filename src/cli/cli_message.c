/*
 * cli_message.c - mail in and out of an account, through the contract.
 *
 * The operator acts for the account with a grant of its own. Messages are
 * kept with CRLF line ends and leave with LF, as files have them.
 */
#include "cli/cli_impl.h"
#include "mail/encode.h"
#include "mail/summary.h"

enum {
	MESSAGE_MAX = 1 << 30,
	BODY_PIECE = 8 << 20,
	SUMMARY_MEMORY = 32 << 20,
};

int
mail_open(struct account_mail *m, struct cli *cli, const char *address)
{
	struct account_grant_request request = {
		.address = span_str(address) };
	struct account_grant_reply reply;

	*m = (struct account_mail){ .cli = cli };
	if (call_account_grant(cli->store, cli->arena, &request, &reply) != 1)
		return cli_no_answer();
	m->grant = reply.grant;
	return cli_result(reply.result, address);
}

/* RESULT_OK and the mailbox of exactly this name (INBOX in any case). */
static enum result
find_mailbox(struct account_mail *m, struct span name, uint64_t *mailbox)
{
	struct mailbox_list_request request = { .grant = m->grant };
	struct mailbox_list_reply reply;
	struct mailbox_row row;
	struct cursor rows;
	enum result result;

	if (call_mailbox_list(m->cli->store, m->cli->arena, &request,
	    &reply) != 1)
		return RESULT_TEMPORARY;
	result = reply.result == RESULT_OK ? RESULT_NOT_FOUND : reply.result;
	rows = (struct cursor){ .rest = reply.rows.bytes };
	while (result == RESULT_NOT_FOUND && mailbox_row_get(&rows, &row) == 1)
		if (row.mailbox != 0 && (span_eq(row.name, name) ||
		    (span_is_nocase(name, "INBOX") &&
		    span_is(row.name, "INBOX")))) {
			*mailbox = row.mailbox;
			result = RESULT_OK;
		}
	blob_release(&reply.rows);
	return result;
}

static enum result
make_mailbox(struct account_mail *m, struct span name, uint64_t *mailbox)
{
	struct mailbox_create_request request = {
		.grant = m->grant, .token = token_new(), .name = name };
	struct mailbox_create_reply reply;

	if (call_mailbox_create(m->cli->store, m->cli->arena, &request,
	    &reply) != 1)
		return RESULT_TEMPORARY;
	*mailbox = reply.mailbox;
	return reply.result;
}

int
mail_mailbox(struct account_mail *m, struct span name, bool make,
    uint64_t *mailbox)
{
	char *what = arena_cstr(m->cli->arena, name);
	enum result result = find_mailbox(m, name, mailbox);

	if (result == RESULT_NOT_FOUND && make)
		result = make_mailbox(m, name, mailbox);
	return cli_result(result, what);
}

/* ---- in ------------------------------------------------------------------------ */

/* Line ends become CRLF, each LF and each CRLF one; lone CRs stay. */
static void
add_crlf(struct text *out, struct span file)
{
	while (file.n > 0) {
		size_t end = span_find_char(file, '\n', 0);
		struct span line = span_sub(file, 0, end);

		text_add(out, line);
		if (end == SIZE_MAX)
			return;
		if (line.n == 0 || line.p[line.n - 1] != '\r')
			text_char(out, '\r');
		text_char(out, '\n');
		file = span_from(file, end + 1);
	}
}

/* Summary and thread: a cache; a message that has none is as good. */
static uint64_t
summarise(struct span message, struct text *record)
{
	struct summary_limits limits = SUMMARY_LIMITS_DEFAULT;
	struct arena *arena = arena_new(SUMMARY_MEMORY);
	struct summary summary;
	uint64_t thread = 0;

	if (summary_build(message, &limits, arena, record) != 1)
		text_clear(record);
	else if (summary_open(text_span(record), message.n, &summary) == 1)
		thread = summary.thread_key;
	arena_free(&arena);
	return thread;
}

int
mail_append(struct account_mail *m, uint64_t mailbox, struct span file,
    uint64_t flags, struct span keywords, int64_t date)
{
	struct text body = TEXT_INIT(MESSAGE_MAX);
	struct text record = TEXT_INIT(SUMMARY_MAX);
	struct message_append_request request = {
		.grant = m->grant, .token = token_new(), .mailbox = mailbox,
		.flags = flags, .keywords = keywords, .internal_date = date };
	struct message_append_reply reply;
	int status;

	add_crlf(&body, file);
	request.thread = summarise(text_span(&body), &record);
	request.body = BLOB_OF(text_span(&body));
	request.summary = BLOB_OF(text_span(&record));
	if (text_full(&body))
		status = cli_say(EX_DATAERR, "a message is over 1 GiB");
	else if (call_message_append(m->cli->store, m->cli->arena, &request,
	    &reply) != 1)
		status = cli_no_answer();
	else
		status = cli_result(reply.result, "adding a message");
	m->added += status == EX_OK;
	m->bytes += body.n;
	text_free(&body);
	text_free(&record);
	arena_reset(m->cli->arena);
	return status;
}

/* ---- out ----------------------------------------------------------------------- */

/* Every piece of a message, CRLF turned to LF on the way. */
static int
read_message(struct account_mail *m, uint64_t mailbox, uint32_t uid,
    struct text *out)
{
	struct message_body_request request = {
		.grant = m->grant, .mailbox = mailbox, .uid = uid,
		.count = BODY_PIECE };
	struct message_body_reply reply;
	struct text raw = TEXT_INIT(0);
	size_t at = 0;

	do {
		arena_reset(m->cli->arena);
		if (call_message_body(m->cli->store, m->cli->arena, &request,
		    &reply) != 1)
			reply.result = RESULT_TEMPORARY;
		else if (reply.result == RESULT_OK)
			text_add(&raw, reply.data.bytes);
		if (reply.result == RESULT_OK)
			blob_release(&reply.data);
		request.from = raw.n;
	} while (reply.result == RESULT_OK && raw.n < reply.size);
	for (size_t i = 0; i < raw.n; i++)
		if (raw.p[i] != '\r' || i + 1 == raw.n || raw.p[i + 1] != '\n')
			raw.p[at++] = raw.p[i];
	raw.n = at;
	*out = raw;
	return reply.result == RESULT_NOT_FOUND ? -1 :
	    cli_result(reply.result, "reading a message");
}

/* The names whose bits are set, SP between. */
static struct span
keyword_names(struct arena *arena, struct span all, uint64_t flags)
{
	struct span names = SPAN_EMPTY, word;

	for (unsigned bit = FLAG_KEYWORD_0; all.n > 0; bit++) {
		word = span_word(&all);
		if (flags >> bit & 1)
			names = names.n == 0 ? word : arena_printf(arena,
			    "%.*s %.*s", SPAN_ARG(names), SPAN_ARG(word));
	}
	return names;
}

/* -1: it was expunged meanwhile. */
static int
each_one(struct account_mail *m, uint64_t mailbox,
    const struct message_row *row, struct span keywords, struct arena *arena,
    int (*fn)(void *, const struct mail_item *), void *arg)
{
	struct text text;
	struct mail_item item = { .row = row };
	int status = read_message(m, mailbox, row->uid, &text);

	if (status == EX_OK) {
		item.text = text_span(&text);
		item.keywords = keyword_names(arena, keywords, row->flags);
		status = fn(arg, &item);
	}
	text_free(&text);
	return status;
}

int
mail_each(struct account_mail *m, uint64_t mailbox,
    int (*fn)(void *, const struct mail_item *), void *arg,
    struct progress *progress)
{
	struct mailbox_open_request request = {
		.grant = m->grant, .mailbox = mailbox };
	struct mailbox_open_reply reply;
	struct arena *kept = arena_new(1 << 20), *names = arena_new(1 << 20);
	struct message_row row;
	struct cursor rows;
	struct span keywords;
	int status;

	if (call_mailbox_open(m->cli->store, m->cli->arena, &request,
	    &reply) != 1) {
		arena_free(&kept);
		arena_free(&names);
		return cli_no_answer();
	}
	status = cli_result(reply.result, "opening a mailbox");
	keywords = arena_dup(kept, reply.keywords);
	/* The rows may lie in the arena that every call resets. */
	rows = (struct cursor){ .rest = reply.rows.bytes };
	if (reply.rows.map == NULL)
		rows.rest = arena_dup(kept, reply.rows.bytes);
	while (status == EX_OK && message_row_get(&rows, &row) == 1) {
		arena_reset(names);
		status = each_one(m, mailbox, &row, keywords, names, fn, arg);
		if (status == -1)
			status = EX_OK;
		progress_set(progress, progress->done + 1);
	}
	blob_release(&reply.rows);
	arena_free(&kept);
	arena_free(&names);
	return status;
}
