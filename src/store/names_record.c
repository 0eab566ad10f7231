/*
 * names_record.c - an account's records, to bytes and back.
 */
#include "store/names_record.h"
#include "ipc/wire.h"

enum { RECORD_VERSION = 1 };

void
mailbox_name_encode(struct text *t, const struct mailbox_name *r)
{
	put_u8(t, RECORD_VERSION);
	put_bytes(t, r->name);
	put_u32(t, r->use);
	put_u32(t, r->uidvalidity);
	put_raw(t, r->token.b, sizeof(r->token.b));
}

int
mailbox_name_decode(struct span record, struct mailbox_name *r)
{
	struct cursor c = { .rest = record };

	if (get_u8(&c) != RECORD_VERSION)
		c.bad = true;
	r->name = get_bytes(&c, MAILBOX_NAME_MAX);
	r->use = get_u32(&c);
	r->uidvalidity = get_u32(&c);
	get_raw(&c, r->token.b, sizeof(r->token.b));
	return !c.bad && c.rest.n == 0 && r->name.n > 0;
}

void
intent_encode(struct text *t, const struct intent *intent)
{
	put_u8(t, RECORD_VERSION);
	put_u8(t, (uint8_t)intent->kind);
	put_raw(t, intent->token.b, sizeof(intent->token.b));
	put_u64(t, intent->source);
	put_u64(t, intent->target);
	uids_put(t, &intent->uids);
}

int
intent_decode(struct span record, struct intent *intent)
{
	struct cursor c = { .rest = record };

	if (get_u8(&c) != RECORD_VERSION)
		c.bad = true;
	intent->kind = get_u8(&c);
	if (intent->kind < INTENT_MOVE || intent->kind > INTENT_REPLACE)
		c.bad = true;
	get_raw(&c, intent->token.b, sizeof(intent->token.b));
	intent->source = get_u64(&c);
	intent->target = get_u64(&c);
	uids_get(&c, &intent->uids);
	return !c.bad && c.rest.n == 0;
}
