/* SPDX-License-Identifier: MIT */
/*
 * guest.h - harts that write memory while a host thread changes the map
 *
 * Beside its RAM the machine has slot 1, GUEST_SIZE bytes at GUEST_AT. Each
 * hart stores 1, 2, 3 ... round its own words of it, reads each back, and
 * goes on until the host thread is done. An access that finds no memory
 * traps; the hart counts it and tries its other address (which may be the
 * same one).
 *
 * Only the embedded CPU for now; the claims do not depend on which it is.
 */
#ifndef TESTS_SEED_GUEST_H
#define TESTS_SEED_GUEST_H

#include "tests/seed/claims.h"
#include "tests/unit/soft/soft_harness.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

#define GUEST_SLOT  1u
#define GUEST_AT    0x90000000ull
#define GUEST_SIZE  0x600000ull /* three frames of 2 MiB */
#define GUEST_PAGES (GUEST_SIZE >> 12)
#define GUEST_HARTS 2u

/* What hart k does. */
struct guest_work {
	gpa_t at, other;    /* of its first word */
	uint64_t words;     /* a power of two, at most 2048 */
	uint64_t step_log2; /* from word to word, 3: they are neighbours */
	bool read_back;
};

struct guest {
	struct sh m;
	uint8_t *mem; /* of slot 1, 2 MiB aligned */
	struct fault_plan plan;
	void (*host)(struct guest *g);
	unsigned harts;
};

/* Words in RAM that the host and the harts talk through. */
#define BOX_GO     0x000
#define BOX_DONE   0x008
#define BOX_STORES 0x100 /* by hart: how many, */
#define BOX_WRONG  0x200 /* how many were read back wrong, */
#define BOX_TRAPS  0x300 /* how many found no memory */
#define BOX_NOW    0x400 /* the number it has just stored */

static inline uint64_t *guest_box(struct guest *g, unsigned box, unsigned hart)
{
	return sh_at(&g->m, DATA + box + 8 * hart);
}

static inline uint64_t guest_get(struct guest *g, unsigned box, unsigned hart)
{
	return __atomic_load_n(guest_box(g, box, hart), __ATOMIC_ACQUIRE);
}

static inline struct memslot_config guest_slot(struct guest *g, uint32_t flags)
{
	return (struct memslot_config){
		.id = GUEST_SLOT,
		.gpa = GUEST_AT,
		.size = GUEST_SIZE,
		.host = g->mem,
		.flags = flags,
	};
}

static inline void guest_open(struct guest *g, unsigned harts, uint32_t flags)
{
	const size_t large = 2u << 20;
	struct memslot_config c;

	memset(g, 0, sizeof(*g));
	g->harts = harts;
	g->mem = aligned_alloc(large, GUEST_SIZE);
	if (!g->mem)
		abort();
	memset(g->mem, 0, GUEST_SIZE);
	sh_open(&g->m, harts);
	c = guest_slot(g, flags);
	CHECK_EQ(memslots_create_slot(g->m.slots, &c, NULL), 0);
	memslots_set_faults(g->m.slots, &g->plan);
}

static inline void guest_close(struct guest *g)
{
	sh_close(&g->m);
	free(g->mem);
}

/* Wait until every hart has stored `more` times from now. */
static inline void guest_progress(struct guest *g, uint64_t more)
{
	for (unsigned k = 0; k < g->harts; k++) {
		uint64_t from = guest_get(g, BOX_NOW, k);

		while (guest_get(g, BOX_NOW, k) < from + more)
			usleep(20);
	}
}

static inline void *guest_host_thread(void *arg)
{
	struct guest *g = arg;

	while (!guest_get(g, BOX_GO, 0))
		usleep(20);
	guest_progress(g, 100);
	g->host(g);
	guest_progress(g, 100);
	__atomic_store_n(guest_box(g, BOX_DONE, 0), 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Access fault: the other address, and one instruction back. */
static inline void guest_emit_handler(struct sh *m)
{
	sh_e(m, rv_mv(RV_T4, RV_S0));
	sh_e(m, rv_mv(RV_S0, RV_S1));
	sh_e(m, rv_mv(RV_S1, RV_T4));
	sh_e(m, rv_addi(RV_S8, RV_S8, 1));
	sh_e(m, rv_csrr(RV_T4, RV_CSR_SEPC));
	sh_e(m, rv_addi(RV_T4, RV_T4, -4));
	sh_e(m, rv_csrw(RV_CSR_SEPC, RV_T4));
	sh_e(m, rv_sret());
}

/*
 * s0, s1 addresses; s2 the number; s3 mask; s5 wrong; s6 the boxes; s7 1;
 * s8 traps; s9 this hart's boxes. Falls out at the end.
 */
static inline void guest_emit_loop(struct sh *m, rv_label handler,
	const struct guest_work *work, unsigned hart)
{
	rv_label loop, good;

	rv_la(&m->p, RV_T0, handler);
	sh_e(m, rv_csrw(RV_CSR_STVEC, RV_T0));
	sh_li(m, RV_S0, work->at);
	sh_li(m, RV_S1, work->other);
	sh_li(m, RV_S2, 0);
	sh_li(m, RV_S3, work->words - 1);
	sh_li(m, RV_S5, 0);
	sh_li(m, RV_S6, DATA);
	sh_li(m, RV_S7, 1);
	sh_li(m, RV_S8, 0);
	sh_li(m, RV_S9, DATA + 8 * hart);
	sh_e(m, rv_sd(RV_S7, RV_S6, BOX_GO));
	loop = rv_label_here(&m->p);
	good = rv_label_new(&m->p);
	sh_e(m, rv_addi(RV_S2, RV_S2, 1));
	sh_e(m, rv_and(RV_T1, RV_S2, RV_S3));
	sh_e(m, rv_slli(RV_T1, RV_T1, (unsigned)work->step_log2));
	sh_e(m, rv_add(RV_T2, RV_S0, RV_T1));
	sh_e(m, rv_sd(RV_S2, RV_T2, 0));
	if (work->read_back) {
		sh_e(m, rv_add(RV_T2, RV_S0, RV_T1));
		sh_e(m, rv_ld(RV_T3, RV_T2, 0));
		rv_branch(&m->p, RV_BEQ, RV_T3, RV_S2, good);
		sh_e(m, rv_addi(RV_S5, RV_S5, 1));
	}
	rv_bind(&m->p, good);
	sh_e(m, rv_sd(RV_S2, RV_S9, BOX_NOW));
	sh_e(m, rv_ld(RV_T0, RV_S6, BOX_DONE));
	rv_branch(&m->p, RV_BEQ, RV_T0, RV_ZERO, loop);
	sh_e(m, rv_sd(RV_S5, RV_S9, BOX_WRONG));
	sh_e(m, rv_sd(RV_S8, RV_S9, BOX_TRAPS));
	sh_e(m, rv_fence(3, 3));
	sh_e(m, rv_sd(RV_S2, RV_S9, BOX_STORES));
}

/* Run the harts; `host` runs beside them, and they stop when it returns. */
static inline void guest_run(struct guest *g, const struct guest_work *work,
	void (*host)(struct guest *g))
{
	struct sh *m = &g->m;
	rv_label handler = rv_label_new(&m->p), over = rv_label_new(&m->p);
	rv_label second = rv_label_new(&m->p), wait;
	pthread_t thread;

	g->host = host;
	rv_jump(&m->p, RV_ZERO, over);
	rv_align(&m->p, 4);
	rv_bind(&m->p, handler);
	guest_emit_handler(m);
	rv_bind(&m->p, second);
	if (g->harts > 1)
		guest_emit_loop(m, handler, &work[1], 1);
	sh_sbi(m, SBI_HSM, 1);
	rv_bind(&m->p, over);
	if (g->harts > 1) {
		rv_la(&m->p, RV_A1, second);
		sh_li(m, RV_A0, 1);
		sh_sbi(m, SBI_HSM, 0);
		sh_expect(m, RV_A0, 0, "hart_start");
	}
	guest_emit_loop(m, handler, &work[0], 0);
	if (g->harts > 1) {
		wait = rv_label_here(&m->p);
		sh_e(m, rv_ld(RV_T0, RV_S6, BOX_STORES + 8));
		rv_branch(&m->p, RV_BEQ, RV_T0, RV_ZERO, wait);
	}
	sh_start(m);
	if (!CHECK(!pthread_create(&thread, NULL, guest_host_thread, g)))
		exit(1);
	sh_go(m);
	pthread_join(thread, NULL);
	CHECK_EQ(m->why, ACCEL_STOP_POWEROFF);
	for (unsigned k = 0; k < g->harts; k++) {
		CHECK(guest_get(g, BOX_STORES, k) >= 200);
		CHECK_EQ(guest_get(g, BOX_WRONG, k), 0);
	}
}

/* Did hart k's numbers all arrive, in memory that begins at `mem`? */
static inline bool guest_words_right(
	struct guest *g, unsigned k, const struct guest_work *work, size_t at)
{
	uint64_t n = guest_get(g, BOX_STORES, k), have;

	for (uint64_t i = 0; i < work->words; i++) {
		/* the last number not above n that is i modulo words */
		uint64_t last = n - ((n - i) & (work->words - 1));

		if (n < i || last > n)
			last = 0;
		memcpy(&have, g->mem + at + (i << work->step_log2), 8);
		if (have != last)
			return false;
	}
	return true;
}

/*
 * A node that hears hart k's stores to a page and knows what must come next:
 * the hart's words lie in that page, so it is every number, one by one.
 */
struct guest_ear {
	struct pagetrack_node *node;
	_Atomic(uint64_t) heard; /* the last number */
	uint64_t errors;
	unsigned hart;
};

static inline void guest_heard(void *ctx, const struct pagetrack_write *w)
{
	struct guest_ear *ear = ctx;
	uint64_t v = 0;

	memcpy(&v, w->bytes, w->len < 8 ? w->len : 8);
	if (w->len != 8 || w->source.kind != PAGETRACK_CPU ||
		w->source.index != ear->hart ||
		v != atomic_load(&ear->heard) + 1)
		ear->errors++;
	atomic_store(&ear->heard, v);
}

static const struct pagetrack_ops guest_ear_ops = {
	.name = "guest ear", .write = guest_heard};

static inline void guest_listen(struct guest *g, struct guest_ear *ear,
	unsigned hart, enum pagetrack_policy policy, gpa_t gpa, uint64_t pages)
{
	memset(ear, 0, sizeof(*ear));
	ear->hart = hart;
	CHECK_EQ(pagetrack_register(g->m.track, &guest_ear_ops, ear, policy,
			 &ear->node, NULL),
		0);
	CHECK_EQ(pagetrack_add(ear->node, 0, gpa >> 12, pages, NULL), 0);
}

/* Every number the hart stored was heard, once, in order. */
static inline void guest_heard_all(struct guest *g, struct guest_ear *ear)
{
	CHECK_EQ(ear->errors, 0);
	CHECK_EQ(atomic_load(&ear->heard), guest_get(g, BOX_STORES, ear->hart));
	pagetrack_unregister(ear->node);
}

/*
 * Move slot 1; every step fails in turn before it succeeds, if `failing`.
 * Returns how often it failed.
 */
static inline unsigned guest_move(
	struct guest *g, gpa_t to, enum memslot_move_dirty dirty, bool failing)
{
	for (unsigned nth = 1; nth < 1000; nth++) {
		uint64_t generation = memslots_generation(g->m.slots);
		int r;

		fault_arm(&g->plan, FAULT_ANY, failing ? nth : 0, false);
		r = memslots_move_slot(
			g->m.slots, 0, GUEST_SLOT, to, dirty, NULL);
		fault_arm(&g->plan, FAULT_ANY, 0, false);
		if (!r)
			return nth - 1;
		CHECK(failing && !memslots_broken(g->m.slots));
		CHECK_EQ(memslots_generation(g->m.slots), generation);
	}
	CHECK(!"it fails for ever");
	return 1000;
}

#endif
