/*
 * imap_capability.c - what the server can do: CAPABILITY and ENABLE.
 *
 * One row for each word of the list. What a word promises is kept by the file
 * that serves it; a row comes with the last piece of it, not before.
 */
#include "edge/login.h"
#include "imap/imap_command.h"
#include "imap/imap_notify.h"

#define NOBODY	IMAP_GREETED
#define USER	(IMAP_AUTHENTICATED | IMAP_SELECTED)
#define ANY	(NOBODY | USER)

static void
add_starttls(struct imap_session *s, struct text *out)
{
	if (!stream_is_tls(s->stream) && !stream_is_deflate(s->stream) &&
	    session_tls(s->io) != NULL)
		text_str(out, " STARTTLS");
}

static void
add_mechanisms(struct imap_session *s, struct text *out)
{
	if (login_allowed(imap_settings(), s->io))
		login_mechanisms(out, imap_settings(), s->io, " AUTH=");
	else
		text_str(out, " LOGINDISABLED");
}

static void
add_append_limit(struct imap_session *s, struct text *out)
{
	(void)s;
	text_str(out, " APPENDLIMIT=");
	text_u64(out, imap_settings()->imap_append_limit);
}

/* RFC 9738. */
static void
add_message_limit(struct imap_session *s, struct text *out)
{
	(void)s;
	if (imap_settings()->imap_message_limit == 0)
		return;
	text_str(out, " MESSAGELIMIT=");
	text_u64(out, imap_settings()->imap_message_limit);
}

/*
 * In the order in which they are listed. `enables`: what ENABLE turns on;
 * `add` writes the word itself, with the space before it.
 */
static const struct capability {
	const char *word;
	unsigned states;
	unsigned enables;		/* enum imap_enabled */
	void (*add)(struct imap_session *, struct text *);
} capabilities[] = {
	{ "IMAP4rev1",		ANY,	0,	NULL },
	{ "IMAP4rev2",		ANY,	IMAP_REV2, NULL },
	{ "LITERAL+",		ANY,	0,	NULL },
	{ "SASL-IR",		ANY,	0,	NULL },
	{ "ID",			ANY,	0,	NULL },
	{ "ENABLE",		ANY,	0,	NULL },
	{ "STARTTLS",		NOBODY,	0,	add_starttls },
	{ "AUTH",		NOBODY,	0,	add_mechanisms },
	{ "LANGUAGE",		ANY,	0,	NULL },
	{ "UNAUTHENTICATE",	USER,	0,	NULL },
	{ "COMPRESS=DEFLATE",	USER,	0,	NULL },
	{ "LOGIN-REFERRALS",	NOBODY,	0,	NULL },
	{ "INPROGRESS",		USER,	0,	NULL },
	{ "IDLE",		USER,	0,	NULL },
	{ "UIDPLUS",		USER,	0,	NULL },
	{ "NAMESPACE",		USER,	0,	NULL },
	{ "CHILDREN",		USER,	0,	NULL },
	{ "UNSELECT",		USER,	0,	NULL },
	{ "CONDSTORE",		USER,	IMAP_CONDSTORE,	NULL },
	{ "QRESYNC",		USER,	IMAP_CONDSTORE | IMAP_QRESYNC, NULL },
	{ "UIDONLY",		USER,	IMAP_UIDONLY, NULL },
	{ "UIDBATCHES",		USER,	0,	NULL },
	{ "MESSAGELIMIT",	USER,	0,	add_message_limit },
	{ "MOVE",		USER,	0,	NULL },
	{ "SPECIAL-USE",	USER,	0,	NULL },
	{ "CREATE-SPECIAL-USE",	USER,	0,	NULL },
	{ "ESEARCH",		USER,	0,	NULL },
	{ "SEARCHRES",		USER,	0,	NULL },
	{ "PARTIAL",		USER,	0,	NULL },
	{ "ESORT",		USER,	0,	NULL },
	{ "CONTEXT=SEARCH",	USER,	0,	NULL },
	{ "CONTEXT=SORT",	USER,	0,	NULL },
	{ "SORT",		USER,	0,	NULL },
	{ "SORT=DISPLAY",	USER,	0,	NULL },
	{ "THREAD=ORDEREDSUBJECT", USER, 0,	NULL },
	{ "THREAD=REFERENCES",	USER,	0,	NULL },
	{ "THREAD=REFS",	USER,	0,	NULL },
	{ "I18NLEVEL=1",	USER,	0,	NULL },
	{ "I18NLEVEL=2",	USER,	0,	NULL },
	{ "MULTISEARCH",	USER,	0,	NULL },
	{ "FILTERS",		USER,	0,	NULL },
	{ "SEARCH=FUZZY",	USER,	0,	NULL },
	{ "LIST-EXTENDED",	USER,	0,	NULL },
	{ "LIST-MYRIGHTS",	USER,	0,	NULL },
	{ "ACL",		USER,	0,	NULL },
	{ "RIGHTS=texk",	USER,	0,	NULL },
	{ "LIST-STATUS",	USER,	0,	NULL },
	{ "WITHIN",		USER,	0,	NULL },
	{ "STATUS=SIZE",	USER,	0,	NULL },
	{ "OBJECTID",		USER,	0,	NULL },
	{ "SAVEDATE",		USER,	0,	NULL },
	{ "APPENDLIMIT",	USER,	0,	add_append_limit },
	{ "METADATA",		USER,	IMAP_METADATA,	NULL },
	{ "LIST-METADATA",	USER,	0,	NULL },
	{ "QUOTA",		USER,	0,	NULL },
	{ "QUOTA=RES-STORAGE",	USER,	0,	NULL },
	{ "QUOTA=RES-MESSAGE",	USER,	0,	NULL },
	{ "QUOTA=RES-MAILBOX",	USER,	0,	NULL },
	{ "QUOTA=RES-ANNOTATION-STORAGE", USER,	0,	NULL },
	{ "QUOTASET",		USER,	0,	NULL },
	{ "NOTIFY",		USER,	0,	NULL },
	{ "MULTIAPPEND",	USER,	0,	NULL },
	{ "CATENATE",		USER,	0,	NULL },
	{ "BINARY",		USER,	0,	NULL },
	{ "REPLACE",		USER,	0,	NULL },
	{ "URLAUTH",		USER,	0,	NULL },
	{ "URL-PARTIAL",	USER,	0,	NULL },
	{ "PREVIEW",		USER,	0,	NULL },
	{ "UTF8=ACCEPT",	USER,	IMAP_UTF8,	NULL },
};

void
imap_add_capabilities(struct imap_session *s, struct text *out)
{
	for (size_t i = 0; i < ARRAY_LEN(capabilities); i++) {
		const struct capability *c = &capabilities[i];

		if ((c->states & s->state) == 0)
			continue;
		if (c->add != NULL) {
			c->add(s, out);
			continue;
		}
		if (i > 0)
			text_char(out, ' ');
		text_str(out, c->word);
	}
}

struct imap_reply
imap_capability(struct imap_task *t)
{
	struct text line = TEXT_INIT(4096);

	text_str(&line, "* CAPABILITY ");
	imap_add_capabilities(t->s, &line);
	text_str(&line, "\r\n");
	stream_write(t->s->stream, text_span(&line));
	text_free(&line);
	return imap_ok("Capabilities listed");
}

static const struct capability *
find(struct span word)
{
	for (size_t i = 0; i < ARRAY_LEN(capabilities); i++)
		if (span_is_nocase(word, capabilities[i].word))
			return &capabilities[i];
	return NULL;
}

/* RFC 5161. What is not known, or cannot be enabled, is passed over. */
struct imap_reply
imap_enable(struct imap_task *t)
{
	struct text line = TEXT_INIT(4096);
	const struct capability *c;
	unsigned enables = 0;
	struct span word;

	text_str(&line, "* ENABLED");
	do {
		if (!imap_parse_space(&t->in) ||
		    !imap_parse_atom(&t->in, &word)) {
			text_free(&line);
			return imap_bad_syntax(t);
		}
		c = find(word);
		if (c == NULL || (c->enables & ~enables) == 0)
			continue;
		enables |= c->enables;
		text_char(&line, ' ');
		text_str(&line, c->word);
	} while (imap_parse_peek(&t->in) == ' ');
	text_str(&line, "\r\n");
	if (!imap_parse_end(&t->in)) {
		text_free(&line);
		return imap_bad_syntax(t);
	}
	imap_turn_on(t->s, enables);
	if ((enables & IMAP_METADATA) != 0)
		imap_notify_metadata(t);
	stream_write(t->s->stream, text_span(&line));
	text_free(&line);
	return imap_ok("Enabled");
}
