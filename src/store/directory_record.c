/*
 * directory_record.c - keys and records of the directory. Pure.
 */
#include "ipc/wire.h"
#include "store/directory_impl.h"

int
name_parse(struct span address, bool all, struct arena *arena,
    struct name *out)
{
	struct span key;
	size_t at;
	int rc;

	*out = (struct name){ 0 };
	if (address.n > ADDRESS_LIMIT)
		return 0;
	if (all && address.n > 1 && address.p[0] == '@') {
		rc = address_domain(span_from(address, 1), arena,
		    &out->domain);
		if (rc != 1)
			return rc;
		out->text = arena_printf(arena, "@%.*s",
		    SPAN_ARG(out->domain));
		return out->text.p == NULL ? -1 : 1;
	}
	rc = address_mailbox(address, ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_BARE,
	    arena, &out->address);
	if (rc != 1)
		return rc;
	out->domain = out->address.domain;
	out->text = address_text(arena, &out->address);
	key = address_key(arena, &out->address);
	if (out->text.p == NULL || key.p == NULL)
		return -1;
	at = out->domain.n > 0 ? key.n - out->domain.n - 1 : key.n;
	out->local = span_sub(key, 0, at);
	return 1;
}

struct span
name_group_key(const struct name *name, struct arena *arena)
{
	return arena_printf(arena, "%.*s@%.*s", SPAN_ARG(name->local),
	    SPAN_ARG(name->domain));
}

/* -- keys ---------------------------------------------------------------- */

void
key_domain(struct text *out, struct span domain)
{
	text_clear(out);
	text_char(out, DIRECTORY_DOMAIN);
	text_add(out, domain);
}

void
key_name(struct text *out, struct span domain, struct span local)
{
	text_clear(out);
	text_char(out, DIRECTORY_NAME);
	text_add(out, domain);
	text_char(out, '\0');
	text_add(out, local);
}

void
key_id(struct text *out, enum directory_key kind, uint64_t id)
{
	text_clear(out);
	text_char(out, (char)kind);
	for (int shift = 56; shift >= 0; shift -= 8)
		text_char(out, (char)(uint8_t)(id >> shift));
}

void
key_after(struct text *out, struct span prefix)
{
	text_clear(out);
	text_add(out, prefix);
	while (out->n > 0 && (uint8_t)out->p[out->n - 1] == 0xff)
		out->n--;
	if (out->n > 0)
		out->p[out->n - 1]++;
}

/* -- records ------------------------------------------------------------- */

static bool
known_version(struct cursor *c, uint8_t *version)
{
	*version = get_u8(c);
	return *version >= 1 && *version <= DIRECTORY_RECORD;
}

void
domain_encode(struct text *out, const struct domain_record *d)
{
	put_u8(out, DIRECTORY_RECORD);
	put_i64(out, d->created);
	put_u64(out, d->first_account);
}

int
domain_decode(struct span record, struct domain_record *d)
{
	struct cursor c = { record, false };
	uint8_t version;

	if (!known_version(&c, &version))
		return 0;
	d->created = get_i64(&c);
	d->first_account = get_u64(&c);
	return !c.bad;
}

void
name_encode(struct text *out, const struct name_record *n)
{
	put_u8(out, DIRECTORY_RECORD);
	put_u8(out, (uint8_t)n->kind);
	put_i64(out, n->created);
	put_bytes(out, n->text);
	put_u64(out, n->account);
	put_bytes(out, n->targets);
	put_u32(out, n->flags);
}

int
name_decode(struct span record, struct name_record *n)
{
	struct cursor c = { record, false };
	uint8_t version;

	if (!known_version(&c, &version))
		return 0;
	n->kind = (enum name_kind)get_u8(&c);
	n->created = get_i64(&c);
	n->text = get_bytes(&c, ADDRESS_LIMIT);
	n->account = get_u64(&c);
	n->targets = get_bytes(&c, TARGETS_LIMIT);
	n->flags = version >= 2 ? get_u32(&c) : 0;
	return !c.bad && n->kind >= NAME_ACCOUNT && n->kind <= NAME_MASK;
}

void
account_encode(struct text *out, const struct account *a)
{
	put_u8(out, DIRECTORY_RECORD);
	put_u32(out, a->epoch);
	put_i64(out, a->created);
	put_bytes(out, a->address);
	put_bytes(out, a->credentials);
	put_u64(out, a->max_messages);
	put_u64(out, a->max_recipients);
}

int
account_decode(struct span record, struct account *a)
{
	struct cursor c = { record, false };
	uint8_t version;

	if (!known_version(&c, &version))
		return 0;
	a->epoch = get_u32(&c);
	a->created = get_i64(&c);
	a->address = get_bytes(&c, ADDRESS_LIMIT);
	a->credentials = get_bytes(&c, CREDENTIALS_LIMIT);
	a->max_messages = version >= 2 ? get_u64(&c) : UINT64_MAX;
	a->max_recipients = version >= 2 ? get_u64(&c) : UINT64_MAX;
	return !c.bad;
}
