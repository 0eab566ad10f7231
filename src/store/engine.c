/*
 * engine.c - the contract's functions, handed on to the engine at hand.
 *
 * Limits are checked here once, so that no engine has to.
 */
#include "store/engine_impl.h"

#include <unistd.h>

enum { COPY_CHUNK = 256 << 10 };

static int
too_big(void)
{
	errno = EFBIG;
	return -1;
}

void
engine_close(struct engine **ep)
{
	if (*ep == NULL)
		return;
	(*ep)->ops->close(*ep);
	*ep = NULL;
}

int
engine_commit(struct engine *e, struct batch *b, ticket_t *ticket)
{
	ticket_t unused;
	uint64_t version = 0;
	int done;

	if (b->too_large)
		return too_big();
	done = e->ops->commit(e, b, ticket != NULL ? ticket : &unused,
	    &version);
	if (done == 1 && e->watch != NULL)
		e->watch(e->watch_arg, b->where, version);
	return done;
}

int
engine_sync(struct engine *e, ticket_t ticket)
{
	return ticket == 0 ? 1 : e->ops->sync(e, ticket);
}

bool
engine_is_durable(struct engine *e, ticket_t ticket)
{
	return ticket == 0 || e->ops->is_durable(e, ticket);
}

int
engine_get(struct engine *e, struct partition where, struct span key,
    struct arena *arena, struct span *value)
{
	must(key.n > 0);
	if (key.n > ENGINE_KEY_MAX)
		return 0;
	return e->ops->get(e, where, key, arena, value);
}

int
engine_version(struct engine *e, struct partition where, uint64_t *version)
{
	return e->ops->version(e, where, version);
}

struct scan *
scan_open(struct engine *e, struct partition where, struct span from,
    struct span to)
{
	must(from.n <= ENGINE_KEY_MAX && to.n <= ENGINE_KEY_MAX);
	return e->ops->scan_open(e, where, from, to);
}

int
scan_next(struct scan *s, struct span *key, struct span *value)
{
	return s->ops->scan_next(s, key, value);
}

void
scan_close(struct scan **sp)
{
	if (*sp == NULL)
		return;
	(*sp)->ops->scan_close(*sp);
	*sp = NULL;
}

int
engine_next_partition(struct engine *e, uint8_t kind, uint64_t after,
    uint64_t *id)
{
	return after == UINT64_MAX ? 0
	    : e->ops->next_partition(e, kind, after, id);
}

int
engine_drop_partition(struct engine *e, struct partition where,
    ticket_t *ticket)
{
	ticket_t unused;
	int done = e->ops->drop(e, where, ticket != NULL ? ticket : &unused);

	if (done == 1 && e->watch != NULL)
		e->watch(e->watch_arg, where, 0);
	return done;
}

/* -- bodies ----------------------------------------------------------- */
struct body_writer *
body_writer_open(struct engine *e, struct body_id id)
{
	return e->ops->writer_open(e, id);
}

int
body_write(struct body_writer *w, struct span chunk)
{
	return w->ops->write(w, chunk);
}

int
body_writer_finish(struct body_writer **wp, struct span summary)
{
	struct body_writer *w = *wp;

	if (summary.n > ENGINE_VALUE_MAX) {
		body_writer_abort(wp);
		return too_big();
	}
	*wp = NULL;
	return w->ops->writer_finish(w, summary);
}

void
body_writer_abort(struct body_writer **wp)
{
	if (*wp == NULL)
		return;
	(*wp)->ops->writer_abort(*wp);
	*wp = NULL;
}

int
engine_body_size(struct engine *e, struct body_id id, uint64_t *size)
{
	return e->ops->body_size(e, id, size);
}

int
engine_body_read(struct engine *e, struct body_id id, uint64_t from,
    uint64_t n, struct text *out)
{
	return e->ops->body_read(e, id, from, n, out);
}

static int
write_all(int fd, struct span s)
{
	while (s.n > 0) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		s = span_from(s, (size_t)n);
	}
	return 1;
}

int
engine_body_copy(struct engine *e, struct body_id id, int fd)
{
	struct text piece = TEXT_INIT(COPY_CHUNK);
	uint64_t from = 0;
	int done;

	do {
		text_clear(&piece);
		done = e->ops->body_read(e, id, from, COPY_CHUNK, &piece);
		if (done == 1)
			done = write_all(fd, text_span(&piece));
		from += piece.n;
	} while (done == 1 && piece.n == COPY_CHUNK);
	text_free(&piece);
	return done;
}

int
engine_body_summary(struct engine *e, struct body_id id, struct arena *arena,
    struct span *summary)
{
	return e->ops->body_summary(e, id, arena, summary);
}

int
engine_body_set_summary(struct engine *e, struct body_id id,
    struct span summary)
{
	return summary.n > ENGINE_VALUE_MAX ? too_big()
	    : e->ops->body_set_summary(e, id, summary);
}

int
engine_body_linked(struct engine *e, struct body_id id, struct span holder)
{
	return holder.n > ENGINE_KEY_MAX ? 0
	    : e->ops->body_linked(e, id, holder);
}

int
engine_next_link(struct engine *e, struct arena *arena, struct body_id *body,
    struct span *holder)
{
	struct link_key k;
	struct span key;
	int found = e->ops->next_link(e, link_key(&k, body, *holder), arena,
	    &key);

	if (found != 1)
		return found;
	memcpy(body->b, key.p, sizeof(body->b));
	*holder = span_from(key, sizeof(body->b));
	return 1;
}

int64_t
engine_collect(struct engine *e, bool whole, int64_t age_ms)
{
	return e->ops->collect(e, whole, age_ms);
}

/* -- watching and keeping --------------------------------------------- */
void
engine_watch(struct engine *e, void (*fn)(void *, struct partition,
    uint64_t version), void *arg)
{
	e->watch = fn;
	e->watch_arg = arg;
}

int
engine_checkpoint(struct engine *e, const char *path, struct text *why)
{
	return e->ops->checkpoint(e, path, why);
}

int
engine_verify(struct engine *e, void (*progress)(void *, uint64_t done,
    uint64_t total), void *arg, struct text *why)
{
	return e->ops->verify(e, progress, arg, why);
}

void
engine_stats(struct engine *e, struct engine_stats *out)
{
	memset(out, 0, sizeof(*out));
	e->ops->stats(e, out);
}
