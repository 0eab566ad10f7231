/*
 * engine_rocksdb_sync.c - what is durable, and who makes it so.
 *
 * Threads that wait share one fdatasync of the log. The first of them does
 * it; who comes while it is under way waits for it if his batch was written
 * before it began, or else for the next, which one of those waiting does.
 * A thread of the engine syncs within a second what nobody waits for.
 *
 * The mark
 *	The log is read back to the first record that is not whole, as a
 *	crash leaves it. Damage in its middle would look the same and
 *	silently take away what was promised. So a mapped page (file
 *	"synced") remembers the last ticket that became durable: if the log
 *	ends before it, the store is refused. The page is never synced
 *	itself: after a loss of power it may be behind, and then promises
 *	less, but it is never ahead.
 */
#include "store/engine_rocksdb.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { MARK_SIZE = 4096, LONGEST_MS = 900 };

static const char mark_name[] = "synced";

/* The ticket, and its complement to tell a whole page from a torn one. */
int
syncer_map(struct rocks *r, bool fresh, ticket_t *promised, struct text *why)
{
	int fd = openat(r->dir, mark_name, O_RDWR | O_CREAT | O_CLOEXEC |
	    (fresh ? O_TRUNC : 0), 0600);
	void *page = MAP_FAILED;
	_Atomic uint64_t *mark;

	*promised = 0;
	/* Real blocks: writing to the page must never meet a full disk. */
	if (fd >= 0 && posix_fallocate(fd, 0, MARK_SIZE) == 0)
		page = mmap(NULL, MARK_SIZE, PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (page == MAP_FAILED) {
		text_printf(why, "%s/%s: %s", r->path, mark_name,
		    strerror(errno));
		return -1;
	}
	mark = page;
	if (atomic_load(&mark[0]) == ~atomic_load(&mark[1]))
		*promised = atomic_load(&mark[0]);
	r->syncer.mark = mark;
	return 1;
}

void
syncer_unmap(struct rocks *r)
{
	must(munmap((void *)(uintptr_t)r->syncer.mark, MARK_SIZE) == 0);
}

/* -- flights ---------------------------------------------------------- */
static int
sync_log(struct rocks *r)
{
	char *error = NULL;

	if (rocks_fault(r, "sync.begin") != 0)
		return -1;
	rocksdb_flush_wal(r->db, 1, &error);
	if (error != NULL)
		return rocks_error(error);
	atomic_fetch_add(&r->syncs, 1);
	(void)rocks_fault(r, "sync.done");
	return 0;
}

static void
landed(struct syncer *s, ticket_t ticket)
{
	atomic_store(&s->mark[0], ticket);
	atomic_store(&s->mark[1], ~ticket);
	atomic_store(&s->durable, ticket);
}

/* Called and left with the lock held. */
static void
fly(struct rocks *r)
{
	struct syncer *s = &r->syncer;
	unsigned mine = s->next;
	int done;

	s->flying = true;
	s->next ^= 1;
	s->target = atomic_load(&r->committed);
	must(pthread_mutex_unlock(&s->lock) == 0);
	done = sync_log(r);
	must(pthread_mutex_lock(&s->lock) == 0);
	s->flying = false;
	if (done == 0)
		landed(s, s->target);
	else
		atomic_store(&s->failed, true);
	pthread_cond_broadcast(&s->round[mine]);
	pthread_cond_signal(&s->round[s->next]);
}

/* Wait for `ticket`; the lock is held. */
static int
wait_durable(struct rocks *r, ticket_t ticket)
{
	struct syncer *s = &r->syncer;

	while (atomic_load(&s->durable) < ticket) {
		if (atomic_load(&s->failed)) {
			pthread_cond_signal(&s->round[s->next]);
			errno = EIO;
			return -1;
		}
		if (!s->flying)
			fly(r);
		else
			pthread_cond_wait(&s->round[ticket <= s->target
			    ? s->next ^ 1 : s->next], &s->lock);
	}
	return 1;
}

bool
rocks_is_durable(struct engine *e, ticket_t ticket)
{
	return atomic_load(&rocks_of(e)->syncer.durable) >= ticket;
}

int
rocks_sync(struct engine *e, ticket_t ticket)
{
	struct rocks *r = rocks_of(e);
	int done;

	if (rocks_is_durable(e, ticket))
		return 1;
	must(ticket <= atomic_load(&r->committed));
	must(pthread_mutex_lock(&r->syncer.lock) == 0);
	done = wait_durable(r, ticket);
	must(pthread_mutex_unlock(&r->syncer.lock) == 0);
	return done;
}

/* -- the thread for those nobody waits for ---------------------------- */
static bool
all_durable(struct rocks *r)
{
	return atomic_load(&r->syncer.durable) >=
	    atomic_load(&r->committed) || atomic_load(&r->syncer.failed);
}

/* Asleep until something is written; the lock is held. */
static void
sleep_idle(struct rocks *r)
{
	struct syncer *s = &r->syncer;

	atomic_store(&s->idle, true);
	while (!s->stop && all_durable(r))
		pthread_cond_wait(&s->wake, &s->lock);
	atomic_store(&s->idle, false);
}

static void
sleep_longest(struct syncer *s)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LONGEST_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	while (!s->stop &&
	    pthread_cond_timedwait(&s->wake, &s->lock, &until) == 0)
		continue;
}

static void *
syncer_run(void *arg)
{
	struct rocks *r = arg;
	struct syncer *s = &r->syncer;

	must(pthread_mutex_lock(&s->lock) == 0);
	while (!s->stop || !all_durable(r)) {
		sleep_idle(r);
		sleep_longest(s);
		(void)wait_durable(r, atomic_load(&r->committed));
	}
	must(pthread_mutex_unlock(&s->lock) == 0);
	return NULL;
}

/* One wake-up a second at most: idle is cleared until the thread sleeps. */
void
syncer_notice(struct rocks *r)
{
	struct syncer *s = &r->syncer;

	if (!atomic_load(&s->idle) || !atomic_exchange(&s->idle, false))
		return;
	must(pthread_mutex_lock(&s->lock) == 0);
	pthread_cond_signal(&s->wake);
	must(pthread_mutex_unlock(&s->lock) == 0);
}

void
syncer_start(struct rocks *r, ticket_t recovered)
{
	struct syncer *s = &r->syncer;
	pthread_condattr_t attr;

	must(pthread_mutex_init(&s->lock, NULL) == 0);
	must(pthread_condattr_init(&attr) == 0);
	must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	must(pthread_cond_init(&s->wake, &attr) == 0);
	must(pthread_condattr_destroy(&attr) == 0);
	for (int i = 0; i < 2; i++)
		must(pthread_cond_init(&s->round[i], NULL) == 0);
	atomic_store(&r->committed, recovered);
	landed(s, recovered);
	must(pthread_create(&s->thread, NULL, syncer_run, r) == 0);
}

void
syncer_stop(struct rocks *r)
{
	struct syncer *s = &r->syncer;

	must(pthread_mutex_lock(&s->lock) == 0);
	s->stop = true;
	pthread_cond_signal(&s->wake);
	must(pthread_mutex_unlock(&s->lock) == 0);
	must(pthread_join(s->thread, NULL) == 0);
	for (int i = 0; i < 2; i++)
		pthread_cond_destroy(&s->round[i]);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	syncer_unmap(r);
}
