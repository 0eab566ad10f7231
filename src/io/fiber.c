/*
 * fiber.c - handlers that read from top to bottom.
 *
 * A fiber is one mapping: a guard page, the stack, and at its top the struct
 * itself. Stepping into a fiber returns when it waits or ends, so the loop
 * (or the fiber that started it) simply goes on behind the call.
 *
 * A fiber that is to run again stands in the loop's queue of deferred calls,
 * once at most: `waiting` says that it may be put there, `ready` that it is.
 *
 * Stacks of ended fibers are pooled: a few as they are, more with their pages
 * given back, the rest unmapped.
 */
#include "io/fiber.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "io/context.h"
#include "io/loop.h"

enum {
	PAGE = 4096,
	POOL_WARM = 16,		/* stacks kept with their pages */
	POOL_MAX = 256,		/* stacks kept at all */
	SLICE_MS = 2,		/* fiber_share() */
};

/* The sanitizers' frames are several times as large. */
#if defined(CONTEXT_ASAN) || defined(CONTEXT_TSAN)
enum { STACK = 4 * FIBER_STACK };
#else
enum { STACK = FIBER_STACK };
#endif

struct fiber {
	struct context context;
	struct context *back;	/* where its next wait returns to */
	void (*fn)(void *);
	void *arg;
	struct timer timer;
	monotime_t since;	/* when it was entered last */
	bool waiting;
	bool ready;
	bool woken;		/* a wake nobody waited for yet */
	bool cancelled;
	bool ended;
	unsigned valgrind;
	struct fiber *next;	/* in the pool */
};

static _Thread_local struct {
	struct context own;	/* the thread's stack */
	struct fiber *running;
	struct fiber *pool;
	size_t pooled;
	size_t alive;
} here;

/* -- stacks ---- */

static char *
stack_low(struct fiber *f)
{
	return (char *)f + sizeof(*f) - STACK;
}

static struct fiber *
stack_map(void)
{
	struct fiber *f;
	char *p;

	p = mmap(NULL, PAGE + STACK, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (mprotect(p, PAGE, PROT_NONE) == -1) {
		munmap(p, PAGE + STACK);
		return NULL;
	}
	f = (struct fiber *)(void *)(p + PAGE + STACK - sizeof(*f));
	f->valgrind = context_stack_register(p + PAGE, STACK - sizeof(*f));
	return f;
}

static void
stack_unmap(struct fiber *f)
{
	char *low = stack_low(f);

	context_stack_forget(f->valgrind);
	munmap(low - PAGE, PAGE + STACK);
}

static struct fiber *
stack_take(void)
{
	struct fiber *f = here.pool;

	if (f == NULL)
		return stack_map();
	here.pool = f->next;
	here.pooled--;
	return f;
}

static void
stack_give(struct fiber *f)
{
	if (here.pooled >= POOL_MAX) {
		stack_unmap(f);
		return;
	}
	/* The topmost page stays: the struct is there. */
	if (here.pooled >= POOL_WARM)
		madvise(stack_low(f), STACK - PAGE, MADV_DONTNEED);
	f->next = here.pool;
	here.pool = f;
	here.pooled++;
}

void
fiber_trim(void)
{
	struct fiber *f;

	while ((f = here.pool) != NULL) {
		here.pool = f->next;
		here.pooled--;
		stack_unmap(f);
	}
}

/* -- running ---- */

static void
body(void *arg)
{
	struct fiber *f = arg;

	f->fn(f->arg);
	f->ended = true;
	context_leave(&f->context, f->back);
}

/* Step into f until it waits or ends. */
static void
enter(struct fiber *f)
{
	struct fiber *was = here.running;

	f->back = was != NULL ? &was->context : &here.own;
	here.running = f;
	f->since = clock_mono();
	context_switch(f->back, &f->context);
	here.running = was;
	if (!f->ended)
		return;
	context_unmake(&f->context);
	here.alive--;
	stack_give(f);
}

static void
resume(void *arg)
{
	struct fiber *f = arg;

	f->ready = false;
	enter(f);
}

static void
make_ready(struct fiber *f)
{
	if (!f->waiting || f->ready)
		return;
	f->ready = true;
	loop_defer(resume, f);
}

/* Leave until make_ready(). */
static void
suspend(struct fiber *f)
{
	f->waiting = true;
	context_switch(&f->context, f->back);
	f->waiting = false;
}

int
fiber_start(void (*fn)(void *), void *arg)
{
	struct fiber *f = stack_take();
	unsigned valgrind;

	if (f == NULL)
		return -1;
	valgrind = f->valgrind;
	*f = (struct fiber){ .fn = fn, .arg = arg, .valgrind = valgrind };
	context_make(&f->context, stack_low(f), STACK - sizeof(*f), body, f);
	here.alive++;
	enter(f);
	return 1;
}

struct fiber *
fiber_self(void)
{
	return here.running;
}

size_t
fiber_count(void)
{
	return here.alive;
}

/* -- waiting ---- */

static int
cancelled(void)
{
	errno = ECANCELED;
	return -1;
}

/* poll(2) for nothing: a thread without fibers can only sleep. */
static int
sleep_until(monotime_t deadline)
{
	int64_t left;

	must(deadline.ms != INT64_MAX);
	while ((left = mono_left(deadline)) > 0)
		poll(NULL, 0, (int)MIN(left, 1000));
	return 0;
}

static void
deadline_passed(struct timer *t)
{
	make_ready(t->arg);
}

/* 1 done, 0 the deadline, -1 cancelled. */
static int
wait_for(struct fiber *f, const bool *done, monotime_t deadline)
{
	f->timer.fn = deadline_passed;
	f->timer.arg = f;
	if (deadline.ms != INT64_MAX)
		timer_set(&f->timer, deadline);
	while (!*done && !f->cancelled && mono_left(deadline) > 0)
		suspend(f);
	timer_clear(&f->timer);
	if (f->cancelled)
		return cancelled();
	return *done ? 1 : 0;
}

int
fiber_wait(monotime_t deadline)
{
	struct fiber *f = here.running;
	int done;

	if (f == NULL)
		return sleep_until(deadline);
	done = wait_for(f, &f->woken, deadline);
	if (done == 1)
		f->woken = false;
	return done;
}

int
fiber_wait_for(const bool *done, monotime_t deadline)
{
	must(here.running != NULL);
	return wait_for(here.running, done, deadline);
}

void
fiber_wake(struct fiber *f)
{
	f->woken = true;
	make_ready(f);
}

void
fiber_nudge(struct fiber *f)
{
	make_ready(f);
}

void
fiber_cancel(struct fiber *f)
{
	f->cancelled = true;
	make_ready(f);
}

int
fiber_yield(void)
{
	struct fiber *f = here.running;

	if (f == NULL)
		return 1;
	if (f->cancelled)
		return cancelled();
	f->ready = true;
	loop_defer(resume, f);
	suspend(f);
	return f->cancelled ? cancelled() : 1;
}

int
fiber_share(void)
{
	struct fiber *f = here.running;

	if (f == NULL || clock_mono().ms - f->since.ms < SLICE_MS)
		return 1;
	return fiber_yield();
}

/* -- descriptors ---- */

struct fd_wait {
	struct watch watch;
	struct fiber *fiber;
	bool seen;
};

static void
fd_ready(struct watch *w, uint32_t events)
{
	struct fd_wait *wait = w->arg;

	(void)events;
	wait->seen = true;
	make_ready(wait->fiber);
}

static int
poll_fd(int fd, short events, monotime_t deadline)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n, ms;

	do {
		ms = deadline.ms == INT64_MAX ? -1
		    : (int)MIN(mono_left(deadline), INT32_MAX);
		n = poll(&p, 1, ms);
	} while ((n == -1 && errno == EINTR) ||
	    (n == 0 && mono_left(deadline) > 0));
	return n > 0 ? 1 : n;
}

int
fiber_wait_fd(int fd, short events, monotime_t deadline)
{
	struct fiber *f = here.running;
	struct fd_wait wait = { .fiber = f };
	uint32_t mask = EPOLLONESHOT;
	int done;

	if (f == NULL)
		return poll_fd(fd, events, deadline);
	mask |= (events & POLLIN) != 0 ? EPOLLIN | EPOLLRDHUP : 0;
	mask |= (events & POLLOUT) != 0 ? EPOLLOUT : 0;
	wait.watch = (struct watch){ .fd = fd, .fn = fd_ready, .arg = &wait };
	if (watch_set(&wait.watch, mask) == -1)
		return -1;
	done = wait_for(f, &wait.seen, deadline);
	watch_clear(&wait.watch);
	return done;
}
