/*
 * pop3_command.c - which POP3 commands exist, and when each may be spoken.
 */
#include "pop3/pop3_command.h"

enum shape {
	NOTHING,		/* no argument */
	TEXT,			/* one that may hold anything: the rest */
	WORD,			/* at most one word */
	MECHANISM,		/* none, or a word and perhaps another */
	MESSAGE,		/* a message number */
	MAY_MESSAGE,		/* a message number, or nothing */
	MESSAGE_AND_LINES,
};

static const struct {
	const char *name;
	enum pop3_verb verb;
	unsigned states;
	enum shape shape;
} commands[] = {
	{ "RETR", POP3_RETR, POP3_TRANSACTION, MESSAGE },
	{ "DELE", POP3_DELE, POP3_TRANSACTION, MESSAGE },
	{ "LIST", POP3_LIST, POP3_TRANSACTION, MAY_MESSAGE },
	{ "UIDL", POP3_UIDL, POP3_TRANSACTION, MAY_MESSAGE },
	{ "TOP",  POP3_TOP,  POP3_TRANSACTION, MESSAGE_AND_LINES },
	{ "STAT", POP3_STAT, POP3_TRANSACTION, NOTHING },
	{ "NOOP", POP3_NOOP, POP3_TRANSACTION, NOTHING },
	{ "RSET", POP3_RSET, POP3_TRANSACTION, NOTHING },
	{ "QUIT", POP3_QUIT, POP3_AUTHORIZATION | POP3_TRANSACTION, NOTHING },
	{ "CAPA", POP3_CAPA, POP3_AUTHORIZATION | POP3_TRANSACTION, NOTHING },
	{ "LANG", POP3_LANG, POP3_AUTHORIZATION | POP3_TRANSACTION, WORD },
	{ "USER", POP3_USER, POP3_AUTHORIZATION, TEXT },
	{ "PASS", POP3_PASS, POP3_AUTHORIZATION, TEXT },
	{ "AUTH", POP3_AUTH, POP3_AUTHORIZATION, MECHANISM },
	{ "APOP", POP3_APOP, POP3_AUTHORIZATION, TEXT },
	{ "STLS", POP3_STLS, POP3_AUTHORIZATION, NOTHING },
	{ "UTF8", POP3_UTF8, POP3_AUTHORIZATION, NOTHING },
};

/* A message number; digits beyond 32 bits are a number that names nothing. */
static enum pop3_fault
parse_number(struct span word, uint32_t *number)
{
	for (size_t i = 0; i < word.n; i++)
		if (!ascii_is_digit(word.p[i]))
			return POP3_BAD_ARGUMENTS;
	if (word.n == 0)
		return POP3_BAD_ARGUMENTS;
	if (span_u32(word, number) != 1 || *number == 0)
		return POP3_NO_SUCH_MESSAGE;
	return POP3_FINE;
}

static enum pop3_fault
parse_message(struct span rest, bool optional, struct pop3_command *out)
{
	struct span word = span_word(&rest);

	if (word.n == 0 && optional)
		return POP3_FINE;
	if (rest.n > 0)
		return POP3_BAD_ARGUMENTS;
	out->has_number = true;
	return parse_number(word, &out->number);
}

static enum pop3_fault
parse_top(struct span rest, struct pop3_command *out)
{
	struct span number = span_word(&rest), lines = span_word(&rest);
	enum pop3_fault fault = parse_number(number, &out->number);

	if (rest.n > 0 || lines.n == 0)
		return POP3_BAD_ARGUMENTS;
	for (size_t i = 0; i < lines.n; i++)
		if (!ascii_is_digit(lines.p[i]))
			return POP3_BAD_ARGUMENTS;
	if (span_u32(lines, &out->lines) != 1)
		out->lines = UINT32_MAX;	/* as many as there are */
	out->has_number = true;
	return fault;
}

static enum pop3_fault
parse_mechanism(struct span rest, struct pop3_command *out)
{
	out->argument = span_word(&rest);
	out->second = span_word(&rest);
	out->has_second = out->second.n > 0;
	return rest.n > 0 ? POP3_BAD_ARGUMENTS : POP3_FINE;
}

static enum pop3_fault
parse_shape(enum shape shape, struct span rest, struct pop3_command *out)
{
	switch (shape) {
	case NOTHING:
		return span_trim(rest).n > 0 ? POP3_BAD_ARGUMENTS : POP3_FINE;
	case TEXT:
		out->argument = rest;
		return rest.n == 0 ? POP3_BAD_ARGUMENTS : POP3_FINE;
	case WORD:
		out->argument = span_word(&rest);
		return rest.n > 0 ? POP3_BAD_ARGUMENTS : POP3_FINE;
	case MECHANISM:
		return parse_mechanism(rest, out);
	case MESSAGE:
	case MAY_MESSAGE:
		return parse_message(rest, shape == MAY_MESSAGE, out);
	case MESSAGE_AND_LINES:
		return parse_top(rest, out);
	}
	return POP3_BAD_ARGUMENTS;
}

enum pop3_fault
pop3_parse(struct span line, enum pop3_state state, struct pop3_command *out)
{
	struct span verb, rest = span_cut(line, ' ', &verb);

	*out = (struct pop3_command){ .verb = POP3_VERBS };
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (!span_is_nocase(verb, commands[i].name))
			continue;
		out->verb = commands[i].verb;
		if ((commands[i].states & (unsigned)state) == 0)
			return POP3_NOT_NOW;
		return parse_shape(commands[i].shape, rest, out);
	}
	return POP3_UNKNOWN;
}
