/*
 * test_engine.h - what the tests of the engines share.
 */
#ifndef STORE_TEST_ENGINE_H
#define STORE_TEST_ENGINE_H

#include "store/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A directory of its own below $TMPDIR; to be removed with test_remove. */
void test_directory(char path[256]);
void test_remove(const char *path);
void test_copy(const char *from, const char *to);	/* plain files */

/* Opens, or fails the test with the engine's reason. */
struct engine *test_open(const char *path, int (*fault)(const char *));
struct body_id test_body_id(uint32_t n);
/* The body's bytes: size and content follow from n. */
size_t test_body_fill(uint32_t n, char *out, size_t room);

/* The random test: `reopen` may be NULL, else gives the engine anew. */
void test_against_model(struct engine **, struct engine *(*reopen)(void *,
    struct engine *), void *arg);

#endif
