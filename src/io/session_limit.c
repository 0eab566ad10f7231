/*
 * session_limit.c - how many sessions, in all and from one neighbourhood.
 *
 * A place is shared by all sessions of one service from one neighbourhood; it
 * exists while there is one. Services are few and live in a list.
 */
#include "io/session_limit.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/map.h"

struct house {
	const struct service *service;
	size_t count;
	struct map *places;	/* neighbourhood -> struct session_place */
	struct house *next;
};

struct session_place {
	struct house *house;
	size_t count;
	char key[9];
	size_t key_n;
};

static _Thread_local struct house *houses;

static struct house *
house_of(const struct service *service)
{
	struct house *h;

	for (h = houses; h != NULL; h = h->next)
		if (h->service == service)
			return h;
	h = xcalloc(1, sizeof(*h));
	h->service = service;
	h->places = map_new();
	h->next = houses;
	houses = h;
	return h;
}

static void
house_free(struct house *gone)
{
	struct house **p = &houses;

	while (*p != gone)
		p = &(*p)->next;
	*p = gone->next;
	map_free(&gone->places);
	free(gone);
}

/* The family, then 4 bytes of an IPv4 address or 8 of an IPv6 one. */
static void
neighbourhood(struct session_place *p, const struct sockaddr_storage *from)
{
	const struct sockaddr_in6 *in6 = (const void *)from;
	const struct sockaddr_in *in = (const void *)from;
	const uint8_t *bytes = in6->sin6_addr.s6_addr;

	p->key[0] = '4';
	p->key_n = 5;
	if (from->ss_family == AF_INET) {
		memcpy(p->key + 1, &in->sin_addr, 4);
	} else if (from->ss_family != AF_INET6) {
		p->key[0] = 'u';
		p->key_n = 1;
	} else if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		memcpy(p->key + 1, bytes + 12, 4);
	} else {
		p->key[0] = '6';
		p->key_n = 9;
		memcpy(p->key + 1, bytes, 8);
	}
}

struct session_place *
session_place_take(const struct service *service,
    const struct sockaddr_storage *from, size_t max, size_t max_per_address)
{
	struct house *h = house_of(service);
	struct session_place at, *p;
	struct span key;

	if (max != 0 && h->count >= max)
		return NULL;
	neighbourhood(&at, from);
	key = span_of(at.key, at.key_n);
	p = map_get(h->places, key);
	if (p != NULL && max_per_address != 0 && p->count >= max_per_address)
		return NULL;
	if (p == NULL) {
		p = xmalloc(sizeof(*p));
		*p = at;
		p->house = h;
		p->count = 0;
		map_put(h->places, key, p);
	}
	p->count++;
	h->count++;
	return p;
}

void
session_place_give(struct session_place *p)
{
	struct house *h = p->house;

	must(p->count > 0 && h->count > 0);
	h->count--;
	if (--p->count == 0) {
		map_remove(h->places, span_of(p->key, p->key_n));
		free(p);
	}
	if (h->count == 0)
		house_free(h);
}

size_t
session_place_count(const struct service *service)
{
	size_t sum = 0;

	for (struct house *h = houses; h != NULL; h = h->next)
		if (service == NULL || h->service == service)
			sum += h->count;
	return sum;
}
