/*
 * engine.c - how many messages a second the storage engine takes.
 *
 *	bench_engine DIRECTORY THREADS SECONDS PARTITIONS [way]
 *
 * Each thread commits messages one after the other and waits until each is
 * on disk: a body of 4 KiB, its summary of 600 bytes, and three small keys,
 * in one of PARTITIONS mailboxes. With "way" each message goes the whole way
 * of a delivery: into the queue, into the mailbox, out of the queue.
 */
#include "base/clock.h"
#include "base/secret.h"
#include "store/engine.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { BODY = 4096, SUMMARY = 600 };

struct work {
	struct engine *engine;
	uint32_t partitions;
	bool whole_way;
	monotime_t end;
	uint64_t done;
};

static const struct partition queue = { .kind = 5, .id = 0 };

static void
random_key(char key[12], char what)
{
	key[0] = what;
	random_bytes(key + 1, 11);
}

static void
put_small(struct batch *b, char what)
{
	char key[12], value[60] = "flags, a date, a modseq";

	random_key(key, what);
	batch_put(b, span_of(key, sizeof(key)), span_of(value, sizeof(value)));
}

static int
commit(struct engine *e, struct batch *b, bool wait)
{
	ticket_t ticket;
	int done = engine_commit(e, b, &ticket);

	batch_free(&b);
	return done == 1 && wait ? engine_sync(e, ticket) : done;
}

static struct batch *
message(struct partition where, struct body_id id, struct span body)
{
	static const char summary[SUMMARY];
	struct batch *b = batch_new(where);

	batch_body(b, id, body, SPAN_EMPTY, span_of(summary, SUMMARY));
	batch_link(b, id, SPAN("holder"));
	put_small(b, 'a');
	put_small(b, 'b');
	put_small(b, 'c');
	return b;
}

static int
deliver(struct work *w, struct partition mailbox, struct body_id id)
{
	struct batch *b = batch_new(mailbox);

	batch_link(b, id, SPAN("mailbox"));
	put_small(b, 'm');
	if (commit(w->engine, b, false) != 1)
		return -1;
	b = batch_new(queue);
	batch_unlink(b, id, SPAN("holder"));
	put_small(b, 'd');
	return commit(w->engine, b, false);
}

static int
one_message(struct work *w, struct span body)
{
	struct partition mailbox = { .kind = 4,
	    .id = 1 + random_below(w->partitions) };
	struct body_id id = body_id_new();

	if (!w->whole_way)
		return commit(w->engine, message(mailbox, id, body), true);
	if (commit(w->engine, message(queue, id, body), true) != 1)
		return -1;
	return deliver(w, mailbox, id);
}

static void *
run(void *arg)
{
	struct work *w = arg;
	char body[BODY];

	random_bytes(body, sizeof(body));
	while (mono_before(clock_mono(), w->end)) {
		if (one_message(w, span_of(body, sizeof(body))) != 1) {
			perror("commit");
			exit(1);
		}
		w->done++;
	}
	return NULL;
}

static void
measure(struct engine *e, int threads, int seconds, int partitions, bool way)
{
	struct work *works = xcalloc((size_t)threads, sizeof(*works));
	pthread_t *ids = xcalloc((size_t)threads, sizeof(*ids));
	struct engine_stats stats;
	uint64_t done = 0;

	for (int i = 0; i < threads; i++) {
		works[i] = (struct work){ e, (uint32_t)partitions, way,
		    clock_after(seconds * 1000), 0 };
		must(pthread_create(&ids[i], NULL, run, &works[i]) == 0);
	}
	for (int i = 0; i < threads; i++) {
		must(pthread_join(ids[i], NULL) == 0);
		done += works[i].done;
	}
	engine_stats(e, &stats);
	printf("%" PRIu64 " messages/s, %" PRIu64 " commits, %" PRIu64
	    " syncs\n", done / (uint64_t)seconds, stats.commits, stats.syncs);
	free(works);
	free(ids);
}

int
main(int argc, char **argv)
{
	struct engine_options options = { .create = true,
	    .write_buffer = 64 << 20, .cache_size = 32 << 20,
	    .compress = getenv("COMPRESS") != NULL };
	struct text why = TEXT_INIT(1024);
	struct engine *e;

	if (argc < 5) {
		fprintf(stderr, "usage: %s DIRECTORY THREADS SECONDS "
		    "PARTITIONS [way]\n", argv[0]);
		return 2;
	}
	e = engine_rocksdb_open(argv[1], &options, &why);
	if (e == NULL) {
		fprintf(stderr, "%.*s\n", SPAN_ARG(text_span(&why)));
		return 1;
	}
	measure(e, atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), argc > 5);
	engine_close(&e);
	text_free(&why);
	return 0;
}
