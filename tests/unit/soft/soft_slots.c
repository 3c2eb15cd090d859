/* SPDX-License-Identifier: MIT */
/*
 * soft_slots.c - the CPU and the slots: tracked stores, dirty log, devices,
 * memory that is read-only, goes away, or moves under running harts
 *
 * memslot/memslot.h, pagetrack/pagetrack.h and devices/bus.h say what must
 * hold; docs of the promise "no write to a tracked page is unseen": law 3 in
 * the design notes.
 */
#include "tests/unit/soft/soft_harness.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/test.h"

static struct sh m;

#define E(insn) sh_e(&m, insn)
#define C(insn) sh_c(&m, insn)
#define N(a)    (sizeof(a) / sizeof((a)[0]))

/* A second slot, for what is done to slots. */
#define SLOT_TWO 1u
#define TWO      0x90000000ull
#define OTHER    0xa0000000ull
#define TWO_SIZE 0x100000ull

static uint8_t *two;

static void add_two(uint32_t flags)
{
	struct memslot_config c = {0};
	struct memslot_error err = {0};

	c.id = SLOT_TWO;
	c.gpa = TWO;
	c.size = TWO_SIZE;
	c.host = two;
	c.flags = flags;
	if (!CHECK_EQ(memslots_create_slot(m.slots, &c, &err), 0))
		fprintf(stderr, "  %s\n", err.text);
}

static void open_two(unsigned harts, uint32_t flags)
{
	sh_open(&m, harts);
	two = mmap(NULL, TWO_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (two == MAP_FAILED)
		abort();
	add_two(flags);
}

static void close_two(void)
{
	sh_close(&m);
	munmap(two, TWO_SIZE);
}

/* ---- what the node heard ----------------------------------------------- */

struct heard {
	gpa_t gpa;
	size_t len;
	uint8_t bytes[8];
	struct pagetrack_source source;
};

#define HEARD_MAX 4096

static struct heard heard[HEARD_MAX], wanted[HEARD_MAX];
static unsigned heards, wants;
static pthread_mutex_t heard_lock = PTHREAD_MUTEX_INITIALIZER;

static void on_write(void *ctx, const struct pagetrack_write *w)
{
	struct heard *h;

	(void)ctx;
	pthread_mutex_lock(&heard_lock);
	if (heards < HEARD_MAX && w->len <= 8) {
		h = &heard[heards];
		memset(h, 0, sizeof(*h));
		h->gpa = w->gpa;
		h->len = w->len;
		memcpy(h->bytes, w->bytes, w->len);
		h->source = w->source;
		/* memory has changed already */
		if (w->gpa - RAM < RAM_SIZE)
			CHECK(!memcmp(w->bytes, sh_at(&m, w->gpa), w->len));
	}
	heards++;
	pthread_mutex_unlock(&heard_lock);
	CHECK(w->len >= 1 && w->len <= 8);
	CHECK_EQ(w->space, 0);
	CHECK_EQ(w->gpa >> 12, (w->gpa + w->len - 1) >> 12);
}

static const struct pagetrack_ops node_ops = {
	.name = "test", .write = on_write};

static struct pagetrack_node *node;

static void track(gpa_t gpa, uint64_t pages)
{
	struct memslot_error err = {0};

	if (!node && !CHECK_EQ(pagetrack_register(m.track, &node_ops, NULL,
				       PAGETRACK_FOLLOW, &node, &err),
			     0))
		exit(1);
	CHECK_EQ(pagetrack_add(node, 0, gpa >> 12, pages, &err), 0);
}

static void untrack(void)
{
	pagetrack_unregister(node);
	node = NULL;
	heards = wants = 0;
}

static void want(gpa_t gpa, uint64_t value, size_t len, unsigned hart,
	enum pagetrack_source_kind kind)
{
	struct heard *h = &wanted[wants++];

	if (wants > HEARD_MAX)
		abort();
	memset(h, 0, sizeof(*h));
	h->gpa = gpa;
	h->len = len;
	memcpy(h->bytes, &value, len);
	h->source.kind = kind;
	h->source.index = hart;
}

static void compare_heard(void)
{
	unsigned i, bad = 0;

	CHECK_EQ(heards, wants);
	for (i = 0; i < wants && i < heards; i++) {
		const struct heard *h = &heard[i], *w = &wanted[i];

		if (CHECK(h->gpa == w->gpa && h->len == w->len &&
			    !memcmp(h->bytes, w->bytes, 8) &&
			    h->source.kind == w->source.kind &&
			    h->source.index == w->source.index))
			continue;
		fprintf(stderr,
			"  write %u: gpa %#llx len %zu %02x.. source %d.%u, "
			"should be gpa %#llx len %zu %02x.. source %d.%u\n",
			i, (unsigned long long)h->gpa, h->len, h->bytes[0],
			(int)h->source.kind, h->source.index,
			(unsigned long long)w->gpa, w->len, w->bytes[0],
			(int)w->source.kind, w->source.index);
		if (++bad == 10)
			break;
	}
}

/* ---- tracked pages ----------------------------------------------------- */

/* Tracked: pages 1, 2 and 4 of PAGES. */
#define PAGES (DATA + 0x10000)

static bool is_tracked(gpa_t gpa)
{
	uint64_t page = (gpa - PAGES) >> 12;

	return page == 1 || page == 2 || page == 4;
}

static void want_store(gpa_t gpa, uint64_t value, unsigned len, unsigned hart)
{
	unsigned left = 4096 - (unsigned)(gpa & 4095);

	if (left > len)
		left = len;
	if (is_tracked(gpa))
		want(gpa, value, left, hart, PAGETRACK_CPU);
	if (left < len && is_tracked(gpa + left))
		want(gpa + left, value >> 8 * left, len - left, hart,
			PAGETRACK_CPU);
}

static void stores(unsigned hart)
{
	static uint32_t (*const store[])(unsigned, unsigned, int32_t) = {
		rv_sb, rv_sh, rv_sw, rv_sd};
	static const unsigned offset[] = {0, 8, 1, 3, 5, 7, 0x7f9, 0xff8, 0xff9,
		0xffa, 0xffb, 0xffc, 0xffd, 0xffe, 0xfff};
	uint64_t v = 0xf1e2d3c4b5a69788, at, old;
	unsigned page, i, k, round;

	for (round = 0; round < 2; round++) /* fast paths warm up */
		for (page = 0; page < 5; page++)
			for (i = 0; i < N(offset); i++)
				for (k = 0; k < 4; k++) {
					at = PAGES + 4096 * page + offset[i];
					v += 0x0101010101010101;
					sh_li(&m, RV_A0, at);
					sh_li(&m, RV_A1, v);
					E(store[k](RV_A1, RV_A0, 0));
					want_store(at, v, 1u << k, hart);
				}
	/* compressed and floating-point stores */
	sh_li(&m, RV_T0, SSTATUS_FS);
	E(rv_csrrs(RV_ZERO, RV_CSR_SSTATUS, RV_T0));
	for (page = 0; page < 5; page++) {
		at = PAGES + 4096 * page + 0x100;
		sh_li(&m, RV_A0, at);
		sh_li(&m, RV_A1, v);
		E(rv_mv(RV_SP, RV_A0));
		E(rv_fmv_d_x(RV_FA1, RV_A1));
		C(rv_c_sw(RV_A1, RV_A0, 4));
		want_store(at + 4, v, 4, hart);
		C(rv_c_sd(RV_A1, RV_A0, 8));
		want_store(at + 8, v, 8, hart);
		C(rv_c_fsd(RV_FA1, RV_A0, 16));
		want_store(at + 16, v, 8, hart);
		C(rv_c_swsp(RV_A1, 24));
		want_store(at + 24, v, 4, hart);
		C(rv_c_sdsp(RV_A1, 32));
		want_store(at + 32, v, 8, hart);
		C(rv_c_fsdsp(RV_FA1, 40));
		want_store(at + 40, v, 8, hart);
		E(rv_fsw(RV_FA1, RV_A0, 49));
		want_store(at + 49, v, 4, hart);
		E(rv_fsd(RV_FA1, RV_A0, 57));
		want_store(at + 57, v, 8, hart);
		/* atomics: the bytes are those in memory afterwards */
		sh_li(&m, RV_A1, 1000);
		E(rv_sd(RV_A1, RV_A0, 0));
		want_store(at, 1000, 8, hart);
		sh_li(&m, RV_A2, 234);
		E(rv_amoadd_d(RV_A3, RV_A2, RV_A0));
		want_store(at, 1234, 8, hart);
		E(rv_amoswap_w(RV_A3, RV_A2, RV_A0));
		want_store(at, 234, 4, hart);
		old = 234;
		E(rv_amomax_w(RV_A3, RV_ZERO, RV_A0)); /* nothing changes */
		want_store(at, old, 4, hart);
		E(rv_amoor_d(RV_ZERO, RV_ZERO, RV_A0));
		want_store(at, old, 8, hart);
		E(rv_lr_d(RV_A3, RV_A0));
		sh_li(&m, RV_A2, 777);
		E(rv_sc_d(RV_A3, RV_A2, RV_A0));
		want_store(at, 777, 8, hart);
		sh_expect(&m, RV_A3, 0, "sc on page %u", page);
		E(rv_sc_d(RV_A3, RV_A2, RV_A0)); /* fails: no write */
		E(rv_lr_w(RV_A3, RV_A0));
		sh_li(&m, RV_A2, 778);
		E(rv_sc_w(RV_A3, RV_A2, RV_A0));
		want_store(at, 778, 4, hart);
		sh_expect(&m, RV_A3, 0, "sc.w on page %u", page);
		/* loads are not writes */
		E(rv_ld(RV_A3, RV_A0, 0));
		sh_expect(&m, RV_A3, 778, "ld on page %u", page);
	}
}

static void tracked_stores(void)
{
	rv_label other, over, wait;

	sh_open(&m, 1);
	track(PAGES + 0x1000, 2);
	track(PAGES + 0x4000, 1);
	stores(0);
	sh_run(&m);
	compare_heard();
	untrack();
	sh_close(&m);

	/* the same on hart 1 */
	sh_open(&m, 2);
	track(PAGES + 0x1000, 2);
	track(PAGES + 0x4000, 1);
	other = rv_label_new(&m.p);
	over = rv_label_new(&m.p);
	rv_la(&m.p, RV_A1, other);
	sh_li(&m, RV_A0, 1);
	sh_sbi(&m, SBI_HSM, 0);
	sh_expect(&m, RV_A0, 0, "hart_start");
	sh_li(&m, RV_T2, DATA);
	wait = rv_label_here(&m.p);
	E(rv_ld(RV_T0, RV_T2, 0));
	rv_branch(&m.p, RV_BEQ, RV_T0, RV_ZERO, wait);
	E(rv_ld(RV_S11, RV_T2, 8));
	rv_jump(&m.p, RV_ZERO, over);
	rv_bind(&m.p, other);
	sh_li(&m, RV_S11, RESULTS + m.stream);
	E(rv_mv(RV_S10, RV_ZERO));
	sh_li(&m, RV_T0, RAM + m.handler);
	E(rv_csrw(RV_CSR_STVEC, RV_T0));
	stores(1);
	sh_li(&m, RV_T2, DATA);
	E(rv_sd(RV_S11, RV_T2, 8));
	E(rv_fence(3, 1));
	sh_li(&m, RV_T0, 1);
	E(rv_sd(RV_T0, RV_T2, 0));
	sh_sbi(&m, SBI_HSM, 1);
	rv_bind(&m.p, over);
	sh_run(&m);
	compare_heard();
	untrack();
	sh_close(&m);
}

/* Tracking starts, and ends, while the guest stores. */
static void *tracker(void *arg)
{
	volatile uint64_t *box = sh_at(&m, DATA);
	struct memslot_error err = {0};
	unsigned step;

	for (step = 1; step <= 40; step++) {
		while (__atomic_load_n(&box[0], __ATOMIC_ACQUIRE) != step)
			usleep(20);
		if (step & 1)
			CHECK_EQ(pagetrack_add(node, 0, PAGES >> 12, 1, &err),
				0);
		else
			CHECK_EQ(
				pagetrack_remove(node, 0, PAGES >> 12, 1, &err),
				0);
		__atomic_store_n(&box[1], step, __ATOMIC_RELEASE);
	}
	return arg;
}

static void track_while_running(void)
{
	rv_label wait;
	pthread_t thread;
	unsigned step, k;

	sh_open(&m, 1);
	track(PAGES + 0x8000, 1);
	sh_li(&m, RV_S0, DATA);
	sh_li(&m, RV_S1, PAGES);
	for (step = 1; step <= 40; step++) {
		sh_li(&m, RV_A1, step);
		E(rv_fence(3, 3));
		E(rv_sd(RV_A1, RV_S0, 0));
		wait = rv_label_here(&m.p);
		E(rv_sd(RV_A1, RV_S0, 0x100)); /* warm, another page */
		E(rv_ld(RV_T0, RV_S0, 8));
		rv_branch(&m.p, RV_BNE, RV_T0, RV_A1, wait);
		E(rv_fence(3, 3));
		for (k = 0; k < 3; k++) {
			E(rv_sd(RV_A1, RV_S1, 8 * (int)k));
			if (step & 1)
				want(PAGES + 8 * k, step, 8, 0, PAGETRACK_CPU);
		}
	}
	sh_start(&m);
	if (!CHECK(!pthread_create(&thread, NULL, tracker, NULL)))
		return;
	sh_go(&m);
	pthread_join(thread, NULL);
	compare_heard();
	untrack();
	sh_close(&m);
}

/* Accessed and dirty bits in tracked tables are writes of the walker. */
static void walker(void)
{
	uint64_t root = TABLES, level1 = TABLES + 0x1000;
	uint64_t level0 = TABLES + 0x2000, pte = PTE_V | PTE_RWX;
	int k;

	sh_open(&m, 1);
	sh_put(&m, root + 8 * (RAM >> 30), PTE_PA(RAM) | PTE_ALL);
	sh_put(&m, root + 8, PTE_PA(level1) | PTE_V);
	sh_put(&m, level1, PTE_PA(level0) | PTE_V);
	sh_put(&m, level1 + 8, PTE_PA(SPARE) | pte);
	for (k = 0; k < 8; k++)
		sh_put(&m, level0 + 8 * (unsigned)k, PTE_PA(PAGES) | pte);
	track(TABLES, 3);
	sh_li(&m, RV_T0, SATP_SV39 | root >> 12);
	E(rv_csrw(RV_CSR_SATP, RV_T0));
	E(rv_sfence_vma(RV_ZERO, RV_ZERO));
	pte |= PTE_PA(PAGES);
	for (k = 0; k < 8; k++) {
		uint64_t at = level0 + 8 * (unsigned)k;

		sh_li(&m, RV_A0, 0x40000000 + 4096 * (uint64_t)k);
		if (k & 1) { /* a load first: two steps */
			E(rv_ld(RV_A1, RV_A0, 0));
			want(at, pte | PTE_A, 8, 0, PAGETRACK_WALKER);
		}
		if (k & 2)
			E(rv_amoadd_d(RV_A1, RV_ZERO, RV_A0));
		else
			E(rv_sd(RV_ZERO, RV_A0, 0));
		want(at, pte | PTE_A | PTE_D, 8, 0, PAGETRACK_WALKER);
		/* and no more */
		E(rv_ld(RV_A1, RV_A0, 0));
		E(rv_sd(RV_ZERO, RV_A0, 8));
		E(rv_sfence_vma(RV_ZERO, RV_ZERO));
		E(rv_ld(RV_A1, RV_A0, 0));
		E(rv_sd(RV_ZERO, RV_A0, 8));
	}
	/* a superpage; the guest's own write to a table is the CPU's */
	sh_li(&m, RV_A0, 0x40200000);
	E(rv_sd(RV_ZERO, RV_A0, 0));
	want(level1 + 8, PTE_PA(SPARE) | PTE_ALL, 8, 0, PAGETRACK_WALKER);
	sh_li(&m, RV_A0, level0);
	sh_li(&m, RV_A1, pte);
	E(rv_sd(RV_A1, RV_A0, 0));
	want(level0, pte, 8, 0, PAGETRACK_CPU);
	E(rv_sfence_vma(RV_ZERO, RV_ZERO));
	/* a fetch sets A */
	sh_li(&m, RV_A0, 0x40000000);
	sh_li(&m, RV_A2, PAGES);
	sh_li(&m, RV_A1, 0x8082);
	E(rv_sw(RV_A1, RV_A2, 0));
	E(rv_fence_i());
	E(rv_jalr(RV_RA, RV_A0, 0));
	want(level0, pte | PTE_A, 8, 0, PAGETRACK_WALKER);
	sh_expect(&m, RV_ZERO, 0, "walked");
	sh_run(&m);
	compare_heard();
	untrack();
	sh_close(&m);
}

/* ---- dirty log --------------------------------------------------------- */

#define ROUNDS 60

static uint64_t round_pages(unsigned round)
{
	/* pages 0 .. 31 of slot two; 40 is always read and never written */
	return (0x9e3779b97f4a7c15 * (round + 1)) >> 32;
}

static void check_harvest(unsigned round, uint64_t pages)
{
	struct memslot_harvest *h;
	struct memslot_error err = {0};
	uint64_t page;

	if (!CHECK_EQ(memslot_harvest(m.slots, 0, SLOT_TWO, &h, &err), 0))
		return;
	for (page = 0; page < TWO_SIZE >> 12; page++) {
		bool should = page < 32 && (pages >> page & 1);

		if (!CHECK_EQ(memslot_harvest_test(h, page), should))
			fprintf(stderr, "  round %u page %u\n", round,
				(unsigned)page);
	}
	memslot_harvest_done(h);
}

static void *harvester(void *arg)
{
	volatile uint64_t *box = sh_at(&m, DATA);
	unsigned round;

	for (round = 1; round <= ROUNDS; round++) {
		while (__atomic_load_n(&box[0], __ATOMIC_ACQUIRE) != round)
			usleep(20);
		check_harvest(round, round_pages(round));
		__atomic_store_n(&box[1], round, __ATOMIC_RELEASE);
	}
	return arg;
}

static void dirty(void)
{
	rv_label wait;
	pthread_t thread;
	unsigned round, page;

	open_two(1, MEMSLOT_LOG_DIRTY);
	check_harvest(0, 0);
	sh_li(&m, RV_S0, DATA);
	for (round = 1; round <= ROUNDS; round++) {
		uint64_t pages = round_pages(round);

		for (page = 0; page < 32; page++) {
			sh_li(&m, RV_A0, TWO + 4096 * page);
			E(rv_ld(RV_A1, RV_A0, 16)); /* reads do not count */
			if (!(pages >> page & 1))
				continue;
			switch ((page + round) % 5) {
			case 0:
				E(rv_sb(RV_S0, RV_A0, 1));
				break;
			case 1:
				E(rv_amoadd_w(RV_A1, RV_S0, RV_A0));
				break;
			case 2:
				E(rv_lr_d(RV_A1, RV_A0));
				E(rv_sc_d(RV_A2, RV_S0, RV_A0));
				sh_expect(&m, RV_A2, 0, "sc");
				break;
			case 3:
				if (page && pages >> (page - 1) & 1) {
					/* from the page before into this */
					E(rv_sd(RV_S0, RV_A0, -3));
					break;
				}
				E(rv_sd(RV_S0, RV_A0, 2041));
				break;
			default:
				E(rv_sw(RV_S0, RV_A0, 100));
				E(rv_sw(RV_S0, RV_A0, 104));
				break;
			}
		}
		sh_li(&m, RV_A0, TWO + 4096 * 40);
		E(rv_ld(RV_A1, RV_A0, 0));
		E(rv_lr_d(RV_A1, RV_A0));
		sh_li(&m, RV_A1, round);
		E(rv_fence(3, 3));
		E(rv_sd(RV_A1, RV_S0, 0));
		wait = rv_label_here(&m.p);
		E(rv_ld(RV_T0, RV_S0, 8));
		rv_branch(&m.p, RV_BNE, RV_T0, RV_A1, wait);
		E(rv_fence(3, 3));
	}
	sh_start(&m);
	if (!CHECK(!pthread_create(&thread, NULL, harvester, NULL)))
		return;
	sh_go(&m);
	pthread_join(thread, NULL);
	close_two();
}

/* Accessed and dirty bits make the pages of the tables dirty. */
static void dirty_tables(void)
{
	uint64_t root = TWO, level1 = TWO + 0x1000, level0 = TWO + 0x2000, v;

	open_two(1, MEMSLOT_LOG_DIRTY);
	v = PTE_PA(RAM & ~0x3fffffffull) | PTE_ALL;
	memcpy(two + 8 * (RAM >> 30), &v, 8);
	v = PTE_PA(level1) | PTE_V;
	memcpy(two + 8, &v, 8);
	v = PTE_PA(level0) | PTE_V;
	memcpy(two + 0x1000, &v, 8);
	v = PTE_PA(PAGES) | PTE_V | PTE_RWX;
	memcpy(two + 0x2000, &v, 8);
	v = PTE_PA(SPARE) | PTE_V | PTE_RWX | PTE_A;
	memcpy(two + 0x1000 + 8, &v, 8);
	sh_li(&m, RV_T0, SATP_SV39 | root >> 12);
	E(rv_csrw(RV_CSR_SATP, RV_T0));
	E(rv_sfence_vma(RV_ZERO, RV_ZERO));
	sh_li(&m, RV_A0, 0x40200000); /* A is set already: nothing to do */
	E(rv_ld(RV_A1, RV_A0, 0));
	sh_li(&m, RV_A0, 0x40000000);
	E(rv_ld(RV_A1, RV_A0, 0));
	E(rv_csrw(RV_CSR_SATP, RV_ZERO));
	sh_expect(&m, RV_A1, 0, "walked");
	sh_run(&m);
	check_harvest(0, 1 << 2);
	close_two();
}

/* ---- read-only memory, devices ------------------------------------------ */

static void readonly(void)
{
	uint64_t root = TWO + 0x10000, v;

	open_two(1, MEMSLOT_READONLY);
	v = 0x8082; /* c.jr ra */
	memcpy(two, &v, 8);
	v = PTE_PA(RAM & ~0x3fffffffull) | PTE_ALL;
	memcpy(two + 0x10000 + 8 * (RAM >> 30), &v, 8);
	v = PTE_PA(0x80000000) | PTE_V | PTE_RWX; /* no A, no D */
	memcpy(two + 0x10000 + 8 * 5, &v, 8);
	sh_li(&m, RV_A0, TWO);
	sh_li(&m, RV_A1, TWO + 4);
	E(rv_ld(RV_A2, RV_A0, 0));
	sh_expect(&m, RV_A2, 0x8082, "load of read-only memory");
	E(rv_jalr(RV_RA, RV_A0, 0));
	E(rv_lr_d(RV_A2, RV_A0));
	sh_expect(&m, RV_A2, 0x8082, "lr of read-only memory");
#define T(insn, cause, tval) \
	sh_try(&m);          \
	E(insn);             \
	sh_trapped(&m, cause, tval, "read-only: " #insn);
	T(rv_sb(RV_A0, RV_A0, 1), CAUSE_STORE_ACCESS, TWO + 1)
	T(rv_sh(RV_A0, RV_A0, 2), CAUSE_STORE_ACCESS, TWO + 2)
	T(rv_sw(RV_A0, RV_A0, 4), CAUSE_STORE_ACCESS, TWO + 4)
	T(rv_sd(RV_A0, RV_A0, 8), CAUSE_STORE_ACCESS, TWO + 8)
	E(rv_lr_d(RV_A2, RV_A0)); /* else sc looks at no memory */
	T(rv_sc_d(RV_A2, RV_A0, RV_A0), CAUSE_STORE_ACCESS, TWO)
	T(rv_amoadd_d(RV_A2, RV_A0, RV_A0), CAUSE_STORE_ACCESS, TWO)
	T(rv_amoswap_w(RV_A2, RV_A0, RV_A1), CAUSE_STORE_ACCESS, TWO + 4)
	/* tables in read-only memory: A can not be set (4.3.1) */
	sh_li(&m, RV_T0, SATP_SV39 | root >> 12);
	E(rv_csrw(RV_CSR_SATP, RV_T0));
	E(rv_sfence_vma(RV_ZERO, RV_ZERO));
	sh_li(&m, RV_A3, 0x140000000);
	T(rv_ld(RV_A2, RV_A3, 0), CAUSE_LOAD_ACCESS, 0x140000000)
	T(rv_sd(RV_A2, RV_A3, 0), CAUSE_STORE_ACCESS, 0x140000000)
#undef T
	E(rv_csrw(RV_CSR_SATP, RV_ZERO));
	sh_run(&m);
	CHECK(two[0] == 0x82 && two[1] == 0x80 && !two[2] && !two[4]);
	close_two();
}

#define DEVICE 0x10000000ull

static struct {
	unsigned reads, writes;
	struct {
		uint64_t offset, value;
		unsigned len;
	} log[64];
} device;

static uint64_t device_read(void *ctx, uint64_t offset, unsigned len)
{
	uint64_t v = 0x8899aabbccddeeff + offset;

	(void)ctx;
	device.reads++;
	return len == 8 ? v : v & ((1ull << 8 * len) - 1);
}

static void device_write(
	void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	(void)ctx;
	if (device.writes < N(device.log)) {
		device.log[device.writes].offset = offset;
		device.log[device.writes].len = len;
		device.log[device.writes].value = value;
	}
	device.writes++;
}

static const struct bus_ops device_ops = {"device", device_read, device_write};

static void devices(void)
{
	static const struct {
		uint32_t (*insn)(unsigned, unsigned, int32_t);
		unsigned len;
		bool is_signed;
	} load[] = {{rv_lb, 1, true}, {rv_lbu, 1, false}, {rv_lh, 2, true},
		{rv_lhu, 2, false}, {rv_lw, 4, true}, {rv_lwu, 4, false},
		{rv_ld, 8, true}};
	static uint32_t (*const store[])(unsigned, unsigned, int32_t) = {
		rv_sb, rv_sh, rv_sw, rv_sd};
	uint64_t v;
	unsigned i, k, shift, reads = 0, writes = 0;

	memset(&device, 0, sizeof(device));
	sh_open(&m, 1);
	CHECK_EQ(bus_add(&m.bus, DEVICE, 0x100, &device_ops, NULL, NULL), 0);
	sh_li(&m, RV_S0, DEVICE);
	sh_li(&m, RV_T0, SSTATUS_FS);
	E(rv_csrrs(RV_ZERO, RV_CSR_SSTATUS, RV_T0));
	for (i = 0; i < N(load); i++)
		for (k = 0; k < 0x20; k += load[i].len, reads++) {
			v = 0x8899aabbccddeeff + k;
			shift = 64 - 8 * load[i].len;
			v <<= shift;
			v = load[i].is_signed ? (uint64_t)((int64_t)v >> shift)
					      : v >> shift;
			E(load[i].insn(RV_A0, RV_S0, (int)k));
			sh_expect(&m, RV_A0, v, "device load %u at %u", i, k);
		}
	v = 0x1122334455667788;
	sh_li(&m, RV_A1, v);
	for (i = 0; i < 4; i++) {
		E(store[i](RV_A1, RV_S0, 1 << (i + 3)));
		writes++;
	}
	E(rv_flw(RV_FA0, RV_S0, 4));
	E(rv_fmv_x_d(RV_A0, RV_FA0));
	sh_expect(&m, RV_A0, 0xffffffffccddef03, "flw of a device");
	E(rv_fsd(RV_FA0, RV_S0, 128));
	reads++;
	writes++;
	/* code, atomics and tables are no business of a device */
	sh_try(&m);
	E(rv_jalr(RV_RA, RV_S0, 0));
	sh_trapped_at(&m, CAUSE_FETCH_ACCESS, DEVICE, DEVICE, 0, 0,
		"fetch from a device");
	sh_try(&m);
	E(rv_amoadd_w(RV_A0, RV_A1, RV_S0));
	sh_trapped(&m, CAUSE_STORE_ACCESS, DEVICE, "amo on a device");
	sh_try(&m);
	E(rv_lr_w(RV_A0, RV_S0));
	sh_trapped(&m, CAUSE_LOAD_ACCESS, DEVICE, "lr on a device");
	/* beside it */
	sh_try(&m);
	E(rv_lw(RV_A0, RV_S0, 0x100));
	sh_trapped(&m, CAUSE_LOAD_ACCESS, DEVICE + 0x100, "after the device");
	sh_try(&m);
	E(rv_sb(RV_A0, RV_S0, -1));
	sh_trapped(&m, CAUSE_STORE_ACCESS, DEVICE - 1, "before the device");
	sh_run(&m);
	CHECK_EQ(device.reads, reads);
	CHECK_EQ(device.writes, writes);
	for (i = 0; i < 4; i++) {
		CHECK_EQ(device.log[i].offset, 8u << i);
		CHECK_EQ(device.log[i].len, 1u << i);
		CHECK_EQ(device.log[i].value,
			i == 3 ? v : v & ((1ull << (8u << i)) - 1));
	}
	CHECK_EQ(device.log[4].offset, 128);
	CHECK_EQ(device.log[4].len, 8);
	CHECK_EQ(device.log[4].value, 0xffffffffccddef03);
	sh_close(&m);
}

/* ---- slots that go and come -------------------------------------------- */

static void *remover(void *arg)
{
	volatile uint64_t *box = sh_at(&m, DATA);
	unsigned step;

	for (step = 1; step <= 20; step++) {
		while (__atomic_load_n(&box[0], __ATOMIC_ACQUIRE) != step)
			usleep(20);
		if (step & 1)
			CHECK_EQ(memslots_delete_slot(
					 m.slots, 0, SLOT_TWO, NULL),
				0);
		else
			add_two(0);
		__atomic_store_n(&box[1], step, __ATOMIC_RELEASE);
	}
	return arg;
}

static void deleted(void)
{
	rv_label wait;
	pthread_t thread;
	unsigned step;

	open_two(1, 0);
	two[0x2000] = 0x82; /* c.jr ra */
	two[0x2001] = 0x80;
	sh_li(&m, RV_S0, DATA);
	sh_li(&m, RV_S1, TWO + 0x1000);
	sh_li(&m, RV_S2, TWO + 0x2000);
	for (step = 1; step <= 20; step++) {
		/* it is warm in every cache there may be */
		if (step & 1) {
			sh_li(&m, RV_A1, step);
			E(rv_sd(RV_A1, RV_S1, 0));
			E(rv_ld(RV_A2, RV_S1, 0));
			E(rv_jalr(RV_RA, RV_S2, 0));
			sh_expect(&m, RV_A2, step, "while it is there");
		}
		sh_li(&m, RV_A1, step);
		E(rv_fence(3, 3));
		E(rv_sd(RV_A1, RV_S0, 0));
		wait = rv_label_here(&m.p);
		E(rv_ld(RV_T0, RV_S0, 8));
		rv_branch(&m.p, RV_BNE, RV_T0, RV_A1, wait);
		E(rv_fence(3, 3));
		if (!(step & 1)) {
			E(rv_ld(RV_A2, RV_S1, 0));
			sh_expect(&m, RV_A2, step - 1, "it is back");
			E(rv_jalr(RV_RA, RV_S2, 0));
			continue;
		}
		sh_try(&m);
		E(rv_ld(RV_A2, RV_S1, 0));
		sh_trapped(&m, CAUSE_LOAD_ACCESS, TWO + 0x1000, "load, gone");
		sh_try(&m);
		E(rv_sd(RV_A2, RV_S1, 0));
		sh_trapped(&m, CAUSE_STORE_ACCESS, TWO + 0x1000, "store, gone");
		sh_try(&m);
		E(rv_amoadd_d(RV_A2, RV_A1, RV_S1));
		sh_trapped(&m, CAUSE_STORE_ACCESS, TWO + 0x1000, "amo, gone");
		sh_try(&m);
		E(rv_jalr(RV_RA, RV_S2, 0));
		sh_trapped_at(&m, CAUSE_FETCH_ACCESS, TWO + 0x2000,
			TWO + 0x2000, 0, 0, "fetch, gone");
	}
	sh_start(&m);
	if (!CHECK(!pthread_create(&thread, NULL, remover, NULL)))
		return;
	sh_go(&m);
	pthread_join(thread, NULL);
	close_two();
}

/* ---- a slot that moves ------------------------------------------------- */

/*
 * Two harts store 1, 2, 3 ... round their own 32 KiB of slot two, read each
 * word back and count with an AMO, all at TWO or OTHER; an access fault
 * makes them try the other address. Meanwhile a host thread moves the slot
 * to and fro, with every step that can fail failing in turn, and page 1 of
 * each half is tracked. Nothing may be lost, unseen, or seen twice.
 */
#define MOVES     150
#define MOVE_MASK 0xfffull
#define HALF      0x10000ull
#define COUNTER   0xf000ull

static struct {
	uint64_t last[2], count[2], errors;
	unsigned failures;
} moving;

static void on_moving_write(void *ctx, const struct pagetrack_write *w)
{
	uint64_t at = w->gpa & (TWO_SIZE - 1), v = 0;
	unsigned hart = at >= HALF;

	(void)ctx;
	memcpy(&v, w->bytes, w->len <= 8 ? w->len : 8);
	pthread_mutex_lock(&heard_lock);
	if (w->len != 8 || w->source.kind != PAGETRACK_CPU ||
		w->source.index != hart ||
		((w->gpa & ~(TWO_SIZE - 1)) != TWO &&
			(w->gpa & ~(TWO_SIZE - 1)) != OTHER) ||
		v <= moving.last[hart] ||
		at - hart * HALF != (v & MOVE_MASK) * 8)
		moving.errors++;
	moving.last[hart] = v;
	moving.count[hart]++;
	pthread_mutex_unlock(&heard_lock);
}

static const struct pagetrack_ops moving_ops = {
	.name = "moving", .write = on_moving_write};

static void *mover(void *arg)
{
	volatile uint64_t *box = sh_at(&m, DATA);
	static struct fault_plan plan;
	struct memslot_error err;
	unsigned i, nth;
	int r;

	while (!__atomic_load_n(&box[0], __ATOMIC_ACQUIRE))
		usleep(20);
	for (i = 0; i < MOVES; i++) {
		gpa_t to = i & 1 ? TWO : OTHER;

		for (nth = 1;; nth++) {
			uint64_t generation = memslots_generation(m.slots);

			if (i % 8 == 0) {
				fault_arm(&plan, FAULT_ANY, nth, false);
				memslots_set_faults(m.slots, &plan);
			}
			r = memslots_move_slot(m.slots, 0, SLOT_TWO, to,
				MEMSLOT_MOVE_KEEP, &err);
			memslots_set_faults(m.slots, NULL);
			if (!r)
				break;
			moving.failures++;
			CHECK_EQ(memslots_generation(m.slots), generation);
			CHECK(!memslots_broken(m.slots));
			if (!CHECK(nth < 100 && i % 8 == 0))
				break;
			usleep(200);
		}
		usleep(i % 4 * 300);
	}
	__atomic_store_n(&box[1], 1, __ATOMIC_RELEASE);
	return arg;
}

static void moves(void)
{
	rv_label body, other, over, loop, handler, wait, good;
	struct memslot_error err = {0};
	pthread_t thread;
	unsigned hart, w;

	memset(&moving, 0, sizeof(moving));
	open_two(2, 0);
	CHECK_EQ(pagetrack_register(m.track, &moving_ops, NULL,
			 PAGETRACK_FOLLOW, &node, &err),
		0);
	CHECK_EQ(pagetrack_add(node, 0, (TWO >> 12) + 1, 1, &err), 0);
	CHECK_EQ(pagetrack_add(node, 0, ((TWO + HALF) >> 12) + 1, 1, &err), 0);
	body = rv_label_new(&m.p);
	other = rv_label_new(&m.p);
	over = rv_label_new(&m.p);
	handler = rv_label_new(&m.p);
	rv_jump(&m.p, RV_ZERO, over);
	/* access fault: swap the addresses, one instruction back */
	rv_align(&m.p, 4);
	rv_bind(&m.p, handler);
	E(rv_mv(RV_T4, RV_S0));
	E(rv_mv(RV_S0, RV_S1));
	E(rv_mv(RV_S1, RV_T4));
	E(rv_csrr(RV_T4, RV_CSR_SEPC));
	E(rv_addi(RV_T4, RV_T4, -4));
	E(rv_csrw(RV_CSR_SEPC, RV_T4));
	E(rv_sret());
	/* s0, s1 addresses, a0 = hart; returns to ra */
	rv_bind(&m.p, body);
	rv_la(&m.p, RV_T0, handler);
	E(rv_csrw(RV_CSR_STVEC, RV_T0));
	sh_li(&m, RV_S2, 0);
	sh_li(&m, RV_S3, MOVE_MASK);
	sh_li(&m, RV_S4, COUNTER);
	sh_li(&m, RV_S5, 0);
	sh_li(&m, RV_S6, DATA);
	sh_li(&m, RV_S7, 1);
	E(rv_sd(RV_S7, RV_S6, 0)); /* go */
	loop = rv_label_here(&m.p);
	E(rv_addi(RV_S2, RV_S2, 1));
	E(rv_and(RV_T1, RV_S2, RV_S3));
	E(rv_slli(RV_T1, RV_T1, 3));
	E(rv_add(RV_T2, RV_S0, RV_T1));
	E(rv_sd(RV_S2, RV_T2, 0));
	E(rv_add(RV_T2, RV_S0, RV_T1));
	E(rv_ld(RV_T3, RV_T2, 0));
	good = rv_label_new(&m.p);
	rv_branch(&m.p, RV_BEQ, RV_T3, RV_S2, good);
	E(rv_addi(RV_S5, RV_S5, 1));
	rv_bind(&m.p, good);
	E(rv_add(RV_T2, RV_S0, RV_S4));
	E(rv_amoadd_d(RV_ZERO, RV_S7, RV_T2));
	E(rv_ld(RV_T0, RV_S6, 8));
	rv_branch(&m.p, RV_BEQ, RV_T0, RV_ZERO, loop);
	/* what was done: DATA + 0x100 and 0x200, by hart */
	E(rv_slli(RV_T0, RV_A0, 3));
	E(rv_add(RV_T0, RV_T0, RV_S6));
	E(rv_sd(RV_S5, RV_T0, 0x200));
	E(rv_fence(3, 3));
	E(rv_sd(RV_S2, RV_T0, 0x100));
	E(rv_jalr(RV_ZERO, RV_RA, 0));
	rv_bind(&m.p, other);
	sh_li(&m, RV_S0, TWO + HALF);
	sh_li(&m, RV_S1, OTHER + HALF);
	rv_jump(&m.p, RV_RA, body);
	sh_sbi(&m, SBI_HSM, 1);
	rv_bind(&m.p, over);
	rv_la(&m.p, RV_A1, other);
	sh_li(&m, RV_A0, 1);
	sh_sbi(&m, SBI_HSM, 0);
	sh_expect(&m, RV_A0, 0, "hart_start");
	sh_li(&m, RV_A0, 0);
	sh_li(&m, RV_S0, TWO);
	sh_li(&m, RV_S1, OTHER);
	rv_jump(&m.p, RV_RA, body);
	wait = rv_label_here(&m.p);
	E(rv_ld(RV_T0, RV_S6, 0x108));
	rv_branch(&m.p, RV_BEQ, RV_T0, RV_ZERO, wait);
	sh_start(&m);
	if (!CHECK(!pthread_create(&thread, NULL, mover, NULL)))
		return;
	sh_go(&m);
	pthread_join(thread, NULL);
	CHECK(moving.failures > 0);
	CHECK_EQ(moving.errors, 0);
	for (hart = 0; hart < 2; hart++) {
		uint64_t n = sh_get(&m, DATA + 0x100 + 8 * hart), v, seen;

		CHECK(n > 1000);
		CHECK_EQ(sh_get(&m, DATA + 0x200 + 8 * hart), 0);
		memcpy(&v, two + hart * HALF + COUNTER, 8);
		CHECK_EQ(v, n);
		for (w = 0; w <= MOVE_MASK; w++) {
			/* the last number not above n that is w modulo */
			uint64_t last = n - ((n - w) & MOVE_MASK);

			if (n < w || !last)
				last = 0;
			memcpy(&v, two + hart * HALF + 8 * w, 8);
			if (!CHECK_EQ(v, last))
				break;
		}
		/* numbers up to n that are 512 .. 1023 modulo 4096 */
		seen = (n + 1) / 4096 * 512;
		if ((n + 1) % 4096 > 512)
			seen += ((n + 1) % 4096 < 1024 ? (n + 1) % 4096
						       : 1024) -
				512;
		CHECK_EQ(moving.count[hart], seen);
	}
	if (getenv("VERBOSE"))
		printf("%llu + %llu stores, %u failed moves\n",
			(unsigned long long)sh_get(&m, DATA + 0x100),
			(unsigned long long)sh_get(&m, DATA + 0x108),
			moving.failures);
	untrack();
	close_two();
}

int main(void)
{
	sh_watchdog(120);
	tracked_stores();
	track_while_running();
	walker();
	dirty();
	dirty_tables();
	readonly();
	devices();
	deleted();
	moves();
	return sh_end("soft_slots", TEST_END("soft_slots, host side"));
}
