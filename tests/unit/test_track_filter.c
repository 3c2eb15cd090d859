/* SPDX-License-Identifier: MIT */
/*
 * test_track_filter.c - hearing less, hearing more, hearing later
 *
 * Byte ranges and counters, old bytes, who tracks a page and where else its
 * memory shows, and queues that drop or block.
 */
#include "tests/unit/slots.h"

#include "pagetrack/pagetrack.h"

#include <pthread.h>

#define PAGE MEMSLOT_PAGE_SIZE

static struct bed b;
static struct pagetrack *pt;
static struct memslot_error err;

struct ear {
	struct pagetrack_node *node;
	unsigned heard;
	gpa_t gpa;
	size_t len;
	uint8_t bytes[16], old[16];
	bool has_old;
	uint64_t sum; /* of 8-byte values, to see that none is missing */
};

static void hear(void *ctx, const struct pagetrack_write *w)
{
	struct ear *e = ctx;
	uint64_t v = 0;

	e->heard++;
	e->gpa = w->gpa;
	e->len = w->len;
	e->has_old = w->old != NULL;
	if (w->len <= sizeof(e->bytes)) {
		memcpy(e->bytes, w->bytes, w->len);
		if (w->old)
			memcpy(e->old, w->old, w->len);
	}
	if (w->len == sizeof(v)) {
		memcpy(&v, w->bytes, sizeof(v));
		e->sum += v;
	}
}

static const struct pagetrack_ops ops = {.name = "ear", .write = hear};
static const struct pagetrack_ops other_ops = {.name = "other", .write = hear};

static void begin(struct ear *e, enum pagetrack_policy policy)
{
	memset(e, 0, sizeof(*e));
	bed_open(&b, 2);
	CHECK_EQ(pagetrack_create(b.ms, &pt, &err), 0);
	CHECK_EQ(bed_create(&b, 0, 1, 0x100, 16, 0, 0), 0);
	CHECK_EQ(pagetrack_register(pt, &ops, e, policy, &e->node, &err), 0);
}

static void end(struct ear *e)
{
	pagetrack_unregister(e->node);
	pagetrack_destroy(pt);
	bed_close(&b);
}

static int poke(gpa_t gpa, const void *bytes, size_t len)
{
	const struct pagetrack_source dma = {PAGETRACK_DEVICE, 3};

	return pagetrack_guest_write(pt, &b.r, 0, gpa, bytes, len, dma);
}

static void test_filter(void)
{
	struct pagetrack_counts counts;
	struct ear e;
	const gpa_t at = 0x102 * PAGE;

	begin(&e, PAGETRACK_FOLLOW);
	CHECK_EQ(pagetrack_filter(e.node, 0, at, 8, &err), -ENOENT);
	CHECK_TEXT(err.text, "not tracked");
	CHECK_EQ(pagetrack_add(e.node, 0, 0x102, 1, &err), 0);
	CHECK_EQ(pagetrack_filter(e.node, 0, at, 0, &err), -EINVAL);
	CHECK_EQ(pagetrack_filter(e.node, 0, at + 4090, 7, &err), -EINVAL);
	CHECK_EQ(pagetrack_filter(e.node, 0, at + 16, 8, &err), 0);
	CHECK_EQ(pagetrack_filter(e.node, 0, at + 4088, 8, &err), 0);
	poke(at + 8, "12345678", 8); /* ends where the range begins */
	poke(at + 24, "1", 1);       /* begins where it ends */
	CHECK_EQ(e.heard, 0);
	poke(at + 15, "12", 2);
	poke(at + 23, "1", 1);
	poke(at, "0123456789012345678901234567890123456789", 40);
	poke(at + 4095, "x", 1);
	CHECK_EQ(e.heard, 4);
	pagetrack_node_counts(e.node, &counts);
	CHECK_EQ(counts.events, 4);
	CHECK_EQ(counts.filtered, 2);
	CHECK_EQ(pagetrack_spurious(pt), 2);

	/* The ranges go where the page goes. */
	CHECK_EQ(memslots_move_slot(
			 b.ms, 0, 1, 0x4000 * PAGE, MEMSLOT_MOVE_KEEP, &err),
		0);
	poke(0x4002 * PAGE + 8, "12345678", 8);
	CHECK_EQ(e.heard, 4);
	poke(0x4002 * PAGE + 16, "12345678", 8);
	CHECK_EQ(e.heard, 5);
	pagetrack_unfilter(e.node, 0, 0x4002);
	pagetrack_unfilter(e.node, 0, 0x4003); /* not tracked: no effect */
	poke(0x4002 * PAGE + 8, "12345678", 8);
	CHECK_EQ(e.heard, 6);
	/* They end with the page. */
	CHECK_EQ(pagetrack_filter(e.node, 0, 0x4002 * PAGE, 1, &err), 0);
	CHECK_EQ(pagetrack_remove(e.node, 0, 0x4002, 1, &err), 0);
	CHECK_EQ(pagetrack_add(e.node, 0, 0x4002, 1, &err), 0);
	poke(0x4002 * PAGE + 100, "1", 1);
	CHECK_EQ(e.heard, 7);
	CHECK_EQ(pagetrack_filter(e.node, 0, 0x4002 * PAGE, 1, &err), 0);
	end(&e);
}

static void test_old_bytes(void)
{
	struct ear e;

	begin(&e, PAGETRACK_STAY);
	CHECK_EQ(pagetrack_add(e.node, 0, 0x100, 2, &err), 0);
	poke(0x100 * PAGE, "first", 5);
	CHECK(!e.has_old);
	CHECK(!pagetrack_wants_old(pt));
	pagetrack_want_old(e.node, true);
	pagetrack_want_old(e.node, true);
	CHECK(pagetrack_wants_old(pt));
	poke(0x100 * PAGE, "other", 5);
	CHECK(e.has_old && memcmp(e.old, "first", 5) == 0);
	CHECK(memcmp(e.bytes, "other", 5) == 0);
	pagetrack_want_old(e.node, false);
	CHECK(!pagetrack_wants_old(pt));
	poke(0x100 * PAGE, "third", 5);
	CHECK(!e.has_old);
	pagetrack_want_old(e.node, true); /* unregistering takes it back */
	end(&e);
}

static void test_who(void)
{
	const char *names[2] = {NULL, NULL};
	struct pagetrack_alias list[2];
	struct ear e, o;

	begin(&e, PAGETRACK_STAY);
	memset(&o, 0, sizeof(o));
	CHECK_EQ(pagetrack_register(
			 pt, &other_ops, &o, PAGETRACK_STAY, &o.node, &err),
		0);
	CHECK_EQ(pagetrack_add(e.node, 0, 0x103, 2, &err), 0);
	CHECK_EQ(pagetrack_add(o.node, 0, 0x104, 2, &err), 0);
	CHECK_EQ(pagetrack_who(pt, 0, 0x102, names, 2), 0);
	CHECK_EQ(pagetrack_who(pt, 0, 0x104, names, 1), 2);
	CHECK(strcmp(names[0], "ear") == 0 && !names[1]);
	CHECK_EQ(pagetrack_who(pt, 0, 0x105, names, 2), 1);
	CHECK(strcmp(names[0], "other") == 0);
	CHECK_EQ(pagetrack_who(pt, 1, 0x104, names, 2), 0);

	/* The same memory twice more: 4 pages here, 1 in the other space. */
	CHECK_EQ(bed_create(&b, 0, 2, 0x200, 4, 2, 0), 0);
	CHECK_EQ(bed_create(&b, 1, 2, 0x7, 1, 4, 0), 0);
	CHECK_EQ(pagetrack_aliases(pt, 0, 0x100, list, 2), 0);
	CHECK_EQ(pagetrack_aliases(pt, 0, 0x999, list, 2), 0);
	CHECK_EQ(pagetrack_aliases(pt, 0, 0x102, list, 2), 1);
	CHECK_EQ(list[0].space, 0);
	CHECK_EQ(list[0].gfn, 0x200);
	CHECK(!list[0].tracked);
	CHECK_EQ(pagetrack_aliases(pt, 0, 0x104, list, 1), 2);
	CHECK_EQ(pagetrack_aliases(pt, 1, 0x7, list, 2), 2);
	CHECK(list[0].gfn == 0x104 && list[0].tracked);
	CHECK(list[1].gfn == 0x202 && !list[1].tracked);
	pagetrack_unregister(o.node);
	end(&e);
}

static void test_queue_drops(void)
{
	struct pagetrack_counts counts;
	struct ear e;

	begin(&e, PAGETRACK_STAY);
	CHECK_EQ(pagetrack_pump(e.node), 0); /* without a queue */
	CHECK_EQ(pagetrack_queue(e.node, 4096, PAGETRACK_DROP, &err), -EINVAL);
	CHECK_EQ(pagetrack_queue(e.node, 40000, PAGETRACK_DROP, &err), 0);
	CHECK_EQ(pagetrack_queue(e.node, 40000, PAGETRACK_DROP, &err), -EBUSY);
	CHECK_EQ(pagetrack_add(e.node, 0, 0x100, 1, &err), 0);
	/* Many times round the ring, with records of all sizes. */
	for (unsigned round = 0; round < 50; round++) {
		static const uint8_t bytes[4096];
		unsigned n = 1 + round % 7;

		for (unsigned i = 0; i < n; i++)
			poke(0x100 * PAGE, bytes, 1 + (round * 997) % 4096);
		CHECK_EQ(e.heard, 0);
		CHECK_EQ(pagetrack_pump(e.node), n);
		CHECK_EQ(e.heard, n);
		CHECK_EQ(e.len, 1 + (round * 997) % 4096);
		e.heard = 0;
	}
	for (unsigned i = 0; i < 1000; i++)
		poke(0x100 * PAGE, "12345678", 8);
	pagetrack_pump(e.node);
	pagetrack_node_counts(e.node, &counts);
	CHECK(counts.dropped > 0 && counts.dropped < 1000);
	CHECK_EQ(e.heard + counts.dropped, 1000);
	end(&e);
}

#define WRITES 20000u

static void *writer(void *arg)
{
	(void)arg;
	for (uint64_t i = 1; i <= WRITES; i++)
		poke(0x100 * PAGE, &i, sizeof(i));
	return NULL;
}

static void test_queue_blocks(void)
{
	_Atomic(uint32_t) stop = 0;
	struct ear e;
	pthread_t thread;

	begin(&e, PAGETRACK_STAY);
	CHECK_EQ(pagetrack_queue(e.node, 32768, PAGETRACK_BLOCK, &err), 0);
	CHECK_EQ(pagetrack_add(e.node, 0, 0x100, 1, &err), 0);
	pthread_create(&thread, NULL, writer, NULL);
	while (e.heard < WRITES) {
		pagetrack_pump_wait(e.node, &stop);
		pagetrack_pump(e.node);
	}
	pthread_join(thread, NULL);
	CHECK_EQ(e.sum, (uint64_t)WRITES * (WRITES + 1) / 2);
	atomic_store(&stop, 1);
	pagetrack_pump_wake(e.node);
	pagetrack_pump_wait(e.node, &stop); /* comes back at once */
	end(&e);
}

/* Unregistering lets a writer go that waits for room. */
static void test_queue_closes(void)
{
	struct pagetrack_counts counts;
	struct ear e;
	pthread_t thread;

	begin(&e, PAGETRACK_STAY);
	CHECK_EQ(pagetrack_queue(e.node, 32768, PAGETRACK_BLOCK, &err), 0);
	CHECK_EQ(pagetrack_add(e.node, 0, 0x100, 1, &err), 0);
	pthread_create(&thread, NULL, writer, NULL);
	bed_until_waits(&b, 1);
	pagetrack_node_counts(e.node, &counts);
	CHECK_EQ(counts.dropped, 0);
	pagetrack_unregister(e.node);
	pthread_join(thread, NULL);
	e.node = NULL;
	end(&e);
}

int main(void)
{
	test_filter();
	test_old_bytes();
	test_who();
	test_queue_drops();
	test_queue_blocks();
	test_queue_closes();
	return TEST_END("track_filter");
}
