/*
 * turn.c - domains we are backup MX of, and their turn (RFC 1985).
 */
#include "store/turn.h"

#include "store/queue.h"
#include "store/verbs.h"

static bool
is_below(struct span domain, struct span dotted)
{
	return domain.n > dotted.n && span_eq_nocase(span_from(domain,
	    domain.n - dotted.n), dotted);
}

bool
backup_domain(const struct settings *s, struct span domain)
{
	struct span rest = span_str(s->smtp_backup_domains), word;

	while ((word = span_word(&rest)).n > 0)
		if (word.p[0] == '.' ? is_below(domain, word) :
		    span_eq_nocase(domain, word))
			return true;
	return false;
}

/* The domain, and those of ours that are below it. */
static enum result
turn_all(struct store *store, struct span domain, uint64_t *waiting)
{
	struct span rest = span_str(store_settings(store)->
	    smtp_backup_domains), word;
	enum result result = RESULT_NOT_LOCAL;

	while ((word = span_word(&rest)).n > 0) {
		if (!span_eq_nocase(word, domain) && !(is_below(word, domain) &&
		    word.p[word.n - domain.n - 1] == '.'))
			continue;
		*waiting += queue_retry_destination(store->queue, word);
		result = RESULT_OK;
	}
	return result;
}

void
verb_queue_turn(void *arg, const struct caller *caller, struct arena *arena,
    const struct queue_turn_request *req, struct queue_turn_reply *reply)
{
	struct store *store = arg;

	(void)caller, (void)arena;
	reply->result = RESULT_NOT_LOCAL;
	if (span_starts(req->domain, SPAN("@"))) {
		reply->result = turn_all(store, span_from(req->domain,
		    1), &reply->waiting);
	} else if (backup_domain(store_settings(store), req->domain)) {
		reply->waiting = queue_retry_destination(store->queue,
		    req->domain);
		reply->result = RESULT_OK;
	}
}
