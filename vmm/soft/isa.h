/* SPDX-License-Identifier: MIT */
/*
 * isa.h - the extensions of the embedded CPU, and switching them off
 *
 * The CPU has all that are listed here. A machine may do without some, to
 * be like another one or to see what a guest makes of it: instructions, CSR
 * fields and page table bits of an extension that is off behave as the
 * specification says they do where it is not implemented, and the device
 * tree does not name it. I, C and Zicsr are always there: S mode needs Zicsr,
 * and without C every jump would have to look for a misaligned target.
 */
#ifndef VMM_SOFT_ISA_H
#define VMM_SOFT_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memslot/error.h"

MEMSLOT_BEGIN_DECLS

/*
 * In the order of an isa string (unprivileged spec, "ISA Extension Naming
 * Conventions"). SV48 and SV57 are no extensions by name, but the device
 * tree's mmu-type; without ISA_SVADU the CPU has Svade.
 */
enum isa_ext {
	ISA_BASE, /* cannot be off */
	ISA_M,
	ISA_A,
	ISA_F,
	ISA_D,
	ISA_ZICBOM,
	ISA_ZICBOP,
	ISA_ZICBOZ,
	ISA_ZICNTR,
	ISA_ZIFENCEI,
	ISA_ZIHINTPAUSE,
	ISA_ZAWRS,
	ISA_ZBA,
	ISA_ZBB,
	ISA_ZBS,
	ISA_SSTC,
	ISA_SVADU,
	ISA_SVINVAL,
	ISA_SVNAPOT,
	ISA_SVPBMT,
	ISA_SV48,
	ISA_SV57,
	ISA_EXTS
};

/* A set of extensions that are off: bit enum isa_ext. 0: all are on. */
typedef uint32_t isa_off_t;

static inline bool isa_has(isa_off_t off, enum isa_ext ext)
{
	return !(off >> ext & 1);
}

/* The bytes that cbo.* work on, Zicbom and Zicboz. */
#define ISA_CBO_BLOCK 64u

/* Room for any isa string with its final 0. */
#define ISA_STRING_MAX 160u
void isa_string(isa_off_t off, char text[ISA_STRING_MAX]);
/* "riscv,sv57", "riscv,sv48" or "riscv,sv39" */
const char *isa_mmu_type(isa_off_t off);

/*
 * Understand "rv64[,NAME=on|off...]", for example "rv64,zba=off,sv57=off".
 * What cannot be without something that is off is off too: D without F, Sv57
 * without Sv48. -EINVAL and a sentence if it makes no sense. Cuts up text.
 */
int isa_parse(char *text, isa_off_t *off, struct memslot_error *err);

MEMSLOT_END_DECLS

#endif
