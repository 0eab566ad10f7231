/*
 * imap_searches.c - what a session remembers of its searches.
 */
#include "imap/imap_searches.h"

#include <stdlib.h>

#include "imap/imap_command.h"

struct imap_searches *
imap_searches(struct imap_session *s)
{
	if (s->searches == NULL)
		s->searches = xcalloc(1, sizeof(*s->searches));
	return s->searches;
}

enum imap_collation
imap_collation(const struct imap_session *s)
{
	return s->searches != NULL ? s->searches->collation
	    : IMAP_UNICODE_CASEMAP;
}

void
imap_searches_close(struct imap_session *s)
{
	if (s->searches == NULL)
		return;
	imap_contexts_free(s->searches);
	free(s->searches->saved);
	s->searches->saved = NULL;
	s->searches->saved_count = 0;
}

void
imap_searches_free(struct imap_session *s)
{
	imap_searches_close(s);
	free(s->searches);
	s->searches = NULL;
}

struct imap_set
imap_searches_saved(const struct imap_session *s)
{
	if (s->searches == NULL)
		return (struct imap_set){ .settled = true };
	return (struct imap_set){ .ranges = s->searches->saved,
	    .count = s->searches->saved_count, .settled = true };
}

void
imap_searches_save(struct imap_session *s, const uint32_t *uids, size_t count)
{
	struct imap_searches *all;
	struct imap_range *ranges;
	size_t n = 0;

	if (count == 0 && s->searches == NULL)
		return;
	all = imap_searches(s);
	ranges = xcalloc(MAX(count, 1), sizeof(*ranges));
	for (size_t i = 0; i < count; i++) {
		if (n > 0 && uids[i] == ranges[n - 1].last + 1)
			ranges[n - 1].last = uids[i];
		else
			ranges[n++] = (struct imap_range){ uids[i], uids[i] };
	}
	free(all->saved);
	all->saved = xrealloc(ranges, MAX(n, 1) * sizeof(*ranges));
	all->saved_count = n;
}

/* -- COMPARATOR (RFC 5255 4.7) ---- */

static void
add_quoted(struct text *out, enum imap_collation c)
{
	text_char(out, '"');
	text_str(out, imap_collation_name(c));
	text_char(out, '"');
}

/* The one in force; and all that fitted, when there was a choice. */
static void
say_comparator(struct imap_task *t, unsigned fitting)
{
	struct text line = TEXT_INIT(0);

	text_str(&line, "* COMPARATOR ");
	add_quoted(&line, imap_collation(t->s));
	if ((fitting & (fitting - 1)) != 0) {
		text_str(&line, " (");
		for (unsigned c = 0; c < IMAP_COLLATIONS; c++) {
			if ((fitting & 1U << c) == 0)
				continue;
			if (line.p[line.n - 1] != '(')
				text_char(&line, ' ');
			add_quoted(&line, (enum imap_collation)c);
		}
		text_char(&line, ')');
	}
	text_str(&line, "\r\n");
	stream_write(t->s->stream, text_span(&line));
	text_free(&line);
}

struct imap_reply
imap_comparator(struct imap_task *t)
{
	enum imap_collation chosen = IMAP_COLLATIONS;
	unsigned fitting = 0;
	struct span wanted;

	if (imap_parse_end(&t->in)) {
		say_comparator(t, 0);
		return imap_ok("The comparator in force");
	}
	do {
		if (!imap_parse_space(&t->in) ||
		    !imap_parse_astring(&t->in, &wanted))
			return imap_bad_syntax(t);
		for (unsigned c = 0; c < IMAP_COLLATIONS; c++) {
			if (!imap_collation_fits((enum imap_collation)c,
			    wanted))
				continue;
			fitting |= 1U << c;
			if (chosen == IMAP_COLLATIONS)
				chosen = (enum imap_collation)c;
		}
	} while (imap_parse_peek(&t->in) == ' ');
	if (!imap_parse_end(&t->in))
		return imap_bad_syntax(t);
	if (chosen == IMAP_COLLATIONS)
		return imap_no("BADCOMPARATOR", "No such comparator");
	imap_searches(t->s)->collation = chosen;
	say_comparator(t, fitting);
	return imap_ok("Comparator chosen");
}
