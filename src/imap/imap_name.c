/*
 * imap_name.c - names of mailboxes on the wire of one session: modified UTF-7
 * until the client says that it knows UTF-8 (RFC 6855, RFC 9051 5.1).
 */
#include "imap/imap_state.h"

int
imap_take_name(struct imap_task *t, struct span sent, struct span *name)
{
	return imap_speaks_utf8(t->s)
	    ? imap_name_decode_utf8(sent, t->arena, name)
	    : imap_name_decode(sent, t->arena, name);
}

struct span
imap_show_name(struct imap_task *t, struct span name)
{
	return imap_speaks_utf8(t->s) ? name
	    : imap_name_encode(name, t->arena);
}

void
imap_add_name(struct imap_task *t, struct text *out, struct span name)
{
	imap_add_astring(out, imap_show_name(t, name), imap_text_mode(t->s));
}
