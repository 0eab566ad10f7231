/*
 * relay_text.c - what became of a message, in words.
 */
#include "relay/relay_text.h"

enum relay_outcome
relay_outcome_of(const struct smtp_answer *a)
{
	switch (a->code / 100) {
	case 2:
		return RELAY_SENT;
	case 5:
		return RELAY_FAILED;
	default:
		return RELAY_DEFERRED;
	}
}

/* A server's own code counts when its class is that of its answer. */
static struct span
enhanced_of(const struct smtp_answer *a)
{
	if (a->enhanced.n > 0 && a->enhanced.p[0] == '0' +
	    (char)(a->code / 100))
		return a->enhanced;
	switch (a->code) {
	case 0:
		return SPAN("4.4.2");	/* bad connection */
	case 421:
		return SPAN("4.3.2");	/* not accepting messages now */
	case 521: case 556:
		return SPAN("5.3.2");	/* RFC 7504 */
	default:
		return a->code >= 500 ? SPAN("5.0.0") : SPAN("4.0.0");
	}
}

void
relay_reason(const struct smtp_answer *a, struct span remote,
    struct text *out)
{
	struct text said = TEXT_INIT(REASON_MAX / 2);
	struct text whole = TEXT_INIT(0);

	smtp_answer_text(a, &whole);
	text_add(&said, span_sub(text_span(&whole), 0, REASON_MAX / 2));
	text_printf(out, "%.*s %.*s said: %.*s", SPAN_ARG(enhanced_of(a)),
	    SPAN_ARG(remote), SPAN_ARG(text_span(&said)));
	text_free(&said);
	text_free(&whole);
}

void
relay_remote(struct span host, const struct ip_address *ip, uint16_t port,
    struct text *out)
{
	text_printf(out, "%.*s[", SPAN_ARG(span_sub(host, 0, 240)));
	ip_write(ip, out);
	text_printf(out, "]:%u", port);
}

static bool
is_plain(struct span value)
{
	for (size_t i = 0; i < value.n; i++)
		if (!ascii_is_print(value.p[i]) || value.p[i] == ' ' ||
		    value.p[i] == '"' || value.p[i] == '\\')
			return false;
	return value.n > 0;
}

void
relay_detail(struct text *t, const char *name, struct span value)
{
	bool plain = is_plain(value);

	if (t->n > 0)
		text_char(t, ' ');
	text_printf(t, plain ? "%s=" : "%s=\"", name);
	for (size_t i = 0; i < value.n; i++) {
		bool odd = (unsigned char)value.p[i] < 0x20 ||
		    value.p[i] == 0x7f;

		if (value.p[i] == '"' || value.p[i] == '\\')
			text_char(t, '\\');
		text_char(t, odd ? ' ' : value.p[i]);
	}
	if (!plain)
		text_char(t, '"');
}

void
relay_detail_ms(struct text *t, const char *name, int64_t ms)
{
	text_printf(t, "%s%s=%" PRId64, t->n > 0 ? " " : "", name,
	    MAX(ms, 0));
}

struct span
relay_one_line(struct arena *arena, struct span in)
{
	struct span out = arena_dup(arena, span_sub(in, 0, REASON_MAX));

	for (size_t i = 0; i < out.n; i++)
		if ((unsigned char)out.p[i] < 0x20 || out.p[i] == 0x7f)
			((char *)(uintptr_t)out.p)[i] = ' ';
	return out;
}
