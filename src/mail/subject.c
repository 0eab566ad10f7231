/*
 * subject.c - the base subject, step by step as RFC 5256 2.1 has it.
 */
#include "mail/subject.h"
#include "mail/lex.h"
#include "mail/words.h"

/* What is longer is a text, not a subject; it is cut before the work. */
enum { RAW_MAX = 4096 };

/* (1) Decoded, white space made one blank. */
static void
normalize(struct span raw, struct text *out)
{
	struct text decoded = TEXT_INIT(0);
	struct span s;
	size_t i;

	words_decode(span_sub(raw, 0, RAW_MAX), &decoded);
	s = text_span(&decoded);
	for (i = 0; i < s.n; i++) {
		if (!lex_is_blank(s.p[i]))
			text_char(out, s.p[i]);
		else if (out->n > 0 && out->p[out->n - 1] != ' ')
			text_char(out, ' ');
	}
	text_free(&decoded);
}

/* (2) *( "(fwd)" / WSP ) at the end. */
static struct span
without_trailer(struct span s, bool *reply)
{
	struct span fwd = SPAN("(fwd)");

	for (;;) {
		s = span_trim(s);
		if (s.n < fwd.n ||
		    !span_eq_nocase(span_from(s, s.n - fwd.n), fwd))
			return s;
		s.n -= fwd.n;
		*reply = true;
	}
}

/* subj-blob: "[...]" and blanks. Behind it, or `at`. */
static size_t
behind_blob(struct span s, size_t at)
{
	size_t i;

	if (at >= s.n || s.p[at] != '[')
		return at;
	for (i = at + 1; i < s.n && s.p[i] != ']'; i++) {
		if (s.p[i] == '[')
			return at;
	}
	return i == s.n ? at : lex_blanks(s, i + 1);
}

/* subj-refwd: ("re" / "fw" / "fwd") *WSP [subj-blob] ":". Behind it, or at */
static size_t
behind_refwd(struct span s, size_t at)
{
	static const char *const marks[] = { "re", "fwd", "fw" };
	size_t i, j;

	for (i = 0; i < ARRAY_LEN(marks); i++) {
		if (!span_starts_nocase(span_from(s, at),
		    span_str(marks[i])))
			continue;
		j = lex_blanks(s, at + strlen(marks[i]));
		j = behind_blob(s, j);
		if (j < s.n && s.p[j] == ':')
			return j + 1;
	}
	return at;
}

/* (3) *subj-blob subj-refwd. */
static struct span
without_leader(struct span s, bool *reply)
{
	size_t at = 0, next;

	while ((next = behind_blob(s, at)) != at)
		at = next;
	next = behind_refwd(s, at);
	if (next == at)
		return s;
	*reply = true;
	return span_trim(span_from(s, next));
}

/* (4) A blob in front goes, unless nothing were left. */
static struct span
without_blob(struct span s)
{
	size_t at = behind_blob(s, 0);

	return at == s.n ? s : span_from(s, at);
}

/* (5) Again until nothing changes. */
static struct span
without_prefixes(struct span s, bool *reply)
{
	size_t before;

	do {
		before = s.n;
		s = without_blob(without_leader(s, reply));
	} while (s.n != before);
	return s;
}

void
subject_base(struct span raw, struct text *out, bool *is_reply)
{
	struct text whole = TEXT_INIT(0);
	struct span s, fwd = SPAN("[fwd:");
	bool reply = false;

	normalize(raw, &whole);
	s = text_span(&whole);
	for (;;) {
		s = without_prefixes(without_trailer(s, &reply), &reply);
		/* (6) "[fwd: ... ]" around it all. */
		if (!span_starts_nocase(s, fwd) || !span_ends(s, SPAN("]")))
			break;
		s = span_sub(s, fwd.n, s.n - fwd.n - 1);
		reply = true;
	}
	text_add(out, s);
	if (is_reply != NULL)
		*is_reply = reply;
	text_free(&whole);
}
