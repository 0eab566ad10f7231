/*
 * lockout.c - counting failures.
 *
 * A counter rises with each failure and is forgotten when auth.lockout_time
 * has passed since the last one. It locks at auth.lockout_failures for an
 * account, ten times as many for an address (IPv6: a /64), and forty times
 * for the network around it (a /24, a /48). While it locks nothing is
 * counted, so that a lockout ends. Loopback addresses are many people's
 * (webmail, a proxy): only accounts are locked there.
 */
#include "store/lockout.h"
#include "base/clock.h"
#include "base/map.h"
#include "store/cache.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>

enum {
	COUNTERS_MAX = 65536,
	ADDRESS_TIMES = 10,
	NETWORK_TIMES = 40,
	DELAY_DOUBLINGS = 3,
	KEY_MAX = 600,
};

struct counter {
	uint64_t failures;
	int64_t last_ms;
	uint64_t password;		/* keyed hash of the last wrong one */
};

struct lockout {
	pthread_mutex_t lock;
	struct cache *counters;
};

struct lockout *
lockout_new(void)
{
	struct lockout *l = xcalloc(1, sizeof(*l));

	pthread_mutex_init(&l->lock, NULL);
	l->counters = cache_new(COUNTERS_MAX);
	return l;
}

void
lockout_free(struct lockout **lp)
{
	struct lockout *l = *lp;

	if (l == NULL)
		return;
	cache_free(&l->counters);
	pthread_mutex_destroy(&l->lock);
	free(l);
	*lp = NULL;
}

/* -- addresses ------------------------------------------------------------- */

struct peer {
	uint8_t family;			/* 4, 6; 0: not an address */
	uint8_t bytes[16];
	bool loopback;
};

static struct peer
peer_parse(struct span text)
{
	struct peer p = { 0 };
	char buffer[INET6_ADDRSTRLEN];
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	static const uint8_t loopback6[16] = { [15] = 1 };

	if (text.n == 0 || text.n >= sizeof(buffer))
		return p;
	memcpy(buffer, text.p, text.n);
	buffer[text.n] = '\0';
	if (inet_pton(AF_INET, buffer, p.bytes) == 1)
		p.family = 4;
	else if (inet_pton(AF_INET6, buffer, p.bytes) == 1)
		p.family = 6;
	if (p.family == 6 && memcmp(p.bytes, mapped, sizeof(mapped)) == 0) {
		p.family = 4;
		memmove(p.bytes, p.bytes + 12, 4);
		memset(p.bytes + 4, 0, 12);
	}
	p.loopback = p.family == 4 ? p.bytes[0] == 127 : p.family == 6 &&
	    memcmp(p.bytes, loopback6, sizeof(loopback6)) == 0;
	return p;
}

bool
lockout_network(struct span peer, uint8_t out[NETWORK_MAX])
{
	struct peer p = peer_parse(peer);

	memset(out, 0, NETWORK_MAX);
	out[0] = p.family;
	memcpy(out + 1, p.bytes, p.family == 4 ? 3 : 8);
	return p.family != 0;
}

/* -- counters -------------------------------------------------------------- */

/* The counters of an attempt: at most three, with what each bears. */
struct count_key {
	char bytes[KEY_MAX];
	size_t n;
	uint64_t times;			/* auth.lockout_failures this often */
};

static void
key_set(struct count_key *k, char kind, struct span a, struct span b,
    uint64_t times)
{
	a = span_sub(a, 0, KEY_MAX - NETWORK_MAX - 1);
	b = span_sub(b, 0, NETWORK_MAX);
	k->bytes[0] = kind;
	memcpy(k->bytes + 1, a.p != NULL ? a.p : "", a.n);
	memcpy(k->bytes + 1 + a.n, b.p != NULL ? b.p : "", b.n);
	k->n = 1 + a.n + b.n;
	k->times = times;
}

static size_t
keys_of(const struct attempt *at, struct count_key keys[3])
{
	struct peer p = peer_parse(at->peer);
	uint8_t network[NETWORK_MAX];
	size_t n = 0;

	lockout_network(at->peer, network);
	if (at->known && !at->by_token) {
		key_set(&keys[n++], 'k', at->login,
		    span_of(network, sizeof(network)), ADDRESS_TIMES);
		return n;
	}
	if (!at->by_token)
		key_set(&keys[n++], 'u', at->login, SPAN_EMPTY, 1);
	if (p.family == 0 || p.loopback)
		return n;
	key_set(&keys[n++], p.family == 4 ? 'a' : 'A',
	    span_of(p.bytes, p.family == 4 ? 4 : 8), SPAN_EMPTY,
	    ADDRESS_TIMES);
	key_set(&keys[n++], p.family == 4 ? 'n' : 'N',
	    span_of(p.bytes, p.family == 4 ? 3 : 6), SPAN_EMPTY,
	    NETWORK_TIMES);
	return n;
}

static struct counter
counter_get(struct lockout *l, const struct settings *s,
    const struct count_key *key, int64_t now)
{
	struct counter c = { 0 };

	if (cache_read(l->counters, span_of(key->bytes, key->n), &c,
	    sizeof(c)) == 1 && now - c.last_ms >= s->auth_lockout_time)
		c = (struct counter){ 0 };
	return c;
}

bool
lockout_locked(struct lockout *l, const struct settings *s,
    const struct attempt *at)
{
	struct count_key keys[3];
	size_t n = keys_of(at, keys);
	int64_t now = clock_mono().ms;
	bool locked = false;

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < n; i++)
		if (counter_get(l, s, &keys[i], now).failures >=
		    s->auth_lockout_failures * keys[i].times)
			locked = true;
	pthread_mutex_unlock(&l->lock);
	return locked;
}

static uint32_t
delay_of(const struct settings *s, uint64_t failures)
{
	uint64_t doublings = failures == 0 ? 0 :
	    MIN(failures - 1, DELAY_DOUBLINGS);

	return (uint32_t)MIN((uint64_t)s->auth_failure_delay << doublings,
	    UINT32_MAX);
}

uint32_t
lockout_failed(struct lockout *l, const struct settings *s,
    const struct attempt *at, struct span password)
{
	struct count_key keys[3];
	size_t n = keys_of(at, keys);
	int64_t now = clock_mono().ms;
	uint64_t hash = password.n > 0 ? map_hash(password) | 1 : 0;
	uint64_t most = 0;
	bool again = false;

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < n; i++) {
		struct counter c = counter_get(l, s, &keys[i], now);

		if (i == 0)
			again = hash != 0 && c.password == hash;
		if (!again)
			c.failures++;
		c.last_ms = again ? c.last_ms : now;
		c.password = hash;
		most = MAX(most, i == 0 ? c.failures
		    : c.failures / ADDRESS_TIMES);
		cache_put(l->counters, span_of(keys[i].bytes, keys[i].n),
		    span_of(&c, sizeof(c)));
	}
	pthread_mutex_unlock(&l->lock);
	return delay_of(s, most);
}

/*
 * The owner's own failures from there are forgiven; those of an address or a
 * network are not, or a guesser with an account of their own could wipe them.
 */
void
lockout_succeeded(struct lockout *l, const struct attempt *at)
{
	struct attempt owner = *at;
	struct count_key keys[3];

	owner.known = true;
	owner.by_token = false;
	must(keys_of(&owner, keys) == 1);
	cache_remove(l->counters, span_of(keys[0].bytes, keys[0].n));
}
