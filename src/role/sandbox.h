/*
 * sandbox.h - what each role may ask of the system, and nothing else.
 *
 * Called by the role itself before it has read a byte: one thread, no file
 * of its own open yet. Whoever the user is, the same rules hold; only the
 * change of user (identity.h) falls away where the supervisor is not root.
 *
 *	seccomp		the system calls of the role's row; others give EPERM,
 *			those that only an intruder makes end the process
 *	Landlock	no file at all, or the working directory's tree; no
 *			TCP connection but for those whose work it is, no TCP
 *			port to be found at, no abstract socket, no signal to
 *			outside; as far as the kernel knows them
 *	besides		no new privileges, no capability, no core dump, not
 *			traceable, no further process
 */
#ifndef ROLE_SANDBOX_H
#define ROLE_SANDBOX_H

#include "base/base.h"
#include "base/text.h"
#include "ipc/contract.h"

/* 1; -1 and *why: then the process must not go on. */
int sandbox_enter(enum role_bit, struct text *why);
/*
 * For one that connects: from now on to these TCP ports alone. 1; 0 the kernel
 * cannot say so; -1.
 */
int sandbox_connect_only(const uint16_t *ports, size_t count);
/* The version of Landlock in force, 0: the kernel has none. */
int sandbox_landlock_version(void);

#endif
