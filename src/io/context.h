/*
 * context.h - two stacks, and the step from one to the other.
 *
 * Private to fiber.c. A context is what a stack needs to be left and entered
 * again, and what the sanitizers and valgrind must be told about it. The
 * thread's own stack is a zeroed context.
 *
 * The step saves what the calling convention says a function preserves, and
 * nothing else: no signal mask, no system call. It is written for x86-64 and
 * aarch64; elsewhere ucontext(3) does it, slower.
 */
#ifndef IO_CONTEXT_H
#define IO_CONTEXT_H

#include "base/base.h"

/* -DCONTEXT_UCONTEXT chooses the slow one, to see that it works too. */
#if !defined(__x86_64__) && !defined(__aarch64__)
#undef CONTEXT_UCONTEXT
#define CONTEXT_UCONTEXT 1
#endif
#ifdef CONTEXT_UCONTEXT
#include <ucontext.h>
#endif

#if defined(__has_feature)	/* clang */
#define CONTEXT_HAS(feature) __has_feature(feature)
#else
#define CONTEXT_HAS(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || CONTEXT_HAS(address_sanitizer)
#define CONTEXT_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__) || CONTEXT_HAS(thread_sanitizer)
#define CONTEXT_TSAN 1
#endif

struct context {
	void *sp;		/* while away: the saved registers */
	void *stack;		/* its lowest byte */
	size_t size;
	void (*fn)(void *);
	void *arg;
	void *fake_stack;	/* AddressSanitizer's */
	void *tsan;		/* ThreadSanitizer's */
	unsigned valgrind;	/* the number valgrind knows the stack by */
#ifdef CONTEXT_UCONTEXT
	ucontext_t uc;
#endif
};

/*
 * Tell the tools about a stack, once for all contexts that will use it, and
 * when it is unmapped. Zero where there is nothing to tell.
 */
unsigned context_stack_register(void *stack, size_t size);
void context_stack_forget(unsigned);

/* fn(arg) will run on the stack at the first step into it; never returns. */
void context_make(struct context *, void *stack, size_t size,
    void (*fn)(void *), void *arg);
/* Leave `from` (the running one) until somebody steps into it. */
void context_switch(struct context *from, struct context *to);
/* The same for good: `from` is done, and its stack is free on arrival. */
_Noreturn void context_leave(struct context *from, struct context *to);
/* What the tools kept for a context that left for good. */
void context_unmake(struct context *);

#endif
