/*
 * smtp_peer.c - who speaks here, and how fast.
 *
 * What strangers on port 25 meet before their mail is looked at: limits of a
 * minute for an address and its network, a wait before the greeting that
 * nobody but a spammer's program breaks, answers to errors that come slower
 * and slower. Doubted are those whose address has no name that leads back to
 * it. The settings smtp.trusted and a login take all of it away, but for an
 * account's own limits. Nothing of it is believed when the DNS is silent.
 */
#include <stdlib.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/network.h"
#include "io/fiber.h"
#include "smtp/smtp_peer.h"
#include "smtp/smtp_rate.h"
#include "verify/resolve.h"

enum {
	NETWORK_SHARE = 10,	/* what a network may do, in its addresses */
	NAMES_MAX = 4,		/* of one address, that are looked up */
	NAME_MEMORY = 256 << 10,
	NAME_WAIT = 3000,	/* ms, when a message wants it */
	PATIENCE = 4,		/* errors that are not held back */
	SLOWEST = 10,		/* times the setting */
};

/* Held by the session and by the fiber that asks: whoever ends last frees. */
struct smtp_name {
	unsigned holders;
	bool done;
	bool doubtful;		/* the DNS says: no name that leads back */
	struct fiber *waiter;
	struct ip_address address;
	char name[256];		/* "": none is known */
};

/* ---- the name of an address ------------------------------------------- */

static void
let_go(struct smtp_name *n)
{
	if (--n->holders == 0)
		free(n);
}

/* Does it lead back to the address? 1, 0, -1 nobody knows. */
static int
leads_back(const struct smtp_name *n, struct span name, struct arena *a)
{
	struct ip_address *list;
	size_t count;
	struct resolve_answer answer = resolve_addresses(name,
	    n->address.family, a, &list, &count);
	size_t size = n->address.family == AF_INET ? 4 : 16;

	if (answer.status == RESOLVE_TEMPORARY)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (memcmp(list[i].b, n->address.b, size) == 0)
			return 1;
	return 0;
}

static void
find_name(struct smtp_name *n, struct arena *a)
{
	struct span *names;
	size_t count;
	struct resolve_answer answer = resolve_ptr(&n->address, a, &names,
	    &count);
	bool unknown = answer.status == RESOLVE_TEMPORARY;
	int status = 0;

	for (size_t i = 0; i < MIN(count, NAMES_MAX) && status != 1; i++) {
		if (names[i].n == 0 || names[i].n >= sizeof(n->name))
			continue;
		status = leads_back(n, names[i], a);
		unknown = unknown || status < 0;
		if (status == 1)
			memcpy(n->name, names[i].p, names[i].n);
	}
	n->doubtful = status != 1 && !unknown;
}

static void
ask(void *arg)
{
	struct smtp_name *n = arg;
	struct arena *a = arena_new(NAME_MEMORY);

	find_name(n, a);
	arena_free(&a);
	n->done = true;
	if (n->waiter != NULL)
		fiber_nudge(n->waiter);
	let_go(n);
}

static struct smtp_name *
new_name(void)
{
	struct smtp_name *n = xcalloc(1, sizeof(*n));

	n->holders = 1;
	return n;
}

static void
look_up(struct smtp *s)
{
	struct smtp_name *n = new_name();

	s->name = n;
	n->done = ip_parse(span_str(session_peer(s->session)->address),
	    &n->address) != 1;
	if (n->done)
		return;
	n->holders++;
	if (fiber_start(ask, n) != 1) {
		n->done = true;
		let_go(n);
	}
}

static void
wait_for_name(struct smtp_name *n, monotime_t deadline)
{
	if (n->done)
		return;
	n->waiter = fiber_self();
	(void)fiber_wait_for(&n->done, deadline);
	n->waiter = NULL;
}

struct span
smtp_peer_name(struct smtp *s)
{
	if (s->name == NULL)
		return SPAN_EMPTY;
	wait_for_name(s->name, clock_after(NAME_WAIT));
	return s->name->done ? span_str(s->name->name) : SPAN_EMPTY;
}

void
smtp_peer_named(struct smtp *s, struct span name)
{
	smtp_peer_gone(s);
	s->name = new_name();
	s->name->done = true;
	name = span_sub(name, 0, sizeof(s->name->name) - 1);
	if (name.n > 0)
		memcpy(s->name->name, name.p, name.n);
}

static bool
is_doubtful(const struct smtp *s)
{
	return s->name != NULL && s->name->done && s->name->doubtful;
}

/* ---- limits of a minute ------------------------------------------------- */

enum { KEY_MAX = 18 };

/* For the table of rates: where it is, and how wide. */
static struct span
key_of(const struct network *n, char key[KEY_MAX])
{
	key[0] = n->ipv6 ? '6' : '4';
	key[1] = (char)n->bits;
	memcpy(key + 2, n->b, sizeof(n->b));
	return span_of(key, KEY_MAX);
}

/* An address and its neighbourhood; IPv6: whoever has one has its /64. */
static bool
take_address(const struct smtp *s, enum smtp_rate rate, uint64_t per_minute)
{
	monotime_t now = clock_mono();
	struct network address, one, around;
	char key[KEY_MAX];

	if (network_parse(span_str(session_peer(s->session)->address),
	    &address) != 1)
		return true;
	one = network_around(&address, 32, 64);
	around = network_around(&address, 24, 48);
	return smtp_rate_take(rate, key_of(&one, key), per_minute, now) &&
	    smtp_rate_take(rate, key_of(&around, key),
	    per_minute * NETWORK_SHARE, now);
}

/* Has it made too many errors just now? */
static bool
has_erred_enough(const struct smtp *s)
{
	struct network address, one;
	char key[KEY_MAX];

	if (network_parse(span_str(session_peer(s->session)->address),
	    &address) != 1)
		return false;
	one = network_around(&address, 32, 64);
	return !smtp_rate_has(RATE_ERRORS, key_of(&one, key),
	    smtp_settings()->smtp_errors_per_minute, clock_mono());
}

static bool
take_sending(const struct smtp *s, enum smtp_rate rate, uint64_t of_address,
    uint64_t of_account)
{
	if (s->trusted)
		return true;
	if (s->login != NULL)
		return smtp_rate_take(rate, span_str(s->login), of_account,
		    clock_mono());
	return take_address(s, rate, of_address);
}

static void
log_too_fast(const struct smtp *s, const char *what)
{
	log_event(LOG_LEVEL_WARNING, "smtp.too_fast",
	    log_str("session", session_id(s->session)),
	    log_str("peer", session_peer(s->session)->address),
	    log_str("user", s->login != NULL ? s->login : ""),
	    log_str("what", what));
}

enum smtp_reply
smtp_peer_sends(struct smtp *s)
{
	const struct settings *set = smtp_settings();

	if (take_sending(s, RATE_MESSAGES, set->smtp_messages_per_minute,
	    set->submission_messages_per_minute))
		return REPLY_OK;
	log_too_fast(s, "messages");
	return REPLY_FAST_MESSAGES;
}

enum smtp_reply
smtp_peer_names(struct smtp *s)
{
	const struct settings *set = smtp_settings();

	if (take_sending(s, RATE_RECIPIENTS, set->smtp_recipients_per_minute,
	    set->submission_recipients_per_minute))
		return REPLY_OK;
	log_too_fast(s, "recipients");
	return REPLY_FAST_RECIPIENTS;
}

/* ---- coming ------------------------------------------------------------- */

enum smtp_reply
smtp_peer_came(struct smtp *s)
{
	const struct settings *set = smtp_settings();
	struct span address = span_str(session_peer(s->session)->address);

	s->proxy = s->proxy || smtp_is_lmtp(s) ||
	    networks_have(span_str(set->smtp_xclient_from), address);
	s->trusted = smtp_is_lmtp(s) ||
	    networks_have(span_str(set->smtp_trusted), address);
	if (!smtp_is_open(s) || s->trusted)
		return REPLY_OK;
	if (has_erred_enough(s)) {
		log_too_fast(s, "errors");
		return REPLY_FAST_CONNECTIONS;
	}
	if (!take_address(s, RATE_CONNECTIONS,
	    set->smtp_connections_per_minute)) {
		log_too_fast(s, "connections");
		return REPLY_FAST_CONNECTIONS;
	}
	if (s->name == NULL && set->smtp_reverse_names && smtp_resolves())
		look_up(s);
	return REPLY_OK;
}

/* Whose name is known is greeted as soon as it is. */
enum smtp_reply
smtp_peer_wait(struct smtp *s)
{
	int64_t delay = smtp_settings()->smtp_greet_delay;
	monotime_t until = clock_after(delay);
	int status;

	if (s->name == NULL || delay == 0)
		return REPLY_OK;
	wait_for_name(s->name, until);
	if (!is_doubtful(s))
		return REPLY_OK;
	status = stream_fill(s->stream, until);
	if (status == -1 && errno == ETIMEDOUT && stream_error(s->stream) == 0)
		return REPLY_OK;
	if (status != 1)
		return REPLY_GONE;
	log_event(LOG_LEVEL_INFO, "smtp.too_eager",
	    log_str("session", session_id(s->session)),
	    log_str("peer", session_peer(s->session)->address));
	return REPLY_TOO_EAGER;
}

void
smtp_peer_gone(struct smtp *s)
{
	if (s->name != NULL)
		let_go(s->name);
	s->name = NULL;
}

/* ---- errors ------------------------------------------------------------- */

static void
hold_back(const struct smtp *s)
{
	unsigned spared = is_doubtful(s) ? 0 : PATIENCE, over;
	monotime_t until;

	if (s->errors <= spared)
		return;
	over = MIN(s->errors - spared, SLOWEST);
	until = clock_after(smtp_settings()->smtp_slow_down * over);
	while (fiber_wait(until) == 1)
		;
}

bool
smtp_peer_erred(struct smtp *s)
{
	const struct settings *set = smtp_settings();

	s->errors++;
	if (smtp_is_lmtp(s))
		return true;
	if (smtp_is_open(s) && !s->trusted) {
		if (!take_address(s, RATE_ERRORS, set->smtp_errors_per_minute))
			return false;
		if (set->smtp_slow_down > 0)
			hold_back(s);
	}
	return s->errors < set->smtp_max_errors;
}
