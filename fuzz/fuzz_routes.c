/* fuzz_routes.c - route sections, on their way, and what fits them. */
#include "base/routes.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* Whatever was taken comes back the same. */
static void
comes_back(const struct routes *r)
{
	struct text one = TEXT_INIT(0), two = TEXT_INIT(0);
	struct text why = TEXT_INIT(0);
	struct routes *again;

	routes_encode(r, true, &one);
	again = routes_decode(text_span(&one), &why);
	must(again != NULL);
	routes_encode(again, true, &two);
	must(span_eq(text_span(&one), text_span(&two)));
	routes_free(&again);
	text_free(&one);
	text_free(&two);
	text_free(&why);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct text why = TEXT_INIT(8192);
	struct routes *r = routes_parse(span_of(p, n), &why);

	if (r != NULL) {
		comes_back(r);
		(void)routes_match(r, SPAN("ann@example.org"),
		    SPAN("sales-1@example.net"));
		(void)routes_match(r, SPAN_EMPTY, span_of(p, MIN(n, 300)));
	} else {
		must(why.n > 0);
	}
	routes_free(&r);
	r = routes_decode(span_of(p, n), &why);
	if (r != NULL)
		comes_back(r);
	routes_free(&r);
	text_free(&why);
	return 0;
}
