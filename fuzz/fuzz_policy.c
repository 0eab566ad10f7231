/*
 * fuzz_policy.c - what answers of the DNS, whatever they are, make of TLS.
 *
 * The input is flags, a policy that is kept (up to an empty line), then for
 * each question its answer: how it ended, and records with their lengths.
 */
#include <stdlib.h>

#include "base/log.h"
#include "ipc/wire.h"
#include "relay/relay.h"
#include "relay/relay_policy_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct settings settings;
static struct span kept, answers;

/* -- what relay asks of others ---- */
struct link *
relay_store(void)
{
	return NULL;
}

const struct settings *
relay_settings(void)
{
	return &settings;
}

struct tls_client *
relay_tls(void)
{
	return NULL;
}

int
relay_sts_kept(struct span domain, struct arena *arena,
    struct sts_kept *out)
{
	(void)domain, (void)arena;
	*out = (struct sts_kept){ SPAN("1"), kept, INT64_MAX / 2 };
	return kept.n > 0;
}

bool
relay_sts_keep(struct span domain, const struct sts_kept *policy,
    int64_t max_age, struct arena *arena)
{
	(void)domain, (void)policy, (void)max_age, (void)arena;
	return true;
}

bool
relay_report_hand_over(const struct token *token, struct span rows)
{
	struct cursor c = { rows, false };
	struct tlsrpt_row r;

	(void)token;
	while (tlsrpt_row_get(&c, &r) == 1)
		continue;
	must(!c.bad && c.rest.n == 0);
	return true;
}

static uint8_t
take_byte(void)
{
	uint8_t c = answers.n > 0 ? (uint8_t)answers.p[0] : 0;

	answers = span_from(answers, 1);
	return c;
}

static void
answer(void *arg, struct span name, uint32_t type, struct arena *arena,
    struct resolve_reply *reply)
{
	uint8_t how = take_byte(), count = take_byte() % 8;
	struct text out = TEXT_INIT(0);

	(void)arg, (void)name, (void)type;
	*reply = (struct resolve_reply){ .secure = how & 1,
	    .rcode = how & 2 ? 3 : 0, .canonical = how & 4 ? name :
	    SPAN("other.example"), .result = how & 8 ? RESULT_DENIED :
	    how & 16 ? RESULT_TEMPORARY : RESULT_OK };
	for (size_t i = 0; i < count; i++) {
		size_t n = take_byte();

		dns_answer_put(&out, &(struct dns_answer){
		    span_sub(answers, 0, n) });
		answers = span_from(answers, n);
	}
	reply->answers = BLOB_OF(arena_dup(arena, text_span(&out)));
	text_free(&out);
}

/* -- what holds of every decision ---- */
static void
check(const struct policy *p, const struct policy_host *h)
{
	must(h->reason.n > 0 || !h->allowed || h->temporary);
	if (!h->allowed)
		return;
	must(!h->need_tls || (h->try_tls && !h->fall_back));
	must(h->peer.check != TLS_CHECK_DANE ||
	    (h->peer.record_count > 0 && h->need_tls && p->mx_secure));
	must(h->peer.check != TLS_CHECK_NAME || h->peer.name_count == 1);
	must(!h->peer.tolerate || !h->need_tls);
	for (size_t i = 0; i < h->peer.record_count; i++)
		must(tls_record_usable(&h->peer.records[i]));
	if (p->require_tls)
		must(h->need_tls && h->peer.check != TLS_CHECK_NONE &&
		    !h->peer.tolerate);
	if (h->kind == POLICY_STS_ENFORCE)
		must(h->need_tls && h->peer.check == TLS_CHECK_NAME);
}

static void
decide(uint8_t flags)
{
	static const char *const levels[] = { "may", "dane", "encrypt",
	    "verify", "none", "may", "may", "may" };
	struct arena *arena = arena_new(1 << 20);
	uint32_t asked = (flags & 1 ? ENVELOPE_REQUIRETLS : 0) |
	    (flags & 2 ? ENVELOPE_TLS_OPTIONAL : 0);
	struct policy p;
	struct policy_host h;

	relay_policy_find(SPAN("a.example"), NULL, levels[flags >> 5],
	    (flags & 4) != 0, asked, arena, &p);
	relay_policy_host(&p, SPAN("mx.a.example"), (flags & 8) != 0, 25,
	    asked, arena, &h);
	check(&p, &h);
	relay_policy_result(&p, &h, SPAN("mx.a.example"), SPAN("[192.0.2.1]"),
	    SPAN(""), flags & 16 ? "validation-failure" : "");
	relay_policy_flush();
	arena_free(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span all = span_of(data, n);
	size_t end;

	if (n == 0)
		return 0;
	log_set_level(LOG_LEVEL_ERROR);
	settings_default(&settings);
	resolve_test(answer, NULL);
	end = span_find(all, SPAN("\n\n"), 1);
	kept = end == SIZE_MAX ? SPAN_EMPTY : span_sub(all, 1, end);
	answers = span_from(all, end == SIZE_MAX ? 1 : end + 2);
	decide(data[0]);
	return 0;
}
