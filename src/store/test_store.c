/*
 * test_store.c - the fixture of the store's tests.
 */
#include "test_store.h"
#include "base/log.h"
#include "base/secret.h"
#include "ipc/wire.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const struct caller from_mx = { MX, 0, 1 };
const struct caller from_access = { ACCESS, 0, 2 };
const struct caller from_cli = { CLI, 0, 3 };

static int
remove_one(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void
open_store(struct fixture *f)
{
	struct text why = TEXT_INIT(0);

	if (f->path[0] != '\0' && f->engine == NULL) {
		struct engine_options options = { .cache_size = 1 << 20,
		    .write_buffer = 4 << 20, .create = true };
		char path[80];

		snprintf(path, sizeof(path), "%s/engine", f->path);
		f->engine = engine_rocksdb_open(path, &options, &why);
	} else if (f->engine == NULL) {
		f->engine = engine_memory_open();
	}
	assert_non_null(f->engine);
	f->store = store_open(f->engine, &f->settings, f->key,
	    f->path[0] != '\0' ? f->path : NULL, &why);
	if (f->store == NULL)
		fail_msg("%.*s", SPAN_ARG(text_span(&why)));
	text_free(&why);
}

void
fixture_open(struct fixture *f, bool disk)
{
	memset(f, 0, sizeof(*f));
	log_set_level(LOG_LEVEL_ERROR);
	settings_default(&f->settings);
	f->settings.auth_argon2_memory = 64 << 10;
	f->settings.auth_argon2_passes = 1;
	f->settings.queue_min_free_space = 0;
	f->arena = arena_new(64 << 20);
	random_bytes(f->key, sizeof(f->key));
	if (disk) {
		strcpy(f->path, "/tmp/postrider-test-XXXXXX");
		assert_non_null(mkdtemp(f->path));
	}
	open_store(f);
}

void
fixture_reopen(struct fixture *f)
{
	store_free(&f->store);
	if (f->path[0] != '\0')
		engine_close(&f->engine);
	open_store(f);
}

void
fixture_close(struct fixture *f)
{
	store_free(&f->store);
	engine_close(&f->engine);
	arena_free(&f->arena);
	if (f->path[0] != '\0')
		nftw(f->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void
add_domain(struct fixture *f, const char *domain)
{
	assert_int_equal(directory_domain_add(f->store->directory,
	    span_str(domain)), RESULT_OK);
}

uint64_t
add_account(struct fixture *f, const char *address, const char *password)
{
	struct account_add_request req = { .address = span_str(address),
	    .password = span_str(password) };
	struct account_add_reply reply = { 0 };

	verb_account_add(f->store, &from_cli, f->arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_OK);
	return reply.account;
}

enum result
add_alias(struct fixture *f, const char *address, const char *targets)
{
	struct span bad;

	return directory_alias_add(f->store->directory, span_str(address),
	    span_str(targets), f->arena, &bad);
}

enum result
send_mail(struct fixture *f, const char *sender, const char *recipients,
    const struct token *token, const char *body)
{
	struct text records = TEXT_INIT(0);
	struct span rest = span_str(recipients), word;
	struct queue_commit_request req = { .token = *token,
	    .sender = span_str(sender), .message_id = SPAN("<1@test>"),
	    .trace = SPAN("client=192.0.2.1"),
	    .body = BLOB_OF(span_str(body)),
	    .summary = BLOB_OF(SPAN_EMPTY) };
	struct queue_commit_reply reply = { 0 };

	while ((word = span_word(&rest)).n > 0)
		recipient_put(&records, &(struct recipient){
		    .address = word });
	req.recipients = BLOB_OF(text_span(&records));
	verb_queue_commit(f->store, &from_mx, f->arena, &req, &reply);
	text_free(&records);
	return reply.result;
}

uint64_t
messages_of(struct fixture *f, uint64_t account)
{
	uint64_t messages = 0, bytes = 0;

	assert_int_equal(mailboxes_usage(f->store->mailboxes, account,
	    &messages, &bytes), RESULT_OK);
	return messages;
}

struct grant
grant_of(struct fixture *f, const char *address)
{
	struct account_grant_request req = { .address = span_str(address) };
	struct account_grant_reply reply = { 0 };

	verb_account_grant(f->store, &from_cli, f->arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_OK);
	return reply.grant;
}
