/*
 * login_rules.c - second factors and referrals of accounts.
 *
 *	directory	l account: struct login_rules
 *
 * A code is taken once (RFC 6238 5.2): its step is written before it is said
 * to be right. Wrong ones are counted like wrong passwords.
 */
#include "store/login_rules.h"
#include "base/clock.h"
#include "base/secret.h"
#include "ipc/wire.h"
#include "store/auth.h"
#include "store/verbs.h"

enum { RULES_VERSION = 1, URL_LIMIT = 1000, RULES_SECOND_FACTOR = 1 };

static void
rules_encode(struct text *out, const struct login_rules *r)
{
	put_u8(out, RULES_VERSION);
	put_u32(out, r->second_factor ? RULES_SECOND_FACTOR : 0);
	put_raw(out, r->secret, sizeof(r->secret));
	put_u64(out, r->used);
	put_bytes(out, r->moved_to);
}

static int
rules_decode(struct span record, struct login_rules *r)
{
	struct cursor c = { record, false };
	uint8_t version = get_u8(&c);

	r->second_factor = (get_u32(&c) & RULES_SECOND_FACTOR) != 0;
	get_raw(&c, r->secret, sizeof(r->secret));
	r->used = get_u64(&c);
	r->moved_to = get_bytes(&c, URL_LIMIT);
	return !c.bad && version == RULES_VERSION;
}

int
login_rules_of(struct store *store, uint64_t account, struct arena *arena,
    struct login_rules *r)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct span record;
	int rc;

	*r = (struct login_rules){ 0 };
	key_id(&key, DIRECTORY_LOGIN, account);
	rc = engine_get(store->engine, directory_partition, text_span(&key),
	    arena, &record);
	text_free(&key);
	if (rc == 1 && rules_decode(record, r) != 1) {
		errno = EIO;
		return -1;
	}
	return rc == -1 ? -1 : 1;
}

/* -- changes ------------------------------------------------------------- */

/* The account behind the address, and its rules as they are. */
static enum result
begin(struct directory_change *c, struct span address, struct account *account,
    struct login_rules *r)
{
	struct name name;
	enum result result = named_account(c, address, &name, account);

	if (result == RESULT_OK && login_rules_of(c->directory->store,
	    account->id, c->arena, r) != 1)
		result = RESULT_TEMPORARY;
	return result;
}

static void
put_rules(struct directory_change *c, uint64_t account,
    const struct login_rules *r)
{
	text_clear(&c->record);
	rules_encode(&c->record, r);
	key_id(&c->key, DIRECTORY_LOGIN, account);
	batch_put(c->batch, text_span(&c->key), text_span(&c->record));
}

/* Sessions that came with the password alone end. */
static enum result
turn_on(struct directory_change *c, struct account *account,
    struct login_rules *r)
{
	if (r->second_factor)
		return RESULT_EXISTS;
	r->second_factor = true;
	r->used = 0;
	random_bytes(r->secret, sizeof(r->secret));
	put_rules(c, account->id, r);
	account->epoch++;
	put_account(c, account);
	return RESULT_OK;
}

static enum result
turn_off(struct directory_change *c, const struct account *account,
    struct login_rules *r)
{
	if (!r->second_factor)
		return RESULT_NOT_FOUND;
	r->second_factor = false;
	secret_wipe(r->secret, sizeof(r->secret));
	put_rules(c, account->id, r);
	return RESULT_OK;
}

static enum result
verify(struct directory_change *c, const struct account *account,
    struct login_rules *r, struct span code)
{
	struct auth *auth = c->directory->store->auth;
	struct attempt attempt = { .login = directory_login_key(c->directory,
	    account->address, c->arena) };
	const struct settings *s = store_settings(c->directory->store);
	uint64_t step;

	if (!r->second_factor)
		return RESULT_NOT_FOUND;
	if (lockout_locked(auth->lockout, s, &attempt))
		return RESULT_LOCKED;
	step = totp_check(r->secret, code, clock_wall_seconds());
	if (step == 0 || step <= r->used) {
		lockout_failed(auth->lockout, s, &attempt, code);
		return RESULT_DENIED;
	}
	r->used = step;
	put_rules(c, account->id, r);
	return RESULT_OK;
}

static enum result
act(struct directory_change *c, const struct second_factor_request *req,
    struct account *account, struct login_rules *r)
{
	enum result result = begin(c, req->address, account, r);

	if (result != RESULT_OK)
		return result;
	switch (req->action) {
	case SECOND_FACTOR_ON:
		return turn_on(c, account, r);
	case SECOND_FACTOR_OFF:
		return turn_off(c, account, r);
	case SECOND_FACTOR_VERIFY:
		return verify(c, account, r, req->code);
	default:
		return RESULT_INVALID;
	}
}

/* The form that programs for such codes read from a QR code. */
static struct span
otpauth_url(struct arena *arena, struct span address,
    const uint8_t secret[TOTP_SECRET])
{
	struct text url = TEXT_INIT(0);
	struct span out;

	text_str(&url, "otpauth://totp/Postrider:");
	for (size_t i = 0; i < address.n; i++)
		if (strchr("%?&# ", address.p[i]) != NULL)
			text_printf(&url, "%%%02X", (uint8_t)address.p[i]);
		else
			text_char(&url, address.p[i]);
	text_str(&url, "?secret=");
	base32_add(&url, span_of(secret, TOTP_SECRET));
	text_str(&url, "&issuer=Postrider");
	out = arena_dup(arena, text_span(&url));
	text_wipe(&url);
	return out;
}

void
verb_second_factor(void *arg, const struct caller *caller,
    struct arena *arena, const struct second_factor_request *req,
    struct second_factor_reply *reply)
{
	struct store *store = arg;
	struct directory_change c;
	struct login_rules rules;
	struct account account;
	struct span url = SPAN_EMPTY;

	(void)caller;
	change_begin(&c, store->directory);
	reply->result = act(&c, req, &account, &rules);
	if (reply->result == RESULT_OK && req->action == SECOND_FACTOR_ON)
		url = otpauth_url(arena, account.address, rules.secret);
	reply->result = change_end(&c, reply->result);
	if (reply->result == RESULT_OK)
		reply->url = url;
	secret_wipe(&rules, sizeof(rules));
}

/* -- referrals ----------------------------------------------------------- */

/* It goes into a response code: no bracket, no blank, nothing hidden. */
static bool
is_imap_url(struct span url)
{
	if (url.n > URL_LIMIT || url.n <= 7 ||
	    !span_is_nocase(span_sub(url, 0, 7), "imap://"))
		return url.n == 0;
	for (size_t i = 0; i < url.n; i++)
		if ((uint8_t)url.p[i] <= ' ' || (uint8_t)url.p[i] > '~' ||
		    strchr("]\"\\", url.p[i]) != NULL)
			return false;
	return true;
}

void
verb_account_referral(void *arg, const struct caller *caller,
    struct arena *arena, const struct account_referral_request *req,
    struct account_referral_reply *reply)
{
	struct store *store = arg;
	struct directory_change c;
	struct login_rules rules;
	struct account account;

	(void)caller, (void)arena;
	if (!is_imap_url(req->url)) {
		reply->result = RESULT_INVALID;
		return;
	}
	change_begin(&c, store->directory);
	reply->result = begin(&c, req->address, &account, &rules);
	if (reply->result == RESULT_OK) {
		rules.moved_to = req->url;
		put_rules(&c, account.id, &rules);
		account.epoch++;	/* who is in shall hear of it */
		put_account(&c, &account);
	}
	reply->result = change_end(&c, reply->result);
}
