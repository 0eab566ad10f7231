/*
 * imap_language.c - LANGUAGE (RFC 5255): in which language people are
 * answered.
 *
 * Response codes, flags and names are for programs and stay as they are. A
 * text that has no translation is said in English; i-default is English, too.
 */
#include "imap/imap_command.h"

/* The index is the session's `language`; the first is what it begins with. */
static const char *const languages[] = { "i-default", "en", "de" };

static const struct {
	const char *english, *german;
} words[] = {
#define WORDS(english, german) { english, german },
#include "imap/imap_words.def"
#undef WORDS
};

const char *
imap_words(const struct imap_session *s, const char *english)
{
	if (strcmp(languages[s->language], "de") != 0)
		return english;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(words[i].english, english) == 0)
			return words[i].german;
	return english;
}

/*
 * RFC 4647 3.4: the range itself, then without what stands behind its last
 * hyphen. SIZE_MAX: not spoken here.
 */
static size_t
look_up(struct span range)
{
	if (span_is_nocase(range, "default"))
		return 0;
	for (;;) {
		for (size_t i = 0; i < ARRAY_LEN(languages); i++)
			if (span_is_nocase(range, languages[i]))
				return i;
		while (range.n > 0 && range.p[range.n - 1] != '-')
			range.n--;
		if (range.n == 0)
			return SIZE_MAX;
		range.n--;
	}
}

static struct imap_reply
list(struct imap_task *t)
{
	stream_str(t->s->stream, "* LANGUAGE (");
	for (size_t i = ARRAY_LEN(languages); i-- > 0; ) {
		stream_str(t->s->stream, languages[i]);
		stream_str(t->s->stream, i > 0 ? " " : ")\r\n");
	}
	return imap_ok("Languages listed");
}

/* The first of those asked for that we speak; SIZE_MAX: none of them. */
static bool
take_ranges(struct imap_parser *in, size_t *language)
{
	struct span range;

	*language = SIZE_MAX;
	do {
		if (!imap_parse_space(in) || !imap_parse_astring(in, &range))
			return false;
		if (*language == SIZE_MAX)
			*language = look_up(range);
	} while (imap_parse_peek(in) == ' ');
	return imap_parse_end(in);
}

struct imap_reply
imap_language(struct imap_task *t)
{
	struct imap_session *s = t->s;
	size_t language;

	if (imap_parse_peek(&t->in) != ' ')
		return imap_parse_end(&t->in) ? list(t) : imap_bad_syntax(t);
	if (!take_ranges(&t->in, &language))
		return imap_bad_syntax(t);
	if (language == SIZE_MAX)
		return imap_no(NULL, "No such language here");
	s->language = (uint8_t)language;
	stream_printf(s->stream, "* LANGUAGE (%s)\r\n", languages[language]);
	/* RFC 5255 3.4: what the namespaces are called now. */
	if (s->state != IMAP_GREETED)
		(void)imap_namespace(t);
	return imap_ok("The language is set");
}
