/*
 * fuzz_address.c - addresses: what was taken is written so that it is taken
 * again and is the same. The first byte says what is allowed.
 */
#include "mail/address.h"
#include "mail/encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
check_address(struct arena *a, const struct address *x, unsigned allow)
{
	struct address y;
	struct span user, tag, key;
	size_t used;
	struct span written = address_path_text(a, x);

	must(x->local.n <= ADDRESS_PATH_MAX);
	must(x->domain.n <= ADDRESS_DOMAIN_MAX && utf8_is_ascii(x->domain));
	must(x->is_null || x->local.n > 0);
	must(address_path(written, allow, a, &y, &used) == 1);
	must(used == written.n);
	must(span_eq(x->local, y.local) && span_eq(x->domain, y.domain));
	must(x->is_null == y.is_null && x->is_literal == y.is_literal);
	must(address_equal(x, &y));
	key = address_key(a, x);
	must(span_eq(key, address_key(a, &y)));
	address_subaddress(x->local, '+', &user, &tag);
	must(x->is_null || user.n > 0);
}

static void
check_list(struct arena *a, struct span in)
{
	struct address_entry *e;
	size_t n = 0, open = 0;

	must(address_list(in, 100, a, &e) == 1);
	for (; e != NULL; e = e->next, n++) {
		open += e->kind == ADDRESS_GROUP;
		must(open <= 1);
		open -= e->kind == ADDRESS_GROUP_END;
	}
	must(n <= 101 && open == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *a = arena_new(64 << 20);
	struct address x;
	struct span in, domain, again;
	unsigned allow;
	size_t used;

	if (n > 0) {
		allow = data[0] & 15;
		in = span_of(data + 1, n - 1);
		if (address_path(in, allow, a, &x, &used) == 1) {
			must(used <= in.n);
			check_address(a, &x, allow);
		}
		if (address_mailbox(in, allow, a, &x) == 1)
			check_address(a, &x, allow);
		if (address_domain(in, a, &domain) == 1) {
			must(address_domain(domain, a, &again) == 1);
			must(span_eq(domain, again));
			address_domain_display(a, domain);
		}
		check_list(a, in);
	}
	arena_free(&a);
	return 0;
}
