/*
 * child.h - one process of a role, as the supervisor sees it.
 */
#ifndef ROLE_CHILD_H
#define ROLE_CHILD_H

#include "base/base.h"
#include "base/clock.h"
#include "base/settings.h"
#include "io/loop.h"
#include "role/certificate.h"
#include "role/dns_files.h"
#include "role/identity.h"
#include "role/outside.h"
#include "role/role.h"

enum { PORTS_MAX = 256, CHILDREN_MAX = 520 };

struct child {
	const struct role *role;
	unsigned instance;
	struct identity identity;
	pid_t pid;			/* 0: not running */
	struct watch line;		/* its fd: our end; -1 none */
	bool ready;			/* it said so */
	bool ever_ready;		/* in this or an earlier life */
	bool stopping;			/* it was told to */
	monotime_t started;
	unsigned failures;		/* in a row */
	struct timer restart;
	int counters, counters_read;	/* memfds: to write, and to read */
};

struct port {
	enum protocol protocol;
	int fd;
};

/* What every child is told. */
struct household {
	struct settings settings;
	struct certificate certificate;
	struct text dkim;		/* dkim_secret records */
	struct outside outside;
	struct dns_files dns;
	uint8_t ticket_key[80], grant_key[32];
	struct port ports[PORTS_MAX];
	size_t port_count;
	struct child children[CHILDREN_MAX];
	size_t child_count;
	int log_fd;
	uint32_t log_format;
	int store_directory;
	bool stopping;
	void (*on_ready)(struct child *);
	void (*on_dkim_used)(struct span domain, struct span selector);
	/* A child that never was ready died so often: give up? */
	void (*on_failing)(struct child *);
};
extern struct household household;

/* One line for each process of each role, not yet running. 1; 0 and *why. */
int  children_plan(unsigned processors, struct text *why);
/* Start it, tell it everything, link it to all that run. 1, -1. */
int  child_start(struct child *);
/* A process ended: note it, and see to its return. */
void child_ended(pid_t, int status);
void child_stop(struct child *, int64_t grace_ms);
void child_kill(struct child *, const char *why);
size_t children_running(enum role_turn);
bool children_ready(void);

/* After a reload: to everyone who may hear it. */
void children_tell_settings(void);
void children_tell_certificate(void);
void children_tell_dkim(void);
void children_tell_outside(void);
void children_tell_dns(void);
void children_tell_log(void);

#endif
