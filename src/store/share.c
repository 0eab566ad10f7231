/*
 * share.c - answers of any size, written into their file as they come.
 */
#include "store/share.h"
#include "ipc/wire.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	SHARE_AT_ONCE = 256 << 10,	/* stays in the processor's cache */
};

void
share_begin(struct share *s)
{
	*s = (struct share){ .text = TEXT_INIT(0), .fd = -1 };
}

uint64_t
share_size(const struct share *s)
{
	return s->written + s->text.n;
}

static void
share_write(struct share *s)
{
	struct span left = text_span(&s->text);

	if (s->fd < 0)
		s->fd = memfd_create("answer", MFD_CLOEXEC |
		    MFD_ALLOW_SEALING);
	while (left.n > 0 && s->error == 0) {
		ssize_t n = write(s->fd, left.p, left.n);

		if (n > 0)
			left = span_from(left, (size_t)n);
		else if (errno != EINTR)
			s->error = errno;
	}
	s->written += s->text.n;
	text_clear(&s->text);
}

void
share_flush(struct share *s)
{
	if (s->text.n >= SHARE_AT_ONCE)
		share_write(s);
}

enum result
share_end(struct share *s, struct arena *arena, struct blob *out)
{
	enum result result = RESULT_OK;
	struct span bytes;

	if (s->fd < 0 && s->text.n <= BLOB_INLINE_MAX) {
		bytes = arena_dup(arena, text_span(&s->text));
		*out = BLOB_OF(bytes);
		text_free(&s->text);
		return bytes.p != NULL ? RESULT_OK : RESULT_TEMPORARY;
	}
	share_write(s);
	text_free(&s->text);
	if (s->error == 0 && fcntl(s->fd, F_ADD_SEALS, F_SEAL_SHRINK |
	    F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0) {
		*out = (struct blob){ .fd = s->fd,
		    .bytes = { NULL, s->written } };
	} else {
		if (s->fd >= 0)
			close(s->fd);
		result = RESULT_TEMPORARY;
	}
	return result;
}
