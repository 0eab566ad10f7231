/*
 * fuzz_srs.c - rewritten senders: what is written can be read back, and is an
 * address; what was not written here is not read.
 */
#include "mail/address.h"
#include "mail/srs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* 1 and its parts, 0 not an address. */
static int
parse(struct span s, struct arena *a, struct address *out)
{
	return address_mailbox(s, ADDRESS_ALLOW_UTF8, a, out) == 1;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct span secret = SPAN("secret");
	struct span in = span_of(data, n), out, back;
	struct arena *a = arena_new(1 << 20);
	struct address sender, other;
	const int64_t day = 20000;
	int rc = srs_forward(in, SPAN("here.test"), secret, day, a, &out);

	if (rc == 1 && n > 0) {
		must(parse(in, a, &sender) && parse(out, a, &other));
		must(srs_is(other.local));
		rc = srs_reverse(out, secret, day, a, &back);
		/* What another forwarder wrote may be nonsense. */
		must(rc == 1 || srs_is(sender.local));
		must(rc == 0 || parse(back, a, &other));
		if (rc == 1 && !srs_is(sender.local))
			must(address_equal(&sender, &other));
		must(srs_reverse(out, SPAN("other"), day, a, &back) == 0);
	}
	if (srs_reverse(in, secret, day, a, &back) == 1)
		must(parse(back, a, &other));
	arena_free(&a);
	return 0;
}
