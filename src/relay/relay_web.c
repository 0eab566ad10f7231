/*
 * relay_web.c - the addresses of a web server, and a connection to one.
 */
#include "relay/relay_web.h"
#include "relay/relay.h"
#include "relay/relay_target.h"

#include <sys/socket.h>

enum { ADDRESSES_MAX = 8 };

/* Half of them at most IPv6; *why when there is none. */
static size_t
find_addresses(struct span host, bool anywhere, struct arena *arena,
    struct ip_address out[ADDRESSES_MAX], struct text *why)
{
	static const int families[] = { AF_INET6, AF_INET };
	struct resolve_answer a = { .why = SPAN_EMPTY };
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		struct ip_address *list;
		size_t n, room = ADDRESSES_MAX / 2 * (i + 1);

		a = resolve_addresses(host, families[i], arena, &list, &n);
		for (size_t j = 0; j < n && count < room; j++)
			if (anywhere || !relay_address_is_local(&list[j]))
				out[count++] = list[j];
	}
	if (count == 0)
		text_printf(why, "%.*s: %.*s", SPAN_ARG(host),
		    SPAN_ARG(a.why.n > 0 ? a.why : SPAN("no address")));
	return count;
}

static struct stream *
web_open(struct span host, bool anywhere, uint16_t port,
    const struct tls_peer *peer, monotime_t deadline, struct arena *arena,
    struct http_failure *failure)
{
	struct ip_address list[ADDRESSES_MAX];
	size_t n;

	failure->in_tls = false;
	n = find_addresses(host, anywhere, arena, list, &failure->why);
	return n == 0 ? NULL : http_connect(list, n, port, relay_tls, peer,
	    deadline, failure);
}

struct stream *
relay_web_open(struct span host, uint16_t port, const struct tls_peer *peer,
    monotime_t deadline, struct arena *arena, struct http_failure *failure)
{
	return web_open(host, relay_settings()->relay_local_addresses, port,
	    peer, deadline, arena, failure);
}

struct stream *
relay_web_open_any(struct span host, uint16_t port,
    const struct tls_peer *peer, monotime_t deadline, struct arena *arena,
    struct http_failure *failure)
{
	return web_open(host, true, port, peer, deadline, arena, failure);
}
