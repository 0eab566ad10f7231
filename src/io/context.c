/*
 * context.c - two stacks, and the step from one to the other.
 *
 * The step itself is a few lines of assembly: push what a callee preserves,
 * exchange the stack pointers, pop. Before it and after it the tools are told
 * (AddressSanitizer would otherwise see an overflow, ThreadSanitizer a race,
 * valgrind a wild stack pointer).
 */
#include "io/context.h"

#ifdef CONTEXT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef CONTEXT_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(from, to) 0u
#define VALGRIND_STACK_DEREGISTER(id) (void)(id)
#endif

/* Who stepped to us last; read on arrival, on the other stack. */
static _Thread_local struct context *came_from;

/* -- the step ---- */

#ifndef CONTEXT_UCONTEXT

/* Save the registers below *save, go on where `load` was saved. */
void context_step(void **save, void *load);
/* Where a new stack begins: calls context_begin(its context). */
void context_entry(void);

/* Both conventions want a stack's top at a multiple of 16. */
static void *
top_of(struct context *c)
{
	char *top = (char *)c->stack + c->size;

	return top - ((uintptr_t)top & 15);
}

#endif

void context_begin(struct context *) __attribute__((used));

#if defined(CONTEXT_UCONTEXT)

static void
entry(unsigned high, unsigned low)
{
	uintptr_t c = (uintptr_t)((uint64_t)high << 32 | low);

	context_begin((struct context *)c);
}

static void
make_frame(struct context *c)
{
	uint64_t self = (uintptr_t)c;

	must(getcontext(&c->uc) == 0);
	c->uc.uc_stack.ss_sp = c->stack;
	c->uc.uc_stack.ss_size = c->size;
	c->uc.uc_link = NULL;
	makecontext(&c->uc, (void (*)(void))(void *)entry, 2,
	    (unsigned)(self >> 32), (unsigned)self);
}

#elif defined(__x86_64__)

/* System V ABI: rbx, rbp, r12 to r15, and the two control words. */
__asm__(
    ".text\n"
    ".globl context_step\n"
    ".hidden context_step\n"
    ".type context_step, @function\n"
    "context_step:\n"
    "	.cfi_startproc\n"
    "	pushq %rbp\n"
    "	pushq %rbx\n"
    "	pushq %r12\n"
    "	pushq %r13\n"
    "	pushq %r14\n"
    "	pushq %r15\n"
    "	subq $8, %rsp\n"
    "	stmxcsr (%rsp)\n"
    "	fnstcw 4(%rsp)\n"
    "	movq %rsp, (%rdi)\n"
    "	movq %rsi, %rsp\n"
    "	ldmxcsr (%rsp)\n"
    "	fldcw 4(%rsp)\n"
    "	addq $8, %rsp\n"
    "	popq %r15\n"
    "	popq %r14\n"
    "	popq %r13\n"
    "	popq %r12\n"
    "	popq %rbx\n"
    "	popq %rbp\n"
    "	ret\n"
    "	.cfi_endproc\n"
    ".size context_step, .-context_step\n"
    ".globl context_entry\n"
    ".hidden context_entry\n"
    ".type context_entry, @function\n"
    "context_entry:\n"
    "	.cfi_startproc\n"
    "	.cfi_undefined rip\n"
    "	movq %r12, %rdi\n"
    "	call context_begin\n"
    "	ud2\n"
    "	.cfi_endproc\n"
    ".size context_entry, .-context_entry\n");

static void
make_frame(struct context *c)
{
	uint64_t *sp = (uint64_t *)top_of(c) - 10;
	uint32_t mxcsr;
	uint16_t fpu;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	__asm__ volatile("fnstcw %0" : "=m"(fpu));
	memset(sp, 0, 10 * sizeof(*sp));
	sp[0] = mxcsr | (uint64_t)fpu << 32;
	sp[4] = (uintptr_t)c;			/* r12 */
	sp[7] = (uintptr_t)context_entry;	/* where ret goes */
	c->sp = sp;
}

#elif defined(__aarch64__)

/* AAPCS64: x19 to x30, d8 to d15. */
__asm__(
    ".text\n"
    ".globl context_step\n"
    ".hidden context_step\n"
    ".type context_step, %function\n"
    "context_step:\n"
    "	.cfi_startproc\n"
    "	sub sp, sp, #160\n"
    "	stp x19, x20, [sp, #0]\n"
    "	stp x21, x22, [sp, #16]\n"
    "	stp x23, x24, [sp, #32]\n"
    "	stp x25, x26, [sp, #48]\n"
    "	stp x27, x28, [sp, #64]\n"
    "	stp x29, x30, [sp, #80]\n"
    "	stp d8, d9, [sp, #96]\n"
    "	stp d10, d11, [sp, #112]\n"
    "	stp d12, d13, [sp, #128]\n"
    "	stp d14, d15, [sp, #144]\n"
    "	mov x9, sp\n"
    "	str x9, [x0]\n"
    "	mov sp, x1\n"
    "	ldp x19, x20, [sp, #0]\n"
    "	ldp x21, x22, [sp, #16]\n"
    "	ldp x23, x24, [sp, #32]\n"
    "	ldp x25, x26, [sp, #48]\n"
    "	ldp x27, x28, [sp, #64]\n"
    "	ldp x29, x30, [sp, #80]\n"
    "	ldp d8, d9, [sp, #96]\n"
    "	ldp d10, d11, [sp, #112]\n"
    "	ldp d12, d13, [sp, #128]\n"
    "	ldp d14, d15, [sp, #144]\n"
    "	add sp, sp, #160\n"
    "	ret\n"
    "	.cfi_endproc\n"
    ".size context_step, .-context_step\n"
    ".globl context_entry\n"
    ".hidden context_entry\n"
    ".type context_entry, %function\n"
    "context_entry:\n"
    "	.cfi_startproc\n"
    "	.cfi_undefined x30\n"
    "	mov x0, x19\n"
    "	bl context_begin\n"
    "	brk #1\n"
    "	.cfi_endproc\n"
    ".size context_entry, .-context_entry\n");

static void
make_frame(struct context *c)
{
	uint64_t *sp = (uint64_t *)top_of(c) - 20;

	memset(sp, 0, 20 * sizeof(*sp));
	sp[0] = (uintptr_t)c;			/* x19 */
	sp[11] = (uintptr_t)context_entry;	/* x30 */
	c->sp = sp;
}

#endif

static void
step(struct context *from, struct context *to)
{
#ifdef CONTEXT_UCONTEXT
	must(swapcontext(&from->uc, &to->uc) == 0);
#else
	context_step(&from->sp, to->sp);
#endif
}

/* -- what the tools are told ---- */

/* `fake` NULL: `from` never comes back. */
static void
departing(struct context *from, struct context *to, void **fake)
{
	came_from = from;
#ifdef CONTEXT_ASAN
	__sanitizer_start_switch_fiber(fake, to->stack, to->size);
#else
	(void)fake;
#endif
#ifdef CONTEXT_TSAN
	if (from->tsan == NULL)
		from->tsan = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(to->tsan, 0);
#else
	(void)to;
#endif
}

static void
arrived(struct context *here)
{
#ifdef CONTEXT_ASAN
	const void *stack;
	size_t size;

	__sanitizer_finish_switch_fiber(here->fake_stack, &stack, &size);
	came_from->stack = (void *)(uintptr_t)stack;
	came_from->size = size;
#else
	(void)here;
#endif
}

unsigned
context_stack_register(void *stack, size_t size)
{
	(void)stack;
	(void)size;
	return VALGRIND_STACK_REGISTER(stack, (char *)stack + size);
}

void
context_stack_forget(unsigned id)
{
	VALGRIND_STACK_DEREGISTER(id);
}

/* -- the four calls ---- */

void
context_begin(struct context *c)
{
	arrived(c);
	c->fn(c->arg);
	must_fail("a context's function never returns", __FILE__, __LINE__);
}

void
context_make(struct context *c, void *stack, size_t size, void (*fn)(void *),
    void *arg)
{
	*c = (struct context){ .stack = stack, .size = size, .fn = fn,
	    .arg = arg };
#ifdef CONTEXT_ASAN
	/* The last user left in the middle of its frames. */
	ASAN_UNPOISON_MEMORY_REGION(stack, size);
#endif
#ifdef CONTEXT_TSAN
	c->tsan = __tsan_create_fiber(0);
#endif
	make_frame(c);
}

void
context_switch(struct context *from, struct context *to)
{
	departing(from, to, &from->fake_stack);
	step(from, to);
	arrived(from);
}

void
context_leave(struct context *from, struct context *to)
{
	departing(from, to, NULL);
	step(from, to);
	must_fail("a context that left came back", __FILE__, __LINE__);
}

void
context_unmake(struct context *c)
{
#ifdef CONTEXT_TSAN
	__tsan_destroy_fiber(c->tsan);
#endif
	c->tsan = NULL;
}
