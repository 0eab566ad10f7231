/*
 * codec.h - the contract as a table: what serve.c and call.c need of a row.
 *
 * Made by the preprocessor from contract.def; nothing here is written by
 * hand but the word hello, with which both ends of a link introduce
 * themselves.
 */
#ifndef IPC_CODEC_H
#define IPC_CODEC_H

#include "ipc/contract.h"
#include "ipc/wire.h"

struct hello_note {
	uint32_t version, role;
	struct span name;
};

/* One direction of a row. */
struct message {
	size_t size;		/* of the struct; 0: the row has no such */
	size_t plain;		/* see frame_begin() */
	void (*encode)(struct frame *, const void *);
	void (*decode)(struct frame_in *, void *);
	void (*init)(void *);	/* zero, descriptors -1 */
	void (*release)(void *, bool fds);	/* blobs, and FD fields */
};

struct codec {
	const char *name;
	uint32_t from, to;	/* role bits */
	int64_t ms;		/* how long a caller waits; notes: 0 */
	bool again;		/* RETRY */
	struct message request, reply;	/* a note has a request alone */
};
extern const struct codec codecs[VERBS];

/* Room for whatever a row decodes to. */
union any_message {
	struct hello_note hello;
#include "ipc/contract_no_fields.h"
#define RECORD(name)
#define END_RECORD(name)
#define CALL(name, from, to, time, again, text)				\
	struct name##_request name##_request;				\
	struct name##_reply name##_reply;
#define ANSWER(name)
#define END(name)
#define NOTE(name, from, to, text) struct name##_note name##_note;
#define END_NOTE(name)
#include "ipc/contract.def"
#include "ipc/contract_undef.h"
};

/* Build a frame of a row: see frame_send(). */
void codec_encode(struct frame *, enum verb, enum frame_kind, uint32_t number,
    const void *message);
/*
 * 1 decoded: spans point into the frame, release it with codec_release; 0
 * malformed: nothing is held. Descriptors nobody took are closed either way.
 */
int  codec_decode(struct frame_in *, void *message) MUST_USE;
/* fds: close FD fields too; their taker keeps them otherwise. */
void codec_release(enum verb, enum frame_kind, void *message, bool fds);

/* Its request holds a password: leave no copy behind. */
bool codec_is_secret(enum verb);

/* What an end of a link says first, and whether the other's word will do. */
void hello_encode(struct frame *, enum role_bit self);
bool hello_agrees(const struct hello_note *, enum role_bit peer);

#endif
