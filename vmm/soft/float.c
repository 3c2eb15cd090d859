/* SPDX-License-Identifier: MIT */
/*
 * float.c - IEEE 754 arithmetic in integers
 *
 * Why not the host's FPU: it knows no rounding to nearest with ties away
 * (RMM); hosts differ in NaN payloads, in when a result is tiny (RISC-V:
 * after rounding, arm64: before), and in what the caller's thread has set in
 * its control register; and compilers move FP code across mode changes.
 * Here one short piece of code is exact on every host and compiler. It costs
 * some 10 ns an operation, which guests that boot Linux do not notice.
 *
 * A finite number is unpacked to (sign, exp, sig): sig has its top bit set
 * and the value is sig * 2^(exp - 63). An exact result is computed in 128
 * bits, reduced to 64 with a sticky low bit ("jam": the bit is set if any
 * bit below was), and rounded once in round_pack(). 64 bits hold at least 11
 * more than any format, so the sticky bit never decides anything but
 * "exactly" versus "not exactly", "half" versus "more than half".
 *
 * Unprivileged spec, chapters "F" and "D"; IEEE 754-2019.
 */
#include "vmm/soft/float.h"

typedef unsigned __int128 u128;

const struct format float_single = {.bits = 32, .fraction = 23, .bias = 127};
const struct format float_double = {.bits = 64, .fraction = 52, .bias = 1023};

enum kind { ZERO, FINITE, INFINITE, NAN_QUIET, NAN_SIGNALING };

struct number {
	enum kind kind;
	bool sign;
	int exp;
	uint64_t sig;
};

/* ---- formats ---------------------------------------------------------------- */

static uint64_t fraction_mask(const struct format *f)
{
	return ((uint64_t)1 << f->fraction) - 1;
}

static inline uint64_t signed_of(
	const struct format *f, bool sign, uint64_t rest)
{
	return sign ? rest | float_sign_bit(f) : rest;
}

static inline struct number unpack(const struct format *f, uint64_t a)
{
	uint64_t fraction = a & fraction_mask(f);
	int exp = (int)(a >> f->fraction & (uint64_t)(2 * f->bias + 1));
	struct number n = {.sign = a & float_sign_bit(f)};

	if (exp == 2 * f->bias + 1) {
		n.kind = INFINITE;
		if (fraction)
			n.kind = float_is_signaling(f, a) ? NAN_SIGNALING
							  : NAN_QUIET;
		return n;
	}
	if (exp == 0 && fraction == 0)
		return n;
	n.kind = FINITE;
	n.sig = fraction << (63 - f->fraction);
	if (exp == 0) { /* subnormal */
		int zeros = __builtin_clzll(n.sig);

		n.sig <<= zeros;
		n.exp = 1 - f->bias - zeros;
	} else {
		n.sig |= (uint64_t)1 << 63;
		n.exp = exp - f->bias;
	}
	return n;
}

/* ---- rounding --------------------------------------------------------------- */

static u128 shift_right_jam(u128 v, unsigned n)
{
	if (n == 0)
		return v;
	if (n > 127)
		return v != 0;
	return v >> n | ((v << (128 - n)) != 0);
}

/*
 * v with its low `drop` bits (1 .. 63) rounded away, still in place; may
 * carry out of the top, then 0. *inexact says whether something was lost.
 */
static inline uint64_t round_off(
	uint64_t v, unsigned drop, bool sign, enum rounding rm, bool *inexact)
{
	uint64_t mask = ((uint64_t)1 << drop) - 1, low = v & mask;
	uint64_t half = (uint64_t)1 << (drop - 1);
	bool up = false;

	*inexact = low != 0;
	switch (rm) {
	case ROUND_RNE:
		up = low > half || (low == half && v >> drop & 1);
		break;
	case ROUND_RMM:
		up = low >= half;
		break;
	case ROUND_RDN:
		up = sign && low;
		break;
	case ROUND_RUP:
		up = !sign && low;
		break;
	default: /* towards zero */
		break;
	}
	v &= ~mask;
	return up ? v + mask + 1 : v;
}

static uint64_t overflow(
	const struct format *f, struct float_env *env, bool sign)
{
	bool down = env->rm == ROUND_RTZ || (env->rm == ROUND_RDN && !sign) ||
		    (env->rm == ROUND_RUP && sign);

	env->flags |= FFLAG_OF | FFLAG_NX;
	/* The largest finite number is just below infinity's pattern. */
	return signed_of(f, sign, float_infinity(f) - down);
}

/* sig * 2^(exp - 63), top bit set, low bit sticky, into the format. */
static uint64_t round_pack(const struct format *f, struct float_env *env,
	bool sign, int exp, uint64_t sig)
{
	unsigned drop = 63 - f->fraction;
	int min = 1 - f->bias;
	bool inexact, tiny = false;
	uint64_t v;

	if (exp < min) {
		/*
		 * Tiny after rounding: would it stay below the smallest
		 * normal number with an unbounded exponent?
		 */
		v = round_off(sig, drop, sign, env->rm, &inexact);
		tiny = exp < min - 1 || v != 0;
		sig = (uint64_t)shift_right_jam(sig, (unsigned)(min - exp));
		v = round_off(sig, drop, sign, env->rm, &inexact);
		/* A carry into bit 63 makes the exponent field 1: right. */
		v >>= drop;
	} else {
		v = round_off(sig, drop, sign, env->rm, &inexact);
		if (v == 0) { /* carried out */
			v = (uint64_t)1 << 63;
			exp++;
		}
		if (exp > f->bias)
			return overflow(f, env, sign);
		/* The hidden bit adds 1 to the exponent field. */
		v = (v >> drop) + ((uint64_t)(exp - min) << f->fraction);
	}
	if (inexact)
		env->flags |= FFLAG_NX | (tiny ? FFLAG_UF : 0);
	return signed_of(f, sign, v);
}

/* v * 2^(exp - 127), v not 0. */
static uint64_t round_pack_128(const struct format *f, struct float_env *env,
	bool sign, int exp, u128 v)
{
	uint64_t hi = (uint64_t)(v >> 64);
	unsigned zeros = hi ? (unsigned)__builtin_clzll(hi)
			    : 64u + (unsigned)__builtin_clzll((uint64_t)v);

	v <<= zeros;
	return round_pack(f, env, sign, exp - (int)zeros,
		(uint64_t)(v >> 64) | ((uint64_t)v != 0));
}

/* ---- arithmetic ------------------------------------------------------------- */

static bool is_nan(struct number a)
{
	return a.kind >= NAN_QUIET;
}

static uint64_t invalid(const struct format *f, struct float_env *env)
{
	env->flags |= FFLAG_NV;
	return float_nan(f);
}

/* The result when an operand is a NaN. */
static uint64_t nan_of(const struct format *f, struct float_env *env,
	struct number a, struct number b)
{
	if (a.kind == NAN_SIGNALING || b.kind == NAN_SIGNALING)
		return invalid(f, env);
	return float_nan(f);
}

static uint64_t zero(const struct format *f, bool sign)
{
	return signed_of(f, sign, 0);
}

static uint64_t inf(const struct format *f, bool sign)
{
	return signed_of(f, sign, float_infinity(f));
}

/* x + y = 0 exactly, of opposite signs: +0, but -0 when rounding down. */
static uint64_t cancelled(const struct format *f, const struct float_env *env)
{
	return zero(f, env->rm == ROUND_RDN);
}

/*
 * The sum of two nonzero terms sig * 2^(exp - 126), top bit 126 set (or 125,
 * for products). Where bits are shifted out of the smaller one, exponents
 * differ by so much that at most one leading bit cancels.
 */
static uint64_t add_terms(const struct format *f, struct float_env *env,
	bool sign_a, int exp_a, u128 a, bool sign_b, int exp_b, u128 b)
{
	int exp = exp_a > exp_b ? exp_a : exp_b;

	a = shift_right_jam(a, (unsigned)(exp - exp_a));
	b = shift_right_jam(b, (unsigned)(exp - exp_b));
	if (sign_a == sign_b)
		return round_pack_128(f, env, sign_a, exp + 1, a + b);
	if (a == b)
		return cancelled(f, env);
	return a > b ? round_pack_128(f, env, sign_a, exp + 1, a - b)
		     : round_pack_128(f, env, sign_b, exp + 1, b - a);
}

uint64_t float_add(
	const struct format *f, struct float_env *env, uint64_t x, uint64_t y)
{
	struct number a = unpack(f, x), b = unpack(f, y);

	if (is_nan(a) || is_nan(b))
		return nan_of(f, env, a, b);
	if (a.kind == INFINITE) {
		if (b.kind == INFINITE && a.sign != b.sign)
			return invalid(f, env);
		return x;
	}
	if (b.kind == INFINITE)
		return y;
	if (a.kind == ZERO && b.kind == ZERO)
		return a.sign == b.sign ? x : cancelled(f, env);
	if (a.kind == ZERO)
		return y;
	if (b.kind == ZERO)
		return x;
	return add_terms(f, env, a.sign, a.exp, (u128)a.sig << 63, b.sign,
		b.exp, (u128)b.sig << 63);
}

uint64_t float_mul(
	const struct format *f, struct float_env *env, uint64_t x, uint64_t y)
{
	struct number a = unpack(f, x), b = unpack(f, y);
	bool sign = a.sign ^ b.sign;

	if (is_nan(a) || is_nan(b))
		return nan_of(f, env, a, b);
	if (a.kind == INFINITE || b.kind == INFINITE) {
		if (a.kind == ZERO || b.kind == ZERO)
			return invalid(f, env);
		return inf(f, sign);
	}
	if (a.kind == ZERO || b.kind == ZERO)
		return zero(f, sign);
	/* The top bit of the product is worth 2^(a.exp + b.exp + 1). */
	return round_pack_128(
		f, env, sign, a.exp + b.exp + 1, (u128)a.sig * b.sig);
}

uint64_t float_fma(const struct format *f, struct float_env *env, uint64_t x,
	uint64_t y, uint64_t z)
{
	struct number a = unpack(f, x), b = unpack(f, y), c = unpack(f, z);
	bool sign = a.sign ^ b.sign;

	/* Infinity times zero is invalid even if c is a quiet NaN. */
	if ((a.kind == INFINITE && b.kind == ZERO) ||
		(a.kind == ZERO && b.kind == INFINITE))
		return invalid(f, env);
	if (is_nan(a) || is_nan(b) || is_nan(c)) {
		if (c.kind == NAN_SIGNALING)
			return invalid(f, env);
		return nan_of(f, env, a, b);
	}
	if (a.kind == INFINITE || b.kind == INFINITE) {
		if (c.kind == INFINITE && c.sign != sign)
			return invalid(f, env);
		return inf(f, sign);
	}
	if (c.kind == INFINITE)
		return z;
	if (a.kind == ZERO || b.kind == ZERO) {
		if (c.kind == ZERO)
			return c.sign == sign ? z : cancelled(f, env);
		return z;
	}
	if (c.kind == ZERO)
		return round_pack_128(
			f, env, sign, a.exp + b.exp + 1, (u128)a.sig * b.sig);
	/*
	 * The product has 106 bits at most: its lowest bit is 0, and the
	 * shift by one exact.
	 */
	return add_terms(f, env, sign, a.exp + b.exp + 1,
		((u128)a.sig * b.sig) >> 1, c.sign, c.exp, (u128)c.sig << 63);
}

uint64_t float_div(
	const struct format *f, struct float_env *env, uint64_t x, uint64_t y)
{
	struct number a = unpack(f, x), b = unpack(f, y);
	bool sign = a.sign ^ b.sign;
	u128 n;

	if (is_nan(a) || is_nan(b))
		return nan_of(f, env, a, b);
	if (a.kind == INFINITE)
		return b.kind == INFINITE ? invalid(f, env) : inf(f, sign);
	if (b.kind == INFINITE)
		return zero(f, sign);
	if (b.kind == ZERO) {
		if (a.kind == ZERO)
			return invalid(f, env);
		env->flags |= FFLAG_DZ;
		return inf(f, sign);
	}
	if (a.kind == ZERO)
		return zero(f, sign);
	/* The quotient of two numbers in [2^63, 2^64) has 63 or 64 bits. */
	n = (u128)a.sig << 63;
	return round_pack_128(f, env, sign, a.exp - b.exp,
		n / b.sig << 64 | (n % b.sig != 0));
}

uint64_t float_sqrt(const struct format *f, struct float_env *env, uint64_t x)
{
	struct number a = unpack(f, x);
	uint64_t root = 0;
	u128 v, rest = 0;

	if (is_nan(a))
		return nan_of(f, env, a, a);
	if (a.kind == ZERO)
		return x;
	if (a.sign)
		return invalid(f, env);
	if (a.kind == INFINITE)
		return x;
	/*
	 * v in [2^126, 2^128) with an even exponent; its root, in [2^63,
	 * 2^64), digit by digit as on paper, two bits of v at a time.
	 */
	v = (u128)a.sig << (a.exp & 1 ? 64 : 63);
	for (int n = 0; n < 64; n++) {
		u128 trial = (u128)root << 2 | 1;

		rest = rest << 2 | v >> 126;
		v <<= 2;
		root <<= 1;
		if (rest >= trial) {
			rest -= trial;
			root |= 1;
		}
	}
	return round_pack(
		f, env, false, (a.exp - (a.exp & 1)) / 2, root | (rest != 0));
}

/* ---- comparisons ------------------------------------------------------------ */

/* No NaNs. The patterns of one sign are ordered like integers. */
static bool less(const struct format *f, uint64_t a, uint64_t b)
{
	bool neg_a = a & float_sign_bit(f), neg_b = b & float_sign_bit(f);

	if (neg_a != neg_b)
		return neg_a && ((a | b) & (float_sign_bit(f) - 1));
	return neg_a ? a > b : a < b;
}

static bool either_nan(const struct format *f, uint64_t a, uint64_t b)
{
	return float_is_nan(f, a) || float_is_nan(f, b);
}

static void quiet(
	const struct format *f, struct float_env *env, uint64_t a, uint64_t b)
{
	if (float_is_signaling(f, a) || float_is_signaling(f, b))
		env->flags |= FFLAG_NV;
}

bool float_eq(
	const struct format *f, struct float_env *env, uint64_t a, uint64_t b)
{
	quiet(f, env, a, b);
	if (either_nan(f, a, b))
		return false;
	return a == b || ((a | b) & (float_sign_bit(f) - 1)) == 0;
}

bool float_lt(
	const struct format *f, struct float_env *env, uint64_t a, uint64_t b)
{
	if (either_nan(f, a, b)) {
		env->flags |= FFLAG_NV;
		return false;
	}
	return less(f, a, b);
}

bool float_le(
	const struct format *f, struct float_env *env, uint64_t a, uint64_t b)
{
	if (either_nan(f, a, b)) {
		env->flags |= FFLAG_NV;
		return false;
	}
	return !less(f, b, a);
}

/* minimumNumber, maximumNumber: a NaN loses; -0 is less than +0. */
static uint64_t choose(const struct format *f, struct float_env *env,
	uint64_t a, uint64_t b, bool max)
{
	bool a_less;

	quiet(f, env, a, b);
	if (float_is_nan(f, a))
		return float_is_nan(f, b) ? float_nan(f) : b;
	if (float_is_nan(f, b))
		return a;
	a_less = less(f, a, b);
	if (((a | b) & (float_sign_bit(f) - 1)) == 0)
		a_less = a & float_sign_bit(f);
	return a_less != max ? a : b;
}

uint64_t float_min(
	const struct format *f, struct float_env *env, uint64_t a, uint64_t b)
{
	return choose(f, env, a, b, false);
}

uint64_t float_max(
	const struct format *f, struct float_env *env, uint64_t a, uint64_t b)
{
	return choose(f, env, a, b, true);
}

uint64_t float_class(const struct format *f, uint64_t a)
{
	uint64_t rest = a & (float_sign_bit(f) - 1);
	bool sign = a & float_sign_bit(f);

	if (float_is_nan(f, a))
		return float_is_signaling(f, a) ? 1u << 8 : 1u << 9;
	if (rest == float_infinity(f))
		return sign ? 1u << 0 : 1u << 7;
	if (rest == 0)
		return sign ? 1u << 3 : 1u << 4;
	if (rest <= fraction_mask(f))
		return sign ? 1u << 2 : 1u << 5;
	return sign ? 1u << 1 : 1u << 6;
}

/* ---- conversions ------------------------------------------------------------ */

uint64_t float_convert(const struct format *to, const struct format *from,
	struct float_env *env, uint64_t x)
{
	struct number a = unpack(from, x);

	switch (a.kind) {
	case ZERO:
		return zero(to, a.sign);
	case FINITE:
		return round_pack(to, env, a.sign, a.exp, a.sig);
	case INFINITE:
		return inf(to, a.sign);
	default:
		return nan_of(to, env, a, a);
	}
}

/* Unprivileged spec, table "Domains of float-to-integer conversions". */
uint64_t float_to_int(const struct format *f, struct float_env *env, uint64_t x,
	unsigned bits, bool is_signed)
{
	const uint64_t top = (uint64_t)1 << 63;
	uint64_t max = ~(uint64_t)0 >> (64 - bits + is_signed);
	uint64_t min = is_signed ? ~max : 0;
	struct number a = unpack(f, x);
	uint64_t v, point, limit;
	bool inexact, over = false;
	u128 wide;

	if (a.kind == ZERO)
		return 0;
	if (a.kind != FINITE || a.exp > 63) {
		env->flags |= FFLAG_NV;
		return a.sign && !is_nan(a) ? min : max;
	}
	/*
	 * Fixed point: 64 bits before the point, 63 with a sticky one after
	 * it. Those are rounded away in a word of their own, below v's
	 * lowest bit; if that bit flips, v grows by one.
	 */
	wide = shift_right_jam((u128)a.sig << 63, (unsigned)(63 - a.exp));
	v = (uint64_t)(wide >> 63);
	point = v << 63 | ((uint64_t)wide & (top - 1));
	if ((round_off(point, 63, a.sign, env->rm, &inexact) ^ point) & top)
		over = ++v == 0;
	/* The largest magnitude: min is one further from 0 than max. */
	limit = !a.sign ? max : is_signed ? max + 1 : 0;
	if (over || v > limit) {
		env->flags |= FFLAG_NV;
		return a.sign ? min : max;
	}
	if (inexact)
		env->flags |= FFLAG_NX;
	return a.sign ? (uint64_t)0 - v : v;
}

uint64_t float_from_int(const struct format *f, struct float_env *env,
	uint64_t v, bool is_signed)
{
	bool sign = is_signed && (int64_t)v < 0;
	int zeros;

	if (v == 0)
		return 0;
	if (sign)
		v = (uint64_t)0 - v;
	zeros = __builtin_clzll(v);
	return round_pack(f, env, sign, 63 - zeros, v << zeros);
}
