/* SPDX-License-Identifier: MIT */
/*
 * seed_vanishing.c - RAM that is taken away and put back is never missing
 *
 * A device stands where the memory of slot 1 is, as a bus window does behind
 * RAM: whatever reaches it is what KVM would report as an MMIO exit on RAM.
 */
#include "tests/seed/guest.h"

static struct guest g;
static _Atomic(uint64_t) exits;

static uint64_t exit_read(void *ctx, uint64_t offset, unsigned len)
{
	(void)ctx;
	(void)offset;
	(void)len;
	atomic_fetch_add(&exits, 1);
	return 0;
}

static void exit_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	(void)ctx;
	(void)offset;
	(void)len;
	(void)value;
	atomic_fetch_add(&exits, 1);
}

static const struct bus_ops exit_ops = {"exits", exit_read, exit_write};

/* Hart 0 in the first page, hart 1 a word in each of 32 pages further up. */
static const struct guest_work work[GUEST_HARTS] = {
	{GUEST_AT, GUEST_AT, 512, 3, true},
	{GUEST_AT + 0x200000, GUEST_AT + 0x200000, 32, 12, true},
};

static void open_exits(unsigned harts)
{
	guest_open(&g, harts, 0);
	atomic_store(&exits, 0);
	CHECK_EQ(bus_add(&g.m.bus, GUEST_AT, GUEST_SIZE, &exit_ops, NULL, NULL),
		0);
}

/* Run `record` as one transaction; each step fails before it succeeds. */
static void change(struct guest *guest, void (*record)(struct memslot_txn *t),
	bool failing)
{
	for (unsigned nth = 1; nth < 1000; nth++) {
		struct memslot_txn *t;
		int r;

		fault_arm(&guest->plan, FAULT_ANY, failing ? nth : 0, false);
		r = memslot_begin(guest->m.slots, &t, NULL);
		if (!r) {
			record(t);
			r = memslot_commit(t, NULL, NULL);
		}
		fault_arm(&guest->plan, FAULT_ANY, 0, false);
		if (!CHECK(!r || failing) || !r)
			return;
	}
	CHECK(!"it fails for ever");
}

static void again(struct memslot_txn *t)
{
	struct memslot_config c = guest_slot(&g, 0);

	memslot_delete(t, 0, GUEST_SLOT);
	memslot_create(t, &c);
}

/* The same memory, as three slots. */
static void three(struct memslot_txn *t)
{
	struct memslot_config c = guest_slot(&g, 0);

	memslot_delete(t, 0, GUEST_SLOT);
	c.size = 0x1000;
	memslot_create(t, &c);
	c.id = GUEST_SLOT + 1;
	c.gpa += c.size;
	c.host = (uint8_t *)c.host + c.size;
	c.size = 0x20f000;
	memslot_create(t, &c);
	c.id = GUEST_SLOT + 2;
	c.gpa += c.size;
	c.host = (uint8_t *)c.host + c.size;
	c.size = GUEST_SIZE - 0x210000;
	memslot_create(t, &c);
}

static void one(struct memslot_txn *t)
{
	struct memslot_config c = guest_slot(&g, 0);

	for (unsigned i = 0; i < 3; i++)
		memslot_delete(t, 0, GUEST_SLOT + i);
	memslot_create(t, &c);
}

static void replace_many_times(struct guest *guest)
{
	for (unsigned i = 0; i < 60; i++) {
		change(guest, again, i % 16 == 0);
		change(guest, three, i % 16 == 5);
		if (i % 4 == 0)
			guest_progress(guest, 20);
		change(guest, one, i % 16 == 10);
	}
}

/*
 * Section 8. Slots are changed by deleting and creating them, and between the
 * two calls vCPUs take MMIO exits on RAM; QEMU parks its vCPUs for it. Shown:
 * deleted and created in one transaction, whole or in three parts, at full
 * speed and with every step failing, not one access of two running harts
 * leaves RAM, and none is lost.
 */
static void no_access_leaves_ram(void)
{
	open_exits(GUEST_HARTS);
	guest_run(&g, work, replace_many_times);
	CHECK_EQ(atomic_load(&exits), 0);
	for (unsigned k = 0; k < GUEST_HARTS; k++) {
		CHECK_EQ(guest_get(&g, BOX_TRAPS, k), 0);
		CHECK(guest_words_right(&g, k, &work[k], k ? 0x200000 : 0));
	}
	guest_close(&g);
}

static void split(struct memslot_txn *t)
{
	memslot_split(t, 0, GUEST_SLOT, 0x1000, GUEST_SLOT + 1);
	memslot_split(t, 0, GUEST_SLOT + 1, 0x20f000, GUEST_SLOT + 2);
}

static void merge(struct memslot_txn *t)
{
	memslot_merge(t, 0, GUEST_SLOT + 1, GUEST_SLOT + 2);
	memslot_merge(t, 0, GUEST_SLOT, GUEST_SLOT + 1);
}

static void shrink(struct memslot_txn *t)
{
	memslot_resize(t, 0, GUEST_SLOT, 0x300000);
}

static void grow(struct memslot_txn *t)
{
	memslot_resize(t, 0, GUEST_SLOT, GUEST_SIZE);
}

static void reshape_many_times(struct guest *guest)
{
	for (unsigned i = 0; i < 40; i++) {
		change(guest, split, i % 16 == 0);
		change(guest, merge, i % 16 == 5);
		if (i % 4 == 0)
			guest_progress(guest, 20);
		change(guest, shrink, i % 16 == 10);
		change(guest, grow, i % 16 == 15);
	}
}

/*
 * The same for changes of shape: nothing of what stays is ever missing.
 */
static void reshaping_leaves_no_hole(void)
{
	open_exits(GUEST_HARTS);
	guest_run(&g, work, reshape_many_times);
	CHECK_EQ(atomic_load(&exits), 0);
	for (unsigned k = 0; k < GUEST_HARTS; k++)
		CHECK(guest_words_right(&g, k, &work[k], k ? 0x200000 : 0));
	guest_close(&g);
}

static void in_two_steps(struct guest *guest)
{
	struct memslot_config c = guest_slot(guest, 0);

	CHECK_EQ(memslots_delete_slot(guest->m.slots, 0, GUEST_SLOT, NULL), 0);
	while (atomic_load(&exits) < 10)
		usleep(20);
	CHECK_EQ(memslots_create_slot(guest->m.slots, &c, NULL), 0);
}

/*
 * The counter-example: in two transactions, as everybody else has to do it,
 * the same guest does take exits. A test that can not see a hole shows none.
 */
static void two_steps_do_leave_ram(void)
{
	static const struct guest_work blind[] = {
		{GUEST_AT, GUEST_AT, 512, 3, false}};

	open_exits(1);
	guest_run(&g, blind, in_two_steps);
	CHECK(atomic_load(&exits) >= 10);
	guest_close(&g);
}

static const struct claim claims[] = {
	CLAIM(no_access_leaves_ram, "8.1: delete and create in one "
				    "transaction: no vCPU sees the hole"),
	CLAIM(reshaping_leaves_no_hole,
		"8.1: nor when slots are split, merged and resized"),
	CLAIM(two_steps_do_leave_ram,
		"8.1: in two transactions vCPUs do see it"),
};

int main(int argc, char **argv)
{
	claims_show(argc, argv, claims, COUNT(claims));
	return sh_end("seed_vanishing", TEST_END("seed_vanishing, host side"));
}
