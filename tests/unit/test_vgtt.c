/* SPDX-License-Identifier: MIT */
/* test_vgtt.c - registers, the engine, and what transactions do to a shadow */
#include "tests/unit/vgtt_board.h"

#define ROOT  (BOARD_RAM + 0u)
#define TABLE (BOARD_RAM + 1u)
#define DATA  (BOARD_RAM + 8u)

static uint64_t *word(struct board *b, uint64_t host_page)
{
	return (uint64_t *)(b->bed.host + host_page * MEMSLOT_PAGE_SIZE);
}

/* Root entry 0 -> TABLE, whose entries 0 .. 7 are the pages from DATA. */
static void simple_table(struct board *b)
{
	set_entry(b, ROOT, 0, entry_of(TABLE));
	for (unsigned i = 0; i < 8; i++) {
		set_entry(b, TABLE, i, entry_of(DATA + i));
		for (unsigned w = 0; w < 512; w++)
			word(b, 8 + i)[w] = i << 16 | w;
	}
	CHECK_EQ(set_root(b, ROOT), 0);
}

static bool sums_to(struct board *b, uint64_t from, uint64_t host_page)
{
	return sum(b, from, 4096) == 0 &&
	       reg(b, VGTT_REG_VALUE) == vgtt_sum(0, word(b, host_page), 512);
}

static bool faults_at(struct board *b, uint64_t address)
{
	return sum(b, address, 8) == EFAULT &&
	       reg(b, VGTT_REG_FAULT) == address;
}

/* ---- registers and commands -------------------------------------------------- */

static void test_registers(void)
{
	struct board b;
	uint64_t v;

	board_open(&b);
	CHECK_EQ(reg(&b, VGTT_REG_MAGIC), 0x154544756);
	CHECK_EQ(reg(&b, VGTT_REG_APERTURE), 0x10000);
	for (unsigned r = VGTT_REG_ROOT; r <= VGTT_REG_VALUE; r += 8) {
		set_reg(&b, r, 0x1122334455667788 + r);
		CHECK_EQ(reg(&b, r), 0x1122334455667788 + r);
		CHECK_EQ(bus_write(&b.machine, BOARD_LOW + r + 4, 4, 7), 0);
		CHECK_EQ(reg(&b, r), (0x755667788 + r));
		CHECK_EQ(bus_read(&b.machine, BOARD_LOW + r + 4, 4, &v), 0);
		CHECK_EQ(v, 7);
	}
	/* Odd accesses, counters and the rest of the page take nothing. */
	for (unsigned r = VGTT_REG_FAULT; r < 0x1000; r += 8)
		set_reg(&b, r, UINT64_MAX);
	CHECK_EQ(bus_write(&b.machine, BOARD_LOW + VGTT_REG_ROOT, 2, 9), 0);
	CHECK_EQ(bus_write(&b.machine, BOARD_LOW + VGTT_REG_ROOT + 4, 8, 9), 0);
	CHECK_EQ(bus_read(&b.machine, BOARD_LOW + VGTT_REG_ROOT, 1, &v), 0);
	CHECK_EQ(v, 0);
	CHECK_EQ(reg(&b, VGTT_REG_ROOT), 0x755667788 + VGTT_REG_ROOT);
	for (unsigned r = VGTT_REG_FAULT; r < 0x1000; r += 8)
		CHECK_EQ(reg(&b, r) && r != VGTT_REG_COMMITTED &&
				 r != VGTT_REG_FLUSHES,
			0);
	CHECK_EQ(command(&b, 0), ENOSYS);
	CHECK_EQ(command(&b, 99), ENOSYS);
	/* Not a bus master: it touches no memory. */
	config_put(&b, PCI_REG_COMMAND, 2, PCI_COMMAND_MEMORY);
	CHECK_EQ(set_root(&b, ROOT), EPERM);
	board_close(&b);
}

static void test_engine(void)
{
	struct board b;

	board_open(&b);
	CHECK(faults_at(&b, 0)); /* no root */
	CHECK_EQ(command(&b, VGTT_VERIFY), 0);
	simple_table(&b);
	CHECK_EQ(reg(&b, VGTT_REG_TABLES), 2);
	CHECK(sums_to(&b, at(0, 3, 0), 11));
	CHECK_EQ(fill(&b, at(0, 1, 4088), 16, 0xabcdef), 0);
	CHECK_EQ(word(&b, 9)[510], 1 << 16 | 510);
	CHECK_EQ(word(&b, 9)[511], 0xabcdef);
	CHECK_EQ(word(&b, 10)[0], 0xabcdef);
	CHECK_EQ(word(&b, 10)[1], 2 << 16 | 1);
	CHECK_EQ(copy(&b, at(0, 4, 8), at(0, 6, 16), 4096), 0);
	CHECK_EQ(word(&b, 14)[1], 6 << 16 | 1);
	CHECK_EQ(word(&b, 14)[2], 4 << 16 | 1);
	CHECK_EQ(word(&b, 15)[1], 5 << 16);
	CHECK_EQ(word(&b, 15)[2], 7 << 16 | 2);
	/* Limits, and what is not mapped. */
	CHECK_EQ(sum(&b, 4, 8), EINVAL);
	CHECK_EQ(sum(&b, 0, 12), EINVAL);
	CHECK_EQ(sum(&b, 0, VGTT_LEN_MAX + 8), E2BIG);
	CHECK_EQ(sum(&b, (VGTT_PAGES << 12) - 8, 16), ERANGE);
	CHECK_EQ(sum(&b, UINT64_MAX - 7, 8), ERANGE);
	CHECK_EQ(copy(&b, 0, 1ull << 40, 8), ERANGE);
	CHECK_EQ(fill(&b, 8, UINT64_MAX - 7, 1), E2BIG);
	CHECK_EQ(sum(&b, 0, 0), 0);
	CHECK(faults_at(&b, at(0, 8, 0)));
	CHECK(faults_at(&b, at(1, 0, 0)));
	CHECK_EQ(sum(&b, at(0, 7, 4088), 16), EFAULT);
	CHECK_EQ(reg(&b, VGTT_REG_FAULT), at(0, 8, 0));
	/* Readable is not writable. */
	set_entry(&b, TABLE, 9, DATA << 12 | VGTT_ENTRY_VALID);
	CHECK(sums_to(&b, at(0, 9, 0), 8));
	CHECK_EQ(fill(&b, at(0, 9, 0), 8, 1), EFAULT);
	CHECK_EQ(vgtt_verify(b.vgtt), 0);
	CHECK_EQ(command(&b, VGTT_CLEAR_ROOT), 0);
	CHECK_EQ(reg(&b, VGTT_REG_TABLES), 0);
	CHECK(faults_at(&b, 0));
	board_close(&b);
}

static void test_roots(void)
{
	struct board b;

	board_open(&b);
	set_reg(&b, VGTT_REG_ROOT, 0x100001);
	CHECK_EQ(command(&b, VGTT_SET_ROOT), EINVAL);
	set_reg(&b, VGTT_REG_ROOT, MEMSLOT_GPA_LIMIT);
	CHECK_EQ(command(&b, VGTT_SET_ROOT), EINVAL);
	set_reg(&b, VGTT_REG_ROOT, UINT64_MAX << 12);
	CHECK_EQ(command(&b, VGTT_SET_ROOT), EINVAL);
	CHECK_EQ(set_root(&b, BOARD_RAM + 64), ENOENT);
	/* Every root entry names the root itself, or nothing that is there. */
	for (unsigned i = 0; i < 512; i++)
		set_entry(&b, ROOT, i, entry_of(i & 1 ? ROOT : 0xfffffu + i));
	CHECK_EQ(set_root(&b, ROOT), 0);
	CHECK_EQ(reg(&b, VGTT_REG_TABLES), 1);
	CHECK(sums_to(&b, at(1, 1, 0), 0));
	CHECK(faults_at(&b, at(2, 0, 0)));
	CHECK_EQ(vgtt_verify(b.vgtt), 0);
	/* By its own hand it maps something else, in the midst of a fill. */
	CHECK_EQ(fill(&b, at(1, 1, 0), 64, entry_of(TABLE)), 0);
	CHECK_EQ(reg(&b, VGTT_REG_TABLES), 2);
	CHECK_EQ(vgtt_verify(b.vgtt), 0);
	CHECK_EQ(word(&b, 0)[7], entry_of(TABLE));
	board_close(&b);
}

/* ---- writes to tables ---------------------------------------------------------- */

/* Exactly the entries that a write touches are updated. */
static void test_partial_writes(void)
{
	static const unsigned sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 64};
	uint8_t bytes[64];
	struct board b;

	board_open(&b);
	simple_table(&b);
	for (unsigned s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
		for (unsigned into = 0; into < 16; into++) {
			const unsigned len = sizes[s];
			const unsigned entries = (into % 8 + len + 7) / 8;
			uint64_t updates = reg(&b, VGTT_REG_UPDATES);
			uint64_t writes = reg(&b, VGTT_REG_WRITES);

			memset(bytes, (int)(s * 16 + into + 1), len);
			CHECK_EQ(guest_store(&b, (TABLE << 12) + 1024 + into,
					 bytes, len),
				0);
			CHECK_EQ(reg(&b, VGTT_REG_WRITES), writes + 1);
			CHECK_EQ(reg(&b, VGTT_REG_UPDATES), updates + entries);
			CHECK_EQ(vgtt_verify(b.vgtt), 0);
		}
	}
	/* The whole table at once, and across two tables. */
	memset(word(&b, 40), 0, 4096);
	CHECK_EQ(guest_store(&b, TABLE << 12, word(&b, 40), 4096), 0);
	CHECK_EQ(guest_store(&b, (TABLE << 12) - 4, bytes, 8), 0);
	CHECK_EQ(vgtt_verify(b.vgtt), 0);
	CHECK(faults_at(&b, at(0, 3, 0)));
	board_close(&b);
}

/* Root entries protect what they name, and let go of it. */
static void test_root_writes(void)
{
	struct board b;

	board_open(&b);
	simple_table(&b);
	CHECK(bed_look(&b.bed, 0, TABLE).there);
	set_entry(&b, ROOT, 7, entry_of(TABLE));
	CHECK_EQ(reg(&b, VGTT_REG_TABLES), 2); /* shared */
	CHECK(sums_to(&b, at(7, 2, 0), 10));
	set_entry(&b, ROOT, 0, 0);
	CHECK(faults_at(&b, at(0, 2, 0)));
	CHECK(sums_to(&b, at(7, 2, 0), 10));
	set_entry(&b, TABLE, 2, entry_of(DATA));
	CHECK(sums_to(&b, at(7, 2, 0), 8));
	set_entry(&b, ROOT, 7, entry_of(BOARD_A));
	CHECK_EQ(reg(&b, VGTT_REG_TABLES), 2);
	CHECK(faults_at(&b, at(7, 2, 0)));
	set_entry(&b, BOARD_A, 2, entry_of(DATA + 1));
	CHECK(sums_to(&b, at(7, 2, 0), 9));
	set_entry(&b, ROOT, 7, 0);
	CHECK_EQ(reg(&b, VGTT_REG_TABLES), 1);
	CHECK_EQ(vgtt_verify(b.vgtt), 0);
	board_close(&b);
}

/* A page that cannot be protected now faults, and is tried again. */
static void test_no_memory(void)
{
	static const unsigned points[] = {
		FAULT_VGTT_TABLE, FAULT_PAGETRACK_PAGE, FAULT_TRACK_RESERVE};
	struct board b;

	for (unsigned i = 0; i < 3; i++) {
		board_open(&b);
		simple_table(&b);
		set_entry(&b, BOARD_A, 0, entry_of(DATA + 5));
		fault_arm(&b.faults, points[i], 1, true);
		set_entry(&b, ROOT, 1, entry_of(BOARD_A));
		CHECK(faults_at(&b, at(1, 0, 0)));
		CHECK_EQ(vgtt_verify(b.vgtt), 0);
		CHECK_EQ(set_root(&b, BOARD_B),
			points[i] == FAULT_VGTT_TABLE ? 0 : ENOMEM);
		fault_arm(&b.faults, points[i], 0, false);
		CHECK_EQ(set_root(&b, ROOT), 0);
		CHECK(sums_to(&b, at(1, 0, 0), 13));
		board_close(&b);
	}
}

/* ---- transactions --------------------------------------------------------------- */

static int move(struct board *b, unsigned id, gfn_t gfn)
{
	return memslots_move_slot(
		b->bed.ms, 0, id, gfn << 12, MEMSLOT_MOVE_KEEP, &b->bed.err);
}

/* A table in slot A, data in slot B; entry 0 is B's page 1. */
static void moving_table(struct board *b)
{
	simple_table(b);
	set_entry(b, ROOT, 1, entry_of(BOARD_A + 2));
	set_entry(b, BOARD_A + 2, 0, entry_of(BOARD_B + 1));
	set_entry(b, BOARD_A + 2, 1, entry_of(DATA));
	word(b, HOST_B + 1)[0] = 0xb001;
	CHECK(sums_to(b, at(1, 0, 0), HOST_B + 1));
}

static void test_committed(void)
{
	struct board b;

	board_open(&b);
	moving_table(&b);
	/* Data goes: the entry says a place, and nothing is there now. */
	CHECK_EQ(move(&b, SLOT_B, BOARD_B + 64), 0);
	CHECK(faults_at(&b, at(1, 0, 0)));
	CHECK_EQ(vgtt_verify(b.vgtt), 0);
	/* Other memory comes there. */
	CHECK_EQ(move(&b, SLOT_B, BOARD_B - 2), 0);
	CHECK(sums_to(&b, at(1, 0, 0), HOST_B + 3));
	/* The table goes, and with it what it translates. */
	CHECK_EQ(reg(&b, VGTT_REG_TABLES), 3);
	CHECK_EQ(move(&b, SLOT_A, BOARD_A + 64), 0);
	CHECK_EQ(reg(&b, VGTT_REG_TABLES), 2);
	CHECK(faults_at(&b, at(1, 1, 0)));
	CHECK_EQ(vgtt_verify(b.vgtt), 0);
	set_entry(&b, BOARD_A + 66, 1, entry_of(DATA + 4));
	/* It comes back one page off: another page is the table now. */
	set_entry(&b, BOARD_A + 65, 1, entry_of(DATA + 6));
	CHECK_EQ(move(&b, SLOT_A, BOARD_A + 1), 0);
	CHECK(sums_to(&b, at(1, 1, 0), 14));
	CHECK_EQ(reg(&b, VGTT_REG_TABLES), 3);
	set_entry(&b, BOARD_A + 2, 1, entry_of(DATA + 7));
	CHECK(sums_to(&b, at(1, 1, 0), 15));
	CHECK_EQ(move(&b, SLOT_A, BOARD_A), 0);
	CHECK(sums_to(&b, at(1, 1, 0), 12));
	set_entry(&b, BOARD_A + 2, 1, entry_of(DATA + 7));
	CHECK(sums_to(&b, at(1, 1, 0), 15));
	CHECK_EQ(vgtt_verify(b.vgtt), 0);
	board_close(&b);
}

static void test_removed(void)
{
	struct board b;

	board_open(&b);
	moving_table(&b);
	CHECK_EQ(memslots_delete_slot(b.bed.ms, 0, SLOT_B, &b.bed.err), 0);
	CHECK(faults_at(&b, at(1, 0, 0)));
	CHECK_EQ(memslots_delete_slot(b.bed.ms, 0, SLOT_A, &b.bed.err), 0);
	CHECK(faults_at(&b, at(1, 1, 0)));
	CHECK_EQ(vgtt_verify(b.vgtt), 0);
	CHECK_EQ(bed_create(&b.bed, 0, SLOT_A, BOARD_A, 16, HOST_A, 0), 0);
	CHECK(sums_to(&b, at(1, 1, 0), 8));
	/* The root too. */
	CHECK_EQ(memslots_delete_slot(b.bed.ms, 0, 0, &b.bed.err), 0);
	CHECK(faults_at(&b, at(1, 1, 0)));
	CHECK(faults_at(&b, at(0, 1, 0)));
	CHECK_EQ(vgtt_verify(b.vgtt), 0);
	CHECK_EQ(bed_create(&b.bed, 0, 0, BOARD_RAM, 64, 0, 0), 0);
	CHECK(sums_to(&b, at(0, 1, 0), 9));
	board_close(&b);
}

/* Other memory behind the same pages: host addresses are not kept. */
static void test_replaced(void)
{
	struct memslot_txn *t;
	struct board b;

	board_open(&b);
	moving_table(&b);
	t = bed_begin(&b.bed);
	memslot_replace_host(
		t, 0, SLOT_B, b.bed.host + 128 * 4096, MEMSLOT_HOST_AS_IS);
	CHECK_EQ(memslot_commit(t, NULL, &b.bed.err), 0);
	word(&b, 129)[5] = 5;
	CHECK(sums_to(&b, at(1, 0, 0), 129));
	CHECK_EQ(vgtt_verify(b.vgtt), 0);
	board_close(&b);
}

/* After each failed move all protections stand: ours. Legacy loses them. */
static uint64_t fail_everywhere(const struct memslot_order *order)
{
	struct board b;
	uint64_t mismatches = 0;

	board_open(&b);
	moving_table(&b);
	memslots_set_order(b.bed.ms, order);
	for (uint64_t n = 1;; n++) {
		fault_arm(&b.faults, FAULT_ANY, n, false);
		move(&b, SLOT_A, BOARD_A + 64);
		if (!atomic_load(&b.faults.fired))
			break;
		CHECK(bed_look(&b.bed, 0, BOARD_A).there);
		set_entry(&b, BOARD_A + 2, 1, entry_of(DATA + n % 8));
		mismatches += vgtt_verify(b.vgtt);
		if (order == &memslot_order_ours)
			CHECK(sums_to(&b, at(1, 1, 0), 8 + n % 8));
	}
	board_close(&b);
	return mismatches;
}

static void test_failed(void)
{
	CHECK_EQ(fail_everywhere(&memslot_order_ours), 0);
	CHECK(fail_everywhere(&memslot_order_legacy) > 0);
}

/* The aperture: a table and data in a BAR that the guest moves. */
static void test_aperture(void)
{
	const gfn_t bar = BOARD_APERTURE >> 12;
	uint64_t *host;
	struct board b;

	board_open(&b);
	simple_table(&b);
	host = (uint64_t *)vgtt_aperture(b.vgtt);
	set_entry(&b, ROOT, 2, entry_of(bar + 3));
	set_entry(&b, bar + 3, 5, entry_of(DATA + 1));
	set_entry(&b, TABLE, 0, entry_of(bar + 4));
	host[4 * 512] = 77;
	CHECK(sums_to(&b, at(2, 5, 0), 9));
	CHECK_EQ(sum(&b, at(0, 0, 0), 8), 0);
	CHECK_EQ(fill(&b, at(0, 0, 8), 8, 99), 0);
	CHECK_EQ(host[4 * 512 + 1], 99);
	/* Refused: nothing changes. */
	config_put(&b, PCI_REG_BAR0 + 8, 4, BOARD_LOW);
	CHECK_EQ(b.lines, 1);
	CHECK(sums_to(&b, at(2, 5, 0), 9));
	CHECK_EQ(reg(&b, VGTT_REG_TABLES), 3);
	/* Moved: entries say places. */
	config_put(&b, PCI_REG_BAR0 + 8, 4, BOARD_APERTURE + 0x20000);
	CHECK(faults_at(&b, at(2, 5, 0)));
	CHECK(faults_at(&b, at(0, 0, 0)));
	set_entry(&b, ROOT, 2, entry_of(bar + 35));
	CHECK(sums_to(&b, at(2, 5, 0), 9));
	set_entry(&b, bar + 35, 5, entry_of(DATA + 2));
	CHECK(sums_to(&b, at(2, 5, 0), 10));
	CHECK_EQ(vgtt_verify(b.vgtt), 0);
	/* Disabled: gone; registers are gone too. */
	config_put(&b, PCI_REG_COMMAND, 2, PCI_COMMAND_MASTER);
	CHECK_EQ(vgtt_verify(b.vgtt), 0);
	CHECK_EQ(reg(&b, VGTT_REG_MAGIC), UINT64_MAX);
	board_close(&b);
}

static void test_create(void)
{
	struct memslot_error err;
	struct vgtt_config c = {.aperture = 3 * 4096};
	struct vgtt *g = NULL;
	struct board b;

	board_open(&b);
	c.slots = b.bed.ms;
	c.track = b.track;
	c.bus = &b.bus;
	CHECK_EQ(vgtt_create(&c, &g, &err), -EINVAL);
	CHECK_TEXT(err.text, "an aperture of 12288 bytes");
	c.aperture = VGTT_APERTURE_MAX * 2;
	CHECK_EQ(vgtt_create(&c, &g, &err), -EINVAL);
	c.aperture = 4096;
	c.number = 1;
	CHECK_EQ(vgtt_create(&c, &g, &err), -EEXIST);
	c.number = 2;
	fault_arm(&b.faults, FAULT_VGTT_APERTURE, 1, false);
	CHECK_EQ(vgtt_create(&c, &g, &err), -ENOMEM);
	fault_arm(&b.faults, FAULT_PAGETRACK_REGISTER, 1, false);
	CHECK_EQ(vgtt_create(&c, &g, &err), -ENOMEM);
	CHECK(!g);
	board_close(&b);
}

int main(void)
{
	test_registers();
	test_engine();
	test_roots();
	test_partial_writes();
	test_root_writes();
	test_no_memory();
	test_committed();
	test_removed();
	test_replaced();
	test_failed();
	test_aperture();
	test_create();
	return TEST_END("test_vgtt");
}
