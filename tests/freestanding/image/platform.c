/* SPDX-License-Identifier: MIT */
/*
 * platform.c - a platform table for bare harts, and the board below it
 *
 * Memory is a static arena with a list of free blocks in order of address.
 * There is nothing to sleep on, so `wait` is a pause and `wake` does nothing:
 * every caller of `wait` looks at the word again.
 */
#include "image.h"

#include <string.h>

/* ---- memory ------------------------------------------------------------ */

/* "Aligned for any type" includes struct memslot_reader: a cache line. */
#define UNIT       64u
#define ARENA_SIZE (1u << 20)
#define HANDED_OUT ((struct block *)-1)
#define POISON     0xa5

/* In front of every block; its size counts itself. */
struct block {
	_Alignas(UNIT) size_t size;
	struct block *next; /* a free one's; HANDED_OUT */
};

static _Alignas(4096) uint8_t arena[ARENA_SIZE];
static struct block *free_blocks;
static bool arena_ready;
static unsigned live, fail_nth;
static bool failed, broken;
static atomic_flag arena_lock = ATOMIC_FLAG_INIT;

static void lock_arena(void)
{
	while (atomic_flag_test_and_set(&arena_lock))
		bare_pause();
}

static void unlock_arena(void)
{
	atomic_flag_clear(&arena_lock);
}

static struct block *take(size_t size)
{
	struct block **at = &free_blocks, *b, *rest;

	while ((b = *at) && b->size < size)
		at = &b->next;
	if (!b)
		return NULL;
	if (b->size - size >= 2 * sizeof(*b)) {
		rest = (struct block *)((uint8_t *)b + size);
		rest->size = b->size - size;
		rest->next = b->next;
		b->size = size;
		*at = rest;
	} else {
		*at = b->next;
	}
	b->next = HANDED_OUT;
	return b;
}

static void *bare_alloc(void *ctx, size_t size)
{
	struct block *b = NULL;
	bool fail;

	(void)ctx;
	lock_arena();
	if (!arena_ready) {
		free_blocks = (struct block *)arena;
		free_blocks->size = sizeof(arena);
		arena_ready = true;
	}
	fail = fail_nth && --fail_nth == 0;
	failed |= fail;
	if (!fail && size <= sizeof(arena))
		b = take(
			sizeof(*b) + ((size + UNIT - 1) & ~(size_t)(UNIT - 1)));
	if (b)
		live++;
	unlock_arena();
	if (!b)
		return NULL;
	memset(b + 1, 0, b->size - sizeof(*b));
	return b + 1;
}

/* Join b with the free block behind it if they touch. */
static void join(struct block *b)
{
	struct block *next = b->next;

	if (next && (uint8_t *)b + b->size == (uint8_t *)next) {
		b->size += next->size;
		b->next = next->next;
	}
}

static void bare_free(void *ctx, void *p)
{
	struct block *b = (struct block *)p - 1, *before = NULL;

	(void)ctx;
	lock_arena();
	if (!p || b->next != HANDED_OUT) {
		broken = true;
		unlock_arena();
		return;
	}
	memset(p, POISON, b->size - sizeof(*b));
	for (struct block *f = free_blocks; f && f < b; f = f->next)
		before = f;
	b->next = before ? before->next : free_blocks;
	if (before)
		before->next = b;
	else
		free_blocks = b;
	join(b);
	if (before)
		join(before);
	live--;
	unlock_arena();
}

unsigned bare_live(void)
{
	return live;
}

void bare_fail_alloc(unsigned nth)
{
	failed = false;
	fail_nth = nth;
}

bool bare_alloc_failed(void)
{
	return failed;
}

bool bare_heap_broken(void)
{
	return broken;
}

/* ---- waiting, names, time ----------------------------------------------- */

static _Atomic(unsigned) waits;

void bare_pause(void)
{
	__asm__ volatile(".4byte 0x0100000f" ::: "memory"); /* pause */
}

static void bare_wait(void *ctx, _Atomic(uint32_t) *word, uint32_t seen)
{
	(void)ctx;
	(void)word;
	(void)seen;
	atomic_fetch_add(&waits, 1);
	bare_pause();
}

static void bare_wake(void *ctx, _Atomic(uint32_t) *word)
{
	(void)ctx;
	(void)word;
}

unsigned bare_waits(void)
{
	return waits;
}

static uintptr_t bare_self(void *ctx)
{
	uintptr_t hart;

	(void)ctx;
	__asm__("mv %0, tp" : "=r"(hart));
	return hart + 1;
}

/* The time CSR counts at 10 MHz. */
static uint64_t bare_now_ns(void *ctx)
{
	uint64_t ticks;

	(void)ctx;
	__asm__ volatile("csrr %0, time" : "=r"(ticks));
	return ticks * 100;
}

const struct memslot_platform bare_platform = {
	.alloc = bare_alloc,
	.free = bare_free,
	.wait = bare_wait,
	.wake = bare_wake,
	.self = bare_self,
	.now_ns = bare_now_ns,
};

/* ---- the board ----------------------------------------------------------- */

#define UART        0x10000000ul /* ns16550a: 0 transmits, 5 is LSR */
#define UART_LSR    5
#define LSR_THRE    0x20
#define SYSCON      0x100000ul
#define SYSCON_WELL 0x5555u
#define SYSCON_ILL  0x13333u /* fail, exit code 1 */
#define SBI_HSM     0x48534dl

void bare_print(const char *text)
{
	volatile uint8_t *uart = (volatile uint8_t *)UART;

	for (; *text; text++) {
		while (!(uart[UART_LSR] & LSR_THRE))
			bare_pause();
		uart[0] = (uint8_t)*text;
	}
}

void bare_power_off(bool well)
{
	volatile uint32_t *syscon = (volatile uint32_t *)SYSCON;

	*syscon = well ? SYSCON_WELL : SYSCON_ILL;
	for (;;)
		bare_pause();
}

long bare_start_hart(unsigned long hart)
{
	register unsigned long a0 __asm__("a0") = hart;
	register unsigned long a1 __asm__("a1") = (unsigned long)second_start;
	register unsigned long a2 __asm__("a2") = 0;
	register long a6 __asm__("a6") = 0; /* hart_start */
	register long a7 __asm__("a7") = SBI_HSM;

	__asm__ volatile("ecall"
			 : "+r"(a0), "+r"(a1)
			 : "r"(a2), "r"(a6), "r"(a7)
			 : "memory");
	return (long)a0;
}
