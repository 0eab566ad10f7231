/*
 * data_store.c - the store below a data directory: its engine in engine/.
 */
#include "role/data_store.h"

#include <stdio.h>
#include <stdlib.h>

static char *
engine_path(const char *directory)
{
	size_t n = strlen(directory) + sizeof("/engine");
	char *path = xmalloc(n);

	snprintf(path, n, "%s/engine", directory);
	return path;
}

struct store *
data_store_open(const char *directory, const struct settings *s,
    const uint8_t grant_key[32], struct text *why)
{
	struct engine_options options = {
		.cache_size = s->store_cache,
		.write_buffer = s->store_write_buffer,
		.compress = strcmp(s->store_compression, "none") != 0,
		.create = true,
	};
	char *path = engine_path(directory);
	struct engine *engine = engine_rocksdb_open(path, &options, why);
	struct store *store = NULL;

	free(path);
	if (engine == NULL)
		return NULL;
	store = store_open(engine, s, grant_key, directory, why);
	if (store == NULL)
		engine_close(&engine);
	return store;
}

void
data_store_close(struct store **sp)
{
	struct engine *engine;

	if (*sp == NULL)
		return;
	engine = (*sp)->engine;
	store_free(sp);
	engine_close(&engine);
}
