/*
 * rights.h - the letters of RIGHT_* (RFC 4314 2.1), for clients and operators.
 */
#ifndef IPC_RIGHTS_H
#define IPC_RIGHTS_H

#include "base/base.h"
#include "base/text.h"
#include "ipc/contract.h"

/*
 * "lrswipkxtea"; with `old` also the c and d of RFC 2086 where a right stands
 * that these stood for.
 */
void rights_put(struct text *, uint32_t rights, bool old);
/* Letters in any order, c and d too. 1; 0 one of them is none. */
int  rights_get(struct span letters, uint32_t *rights);

#endif
