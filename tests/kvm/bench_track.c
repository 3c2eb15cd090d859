/* SPDX-License-Identifier: MIT */
/*
 * bench_track.c - what tracking and pausing cost
 *
 *	bench_track [WRITES]
 *
 *   tracked write  a guest's store to a tracked page, with its report,
 *                  beside a bare exit for a store to a read-only slot
 *   protect        1,000 pages, none beside another, tracked and released
 *   pause          how long two busy vCPUs stand still for a change of
 *                  several slots
 */
#include "tests/kvm/hammer.h"
#include "tests/kvm/kbed.h"

#define LIMIT     1.10
#define SCATTERED 1000u
#define BIG       0x20000000ul
#define BIG_PAGES (64ul * 1024)

/* rdi: where to store, rsi: how often */
TOY_PROGRAM(stores, "1:	mov %rsi, (%rdi)\n"
		    "	dec %rsi\n"
		    "	jnz 1b\n"
		    "	ret");
/* the same with nobody to return to; r8: the device */
TOY_PROGRAM(bare_stores, "1:	mov %rsi, (%rdi)\n"
			 "	dec %rsi\n"
			 "	jnz 1b\n"
			 "	mov %rsi, (%r8)");

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t median(uint64_t *v, unsigned n)
{
	qsort(v, n, sizeof(*v), by_size);
	return v[n / 2];
}

/* ---- a tracked write ----------------------------------------------------- */

static uint64_t heard;

static void on_write(void *ctx, const struct pagetrack_write *w)
{
	(void)ctx;
	(void)w;
	heard++;
}

static const struct pagetrack_ops node_ops = {
	.name = "bench",
	.write = on_write,
};

struct bare {
	struct raw_vm vm;
	int fd;
	struct kvm_run *run;
	uint8_t *low, *page;
};

static void bare_open(struct bare *r)
{
	r->vm = raw_vm();
	r->low = raw_memory(TOY_LOW_SIZE);
	r->page = raw_memory(RAW_PAGE);
	toy_init(r->low);
	TOY_LOAD(r->low, bare_stores);
	CHECK_EQ(raw_region(&r->vm, 0, 0, 0, TOY_LOW_SIZE, r->low), 0);
	CHECK_EQ(raw_region(&r->vm, 1, KVM_MEM_READONLY, HAMMER_BASE, RAW_PAGE,
			 r->page),
		0);
	r->fd = raw_vcpu(&r->vm, 0, &r->run);
}

/* Nanoseconds a store that exits and does nothing else. */
static uint64_t bare_time(struct bare *r, uint64_t writes)
{
	struct toy_regs regs = {
		.rdi = HAMMER_BASE, .rsi = writes, .r8 = TOY_DEVICE, .ring = 3};
	uint64_t since;

	toy_place(r->fd, 0, &regs);
	since = raw_now_ns();
	do {
		if (ioctl(r->fd, KVM_RUN, 0) ||
			r->run->exit_reason != KVM_EXIT_MMIO)
			raw_die("KVM_RUN");
	} while (r->run->mmio.phys_addr != TOY_DEVICE);
	return (raw_now_ns() - since) / writes;
}

static uint64_t ours_time(struct kbed *b, uint64_t at, uint64_t writes)
{
	struct kbed_call call = {
		.function = at, .rdi = HAMMER_BASE, .rsi = writes};
	uint64_t since = raw_now_ns();

	CHECK(kbed_call(b, 0, &call));
	return (raw_now_ns() - since) / writes;
}

static struct pagetrack_node *new_node(struct kbed *b)
{
	struct pagetrack_node *node = NULL;

	CHECK_EQ(pagetrack_register(b->track, &node_ops, NULL, PAGETRACK_STAY,
			 &node, &b->err),
		0);
	return node;
}

static bool tracked_write(uint64_t writes)
{
	struct memslot_config c = {
		.id = 1, .gpa = HAMMER_BASE, .size = RAW_PAGE};
	uint64_t ours[9], raw[9], o, r, at;
	struct pagetrack_node *node;
	struct bare bare;
	struct kbed b;

	bare_open(&bare);
	kbed_open(&b, 1, 3);
	c.host = raw_memory(RAW_PAGE);
	CHECK_EQ(memslots_create_slot(b.ms, &c, &b.err), 0);
	at = kbed_code(&b, stores, (size_t)(stores_end - stores));
	kbed_run(&b);
	node = new_node(&b);
	CHECK_EQ(pagetrack_add(
			 node, 0, HAMMER_BASE >> MEMSLOT_PAGE_SHIFT, 1, &b.err),
		0);
	/*
	 * The agent spins between calls, on a processor of its own or not:
	 * let it have a call to do, and then time.
	 */
	for (unsigned i = 0; i < 9; i++) {
		ours[i] = ours_time(&b, at, writes);
		raw[i] = bare_time(&bare, writes);
	}
	CHECK_EQ(heard, 9 * writes);
	o = median(ours, 9);
	r = median(raw, 9);
	printf("tracked write: ours %.1f us, bare exit %.1f us, ratio %.2f "
	       "(limit %.2f)%s\n",
		(double)o / 1000, (double)r / 1000, (double)o / (double)r,
		LIMIT, (double)o > LIMIT * (double)r ? "  TOO SLOW" : "");
	kbed_stop(&b);
	pagetrack_unregister(node);
	kbed_close(&b);
	raw_vm_close(&bare.vm);
	return (double)o <= LIMIT * (double)r;
}

/* ---- many pages ---------------------------------------------------------- */

static void protect(void)
{
	struct memslot_config c = {
		.id = 1, .gpa = BIG, .size = BIG_PAGES * RAW_PAGE};
	const gfn_t base = BIG >> MEMSLOT_PAGE_SHIFT;
	const unsigned step = BIG_PAGES / SCATTERED;
	unsigned long calls;
	uint64_t since, add, remove;
	struct pagetrack_node *node;
	struct kbed b;

	kbed_open(&b, 2, 3);
	c.host = raw_memory(c.size);
	CHECK_EQ(memslots_create_slot(b.ms, &c, &b.err), 0);
	kbed_run(&b);
	node = new_node(&b);
	calls = atomic_load(&watch.regions);
	since = raw_now_ns();
	for (unsigned i = 0; i < SCATTERED; i++)
		CHECK_EQ(pagetrack_add(node, 0, base + i * step, 1, &b.err), 0);
	add = raw_now_ns() - since;
	since = raw_now_ns();
	for (unsigned i = 0; i < SCATTERED; i++)
		CHECK_EQ(pagetrack_remove(node, 0, base + i * step, 1, &b.err),
			0);
	remove = raw_now_ns() - since;
	printf("protect %u scattered pages of 256 MiB: %.1f ms, unprotect: "
	       "%.1f ms, %lu ioctls\n",
		SCATTERED, (double)add / 1e6, (double)remove / 1e6,
		atomic_load(&watch.regions) - calls);
	kbed_stop(&b);
	pagetrack_unregister(node);
	kbed_close(&b);
}

/* ---- a pause ------------------------------------------------------------- */

#define PAUSES 400u

static void pause_time(void)
{
	static uint64_t ns[PAUSES];
	struct memslot_config c = {.size = HAMMER_HALF};
	uint8_t *data = raw_memory(2 * HAMMER_HALF);
	struct kbed b;
	uint64_t at;

	kbed_open(&b, 2, 3);
	for (unsigned i = 0; i < 2; i++) {
		c.id = 1 + i;
		c.gpa = HAMMER_BASE + i * HAMMER_HALF;
		c.host = data + i * HAMMER_HALF;
		CHECK_EQ(memslots_create_slot(b.ms, &c, &b.err), 0);
	}
	at = kbed_code(&b, hammer, (size_t)(hammer_end - hammer));
	kbed_run(&b);
	for (unsigned i = 0; i < 2; i++) {
		struct kbed_call call = {.function = at,
			.rdi = hammer_word(i),
			.rsi = HAMMER_PAGES - 1,
			.rdx = HAMMER_STOP,
			.rcx = i};

		kbed_start(&b, i, &call);
	}
	for (unsigned i = 0; i < PAUSES; i++) {
		struct memslot_result result;
		struct memslot_txn *t;
		gpa_t at1 = HAMMER_BASE + (i % 2 ? 0 : HAMMER_HALF);

		CHECK_EQ(memslot_begin(b.ms, &t, &b.err), 0);
		memslot_move(t, 0, 1, at1, MEMSLOT_MOVE_KEEP);
		memslot_move(t, 0, 2, 2 * HAMMER_BASE + HAMMER_HALF - at1,
			MEMSLOT_MOVE_KEEP);
		CHECK_EQ(memslot_commit(t, &result, &b.err), 0);
		ns[i] = result.pause_ns;
	}
	hammer_stop(b.low);
	for (unsigned i = 0; i < 2; i++) {
		struct kbed_call call;

		CHECK(kbed_wait(&b, i, &call));
	}
	qsort(ns, PAUSES, sizeof(ns[0]), by_size);
	printf("two slots change places under two busy vCPUs: paused for "
	       "%.0f us (median), %.0f us (p99), %.0f us (max)\n",
		(double)ns[PAUSES / 2] / 1000,
		(double)ns[PAUSES * 99 / 100] / 1000,
		(double)ns[PAUSES - 1] / 1000);
	kbed_close(&b);
}

int main(int argc, char **argv)
{
	uint64_t writes = argc > 1 ? strtoull(argv[1], NULL, 0) : 5000;
	bool good = tracked_write(writes);

	protect();
	pause_time();
	return TEST_END("bench-track") || !good;
}
