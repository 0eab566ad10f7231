/*
 * fuzz_sts.c - MTA-STS: the record, the policy file, its patterns.
 *
 * The first line is the record, the rest is the policy.
 */
#include <stdlib.h>

#include "base/text.h"
#include "verify/sts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
check_policy(struct span file)
{
	struct arena *arena = arena_new(1 << 20);
	struct sts_policy p;

	if (sts_policy_parse(file, arena, &p) == 1) {
		must(p.max_age >= 0 && p.max_age <= STS_MAX_AGE);
		must(p.mode == STS_NONE || p.mx_count > 0);
		for (size_t i = 0; i < p.mx_count; i++)
			must(p.mx[i].n > 0 &&
			    sts_allows(p.mx, p.mx_count, p.mx[i]));
		must(!sts_allows(p.mx, p.mx_count, SPAN("")));
	}
	arena_free(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span record, id = SPAN_EMPTY;
	struct span file = span_cut(span_of(data, n), '\n', &record);
	struct span both[2] = { record, record };

	if (sts_record(&record, 1, &id) == 1) {
		must(id.n > 0 && id.n <= STS_ID_MAX);
		must(sts_record(both, 2, &id) == -1);
	}
	check_policy(file);
	return 0;
}
