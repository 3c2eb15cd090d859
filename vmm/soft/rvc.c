/* SPDX-License-Identifier: MIT */
/*
 * rvc.c - 16-bit instructions
 *
 * Unprivileged spec, chapter "C", RV64 tables. Each expands to the operation
 * of its base instruction. Reserved encodings are illegal; HINTs (such as
 * c.li with rd x0) execute as the base instruction does, without effect.
 */
#include "vmm/soft/ops.h"

/* Bits [low, low + count) of the instruction, moved to position `to`. */
static int32_t bit(uint16_t c, unsigned low, unsigned count, unsigned to)
{
	return (int32_t)(((c >> low) & ((1u << count) - 1)) << to);
}

/* The immediate of c.addi, c.li, c.andi: imm[5] = c[12], imm[4:0] = c[6:2]. */
static int32_t imm6(uint16_t c)
{
	return -bit(c, 12, 1, 5) + bit(c, 2, 5, 0);
}

static int32_t shamt6(uint16_t c)
{
	return bit(c, 12, 1, 5) + bit(c, 2, 5, 0);
}

static int32_t offset_w(uint16_t c)
{
	return bit(c, 10, 3, 3) + bit(c, 6, 1, 2) + bit(c, 5, 1, 6);
}

static int32_t offset_d(uint16_t c)
{
	return bit(c, 10, 3, 3) + bit(c, 5, 2, 6);
}

static int32_t offset_j(uint16_t c)
{
	return -bit(c, 12, 1, 11) + bit(c, 11, 1, 4) + bit(c, 9, 2, 8) +
	       bit(c, 8, 1, 10) + bit(c, 7, 1, 6) + bit(c, 6, 1, 7) +
	       bit(c, 3, 3, 1) + bit(c, 2, 1, 5);
}

static int32_t offset_b(uint16_t c)
{
	return -bit(c, 12, 1, 8) + bit(c, 10, 2, 3) + bit(c, 5, 2, 6) +
	       bit(c, 3, 2, 1) + bit(c, 2, 1, 5);
}

static struct decoded quadrant0(uint16_t c)
{
	unsigned r1 = 8u + (c >> 7 & 7), r2 = 8u + (c >> 2 & 7);
	struct decoded d;
	int32_t imm;

	switch (c >> 13) {
	case 0: /* c.addi4spn */
		imm = bit(c, 11, 2, 4) + bit(c, 7, 4, 6) + bit(c, 6, 1, 2) +
		      bit(c, 5, 1, 3);
		return imm ? make(OP_ADDI, r2, 2, 0, imm) : illegal();
	case 1:
		d = make(OP_FLD, 0, r1, 0, offset_d(c));
		d.rd = (uint8_t)r2;
		return needs(ISA_D, d);
	case 2:
		return make(OP_LW, r2, r1, 0, offset_w(c));
	case 3:
		return make(OP_LD, r2, r1, 0, offset_d(c));
	case 5:
		return needs(ISA_D, make(OP_FSD, 0, r1, r2, offset_d(c)));
	case 6:
		return make(OP_SW, 0, r1, r2, offset_w(c));
	case 7:
		return make(OP_SD, 0, r1, r2, offset_d(c));
	}
	return illegal();
}

/* c.srli, c.srai, c.andi and the register-register forms */
static struct decoded quadrant1_arith(uint16_t c)
{
	static const uint8_t op[8] = {OP_SUB, OP_XOR, OP_OR, OP_AND, OP_SUBW,
		OP_ADDW, OP_ILLEGAL, OP_ILLEGAL};
	unsigned r1 = 8u + (c >> 7 & 7), r2 = 8u + (c >> 2 & 7);

	switch (c >> 10 & 3) {
	case 0:
		return make(OP_SRLI, r1, r1, 0, shamt6(c));
	case 1:
		return make(OP_SRAI, r1, r1, 0, shamt6(c));
	case 2:
		return make(OP_ANDI, r1, r1, 0, imm6(c));
	}
	return make(op[(c >> 12 & 1) << 2 | (c >> 5 & 3)], r1, r1, r2, 0);
}

static struct decoded quadrant1(uint16_t c)
{
	unsigned rd = c >> 7 & 31, r1 = 8u + (c >> 7 & 7);
	int32_t imm;

	switch (c >> 13) {
	case 0:
		return make(OP_ADDI, rd, rd, 0, imm6(c));
	case 1:
		return rd ? make(OP_ADDIW, rd, rd, 0, imm6(c)) : illegal();
	case 2:
		return make(OP_LI, rd, 0, 0, imm6(c));
	case 3:
		if (rd == 2) {
			imm = -bit(c, 12, 1, 9) + bit(c, 6, 1, 4) +
			      bit(c, 5, 1, 6) + bit(c, 3, 2, 7) +
			      bit(c, 2, 1, 5);
			return imm ? make(OP_ADDI, 2, 2, 0, imm) : illegal();
		}
		imm = imm6(c) * 4096;
		return imm ? make(OP_LI, rd, 0, 0, imm) : illegal();
	case 4:
		return quadrant1_arith(c);
	case 5:
		return make(OP_J, 0, 0, 0, offset_j(c));
	case 6:
		return make(OP_BEQZ, 0, r1, 0, offset_b(c));
	default:
		return make(OP_BNEZ, 0, r1, 0, offset_b(c));
	}
}

/* c.jr, c.mv, c.ebreak, c.jalr, c.add */
static struct decoded quadrant2_jump(uint16_t c)
{
	unsigned rd = c >> 7 & 31, rs2 = c >> 2 & 31;
	bool link = c >> 12 & 1;

	if (rs2)
		return link ? make(OP_ADD, rd, rd, rs2, 0)
			    : make(OP_MV, rd, rs2, 0, 0);
	if (rd)
		return make(OP_JALR, link, rd, 0, 0);
	return link ? make(OP_EBREAK, 0, 0, 0, 0) : illegal();
}

static struct decoded quadrant2(uint16_t c)
{
	unsigned rd = c >> 7 & 31, rs2 = c >> 2 & 31;
	int32_t off_dsp = bit(c, 12, 1, 5) + bit(c, 5, 2, 3) + bit(c, 2, 3, 6);
	int32_t off_sdsp = bit(c, 10, 3, 3) + bit(c, 7, 3, 6);
	struct decoded d;

	switch (c >> 13) {
	case 0:
		return make(OP_SLLI, rd, rd, 0, shamt6(c));
	case 1:
		d = make(OP_FLD, 0, 2, 0, off_dsp);
		d.rd = (uint8_t)rd;
		return needs(ISA_D, d);
	case 2:
		if (!rd)
			return illegal();
		return make(OP_LW, rd, 2, 0,
			bit(c, 12, 1, 5) + bit(c, 4, 3, 2) + bit(c, 2, 2, 6));
	case 3:
		return rd ? make(OP_LD, rd, 2, 0, off_dsp) : illegal();
	case 4:
		return quadrant2_jump(c);
	case 5:
		return needs(ISA_D, make(OP_FSD, 0, 2, rs2, off_sdsp));
	case 6:
		return make(
			OP_SW, 0, 2, rs2, bit(c, 9, 4, 2) + bit(c, 7, 2, 6));
	default:
		return make(OP_SD, 0, 2, rs2, off_sdsp);
	}
}

struct decoded decode_16(uint16_t c)
{
	switch (c & 3) {
	case 0:
		return quadrant0(c);
	case 1:
		return quadrant1(c);
	default:
		return quadrant2(c);
	}
}
