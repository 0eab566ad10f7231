/*
 * url.c - the bytes that an IMAP URL stands for: BURL (RFC 4468), CATENATE
 * (RFC 4469), URLAUTH (RFC 4467).
 *
 * A plain URL is good for what the caller may read anyway. One that
 * authorises is good for what the user in it may read now, whoever brings it,
 * if its token was made here and its access identifier fits the caller. So
 * everything about a URL is judged here, the part of the message it names
 * too: an edge that is owned gets no more of a message than the URL tells.
 *
 * Token: the version of its making in two digits, then HMAC-SHA-256 of the
 * rump in hexadecimal. The key is of one user for one mailbox, 32 random
 * bytes that never leave the store. Where there is no such mailbox or key, the
 * same work is done with the store's own secret.
 */
#include "base/secret.h"
#include "ipc/wire.h"
#include "mail/imap_section.h"
#include "mail/imap_url.h"
#include "store/directory.h"
#include "store/mailboxes.h"
#include "store/password.h"
#include "store/verbs.h"

enum {
	KEY_VERSION = 1, KEY_BYTES = 32,
	TOKEN_VERSION = 1, MAC_BYTES = 32,
	TOKEN_DIGITS = 2 + 2 * MAC_BYTES,
	PIECE = 4 << 20,		/* of one answer */
};

/* ---- whose, and where ------------------------------------------------ */

/*
 * The account that a URL names: an address, or a local part at the host's
 * domain, the caller's, or the default one. 1, 0, -1.
 */
static int
account_of(struct store *store, const struct imap_url *url,
    struct span caller, struct arena *arena, struct account *account)
{
	struct span local, domain = span_cut(caller, '@', &local);
	struct span domains[] = { url->host, domain };
	struct span address;
	int status = 0;

	if (span_find_char(url->user, '@', 0) != SIZE_MAX)
		return directory_login(store->directory, url->user, arena,
		    account);
	for (size_t i = 0; status == 0 && i < ARRAY_LEN(domains); i++) {
		address = arena_printf(arena, "%.*s@%.*s", SPAN_ARG(url->user),
		    SPAN_ARG(domains[i]));
		status = address.p == NULL ? -1 : directory_login(
		    store->directory, address, arena, account);
	}
	return status != 0 ? status : directory_login(store->directory,
	    url->user, arena, account);
}

static enum result
result_of(int status)
{
	return status == 1 ? RESULT_OK : status == 0 ? RESULT_NOT_FOUND
	    : RESULT_TEMPORARY;
}

/* The mailbox as the account names it. */
static enum result
find_mailbox(struct store *store, uint64_t account, struct span name,
    uint32_t uidvalidity, struct arena *arena, uint64_t *mailbox)
{
	const struct listed *listed;
	struct name_place place;
	struct names *names;
	enum result result = place_named(store->mailboxes, account, name, arena,
	    &place);

	if (result != RESULT_OK)
		return result == RESULT_INVALID ? RESULT_NOT_FOUND : result;
	result = names_enter(store->mailboxes, place.owner, &names);
	if (result != RESULT_OK)
		return result;
	listed = names_find(names, place.name);
	if (listed == NULL || listed->mailbox == 0 ||
	    (uidvalidity != 0 && listed->uidvalidity != uidvalidity))
		result = RESULT_NOT_FOUND;
	else
		*mailbox = listed->mailbox;
	names_leave(&names);
	return result;
}

/* ---- keys and tokens ------------------------------------------------- */

static struct partition
partition_of(uint64_t account)
{
	return (struct partition){ PARTITION_ACCOUNT, account };
}

/* 1, 0 there is none, -1. */
static int
read_key(struct store *store, uint64_t account, uint64_t mailbox,
    struct arena *arena, uint8_t out[KEY_BYTES])
{
	struct key key = key_u64(ACCOUNT_URL, mailbox);
	struct span value;
	struct cursor c;
	int status = engine_get(store->engine, partition_of(account),
	    key_span(&key), arena, &value);

	if (status != 1)
		return status;
	c = (struct cursor){ .rest = value };
	if (get_u8(&c) != KEY_VERSION)
		return -1;
	get_raw(&c, out, KEY_BYTES);
	return c.bad || c.rest.n != 0 ? -1 : 1;
}

static enum result
make_key(struct store *store, uint64_t account, uint64_t mailbox,
    uint8_t out[KEY_BYTES])
{
	struct key key = key_u64(ACCOUNT_URL, mailbox);
	struct batch *b = batch_new(partition_of(account));
	struct text t = TEXT_INIT(1 + KEY_BYTES);
	ticket_t ticket = 0;
	int status;

	random_bytes(out, KEY_BYTES);
	put_u8(&t, KEY_VERSION);
	put_raw(&t, out, KEY_BYTES);
	batch_put(b, key_span(&key), text_span(&t));
	status = engine_commit(store->engine, b, &ticket);
	batch_free(&b);
	text_wipe(&t);
	return status != 1 ? result_of_errno()
	    : mailboxes_durable(store->mailboxes, ticket);
}

static void
token_of(const uint8_t key[KEY_BYTES], struct span rump,
    char out[TOKEN_DIGITS + 1])
{
	uint8_t mac[MAC_BYTES];

	hmac_sha256(span_of(key, KEY_BYTES), rump, mac);
	hex_of(out, (uint8_t[]){ TOKEN_VERSION }, 1);
	hex_of(out + 2, mac, sizeof(mac));
}

static bool
token_fits(const uint8_t key[KEY_BYTES], const struct imap_url *url)
{
	char token[TOKEN_DIGITS + 1], given[TOKEN_DIGITS];

	token_of(key, url->rump, token);
	if (url->token.n != TOKEN_DIGITS)
		return false;
	for (size_t i = 0; i < sizeof(given); i++)
		given[i] = ascii_lower(url->token.p[i]);
	return secret_equal(span_of(token, TOKEN_DIGITS),
	    span_of(given, sizeof(given))) &&
	    span_is_nocase(url->mechanism, "INTERNAL");
}

/* ---- may they? ------------------------------------------------------- */

struct visit {
	struct store *store;
	struct arena *arena;
	struct imap_url url;
	uint64_t base;			/* the mailbox of a relative URL */
	struct holder who;		/* the caller */
	struct account caller;
	uint64_t account;		/* with whose rights */
	uint64_t mailbox;
	struct grant grant;		/* theirs */
};

static bool
is_caller(struct visit *v, struct span user)
{
	struct span local;

	(void)span_cut(v->caller.address, '@', &local);
	return span_eq_nocase(user, v->caller.address) ||
	    span_eq_nocase(user, local);
}

/* Does the access identifier mean the caller (RFC 4467 section 3)? */
static bool
fits_caller(struct visit *v)
{
	bool submits = v->who.service == PROTOCOL_SUBMISSION ||
	    v->who.service == PROTOCOL_SUBMISSIONS;

	switch (v->url.access) {
	case IMAP_URL_ANONYMOUS:
	case IMAP_URL_AUTHUSER:
		return true;
	case IMAP_URL_USER:
		return !submits && is_caller(v, v->url.access_user);
	case IMAP_URL_SUBMIT:
		return submits && is_caller(v, v->url.access_user);
	default:
		return false;
	}
}

static enum result
check_token(struct visit *v, enum result found)
{
	uint8_t key[KEY_BYTES];
	bool fits;
	int status = found == RESULT_OK ? read_key(v->store, v->account,
	    v->mailbox, v->arena, key) : 0;

	if (status != 1)
		memcpy(key, v->store->secret, sizeof(key));
	fits = token_fits(key, &v->url) && status == 1;
	secret_wipe(key, sizeof(key));
	if (status == -1)
		return RESULT_TEMPORARY;
	return fits && fits_caller(v) &&
	    v->url.expires >= clock_wall_seconds() ? RESULT_OK
	    : RESULT_NOT_FOUND;
}

/* Whose message it is, by whose right it is read. */
static enum result
find_account(struct visit *v)
{
	struct account account = { .id = v->who.account };
	enum result result = RESULT_OK;

	if (v->url.user.n > 0)
		result = result_of(account_of(v->store, &v->url,
		    v->caller.address, v->arena, &account));
	else if (v->url.access != IMAP_URL_PLAIN)
		result = RESULT_NOT_FOUND;
	v->account = account.id;
	if (result == RESULT_OK && v->url.access == IMAP_URL_PLAIN &&
	    v->account != v->who.account)
		result = RESULT_NOT_FOUND;
	return result;
}

static enum result
admit(struct visit *v)
{
	struct holder as = { .service = v->who.service };
	enum result result = find_account(v);

	v->mailbox = v->base;
	if (result == RESULT_OK && (v->url.mailbox.n > 0 || v->base == 0))
		result = find_mailbox(v->store, v->account, v->url.mailbox,
		    v->url.uidvalidity, v->arena, &v->mailbox);
	if (v->url.access != IMAP_URL_PLAIN && result != RESULT_TEMPORARY)
		result = check_token(v, result);
	if (result != RESULT_OK)
		return result;
	as.account = v->account;
	if (directory_account_epoch(v->store->directory, as.account,
	    &as.epoch) != 1)
		return RESULT_NOT_FOUND;
	grant_make(v->store, &as, &v->grant);
	return RESULT_OK;
}

static enum result
begin(struct visit *v, const struct grant *grant, struct span url)
{
	int status;

	if (grant_check(v->store, grant, &v->who) != 1)
		return RESULT_DENIED;
	status = imap_url_parse(url, v->arena, &v->url);
	if (status != 1)
		return status == 0 ? RESULT_INVALID : RESULT_TEMPORARY;
	return result_of(directory_account(v->store->directory,
	    v->who.account, v->arena, &v->caller));
}

/* ---- which bytes ----------------------------------------------------- */

static enum result
open_summary(struct visit *v, const struct row *row, bool parts,
    struct summary *summary, struct summary_part **root)
{
	struct span record;
	int status = engine_body_summary(v->store->engine, row->body,
	    v->arena, &record);

	*root = NULL;
	if (status != 1)
		return result_of(status);
	if (summary_open(record, row->size, summary) != 1 ||
	    (parts && summary->truncated))
		return RESULT_DAMAGED;
	return !parts || summary_parts(summary, v->arena, root) == 1
	    ? RESULT_OK : RESULT_DAMAGED;
}

static enum result
find_extent(struct visit *v, const struct row *row,
    struct imap_section *section, struct imap_extent *extent)
{
	struct summary summary;
	struct summary_part *root;
	enum result result;
	int status = imap_section_parse(v->url.section, v->arena, section);

	*extent = (struct imap_extent){ 0, row->size };
	if (status != 1)
		return result_of(status);
	if (section->kind == IMAP_SECTION_ALL && section->part_count == 0)
		return RESULT_OK;
	result = open_summary(v, row, imap_section_needs_parts(section),
	    &summary, &root);
	return result != RESULT_OK ? result :
	    result_of(imap_section_extent(section, &summary, root, extent));
}

/* The caller chooses the fields of a header, and cuts what is left. */
static bool
is_choice(const struct imap_section *section)
{
	return section->kind == IMAP_SECTION_FIELDS ||
	    section->kind == IMAP_SECTION_FIELDS_NOT;
}

static struct imap_extent
clip(struct imap_extent e, uint64_t at, uint64_t count)
{
	uint64_t skip = MIN(at, e.size);

	return (struct imap_extent){ e.at + skip, MIN(count, e.size - skip) };
}

static enum result
read_piece(struct visit *v, const struct row *row, struct imap_extent extent,
    struct blob *data)
{
	struct text t = TEXT_INIT(0);
	int status = engine_body_read(v->store->engine, row->body, extent.at,
	    extent.size, &t);
	struct span bytes = arena_dup(v->arena, text_span(&t));

	text_free(&t);
	*data = BLOB_OF(bytes);
	if (status == 1 && bytes.p == NULL)
		status = -1;
	return result_of(status);
}

static enum result
fetch(struct visit *v, const struct url_fetch_request *req,
    struct url_fetch_reply *reply)
{
	struct imap_section section;
	struct imap_extent extent;
	struct row row;
	ticket_t ticket;
	enum result result = message_row_of(v->store, &v->grant, v->mailbox,
	    v->url.uid, &row, &ticket);

	if (result == RESULT_OK)
		result = find_extent(v, &row, &section, &extent);
	if (result != RESULT_OK)
		return result;
	reply->choose = is_choice(&section);
	if (v->url.is_partial && !reply->choose)
		extent = clip(extent, v->url.at, v->url.count);
	reply->size = extent.size;
	result = read_piece(v, &row, clip(extent, req->from,
	    MIN(req->count, PIECE)), &reply->data);
	return result == RESULT_OK ? mailboxes_durable(v->store->mailboxes,
	    ticket) : result;
}

/* ---- the verbs ------------------------------------------------------- */

void
verb_url_fetch(void *arg, const struct caller *caller, struct arena *arena,
    const struct url_fetch_request *req, struct url_fetch_reply *reply)
{
	struct visit v = { .store = arg, .arena = arena, .base = req->base };

	(void)caller;
	reply->result = begin(&v, &req->grant, req->url);
	if (reply->result == RESULT_OK)
		reply->result = v.url.access != IMAP_URL_PLAIN &&
		    v.url.token.p == NULL ? RESULT_INVALID : admit(&v);
	if (reply->result == RESULT_OK)
		reply->result = fetch(&v, req, reply);
	/* They may not, or there is none: no matter which. */
	if (reply->result == RESULT_FORBIDDEN)
		reply->result = RESULT_NOT_FOUND;
}

/* Only for what is the caller's own to give. */
static enum result
check_rump(struct visit *v)
{
	enum result result;

	if (v->url.access == IMAP_URL_PLAIN || v->url.token.p != NULL ||
	    !v->url.has_server || v->url.user.n == 0)
		return RESULT_INVALID;
	result = find_account(v);
	if (result == RESULT_OK && v->account != v->who.account)
		return RESULT_NOT_FOUND;
	return result != RESULT_OK ? result : find_mailbox(v->store,
	    v->account, v->url.mailbox, v->url.uidvalidity, v->arena,
	    &v->mailbox);
}

/* Under the lock of the names, so that two calls make one key. */
static enum result
key_for(struct visit *v, uint8_t key[KEY_BYTES])
{
	struct names *names;
	enum result result = names_enter(v->store->mailboxes, v->account,
	    &names);
	int status;

	if (result != RESULT_OK)
		return result;
	status = read_key(v->store, v->account, v->mailbox, v->arena, key);
	if (status == 0)
		result = make_key(v->store, v->account, v->mailbox, key);
	names_leave(&names);
	return status == -1 ? RESULT_TEMPORARY : result;
}

void
verb_url_sign(void *arg, const struct caller *caller, struct arena *arena,
    const struct url_sign_request *req, struct url_sign_reply *reply)
{
	struct visit v = { .store = arg, .arena = arena };
	char token[TOKEN_DIGITS + 1];
	uint8_t key[KEY_BYTES];

	(void)caller;
	reply->result = begin(&v, &req->grant, req->rump);
	if (reply->result == RESULT_OK)
		reply->result = check_rump(&v);
	if (reply->result == RESULT_OK)
		reply->result = key_for(&v, key);
	if (reply->result != RESULT_OK)
		return;
	token_of(key, req->rump, token);
	secret_wipe(key, sizeof(key));
	reply->token = arena_dup(arena, span_str(token));
	if (reply->token.p == NULL)
		reply->result = RESULT_TEMPORARY;
}

static enum result
forget_keys(struct store *store, uint64_t account)
{
	struct key from = key_letter(ACCOUNT_URL);
	struct key to = key_letter_after(ACCOUNT_URL);
	struct batch *b = batch_new(partition_of(account));
	ticket_t ticket = 0;
	int status;

	batch_delete_range(b, key_span(&from), key_span(&to));
	status = engine_commit(store->engine, b, &ticket);
	batch_free(&b);
	return status != 1 ? result_of_errno()
	    : mailboxes_durable(store->mailboxes, ticket);
}

void
verb_url_reset(void *arg, const struct caller *caller, struct arena *arena,
    const struct url_reset_request *req, struct url_reset_reply *reply)
{
	struct store *store = arg;
	uint8_t key[KEY_BYTES];
	uint64_t account, mailbox;

	(void)caller;
	reply->result = grant_account(store, &req->grant, &account);
	if (reply->result != RESULT_OK)
		return;
	if (req->mailbox.n == 0) {
		reply->result = forget_keys(store, account);
		return;
	}
	reply->result = find_mailbox(store, account, req->mailbox, 0, arena,
	    &mailbox);
	if (reply->result == RESULT_OK)
		reply->result = make_key(store, account, mailbox, key);
	secret_wipe(key, sizeof(key));
}
