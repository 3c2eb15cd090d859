/* SPDX-License-Identifier: MIT */
/*
 * bare.c - the built-in guest for RISC-V, written with our own assembler
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

#include "devices/acpipm.h"
#include "devices/slotctl.h"
#include "devices/syscon.h"
#include "memslot/error.h"
#include "vmm/riscv64.h"
#include "vmm/rvasm.h"
#include "vmm/x86.h"

#include <errno.h>
#include <string.h>

/* The host's word, behind the code. */
#define RV_STOP  (RISCV64_RAM_BASE + 2 * BARE_CODE_MAX)
#define X86_STOP ((gpa_t)0x100000 + BARE_CODE_MAX)

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
	rv_li(p, STOP, RV_STOP);
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

static size_t assemble(uint8_t *buffer, uint64_t words, uint64_t tracked_words)
{
	struct rv_program p;
	rv_label trap, again, round;

	rv_begin(&p, buffer, BARE_CODE_MAX);
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
	return rv_finish(&p) == RV_OK ? p.size : 0;
}

/* ---- x86-64 ------------------------------------------------------------------ */

#ifdef __x86_64__
/* bare_x86.S */
extern const uint8_t bare_x86_code[], bare_x86_parameters[], bare_x86_end[];

static size_t copy_x86(uint8_t *code, uint64_t words, uint64_t tracked_words)
{
	const uint64_t parameters[] = {X86_SLOTCTL_BASE, X86_STOP, words,
		tracked_words, X86_PORT_PM + ACPIPM_CONTROL, ACPIPM_POWEROFF};
	size_t size = (size_t)(bare_x86_end - bare_x86_code);
	size_t at = (size_t)(bare_x86_parameters - bare_x86_code);

	if (size > BARE_CODE_MAX || sizeof(parameters) != size - at)
		return 0;
	memcpy(code, bare_x86_code, at);
	memcpy(code + at, parameters, sizeof(parameters));
	return size;
}
#else
/* Assembled where it can run. */
static size_t copy_x86(uint8_t *code, uint64_t words, uint64_t tracked_words)
{
	(void)code;
	(void)words;
	(void)tracked_words;
	return 0;
}
#endif

int bare_make(enum vmm_accel accel, uint64_t words, uint64_t tracked_words,
	struct bare_guest *out, struct memslot_error *err)
{
	bool x86 = accel == VMM_ACCEL_KVM;

	*out = (struct bare_guest){
		.mem_size = x86 ? (uint64_t)2 << 20 : (uint64_t)1 << 20,
		.stop = x86 ? X86_STOP : RV_STOP,
	};
	out->mem_min =
		out->stop + MEMSLOT_PAGE_SIZE - (x86 ? 0 : RISCV64_RAM_BASE);
	out->size = x86 ? copy_x86(out->code, words, tracked_words)
			: assemble(out->code, words, tracked_words);
	if (out->size)
		return 0;
	return memslot_fail(err, -ENOSYS,
		"this program has no built-in guest for --accel %s",
		x86 ? "kvm" : "soft");
}
