/*
 * metadata.c - annotations of mailboxes and of the server (RFC 5464).
 *
 * What is shared lies with the owner of the mailbox, what is private with
 * who wrote it, each in its account's partition; so each counts in one
 * account, whose sum is in memory (mailbox_names.c). What is the server's and
 * shared lies in the account of nobody, 0, and is the operator's to write.
 *
 * Who may: to read, `l` and any right that lets them see or change something;
 * to write what is shared, `w` besides.
 */
#include "store/metadata.h"
#include "ipc/wire.h"
#include "store/mailboxes.h"
#include "store/metadata_record.h"
#include "store/quota.h"
#include "store/verbs.h"

#include <stdlib.h>

enum {
	ENTRIES_MAX = 1000,		/* of one call */
	ROWS_BYTES = 16 << 20,		/* of one answer */
	SERVER_ACCOUNT = ACCOUNT_OF_ALL,
};
static const uint32_t any_use = RIGHT_READ | RIGHT_SEEN | RIGHT_WRITE |
    RIGHT_INSERT | RIGHT_POST;

/* ---- sums ------------------------------------------------------------ */

int
metadata_count(struct names *names, struct span key, struct span record)
{
	struct span name, value;
	uint64_t mailbox;

	if (!metadata_key_read(key, &mailbox, &name) ||
	    !metadata_decode(record, &value))
		return 0;
	names->annotations++;
	names->annotation_bytes += name.n + value.n;
	return 1;
}

void
metadata_drop(struct names *names, struct batch *b, uint64_t mailbox)
{
	struct text from = TEXT_INIT(ENGINE_KEY_MAX);
	struct text to = TEXT_INIT(ENGINE_KEY_MAX);
	struct scan *scan;
	struct span key, record, name, value;
	uint64_t id;

	metadata_key(&from, mailbox, SPAN("/"));
	metadata_key_after(&to, mailbox);
	scan = scan_open(names->owner->store->engine, names_partition(names),
	    text_span(&from), text_span(&to));
	while (scan != NULL && scan_next(scan, &key, &record) == 1) {
		batch_delete(b, key);
		if (!metadata_key_read(key, &id, &name) ||
		    !metadata_decode(record, &value))
			continue;
		names->annotations--;
		names->annotation_bytes -= name.n + value.n;
	}
	scan_close(&scan);
	text_free(&from);
	text_free(&to);
}

/* ---- where it lies, and who may -------------------------------------- */

struct place {
	struct store *store;
	uint64_t mailbox;		/* 0: the server */
	uint64_t user, owner;
	uint32_t rights;
};

static bool
is_own(struct place *p)
{
	struct names *names;
	bool own;

	if (names_enter(p->store->mailboxes, p->user, &names) != RESULT_OK)
		return false;
	own = names_find_id(names, p->mailbox) != NULL;
	names_leave(&names);
	return own;
}

static enum result
find_shared(struct place *p, const struct grant *grant)
{
	struct mailbox *mb;
	enum result result = mailbox_open_for(p->store, grant, p->mailbox,
	    RIGHT_LOOKUP, &mb);

	if (result != RESULT_OK)
		return result;
	p->owner = mb->table.account;
	p->rights = mb->rights;
	mailbox_leave(&mb);
	return (p->rights & any_use) != 0 ? RESULT_OK : RESULT_FORBIDDEN;
}

static bool
is_operator(const struct caller *caller, const struct grant *grant)
{
	static const struct grant none;

	return caller->role == CLI && memcmp(grant, &none, sizeof(none)) == 0;
}

static enum result
find_place(struct place *p, const struct caller *caller,
    const struct grant *grant)
{
	enum result result;

	p->owner = p->user = SERVER_ACCOUNT;
	p->rights = RIGHTS_ALL;
	if (p->mailbox == 0 && is_operator(caller, grant))
		return RESULT_OK;
	result = grant_account(p->store, grant, &p->user);
	if (result != RESULT_OK)
		return result;
	if (p->mailbox == 0) {
		p->rights = any_use & ~(uint32_t)RIGHT_WRITE;
		return RESULT_OK;
	}
	p->owner = p->user;
	return is_own(p) ? RESULT_OK : find_shared(p, grant);
}

/* ---- special use as an annotation (RFC 6154 section 5.4) -------------- */

#define SPECIAL_USE	SPAN("/private/specialuse")

static const struct {
	uint32_t use;
	const char *name;
} uses[] = {
	{ USE_ALL, "\\All" }, { USE_ARCHIVE, "\\Archive" },
	{ USE_DRAFTS, "\\Drafts" }, { USE_FLAGGED, "\\Flagged" },
	{ USE_JUNK, "\\Junk" }, { USE_SENT, "\\Sent" },
	{ USE_TRASH, "\\Trash" },
};

static bool
is_special_use(const struct place *p, struct span name)
{
	return p->mailbox != 0 && p->owner == p->user &&
	    span_eq(name, SPECIAL_USE);
}

static void
write_use(struct names *names, uint64_t mailbox, struct text *out)
{
	struct listed *listed = names_find_id(names, mailbox);

	for (size_t i = 0; listed != NULL && i < ARRAY_LEN(uses); i++)
		if ((listed->use & uses[i].use) != 0)
			text_printf(out, "%s%s", out->n > 0 ? " " : "",
			    uses[i].name);
}

static enum result
read_use(struct span value, uint32_t *use)
{
	struct span word;
	size_t i;

	*use = 0;
	while ((word = span_word(&value)).n > 0) {
		for (i = 0; i < ARRAY_LEN(uses); i++)
			if (span_is_nocase(word, uses[i].name))
				break;
		if (i == ARRAY_LEN(uses) || ((USE_ALL | USE_FLAGGED) &
		    uses[i].use) != 0)
			return RESULT_CONFLICT;
		*use |= uses[i].use;
	}
	return RESULT_OK;
}

/* ---- reading --------------------------------------------------------- */

struct reading {
	struct place place;
	struct arena *arena;
	struct names *names;		/* of the account looked at */
	uint32_t depth;
	uint64_t max_size, longest;
	struct text out;
};

static void
put_row(struct reading *r, struct span name, const struct span *value)
{
	struct metadata_row row = { .entry = name, .exists = value != NULL };

	if (value != NULL && value->n > r->max_size) {
		r->longest = MAX(r->longest, (uint64_t)value->n);
		return;
	}
	if (value != NULL)
		row.value = *value;
	metadata_row_put(&r->out, &row);
}

/* The entry itself, there or not. */
static enum result
read_one(struct reading *r, struct span name)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX), use = TEXT_INIT(0);
	struct span record, value;
	int status;

	if (is_special_use(&r->place, name)) {
		write_use(r->names, r->place.mailbox, &use);
		value = text_span(&use);
		put_row(r, name, use.n > 0 ? &value : NULL);
		text_free(&use);
		return RESULT_OK;
	}
	metadata_key(&key, r->place.mailbox, name);
	status = engine_get(r->place.store->engine, names_partition(r->names),
	    text_span(&key), r->arena, &record);
	text_free(&key);
	if (status == 1 && !metadata_decode(record, &value))
		return RESULT_DAMAGED;
	if (status >= 0)
		put_row(r, name, status == 1 ? &value : NULL);
	return status < 0 ? RESULT_TEMPORARY : RESULT_OK;
}

/* What lies below it. */
static enum result
read_below(struct reading *r, struct span wanted)
{
	struct text from = TEXT_INIT(ENGINE_KEY_MAX);
	struct text to = TEXT_INIT(ENGINE_KEY_MAX);
	struct span key, record, name, value;
	struct scan *scan;
	uint64_t mailbox;
	int status;

	metadata_key(&from, r->place.mailbox, wanted);
	metadata_key_after(&to, r->place.mailbox);
	scan = scan_open(r->place.store->engine, names_partition(r->names),
	    text_span(&from), text_span(&to));
	status = scan == NULL ? -1 : 1;
	while (status == 1 &&
	    (status = scan_next(scan, &key, &record)) == 1 &&
	    metadata_key_read(key, &mailbox, &name) &&
	    span_starts(name, wanted) && r->out.n < ROWS_BYTES)
		if (metadata_matches(name, wanted, r->depth) &&
		    metadata_decode(record, &value))
			put_row(r, name, &value);
	scan_close(&scan);
	text_free(&from);
	text_free(&to);
	return status < 0 ? RESULT_TEMPORARY : RESULT_OK;
}

static enum result
read_entry(struct reading *r, struct span name)
{
	struct place *p = &r->place;
	uint64_t account = metadata_is_shared(name) ? p->owner : p->user;
	enum result result = names_enter(p->store->mailboxes, account,
	    &r->names);

	if (result != RESULT_OK)
		return result;
	result = r->depth == 0 ? read_one(r, name) : read_below(r, name);
	names_answer(&r->names, &result);
	return result;
}

static enum result
read_entries(struct reading *r, struct span entries)
{
	enum result result = RESULT_OK;
	struct span line, name;
	size_t n = 0;
	int status;

	while (entries.n > 0 && result == RESULT_OK) {
		entries = span_cut(entries, '\n', &line);
		if (line.n == 0)
			continue;
		status = metadata_name(line, r->arena, &name);
		if (status != 1)
			return status < 0 ? RESULT_TEMPORARY : RESULT_INVALID;
		if (++n > ENTRIES_MAX || r->out.n >= ROWS_BYTES)
			return RESULT_LIMIT;
		result = read_entry(r, name);
	}
	return result;
}

void
verb_metadata_get(void *arg, const struct caller *caller,
    struct arena *arena, const struct metadata_get_request *req,
    struct metadata_get_reply *reply)
{
	struct reading r = {
		.place = { .store = arg, .mailbox = req->mailbox },
		.arena = arena, .depth = req->depth,
		.max_size = req->max_size,
	};
	struct span rows;

	r.out = TEXT_INIT(0);
	reply->result = find_place(&r.place, caller, &req->grant);
	if (reply->result == RESULT_OK)
		reply->result = read_entries(&r, req->entries);
	if (reply->result == RESULT_OK) {
		rows = arena_dup(arena, text_span(&r.out));
		reply->rows = BLOB_OF(rows);
		reply->longest = r.longest;
		if (rows.p == NULL)
			reply->result = RESULT_TEMPORARY;
	}
	text_free(&r.out);
}

/* ---- writing --------------------------------------------------------- */

struct writing {
	struct place place;
	struct arena *arena;
	struct metadata_row *rows;
	size_t n;
	uint64_t quiet_link, quiet_watch;
};

static enum result
check_row(const struct writing *w, struct metadata_row *row)
{
	const struct settings *s = store_settings(w->place.store);
	int status = metadata_name(row->entry, w->arena, &row->entry);

	if (status != 1 || !metadata_can_hold(row->entry))
		return status < 0 ? RESULT_TEMPORARY : RESULT_INVALID;
	if (row->exists && row->value.n > s->metadata_max_size)
		return RESULT_LIMIT;
	if (metadata_is_shared(row->entry))
		return (w->place.rights & RIGHT_WRITE) != 0 ? RESULT_OK
		    : RESULT_FORBIDDEN;
	/* The operator has no annotations that are nobody else's. */
	return w->place.user != SERVER_ACCOUNT ? RESULT_OK : RESULT_INVALID;
}

static enum result
take_rows(struct writing *w, struct span records)
{
	struct cursor c = { .rest = records };
	struct metadata_row row;
	enum result result = RESULT_OK;
	int status;

	w->rows = arena_alloc(w->arena, ENTRIES_MAX * sizeof(*w->rows));
	if (w->rows == NULL)
		return RESULT_TEMPORARY;
	while (result == RESULT_OK &&
	    (status = metadata_row_get(&c, &row)) != 0) {
		if (status < 0)
			return RESULT_INVALID;
		if (w->n == ENTRIES_MAX)
			return RESULT_LIMIT;
		result = check_row(w, &row);
		w->rows[w->n++] = row;
	}
	return result;
}

/* What the account will hold of annotations; signed, as they may go. */
struct sums {
	int64_t count, bytes;
};

static enum result
put_use(struct names *names, struct batch *b, const struct place *p,
    const struct metadata_row *row, uint32_t *use)
{
	struct listed *listed = names_find_id(names, p->mailbox);
	struct key key = key_u64(ACCOUNT_MAILBOX, p->mailbox);
	struct text t = TEXT_INIT(0);
	enum result result = read_use(row->value, use);

	if (result != RESULT_OK || listed == NULL)
		return result;
	mailbox_name_encode(&t, &(struct mailbox_name){
	    .name = listed->name, .use = *use,
	    .uidvalidity = listed->uidvalidity, .token = listed->token });
	batch_put(b, key_span(&key), text_span(&t));
	text_free(&t);
	return RESULT_OK;
}

/* The last of several rows of one name is what counts. */
static bool
is_overtaken(const struct writing *w, size_t i)
{
	for (size_t k = i + 1; k < w->n; k++)
		if (span_eq(w->rows[k].entry, w->rows[i].entry))
			return true;
	return false;
}

static enum result
put_entry(struct writing *w, struct names *names, struct batch *b, size_t i,
    struct sums *sums)
{
	const struct metadata_row *row = &w->rows[i];
	struct text key = TEXT_INIT(ENGINE_KEY_MAX), t = TEXT_INIT(0);
	struct span old, value;
	int status;

	if (is_overtaken(w, i))
		return RESULT_OK;
	metadata_key(&key, w->place.mailbox, row->entry);
	status = engine_get(names->owner->store->engine,
	    names_partition(names), text_span(&key), w->arena, &old);
	if (status == 1 && metadata_decode(old, &value)) {
		sums->count--;
		sums->bytes -= (int64_t)(row->entry.n + value.n);
	}
	if (row->exists) {
		sums->count++;
		sums->bytes += (int64_t)(row->entry.n + row->value.n);
		metadata_encode(&t, row->value);
		batch_put(b, text_span(&key), text_span(&t));
	} else {
		batch_delete(b, text_span(&key));
	}
	text_free(&key);
	text_free(&t);
	return status < 0 ? RESULT_TEMPORARY : RESULT_OK;
}

/* Only what makes it more can be too much. */
static enum result
check_sums(struct names *names, const struct sums *sums)
{
	struct store *store = names->owner->store;
	uint64_t most = store_settings(store)->metadata_max_entries;

	if (sums->count > 0 && names->annotations + (uint64_t)sums->count >
	    most)
		return RESULT_LIMIT;
	if (sums->bytes > 0 && names_account(names) != SERVER_ACCOUNT)
		return quota_room_annotations(store, names_account(names),
		    names->annotation_bytes + (uint64_t)sums->bytes);
	return RESULT_OK;
}

static enum result
put_entries(struct writing *w, struct names *names, struct batch *b,
    bool shared, struct sums *sums, uint32_t *use)
{
	enum result result = RESULT_OK;

	for (size_t i = 0; i < w->n && result == RESULT_OK; i++) {
		const struct metadata_row *row = &w->rows[i];

		if (metadata_is_shared(row->entry) != shared)
			continue;
		result = is_special_use(&w->place, row->entry)
		    ? put_use(names, b, &w->place, row, use)
		    : put_entry(w, names, b, i, sums);
	}
	return result == RESULT_OK ? check_sums(names, sums) : result;
}

/* Those rows that lie in one account, in one batch. */
static enum result
write_part(struct writing *w, uint64_t account, bool shared)
{
	struct mailboxes *m = w->place.store->mailboxes;
	uint32_t use = UINT32_MAX;
	struct listed *listed;
	struct sums sums = { 0 };
	struct names *names;
	struct batch *b;
	enum result result = names_enter(m, account, &names);

	if (result != RESULT_OK)
		return result;
	b = batch_new(names_partition(names));
	result = put_entries(w, names, b, shared, &sums, &use);
	if (result == RESULT_OK && engine_commit(m->store->engine, b,
	    &names->ticket) != 1)
		result = result_of_errno();
	batch_free(&b);
	if (result == RESULT_OK) {
		names->annotations += (uint64_t)sums.count;
		names->annotation_bytes += (uint64_t)sums.bytes;
		listed = names_find_id(names, w->place.mailbox);
		if (use != UINT32_MAX && listed != NULL)
			listed->use = use;
	}
	names_answer(&names, &result);
	return result;
}

static void
tell(const struct writing *w, bool shared)
{
	uint64_t account = shared ? w->place.owner : w->place.user;

	for (size_t i = 0; i < w->n; i++)
		if (metadata_is_shared(w->rows[i].entry) == shared)
			account_changed(w->place.store->mailboxes, account,
			    &(struct account_news){
			    .what = ACCOUNT_METADATA_CHANGED,
			    .mailbox = w->place.mailbox,
			    .entry = w->rows[i].entry,
			    .private = !shared,
			    .quiet_link = w->quiet_link,
			    .quiet_watch = w->quiet_watch });
}

/*
 * What is shared first: should the other half fail (it lies elsewhere when
 * the mailbox is another's), the call may be made again.
 */
static enum result
write_rows(struct writing *w)
{
	enum result result = RESULT_OK;

	for (int shared = 1; shared >= 0 && result == RESULT_OK; shared--) {
		bool any = false;

		for (size_t i = 0; i < w->n; i++)
			any |= metadata_is_shared(w->rows[i].entry) ==
			    (shared == 1);
		if (!any)
			continue;
		result = write_part(w, shared ? w->place.owner
		    : w->place.user, shared == 1);
		if (result == RESULT_OK)
			tell(w, shared == 1);
	}
	return result;
}

void
verb_metadata_set(void *arg, const struct caller *caller,
    struct arena *arena, const struct metadata_set_request *req,
    struct metadata_set_reply *reply)
{
	struct writing w = {
		.place = { .store = arg, .mailbox = req->mailbox },
		.arena = arena, .quiet_link = caller->link,
		.quiet_watch = req->watch,
	};

	reply->result = find_place(&w.place, caller, &req->grant);
	if (reply->result == RESULT_OK)
		reply->result = take_rows(&w, req->rows.bytes);
	if (reply->result == RESULT_OK)
		reply->result = write_rows(&w);
}
