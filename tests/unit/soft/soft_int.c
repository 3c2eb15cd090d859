/* SPDX-License-Identifier: MIT */
/*
 * soft_int.c - RV64I and M, every instruction with edge operands
 *
 * The expected values are computed here from volume I, chapters 2 (RV32I),
 * 5 (RV64I) and 7 ("M", table 7.1 for division by zero and overflow).
 */
#include "tests/unit/soft/soft_harness.h"

#include "tests/unit/test.h"

static struct sh m;

#define E(insn) sh_e(&m, insn)
#define N(a)    (sizeof(a) / sizeof((a)[0]))

static const uint64_t edge[] = {0, 1, 2, 3, 31, 32, 63, 64, UINT64_MAX,
	UINT64_MAX - 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
	0xffffffff80000000, 0xffffffff7fffffff, INT64_MAX, (uint64_t)INT64_MIN,
	(uint64_t)INT64_MIN + 1, 0x123456789abcdef0, 0xfedcba9876543210};

static uint64_t sext32(uint64_t v)
{
	return (uint64_t)(int64_t)(int32_t)(uint32_t)v;
}

static uint64_t mulh(uint64_t a, uint64_t b)
{
	return (uint64_t)(((__int128)(int64_t)a * (int64_t)b) >> 64);
}

static uint64_t mulhu(uint64_t a, uint64_t b)
{
	return (uint64_t)(((unsigned __int128)a * b) >> 64);
}

static uint64_t mulhsu(uint64_t a, uint64_t b)
{
	return mulhu(a, b) - ((int64_t)a < 0 ? b : 0);
}

static uint64_t divs(uint64_t a, uint64_t b)
{
	if (!b)
		return UINT64_MAX;
	if (a == (uint64_t)INT64_MIN && b == UINT64_MAX)
		return a;
	return (uint64_t)((int64_t)a / (int64_t)b);
}

static uint64_t rems(uint64_t a, uint64_t b)
{
	if (!b)
		return a;
	if (a == (uint64_t)INT64_MIN && b == UINT64_MAX)
		return 0;
	return (uint64_t)((int64_t)a % (int64_t)b);
}

static uint64_t divw(uint64_t a, uint64_t b)
{
	int64_t x = (int32_t)a, y = (int32_t)b;

	return y ? sext32((uint64_t)(x / y)) : UINT64_MAX;
}

static uint64_t remw(uint64_t a, uint64_t b)
{
	int64_t x = (int32_t)a, y = (int32_t)b;

	return y ? sext32((uint64_t)(x % y)) : sext32(a);
}

static uint64_t divuw(uint64_t a, uint64_t b)
{
	return (uint32_t)b ? sext32((uint32_t)a / (uint32_t)b) : UINT64_MAX;
}

static uint64_t remuw(uint64_t a, uint64_t b)
{
	return sext32((uint32_t)b ? (uint32_t)a % (uint32_t)b : a);
}

static uint64_t sra(uint64_t a, uint64_t b)
{
	return (uint64_t)((int64_t)a >> (b & 63));
}

static uint64_t sraw(uint64_t a, uint64_t b)
{
	return (uint64_t)(int64_t)((int32_t)a >> (b & 31));
}

struct op {
	const char *name;
	uint32_t (*insn)(unsigned rd, unsigned rs1, unsigned rs2);
	uint64_t (*value)(uint64_t a, uint64_t b);
};

#define F(name, expr)                                    \
	static uint64_t v_##name(uint64_t a, uint64_t b) \
	{                                                \
		return expr;                             \
	}
F(add, a + b)
F(sub, a - b)
F(sll, a << (b & 63))
F(slt, (int64_t)a < (int64_t)b)
F(sltu, a < b)
F(xor, a ^ b)
F(srl, a >> (b & 63))
F(or, a | b)
F(and, a &b)
F(addw, sext32(a + b))
F(subw, sext32(a - b))
F(sllw, sext32((uint32_t)a << (b & 31)))
F(srlw, sext32((uint32_t)a >> (b & 31)))
F(mul, a *b)
F(divu, b ? a / b : UINT64_MAX)
F(remu, b ? a % b : a)
F(mulw, sext32(a *b))
#undef F

static const struct op ops[] = {
	{"add", rv_add, v_add},
	{"sub", rv_sub, v_sub},
	{"sll", rv_sll, v_sll},
	{"slt", rv_slt, v_slt},
	{"sltu", rv_sltu, v_sltu},
	{"xor", rv_xor, v_xor},
	{"srl", rv_srl, v_srl},
	{"sra", rv_sra, sra},
	{"or", rv_or, v_or},
	{"and", rv_and, v_and},
	{"addw", rv_addw, v_addw},
	{"subw", rv_subw, v_subw},
	{"sllw", rv_sllw, v_sllw},
	{"srlw", rv_srlw, v_srlw},
	{"sraw", rv_sraw, sraw},
	{"mul", rv_mul, v_mul},
	{"mulh", rv_mulh, mulh},
	{"mulhsu", rv_mulhsu, mulhsu},
	{"mulhu", rv_mulhu, mulhu},
	{"div", rv_div, divs},
	{"divu", rv_divu, v_divu},
	{"rem", rv_rem, rems},
	{"remu", rv_remu, v_remu},
	{"mulw", rv_mulw, v_mulw},
	{"divw", rv_divw, divw},
	{"divuw", rv_divuw, divuw},
	{"remw", rv_remw, remw},
	{"remuw", rv_remuw, remuw},
};

/* Registers change from vector to vector; s8 to s11 are the harness's. */
static unsigned reg(unsigned n)
{
	unsigned r = 1 + n % 27;

	return r < 24 ? r : r + 4;
}

static void registers(void)
{
	size_t i, j, k;
	unsigned n = 0;

	for (i = 0; i < N(ops); i++) {
		sh_open(&m, 1);
		for (j = 0; j < N(edge); j++) {
			for (k = 0; k < N(edge); k++, n++) {
				unsigned a = reg(n), b = reg(n * 7 + 3);
				unsigned d = reg(n * 5 + 1);
				uint64_t x = a == b ? edge[k] : edge[j];

				sh_li(&m, a, edge[j]);
				sh_li(&m, b, edge[k]);
				E(ops[i].insn(d, a, b));
				sh_expect(&m, d, ops[i].value(x, edge[k]),
					"%s x%u,x%u,x%u %#llx %#llx",
					ops[i].name, d, a, b,
					(unsigned long long)x,
					(unsigned long long)edge[k]);
			}
			/* both operands and the result the same register */
			sh_li(&m, RV_T0, edge[j]);
			E(ops[i].insn(RV_T0, RV_T0, RV_T0));
			sh_expect(&m, RV_T0, ops[i].value(edge[j], edge[j]),
				"%s same", ops[i].name);
		}
		/* x0 as source and as destination */
		sh_li(&m, RV_T0, 77);
		E(ops[i].insn(RV_A0, RV_ZERO, RV_T0));
		sh_expect(&m, RV_A0, ops[i].value(0, 77), "%s a0, zero, t0",
			ops[i].name);
		E(ops[i].insn(RV_A0, RV_T0, RV_ZERO));
		sh_expect(&m, RV_A0, ops[i].value(77, 0), "%s a0, t0, zero",
			ops[i].name);
		E(ops[i].insn(RV_ZERO, RV_T0, RV_T0));
		sh_expect(&m, RV_ZERO, 0, "%s zero, t0, t0", ops[i].name);
		sh_run(&m);
		sh_close(&m);
	}
}

static void immediates(void)
{
	static const int32_t imm[] = {
		0, 1, -1, 2, 2047, -2048, 0x555, -0x556, 1024, 31, 32, 63};
	static const struct {
		const char *name;
		uint32_t (*insn)(unsigned rd, unsigned rs1, int32_t imm);
		uint64_t (*value)(uint64_t a, uint64_t b);
	} iop[] = {
		{"addi", rv_addi, v_add},
		{"slti", rv_slti, v_slt},
		{"sltiu", rv_sltiu, v_sltu},
		{"xori", rv_xori, v_xor},
		{"ori", rv_ori, v_or},
		{"andi", rv_andi, v_and},
		{"addiw", rv_addiw, v_addw},
	};
	static const struct {
		const char *name;
		uint32_t (*insn)(unsigned rd, unsigned rs1, unsigned shamt);
		uint64_t (*value)(uint64_t a, uint64_t b);
		unsigned bits;
	} sop[] = {
		{"slli", rv_slli, v_sll, 64},
		{"srli", rv_srli, v_srl, 64},
		{"srai", rv_srai, sra, 64},
		{"slliw", rv_slliw, v_sllw, 32},
		{"srliw", rv_srliw, v_srlw, 32},
		{"sraiw", rv_sraiw, sraw, 32},
	};
	size_t i, j, k;
	unsigned n = 0, d;

	sh_open(&m, 1);
	for (i = 0; i < N(iop); i++)
		for (j = 0; j < N(edge); j++)
			for (k = 0; k < N(imm); k++, n++) {
				d = reg(n * 3);
				sh_li(&m, reg(n), edge[j]);
				E(iop[i].insn(d, reg(n), imm[k]));
				sh_expect(&m, d,
					iop[i].value(edge[j],
						(uint64_t)(int64_t)imm[k]),
					"%s %#llx, %d", iop[i].name,
					(unsigned long long)edge[j], imm[k]);
			}
	for (i = 0; i < N(sop); i++)
		for (j = 10; j < N(edge); j++)
			for (k = 0; k < sop[i].bits; k++, n++) {
				d = reg(n * 3);
				sh_li(&m, reg(n), edge[j]);
				E(sop[i].insn(d, reg(n), (unsigned)k));
				sh_expect(&m, d, sop[i].value(edge[j], k),
					"%s %#llx, %zu", sop[i].name,
					(unsigned long long)edge[j], k);
			}
	/* hints, and writes to x0 */
	E(rv_addi(RV_ZERO, RV_ZERO, 5));
	E(rv_addi(RV_ZERO, RV_T0, 5));
	E(rv_slli(RV_ZERO, RV_ZERO, 0x1f));
	E(rv_lui(RV_ZERO, 0xfffff));
	E(rv_auipc(RV_ZERO, 0xfffff));
	sh_expect(&m, RV_ZERO, 0, "x0 after writes");
	sh_run(&m);
	sh_close(&m);
}

static void upper(void)
{
	static const uint32_t field[] = {
		0, 1, 0x7ffff, 0x80000, 0xfffff, 0x12345, 0xedcba};
	size_t i;
	unsigned r;

	sh_open(&m, 1);
	for (i = 0; i < N(field); i++) {
		uint64_t v = sext32((uint64_t)field[i] << 12), pc;

		E(rv_lui(RV_A0, field[i]));
		sh_expect(&m, RV_A0, v, "lui %#x", field[i]);
		pc = sh_pc(&m);
		E(rv_auipc(RV_A0, field[i]));
		sh_expect(&m, RV_A0, pc + v, "auipc %#x", field[i]);
		sh_c(&m, rv_c_nop()); /* a pc that is 2 modulo 4 */
		pc = sh_pc(&m);
		E(rv_auipc(RV_A0, field[i]));
		sh_expect(&m, RV_A0, pc + v, "auipc %#x", field[i]);
	}
	/* all registers hold what they are given, at the same time */
	for (r = 1; r < 24; r++)
		sh_li(&m, r, 0x0123456789abcdef * r);
	for (r = 28; r < 32; r++)
		sh_li(&m, r, 0x0123456789abcdef * r);
	for (r = 1; r < 32; r++)
		if (r < 24 || r > 27)
			sh_expect(&m, r, 0x0123456789abcdef * r, "x%u", r);
	sh_run(&m);
	sh_close(&m);
}

static void jumps(void)
{
	uint64_t pc;
	int odd;
	rv_label forth, back, over;

	sh_open(&m, 1);
	for (odd = 0; odd < 2; odd++) {
		if (odd)
			sh_c(&m, rv_c_nop());
		/* forwards */
		E(rv_addi(RV_A1, RV_ZERO, 1));
		pc = sh_pc(&m);
		E(rv_jal(RV_A0, 8));
		E(rv_addi(RV_A1, RV_ZERO, 2));
		sh_expect(&m, RV_A0, pc + 4, "jal links");
		sh_expect(&m, RV_A1, 1, "jal jumps");
		/* a target that is 2 modulo 4 */
		E(rv_jal(RV_ZERO, 6));
		sh_c(&m, rv_c_li(RV_A1, 3));
		sh_expect(&m, RV_A1, 1, "jal over 2 bytes");
		/* backwards */
		forth = rv_label_new(&m.p);
		over = rv_label_new(&m.p);
		rv_jump(&m.p, RV_ZERO, over);
		back = rv_label_here(&m.p);
		E(rv_addi(RV_A1, RV_A1, 10));
		rv_jump(&m.p, RV_ZERO, forth);
		rv_bind(&m.p, over);
		pc = sh_pc(&m);
		rv_jump(&m.p, RV_RA, back);
		E(rv_addi(RV_A1, RV_A1, 20));
		rv_bind(&m.p, forth);
		sh_expect(&m, RV_A1, 11, "jal back and forth");
		sh_expect(&m, RV_RA, pc + 4, "jal back links");
		/* jalr: bit 0 of the sum is cleared; rd may be rs1 */
		pc = sh_pc(&m);
		E(rv_auipc(RV_A2, 0));
		E(rv_jalr(RV_A2, RV_A2, 13));
		E(rv_addi(RV_A1, RV_ZERO, 4));
		sh_expect(&m, RV_A2, pc + 8, "jalr links, rd = rs1");
		sh_expect(&m, RV_A1, 11, "jalr jumps");
		pc = sh_pc(&m);
		E(rv_auipc(RV_A2, 0));
		E(rv_addi(RV_A2, RV_A2, 2047)); /* odd base, odd offset */
		E(rv_jalr(RV_A3, RV_A2, -2031));
		E(rv_addi(RV_A1, RV_ZERO, 5));
		sh_expect(&m, RV_A1, 11, "jalr jumps, odd base");
		sh_expect(&m, RV_A3, pc + 12, "jalr with a negative offset");
	}
	sh_run(&m);
	sh_close(&m);
}

static void branches(void)
{
	static const struct {
		const char *name;
		uint32_t (*insn)(unsigned rs1, unsigned rs2, int32_t d);
	} bop[] = {
		{"beq", rv_beq},
		{"bne", rv_bne},
		{"blt", rv_blt},
		{"bge", rv_bge},
		{"bltu", rv_bltu},
		{"bgeu", rv_bgeu},
	};
	size_t i, j, k;

	sh_open(&m, 1);
	for (i = 0; i < N(bop); i++) {
		for (j = 0; j < N(edge); j++)
			for (k = 0; k < N(edge); k++) {
				uint64_t a = edge[j], b = edge[k];
				bool taken = i == 0   ? a == b
					     : i == 1 ? a != b
					     : i == 2 ? (int64_t)a < (int64_t)b
					     : i == 3 ? (int64_t)a >= (int64_t)b
					     : i == 4 ? a < b
						      : a >= b;

				sh_li(&m, RV_A0, a);
				sh_li(&m, RV_A1, b);
				sh_li(&m, RV_A2, 1);
				E(bop[i].insn(RV_A0, RV_A1, 8));
				E(rv_mv(RV_A2, RV_ZERO));
				sh_expect(&m, RV_A2, taken, "%s %#llx, %#llx",
					bop[i].name, (unsigned long long)a,
					(unsigned long long)b);
			}
		/* same register; x0; backwards */
		sh_li(&m, RV_A2, 1);
		E(bop[i].insn(RV_A2, RV_A2, 8));
		E(rv_mv(RV_A2, RV_ZERO));
		sh_expect(&m, RV_A2, i == 0 || i == 3 || i == 5, "%s same",
			bop[i].name);
	}
	/* a loop of 1000 rounds */
	sh_li(&m, RV_A0, 1000);
	sh_li(&m, RV_A1, 0);
	E(rv_addi(RV_A1, RV_A1, 3));
	E(rv_addi(RV_A0, RV_A0, -1));
	E(rv_bne(RV_A0, RV_ZERO, -8));
	sh_expect(&m, RV_A1, 3000, "loop");
	/* the ends of the range: +4094, then -4096 */
	sh_li(&m, RV_A1, 0);
	E(rv_jal(RV_ZERO, 6));
	sh_c(&m, rv_c_addi(RV_A1, 1)); /* -4096 leads here */
	E(rv_beq(RV_A1, RV_ZERO, 4094));
	E(rv_jal(RV_ZERO, 4094));
	for (i = 8; i < 4094; i += 2)
		sh_c(&m, rv_c_nop());
	E(rv_beq(RV_ZERO, RV_ZERO, -4096)); /* 4094 leads here */
	sh_expect(&m, RV_A1, 1, "far branches");
	sh_run(&m);
	sh_close(&m);
}

static void memory(void)
{
	static const int32_t off[] = {0, 8, -8, 2047, -2048, 1, -1, 3, 5};
	static const struct {
		const char *name;
		uint32_t (*insn)(unsigned rd, unsigned rs1, int32_t imm);
		unsigned len;
		bool is_signed;
	} lop[] = {
		{"lb", rv_lb, 1, true},
		{"lh", rv_lh, 2, true},
		{"lw", rv_lw, 4, true},
		{"ld", rv_ld, 8, true},
		{"lbu", rv_lbu, 1, false},
		{"lhu", rv_lhu, 2, false},
		{"lwu", rv_lwu, 4, false},
	};
	static const struct {
		const char *name;
		uint32_t (*insn)(unsigned rs2, unsigned rs1, int32_t imm);
		unsigned len;
	} stop[] = {
		{"sb", rv_sb, 1},
		{"sh", rv_sh, 2},
		{"sw", rv_sw, 4},
		{"sd", rv_sd, 8},
	};
	uint64_t base = DATA + 0x10000;
	size_t i, j, k;
	unsigned d;

	sh_open(&m, 1);
	for (i = 0; i < 0x20000; i++)
		*((uint8_t *)sh_at(&m, DATA) + i) =
			(uint8_t)(i * 37 + (i >> 8));
	for (i = 0; i < N(lop); i++)
		for (j = 0; j < N(off); j++)
			for (k = 0; k < 16; k++) {
				uint64_t at = base + k * 515, v = 0;

				memcpy(&v,
					sh_at(&m,
						at + (uint64_t)(int64_t)off[j]),
					lop[i].len);
				d = 64 - 8 * lop[i].len;
				if (lop[i].is_signed)
					v = (uint64_t)((int64_t)(v << d) >> d);
				sh_li(&m, RV_A0, at);
				d = k & 1 ? RV_A0 : RV_T6;
				E(lop[i].insn(d, RV_A0, off[j]));
				sh_expect(&m, d, v, "%s %d(%#llx)", lop[i].name,
					off[j], (unsigned long long)at);
			}
	sh_li(&m, RV_A0, base);
	E(rv_ld(RV_ZERO, RV_A0, 0));
	sh_expect(&m, RV_ZERO, 0, "ld zero");
	/* stores: only the bytes stored change */
	base = DATA + 0x100000;
	for (i = 0; i < N(stop); i++)
		for (j = 0; j < 9; j++, base += 64) {
			uint64_t v = 0xf1e2d3c4b5a69788 + j, have[3];

			sh_li(&m, RV_A0, base + 2048);
			sh_li(&m, RV_A1, UINT64_MAX);
			for (k = 0; k < 3; k++)
				E(rv_sd(RV_A1, RV_A0, -2048 + 8 * (int)k));
			sh_li(&m, RV_A1, v);
			E(stop[i].insn(RV_A1, RV_A0, -2048 + (int)j));
			memset(have, 0xff, sizeof(have));
			memcpy((char *)have + j, &v, stop[i].len);
			for (k = 0; k < 3; k++) {
				E(rv_ld(RV_A2, RV_A0, -2048 + 8 * (int)k));
				sh_expect(&m, RV_A2, have[k], "%s + %zu",
					stop[i].name, j);
			}
		}
	sh_li(&m, RV_A0, base);
	E(rv_sd(RV_A0, RV_A0, 0)); /* address and value from one register */
	E(rv_ld(RV_A1, RV_A0, 0));
	sh_expect(&m, RV_A1, base, "sd a0, (a0)");
	E(rv_sd(RV_ZERO, RV_A0, 0));
	E(rv_ld(RV_A1, RV_A0, 0));
	sh_expect(&m, RV_A1, 0, "sd zero");
	/* fences do nothing that one hart can see, reserved ones included */
	E(rv_fence(15, 15));
	E(rv_fence(0, 0));
	E(rv_fence(1, 0)); /* pause */
	E(rv_fence_tso());
	E(rv_fence_i());
	/* reserved fm, rd and rs1 are ignored */
	E(rv_type_i(0x0f, RV_T0, 0, RV_T1, 0x4ff));
	sh_expect(&m, RV_ZERO, 0, "after fences");
	sh_run(&m);
	sh_close(&m);
}

int main(void)
{
	sh_watchdog(120);
	registers();
	immediates();
	upper();
	jumps();
	branches();
	memory();
	return sh_end("soft_int", TEST_END("soft_int, host side"));
}
