/*
 * metadata_record.c - annotations: their names, keys and records.
 */
#include "store/metadata_record.h"
#include "store/mailbox_record.h"
#include "store/schema.h"
#include "ipc/wire.h"

enum { METADATA_VERSION = 1, PREFIX = 1 + sizeof(uint64_t) };

/* Printable ASCII but for LIST's wildcards (RFC 5464 section 3.2). */
static bool
is_name_char(char c)
{
	return ascii_is_print(c) && c != '*' && c != '%';
}

static bool
is_under(struct span name, struct span top)
{
	return span_starts(name, top) &&
	    (name.n == top.n || name.p[top.n] == '/');
}

int
metadata_name(struct span given, struct arena *arena, struct span *name)
{
	char *p;

	if (given.n == 0 || given.n > METADATA_NAME_MAX ||
	    given.p[given.n - 1] == '/')
		return 0;
	for (size_t i = 0; i < given.n; i++)
		if (!is_name_char(given.p[i]) || (given.p[i] == '/' &&
		    given.p[i + 1] == '/'))
			return 0;
	if ((p = arena_cstr(arena, given)) == NULL)
		return -1;
	for (size_t i = 0; i < given.n; i++)
		p[i] = ascii_lower(p[i]);
	*name = span_of(p, given.n);
	return is_under(*name, SPAN("/shared")) ||
	    is_under(*name, SPAN("/private"));
}

bool
metadata_is_shared(struct span name)
{
	return span_starts(name, SPAN("/shared"));
}

bool
metadata_can_hold(struct span name)
{
	return span_find_char(name, '/', 1) != SIZE_MAX;
}

bool
metadata_matches(struct span name, struct span wanted, uint32_t depth)
{
	uint32_t levels = 0;

	if (!is_under(name, wanted))
		return false;
	for (size_t i = wanted.n; i < name.n; i++)
		levels += name.p[i] == '/';
	return levels <= depth;
}

void
metadata_key(struct text *key, uint64_t mailbox, struct span name)
{
	struct key head = key_u64(ACCOUNT_METADATA, mailbox);

	text_clear(key);
	text_add(key, key_span(&head));
	text_add(key, name);
}

int
metadata_key_read(struct span key, uint64_t *mailbox, struct span *name)
{
	if (key.n <= PREFIX || key.p[0] != ACCOUNT_METADATA ||
	    !key_read_u64(span_sub(key, 0, PREFIX), mailbox))
		return 0;
	*name = span_from(key, PREFIX);
	return 1;
}

void
metadata_key_after(struct text *key, uint64_t mailbox)
{
	/* Names begin with '/'. */
	metadata_key(key, mailbox, SPAN("0"));
	_Static_assert('/' + 1 == '0', "what comes behind every name");
}

void
metadata_encode(struct text *record, struct span value)
{
	put_u8(record, METADATA_VERSION);
	text_add(record, value);
}

int
metadata_decode(struct span record, struct span *value)
{
	struct cursor c = { .rest = record };

	if (get_u8(&c) != METADATA_VERSION || c.bad)
		return 0;
	*value = c.rest;
	return 1;
}
