/* SPDX-License-Identifier: MIT */
/*
 * hosted.c - the platform table for a Linux process: libc and futexes
 *
 * The only file of this folder that is not part of a freestanding build.
 */
#include "memslot/memslot.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void *hosted_alloc(void *ctx, size_t size)
{
	(void)ctx;
	return calloc(1, size);
}

static void hosted_free(void *ctx, void *p)
{
	(void)ctx;
	free(p);
}

/*
 * The result does not matter: EAGAIN (the word has changed) and EINTR both
 * mean "look again", which every caller does.
 */
static void hosted_wait(void *ctx, _Atomic uint32_t *word, uint32_t seen)
{
	(void)ctx;
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void hosted_wake(void *ctx, _Atomic uint32_t *word)
{
	(void)ctx;
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* The address of a thread's own variable is as good a name as any. */
static uintptr_t hosted_self(void *ctx)
{
	static _Thread_local char here;

	(void)ctx;
	return (uintptr_t)&here;
}

static uint64_t hosted_now_ns(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

const struct memslot_platform memslot_hosted = {
	.ctx = NULL,
	.alloc = hosted_alloc,
	.free = hosted_free,
	.wait = hosted_wait,
	.wake = hosted_wake,
	.self = hosted_self,
	.now_ns = hosted_now_ns,
};
