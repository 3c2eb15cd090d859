/* SPDX-License-Identifier: MIT */
/*
 * embed.c - guest memory under transactional control, in your own program
 *
 * A memory map with one slot, a tracker that protects one of its pages, and
 * two moves: one that is made to fail, one that succeeds. After both, a write
 * to the page is still heard.
 *
 *	cc embed.c $(pkg-config --cflags --libs vmm) -o embed
 */
#include <vmm/vmm.h>

#include <stdio.h>
#include <stdlib.h>

#define MIB ((uint64_t)1 << 20)

static void heard(void *ctx, const struct pagetrack_write *w)
{
	unsigned *count = ctx;

	++*count;
	printf("  heard: %zu bytes at %#llx\n", w->len,
		(unsigned long long)w->gpa);
}

static const struct pagetrack_ops ops = {
	.name = "example",
	.write = heard,
};

struct example {
	struct memslots *slots;
	struct pagetrack *track;
	struct pagetrack_node *node;
	struct memslot_reader reader;
	struct fault_plan faults;
	unsigned count; /* writes heard */
};

/* A device of yours writes guest memory. */
static int dma(struct example *e, gpa_t gpa)
{
	const struct pagetrack_source source = {PAGETRACK_DEVICE, 0};

	return pagetrack_guest_write(
		e->track, &e->reader, 0, gpa, "hello", 5, source);
}

static int move_twice(struct example *e, struct memslot_error *err)
{
	int r;

	puts("a move that fails in prepare:");
	fault_arm(&e->faults, FAULT_PREPARE_LARGE, 1, false);
	r = memslots_move_slot(
		e->slots, 0, 1, 32 * MIB, MEMSLOT_MOVE_KEEP, err);
	printf("  %s\n", r ? err->text : "it did not fail?");
	r = dma(e, 16 * MIB);
	if (r)
		return r;

	puts("a move that succeeds:");
	r = memslots_move_slot(
		e->slots, 0, 1, 32 * MIB, MEMSLOT_MOVE_KEEP, err);
	return r ? r : dma(e, 32 * MIB);
}

static int run(struct example *e, void *memory, struct memslot_error *err)
{
	const struct memslot_config slot = {
		.id = 1,
		.gpa = 16 * MIB,
		.size = MIB,
		.host = memory,
	};
	int r = memslots_create_slot(e->slots, &slot, err);

	if (!r)
		r = pagetrack_register(e->track, &ops, &e->count,
			PAGETRACK_FOLLOW, &e->node, err);
	if (!r)
		r = pagetrack_add(
			e->node, 0, (16 * MIB) >> MEMSLOT_PAGE_SHIFT, 1, err);
	return r ? r : move_twice(e, err);
}

int main(void)
{
	struct memslot_error err = {0};
	struct example e = {0};
	void *memory = aligned_alloc(MEMSLOT_PAGE_SIZE, MIB);

	if (!memory || memslots_create(&memslot_hosted, 1, &e.slots, &err)) {
		fprintf(stderr, "embed: no memory\n");
		return 1;
	}
	memslots_set_faults(e.slots, &e.faults);
	memslot_reader_init(&e.reader, e.slots, NULL, NULL);
	if (pagetrack_create(e.slots, &e.track, &err) == 0)
		run(&e, memory, &err);

	pagetrack_unregister(e.node);
	pagetrack_destroy(e.track);
	memslot_reader_fini(&e.reader);
	memslots_destroy(e.slots);
	free(memory);
	printf("%u of 2 writes heard\n", e.count);
	return e.count == 2 ? 0 : 1;
}
