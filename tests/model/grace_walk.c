/* SPDX-License-Identifier: MIT */
/*
 * grace_walk.c - every interleaving of the real memslot/reader.c, bounded
 *
 * Includes reader.c with the C11 atomics replaced by sequentially consistent
 * ones that hand control to a scheduler before each access. Threads are
 * coroutines; the scheduler walks all schedules depth first with at most
 * PREEMPTIONS switches away from a thread that could go on. Checked: nobody
 * inside a section sees freed memory, a grace period returns only after all
 * who were inside have left, nobody sleeps for ever.
 *
 * usage: grace_walk [preemptions]; grace_walk.sh builds and runs it
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

static void step(void);

#undef atomic_load
#undef atomic_store
#undef atomic_exchange
#undef atomic_fetch_add
#undef atomic_fetch_sub
#undef atomic_compare_exchange_strong
#define ORDER __ATOMIC_SEQ_CST
/* clang-format off */
#define atomic_load(p) (step(), atomic_load_explicit(p, ORDER))
#define atomic_store(p, v) (step(), atomic_store_explicit(p, v, ORDER))
#define atomic_exchange(p, v) (step(), atomic_exchange_explicit(p, v, ORDER))
#define atomic_fetch_add(p, v) (step(), atomic_fetch_add_explicit(p, v, ORDER))
#define atomic_fetch_sub(p, v) (step(), atomic_fetch_sub_explicit(p, v, ORDER))
#define atomic_compare_exchange_strong(p, e, v) \
	(step(), atomic_compare_exchange_strong_explicit(p, e, v, ORDER, ORDER))
/* clang-format on */

/* reader.c, or a mutation of it */
#include READER_C

/* ---- the scheduler ------------------------------------------------------- */

#define THREADS 3
#define STACK   (64 * 1024)
#define STEPS   4000
#define READS   2

struct thread {
	ucontext_t context;
	void (*body)(unsigned);
	_Atomic(uint32_t) *asleep; /* the word it sleeps on */
	bool done;
	uint8_t stack[STACK];
};

static struct thread thread[THREADS];
static ucontext_t scheduler;
static unsigned current;
/* The schedule: at step n the choice[n]th of options[n] was taken. */
static uint8_t choice[STEPS], options[STEPS];
static unsigned taken, known;

static void fail(const char *what)
{
	printf("grace_walk: %s; schedule of %u steps\n", what, taken);
	exit(1);
}

/* Freed memory is full of ones: not an address. */
static void crashed(int signal)
{
	(void)signal;
	fail("memory was used after it was freed");
}

static void step(void)
{
	swapcontext(&thread[current].context, &scheduler);
}

static void sched_wait(void *ctx, _Atomic(uint32_t) *word, uint32_t seen)
{
	(void)ctx;
	step();
	if (atomic_load_explicit(word, ORDER) != seen)
		return;
	thread[current].asleep = word;
	step();
}

static void sched_wake(void *ctx, _Atomic(uint32_t) *word)
{
	(void)ctx;
	step();
	for (unsigned n = 0; n < THREADS; n++)
		if (thread[n].asleep == word)
			thread[n].asleep = NULL;
}

static uintptr_t sched_self(void *ctx)
{
	(void)ctx;
	return current + 1;
}

/* So fast a clock that nobody spins for long. */
static uint64_t sched_now_ns(void *ctx)
{
	static uint64_t now;

	(void)ctx;
	return now += 1000000;
}

static const struct memslot_platform platform = {.wait = sched_wait,
	.wake = sched_wake,
	.self = sched_self,
	.now_ns = sched_now_ns};

static bool can_run(unsigned n)
{
	return !thread[n].done && !thread[n].asleep;
}

/* Whom to run next; false: nobody can. Choice 0 is to go on. */
static bool choose(unsigned *preemptions)
{
	unsigned list[THREADS], count = 0, pick;
	bool go_on = can_run(current);

	if (go_on)
		list[count++] = current;
	for (unsigned n = 0; n < THREADS; n++)
		if (n != current && can_run(n) && (!go_on || *preemptions))
			list[count++] = n;
	if (!count)
		return false;
	if (taken == STEPS)
		fail("a schedule has no end");
	if (taken == known) {
		choice[taken] = 0;
		known++;
	}
	options[taken] = (uint8_t)count;
	pick = list[choice[taken++]];
	if (go_on && pick != current)
		--*preemptions;
	current = pick;
	return true;
}

/* The next schedule in depth-first order; false: that was the last. */
static bool next_schedule(void)
{
	while (known && choice[known - 1] + 1 == options[known - 1])
		known--;
	if (!known)
		return false;
	choice[known - 1]++;
	return true;
}

static void trampoline(unsigned n)
{
	thread[n].body(n);
	thread[n].done = true;
	swapcontext(&thread[n].context, &scheduler);
}

/* ---- what reader.c wants of its neighbours ------------------------------- */

static struct memslot slots[2];
static struct memslot_set sets[2];
static struct map_node leaves[2]; /* a set is an index of one slot */
static bool freed[2];
static struct memslots ms;
static struct memslot_reader reader[THREADS];
static unsigned section[THREADS]; /* how often entered; odd while inside */

void *map_find(const struct map_node *root, uint64_t key)
{
	(void)key;
	return root->ptr[0];
}

void *map_ceiling(const struct map_node *root, uint64_t key)
{
	return map_find(root, key);
}

void *map_stab(
	const struct map_node *root, uint64_t from, uint64_t to, uint64_t point)
{
	(void)from, (void)to, (void)point;
	return map_find(root, 0);
}

bool ms_owns_txn(const struct memslots *m)
{
	(void)m;
	return current == 0;
}

bool memslots_broken(const struct memslots *m)
{
	(void)m;
	return false;
}

/* ---- one writer, two readers --------------------------------------------- */

static void grace(void)
{
	unsigned before[THREADS];

	memcpy(before, section, sizeof(before));
	memslots_synchronize(&ms);
	for (unsigned n = 1; n < THREADS; n++)
		if ((before[n] & 1) && section[n] == before[n])
			fail("a grace period did not wait for a section");
}

static void free_slot(unsigned n)
{
	freed[n] = true;
	memset(&slots[n], 0xff, sizeof(slots[n]));
}

/* What do_swap_out(), do_swap_in() and free_old() of txn.c do. */
static void writer(unsigned n)
{
	(void)n;
	atomic_fetch_add(&ms.window, 1);
	atomic_store(&slots[0].invalid, true);
	grace();
	atomic_store(&ms.set, &sets[1]);
	atomic_fetch_add(&ms.window, 1);
	if (atomic_load(&ms.waiting))
		sched_wake(NULL, &ms.window);
	grace();
	free_slot(0);
	memset(&sets[0], 0xff, sizeof(sets[0]));
}

static void read_memory(unsigned n)
{
	for (unsigned i = 0; i < READS; i++) {
		const struct memslot *s;

		s = memslot_enter_at(&reader[n], 0, 5);
		section[n]++;
		if (!s || s < slots || s > slots + 1)
			fail("a reader found no slot");
		if (freed[s - slots])
			fail("a reader found a freed slot");
		step();
		if (freed[s - slots] || !memslot_contains(s, 5))
			fail("a slot was freed under a reader");
		section[n]++;
		memslot_leave(&reader[n]);
	}
}

static void reset(void)
{
	memset(&ms, 0, sizeof(ms));
	memset(reader, 0, sizeof(reader));
	memset(slots, 0, sizeof(slots));
	memset(freed, 0, sizeof(freed));
	memset(section, 0, sizeof(section));
	for (unsigned n = 0; n < 2; n++) {
		slots[n].base_gfn = 4;
		slots[n].size_pages = 4;
		sets[n].generation = n;
		sets[n].by_gfn = &leaves[n];
		leaves[n].count = 1;
		memset(leaves[n].key, 0xff, sizeof(leaves[n].key));
		leaves[n].key[0] = gfn_key(0, 4);
		leaves[n].end[0] = gfn_key(0, 8);
		leaves[n].ptr[0] = &slots[n];
	}
	ms.pf = &platform;
	ms.spaces = 1;
	atomic_init(&ms.set, &sets[0]);
	for (unsigned n = 1; n < THREADS; n++) {
		reader[n].ms = &ms;
		reader[n].next = ms.readers;
		ms.readers = &reader[n];
	}
	for (unsigned n = 0; n < THREADS; n++) {
		struct thread *t = &thread[n];

		t->body = n ? read_memory : writer;
		t->asleep = NULL;
		t->done = false;
		getcontext(&t->context);
		t->context.uc_stack.ss_sp = t->stack;
		t->context.uc_stack.ss_size = STACK;
		makecontext(&t->context, (void (*)(void))trampoline, 1, n);
	}
	current = 0;
	taken = 0;
}

int main(int argc, char **argv)
{
	unsigned preemptions = argc > 1 ? (unsigned)atoi(argv[1]) : 2;
	unsigned long schedules = 0;

	signal(SIGSEGV, crashed);
	do {
		unsigned left = preemptions;

		reset();
		while (choose(&left))
			swapcontext(&scheduler, &thread[current].context);
		for (unsigned n = 0; n < THREADS; n++)
			if (!thread[n].done)
				fail("somebody sleeps for ever");
		schedules++;
	} while (next_schedule());
	printf("grace_walk: %lu schedules of at most %u preemptions: ok\n",
		schedules, preemptions);
	return 0;
}
