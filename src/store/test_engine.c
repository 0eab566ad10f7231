/*
 * test_engine.c - directories, and bodies that can be told apart.
 */
#include "store/test_engine.h"

#include <fcntl.h>
#include <ftw.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

void
test_directory(char path[256])
{
	const char *base = getenv("TMPDIR");

	snprintf(path, 256, "%s/engine-XXXXXX", base != NULL ? base : "/tmp");
	assert_non_null(mkdtemp(path));
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

void
test_remove(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
copy_file(int from_dir, int to_dir, const char *name)
{
	int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC);
	int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_TRUNC |
	    O_CLOEXEC, 0600);
	ssize_t n;

	assert_true(from >= 0 && to >= 0);
	while ((n = sendfile(to, from, NULL, 1 << 20)) > 0)
		continue;
	assert_int_equal(n, 0);
	close(from);
	close(to);
}

void
test_copy(const char *from, const char *to)
{
	DIR *d = opendir(from);
	int to_dir = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *e;

	assert_true(d != NULL && to_dir >= 0);
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			copy_file(dirfd(d), to_dir, e->d_name);
	closedir(d);
	close(to_dir);
}

struct engine *
test_open(const char *path, int (*fault)(const char *))
{
	struct engine_options options = { .create = true,
	    .write_buffer = 8 << 20, .cache_size = 1 << 20,
	    .compress = true, .fault = fault };
	struct text why = TEXT_INIT(1024);
	struct engine *e = engine_rocksdb_open(path, &options, &why);

	if (e == NULL)
		print_error("%.*s\n", SPAN_ARG(text_span(&why)));
	text_free(&why);
	assert_non_null(e);
	return e;
}

struct body_id
test_body_id(uint32_t n)
{
	struct body_id id = { { 0 } };

	memcpy(id.b, &n, sizeof(n));
	id.b[15] = (uint8_t)(n * 7);
	return id;
}

size_t
test_body_fill(uint32_t n, char *out, size_t room)
{
	size_t size = MIN(room, (n * 2654435761u) % 9000);

	for (size_t i = 0; i < size; i++)
		out[i] = (char)((n + i * 31) >> 2);
	return size;
}
