/*
 * relay_policy_sts.c - a domain's MTA-STS policy (RFC 8461 3): asked for in
 * the DNS, fetched over HTTPS when it is new or a day old, kept by the store.
 *
 * A kept policy holds until it ends, whatever cannot be found out meanwhile
 * (5.1): that is what makes it worth something against whoever can forge the
 * DNS. Where a fetch failed the next one waits a little.
 */
#include "base/log.h"
#include "base/map.h"
#include "relay/relay.h"
#include "relay/relay_policy_impl.h"
#include "relay/relay_web.h"
#include "verify/sts.h"

#include <stdlib.h>

enum {
	FETCH_TIME = 60000,		/* ms for everything (3.3) */
	FILE_MAX = 64 << 10,
	REFRESH = 86400,		/* seconds (3.3) */
	FAILED_TIME = 300000,		/* ms until it is tried again */
	FAILED_MAX = 10000,		/* domains remembered */
};

/* ---- domains whose policy could not be had lately ---------------------- */

static struct map *failed;		/* domain: a monotime_t */

static void
forget_old(bool all)
{
	size_t at = 0;
	struct span key;
	void *value;

	while (map_next(failed, &at, &key, &value)) {
		if (!all && mono_before(clock_mono(), *(monotime_t *)value))
			continue;
		free(map_remove(failed, key));
	}
}

static void
note_failure(struct span domain)
{
	monotime_t *until = xmalloc(sizeof(*until));

	if (failed == NULL)
		failed = map_new();
	if (map_count(failed) >= FAILED_MAX)
		forget_old(false);
	if (map_count(failed) >= FAILED_MAX)
		forget_old(true);
	*until = clock_after(FAILED_TIME);
	free(map_put(failed, domain, until));
}

static bool
failed_lately(struct span domain)
{
	monotime_t *until = failed == NULL ? NULL : map_get(failed, domain);

	if (until == NULL)
		return false;
	if (mono_before(clock_mono(), *until))
		return true;
	free(map_remove(failed, domain));
	return false;
}

/* ---- fetching ---------------------------------------------------------- */

struct fetch {
	struct span domain;
	struct arena *arena;
	monotime_t deadline;
	const char *result;		/* of RFC 8460 4.3; NULL: good */
	struct text why;
	struct span file;
	struct sts_policy policy;
};

static void
fail(struct fetch *f, const char *result, struct span why)
{
	f->result = result;
	text_clear(&f->why);
	text_add(&f->why, why);
}

static struct stream *
open_host(struct fetch *f, struct span host, uint16_t port)
{
	struct tls_peer peer = { .name = arena_cstr(f->arena, host),
	    .check = TLS_CHECK_NAME };
	struct http_failure failure = { .why = TEXT_INIT(1000) };
	struct stream *s = relay_web_open(host, port, &peer, f->deadline,
	    f->arena, &failure);

	if (s == NULL)
		fail(f, failure.in_tls ? "sts-webpki-invalid" :
		    "sts-policy-fetch-error", text_span(&failure.why));
	text_free(&failure.why);
	return s;
}

/* RFC 8461 3.3: 200 and nothing else, no redirect; 3.2: text/plain. */
static void
take_answer(struct fetch *f, const struct http_answer *answer)
{
	if (answer->status != 200) {
		fail(f, "sts-policy-fetch-error", arena_printf(f->arena,
		    "the answer is %u", answer->status));
		return;
	}
	f->file = arena_dup(f->arena, text_span(&answer->body));
	if (strcmp(answer->type, "text/plain") != 0)
		fail(f, "sts-policy-invalid", SPAN("it is not text/plain"));
	else if (f->file.p == NULL ||
	    sts_policy_parse(f->file, f->arena, &f->policy) != 1)
		fail(f, "sts-policy-invalid", SPAN("it is malformed"));
}

static void
fetch(struct fetch *f)
{
	struct span host = arena_printf(f->arena, "mta-sts.%.*s",
	    SPAN_ARG(f->domain));
	uint16_t port = (uint16_t)relay_settings()->relay_sts_port;
	struct http_request request = { .method = "GET", .host = host,
	    .path = SPAN("/.well-known/mta-sts.txt") };
	struct http_answer answer;
	struct stream *s = open_host(f, host, port);

	if (s == NULL)
		return;
	if (port != 443)
		request.host = arena_printf(f->arena, "%.*s:%u",
		    SPAN_ARG(host), port);
	http_answer_begin(&answer, FILE_MAX);
	if (http_ask(s, &request, f->deadline, &answer) == 1)
		take_answer(f, &answer);
	else
		fail(f, "sts-policy-fetch-error", span_str(answer.why));
	http_answer_free(&answer);
	stream_free(&s);
}

/* Kept or not: this one counts now. */
static void
keep(const struct fetch *f, struct span id)
{
	struct sts_kept kept = { id, f->file, clock_wall_seconds() };

	if (!relay_sts_keep(f->domain, &kept, f->policy.max_age, f->arena))
		log_event(LOG_LEVEL_WARNING, "relay.sts_not_kept",
		    log_text("domain", f->domain));
}

/* ---- the policy that counts -------------------------------------------- */

static void
use(struct policy *p, struct span id, struct span file,
    const struct sts_policy *sts)
{
	if (sts->mode == STS_NONE)	/* as if there were none (5) */
		return;
	p->sts_id = id;
	p->sts_text = file;
	p->sts_mx = sts->mx;
	p->sts_mx_count = sts->mx_count;
}

static enum policy_kind
kind_of(enum sts_mode mode)
{
	return mode == STS_ENFORCE ? POLICY_STS_ENFORCE :
	    mode == STS_TESTING ? POLICY_STS_TESTING : POLICY_MAY;
}

/* 1 a new one is in force; 0 it could not be had. */
static int
refresh(struct arena *arena, struct policy *p, struct span id,
    struct sts_policy *out)
{
	struct fetch f = { .domain = p->domain, .arena = arena,
	    .deadline = clock_after(FETCH_TIME), .why = TEXT_INIT(1000) };

	fetch(&f);
	log_event(LOG_LEVEL_INFO, f.result == NULL ? "relay.sts_fetched" :
	    "relay.sts_failed", log_text("domain", p->domain),
	    log_text("id", id), log_str("result", f.result == NULL ? "" :
	    f.result), log_text("reason", text_span(&f.why)));
	if (f.result == NULL) {
		keep(&f, id);
		use(p, id, f.file, &f.policy);
		*out = f.policy;
	} else {
		note_failure(p->domain);
		relay_report_count(p, TLSRPT_STS, SPAN_EMPTY,
		    &(struct tlsrpt_row){ .result = span_str(f.result) });
	}
	text_free(&f.why);
	return f.result == NULL;
}

/* The id that is published now; empty: none, or nobody knows. */
static struct span
published_id(struct arena *arena, struct span domain)
{
	struct span *txt, id = SPAN_EMPTY;
	size_t n;
	struct span name = arena_printf(arena, "_mta-sts.%.*s",
	    SPAN_ARG(domain));

	return resolve_txt(name, arena, &txt, &n).status == RESOLVE_OK &&
	    sts_record(txt, n, &id) == 1 ? id : SPAN_EMPTY;
}

enum policy_kind
relay_sts_find(struct arena *arena, struct policy *p)
{
	struct span id = published_id(arena, p->domain);
	struct sts_policy sts = { .mode = STS_NONE };
	struct sts_kept kept;
	int known = relay_sts_kept(p->domain, arena, &kept);
	bool there = known == 1 &&
	    sts_policy_parse(kept.policy, arena, &sts) == 1;

	if (id.n > 0 && !failed_lately(p->domain) &&
	    (!there || !span_eq(kept.id, id) ||
	    kept.fetched + REFRESH < clock_wall_seconds()) &&
	    refresh(arena, p, id, &sts) == 1)
		return kind_of(sts.mode);
	/* Without it mail could go where it must not. */
	p->temporary = known == -1;
	if (!there)
		return POLICY_MAY;
	use(p, kept.id, kept.policy, &sts);
	return kind_of(sts.mode);
}
