/*
 * directory_expand.c - whose address is it, and where does its mail go?
 *
 * An address is looked up in this order, and the first that is there counts:
 *	the name itself: an account, an alias, a group, a masked address;
 *	SRS0=... and SRS1=...: the way back of a sender written by us;
 *	user@domain for user+tag@domain (setting queue.subaddress_separator);
 *	for postmaster@ and abuse@: the setting `postmaster`, or postmaster
 *	  at the default domain;
 *	the domain's catch-all, the alias "@domain";
 *	for postmaster@ and abuse@: the first account of the domain, then of
 *	  the default domain, so that RFC 5321 4.5.1 is kept by any system
 *	  with one account.
 *
 * Aliases, groups and forwarding are followed ALIAS_DEPTH_MAX deep and
 * through ALIAS_NAMES_MAX names; each place is found once; a loop is passed
 * over here, and was refused when it was made. A target that is gone does not
 * stop the others. Forwarding that leads nowhere any more leaves the mail in
 * the account's own mailbox.
 *
 * What goes outside needs a sender that notifications find and that SPF
 * allows (RFC 5321 3.9): through a group, owner-GROUP@ of the same domain if
 * there is such a name, else its postmaster; otherwise the sender, rewritten
 * by SRS when its domain is not ours. The null sender stays.
 */
#include "store/directory_impl.h"
#include "base/clock.h"
#include "base/map.h"
#include "ipc/wire.h"
#include "mail/srs.h"
#include "store/mailboxes.h"
#include "store/password.h"

enum {
	WALK_MEMORY = 8 << 20,
	REMEMBERED_MAX = 100,		/* places of one answer in the cache */
	DAY_SECONDS = 86400,
};

static const struct span why_killed = {
	"5.1.6 this address is no longer in use", 38
};
static const struct span why_only_back = {
	"5.7.1 only notifications come back to this address", 50
};

enum walk_kind {
	WALK_MAIL,
	WALK_OWNED,			/* whose is it: aliases and masks */
	WALK_MEMBERS,			/* who belongs to it: groups too */
};

/* Who wants to write: groups are asked whether they may. */
struct writer {
	uint64_t account;		/* 0: a stranger */
	struct span sender;
};

struct walk {
	struct directory *directory;
	enum walk_kind kind;
	struct arena *arena;		/* what is found; else for a while */
	const struct name *pretend;	/* see expand_targets() */
	const struct writer *writer;	/* NULL: nobody is asked */
	struct span sender;		/* of the mail; for SRS */
	struct map *seen;		/* what was followed and found */
	uint64_t *accounts;
	size_t account_count, account_room;
	struct span *outside;
	size_t outside_count, outside_room;
	size_t reached;			/* places, counting those found twice */
	unsigned in_groups;		/* the way led through so many */
	struct span list;		/* the first group on the way */
	struct span why;		/* of RESULT_DENIED */
	bool restricted;		/* it depends on who writes */
	bool passing;			/* the answer must not be remembered */
	bool forbidden;			/* a group said no: that is the end */
	bool is_mask;			/* the address itself is */
	bool asked_postmaster;		/* the setting was followed once */
};

static enum result expand_address(struct walk *, struct span address,
    int depth);

static void
walk_begin(struct walk *w, struct directory *d, enum walk_kind kind)
{
	*w = (struct walk){ .directory = d, .kind = kind,
		.arena = arena_new(WALK_MEMORY), .seen = map_new() };
}

static void
walk_end(struct walk *w)
{
	map_free(&w->seen);
	arena_free(&w->arena);
}

/* -- what is found ------------------------------------------------------- */

static enum result
failed(const struct arena *arena)
{
	return arena_full(arena) ? RESULT_LIMIT : RESULT_TEMPORARY;
}

/* RESULT_OK: it is new; RESULT_EXISTS: it was there before. */
static enum result
note_seen(struct walk *w, struct span key)
{
	if (key.p == NULL || map_count(w->seen) >= 2 * ALIAS_NAMES_MAX)
		return RESULT_LIMIT;
	return map_put(w->seen, key, w) == NULL ? RESULT_OK : RESULT_EXISTS;
}

/* Room for one more in an array of the arena; NULL: none. */
static void *
grown(struct walk *w, void *array, size_t count, size_t *room, size_t size)
{
	size_t more = MAX(*room * 2, 8);

	if (count < *room)
		return array;
	array = arena_grow(w->arena, array, *room * size, more * size);
	if (array != NULL)
		*room = more;
	return array;
}

static enum result
room_for_one(const struct walk *w)
{
	return w->account_count + w->outside_count < ALIAS_NAMES_MAX
	    ? RESULT_OK : RESULT_LIMIT;
}

static enum result
note_name(struct walk *w, const struct name *name)
{
	return note_seen(w, arena_printf(w->arena, "%.*s@%.*s",
	    SPAN_ARG(name->local), SPAN_ARG(name->domain)));
}

static enum result
add_account(struct walk *w, uint64_t account)
{
	enum result result = note_seen(w, arena_printf(w->arena,
	    "%" PRIu64, account));
	uint64_t *accounts;

	if (result == RESULT_OK)
		result = room_for_one(w);
	w->reached++;
	if (result != RESULT_OK)
		return result == RESULT_EXISTS ? RESULT_OK : result;
	accounts = grown(w, w->accounts, w->account_count, &w->account_room,
	    sizeof(*accounts));
	if (accounts == NULL)
		return RESULT_LIMIT;
	w->accounts = accounts;
	accounts[w->account_count++] = account;
	return RESULT_OK;
}

static enum result
add_outside(struct walk *w, const struct name *name)
{
	enum result result = note_name(w, name);
	struct span *outside;

	if (result == RESULT_OK)
		result = room_for_one(w);
	w->reached++;
	if (result != RESULT_OK)
		return result == RESULT_EXISTS ? RESULT_OK : result;
	outside = grown(w, w->outside, w->outside_count, &w->outside_room,
	    sizeof(*outside));
	if (outside == NULL)
		return RESULT_LIMIT;
	w->outside = outside;
	outside[w->outside_count++] = name->text;
	return RESULT_OK;
}

/* -- names --------------------------------------------------------------- */

static bool
stops(const struct walk *w, enum result result)
{
	return w->forbidden || result == RESULT_CONFLICT ||
	    result == RESULT_TEMPORARY || result == RESULT_LIMIT;
}

static enum result
expand_lines(struct walk *w, struct span targets, int depth)
{
	while (targets.n > 0) {
		struct span line;
		enum result result;

		targets = span_cut(targets, '\n', &line);
		if (line.n == 0)
			continue;
		result = expand_address(w, line, depth + 1);
		if (stops(w, result))
			return result;
	}
	return RESULT_OK;
}

/* Names that stand for others: each is followed once, then RESULT_EXISTS. */
static enum result
follow(struct walk *w, const struct name *name, struct span targets,
    int depth)
{
	enum result result;

	if (depth >= ALIAS_DEPTH_MAX)
		return RESULT_LIMIT;
	result = note_name(w, name);
	return result == RESULT_OK ? expand_lines(w, targets, depth) : result;
}

/* To a shared account's own address writes who has that right. */
static bool
may_share(struct walk *w, const struct name_record *record)
{
	w->restricted = true;
	if (w->writer == NULL || access_may_write(
	    w->directory->store->mailboxes, w->writer->account,
	    record->account))
		return true;
	w->forbidden = true;
	w->why = span_str(DIRECTORY_NOT_FOR_SENDER);
	return false;
}

static enum result
expand_account(struct walk *w, const struct name *name,
    const struct name_record *record, int depth)
{
	size_t before = w->reached;
	enum result result;

	if (w->kind == WALK_MAIL && depth == 0 &&
	    (record->flags & NAME_SHARED) != 0 && !may_share(w, record))
		return RESULT_DENIED;
	if (w->kind != WALK_MAIL || record->targets.n == 0)
		return add_account(w, record->account);
	if (record->flags & NAME_FORWARD_KEEP) {
		result = add_account(w, record->account);
		return result == RESULT_OK
		    ? follow(w, name, record->targets, depth) : result;
	}
	result = follow(w, name, record->targets, depth);
	if (result == RESULT_OK && w->reached == before)
		result = add_account(w, record->account);
	return result;
}

static bool
same_address(struct span a, const struct name *b, struct arena *arena)
{
	struct name name;

	return name_parse(a, false, arena, &name) == 1 &&
	    span_eq(name.local, b->local) && span_eq(name.domain, b->domain);
}

static bool
walk_found(const struct walk *w, const struct writer *writer)
{
	struct name name;

	if (writer->account != 0) {
		for (size_t i = 0; i < w->account_count; i++)
			if (w->accounts[i] == writer->account)
				return true;
	}
	if (name_parse(writer->sender, false, w->arena, &name) != 1)
		return false;
	for (size_t i = 0; i < w->outside_count; i++)
		if (same_address(w->outside[i], &name, w->arena))
			return true;
	return false;
}

/*
 * Is the writer one of those behind the group? Whoever is of ours proves it
 * by logging in; of others there is only what they say.
 */
static bool
is_member(struct walk *w, struct span members, int depth)
{
	struct walk inner;
	bool found = false;

	walk_begin(&inner, w->directory, WALK_MAIL);
	inner.in_groups = 1;
	if (expand_lines(&inner, members, depth) == RESULT_OK)
		found = walk_found(&inner, w->writer);
	walk_end(&inner);
	return found;
}

/* The outermost group decides: who put one into another meant it. */
static bool
may_write(struct walk *w, const struct name_record *group, int depth)
{
	if (w->writer == NULL || w->in_groups > 0)
		return true;
	switch (group->flags) {
	case GROUP_ANYONE:
		return true;
	case GROUP_ACCOUNTS:
		return w->writer->account != 0;
	default:
		return is_member(w, group->targets, depth);
	}
}

static enum result
expand_group(struct walk *w, const struct name *name,
    const struct name_record *record, int depth)
{
	enum result result;

	/* A group is nobody's own address. */
	if (w->kind == WALK_OWNED)
		return RESULT_OK;
	if (w->in_groups == 0 && record->flags != GROUP_ANYONE)
		w->restricted = true;
	if (!may_write(w, record, depth)) {
		w->forbidden = true;
		w->why = span_str(DIRECTORY_NOT_FOR_SENDER);
		return RESULT_DENIED;
	}
	if (w->list.n == 0)
		w->list = record->text;
	w->in_groups++;
	result = follow(w, name, record->targets, depth);
	w->in_groups--;
	return result;
}

static enum result
expand_mask(struct walk *w, const struct name_record *record, int depth)
{
	struct account account;
	int rc;

	w->restricted = true;		/* killed, it is refused at once */
	if (!(record->flags & NAME_MASK_ACTIVE)) {
		w->why = why_killed;
		return RESULT_DENIED;
	}
	w->is_mask = depth == 0;
	if (w->kind != WALK_MAIL)
		return add_account(w, record->account);
	rc = directory_account(w->directory, record->account, w->arena,
	    &account);
	if (rc != 1)
		return rc == 0 ? RESULT_NOT_FOUND : failed(w->arena);
	if (depth >= ALIAS_DEPTH_MAX)
		return RESULT_LIMIT;
	return expand_address(w, account.address, depth);
}

static enum result
expand_record(struct walk *w, const struct name *name,
    const struct name_record *record, int depth)
{
	switch (record->kind) {
	case NAME_ACCOUNT:
		return expand_account(w, name, record, depth);
	case NAME_GROUP:
		return expand_group(w, name, record, depth);
	case NAME_MASK:
		return expand_mask(w, record, depth);
	case NAME_ALIAS:
		break;
	}
	return follow(w, name, record->targets, depth);
}

/* The name itself: RESULT_NOT_FOUND when it is not there. */
static enum result
expand_name(struct walk *w, struct span domain, struct span local, int depth)
{
	const struct name name = { .domain = domain, .local = local };
	struct name_record record;
	enum result result;
	int rc;

	if (w->pretend != NULL && span_eq(domain, w->pretend->domain) &&
	    span_eq(local, w->pretend->local))
		return RESULT_CONFLICT;
	rc = read_name(w->directory, domain, local, w->arena, &record);
	if (rc != 1)
		return rc == 0 ? RESULT_NOT_FOUND : failed(w->arena);
	result = expand_record(w, &name, &record, depth);
	return result == RESULT_EXISTS ? RESULT_OK : result;
}

/* -- what is not there by name ------------------------------------------- */

static enum result
expand_subaddress(struct walk *w, const struct name *name, int depth)
{
	const struct settings *s = store_settings(w->directory->store);
	struct span user, tag;

	if (s->queue_subaddress_separator[0] == '\0' ||
	    !address_subaddress(name->local, s->queue_subaddress_separator[0],
	    &user, &tag))
		return RESULT_NOT_FOUND;
	return expand_name(w, name->domain, user, depth);
}

static bool
is_role_name(struct span local)
{
	return span_is(local, "postmaster") || span_is(local, "abuse");
}

/* Where the operator wants what is written to postmaster@ anywhere. */
static enum result
expand_postmaster(struct walk *w, const struct name *name, int depth)
{
	const struct settings *s = store_settings(w->directory->store);
	struct span domain;

	if (w->asked_postmaster)
		return RESULT_NOT_FOUND;
	w->asked_postmaster = true;
	if (s->postmaster[0] != '\0')
		return expand_address(w, span_str(s->postmaster), depth + 1);
	domain = default_domain(w->directory, w->arena);
	if (domain.n == 0 || span_eq(domain, name->domain))
		return RESULT_NOT_FOUND;
	return expand_name(w, domain, SPAN("postmaster"), depth + 1);
}

static enum result
expand_first_account(struct walk *w, struct span domain)
{
	struct domain_record record;
	int rc = read_domain(w->directory, domain, w->arena, &record);

	if (rc == -1)
		return failed(w->arena);
	if (rc == 1 && record.first_account != 0)
		return add_account(w, record.first_account);
	return RESULT_NOT_FOUND;
}

/* Of this store alone, and of this use alone. */
static void
srs_secret(const struct store *store, uint8_t out[32])
{
	hmac_sha256(span_of(store->secret, sizeof(store->secret)),
	    SPAN("sender rewriting"), out);
}

/*
 * The way back is for notifications: with a sender, anybody who has seen such
 * an address could send through us.
 */
static enum result
expand_srs(struct walk *w, const struct name *name, int depth)
{
	uint8_t secret[32];
	struct span back;
	int rc;

	w->passing = w->restricted = true;
	if (w->kind != WALK_MAIL || depth > 0)
		return RESULT_NOT_FOUND;
	srs_secret(w->directory->store, secret);
	rc = srs_reverse(name->text, span_of(secret, sizeof(secret)),
	    clock_wall_seconds() / DAY_SECONDS, w->arena, &back);
	if (rc != 1)
		return RESULT_NOT_FOUND;
	if (w->sender.n > 0) {
		w->why = why_only_back;
		return RESULT_DENIED;
	}
	return expand_address(w, back, depth + 1);
}

static enum result
expand_parsed(struct walk *w, const struct name *name, int depth)
{
	bool role = is_role_name(name->local);
	enum result result = expand_name(w, name->domain, name->local, depth);

	if (result == RESULT_NOT_FOUND && srs_is(name->local))
		return expand_srs(w, name, depth);
	if (result == RESULT_NOT_FOUND && name->local.n > 0)
		result = expand_subaddress(w, name, depth);
	if (result == RESULT_NOT_FOUND && role)
		result = expand_postmaster(w, name, depth);
	if (result == RESULT_NOT_FOUND || result == RESULT_NOT_LOCAL)
		result = expand_name(w, name->domain, SPAN_EMPTY, depth);
	if (result == RESULT_NOT_FOUND && role)
		result = expand_first_account(w, name->domain);
	if (result == RESULT_NOT_FOUND && role)
		result = expand_first_account(w,
		    default_domain(w->directory, w->arena));
	return result;
}

static enum result
expand_foreign(struct walk *w, const struct name *name, int depth)
{
	const struct settings *s = store_settings(w->directory->store);

	if (srs_is(name->local) && s->forward_srs_domain[0] != '\0' &&
	    span_is_nocase(name->domain, s->forward_srs_domain))
		return expand_srs(w, name, depth);
	if (depth == 0)
		return RESULT_NOT_LOCAL;
	/* What leads outside is nobody's here. */
	return w->kind != WALK_MAIL ? RESULT_OK : add_outside(w, name);
}

static enum result
expand_address(struct walk *w, struct span address, int depth)
{
	struct domain_record domain;
	struct name name;
	int rc = name_parse(address, false, w->arena, &name);

	if (rc != 1)
		return rc == 0 ? RESULT_INVALID : RESULT_LIMIT;
	if (name.domain.n == 0) {
		if (!span_is(name.local, "postmaster"))
			return RESULT_INVALID;
		name.domain = default_domain(w->directory, w->arena);
	}
	rc = read_domain(w->directory, name.domain, w->arena, &domain);
	if (rc != 1)
		return rc == 0 ? expand_foreign(w, &name, depth)
		    : failed(w->arena);
	return expand_parsed(w, &name, depth);
}

enum result
expand_targets(struct directory *d, const struct name *pretend,
    struct span targets, size_t *places, struct span *bad_target)
{
	enum result result = RESULT_OK;
	struct walk w;

	walk_begin(&w, d, WALK_MAIL);
	w.pretend = pretend;
	while (result == RESULT_OK && targets.n > 0) {
		struct span line;

		targets = span_cut(targets, '\n', &line);
		if (line.n == 0)
			continue;
		*bad_target = line;
		result = expand_address(&w, line, 1);
	}
	*places = w.account_count + w.outside_count;
	walk_end(&w);
	return result != RESULT_OK || *places > 0 ? result : RESULT_NOT_FOUND;
}

/* -- answers ------------------------------------------------------------- */

/* What is the same for every sender; the rest is made from it. */
struct answer {
	enum result result;
	struct expansion found;
	struct span list;
};

static bool
answer_of(const struct walk *w, struct arena *arena, struct answer *a)
{
	struct expansion *x = &a->found;

	x->account_count = w->account_count;
	x->outside_count = w->outside_count;
	x->is_list = w->list.n > 0;
	x->restricted = w->restricted;
	x->is_mask = w->is_mask;
	x->why = arena_dup(arena, w->why);
	a->list = arena_dup(arena, w->list);
	x->accounts = arena_alloc(arena,
	    MAX(x->account_count, 1) * sizeof(x->accounts[0]));
	x->outside = arena_alloc(arena,
	    MAX(x->outside_count, 1) * sizeof(x->outside[0]));
	if (x->accounts == NULL || x->outside == NULL)
		return false;
	if (x->account_count > 0)
		memcpy(x->accounts, w->accounts,
		    x->account_count * sizeof(x->accounts[0]));
	for (size_t i = 0; i < x->outside_count; i++)
		x->outside[i] = arena_dup(arena, w->outside[i]);
	return !arena_full(arena);
}

/*
 * A long list is looked up each time: strangers choose what is asked for, with
 * any tag.
 */
static void
remember(struct directory *d, uint64_t generation, struct span key,
    const struct answer *a)
{
	const struct expansion *x = &a->found;
	struct text value = TEXT_INIT(0);

	put_u8(&value, (uint8_t)a->result);
	put_u8(&value, (uint8_t)(x->is_list | x->restricted << 1 |
	    x->is_mask << 2));
	put_bytes(&value, x->why);
	put_bytes(&value, a->list);
	put_u32(&value, (uint32_t)x->account_count);
	for (size_t i = 0; i < x->account_count; i++)
		put_u64(&value, x->accounts[i]);
	put_u32(&value, (uint32_t)x->outside_count);
	for (size_t i = 0; i < x->outside_count; i++)
		put_bytes(&value, x->outside[i]);
	cache_put_read(d->resolved, generation, key, text_span(&value));
	text_free(&value);
}

static bool
recall(struct span value, struct arena *arena, struct answer *a)
{
	struct cursor c = { value, false };
	struct expansion *x = &a->found;
	uint8_t flags;

	a->result = (enum result)get_u8(&c);
	flags = get_u8(&c);
	x->is_list = flags & 1;
	x->restricted = flags & 2;
	x->is_mask = flags & 4;
	x->why = get_bytes(&c, ADDRESS_LIMIT);
	a->list = get_bytes(&c, ADDRESS_LIMIT);
	x->account_count = get_u32(&c);
	x->accounts = arena_alloc(arena,
	    MAX(x->account_count, 1) * sizeof(x->accounts[0]));
	for (size_t i = 0; x->accounts != NULL && i < x->account_count; i++)
		x->accounts[i] = get_u64(&c);
	x->outside_count = get_u32(&c);
	x->outside = arena_alloc(arena,
	    MAX(x->outside_count, 1) * sizeof(x->outside[0]));
	for (size_t i = 0; x->outside != NULL && i < x->outside_count; i++)
		x->outside[i] = get_bytes(&c, ADDRESS_LIMIT);
	must(!c.bad || x->accounts == NULL || x->outside == NULL);
	return !arena_full(arena);
}

static void
look_up(struct directory *d, enum walk_kind kind, struct span address,
    struct span sender, const struct writer *writer, struct arena *arena,
    struct answer *a, bool *may_remember)
{
	struct walk w;

	walk_begin(&w, d, kind);
	w.sender = sender;
	w.writer = writer;
	a->result = expand_address(&w, address, 0);
	if (a->result == RESULT_OK && w.account_count + w.outside_count == 0)
		a->result = RESULT_NOT_FOUND;
	if (a->result == RESULT_CONFLICT || a->result == RESULT_LIMIT)
		a->result = RESULT_TEMPORARY;
	if (a->result != RESULT_OK)
		w.account_count = w.outside_count = 0;
	if (!answer_of(&w, arena, a))
		a->result = RESULT_TEMPORARY;
	*may_remember = !w.passing && a->result != RESULT_TEMPORARY &&
	    w.account_count + w.outside_count <= REMEMBERED_MAX;
	walk_end(&w);
}

/* From the cache, or found and kept there. */
static void
find(struct directory *d, enum walk_kind kind, struct span address,
    struct span sender, struct arena *arena, struct answer *a)
{
	/* No address begins with a control. */
	struct span key = kind == WALK_MAIL ? address :
	    arena_printf(arena, "%c%.*s", kind == WALK_OWNED ? 1 : 2,
	    SPAN_ARG(address));
	struct span value;
	uint64_t generation;
	bool may_remember;

	*a = (struct answer){ .result = RESULT_TEMPORARY };
	if (key.p == NULL && address.n > 0)
		return;
	if (cache_get(d->resolved, key, arena, &value) == 1) {
		if (!recall(value, arena, a))
			a->result = RESULT_TEMPORARY;
		return;
	}
	generation = cache_generation(d->resolved);
	look_up(d, kind, address, sender, NULL, arena, a, &may_remember);
	if (may_remember)
		remember(d, generation, key, a);
}

/* -- with which sender it goes on ---------------------------------------- */

/* owner-GROUP@DOMAIN as mailing lists have it, else the postmaster there. */
static struct span
list_owner(struct directory *d, struct span list, struct arena *arena)
{
	struct span owner = arena_printf(arena, "owner-%.*s", SPAN_ARG(list));
	struct name_record record;
	struct name name;

	if (owner.p != NULL && name_parse(owner, false, arena, &name) == 1 &&
	    read_name(d, name.domain, name.local, arena, &record) == 1)
		return name.text;
	if (name_parse(list, false, arena, &name) != 1)
		return SPAN_EMPTY;
	return arena_printf(arena, "postmaster@%.*s", SPAN_ARG(name.domain));
}

static struct span
rewritten(struct directory *d, const struct name *recipient,
    struct span sender, struct arena *arena)
{
	const struct settings *s = store_settings(d->store);
	struct span domain = span_str(s->forward_srs_domain), out;
	struct domain_record record;
	struct name name;
	uint8_t secret[32];

	if (name_parse(sender, false, arena, &name) != 1 ||
	    read_domain(d, name.domain, arena, &record) != 0)
		return sender;
	if (domain.n == 0)
		domain = recipient->domain;
	srs_secret(d->store, secret);
	/* Too long to be written: SPF may fail, the mail need not. */
	return srs_forward(sender, domain, span_of(secret, sizeof(secret)),
	    clock_wall_seconds() / DAY_SECONDS, arena, &out) == 1
	    ? out : sender;
}

static enum result
send_on(struct directory *d, struct span address, struct span sender,
    struct arena *arena, const struct answer *a, struct expansion *out)
{
	struct name name;

	if (name_parse(address, false, arena, &name) != 1)
		return RESULT_TEMPORARY;
	if (name.domain.n == 0)
		name.domain = default_domain(d, arena);
	out->delivered_to = arena_printf(arena, "%.*s@%.*s",
	    SPAN_ARG(name.local), SPAN_ARG(name.domain));
	if (sender.n > 0 && a->found.is_list)
		out->new_sender = list_owner(d, a->list, arena);
	else if (sender.n > 0)
		out->new_sender = rewritten(d, &name, sender, arena);
	return arena_full(arena) ? RESULT_TEMPORARY : RESULT_OK;
}

enum result
directory_expand(struct directory *d, struct span address,
    struct span sender, struct arena *arena, struct expansion *out)
{
	struct answer a;

	find(d, WALK_MAIL, address, sender, arena, &a);
	*out = a.found;
	out->new_sender = sender;
	if (a.result == RESULT_OK && out->outside_count > 0)
		a.result = send_on(d, address, sender, arena, &a, out);
	return a.result;
}

enum result
directory_resolve(struct directory *d, struct span address,
    struct arena *arena, uint64_t **accounts, size_t *count)
{
	struct answer a;

	find(d, WALK_MAIL, address, SPAN_EMPTY, arena, &a);
	*accounts = a.found.accounts;
	*count = a.found.account_count;
	return a.result;
}

static enum result
found_account(const struct answer *a, uint64_t account)
{
	if (a->result != RESULT_OK)
		return a->result;
	for (size_t i = 0; i < a->found.account_count; i++)
		if (a->found.accounts[i] == account)
			return RESULT_OK;
	return RESULT_DENIED;
}

enum result
directory_owners(struct directory *d, struct span address,
    struct arena *arena, uint64_t **accounts, size_t *count)
{
	struct answer a;

	find(d, WALK_OWNED, address, SPAN_EMPTY, arena, &a);
	*accounts = a.found.accounts;
	*count = a.found.account_count;
	return a.result;
}

enum result
directory_owns(struct directory *d, uint64_t account, struct span address,
    struct arena *arena)
{
	struct answer a;

	find(d, WALK_OWNED, address, SPAN_EMPTY, arena, &a);
	return found_account(&a, account);
}

bool
directory_is_member(struct directory *d, uint64_t account, struct span group)
{
	struct arena *arena = arena_new(WALK_MEMORY);
	struct name_record record;
	struct answer a;
	struct name name;
	bool is;

	is = name_parse(group, false, arena, &name) == 1 &&
	    read_name(d, name.domain, name.local, arena, &record) == 1 &&
	    record.kind == NAME_GROUP;
	if (is) {
		find(d, WALK_MEMBERS, group, SPAN_EMPTY, arena, &a);
		is = found_account(&a, account) == RESULT_OK;
	}
	arena_free(&arena);
	return is;
}

enum result
directory_may_write(struct directory *d, struct span address,
    struct span sender, uint64_t account, struct arena *arena)
{
	const struct writer writer = { account, sender };
	struct answer a;
	bool may_remember;

	find(d, WALK_MAIL, address, sender, arena, &a);
	if (a.result == RESULT_OK && a.found.restricted)
		look_up(d, WALK_MAIL, address, sender, &writer, arena, &a,
		    &may_remember);
	return a.result;
}

const char *
directory_loop(struct directory *d, const struct expansion *x,
    struct span delivered_to)
{
	uint64_t hops = 0;

	while (delivered_to.n > 0) {
		struct span line;

		delivered_to = span_cut(delivered_to, '\n', &line);
		if (line.n == 0)
			continue;
		hops++;
		if (x->delivered_to.n > 0 &&
		    span_eq_nocase(span_trim(line), x->delivered_to))
			return "5.4.6 the message has been here before: it "
			    "is sent in circles";
	}
	return x->outside_count > 0 &&
	    hops >= store_settings(d->store)->forward_max_hops
	    ? "5.4.6 the message has been sent on too often" : NULL;
}
