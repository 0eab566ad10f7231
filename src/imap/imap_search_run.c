/*
 * imap_search_run.c - SEARCH, SORT and THREAD, by number and by UID.
 */
#include "imap/imap_command.h"

#include <stdlib.h>

#include "base/map.h"
#include "imap/imap_facts.h"
#include "imap/imap_searches.h"
#include "imap/imap_thread.h"

/* A search that was to be saved and fails leaves nothing saved (RFC 5182
 * 2.1); a wrong command changes nothing. */
static struct imap_reply
failed(struct imap_task *t, const struct imap_search_command *wish,
    struct imap_reply why)
{
	if ((wish->returns & IMAP_RETURN_SAVE) != 0 && why.status == IMAP_NO)
		imap_searches_save(t->s, NULL, 0);
	return why;
}

/* Is it enough to find some? From the front, or from the end. */
static void
set_bounds(struct imap_find *f, const struct imap_search_command *wish)
{
	unsigned returns = wish->returns & ~(unsigned)(IMAP_RETURN_SAVE |
	    IMAP_RETURN_CONTEXT | IMAP_RETURN_RELEVANCY);
	bool partial = (returns & IMAP_RETURN_PARTIAL) != 0;
	unsigned way = partial && wish->partial.back ? IMAP_RETURN_MAX
	    : IMAP_RETURN_MIN;

	if (returns == 0 || wish->sort_count > 0)
		return;
	if (!partial && (returns & IMAP_RETURN_MIN) == 0)
		way = IMAP_RETURN_MAX;
	if ((returns & ~(way | IMAP_RETURN_PARTIAL)) != 0)
		return;
	f->back = way == IMAP_RETURN_MAX;
	f->enough = partial ? wish->partial.last : 1;
}

/* RFC 5267 4.3: afterwards, changes are told. */
static void
follow(struct imap_task *t, const struct imap_said *said, struct span args)
{
	if ((said->wish->returns & IMAP_RETURN_UPDATE) == 0 ||
	    imap_context_add(t, said, args))
		return;
	stream_str(t->s->stream, "* NO [NOUPDATE \"");
	stream_write(t->s->stream, t->tag);
	stream_str(t->s->stream, "\"] Too many searches are followed\r\n");
}

static bool
by_uid(const struct imap_task *t)
{
	return (t->command->how & IMAP_BY_UID) != 0;
}

/* RFC 6855 3: with UTF8=ACCEPT SEARCH names none; SORT and THREAD must. */
static bool
charset_fits(const struct imap_task *t, const struct imap_search_command *wish)
{
	return !imap_has(t->s, IMAP_UTF8) || wish->charset.n == 0 ||
	    (t->command->run != imap_search &&
	    span_is_nocase(wish->charset, "UTF-8"));
}

static bool
prepare(struct imap_task *t, struct imap_search_command *wish,
    struct imap_reply *why)
{
	if (!charset_fits(t, wish)) {
		*why = imap_bad("Strings are in UTF-8 now");
		return false;
	}
	if ((wish->returns & IMAP_RETURN_UPDATE) != 0 &&
	    imap_context_known(t->s, t->tag)) {
		*why = imap_bad("A search of that tag is followed already");
		return false;
	}
	if (wish->has_modseq)
		imap_turn_on(t->s, IMAP_CONDSTORE);
	return imap_find_prepare(t, wish, imap_collation(t->s), why);
}

static struct imap_reply
find_and_say(struct imap_task *t, struct imap_search_command *wish,
    struct span args)
{
	struct imap_find f = { .t = t, .box = t->s->box, .root = wish->root,
	    .collation = imap_collation(t->s), .fuzzy = wish->has_fuzzy };
	struct imap_said said = { .found = &f, .wish = wish,
	    .by_uid = by_uid(t), .sorted = wish->sort_count > 0 };
	int status;

	set_bounds(&f, wish);
	status = imap_find(&f);
	if (status == 1)
		status = imap_order(&f, wish);
	if (status == 1) {
		if ((wish->returns & IMAP_RETURN_SAVE) != 0)
			imap_save_found(t, &said);
		imap_say_found(t, &said);
		follow(t, &said, args);
	}
	imap_find_end(&f);
	return status == 1 ? imap_ok(said.sorted ? "Sorted" : "Searched")
	    : failed(t, wish, imap_unavailable());
}

/* RFC 9051 6.4.4: ESEARCH is the answer there always is. */
static void
settle_answer(const struct imap_task *t, struct imap_search_command *wish)
{
	if (wish->returns == 0 && imap_has(t->s, IMAP_REV2))
		wish->returns = IMAP_RETURN_ALL;
}

struct imap_reply
imap_search(struct imap_task *t)
{
	struct span args = t->in.rest;
	struct imap_search_command wish;
	struct imap_reply why;

	if (!imap_parse_search(&t->in, &wish))
		return imap_bad_syntax(t);
	if (wish.has_numbers && imap_has(t->s, IMAP_UIDONLY))
		return imap_uid_required();
	settle_answer(t, &wish);
	if (!prepare(t, &wish, &why))
		return failed(t, &wish, why);
	return find_and_say(t, &wish, args);
}

struct imap_reply
imap_sort(struct imap_task *t)
{
	struct span args = t->in.rest;
	struct imap_search_command wish;
	struct imap_reply why;

	if (!imap_parse_sort(&t->in, &wish))
		return imap_bad_syntax(t);
	if (wish.has_numbers && imap_has(t->s, IMAP_UIDONLY))
		return imap_uid_required();
	if (!prepare(t, &wish, &why))
		return failed(t, &wish, why);
	return find_and_say(t, &wish, args);
}

/* -- THREAD ---- */

/* What is known of the messages found; both ascend by uid. */
static struct imap_thread_message *
describe(const struct imap_find *f, const struct imap_facts *facts,
    bool links, bool uids, size_t *count)
{
	struct imap_thread_message *all = xcalloc(f->count + 1, sizeof(*all));
	size_t at = 0, n = 0;

	for (size_t i = 0; i < f->count; i++) {
		uint32_t index = f->indexes[i];
		const struct message_row *row = imap_view_row(&f->box->view,
		    index);

		while (row != NULL && at < facts->count &&
		    facts->uids[at] < row->uid)
			at++;
		if (row == NULL || at == facts->count ||
		    facts->uids[at] != row->uid)
			continue;	/* gone meanwhile */
		all[n++] = (struct imap_thread_message){
			.number = uids ? row->uid : index + 1,
			.subject = facts->subjects[at],
			.is_reply = facts->replies[at] != 0,
			.sent = facts->sent[at],
			.arrived = row->internal_date,
			.id = links ? facts->ids[at] : 0,
			.links_at = links ? facts->links_at[at] : 0,
			.links = links ? (uint32_t)(facts->links_at[at + 1] -
			    facts->links_at[at]) : 0,
		};
	}
	*count = n;
	return all;
}

static int
build(struct imap_find *f, enum imap_thread_kind kind, bool uids,
    struct imap_thread **out)
{
	bool links = kind != IMAP_THREAD_ORDERED_SUBJECT;
	struct imap_thread_message *messages;
	struct imap_facts *facts;
	size_t count;

	if (imap_facts_take(f->t, f->box, f->collation, IMAP_FACTS_SENT |
	    IMAP_FACTS_SUBJECT | (links ? IMAP_FACTS_LINKS : 0), &facts) != 1)
		return -1;
	messages = describe(f, facts, links, uids, &count);
	*out = imap_thread_build(kind, messages, count, facts->links,
	    map_hash(SPAN("threads")));
	free(messages);
	imap_facts_give(&facts);
	return 1;
}

static void
say_threads(struct imap_task *t, struct imap_thread *threads)
{
	enum { ENOUGH = 8 << 10 };
	struct text line = TEXT_INIT(0);
	size_t begin;
	bool more;

	text_str(&line, "* THREAD ");
	begin = line.n;
	do {
		more = imap_thread_write(threads, &line, ENOUGH);
		if (!more && line.n == begin)
			line.n--;	/* none: no space either */
		begin = 0;
		if (!more)
			text_str(&line, "\r\n");
		imap_say(t->s, &line, true);
	} while (more);
	text_free(&line);
}

struct imap_reply
imap_thread(struct imap_task *t)
{
	struct imap_find f = { .t = t, .box = t->s->box,
	    .collation = imap_collation(t->s) };
	struct imap_search_command wish;
	struct imap_thread *threads = NULL;
	struct imap_reply why;
	int status;

	if (!imap_parse_thread(&t->in, &wish))
		return imap_bad_syntax(t);
	if (wish.has_numbers && imap_has(t->s, IMAP_UIDONLY))
		return imap_uid_required();
	if (!prepare(t, &wish, &why))
		return why;
	f.root = wish.root;
	status = imap_find(&f);
	if (status == 1)
		status = build(&f, wish.thread, by_uid(t), &threads);
	if (status == 1)
		say_threads(t, threads);
	imap_thread_free(&threads);
	imap_find_end(&f);
	return status == 1 ? imap_ok("Threaded") : imap_unavailable();
}
