/*
 * grant.c - who may: an answer that only the store can have given.
 *
 * A grant says which account, from which service, of which password
 * (epoch) and until when; an HMAC-SHA-256 over it proves it. The store keeps
 * nothing of it: the key comes from the supervisor, so that a store that was
 * restarted knows the grants of the one before. A new password raises the
 * account's epoch and ends every older grant; so does its removal, and that
 * of the app password it came with.
 *
 *	0	version
 *	1	service (enum protocol)
 *	2	1: the operator acts
 *	4	epoch
 *	8	account
 *	16	end, seconds since 1970
 *	24	app password, 0: the account's own
 *	32	random
 *	48	HMAC over the above
 */
#include "base/clock.h"
#include "base/secret.h"
#include "ipc/wire.h"
#include "store/app_password.h"
#include "store/password.h"
#include "store/store.h"

enum {
	GRANT_VERSION = 2,
	GRANT_SIGNED = 48,
	GRANT_RANDOM = 16,
	GRANT_DAYS = 30,		/* no session is older */
};

void
grant_make(const struct store *store, const struct holder *holder,
    struct grant *grant)
{
	struct text t = TEXT_INIT(sizeof(grant->b));
	uint8_t random[GRANT_RANDOM];

	random_bytes(random, sizeof(random));
	put_u8(&t, GRANT_VERSION);
	put_u8(&t, (uint8_t)holder->service);
	put_u8(&t, holder->operator_acts);
	put_u8(&t, 0);
	put_u32(&t, holder->epoch);
	put_u64(&t, holder->account);
	put_i64(&t, clock_wall_seconds() + GRANT_DAYS * 86400);
	put_u64(&t, holder->app);
	put_raw(&t, random, sizeof(random));
	must(t.n == GRANT_SIGNED);
	memcpy(grant->b, t.p, GRANT_SIGNED);
	hmac_sha256(span_of(store->grant_key, sizeof(store->grant_key)),
	    text_span(&t), grant->b + GRANT_SIGNED);
	text_free(&t);
}

int
grant_check(struct store *store, const struct grant *grant,
    struct holder *holder)
{
	struct cursor c = { span_of(grant->b, GRANT_SIGNED), false };
	uint8_t mac[32];
	uint32_t epoch;
	int64_t end;

	hmac_sha256(span_of(store->grant_key, sizeof(store->grant_key)),
	    c.rest, mac);
	if (!secret_equal(span_of(mac, sizeof(mac)),
	    span_of(grant->b + GRANT_SIGNED, sizeof(mac))))
		return 0;
	if (get_u8(&c) != GRANT_VERSION)
		return 0;
	holder->service = (enum protocol)get_u8(&c);
	holder->operator_acts = get_u8(&c) == 1;
	get_u8(&c);
	holder->epoch = get_u32(&c);
	holder->account = get_u64(&c);
	end = get_i64(&c);
	holder->app = get_u64(&c);
	if (c.bad || end < clock_wall_seconds())
		return 0;
	if (directory_account_epoch(store->directory, holder->account,
	    &epoch) != 1 || epoch != holder->epoch)
		return 0;
	return holder->app == 0 || app_password_holds(store, holder->account,
	    holder->app) == 1;
}
