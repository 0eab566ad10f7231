/*
 * imap_search_say.c - what was found, told: SEARCH, SORT and ESEARCH.
 *
 * RFC 3501 7.2.5, 4731, 5182, 5267, 6203, 7162 3.1.10, 7377, 9394.
 */
#include "imap/imap_searches.h"

#include <stdlib.h>

#include "imap/imap_model.h"

static uint32_t
number_of(const struct imap_said *said, size_t i)
{
	uint32_t index = said->found->indexes[i];

	return said->by_uid ? imap_view_uid(&said->found->box->view, index)
	    : index + 1;
}

size_t
imap_partial_of(const struct imap_partial *p, size_t count, size_t *from)
{
	size_t first = MIN((size_t)p->first - 1, count);
	size_t last = MIN((size_t)p->last, count);

	*from = p->back ? count - last : first;
	return last - first;
}

/*
 * The parts of the result that MIN, MAX and PARTIAL name; ALL, COUNT or none
 * of them means the whole. What SAVE keeps and what MODSEQ speaks of.
 */
struct part { size_t from, count; };
static size_t
parts_of(const struct imap_said *said, struct part parts[3])
{
	unsigned returns = said->wish->returns;
	size_t n = 0, count = said->found->count;

	if (count == 0)
		return 0;
	if ((returns & (IMAP_RETURN_ALL | IMAP_RETURN_COUNT)) != 0 ||
	    (returns & (IMAP_RETURN_MIN | IMAP_RETURN_MAX |
	    IMAP_RETURN_PARTIAL)) == 0) {
		parts[0] = (struct part){ 0, count };
		return 1;
	}
	if ((returns & IMAP_RETURN_MIN) != 0)
		parts[n++] = (struct part){ 0, 1 };
	if ((returns & IMAP_RETURN_MAX) != 0)
		parts[n++] = (struct part){ count - 1, 1 };
	if ((returns & IMAP_RETURN_PARTIAL) != 0) {
		parts[n].count = imap_partial_of(&said->wish->partial, count,
		    &parts[n].from);
		n++;
	}
	return n;
}

static uint64_t
modseq_of(const struct imap_said *said)
{
	const struct imap_find *f = said->found;
	struct part parts[3];
	uint64_t modseq = 0;

	for (size_t n = parts_of(said, parts); n > 0; n--)
		for (size_t i = 0; i < parts[n - 1].count; i++) {
			const struct message_row *row = imap_view_row(
			    &f->box->view, f->indexes[parts[n - 1].from + i]);

			if (row != NULL)
				modseq = MAX(modseq, imap_row_modseq(row));
		}
	return modseq;
}

/* -- SAVE ---- */

static int
compare(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void
imap_save_found(struct imap_task *t, const struct imap_said *said)
{
	const struct imap_find *f = said->found;
	struct part parts[3];
	size_t n = parts_of(said, parts), count = 0, to = 0;
	uint32_t *uids;

	for (size_t i = 0; i < n; i++)
		count += parts[i].count;
	uids = xcalloc(MAX(count, 1), sizeof(*uids));
	count = 0;
	for (; n > 0; n--)
		for (size_t i = 0; i < parts[n - 1].count; i++)
			uids[count++] = imap_view_uid(&f->box->view,
			    f->indexes[parts[n - 1].from + i]);
	qsort(uids, count, sizeof(*uids), compare);
	for (size_t i = 0; i < count; i++)
		if (to == 0 || uids[to - 1] != uids[i])
			uids[to++] = uids[i];
	imap_searches_save(t->s, uids, to);
	free(uids);
}

/* -- lines ---- */

/* The numbers [from, from + count) as a set, in their order. */
static void
say_set(struct imap_task *t, const struct imap_said *said, size_t from,
    size_t count, struct text *line)
{
	struct imap_ranges ranges = { .any = false };

	imap_say(t->s, line, true);
	for (size_t i = from; i < from + count; i++) {
		imap_ranges_add(&ranges, number_of(said, i));
		imap_say(t->s, &ranges.text, false);
	}
	imap_ranges_end(&ranges);
	imap_say(t->s, &ranges.text, true);
	text_free(&ranges.text);
}

/* RFC 6203 4: a score for each result, in the order of these. */
static void
say_relevancy(struct imap_task *t, const struct imap_said *said,
    struct text *line)
{
	size_t from = 0, count = said->found->count;

	if ((said->wish->returns & IMAP_RETURN_PARTIAL) != 0)
		count = imap_partial_of(&said->wish->partial, count, &from);
	else if ((said->wish->returns & IMAP_RETURN_ALL) == 0)
		return;
	if (count == 0)
		return;
	text_str(line, " RELEVANCY (");
	for (size_t i = from; i < from + count; i++) {
		if (i > from)
			text_char(line, ' ');
		text_u64(line, said->found->scores == NULL ? 1
		    : said->found->scores[i]);
		imap_say(t->s, line, false);
	}
	text_char(line, ')');
}

static void
say_partial(struct imap_task *t, const struct imap_said *said,
    struct text *line)
{
	const struct imap_partial *p = &said->wish->partial;
	const char *sign = p->back ? "-" : "";
	size_t from, count = imap_partial_of(p, said->found->count, &from);

	text_printf(line, " PARTIAL (%s%u:%s%u ", sign, p->first, sign,
	    p->last);
	if (count == 0)
		text_str(line, "NIL");
	else
		say_set(t, said, from, count, line);
	text_char(line, ')');
}

static void
say_esearch(struct imap_task *t, const struct imap_said *said)
{
	const struct imap_find *f = said->found;
	unsigned returns = said->wish->returns;
	struct text line = TEXT_INIT(0);

	text_str(&line, "* ESEARCH (TAG \"");
	text_add(&line, t->tag);
	text_char(&line, '"');
	if (said->mailbox.p != NULL) {
		text_str(&line, " MAILBOX ");
		text_add(&line, said->mailbox);
		text_printf(&line, " UIDVALIDITY %u",
		    f->box->view.model->uidvalidity);
	}
	text_str(&line, said->by_uid ? ") UID" : ")");
	if ((returns & IMAP_RETURN_MIN) != 0 && f->count > 0)
		text_printf(&line, " MIN %u", number_of(said, 0));
	if ((returns & IMAP_RETURN_MAX) != 0 && f->count > 0)
		text_printf(&line, " MAX %u", number_of(said, f->count - 1));
	if ((returns & IMAP_RETURN_COUNT) != 0)
		text_printf(&line, " COUNT %zu", f->count);
	if ((returns & IMAP_RETURN_ALL) != 0 && f->count > 0) {
		text_str(&line, " ALL ");
		say_set(t, said, 0, f->count, &line);
	}
	if ((returns & IMAP_RETURN_PARTIAL) != 0)
		say_partial(t, said, &line);
	if ((returns & IMAP_RETURN_RELEVANCY) != 0)
		say_relevancy(t, said, &line);
	if (said->wish->has_modseq && f->count > 0)
		text_printf(&line, " MODSEQ %" PRIu64, modseq_of(said));
	text_str(&line, "\r\n");
	imap_say(t->s, &line, true);
	text_free(&line);
}

static void
say_numbers(struct imap_task *t, const struct imap_said *said)
{
	const struct imap_find *f = said->found;
	struct text line = TEXT_INIT(0);

	text_str(&line, said->sorted ? "* SORT" : "* SEARCH");
	for (size_t i = 0; i < f->count; i++) {
		text_char(&line, ' ');
		text_u64(&line, number_of(said, i));
		imap_say(t->s, &line, false);
	}
	if (said->wish->has_modseq && f->count > 0)
		text_printf(&line, " (MODSEQ %" PRIu64 ")", modseq_of(said));
	text_str(&line, "\r\n");
	imap_say(t->s, &line, true);
	text_free(&line);
}

void
imap_say_found(struct imap_task *t, const struct imap_said *said)
{
	if (said->wish->returns == 0)
		say_numbers(t, said);
	else if (said->wish->returns != IMAP_RETURN_SAVE)
		say_esearch(t, said);
}
