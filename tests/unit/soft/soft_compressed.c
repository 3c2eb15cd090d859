/* SPDX-License-Identifier: MIT */
/*
 * soft_compressed.c - every instruction of the C extension, RV64
 *
 * Volume I, chapter 16, tables 16.5 to 16.7: what each form does with corner
 * operands, that hints do nothing, and that reserved encodings trap.
 */
#include "tests/unit/soft/soft_harness.h"

#include "tests/unit/test.h"

static struct sh m;

#define E(insn) sh_e(&m, insn)
#define C(insn) sh_c(&m, insn)
#define N(a)    (sizeof(a) / sizeof((a)[0]))

static const uint64_t edge[] = {0, 1, UINT64_MAX, 0x7fffffff, 0x80000000,
	0xffffffff, 0x100000000, INT64_MAX, (uint64_t)INT64_MIN,
	0x123456789abcdef0, 0xfedcba9876543210};

static uint64_t sext32(uint64_t v)
{
	return (uint64_t)(int64_t)(int32_t)(uint32_t)v;
}

static void arithmetic(void)
{
	size_t i, j;
	unsigned r;
	int k;

	sh_open(&m, 1);
	for (k = -32; k < 32; k++) {
		uint64_t v = (uint64_t)(int64_t)k;

		C(rv_c_li(RV_A0, k));
		sh_expect(&m, RV_A0, v, "c.li %d", k);
		if (k) {
			C(rv_c_lui(RV_T3, k));
			sh_expect(&m, RV_T3, v << 12, "c.lui %d", k);
		}
		for (i = 0; i < N(edge); i++) {
			sh_li(&m, RV_A5, edge[i]);
			C(rv_c_andi(RV_A5, k));
			sh_expect(&m, RV_A5, edge[i] & v, "c.andi %d", k);
			sh_li(&m, RV_T6, edge[i]);
			C(rv_c_addi(RV_T6, k));
			sh_expect(&m, RV_T6, edge[i] + v, "c.addi %d", k);
			sh_li(&m, RV_T5, edge[i]);
			C(rv_c_addiw(RV_T5, k));
			sh_expect(&m, RV_T5, sext32(edge[i] + v), "c.addiw %d",
				k);
		}
	}
	for (k = 1; k < 64; k++)
		for (i = 0; i < N(edge); i++) {
			sh_li(&m, RV_T4, edge[i]);
			C(rv_c_slli(RV_T4, (unsigned)k));
			sh_expect(&m, RV_T4, edge[i] << k, "c.slli %d", k);
			sh_li(&m, RV_S0, edge[i]);
			C(rv_c_srli(RV_S0, k));
			sh_expect(&m, RV_S0, edge[i] >> k, "c.srli %d", k);
			sh_li(&m, RV_A3, edge[i]);
			C(rv_c_srai(RV_A3, k));
			sh_expect(&m, RV_A3, (uint64_t)((int64_t)edge[i] >> k),
				"c.srai %d", k);
		}
	for (i = 0; i < N(edge); i++)
		for (j = 0; j < N(edge); j++) {
			uint64_t a = edge[i], b = edge[j];

#define T(name, expr)                                          \
	sh_li(&m, RV_S1, a);                                   \
	sh_li(&m, RV_A4, b);                                   \
	C(rv_c_##name(RV_S1, RV_A4));                          \
	sh_expect(&m, RV_S1, expr, "c." #name " %#llx, %#llx", \
		(unsigned long long)a, (unsigned long long)b);
			T(sub, a - b)
			T(xor, a ^ b)
			T(or, a | b)
			T(and, a & b)
			T(subw, sext32(a - b))
			T(addw, sext32(a + b))
			T(add, a + b)
			T(mv, b)
#undef T
		}
	/* all registers in c.mv, c.add and the 3-bit fields */
	for (r = 1; r < 32; r++) {
		if (r >= 24 && r < 28)
			continue;
		sh_li(&m, r, r * 1000 + 7);
		C(rv_c_mv(RV_S9, r));
		sh_expect(&m, RV_S9, r * 1000 + 7, "c.mv s9, x%u", r);
		sh_li(&m, RV_S9, 5);
		C(rv_c_add(r, RV_S9));
		sh_expect(&m, r, r * 1000 + 12, "c.add x%u, s9", r);
	}
	for (r = 8; r < 16; r++) {
		unsigned q = r == 15 ? 8 : r + 1;

		sh_li(&m, r, 100 * r);
		sh_li(&m, q, 3);
		C(rv_c_sub(r, q));
		sh_expect(&m, r, 100 * r - 3, "c.sub x%u, x%u", r, q);
	}
	/* sp */
	for (k = -512; k < 512; k += 16) {
		if (!k)
			continue;
		sh_li(&m, RV_SP, 0x12345678000);
		C(rv_c_addi16sp(k));
		sh_expect(&m, RV_SP, 0x12345678000 + (uint64_t)(int64_t)k,
			"c.addi16sp %d", k);
	}
	sh_li(&m, RV_SP, 0xfffffffffffffff0);
	for (k = 4; k < 1024; k += 4) {
		C(rv_c_addi4spn(RV_A2, (uint32_t)k));
		sh_expect(&m, RV_A2, 0xfffffffffffffff0 + (uint64_t)k,
			"c.addi4spn %d", k);
	}
	/* c.lui sign-extends from bit 17; lui of sp's neighbours */
	C(rv_c_lui(RV_RA, -1));
	sh_expect(&m, RV_RA, 0xfffffffffffff000, "c.lui ra, -1");
	C(rv_c_lui(RV_GP, 31));
	sh_expect(&m, RV_GP, 0x1f000, "c.lui gp, 31");
	sh_run(&m);
	sh_close(&m);
}

/* Chapter 16.7: code points that are hints change nothing. */
static void hints(void)
{
	static const struct {
		uint16_t insn;
		const char *name;
	} hint[] = {
		{0x0001, "c.nop"},
		{0x0005, "c.nop 1"},
		{0x107d, "c.nop -1"},
		{0x4001, "c.li x0, 0"},
		{0x507d, "c.li x0, -1"},
		{0x6005, "c.lui x0, 1"},
		{0x707d, "c.lui x0, -1"},
		{0x8002 | 5 << 2, "c.mv x0, t0"},
		{0x9002 | 5 << 2, "c.add x0, t0"},
		{0x9002 | 2 << 2, "c.ntl.p1: c.add x0, sp"},
		{0x0006, "c.slli x0, 1"},
		{0x107e, "c.slli x0, 63"},
		{0x0281, "c.addi t0, 0"},
		{0x0282, "c.slli t0, 0 (slli64)"},
		{0x8001, "c.srli s0, 0 (srli64)"},
		{0x8401, "c.srai s0, 0 (srai64)"},
	};
	size_t i;

	sh_open(&m, 1);
	for (i = 0; i < N(hint); i++) {
		sh_li(&m, RV_T0, 0x8000000012345678);
		sh_li(&m, RV_S0, 0x9000000012345678);
		C(hint[i].insn);
		sh_expect(&m, RV_ZERO, 0, "x0 after %s", hint[i].name);
		sh_expect(&m, RV_T0, 0x8000000012345678, "t0 after %s",
			hint[i].name);
		sh_expect(&m, RV_S0, 0x9000000012345678, "s0 after %s",
			hint[i].name);
	}
	sh_run(&m);
	sh_close(&m);
}

static void memory(void)
{
	uint64_t base = DATA + 0x1000, v;
	uint32_t k;
	size_t i;

	sh_open(&m, 1);
	for (i = 0; i < 0x2000; i++)
		*((uint8_t *)sh_at(&m, DATA) + i) =
			(uint8_t)(i * 41 + (i >> 7));
	/* FS on, for c.fld and others */
	sh_li(&m, RV_T0, SSTATUS_FS);
	E(rv_csrrs(RV_ZERO, RV_CSR_SSTATUS, RV_T0));
	sh_li(&m, RV_A0, base);
	sh_li(&m, RV_SP, base + 0x400);
	for (k = 0; k < 128; k += 4) {
		memcpy(&v, sh_at(&m, base + k), 8);
		C(rv_c_lw(RV_A1, RV_A0, k));
		sh_expect(&m, RV_A1, sext32(v), "c.lw %u", k);
	}
	for (k = 0; k < 256; k += 8) {
		memcpy(&v, sh_at(&m, base + k), 8);
		C(rv_c_ld(RV_A5, RV_A0, k));
		sh_expect(&m, RV_A5, v, "c.ld %u", k);
		C(rv_c_fld(RV_FA3, RV_A0, k));
		E(rv_fmv_x_d(RV_T1, RV_FA3));
		sh_expect(&m, RV_T1, v, "c.fld %u", k);
	}
	for (k = 0; k < 256; k += 4) {
		memcpy(&v, sh_at(&m, base + 0x400 + k), 8);
		C(rv_c_lwsp(RV_T4, k));
		sh_expect(&m, RV_T4, sext32(v), "c.lwsp %u", k);
	}
	for (k = 0; k < 512; k += 8) {
		memcpy(&v, sh_at(&m, base + 0x400 + k), 8);
		C(rv_c_ldsp(RV_T4, k));
		sh_expect(&m, RV_T4, v, "c.ldsp %u", k);
		C(rv_c_fldsp(RV_FT11, k));
		E(rv_fmv_x_d(RV_T1, RV_FT11));
		sh_expect(&m, RV_T1, v, "c.fldsp %u", k);
		C(rv_c_fldsp(RV_FT0, k)); /* f0 is not special */
		E(rv_fmv_x_d(RV_T1, RV_FT0));
		sh_expect(&m, RV_T1, v, "c.fldsp ft0 %u", k);
	}
	/* stores, each read back with its neighbours by plain loads */
	base = DATA + 0x10000;
	sh_li(&m, RV_A0, base);
	sh_li(&m, RV_SP, base + 0x400);
	sh_li(&m, RV_A1, UINT64_MAX);
	sh_li(&m, RV_A2, 0x0123456789abcdef);
	E(rv_fmv_d_x(RV_FA4, RV_A2));
	E(rv_fmv_d_x(RV_FT10, RV_A2));
#define T(insn, where, len, text)                                              \
	E(rv_sd(RV_A1, where, (int)k & ~7));                                   \
	C(insn);                                                               \
	E(rv_ld(RV_T1, where, (int)k & ~7));                                   \
	v = UINT64_MAX;                                                        \
	memcpy((char *)&v + (k & 7), "\xef\xcd\xab\x89\x67\x45\x23\x01", len); \
	sh_expect(&m, RV_T1, v, text " %u", k);
	for (k = 0; k < 128; k += 4) {
		T(rv_c_sw(RV_A2, RV_A0, k), RV_A0, 4, "c.sw")
	}
	for (k = 0; k < 256; k += 8) {
		T(rv_c_sd(RV_A2, RV_A0, k), RV_A0, 8, "c.sd")
		T(rv_c_fsd(RV_FA4, RV_A0, k), RV_A0, 8, "c.fsd")
	}
	for (k = 0; k < 256; k += 4) {
		T(rv_c_swsp(RV_A2, k), RV_SP, 4, "c.swsp")
	}
	for (k = 0; k < 512; k += 8) {
		T(rv_c_sdsp(RV_A2, k), RV_SP, 8, "c.sdsp")
		T(rv_c_fsdsp(RV_FT10, k), RV_SP, 8, "c.fsdsp")
	}
#undef T
	C(rv_c_sdsp(RV_ZERO, 8));
	C(rv_c_ldsp(RV_T1, 8));
	sh_expect(&m, RV_T1, 0, "c.sdsp zero");
	sh_run(&m);
	sh_close(&m);
}

static void control(void)
{
	static const int32_t far[] = {-256, -128, -64, -2, 4, 64, 128, 254};
	static const int32_t farj[] = {-2048, -1024, -512, -256, -128, -64, -32,
		-16, -2, 4, 16, 32, 64, 128, 256, 512, 1024, 2046};
	uint64_t pc, v;
	size_t i;
	int32_t k;

	sh_open(&m, 1);
	for (v = 0; v < 3; v++) {
		uint64_t a = v == 2 ? 0x100000000 : v;

		sh_li(&m, RV_S0, a);
		C(rv_c_li(RV_A1, 1));
		C(rv_c_beqz(RV_S0, 4));
		C(rv_c_li(RV_A1, 0));
		sh_expect(&m, RV_A1, a == 0, "c.beqz %#llx",
			(unsigned long long)a);
		C(rv_c_li(RV_A1, 1));
		C(rv_c_bnez(RV_S0, 4));
		C(rv_c_li(RV_A1, 0));
		sh_expect(&m, RV_A1, a != 0, "c.bnez %#llx",
			(unsigned long long)a);
	}
	/*
	 * Each distance: a field of c.nop with c.j in the middle that jumps
	 * into another c.j, which leaves. Wrong distances run into c.li.
	 */
	for (i = 0; i < N(far) + N(farj); i++) {
		bool jump = i >= N(far);
		int32_t d = jump ? farj[i - N(far)] : far[i];
		int32_t span = jump ? 2048 : 256;
		size_t from, at, end;

		C(rv_c_li(RV_A1, 1));
		C(rv_c_li(RV_A0, 0));
		E(rv_jal(RV_ZERO, span + 4));
		from = m.p.size + (size_t)span; /* the jump under test */
		at = from + (size_t)(int64_t)d;
		end = from + (size_t)span + 8;
		while (m.p.size < end) {
			if (m.p.size == at && at + 2 == from) {
				/* only 2 bytes: go on over the jump */
				C(rv_c_j(2 + 2 + 2));
			} else if (m.p.size == at) {
				E(rv_jal(RV_ZERO, (int32_t)(end - at)));
			} else if (m.p.size == from) {
				C(jump ? rv_c_j(d) : rv_c_beqz(RV_A0, d));
				if (d == -2)
					C(rv_c_li(RV_A1, 0));
				if (d == -2)
					E(rv_jal(RV_ZERO,
						(int32_t)(end - m.p.size)));
			} else {
				C(rv_c_li(RV_A1, 0));
			}
		}
		sh_expect(&m, RV_A1, 1, "c.%s %d", jump ? "j" : "beqz", d);
	}
	/* c.jr, c.jalr: the link is 2 further; bit 0 is cleared */
	for (k = 0; k < 2; k++) {
		C(rv_c_li(RV_A1, 1));
		E(rv_auipc(RV_A2, 0));
		E(rv_addi(RV_A2, RV_A2, 12 + k));
		C(rv_c_jr(RV_A2));
		C(rv_c_li(RV_A1, 0));
		sh_expect(&m, RV_A1, 1, "c.jr");
		pc = sh_pc(&m);
		E(rv_auipc(RV_A2, 0));
		E(rv_addi(RV_A2, RV_A2, 12 + k));
		C(rv_c_jalr(RV_A2));
		C(rv_c_li(RV_A1, 0));
		sh_expect(&m, RV_A1, 1, "c.jalr");
		sh_expect(&m, RV_RA, pc + 10, "c.jalr links");
		pc = sh_pc(&m);
		E(rv_auipc(RV_RA, 0));
		E(rv_addi(RV_RA, RV_RA, 12 + k));
		C(rv_c_jalr(RV_RA)); /* the target is read before the link */
		C(rv_c_li(RV_A1, 0));
		sh_expect(&m, RV_A1, 1, "c.jalr ra");
		sh_expect(&m, RV_RA, pc + 10, "c.jalr ra links");
	}
	sh_try(&m);
	C(rv_c_ebreak());
	sh_trapped_at(
		&m, CAUSE_BREAKPOINT, SH_ANY, RAM + m.try_pc, 0, 0, "c.ebreak");
	sh_run(&m);
	sh_close(&m);
}

/* Reserved encodings; stval is the instruction or 0 (volume II, 4.1.9). */
static void reserved(void)
{
	static const struct {
		uint16_t insn;
		const char *name;
	} bad[] = {
		{0x0000, "defined illegal"},
		{0x0004, "c.addi4spn with 0, rd 9"},
		{0x001c, "c.addi4spn with 0, rd 15"},
		{0x8000, "quadrant 0, funct3 4"},
		{0x9ffc, "quadrant 0, funct3 4, all ones"},
		{0x2001, "c.addiw x0, 0"},
		{0x207d, "c.addiw x0, 31"},
		{0x6101, "c.addi16sp 0"},
		{0x6281, "c.lui t0, 0"},
		{0x6081, "c.lui ra, 0"},
		{0x9c41, "quadrant 1, c.subw group, 2"},
		{0x9c61, "quadrant 1, c.subw group, 3"},
		{0x4002, "c.lwsp x0"},
		{0x5002, "c.lwsp x0, 32"},
		{0x6002, "c.ldsp x0"},
		{0x707e, "c.ldsp x0, max"},
		{0x8002, "c.jr x0"},
	};
	size_t i;

	sh_open(&m, 1);
	for (i = 0; i < N(bad); i++) {
		sh_try(&m);
		C(bad[i].insn);
		sh_trapped(&m, CAUSE_ILLEGAL, bad[i].insn, "%s", bad[i].name);
	}
	/* FS off: the FP loads and stores are illegal */
	sh_li(&m, RV_T0, SSTATUS_FS);
	E(rv_csrrc(RV_ZERO, RV_CSR_SSTATUS, RV_T0));
	sh_li(&m, RV_A0, DATA);
	sh_li(&m, RV_SP, DATA);
#define T(insn)     \
	sh_try(&m); \
	C(insn);    \
	sh_trapped(&m, CAUSE_ILLEGAL, insn, "FS off: " #insn);
	T(rv_c_fld(RV_FA0, RV_A0, 0))
	T(rv_c_fsd(RV_FA0, RV_A0, 0))
	T(rv_c_fldsp(RV_FA0, 0))
	T(rv_c_fsdsp(RV_FA0, 0))
#undef T
	sh_run(&m);
	sh_close(&m);
}

int main(void)
{
	sh_watchdog(60);
	arithmetic();
	hints();
	memory();
	control();
	reserved();
	return sh_end(
		"soft_compressed", TEST_END("soft_compressed, host side"));
}
