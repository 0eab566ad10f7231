/*
 * imap_search_match.c - one message against a tree of search keys.
 *
 * A key answers yes, no, or "that hangs on more": AND and OR go on to keys
 * that can settle it, so that a flag saves the reading of a message.
 *
 * The recursion over keys is bounded by IMAP_SEARCH_DEPTH_MAX, which the
 * parser keeps.
 */
#include "imap/imap_search_match.h"
#include "imap/imap_hint.h"
#include "imap/imap_search_text.h"
#include "mail/date.h"
#include "mail/header.h"

enum { NO = 0, YES = 1, OPEN = -1 };

/* ---- preparing ----------------------------------------------------------- */

static bool
has_text(enum imap_search_kind kind)
{
	return kind == IMAP_SEARCH_HEADER || kind == IMAP_SEARCH_BODY ||
	    kind == IMAP_SEARCH_TEXT;
}

/* Before RFC 6855 clients sent UTF-8 without saying so: let it pass. */
static int
to_utf8(struct span charset, struct span in, struct text *out)
{
	if (charset.n > 0 && !span_is_nocase(charset, "US-ASCII"))
		return charset_to_utf8_strict(charset, in, out);
	return charset_to_utf8_strict(SPAN("UTF-8"), in, out);
}

static int
prepare_text(struct imap_search_key *key, struct span charset,
    enum imap_collation collation, struct arena *a)
{
	struct text utf8 = TEXT_INIT(0), folded = TEXT_INIT(0);
	int done = to_utf8(charset, key->text, &utf8);

	if (done == 1) {
		imap_collate_add(collation, &folded, text_span(&utf8));
		key->text = arena_dup(a, text_span(&utf8));
		key->folded = arena_dup(a, text_span(&folded));
		done = key->text.p != NULL && key->folded.p != NULL ? 1 : -1;
	} else if (done == -1) {
		done = -2;
	}
	text_free(&utf8);
	text_free(&folded);
	return done;
}

static unsigned
own_needs(enum imap_search_kind kind)
{
	switch (kind) {
	case IMAP_SEARCH_SAVED_BEFORE:
	case IMAP_SEARCH_SAVED_ON:
	case IMAP_SEARCH_SAVED_SINCE:
	case IMAP_SEARCH_EMAILID:
	case IMAP_SEARCH_THREADID:
		return IMAP_NEED_DETAILS;
	case IMAP_SEARCH_SENT_BEFORE:
	case IMAP_SEARCH_SENT_ON:
	case IMAP_SEARCH_SENT_SINCE:
		return IMAP_NEED_SUMMARY;
	case IMAP_SEARCH_HEADER:
		return IMAP_NEED_HEADER;
	case IMAP_SEARCH_BODY:
	case IMAP_SEARCH_TEXT:
		return IMAP_NEED_BYTES;
	default:
		return 0;
	}
}

/* A key and its siblings; *needs gathers theirs. */
static int
prepare_keys(struct imap_search_key *key, struct span charset,
    enum imap_collation collation, struct arena *a, unsigned *needs)
{
	int done = 1;

	for (; done == 1 && key != NULL; key = key->next) {
		key->needs = own_needs(key->kind);
		if (has_text(key->kind))
			done = prepare_text(key, charset, collation, a);
		if (key->kind == IMAP_SEARCH_FILTER && key->list != NULL)
			key->needs |= key->list->needs;	/* its own charset */
		else if (done == 1)
			done = prepare_keys(key->list, charset, collation,
			    a, &key->needs);
		*needs |= key->needs;
	}
	return done;
}

int
imap_search_prepare(struct imap_search_key *key, struct span charset,
    enum imap_collation collation, struct arena *a)
{
	unsigned needs = 0;

	if (charset.n > 0 && !charset_known(charset))
		return 0;
	return prepare_keys(key, charset, collation, a, &needs);
}

unsigned
imap_search_needs(const struct imap_search_key *key)
{
	return key->needs;
}

/* ---- matching ------------------------------------------------------------ */

struct match {
	struct imap_matcher *m;
	const struct imap_search_view *view;
	const struct imap_search_message *message;
};

static int match_key(const struct match *, const struct imap_search_key *);

/*
 * AND is settled by a no, OR by a yes. What needs nothing more to be known
 * is tried first.
 */
static int
match_list(const struct match *m, const struct imap_search_key *list,
    int settles)
{
	const struct imap_search_key *key;
	int answer = settles == YES ? NO : YES, one, round;

	for (round = 0; round < 2; round++) {
		for (key = list; key != NULL; key = key->next) {
			if ((key->needs != 0) != round)
				continue;
			one = match_key(m, key);
			if (one == settles)
				return settles;
			if (one == OPEN)
				answer = OPEN;
		}
	}
	return answer;
}

static int
match_not(const struct match *m, const struct imap_search_key *key)
{
	int answer = match_key(m, key);

	return answer == OPEN ? OPEN : !answer;
}

/* The header if it is at hand, alone or with the message; p NULL: not. */
static struct span
header_of(const struct imap_search_message *message)
{
	return message->header.p != NULL ? message->header : message->bytes;
}

/* The day of the Date field: 1 known, 0 there is none, OPEN. */
static int
sent_day(const struct imap_search_message *message, int32_t *day)
{
	struct span header = header_of(message);
	struct header_field f;
	struct date sent;

	if (message->summary != NULL) {
		*day = date_day(message->summary->sent);
		return message->summary->has_sent;
	}
	if (header.p == NULL)
		return OPEN;
	if (header_find(header, "Date", &f) != 1 ||
	    date_parse_message(f.value, &sent) != 1)
		return NO;
	*day = date_day(sent);
	return YES;
}

static int
match_sent(const struct match *m, const struct imap_search_key *key)
{
	int32_t day;
	int known = sent_day(m->message, &day);

	if (known != YES)
		return known;
	switch (key->kind) {
	case IMAP_SEARCH_SENT_BEFORE:
		return day < key->day;
	case IMAP_SEARCH_SENT_ON:
		return day == key->day;
	default:
		return day >= key->day;
	}
}

static int
match_details(const struct match *m, const struct imap_search_key *key)
{
	const struct imap_search_message *message = m->message;
	int32_t day;

	if (!message->has_details)
		return OPEN;
	day = date_day(message->save_date);
	switch (key->kind) {
	case IMAP_SEARCH_EMAILID:
		return span_eq(message->email_id, key->text);
	case IMAP_SEARCH_THREADID:
		return span_eq(message->thread_id, key->text);
	case IMAP_SEARCH_SAVED_BEFORE:
		return day < key->day;
	case IMAP_SEARCH_SAVED_ON:
		return day == key->day;
	default:
		return day >= key->day;
	}
}

static int
match_text(const struct match *m, const struct imap_search_key *key)
{
	struct span header = header_of(m->message), bytes = m->message->bytes;

	if (key->hint != NULL) {
		int answer = imap_hint_ask(key->hint, m->message->uid);

		if (answer != OPEN)
			return answer;
	}
	if (header.p == NULL)
		return OPEN;
	if (key->kind == IMAP_SEARCH_HEADER)
		return imap_matcher_field(m->m, header, key->name,
		    key->folded);
	if (key->folded.n == 0)
		return YES;
	if (key->kind == IMAP_SEARCH_TEXT &&
	    imap_matcher_header(m->m, header, key->folded))
		return YES;
	return bytes.p == NULL ? OPEN :
	    imap_matcher_body(m->m, bytes, key->folded);
}

static const struct imap_set *
set_of(const struct imap_search_key *key)
{
	return key->settled.settled ? &key->settled : &key->set;
}

/* What the row of the message in its mailbox tells. */
static int
match_row(const struct match *m, const struct imap_search_key *key)
{
	const struct imap_search_message *message = m->message;
	int64_t date = message->internal_date.seconds, then;

	switch (key->kind) {
	case IMAP_SEARCH_FLAGS:
		return (message->flags & key->flags) == key->flags;
	case IMAP_SEARCH_KEYWORD:
		return (message->flags & key->flags) != 0;
	case IMAP_SEARCH_SEQUENCE:
		return imap_set_has(set_of(key), message->sequence,
		    m->view->last_sequence);
	case IMAP_SEARCH_UID:
		return imap_set_has(set_of(key), message->uid,
		    m->view->last_uid);
	case IMAP_SEARCH_BEFORE:
		return date_day(message->internal_date) < key->day;
	case IMAP_SEARCH_ON:
		return date_day(message->internal_date) == key->day;
	case IMAP_SEARCH_SINCE:
		return date_day(message->internal_date) >= key->day;
	case IMAP_SEARCH_LARGER:
		return message->size > key->number;
	case IMAP_SEARCH_SMALLER:
		return message->size < key->number;
	case IMAP_SEARCH_OLDER:
	case IMAP_SEARCH_YOUNGER:
		then = m->view->now - (int64_t)MIN(key->number,
		    (uint64_t)UINT32_MAX);
		return key->kind == IMAP_SEARCH_OLDER ? date <= then :
		    date >= then;
	case IMAP_SEARCH_MODSEQ:
		return message->modseq >= key->number;
	default:
		return YES;	/* ALL, SAVEDATESUPPORTED */
	}
}

static int
match_key(const struct match *m, const struct imap_search_key *key)
{
	switch (key->kind) {
	case IMAP_SEARCH_AND:
	case IMAP_SEARCH_FILTER:
		return match_list(m, key->list, NO);
	case IMAP_SEARCH_OR:
		return match_list(m, key->list, YES);
	case IMAP_SEARCH_NOT:
		return match_not(m, key->list);
	default:
		break;
	}
	switch (own_needs(key->kind)) {
	case IMAP_NEED_DETAILS:
		return match_details(m, key);
	case IMAP_NEED_SUMMARY:
		return match_sent(m, key);
	case IMAP_NEED_HEADER:
	case IMAP_NEED_BYTES:
		return match_text(m, key);
	default:
		return match_row(m, key);
	}
}

int
imap_search_match(struct imap_matcher *matcher,
    const struct imap_search_key *key, const struct imap_search_view *view,
    const struct imap_search_message *message)
{
	struct match m = { matcher, view, message };

	if (matcher != NULL)
		imap_matcher_next(matcher);
	return match_key(&m, key);
}
