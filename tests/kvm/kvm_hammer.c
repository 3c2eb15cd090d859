/* SPDX-License-Identifier: MIT */
/*
 * kvm_hammer.c - vCPUs write flat out while their memory is re-arranged
 *
 *	kvm_hammer [TRANSACTIONS [SECONDS [SEED]]]
 *
 * SECONDS: an emulated machine that is slow does fewer, but 100 at least.
 *
 * Two vCPUs increment words in two slots. Transactions of several kernel
 * slots each swap the two, split and merge them, delete and create them
 * again, and log and forget: all pages are RAM before and after each. Not one
 * MMIO exit may be seen for them (watch.h counts: not the backend), and no
 * write may be lost. In a second run pages are tracked and released in
 * between, whose writes are exits, and again none may be lost.
 */
#include "tests/kvm/hammer.h"
#include "tests/kvm/kbed.h"
#include "tests/unit/slots.h"

#define FIRST  1u
#define SECOND 2u
#define UPPER  3u /* what is split from the first */

struct hammered {
	struct kbed b;
	uint8_t *data;
	uint64_t rng;
	uint64_t split; /* bytes that are left of the first, 0: whole */
	bool swapped, logged;
	struct pagetrack_node *node;
	uint64_t tracked_from, tracked_pages;
	atomic_ulong heard;
};

static void add_slot(struct memslot_txn *t, const struct hammered *h,
	unsigned id, uint64_t offset, uint64_t size)
{
	bool high = id == SECOND;
	struct memslot_config c = {
		.id = id,
		.gpa = HAMMER_BASE + (high != h->swapped) * HAMMER_HALF +
		       offset,
		.size = size,
		.host = h->data + high * HAMMER_HALF + offset,
		.flags = h->logged ? MEMSLOT_LOG_DIRTY : 0,
	};

	memslot_create(t, &c);
}

/* ---- transactions -------------------------------------------------------- */

static void swap(struct memslot_txn *t, struct hammered *h)
{
	gpa_t low = HAMMER_BASE, high = HAMMER_BASE + HAMMER_HALF;

	h->swapped = !h->swapped;
	memslot_move(t, 0, FIRST, h->swapped ? high : low, MEMSLOT_MOVE_KEEP);
	memslot_move(t, 0, SECOND, h->swapped ? low : high, MEMSLOT_MOVE_KEEP);
	if (h->split)
		memslot_move(t, 0, UPPER, (h->swapped ? high : low) + h->split,
			MEMSLOT_MOVE_KEEP);
}

static void split_or_merge(struct memslot_txn *t, struct hammered *h)
{
	if (h->split) {
		memslot_merge(t, 0, FIRST, UPPER);
		h->split = 0;
		return;
	}
	h->split = (1 + rng_below(&h->rng, HAMMER_PAGES / 2 - 1)) * RAW_PAGE;
	memslot_split(t, 0, FIRST, h->split, UPPER);
}

static void create_again(struct memslot_txn *t, struct hammered *h)
{
	uint64_t first = h->split ? h->split : HAMMER_HALF;

	memslot_delete(t, 0, FIRST);
	memslot_delete(t, 0, SECOND);
	add_slot(t, h, SECOND, 0, HAMMER_HALF);
	add_slot(t, h, FIRST, 0, first);
}

static void log_or_forget(struct memslot_txn *t, struct hammered *h)
{
	uint32_t flags = h->logged ? 0 : MEMSLOT_LOG_DIRTY;

	h->logged = !h->logged;
	memslot_set_flags(t, 0, FIRST, flags);
	memslot_set_flags(t, 0, SECOND, flags);
	if (h->split)
		memslot_set_flags(t, 0, UPPER, flags);
}

static bool transaction(struct hammered *h)
{
	struct memslot_txn *t;

	CHECK_EQ(memslot_begin(h->b.ms, &t, &h->b.err), 0);
	switch (rng_below(&h->rng, 4)) {
	case 0:
		/*
		 * An increment of a tracked page is a load and a store to the
		 * monitor: between them the page must not become another.
		 */
		if (h->node)
			create_again(t, h);
		else
			swap(t, h);
		break;
	case 1:
		split_or_merge(t, h);
		break;
	case 2:
		create_again(t, h);
		break;
	default:
		log_or_forget(t, h);
	}
	if (CHECK_EQ(memslot_commit(t, NULL, &h->b.err), 0))
		return true;
	fprintf(stderr, "%s\n", h->b.err.text);
	return false;
}

static void track_some(struct hammered *h)
{
	gfn_t base = HAMMER_BASE >> MEMSLOT_PAGE_SHIFT;

	if (h->tracked_pages)
		CHECK_EQ(pagetrack_remove(h->node, 0, base + h->tracked_from,
				 h->tracked_pages, &h->b.err),
			0);
	h->tracked_pages = 1 + rng_below(&h->rng, 4);
	h->tracked_from =
		rng_below(&h->rng, HAMMER_PAGES - h->tracked_pages + 1);
	CHECK_EQ(pagetrack_add(h->node, 0, base + h->tracked_from,
			 h->tracked_pages, &h->b.err),
		0);
}

/* ---- the run ------------------------------------------------------------- */

static void on_write(void *ctx, const struct pagetrack_write *w)
{
	struct hammered *h = ctx;

	(void)w;
	atomic_fetch_add(&h->heard, 1);
}

static const struct pagetrack_ops node_ops = {
	.name = "hammer",
	.write = on_write,
};

static void start(struct hammered *h, bool tracked)
{
	struct memslot_txn *t;
	uint64_t at;

	kbed_open(&h->b, HAMMER_CPUS, 3);
	h->data = raw_memory(HAMMER_PAGES * RAW_PAGE);
	CHECK_EQ(memslot_begin(h->b.ms, &t, &h->b.err), 0);
	add_slot(t, h, FIRST, 0, HAMMER_HALF);
	add_slot(t, h, SECOND, 0, HAMMER_HALF);
	CHECK_EQ(memslot_commit(t, NULL, &h->b.err), 0);
	at = kbed_code(&h->b, hammer, (size_t)(hammer_end - hammer));
	kbed_run(&h->b);
	if (tracked)
		CHECK_EQ(pagetrack_register(h->b.track, &node_ops, h,
				 PAGETRACK_STAY, &h->node, &h->b.err),
			0);
	watch_range(HAMMER_BASE, HAMMER_BASE + HAMMER_PAGES * RAW_PAGE);
	for (unsigned i = 0; i < HAMMER_CPUS; i++) {
		struct kbed_call call = {
			.function = at,
			.rdi = hammer_word(i),
			.rsi = HAMMER_PAGES - 1,
			.rdx = HAMMER_STOP,
			.rcx = i,
		};

		kbed_start(&h->b, i, &call);
	}
}

static void finish(struct hammered *h)
{
	for (unsigned i = 0; i < HAMMER_CPUS; i++) {
		struct kbed_call call = {0};

		hammer_stop(h->b.low);
		if (!CHECK(kbed_wait(&h->b, i, &call))) {
			kbed_stop(&h->b);
			fprintf(stderr, "vCPU %u: %s\n", i, h->b.err.text);
			continue;
		}
		printf("vCPU %u: %llu writes\n", i,
			(unsigned long long)call.out_rax);
		CHECK(call.out_rax > 0);
		CHECK_EQ(hammer_lost(h->data, i, call.out_rax), 0);
	}
}

static void run(
	uint64_t seed, unsigned long count, uint64_t seconds, bool tracked)
{
	const uint64_t end = raw_now_ns() + seconds * 1000000000u;
	struct hammered h = {.rng = seed};
	unsigned long before, done;

	start(&h, tracked);
	before = atomic_load(&watch.regions);
	for (done = 0; done < count; done++) {
		if (done >= 100 && raw_now_ns() > end)
			break;
		if (!transaction(&h))
			break;
		if (tracked && rng_below(&h.rng, 4) == 0)
			track_some(&h);
	}
	finish(&h);
	printf("%lu transactions, %lu kernel slots changed, %lu MMIO exits "
	       "for RAM, %lu writes heard\n",
		done, atomic_load(&watch.regions) - before,
		atomic_load(&watch.exits), atomic_load(&h.heard));
	if (tracked)
		CHECK(atomic_load(&h.heard) > 0);
	else
		CHECK_EQ(atomic_load(&watch.exits), 0);
	kbed_stop(&h.b);
	pagetrack_unregister(h.node);
	kbed_close(&h.b);
}

int main(int argc, char **argv)
{
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 0) : 10000;
	uint64_t seconds = argc > 2 ? strtoull(argv[2], NULL, 0) : 200;
	uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 0) : raw_now_ns();

	printf("seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	run(seed, count, seconds, false);
	run(seed, count / 4, seconds / 4, true);
	return TEST_END("kvm-hammer");
}
