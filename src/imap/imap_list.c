/*
 * imap_list.c - LIST with its extensions, and LSUB.
 *
 * RFC 3501 6.3.8 and 6.3.9, LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC 5819),
 * SPECIAL-USE (RFC 6154), LIST-MYRIGHTS (RFC 8440). A level that is no mailbox
 * but has some below it is listed as \NonExistent, and for older clients as
 * \Noselect.
 */
#include "imap/imap_command.h"
#include "imap/imap_envelope.h"
#include "imap/imap_metadata_parse.h"
#include "imap/imap_pattern.h"
#include "imap/imap_state.h"
#include "io/fiber.h"

enum {
	PATTERNS_MAX = 100,
	STEPS_A_TURN = 1 << 20,		/* of matching, about a millisecond */
};

enum {
	SELECT_SUBSCRIBED = 1 << 0, SELECT_REMOTE = 1 << 1,
	SELECT_RECURSIVE = 1 << 2, SELECT_USE = 1 << 3,
};

struct wish {
	unsigned selection;
	bool extended;
	bool lsub;
	bool return_subscribed;
	bool return_rights;		/* RFC 8440 */
	unsigned status;		/* enum imap_status_item, 0: none */
	struct imap_metadata metadata;	/* no entries: not asked for */
	struct span reference;
	struct span patterns[PATTERNS_MAX];
	size_t count;
	size_t steps;			/* since others had their turn */
};

/* -- the command ---- */

static bool
take_selection(struct imap_parser *in, struct wish *w)
{
	struct span word;

	w->extended = true;
	imap_parse_next(in, '(');
	if (imap_parse_next(in, ')'))
		return true;
	do {
		if (!imap_parse_atom(in, &word))
			return false;
		if (span_is_nocase(word, "SUBSCRIBED"))
			w->selection |= SELECT_SUBSCRIBED;
		else if (span_is_nocase(word, "REMOTE"))
			w->selection |= SELECT_REMOTE;
		else if (span_is_nocase(word, "RECURSIVEMATCH"))
			w->selection |= SELECT_RECURSIVE;
		else if (span_is_nocase(word, "SPECIAL-USE"))
			w->selection |= SELECT_USE;
		else
			return imap_parse_fail(in, "Unknown selection option");
	} while (imap_parse_next(in, ' '));
	if ((w->selection & SELECT_RECURSIVE) != 0 &&
	    (w->selection & (SELECT_SUBSCRIBED | SELECT_USE)) == 0)
		return imap_parse_fail(in,
		    "RECURSIVEMATCH needs another option beside it");
	return imap_parse_char(in, ')');
}

static bool
take_pattern(struct imap_parser *in, struct wish *w)
{
	struct span pattern, *out = &w->patterns[w->count];
	struct span whole;

	if (!imap_parse_pattern(in, &pattern))
		return false;
	if (w->count == PATTERNS_MAX)
		return imap_parse_fail(in, "Too many patterns");
	if (pattern.n + w->reference.n > IMAP_PATTERN_MAX)
		return imap_parse_fail(in, "Pattern too long");
	whole = w->reference.n == 0 ? pattern
	    : arena_printf(in->arena, "%.*s%.*s", SPAN_ARG(w->reference),
	    SPAN_ARG(pattern));
	if (whole.p == NULL && whole.n > 0)
		return imap_parse_fail(in, "Command too large");
	/* The empty name asks for the delimiter, whatever the reference. */
	*out = pattern.n == 0 ? pattern : whole;
	w->count++;
	return true;
}

static bool
take_patterns(struct imap_parser *in, struct wish *w)
{
	if (!imap_parse_next(in, '('))
		return take_pattern(in, w);
	w->extended = true;
	do {
		if (!take_pattern(in, w))
			return false;
	} while (imap_parse_next(in, ' '));
	return imap_parse_char(in, ')');
}

static bool
take_return(struct imap_parser *in, struct wish *w)
{
	struct span word;

	w->extended = true;
	if (!imap_parse_space(in) || !imap_parse_atom(in, &word))
		return false;
	if (!span_is_nocase(word, "RETURN"))
		return imap_parse_fail(in, "RETURN expected");
	if (!imap_parse_space(in) || !imap_parse_char(in, '('))
		return false;
	if (imap_parse_next(in, ')'))
		return true;
	do {
		if (!imap_parse_atom(in, &word))
			return false;
		if (span_is_nocase(word, "SUBSCRIBED"))
			w->return_subscribed = true;
		else if (span_is_nocase(word, "MYRIGHTS"))
			w->return_rights = true;
		else if (span_is_nocase(word, "STATUS")) {
			if (!imap_parse_space(in) ||
			    !imap_parse_status_items(in, &w->status))
				return false;
		} else if (span_is_nocase(word, "METADATA")) {
			if (!imap_parse_space(in) ||
			    !imap_parse_list_metadata(in, &w->metadata))
				return false;
		} else if (!span_is_nocase(word, "CHILDREN") &&
		    !span_is_nocase(word, "SPECIAL-USE"))
			return imap_parse_fail(in, "Unknown return option");
	} while (imap_parse_next(in, ' '));
	return imap_parse_char(in, ')');
}

static bool
take_list(struct imap_parser *in, struct wish *w)
{
	if (!imap_parse_space(in))
		return false;
	if (imap_parse_peek(in) == '(' && !w->lsub) {
		if (!take_selection(in, w) || !imap_parse_space(in))
			return false;
	}
	if (!imap_parse_astring(in, &w->reference) || !imap_parse_space(in))
		return false;
	if (w->lsub ? !take_pattern(in, w) : !take_patterns(in, w))
		return false;
	if (!w->lsub && imap_parse_peek(in) == ' ' && !take_return(in, w))
		return false;
	return imap_parse_end(in);
}

/* -- the answer ---- */

static bool
matches(struct wish *w, const struct imap_name *name)
{
	for (size_t i = 0; i < w->count; i++) {
		w->steps += (w->patterns[i].n + 1) * (name->sent.n + 1);
		if (w->steps >= STEPS_A_TURN) {
			w->steps = 0;
			(void)fiber_yield();
		}
		if (imap_pattern_matches(w->patterns[i], name->sent))
			return true;
	}
	return false;
}

/* Does it meet the selection options by itself? */
static bool
meets(const struct wish *w, const struct imap_name *name)
{
	if ((w->selection & SELECT_SUBSCRIBED) != 0 && !name->subscribed)
		return false;
	if ((w->selection & SELECT_USE) != 0 && name->use == 0)
		return false;
	return name->mailbox != 0 || name->mailbox_below ||
	    (w->selection & SELECT_SUBSCRIBED) != 0;
}

/* RECURSIVEMATCH: something below it does. */
static bool
meets_below(const struct wish *w, const struct imap_name *name)
{
	if ((w->selection & SELECT_RECURSIVE) == 0)
		return false;
	return ((w->selection & SELECT_SUBSCRIBED) == 0 ||
	    name->subscribed_below) &&
	    ((w->selection & SELECT_USE) == 0 || name->use_below);
}

static const struct {
	uint32_t use;
	const char *name;
} use_names[] = {
	{ USE_ALL, "\\All" }, { USE_ARCHIVE, "\\Archive" },
	{ USE_DRAFTS, "\\Drafts" }, { USE_FLAGGED, "\\Flagged" },
	{ USE_JUNK, "\\Junk" }, { USE_SENT, "\\Sent" },
	{ USE_TRASH, "\\Trash" },
};

static void
add_attributes(struct text *line, const struct wish *w,
    const struct imap_name *name)
{
	if (name->mailbox == 0)
		text_str(line, "\\NonExistent \\Noselect ");
	else if ((name->rights & RIGHT_READ) == 0)
		text_str(line, "\\Noselect ");
	if (name->subscribed && (w->return_subscribed ||
	    (w->selection & SELECT_SUBSCRIBED) != 0))
		text_str(line, "\\Subscribed ");
	text_str(line, name->mailbox_below ? "\\HasChildren"
	    : "\\HasNoChildren");
	for (size_t i = 0; i < ARRAY_LEN(use_names); i++)
		if ((name->use & use_names[i].use) != 0) {
			text_char(line, ' ');
			text_str(line, use_names[i].name);
		}
}

static void
add_child_info(struct text *line, const struct wish *w)
{
	text_str(line, " (\"CHILDINFO\" (");
	if ((w->selection & SELECT_SUBSCRIBED) != 0)
		text_str(line, "\"SUBSCRIBED\"");
	if ((w->selection & SELECT_USE) != 0)
		text_str(line, (w->selection & SELECT_SUBSCRIBED) != 0
		    ? " \"SPECIAL-USE\"" : "\"SPECIAL-USE\"");
	text_str(line, "))");
}

static void
say_name(struct imap_session *s, const struct wish *w,
    const struct imap_name *name)
{
	struct text line = TEXT_INIT(0);

	text_str(&line, "* LIST (");
	add_attributes(&line, w, name);
	text_str(&line, ") \"/\" ");
	imap_add_astring(&line, name->sent, imap_text_mode(s));
	if (meets_below(w, name))
		add_child_info(&line, w);
	text_str(&line, "\r\n");
	stream_write(s->stream, text_span(&line));
	text_free(&line);
}

/*
 * RFC 3501 6.3.9: with "%" a level is listed as \Noselect when something below
 * it is subscribed to that the pattern does not reach.
 */
static void
say_lsub(struct imap_session *s, const struct wish *w,
    const struct imap_name *name)
{
	struct text line = TEXT_INIT(0);

	if (!name->subscribed && !(name->subscribed_below &&
	    span_ends(w->patterns[0], SPAN("%"))))
		return;
	text_str(&line, name->subscribed ? "* LSUB () \"/\" "
	    : "* LSUB (\\Noselect) \"/\" ");
	imap_add_astring(&line, name->sent, imap_text_mode(s));
	text_str(&line, "\r\n");
	stream_write(s->stream, text_span(&line));
	text_free(&line);
}

static void
say_names(struct imap_task *t, struct wish *w,
    const struct imap_names *names)
{
	struct imap_reply why;

	for (size_t i = 0; i < names->count; i++) {
		const struct imap_name *name = &names->names[i];

		if (!matches(w, name))
			continue;
		if (w->lsub) {
			say_lsub(t->s, w, name);
			continue;
		}
		if (!meets(w, name) && !meets_below(w, name))
			continue;
		say_name(t->s, w, name);
		if (w->return_rights && name->mailbox != 0)
			imap_say_rights(t, name->name, name->rights);
		/* One deleted meanwhile has no status: that is all. */
		if (w->status != 0 && name->mailbox != 0)
			(void)imap_say_status(t, name->mailbox, name->name,
			    w->status, &why);
		if (w->metadata.count > 0 && name->mailbox != 0)
			imap_say_list_metadata(t, &w->metadata, name->name,
			    name->mailbox);
	}
}

static struct imap_reply
list(struct imap_task *t, struct wish *w)
{
	struct mailbox_list_request request = { .grant = t->s->grant };
	struct mailbox_list_reply reply;
	struct imap_names names;
	struct imap_reply done = imap_ok(w->lsub ? "Subscriptions listed"
	    : "Mailboxes listed");
	int status;

	if (!take_list(&t->in, w))
		return imap_bad_syntax(t);
	if (!w->extended && w->patterns[0].n == 0) {
		stream_str(t->s->stream, w->lsub
		    ? "* LSUB (\\Noselect) \"/\" \"\"\r\n"
		    : "* LIST (\\Noselect) \"/\" \"\"\r\n");
		return done;
	}
	if (call_mailbox_list(imap_store(), t->arena, &request, &reply) != 1)
		return imap_unavailable();
	if (reply.result != RESULT_OK) {
		done = imap_refused(t, reply.result);
		goto out;
	}
	status = imap_names_read(reply.rows.bytes, t->arena, &names);
	if (status == 1 && imap_speaks_utf8(t->s))
		imap_names_utf8(&names);
	if (status == 1)
		say_names(t, w, &names);
	else
		done = status < 0 ? imap_no_memory() : imap_unavailable();
out:
	blob_release(&reply.rows);
	return done;
}

static struct imap_reply
list_in_arena(struct imap_task *t, bool lsub)
{
	struct wish *w = arena_zalloc(t->arena, sizeof(*w));

	if (w == NULL)
		return imap_no_memory();
	w->lsub = lsub;
	return list(t, w);
}

struct imap_reply
imap_list(struct imap_task *t)
{
	return list_in_arena(t, false);
}

struct imap_reply
imap_lsub(struct imap_task *t)
{
	return list_in_arena(t, true);
}
