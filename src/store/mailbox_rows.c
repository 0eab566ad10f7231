/*
 * mailbox_rows.c - which mailboxes an account sees, its own and others'.
 *
 * What is shared with it is found in the index (shares.h), and shown when it
 * may be looked up (RFC 4314 section 4).
 */
#include "store/mailboxes.h"
#include "store/shares.h"
#include "store/verbs.h"

#include <stdlib.h>

enum { ROWS_MEMORY = 16 << 20 };

struct rows {
	struct mailboxes *m;
	uint64_t account;
	struct arena *arena;		/* names that are made here */
	struct mailbox_row *at;
	size_t n, room;
};

const struct listed *
names_above(const struct names *names, struct span name)
{
	for (size_t i = name.n; i-- > 1;) {
		const struct listed *above = name.p[i] != '/' ? NULL
		    : names_find(names, span_sub(name, 0, i));

		if (above != NULL)
			return above;
	}
	return NULL;
}

static void
add(struct rows *rows, const struct mailbox_row *row)
{
	if (rows->n == rows->room) {
		rows->room = rows->room * 2 + 16;
		rows->at = xrealloc(rows->at,
		    rows->room * sizeof(*rows->at));
	}
	rows->at[rows->n++] = *row;
}

/* ---- what others share ----------------------------------------------- */

static enum result
add_shared(struct rows *rows, const struct names *names,
    const struct name_place *place, uint64_t mailbox)
{
	const struct listed *listed = names_find_id(names, mailbox);
	struct mailbox_row row = { .mailbox = mailbox,
	    .place = place->kind };

	if (listed == NULL)
		return RESULT_OK;
	row.rights = access_rights(rows->m, rows->account, names, listed);
	row.uidvalidity = listed->uidvalidity;
	if ((row.rights & RIGHT_LOOKUP) == 0 ||
	    place->prefix.n + listed->name.n > MAILBOX_NAME_MAX)
		return RESULT_OK;
	row.name = arena_printf(rows->arena, "%.*s%.*s",
	    SPAN_ARG(place->prefix), SPAN_ARG(listed->name));
	if (row.name.p == NULL)
		return RESULT_LIMIT;
	add(rows, &row);
	return RESULT_OK;
}

/* What one owner shares: the first of `shares`, *n of them. */
static enum result
add_of_owner(struct rows *rows, const struct share *shares, size_t n)
{
	struct names *names;
	struct name_place place;
	enum result result = place_of_owner(rows->m, rows->account,
	    shares->owner, rows->arena, &place);

	if (result != RESULT_OK || place.kind == PLACE_OWN)
		return result == RESULT_TEMPORARY ? result : RESULT_OK;
	result = names_enter(rows->m, shares->owner, &names);
	if (result != RESULT_OK)
		return result;
	for (size_t i = 0; i < n && result == RESULT_OK; i++)
		result = add_shared(rows, names, &place, shares[i].mailbox);
	names_leave(&names);
	return result;
}

static int
by_name(const void *a, const void *b)
{
	const struct mailbox_row *x = a, *y = b;

	return names_compare(x->name, y->name);
}

static enum result
add_others(struct rows *rows)
{
	struct share *shares;
	enum result result = RESULT_OK;
	size_t n, same;

	if (shares_of(rows->m->store, rows->account, &shares, &n) != 1)
		return RESULT_TEMPORARY;
	for (size_t i = 0; i < n && result == RESULT_OK; i += same) {
		for (same = 1; i + same < n &&
		    shares[i + same].owner == shares[i].owner;)
			same++;
		result = add_of_owner(rows, &shares[i], same);
	}
	free(shares);
	if (rows->n > 0)
		qsort(rows->at, rows->n, sizeof(*rows->at), by_name);
	return result;
}

/* ---- all of them, in order ------------------------------------------- */

static struct mailbox_row
row_of(struct mailboxes *m, const struct names *names,
    const struct listed *listed)
{
	return (struct mailbox_row){
		.mailbox = listed->mailbox, .name = listed->name,
		.use = listed->use, .uidvalidity = listed->uidvalidity,
		.place = PLACE_OWN, .rights = access_rights(m,
		    names_account(names), names, listed),
	};
}

/*
 * The next of three ordered lists: own names, those of others, and what is
 * subscribed to, there or not. Own ones come first where names are the same.
 */
struct merge {
	const struct rows *others;
	const struct names *names;
	size_t own, other, subscribed;
};

static bool
next_row(struct merge *g, struct mailbox_row *row)
{
	const struct names *names = g->names;
	bool any = true;

	if (g->own < names->n && (g->other == g->others->n ||
	    names_compare(names->at[g->own].name,
	    g->others->at[g->other].name) <= 0))
		*row = row_of(g->others->m, names, &names->at[g->own]);
	else if (g->other < g->others->n)
		*row = g->others->at[g->other];
	else
		any = false;
	if (g->subscribed < names->subscribed_n) {
		struct span name = names->subscribed[g->subscribed].name;
		int order = any ? names_compare(name, row->name) : -1;

		if (order < 0)
			*row = (struct mailbox_row){ .name = name };
		row->subscribed = order <= 0;
		g->subscribed += order <= 0;
		any = true;
	}
	if (row->mailbox != 0 && row->place == PLACE_OWN)
		g->own++;
	else if (row->mailbox != 0)
		g->other++;
	return any;
}

static enum result
put_rows(struct rows *rows, struct text *out)
{
	struct merge merge = { .others = rows };
	struct mailbox_row row = { 0 };
	struct names *names;
	enum result result = names_enter(rows->m, rows->account, &names);

	if (result != RESULT_OK)
		return result;
	merge.names = names;
	while (next_row(&merge, &row))
		mailbox_row_put(out, &row);
	names_answer(&names, &result);
	return result;
}

void
verb_mailbox_list(void *arg, const struct caller *caller,
    struct arena *arena, const struct mailbox_list_request *req,
    struct mailbox_list_reply *reply)
{
	struct store *store = arg;
	struct rows rows = { .m = store->mailboxes };
	struct text out = TEXT_INIT(0);

	(void)caller;
	rows.arena = arena_new(ROWS_MEMORY);
	reply->result = grant_account(store, &req->grant, &rows.account);
	if (reply->result == RESULT_OK)
		reply->result = add_others(&rows);
	if (reply->result == RESULT_OK)
		reply->result = put_rows(&rows, &out);
	if (reply->result == RESULT_OK) {
		reply->rows = BLOB_OF(arena_dup(arena, text_span(&out)));
		if (reply->rows.bytes.p == NULL)
			reply->result = RESULT_TEMPORARY;
	}
	free(rows.at);
	arena_free(&rows.arena);
	text_free(&out);
}

/* ---- one of them ----------------------------------------------------- */

void
verb_mailbox_find(void *arg, const struct caller *caller,
    struct arena *arena, const struct mailbox_find_request *req,
    struct mailbox_find_reply *reply)
{
	struct store *store = arg;
	struct mailboxes *m = store->mailboxes;
	const struct listed *listed = NULL;
	struct names *names = NULL;
	struct name_place place;
	uint64_t account;

	(void)caller;
	reply->result = grant_account(store, &req->grant, &account);
	if (reply->result == RESULT_OK)
		reply->result = place_named(m, account, req->name, arena,
		    &place);
	if (reply->result == RESULT_OK)
		reply->result = names_enter(m, place.owner, &names);
	if (reply->result != RESULT_OK)
		return;
	listed = names_find(names, place.name);
	if (listed != NULL)
		reply->rights = access_rights(m, account, names, listed);
	if (listed == NULL || reply->rights == 0) {
		reply->result = RESULT_NOT_FOUND;
	} else {
		reply->mailbox = listed->mailbox;
		reply->use = place.kind == PLACE_OWN ? listed->use : 0;
		reply->uidvalidity = listed->uidvalidity;
		reply->place = place.kind;
	}
	names_answer(&names, &reply->result);
}
