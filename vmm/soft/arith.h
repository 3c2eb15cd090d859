/* SPDX-License-Identifier: MIT */
/*
 * arith.h - what single instructions do where C has no operator for it
 *
 * The M extension (what C leaves undefined the spec defines), Zbb, and fence.
 * exec.c has one handler an operation.
 */
#ifndef VMM_SOFT_ARITH_H
#define VMM_SOFT_ARITH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* ---- M ------------------------------------------------------------------ */

static inline uint64_t mulh(int64_t a, int64_t b)
{
	return (uint64_t)(((__int128)a * b) >> 64);
}

static inline uint64_t mulhu(uint64_t a, uint64_t b)
{
	return (uint64_t)(((unsigned __int128)a * b) >> 64);
}

static inline uint64_t mulhsu(int64_t a, uint64_t b)
{
	/* Read as unsigned, a negative a is 2^64 too much. */
	return mulhu((uint64_t)a, b) - (a < 0 ? b : 0);
}

static inline int64_t div64(int64_t a, int64_t b)
{
	if (b == 0)
		return -1;
	return b == -1 ? (int64_t) - (uint64_t)a : a / b;
}

static inline int64_t rem64(int64_t a, int64_t b)
{
	if (b == 0)
		return a;
	return b == -1 ? 0 : a % b;
}

/* In 64 bits -2^31 / -1 does not overflow, and truncates as asked. */
static inline int64_t div32(int32_t a, int32_t b)
{
	return b ? (int64_t)a / b : -1;
}

static inline int64_t rem32(int32_t a, int32_t b)
{
	return b ? (int64_t)a % b : a;
}

/* ---- Zbb ------------------------------------------------------------------ */

static inline uint64_t clz64(uint64_t v)
{
	return v ? (uint64_t)__builtin_clzll(v) : 64;
}

static inline uint64_t ctz64(uint64_t v)
{
	return v ? (uint64_t)__builtin_ctzll(v) : 64;
}

static inline uint64_t clz32(uint32_t v)
{
	return v ? (uint64_t)__builtin_clz(v) : 32;
}

static inline uint64_t ctz32(uint32_t v)
{
	return v ? (uint64_t)__builtin_ctz(v) : 32;
}

static inline uint64_t rol64(uint64_t v, unsigned n)
{
	return v << (n & 63) | v >> (-n & 63);
}

static inline uint32_t rol32(uint32_t v, unsigned n)
{
	return v << (n & 31) | v >> (-n & 31);
}

/* Every byte that is not 0 becomes 0xff. */
static inline uint64_t orc_b(uint64_t v)
{
	v |= v >> 4 & 0x0f0f0f0f0f0f0f0fu;
	v |= v >> 2 & 0x3f3f3f3f3f3f3f3fu;
	v |= v >> 1 & 0x7f7f7f7f7f7f7f7fu;
	return (v & 0x0101010101010101u) * 0xff;
}

/* ---- fence ---------------------------------------------------------------- */

/*
 * The guest's memory model, RVWMO, on the host's (unprivileged spec, "RVWMO
 * Memory Consistency Model"). Aligned loads and stores are single accesses of
 * the host, atomics are sequentially consistent (amo.c), and this is a barrier
 * for what it names. What RVWMO keeps without them the hosts keep as well:
 * the order of accesses to one address; and dependencies, although a guest's
 * register is memory here. x86 keeps more anyway. For arm64 a load, the store
 * of its value into x[], the load from there and the access that uses it as
 * address or data are an order ("dependency-ordered-before", where a thread
 * reads its own store), and a guest's branch is a branch of the host.
 *
 * x86 keeps all orders but "writes before, reads after" by itself. Not C11's
 * atomic_thread_fence(): the thread sanitizer does not know it.
 */
static inline void fence(uint32_t bits)
{
#if defined(__x86_64__)
	bool write_before = bits >> 24 & 5, read_after = bits >> 20 & 10;

	if (!write_before || !read_after) {
		atomic_signal_fence(memory_order_seq_cst);
		return;
	}
#endif
	__sync_synchronize();
}

#endif
