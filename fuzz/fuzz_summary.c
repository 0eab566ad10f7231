/*
 * fuzz_summary.c - summary records as a captured edge could forge them: they
 * are refused, or all that they say can be shown, with every offset within
 * the message and no line end outside a literal.
 */
#include "base/text.h"
#include "imap/imap_body.h"
#include "imap/imap_envelope.h"
#include "mail/summary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Literals skipped, no CR, LF, NUL or 8-bit byte may be left. */
static void
check_wire(struct span s)
{
	size_t i = 0, from, length;
	bool quoted = false;

	while (i < s.n) {
		must(ascii_is_print(s.p[i]) || (quoted && s.p[i] > 0));
		if (quoted && s.p[i] == '\\') {
			i++;
		} else if (s.p[i] == '"') {
			quoted = !quoted;
		} else if (!quoted && s.p[i] == '{') {
			for (from = ++i, length = 0; s.p[i] != '}'; i++)
				length = length * 10 + (size_t)(s.p[i] - '0');
			must(i > from && s.p[i + 1] == '\r' &&
			    s.p[i + 2] == '\n');
			i += 2 + length;
		}
		i++;
	}
	must(!quoted && i == s.n);
}

static void
check_parts(const struct summary *s, const struct summary_part *p)
{
	for (; p != NULL; p = p->next) {
		must(p->body_at + p->body_size <= s->size);
		must(p->header_at + p->header_size == p->body_at);
		must(p->kind != MIME_MESSAGE || p->envelope != NULL);
		check_parts(s, p->first);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *a = arena_new(64 << 20);
	struct text out = TEXT_INIT(0);
	struct summary_envelope e;
	struct summary_part *root;
	struct summary s;
	struct span record = span_of(data, n);

	if (summary_check(record, UINT64_MAX, a) == 1) {
		must(summary_open(record, UINT64_MAX, &s) == 1);
		must(summary_envelope(&s, a, &e) == 1);
		must(summary_parts(&s, a, &root) == 1);
		check_parts(&s, root);
		imap_add_envelope(&out, &e, IMAP_TEXT_ASCII);
		text_char(&out, ' ');
		imap_add_body(&out, root, true, IMAP_TEXT_ASCII);
		check_wire(text_span(&out));
	}
	text_free(&out);
	arena_free(&a);
	return 0;
}
