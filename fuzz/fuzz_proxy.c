/*
 * fuzz_proxy.c - PROXY headers, both versions, whole and cut.
 *
 * What the first bytes say must not be taken back by more of them, and what is
 * still wanted never lies beyond what a reader has room for.
 */
#include "io/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span in = span_of(data, n);
	struct proxy_header whole, part;
	int status = proxy_parse(in, &whole);

	must(status != 0 || n < PROXY_SEEN_MAX);
	must(status != 1 || whole.size <= 16 + 65535);
	for (size_t i = 0; i < n && i < PROXY_SEEN_MAX; i++) {
		int before = proxy_parse(span_sub(in, 0, i), &part);

		must(before == 0 || before == status);
		if (before != 1)
			continue;
		must(part.size == whole.size);
		must(part.has_client == whole.has_client);
		must(memcmp(&part.client, &whole.client,
		    sizeof(part.client)) == 0);
	}
	return 0;
}
