/*
 * fuzz_scram.c - the client's messages of SCRAM.
 */
#include "base/arena.h"
#include "store/scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *arena = arena_new(1 << 20);
	struct span input = span_of(data, n);
	struct scram_first first;
	struct scram_final final;

	if (scram_read_first(input, arena, &first) == 1) {
		must(first.header.n + first.bare.n == n);
		must(first.user.n > 0 && first.nonce.n > 0);
		must(first.flag == 'n' || first.flag == 'y' ||
		    (first.flag == 'p' && first.binding.n > 0));
	}
	for (int hash = 0; hash < SCRAM_HASHES; hash++)
		if (scram_read_final(input, (enum scram_hash)hash, arena,
		    &final) == 1)
			must(final.without_proof.n < n);
	arena_free(&arena);
	return 0;
}
