/* SPDX-License-Identifier: MIT */
/*
 * bench_slots.c - what the backend costs beside the ioctls it makes
 *
 *	bench_slots [ROUNDS]
 *
 * Ours and raw ioctls take turns, on two VMs of the same shape, so that a
 * busy machine hurts both. Medians, and their ratios with the limits that
 * they must keep; exits 1 if one does not.
 */
#include "tests/kvm/kbed.h"

#define SLOT_PAGES 16ul
#define SLOT_SIZE  (SLOT_PAGES * RAW_PAGE)
#define BASE       ((gpa_t)1 << 32)
#define BATCH      64u
#define ROUNDS_MAX 4096u

static unsigned rounds = 200;
static bool too_slow;

/* ---- figures ------------------------------------------------------------- */

struct samples {
	unsigned count;
	uint64_t ns[ROUNDS_MAX];
};

static void sample(struct samples *s, uint64_t since)
{
	if (s->count < ROUNDS_MAX)
		s->ns[s->count++] = raw_now_ns() - since;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double quantile(struct samples *s, double q)
{
	if (!s->count)
		return 0;
	qsort(s->ns, s->count, sizeof(s->ns[0]), by_size);
	return (double)s->ns[(unsigned)(q * (s->count - 1))] / 1000;
}

/* One line; `limit` 0: no limit. */
static void compare(const char *what, unsigned slots, struct samples *ours,
	struct samples *raw, double limit)
{
	double o = quantile(ours, 0.5), r = quantile(raw, 0.5);
	bool over = limit > 0 && o > limit * r;

	printf("%-16s %5u slots: ours %8.1f us, raw %8.1f us, ratio %.2f", what,
		slots, o, r, o / r);
	if (limit > 0)
		printf(" (limit %.2f)%s", limit, over ? "  TOO SLOW" : "");
	printf("\n");
	fflush(stdout);
	too_slow |= over;
	ours->count = raw->count = 0;
}

/* ---- two VMs with the same slots ----------------------------------------- */

struct pair {
	struct kbed b;
	struct raw_vm vm;
	uint8_t *host;
	unsigned slots;
};

static gpa_t gpa_of(unsigned n)
{
	return BASE + n * 2 * SLOT_SIZE;
}

/* Slot n + 1, since 0 is low memory on our side. */
static struct memslot_config config_of(struct pair *p, unsigned n)
{
	return (struct memslot_config){
		.id = n + 1,
		.gpa = gpa_of(n),
		.size = SLOT_SIZE,
		.host = p->host + n * SLOT_SIZE,
	};
}

static int raw_set(
	struct pair *p, unsigned n, uint32_t flags, gpa_t gpa, uint64_t size)
{
	return raw_region(
		&p->vm, n + 1, flags, gpa, size, p->host + n * SLOT_SIZE);
}

static void open_pair(struct pair *p, unsigned slots)
{
	struct kvm_run *run;
	struct memslot_txn *t;

	memset(p, 0, sizeof(*p));
	p->slots = slots;
	p->host = raw_memory((slots + BATCH) * SLOT_SIZE);
	kbed_open(&p->b, 1, 3);
	CHECK_EQ(memslot_begin(p->b.ms, &t, &p->b.err), 0);
	for (unsigned n = 0; n < slots; n++) {
		struct memslot_config c = config_of(p, n);

		memslot_create(t, &c);
	}
	CHECK_EQ(memslot_commit(t, NULL, &p->b.err), 0);
	kbed_make(&p->b);
	p->vm = raw_vm();
	raw_vcpu(&p->vm, 0, &run);
	CHECK_EQ(raw_region(&p->vm, 0, 0, 0, TOY_LOW_SIZE, p->b.low), 0);
	for (unsigned n = 0; n < slots; n++)
		CHECK_EQ(raw_set(p, n, 0, gpa_of(n), SLOT_SIZE), 0);
}

static void close_pair(struct pair *p)
{
	raw_vm_close(&p->vm);
	kbed_close(&p->b);
	munmap(p->host, (p->slots + BATCH) * SLOT_SIZE);
}

/* ---- one change ---------------------------------------------------------- */

static struct samples ours_a, ours_b, raw_a, raw_b;

#define TIMED(samples, call)                    \
	do {                                    \
		uint64_t since_ = raw_now_ns(); \
		int r_ = (call);                \
		sample((samples), since_);      \
		CHECK_EQ(r_, 0);                \
	} while (0)

static void create_delete(struct pair *p)
{
	unsigned n = p->slots;
	struct memslot_config c = config_of(p, n);

	for (unsigned i = 0; i < rounds; i++) {
		TIMED(&ours_a, memslots_create_slot(p->b.ms, &c, NULL));
		TIMED(&raw_a, raw_set(p, n, 0, c.gpa, SLOT_SIZE));
		TIMED(&ours_b, memslots_delete_slot(p->b.ms, 0, n + 1, NULL));
		TIMED(&raw_b, raw_set(p, n, 0, 0, 0));
	}
	compare("create", p->slots, &ours_a, &raw_a, 1.10);
	compare("delete", p->slots, &ours_b, &raw_b, 1.10);
}

static void move(struct pair *p)
{
	for (unsigned i = 0; i < rounds; i++) {
		gpa_t to = gpa_of(0) + (i % 2 ? 0 : SLOT_SIZE);

		TIMED(&ours_a, memslots_move_slot(p->b.ms, 0, 1, to,
				       MEMSLOT_MOVE_KEEP, NULL));
		TIMED(&raw_a, raw_set(p, 0, 0, to, SLOT_SIZE));
	}
	if (rounds % 2) {
		memslots_move_slot(
			p->b.ms, 0, 1, gpa_of(0), MEMSLOT_MOVE_KEEP, NULL);
		raw_set(p, 0, 0, gpa_of(0), SLOT_SIZE);
	}
	compare("move", p->slots, &ours_a, &raw_a, 1.10);
}

static void flags(struct pair *p)
{
	for (unsigned i = 0; i < rounds; i++) {
		TIMED(&ours_a, memslots_set_slot_flags(
				       p->b.ms, 0, 1, MEMSLOT_LOG_DIRTY, NULL));
		TIMED(&raw_a, raw_set(p, 0, KVM_MEM_LOG_DIRTY_PAGES, gpa_of(0),
				      SLOT_SIZE));
		TIMED(&ours_b, memslots_set_slot_flags(p->b.ms, 0, 1, 0, NULL));
		TIMED(&raw_b, raw_set(p, 0, 0, gpa_of(0), SLOT_SIZE));
	}
	compare("log", p->slots, &ours_a, &raw_a, 1.10);
	compare("do not log", p->slots, &ours_b, &raw_b, 1.10);
}

/* ---- 64 at once ---------------------------------------------------------- */

static int ours_batch(struct pair *p, bool create)
{
	struct memslot_txn *t;
	int r = memslot_begin(p->b.ms, &t, NULL);

	for (unsigned i = 0; !r && i < BATCH; i++) {
		struct memslot_config c = config_of(p, p->slots + i);

		r = create ? memslot_create(t, &c) : memslot_delete(t, 0, c.id);
	}
	return r ? r : memslot_commit(t, NULL, NULL);
}

static int raw_batch(struct pair *p, bool create)
{
	int r = 0;

	for (unsigned i = 0; !r && i < BATCH; i++) {
		unsigned n = p->slots + i;

		r = raw_set(p, n, 0, create ? gpa_of(n) : 0,
			create ? SLOT_SIZE : 0);
	}
	return r;
}

static void batch(struct pair *p)
{
	for (unsigned i = 0; i < rounds / 4 + 1; i++) {
		TIMED(&ours_a, ours_batch(p, true));
		TIMED(&raw_a, raw_batch(p, true));
		TIMED(&ours_b, ours_batch(p, false));
		TIMED(&raw_b, raw_batch(p, false));
	}
	compare("create 64", p->slots, &ours_a, &raw_a, 1.0);
	compare("delete 64", p->slots, &ours_b, &raw_b, 1.0);
}

int main(int argc, char **argv)
{
	static const unsigned counts[] = {1, 512, 8192};

	if (argc > 1)
		rounds = (unsigned)atoi(argv[1]);
	for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct pair p;

		open_pair(&p, counts[i]);
		create_delete(&p);
		move(&p);
		flags(&p);
		batch(&p);
		close_pair(&p);
	}
	return TEST_END("bench-slots") || too_slow;
}
