/* SPDX-License-Identifier: MIT */
/*
 * decode_b.c - bit manipulation: Zba, Zbb, Zbs
 *
 * Unprivileged spec, chapter "B" (version 1.0.0 of the extension). They use
 * what the base instructions leave free of the opcodes OP, OP-IMM and their
 * word forms; decode.c asks here for what it does not know.
 */
#include "vmm/soft/ops.h"

static struct decoded zba(
	enum op op, unsigned rd, unsigned rs1, unsigned rs2, int32_t imm)
{
	return needs(ISA_ZBA, make(op, rd, rs1, rs2, imm));
}

static struct decoded zbb(
	enum op op, unsigned rd, unsigned rs1, unsigned rs2, int32_t imm)
{
	return needs(ISA_ZBB, make(op, rd, rs1, rs2, imm));
}

static struct decoded zbs(
	enum op op, unsigned rd, unsigned rs1, unsigned rs2, int32_t imm)
{
	return needs(ISA_ZBS, make(op, rd, rs1, rs2, imm));
}

/* funct7 and funct3 of a register form as one number. */
#define KEY(funct7, funct3) ((funct7) << 3 | (funct3))

static struct decoded reg(unsigned key, unsigned rd, unsigned a, unsigned b)
{
	switch (key) {
	case KEY(0x10, 2):
		return zba(OP_SH1ADD, rd, a, b, 0);
	case KEY(0x10, 4):
		return zba(OP_SH2ADD, rd, a, b, 0);
	case KEY(0x10, 6):
		return zba(OP_SH3ADD, rd, a, b, 0);
	case KEY(0x20, 4):
		return zbb(OP_XNOR, rd, a, b, 0);
	case KEY(0x20, 6):
		return zbb(OP_ORN, rd, a, b, 0);
	case KEY(0x20, 7):
		return zbb(OP_ANDN, rd, a, b, 0);
	case KEY(0x05, 4):
		return zbb(OP_MIN, rd, a, b, 0);
	case KEY(0x05, 5):
		return zbb(OP_MINU, rd, a, b, 0);
	case KEY(0x05, 6):
		return zbb(OP_MAX, rd, a, b, 0);
	case KEY(0x05, 7):
		return zbb(OP_MAXU, rd, a, b, 0);
	case KEY(0x30, 1):
		return zbb(OP_ROL, rd, a, b, 0);
	case KEY(0x30, 5):
		return zbb(OP_ROR, rd, a, b, 0);
	case KEY(0x24, 1):
		return zbs(OP_BCLR, rd, a, b, 0);
	case KEY(0x24, 5):
		return zbs(OP_BEXT, rd, a, b, 0);
	case KEY(0x34, 1):
		return zbs(OP_BINV, rd, a, b, 0);
	case KEY(0x14, 1):
		return zbs(OP_BSET, rd, a, b, 0);
	}
	return illegal();
}

static struct decoded reg_w(unsigned key, unsigned rd, unsigned a, unsigned b)
{
	switch (key) {
	case KEY(0x04, 0):
		return zba(OP_ADDUW, rd, a, b, 0);
	case KEY(0x10, 2):
		return zba(OP_SH1ADDUW, rd, a, b, 0);
	case KEY(0x10, 4):
		return zba(OP_SH2ADDUW, rd, a, b, 0);
	case KEY(0x10, 6):
		return zba(OP_SH3ADDUW, rd, a, b, 0);
	case KEY(0x04, 4):
		return b == 0 ? zbb(OP_ZEXTH, rd, a, 0, 0) : illegal();
	case KEY(0x30, 1):
		return zbb(OP_ROLW, rd, a, b, 0);
	case KEY(0x30, 5):
		return zbb(OP_RORW, rd, a, b, 0);
	}
	return illegal();
}

/* OP-IMM: shifts with a six-bit amount, and functions of one operand. */
static struct decoded imm(uint32_t bits, unsigned rd, unsigned a)
{
	unsigned funct3 = bits >> 12 & 7;
	int32_t shamt = (int32_t)(bits >> 20 & 63);

	switch ((bits >> 26) << 3 | funct3) {
	case 0x12 << 3 | 1:
		return zbs(OP_BCLRI, rd, a, 0, shamt);
	case 0x12 << 3 | 5:
		return zbs(OP_BEXTI, rd, a, 0, shamt);
	case 0x1a << 3 | 1:
		return zbs(OP_BINVI, rd, a, 0, shamt);
	case 0x0a << 3 | 1:
		return zbs(OP_BSETI, rd, a, 0, shamt);
	case 0x18 << 3 | 5:
		return zbb(OP_RORI, rd, a, 0, shamt);
	}
	switch ((bits >> 20) << 3 | funct3) {
	case 0x600 << 3 | 1:
		return zbb(OP_CLZ, rd, a, 0, 0);
	case 0x601 << 3 | 1:
		return zbb(OP_CTZ, rd, a, 0, 0);
	case 0x602 << 3 | 1:
		return zbb(OP_CPOP, rd, a, 0, 0);
	case 0x604 << 3 | 1:
		return zbb(OP_SEXTB, rd, a, 0, 0);
	case 0x605 << 3 | 1:
		return zbb(OP_SEXTH, rd, a, 0, 0);
	case 0x287 << 3 | 5:
		return zbb(OP_ORCB, rd, a, 0, 0);
	case 0x6b8 << 3 | 5:
		return zbb(OP_REV8, rd, a, 0, 0);
	}
	return illegal();
}

static struct decoded imm_w(uint32_t bits, unsigned rd, unsigned a)
{
	unsigned funct3 = bits >> 12 & 7;

	if (bits >> 26 == 0x02 && funct3 == 1)
		return zba(OP_SLLIUW, rd, a, 0, (int32_t)(bits >> 20 & 63));
	if (bits >> 25 == 0x30 && funct3 == 5)
		return zbb(OP_RORIW, rd, a, 0, (int32_t)(bits >> 20 & 31));
	switch ((bits >> 20) << 3 | funct3) {
	case 0x600 << 3 | 1:
		return zbb(OP_CLZW, rd, a, 0, 0);
	case 0x601 << 3 | 1:
		return zbb(OP_CTZW, rd, a, 0, 0);
	case 0x602 << 3 | 1:
		return zbb(OP_CPOPW, rd, a, 0, 0);
	}
	return illegal();
}

struct decoded decode_b(uint32_t bits)
{
	unsigned rd = bits >> 7 & 31, a = bits >> 15 & 31, b = bits >> 20 & 31;
	unsigned key = KEY(bits >> 25, bits >> 12 & 7);

	switch (bits & 0x7f) {
	case 0x13:
		return imm(bits, rd, a);
	case 0x1b:
		return imm_w(bits, rd, a);
	case 0x33:
		return reg(key, rd, a, b);
	case 0x3b:
		return reg_w(key, rd, a, b);
	}
	return illegal();
}
