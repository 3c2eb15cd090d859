/* SPDX-License-Identifier: MIT */
/*
 * vgtt_threads.c - the shadow while everybody is busy at once
 *
 * Two CPUs store to the same table pages, to the same entries too, and to the
 * root; one of them also runs the engine. A host thread moves slots under
 * tables and data, some moves failing; another CPU moves the aperture's BAR,
 * looks at registers and reads through the window. Nobody keeps an order with
 * anybody. Then all stop, and the shadow must be the table; while they run,
 * the engine may fault, but a sum must be that of some page of memory: pages
 * hold one number each.
 *
 *	vgtt_threads [rounds]
 */
#include "tests/unit/vgtt_board.h"

#include <pthread.h>

#define ROOT   BOARD_RAM
#define TABLES 4u /* in RAM, A, B and the aperture */

static struct board b;
static atomic_bool stop;
static atomic_ulong stores, moves, bar_stores, sums, faults;
static unsigned long rounds = 4000;

static gfn_t table_gfn(unsigned t)
{
	static const gfn_t gfn[TABLES] = {BOARD_RAM + 1, BOARD_A + 8,
		BOARD_B + 8, (BOARD_APERTURE >> 12) + 2};

	return gfn[t];
}

/* Data: pages that never change, each full of its own number. */
static gfn_t some_data(uint64_t *state)
{
	static const gfn_t first[] = {BOARD_RAM + 16, BOARD_A, BOARD_B};

	return first[rng_below(state, 3)] + rng_below(state, 8);
}

/* As a CPU does it: one atomic store, then the report outside the section. */
static void put(struct memslot_reader *r, unsigned cpu, gpa_t gpa,
	const void *bytes, size_t len)
{
	const gfn_t gfn = gpa >> MEMSLOT_PAGE_SHIFT;
	const struct memslot *s = memslot_enter_at(r, 0, gfn);
	const struct pagetrack_write w = {
		.gpa = gpa,
		.bytes = bytes,
		.len = len,
		.source = {PAGETRACK_CPU, cpu},
	};
	struct pagetrack_hold hold;
	bool tracked = false;

	/* Where there is no memory just now, a store has no effect. */
	if (s) {
		if (len == 8)
			__atomic_store_n((uint64_t *)memslot_host(s, gpa),
				*(const uint64_t *)bytes, __ATOMIC_RELAXED);
		else
			__atomic_store_n((uint32_t *)memslot_host(s, gpa),
				*(const uint32_t *)bytes, __ATOMIC_RELAXED);
		memslot_mark_dirty(s, gfn);
		tracked = memslot_page_tracked(s, gfn);
	}
	if (tracked)
		pagetrack_hold(b.track, &hold, 0, gpa, len);
	memslot_leave(r);
	if (tracked)
		pagetrack_report(b.track, &hold, &w);
	atomic_fetch_add(&stores, 1);
}

static void store_something(
	struct memslot_reader *r, unsigned cpu, uint64_t *state)
{
	const unsigned t = (unsigned)rng_below(state, TABLES);
	const gpa_t at = (table_gfn(t) << 12) + rng_below(state, 8) * 8;
	const uint64_t entry =
		rng_below(state, 4) ? entry_of(some_data(state)) : 0;
	const uint64_t named = rng_below(state, 8) ? entry_of(table_gfn(t)) : 0;

	if (rng_below(state, 16) == 0)
		put(r, cpu, (ROOT << 12) + 8 * t, &named, 8);
	else if (rng_below(state, 2))
		put(r, cpu, at, &entry, 8);
	else
		put(r, cpu, at + 4, (const uint8_t *)&entry + 4, 4);
}

/* One page's number, 512 times. */
static bool sum_is_known(uint64_t sum)
{
	uint64_t word[512];

	for (unsigned page = 0; page < 32; page++) {
		for (unsigned w = 0; w < 512; w++)
			word[w] = page + 1;
		if (vgtt_sum(0, word, 512) == sum)
			return true;
	}
	return false;
}

static void run_engine(uint64_t *state)
{
	const unsigned t = (unsigned)rng_below(state, TABLES);
	const unsigned i = (unsigned)rng_below(state, 8);

	vgtt_bus_ops.write(b.vgtt, VGTT_REG_SOURCE, 8, at(t, i, 0));
	vgtt_bus_ops.write(b.vgtt, VGTT_REG_LENGTH, 8, 4096);
	vgtt_bus_ops.write(b.vgtt, VGTT_REG_COMMAND, 4, VGTT_SUM);
	if (vgtt_bus_ops.read(b.vgtt, VGTT_REG_STATUS, 4) == 0) {
		CHECK(sum_is_known(
			vgtt_bus_ops.read(b.vgtt, VGTT_REG_VALUE, 8)));
		atomic_fetch_add(&sums, 1);
	} else {
		atomic_fetch_add(&faults, 1);
	}
}

static void *cpu(void *arg)
{
	const unsigned number = (unsigned)(uintptr_t)arg;
	uint64_t state = number + 1;
	struct memslot_reader r;

	memslot_reader_init(&r, b.bed.ms, NULL, NULL);
	for (unsigned long i = 0; i < rounds; i++) {
		for (unsigned n = 0; n < 8; n++)
			store_something(&r, number, &state);
		if (number == 0)
			run_engine(&state);
	}
	memslot_reader_fini(&r);
	return NULL;
}

static void *host(void *arg)
{
	uint64_t state = 77;

	(void)arg;
	for (unsigned n = 0; !atomic_load(&stop); n++) {
		const unsigned id = n & 1 ? SLOT_A : SLOT_B;
		const gfn_t home = n & 1 ? BOARD_A : BOARD_B;
		const gfn_t away = rng_below(&state, 2) ? 16 : 32;

		if (n % 4 == 3)
			fault_arm(&b.faults, FAULT_ANY,
				1 + rng_below(&state, 20), false);
		memslots_move_slot(b.bed.ms, 0, id,
			(home + (n & 2 ? away : 0)) << 12, MEMSLOT_MOVE_KEEP,
			NULL);
		fault_arm(&b.faults, FAULT_ANY, 0, false);
		atomic_fetch_add(&moves, 1);
	}
	return NULL;
}

static void *driver(void *arg)
{
	uint64_t state = 99, v;

	(void)arg;
	while (!atomic_load(&stop)) {
		config_put(&b, PCI_REG_BAR0 + 8, 4,
			BOARD_APERTURE +
				(uint32_t)rng_below(&state, 2) * 0x40000);
		pci_config_load(&b.bus, 1, PCI_REG_BAR0 + 8, 4);
		bus_read(&b.machine, BOARD_LOW + VGTT_REG_TABLES, 8, &v);
		atomic_fetch_add(&bar_stores, 1);
	}
	config_put(&b, PCI_REG_BAR0 + 8, 4, BOARD_APERTURE);
	return NULL;
}

static void fill_page(uint8_t *page, uint64_t number)
{
	for (unsigned w = 0; w < 512; w++)
		((uint64_t *)page)[w] = number;
}

int main(int argc, char **argv)
{
	void *(*const body[])(void *) = {cpu, cpu, host, driver};
	pthread_t thread[4];

	if (argc > 1)
		rounds = strtoul(argv[1], NULL, 0);
	board_open(&b);
	for (unsigned i = 0; i < 8; i++) {
		fill_page(b.bed.host + (16 + i) * 4096, i + 1);
		fill_page(b.bed.host + (HOST_A + i) * 4096, i + 9);
		fill_page(b.bed.host + (HOST_B + i) * 4096, i + 17);
	}
	CHECK_EQ(set_root(&b, ROOT), 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, body[i],
				 (void *)(uintptr_t)i),
			0);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	atomic_store(&stop, true);
	pthread_join(thread[2], NULL);
	pthread_join(thread[3], NULL);
	CHECK_EQ(vgtt_verify(b.vgtt), 0);
	board_close(&b);
	printf("%lu stores, %lu moves of slots, %lu stores to the BAR, %lu "
	       "sums, %lu faults\n",
		atomic_load(&stores), atomic_load(&moves),
		atomic_load(&bar_stores), atomic_load(&sums),
		atomic_load(&faults));
	return TEST_END("vgtt_threads");
}
