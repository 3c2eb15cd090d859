/* SPDX-License-Identifier: MIT */
/*
 * fp.c - the F and D extensions: which operation, which registers
 *
 * Unprivileged spec, chapters "F" and "D". A single in a 64-bit register is
 * NaN-boxed: its upper half is all ones; a single operand that is not boxed
 * reads as the canonical NaN. FS off, a reserved rounding mode or an unknown
 * encoding is an illegal instruction, found before anything is changed.
 * fmv, fsgnj and fclass move bits and raise no flags.
 */
#include "vmm/soft/float.h"
#include "vmm/soft/hart.h"

#define BOX 0xffffffff00000000u

/* One instruction, taken apart. */
struct fp {
	struct hart *h;
	const struct format *f;
	struct float_env env;
	unsigned rd, rs1, rs2, rs3, rm;
	bool writes_x; /* the result goes to an integer register */
	uint64_t result;
};

static uint64_t operand(const struct fp *p, unsigned reg)
{
	uint64_t v = p->h->f[reg];

	if (p->f == &float_double)
		return v;
	return (v & BOX) == BOX ? (uint32_t)v : float_nan(p->f);
}

static uint64_t sign_extend(uint64_t v)
{
	return (uint64_t)(int64_t)(int32_t)v;
}

/* For instructions that round: is their rm field valid? */
static bool rounding(struct fp *p)
{
	unsigned rm = p->rm == ROUND_DYN ? p->h->frm : p->rm;

	p->env.rm = rm;
	return rm <= ROUND_RMM;
}

/* fmadd 0x43, fmsub 0x47, fnmsub 0x4b, fnmadd 0x4f: signs of a*b and c. */
static bool fused(struct fp *p, uint32_t bits)
{
	uint64_t sign = float_sign_bit(p->f);
	uint64_t a = operand(p, p->rs1), b = operand(p, p->rs2),
		 c = operand(p, p->rs3);

	if (!rounding(p))
		return false;
	/* Flipping a NaN's sign is harmless: results are canonical. */
	if (bits & 8)
		a ^= sign;
	if (bits & 4)
		c ^= sign;
	p->result = float_fma(p->f, &p->env, a, b, c);
	return true;
}

static bool arithmetic(struct fp *p, unsigned funct5)
{
	uint64_t a = operand(p, p->rs1), b = operand(p, p->rs2);

	if (!rounding(p))
		return false;
	switch (funct5) {
	case 0x00:
		p->result = float_add(p->f, &p->env, a, b);
		return true;
	case 0x01:
		if (!float_is_nan(p->f, b))
			b ^= float_sign_bit(p->f);
		p->result = float_add(p->f, &p->env, a, b);
		return true;
	case 0x02:
		p->result = float_mul(p->f, &p->env, a, b);
		return true;
	case 0x03:
		p->result = float_div(p->f, &p->env, a, b);
		return true;
	default: /* 0x0b, fsqrt */
		if (p->rs2 != 0)
			return false;
		p->result = float_sqrt(p->f, &p->env, a);
		return true;
	}
}

static bool sign_inject(struct fp *p)
{
	uint64_t sign = float_sign_bit(p->f);
	uint64_t a = operand(p, p->rs1), b = operand(p, p->rs2);

	switch (p->rm) {
	case 0:
		break;
	case 1:
		b = ~b;
		break;
	case 2:
		b ^= a;
		break;
	default:
		return false;
	}
	p->result = (a & ~sign) | (b & sign);
	return true;
}

static bool min_max(struct fp *p)
{
	uint64_t a = operand(p, p->rs1), b = operand(p, p->rs2);

	if (p->rm > 1)
		return false;
	p->result = p->rm ? float_max(p->f, &p->env, a, b)
			  : float_min(p->f, &p->env, a, b);
	return true;
}

static bool compare(struct fp *p)
{
	uint64_t a = operand(p, p->rs1), b = operand(p, p->rs2);

	p->writes_x = true;
	switch (p->rm) {
	case 0:
		p->result = float_le(p->f, &p->env, a, b);
		return true;
	case 1:
		p->result = float_lt(p->f, &p->env, a, b);
		return true;
	case 2:
		p->result = float_eq(p->f, &p->env, a, b);
		return true;
	}
	return false;
}

/* fcvt.s.d and fcvt.d.s: rs2 is the format of the source */
static bool convert(struct fp *p)
{
	const struct format *to = p->f;

	if (!rounding(p) || p->rs2 != (to == &float_single))
		return false;
	p->f = to == &float_single ? &float_double : &float_single;
	p->result = float_convert(to, p->f, &p->env, operand(p, p->rs1));
	p->f = to;
	return true;
}

/* rs2: w, wu, l, lu */
static bool to_int(struct fp *p)
{
	unsigned bits = p->rs2 & 2 ? 64 : 32;

	if (!rounding(p) || p->rs2 > 3)
		return false;
	p->writes_x = true;
	p->result = float_to_int(
		p->f, &p->env, operand(p, p->rs1), bits, !(p->rs2 & 1));
	if (bits == 32)
		p->result = sign_extend(p->result);
	return true;
}

static bool from_int(struct fp *p)
{
	uint64_t v = p->h->x[p->rs1];

	if (!rounding(p) || p->rs2 > 3)
		return false;
	if (!(p->rs2 & 2))
		v = p->rs2 & 1 ? (uint32_t)v : sign_extend(v);
	p->result = float_from_int(p->f, &p->env, v, !(p->rs2 & 1));
	return true;
}

/* fmv.x.* and fclass. fmv moves raw bits: no boxing check. */
static bool move_out(struct fp *p)
{
	uint64_t raw = p->h->f[p->rs1];

	p->writes_x = true;
	if (p->rs2 != 0 || p->rm > 1)
		return false;
	if (p->rm == 1)
		p->result = float_class(p->f, operand(p, p->rs1));
	else
		p->result = p->f == &float_double ? raw : sign_extend(raw);
	return true;
}

static bool move_in(struct fp *p)
{
	if (p->rs2 != 0 || p->rm != 0)
		return false;
	p->result = p->h->x[p->rs1];
	return true;
}

static bool dispatch(struct fp *p, uint32_t bits)
{
	unsigned funct5 = bits >> 27;

	if ((bits & 0x7f) != 0x53)
		return fused(p, bits);
	switch (funct5) {
	case 0x00:
	case 0x01:
	case 0x02:
	case 0x03:
	case 0x0b:
		return arithmetic(p, funct5);
	case 0x04:
		return sign_inject(p);
	case 0x05:
		return min_max(p);
	case 0x08:
		return convert(p);
	case 0x14:
		return compare(p);
	case 0x18:
		return to_int(p);
	case 0x1a:
		return from_int(p);
	case 0x1c:
		return move_out(p);
	case 0x1e:
		return move_in(p);
	}
	return false;
}

bool fp_exec(struct hart *h, uint32_t bits)
{
	unsigned format = bits >> 25 & 3;
	struct fp p = {
		.h = h,
		.f = format ? &float_double : &float_single,
		.rd = bits >> 7 & 31,
		.rs1 = bits >> 15 & 31,
		.rs2 = bits >> 20 & 31,
		.rs3 = bits >> 27,
		.rm = bits >> 12 & 7,
	};

	if (!fp_enabled(h) || format > 1 || !dispatch(&p, bits))
		return false;
	if (!p.writes_x || p.env.flags)
		h->sstatus |= SSTATUS_FS;
	h->fflags |= p.env.flags;
	if (p.writes_x)
		h->x[p.rd ? p.rd : X_SINK] = p.result;
	else
		h->f[p.rd] = p.f == &float_double ? p.result : p.result | BOX;
	return true;
}
