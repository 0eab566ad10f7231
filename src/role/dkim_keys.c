/*
 * dkim_keys.c - the keys that sign domains' mail, as files.
 *
 * A file is written whole under another name and then put in its place: who
 * reads meanwhile finds the old one or the new one.
 */
#include "role/dkim_keys.h"
#include "base/arena.h"
#include "base/secret.h"
#include "ipc/wire.h"
#include "mail/date.h"
#include "verify/dkim.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".pem"

enum {
	FILES_MAX = 256,		/* keys of one domain */
	NAME_ROOM = 80,
	PATH_ROOM = 400,
};

static const char *const kinds[DKIM_ALGORITHMS] = {
	[DKIM_RSA_SHA256] = "rsa", [DKIM_ED25519_SHA256] = "ed25519",
};

static int
failed(struct text *why, const char *path)
{
	text_printf(why, "%s: %s", path, strerrordesc_np(errno));
	return 0;
}

/* ---- one file --------------------------------------------------------- */

static void
file_name(char out[NAME_ROOM], struct span selector)
{
	snprintf(out, NAME_ROOM, "%.*s" SUFFIX, SPAN_ARG(selector));
}

/* 1, -1 errno. */
static int
read_file(int folder, const char *name, struct text *out, int64_t *changed)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK);
	struct stat st;
	ssize_t n = -1;
	char *p;

	if (fd >= 0 && fstat(fd, &st) == 0) {
		*changed = st.st_mtim.tv_sec;
		while ((p = text_room(out, 1024)) != NULL &&
		    (n = read(fd, p, 1024)) > 0)
			text_grew(out, (size_t)n);
		if (p == NULL)
			errno = EFBIG;
	}
	if (fd >= 0)
		close(fd);
	return n == 0 ? 1 : -1;
}

static int
write_all(int fd, struct span s)
{
	while (s.n > 0) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0)
			return -1;
		s = span_from(s, (size_t)n);
	}
	return fsync(fd) == 0 ? 1 : -1;
}

/* Whoever made the folder runs the server: root's commands too serve them. */
static int
belong_with(int fd, int folder)
{
	struct stat st;

	if (geteuid() != 0)
		return 1;
	return fstat(folder, &st) == 0 && fchown(fd, st.st_uid,
	    st.st_gid) == 0 ? 1 : -1;
}

/* 1, -1 errno. */
static int
write_file(int folder, const struct dkim_file *f)
{
	char name[NAME_ROOM], fresh[NAME_ROOM + 4];
	struct text t = TEXT_INIT(DKIM_PEM_MAX);
	int fd, r = -1;

	text_str(&t, "Created: ");
	date_add_rfc3339(&t, (struct date){ .seconds = f->created });
	if (f->retired != 0) {
		text_str(&t, "\nRetired: ");
		date_add_rfc3339(&t, (struct date){ .seconds = f->retired });
	}
	text_char(&t, '\n');
	text_add(&t, f->pem);
	file_name(name, f->selector);
	snprintf(fresh, sizeof(fresh), "%s.new", name);
	unlinkat(folder, fresh, 0);
	fd = openat(folder, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC |
	    O_NOFOLLOW, 0600);
	if (fd >= 0 && !text_full(&t) && belong_with(fd, folder) == 1 &&
	    write_all(fd, text_span(&t)) == 1 &&
	    renameat(folder, fresh, folder, name) == 0 && fsync(folder) == 0)
		r = 1;
	if (fd >= 0)
		close(fd);
	text_wipe(&t);
	return r;
}

static void
read_moment(struct span line, struct span name, int64_t *out)
{
	struct date d;

	if (span_starts(line, name) && date_parse_rfc3339(span_trim(
	    span_from(line, name.n)), &d) == 1)
		*out = d.seconds;
}

/* What stands before the PEM, and the PEM. */
static void
take_apart(struct span all, struct dkim_file *f)
{
	size_t begin = span_find(all, SPAN("-----BEGIN"), 0);
	struct span rest = span_sub(all, 0, begin), line;

	f->pem = begin == SIZE_MAX ? SPAN_EMPTY : span_from(all, begin);
	while (rest.n > 0) {
		rest = span_cut(rest, '\n', &line);
		read_moment(line, SPAN("Created:"), &f->created);
		read_moment(line, SPAN("Retired:"), &f->retired);
	}
}

/* ---- one domain ------------------------------------------------------- */

struct keys {			/* of a domain */
	struct arena *arena;
	struct span domain;
	bool read;			/* keys are looked into, which takes
					   time where there are many */
	int folder;
	size_t count;
	struct dkim_file list[FILES_MAX];
};

static int
newest_first(const void *a, const void *b)
{
	const struct dkim_file *x = a, *y = b;

	if (x->created != y->created)
		return x->created > y->created ? -1 : 1;
	return -span_compare(x->selector, y->selector);
}

/* "selector.pem" gives the selector; else nothing. */
static struct span
selector_of(const char *name)
{
	struct span s = span_str(name);

	if (!span_ends(s, SPAN(SUFFIX)))
		return SPAN_EMPTY;
	s.n -= sizeof(SUFFIX) - 1;
	return dkim_selector_ok(s) ? s : SPAN_EMPTY;
}

static void
tell_bad(dkim_bad_fn *bad, void *arg, const struct keys *k, const char *name,
    struct span why)
{
	char path[PATH_ROOM];

	snprintf(path, sizeof(path), DKIM_DIRECTORY "/%.*s/%s",
	    SPAN_ARG(k->domain), name);
	if (bad != NULL)
		bad(arg, path, why);
}

static void
add_file(struct keys *k, const char *name, dkim_bad_fn *bad, void *arg)
{
	struct text all = TEXT_INIT(DKIM_PEM_MAX), why = TEXT_INIT(1024);
	struct dkim_file *f = &k->list[k->count];
	struct dkim_pem *pem = NULL;
	bool good = false;

	*f = (struct dkim_file){ .domain = k->domain };
	if (read_file(k->folder, name, &all, &f->created) != 1) {
		text_str(&why, strerrordesc_np(errno));
	} else {
		f->selector = arena_dup(k->arena, selector_of(name));
		take_apart(arena_dup(k->arena, text_span(&all)), f);
		pem = k->read ? dkim_pem_new(f->pem, &why) : NULL;
		good = pem != NULL || !k->read;
	}
	if (good)
		k->count++;
	else
		tell_bad(bad, arg, k, name, text_span(&why));
	dkim_pem_free(&pem);
	text_wipe(&all);
	text_free(&why);
}

/* The domain's own spans live in its arena. 1 (nothing there too); 0. */
static int
open_keys(int data, struct span domain, struct keys *k, dkim_bad_fn *bad,
    void *arg, struct text *why)
{
	char path[PATH_ROOM];
	struct dirent *e;
	DIR *d;
	int fd;

	k->count = 0;
	k->arena = arena_new((size_t)FILES_MAX * 2 * DKIM_PEM_MAX);
	k->domain = arena_dup(k->arena, domain);
	snprintf(path, sizeof(path), DKIM_DIRECTORY "/%.*s",
	    SPAN_ARG(domain));
	k->folder = openat(data, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC |
	    O_NOFOLLOW);
	if (k->folder < 0)
		return errno == ENOENT ? 1 : failed(why, path);
	fd = openat(k->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return failed(why, path);
	}
	while (k->count < FILES_MAX && (e = readdir(d)) != NULL)
		if (selector_of(e->d_name).n > 0)
			add_file(k, e->d_name, bad, arg);
	closedir(d);
	qsort(k->list, k->count, sizeof(k->list[0]), newest_first);
	return 1;
}

/* Secrets were in the arena. */
static void
close_keys(struct keys *k)
{
	for (size_t i = 0; i < k->count; i++)
		secret_wipe((char *)k->list[i].pem.p, k->list[i].pem.n);
	if (k->folder >= 0)
		close(k->folder);
	arena_free(&k->arena);
}

/* DKIM_ALGORITHMS: it is no key. */
static enum dkim_algorithm
algorithm_of(const struct dkim_file *f)
{
	struct text why = TEXT_INIT(256);
	struct dkim_pem *pem = dkim_pem_new(f->pem, &why);
	enum dkim_algorithm a = DKIM_ALGORITHMS;

	if (pem != NULL)
		a = dkim_pem_algorithm(pem);
	dkim_pem_free(&pem);
	text_free(&why);
	return a;
}

/* ---- all domains ------------------------------------------------------ */

typedef bool domain_fn(void *arg, struct span domain);

/* 1; 0 and *why. */
static int
each_domain(int data, domain_fn *fn, void *arg, struct text *why)
{
	int fd = openat(data, DKIM_DIRECTORY, O_RDONLY | O_DIRECTORY |
	    O_CLOEXEC | O_NOFOLLOW);
	struct dirent *e;
	DIR *d;

	if (fd < 0)
		return errno == ENOENT ? 1 : failed(why, DKIM_DIRECTORY);
	d = fdopendir(fd);
	if (d == NULL) {
		close(fd);
		return failed(why, DKIM_DIRECTORY);
	}
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' && !fn(arg, span_str(e->d_name)))
			break;
	closedir(d);
	return 1;
}

struct each {
	int data;
	dkim_file_fn *fn;
	dkim_bad_fn *bad;
	void *arg;
	struct text *why;
	bool read, good;
};

static bool
each_of_domain(void *arg, struct span domain)
{
	struct each *e = arg;
	struct keys *k = xcalloc(1, sizeof(*k));
	bool on = true;

	k->read = e->read;
	e->good = open_keys(e->data, domain, k, e->bad, e->arg, e->why) == 1;
	for (size_t i = 0; e->good && on && i < k->count; i++)
		on = e->fn(e->arg, &k->list[i]);
	close_keys(k);
	free(k);
	return e->good && on;
}

int
dkim_keys_each(int data, struct span domain, dkim_file_fn *fn,
    dkim_bad_fn *bad, void *arg, struct text *why)
{
	struct each e = { data, fn, bad, arg, why, true, true };

	if (domain.n > 0)
		each_of_domain(&e, domain);
	else if (each_domain(data, each_of_domain, &e, why) != 1)
		return 0;
	return e.good;
}

struct packing {
	struct text *out;
	dkim_bad_fn *bad;
	void *arg;
};

static bool
pack_one(void *arg, const struct dkim_file *f)
{
	struct packing *p = arg;
	struct dkim_secret row = {
		.domain = f->domain, .selector = f->selector,
		.created = f->created, .retired = f->retired != 0,
		.pem = f->pem,
	};

	dkim_secret_put(p->out, &row);
	return true;
}

static void
pack_bad(void *arg, const char *path, struct span why)
{
	struct packing *p = arg;

	if (p->bad != NULL)
		p->bad(p->arg, path, why);
}

int
dkim_keys_pack(int data, dkim_bad_fn *bad, void *arg, struct text *out,
    struct text *why)
{
	struct packing p = { out, bad, arg };
	struct each e = { data, pack_one, pack_bad, &p, why, false, true };

	return each_domain(data, each_of_domain, &e, why) == 1 && e.good;
}

bool
dkim_keys_has(struct span packed, struct span domain, struct span selector)
{
	struct cursor c = { .rest = packed };
	struct dkim_secret row;

	while (dkim_secret_get(&c, &row) == 1)
		if (span_eq(row.domain, domain) &&
		    span_eq(row.selector, selector))
			return true;
	return false;
}

/* ---- making ----------------------------------------------------------- */

/* The descriptor, -1 errno. */
static int
make_folder(int data, const char *path)
{
	int fd;

	if (mkdirat(data, path, 0700) != 0 && errno != EEXIST)
		return -1;
	fd = openat(data, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC |
	    O_NOFOLLOW);
	if (fd >= 0 && belong_with(fd, data) != 1) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Where a domain's keys are: a descriptor, -1 errno. */
static int
make_folders(int data, struct span domain)
{
	char path[PATH_ROOM];
	int all = make_folder(data, DKIM_DIRECTORY);

	if (all < 0)
		return -1;
	close(all);
	snprintf(path, sizeof(path), DKIM_DIRECTORY "/%.*s",
	    SPAN_ARG(domain));
	return make_folder(data, path);
}

/* "pr202611a": the month, and the first letter nobody has. 1, 0. */
static int
unused_selector(int folder, int64_t now, struct text *out)
{
	struct date_parts day = date_split((struct date){ .seconds = now });
	char name[NAME_ROOM];

	for (int c = 'a'; c <= 'z'; c++) {
		bool used = false;

		for (unsigned a = 0; a < DKIM_ALGORITHMS; a++) {
			snprintf(name, sizeof(name), "pr%04d%02d%c-%s" SUFFIX,
			    day.year, day.month, c, kinds[a]);
			used |= faccessat(folder, name, F_OK, 0) == 0;
		}
		if (!used) {
			text_printf(out, "pr%04d%02d%c", day.year, day.month,
			    c);
			return 1;
		}
	}
	return 0;
}

static int
make_one(int folder, struct span begin, enum dkim_algorithm algorithm,
    int64_t now)
{
	struct text pem = TEXT_INIT(DKIM_PEM_MAX);
	char selector[NAME_ROOM];
	struct dkim_file f = { .created = now };
	int r = dkim_pem_make(algorithm, &pem);

	snprintf(selector, sizeof(selector), "%.*s-%s", SPAN_ARG(begin),
	    kinds[algorithm]);
	f.selector = span_str(selector);
	f.pem = text_span(&pem);
	if (r != 1)
		errno = EIO;
	else
		r = write_file(folder, &f);
	text_wipe(&pem);
	return r;
}

int
dkim_keys_make(int data, struct span domain, int64_t now,
    struct text *selector, struct text *why)
{
	int folder = make_folders(data, domain), made = 1;

	if (folder < 0)
		return failed(why, DKIM_DIRECTORY);
	text_clear(selector);
	if (unused_selector(folder, now, selector) != 1) {
		text_str(why, "there were too many new keys this month");
		made = 0;
	}
	for (unsigned a = 0; made == 1 && a < DKIM_ALGORITHMS; a++)
		if (make_one(folder, text_span(selector),
		    (enum dkim_algorithm)a, now) != 1)
			made = failed(why, DKIM_DIRECTORY);
	close(folder);
	return made;
}

/* ---- ending ----------------------------------------------------------- */

/* Whatever lies there; the folder itself last. */
static int
empty_folder(int folder)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = d == NULL ? -1 : 1;

	while (r == 1 && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0 &&
		    unlinkat(folder, e->d_name, 0) != 0)
			r = -1;
	if (d != NULL)
		closedir(d);
	else if (fd >= 0)
		close(fd);
	return r;
}

int
dkim_keys_remove(int data, struct span domain, struct text *why)
{
	char path[PATH_ROOM];
	int folder, r;

	snprintf(path, sizeof(path), DKIM_DIRECTORY "/%.*s",
	    SPAN_ARG(domain));
	folder = openat(data, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC |
	    O_NOFOLLOW);
	if (folder < 0)
		return errno == ENOENT ? 1 : failed(why, path);
	r = empty_folder(folder) == 1 && unlinkat(data, path,
	    AT_REMOVEDIR) == 0 ? 1 : failed(why, path);
	close(folder);
	return r;
}

static int
retire_older(struct keys *k, size_t one, int64_t now, struct text *why)
{
	enum dkim_algorithm algorithm = algorithm_of(&k->list[one]);
	int retired = 0;

	for (size_t i = one + 1; i < k->count; i++) {
		struct dkim_file *f = &k->list[i];

		if (f->retired != 0 || algorithm_of(f) != algorithm)
			continue;
		f->retired = now;
		if (write_file(k->folder, f) != 1) {
			failed(why, DKIM_DIRECTORY);
			return -1;
		}
		retired++;
	}
	return retired;
}

int
dkim_keys_took_over(int data, struct span domain, struct span selector,
    int64_t now, struct text *why)
{
	struct keys *k = xcalloc(1, sizeof(*k));
	int r = open_keys(data, domain, k, NULL, NULL, why) == 1 ? 0 : -1;

	for (size_t i = 0; r == 0 && i < k->count; i++)
		if (span_eq(k->list[i].selector, selector)) {
			r = retire_older(k, i, now, why);
			break;
		}
	close_keys(k);
	free(k);
	return r;
}

/* ---- by the clock ----------------------------------------------------- */

struct keeping {
	int data;
	const struct dkim_schedule *schedule;
	unsigned made;
	bool changed, more;
};

static void
delete_retired(struct keeping *keep, struct keys *k)
{
	const struct dkim_schedule *s = keep->schedule;
	char name[NAME_ROOM];

	for (size_t i = 0; i < k->count; i++) {
		const struct dkim_file *f = &k->list[i];

		if (f->retired == 0 || s->now - f->retired < s->retire)
			continue;
		file_name(name, f->selector);
		if (unlinkat(k->folder, name, 0) != 0)
			continue;
		keep->changed = true;
		s->deleted(k->domain, f->selector);
	}
}

/* A newer key that has not taken over yet: the DNS does not show it. */
static bool
one_is_waiting(const struct keys *k)
{
	unsigned signing[DKIM_ALGORITHMS + 1] = { 0 };

	for (size_t i = 0; i < k->count; i++)
		if (k->list[i].retired == 0 &&
		    ++signing[algorithm_of(&k->list[i])] > 1)
			return true;
	return false;
}

static void
make_when_due(struct keeping *keep, struct keys *k)
{
	const struct dkim_schedule *s = keep->schedule;
	struct text selector = TEXT_INIT(64), why = TEXT_INIT(1024);

	if (s->rotate == 0 || k->count == 0 ||
	    s->now - k->list[0].created < s->rotate || one_is_waiting(k))
		return;
	if (keep->made >= DKIM_MADE_AT_ONCE) {
		keep->more = true;
		return;
	}
	keep->made++;
	if (dkim_keys_make(keep->data, k->domain, s->now, &selector,
	    &why) == 1) {
		keep->changed = true;
		s->made(k->domain, text_span(&selector));
	} else {
		s->failed(k->domain, text_span(&why));
	}
	text_free(&selector);
	text_free(&why);
}

static bool
keep_domain(void *arg, struct span domain)
{
	struct keeping *keep = arg;
	struct keys *k = xcalloc(1, sizeof(*k));
	struct text why = TEXT_INIT(1024);

	if (open_keys(keep->data, domain, k, NULL, NULL, &why) == 1) {
		delete_retired(keep, k);
		make_when_due(keep, k);
	} else {
		keep->schedule->failed(domain, text_span(&why));
	}
	close_keys(k);
	free(k);
	text_free(&why);
	return true;
}

bool
dkim_keys_keep(int data, const struct dkim_schedule *schedule, bool *more)
{
	struct keeping keep = { .data = data, .schedule = schedule };
	struct text why = TEXT_INIT(1024);

	if (each_domain(data, keep_domain, &keep, &why) != 1)
		schedule->failed(SPAN_EMPTY, text_span(&why));
	text_free(&why);
	*more = keep.more;
	return keep.changed;
}
