/* SPDX-License-Identifier: MIT */
/*
 * rvasm.h - a small RISC-V assembler, for guests that are written in C
 *
 * Two layers. An encoder is a pure function per instruction: rv_addi(rd, rs1,
 * imm) is the 32-bit word of `addi rd, rs1, imm`, rv_c_mv(rd, rs2) the 16-bit
 * word of `c.mv rd, rs2`. A builder, struct rv_program, collects such words
 * in a buffer of the caller's and knows labels, jumps to labels that are not
 * bound yet, and constants of 64 bits.
 *
 * Names and operand order are those of the assembly language: dots become
 * underscores; `lw rd, imm(rs1)` is rv_lw(rd, rs1, imm) and `sw rs2,
 * imm(rs1)` is rv_sw(rs2, rs1, imm); `amoadd.w rd, rs2, (rs1)` is
 * rv_amoadd_w(rd, rs2, rs1). FP instructions that round end with the
 * rounding mode. Registers are plain numbers, 0 to 31.
 *
 * An encoder cannot fail: an operand that does not fit its field is cut. The
 * builder checks what it computes itself (distances to labels, room).
 *
 * Sources: The RISC-V Instruction Set Manual, volume I (20191213): chapter
 * 24 "RV32/64G Instruction Set Listings", chapter 16 "C"; volume II
 * (20211203): chapter 2 (CSR numbers) and 3.3, 4.2 (privileged instructions).
 *
 * The tables below have one line per instruction, so that a test can walk
 * them and compare every encoder with another assembler.
 */
#ifndef VMM_RVASM_H
#define VMM_RVASM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memslot/cdefs.h"

MEMSLOT_BEGIN_DECLS

/* ---- registers and constants ------------------------------------------ */

/* Integer registers by their names in the calling convention. */
enum rv_reg {
	RV_ZERO,
	RV_RA,
	RV_SP,
	RV_GP,
	RV_TP,
	RV_T0,
	RV_T1,
	RV_T2,
	RV_S0,
	RV_S1,
	RV_A0,
	RV_A1,
	RV_A2,
	RV_A3,
	RV_A4,
	RV_A5,
	RV_A6,
	RV_A7,
	RV_S2,
	RV_S3,
	RV_S4,
	RV_S5,
	RV_S6,
	RV_S7,
	RV_S8,
	RV_S9,
	RV_S10,
	RV_S11,
	RV_T3,
	RV_T4,
	RV_T5,
	RV_T6,
};

/* Floating-point registers. */
enum rv_freg {
	RV_FT0,
	RV_FT1,
	RV_FT2,
	RV_FT3,
	RV_FT4,
	RV_FT5,
	RV_FT6,
	RV_FT7,
	RV_FS0,
	RV_FS1,
	RV_FA0,
	RV_FA1,
	RV_FA2,
	RV_FA3,
	RV_FA4,
	RV_FA5,
	RV_FA6,
	RV_FA7,
	RV_FS2,
	RV_FS3,
	RV_FS4,
	RV_FS5,
	RV_FS6,
	RV_FS7,
	RV_FS8,
	RV_FS9,
	RV_FS10,
	RV_FS11,
	RV_FT8,
	RV_FT9,
	RV_FT10,
	RV_FT11,
};

/* Rounding modes, as in the rm field and in frm. */
enum rv_rm {
	RV_RNE = 0, /* to nearest, ties to even */
	RV_RTZ = 1, /* towards zero */
	RV_RDN = 2, /* down */
	RV_RUP = 3, /* up */
	RV_RMM = 4, /* to nearest, ties to max magnitude */
	RV_DYN = 7, /* what frm says */
};

/* Control and status registers, as far as an S mode guest meets them. */
enum rv_csr {
	RV_CSR_FFLAGS = 0x001,
	RV_CSR_FRM = 0x002,
	RV_CSR_FCSR = 0x003,
	RV_CSR_SSTATUS = 0x100,
	RV_CSR_SIE = 0x104,
	RV_CSR_STVEC = 0x105,
	RV_CSR_SCOUNTEREN = 0x106,
	RV_CSR_SENVCFG = 0x10a,
	RV_CSR_SSCRATCH = 0x140,
	RV_CSR_SEPC = 0x141,
	RV_CSR_SCAUSE = 0x142,
	RV_CSR_STVAL = 0x143,
	RV_CSR_SIP = 0x144,
	RV_CSR_STIMECMP = 0x14d,
	RV_CSR_SATP = 0x180,
	RV_CSR_CYCLE = 0xc00,
	RV_CSR_TIME = 0xc01,
	RV_CSR_INSTRET = 0xc02,
};

/* ---- fields ------------------------------------------------------------ */

/* `width` bits of v, from bit `from`, placed at bit `to`. */
static inline uint32_t rv_field(
	uint64_t v, unsigned from, unsigned width, unsigned to)
{
	return ((uint32_t)(v >> from) & (((uint32_t)1 << width) - 1)) << to;
}

/* The formats of chapter 2.2 and 2.3. */
static inline uint32_t rv_type_r(unsigned opcode, unsigned rd, unsigned f3,
	unsigned rs1, unsigned rs2, unsigned f7)
{
	return opcode | rv_field(rd, 0, 5, 7) | rv_field(f3, 0, 3, 12) |
	       rv_field(rs1, 0, 5, 15) | rv_field(rs2, 0, 5, 20) |
	       rv_field(f7, 0, 7, 25);
}

static inline uint32_t rv_type_i(
	unsigned opcode, unsigned rd, unsigned f3, unsigned rs1, int32_t imm)
{
	return opcode | rv_field(rd, 0, 5, 7) | rv_field(f3, 0, 3, 12) |
	       rv_field(rs1, 0, 5, 15) | rv_field((uint32_t)imm, 0, 12, 20);
}

static inline uint32_t rv_type_s(
	unsigned opcode, unsigned f3, unsigned rs1, unsigned rs2, int32_t imm)
{
	return opcode | rv_field((uint32_t)imm, 0, 5, 7) |
	       rv_field(f3, 0, 3, 12) | rv_field(rs1, 0, 5, 15) |
	       rv_field(rs2, 0, 5, 20) | rv_field((uint32_t)imm, 5, 7, 25);
}

static inline uint32_t rv_type_b(
	unsigned opcode, unsigned f3, unsigned rs1, unsigned rs2, int32_t imm)
{
	uint32_t v = (uint32_t)imm;

	return opcode | rv_field(v, 11, 1, 7) | rv_field(v, 1, 4, 8) |
	       rv_field(f3, 0, 3, 12) | rv_field(rs1, 0, 5, 15) |
	       rv_field(rs2, 0, 5, 20) | rv_field(v, 5, 6, 25) |
	       rv_field(v, 12, 1, 31);
}

static inline uint32_t rv_type_u(unsigned opcode, unsigned rd, uint32_t imm20)
{
	return opcode | rv_field(rd, 0, 5, 7) | rv_field(imm20, 0, 20, 12);
}

static inline uint32_t rv_type_j(unsigned opcode, unsigned rd, int32_t imm)
{
	uint32_t v = (uint32_t)imm;

	return opcode | rv_field(rd, 0, 5, 7) | rv_field(v, 12, 8, 12) |
	       rv_field(v, 11, 1, 20) | rv_field(v, 1, 10, 21) |
	       rv_field(v, 20, 1, 31);
}

static inline uint32_t rv_type_r4(unsigned opcode, unsigned rd, unsigned rm,
	unsigned rs1, unsigned rs2, unsigned rs3, unsigned fmt)
{
	return opcode | rv_field(rd, 0, 5, 7) | rv_field(rm, 0, 3, 12) |
	       rv_field(rs1, 0, 5, 15) | rv_field(rs2, 0, 5, 20) |
	       rv_field(fmt, 0, 2, 25) | rv_field(rs3, 0, 5, 27);
}

/* ---- tables: RV64I, M --------------------------------------------------- */

/* rd, rs1, rs2: opcode, funct3, funct7 */
#define RV_TABLE_R(X)          \
	X(add, 0x33, 0, 0x00)  \
	X(sub, 0x33, 0, 0x20)  \
	X(sll, 0x33, 1, 0x00)  \
	X(slt, 0x33, 2, 0x00)  \
	X(sltu, 0x33, 3, 0x00) \
	X(xor, 0x33, 4, 0x00)  \
	X(srl, 0x33, 5, 0x00)  \
	X(sra, 0x33, 5, 0x20)  \
	X(or, 0x33, 6, 0x00)   \
	X(and, 0x33, 7, 0x00)  \
	X(addw, 0x3b, 0, 0x00) \
	X(subw, 0x3b, 0, 0x20) \
	X(sllw, 0x3b, 1, 0x00) \
	X(srlw, 0x3b, 5, 0x00) \
	X(sraw, 0x3b, 5, 0x20) \
	X(mul, 0x33, 0, 0x01)  \
	X(mulh, 0x33, 1, 0x01) \
	X(mulhsu, 0x33, 2, 1)  \
	X(mulhu, 0x33, 3, 1)   \
	X(div, 0x33, 4, 0x01)  \
	X(divu, 0x33, 5, 0x01) \
	X(rem, 0x33, 6, 0x01)  \
	X(remu, 0x33, 7, 0x01) \
	X(mulw, 0x3b, 0, 0x01) \
	X(divw, 0x3b, 4, 0x01) \
	X(divuw, 0x3b, 5, 1)   \
	X(remw, 0x3b, 6, 0x01) \
	X(remuw, 0x3b, 7, 1)

/* rd, rs1, imm (12 bits, signed): opcode, funct3 */
#define RV_TABLE_I(X)     \
	X(addi, 0x13, 0)  \
	X(slti, 0x13, 2)  \
	X(sltiu, 0x13, 3) \
	X(xori, 0x13, 4)  \
	X(ori, 0x13, 6)   \
	X(andi, 0x13, 7)  \
	X(addiw, 0x1b, 0)

/* rd, rs1, imm, written `rd, imm(rs1)`: opcode, funct3 */
#define RV_TABLE_LOAD(X) \
	X(lb, 0x03, 0)   \
	X(lh, 0x03, 1)   \
	X(lw, 0x03, 2)   \
	X(ld, 0x03, 3)   \
	X(lbu, 0x03, 4)  \
	X(lhu, 0x03, 5)  \
	X(lwu, 0x03, 6)  \
	X(jalr, 0x67, 0)

/* rs2, rs1, imm, written `rs2, imm(rs1)`: opcode, funct3 */
#define RV_TABLE_STORE(X) \
	X(sb, 0x23, 0)    \
	X(sh, 0x23, 1)    \
	X(sw, 0x23, 2)    \
	X(sd, 0x23, 3)

/* fd, rs1, imm and fs2, rs1, imm */
#define RV_TABLE_FLOAD(X) \
	X(flw, 0x07, 2)   \
	X(fld, 0x07, 3)
#define RV_TABLE_FSTORE(X) \
	X(fsw, 0x27, 2)    \
	X(fsd, 0x27, 3)

/* rd, rs1, shamt: opcode, funct3, bits 31:26, bits of shamt */
#define RV_TABLE_SHIFT(X)         \
	X(slli, 0x13, 1, 0x00, 6) \
	X(srli, 0x13, 5, 0x00, 6) \
	X(srai, 0x13, 5, 0x10, 6) \
	X(slliw, 0x1b, 1, 0x0, 5) \
	X(srliw, 0x1b, 5, 0x0, 5) \
	X(sraiw, 0x1b, 5, 0x10, 5)

/* rs1, rs2, distance in bytes (13 bits, signed, even): funct3 */
#define RV_TABLE_BRANCH(X) \
	X(beq, 0)          \
	X(bne, 1)          \
	X(blt, 4)          \
	X(bge, 5)          \
	X(bltu, 6)         \
	X(bgeu, 7)

/* rd, the 20 bits of the field: opcode */
#define RV_TABLE_U(X) \
	X(lui, 0x37)  \
	X(auipc, 0x17)

/* rd, csr, rs1 / rd, csr, 5 bits: funct3 */
#define RV_TABLE_CSR(X) \
	X(csrrw, 1)     \
	X(csrrs, 2)     \
	X(csrrc, 3)
#define RV_TABLE_CSRI(X) \
	X(csrrwi, 5)     \
	X(csrrsi, 6)     \
	X(csrrci, 7)

/* without operands: the word */
#define RV_TABLE_PLAIN(X)      \
	X(nop, 0x00000013)     \
	X(fence_i, 0x0000100f) \
	X(ecall, 0x00000073)   \
	X(ebreak, 0x00100073)  \
	X(sret, 0x10200073)    \
	X(mret, 0x30200073)    \
	X(wfi, 0x10500073)

/* ---- tables: A ---------------------------------------------------------- */

/* rd, rs2, rs1, written `rd, rs2, (rs1)`: bits 31:27, funct3 */
#define RV_TABLE_AMO(X)       \
	X(sc_w, 0x03, 2)      \
	X(amoswap_w, 0x01, 2) \
	X(amoadd_w, 0x00, 2)  \
	X(amoxor_w, 0x04, 2)  \
	X(amoand_w, 0x0c, 2)  \
	X(amoor_w, 0x08, 2)   \
	X(amomin_w, 0x10, 2)  \
	X(amomax_w, 0x14, 2)  \
	X(amominu_w, 0x18, 2) \
	X(amomaxu_w, 0x1c, 2) \
	X(sc_d, 0x03, 3)      \
	X(amoswap_d, 0x01, 3) \
	X(amoadd_d, 0x00, 3)  \
	X(amoxor_d, 0x04, 3)  \
	X(amoand_d, 0x0c, 3)  \
	X(amoor_d, 0x08, 3)   \
	X(amomin_d, 0x10, 3)  \
	X(amomax_d, 0x14, 3)  \
	X(amominu_d, 0x18, 3) \
	X(amomaxu_d, 0x1c, 3)

/* rd, rs1, written `rd, (rs1)`: funct3 */
#define RV_TABLE_LR(X) \
	X(lr_w, 2)     \
	X(lr_d, 3)

/* ---- tables: F, D ------------------------------------------------------- */

/* fd, fs1, fs2, rm: funct7 */
#define RV_TABLE_FR_RM(X) \
	X(fadd_s, 0x00)   \
	X(fsub_s, 0x04)   \
	X(fmul_s, 0x08)   \
	X(fdiv_s, 0x0c)   \
	X(fadd_d, 0x01)   \
	X(fsub_d, 0x05)   \
	X(fmul_d, 0x09)   \
	X(fdiv_d, 0x0d)

/* fd (rd for compares), fs1, fs2: funct7, funct3 */
#define RV_TABLE_FR(X)       \
	X(fsgnj_s, 0x10, 0)  \
	X(fsgnjn_s, 0x10, 1) \
	X(fsgnjx_s, 0x10, 2) \
	X(fmin_s, 0x14, 0)   \
	X(fmax_s, 0x14, 1)   \
	X(fsgnj_d, 0x11, 0)  \
	X(fsgnjn_d, 0x11, 1) \
	X(fsgnjx_d, 0x11, 2) \
	X(fmin_d, 0x15, 0)   \
	X(fmax_d, 0x15, 1)
#define RV_TABLE_FCMP(X)  \
	X(fle_s, 0x50, 0) \
	X(flt_s, 0x50, 1) \
	X(feq_s, 0x50, 2) \
	X(fle_d, 0x51, 0) \
	X(flt_d, 0x51, 1) \
	X(feq_d, 0x51, 2)

/* one operand and rm: funct7, rs2 field; from FP to FP, FP to x, x to FP */
#define RV_TABLE_FF_RM(X)    \
	X(fsqrt_s, 0x2c, 0)  \
	X(fsqrt_d, 0x2d, 0)  \
	X(fcvt_s_d, 0x20, 1) \
	X(fcvt_d_s, 0x21, 0)
#define RV_TABLE_XF_RM(X)     \
	X(fcvt_w_s, 0x60, 0)  \
	X(fcvt_wu_s, 0x60, 1) \
	X(fcvt_l_s, 0x60, 2)  \
	X(fcvt_lu_s, 0x60, 3) \
	X(fcvt_w_d, 0x61, 0)  \
	X(fcvt_wu_d, 0x61, 1) \
	X(fcvt_l_d, 0x61, 2)  \
	X(fcvt_lu_d, 0x61, 3)
#define RV_TABLE_FX_RM(X)     \
	X(fcvt_s_w, 0x68, 0)  \
	X(fcvt_s_wu, 0x68, 1) \
	X(fcvt_s_l, 0x68, 2)  \
	X(fcvt_s_lu, 0x68, 3) \
	X(fcvt_d_w, 0x69, 0)  \
	X(fcvt_d_wu, 0x69, 1) \
	X(fcvt_d_l, 0x69, 2)  \
	X(fcvt_d_lu, 0x69, 3)

/* one operand, no rm: funct7, funct3; FP to x, x to FP */
#define RV_TABLE_XF(X)       \
	X(fmv_x_w, 0x70, 0)  \
	X(fmv_x_d, 0x71, 0)  \
	X(fclass_s, 0x70, 1) \
	X(fclass_d, 0x71, 1)
#define RV_TABLE_FX(X)      \
	X(fmv_w_x, 0x78, 0) \
	X(fmv_d_x, 0x79, 0)

/* fd, fs1, fs2, fs3, rm: opcode, fmt */
#define RV_TABLE_FMA(X)      \
	X(fmadd_s, 0x43, 0)  \
	X(fmsub_s, 0x47, 0)  \
	X(fnmsub_s, 0x4b, 0) \
	X(fnmadd_s, 0x4f, 0) \
	X(fmadd_d, 0x43, 1)  \
	X(fmsub_d, 0x47, 1)  \
	X(fnmsub_d, 0x4b, 1) \
	X(fnmadd_d, 0x4f, 1)

/* ---- encoders, 32 bits ------------------------------------------------- */

#define RV_DEFINE(name, opcode, f3, f7)                         \
	static inline uint32_t rv_##name(                       \
		unsigned rd, unsigned rs1, unsigned rs2)        \
	{                                                       \
		return rv_type_r(opcode, rd, f3, rs1, rs2, f7); \
	}
RV_TABLE_R(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, opcode, f3)                         \
	static inline uint32_t rv_##name(                   \
		unsigned rd, unsigned rs1, int32_t imm)     \
	{                                                   \
		return rv_type_i(opcode, rd, f3, rs1, imm); \
	}
RV_TABLE_I(RV_DEFINE)
RV_TABLE_LOAD(RV_DEFINE)
RV_TABLE_FLOAD(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, opcode, f3)                          \
	static inline uint32_t rv_##name(                    \
		unsigned rs2, unsigned rs1, int32_t imm)     \
	{                                                    \
		return rv_type_s(opcode, f3, rs1, rs2, imm); \
	}
RV_TABLE_STORE(RV_DEFINE)
RV_TABLE_FSTORE(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, opcode, f3, f6, width)                   \
	static inline uint32_t rv_##name(                        \
		unsigned rd, unsigned rs1, unsigned shamt)       \
	{                                                        \
		return rv_type_i(opcode, rd, f3, rs1,            \
			(int32_t)(rv_field(shamt, 0, width, 0) | \
				  (unsigned)(f6) << 6));         \
	}
RV_TABLE_SHIFT(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, f3)                                     \
	static inline uint32_t rv_##name(                       \
		unsigned rs1, unsigned rs2, int32_t distance)   \
	{                                                       \
		return rv_type_b(0x63, f3, rs1, rs2, distance); \
	}
RV_TABLE_BRANCH(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, opcode)                                       \
	static inline uint32_t rv_##name(unsigned rd, uint32_t imm20) \
	{                                                             \
		return rv_type_u(opcode, rd, imm20);                  \
	}
RV_TABLE_U(RV_DEFINE)
#undef RV_DEFINE

static inline uint32_t rv_jal(unsigned rd, int32_t distance)
{
	return rv_type_j(0x6f, rd, distance);
}

#define RV_DEFINE(name, f3)                                        \
	static inline uint32_t rv_##name(                          \
		unsigned rd, unsigned csr, unsigned rs1)           \
	{                                                          \
		return rv_type_i(0x73, rd, f3, rs1, (int32_t)csr); \
	}
RV_TABLE_CSR(RV_DEFINE)
RV_TABLE_CSRI(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, word)                  \
	static inline uint32_t rv_##name(void) \
	{                                      \
		return word;                   \
	}
RV_TABLE_PLAIN(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, f5, f3)                                      \
	static inline uint32_t rv_##name(                            \
		unsigned rd, unsigned rs2, unsigned rs1)             \
	{                                                            \
		return rv_type_r(0x2f, rd, f3, rs1, rs2, (f5) << 2); \
	}
RV_TABLE_AMO(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, f3)                                         \
	static inline uint32_t rv_##name(unsigned rd, unsigned rs1) \
	{                                                           \
		return rv_type_r(0x2f, rd, f3, rs1, 0, 0x02 << 2);  \
	}
RV_TABLE_LR(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, f7)                                           \
	static inline uint32_t rv_##name(                             \
		unsigned rd, unsigned rs1, unsigned rs2, unsigned rm) \
	{                                                             \
		return rv_type_r(0x53, rd, rm, rs1, rs2, f7);         \
	}
RV_TABLE_FR_RM(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, f7, f3)                               \
	static inline uint32_t rv_##name(                     \
		unsigned rd, unsigned rs1, unsigned rs2)      \
	{                                                     \
		return rv_type_r(0x53, rd, f3, rs1, rs2, f7); \
	}
RV_TABLE_FR(RV_DEFINE)
RV_TABLE_FCMP(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, f7, rs2)                              \
	static inline uint32_t rv_##name(                     \
		unsigned rd, unsigned rs1, unsigned rm)       \
	{                                                     \
		return rv_type_r(0x53, rd, rm, rs1, rs2, f7); \
	}
RV_TABLE_FF_RM(RV_DEFINE)
RV_TABLE_XF_RM(RV_DEFINE)
RV_TABLE_FX_RM(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, f7, f3)                                     \
	static inline uint32_t rv_##name(unsigned rd, unsigned rs1) \
	{                                                           \
		return rv_type_r(0x53, rd, f3, rs1, 0, f7);         \
	}
RV_TABLE_XF(RV_DEFINE)
RV_TABLE_FX(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, opcode, fmt)                                   \
	static inline uint32_t rv_##name(unsigned rd, unsigned rs1,    \
		unsigned rs2, unsigned rs3, unsigned rm)               \
	{                                                              \
		return rv_type_r4(opcode, rd, rm, rs1, rs2, rs3, fmt); \
	}
RV_TABLE_FMA(RV_DEFINE)
#undef RV_DEFINE

/* fence pred, succ; each a set of 8 input, 4 output, 2 read, 1 write. */
static inline uint32_t rv_fence(unsigned pred, unsigned succ)
{
	return rv_type_i(0x0f, 0, 0, 0,
		(int32_t)(rv_field(pred, 0, 4, 4) | rv_field(succ, 0, 4, 0)));
}

static inline uint32_t rv_fence_tso(void)
{
	return 0x8330000f;
}

static inline uint32_t rv_sfence_vma(unsigned rs1, unsigned rs2)
{
	return rv_type_r(0x73, 0, 0, rs1, rs2, 0x09);
}

/* The same atomic with acquire / release set. */
static inline uint32_t rv_aq(uint32_t amo)
{
	return amo | (uint32_t)1 << 26;
}

static inline uint32_t rv_rl(uint32_t amo)
{
	return amo | (uint32_t)1 << 25;
}

/* Pseudo-instructions of one word. */
static inline uint32_t rv_mv(unsigned rd, unsigned rs1)
{
	return rv_addi(rd, rs1, 0);
}

static inline uint32_t rv_ret(void)
{
	return rv_jalr(RV_ZERO, RV_RA, 0);
}

static inline uint32_t rv_csrr(unsigned rd, unsigned csr)
{
	return rv_csrrs(rd, csr, RV_ZERO);
}

static inline uint32_t rv_csrw(unsigned csr, unsigned rs1)
{
	return rv_csrrw(RV_ZERO, csr, rs1);
}

/* ---- encoders, 16 bits ------------------------------------------------- */

/*
 * Where a table says rd', rs1' or rs2', only registers 8 to 15 (s0, s1, a0
 * to a5; fs0, fs1, fa0 to fa5) can be encoded; pass their usual numbers.
 * Immediates are in bytes, scaled ones included.
 */

/* rd' or rs2', rs1', offset; words (multiples of 4) and doublewords (of 8) */
static inline uint16_t rv_c_word(
	unsigned f3, unsigned rd, unsigned rs1, uint32_t v)
{
	return (uint16_t)(f3 << 13 | rv_field(v, 3, 3, 10) |
			  rv_field(rs1, 0, 3, 7) | rv_field(v, 2, 1, 6) |
			  rv_field(v, 6, 1, 5) | rv_field(rd, 0, 3, 2));
}

static inline uint16_t rv_c_double(
	unsigned f3, unsigned rd, unsigned rs1, uint32_t v)
{
	return (uint16_t)(f3 << 13 | rv_field(v, 3, 3, 10) |
			  rv_field(rs1, 0, 3, 7) | rv_field(v, 6, 2, 5) |
			  rv_field(rd, 0, 3, 2));
}

/* funct3, rd, offset from sp */
static inline uint16_t rv_c_load_sp(
	unsigned f3, unsigned rd, uint32_t v, unsigned shift)
{
	return (uint16_t)(f3 << 13 | rv_field(v, 5, 1, 12) |
			  rv_field(rd, 0, 5, 7) |
			  rv_field(v, shift, 5 - shift, 2 + shift) |
			  rv_field(v, 6, shift, 2) | 2);
}

static inline uint16_t rv_c_store_sp(
	unsigned f3, unsigned rs2, uint32_t v, unsigned shift)
{
	return (uint16_t)(f3 << 13 | rv_field(v, shift, 6 - shift, 7 + shift) |
			  rv_field(v, 6, shift, 7) | rv_field(rs2, 0, 5, 2) |
			  2);
}

/* rd', rs1', offset and rs2', rs1', offset: kind, funct3 */
#define RV_TABLE_C_MEM(X)  \
	X(c_lw, word, 2)   \
	X(c_ld, double, 3) \
	X(c_sw, word, 6)   \
	X(c_sd, double, 7)
#define RV_TABLE_C_FMEM(X)  \
	X(c_fld, double, 1) \
	X(c_fsd, double, 5)

/* rd, offset and rs2, offset from sp: kind, funct3, log2 of the width */
#define RV_TABLE_C_SP(X)       \
	X(c_lwsp, load, 2, 2)  \
	X(c_ldsp, load, 3, 3)  \
	X(c_swsp, store, 6, 2) \
	X(c_sdsp, store, 7, 3)
#define RV_TABLE_C_FSP(X)      \
	X(c_fldsp, load, 1, 3) \
	X(c_fsdsp, store, 5, 3)

/* rd, imm (6 bits, signed): funct3 */
#define RV_TABLE_C_I(X) \
	X(c_addi, 0)    \
	X(c_addiw, 1)   \
	X(c_li, 2)

/* rd', rs2': bit 12, bits 6:5 */
#define RV_TABLE_C_A(X) \
	X(c_sub, 0, 0)  \
	X(c_xor, 0, 1)  \
	X(c_or, 0, 2)   \
	X(c_and, 0, 3)  \
	X(c_subw, 1, 0) \
	X(c_addw, 1, 1)

/* rd', shamt or imm (6 bits): bits 11:10 */
#define RV_TABLE_C_B(X) \
	X(c_srli, 0)    \
	X(c_srai, 1)    \
	X(c_andi, 2)

/* rs1', distance (9 bits, signed, even): funct3 */
#define RV_TABLE_C_BRANCH(X) \
	X(c_beqz, 6)         \
	X(c_bnez, 7)

/* rd, rs2: bit 12 */
#define RV_TABLE_C_R(X) \
	X(c_mv, 0)      \
	X(c_add, 1)

/* rs1: bit 12 */
#define RV_TABLE_C_JR(X) \
	X(c_jr, 0)       \
	X(c_jalr, 1)

/* without operands: the word */
#define RV_TABLE_C_PLAIN(X) \
	X(c_nop, 0x0001)    \
	X(c_ebreak, 0x9002)

#define RV_DEFINE(name, kind, f3)                          \
	static inline uint16_t rv_##name(                  \
		unsigned r, unsigned rs1, uint32_t offset) \
	{                                                  \
		return rv_c_##kind(f3, r, rs1, offset);    \
	}
RV_TABLE_C_MEM(RV_DEFINE)
RV_TABLE_C_FMEM(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, kind, f3, shift)                              \
	static inline uint16_t rv_##name(unsigned r, uint32_t offset) \
	{                                                             \
		return rv_c_##kind##_sp(f3, r, offset, shift);        \
	}
RV_TABLE_C_SP(RV_DEFINE)
RV_TABLE_C_FSP(RV_DEFINE)
#undef RV_DEFINE

static inline uint16_t rv_c_imm6(unsigned f3, unsigned rd, uint32_t v)
{
	return (uint16_t)(f3 << 13 | rv_field(v, 5, 1, 12) |
			  rv_field(rd, 0, 5, 7) | rv_field(v, 0, 5, 2) | 1);
}

#define RV_DEFINE(name, f3)                                      \
	static inline uint16_t rv_##name(unsigned rd, int32_t v) \
	{                                                        \
		return rv_c_imm6(f3, rd, (uint32_t)v);           \
	}
RV_TABLE_C_I(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, high, low)                                     \
	static inline uint16_t rv_##name(unsigned rd, unsigned rs2)    \
	{                                                              \
		return (uint16_t)(0x8c01 | (high) << 12 | (low) << 5 | \
				  rv_field(rd, 0, 3, 7) |              \
				  rv_field(rs2, 0, 3, 2));             \
	}
RV_TABLE_C_A(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, f2)                                             \
	static inline uint16_t rv_##name(unsigned rd, int32_t v)        \
	{                                                               \
		return rv_c_imm6(4, (rd & 7) | (f2) << 3, (uint32_t)v); \
	}
RV_TABLE_C_B(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, f3)                                              \
	static inline uint16_t rv_##name(unsigned rs1, int32_t distance) \
	{                                                                \
		uint32_t v = (uint32_t)distance;                         \
                                                                         \
		return (uint16_t)((f3) << 13 | rv_field(v, 8, 1, 12) |   \
				  rv_field(v, 3, 2, 10) |                \
				  rv_field(rs1, 0, 3, 7) |               \
				  rv_field(v, 6, 2, 5) |                 \
				  rv_field(v, 1, 2, 3) |                 \
				  rv_field(v, 5, 1, 2) | 1);             \
	}
RV_TABLE_C_BRANCH(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, bit)                                        \
	static inline uint16_t rv_##name(unsigned rd, unsigned rs2) \
	{                                                           \
		return (uint16_t)(0x8002 | (bit) << 12 |            \
				  rv_field(rd, 0, 5, 7) |           \
				  rv_field(rs2, 0, 5, 2));          \
	}
RV_TABLE_C_R(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, bit)                               \
	static inline uint16_t rv_##name(unsigned rs1)     \
	{                                                  \
		return (uint16_t)(0x8002 | (bit) << 12 |   \
				  rv_field(rs1, 0, 5, 7)); \
	}
RV_TABLE_C_JR(RV_DEFINE)
#undef RV_DEFINE

#define RV_DEFINE(name, word)                  \
	static inline uint16_t rv_##name(void) \
	{                                      \
		return word;                   \
	}
RV_TABLE_C_PLAIN(RV_DEFINE)
#undef RV_DEFINE

/* c.addi4spn rd', sp, imm: 4 .. 1020, a multiple of 4 */
static inline uint16_t rv_c_addi4spn(unsigned rd, uint32_t v)
{
	return (uint16_t)(rv_field(v, 4, 2, 11) | rv_field(v, 6, 4, 7) |
			  rv_field(v, 2, 1, 6) | rv_field(v, 3, 1, 5) |
			  rv_field(rd, 0, 3, 2));
}

/* c.addi16sp sp, imm: -512 .. 496, a multiple of 16, not 0 */
static inline uint16_t rv_c_addi16sp(int32_t imm)
{
	uint32_t v = (uint32_t)imm;

	return (uint16_t)(0x6101 | rv_field(v, 9, 1, 12) |
			  rv_field(v, 4, 1, 6) | rv_field(v, 6, 1, 5) |
			  rv_field(v, 7, 2, 3) | rv_field(v, 5, 1, 2));
}

/* c.lui rd, imm: the 6 low bits of the 20-bit field, signed, not 0 */
static inline uint16_t rv_c_lui(unsigned rd, int32_t imm)
{
	return rv_c_imm6(3, rd, (uint32_t)imm);
}

/* c.slli rd, shamt: 1 .. 63 */
static inline uint16_t rv_c_slli(unsigned rd, unsigned shamt)
{
	return (uint16_t)(rv_c_imm6(0, rd, shamt) ^ 3);
}

/* c.j distance (12 bits, signed, even) */
static inline uint16_t rv_c_j(int32_t distance)
{
	uint32_t v = (uint32_t)distance;

	return (uint16_t)(0xa001 | rv_field(v, 11, 1, 12) |
			  rv_field(v, 4, 1, 11) | rv_field(v, 8, 2, 9) |
			  rv_field(v, 10, 1, 8) | rv_field(v, 6, 1, 7) |
			  rv_field(v, 7, 1, 6) | rv_field(v, 1, 3, 3) |
			  rv_field(v, 5, 1, 2));
}

/* ---- the builder ------------------------------------------------------- */

#define RV_LABELS_MAX 512  /* labels of one program */
#define RV_USES_MAX   2048 /* uses of labels in one program */

typedef unsigned rv_label; /* from rv_label_new() */

/* The first thing that went wrong. */
enum rv_error {
	RV_OK,
	RV_FULL,     /* buffer, or table of labels or uses: see the bounds */
	RV_UNBOUND,  /* a label was used and never bound, or bound twice */
	RV_DISTANCE, /* a branch or jump is too far from its label */
};

enum rv_branch_kind {
	RV_BEQ = 0,
	RV_BNE = 1,
	RV_BLT = 4,
	RV_BGE = 5,
	RV_BLTU = 6,
	RV_BGEU = 7,
};

enum rv_use_kind {
	RV_USE_BRANCH, /* b..: 4 KiB either way */
	RV_USE_JUMP,   /* jal: 1 MiB either way */
	RV_USE_PAIR,   /* auipc + addi: 2 GiB either way */
};

struct rv_use {
	size_t at; /* offset of the instruction */
	rv_label label;
	enum rv_use_kind kind;
};

/*
 * A program being built. Nothing is written past `capacity`: what does not
 * fit sets `error` and is dropped, and so is everything after it.
 */
struct rv_program {
	uint8_t *bytes;
	size_t size; /* of what was emitted; the offset of what comes next */
	size_t capacity;
	enum rv_error error;
	unsigned labels, uses;
	size_t place[RV_LABELS_MAX]; /* offset of a label, SIZE_MAX: unbound */
	struct rv_use use[RV_USES_MAX];
};

/* Start a program in the caller's buffer, which must be 4-byte aligned. */
void rv_begin(struct rv_program *p, void *buffer, size_t capacity);
/*
 * Put the distances into all uses of labels. Nothing may be emitted after.
 * The program can be copied anywhere: it has no absolute addresses but those
 * the caller put in. RV_OK, or the first error.
 */
enum rv_error rv_finish(struct rv_program *p);

void rv_emit(struct rv_program *p, uint32_t insn);
void rv_emit16(struct rv_program *p, uint16_t insn);
void rv_data(struct rv_program *p, const void *bytes, size_t size);
void rv_data64(struct rv_program *p, uint64_t v);
/* Fill with zeros up to a multiple of `alignment`, a power of two. */
void rv_align(struct rv_program *p, size_t alignment);

/* A label that is nowhere yet; one that is here; put one here. */
rv_label rv_label_new(struct rv_program *p);
rv_label rv_label_here(struct rv_program *p);
void rv_bind(struct rv_program *p, rv_label label);
/* Offset of a bound label from the start of the program. */
size_t rv_label_offset(const struct rv_program *p, rv_label label);

/* One instruction each: b<kind> rs1, rs2, label and jal rd, label. */
void rv_branch(struct rv_program *p, enum rv_branch_kind kind, unsigned rs1,
	unsigned rs2, rv_label label);
void rv_jump(struct rv_program *p, unsigned rd, rv_label label);
/* Two instructions: the address of the label into rd. */
void rv_la(struct rv_program *p, unsigned rd, rv_label label);
/* Up to eight instructions: a constant into rd. No other register is used. */
void rv_li(struct rv_program *p, unsigned rd, uint64_t value);

MEMSLOT_END_DECLS

#endif
