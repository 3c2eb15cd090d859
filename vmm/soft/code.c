/* SPDX-License-Identifier: MIT */
/*
 * code.c - the cache of decoded blocks of one hart
 *
 * A block is keyed by the host address of its first byte, so it does not
 * care about virtual addresses: satp, sfence.vma and traps leave it alone.
 * It holds a copy of the bytes it was decoded from. Zifencei asks only that
 * a fence.i makes earlier stores visible to fetches: it advances the hart's
 * generation (code_expire), and a block of an older generation is compared
 * with memory before it runs again. Comparing is far cheaper than decoding,
 * and Linux executes fence.i thousands of times while it patches itself.
 *
 * Memory is a bump arena; when it is full everything is thrown away at once.
 * A block that lost its hash place to another stays usable through `next`.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/soft/hart.h"

/* insn[] with OP_END, and the raw bytes. */
#define BLOCK_MAX                                                         \
	(sizeof(struct block) + (BLOCK_INSNS + 1) * sizeof(struct insn) + \
		BLOCK_INSNS * 4)
#define CROSS_SIZE \
	((sizeof(struct block) + 2 * sizeof(struct insn) + 4 + 15) & ~15u)

int code_init(struct code *c)
{
	c->label = hart_exec_labels();
	c->hash = calloc(CODE_HASH, sizeof(*c->hash));
	c->arena = malloc(CODE_ARENA);
	c->cross[0] = calloc(CODE_CROSS, CROSS_SIZE);
	if (!c->hash || !c->arena || !c->cross[0])
		return -ENOMEM;
	for (unsigned n = 1; n < CODE_CROSS; n++)
		c->cross[n] = (struct block *)((uint8_t *)c->cross[0] +
					       n * CROSS_SIZE);
	return 0;
}

void code_fini(struct code *c)
{
	free(c->hash);
	free(c->arena);
	free(c->cross[0]);
}

static uint8_t *block_raw(const struct block *b)
{
	return (uint8_t *)&b->insn[b->count + 1];
}

uint32_t block_bits(const struct block *b, const struct insn *i)
{
	const uint8_t *p = block_raw(b) + i->off * 2;
	uint16_t lo, hi;

	memcpy(&lo, p, 2);
	if ((lo & 3) != 3)
		return lo;
	memcpy(&hi, p + 2, 2);
	return (uint32_t)hi << 16 | lo;
}

/*
 * One relaxed load per parcel: other harts may be writing it, and what was
 * decoded must be what was recorded.
 */
static uint16_t parcel(const uint8_t *p)
{
	return __atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED);
}

static void put(const struct code *c, struct insn *i, struct decoded d,
	unsigned bytes, uint32_t bits)
{
	i->go = c->label[d.op];
	i->imm = d.imm;
	i->rd = d.rd;
	i->rs1 = d.rs1;
	i->rs2 = d.rs2;
	i->off = (uint8_t)(bytes / 2);
	switch (d.op) {
	case OP_AUIPC: /* see struct insn: relative to the block */
	case OP_J:
	case OP_JAL:
	case OP_BEQ:
	case OP_BNE:
	case OP_BLT:
	case OP_BGE:
	case OP_BLTU:
	case OP_BGEU:
	case OP_BEQZ:
	case OP_BNEZ:
		i->imm += (int32_t)bytes;
		break;
	case OP_ILLEGAL:
		i->imm = (int32_t)bits;
		break;
	default:
		break;
	}
}

/* As this machine has it: extensions may be off. */
static struct decoded decode_one(const struct hart *h, uint32_t bits)
{
	struct decoded d =
		(bits & 3) == 3 ? decode_32(bits) : decode_16((uint16_t)bits);

	return isa_has(h->s->config.isa_off, d.ext) ? d : illegal();
}

static void put_end(const struct code *c, struct block *b)
{
	struct decoded end = {.op = OP_END, .rd = X_SINK};

	put(c, &b->insn[b->count], end, b->bytes, 0);
}

/* Decode from host to the end of the block or of the page. */
static void decode(struct hart *h, struct block *b, const uint8_t *host)
{
	const unsigned room = (unsigned)(MEMSLOT_PAGE_SIZE -
					 ((uintptr_t)host & MEMSLOT_PAGE_MASK));
	uint8_t raw[BLOCK_INSNS * 4];
	bool ended = false;

	memset(b, 0, sizeof(*b));
	b->host = host;
	b->gen = h->code_gen;
	while (!ended && b->count < BLOCK_INSNS && b->bytes < room) {
		uint32_t bits = parcel(host + b->bytes);
		struct decoded d;
		unsigned len = 2;

		if ((bits & 3) == 3) {
			len = 4;
			if (b->bytes + len > room)
				break; /* across the page: code_cross() */
			bits |= (uint32_t)parcel(host + b->bytes + 2) << 16;
		}
		d = decode_one(h, bits);
		memcpy(raw + b->bytes, &bits, len);
		put(&h->code, &b->insn[b->count++], d, b->bytes, bits);
		b->bytes = (uint16_t)(b->bytes + len);
		ended = op_ends_block(d.op);
	}
	put_end(&h->code, b);
	memcpy(block_raw(b), raw, b->bytes);
}

static void forget_all(struct code *c)
{
	memset(c->hash, 0, CODE_HASH * sizeof(*c->hash));
	c->used = 0;
}

struct block *code_find(
	struct hart *h, const uint8_t *host, struct block **link)
{
	struct code *c = &h->code;
	struct block **place = &c->hash[code_hash(host)];
	struct block *b = *place;

	if (b && b->host == host) {
		/*
		 * Torn reads here could only show bytes that are being
		 * changed, which without a fence.i may appear old or new.
		 */
		if (b->gen == h->code_gen ||
			memcmp(block_raw(b), host, b->bytes) == 0) {
			b->gen = h->code_gen;
			if (link)
				*link = b;
			return b;
		}
	}
	if (c->used + BLOCK_MAX > CODE_ARENA) {
		forget_all(c);
		link = NULL; /* it was inside the arena */
	}
	b = (struct block *)(c->arena + c->used);
	decode(h, b, host);
	if (b->count == 0)
		return NULL;
	c->used +=
		sizeof(*b) + (b->count + 1u) * sizeof(struct insn) + b->bytes;
	c->used = (c->used + 15) & ~(size_t)15;
	*place = b;
	if (link)
		*link = b;
	return b;
}

struct block *code_cross(struct hart *h, uint32_t bits)
{
	struct code *c = &h->code;
	struct block *b =
		c->cross[(bits ^ bits >> 7 ^ bits >> 20) % CODE_CROSS];

	/* What bits decode to never changes: no generation to check. */
	if (b->count && memcmp(block_raw(b), &bits, 4) == 0)
		return b;
	memset(b, 0, sizeof(*b));
	b->count = 1;
	b->bytes = 4;
	put(c, &b->insn[0], decode_one(h, bits), 0, bits);
	put_end(c, b);
	memcpy(block_raw(b), &bits, 4);
	return b;
}

void code_expire(struct hart *h)
{
	/* After 2^32 of them an old block could look new: start afresh. */
	if (++h->code_gen == 0)
		forget_all(&h->code);
}
