/* SPDX-License-Identifier: MIT */
/*
 * kvm_dirty.c - the dirty log against a reference
 *
 *	kvm_dirty [ROUNDS [SEED [RING]]]    SEED 0: another each time
 *
 * In each round the guest writes a random set of pages of two slots, which
 * both vCPUs share, while the map is changed: slots move, are split and
 * merged, pages are tracked and released, a change is made to fail. What a
 * harvest then hands out must be the set that was written, no page more or
 * less. Harvests are given back now and then, and must come again.
 *
 * Then the guest writes without a pause while pages are harvested and copied
 * over and over, as if the machine were migrated: at the end the copy must be
 * the memory. RING: the kernel notes pages in rings of so many entries.
 */
#include "tests/kvm/hammer.h"
#include "tests/kvm/kbed.h"
#include "tests/unit/slots.h"

#define LOWER   1u
#define UPPER   2u
#define PAGES   HAMMER_PAGES /* of the log, in one slot or in two */
#define BASE    HAMMER_BASE
#define ELSE    0x30000000ul
#define CHANGES 4u

/*
 * rdi: a list of rsi addresses. Stores to each, in one of three ways, so
 * that a page may have been written as a byte or not read before.
 */
TOY_PROGRAM(write_list, "	test %rsi, %rsi\n"
			"	jz 3f\n"
			"1:	mov (%rdi), %rax\n"
			"	test $1, %sil\n"
			"	jz 2f\n"
			"	movb %sil, 77(%rax)\n"
			"	jmp 4f\n"
			"2:	incq 16(%rax)\n"
			"4:	add $8, %rdi\n"
			"	dec %rsi\n"
			"	jnz 1b\n"
			"3:	ret");
#define LIST(cpu) (TOY_DATA + 0x20000 + (cpu)*RAW_PAGE)

struct dirty {
	struct kbed b;
	uint8_t *data;
	uint64_t rng, write_at, hammer_at;
	uint64_t split; /* pages of LOWER, PAGES: it is alone */
	gpa_t base;     /* where the pages are now */
	struct pagetrack_node *node;
	gfn_t tracked; /* 0: no page is */
	bool written[PAGES];
	uint64_t total, given_back;
};

/* ---- changes of the map -------------------------------------------------- */

static void commit(struct dirty *d, struct memslot_txn *t)
{
	if (!CHECK_EQ(memslot_commit(t, NULL, &d->b.err), 0))
		fprintf(stderr, "%s\n", d->b.err.text);
}

static struct memslot_txn *begin(struct dirty *d)
{
	struct memslot_txn *t;

	CHECK_EQ(memslot_begin(d->b.ms, &t, &d->b.err), 0);
	return t;
}

static void move(struct dirty *d)
{
	struct memslot_txn *t = begin(d);
	gpa_t to = d->base == BASE ? ELSE : BASE;

	memslot_move(t, 0, LOWER, to, MEMSLOT_MOVE_KEEP);
	if (d->split < PAGES)
		memslot_move(t, 0, UPPER, to + d->split * RAW_PAGE,
			MEMSLOT_MOVE_KEEP);
	commit(d, t);
	d->base = to;
}

static void split_or_merge(struct dirty *d)
{
	struct memslot_txn *t = begin(d);

	if (d->split < PAGES) {
		memslot_merge(t, 0, LOWER, UPPER);
		d->split = PAGES;
	} else {
		d->split = 1 + rng_below(&d->rng, PAGES - 1);
		memslot_split(t, 0, LOWER, d->split * RAW_PAGE, UPPER);
	}
	commit(d, t);
}

static void track_or_release(struct dirty *d)
{
	if (d->tracked) {
		/* it follows its memory */
		CHECK_EQ(pagetrack_remove(d->node, 0,
				 (d->base >> MEMSLOT_PAGE_SHIFT) + d->tracked -
					 1,
				 1, &d->b.err),
			0);
		d->tracked = 0;
		return;
	}
	d->tracked = 1 + rng_below(&d->rng, PAGES);
	CHECK_EQ(pagetrack_add(d->node, 0,
			 (d->base >> MEMSLOT_PAGE_SHIFT) + d->tracked - 1, 1,
			 &d->b.err),
		0);
}

/* A move that the kernel refuses half-way. */
static void fail_to_move(struct dirty *d)
{
	struct memslot_txn *t = begin(d);
	gpa_t to = d->base == BASE ? ELSE : BASE;
	long nth = 1 + (long)rng_below(&d->rng, 3);

	memslot_move(t, 0, LOWER, to, MEMSLOT_MOVE_KEEP);
	if (d->split < PAGES)
		memslot_move(t, 0, UPPER, to + d->split * RAW_PAGE,
			MEMSLOT_MOVE_KEEP);
	watch_fail(KVM_SET_USER_MEMORY_REGION, nth, false, ENOMEM);
	if (memslot_commit(t, NULL, &d->b.err) == 0)
		d->base = to; /* it took fewer calls */
	watch_fail(KVM_SET_USER_MEMORY_REGION, 0, false, 0);
}

static void change(struct dirty *d)
{
	switch (rng_below(&d->rng, CHANGES)) {
	case 0:
		move(d);
		break;
	case 1:
		split_or_merge(d);
		break;
	case 2:
		track_or_release(d);
		break;
	default:
		fail_to_move(d);
	}
}

/* ---- rounds -------------------------------------------------------------- */

static void start_writes(struct dirty *d, unsigned cpu)
{
	uint64_t *list = (uint64_t *)(d->b.low + LIST(cpu));
	uint64_t count = rng_below(&d->rng, 40);
	struct kbed_call call = {
		.function = d->write_at, .rdi = LIST(cpu), .rsi = count};

	for (uint64_t i = 0; i < count; i++) {
		uint64_t page = rng_below(&d->rng, PAGES);

		list[i] = d->base + page * RAW_PAGE;
		d->written[page] = true;
	}
	kbed_start(&d->b, cpu, &call);
}

static bool end_writes(struct dirty *d, unsigned cpu)
{
	struct kbed_call call;

	if (kbed_wait(&d->b, cpu, &call))
		return true;
	kbed_stop(&d->b);
	fprintf(stderr, "the guest is dead: %s\n", d->b.err.text);
	return CHECK(!"the guest lives");
}

/* Harvest one slot, whose first page is `first` of the log. */
static bool harvest(struct dirty *d, unsigned id, uint64_t first,
	uint64_t pages, bool give_back)
{
	struct memslot_harvest *h;
	bool good = true;

	if (!CHECK_EQ(memslot_harvest(d->b.ms, 0, id, &h, &d->b.err), 0))
		return false;
	CHECK_EQ(memslot_harvest_size_pages(h), pages);
	for (uint64_t i = 0; i < pages; i++) {
		bool got = memslot_harvest_test(h, i);

		d->total += got;
		if (got == d->written[first + i])
			continue;
		fprintf(stderr, "page %llu is %s\n",
			(unsigned long long)(first + i),
			got ? "dirty, but was not written"
			    : "written, but not dirty");
		good = CHECK(!"what is harvested is what was written");
	}
	if (give_back)
		memslot_harvest_give_back(h);
	else
		memslot_harvest_done(h);
	return good;
}

static bool harvest_all(struct dirty *d, bool give_back)
{
	return harvest(d, LOWER, 0, d->split, give_back) &&
	       (d->split == PAGES || harvest(d, UPPER, d->split,
					     PAGES - d->split, give_back));
}

/*
 * The vCPUs write where the pages were when they started, so moves wait for
 * them; all else happens while they write.
 */
static bool round_of(struct dirty *d)
{
	bool still = rng_below(&d->rng, 2) == 0;

	start_writes(d, 0);
	start_writes(d, 1);
	if (!still)
		(rng_below(&d->rng, 2) ? split_or_merge : track_or_release)(d);
	if (!end_writes(d, 0) || !end_writes(d, 1))
		return false;
	if (still)
		change(d);
	if (rng_below(&d->rng, 4) == 0) {
		d->given_back++;
		return harvest_all(d, true);
	}
	if (!harvest_all(d, false))
		return false;
	memset(d->written, 0, sizeof(d->written));
	return true;
}

/* ---- a migration --------------------------------------------------------- */

static void copy_dirty(
	struct dirty *d, uint8_t *copy, unsigned id, uint64_t first)
{
	struct memslot_harvest *h;

	if (!CHECK_EQ(memslot_harvest(d->b.ms, 0, id, &h, &d->b.err), 0))
		return;
	for (uint64_t i = 0; i < memslot_harvest_size_pages(h); i++)
		if (memslot_harvest_test(h, i))
			memcpy(copy + (first + i) * RAW_PAGE,
				d->data + (first + i) * RAW_PAGE, RAW_PAGE);
	memslot_harvest_done(h);
}

static void copy_all_dirty(struct dirty *d, uint8_t *copy)
{
	copy_dirty(d, copy, LOWER, 0);
	if (d->split < PAGES)
		copy_dirty(d, copy, UPPER, d->split);
}

static void migrate(struct dirty *d, unsigned passes)
{
	uint8_t *copy = raw_memory(PAGES * RAW_PAGE);

	if (d->base != BASE)
		move(d);
	memcpy(copy, d->data, PAGES * RAW_PAGE);
	for (unsigned i = 0; i < 2; i++) {
		struct kbed_call call = {
			.function = d->hammer_at,
			.rdi = hammer_word(i),
			.rsi = PAGES - 1,
			.rdx = HAMMER_STOP,
			.rcx = i,
		};

		kbed_start(&d->b, i, &call);
	}
	for (unsigned n = 0; n < passes; n++) {
		copy_all_dirty(d, copy);
		if (n % 4 == 0)
			(n % 8 ? split_or_merge : track_or_release)(d);
	}
	hammer_stop(d->b.low);
	if (!end_writes(d, 0) || !end_writes(d, 1))
		return;
	copy_all_dirty(d, copy);
	CHECK(memcmp(copy, d->data, PAGES * RAW_PAGE) == 0);
}

/* ---- the run ------------------------------------------------------------- */

static const struct pagetrack_ops node_ops = {.name = "dirty"};

static void need_ring(unsigned entries)
{
	struct kvm_facts facts;

	if (entries && kvm_check(&facts, NULL) == 0 &&
		facts.ring_entries < entries) {
		printf("SKIP: no dirty ring of %u entries\n", entries);
		exit(77);
	}
}

static void start(struct dirty *d, uint64_t seed, unsigned ring)
{
	struct memslot_config c = {
		.id = LOWER,
		.gpa = BASE,
		.size = PAGES * RAW_PAGE,
		.flags = MEMSLOT_LOG_DIRTY,
	};

	memset(d, 0, sizeof(*d));
	d->rng = seed;
	d->split = PAGES;
	d->base = BASE;
	kbed_open(&d->b, 2, 3);
	d->data = c.host = raw_memory(c.size);
	CHECK_EQ(memslots_create_slot(d->b.ms, &c, &d->b.err), 0);
	d->write_at = kbed_code(
		&d->b, write_list, (size_t)(write_list_end - write_list));
	d->hammer_at = d->write_at + 128;
	memcpy(d->b.low + d->hammer_at, hammer, (size_t)(hammer_end - hammer));
	d->b.dirty_ring = ring;
	need_ring(ring);
	kbed_run(&d->b);
	CHECK_EQ(pagetrack_register(d->b.track, &node_ops, d, PAGETRACK_FOLLOW,
			 &d->node, &d->b.err),
		0);
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 2000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;
	struct dirty d;
	unsigned long n = 0;

	seed = seed ? seed : raw_now_ns();
	printf("seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	start(&d, seed, argc > 3 ? (unsigned)atoi(argv[3]) : 0);
	while (n < rounds && round_of(&d))
		n++;
	if (n < rounds)
		fprintf(stderr, "seed %llu, round %lu\n",
			(unsigned long long)seed, n);
	else
		migrate(&d, 200);
	printf("%lu rounds, %llu pages harvested, %llu times given back\n", n,
		(unsigned long long)d.total, (unsigned long long)d.given_back);
	kbed_stop(&d.b);
	pagetrack_unregister(d.node);
	kbed_close(&d.b);
	return TEST_END("kvm-dirty");
}
