/* SPDX-License-Identifier: MIT */
/*
 * yield.h - a thread may lose the CPU at each atomic step
 *
 * With -Dyield=true (a debug build), cdefs.h includes this: every atomic
 * operation of whoever includes it first asks a generator whether to give way
 * to other threads. What happens between two steps once in a million runs
 * then happens all the time. Otherwise nothing of it is compiled.
 *
 * YIELD_SEED in the environment chooses the schedule, as far as the kernel
 * lets it be chosen; each thread has a generator of its own.
 */
#ifndef MEMSLOT_YIELD_H
#define MEMSLOT_YIELD_H

#include <stdatomic.h>

void memslot_yield(void);

#ifdef __clang__
#define YIELD_RAW(op) __c11_atomic_##op
#define YIELD_CAS(p, old, new, ok, no) \
	__c11_atomic_compare_exchange_strong(p, old, new, ok, no)
#else
#define __atomic_load(p, mo)        __atomic_load_n(p, mo)
#define __atomic_store(p, v, mo)    __atomic_store_n(p, v, mo)
#define __atomic_exchange(p, v, mo) __atomic_exchange_n(p, v, mo)
#define YIELD_RAW(op)               __atomic_##op
#define YIELD_CAS(p, old, new, ok, no) \
	__atomic_compare_exchange_n(p, old, new, false, ok, no)
#endif

#undef atomic_load_explicit
#undef atomic_load
#undef atomic_store_explicit
#undef atomic_store
#undef atomic_exchange_explicit
#undef atomic_exchange
#undef atomic_compare_exchange_strong
#undef atomic_compare_exchange_weak
#undef atomic_fetch_add_explicit
#undef atomic_fetch_add
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_sub
#undef atomic_fetch_or
#undef atomic_fetch_and

#define YIELD_THEN(x) (memslot_yield(), (x))

#define atomic_load_explicit(p, mo)     YIELD_THEN(YIELD_RAW(load)(p, mo))
#define atomic_load(p)                  atomic_load_explicit(p, __ATOMIC_SEQ_CST)
#define atomic_store_explicit(p, v, mo) YIELD_THEN(YIELD_RAW(store)(p, v, mo))
#define atomic_store(p, v)              atomic_store_explicit(p, v, __ATOMIC_SEQ_CST)
#define atomic_exchange_explicit(p, v, mo) \
	YIELD_THEN(YIELD_RAW(exchange)(p, v, mo))
#define atomic_exchange(p, v) atomic_exchange_explicit(p, v, __ATOMIC_SEQ_CST)
#define atomic_compare_exchange_strong(p, old, new) \
	YIELD_THEN(YIELD_CAS(p, old, new, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
#define atomic_compare_exchange_weak(p, old, new) \
	atomic_compare_exchange_strong(p, old, new)
#define atomic_fetch_add_explicit(p, v, mo) \
	YIELD_THEN(YIELD_RAW(fetch_add)(p, v, mo))
#define atomic_fetch_add(p, v) atomic_fetch_add_explicit(p, v, __ATOMIC_SEQ_CST)
#define atomic_fetch_sub_explicit(p, v, mo) \
	YIELD_THEN(YIELD_RAW(fetch_sub)(p, v, mo))
#define atomic_fetch_sub(p, v) atomic_fetch_sub_explicit(p, v, __ATOMIC_SEQ_CST)
#define atomic_fetch_or(p, v) \
	YIELD_THEN(YIELD_RAW(fetch_or)(p, v, __ATOMIC_SEQ_CST))
#define atomic_fetch_and(p, v) \
	YIELD_THEN(YIELD_RAW(fetch_and)(p, v, __ATOMIC_SEQ_CST))

#endif
