/* SPDX-License-Identifier: MIT */
/*
 * peers.c - four ways to break half-way, rebuilt where they do not break
 *
 * Other monitors have code paths that change several things about guest
 * memory one after the other and stop where one fails. Each scenario says
 * what was read in the peer's source, at the commit that was read, and does
 * the same job with one transaction, failing at every step there is.
 */
#include "tests/seed/claims.h"
#include "tests/unit/slots.h"

#include <pthread.h>

#define PAGE MEMSLOT_PAGE_SIZE
#define LOG  MEMSLOT_LOG_DIRTY

static struct bed b;
static struct fault_plan plan;

static void open_map(void)
{
	bed_open(&b, 1);
	fault_arm(&plan, FAULT_ANY, 0, false);
	memslots_set_faults(b.ms, &plan);
}

static int commit(struct memslot_txn *t)
{
	return memslot_commit(t, NULL, &b.err);
}

/*
 * Make the change fail at its 1st, 2nd ... step, once and for good, check
 * after each that all is as it was, and let it succeed at last. Returns the
 * number of steps.
 */
static unsigned fail_everywhere(int (*change)(void), void (*as_before)(void))
{
	unsigned steps = 0;

	for (unsigned i = 0; i < 20000; i++) {
		uint64_t generation = memslots_generation(b.ms);
		long live = atomic_load(&b.live);
		int r;

		fault_arm(&plan, FAULT_ANY, i / 2 + 1, i & 1);
		r = change();
		if (!atomic_load(&plan.fired)) {
			CHECK_EQ(r, 0);
			break;
		}
		fault_arm(&plan, FAULT_ANY, 0, false);
		if (atomic_load(&plan.last) == FAULT_UNDO_PARTICIPANT)
			CHECK(!"undo is not reached by these");
		CHECK(r < 0 && !memslots_broken(b.ms));
		CHECK_EQ(memslots_generation(b.ms), generation);
		CHECK_EQ(atomic_load(&b.live), live);
		as_before();
		steps++;
	}
	fault_arm(&plan, FAULT_ANY, 0, false);
	return steps;
}

/* ---- Firecracker, update_slot ------------------------------------------- */

#define BLOCKS      32u
#define BLOCK_PAGES 8u

static struct hotplug {
	struct memslot_participant p;
	bool plugged[BLOCKS]; /* what device emulation believes */
	int protect;          /* what mprotect returns */
} hotplug;

static int hp_apply(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	struct hotplug *h = ctx;

	(void)t;
	err->code = h->protect;
	return h->protect;
}

/* The bit changes where nothing can fail any more. */
static void hp_committed(void *ctx, const struct memslot_txn *t)
{
	struct hotplug *h = ctx;
	const struct memslot_change *c;
	size_t count;

	c = memslot_txn_changes(t, &count);
	for (size_t i = 0; i < count; i++) {
		const struct memslot *s = c[i].to ? c[i].to : c[i].from;

		h->plugged[s->base_gfn / BLOCK_PAGES] = c[i].to != NULL;
	}
}

static const struct memslot_participant_ops hp_ops = {
	.name = "hotplug", .apply = hp_apply, .committed = hp_committed};

/* The lowest id that is free: the map knows, there is no second book. */
static unsigned free_id(void)
{
	unsigned id = 0;

	memslot_enter(&b.r);
	while (memslot_by_id(&b.r, 0, id))
		id++;
	memslot_leave(&b.r);
	return id;
}

static int plug(unsigned block)
{
	if (hotplug.plugged[block])
		return 0;
	return bed_create(&b, 0, free_id(), block * BLOCK_PAGES, BLOCK_PAGES,
		block * BLOCK_PAGES, 0);
}

static int unplug(unsigned block)
{
	struct seen s = bed_look(&b, 0, block * BLOCK_PAGES);

	if (!hotplug.plugged[block])
		return 0;
	return memslots_delete_slot(b.ms, 0, s.id, &b.err);
}

static unsigned block_changed;
static bool block_was[BLOCKS];

static int toggle(void)
{
	memcpy(block_was, hotplug.plugged, sizeof(block_was));
	return hotplug.plugged[block_changed] ? unplug(block_changed)
					      : plug(block_changed);
}

/* The device believes what the map has. */
static void device_agrees(void)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		CHECK_EQ(hotplug.plugged[i],
			bed_look(&b, 0, i * BLOCK_PAGES + 3).there);
}

static void hotplug_as_before(void)
{
	CHECK(!memcmp(block_was, hotplug.plugged, sizeof(block_was)));
	device_agrees();
}

/*
 * Firecracker, GuestRegionMmapExt::update_slot, as read at that commit:
 * replaces the plugged bit, then mprotects, then asks KVM; if one of these
 * fails the bit stays, and a retry finds nothing to do. Slot ids were counted
 * up and never used again. Here: the bit follows the commit, a retry does the
 * work, and a hundred thousand blocks come and go with as many ids as blocks
 * are plugged at once.
 */
static void update_slot(void)
{
	unsigned steps = 0, highest = 0;
	long live;

	open_map();
	memset(&hotplug, 0, sizeof(hotplug));
	hotplug.p.ops = &hp_ops;
	hotplug.p.ctx = &hotplug;
	CHECK_EQ(memslots_join(b.ms, &hotplug.p), 0);
	for (unsigned i = 0; i < 12; i++) {
		block_changed = i * 5 % 8;
		steps += fail_everywhere(toggle, hotplug_as_before);
		device_agrees();
		hotplug.protect = -ENOMEM; /* mprotect fails */
		CHECK_EQ(toggle(), -ENOMEM);
		hotplug_as_before();
		hotplug.protect = 0;
	}
	CHECK(steps > 200);
	for (unsigned i = 0; i < BLOCKS; i++)
		CHECK_EQ(unplug(i), 0);
	live = atomic_load(&b.live);
	for (unsigned i = 0; i < 100000; i++) {
		unsigned id = free_id();

		highest = id > highest ? id : highest;
		if (plug(i % BLOCKS))
			CHECK(!"there is always an id");
		if (i >= 3 && unplug((i - 3) % BLOCKS))
			CHECK(!"what is plugged can be unplugged");
	}
	CHECK(highest <= 3);
	device_agrees();
	for (unsigned i = 0; i < BLOCKS; i++)
		CHECK_EQ(unplug(i), 0);
	CHECK_EQ(atomic_load(&b.live), live);
	CHECK_EQ(memslots_quit(b.ms, &hotplug.p), 0);
	bed_close(&b);
}

/* ---- cloud-hypervisor, move_bar ----------------------------------------- */

/* What knows where the BAR is: its two ranges, and one more that stays. */
enum { ALLOCATOR, BUS, DEVICE_TREE, EVENTS, DEVICE, KNOW };
#define RANGES 3u

static struct knower {
	struct memslot_participant p;
	gfn_t at[RANGES];
	int refuse_prepare, refuse_apply;
	unsigned reserved; /* by prepare, until commit or cancel */
} know[KNOW];

static gfn_t bar_register; /* what the guest reads */

static int refusal(int code, struct memslot_error *err)
{
	err->code = code;
	return code;
}

static int kn_prepare(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	struct knower *k = ctx;

	(void)t;
	if (k->refuse_prepare)
		return refusal(k->refuse_prepare, err);
	k->reserved++;
	return 0;
}

static void kn_cancel(void *ctx, const struct memslot_txn *t)
{
	(void)t;
	((struct knower *)ctx)->reserved--;
}

static void kn_set(struct knower *k, const struct memslot_txn *t, bool back)
{
	const struct memslot_change *c;
	size_t count;

	c = memslot_txn_changes(t, &count);
	for (size_t i = 0; i < count; i++)
		k->at[c[i].to->id] = (back ? c[i].from : c[i].to)->base_gfn;
}

static int kn_apply(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	struct knower *k = ctx;

	if (k->refuse_apply)
		return refusal(k->refuse_apply, err);
	kn_set(k, t, false);
	return 0;
}

static int kn_undo(void *ctx, const struct memslot_txn *t)
{
	kn_set(ctx, t, true);
	return 0;
}

static void kn_committed(void *ctx, const struct memslot_txn *t)
{
	struct knower *k = ctx;

	k->reserved--;
	if (k == &know[DEVICE])
		bar_register = k->at[0];
	(void)t;
}

static const struct memslot_participant_ops kn_ops = {
	.name = "knower",
	.prepare = kn_prepare,
	.cancel = kn_cancel,
	.apply = kn_apply,
	.undo = kn_undo,
	.committed = kn_committed,
};

static gfn_t bar_from, bar_to;

static int bar_goes(void)
{
	struct memslot_txn *t;
	int r = memslot_begin(b.ms, &t, &b.err);

	if (r)
		return r;
	memslot_move(t, 0, 0, bar_to * PAGE, MEMSLOT_MOVE_KEEP);
	memslot_move(t, 0, 1, (bar_to + 20) * PAGE, MEMSLOT_MOVE_KEEP);
	return commit(t);
}

static void bar_is_at(gfn_t gfn)
{
	CHECK_EQ(bar_register, gfn);
	for (unsigned i = 0; i < KNOW; i++) {
		CHECK_EQ(know[i].at[0], gfn);
		CHECK_EQ(know[i].at[1], gfn + 20);
		CHECK_EQ(know[i].at[2], 900);
		CHECK_EQ(know[i].reserved, 0);
	}
	CHECK(bed_has(&b, 0, 0, gfn, 16, 0, LOG));
	CHECK(bed_has(&b, 0, 1, gfn + 20, 8, 16, 0));
	CHECK(bed_has(&b, 0, 2, 900, 8, 24, 0));
	CHECK_EQ(bed_count(&b), 3);
}

static void bar_stays(void)
{
	bar_is_at(bar_from);
}

static void open_bar(void)
{
	open_map();
	memset(know, 0, sizeof(know));
	bar_register = bar_from = 100;
	CHECK_EQ(bed_create(&b, 0, 0, 100, 16, 0, LOG), 0);
	CHECK_EQ(bed_create(&b, 0, 1, 120, 8, 16, 0), 0);
	CHECK_EQ(bed_create(&b, 0, 2, 900, 8, 24, 0), 0);
	for (unsigned i = 0; i < KNOW; i++) {
		know[i].p.ops = &kn_ops;
		know[i].p.ctx = &know[i];
		know[i].at[0] = 100;
		know[i].at[1] = 120;
		know[i].at[2] = 900;
		CHECK_EQ(memslots_join(b.ms, &know[i].p), 0);
	}
}

/*
 * cloud-hypervisor, DeviceManager::move_bar, as read at that commit: address
 * allocator, bus, device tree, ioeventfds, memslot and the device itself are
 * changed one after the other; an error leaves the earlier ones done, while
 * the register is put back to the old address. Here: each of them takes part
 * with prepare, apply and undo; whichever refuses, and at every step inside
 * the manager, all of them and the register say the old address, and after a
 * success all say the new one.
 */
static void move_bar(void)
{
	unsigned steps = 0;

	open_bar();
	for (unsigned round = 0; round < 4; round++) {
		bar_from = bar_register;
		/* also onto itself, and into the middle of its own ranges */
		bar_to = (const gfn_t[]){110, 400, 404, 100}[round];
		for (unsigned i = 0; i < KNOW; i++) {
			know[i].refuse_prepare = -EBUSY;
			CHECK_EQ(bar_goes(), -EBUSY);
			know[i].refuse_prepare = 0;
			bar_stays();
			know[i].refuse_apply = -ENOSPC;
			CHECK_EQ(bar_goes(), -ENOSPC);
			know[i].refuse_apply = 0;
			bar_stays();
		}
		/* once only: if undo fails too the machine is broken (below) */
		for (unsigned nth = 1;; nth++) {
			fault_arm(&plan, FAULT_ANY, nth, false);
			if (!bar_goes())
				break;
			fault_arm(&plan, FAULT_ANY, 0, false);
			bar_stays();
			steps++;
		}
		fault_arm(&plan, FAULT_ANY, 0, false);
		bar_is_at(bar_to);
	}
	CHECK(steps > 80);
	/* The address the guest programs is impossible: all stays. */
	bar_from = bar_register;
	bar_to = 890; /* onto the third range */
	CHECK_EQ(bar_goes(), -EEXIST);
	bar_stays();
	bar_to = MEMSLOT_GPA_LIMIT / PAGE - 4;
	CHECK_EQ(bar_goes(), -ERANGE);
	bar_stays();
	/* If even the way back is refused, that is said, and nothing runs. */
	bar_to = 500;
	know[DEVICE].refuse_apply = -ENOSPC;
	fault_arm(&plan, FAULT_UNDO_PARTICIPANT, 1, false);
	CHECK_EQ(bar_goes(), -EIO);
	CHECK(memslots_broken(b.ms));
	for (unsigned i = 0; i < KNOW; i++)
		CHECK_EQ(memslots_quit(b.ms, &know[i].p), 0);
	bed_close(&b);
}

/* ---- readers that hammer ------------------------------------------------ */

static struct hammer {
	pthread_t thread;
	gfn_t first, pages; /* always memory, whatever is committed */
	_Atomic(bool) stop;
	_Atomic(uint64_t) looks;
	uint64_t holes, wrong;
} hammer;

/* Which of its pages a host page is, is written at its start. */
static void number_host_pages(uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		memcpy(b.host + i * PAGE, &i, sizeof(i));
}

static void *hammer_run(void *arg)
{
	struct hammer *h = arg;
	struct memslot_reader r;
	uint64_t rng = 88172645463325252u;

	memslot_reader_init(&r, b.ms, NULL, NULL);
	while (!atomic_load(&h->stop)) {
		gfn_t gfn = h->first + rng_below(&rng, h->pages);
		const struct memslot *s = memslot_enter_at(&r, 0, gfn);
		uint64_t page;

		if (!s) {
			h->holes++;
		} else {
			/* slots that move in these scenarios keep gfn % 256 */
			memcpy(&page, memslot_host(s, gfn * PAGE), 8);
			h->wrong += page % 256 != gfn % 256;
		}
		memslot_leave(&r);
		atomic_fetch_add(&h->looks, 1);
	}
	memslot_reader_fini(&r);
	return NULL;
}

static void hammer_start(gfn_t first, gfn_t pages)
{
	memset(&hammer, 0, sizeof(hammer));
	hammer.first = first;
	hammer.pages = pages;
	if (!CHECK(!pthread_create(&hammer.thread, NULL, hammer_run, &hammer)))
		exit(1);
	while (atomic_load(&hammer.looks) < 100)
		sched_yield();
}

static void hammer_more(uint64_t looks)
{
	uint64_t from = atomic_load(&hammer.looks);

	while (atomic_load(&hammer.looks) < from + looks)
		sched_yield();
}

static void hammer_stop(void)
{
	hammer_more(100);
	atomic_store(&hammer.stop, true);
	pthread_join(hammer.thread, NULL);
	CHECK_EQ(hammer.holes, 0);
	CHECK_EQ(hammer.wrong, 0);
}

/* ---- kvmtool, bar_wr ---------------------------------------------------- */

/*
 * Slot 0 is the BAR, 256 pages of host page 0; 1 and 2 are regions it may be
 * put over, of 128 pages each. All begin where their host pages say.
 */
static bool bar_over;

static int put_bar_over(void)
{
	struct memslot_txn *t;
	int r = memslot_begin(b.ms, &t, &b.err);

	if (r)
		return r;
	memslot_delete(t, 0, 1);
	memslot_delete(t, 0, 2);
	memslot_move(t, 0, 0, 1024 * PAGE, MEMSLOT_MOVE_KEEP);
	return commit(t);
}

static int put_bar_back(void)
{
	struct memslot_config one = bed_config(&b, 0, 1, 1024, 128, 256, LOG);
	struct memslot_config two = bed_config(&b, 0, 2, 1152, 128, 384, 0);
	struct memslot_txn *t;
	int r = memslot_begin(b.ms, &t, &b.err);

	if (r)
		return r;
	memslot_move(t, 0, 0, 256 * PAGE, MEMSLOT_MOVE_KEEP);
	memslot_create(t, &one);
	memslot_create(t, &two);
	return commit(t);
}

static void bar_as_before(void)
{
	if (bar_over) {
		CHECK(bed_has(&b, 0, 0, 1024, 256, 0, 0));
		CHECK_EQ(bed_count(&b), 1);
		return;
	}
	CHECK(bed_has(&b, 0, 0, 256, 256, 0, 0));
	CHECK(bed_has(&b, 0, 1, 1024, 128, 256, LOG));
	CHECK(bed_has(&b, 0, 2, 1152, 128, 384, 0));
	CHECK_EQ(bed_count(&b), 3);
}

/*
 * kvmtool, pci_config_bar_wr, as read at that commit: takes the BAR away,
 * takes away what overlaps the new address, writes the register, puts the BAR
 * there; if that fails it brings the overlapped regions back, but not the
 * BAR, and readers walk the list without a lock meanwhile. Here: taking
 * regions away and moving onto them is one transaction; failing anywhere it
 * leaves all three in place, and a reader that never stops finds memory
 * under the new address all the time: the regions, or the BAR.
 */
static void bar_wr(void)
{
	unsigned steps = 0;

	open_map();
	number_host_pages(512);
	CHECK_EQ(bed_create(&b, 0, 0, 256, 256, 0, 0), 0);
	CHECK_EQ(bed_create(&b, 0, 1, 1024, 128, 256, LOG), 0);
	CHECK_EQ(bed_create(&b, 0, 2, 1152, 128, 384, 0), 0);
	hammer_start(1024, 256);
	for (unsigned round = 0; round < 20; round++) {
		bar_over = false;
		steps += fail_everywhere(put_bar_over, bar_as_before);
		hammer_more(20);
		bar_over = true;
		steps += fail_everywhere(put_bar_back, bar_as_before);
		hammer_more(20);
	}
	CHECK(steps > 800);
	bar_over = false;
	bar_as_before();
	hammer_stop();
	bed_close(&b);
}

/* ---- QEMU, kvm_region_commit -------------------------------------------- */

/*
 * 256 pages of memory, in a layout that is one of four: how many slots, and
 * each the start of the next. The ids are reused.
 */
static const unsigned borders[][10] = {
	{0, 256},
	{0, 1, 17, 128, 256},
	{0, 32, 64, 96, 128, 160, 192, 224, 255, 256},
	{0, 100, 255, 256},
};
static unsigned layout, next_layout;

static unsigned parts(unsigned which)
{
	unsigned n = 0;

	while (borders[which][n] != 256)
		n++;
	return n;
}

static int commit_queue(void)
{
	struct memslot_txn *t;
	int r = memslot_begin(b.ms, &t, &b.err);

	if (r)
		return r;
	for (unsigned i = 0; i < parts(layout); i++)
		memslot_delete(t, 0, i);
	for (unsigned i = 0; i < parts(next_layout); i++) {
		unsigned from = borders[next_layout][i];
		struct memslot_config c = bed_config(&b, 0, i, 1024 + from,
			borders[next_layout][i + 1] - from, from, 0);

		memslot_create(t, &c);
	}
	/* and something elsewhere, in the same batch */
	memslot_set_flags(t, 0, 50, next_layout & 1 ? LOG : 0);
	return commit(t);
}

static void layout_is(unsigned which)
{
	for (unsigned i = 0; i < parts(which); i++) {
		unsigned from = borders[which][i];

		CHECK(bed_has(&b, 0, i, 1024 + from,
			borders[which][i + 1] - from, from, 0));
	}
	CHECK(bed_has(&b, 0, 50, 4096, 8, 600, which & 1 ? LOG : 0));
	CHECK_EQ(bed_count(&b), parts(which) + 1);
}

static void layout_as_before(void)
{
	layout_is(layout);
}

/*
 * QEMU, kvm_region_commit, as read at that commit: the best of the peers.
 * Deletes and adds are queued and replayed with all vCPUs held up, so that
 * none sees the hole; but if the kernel refuses one of them, QEMU aborts.
 * Here: the same queue is a transaction; a reader that never stops meets no
 * hole in any page, and a failure, wherever, leaves the old layout and a
 * program that goes on.
 */
static void region_commit(void)
{
	unsigned steps = 0;

	open_map();
	number_host_pages(256);
	layout = 0;
	CHECK_EQ(bed_create(&b, 0, 0, 1024, 256, 0, 0), 0);
	CHECK_EQ(bed_create(&b, 0, 50, 4096, 8, 600, 0), 0);
	hammer_start(1024, 256);
	for (unsigned round = 1; round <= 16; round++) {
		next_layout = (layout + (round % 3) + 1) % 4;
		steps += fail_everywhere(commit_queue, layout_as_before);
		layout = next_layout;
		layout_is(layout);
		hammer_more(20);
	}
	/* and at full speed */
	for (unsigned round = 0; round < 400; round++) {
		next_layout = (layout + 1) % 4;
		CHECK_EQ(commit_queue(), 0);
		layout = next_layout;
	}
	CHECK(steps > 500);
	hammer_stop();
	bed_close(&b);
}

static const struct claim claims[] = {
	CLAIM(update_slot, "Firecracker, update_slot: the device believes what "
			   "the map has"),
	CLAIM(move_bar, "cloud-hypervisor, move_bar: all are at one address, "
			"old or new"),
	CLAIM(bar_wr,
		"kvmtool, bar_wr: a region is moved onto others, or all stay"),
	CLAIM(region_commit,
		"QEMU, region_commit: no hole, and a failure aborts nothing"),
};

int main(int argc, char **argv)
{
	claims_show(argc, argv, claims, COUNT(claims));
	return TEST_END("peers");
}
