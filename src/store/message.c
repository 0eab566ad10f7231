/*
 * message.c - single messages: their bytes, details and summaries.
 */
#include "mail/summary.h"
#include "store/mailboxes.h"
#include "store/share.h"
#include "store/verbs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	DETAILS_BYTES = 4 << 20,	/* of one answer */
	DETAILS_ROWS = 4096,
	BODIES_BYTES = 32 << 20,	/* of one answer, whatever is asked */
	BODY_SHARED = 256 << 10,	/* longer ones go as a file */
};

/* ---- the body -------------------------------------------------------- */

enum result
message_row_of(struct store *store, const struct grant *grant, uint64_t mailbox,
    uint32_t uid, struct row *row, ticket_t *ticket)
{
	struct mailbox *mb;
	const struct row *found;
	enum result result = mailbox_open_for(store, grant, mailbox,
	    RIGHT_READ, &mb);

	if (result != RESULT_OK)
		return result;
	found = table_find(&mb->table, uid);
	if (found != NULL)
		*row = *found;
	*ticket = mb->structural;
	mailbox_leave(&mb);
	return found != NULL ? RESULT_OK : RESULT_NOT_FOUND;
}

/* A file for the other side to map, sealed as the contract wants it. */
static enum result
share_body(struct engine *engine, const struct row *row, struct blob *data)
{
	int fd = memfd_create("body", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int status;

	if (fd < 0)
		return RESULT_TEMPORARY;
	status = engine_body_copy(engine, row->body, fd);
	if (status == 1 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK |
	    F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		status = -1;
	if (status != 1) {
		close(fd);
		return status == 0 ? RESULT_NOT_FOUND : RESULT_TEMPORARY;
	}
	*data = (struct blob){ .fd = fd, .bytes = { NULL, row->size } };
	return RESULT_OK;
}

static enum result
read_body(struct engine *engine, const struct row *row, uint64_t from,
    uint64_t count, struct arena *arena, struct blob *data)
{
	struct text t = TEXT_INIT(0);
	int status = engine_body_read(engine, row->body, from, count, &t);

	data->bytes = arena_dup(arena, text_span(&t));
	text_free(&t);
	if (status == 0)
		return RESULT_NOT_FOUND;
	return status == 1 && data->bytes.p != NULL ? RESULT_OK
	    : RESULT_TEMPORARY;
}

void
verb_message_body(void *arg, const struct caller *caller,
    struct arena *arena, const struct message_body_request *req,
    struct message_body_reply *reply)
{
	struct store *store = arg;
	struct row row;
	ticket_t ticket;

	(void)caller;
	reply->result = message_row_of(store, &req->grant, req->mailbox,
	    req->uid, &row, &ticket);
	if (reply->result != RESULT_OK)
		return;
	reply->size = row.size;
	if (req->from == 0 && req->count >= row.size &&
	    row.size > BODY_SHARED)
		reply->result = share_body(store->engine, &row, &reply->data);
	else
		reply->result = read_body(store->engine, &row, req->from,
		    req->count, arena, &reply->data);
	if (reply->result == RESULT_OK)
		reply->result = mailboxes_durable(store->mailboxes, ticket);
}

/* ---- details --------------------------------------------------------- */

/* Copies of the first rows of the set; *next is the uid behind them, or 0. */
static size_t
first_rows(const struct table *t, const struct uids *wanted,
    struct row rows[DETAILS_ROWS], uint32_t *next)
{
	size_t n = 0;

	*next = 0;
	for (size_t r = 0; r < wanted->n; r++) {
		size_t i = table_seek(t, wanted->at[r].first);
		uint32_t last = wanted->at[r].last;

		for (; i < t->n && t->rows[i].uid <= last; i++) {
			if (n == DETAILS_ROWS) {
				*next = t->rows[i].uid;
				return n;
			}
			rows[n++] = t->rows[i];
		}
	}
	return n;
}

/*
 * The same of a mailbox that somebody may see, for free(). What is not yet
 * durable is waited for.
 */
static enum result
pick_rows(struct store *store, const struct grant *grant, uint64_t mailbox,
    struct span uids, struct row **rows, size_t *n, uint32_t *next)
{
	struct uids wanted = { 0 };
	struct mailbox *mb = NULL;
	enum result result = RESULT_INVALID;

	*rows = NULL;
	*n = 0;
	*next = 0;
	if (uids_read(&wanted, uids))
		result = mailbox_open_for(store, grant, mailbox, RIGHT_READ,
		    &mb);
	if (result == RESULT_OK) {
		*rows = xmalloc(DETAILS_ROWS * sizeof(**rows));
		*n = first_rows(&mb->table, &wanted, *rows, next);
	}
	mailbox_answer(&mb, 0, &result);
	uids_free(&wanted);
	return result;
}

/* 1, 0 the answer has no room for it. */
static int
put_detail(const struct row *row, struct span summary, struct share *out)
{
	struct message_detail detail = {
		.uid = row->uid, .save_date = row->save_date,
		.thread = row->thread, .summary = summary,
	};

	if (share_size(out) > 0 &&
	    share_size(out) + summary.n + 64 > DETAILS_BYTES)
		return 0;
	memcpy(detail.email.b, row->body.b, sizeof(detail.email.b));
	message_detail_put(&out->text, &detail);
	share_flush(out);
	return 1;
}

/* A uid of each page that was to be read and could not. */
static void
note_missed(struct store *store, uint64_t mailbox, const struct uids *missed)
{
	struct mailbox *mb;

	if (missed->n == 0 || mailbox_enter_any(store->mailboxes, mailbox,
	    &mb) != RESULT_OK)
		return;
	for (size_t i = 0; i < missed->n; i++)
		digest_changed(mb, missed->at[i].first);
	mailbox_leave(&mb);
}

static void
put_details(struct store *store, const struct message_details_request *req,
    const struct row *rows, size_t n, struct share *out, uint32_t *next)
{
	struct digest_reader *digests = digest_open(store->engine,
	    req->mailbox, rows, n);
	struct span summary = SPAN_EMPTY;

	for (size_t i = 0; i < n; i++) {
		if (req->with_summary != 0 &&
		    digest_next(digests, i, &summary) != 1)
			summary = SPAN_EMPTY;
		if (put_detail(&rows[i], summary, out) == 0) {
			*next = rows[i].uid;
			break;
		}
	}
	note_missed(store, req->mailbox, digest_missed(digests));
	digest_close(&digests);
}

void
verb_message_details(void *arg, const struct caller *caller,
    struct arena *arena, const struct message_details_request *req,
    struct message_details_reply *reply)
{
	struct store *store = arg;
	struct row *rows;
	struct share share;
	size_t n;

	(void)caller;
	reply->result = pick_rows(store, &req->grant, req->mailbox,
	    req->uids.bytes, &rows, &n, &reply->next);
	if (reply->result == RESULT_OK) {
		share_begin(&share);
		put_details(store, req, rows, n, &share, &reply->next);
		reply->result = share_end(&share, arena, &reply->details);
	}
	free(rows);
}

/* ---- several bodies -------------------------------------------------- */

/* Until `limit` bytes are reached; those that are gone are passed over. */
static int
put_bodies(struct engine *engine, const struct row *rows, size_t n,
    uint64_t limit, struct share *out)
{
	struct text data = TEXT_INIT(0);
	struct message_bytes bytes;
	int status = 1;

	limit = MIN(limit, BODIES_BYTES);
	for (size_t i = 0; i < n && status >= 0; i++) {
		if (share_size(out) + rows[i].size > limit &&
		    share_size(out) > 0)
			break;
		if (rows[i].size > BODIES_BYTES)
			continue;
		text_clear(&data);
		status = engine_body_read(engine, rows[i].body, 0, UINT64_MAX,
		    &data);
		bytes = (struct message_bytes){ .uid = rows[i].uid,
			.data = text_span(&data) };
		if (status == 1)
			message_bytes_put(&out->text, &bytes);
		share_flush(out);
	}
	text_free(&data);
	return status < 0 ? -1 : 1;
}

void
verb_message_bodies(void *arg, const struct caller *caller,
    struct arena *arena, const struct message_bodies_request *req,
    struct message_bodies_reply *reply)
{
	struct store *store = arg;
	struct share share;
	struct row *rows;
	enum result result;
	uint32_t next;
	size_t n;

	(void)caller;
	reply->result = pick_rows(store, &req->grant, req->mailbox,
	    req->uids.bytes, &rows, &n, &next);
	if (reply->result == RESULT_OK) {
		share_begin(&share);
		if (put_bodies(store->engine, rows, n, req->limit,
		    &share) != 1)
			reply->result = result_of_errno();
		result = share_end(&share, arena, &reply->bodies);
		if (reply->result == RESULT_OK)
			reply->result = result;
	}
	free(rows);
}

/* ---- summaries ------------------------------------------------------- */

/*
 * A body may be in the mailboxes of many, and its summary is what all of them
 * see: it is not for one of them to change one that can be read.
 */
static enum result
keep_summary(struct engine *engine, const struct row *row,
    struct span record, struct arena *arena)
{
	struct span old;
	struct summary summary;
	int status = engine_body_summary(engine, row->body, arena, &old);

	if (status == 1 && summary_open(old, row->size, &summary) == 1)
		return RESULT_OK;
	if (status == 1)
		status = engine_body_set_summary(engine, row->body, record);
	return status == -1 ? result_of_errno() : status == 0
	    ? RESULT_NOT_FOUND : RESULT_OK;
}

void
verb_summary_save(void *arg, const struct caller *caller,
    struct arena *arena, const struct summary_save_request *req,
    struct summary_save_reply *reply)
{
	struct store *store = arg;
	struct row row;
	ticket_t ticket;

	(void)caller;
	reply->result = message_row_of(store, &req->grant, req->mailbox,
	    req->uid, &row, &ticket);
	if (reply->result == RESULT_OK)
		reply->result = keep_summary(store->engine, &row,
		    req->summary.bytes, arena);
	if (reply->result == RESULT_OK)
		note_missed(store, req->mailbox, &(struct uids){
		    .at = &(struct uid_range){ .first = req->uid,
		    .last = req->uid }, .n = 1 });
}
