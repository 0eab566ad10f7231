/*
 * call.c - links: calls under way, their answers, and what happens when the
 * peer dies.
 *
 * A call is a struct on its caller's stack. It stands in the queue until
 * there are a socket, a credit and room in the socket's buffer; then it
 * holds a slot until its answer comes. A caller that stops waiting leaves the
 * slot behind: the peer still counts that call, and so do we.
 *
 * One thread a link. Callbacks for notes and attachment run where the link
 * is read and must not call on it themselves, but for starting a fiber.
 */
#include "ipc/call.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "ipc/codec.h"

#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	READ_TURN = 64,		/* frames read before others get their turn */
	SPIN_US = 50,		/* how long one lonely call looks on */
	USUAL_MAX = 4 * SPIN_US,
	USUAL_GOOD = 2 * SPIN_US,	/* seen without looking on */

};

struct call {
	enum verb verb;
	const void *request;
	void *reply;
	struct arena *arena;
	struct fiber *fiber;	/* NULL: a thread that blocks */
	struct call *next;	/* in the queue */
	bool queued, done;
	int error;
};

struct slot {
	uint32_t number;	/* 0: free */
	struct call *call;	/* NULL: nobody waits any more */
};

struct callback {
	void (*fn)(void *arg, const void *note);
	void *arg;
};

struct link {
	enum role_bit self, peer;
	int fd;				/* -1: down */
	long cores;
	bool greeted;			/* the peer's hello was read */
	bool want_write;
	bool watching;
	struct watch watch;
	struct frame frame;		/* the one being sent */
	char *input;			/* FRAME_MAX bytes */
	struct slot slots[LINK_CREDITS];
	size_t busy;			/* slots in use */
	uint32_t last_number;
	struct call *first, **last;	/* the queue */
	int64_t usual[VERBS];		/* us until the answer */
	struct callback notes[VERBS];
	void (*on_attach)(void *arg);
	void *on_attach_arg;
};

struct link *
link_new(enum role_bit self, enum role_bit peer)
{
	struct link *l = xcalloc(1, sizeof(*l));

	l->self = self;
	l->peer = peer;
	l->fd = -1;
	l->cores = sysconf(_SC_NPROCESSORS_ONLN);
	l->last = &l->first;
	l->input = xmalloc(FRAME_MAX);
	return l;
}

bool
link_up(const struct link *l)
{
	return l->fd >= 0;
}

size_t
link_pending(const struct link *l)
{
	size_t n = 0;

	for (size_t i = 0; i < LINK_CREDITS; i++)
		n += l->slots[i].call != NULL;
	for (const struct call *c = l->first; c != NULL; c = c->next)
		n++;
	return n;
}

void
link_on_attach(struct link *l, void (*fn)(void *), void *arg)
{
	l->on_attach = fn;
	l->on_attach_arg = arg;
}

void
link_on_note(struct link *l, enum verb verb, void (*fn)(void *, const void *),
    void *arg)
{
	must(verb < VERBS && codecs[verb].reply.size == 0);
	l->notes[verb] = (struct callback){ fn, arg };
}

/* ---- calls: queued, sent, answered -------------------------------------- */

static void
queue_add(struct link *l, struct call *c)
{
	c->next = NULL;
	c->queued = true;
	*l->last = c;
	l->last = &c->next;
}

static void
queue_remove(struct link *l, struct call *c)
{
	struct call **at = &l->first;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	if (l->last == &c->next)
		l->last = at;
	c->queued = false;
}

static void
call_finish(struct call *c, int error)
{
	c->done = true;
	c->error = error;
	if (c->fiber != NULL)
		fiber_nudge(c->fiber);
}

static struct slot *
slot_free(struct link *l)
{
	for (size_t i = 0; i < LINK_CREDITS; i++)
		if (l->slots[i].number == 0)
			return &l->slots[i];
	return NULL;
}

/* The slot's place is in the number, so that an answer finds it at once. */
static uint32_t
slot_number(struct link *l, const struct slot *s)
{
	l->last_number += LINK_CREDITS;
	if (l->last_number < LINK_CREDITS)
		l->last_number = LINK_CREDITS;
	return l->last_number + (uint32_t)(s - l->slots);
}

static void
slot_clear(struct link *l, struct slot *s)
{
	must(s->number != 0 && l->busy > 0);
	*s = (struct slot){ 0, NULL };
	l->busy--;
}

static void link_down(struct link *);
static int link_read(struct link *);

static void
watch_update(struct link *l)
{
	if (l->watching)
		watch_set(&l->watch, EPOLLIN |
		    (l->want_write ? (uint32_t)EPOLLOUT : 0));
}

static void
want_write(struct link *l, bool on)
{
	if (l->want_write == on)
		return;
	l->want_write = on;
	watch_update(l);
}

/* Send the head of the queue. 1 sent or failed for good, 0 not now. */
static int
send_one(struct link *l, struct slot *s)
{
	struct call *c = l->first;
	uint32_t number = slot_number(l, s);

	codec_encode(&l->frame, c->verb, FRAME_CALL, number, c->request);
	if (frame_send(l->fd, &l->frame, false) == 1) {
		if (codec_is_secret(c->verb))
			secret_wipe(l->frame.bytes.p, l->frame.bytes.n);
		*s = (struct slot){ number, c };
		l->busy++;
		queue_remove(l, c);
	} else if (errno == EAGAIN || errno == ENOBUFS) {
		frame_clear(&l->frame);
		want_write(l, true);
		return 0;
	} else if (errno == EPIPE || errno == ECONNRESET ||
	    errno == ENOTCONN) {
		link_down(l);
		return 0;
	} else {
		int error = errno;

		queue_remove(l, c);
		call_finish(c, error);
	}
	frame_clear(&l->frame);
	return 1;
}

static void
pump(struct link *l)
{
	struct slot *s;

	while (l->fd >= 0 && l->first != NULL &&
	    (s = slot_free(l)) != NULL)
		if (send_one(l, s) == 0)
			return;
}

/* ---- what comes --------------------------------------------------------- */

static void
refuse(struct link *l, const char *why)
{
	log_event(LOG_LEVEL_ERROR, "ipc.refused",
	    log_str("peer", role_name(l->peer)), log_str("why", why));
	link_down(l);
}

/* The answer is decoded where the caller wants to have it. */
static void
take_reply(struct link *l, struct frame_in *f)
{
	struct slot *s = &l->slots[f->number % LINK_CREDITS];
	struct call *c = s->call;
	int error = 0;

	if (s->number == 0 || s->number != f->number) {
		frame_in_close(f);
		refuse(l, "an answer to no call");
		return;
	}
	slot_clear(l, s);
	if (c == NULL) {
		frame_in_close(f);
		return;
	}
	if (f->verb != (uint32_t)c->verb)
		f->fields.bad = true;
	f->fields.rest = arena_dup(c->arena, f->fields.rest);
	if (f->fields.rest.p == NULL) {
		frame_in_close(f);
		error = ENOMEM;
	} else if (codec_decode(f, c->reply) == 0) {
		error = EPROTO;
	}
	call_finish(c, error);
	if (error == EPROTO)
		refuse(l, "a malformed answer");
}

static void
take_hello(struct link *l, const struct hello_note *m)
{
	if (hello_agrees(m, l->peer)) {
		l->greeted = true;
		return;
	}
	log_event(LOG_LEVEL_ERROR, "ipc.mismatch",
	    log_str("expected", role_name(l->peer)),
	    log_int("expected_version", CONTRACT_VERSION),
	    log_text("peer", m->name), log_int("peer_version", m->version));
	link_down(l);
}

static void
take_note(struct link *l, struct frame_in *f)
{
	const struct codec *row = &codecs[f->verb];
	enum verb verb = (enum verb)f->verb;
	const struct callback *cb = &l->notes[verb];
	union any_message m;

	if ((row->from & (uint32_t)l->peer) == 0 ||
	    (row->to & (uint32_t)l->self) == 0 || codec_decode(f, &m) == 0) {
		frame_in_close(f);
		refuse(l, "a malformed note");
		return;
	}
	if (verb == VERB_hello)
		take_hello(l, &m.hello);
	else if (cb->fn != NULL)
		cb->fn(cb->arg, &m);
	codec_release(verb, FRAME_NOTE, &m, cb->fn == NULL);
}

/* 1 a frame was taken, 0 there is none now (or no peer any more). */
static int
link_read(struct link *l)
{
	struct frame_in f;
	int status;

	if (l->fd < 0)
		return 0;
	status = frame_receive(l->fd, &f, l->input, false);
	if (status == -1 && errno == EAGAIN)
		return 0;
	if (status == -1 && errno == EPROTO) {
		refuse(l, "not a frame");
		return 0;
	}
	if (status != 1) {
		link_down(l);
		return 0;
	}
	if (f.kind == FRAME_REPLY) {
		take_reply(l, &f);
	} else if (f.kind == FRAME_NOTE) {
		take_note(l, &f);
	} else {
		frame_in_close(&f);
		refuse(l, "a call from the called side");
	}
	return 1;
}

/* A socket nothing is expected from is not asked again before epoll says. */
static void
on_event(struct watch *w, uint32_t events)
{
	struct link *l = w->arg;

	if ((events & (uint32_t)EPOLLOUT) != 0)
		want_write(l, false);
	for (int i = 0; i < READ_TURN && link_read(l) == 1; i++)
		if (l->busy == 0)
			break;
	pump(l);
}

void
link_poll(struct link *l)
{
	while (link_read(l) == 1)
		;
	pump(l);
}

/* ---- up and down -------------------------------------------------------- */

/*
 * Calls that may be made again go back to the queue, before those that were
 * never sent; the others are told that their answer is lost.
 */
static void
requeue(struct link *l)
{
	struct call *waiting = l->first;

	l->first = NULL;
	l->last = &l->first;
	for (size_t i = 0; i < LINK_CREDITS; i++) {
		struct call *c = l->slots[i].call;

		if (l->slots[i].number != 0)
			slot_clear(l, &l->slots[i]);
		if (c == NULL)
			continue;
		if (codecs[c->verb].again && c->fiber != NULL)
			queue_add(l, c);
		else
			call_finish(c, EPIPE);
	}
	while (waiting != NULL) {
		struct call *c = waiting;

		waiting = c->next;
		queue_add(l, c);
	}
}

static void
link_down(struct link *l)
{
	if (l->fd < 0)
		return;
	if (l->watching)
		watch_clear(&l->watch);
	close(l->fd);
	l->fd = -1;
	l->watching = l->greeted = l->want_write = false;
	requeue(l);
}

void
link_attach(struct link *l, int fd)
{
	int room = 4 << 20;

	link_down(l);
	l->fd = fd;
	/* As much as the system grants; less costs speed alone. */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	hello_encode(&l->frame, l->self);
	if (frame_send(fd, &l->frame, false) < 0) {
		link_down(l);
		return;
	}
	l->watch = (struct watch){ .fd = fd, .fn = on_event, .arg = l };
	l->watching = loop_here() && watch_set(&l->watch, EPOLLIN) == 1;
	if (l->on_attach != NULL)
		l->on_attach(l->on_attach_arg);
	pump(l);
}

/* Who still waits is told; they must be gone before the link is. */
void
link_free(struct link **lp)
{
	struct link *l = *lp;

	if (l == NULL)
		return;
	link_down(l);
	must(link_pending(l) == 0);
	frame_free(&l->frame);
	free(l->input);
	free(l);
	*lp = NULL;
}

/* ---- the call itself ---------------------------------------------------- */

/* The thread has nothing else to do: wait in the kernel for the socket. */
static int
block(struct link *l, monotime_t deadline)
{
	struct pollfd p = { l->fd, POLLIN, 0 };
	int64_t left = mono_left(deadline);
	int n;

	if (l->fd < 0) {
		errno = EPIPE;
		return -1;
	}
	if (l->first != NULL && l->want_write)
		p.events |= POLLOUT;
	n = poll(&p, 1, (int)MIN(left, INT32_MAX));
	if (n < 0 && errno != EINTR)
		return -1;
	if (n == 0 && mono_left(deadline) == 0)
		return 0;
	if ((p.revents & POLLOUT) != 0)
		want_write(l, false);
	if ((p.revents & ~POLLOUT) != 0)
		link_read(l);
	pump(l);
	return 1;
}

static void
abandon(struct link *l, struct call *c)
{
	if (c->queued)
		queue_remove(l, c);
	for (size_t i = 0; i < LINK_CREDITS; i++)
		if (l->slots[i].call == c)
			l->slots[i].call = NULL;
}

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/*
 * Waking a sleeping core costs more than most calls. The only call under
 * way, if its like is usually answered within SPIN_US, looks for the answer
 * that long, giving the core to whoever else wants it between two looks.
 */
static void
spin(struct link *l, const struct call *c, int64_t start)
{
	if (l->cores < 2 || c->queued || l->usual[c->verb] > USUAL_GOOD)
		return;
	while (!c->done && l->busy == 1 && now_us() - start < SPIN_US) {
		sched_yield();
		while (!c->done && link_read(l) == 1)
			;
	}
}

static void
learn(struct link *l, enum verb verb, int64_t start)
{
	int64_t took = MIN(now_us() - start, USUAL_MAX);

	l->usual[verb] += (took - l->usual[verb]) / 4;
}

static int
link_call(struct link *l, enum verb verb, struct arena *arena,
    const void *request, void *reply)
{
	struct call c = { .verb = verb, .request = request, .reply = reply,
	    .arena = arena, .fiber = fiber_self() };
	monotime_t deadline = clock_after(codecs[verb].ms);
	int64_t start = now_us();

	must((codecs[verb].from & (uint32_t)l->self) != 0 &&
	    (codecs[verb].to & (uint32_t)l->peer) != 0);
	queue_add(l, &c);
	pump(l);
	spin(l, &c, start);
	while (!c.done) {
		int status = c.fiber != NULL ?
		    fiber_wait_for(&c.done, deadline) : block(l, deadline);

		if (status == 1 || c.done)
			continue;
		c.error = status == 0 ? ETIMEDOUT : errno;
		abandon(l, &c);
		break;
	}
	learn(l, verb, start);
	if (c.error != 0) {
		codecs[verb].reply.init(reply);
		*(enum result *)reply = RESULT_TEMPORARY;
		errno = c.error;
		return -1;
	}
	return 1;
}

#include "ipc/contract_no_fields.h"
#define RECORD(name)
#define END_RECORD(name)
#define CALL(name, from, to, time, again, text)				\
	int								\
	call_##name(struct link *l, struct arena *arena,		\
	    const struct name##_request *request,			\
	    struct name##_reply *reply)					\
	{								\
		return link_call(l, VERB_##name, arena, request, reply);	\
	}
#define ANSWER(name)
#define END(name)
#define NOTE(name, from, to, text)					\
	int								\
	send_##name(int fd, const struct name##_note *note)		\
	{								\
		return send_note(fd, VERB_##name, note);		\
	}
#define END_NOTE(name)

static int
send_note(int fd, enum verb verb, const void *note)
{
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
	int status, error;

	codec_encode(&f, verb, FRAME_NOTE, 0, note);
	status = frame_send(fd, &f, false);
	error = errno;
	frame_free(&f);
	errno = error;
	return status;
}

#include "ipc/contract.def"
#include "ipc/contract_undef.h"
