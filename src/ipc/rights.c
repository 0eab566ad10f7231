/*
 * rights.c - the letters of rights.
 *
 * RFC 4314 2.1.1 leaves open whether c or d of RFC 2086 let somebody remove a
 * mailbox; here it is d.
 */
#include "ipc/rights.h"

static const struct {
	char letter;
	bool old;
	uint32_t rights;
} letters[] = {
	{ 'l', false, RIGHT_LOOKUP },
	{ 'r', false, RIGHT_READ },
	{ 's', false, RIGHT_SEEN },
	{ 'w', false, RIGHT_WRITE },
	{ 'i', false, RIGHT_INSERT },
	{ 'p', false, RIGHT_POST },
	{ 'k', false, RIGHT_CREATE },
	{ 'x', false, RIGHT_REMOVE },
	{ 't', false, RIGHT_DELETED },
	{ 'e', false, RIGHT_EXPUNGE },
	{ 'a', false, RIGHT_ADMIN },
	{ 'c', true, RIGHT_CREATE },
	{ 'd', true, RIGHT_REMOVE | RIGHT_DELETED | RIGHT_EXPUNGE },
};

void
rights_put(struct text *t, uint32_t rights, bool old)
{
	for (size_t i = 0; i < ARRAY_LEN(letters); i++)
		if ((rights & letters[i].rights) != 0 &&
		    (old || !letters[i].old))
			text_char(t, letters[i].letter);
}

int
rights_get(struct span given, uint32_t *rights)
{
	*rights = 0;
	for (size_t at = 0; at < given.n; at++) {
		size_t i = 0;

		while (i < ARRAY_LEN(letters) &&
		    letters[i].letter != given.p[at])
			i++;
		if (i == ARRAY_LEN(letters))
			return 0;
		*rights |= letters[i].rights;
	}
	return 1;
}
