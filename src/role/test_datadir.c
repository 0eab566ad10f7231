/* test_datadir.c - the data directory, the certificate in it, the manager. */
#include "role/certificate.h"
#include "role/datadir.h"
#include "role/notify.h"

#include <setjmp.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char home[] = "/tmp/test_datadir.XXXXXX";
static char data[256];
static struct text why = { .limit = 4096 };

static void
a_directory_is_made_and_locked(void **state)
{
	int d = datadir_open(data, true, &why), lock, status;
	struct stat st;
	pid_t pid = 0;

	(void)state;
	assert_true(d >= 0);
	assert_int_equal(fstatat(d, DATADIR_STORE, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	lock = datadir_lock(d, &pid);
	assert_true(lock >= 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(datadir_lock(d, &pid) == -1 && pid == getppid() ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(lock);
	lock = datadir_lock(d, &pid);
	assert_true(lock >= 0);
	close(lock);
	close(d);
	assert_int_equal(datadir_open("/nonexistent/x", false, &why), -1);
	assert_true(span_is(text_span(&why),
	    "/nonexistent/x: No such file or directory"));
	text_clear(&why);
}

static void
the_store_is_given_away_without_following_links(void **state)
{
	int d = datadir_open(data, true, &why), s;
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		skip();
	s = openat(d, DATADIR_STORE, O_RDONLY | O_DIRECTORY);
	assert_int_equal(mkdirat(s, "engine", 0700), 0);
	close(openat(s, "engine/file", O_CREAT | O_WRONLY, 0600));
	close(openat(d, "outside", O_CREAT | O_WRONLY, 0600));
	assert_int_equal(symlinkat("../outside", s, "link"), 0);
	assert_int_equal(datadir_give_store(d, 64999, 64998, &why), 1);
	assert_int_equal(fstatat(s, "engine/file", &st, 0), 0);
	assert_int_equal(st.st_uid, 64999);
	assert_int_equal(st.st_gid, 64998);
	assert_int_equal(fstatat(d, "outside", &st, 0), 0);
	assert_int_equal(st.st_uid, 0);
	close(s);
	close(d);
}

static void
the_admin_socket_is_its_owners(void **state)
{
	int d = datadir_open(data, true, &why), l, c, a;
	char buf[8];
	struct stat st;

	(void)state;
	assert_int_equal(datadir_admin_connect(d, DATADIR_ADMIN), -1);
	assert_int_equal(errno, ENOENT);
	l = datadir_admin_listen(d, DATADIR_ADMIN);
	assert_true(l >= 0);
	close(l);
	l = datadir_admin_listen(d, DATADIR_ADMIN);	/* over a stale one */
	assert_true(l >= 0);
	assert_int_equal(fstatat(d, DATADIR_ADMIN, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	c = datadir_admin_connect(d, DATADIR_ADMIN);
	assert_true(c >= 0);
	a = accept(l, NULL, NULL);
	assert_true(a >= 0);
	assert_int_equal(send(c, "hello", 5, 0), 5);
	assert_int_equal(recv(a, buf, sizeof(buf), 0), 5);
	close(a);
	close(c);
	close(l);
	close(d);
}

/* ---- the certificate --------------------------------------------------- */

static void
write_pem(int d, const char *name, X509 *cert, EVP_PKEY *key)
{
	int fd = openat(d, name, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	FILE *f = fdopen(fd, "w");

	assert_non_null(f);
	if (cert != NULL)
		assert_int_equal(PEM_write_X509(f, cert), 1);
	if (key != NULL)
		assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0,
		    NULL, NULL), 1);
	fclose(f);
}

static X509 *
certify(EVP_PKEY *key)
{
	X509 *cert = X509_new();

	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	return cert;
}

static bool
loads(int d, const char *chain, const char *key, struct certificate *out,
    const char *reason)
{
	int done = certificate_load(d, chain, key, out, &why);

	if (reason != NULL && !span_is(text_span(&why), reason))
		fail_msg("%.*s", SPAN_ARG(text_span(&why)));
	text_clear(&why);
	return done == 1;
}

static void
certificate_and_key_belong_together(void **state)
{
	int d = datadir_open(data, true, &why);
	EVP_PKEY *one = EVP_EC_gen("P-256"), *two = EVP_EC_gen("P-256");
	X509 *cert = certify(one);
	struct certificate c = CERTIFICATE_NONE;
	char buf[32] = "";

	(void)state;
	write_pem(d, "cert", cert, NULL);
	write_pem(d, "key", NULL, one);
	write_pem(d, "other", NULL, two);
	assert_true(loads(d, "cert", "key", &c, NULL));
	assert_true(c.key >= 0 && c.chain.n > 100);
	assert_int_equal(pread(c.key, buf, 27, 0), 27);
	assert_string_equal(buf, "-----BEGIN PRIVATE KEY-----");
	assert_int_equal(write(c.key, "x", 1), -1);
	assert_false(loads(d, "cert", "other", &c,
	    "cert, other: the key is not this certificate's"));
	assert_false(loads(d, "key", "key", &c,
	    "key, key: no certificate in PEM"));
	assert_false(loads(d, "cert", "cert", &c, "cert, cert: no private key"
	    " in PEM (one with a password cannot be used)"));
	assert_false(loads(d, "none", "key", &c,
	    "none: No such file or directory"));
	assert_true(c.key >= 0 && c.chain.n > 100);
	certificate_free(&c);
	assert_int_equal(c.key, -1);
	X509_free(cert);
	EVP_PKEY_free(one);
	EVP_PKEY_free(two);
	close(d);
}

/* ---- the service manager ----------------------------------------------- */

static void
the_manager_is_told(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	char buf[256];
	ssize_t n;

	(void)state;
	notify_ready();		/* nobody listens: nothing happens */
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/notify", home);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	setenv("NOTIFY_SOCKET", a.sun_path, 1);
	setenv("WATCHDOG_USEC", "3000000", 1);
	notify_open();
	assert_int_equal(notify_watchdog_interval(), 1500);
	notify_ready();
	n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	assert_true(n > 0 && memcmp(buf, "READY=1\n", 8) == 0);
	notify_reloading();
	n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	buf[n] = '\0';
	assert_non_null(strstr(buf, "RELOADING=1\nMONOTONIC_USEC="));
	notify_stopping();
	n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	assert_true(n > 0 && memcmp(buf, "STOPPING=1\n", 11) == 0);
	close(fd);
	unlink(a.sun_path);
}

static void
a_named_file_is_read_whole_or_refused(void **state)
{
	int d = datadir_open(data, true, &why);
	struct text got = TEXT_INIT(64 << 10), small = TEXT_INIT(4096);
	char bytes[5000];
	int fd = openat(d, "other", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	close(fd);
	assert_int_equal(datadir_read(d, "other", &got), 1);
	assert_int_equal(got.n, sizeof(bytes));
	assert_memory_equal(text_span(&got).p, bytes, sizeof(bytes));
	assert_int_equal(datadir_read(d, "other", &small), 0);
	assert_int_equal(errno, EFBIG);
	assert_int_equal(datadir_read(d, "nonexistent", &got), 0);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(datadir_read(d, DATADIR_STORE, &got), 0);
	assert_int_equal(errno, EISDIR);
	unlinkat(d, "other", 0);
	close(d);
	text_free(&got);
	text_free(&small);
}

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(home) == NULL)
		return -1;
	snprintf(data, sizeof(data), "%s/data", home);
	return 0;
}

static int
teardown(void **state)
{
	static const char *const files[] = { "store/engine/file",
	    "store/link", "outside", "cert", "key", "other", DATADIR_ADMIN,
	    DATADIR_LOCK };
	int d = datadir_open(data, false, &why);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		unlinkat(d, files[i], 0);
	unlinkat(d, "store/engine", AT_REMOVEDIR);
	unlinkat(d, DATADIR_STORE, AT_REMOVEDIR);
	close(d);
	rmdir(data);
	text_free(&why);
	return rmdir(home);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_directory_is_made_and_locked),
		cmocka_unit_test(
		    the_store_is_given_away_without_following_links),
		cmocka_unit_test(the_admin_socket_is_its_owners),
		cmocka_unit_test(certificate_and_key_belong_together),
		cmocka_unit_test(a_named_file_is_read_whole_or_refused),
		cmocka_unit_test(the_manager_is_told),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
