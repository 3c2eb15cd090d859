/* SPDX-License-Identifier: MIT */
/*
 * bench_vgtt.c - what a write to a shadowed table costs, and a BAR that moves
 */
#include "devices/vgtt.h"
#include "tests/bench/bench_util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITES   16384u
#define MOVES    512u
#define PAGES    64u
#define ROOT     1u /* pages: the root, a table, one that nobody tracks */
#define TABLE    2u
#define PLAIN    3u
#define DATA     8u
#define WINDOW   0x40000000u
#define APERTURE ((uint64_t)16 << 20)

struct bench {
	struct memslots *ms;
	struct memslot_reader r;
	struct pagetrack *pt;
	struct pci_bus bus;
	struct vgtt *vgtt;
	void *host;
};

static const struct pagetrack_source cpu = {PAGETRACK_CPU, 0};

static uint64_t entry(uint64_t page)
{
	return page << MEMSLOT_PAGE_SHIFT | VGTT_ENTRY_WRITE | VGTT_ENTRY_VALID;
}

/* Each store changes its entry: to the next of two pages. */
static double write_ns(struct bench *b, gfn_t gfn, unsigned len)
{
	static uint64_t round;
	uint64_t start = bench_cpu_ns();

	round++;
	for (uint64_t i = 0; i < WRITES; i++) {
		const uint64_t e = entry(DATA + (i / 512 + round) % 2);

		bench_must(pagetrack_guest_write(b->pt, &b->r, 0,
				   (gfn << MEMSLOT_PAGE_SHIFT) + i % 512 * 8,
				   &e, len, cpu),
			"a write");
	}
	return (double)(bench_cpu_ns() - start) / WRITES;
}

static double move_ns(struct bench *b)
{
	uint64_t start = bench_cpu_ns();

	for (unsigned i = 0; i < MOVES; i++)
		pci_config_store(&b->bus, 1, PCI_REG_BAR0 + 8, 4,
			WINDOW + (uint32_t)APERTURE * (1 + i % 8));
	return (double)(bench_cpu_ns() - start) / MOVES;
}

static void measure(struct bench *b)
{
	double plain[BENCH_ROUNDS], shadowed[BENCH_ROUNDS], part[BENCH_ROUNDS];
	double more[BENCH_ROUNDS], move[BENCH_ROUNDS], ns;

	for (unsigned i = 0; i < BENCH_ROUNDS; i++) {
		plain[i] = write_ns(b, PLAIN, 8);
		shadowed[i] = write_ns(b, TABLE, 8);
		part[i] = write_ns(b, TABLE, 2);
		move[i] = move_ns(b);
		more[i] = shadowed[i] - plain[i];
	}
	bench_must(vgtt_verify(b->vgtt) ? -EIO : 0, "the shadow");
	ns = bench_median(more, BENCH_ROUNDS);
	printf("\n%-20s %10s %10s %10s %14s\n", "vgtt, ns", "untracked",
		"shadowed", "more", "2 of 8 bytes");
	printf("%-20s %10.1f %10.1f %10.1f %14.1f\n", "a table write",
		bench_median(plain, BENCH_ROUNDS),
		bench_median(shadowed, BENCH_ROUNDS), ns,
		bench_median(part, BENCH_ROUNDS));
	printf("%-20s %10.1f\n", "a BAR moved, 16 MiB",
		bench_median(move, BENCH_ROUNDS));
	bench_figure("shadowed write", "untracked", 1,
		bench_median(plain, BENCH_ROUNDS));
	bench_figure("shadowed write", "shadowed", 1,
		bench_median(shadowed, BENCH_ROUNDS));
	bench_figure("BAR move", "16 MiB", 1, bench_median(move, BENCH_ROUNDS));
	bench_at_most(ns, 120, "shadowed write - untracked write: ns");
}

static void open_devices(struct bench *b)
{
	struct pci_bus_config pci = {
		.slots = b->ms, .window = {{WINDOW, 16 * APERTURE}}};
	struct vgtt_config c = {.slots = b->ms,
		.track = b->pt,
		.bus = &b->bus,
		.slot = 9,
		.aperture = APERTURE};
	const uint64_t table = entry(TABLE);

	bench_must(pci_bus_init(&b->bus, &pci, NULL), "a bus");
	bench_must(vgtt_create(&c, &b->vgtt, NULL), "a vgtt");
	pci_config_store(&b->bus, 1, PCI_REG_BAR0, 4, WINDOW);
	pci_config_store(
		&b->bus, 1, PCI_REG_BAR0 + 8, 4, WINDOW + (uint32_t)APERTURE);
	pci_config_store(&b->bus, 1, PCI_REG_COMMAND, 2,
		PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	bench_must(pagetrack_guest_write(b->pt, &b->r, 0,
			   ROOT << MEMSLOT_PAGE_SHIFT, &table, 8, cpu),
		"a root");
	vgtt_bus_ops.write(
		b->vgtt, VGTT_REG_ROOT, 8, ROOT << MEMSLOT_PAGE_SHIFT);
	vgtt_bus_ops.write(b->vgtt, VGTT_REG_COMMAND, 4, VGTT_SET_ROOT);
	bench_must(-(int)vgtt_bus_ops.read(b->vgtt, VGTT_REG_STATUS, 4),
		"SET_ROOT");
}

void bench_vgtt(void)
{
	const size_t size = PAGES * MEMSLOT_PAGE_SIZE;
	struct memslot_config c = {.size = size};
	struct bench b = {.host = aligned_alloc(MEMSLOT_PAGE_SIZE, size)};

	bench_must(b.host ? 0 : -ENOMEM, "guest memory");
	c.host = memset(b.host, 0, size);
	bench_must(memslots_create(&bench_platform, 1, &b.ms, NULL), "a map");
	bench_must(memslots_create_slot(b.ms, &c, NULL), "a slot");
	bench_must(pagetrack_create(b.ms, &b.pt, NULL), "a tracker");
	memslot_reader_init(&b.r, b.ms, NULL, NULL);
	open_devices(&b);
	measure(&b);
	vgtt_destroy(b.vgtt);
	pci_bus_fini(&b.bus);
	memslot_reader_fini(&b.r);
	pagetrack_destroy(b.pt);
	memslots_destroy(b.ms);
	free(b.host);
}
