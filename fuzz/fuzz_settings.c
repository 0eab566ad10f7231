/* fuzz_settings.c - the configuration file, and the settings on their way. */
#include "base/settings.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* Whatever was taken comes back the same from its canonical text. */
static void
comes_back(const struct settings *s)
{
	static struct settings again;
	struct text t = TEXT_INIT(0), why = TEXT_INIT(0);

	settings_encode(s, &t);
	must(settings_decode(&again, text_span(&t), &why) == 1);
	must(memcmp(s, &again, sizeof(again)) == 0);
	text_free(&t);
	text_free(&why);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct settings s;
	struct text why = TEXT_INIT(8192);

	settings_default(&s);
	if (settings_parse(&s, span_of(p, n), &why) == 1)
		comes_back(&s);
	else
		must(why.n > 0);
	if (settings_decode(&s, span_of(p, n), &why) == 1)
		comes_back(&s);
	text_free(&why);
	return 0;
}
