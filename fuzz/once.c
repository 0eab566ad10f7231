/*
 * once.c - without libFuzzer: each file of the given folders, once.
 */
#include "base/base.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static int
run_file(const char *folder, const char *name)
{
	char path[4096];
	uint8_t *p = NULL;
	size_t n = 0, got;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "rb");
	if (f == NULL) {
		perror(path);
		return 1;
	}
	do {
		p = xrealloc(p, n + 65536);
		got = fread(p + n, 1, 65536, f);
		n += got;
	} while (got > 0);
	fclose(f);
	LLVMFuzzerTestOneInput(p, n);
	free(p);
	return 0;
}

static int
run_folder(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	int failed = 0, files = 0;

	if (d == NULL) {
		perror(folder);
		return 1;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		failed |= run_file(folder, e->d_name);
		files++;
	}
	closedir(d);
	return failed | (files == 0);
}

int
main(int argc, char **argv)
{
	int failed = argc < 2;

	for (int i = 1; i < argc; i++)
		failed |= run_folder(argv[i]);
	return failed;
}
