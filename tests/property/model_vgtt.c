/* SPDX-License-Identifier: MIT */
/*
 * model_vgtt.c - the shadow is the table: whatever is written, moves or fails
 *
 * Random stores of any length and alignment to pages that may be tables, to
 * the root too; entries that name anything, tables and the root included;
 * slots that move (also onto a part of themselves), go, come and change flags;
 * a BAR that the guest moves; steps of transactions and of tracking that are
 * made to fail. After each step
 *
 *   - the device finds no difference between its shadow and the table;
 *   - the engine's result for a random device address is what a walk of the
 *     table in memory gives, through the memory map as it is now: the same
 *     bytes, or a fault at the same address.
 *
 * The model of the device is that walk: it remembers nothing.
 *
 *	model_vgtt [seed [steps]]
 */
#include "tests/unit/vgtt_board.h"

static struct board b;
static uint64_t state;
static unsigned long moved, failed, injected, engine_ok, engine_faults, stores;

static unsigned below(uint64_t n)
{
	return (unsigned)rng_below(&state, n);
}

/* ---- the walk ------------------------------------------------------------------- */

/* Host memory of a guest page, NULL: none. */
static uint8_t *host_page(gfn_t gfn, bool to_write)
{
	struct seen s = bed_look(&b.bed, 0, gfn);

	if (!s.there || (to_write && s.flags & MEMSLOT_READONLY))
		return NULL;
	return s.host + (gfn - s.gfn) * MEMSLOT_PAGE_SIZE;
}

static gfn_t root; /* 0: none was set */

static gfn_t named(uint64_t entry)
{
	return (entry & VGTT_ENTRY_ADDRESS) >> MEMSLOT_PAGE_SHIFT;
}

static uint8_t *walk(uint64_t address, bool to_write)
{
	const uint64_t page = address >> MEMSLOT_PAGE_SHIFT;
	const uint64_t *table = (uint64_t *)(root ? host_page(root, false) : 0);
	uint64_t entry;

	if (!table)
		return NULL;
	entry = table[page / VGTT_ENTRIES];
	table = entry & VGTT_ENTRY_VALID
			? (uint64_t *)host_page(named(entry), false)
			: NULL;
	if (!table)
		return NULL;
	entry = table[page % VGTT_ENTRIES];
	if (!(entry & VGTT_ENTRY_VALID) ||
		(to_write && !(entry & VGTT_ENTRY_WRITE)))
		return NULL;
	return host_page(named(entry), to_write);
}

/* ---- steps ---------------------------------------------------------------------- */

static void maybe_fail(void)
{
	if (below(3) == 0)
		fault_arm(&b.faults, FAULT_ANY, below(24) + 1, below(8) == 0);
}

static bool done_failing(void)
{
	bool fired = atomic_load(&b.faults.fired) != 0;

	fault_arm(&b.faults, FAULT_ANY, 0, false);
	injected += fired;
	return fired;
}

/* A page that may be a table, or what a table names. */
static gfn_t some_gfn(void)
{
	switch (below(8)) {
	case 0:
		return BOARD_A - 4 + below(40);
	case 1:
		return BOARD_B - 4 + below(40);
	case 2:
		return (BOARD_LOW >> 12) + below(256);
	case 3:
		return rng_next(&state) >> below(64);
	default:
		return BOARD_RAM + below(12);
	}
}

static uint64_t some_entry(void)
{
	return (some_gfn() << 12 & VGTT_ENTRY_ADDRESS) | below(4096) |
	       (below(4) ? VGTT_ENTRY_VALID | VGTT_ENTRY_WRITE : 0);
}

/* Few entries of few tables, so that they meet. */
static void do_store(void)
{
	uint64_t bytes[9];
	gfn_t gfn = below(4) ? some_gfn() : root ? root : BOARD_RAM;
	unsigned into = below(5) * 8, len = 8;

	for (unsigned i = 0; i < 9; i++)
		bytes[i] = some_entry();
	if (below(2)) {
		into += below(8);
		len = 1 + below(64);
	}
	if (below(16) == 0)
		into = 4096 - below(40);
	maybe_fail();
	guest_store(&b, (gfn << 12) + into, bytes, len);
	done_failing();
	stores++;
}

static void do_root(void)
{
	gfn_t gfn = below(4) ? BOARD_RAM + below(4) : some_gfn();

	maybe_fail();
	if (set_root(&b, gfn) == 0)
		root = gfn;
	done_failing();
}

static void do_slot(void)
{
	const unsigned id = below(2) ? SLOT_A : SLOT_B;
	const gfn_t home = id == SLOT_A ? BOARD_A : BOARD_B;
	struct memslot_error *err = &b.bed.err;
	const gfn_t gfn = home + below(3) * 8 - below(2) * below(3);
	int r;

	maybe_fail();
	if (!bed_look_id(&b.bed, 0, id).there)
		r = bed_create(&b.bed, 0, id, gfn, 16,
			id == SLOT_A ? HOST_A : HOST_B, 0);
	else if (below(6) == 0)
		r = memslots_delete_slot(b.bed.ms, 0, id, err);
	else if (below(6) == 0)
		r = memslots_set_slot_flags(b.bed.ms, 0, id, below(4), err);
	else
		r = memslots_move_slot(
			b.bed.ms, 0, id, gfn << 12, MEMSLOT_MOVE_KEEP, err);
	if (done_failing())
		failed += r != 0;
	else
		CHECK_EQ(r, 0);
	moved += r == 0;
}

static void do_bar(void)
{
	maybe_fail();
	if (below(4))
		config_put(&b, PCI_REG_BAR0 + 8, 4,
			BOARD_LOW + below(18) * 0x10000);
	else
		config_put(&b, PCI_REG_COMMAND, 2,
			PCI_COMMAND_MASTER |
				(below(2) ? PCI_COMMAND_MEMORY : 0));
	done_failing();
	config_put(&b, PCI_REG_COMMAND, 2,
		PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
}

/* ---- the law -------------------------------------------------------------------- */

static uint64_t some_address(void)
{
	return at(below(5), below(5), below(512) * 8);
}

static void check_sum(void)
{
	const uint64_t address = some_address();
	const unsigned into = address & MEMSLOT_PAGE_MASK;
	const unsigned len = 4096 - into, status = sum(&b, address, len);
	const uint8_t *page = walk(address, false);

	CHECK_EQ(status, page ? 0 : EFAULT);
	if (page) {
		CHECK_EQ(reg(&b, VGTT_REG_VALUE),
			vgtt_sum(0, (uint64_t *)(page + into), len / 8));
		engine_ok++;
	} else {
		CHECK_EQ(reg(&b, VGTT_REG_FAULT), address);
		engine_faults++;
	}
}

/* A word, which may be an entry of a table. */
static void check_fill(void)
{
	const uint64_t address = some_address(), value = some_entry();
	uint8_t *page = walk(address, true);
	const unsigned status = fill(&b, address, 8, value);

	CHECK_EQ(status, page ? 0 : EFAULT);
	if (page)
		CHECK_EQ(*(uint64_t *)(page + (address & MEMSLOT_PAGE_MASK)),
			value);
}

static void step(void)
{
	switch (below(16)) {
	case 0:
		do_root();
		break;
	case 1:
	case 2:
		do_slot();
		break;
	case 3:
		do_bar();
		break;
	case 4:
		check_fill();
		break;
	default:
		do_store();
		break;
	}
	check_sum();
	CHECK_EQ(vgtt_verify(b.vgtt), 0);
}

/* A number for each page, which its words begin with. */
static void fill_memory(uint8_t *memory, unsigned first, unsigned count)
{
	for (unsigned page = 0; page < count; page++)
		for (unsigned w = 16; w < 512; w++)
			((uint64_t *)memory)[page * 512 + w] =
				(uint64_t)(first + page) << 32 | w << 1;
}

int main(int argc, char **argv)
{
	unsigned long steps = argc > 2 ? strtoul(argv[2], NULL, 0) : 60000, i;

	state = argc > 1 ? strtoull(argv[1], NULL, 0) : 20221109;
	board_open(&b);
	fill_memory(b.bed.host, 0, HOST_B + 16);
	fill_memory(vgtt_aperture(b.vgtt), 1000, BOARD_PAGES);
	for (i = 0; i < steps && !atomic_load(&test_failures); i++)
		step();
	if (atomic_load(&test_failures))
		fprintf(stderr, "model_vgtt: at step %lu\n", i - 1);
	board_close(&b);
	printf("%lu steps: %lu stores, %lu changes of the map, %lu failed, "
	       "%lu failures injected; engine: %lu right, %lu faults\n",
		i, stores, moved, failed, injected, engine_ok, engine_faults);
	CHECK(moved > steps / 40 && injected > steps / 40 &&
		engine_ok > steps / 40);
	return TEST_END("model_vgtt");
}
