/* SPDX-License-Identifier: MIT */
/*
 * bare.c - the built-in guest, written with our own assembler
 *
 *	slots       = slot controller
 *	base        = WINDOW_BASE
 *	for (round = 1; !stop; round++)
 *		for (i = 0; i < words; i++) {
 *	again:          if (round > 1 && base[i] != (round - 1) << 32 + i)
 *				wrong += 8;
 *			base[i] = round << 32 + i;
 *			if (i < tracked)
 *				writes++;
 *		}
 *	report, power off
 *
 *	trap:   base = WINDOW_BASE; goto again
 */
#include "vmm/bare.h"

#include "devices/slotctl.h"
#include "devices/syscon.h"
#include "vmm/riscv64.h"
#include "vmm/rvasm.h"

enum {
	SLOTS = RV_S0,
	BASE = RV_S1,
	WORDS = RV_S2,
	TRACKED = RV_S3,
	STOP = RV_S4, /* address of the host's word */
	ROUND = RV_S5,
	I = RV_S6,
	WRITES = RV_S7,
	WRONG = RV_S8,
	OLD = RV_S9,  /* (round - 1) << 32 */
	NEW = RV_S10, /* round << 32 */
};

static void set_up(struct rv_program *p, rv_label trap, uint64_t words,
	uint64_t tracked_words)
{
	rv_la(p, RV_T0, trap);
	rv_emit(p, rv_csrw(RV_CSR_STVEC, RV_T0));
	rv_li(p, SLOTS, RISCV64_SLOTCTL_BASE);
	rv_li(p, WORDS, words);
	rv_li(p, TRACKED, tracked_words);
	rv_li(p, STOP, BARE_STOP);
	rv_li(p, ROUND, 1);
	rv_li(p, WRITES, 0);
	rv_li(p, WRONG, 0);
	/* Ready: the host may begin. */
	rv_emit(p, rv_ld(BASE, SLOTS, SLOTCTL_REG_WINDOW_BASE));
	rv_emit(p, rv_sw(RV_ZERO, SLOTS, SLOTCTL_REG_DONE));
}

static void one_round(struct rv_program *p, rv_label again)
{
	rv_label store = rv_label_new(p), next = rv_label_new(p);

	rv_emit(p, rv_slli(NEW, ROUND, 32));
	rv_emit(p, rv_addi(OLD, ROUND, -1));
	rv_emit(p, rv_slli(OLD, OLD, 32));
	rv_emit(p, rv_mv(I, RV_ZERO));

	rv_bind(p, again);
	rv_emit(p, rv_slli(RV_T0, I, 3));
	rv_emit(p, rv_add(RV_T0, RV_T0, BASE));
	rv_branch(p, RV_BEQ, OLD, RV_ZERO, store); /* nothing stored yet */
	rv_emit(p, rv_ld(RV_T1, RV_T0, 0));
	rv_emit(p, rv_add(RV_T2, OLD, I));
	rv_branch(p, RV_BEQ, RV_T1, RV_T2, store);
	rv_emit(p, rv_addi(WRONG, WRONG, 8));

	rv_bind(p, store);
	rv_emit(p, rv_add(RV_T2, NEW, I));
	rv_emit(p, rv_sd(RV_T2, RV_T0, 0));
	rv_branch(p, RV_BGEU, I, TRACKED, next);
	rv_emit(p, rv_addi(WRITES, WRITES, 1));
	rv_bind(p, next);
	rv_emit(p, rv_addi(I, I, 1));
	rv_branch(p, RV_BLTU, I, WORDS, again);
}

static void report(struct rv_program *p)
{
	rv_label here;

	rv_emit(p, rv_sd(WRITES, SLOTS, SLOTCTL_REG_WRITES_DONE));
	rv_emit(p, rv_sd(WRONG, SLOTS, SLOTCTL_REG_BYTES_WRONG));
	rv_li(p, RV_T0, 1);
	rv_emit(p, rv_sw(RV_T0, SLOTS, SLOTCTL_REG_DONE));
	rv_li(p, RV_T0, RISCV64_SYSCON_BASE);
	rv_li(p, RV_T1, SYSCON_POWEROFF);
	rv_emit(p, rv_sw(RV_T1, RV_T0, 0));
	here = rv_label_here(p);
	rv_jump(p, RV_ZERO, here);
}

/*
 * Only accesses to the window can trap, and only because it is elsewhere.
 * Anything else would come back here for ever; the host would see a guest
 * that never reports.
 */
static void trap_handler(struct rv_program *p, rv_label trap, rv_label again)
{
	rv_align(p, 4);
	rv_bind(p, trap);
	rv_emit(p, rv_ld(BASE, SLOTS, SLOTCTL_REG_WINDOW_BASE));
	rv_la(p, RV_T0, again);
	rv_emit(p, rv_csrw(RV_CSR_SEPC, RV_T0));
	rv_emit(p, rv_sret());
}

size_t bare_assemble(
	uint8_t code[BARE_CODE_MAX], uint64_t words, uint64_t tracked_words)
{
	_Alignas(8) uint8_t buffer[BARE_CODE_MAX];
	struct rv_program p;
	rv_label trap, again, round;

	rv_begin(&p, buffer, sizeof(buffer));
	trap = rv_label_new(&p);
	again = rv_label_new(&p);
	set_up(&p, trap, words, tracked_words);
	round = rv_label_here(&p);
	one_round(&p, again);
	rv_emit(&p, rv_addi(ROUND, ROUND, 1));
	rv_emit(&p, rv_ld(RV_T0, STOP, 0));
	rv_branch(&p, RV_BEQ, RV_T0, RV_ZERO, round);
	report(&p);
	trap_handler(&p, trap, again);
	if (rv_finish(&p) != RV_OK)
		return 0;
	for (size_t i = 0; i < p.size; i++)
		code[i] = buffer[i];
	return p.size;
}
