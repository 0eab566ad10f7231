/*
 * wire.h - encoding, field by field; no struct is copied onto a socket.
 *
 * A frame is one packet of a SOCK_SEQPACKET socket: u16 verb, u8 kind, u8
 * zero, u32 call number, then the fields in the contract's order. Integers
 * are little-endian, bytes carry a u32 length. BLOB fields that do not fit go
 * as sealed memfds; a received descriptor that is not sealed against
 * shrinking and writing is refused (its owner could otherwise kill us).
 *
 * Decoding is pure but for mapping: a frame in, a struct out that points
 * into the frame; every limit of the contract is checked; trailing bytes are
 * an error.
 */
#ifndef IPC_WIRE_H
#define IPC_WIRE_H

#include "base/arena.h"
#include "base/base.h"
#include "base/text.h"
#include "ipc/contract.h"

enum { FRAME_MAX = 160 << 10, FRAME_FDS = 4 };

/* Plain values: also the tongue of the store's own records. */
void put_u8(struct text *, uint8_t);
void put_u32(struct text *, uint32_t);
void put_u64(struct text *, uint64_t);
void put_i64(struct text *, int64_t);
void put_raw(struct text *, const void *, size_t n);
void put_bytes(struct text *, struct span);

/* A cursor over bytes; the first failure stays (`bad`) and yields zeros. */
struct cursor {
	struct span rest;
	bool bad;
};
uint8_t  get_u8(struct cursor *);
uint32_t get_u32(struct cursor *);
uint64_t get_u64(struct cursor *);
int64_t  get_i64(struct cursor *);
void     get_raw(struct cursor *, void *, size_t n);
struct span get_bytes(struct cursor *, size_t limit);

/* x_put(text, &x) appends one; x_get(cursor, &x): 1, 0 at the end, -1 bad. */
#define U8(name)
#define U32(name)
#define U64(name)
#define I64(name)
#define TOKEN(name)
#define BODY(name)
#define GRANT(name)
#define BYTES(name, limit)
#define BLOB(name, limit)
#define FD(name)
#define RECORD(name)							\
	void name##_put(struct text *, const struct name *);		\
	int  name##_get(struct cursor *, struct name *);
#define END_RECORD(name)
#define CALL(name, from, to, time, again, text)
#define ANSWER(name)
#define END(name)
#define NOTE(name, from, to, text)
#define END_NOTE(name)
#include "ipc/contract.def"
#include "ipc/contract_undef.h"

#endif
