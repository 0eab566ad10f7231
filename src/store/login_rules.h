/*
 * login_rules.h - what an account's login asks for beside the password: a
 * second factor (then mail programs need passwords of their own), and where
 * an account is that has moved. Any thread.
 */
#ifndef STORE_LOGIN_RULES_H
#define STORE_LOGIN_RULES_H

#include "store/directory_impl.h"
#include "store/totp.h"

struct login_rules {
	bool second_factor;
	uint8_t secret[TOTP_SECRET];
	uint64_t used;			/* the last step that was taken */
	struct span moved_to;		/* a URL; "" it is here */
};

/* 1 (all zero when it has none), -1. */
int login_rules_of(struct store *, uint64_t account, struct arena *,
    struct login_rules *);

#endif
