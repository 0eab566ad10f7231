/*
 * smtp_xclient.c - XCLIENT's attributes, a row each, and what they change.
 *
 * LOGIN is not taken: who is logged in is for the store to say, and it asks
 * for a password.
 */
#include "smtp/smtp_xclient.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/log.h"
#include "smtp/smtp_parameter.h"
#include "smtp/smtp_peer.h"

enum { NAME_MAX_CHARS = 255, ADDRESS_MAX = 64 };

/* ---- the attributes ----------------------------------------------------- */

typedef bool take_attribute(struct smtp_xclient *, struct span value);

/* What could stand in a Received header. */
static bool
is_name(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alnum(s.p[i]) && (s.p[i] == '\0' ||
		    strchr("-._:[]", s.p[i]) == NULL))
			return false;
	return s.n <= NAME_MAX_CHARS;
}

static bool
take_name(struct smtp_xclient *x, struct span value)
{
	x->has_name = true;
	x->name = value;
	return is_name(value);
}

static bool
take_helo(struct smtp_xclient *x, struct span value)
{
	x->has_helo = true;
	x->helo = value;
	return is_name(value);
}

static bool
parse_address(struct span s, struct sockaddr_storage *out)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in in = { .sin_family = AF_INET };
	const struct span mark = SPAN("IPV6:");
	bool six = span_starts_nocase(s, mark);
	char text[ADDRESS_MAX];

	*out = (struct sockaddr_storage){ .ss_family = AF_UNSPEC };
	if (s.n == 0)
		return true;
	s = span_from(s, six ? mark.n : 0);
	if (s.n >= sizeof(text))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	if (six) {
		memcpy(out, &in6, sizeof(in6));
		return inet_pton(AF_INET6, text,
		    &((struct sockaddr_in6 *)out)->sin6_addr) == 1;
	}
	memcpy(out, &in, sizeof(in));
	return inet_pton(AF_INET, text,
	    &((struct sockaddr_in *)out)->sin_addr) == 1;
}

static bool
take_address(struct smtp_xclient *x, struct span value)
{
	x->has_address = true;
	return parse_address(value, &x->address);
}

static bool
take_port(struct smtp_xclient *x, struct span value)
{
	uint32_t port = 0;

	if (value.n > 0 && (span_u32(value, &port) != 1 || port > 65535))
		return false;
	x->has_port = true;
	x->port = (uint16_t)port;
	return true;
}

static bool
take_protocol(struct smtp_xclient *x, struct span value)
{
	(void)x;
	return value.n == 0 || span_is_nocase(value, "SMTP") ||
	    span_is_nocase(value, "ESMTP") || span_is_nocase(value, "LMTP");
}

/* Where they connected to: nothing here depends on it. */
static bool
take_our_address(struct smtp_xclient *x, struct span value)
{
	struct sockaddr_storage unused;

	(void)x;
	return parse_address(value, &unused);
}

static bool
take_our_port(struct smtp_xclient *x, struct span value)
{
	struct smtp_xclient unused = *x;

	return take_port(&unused, value);
}

static const struct {
	const char *name;
	take_attribute *take;
} attributes[] = {
	{ "NAME",     take_name        },
	{ "ADDR",     take_address     },
	{ "PORT",     take_port        },
	{ "PROTO",    take_protocol    },
	{ "HELO",     take_helo        },
	{ "DESTADDR", take_our_address },
	{ "DESTPORT", take_our_port    },
};

static int
take_one(struct smtp_xclient *x, struct span word, struct arena *a)
{
	struct span name, value = span_cut(word, '=', &name);
	int status;

	if (name.n == word.n || value.n == 0)
		return 0;
	if (span_is_nocase(value, "[UNAVAILABLE]") ||
	    span_is_nocase(value, "[TEMPUNAVAIL]"))
		value = SPAN_EMPTY;
	status = smtp_xtext_decode(value, a, &value);
	if (status != 1)
		return status;
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++)
		if (span_is_nocase(name, attributes[i].name))
			return attributes[i].take(x, value);
	return 0;
}

int
smtp_xclient_parse(struct span list, struct arena *a, struct smtp_xclient *x)
{
	struct span word;
	int status = 1;

	*x = (struct smtp_xclient){ .port = 0 };
	while (status == 1 && (word = span_word(&list)).n > 0)
		status = take_one(x, word, a);
	return status;
}

/* ---- the command -------------------------------------------------------- */

static void
set_port(struct sockaddr_storage *to, uint16_t port)
{
	if (to->ss_family == AF_INET)
		((struct sockaddr_in *)to)->sin_port = htons(port);
	else if (to->ss_family == AF_INET6)
		((struct sockaddr_in6 *)to)->sin6_port = htons(port);
}

static void
set_helo(struct smtp *s, struct span helo)
{
	free(s->spoken_for);
	s->spoken_for = helo.n > 0 ? strndup(helo.p, helo.n) : NULL;
}

/* As if the connection had just come, from somebody else. */
enum smtp_reply
smtp_xclient(struct smtp *s, const struct smtp_command *c)
{
	struct smtp_xclient x;
	enum smtp_reply reply;

	if (smtp_xclient_parse(c->argument, s->arena, &x) != 1)
		return REPLY_BAD_VALUE;
	smtp_forget_client(s);
	s->errors = s->failures = 0;
	if (x.has_helo)
		set_helo(s, x.helo);
	if (x.has_name)
		smtp_peer_named(s, x.name);
	else if (x.has_address)
		smtp_peer_gone(s);
	if (x.has_address && x.address.ss_family != AF_UNSPEC) {
		set_port(&x.address, x.port);
		if (session_set_peer(s->session, &x.address) != 1)
			return REPLY_FAST_CONNECTIONS;
	}
	log_event(LOG_LEVEL_INFO, "smtp.xclient",
	    log_str("session", session_id(s->session)),
	    log_str("peer", session_peer(s->session)->address),
	    log_text("name", x.name), log_text("helo", x.helo));
	reply = smtp_peer_came(s);
	if (reply != REPLY_OK)
		return reply;
	smtp_greet(s);
	return REPLY_SAID;
}
