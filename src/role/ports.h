/*
 * ports.h - binding everything the settings ask for.
 */
#ifndef ROLE_PORTS_H
#define ROLE_PORTS_H

#include "base/base.h"
#include "base/text.h"

/*
 * The household's settings say where; every port is raised by offset. And the
 * admin socket, in the data directory. EX_OK, or the exit status and *why.
 */
int ports_open(unsigned offset, int directory, struct text *why);

#endif
