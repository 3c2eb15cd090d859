/* SPDX-License-Identifier: MIT */
/*
 * float.h - IEEE 754 binary32 and binary64, as RISC-V wants them
 *
 * Values are bit patterns in the low bits of a uint64_t. Every function is
 * pure: the rounding mode comes in, exception flags (FFLAG_*) are or-ed into
 * *flags. NaN results are the canonical NaN.
 */
#ifndef VMM_SOFT_FLOAT_H
#define VMM_SOFT_FLOAT_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/soft/riscv.h"

struct format {
	unsigned bits;     /* of the whole: 32, 64 */
	unsigned fraction; /* bits after the point: 23, 52 */
	int bias;          /* 127, 1023; also the largest exponent */
};

extern const struct format float_single;
extern const struct format float_double;

/* How to round, and where exceptions are collected. */
struct float_env {
	enum rounding rm;
	unsigned flags;
};

static inline uint64_t float_sign_bit(const struct format *f)
{
	return (uint64_t)1 << (f->bits - 1);
}

/* All ones in the exponent field. */
static inline uint64_t float_infinity(const struct format *f)
{
	return (uint64_t)(2 * f->bias + 1) << f->fraction;
}

/* The canonical NaN: positive, quiet, no payload. */
static inline uint64_t float_nan(const struct format *f)
{
	return float_infinity(f) | (uint64_t)1 << (f->fraction - 1);
}

static inline bool float_is_nan(const struct format *f, uint64_t a)
{
	return (a & (float_sign_bit(f) - 1)) > float_infinity(f);
}

static inline bool float_is_signaling(const struct format *f, uint64_t a)
{
	return float_is_nan(f, a) && !(a >> (f->fraction - 1) & 1);
}

uint64_t float_add(
	const struct format *f, struct float_env *env, uint64_t a, uint64_t b);
uint64_t float_mul(
	const struct format *f, struct float_env *env, uint64_t a, uint64_t b);
/* a * b + c, rounded once. */
uint64_t float_fma(const struct format *f, struct float_env *env, uint64_t a,
	uint64_t b, uint64_t c);
uint64_t float_div(
	const struct format *f, struct float_env *env, uint64_t a, uint64_t b);
uint64_t float_sqrt(const struct format *f, struct float_env *env, uint64_t a);

/* Quiet (feq) and signaling (flt, fle) comparisons. */
bool float_eq(
	const struct format *f, struct float_env *env, uint64_t a, uint64_t b);
bool float_lt(
	const struct format *f, struct float_env *env, uint64_t a, uint64_t b);
bool float_le(
	const struct format *f, struct float_env *env, uint64_t a, uint64_t b);
uint64_t float_min(
	const struct format *f, struct float_env *env, uint64_t a, uint64_t b);
uint64_t float_max(
	const struct format *f, struct float_env *env, uint64_t a, uint64_t b);
/* fclass's mask */
uint64_t float_class(const struct format *f, uint64_t a);

uint64_t float_convert(const struct format *to, const struct format *from,
	struct float_env *env, uint64_t a);
/* Integers of 32 or 64 bits; results saturate, and are in 64 bits. */
uint64_t float_to_int(const struct format *f, struct float_env *env, uint64_t a,
	unsigned bits, bool is_signed);
uint64_t float_from_int(const struct format *f, struct float_env *env,
	uint64_t v, bool is_signed);

#endif
