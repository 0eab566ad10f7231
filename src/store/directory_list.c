/*
 * directory_list.c - the directory as the operator reads it, and whether it
 * holds together.
 */
#include "store/directory_impl.h"
#include "ipc/wire.h"
#include "store/limit.h"

enum { ROWS_AT_ONCE = 1000 };

struct listing {
	struct directory *directory;
	struct text *rows;
	size_t room, count;
	bool more;
};

/* Does it fit? The row was added, or taken back and `more` is set. */
static bool
list_row(struct listing *l, const struct directory_row *row)
{
	size_t before = l->rows->n;

	if (l->count == ROWS_AT_ONCE) {
		l->more = true;
		return false;
	}
	directory_row_put(l->rows, row);
	if (text_full(l->rows) || l->rows->n > l->room) {
		l->rows->n = before;
		l->rows->full = false;
		l->more = true;
		return false;
	}
	l->count++;
	return true;
}

static bool
list_domain(struct listing *l, struct span key, struct span value)
{
	struct domain_record record;

	if (domain_decode(value, &record) != 1)
		return true;
	return list_row(l, &(struct directory_row){
	    .name = span_from(key, 1), .created = record.created });
}

static bool
is_wanted(const struct name_record *record, uint32_t kind)
{
	switch (kind) {
	case DIRECTORY_ACCOUNTS:
		return record->kind == NAME_ACCOUNT &&
		    (record->flags & NAME_SHARED) == 0;
	case DIRECTORY_SHARED:
		return record->kind == NAME_ACCOUNT &&
		    (record->flags & NAME_SHARED) != 0;
	case DIRECTORY_ALIASES:
		return record->kind == NAME_ALIAS;
	case DIRECTORY_GROUPS:
		return record->kind == NAME_GROUP;
	default:
		return record->kind == NAME_ACCOUNT && record->targets.n > 0;
	}
}

/* What an account holds, and what it sent in the last 24 hours. */
static void
fill_account(struct store *store, struct directory_row *row)
{
	struct limit_state sent;

	mailboxes_usage(store->mailboxes, row->account, &row->messages,
	    &row->bytes);
	if (limit_state(store, row->account, &sent) != RESULT_OK)
		return;
	row->sent_messages = sent.messages;
	row->sent_recipients = sent.recipients;
	row->max_messages = sent.max_messages;
	row->max_recipients = sent.max_recipients;
}

static bool
list_name(struct listing *l, uint32_t kind, struct span value)
{
	struct name_record record;
	struct directory_row row;

	if (name_decode(value, &record) != 1 || !is_wanted(&record, kind))
		return true;
	row = (struct directory_row){ .name = record.text,
	    .targets = record.targets, .account = record.account,
	    .created = record.created, .flags = record.flags };
	if (kind == DIRECTORY_ACCOUNTS || kind == DIRECTORY_SHARED)
		fill_account(l->directory->store, &row);
	return list_row(l, &row);
}

/* The range of keys: of one kind, of one domain, behind `after`. */
static enum result
list_range(uint32_t kind, struct span domain, struct span after,
    struct arena *arena, struct text *from, struct text *to)
{
	struct name name;

	if (kind == DIRECTORY_DOMAINS) {
		key_domain(from, after);
		text_str(to, "e");
	} else {
		text_str(from, "n");
		text_str(to, "o");
		if (domain.n > 0) {
			if (address_domain(domain, arena, &domain) != 1)
				return RESULT_INVALID;
			key_name(from, domain, SPAN_EMPTY);
			key_after(to, text_span(from));
		}
		if (after.n > 0) {
			if (name_parse(after, true, arena, &name) != 1)
				return RESULT_INVALID;
			key_name(from, name.domain, name.local);
		}
	}
	if (after.n > 0)
		text_char(from, '\0');
	return RESULT_OK;
}

enum result
directory_rows(struct directory *d, uint32_t kind, struct span domain,
    struct span after, struct text *rows, size_t room, bool *more)
{
	struct listing l = { d, rows, room, 0, false };
	struct text from = TEXT_INIT(ENGINE_KEY_MAX);
	struct text to = TEXT_INIT(ENGINE_KEY_MAX);
	struct arena *arena = arena_new(64 << 10);
	struct scan *scan = NULL;
	struct span key, value;
	enum result result = RESULT_INVALID;
	int rc = 0;

	if (kind <= DIRECTORY_SHARED)
		result = list_range(kind, domain, after, arena, &from, &to);
	if (result == RESULT_OK) {
		scan = scan_open(d->store->engine, directory_partition,
		    text_span(&from), text_span(&to));
		rc = scan == NULL ? -1 : 0;
	}
	while (scan != NULL && (rc = scan_next(scan, &key, &value)) == 1)
		if (kind == DIRECTORY_DOMAINS ? !list_domain(&l, key, value) :
		    !list_name(&l, kind, value))
			break;
	if (rc == -1)
		result = RESULT_TEMPORARY;
	*more = l.more;
	scan_close(&scan);
	text_free(&from);
	text_free(&to);
	arena_free(&arena);
	return result;
}

/* -- check --------------------------------------------------------------- */

struct finding {
	struct directory *directory;
	struct batch *batch;
	struct text *report;
	uint32_t found, mended;
};

static void
take_away(struct finding *f, struct span key)
{
	batch_delete(f->batch, key);
	f->mended++;
}

static void
check_name(struct finding *f, struct span key, struct span value)
{
	struct name_record record;
	struct arena *arena = arena_new(1 << 20);
	struct account account;
	struct span bad;
	size_t places;

	if (name_decode(value, &record) != 1) {
		f->found++;
		text_printf(f->report, "directory: a name cannot be read\n");
		take_away(f, key);
	} else if ((record.kind == NAME_ACCOUNT || record.kind == NAME_MASK) &&
	    directory_account(f->directory, record.account, arena,
	    &account) == 0) {
		f->found++;
		text_printf(f->report, "directory: %.*s: its account is "
		    "missing\n", SPAN_ARG(record.text));
		take_away(f, key);
	} else if (record.targets.n > 0 && expand_targets(f->directory, NULL,
	    record.targets, &places, &bad) != RESULT_OK) {
		/* Not repaired: the operator knows where it should lead. */
		text_printf(f->report, "directory: %.*s: nobody is at %.*s\n",
		    SPAN_ARG(record.text), SPAN_ARG(bad));
		f->found++;
	}
	arena_free(&arena);
}

/* The note of a masked address that is not there, or is another's. */
static void
check_note(struct finding *f, struct span key, struct span value)
{
	struct arena *arena = arena_new(1 << 20);
	struct text id = TEXT_INIT(ENGINE_KEY_MAX);
	struct name_record record;
	struct span domain, local;

	(void)value;
	local = span_cut(span_from(key, 1 + sizeof(uint64_t)), '\0',
	    &domain);
	if (read_name(f->directory, domain, local, arena, &record) == 1 &&
	    record.kind == NAME_MASK)
		key_id(&id, DIRECTORY_MASK, record.account);
	if (id.n == 0 || !span_starts(key, text_span(&id))) {
		f->found++;
		text_printf(f->report, "directory: %.*s@%.*s: a note of no "
		    "masked address\n", SPAN_ARG(local), SPAN_ARG(domain));
		take_away(f, key);
	}
	text_free(&id);
	arena_free(&arena);
}

/* Every record of a kind, its letter being `from`. 0, -1. */
static int
check_range(struct finding *f, struct span from, struct span to,
    void (*check)(struct finding *, struct span key, struct span value))
{
	struct scan *scan = scan_open(f->directory->store->engine,
	    directory_partition, from, to);
	struct span key, value;
	int rc = scan == NULL ? -1 : 1;

	while (rc == 1 && (rc = scan_next(scan, &key, &value)) == 1)
		check(f, key, value);
	scan_close(&scan);
	return rc;
}

enum result
directory_check(struct directory *d, bool repair, struct text *report,
    uint32_t *found, uint32_t *repaired)
{
	struct finding f = { d, batch_new(directory_partition), report, 0, 0 };
	uint64_t version = 0;
	ticket_t ticket = 0;
	int rc;

	engine_version(d->store->engine, directory_partition, &version);
	batch_expect(f.batch, version);
	rc = check_range(&f, SPAN("n"), SPAN("o"), check_name);
	if (rc == 0)
		rc = check_range(&f, SPAN("m"), SPAN("n"), check_note);
	*found += f.found;
	if (rc == 0 && repair && f.mended > 0) {
		rc = engine_commit(d->store->engine, f.batch, &ticket);
		if (rc == 1)
			rc = engine_sync(d->store->engine, ticket);
		if (rc == 1)
			*repaired += f.mended;
		directory_forget(d);
		rc = rc == 1 ? 0 : -1;
	}
	batch_free(&f.batch);
	return rc == 0 ? RESULT_OK : RESULT_TEMPORARY;
}
