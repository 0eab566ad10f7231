/*
 * serve.c - links, the frames that come on them, and their dispatch.
 *
 * Threads stand in groups, each with its own links; a machine with few cores
 * has one. Which thread of a group reads is serve_turn.c's business; answers
 * that wait for the disk are serve_sync.c's; handlers that wait on fibers
 * serve_fiber.c's; sending is serve_peer.c's.
 *
 * Only a leader takes links away; whoever works for one holds a reference,
 * and gone() runs when the last is dropped.
 */
#include "ipc/serve_impl.h"
#include "base/log.h"
#include "base/secret.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	READ_TURN = 32,			/* frames of a link before the next */
	ACCEPTED_MAX = 256,		/* links of one listening socket */
	SPIN_US = 50,			/* how long a leader looks on */
};
static const size_t ARENA_LIMIT = (size_t)1200 << 20;

/* ---- links -------------------------------------------------------------- */

void
serve_release(struct server *s, struct peer *p)
{
	if (!peer_unref(p))
		return;
	if (s->handlers->gone != NULL && !p->listens)
		s->handlers->gone(s->arg, &p->caller);
	peer_free(p);
}

/* Off the list, so that nobody finds it any more. Leaders only. */
static void
drop(struct server *s, struct peer *p)
{
	struct peer **at;

	epoll_ctl(p->epoll, EPOLL_CTL_DEL, p->fd, NULL);
	peer_kill(p);
	pthread_mutex_lock(&s->lock);
	for (at = &s->peers; *at != p; at = &(*at)->next)
		;
	*at = p->next;
	s->accepted -= p->accepted;
	pthread_mutex_unlock(&s->lock);
	serve_release(s, p);
}

static void
refuse(const struct peer *p, const char *why)
{
	log_event(LOG_LEVEL_WARNING, "ipc.refused",
	    log_str("peer", role_name(p->caller.role)),
	    log_int("instance", p->caller.instance), log_str("why", why));
}

static int
add(struct server *s, int fd, const struct caller *who, bool listens,
    bool accepted)
{
	struct epoll_event e = { .events = EPOLLIN };
	struct peer *p = peer_new(fd, -1, who);

	pthread_mutex_lock(&s->lock);
	p->caller.link = ++s->last_link;
	p->epoll = s->groups[s->last_link % s->group_count].epoll;
	p->listens = listens;
	p->accepted = accepted;
	p->next = s->peers;
	s->peers = p;
	s->accepted += accepted;
	e.data.ptr = p;
	if (epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
		s->peers = p->next;
		s->accepted -= accepted;
		pthread_mutex_unlock(&s->lock);
		peer_free(p);
		return -1;
	}
	pthread_mutex_unlock(&s->lock);
	return 1;
}

int
server_add(struct server *s, int fd, enum role_bit role, uint32_t instance)
{
	struct caller who = { .role = role, .instance = instance };
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
	int room = 4 << 20, status;

	/* As much as the system grants; less costs speed alone. */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	hello_encode(&f, s->self);
	status = frame_send(fd, &f, false);
	frame_free(&f);
	if (status < 0) {
		close(fd);
		return -1;
	}
	return add(s, fd, &who, false, false);
}

int
server_listen(struct server *s, int fd, enum role_bit role)
{
	struct caller who = { .role = role };

	return add(s, fd, &who, true, false);
}

static void
accept_one(struct server *s, const struct peer *p)
{
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
	struct caller who = { .role = p->caller.role };
	int fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	bool room;

	if (fd < 0)
		return;
	pthread_mutex_lock(&s->lock);
	room = s->accepted < ACCEPTED_MAX;
	pthread_mutex_unlock(&s->lock);
	hello_encode(&f, s->self);
	if (!room || frame_send(fd, &f, false) < 0)
		close(fd);
	else
		(void)add(s, fd, &who, false, true);
	frame_free(&f);
}

/* ---- a frame ------------------------------------------------------------ */

#include "ipc/contract_no_fields.h"
#define RECORD(name)
#define END_RECORD(name)
#define CALL(name, from, to, time, again, text)				\
	case VERB_##name:						\
		if (h->name == NULL)					\
			return false;					\
		h->name(s->arg, who, arena, in, out);			\
		return true;
#define ANSWER(name)
#define END(name)
#define NOTE(name, from, to, text)					\
	case VERB_##name:						\
		if (h->name##_note == NULL)				\
			return false;					\
		h->name##_note(s->arg, who, in);			\
		return true;
#define END_NOTE(name)

/* false: nobody handles this verb here. */
static bool
dispatch(const struct server *s, enum verb verb, const struct caller *who,
    struct arena *arena, const void *in, void *out)
{
	const struct handlers *h = s->handlers;

	switch (verb) {
#include "ipc/contract.def"
#include "ipc/contract_undef.h"
	default:
		return false;
	}
}

void
serve_encode_failure(struct frame *f, enum verb verb, uint32_t number,
    enum result result)
{
	union any_message m;

	codecs[verb].reply.init(&m);
	*(enum result *)&m = result;
	codec_encode(f, verb, FRAME_REPLY, number, &m);
}

/* What a reply carries is the frame's from now on. */
static void
encode_reply(struct frame *f, enum verb verb, uint32_t number, void *reply)
{
	codec_encode(f, verb, FRAME_REPLY, number, reply);
	for (size_t i = 0; i < f->fd_count; i++)
		f->owned[i] = true;
	if (f->error == 0 && !text_full(&f->bytes))
		return;
	log_event(LOG_LEVEL_ERROR, "ipc.answer",
	    log_str("verb", codecs[verb].name),
	    log_str("why", "cannot be encoded"));
	serve_encode_failure(f, verb, number, RESULT_TEMPORARY);
}

/* These compute for long by their nature (password hashes), or wait. */
static bool
takes_long(enum verb verb)
{
	return verb == VERB_sasl_start || verb == VERB_sasl_step ||
	    codecs[verb].ms > 60 * 1000;
}

void
serve_call(const struct server *s, const struct caller *who,
    struct arena *arena, enum verb verb, uint32_t number,
    union any_message *request, struct frame *answer)
{
	union any_message reply;

	codecs[verb].reply.init(&reply);
	if (!dispatch(s, verb, who, arena, request, &reply))
		*(enum result *)&reply = RESULT_INVALID;
	encode_reply(answer, verb, number, &reply);
	codec_release(verb, FRAME_REPLY, &reply, false);
	codec_release(verb, FRAME_CALL, request, false);
}

static void
handle_call(struct worker *w, struct peer *p, enum verb verb,
    uint32_t number, union any_message *request)
{
	struct server *s = w->group->server;

	w->deferred = false;
	w->ticket = 0;
	if (takes_long(verb))
		turn_leave(w, TURN_HANDLING);
	serve_call(s, &p->caller, w->arena, verb, number, request, &w->frame);
	if (w->deferred)
		sync_defer(s, w, p, verb, number);
	else
		peer_answer(p, &w->frame);
	arena_reset(w->arena);
	if (codec_is_secret(verb))
		secret_wipe(w->input, w->input_n);
}

static bool
take_hello(struct peer *p, const struct hello_note *m)
{
	if (p->greeted || !hello_agrees(m, p->caller.role)) {
		log_event(LOG_LEVEL_ERROR, "ipc.mismatch",
		    log_str("expected", role_name(p->caller.role)),
		    log_int("expected_version", CONTRACT_VERSION),
		    log_text("peer", m->name),
		    log_int("peer_version", m->version));
		return false;
	}
	p->greeted = true;
	return true;
}

static void
handle_note(struct worker *w, struct peer *p, enum verb verb,
    union any_message *note)
{
	bool taken = dispatch(w->group->server, verb, &p->caller, w->arena,
	    note, NULL);

	codec_release(verb, FRAME_NOTE, note, !taken);
}

/* May this peer say this now? NULL: yes. */
static const char *
objection(const struct server *s, struct peer *p, const struct frame_in *f)
{
	const struct codec *row = &codecs[f->verb];

	if (f->kind == FRAME_REPLY)
		return "an answer to the called side";
	if ((row->from & (uint32_t)p->caller.role) == 0 ||
	    (row->to & (uint32_t)s->self) == 0)
		return "a verb that is not its own";
	if (f->kind != FRAME_CALL)
		return NULL;
	if (!p->greeted)
		return "a call before hello";
	if (atomic_load(&p->in_flight) >= LINK_CREDITS)
		return "calls beyond its credits";
	return NULL;
}

/* 1 handled; 0 the link is to be dropped. */
static int
take_frame(struct worker *w, struct peer *p, struct frame_in *f)
{
	struct server *s = w->group->server;
	const char *why = objection(s, p, f);
	union any_message m;

	if (why == NULL && s->on_fibers && f->kind == FRAME_CALL) {
		if (fiber_take(s, p, f) == 1)
			return 1;
		why = "a malformed frame";
	}
	if (why == NULL && codec_decode(f, &m) == 0)
		why = "a malformed frame";
	if (why != NULL) {
		frame_in_close(f);
		refuse(p, why);
		return 0;
	}
	if (f->verb == VERB_hello)
		return take_hello(p, &m.hello);
	turn_begin(w);
	peer_ref(p);
	if (f->kind == FRAME_CALL) {
		atomic_fetch_add(&p->in_flight, 1);
		handle_call(w, p, (enum verb)f->verb, f->number, &m);
	} else {
		handle_note(w, p, (enum verb)f->verb, &m);
	}
	serve_release(w->group->server, p);
	turn_end(w);
	return 1;
}

/* After an answer the next frame is often there already: ask for it first. */
static void
serve_peer(struct worker *w, struct peer *p)
{
	struct frame_in f;
	int status;

	for (int i = 0; i < READ_TURN; i++) {
		status = frame_receive(p->fd, &f, w->input, false);
		w->input_n = f.size;
		if (status == -1 && errno == EAGAIN)
			return;
		if (status == -1)
			refuse(p, "not a frame");
		if (status != 1 || take_frame(w, p, &f) == 0) {
			drop(w->group->server, p);
			return;
		}
		if (!w->leading)
			return;
	}
}

/* One turn of a leader. */
static void
lead_turn(struct worker *w)
{
	struct epoll_event events[EVENTS_MAX];
	struct server *s = w->group->server;
	int n = w->on_loop ? epoll_wait(w->group->epoll, events, EVENTS_MAX, 0) :
	    turn_events(w->group, events);

	for (int i = 0; i < n && w->leading; i++) {
		struct peer *p = events[i].data.ptr;

		if (p == NULL)		/* s->wake: we stop */
			return;
		if ((events[i].events & (uint32_t)EPOLLOUT) != 0)
			peer_writable(p);
		if (p->listens)
			accept_one(s, p);
		else if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0)
			serve_peer(w, p);
	}
}

/* ---- threads ------------------------------------------------------------ */

static void
worker_open(struct worker *w, struct group *g)
{
	*w = (struct worker){ .group = g,
	    .frame = { .bytes = TEXT_INIT(FRAME_MAX) } };
	w->arena = arena_new(ARENA_LIMIT);
	w->input = xmalloc(FRAME_MAX);
}

static void
worker_close(struct worker *w)
{
	frame_free(&w->frame);
	arena_free(&w->arena);
	free(w->input);
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct server *s = w->group->server;

	serve_worker = w;
	while (!atomic_load(&s->stopping)) {
		turn_await(w);
		while (w->leading && !atomic_load(&s->stopping))
			lead_turn(w);
	}
	turn_leave(w, TURN_WATCHING);
	serve_worker = NULL;
	return NULL;
}

struct server *
server_new(enum role_bit self, const struct handlers *handlers, void *arg)
{
	struct server *s = xcalloc(1, sizeof(*s));
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	s->self = self;
	s->handlers = handlers;
	s->arg = arg;
	s->last = &s->first;
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must(s->wake >= 0);
	must(pthread_mutex_init(&s->lock, NULL) == 0);
	must(pthread_mutex_init(&s->sync_lock, NULL) == 0);
	must(pthread_cond_init(&s->sync_wake, NULL) == 0);
	s->spin_us = cores > 1 ? SPIN_US : -1;
	s->group_count = (size_t)MAX(1, MIN(cores / 2, GROUPS_MAX));
	for (size_t i = 0; i < s->group_count; i++)
		group_open(&s->groups[i], s);
	return s;
}

static int
start_all(struct server *s, size_t threads)
{
	if (s->handlers->sync != NULL && sync_start(s) < 0)
		return -1;
	for (size_t i = 0; i < threads; i++)
		s->groups[i % s->group_count].threads++;
	for (; s->worker_count < threads; s->worker_count++) {
		struct worker *w = &s->workers[s->worker_count];

		worker_open(w, &s->groups[s->worker_count % s->group_count]);
		if (pthread_create(&w->thread, NULL, work, w) != 0) {
			worker_close(w);
			return -1;
		}
	}
	return 1;
}

/* Signals are for the thread that asked for them, never for a worker. */
int
server_start_threads(struct server *s, size_t threads)
{
	sigset_t all, before;
	int status;

	threads = MAX(threads, 2 * s->group_count);
	must(s->workers == NULL);
	s->workers = xcalloc(threads, sizeof(*s->workers));
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	status = start_all(s, threads);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (status < 0)
		server_stop(s);
	return status;
}

void
server_stop(struct server *s)
{
	uint64_t one = 1;

	atomic_store(&s->stopping, true);
	must(write(s->wake, &one, sizeof(one)) == sizeof(one));
	for (size_t i = 0; i < s->group_count; i++)
		group_wake_all(&s->groups[i]);
	for (size_t i = 0; i < s->worker_count; i++) {
		pthread_join(s->workers[i].thread, NULL);
		worker_close(&s->workers[i]);
	}
	sync_stop(s);
	fiber_cancel_all(s);
	free(s->workers);
	s->workers = NULL;
	s->worker_count = 0;
}

void
server_free(struct server **sp)
{
	struct server *s = *sp;

	if (s == NULL)
		return;
	must(s->worker_count == 0 && s->busy == NULL);
	fiber_free_spares(s);
	for (size_t i = 0; i < s->group_count; i++)
		if (s->groups[i].watch.fn != NULL)
			watch_clear(&s->groups[i].watch);
	while (s->peers != NULL)
		drop(s, s->peers);
	for (size_t i = 0; i < s->group_count; i++)
		group_close(&s->groups[i]);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->sync_lock);
	pthread_cond_destroy(&s->sync_wake);
	close(s->wake);
	if (s->loop_worker != NULL)
		worker_close(s->loop_worker);
	free(s->loop_worker);
	free(s);
	*sp = NULL;
}

/* ---- on a loop ---------------------------------------------------------- */

static void
on_loop(struct watch *w, uint32_t events)
{
	struct group *g = w->arg;
	struct worker *worker = g->server->loop_worker;

	(void)events;
	worker->group = g;
	lead_turn(worker);
}

int
server_on_loop(struct server *s)
{
	must(s->loop_worker == NULL && s->workers == NULL);
	s->loop_worker = xmalloc(sizeof(*s->loop_worker));
	worker_open(s->loop_worker, &s->groups[0]);
	s->loop_worker->leading = s->loop_worker->on_loop = true;
	for (size_t i = 0; i < s->group_count; i++) {
		struct group *g = &s->groups[i];

		g->watch = (struct watch){ .fd = g->epoll, .fn = on_loop,
		    .arg = g };
		if (watch_set(&g->watch, EPOLLIN) < 0)
			return -1;
	}
	return 1;
}

int
server_on_fibers(struct server *s)
{
	s->on_fibers = true;
	return server_on_loop(s);
}

/* ---- notes -------------------------------------------------------------- */

static struct peer *
find(struct server *s, uint64_t link)
{
	struct peer *p;

	pthread_mutex_lock(&s->lock);
	for (p = s->peers; p != NULL && p->caller.link != link; p = p->next)
		;
	if (p != NULL)
		peer_ref(p);
	pthread_mutex_unlock(&s->lock);
	return p;
}

static int
note(struct server *s, uint64_t link, enum verb verb, const void *fields)
{
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
	struct peer *p = find(s, link);
	int status;

	if (p == NULL)
		return 0;
	codec_encode(&f, verb, FRAME_NOTE, 0, fields);
	status = peer_note(p, &f);
	frame_free(&f);
	serve_release(s, p);
	return status;
}

int
server_note_mailbox_changed(struct server *s, uint64_t link,
    const struct mailbox_changed_note *changed)
{
	return note(s, link, VERB_mailbox_changed, changed);
}

int
server_note_account_changed(struct server *s, uint64_t link,
    const struct account_changed_note *changed)
{
	return note(s, link, VERB_account_changed, changed);
}

int
server_note_index_work(struct server *s, uint64_t link)
{
	struct index_work_note work = { 0 };

	return note(s, link, VERB_index_work, &work);
}

int
server_note_token_waits(struct server *s, uint64_t link)
{
	struct token_waits_note waits = { 0 };

	return note(s, link, VERB_token_waits, &waits);
}

int
server_note_queue_ready(struct server *s, uint64_t link)
{
	struct queue_ready_note ready = { 0 };

	return note(s, link, VERB_queue_ready, &ready);
}
