/* SPDX-License-Identifier: MIT */
/*
 * test_memory.c - what a slot and a page cost, as docs/freestanding.md says
 *
 * The platform counts bytes. A slot costs the same whatever its size, but for
 * 4 bytes a 2 MiB frame; what costs something for each page is not there until
 * it is asked for: a dirty log, what is populated, track counts.
 */
#include "tests/unit/slots.h"

#include "pagetrack/pagetrack.h"

#define GIB   ((uint64_t)1 << 18) /* in pages */
#define KIB   1024u
#define SLOTS 32000u

/* Each allocation carries its size in front. */
#define HEAD 64u

static struct memslot_platform pf;
static size_t live, peak;
static struct memslots *ms;

static void *counting_alloc(void *ctx, size_t size)
{
	uint8_t *p = memslot_hosted.alloc(NULL, size + HEAD);

	(void)ctx;
	if (!p)
		return NULL;
	memcpy(p, &size, sizeof(size));
	live += size;
	peak = live > peak ? live : peak;
	return p + HEAD;
}

static void counting_free(void *ctx, void *at)
{
	size_t size;

	(void)ctx;
	memcpy(&size, (uint8_t *)at - HEAD, sizeof(size));
	live -= size;
	memslot_hosted.free(NULL, (uint8_t *)at - HEAD);
}

static void open_map(void)
{
	pf = memslot_hosted;
	pf.alloc = counting_alloc;
	pf.free = counting_free;
	live = peak = 0;
	CHECK_EQ(memslots_create(&pf, 1, &ms, NULL), 0);
}

static void close_map(void)
{
	memslots_destroy(ms);
	CHECK_EQ(live, 0);
}

/* Host memory is never touched here: any address will do. */
static size_t cost_of_slot(
	unsigned id, gfn_t gfn, uint64_t pages, uint32_t flags)
{
	struct memslot_config c = {.id = id,
		.gpa = gfn << MEMSLOT_PAGE_SHIFT,
		.size = pages << MEMSLOT_PAGE_SHIFT,
		.host = (void *)(uintptr_t)(gfn << MEMSLOT_PAGE_SHIFT),
		.flags = flags};
	size_t before = live;

	CHECK_EQ(memslots_create_slot(ms, &c, NULL), 0);
	return live - before;
}

static void pages_cost_on_demand(void)
{
	static const struct pagetrack_ops ops = {.name = "memory"};
	struct pagetrack_node *node;
	struct pagetrack *pt;
	size_t small, large, logged, before;

	open_map();
	cost_of_slot(0, GIB, 1, 0); /* the first begins the indexes */
	small = cost_of_slot(1, 2 * GIB, 1, 0);
	large = cost_of_slot(2, 4 * GIB, GIB, 0);
	logged = cost_of_slot(3, 6 * GIB, GIB, MEMSLOT_LOG_DIRTY);
	/* slabs round up, and under sanitizers there are none */
	CHECK(large - small + 64 >= (GIB / 512 - 1) * 4 &&
		large - small <= (GIB / 512 - 1) * 4 + 64);
	CHECK(logged - large >= GIB / 8 && logged - large <= GIB / 8 + 64);

	CHECK_EQ(pagetrack_create(ms, &pt, NULL), 0);
	CHECK_EQ(
		pagetrack_register(pt, &ops, NULL, PAGETRACK_STAY, &node, NULL),
		0);
	before = live;
	CHECK_EQ(pagetrack_add(node, 0, 6 * GIB + 77, 1, NULL), 0);
	CHECK(live - before >= GIB * 2 && live - before < GIB * 2 + KIB);
	before = live;
	CHECK_EQ(pagetrack_add(node, 0, 6 * GIB + 78, 1, NULL), 0);
	CHECK(live - before <= 40 + 16 * 8);
	before = live;
	CHECK_EQ(memslots_populate(ms, 0, 4 * GIB, 1, NULL), 0);
	CHECK(live - before >= GIB / 8 && live - before <= GIB / 8 + 64);
	printf("a slot of one page %zu bytes, of 1 GiB %zu, dirty-logged %zu, "
	       "with a tracked page %zu more\n",
		small, large, logged, (size_t)GIB * 2);
	pagetrack_unregister(node);
	pagetrack_destroy(pt);
	close_map();
}

static void slots_cost_little(void)
{
	size_t all, extra;

	open_map();
	for (unsigned i = 0; i < SLOTS; i++)
		cost_of_slot(i, 2 * i + 2, 1, 0);
	all = live / SLOTS;
	CHECK(all >= 380 && all <= 450);
	peak = live;
	CHECK_EQ(memslots_move_slot(ms, 0, 777, (gpa_t)(2 * SLOTS + 20) << 12,
			 MEMSLOT_MOVE_KEEP, NULL),
		0);
	extra = peak - live;
	CHECK(extra <= 9 * KIB);
	printf("%zu bytes a slot of %u; moving one takes %zu for a while\n",
		all, SLOTS, extra);
	close_map();
}

int main(void)
{
	pages_cost_on_demand();
	slots_cost_little();
	return TEST_END("test_memory");
}
