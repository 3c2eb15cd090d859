/* SPDX-License-Identifier: MIT */
/*
 * decode.c - 32-bit instructions
 *
 * Unprivileged spec, "RV32/64G Instruction Set Listings". Every encoding
 * that the implemented extensions do not define decodes to OP_ILLEGAL: there
 * are no don't-care fields other than those the spec says to ignore (fence)
 * and those that the executing function checks itself (csr, fp).
 */
#include "vmm/soft/ops.h"

/* `count` bits from `low` on. */
static unsigned field(uint32_t bits, unsigned low, unsigned count)
{
	return (bits >> low) & ((1u << count) - 1);
}

static int32_t imm_i(uint32_t bits)
{
	return (int32_t)bits >> 20;
}

static int32_t imm_s(uint32_t bits)
{
	return ((int32_t)bits >> 25) * 32 + (int32_t)field(bits, 7, 5);
}

static int32_t imm_b(uint32_t bits)
{
	return ((int32_t)bits >> 31) * 4096 +
	       (int32_t)(field(bits, 7, 1) << 11 | field(bits, 25, 6) << 5 |
			 field(bits, 8, 4) << 1);
}

static int32_t imm_j(uint32_t bits)
{
	return ((int32_t)bits >> 31) * (1 << 20) +
	       (int32_t)(field(bits, 12, 8) << 12 | field(bits, 20, 1) << 11 |
			 field(bits, 21, 10) << 1);
}

static enum op op_reg(unsigned funct7, unsigned funct3)
{
	static const uint8_t base[8] = {
		OP_ADD, OP_SLL, OP_SLT, OP_SLTU, OP_XOR, OP_SRL, OP_OR, OP_AND};
	static const uint8_t muldiv[8] = {OP_MUL, OP_MULH, OP_MULHSU, OP_MULHU,
		OP_DIV, OP_DIVU, OP_REM, OP_REMU};

	switch (funct7) {
	case 0x00:
		return base[funct3];
	case 0x01:
		return muldiv[funct3];
	case 0x20:
		return funct3 == 0 ? OP_SUB : funct3 == 5 ? OP_SRA : OP_ILLEGAL;
	}
	return OP_ILLEGAL;
}

static enum op op_reg_w(unsigned funct7, unsigned funct3)
{
	static const uint8_t muldiv[8] = {OP_MULW, OP_ILLEGAL, OP_ILLEGAL,
		OP_ILLEGAL, OP_DIVW, OP_DIVUW, OP_REMW, OP_REMUW};

	switch (funct7 << 3 | funct3) {
	case 0x00 << 3 | 0:
		return OP_ADDW;
	case 0x00 << 3 | 1:
		return OP_SLLW;
	case 0x00 << 3 | 5:
		return OP_SRLW;
	case 0x20 << 3 | 0:
		return OP_SUBW;
	case 0x20 << 3 | 5:
		return OP_SRAW;
	}
	return funct7 == 0x01 ? muldiv[funct3] : OP_ILLEGAL;
}

static struct decoded op_imm(uint32_t bits)
{
	static const uint8_t op[8] = {OP_ADDI, OP_SLLI, OP_SLTI, OP_SLTIU,
		OP_XORI, OP_SRLI, OP_ORI, OP_ANDI};
	unsigned funct3 = field(bits, 12, 3);
	unsigned rd = field(bits, 7, 5), rs1 = field(bits, 15, 5);
	int32_t imm = imm_i(bits);

	if (funct3 == 1 || funct3 == 5) {
		unsigned funct6 = field(bits, 26, 6);
		enum op shift = op[funct3];

		if (funct3 == 5 && funct6 == 0x10)
			shift = OP_SRAI;
		else if (funct6 != 0)
			return illegal();
		return make(shift, rd, rs1, 0, (int32_t)field(bits, 20, 6));
	}
	if (funct3 == 0 && rs1 == 0)
		return make(OP_LI, rd, 0, 0, imm);
	if (funct3 == 0 && imm == 0)
		return make(OP_MV, rd, rs1, 0, 0);
	return make(op[funct3], rd, rs1, 0, imm);
}

static struct decoded op_imm_w(uint32_t bits)
{
	unsigned rd = field(bits, 7, 5), rs1 = field(bits, 15, 5);
	int32_t shamt = (int32_t)field(bits, 20, 5);
	unsigned funct7 = field(bits, 25, 7);

	switch (field(bits, 12, 3)) {
	case 0:
		return make(OP_ADDIW, rd, rs1, 0, imm_i(bits));
	case 1:
		if (funct7 == 0x00)
			return make(OP_SLLIW, rd, rs1, 0, shamt);
		break;
	case 5:
		if (funct7 == 0x00)
			return make(OP_SRLIW, rd, rs1, 0, shamt);
		if (funct7 == 0x20)
			return make(OP_SRAIW, rd, rs1, 0, shamt);
		break;
	}
	return illegal();
}

static struct decoded op_branch(uint32_t bits)
{
	static const uint8_t op[8] = {OP_BEQ, OP_BNE, OP_ILLEGAL, OP_ILLEGAL,
		OP_BLT, OP_BGE, OP_BLTU, OP_BGEU};
	enum op o = op[field(bits, 12, 3)];
	unsigned rs1 = field(bits, 15, 5), rs2 = field(bits, 20, 5);

	if (rs2 == 0 && o == OP_BEQ)
		o = OP_BEQZ;
	else if (rs2 == 0 && o == OP_BNE)
		o = OP_BNEZ;
	return make(o, 0, rs1, rs2, imm_b(bits));
}

/* Unprivileged spec, chapter "A": widths 2 and 3, funct5 in bits 31:27. */
static struct decoded op_amo(uint32_t bits)
{
	unsigned funct5 = field(bits, 27, 5), width = field(bits, 12, 3);
	bool known = funct5 <= 4 || funct5 == 8 || funct5 == 12 ||
		     funct5 == 16 || funct5 == 20 || funct5 == 24 ||
		     funct5 == 28;

	if ((width != 2 && width != 3) || !known ||
		(funct5 == 2 && field(bits, 20, 5) != 0))
		return illegal();
	return needs(ISA_A, make(OP_AMO, 0, 0, 0, (int32_t)bits));
}

/* Chapter "CMO": cbo.inval, cbo.clean, cbo.flush, cbo.zero. */
static struct decoded op_cbo(uint32_t bits)
{
	unsigned what = field(bits, 20, 12);

	if (field(bits, 7, 5) != 0 || (what != 4 && what > 2))
		return illegal();
	return needs(what == 4 ? ISA_ZICBOZ : ISA_ZICBOM,
		make(OP_CBO, 0, 0, 0, (int32_t)bits));
}

/* Other fields of a fence are hints, to be ignored; one hint has a name. */
static struct decoded op_misc_mem(uint32_t bits)
{
	switch (field(bits, 12, 3)) {
	case 0:
		if (bits == 0x0100000f)
			return make(OP_PAUSE, 0, 0, 0, (int32_t)bits);
		return make(OP_FENCE, 0, 0, 0, (int32_t)bits);
	case 1:
		return needs(ISA_ZIFENCEI, make(OP_FENCE_I, 0, 0, 0, 0));
	case 2:
		return op_cbo(bits);
	}
	return illegal();
}

static struct decoded op_system(uint32_t bits)
{
	unsigned funct3 = field(bits, 12, 3);

	if (funct3 == 4)
		return illegal();
	if (funct3 != 0)
		return make(OP_CSR, 0, 0, 0, (int32_t)bits);
	switch (bits) {
	case 0x00000073:
		return make(OP_ECALL, 0, 0, 0, 0);
	case 0x00100073:
		return make(OP_EBREAK, 0, 0, 0, 0);
	case 0x10200073:
		return make(OP_SRET, 0, 0, 0, 0);
	case 0x10500073:
		return make(OP_WFI, 0, 0, 0, 0);
	case 0x00d00073: /* wrs.nto, wrs.sto */
	case 0x01d00073:
		return needs(ISA_ZAWRS, make(OP_PAUSE, 0, 0, 0, 0));
	case 0x18000073: /* sfence.w.inval, sfence.inval.ir */
	case 0x18100073:
		return needs(ISA_SVINVAL, make(OP_SFENCE_ORDER, 0, 0, 0, 0));
	}
	if ((bits & 0xfe007fff) == 0x12000073)
		return make(OP_SFENCE_VMA, 0, field(bits, 15, 5),
			field(bits, 20, 5), 0);
	if ((bits & 0xfe007fff) == 0x16000073) /* sinval.vma */
		return needs(
			ISA_SVINVAL, make(OP_SFENCE_VMA, 0, field(bits, 15, 5),
					     field(bits, 20, 5), 0));
	return illegal();
}

/* Register number as it is: FP destinations have no sink. */
static struct decoded op_load_fp(uint32_t bits)
{
	unsigned width = field(bits, 12, 3);
	struct decoded d = make(width == 2 ? OP_FLW : OP_FLD, 0,
		field(bits, 15, 5), 0, imm_i(bits));

	d.rd = (uint8_t)field(bits, 7, 5);
	if (width != 2 && width != 3)
		return illegal();
	return needs(width == 2 ? ISA_F : ISA_D, d);
}

static struct decoded op_store_fp(uint32_t bits)
{
	unsigned width = field(bits, 12, 3);

	if (width != 2 && width != 3)
		return illegal();
	return needs(width == 2 ? ISA_F : ISA_D,
		make(width == 2 ? OP_FSW : OP_FSD, 0, field(bits, 15, 5),
			field(bits, 20, 5), imm_s(bits)));
}

/* D is there for all of format 1, and for both ways between the formats. */
static struct decoded op_fp(uint32_t bits)
{
	bool d = field(bits, 25, 2) == 1 ||
		 (field(bits, 0, 7) == 0x53 && field(bits, 27, 5) == 0x08);

	return needs(d ? ISA_D : ISA_F, make(OP_FP, 0, 0, 0, (int32_t)bits));
}

/* Where the base instructions know nothing, B may. */
static struct decoded or_b(struct decoded d, uint32_t bits)
{
	return d.op == OP_ILLEGAL ? decode_b(bits) : d;
}

struct decoded decode_32(uint32_t bits)
{
	static const uint8_t load[8] = {
		OP_LB, OP_LH, OP_LW, OP_LD, OP_LBU, OP_LHU, OP_LWU, OP_ILLEGAL};
	static const uint8_t store[8] = {OP_SB, OP_SH, OP_SW, OP_SD, OP_ILLEGAL,
		OP_ILLEGAL, OP_ILLEGAL, OP_ILLEGAL};
	unsigned rd = field(bits, 7, 5), rs1 = field(bits, 15, 5),
		 rs2 = field(bits, 20, 5), funct3 = field(bits, 12, 3),
		 funct7 = field(bits, 25, 7);

	switch (field(bits, 0, 7)) {
	case 0x03:
		return make(load[funct3], rd, rs1, 0, imm_i(bits));
	case 0x07:
		return op_load_fp(bits);
	case 0x0f:
		return op_misc_mem(bits);
	case 0x13:
		return or_b(op_imm(bits), bits);
	case 0x17:
		return make(OP_AUIPC, rd, 0, 0, (int32_t)(bits & 0xfffff000u));
	case 0x1b:
		return or_b(op_imm_w(bits), bits);
	case 0x23:
		return make(store[funct3], 0, rs1, rs2, imm_s(bits));
	case 0x27:
		return op_store_fp(bits);
	case 0x2f:
		return op_amo(bits);
	case 0x33:
		return or_b(
			needs(funct7 == 1 ? ISA_M : ISA_BASE,
				make(op_reg(funct7, funct3), rd, rs1, rs2, 0)),
			bits);
	case 0x37:
		return make(OP_LI, rd, 0, 0, (int32_t)(bits & 0xfffff000u));
	case 0x3b:
		return or_b(needs(funct7 == 1 ? ISA_M : ISA_BASE,
				    make(op_reg_w(funct7, funct3), rd, rs1, rs2,
					    0)),
			bits);
	case 0x43: /* fmadd, fmsub, fnmsub, fnmadd, and the others */
	case 0x47:
	case 0x4b:
	case 0x4f:
	case 0x53:
		return op_fp(bits);
	case 0x63:
		return op_branch(bits);
	case 0x67:
		if (funct3 == 0)
			return make(OP_JALR, rd, rs1, 0, imm_i(bits));
		break;
	case 0x6f:
		return make(rd ? OP_JAL : OP_J, rd, 0, 0, imm_j(bits));
	case 0x73:
		return op_system(bits);
	}
	return illegal();
}

bool op_ends_block(enum op op)
{
	switch (op) {
	case OP_ILLEGAL:
	case OP_BEQ:
	case OP_BNE:
	case OP_BLT:
	case OP_BGE:
	case OP_BLTU:
	case OP_BGEU:
	case OP_BEQZ:
	case OP_BNEZ:
	case OP_J:
	case OP_JAL:
	case OP_JALR:
	case OP_FENCE_I:
	case OP_SFENCE_VMA:
	case OP_CSR:
	case OP_ECALL:
	case OP_EBREAK:
	case OP_SRET:
	case OP_WFI:
		return true;
	default:
		return false;
	}
}
