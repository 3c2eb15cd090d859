/* SPDX-License-Identifier: MIT */
/*
 * soft_fp.c - the F and D extensions, bit by bit
 *
 * Volume I, chapters 11 and 12: rounding modes, flags, NaN boxing, the
 * canonical NaN; volume II, 3.1.6.6 / 4.1.1: sstatus.FS. The expected values
 * come from the reference below, which knows nothing but integers: a number
 * is m * 2^exp with the top bit of m at bit TOP; IEEE 754-2019 clauses 4, 5
 * and 7; tininess is detected after rounding, as RISC-V wants.
 */
#include "tests/unit/soft/soft_harness.h"

#include <stdarg.h>

#include "tests/unit/test.h"

static struct sh m;

#define E(insn) sh_e(&m, insn)
#define N(a)    (sizeof(a) / sizeof((a)[0]))

enum { NX = 1, UF = 2, OF = 4, DZ = 8, NV = 16 };

/* ---- the reference ----------------------------------------------------- */

typedef unsigned __int128 u128;

#define TOP 120

struct fmt {
	unsigned mbits, ebits;
};
static const struct fmt fmt_s = {23, 8}, fmt_d = {52, 11};

static int bias(const struct fmt *f)
{
	return (1 << (f->ebits - 1)) - 1;
}

static uint64_t inf(const struct fmt *f, bool sign)
{
	return (uint64_t)sign << (f->mbits + f->ebits) |
	       ((1ull << f->ebits) - 1) << f->mbits;
}

static uint64_t canonical(const struct fmt *f)
{
	return inf(f, false) | 1ull << (f->mbits - 1);
}

static uint64_t zero(const struct fmt *f, bool sign)
{
	return (uint64_t)sign << (f->mbits + f->ebits);
}

enum class { ZERO, FINITE, INF, QNAN, SNAN };

struct num {
	enum class class;
	bool sign;
	int exp;
	u128 m;
};

static u128 jam(u128 v, int by)
{
	if (by <= 0)
		return v;
	if (by > 126)
		return v != 0;
	return v >> by | ((v & (((u128)1 << by) - 1)) != 0);
}

/* Top bit to TOP; v is not 0. */
static void normal(int *exp, u128 *v)
{
	while (*v >> (TOP + 1)) {
		*v = jam(*v, 1);
		++*exp;
	}
	while (!(*v >> TOP)) {
		*v <<= 1;
		--*exp;
	}
}

static struct num unpack(const struct fmt *f, uint64_t bits)
{
	struct num n = {0};
	uint64_t frac = bits & ((1ull << f->mbits) - 1);
	int e = (int)(bits >> f->mbits & ((1u << f->ebits) - 1));

	n.sign = bits >> (f->mbits + f->ebits) & 1;
	if (e == (1 << f->ebits) - 1) {
		n.class = !frac ? INF : frac >> (f->mbits - 1) ? QNAN : SNAN;
		return n;
	}
	if (!e && !frac)
		return n;
	n.class = FINITE;
	n.m = e ? frac | 1ull << f->mbits : frac;
	n.exp = (e ? e : 1) - bias(f) - (int)f->mbits;
	normal(&n.exp, &n.m);
	return n;
}

static bool round_up(bool sign, u128 kept, u128 rest, u128 half, unsigned rm)
{
	switch (rm) {
	case RV_RNE:
		return rest > half || (rest == half && (kept & 1));
	case RV_RTZ:
		return false;
	case RV_RDN:
		return sign && rest;
	case RV_RUP:
		return !sign && rest;
	default:
		return rest >= half && rest;
	}
}

/* Integer part of v / 2^shift, rounded. */
static u128 round_at(bool sign, u128 v, int shift, unsigned rm, bool *inexact)
{
	u128 kept, rest;

	if (shift > 125) {
		v = v != 0;
		shift = 125;
	}
	kept = v >> shift;
	rest = v & (((u128)1 << shift) - 1);
	*inexact = rest != 0;
	return kept + round_up(sign, kept, rest, (u128)1 << (shift - 1), rm);
}

static uint64_t pack(const struct fmt *f, bool sign, int exp, u128 v,
	unsigned rm, unsigned *flags)
{
	int shift = TOP - (int)f->mbits, least = 1 - bias(f) - (int)f->mbits;
	bool inexact, ignored, tiny = false;
	u128 kept;

	normal(&exp, &v);
	if (exp + shift < least) {
		/* tiny? rounded as if the exponent had no end */
		kept = round_at(sign, v, shift, rm, &ignored);
		tiny = exp + TOP + (kept >> (f->mbits + 1) != 0) < 1 - bias(f);
		shift = least - exp;
	}
	kept = round_at(sign, v, shift, rm, &inexact);
	if (kept >> (f->mbits + 1)) {
		kept >>= 1;
		shift++;
	}
	if (inexact)
		*flags |= NX | (tiny ? UF : 0);
	if (kept >> f->mbits && exp + shift + (int)f->mbits > bias(f)) {
		*flags |= OF | NX;
		if (rm == RV_RTZ || rm == (sign ? RV_RUP : RV_RDN))
			return inf(f, sign) - 1;
		return inf(f, sign);
	}
	if (!(kept >> f->mbits))
		return zero(f, sign) | (uint64_t)kept;
	return zero(f, sign) |
	       (uint64_t)(exp + shift + (int)f->mbits + bias(f)) << f->mbits |
	       ((uint64_t)kept & ((1ull << f->mbits) - 1));
}

static uint64_t again(
	const struct fmt *f, struct num a, unsigned rm, unsigned *flags)
{
	if (a.class == ZERO)
		return zero(f, a.sign);
	if (a.class == INF)
		return inf(f, a.sign);
	return pack(f, a.sign, a.exp, a.m, rm, flags);
}

/* a + b, not NaN. */
static uint64_t sum(const struct fmt *f, struct num a, struct num b,
	unsigned rm, unsigned *flags)
{
	u128 v;

	if (a.class == INF || b.class == INF) {
		if (a.class == INF && b.class == INF && a.sign != b.sign) {
			*flags |= NV;
			return canonical(f);
		}
		return inf(f, a.class == INF ? a.sign : b.sign);
	}
	if (a.class == ZERO && b.class == ZERO)
		return zero(f, a.sign == b.sign ? a.sign : rm == RV_RDN);
	if (a.class == ZERO)
		return again(f, b, rm, flags);
	if (b.class == ZERO)
		return again(f, a, rm, flags);
	if (a.exp < b.exp || (a.exp == b.exp && a.m < b.m)) {
		struct num t = a;

		a = b;
		b = t;
	}
	b.m = jam(b.m, a.exp - b.exp);
	v = a.sign == b.sign ? a.m + b.m : a.m - b.m;
	if (!v)
		return zero(f, rm == RV_RDN);
	return pack(f, a.sign, a.exp, v, rm, flags);
}

static bool nan_in(struct num a, struct num b, unsigned *flags)
{
	if (a.class == SNAN || b.class == SNAN)
		*flags |= NV;
	return a.class >= QNAN || b.class >= QNAN;
}

/* The exact product; class NAN stands for inf * 0. */
static struct num product(struct num a, struct num b)
{
	struct num p = {.sign = a.sign != b.sign};

	if ((a.class == INF && b.class == ZERO) ||
		(a.class == ZERO && b.class == INF)) {
		p.class = QNAN;
	} else if (a.class == INF || b.class == INF) {
		p.class = INF;
	} else if (a.class == FINITE && b.class == FINITE) {
		p.class = FINITE;
		p.m = (a.m >> 67) * (b.m >> 67);
		p.exp = a.exp + b.exp + 134;
		normal(&p.exp, &p.m);
	}
	return p;
}

enum fop { ADD, SUB, MUL, DIV, SQRT, MADD, MSUB, NMSUB, NMADD };

static uint64_t reference(const struct fmt *f, enum fop op, uint64_t x,
	uint64_t y, uint64_t z, unsigned rm, unsigned *flags)
{
	struct num a = unpack(f, x), b = unpack(f, y), c = unpack(f, z), p;
	u128 v, r, bit;

	switch (op) {
	case SUB:
	case ADD:
		if (nan_in(a, b, flags))
			return canonical(f);
		b.sign ^= op == SUB;
		return sum(f, a, b, rm, flags);
	case MUL:
		if (nan_in(a, b, flags))
			return canonical(f);
		p = product(a, b);
		if (p.class == QNAN) {
			*flags |= NV;
			return canonical(f);
		}
		return again(f, p, rm, flags);
	case DIV:
		if (nan_in(a, b, flags))
			return canonical(f);
		if ((a.class == INF && b.class == INF) ||
			(a.class == ZERO && b.class == ZERO)) {
			*flags |= NV;
			return canonical(f);
		}
		a.sign ^= b.sign;
		if (a.class == INF || a.class == ZERO)
			return again(f, a, rm, flags);
		if (b.class == INF)
			return zero(f, a.sign);
		if (b.class == ZERO) {
			*flags |= DZ;
			return inf(f, a.sign);
		}
		v = a.m >> 67 << 73;
		r = v / (b.m >> 67);
		r = r << 1 | (v % (b.m >> 67) != 0);
		return pack(f, a.sign, a.exp - b.exp - 74, r, rm, flags);
	case SQRT:
		if (nan_in(a, a, flags))
			return canonical(f);
		if (a.class == ZERO)
			return zero(f, a.sign);
		if (a.sign) {
			*flags |= NV;
			return canonical(f);
		}
		if (a.class == INF)
			return inf(f, false);
		v = a.m;
		if (a.exp & 1) {
			v <<= 1;
			a.exp--;
		}
		r = 0;
		for (bit = (u128)1 << 62; bit; bit >>= 1)
			if ((r | bit) * (r | bit) <= v)
				r |= bit;
		return pack(f, false, a.exp / 2 - 1, r << 1 | (r * r != v), rm,
			flags);
	default:
		p = product(a, b);
		if (a.class == SNAN || b.class == SNAN || c.class == SNAN)
			*flags |= NV;
		else if (a.class < QNAN && b.class < QNAN && p.class == QNAN)
			*flags |= NV; /* also if c is a quiet NaN: 11.6 */
		if (a.class >= QNAN || b.class >= QNAN || c.class >= QNAN ||
			p.class == QNAN)
			return canonical(f);
		p.sign ^= op == NMSUB || op == NMADD;
		c.sign ^= op == MSUB || op == NMADD;
		return sum(f, p, c, rm, flags);
	}
}

/* To an integer of `bits` bits, sign-extended as rd wants it. */
static uint64_t to_int(const struct fmt *f, uint64_t x, unsigned bits,
	bool is_signed, unsigned rm, unsigned *flags)
{
	struct num a = unpack(f, x);
	u128 most = ((u128)1 << (is_signed ? bits - 1 : bits)) - 1;
	u128 least = is_signed ? (u128)1 << (bits - 1) : 0; /* magnitude */
	bool inexact = false, neg = a.sign && a.class < QNAN;
	u128 v = 0;

	if (a.class >= INF || (a.class == FINITE && a.exp + TOP > 66))
		v = (u128)1 << 100;
	else if (a.class == FINITE)
		v = round_at(a.sign, a.m, -a.exp, rm, &inexact);
	if (v > (neg ? least : most)) {
		*flags |= NV;
		v = neg ? least : most;
	} else if (inexact) {
		*flags |= NX;
	}
	if (neg)
		v = -v;
	if (bits == 32)
		return (uint64_t)(int64_t)(int32_t)(uint32_t)v;
	return (uint64_t)v;
}

static uint64_t from_int(const struct fmt *f, uint64_t x, unsigned bits,
	bool is_signed, unsigned rm, unsigned *flags)
{
	bool neg;

	if (bits == 32)
		x = is_signed ? (uint64_t)(int64_t)(int32_t)x : (uint32_t)x;
	neg = is_signed && (int64_t)x < 0;
	if (!x)
		return 0;
	return pack(f, neg, 0, neg ? -x : x, rm, flags);
}

static uint64_t classify(const struct fmt *f, uint64_t x)
{
	struct num a = unpack(f, x);

	switch (a.class) {
	case INF:
		return a.sign ? 1 << 0 : 1 << 7;
	case ZERO:
		return a.sign ? 1 << 3 : 1 << 4;
	case SNAN:
		return 1 << 8;
	case QNAN:
		return 1 << 9;
	default:
		if (x >> f->mbits & ((1u << f->ebits) - 1))
			return a.sign ? 1 << 1 : 1 << 6;
		return a.sign ? 1 << 2 : 1 << 5;
	}
}

/* -1, 0, 1; not NaN. */
static int compare(const struct fmt *f, uint64_t x, uint64_t y)
{
	uint64_t sign = 1ull << (f->mbits + f->ebits);
	int64_t a = x & sign ? -(int64_t)(x & ~sign) : (int64_t)x;
	int64_t b = y & sign ? -(int64_t)(y & ~sign) : (int64_t)y;

	return a < b ? -1 : a > b;
}

/* ---- operands ---------------------------------------------------------- */

static const uint64_t corner_d[] = {0, 0x8000000000000000, 1,
	0x8000000000000001, 0x000fffffffffffff, 0x800fffffffffffff,
	0x0010000000000000, 0x8010000000000000, 0x0010000000000001,
	0x0020000000000000, 0x3cb0000000000000, 0x3ca0000000000000,
	0x3ca0000000000001, 0x3fe0000000000000, 0xbfe0000000000000,
	0x3fefffffffffffff, 0x3ff0000000000000, 0xbff0000000000000,
	0x3ff0000000000001, 0x3ff8000000000000, 0x4004000000000000,
	0xc004000000000000, 0x4008000000000000, 0x3fd5555555555555,
	0x41dfffffffc00000, 0x41dfffffffe00000, 0xc1e0000000000000,
	0xc1e0000000100000, 0xc1e0000000200000, 0x41efffffffe00000,
	0x41efffffffefffff, 0x41f0000000000000, 0x4330000000000001,
	0x43dfffffffffffff, 0x43e0000000000000, 0xc3e0000000000000,
	0xc3e0000000000001, 0x43efffffffffffff, 0x43f0000000000000,
	0x7fefffffffffffff, 0xffefffffffffffff, 0x7fe0000000000000,
	0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000,
	0x7ff8dead00000001, 0xfff8000000000000, 0x7ff0000000000001,
	0xfff7ffffffffffff, 0x36a0000000000000, 0x3690000000000000,
	0x3690000000000001, 0x380fffffe0000000, 0x380fffffffffffff,
	0x47efffffe0000000, 0x47efffffefffffff, 0x47effffff0000000,
	0x3810000000000000};

static const uint64_t corner_s[] = {0, 0x80000000, 1, 0x80000001, 0x007fffff,
	0x807fffff, 0x00800000, 0x80800000, 0x00800001, 0x01000000, 0x34000000,
	0x33800000, 0x33800001, 0x3f000000, 0xbf000000, 0x3f7fffff, 0x3f800000,
	0xbf800000, 0x3f800001, 0x3fc00000, 0x40200000, 0xc0200000, 0x40400000,
	0x3eaaaaab, 0x4effffff, 0x4f000000, 0xcf000000, 0xcf000001, 0x4f7fffff,
	0x4f800000, 0x4b000001, 0x5effffff, 0x5f000000, 0xdf000000, 0xdf000001,
	0x5f7fffff, 0x5f800000, 0x7f7fffff, 0xff7fffff, 0x7f000000, 0x7f800000,
	0xff800000, 0x7fc00000, 0x7fc12345, 0xffc00000, 0x7f800001, 0xffbfffff};

static uint64_t state = 42;

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1d;
}

/* Corners, exponents near each other, anything. */
static uint64_t operand(const struct fmt *f)
{
	uint64_t r = rnd();

	switch (rnd() % 4) {
	case 0:
		return f == &fmt_d ? corner_d[r % N(corner_d)]
				   : corner_s[r % N(corner_s)];
	case 1:
		r = (r & ~(((1ull << f->ebits) - 1) << f->mbits)) |
		    ((uint64_t)bias(f) + (rnd() & 7)) << f->mbits;
		break;
	case 2:
		/* few bits set, for ties */
		r = (r & ~((1ull << (f->mbits - 3)) - 1)) | (rnd() & 1);
		break;
	default:
		break;
	}
	return f == &fmt_d ? r : (uint32_t)r;
}

static uint64_t boxed(const struct fmt *f, uint64_t bits)
{
	return f == &fmt_d ? bits : bits | 0xffffffff00000000;
}

static void load(const struct fmt *f, unsigned fr, uint64_t bits)
{
	sh_li(&m, RV_T0, boxed(f, bits));
	E(rv_fmv_d_x(fr, RV_T0));
}

/* Flags cleared, frm as needed; the rm field to use for mode rm. */
static unsigned prepare(unsigned rm)
{
	unsigned dynamic = rnd() & 1, other = (unsigned)(rnd() % 5);

	E(rv_csrrwi(RV_ZERO, RV_CSR_FFLAGS, 0));
	E(rv_csrrwi(RV_ZERO, RV_CSR_FRM, dynamic ? rm : other));
	return dynamic ? RV_DYN : rm;
}

__attribute__((format(printf, 4, 5))) static void finish(const struct fmt *f,
	uint64_t want, unsigned flags, const char *format, ...)
{
	char text[70];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	E(rv_csrr(RV_T2, RV_CSR_FFLAGS));
	if (f)
		E(rv_fmv_x_d(RV_T1, RV_FA3));
	sh_expect(&m, RV_T1, f ? boxed(f, want) : want, "%s", text);
	sh_expect(&m, RV_T2, flags, "%s flags", text);
}

static void open_fp(void)
{
	sh_open(&m, 1);
	sh_li(&m, RV_T0, SSTATUS_FS);
	E(rv_csrrs(RV_ZERO, RV_CSR_SSTATUS, RV_T0));
}

static void run(void)
{
	sh_run(&m);
	sh_close(&m);
}

typedef unsigned long long ull;

/* ---- tests ------------------------------------------------------------- */

static void one_op(const struct fmt *f, enum fop op, uint64_t a, uint64_t b,
	uint64_t c, unsigned rm)
{
	static const char *const name[] = {"fadd", "fsub", "fmul", "fdiv",
		"fsqrt", "fmadd", "fmsub", "fnmsub", "fnmadd"};
	static uint32_t (*const two_s[])(unsigned, unsigned, unsigned,
		unsigned) = {rv_fadd_s, rv_fsub_s, rv_fmul_s, rv_fdiv_s};
	static uint32_t (*const two_d[])(unsigned, unsigned, unsigned,
		unsigned) = {rv_fadd_d, rv_fsub_d, rv_fmul_d, rv_fdiv_d};
	static uint32_t (*const three_s[])(unsigned, unsigned, unsigned,
		unsigned,
		unsigned) = {rv_fmadd_s, rv_fmsub_s, rv_fnmsub_s, rv_fnmadd_s};
	static uint32_t (*const three_d[])(unsigned, unsigned, unsigned,
		unsigned,
		unsigned) = {rv_fmadd_d, rv_fmsub_d, rv_fnmsub_d, rv_fnmadd_d};
	bool d = f == &fmt_d;
	unsigned flags = 0, field;
	uint64_t want = reference(f, op, a, b, c, rm, &flags);

	load(f, RV_FA0, a);
	if (op != SQRT)
		load(f, RV_FA1, b);
	if (op >= MADD)
		load(f, RV_FA2, c);
	field = prepare(rm);
	if (op < SQRT)
		E((d ? two_d : two_s)[op](RV_FA3, RV_FA0, RV_FA1, field));
	else if (op == SQRT)
		E(d ? rv_fsqrt_d(RV_FA3, RV_FA0, field)
		    : rv_fsqrt_s(RV_FA3, RV_FA0, field));
	else
		E((d ? three_d : three_s)[op - MADD](
			RV_FA3, RV_FA0, RV_FA1, RV_FA2, field));
	finish(f, want, flags, "%s.%c rm%u %#llx %#llx %#llx", name[op],
		d ? 'd' : 's', rm, (ull)a, (ull)b, (ull)c);
}

static void arithmetic(const struct fmt *f)
{
	const uint64_t *corner = f == &fmt_d ? corner_d : corner_s;
	size_t n = f == &fmt_d ? N(corner_d) : N(corner_s), i, j;
	unsigned op;

	for (op = ADD; op <= DIV; op++) {
		open_fp();
		for (i = 0; i < n; i++)
			for (j = 0; j < n; j++)
				one_op(f, op, corner[i], corner[j], 0,
					(unsigned)(rnd() % 5));
		for (i = 0; i < 3000; i++)
			one_op(f, op, operand(f), operand(f), 0,
				(unsigned)(i % 5));
		run();
	}
	open_fp();
	for (i = 0; i < n; i++)
		for (j = 0; j < 5; j++)
			one_op(f, SQRT, corner[i], 0, 0, (unsigned)j);
	for (i = 0; i < 2000; i++)
		one_op(f, SQRT, operand(f), 0, 0, (unsigned)(i % 5));
	run();
	for (op = MADD; op <= NMADD; op++) {
		open_fp();
		for (i = 0; i < 5000; i++) {
			uint64_t a = operand(f), b = operand(f), c, p;
			unsigned ignored = 0;

			/* often: what the product rounds to, to cancel */
			p = reference(f, MUL, a, b, 0, RV_RNE, &ignored);
			c = i & 1 ? operand(f)
				  : p ^ (uint64_t)(rnd() & 1)
						    << (f->mbits + f->ebits);
			if (i % 8 == 2)
				c ^= 1;
			one_op(f, op, a, b, c, (unsigned)(i % 5));
		}
		/* inf * 0 + qNaN is invalid: 11.6 */
		one_op(f, op, inf(f, 0), 0, canonical(f), RV_RNE);
		one_op(f, op, 0, inf(f, 1), canonical(f) | 1, RV_RNE);
		run();
	}
}

static void no_rounding(const struct fmt *f)
{
	const uint64_t *corner = f == &fmt_d ? corner_d : corner_s;
	size_t n = f == &fmt_d ? N(corner_d) : N(corner_s), i, j;
	uint64_t sign = 1ull << (f->mbits + f->ebits);
	bool d = f == &fmt_d;
	char t = d ? 'd' : 's';

	open_fp();
	for (i = 0; i < n; i++) {
		for (j = 0; j < n; j++) {
			uint64_t a = corner[i], b = corner[j], want;
			struct num x = unpack(f, a), y = unpack(f, b);
			bool nan = x.class >= QNAN || y.class >= QNAN;
			bool snan = x.class == SNAN || y.class == SNAN;
			int order = nan ? 2 : compare(f, a, b), k;

			load(f, RV_FA0, a);
			load(f, RV_FA1, b);
			E(rv_csrrwi(RV_ZERO, RV_CSR_FFLAGS, 0));
			for (k = 0; k < 2; k++) {
				E(k ? (d ? rv_fmax_d : rv_fmax_s)(
					      RV_FA3, RV_FA0, RV_FA1)
				    : (d ? rv_fmin_d : rv_fmin_s)(
					      RV_FA3, RV_FA0, RV_FA1));
				if (x.class >= QNAN && y.class >= QNAN)
					want = canonical(f);
				else if (nan)
					want = x.class >= QNAN ? b : a;
				else if (!order) /* -0 < +0 */
					want = !!(a & sign) == !k ? a : b;
				else
					want = (order < 0) == !k ? a : b;
				finish(f, want, snan ? NV : 0,
					"%s.%c %#llx %#llx",
					k ? "fmax" : "fmin", t, (ull)a, (ull)b);
			}
			E(rv_csrrwi(RV_ZERO, RV_CSR_FFLAGS, 0));
			E((d ? rv_feq_d : rv_feq_s)(RV_T1, RV_FA0, RV_FA1));
			finish(NULL, order == 0, snan ? NV : 0,
				"feq.%c %#llx %#llx", t, (ull)a, (ull)b);
			E(rv_csrrwi(RV_ZERO, RV_CSR_FFLAGS, 0));
			E((d ? rv_flt_d : rv_flt_s)(RV_T1, RV_FA0, RV_FA1));
			finish(NULL, order == -1, nan ? NV : 0,
				"flt.%c %#llx %#llx", t, (ull)a, (ull)b);
			E(rv_csrrwi(RV_ZERO, RV_CSR_FFLAGS, 0));
			E((d ? rv_fle_d : rv_fle_s)(RV_T1, RV_FA0, RV_FA1));
			finish(NULL, order == -1 || order == 0, nan ? NV : 0,
				"fle.%c %#llx %#llx", t, (ull)a, (ull)b);
		}
	}
	run();
	open_fp();
	E(rv_csrrwi(RV_ZERO, RV_CSR_FFLAGS, 0));
	for (i = 0; i < n; i++) {
		uint64_t a = corner[i];

		load(f, RV_FA0, a);
		E((d ? rv_fclass_d : rv_fclass_s)(RV_T1, RV_FA0));
		finish(NULL, classify(f, a), 0, "fclass.%c %#llx", t, (ull)a);
		for (j = 0; j < 4; j++) {
			uint64_t b = j & 1 ? sign : 0;

			if (j & 2)
				b |= corner[(i + 7) % n] & ~sign;
			load(f, RV_FA1, b);
			E((d ? rv_fsgnj_d : rv_fsgnj_s)(
				RV_FA3, RV_FA0, RV_FA1));
			finish(f, (a & ~sign) | (b & sign), 0,
				"fsgnj.%c %#llx %#llx", t, (ull)a, (ull)b);
			E((d ? rv_fsgnjn_d : rv_fsgnjn_s)(
				RV_FA3, RV_FA0, RV_FA1));
			finish(f, (a & ~sign) | (~b & sign), 0,
				"fsgnjn.%c %#llx %#llx", t, (ull)a, (ull)b);
			E((d ? rv_fsgnjx_d : rv_fsgnjx_s)(
				RV_FA3, RV_FA0, RV_FA1));
			finish(f, a ^ (b & sign), 0, "fsgnjx.%c %#llx %#llx", t,
				(ull)a, (ull)b);
		}
	}
	run();
}

static void conversions(const struct fmt *f)
{
	static const uint64_t ints[] = {0, 1, UINT64_MAX, 2, 0x7fffffff,
		0x80000000, 0xffffffff, 0x100000000, 0x1000001, 0x1000003,
		0x20000000000001, 0x20000000000003, INT64_MAX,
		(uint64_t)INT64_MIN, (uint64_t)INT64_MIN + 1,
		0x7ffffffffffffdff, 0x7ffffffffffffe00, 0xfffffffffffffc00,
		0xfffffffffffffbff, 0x8000008000000000, 0x8000008000000001};
	static uint32_t (*const to[2][4])(unsigned, unsigned, unsigned) = {
		{rv_fcvt_w_s, rv_fcvt_wu_s, rv_fcvt_l_s, rv_fcvt_lu_s},
		{rv_fcvt_w_d, rv_fcvt_wu_d, rv_fcvt_l_d, rv_fcvt_lu_d}};
	static uint32_t (*const from[2][4])(unsigned, unsigned, unsigned) = {
		{rv_fcvt_s_w, rv_fcvt_s_wu, rv_fcvt_s_l, rv_fcvt_s_lu},
		{rv_fcvt_d_w, rv_fcvt_d_wu, rv_fcvt_d_l, rv_fcvt_d_lu}};
	static const char *const name[] = {"w", "wu", "l", "lu"};
	const uint64_t *corner = f == &fmt_d ? corner_d : corner_s;
	size_t n = f == &fmt_d ? N(corner_d) : N(corner_s), i;
	bool d = f == &fmt_d;
	unsigned k, rm, flags;
	uint64_t want, x;

	open_fp();
	for (k = 0; k < 4; k++) {
		for (i = 0; i < 5 * (n + 100); i++) {
			rm = (unsigned)(i % 5);
			x = i / 5 < n ? corner[i / 5] : rnd();
			if (i / 5 >= n) /* of 2^-2 to 2^66 */
				x = (x & ~(((1ull << f->ebits) - 1)
						 << f->mbits)) |
				    ((uint64_t)bias(f) - 2 + rnd() % 68)
					    << f->mbits;
			x = d ? x : (uint32_t)x;
			flags = 0;
			want = to_int(
				f, x, k < 2 ? 32 : 64, !(k & 1), rm, &flags);
			load(f, RV_FA0, x);
			E(to[d][k](RV_T1, RV_FA0, prepare(rm)));
			finish(NULL, want, flags, "fcvt.%s.%c rm%u %#llx",
				name[k], d ? 'd' : 's', rm, (ull)x);
		}
		for (i = 0; i < 5 * (N(ints) + 40); i++) {
			rm = (unsigned)(i % 5);
			x = i / 5 < N(ints) ? ints[i / 5]
					    : rnd() >> (rnd() & 63);
			flags = 0;
			want = from_int(
				f, x, k < 2 ? 32 : 64, !(k & 1), rm, &flags);
			sh_li(&m, RV_A0, x);
			E(from[d][k](RV_FA3, RV_A0, prepare(rm)));
			finish(f, want, flags, "fcvt.%c.%s rm%u %#llx",
				d ? 'd' : 's', name[k], rm, (ull)x);
		}
	}
	/* between the formats */
	for (i = 0; i < 5 * (n + 300); i++) {
		const struct fmt *other = d ? &fmt_s : &fmt_d;
		struct num a;

		rm = (unsigned)(i % 5);
		x = i / 5 < n ? corner[i / 5] : operand(f);
		if (d && i / 5 >= n) /* near the ends of single precision */
			x = (x & ~(0x7ffull << 52)) |
			    (uint64_t)(rnd() & 1 ? 896 - 26 + rnd() % 30
						 : 1023 + 120 + rnd() % 10)
				    << 52;
		a = unpack(f, x);
		flags = a.class == SNAN ? NV : 0;
		want = a.class >= QNAN ? canonical(other)
				       : again(other, a, rm, &flags);
		load(f, RV_FA0, x);
		E(d ? rv_fcvt_s_d(RV_FA3, RV_FA0, prepare(rm))
		    : rv_fcvt_d_s(RV_FA3, RV_FA0, prepare(rm)));
		finish(other, want, flags, "fcvt %c rm%u %#llx", d ? 'd' : 's',
			rm, (ull)x);
	}
	run();
}

/* 12.2: a narrow value that is not boxed is the canonical NaN. */
static void boxing(void)
{
	static const uint64_t bad[] = {0x3f800000, 0xfffffffe3f800000,
		0x7fffffff3f800000, 0xffff00003f800000, 0x3ff0000000000000,
		0x00000000ff800001};
	uint64_t one = 0xffffffff3f800000, nan = 0xffffffff7fc00000;
	size_t i;

	open_fp();
	for (i = 0; i < N(bad); i++) {
		sh_li(&m, RV_T0, bad[i]);
		E(rv_fmv_d_x(RV_FA0, RV_T0));
		sh_li(&m, RV_T0, one);
		E(rv_fmv_d_x(RV_FA1, RV_T0));
		E(rv_csrrwi(RV_ZERO, RV_CSR_FFLAGS, 0));
#define T(insn, want, flags) \
	E(insn);             \
	finish(&fmt_d, want, flags, "unboxed %#llx " #insn, (ull)bad[i]);
		T(rv_fadd_s(RV_FA3, RV_FA0, RV_FA1, 0), nan, 0)
		T(rv_fadd_s(RV_FA3, RV_FA1, RV_FA0, 0), nan, 0)
		T(rv_fmul_s(RV_FA3, RV_FA0, RV_FA0, 0), nan, 0)
		T(rv_fsqrt_s(RV_FA3, RV_FA0, 0), nan, 0)
		T(rv_fmadd_s(RV_FA3, RV_FA1, RV_FA1, RV_FA0, 0), nan, 0)
		T(rv_fmin_s(RV_FA3, RV_FA0, RV_FA1), one, 0)
		T(rv_fmax_s(RV_FA3, RV_FA0, RV_FA0), nan, 0)
		T(rv_fsgnj_s(RV_FA3, RV_FA0, RV_FA1), nan, 0)
		T(rv_fsgnjn_s(RV_FA3, RV_FA0, RV_FA1), nan | 0x80000000, 0)
		T(rv_fsgnj_s(RV_FA3, RV_FA1, RV_FA0), one, 0)
		T(rv_fsgnjn_s(RV_FA3, RV_FA1, RV_FA0), one | 0x80000000, 0)
		T(rv_fcvt_d_s(RV_FA3, RV_FA0, 0), 0x7ff8000000000000, 0)
#undef T
		E(rv_fclass_s(RV_T1, RV_FA0));
		finish(NULL, 1 << 9, 0, "unboxed fclass.s");
		E(rv_feq_s(RV_T1, RV_FA0, RV_FA0));
		finish(NULL, 0, 0, "unboxed feq.s");
		E(rv_fcvt_w_s(RV_T1, RV_FA0, 0));
		finish(NULL, 0x7fffffff, NV, "unboxed fcvt.w.s");
		/* moves and stores take the bits as they are */
		E(rv_fmv_x_w(RV_T1, RV_FA0));
		sh_expect(&m, RV_T1,
			(uint64_t)(int64_t)(int32_t)(uint32_t)bad[i],
			"fmv.x.w of %#llx", (ull)bad[i]);
		sh_li(&m, RV_A0, DATA);
		sh_li(&m, RV_T1, 0x1111111111111111);
		E(rv_sd(RV_T1, RV_A0, 0));
		E(rv_fsw(RV_FA0, RV_A0, 0));
		E(rv_ld(RV_T1, RV_A0, 0));
		sh_expect(&m, RV_T1, 0x1111111100000000 | (uint32_t)bad[i],
			"fsw of %#llx", (ull)bad[i]);
		E(rv_flw(RV_FA2, RV_A0, 0));
		E(rv_fmv_x_d(RV_T1, RV_FA2));
		sh_expect(&m, RV_T1, 0xffffffff00000000 | (uint32_t)bad[i],
			"flw boxes");
		sh_li(&m, RV_T1, bad[i]);
		E(rv_fmv_w_x(RV_FA2, RV_T1));
		E(rv_fmv_x_d(RV_T1, RV_FA2));
		sh_expect(&m, RV_T1, 0xffffffff00000000 | (uint32_t)bad[i],
			"fmv.w.x boxes");
		E(rv_fsd(RV_FA0, RV_A0, 8));
		E(rv_fld(RV_FA2, RV_A0, 8));
		E(rv_fmv_x_d(RV_T1, RV_FA2));
		sh_expect(&m, RV_T1, bad[i], "fsd, fld");
	}
	/* signalling NaNs pass through loads, stores and moves unchanged */
	sh_li(&m, RV_T0, 0x7ff0000000000001);
	E(rv_sd(RV_T0, RV_A0, 0));
	E(rv_fld(RV_FA0, RV_A0, 0));
	E(rv_fsd(RV_FA0, RV_A0, 8));
	E(rv_ld(RV_T1, RV_A0, 8));
	sh_expect(&m, RV_T1, 0x7ff0000000000001, "sNaN through fld, fsd");
	run();
}

static void csrs(void)
{
	unsigned rm;
	uint32_t insn;

	open_fp();
	sh_li(&m, RV_T0, UINT64_MAX);
	E(rv_csrw(RV_CSR_FCSR, RV_T0));
	E(rv_csrr(RV_T1, RV_CSR_FCSR));
	sh_expect(&m, RV_T1, 0xff, "fcsr keeps 8 bits");
	E(rv_csrr(RV_T1, RV_CSR_FRM));
	sh_expect(&m, RV_T1, 7, "frm of fcsr");
	E(rv_csrr(RV_T1, RV_CSR_FFLAGS));
	sh_expect(&m, RV_T1, 31, "fflags of fcsr");
	E(rv_csrrwi(RV_T1, RV_CSR_FRM, 2));
	sh_expect(&m, RV_T1, 7, "old frm");
	E(rv_csrrwi(RV_T1, RV_CSR_FFLAGS, 5));
	sh_expect(&m, RV_T1, 31, "old fflags");
	E(rv_csrrsi(RV_T1, RV_CSR_FCSR, 0));
	sh_expect(&m, RV_T1, 0x45, "fcsr of frm and fflags");
	E(rv_csrrci(RV_T1, RV_CSR_FFLAGS, 4));
	E(rv_csrr(RV_T1, RV_CSR_FCSR));
	sh_expect(&m, RV_T1, 0x41, "fflags cleared one");
	E(rv_csrrsi(RV_T1, RV_CSR_FRM, 5));
	E(rv_csrr(RV_T1, RV_CSR_FRM));
	sh_expect(&m, RV_T1, 7, "frm keeps reserved values");
	/* flags accumulate */
	E(rv_csrw(RV_CSR_FCSR, RV_ZERO));
	load(&fmt_d, RV_FA0, 0x3ff0000000000000);
	load(&fmt_d, RV_FA1, 0);
	E(rv_fdiv_d(RV_FA3, RV_FA0, RV_FA1, 0));
	E(rv_fdiv_d(RV_FA3, RV_FA1, RV_FA1, 0));
	E(rv_fadd_d(RV_FA3, RV_FA0, RV_FA1, 0));
	E(rv_csrr(RV_T1, RV_CSR_FFLAGS));
	sh_expect(&m, RV_T1, NV | DZ, "flags accumulate");
	/* reserved rounding modes: 11.2 */
	for (rm = 5; rm < 8; rm++) {
		E(rv_csrrwi(RV_ZERO, RV_CSR_FRM, rm));
#define T(x)        \
	insn = x;   \
	sh_try(&m); \
	E(insn);    \
	sh_trapped(&m, CAUSE_ILLEGAL, insn, "rm %u: " #x, rm);
		T(rv_fadd_d(0, 1, 2, RV_DYN))
		T(rv_fadd_s(0, 1, 2, RV_DYN))
		T(rv_fsqrt_d(0, 1, RV_DYN))
		T(rv_fmadd_s(0, 1, 2, 3, RV_DYN))
		T(rv_fcvt_l_d(5, 1, RV_DYN))
		T(rv_fcvt_s_d(0, 1, RV_DYN))
		if (rm == 7)
			break;
		E(rv_csrrwi(RV_ZERO, RV_CSR_FRM, 0));
		T(rv_fadd_d(0, 1, 2, rm))
		T(rv_fsub_s(0, 1, 2, rm))
		T(rv_fmul_d(0, 1, 2, rm))
		T(rv_fdiv_s(0, 1, 2, rm))
		T(rv_fsqrt_s(0, 1, rm))
		T(rv_fnmadd_d(0, 1, 2, 3, rm))
		T(rv_fcvt_w_s(5, 1, rm))
		T(rv_fcvt_d_l(0, 6, rm))
	}
	/* but a static mode is good whatever frm is */
	E(rv_csrrwi(RV_ZERO, RV_CSR_FRM, 6));
	E(rv_fadd_d(RV_FA3, RV_FA0, RV_FA1, RV_RTZ));
	E(rv_fmv_x_d(RV_T1, RV_FA3));
	sh_expect(&m, RV_T1, 0x3ff0000000000000, "static rm, bad frm");
	E(rv_feq_d(RV_T1, RV_FA0, RV_FA0));
	sh_expect(&m, RV_T1, 1, "feq, bad frm");
	/* encodings that do not exist */
	T(rv_type_r(0x53, 0, 0, 1, 2, 0x02))  /* fadd.h */
	T(rv_type_r(0x53, 0, 0, 1, 2, 0x03))  /* fadd.q */
	T(rv_type_r(0x53, 0, 3, 1, 2, 0x10))  /* fsgnj with funct3 3 */
	T(rv_type_r(0x53, 0, 2, 1, 2, 0x14))  /* fmin with funct3 2 */
	T(rv_type_r(0x53, 0, 3, 1, 2, 0x51))  /* feq with funct3 3 */
	T(rv_type_r(0x53, 0, 0, 1, 1, 0x2c))  /* fsqrt with rs2 1 */
	T(rv_type_r(0x53, 0, 0, 1, 4, 0x60))  /* fcvt to what? */
	T(rv_type_r(0x53, 0, 0, 1, 0, 0x20))  /* fcvt.s.s */
	T(rv_type_r(0x53, 0, 0, 1, 1, 0x21))  /* fcvt.d.d */
	T(rv_type_r(0x53, 0, 2, 1, 0, 0x70))  /* fclass with funct3 2 */
	T(rv_type_i(0x07, 1, 1, RV_A0, 0))    /* flh */
	T(rv_type_i(0x07, 1, 4, RV_A0, 0))    /* flq */
	T(rv_type_r4(0x43, 0, 0, 1, 2, 3, 2)) /* fmadd.h */
#undef T
	run();
}

static void set_fs(unsigned fs)
{
	sh_li(&m, RV_T0, SSTATUS_FS);
	E(rv_csrrc(RV_ZERO, RV_CSR_SSTATUS, RV_T0));
	sh_li(&m, RV_T0, (uint64_t)fs << 13);
	E(rv_csrrs(RV_ZERO, RV_CSR_SSTATUS, RV_T0));
}

static void status(void)
{
	uint32_t insn;
	size_t i;

	sh_open(&m, 1);
	sh_li(&m, RV_A0, DATA);
	set_fs(0);
	E(rv_csrr(RV_T1, RV_CSR_SSTATUS));
	sh_expect_bits(&m, RV_T1, SSTATUS_FS | SSTATUS_SD, 0, "FS off");
#define T(x)        \
	insn = x;   \
	sh_try(&m); \
	E(insn);    \
	sh_trapped(&m, CAUSE_ILLEGAL, insn, "FS off: " #x);
	T(rv_fadd_s(0, 1, 2, 0))
	T(rv_fadd_d(0, 1, 2, 0))
	T(rv_fmadd_d(0, 1, 2, 3, 0))
	T(rv_fsgnj_d(0, 1, 2))
	T(rv_fmin_s(0, 1, 2))
	T(rv_feq_d(RV_T0, 1, 2))
	T(rv_fclass_d(RV_T0, 1))
	T(rv_fmv_x_d(RV_T0, 1))
	T(rv_fmv_x_w(RV_T0, 1))
	T(rv_fmv_d_x(1, RV_T0))
	T(rv_fcvt_d_l(1, RV_T0, 0))
	T(rv_fcvt_l_d(RV_T0, 1, 0))
	T(rv_flw(1, RV_A0, 0))
	T(rv_fld(1, RV_A0, 0))
	T(rv_fsw(1, RV_A0, 0))
	T(rv_fsd(1, RV_A0, 0))
	T(rv_csrr(RV_T0, RV_CSR_FCSR))
	T(rv_csrr(RV_T0, RV_CSR_FRM))
	T(rv_csrr(RV_T0, RV_CSR_FFLAGS))
	T(rv_csrw(RV_CSR_FCSR, RV_T0))
#undef T
	/* what makes the state dirty, starting from initial and from clean */
	for (i = 1; i < 3; i++) {
#define T(x, dirty)                                                  \
	set_fs(2);                                                   \
	E(rv_csrw(RV_CSR_FCSR, RV_ZERO));                            \
	set_fs((unsigned)i);                                         \
	E(x);                                                        \
	E(rv_csrr(RV_T1, RV_CSR_SSTATUS));                           \
	sh_expect_bits(&m, RV_T1, SSTATUS_FS | SSTATUS_SD,           \
		dirty ? SSTATUS_FS | SSTATUS_SD : (uint64_t)i << 13, \
		"FS %zu, then " #x, i);
		T(rv_fmv_d_x(1, RV_ZERO), true)
		T(rv_fmv_w_x(1, RV_ZERO), true)
		T(rv_fld(1, RV_A0, 0), true)
		T(rv_flw(1, RV_A0, 0), true)
		T(rv_fadd_d(1, 1, 1, 0), true)
		T(rv_fadd_s(1, 1, 1, 0), true)
		T(rv_fmadd_d(1, 1, 1, 1, 0), true)
		T(rv_fsgnj_d(2, 1, 1), true)
		T(rv_fsgnj_s(2, 1, 1), true)
		T(rv_fmin_d(2, 1, 1), true)
		T(rv_fcvt_d_l(2, RV_T0, 0), true)
		T(rv_fcvt_s_d(2, 1, 0), true)
		T(rv_fsqrt_s(2, 1, 0), true)
		T(rv_csrrwi(RV_ZERO, RV_CSR_FRM, 1), true)
		T(rv_csrrwi(RV_ZERO, RV_CSR_FFLAGS, 1), true)
#undef T
	}
	/* a flag that is set is a change too */
	set_fs(3);
	sh_li(&m, RV_T0, 0x7ff0000000000001);
	E(rv_fmv_d_x(RV_FA0, RV_T0));
	E(rv_csrw(RV_CSR_FCSR, RV_ZERO));
	set_fs(2);
	E(rv_feq_d(RV_T0, RV_FA0, RV_FA0));
	E(rv_csrr(RV_T1, RV_CSR_SSTATUS));
	sh_expect_bits(&m, RV_T1, SSTATUS_FS | SSTATUS_SD,
		SSTATUS_FS | SSTATUS_SD, "feq.d that sets NV makes FS dirty");
	run();
}

int main(void)
{
	sh_watchdog(240);
	arithmetic(&fmt_d);
	arithmetic(&fmt_s);
	no_rounding(&fmt_d);
	no_rounding(&fmt_s);
	conversions(&fmt_d);
	conversions(&fmt_s);
	boxing();
	csrs();
	status();
	return sh_end("soft_fp", TEST_END("soft_fp, host side"));
}
