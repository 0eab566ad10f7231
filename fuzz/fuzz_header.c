/*
 * fuzz_header.c - header fields, and what stands in them: words,
 * parameters, dates, subjects.
 */
#include "base/text.h"
#include "mail/date.h"
#include "mail/encode.h"
#include "mail/header.h"
#include "mail/subject.h"
#include "mail/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Decoded text is UTF-8, whatever came in. */
static void
check_value(struct span value, struct arena *a)
{
	struct text t = TEXT_INIT(0), again = TEXT_INIT(0);
	const struct words_param *p;
	struct words_field f;
	struct date d;

	words_decode(value, &t);
	must(utf8_valid(text_span(&t)));
	words_encode(text_span(&t), &again);
	must(utf8_is_ascii(text_span(&again)));
	text_clear(&t);
	subject_base(value, &t, NULL);
	must(utf8_valid(text_span(&t)));
	if (words_field(value, 64, a, &f) >= 0) {
		for (p = f.params; p != NULL; p = p->next) {
			text_clear(&t);
			words_param_text(p, &t);
			must(utf8_valid(text_span(&t)));
		}
	}
	if (date_parse_message(value, &d) == 1) {
		struct date back;

		text_clear(&t);
		date_add_message(&t, d);
		must(date_parse_message(text_span(&t), &back) == 1);
		must(back.offset == d.offset);
		must(back.seconds == d.seconds || date_split(d).year < 1000);
	}
	text_free(&t);
	text_free(&again);
}

/* What is added is one field, and says the same. */
static void
check_add(struct span value)
{
	struct text t = TEXT_INIT(0);
	struct header_field f;
	size_t at = 0;

	header_add(&t, "Name", value);
	must(header_next(text_span(&t), &at, &f) && at == t.n);
	must(span_is(f.name, "Name"));
	text_free(&t);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span message = span_of(data, n);
	struct arena *a = arena_new(64 << 20);
	struct header_survey survey;
	struct header_field f;
	size_t at = 0, before = 0, fields = 0;

	while (header_next(message, &at, &f)) {
		must(f.whole.p == message.p + before &&
		    f.whole.n == at - before);
		must(f.name.n == 0 || header_name_ok(f.name));
		check_value(f.value, a);
		check_add(f.value);
		before = at;
		fields++;
	}
	must(at == header_end(message));
	header_survey(message, &survey);
	must(survey.size == at && survey.fields == fields);
	arena_free(&a);
	return 0;
}
