/* SPDX-License-Identifier: MIT */
/*
 * ops.h - the operations that instructions are decoded to
 *
 * One list gives the numbers decode.c and rvc.c use and the labels of the
 * dispatch loop in exec.c, so that the two can not disagree. Compressed
 * instructions have no operations of their own (unprivileged spec, chapter
 * "C": each expands to one base instruction).
 */
#ifndef VMM_SOFT_OPS_H
#define VMM_SOFT_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/soft/isa.h"

/* By groups of the specification. */
/* clang-format off */
#define OPS(X) \
	X(END) X(ILLEGAL) \
	X(ADD) X(SUB) X(SLL) X(SLT) X(SLTU) \
	X(XOR) X(SRL) X(SRA) X(OR) X(AND) \
	X(ADDW) X(SUBW) X(SLLW) X(SRLW) X(SRAW) \
	X(ADDI) X(SLTI) X(SLTIU) X(XORI) X(ORI) \
	X(ANDI) X(SLLI) X(SRLI) X(SRAI) \
	X(ADDIW) X(SLLIW) X(SRLIW) X(SRAIW) X(LI) X(MV) X(AUIPC) \
	X(MUL) X(MULH) X(MULHSU) X(MULHU) X(DIV) X(DIVU) X(REM) X(REMU) \
	X(MULW) X(DIVW) X(DIVUW) X(REMW) X(REMUW) \
	X(BEQ) X(BNE) X(BLT) X(BGE) X(BLTU) X(BGEU) X(BEQZ) X(BNEZ) \
	X(J) X(JAL) X(JALR) \
	X(LB) X(LH) X(LW) X(LD) X(LBU) X(LHU) \
	X(LWU) X(SB) X(SH) X(SW) X(SD) \
	X(FLW) X(FLD) X(FSW) X(FSD) X(FP) \
	X(AMO) X(FENCE) X(FENCE_I) X(SFENCE_VMA) \
	X(CSR) X(ECALL) X(EBREAK) X(SRET) X(WFI) \
	X(ADDUW) X(SH1ADD) X(SH2ADD) X(SH3ADD) \
	X(SH1ADDUW) X(SH2ADDUW) X(SH3ADDUW) X(SLLIUW) \
	X(ANDN) X(ORN) X(XNOR) X(CLZ) X(CTZ) X(CPOP) X(CLZW) X(CTZW) X(CPOPW) \
	X(MIN) X(MINU) X(MAX) X(MAXU) X(SEXTB) X(SEXTH) X(ZEXTH) \
	X(ROL) X(ROR) X(RORI) X(ROLW) X(RORW) X(RORIW) X(ORCB) X(REV8) \
	X(BCLR) X(BEXT) X(BINV) X(BSET) X(BCLRI) X(BEXTI) X(BINVI) X(BSETI) \
	X(CBO) X(PAUSE) X(SFENCE_ORDER)
/* clang-format on */

#define OP_ENUM(name) OP_##name,
enum op { OPS(OP_ENUM) OPS_COUNT };
#undef OP_ENUM

#define X_SINK 32 /* the register that writes to x0 go to */

/* What a decoder says about one instruction. */
struct decoded {
	enum op op;
	int32_t imm;
	uint8_t rd, rs1, rs2;
	uint8_t ext; /* enum isa_ext: which it belongs to */
};

static inline struct decoded make(
	enum op op, unsigned rd, unsigned rs1, unsigned rs2, int32_t imm)
{
	return (struct decoded){
		.op = op,
		.imm = imm,
		.rd = (uint8_t)(rd ? rd : X_SINK),
		.rs1 = (uint8_t)rs1,
		.rs2 = (uint8_t)rs2,
	};
}

static inline struct decoded needs(enum isa_ext ext, struct decoded d)
{
	d.ext = (uint8_t)ext;
	return d;
}

static inline struct decoded illegal(void)
{
	return make(OP_ILLEGAL, 0, 0, 0, 0);
}

/* bits[1:0] == 3 / != 3. Anything unknown is OP_ILLEGAL. */
struct decoded decode_32(uint32_t bits);
struct decoded decode_16(uint16_t bits);
/* Part of decode_32(): Zba, Zbb, Zbs. */
struct decoded decode_b(uint32_t bits);
/* Does this operation end a block? */
bool op_ends_block(enum op op);

#endif
