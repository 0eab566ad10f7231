/*
 * mailbox_names.c - the names of an account's mailboxes, in memory.
 *
 * Read whole when the account is first touched, and then what a killed
 * process began is finished before anybody looks further.
 */
#include "store/mailboxes.h"
#include "base/log.h"
#include "store/metadata.h"

#include <stdlib.h>

enum { NAMES_BYTES = 512, LEVELS_MAX = 64 };

/* ---- the shelf's three ----------------------------------------------- */

static struct shelved *
names_new(void *arg, uint64_t account)
{
	struct names *names = xcalloc(1, sizeof(*names));

	(void)account;
	names->owner = arg;
	pthread_mutex_init(&names->lock, NULL);
	return &names->shelved;
}

static void
unload(struct names *names)
{
	for (size_t i = 0; i < names->n; i++) {
		free(names->at[i].own);
		acl_free(&names->at[i].acl);
	}
	for (size_t i = 0; i < names->subscribed_n; i++)
		free(names->subscribed[i].own);
	names->n = names->subscribed_n = 0;
	names->inbox = 0;
	names->last_uidvalidity = 0;
	names->annotations = names->annotation_bytes = 0;
	names->intents = false;
	names->loaded = false;
}

static void
names_end(struct shelved *thing)
{
	struct names *names = (struct names *)thing;

	unload(names);
	free(names->at);
	free(names->subscribed);
	pthread_mutex_destroy(&names->lock);
	free(names);
}

/* Read again it would be shown without its ticket. */
static bool
names_may_go(struct shelved *thing)
{
	struct names *names = (struct names *)thing;

	return names->ticket == 0 ||
	    engine_is_durable(names->owner->store->engine, names->ticket);
}

const struct shelf_kind names_kind = {
	.make = names_new, .may_go = names_may_go, .end = names_end,
};

/* ---- the list -------------------------------------------------------- */

uint64_t
names_account(const struct names *names)
{
	return names->shelved.key;
}

struct partition
names_partition(const struct names *names)
{
	return (struct partition){ PARTITION_ACCOUNT, names_account(names) };
}

static int
rank(char c)
{
	return c == '/' ? -1 : (unsigned char)c;
}

int
names_compare(struct span a, struct span b)
{
	size_t n = MIN(a.n, b.n);

	for (size_t i = 0; i < n; i++)
		if (a.p[i] != b.p[i])
			return rank(a.p[i]) - rank(b.p[i]);
	return (a.n > b.n) - (a.n < b.n);
}

static char *
own(struct span s)
{
	char *p = xmalloc(s.n + 1);

	memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return p;
}

/* Where a name is, or would be. */
static size_t
seek(const struct names *names, struct span name)
{
	size_t low = 0, high = names->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (names_compare(names->at[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct listed *
names_find(const struct names *names, struct span name)
{
	size_t i = seek(names, name);

	return i < names->n && span_eq(names->at[i].name, name)
	    ? &names->at[i] : NULL;
}

struct listed *
names_find_id(const struct names *names, uint64_t mailbox)
{
	for (size_t i = 0; i < names->n; i++)
		if (names->at[i].mailbox == mailbox)
			return &names->at[i];
	return NULL;
}

void
names_insert(struct names *names, const struct listed *listed)
{
	size_t i = seek(names, listed->name);

	if (names->n == names->room) {
		names->room = names->room * 2 + 8;
		names->at = xrealloc(names->at,
		    names->room * sizeof(*names->at));
	}
	memmove(&names->at[i + 1], &names->at[i],
	    (names->n - i) * sizeof(*names->at));
	names->at[i] = *listed;
	names->at[i].own = own(listed->name);
	names->at[i].name = span_of(names->at[i].own, listed->name.n);
	names->n++;
	if (names_is_inbox(listed->name))
		names->inbox = listed->mailbox;
}

static void
take_out(struct names *names, struct listed *listed)
{
	names->n--;
	memmove(listed, listed + 1,
	    (size_t)(names->at + names->n - listed) * sizeof(*listed));
}

void
names_remove(struct names *names, uint64_t mailbox)
{
	struct listed *listed = names_find_id(names, mailbox);

	if (listed == NULL)
		return;
	free(listed->own);
	acl_free(&listed->acl);
	take_out(names, listed);
}

void
names_move(struct names *names, uint64_t mailbox, struct span name)
{
	struct listed *listed = names_find_id(names, mailbox), moved;

	if (listed == NULL)
		return;
	moved = *listed;
	moved.name = name;
	take_out(names, listed);
	names_insert(names, &moved);
	free(moved.own);
}

static size_t
seek_subscribed(const struct names *names, struct span name)
{
	size_t low = 0, high = names->subscribed_n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (names_compare(names->subscribed[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool
names_is_subscribed(const struct names *names, struct span name)
{
	size_t i = seek_subscribed(names, name);

	return i < names->subscribed_n &&
	    span_eq(names->subscribed[i].name, name);
}

void
names_subscribe(struct names *names, struct span name, bool on)
{
	size_t i = seek_subscribed(names, name);
	struct subscribed *at;

	if (names_is_subscribed(names, name) == on)
		return;
	if (names->subscribed_n == names->subscribed_room) {
		names->subscribed_room = names->subscribed_room * 2 + 8;
		names->subscribed = xrealloc(names->subscribed,
		    names->subscribed_room * sizeof(*names->subscribed));
	}
	at = &names->subscribed[i];
	if (on) {
		memmove(at + 1, at,
		    (names->subscribed_n++ - i) * sizeof(*at));
		at->own = own(name);
		at->name = span_of(at->own, name.n);
	} else {
		free(at->own);
		memmove(at, at + 1,
		    (--names->subscribed_n - i) * sizeof(*at));
	}
}

/* ---- names ----------------------------------------------------------- */

bool
names_is_inbox(struct span name)
{
	return span_is(name, "INBOX");
}

bool
names_is_below(struct span name, struct span parent)
{
	return name.n > parent.n && name.p[parent.n] == '/' &&
	    span_starts(name, parent);
}

/* Bytes of the character at p, or 0: not UTF-8, or a control character. */
static size_t
character(const unsigned char *p, size_t n)
{
	static const uint32_t lowest[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t need = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 :
	    p[0] < 0xf0 ? 3 : p[0] < 0xf8 ? 4 : 0;
	uint32_t c;

	if (need == 0 || need > n)
		return 0;
	c = need == 1 ? p[0] : p[0] & (0x7fu >> need);
	for (size_t i = 1; i < need; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	/* RFC 5198 section 2 leaves out the separators U+2028 and U+2029. */
	if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c < lowest[need] ||
	    c == 0x2028 || c == 0x2029 || (c >= 0xd800 && c < 0xe000) ||
	    c > 0x10ffff)
		return 0;
	return need;
}

static bool
is_printable(struct span s)
{
	for (size_t i = 0, step; i < s.n; i += step) {
		step = character((const unsigned char *)s.p + i, s.n - i);
		if (step == 0)
			return false;
	}
	return true;
}

int
names_normal(struct span given, struct arena *arena, struct span *name)
{
	struct span rest = given, level;
	size_t levels = 0;
	char *p;

	if (given.n > 1 && given.p[given.n - 1] == '/')
		rest = given = span_sub(given, 0, given.n - 1);
	if (given.n == 0 || given.n > MAILBOX_NAME_MAX ||
	    given.p[given.n - 1] == '/' || !is_printable(given))
		return 0;
	while (rest.n > 0) {
		rest = span_cut(rest, '/', &level);
		if (level.n == 0 || ++levels > LEVELS_MAX)
			return 0;
	}
	p = arena_cstr(arena, given);
	if (p == NULL)
		return 0;
	span_cut(given, '/', &level);
	if (span_is_nocase(level, "INBOX"))
		memcpy(p, "INBOX", level.n);
	*name = span_of(p, given.n);
	return 1;
}

/* ---- reading --------------------------------------------------------- */

static int
read_name(struct names *names, struct span key, struct span value)
{
	struct mailbox_name r;
	struct listed listed;

	if (!mailbox_name_decode(value, &r))
		return 0;
	listed = (struct listed){ .name = r.name, .use = r.use,
	    .uidvalidity = r.uidvalidity, .token = r.token };
	if (!key_read_u64(key, &listed.mailbox))
		return 0;
	names_insert(names, &listed);
	names->last_uidvalidity =
	    MAX(names->last_uidvalidity, r.uidvalidity);
	return 1;
}

/* Lists stand behind all names. One of a mailbox that is gone is nothing. */
static int
read_rights(struct names *names, struct span key, struct span value)
{
	struct listed *listed;
	struct acl acl = { 0 };
	uint64_t mailbox;

	if (!key_read_u64(key, &mailbox) || !acl_decode(value, &acl))
		return 0;
	listed = names_find_id(names, mailbox);
	if (listed == NULL) {
		acl_free(&acl);
	} else {
		acl_free(&listed->acl);
		listed->acl = acl;
	}
	return 1;
}

static int
read_record(struct names *names, struct span key, struct span value)
{
	uint64_t number;

	switch (key.p[0]) {
	case ACCOUNT_HEAD:
		if (!number_decode(value, &number) || number > UINT32_MAX)
			return 0;
		names->last_uidvalidity = (uint32_t)number;
		return 1;
	case ACCOUNT_INTENT:
		names->intents = true;
		return 1;
	case ACCOUNT_METADATA:
		return metadata_count(names, key, value);
	case ACCOUNT_MAILBOX:
		return read_name(names, key, value);
	case ACCOUNT_RIGHTS:
		return read_rights(names, key, value);
	case ACCOUNT_SUBSCRIBED:
		names_subscribe(names, span_from(key, 1), true);
		return 1;
	default:
		return 1;	/* another module's */
	}
}

static void
tell_damage(const struct names *names, struct span key,
    struct damage *damage)
{
	if (damage == NULL) {
		log_event(LOG_LEVEL_ERROR, "account.damaged",
		    log_int("account", (int64_t)names_account(names)),
		    log_int("record", key.p[0]));
		return;
	}
	text_printf(damage->report, "account %" PRIu64 ": record '%c' cannot "
	    "be read\n", names_account(names), key.p[0]);
	put_bytes(&damage->keys, key);
	damage->found++;
}

/* A check looks closer: one that cannot be read would stay for ever. */
static bool
intent_is_sound(struct span key, struct span value)
{
	struct intent intent = { 0 };
	bool sound = key.p[0] != ACCOUNT_INTENT ||
	    intent_decode(value, &intent);

	uids_free(&intent.uids);
	return sound;
}

static enum result
read_all(struct names *names, struct scan *scan, struct damage *damage)
{
	struct span key, value;
	int status;

	while ((status = scan_next(scan, &key, &value)) == 1) {
		if (read_record(names, key, value) &&
		    (damage == NULL || intent_is_sound(key, value)))
			continue;
		tell_damage(names, key, damage);
		if (damage == NULL)
			return RESULT_DAMAGED;
	}
	return status < 0 ? RESULT_TEMPORARY : RESULT_OK;
}

enum result
names_read(struct names *names, struct damage *damage)
{
	struct scan *scan = scan_open(names->owner->store->engine,
	    names_partition(names), SPAN_EMPTY, SPAN_EMPTY);
	enum result result;

	unload(names);
	if (scan == NULL)
		return RESULT_TEMPORARY;
	result = read_all(names, scan, damage);
	scan_close(&scan);
	if (result != RESULT_OK)
		unload(names);
	else
		names->loaded = true;
	return result;
}

enum result
names_enter(struct mailboxes *m, uint64_t account, struct names **out)
{
	struct names *names = (struct names *)shelf_take(m->names, account);
	enum result result = RESULT_OK;

	pthread_mutex_lock(&names->lock);
	*out = names;
	if (!names->loaded)
		result = names_read(names, NULL);
	if (result == RESULT_OK && names->intents &&
	    intents_replay(m, account, false) == 1)
		names->intents = false;
	if (result != RESULT_OK)
		names_leave(out);
	return result;
}

void
names_leave(struct names **np)
{
	struct names *names = *np;
	struct mailboxes *m;
	size_t bytes;
	bool keep;

	if (names == NULL)
		return;
	m = names->owner;
	keep = names->loaded;
	bytes = NAMES_BYTES + names->room * sizeof(*names->at) +
	    (names->n + names->subscribed_n) * 64;
	pthread_mutex_unlock(&names->lock);
	shelf_put(m->names, &names->shelved, bytes, keep);
	*np = NULL;
}

void
names_answer(struct names **np, enum result *result)
{
	struct mailboxes *m;
	ticket_t ticket;

	if (*np == NULL)
		return;
	m = (*np)->owner;
	ticket = (*np)->ticket;
	names_leave(np);
	if (*result == RESULT_OK)
		*result = mailboxes_durable(m, ticket);
}
