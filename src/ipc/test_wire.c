/* test_wire.c - every message of the contract, whole, cut and forged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/test_messages.h"

enum { HEAP = 4 << 20 };

static char buffer[FRAME_MAX];

static void
dice_open(struct dice *d, enum sizes sizes)
{
	*d = (struct dice){ .state = 0x9e3779b97f4a7c15u, .sizes = sizes,
	    .heap = TEXT_INIT(HEAP), .fd = -1 };
	assert_non_null(text_room(&d->heap, HEAP));
}

static size_t
open_fds(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void
send_and_compare(const int pair[2], const struct sample *s, struct dice *d)
{
	union any_message sent, got;
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
	struct frame_in in;

	memset(&sent, 0, sizeof(sent));
	text_clear(&d->heap);
	(s->kind == FRAME_REPLY ? codecs[s->verb].reply :
	    codecs[s->verb].request).init(&sent);
	s->fill(d, &sent);
	codec_encode(&f, s->verb, s->kind, 4711, &sent);
	assert_int_equal(frame_send(pair[0], &f, false), 1);
	frame_free(&f);
	assert_int_equal(frame_receive(pair[1], &in, buffer, false), 1);
	assert_int_equal(in.verb, s->verb);
	assert_int_equal(in.kind, s->kind);
	assert_int_equal(in.number, 4711);
	assert_int_equal(codec_decode(&in, &got), 1);
	assert_true(s->same(&sent, &got));
	codec_release(s->verb, s->kind, &got, true);
}

static void
each(enum sizes sizes, bool with_fd)
{
	struct dice d;
	int pair[2];
	size_t before = open_fds();

	dice_open(&d, sizes);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	d.fd = with_fd ? pair[0] : -1;
	for (int round = 0; round < (sizes == SIZES_SMALL ? 20 : 1); round++)
		for (size_t i = 0; i < ARRAY_LEN(samples); i++)
			send_and_compare(pair, &samples[i], &d);
	close(pair[0]);
	close(pair[1]);
	text_free(&d.heap);
	assert_int_equal(open_fds(), before);
}

static void
test_round_trip(void **state)
{
	(void)state;
	each(SIZES_SMALL, false);
	each(SIZES_SMALL, true);
}

static void
test_blobs_by_descriptor(void **state)
{
	(void)state;
	each(SIZES_SHARED, true);
}

/* Every field at its limit fits one frame, whatever goes inline. */
static void
test_full(void **state)
{
	(void)state;
	each(SIZES_FULL, false);
}

static int
decode_copy(struct span bytes)
{
	union any_message m;
	struct frame_in in = { .fd_count = 0 };
	char *copy = malloc(bytes.n + 1);
	int status;

	assert_non_null(copy);
	memcpy(copy, bytes.p, bytes.n);
	status = frame_parse(&in, span_of(copy, bytes.n));
	if (status == 1)
		status = codec_decode(&in, &m);
	free(copy);
	return status;
}

/* A copy of exactly the cut length: a read beyond it would be seen. */
static void
test_cut(void **state)
{
	union any_message m;
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
	struct dice d;

	(void)state;
	dice_open(&d, SIZES_SMALL);
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		const struct sample *s = &samples[i];
		struct span whole;

		memset(&m, 0, sizeof(m));
		text_clear(&d.heap);
		s->fill(&d, &m);
		codec_encode(&f, s->verb, s->kind, 1, &m);
		whole = text_span(&f.bytes);
		assert_int_equal(decode_copy(whole), 1);
		for (size_t n = 0; n < whole.n; n++)
			assert_int_equal(decode_copy(span_sub(whole, 0, n)), 0);
		text_char(&f.bytes, 'x');
		assert_int_equal(decode_copy(text_span(&f.bytes)), 0);
	}
	frame_free(&f);
	text_free(&d.heap);
}

static void
test_limits(void **state)
{
	static char long_name[2000];
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
	struct mailbox_create_request m = {
	    .name = span_of(long_name, sizeof(long_name)) };
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	codec_encode(&f, VERB_mailbox_create, FRAME_CALL, 1, &m);
	assert_int_equal(frame_send(pair[0], &f, false), -1);
	assert_int_equal(errno, EMSGSIZE);

	/* The same, written by somebody who does not keep the limit. */
	frame_begin(&f, VERB_mailbox_create, FRAME_CALL, 1, 4000);
	put_raw(&f.bytes, long_name, 80 + 16);
	put_bytes(&f.bytes, m.name);
	put_u32(&f.bytes, 0);
	assert_int_equal(decode_copy(text_span(&f.bytes)), 0);
	frame_free(&f);
	close(pair[0]);
	close(pair[1]);
}

/* What comes of summary_save with this memfd and this length. */
static int
receive_blob(int fd, uint64_t n)
{
	static const char zeros[96];
	union any_message m;
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
	struct frame_in in;
	int pair[2], status;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	frame_begin(&f, VERB_summary_save, FRAME_CALL, 1, 200);
	put_raw(&f.bytes, zeros, 80 + 8 + 4);
	put_u8(&f.bytes, 1);
	put_u64(&f.bytes, n);
	if (fd >= 0) {
		f.fds[0] = fd;
		f.owned[0] = false;
		f.fd_count = 1;
	}
	assert_int_equal(frame_send(pair[0], &f, false), 1);
	frame_free(&f);
	assert_int_equal(frame_receive(pair[1], &in, buffer, false), 1);
	status = codec_decode(&in, &m);
	if (status == 1)
		codec_release(VERB_summary_save, FRAME_CALL, &m, true);
	close(pair[0]);
	close(pair[1]);
	return status;
}

static void
test_unsealed(void **state)
{
	char bytes[100] = { 0 };
	size_t before = open_fds();
	int fd, sealed;

	(void)state;
	sealed = memfd_sealed(span_of(bytes, sizeof(bytes)));
	assert_true(sealed >= 0);
	assert_int_equal(receive_blob(sealed, 100), 1);
	assert_int_equal(receive_blob(sealed, 99), 0);
	assert_int_equal(receive_blob(sealed, 101), 0);
	assert_int_equal(receive_blob(sealed, 0), 0);
	assert_int_equal(receive_blob(-1, 100), 0);

	fd = memfd_create("open", MFD_ALLOW_SEALING);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	assert_int_equal(receive_blob(fd, 100), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(receive_blob(fd, 100), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(receive_blob(fd, 100), 1);
	close(fd);
	close(sealed);
	assert_int_equal(open_fds(), before);
}

static void
send_fds(int socket, struct span bytes, int fd, size_t count)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(8 * sizeof(int))];
	} control = { .room = { 0 } };
	struct iovec io = { (void *)bytes.p, bytes.n };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1,
	    .msg_control = control.room,
	    .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	for (size_t i = 0; i < count; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(fd));
	assert_true(sendmsg(socket, &m, 0) > 0);
}

/* Descriptors nobody asked for, and more than a frame may have. */
static void
test_surplus_descriptors(void **state)
{
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
	union any_message m;
	struct frame_in in;
	size_t before = open_fds();
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	memset(&m, 0, sizeof(m));
	codec_encode(&f, VERB_maildrop_unlock, FRAME_CALL, 1, &m);
	send_fds(pair[0], text_span(&f.bytes), pair[0], 1);
	assert_int_equal(frame_receive(pair[1], &in, buffer, false), 1);
	assert_int_equal(codec_decode(&in, &m), 0);
	send_fds(pair[0], text_span(&f.bytes), pair[0], 8);
	assert_int_equal(frame_receive(pair[1], &in, buffer, false), -1);
	assert_int_equal(errno, EPROTO);
	close(pair[0]);
	assert_int_equal(frame_receive(pair[1], &in, buffer, false), 0);
	close(pair[1]);
	frame_free(&f);
	assert_int_equal(open_fds(), before);
}

/* Each kind of record, whole and cut anywhere. */
static void
test_every_record(void **state)
{
	union any_message sent, got;
	struct text t = TEXT_INIT(0);
	struct cursor c;
	struct dice d;

	(void)state;
	dice_open(&d, SIZES_SMALL);
	for (size_t i = 0; i < ARRAY_LEN(record_samples); i++) {
		const struct record_sample *r = &record_samples[i];

		assert_true(r->size <= sizeof(sent));
		text_clear(&t);
		r->fill(&d, &sent);
		r->put(&t, &sent);
		c = (struct cursor){ text_span(&t), false };
		assert_int_equal(r->get(&c, &got), 1);
		assert_true(r->same(&sent, &got));
		assert_int_equal(r->get(&c, &got), 0);
		for (size_t n = 1; n < t.n; n++) {
			c = (struct cursor){ span_of(t.p, n), false };
			assert_int_equal(r->get(&c, &got), -1);
		}
	}
	text_free(&t);
	text_free(&d.heap);
}

/* Pack many, read them back; a cut run is bad, not short. */
static void
test_records(void **state)
{
	struct text t = TEXT_INIT(0);
	struct message_row row = { .size = 10, .flags = FLAG_SEEN }, got;
	struct cursor c;

	(void)state;
	for (row.uid = 1; row.uid <= 100; row.uid++)
		message_row_put(&t, &row);
	c = (struct cursor){ text_span(&t), false };
	for (uint32_t uid = 1; uid <= 100; uid++) {
		assert_int_equal(message_row_get(&c, &got), 1);
		assert_int_equal(got.uid, uid);
		assert_int_equal(got.flags, FLAG_SEEN);
	}
	assert_int_equal(message_row_get(&c, &got), 0);
	c = (struct cursor){ span_sub(text_span(&t), 0, 40), false };
	assert_int_equal(message_row_get(&c, &got), 1);
	assert_int_equal(message_row_get(&c, &got), -1);
	assert_int_equal(message_row_get(&c, &got), -1);
	text_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_blobs_by_descriptor),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_unsealed),
		cmocka_unit_test(test_surplus_descriptors),
		cmocka_unit_test(test_every_record),
		cmocka_unit_test(test_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
