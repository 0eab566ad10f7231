/*
 * supervisor.h - the process that holds the ports and keeps the roles alive.
 *
 * It reads the settings and the keys, binds, starts every role, starts it
 * again when it dies, and hands out what each needs. It never reads a byte
 * from the network, and of what a role says it understands one word: ready.
 */
#ifndef ROLE_SUPERVISOR_H
#define ROLE_SUPERVISOR_H

#include "base/base.h"

/* `postrider run ...`: argv[0] is "run". The exit status. */
int supervisor_main(int argc, char **argv);

#endif
