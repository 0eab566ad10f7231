/*
 * queue.c - the queue with very much in it: memory, restart, lease and report.
 *
 *	queue PATH fill N	N envelopes that are not due, as many domains
 *				as a thousandth of them
 *	queue PATH due N	the same, due
 *	queue PATH open		until the first lease; until all is loaded;
 *				memory for each
 *	queue PATH send N	N messages are accepted, leased and reported
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "ipc/wire.h"
#include "store/queue.h"
#include "store/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 1000, BODY = 2048 };

static const struct caller relay = { RELAY, 0, 1 };
static char body[BODY];

static double
seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long
memory_kib(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long pages = 0, resident = 0;

	if (f != NULL && fscanf(f, "%ld %ld", &pages, &resident) != 2)
		resident = 0;
	if (f != NULL)
		fclose(f);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static struct engine *
open_engine(const char *path)
{
	struct engine_options options = { .cache_size = 4 << 20,
	    .write_buffer = 32 << 20, .compress = true, .create = true };
	struct text why = TEXT_INIT(0);
	struct engine *engine = engine_rocksdb_open(path, &options, &why);

	if (engine == NULL) {
		fprintf(stderr, "%.*s\n", SPAN_ARG(text_span(&why)));
		exit(1);
	}
	return engine;
}

static struct store *
open_store(struct engine *engine)
{
	static struct settings settings;
	static const uint8_t key[32] = { 1 };
	struct text why = TEXT_INIT(0);
	struct store *store;

	settings_default(&settings);
	settings.relay_max_connections = 1000;
	settings.relay_first_connections = 1000;
	store = store_new(engine, &settings, key, &why);
	if (store == NULL) {
		fprintf(stderr, "%.*s\n", SPAN_ARG(text_span(&why)));
		exit(1);
	}
	return store;
}

static void
fill(struct engine *engine, unsigned n, int64_t due)
{
	struct store store = { .engine = engine };
	struct envelope_recipient to = { .address = SPAN("x@d.test") };

	for (unsigned i = 0; i < n;) {
		struct batch *batch = batch_new(queue_partition);

		for (unsigned k = 0; k < BATCH && i < n; k++, i++) {
			char domain[32], sender[48];
			struct envelope e = { .arrived = clock_wall(),
			    .next_attempt = due, .size = BODY,
			    .state = ENVELOPE_DEFERRED, .attempts = 1,
			    .trace = SPAN("client=192.0.2.1 with=ESMTPS"),
			    .recipients = &to, .count = 1 };
			struct envelope *one = &e;
			struct submission s = { .envelopes = &one, .count = 1,
			    .rest = span_of(body, BODY) };
			struct body_id id = body_id_new();

			snprintf(domain, sizeof(domain), "d%u.test",
			    i % MAX(n / 1000, 1));
			snprintf(sender, sizeof(sender), "s%u@example.test",
			    i % 100);
			random_bytes(e.token.b, sizeof(e.token.b));
			memcpy(e.body.b, id.b, sizeof(e.body.b));
			e.domain = span_str(domain);
			e.sender = span_str(sender);
			must(queue_put(&store, batch, &s) == 1);
		}
		must(engine_commit(engine, batch, NULL) == 1);
		batch_free(&batch);
	}
}

static size_t
lease(struct store *store, struct arena *arena, struct queue_lease_reply *got)
{
	struct queue_lease_request ask = { .count = 10, .room = 1 << 20 };

	*got = (struct queue_lease_reply){ 0 };
	verb_queue_lease(store, &relay, arena, &ask, got);
	return got->rows.bytes.n;
}

static void
resume(struct store *store, struct arena *arena)
{
	struct queue_resume_request req = { .tokens = BLOB_OF(SPAN_EMPTY) };
	struct queue_resume_reply reply = { 0 };

	verb_queue_resume(store, &relay, arena, &req, &reply);
}

static void
measure_open(const char *path)
{
	struct arena *arena = arena_new(64 << 20);
	struct queue_lease_reply got;
	double begin = seconds(CLOCK_MONOTONIC), first = 0;
	struct engine *engine = open_engine(path);
	long before = memory_kib();
	struct store *store = open_store(engine);
	size_t n;

	resume(store, arena);
	while (!__atomic_load_n(&store->queue->loaded, __ATOMIC_ACQUIRE)) {
		if (first == 0 && lease(store, arena, &got) > 0)
			first = seconds(CLOCK_MONOTONIC) - begin;
		usleep(1000);
	}
	n = store->queue->live.n;
	printf("first lease %.3f s, all loaded %.3f s, %zu envelopes, "
	    "%.0f bytes each\n", first, seconds(CLOCK_MONOTONIC) - begin, n,
	    n == 0 ? 0 : (double)(memory_kib() - before) * 1024 / (double)n);
	store_free(&store);
	engine_close(&engine);
	arena_free(&arena);
}

static void
accept_one(struct store *store, unsigned i)
{
	char domain[32];
	struct envelope_recipient to = { .address = SPAN("x@d.test") };
	struct envelope e = { .arrived = clock_wall(), .size = BODY,
	    .next_attempt = clock_wall_seconds(), .account = 1 + i % 10,
	    .sender = SPAN("s@example.test"), .recipients = &to, .count = 1 };
	struct envelope *one = &e;
	struct submission s = { .envelopes = &one, .count = 1,
	    .rest = span_of(body, BODY) };
	struct body_id id = body_id_new();
	ticket_t ticket;

	snprintf(domain, sizeof(domain), "d%u.test", i % 10);
	e.domain = span_str(domain);
	random_bytes(e.token.b, sizeof(e.token.b));
	memcpy(e.body.b, id.b, sizeof(e.body.b));
	must(queue_accept(store->queue, &s, &ticket) == RESULT_OK);
}

static size_t
report(struct store *store, struct arena *arena,
    const struct queue_lease_reply *got)
{
	struct cursor c = { got->rows.bytes, false };
	struct text tokens = TEXT_INIT(0), rows = TEXT_INIT(0);
	struct queue_report_request req = { .destination = got->destination };
	struct queue_report_reply reply = { 0 };
	struct lease_row row;
	size_t n = 0;

	for (; lease_row_get(&c, &row) == 1; n++) {
		put_raw(&tokens, row.token.b, sizeof(row.token.b));
		outcome_row_put(&rows, &(struct outcome_row){
		    .token = row.token, .outcome = RELAY_SENT,
		    .answer = SPAN("250 2.0.0 ok"),
		    .remote = SPAN("mx.example.org[192.0.2.1]:25") });
	}
	req.tokens = BLOB_OF(text_span(&tokens));
	req.outcomes = BLOB_OF(text_span(&rows));
	verb_queue_report(store, &relay, arena, &req, &reply);
	must(reply.result == RESULT_OK);
	text_free(&tokens);
	text_free(&rows);
	return n;
}

static void
measure_send(const char *path, unsigned n)
{
	struct arena *arena = arena_new(64 << 20);
	struct engine *engine = open_engine(path);
	struct store *store = open_store(engine);
	struct queue_lease_reply got;
	double begin, cpu;
	size_t done = 0;

	queue_settle(store->queue);
	resume(store, arena);
	begin = seconds(CLOCK_PROCESS_CPUTIME_ID);
	for (unsigned i = 0; i < n; i++)
		accept_one(store, i);
	printf("accept %.1f us of CPU each\n",
	    (seconds(CLOCK_PROCESS_CPUTIME_ID) - begin) * 1e6 / n);
	begin = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
	while (done < n) {
		arena_reset(arena);
		must(lease(store, arena, &got) > 0);
		done += report(store, arena, &got);
	}
	printf("lease and report %.1f us, %.1f us of CPU each\n",
	    (seconds(CLOCK_MONOTONIC) - begin) * 1e6 / n,
	    (seconds(CLOCK_THREAD_CPUTIME_ID) - cpu) * 1e6 / n);
	store_free(&store);
	engine_close(&engine);
	arena_free(&arena);
}

int
main(int argc, char **argv)
{
	struct engine *engine;
	unsigned n = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
	bool due = argc > 2 && strcmp(argv[2], "due") == 0;

	log_set_level(LOG_LEVEL_ERROR);
	memset(body, 'x', sizeof(body));
	if (argc == 3 && strcmp(argv[2], "open") == 0) {
		measure_open(argv[1]);
	} else if (n > 0 && strcmp(argv[2], "send") == 0) {
		measure_send(argv[1], n);
	} else if (n > 0 && (due || strcmp(argv[2], "fill") == 0)) {
		engine = open_engine(argv[1]);
		fill(engine, n, clock_wall_seconds() + (due ? 0 : 86400));
		engine_close(&engine);
	} else {
		fprintf(stderr, "usage: queue PATH fill|due|open|send [N]\n");
		return 64;
	}
	return 0;
}
