/* SPDX-License-Identifier: MIT */
/*
 * insns.c - random instructions of every format and extension
 *
 * A unit is what is put in or left out as a whole: one instruction, or two
 * that belong together (auipc and the jalr that uses it, LR and SC). Control
 * goes forward only, so that every case ends; one kind of jump, through any
 * register, is for U mode, where a timer ends what does not.
 */
#include "tests/differential/diff.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static uint32_t pick(struct rng *r, const uint32_t *list, size_t n)
{
	return list[rng_below(r, (unsigned)n)];
}
#define PICK(r, list) pick(r, list, N(list))

/* Where x8 to x11 point is aligned, x12 to x15 and x2 anywhere: cases.c. */
static uint32_t reg(struct rng *r)
{
	return rng_below(r, 32);
}

static uint32_t pointer(struct rng *r)
{
	static const uint32_t list[] = {2, 8, 9, 10, 11, 12, 13, 14, 15};

	return rng_chance(r, 92) ? PICK(r, list) : reg(r);
}

static uint32_t aligned(struct rng *r)
{
	return rng_chance(r, 90) ? 8 + rng_below(r, 4) : pointer(r);
}

/* A destination: pointers are spared, mostly. */
static uint32_t dest(struct rng *r)
{
	uint32_t d = reg(r);

	if ((d == 2 || (d >= 8 && d < 16)) && rng_chance(r, 85))
		d = 16 + rng_below(r, 16);
	return d;
}

/* Half of all sources have been written before. */
#define RD(v)  ((v) << 7)
#define RS1(v) ((v) << 15)
#define RS2(v) ((v) << 20)
#define IMM(v) ((uint32_t)(v) << 20)

static const uint32_t op_list[] = {
	/* add sub sll slt sltu xor srl sra or and, word forms */
	0x00000033, 0x40000033, 0x00001033, 0x00002033, 0x00003033, 0x00004033,
	0x00005033, 0x40005033, 0x00006033, 0x00007033, 0x0000003b, 0x4000003b,
	0x0000103b, 0x0000503b, 0x4000503b,
	/* M */
	0x02000033, 0x02001033, 0x02002033, 0x02003033, 0x02004033, 0x02005033,
	0x02006033, 0x02007033, 0x0200003b, 0x0200403b, 0x0200503b, 0x0200603b,
	0x0200703b,
	/* Zba */
	0x20002033, 0x20004033, 0x20006033, 0x0800003b, 0x2000203b, 0x2000403b,
	0x2000603b,
	/* Zbb: andn orn xnor min minu max maxu rol ror, rolw rorw */
	0x40007033, 0x40006033, 0x40004033, 0x0a004033, 0x0a005033, 0x0a006033,
	0x0a007033, 0x60001033, 0x60005033, 0x6000103b, 0x6000503b,
	/* Zbs */
	0x48001033, 0x48005033, 0x68001033, 0x28001033};

/* Any immediate of 12 bits. */
static const uint32_t imm_list[] = {0x00000013, 0x00002013, 0x00003013,
	0x00004013, 0x00006013, 0x00007013, 0x0000001b};

/* Shifts of 6 bits: slli srli srai slli.uw rori bclri bexti binvi bseti. */
static const uint32_t shift_list[] = {0x00001013, 0x00005013, 0x40005013,
	0x0800101b, 0x60005013, 0x48001013, 0x48005013, 0x68001013, 0x28001013};
static const uint32_t shift_w_list[] = {
	0x0000101b, 0x0000501b, 0x4000501b, 0x6000501b};

/* clz ctz cpop, clzw cpopw, sext.b sext.h orc.b rev8, zext.h */
static const uint32_t unary_list[] = {0x60001013, 0x60101013, 0x60201013,
	0x6000101b, 0x6020101b, 0x60401013, 0x60501013, 0x28705013, 0x6b805013,
	0x0800403b};

/* Loads end with flw and fld, stores with fsw and fsd. */
static const uint32_t load_list[] = {0x00000003, 0x00001003, 0x00002003,
	0x00003003, 0x00004003, 0x00005003, 0x00006003, 0x00002007, 0x00003007};
static const uint32_t store_list[] = {
	0x00000023, 0x00001023, 0x00002023, 0x00003023, 0x00002027, 0x00003027};

/* funct5 of AMOs, LR (2) among them, but SC. */
static const uint32_t amo_list[] = {0, 1, 2, 4, 8, 12, 16, 20, 24, 28};

/* With a rounding mode: add sub mul div, and fused. */
static const uint32_t fp_round_list[] = {0x00000053, 0x08000053, 0x10000053,
	0x18000053, 0x00000043, 0x00000047, 0x0000004b, 0x0000004f};
/* fsgnj[nx] fmin fmax fle flt feq */
static const uint32_t fp_plain_list[] = {0x20000053, 0x20001053, 0x20002053,
	0x28000053, 0x28001053, 0xa0000053, 0xa0001053, 0xa0002053};
/* fclass fmv.x, fmv to f */
static const uint32_t fp_move_list[] = {0xe0001053, 0xe0000053, 0xf0000053};

static uint32_t integer(struct rng *r)
{
	uint32_t d = RD(dest(r)), a = RS1(reg(r)), b = RS2(reg(r));

	switch (rng_below(r, 8)) {
	case 0:
		return PICK(r, imm_list) | d | a | IMM(rng_next(r));
	case 1:
		return PICK(r, shift_list) | d | a | IMM(rng_below(r, 64));
	case 2:
		return PICK(r, shift_w_list) | d | a | IMM(rng_below(r, 32));
	case 3:
		return PICK(r, unary_list) | d | a;
	case 4: /* lui, auipc */
		return (rng_chance(r, 50) ? 0x37 : 0x17) | d |
		       (uint32_t)rng_next(r) << 12;
	default:
		return PICK(r, op_list) | d | a | b;
	}
}

static uint32_t offset(struct rng *r)
{
	return rng_chance(r, 90) ? (uint32_t)rng_below(r, 17) - 8
				 : (uint32_t)rng_next(r);
}

static uint32_t memory(struct rng *r)
{
	uint32_t imm = offset(r) & 0xfff, word, funct5;

	switch (rng_below(r, 5)) {
	case 0:
	case 1:
		word = PICK(r, load_list);
		return word | RD(word & 4 ? reg(r) : dest(r)) |
		       RS1(pointer(r)) | IMM(imm);
	case 2:
	case 3:
		return PICK(r, store_list) | RS1(pointer(r)) | RS2(reg(r)) |
		       (imm & 31) << 7 | imm >> 5 << 25;
	default:
		funct5 = PICK(r, amo_list);
		return 0x202f | rng_below(r, 2) << 12 | funct5 << 27 |
		       rng_below(r, 4) << 25 | RD(dest(r)) | RS1(aligned(r)) |
		       (funct5 == 2 ? 0 : RS2(reg(r)));
	}
}

static uint32_t rounding(struct rng *r)
{
	/* Dynamic mostly; 5 and 6 are reserved. */
	return (rng_chance(r, 50) ? 7 : rng_below(r, 8)) << 12;
}

static uint32_t floating(struct rng *r)
{
	uint32_t format = rng_below(r, 2) << 25, rm = rounding(r);
	uint32_t regs = RD(reg(r)) | RS1(reg(r)) | RS2(reg(r)), word;

	switch (rng_below(r, 6)) {
	case 0:
	case 1:
		word = PICK(r, fp_round_list) | regs | format | rm;
		return (word & 0x7f) == 0x53 ? word : word | reg(r) << 27;
	case 2:
		return PICK(r, fp_plain_list) | regs | format;
	case 3:
		return PICK(r, fp_move_list) | (regs & ~RS2(31u)) | format;
	case 4: /* fsqrt; fcvt.s.d, fcvt.d.s */
		regs &= ~RS2(31u);
		if (rng_chance(r, 50))
			return 0x58000053 | regs | format | rm;
		return rng_chance(r, 50) ? 0x40100053 | regs | rm
					 : 0x42000053 | regs | rm;
	default: /* fcvt to and from integers */
		regs = (regs & ~RS2(31u)) | RS2(rng_below(r, 4));
		return (rng_chance(r, 50) ? 0xc0000053 : 0xd0000053) | regs |
		       format | rm;
	}
}

/*
 * CSRs, and what is not written to them because the specification leaves
 * the choice to the implementation, or the harness would be lost:
 *   sscratch, stvec, stimecmp  the harness's own: not even read, lest a
 *       store finds it;  satp: only read
 *   sstatus  QEMU lets UXL be written; by unit_random(), without that; read
 *       in traps only, since FS is "dirty" in different degrees of haste
 *   sepc  QEMU keeps its lowest bit
 *   scounteren, senvcfg  by immediates of bits that both CPUs have
 *   cycle, time, instret  differ by nature: only as traps, rd is x0
 */
static uint32_t csr(struct rng *r)
{
	static const uint32_t free_list[] = {
		0x001, 0x002, 0x003, 0x142, 0x143, 0x144};
	static const uint32_t read_list[] = {0x180, 0x104, 0x106, 0x10a};
	static const uint32_t none_list[] = {0x000, 0x004, 0x107, 0x145, 0x181,
		0x200, 0x300, 0x341, 0x3a0, 0x600, 0x7a0, 0x7b0, 0xb00, 0xc03,
		0xc1f, 0xf11, 0xf14, 0xfff, 0x800, 0x9c0, 0x5a8, 0x008, 0x015};
	uint32_t what = rng_below(r, 10), rd = RD(dest(r));
	uint32_t op = (1 + rng_below(r, 3) + 4 * rng_below(r, 2)) << 12;

	if (what < 4)
		return 0x73 | op | rd | RS1(reg(r)) | IMM(PICK(r, free_list));
	if (what < 6) /* csrrs rd, csr, x0 */
		return 0x2073 | rd | IMM(PICK(r, read_list));
	if (what == 6) /* without D or other modes' bits: 0x1 and 0x7 */
		return rng_chance(r, 50)
			       ? 0x5073 | (op & 0x3000) | rd |
					 RS1(rng_below(r, 8)) | IMM(0x106)
			       : 0x5073 | (op & 0x3000) | rd |
					 RS1(rng_below(r, 2)) | IMM(0x10a);
	if (what == 7) /* ssie */
		return 0x5073 | (op & 0x3000) | rd | RS1(rng_below(r, 2) * 2) |
		       IMM(0x104);
	if (what == 8) {
		/* Read, or write what is read-only, which QEMU sees in csrrw */
		if (rng_chance(r, 50))
			return 0x2073 | IMM(0xc00 + rng_below(r, 3));
		return 0x1073 | (op & 0x4000) | rd | RS1(reg(r)) |
		       IMM(0xc00 + rng_below(r, 3));
	}
	return 0x73 | op | rd | RS1(reg(r)) | IMM(PICK(r, none_list));
}

static uint32_t system_word(struct rng *r, bool s_mode)
{
	static const uint32_t list[] = {
		0x00100073, /* ebreak */
		0x10200073, /* sret */
		0x30200073, /* mret */
		0x7b200073, /* dret */
		0x00200073, /* uret */
		0x10500073, /* wfi */
		0x12000073, /* sfence.vma, sinval.vma, and its fences */
		0x16000073, 0x18000073, 0x18100073, 0x0000100f, /* fence.i */
		0x0ff0000f,                                     /* fence */
		0x0100000f,                                     /* pause */
		0x8330000f,                                     /* fence.tso */
	};
	uint32_t word;

	if (rng_chance(r, 75))
		return csr(r);
	word = PICK(r, list);
	if (word == 0x12000073 || word == 0x16000073)
		word |= RS1(rng_chance(r, 50) ? 0 : reg(r)) |
			RS2(rng_chance(r, 80) ? 0 : reg(r));
	/* In U mode QEMU lets Svinval's fences pass. */
	if (!s_mode && (word == 0x18000073 || word == 0x18100073))
		return csr(r);
	/*
	 * In S mode sret would lead out of the case, wfi would wait for ever,
	 * and ecall ends the run.
	 */
	if (s_mode && (word == 0x10200073 || word == 0x10500073))
		return csr(r);
	return rng_chance(r, 10) && !s_mode ? 0x73 : word;
}

/* Any word that leads nowhere and is not for the machine. */
static bool harmless(uint32_t word)
{
	uint32_t op = word & 0x7f;

	if ((word & 3) == 3) {
		/* Longer instructions: QEMU reads them as two of 32 bits. */
		return op != 0x73 && op != 0x6f && op != 0x67 && op != 0x63 &&
		       (word & 0x1f) != 0x1f;
	}
	word &= 0xffff;
	if ((word & 3) == 1 && word >> 13 >= 5) /* c.j, c.beqz, c.bnez */
		return false;
	/* c.jr, c.jalr */
	return !((word & 3) == 2 && word >> 13 == 4 && (word >> 2 & 31) == 0 &&
		 (word >> 7 & 31) != 0);
}

/*
 * Words that the specification or we treat otherwise than QEMU 7.2, each
 * with the reason: see README.md of this directory.
 */
static bool excluded(uint32_t word)
{
	uint32_t op = word & 0x7f, funct3 = word >> 12 & 7;

	if (op == 0x0f && funct3 == 2) /* Zicbom, Zicboz: unknown to 7.2 */
		return true;
	/* ctzw of 0 is not 32 there */
	if (op == 0x1b && funct3 == 1 && word >> 20 == 0x601)
		return true;
	return op == 0x2f && word >> 27 == 3; /* SC: see unit_random() */
}

static uint32_t wild(struct rng *r)
{
	uint32_t word;

	do {
		if (rng_chance(r, 60)) {
			/* a known opcode with everything else random */
			static const uint32_t ops[] = {0x03, 0x07, 0x0f, 0x13,
				0x17, 0x1b, 0x23, 0x27, 0x2f, 0x33, 0x37, 0x3b,
				0x43, 0x47, 0x4b, 0x4f, 0x53};

			word = ((uint32_t)rng_next(r) & ~0x7fu) | PICK(r, ops);
		} else {
			word = (uint32_t)rng_next(r);
		}
	} while (!harmless(word) || excluded(word));
	return word;
}

static unsigned put(uint16_t *halves, unsigned n, uint32_t word)
{
	halves[n++] = (uint16_t)word;
	if ((word & 3) == 3)
		halves[n++] = (uint16_t)(word >> 16);
	return n;
}

/* Any compressed instruction but jumps and branches. */
static uint32_t compressed(struct rng *r)
{
	uint32_t word;

	do
		word = (uint32_t)rng_next(r) & 0xffff;
	while ((word & 3) == 3 || !harmless(word));
	return word;
}

/* auipc rd, 0 and a jump through rd to what follows, or one bit beside it. */
static unsigned jump(struct rng *r, uint16_t *halves)
{
	uint32_t d = 1 + rng_below(r, 31);
	unsigned n = put(halves, 0, 0x17 | RD(d));

	if (rng_chance(r, 60))
		return put(halves, n,
			0x67 | RD(reg(r)) | RS1(d) | IMM(8 + rng_below(r, 2)));
	n = put(halves, n, 0x0021 | RD(d)); /* c.addi rd, 8 */
	return put(halves, n, (rng_chance(r, 50) ? 0x8002 : 0x9002) | RD(d));
}

/* Through any register: jalr, c.jr, c.jalr. */
static uint32_t wild_jump(struct rng *r)
{
	uint32_t rd = RD(1 + rng_below(r, 31));

	if (rng_chance(r, 60))
		return 0x67 | RD(reg(r)) | RS1(reg(r)) | IMM(rng_next(r));
	return (rng_chance(r, 50) ? 0x8002 : 0x9002) | rd;
}

/* A branch over the next unit, or more: cases.c finds the distance. */
static uint32_t branch(struct rng *r)
{
	static const uint32_t list[] = {0x00000063, 0x00001063, 0x00004063,
		0x00005063, 0x00006063, 0x00007063, 0x0000006f, 0xa001, 0xc001,
		0xe001};
	uint32_t word = PICK(r, list);

	if (word == 0x6f)
		return word | RD(dest(r));
	if ((word & 3) == 3)
		return word | RS1(reg(r)) | RS2(reg(r));
	/* c.j; c.beqz and c.bnez of x8 to x15 */
	return word == 0xa001 ? word : word | RD(rng_below(r, 8));
}

unsigned unit_random(struct rng *r, bool s_mode, uint16_t *halves)
{
	unsigned what = rng_below(r, 100), n = 0;
	uint32_t d, a;

	if (what < 24)
		return put(halves, 0, integer(r));
	if (what < 46)
		return put(halves, 0, memory(r));
	if (what < 64)
		return put(halves, 0, floating(r));
	if (what < 80)
		return put(halves, 0, compressed(r));
	if (what < 82 && s_mode) { /* lui, then set or clear in sstatus */
		d = 16 + rng_below(r, 16);
		a = (uint32_t)rng_next(r) & 0x7fff9000;
		if (rng_chance(r, 30))
			a |= 0x6000; /* FS: all of it */
		n = put(halves, n, 0x37 | RD(d) | a);
		return put(halves, n,
			0x10000073 | (2 + rng_below(r, 2)) << 12 | RS1(d));
	}
	if (what < 88)
		return put(halves, 0, system_word(r, s_mode));
	if (what < 92)
		return put(halves, 0, wild(r));
	/*
	 * LR and SC, aligned: a misaligned SC that has no reservation fails
	 * in QEMU and traps in the specification.
	 */
	if (what < 94) {
		d = rng_below(r, 2) << 12;
		a = 8 + rng_below(r, 4);
		n = put(halves, n, 0xff807013 | RD(a) | RS1(a));
		n = put(halves, n,
			0x1000202f | d | RS1(a) | RD(16 + rng_below(r, 16)));
		if (rng_chance(r, 20)) { /* fails, unless they are the same */
			a = 8 + rng_below(r, 4);
			n = put(halves, n, 0xff807013 | RD(a) | RS1(a));
		}
		return put(halves, n,
			0x1800202f | d | RS1(a) | RD(dest(r)) | RS2(reg(r)));
	}
	if (what < 96)
		return jump(r, halves);
	if (what < 97 && !s_mode)
		return put(halves, 0, wild_jump(r));
	return put(halves, 0, branch(r));
}
