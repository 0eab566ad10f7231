/*
 * role.h - the processes Postrider is made of.
 *
 * Each is this program, executed anew with --role NAME by the supervisor, and
 * a row of the table in roles.c. What a role hears from the supervisor, and
 * whom it may call, stands in the contract; what it may do, in sandbox.c.
 */
#ifndef ROLE_ROLE_H
#define ROLE_ROLE_H

#include "base/base.h"
#include "base/settings.h"
#include "ipc/contract.h"

struct role_events;

enum role_turn { STOPS_FIRST, STOPS_LAST };

struct role {
	enum role_bit bit;
	const struct role_events *events;	/* what it does: control.h */
	unsigned protocols;		/* bits 1 << enum protocol: listens */
	size_t user;			/* setting: its user's name */
	size_t processes;		/* setting: how many; ONE_PROCESS */
	enum role_turn turn;
};
#define ONE_PROCESS SIZE_MAX

extern const struct role roles[];
extern const size_t role_count;

const struct role *role_by_name(const char *);	/* NULL: no such */
const char *role_user(const struct role *, const struct settings *);
/* How many processes the settings ask for, on so many processors. */
unsigned role_processes(const struct role *, const struct settings *,
    unsigned processors);
/* Is there a call in the contract that `from` makes to `to`? */
bool role_calls(enum role_bit from, enum role_bit to);

/* A role's whole life; the argument of --role and its number. */
_Noreturn void role_main(const char *name, const char *instance);

#endif
