/*
 * test_smtp_stage.h - a session to converse with, over a store that is
 * played: ann and bob live at example.test, ann's password is "secret".
 */
#ifndef SMTP_TEST_SMTP_STAGE_H
#define SMTP_TEST_SMTP_STAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "ipc/wire.h"
#include "smtp/smtp_server.h"

extern struct stage {
	struct settings settings;
	struct server *server;
	struct link *link;
	enum role_bit self;		/* who asks the store */
	struct listener_options options;
	int client;
	struct text heard;		/* not yet expected */
	bool closed;
	/* What the store is to say, and what it was told. */
	enum result commit_result;
	int commits;
	struct text sender, recipients, body, trace, message_id;
	uint32_t flags, prefix;
	uint64_t thread, summary_size;
	struct text envid, original;
	uint32_t notify;		/* of the first recipient */
	int64_t deliver_by, release_at, priority;
	struct text asked;		/* of address_expand, queue_turn */
	uint64_t waiting;		/* what queue_turn answers */
} t;

int set_up(void **state);
int tear_down(void **state);
/* A store that is there again, after server_free(&t.server). */
void connect_store(void);
void stage_handlers(void);
void stage_resolves(void);		/* the DNS can be asked */
void stage_mx(void);			/* it is mx that asks the store */
void turns(void);
void listen_to_it(void);
void say_bytes(struct span);
void say(const char *);
/* What was heard begins with this, and nothing comes between. */
void expect(const char *);
/* A reply of one line with this code and enhanced code. */
void expect_line(const char *begin);
void expect_nothing(void);
void expect_closed(void);
/* Is it somewhere in what was heard? That is forgotten then. */
bool heard(const char *);
void hang_up(void);
void connect_client(const struct service *);
/* The same, and the greeting; and EHLO; and a login. */
void dial(const struct service *);
void hello(const struct service *);
void log_in(void);
void begin_data(void);
bool body_has(const char *);

#endif
