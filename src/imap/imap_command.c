/*
 * imap_command.c - which commands there are, and when each may be given.
 *
 * The table decides whether a command runs; its handler only does it.
 * Arguments, in order: a an astring; m a mailbox name, decoded; * the handler
 * parses what follows, from the space before it on. Without * the command
 * ends behind them.
 */
#include "imap/imap_command.h"
#include "edge/login.h"

/* In which states. */
#define NOBODY	IMAP_GREETED
#define USER	(IMAP_AUTHENTICATED | IMAP_SELECTED)
#define BOX	IMAP_SELECTED
#define ANY	(NOBODY | USER)
/* How: see enum imap_how. */
#define KEEPS	IMAP_KEEPS_NUMBERS
#define UID	IMAP_BY_UID
#define PRIVATE	IMAP_PRIVATE
#define MESSAGE	IMAP_HAS_MESSAGE
#define WRITES	IMAP_WRITES
#define NUMBER	IMAP_BY_NUMBER

static const struct imap_command commands[] = {
	/* name           state   args  how             handler */
	{ "FETCH",        BOX,    "*",  KEEPS | NUMBER, imap_fetch },
	{ "UID FETCH",    BOX,    "*",  UID,            imap_fetch },
	{ "STORE",        BOX,    "*",  KEEPS | WRITES | NUMBER, imap_store_flags },
	{ "UID STORE",    BOX,    "*",  UID | WRITES,   imap_store_flags },
	{ "SEARCH",       BOX,    "*",  KEEPS | NUMBER, imap_search },
	{ "UID SEARCH",   BOX,    "*",  UID,            imap_search },
	{ "SORT",         BOX,    "*",  KEEPS | NUMBER, imap_sort },
	{ "UID SORT",     BOX,    "*",  UID,            imap_sort },
	{ "THREAD",       BOX,    "*",  KEEPS | NUMBER, imap_thread },
	{ "UID THREAD",   BOX,    "*",  UID,            imap_thread },
	{ "ESEARCH",      USER,   "*",  UID,            imap_esearch },
	{ "CANCELUPDATE", BOX,    "*",  0,              imap_cancel_update },
	{ "COMPARATOR",   USER,   "*",  0,              imap_comparator },
	{ "NOOP",         ANY,    "",   0,              imap_noop },
	{ "IDLE",         USER,   "",   0,              imap_idle },
	{ "APPEND",       USER,   "*",  MESSAGE,        imap_append },
	{ "REPLACE",      BOX,    "*",  MESSAGE | WRITES | NUMBER, imap_replace },
	{ "UID REPLACE",  BOX,    "*",  MESSAGE | UID | WRITES, imap_replace },
	{ "SELECT",       USER,   "m*", 0,              imap_select },
	{ "EXAMINE",      USER,   "m*", 0,              imap_examine },
	{ "STATUS",       USER,   "m*", 0,              imap_status },
	{ "LIST",         USER,   "*",  0,              imap_list },
	{ "LSUB",         USER,   "*",  0,              imap_lsub },
	{ "COPY",         BOX,    "*",  NUMBER,         imap_copy },
	{ "UID COPY",     BOX,    "*",  UID,            imap_copy },
	{ "MOVE",         BOX,    "*",  WRITES | NUMBER, imap_move },
	{ "UID MOVE",     BOX,    "*",  UID | WRITES,   imap_move },
	{ "EXPUNGE",      BOX,    "",   WRITES,         imap_expunge },
	{ "UID EXPUNGE",  BOX,    "*",  UID | WRITES,   imap_uid_expunge },
	{ "UIDBATCHES",   BOX,    "*",  UID,            imap_uidbatches },
	{ "CLOSE",        BOX,    "",   0,              imap_close },
	{ "UNSELECT",     BOX,    "",   0,              imap_unselect },
	{ "CHECK",        BOX,    "",   0,              imap_check },
	{ "CREATE",       USER,   "m*", 0,              imap_create },
	{ "DELETE",       USER,   "m",  0,              imap_delete },
	{ "RENAME",       USER,   "mm", 0,              imap_rename },
	{ "SUBSCRIBE",    USER,   "m",  0,              imap_subscribe },
	{ "UNSUBSCRIBE",  USER,   "m",  0,              imap_unsubscribe },
	{ "MYRIGHTS",     USER,   "m",  0,              imap_myrights },
	{ "GETACL",       USER,   "m",  0,              imap_getacl },
	{ "SETACL",       USER,   "m*", 0,              imap_setacl },
	{ "DELETEACL",    USER,   "ma", 0,              imap_deleteacl },
	{ "LISTRIGHTS",   USER,   "ma", 0,              imap_listrights },
	{ "GETMETADATA",  USER,   "*",  0,              imap_getmetadata },
	{ "SETMETADATA",  USER,   "*",  0,              imap_setmetadata },
	{ "GETQUOTA",     USER,   "a",  0,              imap_getquota },
	{ "GETQUOTAROOT", USER,   "m",  0,              imap_getquotaroot },
	{ "SETQUOTA",     USER,   "a*", 0,              imap_setquota },
	{ "NOTIFY",       USER,   "*",  0,              imap_notify },
	{ "NAMESPACE",    USER,   "",   0,              imap_namespace },
	{ "GENURLAUTH",   USER,   "*",  0,              imap_genurlauth },
	{ "URLFETCH",     USER,   "*",  0,              imap_urlfetch },
	{ "RESETKEY",     USER,   "*",  0,              imap_resetkey },
	{ "ENABLE",       USER,   "*",  0,              imap_enable },
	{ "CAPABILITY",   ANY,    "",   0,              imap_capability },
	{ "ID",           ANY,    "*",  0,              imap_id },
	{ "LOGOUT",       ANY,    "",   0,              imap_logout },
	{ "LOGIN",        NOBODY, "aa", PRIVATE,        imap_login },
	{ "AUTHENTICATE", NOBODY, "*",  PRIVATE,        imap_authenticate },
	{ "STARTTLS",     NOBODY, "",   0,              imap_starttls },
	{ "UNAUTHENTICATE", USER, "",   0,              imap_unauthenticate },
	{ "LANGUAGE",     ANY,    "*",  0,              imap_language },
	{ "COMPRESS",     USER,   "a",  0,              imap_compress },
};

enum { TAG_MAX = 256 };

static const struct imap_command *
find(struct span name, bool uid)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		struct span row = span_str(commands[i].name);

		if (uid && !span_starts(row, SPAN("UID ")))
			continue;
		if (span_eq_nocase(name, uid ? span_from(row, 4) : row))
			return &commands[i];
	}
	return NULL;
}

static struct imap_reply
wrong_state(const struct imap_session *s, const struct imap_command *c)
{
	if (s->state == IMAP_GREETED)
		return imap_bad("Log in first");
	if (c->states == IMAP_GREETED)
		return imap_bad("Already logged in");
	return imap_bad("Select a mailbox first");
}

/* May it be given now? */
static bool
allowed(struct imap_task *t, struct imap_reply *why)
{
	const struct imap_command *c = t->command;
	struct imap_session *s = t->s;

	if ((c->states & s->state) == 0)
		*why = wrong_state(s, c);
	else if ((c->how & IMAP_PRIVATE) != 0 &&
	    !login_allowed(imap_settings(), s->io))
		*why = imap_no("PRIVACYREQUIRED",
		    "Logging in is possible under TLS only");
	else if (imap_has(s, IMAP_UIDONLY) && (c->how & IMAP_BY_NUMBER) != 0)
		*why = imap_uid_required();
	else if ((c->how & IMAP_WRITES) != 0 && s->box->read_only)
		*why = imap_no(NULL, "The mailbox is open for reading only");
	else
		return true;
	return false;
}

/* The name of the command, with the word behind UID. */
static bool
take_name(struct imap_task *t)
{
	struct span name;
	bool uid;

	if (!imap_parse_atom(&t->in, &name))
		return false;
	uid = span_is_nocase(name, "UID");
	if (uid && (!imap_parse_space(&t->in) ||
	    !imap_parse_atom(&t->in, &name)))
		return false;
	t->command = find(name, uid);
	return t->command != NULL ||
	    imap_parse_fail(&t->in, "Unknown command");
}

void
imap_command_rewind(struct imap_task *t)
{
	t->in = imap_parser(span_from(text_span(&t->line), t->args_at),
	    t->arena);
}

bool
imap_command_begin(struct imap_task *t, struct imap_reply *why)
{
	struct span tag;

	t->in = imap_parser(text_span(&t->line), t->arena);
	t->tag = SPAN("*");
	if (!imap_parse_tag(&t->in, &tag) || tag.n > TAG_MAX ||
	    imap_parse_peek(&t->in) == '+') {
		*why = imap_bad("A command begins with its tag");
		return false;
	}
	t->tag = arena_dup(t->arena, tag);
	if (!imap_parse_space(&t->in) || !take_name(t)) {
		*why = imap_bad_syntax(t);
		return false;
	}
	t->args_at = t->line.n - t->in.rest.n;
	return allowed(t, why);
}

/* One argument by its letter; *why stays as it is when that is done. */
static bool
take_argument(struct imap_task *t, char letter, struct span *out,
    struct imap_reply *why)
{
	int status;

	if (!imap_parse_space(&t->in) || !imap_parse_astring(&t->in, out)) {
		*why = imap_bad_syntax(t);
		return false;
	}
	if (letter != 'm')
		return true;
	if ((status = imap_take_name(t, *out, out)) == 1)
		return true;
	*why = status < 0 ? imap_no_memory() :
	    imap_no("CANNOT", "There can be no mailbox of that name");
	return false;
}

struct imap_reply
imap_command_run(struct imap_task *t)
{
	struct imap_reply why;
	const char *letter = t->command->args;

	imap_command_rewind(t);
	for (size_t i = 0; *letter != '\0' && *letter != '*'; letter++, i++) {
		must(i < ARRAY_LEN(t->args));
		if (!take_argument(t, *letter, &t->args[i], &why))
			return why;
	}
	if (*letter == '\0' && !imap_parse_end(&t->in))
		return imap_bad_syntax(t);
	return t->command->run(t);
}
