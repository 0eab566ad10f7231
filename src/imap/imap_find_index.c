/*
 * imap_find_index.c - keys that the search index can answer, asked of it.
 *
 * All leaves of text go in one call. What comes back is checked and becomes a
 * hint at each leaf; the index is another process, so a bad answer, or none,
 * means no hints, and every message is looked at.
 */
#include "imap/imap_find.h"
#include "imap/imap_hint.h"
#include "imap/imap_search_match.h"
#include "ipc/wire.h"

enum {
	QUERIES_MAX = 256,
	NEEDLE_MAX = 4096,		/* as index_query has it */
	WORTH_IT = 32,			/* fewer messages are looked at */
	FOUND_BY_LOOKING = 50,
};

struct ask {
	struct imap_search_key *keys[QUERIES_MAX];
	size_t count;
	struct text queries;
};

static enum index_field
field_of(const struct imap_search_key *key)
{
	static const struct {
		const char *name;
		enum index_field field;
	} fields[] = {
		{ "Subject", INDEX_SUBJECT }, { "From", INDEX_FROM },
		{ "To", INDEX_TO }, { "Cc", INDEX_CC }, { "Bcc", INDEX_BCC },
	};

	if (key->kind == IMAP_SEARCH_TEXT)
		return INDEX_TEXT;
	if (key->kind == IMAP_SEARCH_BODY)
		return INDEX_BODY;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (span_is_nocase(key->name, fields[i].name))
			return fields[i].field;
	return INDEX_HEADER;
}

static bool
is_text(const struct imap_search_key *key)
{
	return key->kind == IMAP_SEARCH_TEXT ||
	    key->kind == IMAP_SEARCH_BODY || key->kind == IMAP_SEARCH_HEADER;
}

/* The index folds by i;unicode-casemap, whatever we compare by: what is equal
 * to us is equal to it, and what is sure there is looked at here. */
static void
add_query(struct ask *ask, struct imap_search_key *key)
{
	struct text folded = TEXT_INIT(0);

	imap_collate_add(IMAP_UNICODE_CASEMAP, &folded, key->text);
	if (folded.n > 0 && folded.n <= NEEDLE_MAX &&
	    ask->count < QUERIES_MAX) {
		index_query_put(&ask->queries, &(struct index_query){
		    .field = field_of(key), .fuzzy = key->fuzzy,
		    .text = text_span(&folded) });
		ask->keys[ask->count++] = key;
	}
	text_free(&folded);
}

static void
gather(struct ask *ask, struct imap_search_key *key)
{
	for (; key != NULL; key = key->next) {
		if (is_text(key))
			add_query(ask, key);
		gather(ask, key->list);
	}
}

/* Does what the index is sure of need no second look? */
static bool
is_exact(const struct imap_find *f, const struct imap_search_key *key)
{
	return key->fuzzy || (f->collation == IMAP_UNICODE_CASEMAP &&
	    field_of(key) != INDEX_HEADER);
}

static bool
take_answers(const struct imap_find *f, struct ask *ask,
    const struct index_search_reply *reply, struct arena *arena)
{
	struct imap_hint *hints = arena_alloc(arena,
	    MAX(ask->count, 1) * sizeof(*hints));
	struct cursor at = { .rest = reply->answers.bytes };
	struct imap_hint_list known;
	struct index_answer answer;

	if (hints == NULL || imap_hint_list(reply->known.bytes, arena,
	    &known) != 1)
		return false;
	for (size_t i = 0; i < ask->count; i++) {
		if (index_answer_get(&at, &answer) != 1 ||
		    imap_hint_make(&answer, is_exact(f, ask->keys[i]), arena,
		    &hints[i]) != 1)
			return false;
		hints[i].known = known;
	}
	for (size_t i = 0; i < ask->count; i++)
		ask->keys[i]->hint = &hints[i];
	return true;
}

void
imap_find_hints(struct imap_find *f, struct arena *arena)
{
	struct index_search_request request = { .grant = f->t->s->grant,
	    .mailbox = f->box->id };
	struct index_search_reply reply;
	struct ask *ask;

	if (!imap_settings()->index_enabled || imap_index() == NULL ||
	    !link_up(imap_index()) ||
	    (imap_search_needs(f->root) & (IMAP_NEED_HEADER |
	    IMAP_NEED_BYTES)) == 0 ||
	    (imap_view_count(&f->box->view) < WORTH_IT && !f->fuzzy) ||
	    (ask = arena_zalloc(arena, sizeof(*ask))) == NULL)
		return;
	ask->queries = TEXT_INIT(0);
	gather(ask, f->root);
	request.queries = BLOB_OF(text_span(&ask->queries));
	if (ask->count > 0 && call_index_search(imap_index(), f->t->arena,
	    &request, &reply) == 1) {
		if (reply.result == RESULT_OK)
			(void)!take_answers(f, ask, &reply, arena);
		blob_release(&reply.known);
		blob_release(&reply.answers);
	}
	text_free(&ask->queries);
}

/* -- scores ---- */

static void
add_scores(const struct imap_search_key *key, uint32_t uid, unsigned *sum,
    unsigned *n)
{
	for (; key != NULL; key = key->next) {
		if (key->fuzzy && is_text(key)) {
			unsigned score = key->hint == NULL ? 0
			    : imap_hint_score(key->hint, uid);

			*sum += score > 0 ? MIN(score, 100) : FOUND_BY_LOOKING;
			(*n)++;
		}
		add_scores(key->list, uid, sum, n);
	}
}

unsigned
imap_find_score(const struct imap_search_key *root, uint32_t uid)
{
	unsigned sum = 0, n = 0;

	add_scores(root, uid, &sum, &n);
	return n == 0 ? FOUND_BY_LOOKING : MAX(sum / n, 1);
}
