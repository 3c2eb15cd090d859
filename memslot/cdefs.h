/* SPDX-License-Identifier: MIT */
/*
 * cdefs.h - what lets the public headers be read by C11 and by C++11
 *
 * MEMSLOT_ATOMIC(T) is an atomic T. std::atomic<T> and _Atomic(T) have the
 * same layout with the compilers we support (gcc, clang).
 */
#ifndef MEMSLOT_CDEFS_H
#define MEMSLOT_CDEFS_H

#ifdef __cplusplus
#include <atomic>
#define MEMSLOT_ATOMIC(T)   std::atomic<T>
#define MEMSLOT_ALIGNED(n)  alignas(n)
#define MEMSLOT_BEGIN_DECLS extern "C" {
#define MEMSLOT_END_DECLS   }
#else
#include <stdatomic.h>
#define MEMSLOT_ATOMIC(T)  _Atomic(T)
#define MEMSLOT_ALIGNED(n) _Alignas(n)
#define MEMSLOT_BEGIN_DECLS
#define MEMSLOT_END_DECLS
#ifdef MEMSLOT_YIELD
#include "memslot/yield.h"
#endif
#endif

#endif
