/* SPDX-License-Identifier: MIT */
/*
 * cases.c - random cases, and the memory they run in
 *
 * A case has two code pages, mapped once for U and once for S, and VA_DATA:
 * pages of every kind beside each other, so that accesses across pages meet
 * every pair. All writable ones are the same two pages of memory.
 */
#include <string.h>

#include "tests/differential/diff.h"

#define V 0x01u
#define R 0x02u
#define W 0x04u
#define X 0x08u
#define U 0x10u
#define A 0x40u
#define D 0x80u
#define N ((uint64_t)1 << 63)

#define PAGE      0x1000u
#define PPN(at)   ((uint64_t)(RAM_BASE + (at)) >> 12 << 10)
#define DATA(n)   (PPN(AT_DATA + (n)*PAGE))
#define PAGES     48u /* of VA_DATA: 16 for U, 16 for S, 16 of NAPOT */
#define SUPER_VA  0x200000u
#define BAD_SUPER 0x400000u

/* What 16 pages are; U is added to the first set, not to the second. */
static const struct {
	uint64_t pte;
	bool other; /* of the other mode */
} kinds[16] = {
	{DATA(0) | V | R | W | A | D, false},
	{DATA(1) | V | R | W | A | D, false},
	{DATA(0) | V | R | W, false}, /* bits to be set */
	{DATA(1) | V | R | W | A, false}, {DATA(0) | V | R, false},
	{DATA(1) | V | R | X | A, false},
	{DATA(0) | V | X | A, false}, /* only with MXR */
	{DATA(1) | V | R | W | A | D, true}, {0, false},
	{DATA(0) | V | W, false},                                 /* reserved */
	{DATA(1) | V | R | W | A | D | 3u << 8, false},           /* RSW */
	{DATA(0) | V | R | W | A | D | (uint64_t)1 << 61, false}, /* NC */
	{DATA(1) | V | R | W | A | D | (uint64_t)2 << 61, false}, /* IO */
	{(uint64_t)0x200000 >> 12 << 10 | V | R | W | A | D, false}, /* hole */
	{DATA(1) | V | R | W | X, false},
	{DATA(0) | V | A | D, false}, /* a pointer at the lowest level */
};

static void put(uint8_t *ram, uint64_t at, uint64_t v)
{
	memcpy(ram + at, &v, sizeof(v));
}

static void fill_tables(uint8_t *ram)
{
	unsigned data = VA_DATA / PAGE;

	put(ram, AT_ROOT57, PPN(AT_ROOT48) | V);
	put(ram, AT_ROOT57 + 8 * 511, PPN(AT_ROOT48) | V);
	put(ram, AT_ROOT48, PPN(AT_ROOT39) | V);
	put(ram, AT_ROOT48 + 8 * 511, PPN(AT_ROOT39) | V);
	put(ram, AT_ROOT39, PPN(AT_LEVEL1) | V);
	put(ram, AT_ROOT39 + 8 * (HIGH >> 30 & 511),
		PPN(0) | V | R | W | X | A | D);
	put(ram, AT_LEVEL1, PPN(AT_LEVEL0) | V);
	put(ram, AT_LEVEL1 + 8, PPN(AT_SUPER) | V | R | U | A);
	put(ram, AT_LEVEL1 + 16, PPN(AT_SUPER + PAGE) | V | R | U | A);
	for (unsigned n = 0; n < 2; n++) {
		put(ram, AT_LEVEL0_0 + 8 * (VA_CODE_U / PAGE + n),
			PPN(AT_CODE + n * PAGE) | V | R | X | U | A);
		put(ram, AT_LEVEL0_0 + 8 * (VA_CODE_S / PAGE + n),
			PPN(AT_CODE + n * PAGE) | V | R | X | A);
	}
	/* 48 to 63: one set; whose it is alternates, see `other` */
	for (unsigned n = 0; n < 16; n++) {
		uint64_t pte = kinds[n].pte;

		if (pte && !kinds[n].other)
			pte |= U;
		put(ram, AT_LEVEL0_0 + 8 * (data + n), pte);
	}
	/* Below the code: 64 KiB of NAPOT at 0; one of them is wrong. */
	for (unsigned n = 0; n < 16; n++)
		put(ram, AT_LEVEL0_0 + 8 * n,
			PPN(AT_NAPOT) | N | (n == 9 ? 4u : 8u) << 10 | V | R |
				U | A);
}

void image_fill(uint8_t *ram, struct rng *r)
{
	fill_tables(ram);
	for (unsigned n = 0; n < DATA_PAGES_BYTES; n += 8)
		put(ram, AT_DATA_0 + n, rng_next(r));
	for (unsigned n = 0; n < 0x10000; n += 8)
		put(ram, AT_NAPOT + n, rng_next(r));
	for (unsigned n = 0; n < 0x200000; n += 8)
		put(ram, AT_SUPER + n, n * 0x0101010101u);
	put(ram, AT_CONTEXT + K_SATP,
		(uint64_t)8 << 60 | (RAM_BASE + AT_ROOT39) >> 12);
	put(ram, AT_CONTEXT + K_CASE, HIGH + AT_CASES);
	put(ram, AT_CONTEXT + K_RES, HIGH + AT_RESULTS);
}

/* ---- registers -------------------------------------------------------------- */

static uint64_t number(struct rng *r)
{
	static const uint64_t special[] = {0, 1, 2, 3, 7, 8, 31, 32, 63, 64,
		(uint64_t)-1, (uint64_t)-2, 0x7fffffff, 0x80000000, 0xffffffff,
		0xffffffff80000000, 0x7fffffffffffffff, 0x8000000000000000,
		0x100000000, 0x8000000000000001};
	unsigned shift;

	switch (rng_below(r, 4)) {
	case 0:
		return special[rng_below(
			r, sizeof(special) / sizeof(*special))];
	case 1:
		shift = rng_below(r, 64);
		return rng_next(r) >> shift;
	case 2:
		shift = rng_below(r, 64);
		return (uint64_t)((int64_t)rng_next(r) >> shift);
	default:
		return rng_next(r);
	}
}

static uint64_t address(struct rng *r, bool is_aligned)
{
	uint64_t at = VA_DATA + rng_below(r, 16) * PAGE;

	if (rng_chance(r, 5))
		at = rng_below(r, 16) * PAGE; /* NAPOT */
	else if (rng_chance(r, 4))
		at = rng_chance(r, 70) ? SUPER_VA : BAD_SUPER;
	else if (rng_chance(r, 3))
		at |= rng_next(r) & 0xffffff8000000000u; /* not canonical */
	/* Near the next page, or anywhere. */
	at += rng_chance(r, 40) ? PAGE - 8 + rng_below(r, 8)
				: rng_below(r, PAGE);
	return is_aligned ? at & ~(uint64_t)7 : at;
}

/* Patterns of one format: exponents and fractions that matter. */
static uint64_t float_bits(struct rng *r, unsigned exp_bits, unsigned fraction)
{
	uint64_t max = ((uint64_t)1 << exp_bits) - 1, bias = max >> 1;
	uint64_t ones = ((uint64_t)1 << fraction) - 1, e, f;

	switch (rng_below(r, 6)) {
	case 0:
		e = 0;
		break;
	case 1:
		e = max;
		break;
	case 2:
		e = rng_chance(r, 50) ? 1 + rng_below(r, 3)
				      : max - 1 - rng_below(r, 3);
		break;
	case 3:
		e = bias + rng_below(r, 70);
		break;
	default:
		e = bias - 4 + rng_below(r, 8);
		break;
	}
	switch (rng_below(r, 5)) {
	case 0:
		f = 0;
		break;
	case 1:
		f = ones;
		break;
	case 2:
		f = (uint64_t)1 << rng_below(r, fraction);
		break;
	default:
		f = rng_next(r) & ones;
		break;
	}
	return rng_next(r) >> 63 << (exp_bits + fraction) | e << fraction | f;
}

static uint64_t fp_number(struct rng *r)
{
	switch (rng_below(r, 8)) {
	case 0: /* not boxed */
		return float_bits(r, 8, 23) | (uint64_t)rng_below(r, 2) << 32;
	case 1:
		return rng_next(r);
	case 2:
	case 3:
	case 4:
		return float_bits(r, 8, 23) | 0xffffffff00000000u;
	default:
		return float_bits(r, 11, 52);
	}
}

/* ---- code ------------------------------------------------------------------- */

/* The offset fields of c.j, c.beqz and c.bnez, for up to 254 bytes. */
static uint16_t aim_compressed(uint16_t word, uint32_t d)
{
	uint32_t bits = (d >> 1 & 3) << 3 | (d >> 5 & 1) << 2;

	if (word >> 13 == 5)
		bits |= (d >> 4 & 1) << 11 | (d >> 6 & 1) << 7 |
			(d >> 7 & 1) << 6 | (d >> 3 & 1) << 5;
	else
		bits |= (d >> 3 & 3) << 10 | (d >> 6 & 3) << 5;
	return (uint16_t)(word | bits);
}

/* Unit n is a branch or jal: make it end at the start of a later unit. */
static void aim(struct rng *r, struct diff_case *c, unsigned n)
{
	uint16_t *at = &c->code[c->unit[n]];
	unsigned to = n + 1 + rng_below(r, c->units - n);
	uint32_t word = at[0] | (uint32_t)at[1] << 16;
	uint32_t d = 2u * (c->unit[to] - c->unit[n]);

	if ((at[0] & 3) == 1 && at[0] >> 13 >= 5) {
		if (d > 254) /* as far as c.beqz goes */
			d = 2u * (c->unit[n + 1] - c->unit[n]);
		at[0] = aim_compressed(at[0], d);
		return;
	}
	if ((word & 0x7f) == 0x63 && !(word >> 25))
		word |= (d >> 5 & 63) << 25 | (d >> 1 & 15) << 8;
	else if ((word & 0x7f) == 0x6f && !(word >> 12))
		word |= (d >> 1 & 0x3ff) << 21;
	else
		return;
	at[0] = (uint16_t)word;
	at[1] = (uint16_t)(word >> 16);
}

static void code_random(struct rng *r, struct diff_case *c, bool s_mode)
{
	unsigned units = 1 + rng_below(r, UNITS_MAX), n = 0;

	for (unsigned u = 0; u < units; u++) {
		c->unit[u] = (uint8_t)n;
		n += unit_random(r, s_mode, &c->code[n]);
	}
	c->units = (uint8_t)units;
	c->unit[units] = (uint8_t)n;
	for (unsigned u = 0; u < units; u++)
		aim(r, c, u);
	c->code[n] = 0x0073; /* ebreak: the end */
	c->code[n + 1] = 0x0010;
	c->end = c->entry + 2 * n;
}

void case_random(struct rng *r, struct diff_case *c)
{
	static const uint64_t roots[] = {AT_ROOT39, AT_ROOT48, AT_ROOT57};
	bool s_mode = rng_chance(r, 40);
	unsigned mode = rng_below(r, 3);

	memset(c, 0, sizeof(*c));
	for (unsigned n = 1; n < 32; n++)
		c->x[n] = number(r);
	c->x[2] = address(r, true);
	for (unsigned n = 8; n < 16; n++)
		c->x[n] = address(r, n < 12);
	for (unsigned n = 0; n < 32; n++)
		c->f[n] = fp_number(r);
	c->fcsr = rng_next(r) & 0xff;
	if (rng_chance(r, 90))
		c->fcsr &= 0x9f; /* a valid rounding mode, 4 at most */
	if ((c->fcsr >> 5) > 4 && rng_chance(r, 90))
		c->fcsr &= 0x1f;
	/* SPP is the mode; FS mostly on; SUM, MXR, SPIE as it comes. */
	c->sstatus = (uint64_t)s_mode << 8;
	c->sstatus |= rng_next(r) & (1u << 18 | 1u << 19 | 1u << 5);
	if (s_mode && rng_chance(r, 60))
		c->sstatus |= 1u << 18;
	if (rng_chance(r, 95))
		c->sstatus |= (1u + rng_below(r, 3)) << 13;
	c->satp = (uint64_t)(8 + mode) << 60 | (RAM_BASE + roots[mode]) >> 12;
	c->senvcfg = rng_below(r, 2);
	c->scounteren = rng_below(r, 8);
	c->base = s_mode ? VA_CODE_S : VA_CODE_U;
	/* Often across the two pages. */
	c->offset = rng_chance(r, 40) ? PAGE - 2 * rng_below(r, 60)
				      : 2 * rng_below(r, 1000);
	c->entry = c->base + c->offset;
	if (s_mode) {
		c->sie = rng_below(r, 2) * 2;
	} else {
		c->sie = 0x20;
		c->timeout = 100000; /* 10 ms */
	}
	code_random(r, c, s_mode);
}
