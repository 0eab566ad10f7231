/*
 * tlsrpt_send.c - TLS reports (RFC 8460): made of the counts of a day when
 * it is over, and queued as mail like any other.
 *
 * A domain's record goes when its report is in the queue, the day when no
 * record is left. A report that a crash makes go out twice has the same id.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/secret.h"
#include "mail/address.h"
#include "queue/tlsrpt.h"
#include "store/directory_impl.h"
#include "store/queue.h"
#include "store/tls_kept.h"
#include "store/verbs.h"

#include <unistd.h>

enum {
	DAY = 86400,
	SETTLE = 600,			/* seconds: the last counts come */
	SPREAD = 4 * 3600,		/* seconds until all have gone out */
	REPORT_MAX = 16 << 20,
	RUA_MAX = 5,			/* addresses that get a report */
	SEND_ONCE = 50,			/* reports of one turn of the keeper */
};

/* -- one report ---------------------------------------------------------- */

struct report {
	struct store *store;
	struct arena *arena;
	struct tlsrpt_report r;
	struct text gz;
	int64_t now;
};

static struct span
our_name(struct store *store, struct arena *arena)
{
	struct span domain = default_domain(store->directory, arena);
	char buffer[256];

	if (domain.n > 0)
		return domain;
	if (store_settings(store)->hostname[0] != '\0')
		return arena_dup(arena,
		    span_str(store_settings(store)->hostname));
	if (gethostname(buffer, sizeof(buffer) - 1) != 0)
		return SPAN("localhost");
	buffer[sizeof(buffer) - 1] = '\0';
	return arena_dup(arena, span_str(buffer));
}

/* The same for the same report, so that its receiver knows it again. */
static uint64_t
number_of(struct store *store, uint32_t day, struct span what)
{
	uint64_t key[2];

	memcpy(key, store->secret, sizeof(key));
	key[0] ^= day;
	return map_siphash(key, what);
}

/* A token of its own for each of its addresses. */
static struct token
token_of(const struct report *p, struct span uri)
{
	uint64_t parts[2] = {
		number_of(p->store, p->r.day, p->r.id),
		number_of(p->store, p->r.day, uri),
	};
	struct token token;

	memcpy(token.b, parts, sizeof(token.b));
	return token;
}

static bool
is_ours(struct store *store, struct span domain, struct arena *arena)
{
	struct domain_record record;

	return read_domain(store->directory, domain, arena, &record) == 1;
}

/* False: it cannot be queued just now. */
static bool
queue_one(const struct report *p, struct span uri, struct span to,
    struct span domain, struct span body, uint32_t prefix)
{
	struct envelope_recipient recipient = { .address = to,
	    .notify = NOTIFY_NEVER };
	struct body_id body_id = body_id_new();
	struct envelope e = {
		.token = token_of(p, uri), .arrived = clock_wall(),
		.size = body.n, .prefix = prefix,
		.flags = ENVELOPE_OURS | ENVELOPE_TLS_OPTIONAL,
		.state = ENVELOPE_ACTIVE, .next_attempt = p->now,
		.domain = domain, .recipients = &recipient, .count = 1,
		.message_id = arena_printf(p->arena, "<%.*s>",
		    SPAN_ARG(p->r.id)),
		.trace = arena_printf(p->arena, "tls_report=%.*s",
		    SPAN_ARG(p->r.domain)),
	};
	struct envelope *envelopes[] = { &e };
	struct submission s = { .envelopes = envelopes, .count = 1,
	    .head = body };
	enum result result;
	ticket_t ticket;

	memcpy(e.body.b, body_id.b, sizeof(e.body.b));
	result = queue_accept(p->store->queue, &s, &ticket);
	if (result == RESULT_OK)
		log_event(LOG_LEVEL_INFO, "store.tls_report",
		    log_text("domain", p->r.domain), log_text("to", to));
	return result == RESULT_OK || result == RESULT_EXISTS;
}

static bool
send_mail(const struct report *p, struct span uri, struct span to)
{
	struct text out = TEXT_INIT(REPORT_MAX);
	char boundary[2 + 2 * sizeof(struct token)] = "=";
	struct token token = token_of(p, SPAN("boundary"));
	struct address address;
	struct span domain;
	uint32_t prefix;
	bool done = true;

	if (address_mailbox(to, 0, p->arena, &address) == 1) {
		domain = is_ours(p->store, address.domain, p->arena)
		    ? SPAN_EMPTY : address.domain;
		hex_of(boundary + 1, token.b, sizeof(token.b));
		tlsrpt_mail(&p->r, text_span(&p->gz), to, boundary, p->now,
		    &out, &prefix);
		done = text_full(&out) || queue_one(p, uri, to, domain,
		    text_span(&out), prefix);
	}
	text_free(&out);
	return done;
}

/* RFC 8460 5.4; relay/relay_post.h says how it is posted. */
static bool
send_post(const struct report *p, struct span url)
{
	struct text out = TEXT_INIT(REPORT_MAX);
	struct span host;
	bool done;

	span_cut(span_from(url, 8), '/', &host);
	text_str(&out, "Content-Type: application/tlsrpt+gzip\r\n\r\n");
	text_add(&out, text_span(&p->gz));
	done = host.n > 200 || text_full(&out) || queue_one(p, url, url,
	    arena_printf(p->arena, "https:%.*s", SPAN_ARG(host)),
	    text_span(&out), 0);
	text_free(&out);
	return done;
}

static bool
send_all(const struct report *p, struct span rua)
{
	struct text to = TEXT_INIT(ADDRESS_DOMAIN_MAX + ADDRESS_LOCAL_MAX);
	struct span uri;
	bool done = true;

	for (int i = 0; i < RUA_MAX && tlsrpt_next_uri(&rua, &uri); i++) {
		if (tlsrpt_mailto(uri, &to) == 1)
			done = send_mail(p, uri, text_span(&to)) && done;
		else if (span_starts_nocase(uri, SPAN("https://")) &&
		    uri.n <= ADDRESS_LIMIT)
			done = send_post(p, uri) && done;
	}
	text_free(&to);
	return done;
}

/* JSON is added to `json`. 1; 0 the record is damaged. */
static int
write_report(struct report *p, uint32_t day, struct span domain,
    struct span record, struct span *rua, struct text *json)
{
	struct span us = our_name(p->store, p->arena);
	/* What goes out early is a report of its own. */
	bool early = p->now < ((int64_t)day + 1) * DAY;

	p->r = (struct tlsrpt_report){ .organization = us, .submitter = us,
	    .contact = arena_printf(p->arena, "postmaster@%.*s",
	    SPAN_ARG(us)), .domain = domain, .day = day,
	    .id = arena_printf(p->arena, "%" PRId64 ".%016" PRIx64 "@%.*s",
	    early ? p->now : day, number_of(p->store, day, domain),
	    SPAN_ARG(us)) };
	return tlsrpt_read(record, rua, &p->r.rows) == 1 &&
	    tlsrpt_json(&p->r, json) == 1;
}

/* True: it is in the queue, or never will be. */
static bool
send_report(struct store *store, uint32_t day, struct span domain,
    struct span record)
{
	struct report p = { .store = store, .arena = arena_new(1 << 20),
	    .gz = TEXT_INIT(REPORT_MAX), .now = clock_wall_seconds() };
	struct text json = TEXT_INIT(REPORT_MAX);
	struct span rua;
	bool done = true;

	if (write_report(&p, day, domain, record, &rua, &json) == 1) {
		tlsrpt_gzip(text_span(&json), &p.gz);
		done = send_all(&p, rua);
	}
	text_free(&json);
	text_free(&p.gz);
	arena_free(&p.arena);
	return done;
}

/* -- the days that are over ---------------------------------------------- */

/* So that a receiver does not get everybody's report at midnight. */
static bool
is_due(struct store *store, uint32_t day, struct span domain)
{
	int64_t wait = SETTLE + (int64_t)(number_of(store, day, domain) %
	    (SPREAD - SETTLE));

	return clock_wall_seconds() >= ((int64_t)day + 1) * DAY + wait;
}

/* The next record that is due behind *after, or the end: 1, 0, -1. */
static int
next_due(struct store *store, uint32_t day, struct text *after,
    struct text *record, bool *left)
{
	struct scan *scan = scan_open(store->engine, tlsrpt_day(day),
	    text_span(after), SPAN("e"));
	struct span key, value;
	int rc;

	if (scan == NULL)
		return -1;
	while ((rc = scan_next(scan, &key, &value)) == 1) {
		if (!is_due(store, day, span_from(key, 1))) {
			*left = true;
			continue;
		}
		text_clear(after);
		text_add(after, key);
		text_clear(record);
		text_add(record, value);
		break;
	}
	scan_close(&scan);
	return rc;
}

static int
drop_record(struct store *store, uint32_t day, struct span key)
{
	struct batch *batch = batch_new(tlsrpt_day(day));
	int rc;

	batch_delete(batch, key);
	rc = engine_commit(store->engine, batch, NULL);
	batch_free(&batch);
	return rc == 1 ? 1 : -1;
}

/* 1 something is left of the day; 0 nothing; -1. */
static int
send_day(struct store *store, uint32_t day, int *sent)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct text record = TEXT_INIT(0);
	bool left = false;
	int rc;

	text_char(&key, TLSRPT_DOMAIN);
	while ((rc = next_due(store, day, &key, &record, &left)) == 1 &&
	    *sent < SEND_ONCE) {
		++*sent;
		if (send_report(store, day, span_from(text_span(&key), 1),
		    text_span(&record)))
			rc = drop_record(store, day, text_span(&key));
		else
			left = true;
		if (rc == -1)
			break;
		text_char(&key, '\0');	/* behind this one */
	}
	text_free(&key);
	text_free(&record);
	return rc == -1 ? -1 : rc == 1 || left;
}

int
tlsrpt_send(struct store *store)
{
	bool wanted = store_settings(store)->relay_tls_reports;
	int64_t today = clock_wall_seconds() / DAY;
	uint64_t day = 0;
	int sent = 0, rc;

	while ((rc = engine_next_partition(store->engine, PARTITION_TLSRPT,
	    day, &day)) == 1 && (int64_t)day < today) {
		bool over = !wanted || (int64_t)day < today - TLSRPT_DAYS;
		int left = over ? 0 : send_day(store, (uint32_t)day, &sent);

		if (left == -1 || (left == 0 && engine_drop_partition(
		    store->engine, tlsrpt_day(day), NULL) == -1))
			return -1;
	}
	return rc == -1 ? -1 : 1;
}

/* -- for the operator ---------------------------------------------------- */

struct show {
	struct store *store;
	struct span domain;		/* "" all */
	bool send;
	struct text *out;
	uint32_t sent;
};

/* The JSON of one record; and out with it, when it is to be sent. 1, -1. */
static int
show_one(struct show *show, uint32_t day, struct span key, struct span record)
{
	struct report p = { .store = show->store,
	    .arena = arena_new(1 << 20), .now = clock_wall_seconds() };
	struct span rua, domain = span_from(key, 1);
	int rc = 1;

	if (write_report(&p, day, domain, record, &rua, show->out) == 1)
		text_char(show->out, '\n');
	if (show->send && send_report(show->store, day, domain, record)) {
		rc = drop_record(show->store, day, key);
		show->sent++;
	}
	arena_free(&p.arena);
	return rc;
}

static int
show_day(struct show *show, uint32_t day)
{
	struct scan *scan = scan_open(show->store->engine, tlsrpt_day(day),
	    span_of(&(char){ TLSRPT_DOMAIN }, 1), SPAN("e"));
	struct span key, value;
	int rc, done = 1;

	if (scan == NULL)
		return -1;
	while (done == 1 && (rc = scan_next(scan, &key, &value)) == 1)
		if (show->domain.n == 0 ||
		    span_eq_nocase(show->domain, span_from(key, 1)))
			done = show_one(show, day, key, value);
	scan_close(&scan);
	return done == -1 || rc == -1 ? -1 : 1;
}

void
verb_tlsrpt_show(void *arg, const struct caller *caller,
    struct arena *arena, const struct tlsrpt_show_request *req,
    struct tlsrpt_show_reply *reply)
{
	struct text out = TEXT_INIT(REPORT_MAX);
	struct show show = { .store = arg, .domain = req->domain,
	    .send = req->send != 0, .out = &out };
	uint64_t day = 0;
	int rc;

	(void)caller;
	while ((rc = engine_next_partition(show.store->engine,
	    PARTITION_TLSRPT, day, &day)) == 1)
		if (show_day(&show, (uint32_t)day) == -1)
			break;
	reply->sent = show.sent;
	reply->reports = BLOB_OF(arena_dup(arena, text_span(&out)));
	reply->result = rc != 0 ? RESULT_TEMPORARY : out.n > 0 &&
	    reply->reports.bytes.p == NULL ? RESULT_LIMIT :
	    out.n == 0 ? RESULT_NOT_FOUND : RESULT_OK;
	text_free(&out);
}
