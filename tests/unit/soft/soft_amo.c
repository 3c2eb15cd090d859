/* SPDX-License-Identifier: MIT */
/*
 * soft_amo.c - the A extension, alone and with several harts
 *
 * Volume I, chapter 8: LR/SC (8.2, 8.3), AMOs (8.4). Misaligned atomics are
 * not emulated: either a misaligned or an access exception; this machine
 * raises the misaligned one, store/AMO for AMO and SC, load for LR. Harts
 * are started by the SBI HSM extension.
 */
#include "tests/unit/soft/soft_harness.h"

#include "tests/unit/test.h"

static struct sh m;

#define E(insn) sh_e(&m, insn)
#define N(a)    (sizeof(a) / sizeof((a)[0]))

static const uint64_t edge[] = {0, 1, UINT64_MAX, 0x7fffffff, 0x80000000,
	0xffffffff, 0x100000000, 0xffffffff80000000, INT64_MAX,
	(uint64_t)INT64_MIN, 0x123456789abcdef0, 0xfedcba9876543210};

enum kind { SWAP, ADD, XOR, AND, OR, MIN, MAX, MINU, MAXU };

static uint64_t result(enum kind kind, bool d, uint64_t a, uint64_t b)
{
	int64_t sa = d ? (int64_t)a : (int32_t)a;
	int64_t sb = d ? (int64_t)b : (int32_t)b;
	uint64_t ua = d ? a : (uint32_t)a, ub = d ? b : (uint32_t)b;

	switch (kind) {
	case SWAP:
		return b;
	case ADD:
		return a + b;
	case XOR:
		return a ^ b;
	case AND:
		return a & b;
	case OR:
		return a | b;
	case MIN:
		return sa < sb ? a : b;
	case MAX:
		return sa > sb ? a : b;
	case MINU:
		return ua < ub ? a : b;
	case MAXU:
		return ua > ub ? a : b;
	}
	return 0;
}

static const struct {
	const char *name;
	uint32_t (*insn)(unsigned rd, unsigned rs2, unsigned rs1);
	enum kind kind;
	bool d;
} amo[] = {
	{"amoswap.w", rv_amoswap_w, SWAP, false},
	{"amoadd.w", rv_amoadd_w, ADD, false},
	{"amoxor.w", rv_amoxor_w, XOR, false},
	{"amoand.w", rv_amoand_w, AND, false},
	{"amoor.w", rv_amoor_w, OR, false},
	{"amomin.w", rv_amomin_w, MIN, false},
	{"amomax.w", rv_amomax_w, MAX, false},
	{"amominu.w", rv_amominu_w, MINU, false},
	{"amomaxu.w", rv_amomaxu_w, MAXU, false},
	{"amoswap.d", rv_amoswap_d, SWAP, true},
	{"amoadd.d", rv_amoadd_d, ADD, true},
	{"amoxor.d", rv_amoxor_d, XOR, true},
	{"amoand.d", rv_amoand_d, AND, true},
	{"amoor.d", rv_amoor_d, OR, true},
	{"amomin.d", rv_amomin_d, MIN, true},
	{"amomax.d", rv_amomax_d, MAX, true},
	{"amominu.d", rv_amominu_d, MINU, true},
	{"amomaxu.d", rv_amomaxu_d, MAXU, true},
};

static uint64_t sext32(uint64_t v)
{
	return (uint64_t)(int64_t)(int32_t)(uint32_t)v;
}

static void values(void)
{
	size_t i, j, k;
	unsigned n = 0;

	sh_open(&m, 1);
	sh_li(&m, RV_A0, DATA);
	for (i = 0; i < N(amo); i++)
		for (j = 0; j < N(edge); j++)
			for (k = 0; k < N(edge); k++, n++) {
				uint64_t a = edge[j], b = edge[k];
				uint64_t v =
					result(amo[i].kind, amo[i].d, a, b);
				uint32_t insn =
					amo[i].insn(RV_A3, RV_A2, RV_A0);

				if (!amo[i].d)
					v = (a & 0xffffffff00000000) |
					    (uint32_t)v;
				insn = n & 1 ? rv_aq(insn) : insn;
				insn = n & 2 ? rv_rl(insn) : insn;
				sh_li(&m, RV_A1, a);
				E(rv_sd(RV_A1, RV_A0, 0));
				sh_li(&m, RV_A2, b);
				E(insn);
				E(rv_ld(RV_A4, RV_A0, 0));
				sh_expect(&m, RV_A3, amo[i].d ? a : sext32(a),
					"%s rd %#llx, %#llx", amo[i].name,
					(unsigned long long)a,
					(unsigned long long)b);
				sh_expect(&m, RV_A4, v, "%s mem %#llx, %#llx",
					amo[i].name, (unsigned long long)a,
					(unsigned long long)b);
			}
	for (i = 0; i < N(amo); i++) {
		/* rd = rs2; rd = x0; the upper word of a doubleword */
		sh_li(&m, RV_A1, 100);
		E(rv_sd(RV_A1, RV_A0, 0));
		E(rv_sd(RV_A1, RV_A0, 8));
		sh_li(&m, RV_A2, 60);
		E(amo[i].insn(RV_A2, RV_A2, RV_A0));
		E(rv_ld(RV_A4, RV_A0, 0));
		sh_expect(&m, RV_A2, 100, "%s rd = rs2", amo[i].name);
		sh_expect(&m, RV_A4, result(amo[i].kind, true, 100, 60),
			"%s rd = rs2", amo[i].name);
		sh_li(&m, RV_A2, 60);
		sh_li(&m, RV_A5, DATA + 8);
		E(amo[i].insn(RV_ZERO, RV_A2, RV_A5));
		E(rv_ld(RV_A4, RV_A5, 0));
		sh_expect(&m, RV_ZERO, 0, "%s rd = x0", amo[i].name);
		sh_expect(&m, RV_A4, result(amo[i].kind, true, 100, 60),
			"%s rd = x0", amo[i].name);
		E(amo[i].insn(RV_A5, RV_A2, RV_A5));
		sh_expect(&m, RV_A5, result(amo[i].kind, true, 100, 60),
			"%s rd = rs1", amo[i].name);
	}
	sh_li(&m, RV_A5, DATA + 20);
	E(rv_sd(RV_ZERO, RV_A5, -4));
	sh_li(&m, RV_A1, 7);
	E(rv_amoadd_w(RV_A2, RV_A1, RV_A5));
	E(rv_ld(RV_A2, RV_A5, -4));
	sh_expect(&m, RV_A2, 7ull << 32, "amoadd.w of an upper word");
	sh_run(&m);
	sh_close(&m);
}

static void misaligned(void)
{
	size_t i;
	uint64_t k;

	sh_open(&m, 1);
	for (k = 1; k < 8; k++) {
		uint64_t at = DATA + 0x100 + k;

		sh_li(&m, RV_A0, at);
		for (i = 0; i < N(amo); i++) {
			if (!amo[i].d && !(k & 3))
				continue;
			sh_try(&m);
			E(amo[i].insn(RV_A1, RV_A2, RV_A0));
			sh_trapped(&m, CAUSE_STORE_MISALIGNED, at,
				"%s misaligned %u", amo[i].name, (unsigned)k);
		}
		sh_try(&m);
		E(rv_lr_d(RV_A1, RV_A0));
		sh_trapped(&m, CAUSE_LOAD_MISALIGNED, at, "lr.d + %u",
			(unsigned)k);
		sh_try(&m);
		E(rv_sc_d(RV_A1, RV_A2, RV_A0));
		sh_trapped(&m, CAUSE_STORE_MISALIGNED, at, "sc.d + %u",
			(unsigned)k);
		if (!(k & 3))
			continue;
		sh_try(&m);
		E(rv_lr_w(RV_A1, RV_A0));
		sh_trapped(&m, CAUSE_LOAD_MISALIGNED, at, "lr.w + %u",
			(unsigned)k);
		sh_try(&m);
		E(rv_sc_w(RV_A1, RV_A2, RV_A0));
		sh_trapped(&m, CAUSE_STORE_MISALIGNED, at, "sc.w + %u",
			(unsigned)k);
	}
	sh_li(&m, RV_A0, DATA + 0x100);
	E(rv_ld(RV_A1, RV_A0, 0));
	sh_expect(&m, RV_A1, 0, "memory after misaligned atomics");
	/* lr has no rs2; widths other than w and d do not exist */
	{
		static const uint32_t bad[] = {
			0x1015a5af,             /* lr.w with rs2 1 */
			0x1015b5af,             /* lr.d with rs2 1 */
			0x00b5052f, 0x00b5152f, /* amoadd, widths 0 and 1 */
			0x00b5452f,             /* width 4 */
			0x28b5252f,             /* funct5 5 */
			0xf8b5252f,             /* funct5 31 */
		};

		for (i = 0; i < N(bad); i++) {
			sh_try(&m);
			E(bad[i]);
			sh_trapped(&m, CAUSE_ILLEGAL, bad[i], "%#x", bad[i]);
		}
	}
	sh_run(&m);
	sh_close(&m);
}

static void reserved_pair(void)
{
	sh_open(&m, 1);
	sh_li(&m, RV_A0, DATA);
	sh_li(&m, RV_A5, DATA + 0x800);
	sh_li(&m, RV_A1, 0x8000000080000001);
	E(rv_sd(RV_A1, RV_A0, 0));
	/* success */
	E(rv_lr_w(RV_A2, RV_A0));
	sh_li(&m, RV_A1, 0x1234567890);
	E(rv_sc_w(RV_A3, RV_A1, RV_A0));
	sh_expect(&m, RV_A2, 0xffffffff80000001, "lr.w sign-extends");
	sh_expect(&m, RV_A3, 0, "sc.w succeeds");
	E(rv_ld(RV_A2, RV_A0, 0));
	sh_expect(&m, RV_A2, 0x8000000034567890, "sc.w stored a word");
	E(rv_aq(rv_lr_d(RV_A2, RV_A0)));
	E(rv_rl(rv_sc_d(RV_A3, RV_A1, RV_A0)));
	sh_expect(&m, RV_A2, 0x8000000034567890, "lr.d");
	sh_expect(&m, RV_A3, 0, "sc.d succeeds");
	E(rv_ld(RV_A2, RV_A0, 0));
	sh_expect(&m, RV_A2, 0x1234567890, "sc.d stored");
	/* an sc uses the reservation up, be it successful or not */
	E(rv_sc_d(RV_A3, RV_ZERO, RV_A0));
	E(rv_sltu(RV_A3, RV_ZERO, RV_A3));
	sh_expect(&m, RV_A3, 1, "sc without lr fails");
	E(rv_ld(RV_A2, RV_A0, 0));
	sh_expect(&m, RV_A2, 0x1234567890, "and stores nothing");
	sh_li(&m, RV_A2, 0x1234567890); /* the same value there */
	E(rv_sd(RV_A2, RV_A5, 0));
	E(rv_lr_d(RV_A2, RV_A0));
	E(rv_sc_d(RV_A3, RV_ZERO, RV_A5));
	E(rv_sltu(RV_A3, RV_ZERO, RV_A3));
	E(rv_sc_d(RV_A4, RV_ZERO, RV_A0));
	E(rv_sltu(RV_A4, RV_ZERO, RV_A4));
	sh_expect(&m, RV_A3, 1, "sc to another address fails");
	sh_expect(&m, RV_A4, 1, "and so does the sc after it");
	E(rv_ld(RV_A2, RV_A0, 0));
	sh_expect(&m, RV_A2, 0x1234567890, "nothing stored here");
	E(rv_ld(RV_A2, RV_A5, 0));
	sh_expect(&m, RV_A2, 0x1234567890, "nothing stored there");
	/* the last lr counts */
	E(rv_lr_d(RV_A2, RV_A5));
	E(rv_lr_d(RV_A2, RV_A0));
	sh_li(&m, RV_A1, 5);
	E(rv_sc_d(RV_A3, RV_A1, RV_A0));
	sh_expect(&m, RV_A3, 0, "the last lr counts");
	/* rd = rs1, rd = rs2 */
	E(rv_mv(RV_T0, RV_A0));
	E(rv_lr_d(RV_T0, RV_T0));
	sh_expect(&m, RV_T0, 5, "lr rd = rs1");
	sh_li(&m, RV_T0, 6);
	E(rv_sc_d(RV_T0, RV_T0, RV_A0));
	sh_expect(&m, RV_T0, 0, "sc rd = rs2");
	E(rv_ld(RV_A2, RV_A0, 0));
	sh_expect(&m, RV_A2, 6, "sc rd = rs2 stored");
	/* a failed sc is a store as far as permission goes: no slot, trap */
	sh_li(&m, RV_A4, 0x1000000000);
	sh_try(&m);
	E(rv_lr_d(RV_A2, RV_A4));
	sh_trapped(&m, CAUSE_LOAD_ACCESS, 0x1000000000, "lr without memory");
	sh_try(&m);
	E(rv_amoadd_d(RV_A2, RV_A2, RV_A4));
	sh_trapped(&m, CAUSE_STORE_ACCESS, 0x1000000000, "amo without memory");
	sh_run(&m);
	sh_close(&m);
}

#define HARTS  4
#define ROUNDS 20000

/*
 * All harts run `body`, which ends by counting itself in at DATA + 0x40;
 * hart 0 waits for all of them. Registers a0 = hartid, s0 = DATA.
 */
static void everywhere(void (*body)(void))
{
	rv_label entry = rv_label_new(&m.p), over = rv_label_new(&m.p);
	rv_label wait, done = rv_label_new(&m.p), skip;
	unsigned h;

	rv_jump(&m.p, RV_ZERO, over);
	rv_bind(&m.p, entry);
	sh_li(&m, RV_S0, DATA);
	rv_jump(&m.p, RV_S1, done); /* a call; back here on return */
	E(rv_fence(3, 3));
	sh_li(&m, RV_T0, 1);
	E(rv_addi(RV_T1, RV_S0, 0x40));
	E(rv_amoadd_d(RV_ZERO, RV_T0, RV_T1));
	sh_sbi(&m, SBI_HSM, 1); /* stop */
	rv_bind(&m.p, done);
	body();
	E(rv_jalr(RV_ZERO, RV_S1, 0));
	rv_bind(&m.p, over);
	/* with OpenSBI (tests against other machines) hart 0 may not be us */
	E(rv_mv(RV_S2, RV_A0));
	for (h = 0; h < HARTS; h++) {
		skip = rv_label_new(&m.p);
		sh_li(&m, RV_A0, h);
		rv_branch(&m.p, RV_BEQ, RV_A0, RV_S2, skip);
		rv_la(&m.p, RV_A1, entry);
		sh_li(&m, RV_A2, 0);
		sh_sbi(&m, SBI_HSM, 0); /* start */
		E(rv_add(RV_S3, RV_S3, RV_A0));
		rv_bind(&m.p, skip);
	}
	sh_expect(&m, RV_ZERO, 0, "all started");
	sh_li(&m, RV_S0, DATA);
	rv_jump(&m.p, RV_S1, done);
	sh_li(&m, RV_T0, HARTS - 1);
	wait = rv_label_here(&m.p);
	E(rv_ld(RV_T1, RV_S0, 0x40));
	rv_branch(&m.p, RV_BNE, RV_T1, RV_T0, wait);
	E(rv_fence(3, 3));
}

static void body_amo(void)
{
	rv_label loop;

	sh_li(&m, RV_T0, ROUNDS);
	sh_li(&m, RV_T1, 1);
	E(rv_addi(RV_T2, RV_S0, 8));
	E(rv_addi(RV_T3, RV_S0, 20));
	loop = rv_label_here(&m.p);
	E(rv_amoadd_d(RV_ZERO, RV_T1, RV_S0));
	E(rv_amoadd_w(RV_ZERO, RV_T1, RV_T2));
	E(rv_amoxor_w(RV_ZERO, RV_T0, RV_T3)); /* each value 4 times: 0 */
	E(rv_addi(RV_T0, RV_T0, -1));
	rv_branch(&m.p, RV_BNE, RV_T0, RV_ZERO, loop);
}

/* A lock of lr/sc around a plain counter, and a counter of lr/sc alone. */
static void body_lock(void)
{
	rv_label loop, spin, again;

	sh_li(&m, RV_T0, ROUNDS);
	sh_li(&m, RV_T1, 1);
	E(rv_addi(RV_T2, RV_S0, 0x100));
	loop = rv_label_here(&m.p);
	spin = rv_label_here(&m.p);
	E(rv_aq(rv_lr_w(RV_T3, RV_S0)));
	rv_branch(&m.p, RV_BNE, RV_T3, RV_ZERO, spin);
	E(rv_sc_w(RV_T3, RV_T1, RV_S0));
	rv_branch(&m.p, RV_BNE, RV_T3, RV_ZERO, spin);
	E(rv_fence(2, 3));
	E(rv_ld(RV_T4, RV_S0, 0x80)); /* far from the lock */
	E(rv_addi(RV_T4, RV_T4, 1));
	E(rv_sd(RV_T4, RV_S0, 0x80));
	E(rv_fence(3, 1));
	E(rv_sw(RV_ZERO, RV_S0, 0));
	again = rv_label_here(&m.p);
	E(rv_lr_d(RV_T3, RV_T2));
	E(rv_addi(RV_T3, RV_T3, 3));
	E(rv_sc_d(RV_T4, RV_T3, RV_T2));
	rv_branch(&m.p, RV_BNE, RV_T4, RV_ZERO, again);
	E(rv_addi(RV_T0, RV_T0, -1));
	rv_branch(&m.p, RV_BNE, RV_T0, RV_ZERO, loop);
}

static void several(void)
{
	sh_open(&m, HARTS);
	everywhere(body_amo);
	E(rv_ld(RV_A0, RV_S0, 0));
	sh_expect(&m, RV_A0, HARTS * ROUNDS, "amoadd.d by 4 harts");
	E(rv_ld(RV_A0, RV_S0, 8));
	sh_expect(&m, RV_A0, HARTS * ROUNDS, "amoadd.w by 4 harts");
	E(rv_ld(RV_A0, RV_S0, 16));
	sh_expect(&m, RV_A0, 0, "amoxor.w by 4 harts");
	sh_run(&m);
	sh_close(&m);

	sh_open(&m, HARTS);
	everywhere(body_lock);
	E(rv_ld(RV_A0, RV_S0, 0x80));
	sh_expect(&m, RV_A0, HARTS * ROUNDS, "counter under a lock");
	E(rv_ld(RV_A0, RV_S0, 0x100));
	sh_expect(&m, RV_A0, 3 * HARTS * ROUNDS, "counter by lr/sc");
	sh_run(&m);
	sh_close(&m);
}

/*
 * A store by another hart between lr and sc makes the sc fail. (One of the
 * value that is there already should too; the CPU compares values, and says
 * so: vmm/soft/amo.c. That is not tested.)
 */
static void stolen(void)
{
	static const char *const thief[] = {
		"sd", "sw to the upper half", "sb", "amoswap.d"};
	rv_label entry, over, loop, wait;
	size_t i;

	for (i = 0; i < N(thief); i++) {
		sh_open(&m, 2);
		entry = rv_label_new(&m.p);
		over = rv_label_new(&m.p);
		rv_jump(&m.p, RV_ZERO, over);
		rv_bind(&m.p, entry);
		sh_li(&m, RV_S0, DATA);
		loop = rv_label_here(&m.p);
		E(rv_ld(RV_T0, RV_S0, 0x40)); /* told to go? */
		rv_branch(&m.p, RV_BEQ, RV_T0, RV_ZERO, loop);
		sh_li(&m, RV_T1, 9);
		switch (i) {
		case 0:
			E(rv_sd(RV_T1, RV_S0, 0));
			break;
		case 1:
			E(rv_sw(RV_T1, RV_S0, 4));
			break;
		case 2:
			E(rv_sb(RV_T1, RV_S0, 0));
			break;
		default:
			E(rv_amoswap_d(RV_ZERO, RV_T1, RV_S0));
			break;
		}
		E(rv_fence(3, 3));
		sh_li(&m, RV_T1, 1);
		E(rv_sd(RV_T1, RV_S0, 0x80)); /* done */
		sh_sbi(&m, SBI_HSM, 1);
		rv_bind(&m.p, over);
		E(rv_xori(RV_A0, RV_A0, 1)); /* the other hart */
		rv_la(&m.p, RV_A1, entry);
		sh_sbi(&m, SBI_HSM, 0);
		sh_expect(&m, RV_A0, 0, "hart started");
		sh_li(&m, RV_S0, DATA);
		sh_li(&m, RV_T1, 1);
		E(rv_lr_d(RV_T0, RV_S0));
		E(rv_sd(RV_T1, RV_S0, 0x40));
		wait = rv_label_here(&m.p);
		E(rv_ld(RV_T0, RV_S0, 0x80));
		rv_branch(&m.p, RV_BEQ, RV_T0, RV_ZERO, wait);
		sh_li(&m, RV_T2, 55);
		E(rv_sc_d(RV_T1, RV_T2, RV_S0));
		E(rv_sltu(RV_T1, RV_ZERO, RV_T1));
		sh_expect(
			&m, RV_T1, 1, "sc after %s by another hart", thief[i]);
		sh_run(&m);
		sh_close(&m);
	}
}

int main(void)
{
	sh_watchdog(120);
	values();
	misaligned();
	reserved_pair();
	several();
	stolen();
	return sh_end("soft_amo", TEST_END("soft_amo, host side"));
}
