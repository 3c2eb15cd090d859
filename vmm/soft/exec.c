/* SPDX-License-Identifier: MIT */
/*
 * exec.c - the dispatch loop
 *
 * Runs decoded blocks, one computed goto per instruction. This function is
 * long because the state that matters (block, instruction, pc, instret)
 * lives in registers of the host, and because each handler is a label.
 *
 *   jump  find the block at pc through the fetch TLB and the block hash, or
 *         take the fetch fault
 *   run   count the block's instructions, look around if it is time, run it
 *         (ENTER; repeated in the branches and in jalr)
 *   left  an instruction is done, but the section was left in the middle:
 *         everything derived from translations is stale, go on from the next
 *         pc through `jump`
 *   fault an instruction has not happened: trap
 *
 * instret counts whole blocks when they are entered and is corrected where
 * one is not finished. Direct branches within a page are chained through
 * block->next: virtual and physical distance are the same there, whatever
 * the mapping. Everything else goes through `jump`, so a change of mapping,
 * which always ends a block or leaves the section, needs to tell nobody.
 *
 * Interrupts, kicks and the stop are seen at block starts only, by one
 * compare of instret with check_at. A block has at most BLOCK_INSNS
 * instructions, and a loop passes a block start every time round.
 */
/*
 * GCC's manual advises this for computed gotos: otherwise values are kept
 * for all handlers that only some want. Measured: a fifth faster.
 */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-gcse")
#endif

#include "vmm/soft/arith.h"
#include "vmm/soft/hart.h"

#define NEXT                  \
	do {                  \
		i++;          \
		goto * i->go; \
	} while (0)

#define RD  x[i->rd]
#define RS1 x[i->rs1]
#define RS2 x[i->rs2]
#define IMM ((uint64_t)(int64_t)i->imm)
/* The result of a *W instruction. */
#define SEXT32(v) ((uint64_t)(int64_t)(int32_t)(v))

#define ALU(name, value)          \
	op_##name : RD = (value); \
	NEXT

/* Start block b; in each place anew, for the host's branch prediction. */
#define ENTER                                                              \
	do {                                                               \
		instret += b->count;                                       \
		if (UNLIKELY(instret >= atomic_load_explicit(&h->check_at, \
						memory_order_relaxed)))    \
			goto look;                                         \
		i = b->insn;                                               \
		goto * i->go;                                              \
	} while (0)

/* From block b to `target`, which next[n] may already lead to. */
#define FOLLOW(n, target)                                       \
	do {                                                    \
		struct block *next = b->next[n];                \
                                                                \
		if (LIKELY(next && next->gen == h->code_gen)) { \
			pc = (target);                          \
			b = next;                               \
			ENTER;                                  \
		}                                               \
		to = (target);                                  \
		link = &b->next[n];                             \
		goto chain;                                     \
	} while (0)

#define BRANCH(name, condition)                         \
	op_##name : if (condition) FOLLOW(1, pc + IMM); \
	FOLLOW(0, pc + b->bytes)

/* Does `va` hit? See struct tlb_entry. */
#define HIT(e, va, size) \
	LIKELY(((va) & (~MEMSLOT_PAGE_MASK | ((size)-1))) == (e)->tag)
#define ENTRY(t, va) (&(t)->e[((va) >> MEMSLOT_PAGE_SHIFT) & TLB_MASK])

/* `first` comes before the access, `assign` takes the value in v. */
#define LOAD(name, type, first, assign)                                     \
	op_##name:                                                          \
	{                                                                   \
		uint64_t va = RS1 + IMM;                                    \
		const struct tlb_entry *e = ENTRY(h->load, va);             \
		type v;                                                     \
                                                                            \
		first;                                                      \
		if (HIT(e, va, sizeof(type))) {                             \
			v = __atomic_load_n((const type *)(va + e->addend), \
				__ATOMIC_RELAXED);                          \
			assign;                                             \
			NEXT;                                               \
		}                                                           \
		mem = mem_load(h, va, sizeof(type));                        \
		if (mem == MEM_FAULT)                                       \
			goto fault;                                         \
		v = (type)h->value;                                         \
		assign;                                                     \
		if (mem == MEM_LEFT)                                        \
			goto left;                                          \
		NEXT;                                                       \
	}
#define LOAD_X(name, type) LOAD(name, type, (void)0, RD = (uint64_t)(int64_t)v)

#define STORE(name, type, first, value)                              \
	op_##name:                                                   \
	{                                                            \
		uint64_t va = RS1 + IMM;                             \
		const struct tlb_entry *e = ENTRY(h->store, va);     \
                                                                     \
		first;                                               \
		if (HIT(e, va, sizeof(type))) {                      \
			__atomic_store_n((type *)(va + e->addend),   \
				(type)(value), __ATOMIC_RELAXED);    \
			NEXT;                                        \
		}                                                    \
		mem = mem_store(h, va, sizeof(type), (type)(value)); \
		if (mem == MEM_FAULT)                                \
			goto fault;                                  \
		if (mem == MEM_LEFT)                                 \
			goto left;                                   \
		NEXT;                                                \
	}
#define STORE_X(name, type) STORE(name, type, (void)0, RS2)

/* FP registers hold floats NaN-boxed. */
#define BOX(v) ((uint64_t)(v) | 0xffffffff00000000u)
#define NEED_FP                               \
	do {                                  \
		if (UNLIKELY(!fp_enabled(h))) \
			goto illegal;         \
	} while (0)
#define DIRTY_FP (h->sstatus |= SSTATUS_FS)

/*
 * A fetch of the instruction at the last parcel of a page that goes on in
 * the next page. MEM_OK: *bits. The two pages need not be neighbours.
 */
static enum mem fetch_cross(
	struct hart *h, uint64_t pc, const uint8_t *host, uint32_t *bits)
{
	uint16_t lo = __atomic_load_n((const uint16_t *)host, __ATOMIC_RELAXED);
	uint64_t va = pc + 2;
	const struct tlb_entry *e = ENTRY(h->fetch, va);
	enum mem mem;

	if (!HIT(e, va, 1)) {
		mem = mmu_fetch(h, va);
		if (mem != MEM_OK)
			return mem; /* LEFT: `host` is stale */
	}
	*bits = (uint32_t)__atomic_load_n(
			(const uint16_t *)(va + e->addend), __ATOMIC_RELAXED)
			<< 16 |
		lo;
	return MEM_OK;
}

/* The loop; or, without a hart, the addresses of its labels. */
static enum hart_exit loop(struct hart *h, const void *const **labels)
{
#define OP_LABEL(name) &&op_##name,
	static const void *const label[] = {OPS(OP_LABEL)};
#undef OP_LABEL
	uint64_t *x, pc, instret, to;
	const struct insn *i;
	struct block *b, **link;
	enum mem mem;

	if (!h) {
		*labels = label;
		return EXIT_KICK;
	}
	x = h->x;
	pc = h->pc;
	instret = h->instret;

jump : {
	const struct tlb_entry *e = ENTRY(h->fetch, pc);
	const uint8_t *host;

	link = NULL;
find:
	if (UNLIKELY(!HIT(e, pc, 1))) {
		mem = mmu_fetch(h, pc);
		if (mem == MEM_FAULT)
			goto fetch_fault;
		/* There is a way out even if it never succeeds. */
		if (mem == MEM_LEFT && atomic_load(&h->kicked))
			goto kicked;
		if (mem == MEM_LEFT)
			goto jump;
	}
	host = (const uint8_t *)(pc + e->addend);
	b = h->code.hash[code_hash(host)];
	if (LIKELY(b && b->host == host && b->gen == h->code_gen)) {
		if (link)
			*link = b;
	} else {
		b = code_find(h, host, link);
	}
	if (LIKELY(b != NULL))
		goto run;
	uint32_t bits = 0;

	mem = fetch_cross(h, pc, host, &bits);
	if (mem == MEM_FAULT)
		goto fetch_fault;
	if (mem == MEM_LEFT && atomic_load(&h->kicked))
		goto kicked;
	if (mem == MEM_LEFT)
		goto jump;
	b = code_cross(h, bits);
	goto run;

chain: /* from block b at pc to `to`, remembering the way in *link */
	if ((to ^ pc) & ~MEMSLOT_PAGE_MASK || !b->host)
		link = NULL;
	pc = to;
	e = ENTRY(h->fetch, pc);
	goto find;
}

run:
	ENTER;

look:
	instret -= b->count;
	/* First announce that we look, then look: see hart.c. */
	atomic_store(&h->check_at, instret + POLL_INSNS);
	atomic_store_explicit(&h->stat_instret, instret, memory_order_relaxed);
	h->instret = instret; /* the clock of lockstep.c */
	if (atomic_load(&h->kicked) || instret >= h->turn_end)
		goto kicked;
	if (trap_interrupt(h, &pc))
		goto jump;
	instret += b->count;
	i = b->insn;
	goto * i->go;

kicked:
	h->pc = pc;
	h->instret = instret;
	return EXIT_KICK;

left:
	/* Devices and trackers take their time: keep the timer in sight. */
	if (++h->lefts % LEFTS_PER_LOOK == 0)
		atomic_store_explicit(&h->check_at, 0, memory_order_relaxed);
	instret -= b->count - (unsigned)(i - b->insn) - 1u;
	pc += 2u * i[1].off;
	goto jump;

illegal:
	h->cause = CAUSE_ILLEGAL;
	h->tval = block_bits(b, i);
fault:
	instret -= b->count - (unsigned)(i - b->insn);
	pc += 2u * i->off;
fetch_fault:
	pc = trap_enter(h, h->cause, h->tval, pc);
	/* A handler that can not be fetched never comes to a block start. */
	if (UNLIKELY(atomic_load_explicit(&h->kicked, memory_order_relaxed)))
		goto kicked;
	goto jump;

	/* ---- control ---- */

op_END:
	FOLLOW(0, pc + b->bytes);
op_ILLEGAL:
	goto illegal;

	BRANCH(BEQ, RS1 == RS2);
	BRANCH(BNE, RS1 != RS2);
	BRANCH(BLT, (int64_t)RS1 < (int64_t)RS2);
	BRANCH(BGE, (int64_t)RS1 >= (int64_t)RS2);
	BRANCH(BLTU, RS1 < RS2);
	BRANCH(BGEU, RS1 >= RS2);
	BRANCH(BEQZ, RS1 == 0);
	BRANCH(BNEZ, RS1 != 0);
op_JAL:
	RD = pc + b->bytes;
op_J:
	FOLLOW(1, pc + IMM);
op_JALR:
	to = (RS1 + IMM) & ~(uint64_t)1;
	RD = pc + b->bytes;
	pc = to;
	{
		/* What `jump` does, for the usual case: returns are many. */
		const struct tlb_entry *e = ENTRY(h->fetch, pc);
		const uint8_t *host = (const uint8_t *)(pc + e->addend);
		struct block *next = h->code.hash[code_hash(host)];

		if (LIKELY(HIT(e, pc, 1) && next && next->host == host &&
			    next->gen == h->code_gen)) {
			b = next;
			ENTER;
		}
	}
	goto jump;

	/* ---- integer ---- */

	ALU(ADD, RS1 + RS2);
	ALU(SUB, RS1 - RS2);
	ALU(SLL, RS1 << (RS2 & 63));
	ALU(SLT, (int64_t)RS1 < (int64_t)RS2);
	ALU(SLTU, RS1 < RS2);
	ALU(XOR, RS1 ^ RS2);
	ALU(SRL, RS1 >> (RS2 & 63));
	ALU(SRA, (uint64_t)((int64_t)RS1 >> (RS2 & 63)));
	ALU(OR, RS1 | RS2);
	ALU(AND, RS1 & RS2);
	ALU(ADDW, SEXT32(RS1 + RS2));
	ALU(SUBW, SEXT32(RS1 - RS2));
	ALU(SLLW, SEXT32((uint32_t)RS1 << (RS2 & 31)));
	ALU(SRLW, SEXT32((uint32_t)RS1 >> (RS2 & 31)));
	ALU(SRAW, SEXT32((int32_t)RS1 >> (RS2 & 31)));
	ALU(ADDI, RS1 + IMM);
	ALU(SLTI, (int64_t)RS1 < i->imm);
	ALU(SLTIU, RS1 < IMM);
	ALU(XORI, RS1 ^ IMM);
	ALU(ORI, RS1 | IMM);
	ALU(ANDI, RS1 & IMM);
	ALU(SLLI, RS1 << i->imm);
	ALU(SRLI, RS1 >> i->imm);
	ALU(SRAI, (uint64_t)((int64_t)RS1 >> i->imm));
	ALU(ADDIW, SEXT32(RS1 + IMM));
	ALU(SLLIW, SEXT32((uint32_t)RS1 << i->imm));
	ALU(SRLIW, SEXT32((uint32_t)RS1 >> i->imm));
	ALU(SRAIW, SEXT32((int32_t)RS1 >> i->imm));
	ALU(LI, IMM);
	ALU(MV, RS1);
	ALU(AUIPC, pc + IMM);
	ALU(MUL, RS1 * RS2);
	ALU(MULH, mulh((int64_t)RS1, (int64_t)RS2));
	ALU(MULHSU, mulhsu((int64_t)RS1, RS2));
	ALU(MULHU, mulhu(RS1, RS2));
	ALU(DIV, (uint64_t)div64((int64_t)RS1, (int64_t)RS2));
	ALU(DIVU, RS2 ? RS1 / RS2 : ~(uint64_t)0);
	ALU(REM, (uint64_t)rem64((int64_t)RS1, (int64_t)RS2));
	ALU(REMU, RS2 ? RS1 % RS2 : RS1);
	ALU(MULW, SEXT32(RS1 * RS2));
	ALU(DIVW, SEXT32(div32((int32_t)RS1, (int32_t)RS2)));
	ALU(DIVUW, (uint32_t)RS2 ? SEXT32((uint32_t)RS1 / (uint32_t)RS2)
				 : ~(uint64_t)0);
	ALU(REMW, SEXT32(rem32((int32_t)RS1, (int32_t)RS2)));
	ALU(REMUW, (uint32_t)RS2 ? SEXT32((uint32_t)RS1 % (uint32_t)RS2)
				 : SEXT32(RS1));

	/* ---- Zba, Zbb, Zbs ---- */

	ALU(ADDUW, (uint32_t)RS1 + RS2);
	ALU(SH1ADD, (RS1 << 1) + RS2);
	ALU(SH2ADD, (RS1 << 2) + RS2);
	ALU(SH3ADD, (RS1 << 3) + RS2);
	ALU(SH1ADDUW, ((uint64_t)(uint32_t)RS1 << 1) + RS2);
	ALU(SH2ADDUW, ((uint64_t)(uint32_t)RS1 << 2) + RS2);
	ALU(SH3ADDUW, ((uint64_t)(uint32_t)RS1 << 3) + RS2);
	ALU(SLLIUW, (uint64_t)(uint32_t)RS1 << i->imm);
	ALU(ANDN, RS1 & ~RS2);
	ALU(ORN, RS1 | ~RS2);
	ALU(XNOR, ~(RS1 ^ RS2));
	ALU(CLZ, clz64(RS1));
	ALU(CTZ, ctz64(RS1));
	ALU(CPOP, (uint64_t)__builtin_popcountll(RS1));
	ALU(CLZW, clz32((uint32_t)RS1));
	ALU(CTZW, ctz32((uint32_t)RS1));
	ALU(CPOPW, (uint64_t)__builtin_popcount((uint32_t)RS1));
	ALU(MIN, (int64_t)RS1 < (int64_t)RS2 ? RS1 : RS2);
	ALU(MINU, RS1 < RS2 ? RS1 : RS2);
	ALU(MAX, (int64_t)RS1 > (int64_t)RS2 ? RS1 : RS2);
	ALU(MAXU, RS1 > RS2 ? RS1 : RS2);
	ALU(SEXTB, (uint64_t)(int64_t)(int8_t)RS1);
	ALU(SEXTH, (uint64_t)(int64_t)(int16_t)RS1);
	ALU(ZEXTH, (uint16_t)RS1);
	ALU(ROL, rol64(RS1, (unsigned)RS2));
	ALU(ROR, rol64(RS1, -(unsigned)RS2));
	ALU(RORI, rol64(RS1, -(unsigned)i->imm));
	ALU(ROLW, SEXT32(rol32((uint32_t)RS1, (unsigned)RS2)));
	ALU(RORW, SEXT32(rol32((uint32_t)RS1, -(unsigned)RS2)));
	ALU(RORIW, SEXT32(rol32((uint32_t)RS1, -(unsigned)i->imm)));
	ALU(ORCB, orc_b(RS1));
	ALU(REV8, __builtin_bswap64(RS1));
	ALU(BCLR, RS1 & ~((uint64_t)1 << (RS2 & 63)));
	ALU(BEXT, RS1 >> (RS2 & 63) & 1);
	ALU(BINV, RS1 ^ (uint64_t)1 << (RS2 & 63));
	ALU(BSET, RS1 | (uint64_t)1 << (RS2 & 63));
	ALU(BCLRI, RS1 & ~((uint64_t)1 << i->imm));
	ALU(BEXTI, RS1 >> i->imm & 1);
	ALU(BINVI, RS1 ^ (uint64_t)1 << i->imm);
	ALU(BSETI, RS1 | (uint64_t)1 << i->imm);

	/* ---- memory ---- */

	LOAD_X(LB, int8_t)
	LOAD_X(LH, int16_t)
	LOAD_X(LW, int32_t)
	LOAD_X(LD, uint64_t)
	LOAD_X(LBU, uint8_t)
	LOAD_X(LHU, uint16_t)
	LOAD_X(LWU, uint32_t)
	STORE_X(SB, uint8_t)
	STORE_X(SH, uint16_t)
	STORE_X(SW, uint32_t)
	STORE_X(SD, uint64_t)
op_AMO:
	mem = amo_exec(h, (uint32_t)i->imm);
	if (mem == MEM_FAULT)
		goto fault;
	if (mem == MEM_LEFT)
		goto left;
	NEXT;
op_CBO:
	mem = cbo_exec(h, (uint32_t)i->imm);
	if (mem == MEM_FAULT)
		goto fault;
	if (mem == MEM_LEFT)
		goto left;
	NEXT;
op_FENCE:
	fence((uint32_t)i->imm);
	NEXT;
op_PAUSE: /* and wrs.nto, wrs.sto: they may stall as briefly as they like */
	hart_pause(h);
	NEXT;

	/* ---- floating point: FS is dirty once a register or flag is written ---- */

	LOAD(FLW, uint32_t, NEED_FP, (h->f[i->rd] = BOX(v), DIRTY_FP))
	LOAD(FLD, uint64_t, NEED_FP, (h->f[i->rd] = v, DIRTY_FP))
	STORE(FSW, uint32_t, NEED_FP, h->f[i->rs2])
	STORE(FSD, uint64_t, NEED_FP, h->f[i->rs2])
op_FP:
	if (UNLIKELY(!fp_exec(h, (uint32_t)i->imm)))
		goto illegal;
	NEXT;

	/* ---- system: each is the last of its block ---- */

op_FENCE_I:
	code_expire(h);
	pc += b->bytes;
	goto jump;
op_SFENCE_VMA:
	if (h->mode == MODE_U)
		goto illegal;
	if (i->rs1)
		tlb_drop_va(h, RS1);
	else
		tlb_drop_all(h);
	pc += b->bytes;
	goto jump;
op_SFENCE_ORDER: /* of Svinval; sinval.vma itself is done at once */
	if (h->mode == MODE_U)
		goto illegal;
	NEXT;
op_CSR:
	h->instret = instret - 1; /* not counting itself */
	if (!csr_exec(h, (uint32_t)i->imm))
		goto illegal;
	pc += b->bytes;
	goto jump;
op_ECALL:
	if (h->mode == MODE_U) {
		h->cause = CAUSE_ECALL_U;
		h->tval = 0;
		goto fault;
	}
	h->pc = pc + b->bytes;
	h->instret = instret;
	return EXIT_ECALL;
op_EBREAK:
	h->cause = CAUSE_BREAKPOINT;
	h->tval = pc + 2u * i->off;
	goto fault;
op_SRET:
	if (h->mode == MODE_U)
		goto illegal;
	pc = trap_sret(h);
	goto jump;
op_WFI:
	if (h->mode == MODE_U)
		goto illegal;
	h->pc = pc + b->bytes;
	h->instret = instret;
	return EXIT_WFI;
}

const void *const *hart_exec_labels(void)
{
	const void *const *labels;

	loop(NULL, &labels);
	return labels;
}

enum hart_exit hart_exec(struct hart *h)
{
	return loop(h, NULL);
}
