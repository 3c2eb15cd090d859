/* SPDX-License-Identifier: MIT */
/*
 * fuzz_soft.c - any bytes as guest code, while its memory moves
 *
 * The input's first bytes say how many harts there are, which pages of RAM
 * are tracked and what the mover does; the rest is code. It runs for a few
 * milliseconds, while another thread moves a window slot and takes harvests
 * of RAM and gives them back. Nothing may crash or hang, and at the end
 *   - each page of RAM that differs from what was loaded is in the dirty log
 *   - with one hart: the reported writes, applied in order to what was
 *     loaded, give what is in memory, on every tracked page
 */
#include "tests/fuzz/fuzz.h"

#include <pthread.h>
#include <time.h>

#include "vmm/soft/soft.h"

#define RAM          0x80000000ull
#define RAM_PAGES    16u
#define WINDOW       0x40000000ull
#define WINDOW_PAGES 2u
#define BYTES        (RAM_PAGES * 4096u)
#define MOVES        12

static _Alignas(4096) uint8_t ram[BYTES], first[BYTES], replayed[BYTES];
static _Alignas(4096) uint8_t window[WINDOW_PAGES * 4096u];

static struct memslots *ms;
static struct soft *cpu;
static uint16_t tracked; /* pages of RAM */
static uint8_t habits;   /* of the mover */

static void hear(void *ctx, const struct pagetrack_write *w)
{
	(void)ctx;
	MUST(w->gpa >= RAM && w->gpa - RAM + w->len <= BYTES);
	memcpy(replayed + (w->gpa - RAM), w->bytes, w->len);
}

static const struct pagetrack_ops ops = {.name = "fuzz", .write = hear};

static void console(void *ctx, const void *bytes, size_t len)
{
	volatile uint8_t sum = 0;

	(void)ctx;
	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)bytes)[i]);
}

static void *mover(void *ctx)
{
	const struct timespec pause = {0, 150000};
	struct memslot_harvest *h;

	(void)ctx;
	for (unsigned i = 0; i < MOVES; i++) {
		nanosleep(&pause, NULL);
		memslots_move_slot(ms, 0, 1, WINDOW + (i % 5) * 0x10000,
			MEMSLOT_MOVE_KEEP, NULL);
		if (habits & 1 && memslot_harvest(ms, 0, 0, &h, NULL) == 0)
			memslot_harvest_give_back(h);
		if (habits & 2)
			memslots_set_slot_flags(ms, 0, 1, i & 3, NULL);
		if (habits & 4)
			memslots_populate(ms, 0, RAM >> 12, RAM_PAGES, NULL);
	}
	soft_request_stop(cpu, ACCEL_STOP_ASKED);
	return NULL;
}

static void add_slot(unsigned id, gpa_t gpa, void *at, size_t size)
{
	struct memslot_config c = {0, id, gpa, size, at, MEMSLOT_LOG_DIRTY};

	MUST(memslots_create_slot(ms, &c, NULL) == 0);
}

static void run(unsigned harts, struct pagetrack *pt)
{
	static const struct bus bus;
	struct soft_config config = {.slots = ms,
		.track = pt,
		.bus = &bus,
		.harts = harts,
		.entry = RAM,
		.a1 = WINDOW,
		.timebase_hz = 10000000,
		.console_out = console};
	struct memslot_error err;
	enum accel_stop why;
	pthread_t thread;

	MUST(soft_create(&config, &cpu, &err) == 0);
	MUST(pthread_create(&thread, NULL, mover, NULL) == 0);
	MUST(soft_run(cpu, &why, &err) == 0);
	MUST(pthread_join(thread, NULL) == 0);
	MUST(!memslots_broken(ms));
	soft_destroy(cpu);
}

static void compare(unsigned harts)
{
	struct memslot_harvest *h;

	MUST(memslot_harvest(ms, 0, 0, &h, NULL) == 0);
	for (unsigned p = 0; p < RAM_PAGES; p++) {
		size_t at = p * 4096u;

		if (memcmp(ram + at, first + at, 4096))
			MUST(memslot_harvest_test(h, p));
		if (harts == 1 && tracked >> p & 1)
			MUST(!memcmp(ram + at, replayed + at, 4096));
	}
	memslot_harvest_done(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct supply s = {bytes, len};
	unsigned harts = 1 + (take8(&s) & 1);
	struct pagetrack_node *node;
	struct pagetrack *pt;

	habits = take8(&s);
	tracked = (uint16_t)take(&s, 2);
	memset(ram, 0, sizeof(ram));
	memset(window, 0, sizeof(window));
	memcpy(ram, s.at, s.left < BYTES ? s.left : BYTES);
	memcpy(first, ram, sizeof(ram));
	memcpy(replayed, ram, sizeof(ram));
	MUST(memslots_create(&memslot_hosted, 1, &ms, NULL) == 0);
	MUST(pagetrack_create(ms, &pt, NULL) == 0);
	MUST(pagetrack_register(pt, &ops, NULL, PAGETRACK_STAY, &node, NULL) ==
		0);
	add_slot(0, RAM, ram, sizeof(ram));
	add_slot(1, WINDOW, window, sizeof(window));
	for (unsigned p = 0; p < RAM_PAGES; p++)
		if (tracked >> p & 1)
			MUST(pagetrack_add(node, 0, (RAM >> 12) + p, 1, NULL) ==
				0);
	run(harts, pt);
	compare(harts);
	pagetrack_unregister(node);
	pagetrack_destroy(pt);
	memslots_destroy(ms);
	return 0;
}
