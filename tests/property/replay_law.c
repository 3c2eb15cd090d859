/* SPDX-License-Identifier: MIT */
/*
 * replay_law.c - the writes that were heard, applied to the old image of
 * memory, give the new one, byte for byte
 *
 * usage: replay_law [seed [steps]]
 *
 * Two nodes, one that stays and one that follows, track all memory, the
 * guest's page tables included. Each applies what it hears to an image of its
 * own, and to nothing else. Writers are all there are: stores and atomics of
 * two harts under Sv39, aligned and not, also across two pages; the harts'
 * page table walkers, which set accessed and dirty bits; a device, the loader
 * and the host. Between writes the window moves, some moves fail, flags
 * change, the dirty log is harvested. After every step the images are equal
 * to memory. What a write says it replaced must be what the image has there.
 */
#include "tests/unit/slots.h"
#include "vmm/rvasm.h"
#include "vmm/soft/hart.h"

#define PAGE         4096u
#define RAM_GFN      0x80000ull
#define RAM_PAGES    48u
#define TABLES       3u /* the first pages of RAM */
#define WINDOW_GFN   0x10000ull
#define WINDOW_PAGES 8u
#define PAGES        (RAM_PAGES + WINDOW_PAGES)
#define VA_RAM       0x40000000ull /* RAM in small pages */
#define KINDS        5u            /* of sources */

enum { STAYS, FOLLOWS, NODES };

static struct bed b;
static struct pagetrack *pt;
static struct pagetrack_node *node[NODES];
static struct memslot_reader ear;
static uint8_t image[NODES][PAGES * PAGE];
static struct soft *cpu;
static struct fault_plan plan;
static gfn_t window = WINDOW_GFN;
static uint64_t rng;
static unsigned long heard[KINDS], moves, failed, across;

static unsigned below(unsigned n)
{
	return (unsigned)rng_below(&rng, n);
}

/* ---- the images -------------------------------------------------------- */

static void on_write(void *ctx, const struct pagetrack_write *w)
{
	uint8_t *mine = ctx;
	const struct memslot *s;

	memslot_enter(&ear);
	s = memslot_lookup(&ear, w->space, w->gpa >> MEMSLOT_PAGE_SHIFT);
	if (CHECK(s != NULL)) {
		mine += memslot_host(s, w->gpa) - b.host;
		CHECK(w->old && !memcmp(mine, w->old, w->len));
		memcpy(mine, w->bytes, w->len);
	}
	memslot_leave(&ear);
	heard[w->source.kind]++;
}

static const struct pagetrack_ops ops = {.name = "image", .write = on_write};

/* What a move uncovers is tracked again, and known only from then on. */
static void cover(unsigned n, gfn_t gfn, unsigned pages, size_t at)
{
	for (unsigned i = 0; i < pages; i++, at += PAGE) {
		if (pagetrack_tracks(node[n], 0, gfn + i))
			continue;
		CHECK_EQ(pagetrack_add(node[n], 0, gfn + i, 1, NULL), 0);
		memcpy(image[n] + at, b.host + at, PAGE);
	}
}

static void cover_all(void)
{
	for (unsigned n = 0; n < NODES; n++) {
		cover(n, RAM_GFN, RAM_PAGES, 0);
		cover(n, window, WINDOW_PAGES, RAM_PAGES * PAGE);
	}
}

/* ---- the guest ------------------------------------------------------------ */

#define PTE_KEEP (PTE_V | PTE_R | PTE_W | PTE_X)

static uint64_t pte_to(gfn_t gfn, uint64_t bits)
{
	return gfn << PTE_PPN_SHIFT | bits;
}

/*
 * Root: identity in one gigapage for the window, then RAM in small pages.
 * All leaves without A and D: the walkers have to set them.
 */
static void tables_write(void)
{
	uint64_t *root = (uint64_t *)b.host, *middle = root + 512,
		 *leaf = root + 1024;

	root[0] = pte_to(0, PTE_KEEP);
	root[1] = pte_to(RAM_GFN + 1, PTE_V);
	middle[0] = pte_to(RAM_GFN + 2, PTE_V);
	for (unsigned i = 0; i < RAM_PAGES; i++)
		leaf[i] = pte_to(RAM_GFN + i, PTE_KEEP);
}

static uint64_t pick_va(unsigned size)
{
	bool in_window = below(3) == 0;
	unsigned first = in_window ? 0 : TABLES;
	unsigned pages = in_window ? WINDOW_PAGES : RAM_PAGES;
	uint64_t base = in_window ? window << MEMSLOT_PAGE_SHIFT : VA_RAM;
	uint64_t at = (first + below(pages - first)) * PAGE;

	switch (below(4)) {
	case 0: /* over the end of the page, if there is a next one */
		at += at + PAGE < pages * PAGE ? PAGE - below(size)
					       : PAGE - size;
		across++;
		break;
	case 1:
		at += below(PAGE - size);
		break;
	default:
		at += below(PAGE / size) * size;
	}
	return base + at;
}

static void guest_store(struct hart *h)
{
	unsigned size = 1u << below(4);

	hart_enter(h);
	CHECK(mem_store(h, pick_va(size), size, rng_next(&rng)) != MEM_FAULT);
	hart_leave(h);
}

static void guest_atomic(struct hart *h)
{
	uint32_t insn =
		below(2) ? rv_amoadd_d(10, 12, 11) : rv_amoswap_w(10, 12, 11);

	h->x[11] = pick_va(8) & ~7ull;
	h->x[12] = rng_next(&rng);
	hart_enter(h);
	CHECK(amo_exec(h, insn) != MEM_FAULT);
	hart_leave(h);
}

/* ---- others ------------------------------------------------------------------ */

static void outside_write(enum pagetrack_source_kind kind)
{
	static uint8_t bytes[3 * PAGE];
	const struct pagetrack_source source = {kind, below(4)};
	bool in_window = below(3) == 0;
	unsigned first = in_window ? 0 : TABLES * PAGE;
	unsigned size = (in_window ? WINDOW_PAGES : RAM_PAGES) * PAGE;
	unsigned at = first + below(size - first);
	size_t len = 1 + below(below(2) ? 64 : sizeof(bytes));

	len = len < size - at ? len : size - at;
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)rng_next(&rng);
	CHECK_EQ(
		pagetrack_guest_write(pt, &b.r, 0,
			((in_window ? window : RAM_GFN) << MEMSLOT_PAGE_SHIFT) +
				at,
			bytes, len, source),
		0);
}

/* The kernel of the guest takes A and D from a leaf, and says so. */
static void forget_used(struct hart *h)
{
	unsigned i = below(RAM_PAGES + 1);
	gpa_t at = (RAM_GFN << MEMSLOT_PAGE_SHIFT) +
		   (i < RAM_PAGES ? 2 * PAGE + i * 8 : 0);
	uint64_t pte = pte_to(i < RAM_PAGES ? RAM_GFN + i : 0, PTE_KEEP);
	const struct pagetrack_source source = {PAGETRACK_HOST, 0};

	CHECK_EQ(pagetrack_guest_write(
			 pt, &b.r, 0, at, &pte, sizeof(pte), source),
		0);
	hart_enter(h);
	tlb_drop_all(h);
	hart_leave(h);
}

static void move_window(void)
{
	gfn_t to = WINDOW_GFN + below(3 * WINDOW_PAGES);
	int r;

	if (below(3) == 0)
		fault_arm(&plan, FAULT_ANY, 1 + below(20), false);
	r = memslots_move_slot(b.ms, 0, 1, to << MEMSLOT_PAGE_SHIFT,
		MEMSLOT_MOVE_KEEP, &b.err);
	CHECK(!r || plan.fired);
	fault_arm(&plan, FAULT_ANY, 0, false);
	window = r ? window : to;
	moves++;
	failed += r != 0;
}

static void change_flags(void)
{
	CHECK_EQ(memslots_set_slot_flags(b.ms, 0, below(2),
			 below(2) * MEMSLOT_LOG_DIRTY, &b.err),
		0);
}

static void harvest(void)
{
	struct memslot_harvest *h;

	if (memslot_harvest(b.ms, 0, below(2), &h, NULL))
		return;
	if (below(2))
		memslot_harvest_give_back(h);
	else
		memslot_harvest_done(h);
}

static void one_step(void)
{
	struct hart *h = &cpu->hart[below(2)];

	switch (below(16)) {
	case 0:
		move_window();
		/* What was heard must do until here. */
		for (unsigned n = 0; n < NODES; n++)
			CHECK(!memcmp(image[n], b.host, sizeof(image[n])));
		cover_all();
		break;
	case 1:
		change_flags();
		break;
	case 2:
		harvest();
		break;
	case 3:
	case 4:
		forget_used(h);
		break;
	case 5:
		outside_write(PAGETRACK_DEVICE);
		break;
	case 6:
		outside_write(PAGETRACK_LOADER);
		break;
	case 7:
		outside_write(PAGETRACK_HOST);
		break;
	case 8:
	case 9:
		guest_atomic(h);
		break;
	default:
		guest_store(h);
	}
}

/* ---- set up ---------------------------------------------------------------------- */

static void open_all(void)
{
	static const struct bus no_devices;
	static const enum pagetrack_policy policy[NODES] = {
		PAGETRACK_STAY, PAGETRACK_FOLLOW};
	struct soft_config c = {
		.bus = &no_devices, .harts = 2, .timebase_hz = 1000000};

	bed_open(&b, 1);
	memslot_reader_init(&ear, b.ms, NULL, NULL);
	memslots_set_faults(b.ms, &plan);
	fault_arm(&plan, FAULT_ANY, 0, false);
	CHECK_EQ(pagetrack_create(b.ms, &pt, NULL), 0);
	CHECK_EQ(bed_create(&b, 0, 0, RAM_GFN, RAM_PAGES, 0, 0), 0);
	CHECK_EQ(bed_create(&b, 0, 1, window, WINDOW_PAGES, RAM_PAGES,
			 MEMSLOT_LOG_DIRTY),
		0);
	c.slots = b.ms;
	c.track = pt;
	CHECK_EQ(soft_create(&c, &cpu, &b.err), 0);
	for (unsigned i = 0; i < PAGES * PAGE; i++)
		b.host[i] = (uint8_t)rng_next(&rng);
	tables_write();
	for (unsigned i = 0; i < 2; i++) {
		cpu->hart[i].satp =
			(uint64_t)SATP_SV39 << SATP_MODE_SHIFT | RAM_GFN;
		tlb_context(&cpu->hart[i]);
	}
	for (unsigned n = 0; n < NODES; n++) {
		CHECK_EQ(pagetrack_register(
				 pt, &ops, image[n], policy[n], &node[n], NULL),
			0);
		pagetrack_want_old(node[n], true);
	}
	cover_all();
}

static void close_all(void)
{
	for (unsigned n = 0; n < NODES; n++)
		pagetrack_unregister(node[n]);
	soft_destroy(cpu);
	pagetrack_destroy(pt);
	memslot_reader_fini(&ear);
	bed_close(&b);
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 20221108;
	unsigned long steps = argc > 2 ? strtoul(argv[2], NULL, 0) : 10000, n;

	rng = seed * 2 + 1;
	open_all();
	for (n = 0; n < steps && !atomic_load(&test_failures); n++) {
		one_step();
		for (unsigned i = 0; i < NODES; i++)
			CHECK(!memcmp(image[i], b.host, sizeof(image[i])));
	}
	close_all();
	printf("seed %llu, %lu steps: %lu moves (%lu failed), %lu writes of "
	       "CPUs, %lu of their walkers, %lu of devices, %lu of the loader, "
	       "%lu of the host, %lu over the end of a page\n",
		(unsigned long long)seed, n, moves, failed,
		heard[PAGETRACK_CPU], heard[PAGETRACK_WALKER],
		heard[PAGETRACK_DEVICE], heard[PAGETRACK_LOADER],
		heard[PAGETRACK_HOST], across);
	for (unsigned k = 0; k < KINDS; k++)
		CHECK(heard[k] > 100 || steps < 1000);
	return TEST_END("replay-law");
}
