/*
 * dns_files.h - what the supervisor reads for the resolver, which opens no
 * file: resolv.conf, the trust anchor, the root's servers.
 */
#ifndef ROLE_DNS_FILES_H
#define ROLE_DNS_FILES_H

#include "base/settings.h"
#include "base/text.h"

struct dns_files {
	struct text resolv_conf, trust_anchor, root_hints;
};

/*
 * Read anew, paths below `directory` where they are relative. 1; 0 and *why:
 * nothing can be made of them and the settings; *out is untouched. What cannot
 * be read is empty, and a warning in the log where that matters.
 */
int  dns_files_load(int directory, const struct settings *,
    struct dns_files *out, struct text *why);
void dns_files_free(struct dns_files *);

#endif
