/*
 * serve_turn.c - which thread of a group waits for frames.
 *
 * In a group one thread leads: it alone waits for frames, and what it reads it
 * handles itself, answers, and reads on. As long as handlers are quick no
 * other thread is woken, which is what makes a small call cheap. One more
 * thread stands by: when a handler takes longer than a tick, or says that it
 * will (serve_may_block), the one standing by leads on, and the former leader
 * joins the others when it is done. So as many handlers can wait at once as
 * there are threads.
 *
 * Waking a sleeping core costs more than most handlers. So where the next
 * frame usually comes within spin_us the leader looks for it that long,
 * giving the core to whoever else wants it between two looks.
 *
 * The leader's turn is one atomic word: its state, and a count that says
 * which handler it is in. Who changes HANDLING to WATCHING is the leader.
 */
#include "ipc/serve_impl.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

enum {
	TICK_MS = 2,			/* how often the standby looks */
	IDLE_TICKS = 50,		/* until it stops looking */
	USUAL_MAX = 200,		/* us: gaps count for no more */
	USUAL_GOOD = 100,		/* us: worth looking on for */
	STATE_MASK = 3,
	COUNT_ONE = 4,
};

_Thread_local struct worker *serve_worker;

void
group_open(struct group *g, struct server *s)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
	pthread_condattr_t attr;

	g->server = s;
	g->epoll = epoll_create1(EPOLL_CLOEXEC);
	must(g->epoll >= 0);
	must(epoll_ctl(g->epoll, EPOLL_CTL_ADD, s->wake, &e) == 0);
	must(pthread_condattr_init(&attr) == 0);
	must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	must(pthread_mutex_init(&g->lock, NULL) == 0);
	must(pthread_cond_init(&g->standby_wake, &attr) == 0);
	must(pthread_cond_init(&g->follower_wake, &attr) == 0);
	pthread_condattr_destroy(&attr);
}

void
group_close(struct group *g)
{
	close(g->epoll);
	pthread_mutex_destroy(&g->lock);
	pthread_cond_destroy(&g->standby_wake);
	pthread_cond_destroy(&g->follower_wake);
}

void
group_wake_all(struct group *g)
{
	pthread_mutex_lock(&g->lock);
	pthread_cond_broadcast(&g->standby_wake);
	pthread_cond_broadcast(&g->follower_wake);
	pthread_mutex_unlock(&g->lock);
}

static void
wake_standby(struct group *g)
{
	pthread_mutex_lock(&g->lock);
	atomic_store(&g->asleep, false);
	pthread_cond_signal(&g->standby_wake);
	pthread_mutex_unlock(&g->lock);
}

void
turn_begin(struct worker *w)
{
	struct group *g = w->group;

	w->count += COUNT_ONE;
	atomic_store(&g->turn, w->count | TURN_HANDLING);
	if (atomic_load(&g->asleep))
		wake_standby(g);
}

void
turn_end(struct worker *w)
{
	uint_fast64_t mine = w->count | TURN_HANDLING;

	if (w->leading)
		w->leading = atomic_compare_exchange_strong(&w->group->turn,
		    &mine, w->count | TURN_WATCHING);
}

void
turn_leave(struct worker *w, enum turn state)
{
	struct group *g = w->group;
	uint_fast64_t mine = w->count | (uint_fast64_t)state;

	if (!w->leading || w->on_loop)
		return;
	w->leading = false;
	if (!atomic_compare_exchange_strong(&g->turn, &mine,
	    w->count | TURN_FREE))
		return;
	pthread_mutex_lock(&g->lock);
	atomic_store(&g->asleep, false);
	pthread_cond_signal(g->has_standby ? &g->standby_wake :
	    &g->follower_wake);
	pthread_mutex_unlock(&g->lock);
}

/* Take the turn from the value that was seen. */
static bool
turn_take(struct worker *w, uint_fast64_t seen)
{
	w->count = seen & ~(uint64_t)STATE_MASK;
	w->leading = atomic_compare_exchange_strong(&w->group->turn, &seen,
	    w->count | TURN_WATCHING);
	return w->leading;
}

static void
wait_tick(struct group *g)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += TICK_MS * 1000000L;
	if (t.tv_nsec >= 1000000000L) {
		t.tv_nsec -= 1000000000L;
		t.tv_sec++;
	}
	pthread_cond_timedwait(&g->standby_wake, &g->lock, &t);
}

/*
 * Stand by until the turn is free, or its leader is in the same handler as
 * one tick ago. A group where nothing happens is not looked at any more.
 */
static void
stand_by(struct worker *w)
{
	struct group *g = w->group;
	uint_fast64_t seen = atomic_load(&g->turn), now;
	int idle = 0;

	while (!atomic_load(&g->server->stopping)) {
		now = atomic_load(&g->turn);
		if ((now & STATE_MASK) == TURN_FREE || (now == seen &&
		    idle > 0 && (now & STATE_MASK) == TURN_HANDLING)) {
			if (turn_take(w, now))
				return;
			continue;
		}
		idle = now == seen ? idle + 1 : 1;
		seen = now;
		if (idle < IDLE_TICKS) {
			wait_tick(g);
			continue;
		}
		atomic_store(&g->asleep, true);
		if (atomic_load(&g->turn) == now)
			while (atomic_load(&g->asleep) &&
			    !atomic_load(&g->server->stopping))
				pthread_cond_wait(&g->standby_wake, &g->lock);
		atomic_store(&g->asleep, false);
		idle = 0;
	}
}

void
turn_await(struct worker *w)
{
	struct group *g = w->group;
	uint_fast64_t now;

	pthread_mutex_lock(&g->lock);
	while (!w->leading && !atomic_load(&g->server->stopping)) {
		now = atomic_load(&g->turn);
		if ((now & STATE_MASK) == TURN_FREE && turn_take(w, now))
			break;
		if (g->has_standby) {
			pthread_cond_wait(&g->follower_wake, &g->lock);
			continue;
		}
		g->has_standby = true;
		stand_by(w);
		g->has_standby = false;
		pthread_cond_signal(&g->follower_wake);
	}
	pthread_mutex_unlock(&g->lock);
}

void
serve_may_block(void)
{
	if (serve_worker != NULL)
		turn_leave(serve_worker, TURN_HANDLING);
}

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int
turn_events(struct group *g, struct epoll_event *events)
{
	int64_t start, gap;
	int n = epoll_wait(g->epoll, events, EVENTS_MAX, 0);

	if (n != 0)
		return n;
	start = now_us();
	while (n == 0 && g->usual_gap <= USUAL_GOOD &&
	    now_us() - start < g->server->spin_us) {
		sched_yield();
		n = epoll_wait(g->epoll, events, EVENTS_MAX, 0);
	}
	if (n == 0)
		n = epoll_wait(g->epoll, events, EVENTS_MAX, -1);
	gap = MIN(now_us() - start, USUAL_MAX);
	g->usual_gap += (gap - g->usual_gap) / 4;
	return n;
}
