/* SPDX-License-Identifier: MIT */
/*
 * toy.h - a guest of a few instructions
 *
 * Programs are assembled into the test itself and copied into the guest's
 * low memory, which has page tables that map the first 4 GiB to themselves.
 * A vCPU is put straight into 64-bit mode: in ring 3, which a KVM that only
 * emulates ring 0 executes natively, or in ring 0. There is no IDT: any
 * exception ends the guest. A guest says things by stores to TOY_DEVICE.
 */
#ifndef TESTS_KVM_TOY_H
#define TESTS_KVM_TOY_H

#include "tests/kvm/raw.h"

/* Low memory: page tables, then code, then whatever the test likes. */
#define TOY_LOW_SIZE ((uint64_t)2 << 20)
#define TOY_CR3      0x1000ul
#define TOY_CODE     0x10000ul
#define TOY_STACKS   0x20000ul /* end of vCPU 0's, a page each, upwards */
#define TOY_DATA     0x40000ul /* the test's, up to TOY_LOW_SIZE */
#define TOY_DEVICE   0xe0000000ul

/* A program, from its label to the end of the string. */
#define TOY_PROGRAM(name, text)                                      \
	extern const uint8_t name[], name##_end[];                   \
	__asm__(".pushsection .rodata\n" #name ":\n" text "\n" #name \
		"_end:\n.popsection\n")
#define TOY_LOAD(low, name) \
	toy_load((low), (name), (size_t)((name##_end) - (name)))

/* Page tables; all else is left as it is. */
void toy_init(uint8_t *low);
/* Copy a program to TOY_CODE. */
void toy_load(uint8_t *low, const uint8_t *code, size_t size);

struct toy_regs {
	uint64_t rip; /* TOY_CODE, unless the test knows better */
	uint64_t rdi, rsi, rdx, rcx, r8, r9;
	unsigned ring;
	uint64_t cr3; /* TOY_CR3 if 0 */
};

/* Make the vCPU start there. `index` chooses its stack. */
void toy_place(int vcpu, unsigned index, const struct toy_regs *regs);

#endif
