/* SPDX-License-Identifier: MIT */
/* diff.h - what the files of cpu-differential share; main.c explains it */
#ifndef TESTS_DIFFERENTIAL_DIFF_H
#define TESTS_DIFFERENTIAL_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/differential/layout.h"
#include "vmm/soft/isa.h"

#define RAM_SIZE    ((size_t)RAM_MIB << 20)
#define BATCH_MAX   4000u
#define UNITS_MAX   20u
#define UNIT_HALVES 8u

/* As harness.S reads it. */
struct diff_case {
	uint64_t x[32], f[32];
	uint64_t fcsr, sstatus, entry, base, end, satp, senvcfg, scounteren;
	uint64_t sie, timeout, offset;
	uint16_t code[CODE_HALVES];
	/* ours: where units begin and end, in half words, for shrinking */
	uint8_t units, unit[UNITS_MAX + 1];
	uint8_t pad[RECORD_SIZE - C_CODE - 2 * CODE_HALVES - UNITS_MAX - 2];
};

struct diff_trap {
	uint64_t cause, tval, epc, status;
};

struct diff_result {
	uint64_t x[32], f[32];
	uint64_t fcsr, traps, data, level0, senvcfg, scounteren, sie, sip, satp;
	struct diff_trap trap[TRAPS_MAX];
	uint8_t pad[RECORD_SIZE - R_TRAP - sizeof(struct diff_trap[TRAPS_MAX])];
};

_Static_assert(UNITS_MAX *UNIT_HALVES + 2 <= CODE_HALVES, "with its end");
_Static_assert(sizeof(struct diff_case) == RECORD_SIZE, "layout.h");
_Static_assert(sizeof(struct diff_result) == RECORD_SIZE, "layout.h");
_Static_assert(offsetof(struct diff_case, code) == C_CODE, "layout.h");
_Static_assert(offsetof(struct diff_result, trap) == R_TRAP, "layout.h");

struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline unsigned rng_below(struct rng *r, unsigned n)
{
	return (unsigned)(rng_next(r) >> 33) % n;
}

static inline bool rng_chance(struct rng *r, unsigned percent)
{
	return rng_below(r, 100) < percent;
}

/* insns.c: the words of one unit, at most UNIT_HALVES; how many. */
unsigned unit_random(struct rng *r, bool s_mode, uint16_t *halves);

/* cases.c */
void case_random(struct rng *r, struct diff_case *c);
/* The page tables and all that is not a case or a result. */
void image_fill(uint8_t *ram, struct rng *r);

/* machines.c: run the cases in `ram`, count of them; results are in `ram`. */
void ours_run(uint8_t *ram, isa_off_t off);
int qemu_run(int fd, isa_off_t off); /* `ram` is this file */

#endif
