/* SPDX-License-Identifier: MIT */
/*
 * hammer.h - a guest function that writes flat out
 *
 * It increments its vCPU's words in random pages and counts how often, until
 * the host sets HAMMER_STOP. At the end the sum of the words must be the
 * count: then not one write was lost, and none was made twice.
 */
#ifndef TESTS_KVM_HAMMER_H
#define TESTS_KVM_HAMMER_H

#include "tests/kvm/toy.h"

#define HAMMER_CPUS  2u
#define HAMMER_PAGES 128ul /* two slots of half as many */
#define HAMMER_HALF  (HAMMER_PAGES / 2 * RAW_PAGE)
#define HAMMER_BASE  0x10000000ul
#define HAMMER_STOP  (TOY_DATA + 0x10000)

/*
 * rdi: the vCPU's word of the first page, rsi: pages - 1, rdx: HAMMER_STOP,
 * rcx: seed. Returns the count.
 */
TOY_PROGRAM(hammer, "	mov %rcx, %r8\n"
		    "	mov $6364136223846793005, %r10\n"
		    "	xor %ecx, %ecx\n"
		    "1:	imul %r10, %r8\n"
		    "	inc %r8\n"
		    "	mov %r8, %rax\n"
		    "	shr $33, %rax\n"
		    "	and %rsi, %rax\n"
		    "	shl $12, %rax\n"
		    "	incq (%rdi,%rax)\n"
		    "	inc %rcx\n"
		    "	cmpl $0, (%rdx)\n"
		    "	je 1b\n"
		    "	mov %rcx, %rax\n"
		    "	ret");

static inline uint64_t hammer_word(unsigned cpu)
{
	return HAMMER_BASE + cpu * 64;
}

static inline void hammer_stop(uint8_t *low)
{
	__atomic_store_n((uint32_t *)(low + HAMMER_STOP), 1, __ATOMIC_SEQ_CST);
}

/* How many of `count` writes are nowhere in the pages. */
static inline int64_t hammer_lost(
	const uint8_t *data, unsigned cpu, uint64_t count)
{
	uint64_t sum = 0;

	for (uint64_t page = 0; page < HAMMER_PAGES; page++)
		sum += *(const uint64_t *)(data + page * RAW_PAGE + cpu * 64);
	return (int64_t)(count - sum);
}

#endif
