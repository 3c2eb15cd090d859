/* SPDX-License-Identifier: MIT */
/*
 * check.c - what the two libraries promise, without an operating system
 *
 * Eight pages in two slots, whose bytes say which page they are. Every
 * scene ends with an empty arena. Then a second hart reads and writes while
 * this one swaps the slots under it.
 */
#include "image.h"

#include "memslot/error.h"
#include "memslot/fault.h"
#include "pagetrack/pagetrack.h"

#include <errno.h>
#include <string.h>

#define PAGE  MEMSLOT_PAGE_SIZE
#define PAGES 32u

static _Alignas(4096) uint8_t memory[PAGES][4096];

/* ---- checks --------------------------------------------------------------- */

static unsigned checks, failures;
static struct memslot_error err;

static void check(bool holds, const char *what, int line)
{
	char text[200];

	checks++;
	if (holds)
		return;
	failures++;
	memslot_format(text, sizeof(text), "line %d: not so: %s (%s)\n", line,
		what, err.text);
	bare_print(text);
}
#define CHECK(x) check((x), #x, __LINE__)

/* ---- a scene: slot 1 at pages 16..19, slot 2 at 32..35 -------------------- */

#define A 16u
#define B 32u

struct ear {
	struct pagetrack_node *node;
	unsigned heard;
	gpa_t last;
	uint64_t gone;
};

struct scene {
	struct memslots *ms;
	struct pagetrack *pt;
	struct memslot_reader r;
	struct fault_plan plan;
	struct ear stay, follow, refuse;
};

static struct scene sc;

static void ear_write(void *ctx, const struct pagetrack_write *w)
{
	struct ear *e = ctx;

	e->heard++;
	e->last = w->gpa;
}

static void ear_committed(void *ctx, const struct memslot_txn *t, uint64_t gone)
{
	struct ear *e = ctx;

	(void)t;
	e->gone = gone;
}

static const struct pagetrack_ops ear_ops = {
	.name = "ear", .write = ear_write, .committed = ear_committed};

static struct memslot_config config(
	unsigned id, gfn_t gfn, uint64_t pages, unsigned first, uint32_t flags)
{
	return (struct memslot_config){
		.id = id,
		.gpa = gfn * PAGE,
		.size = pages * PAGE,
		.host = memory[first],
		.flags = flags,
	};
}

static int create(
	unsigned id, gfn_t gfn, uint64_t pages, unsigned first, uint32_t flags)
{
	struct memslot_config c = config(id, gfn, pages, first, flags);

	return memslots_create_slot(sc.ms, &c, &err);
}

static int move(unsigned id, gfn_t gfn)
{
	return memslots_move_slot(
		sc.ms, 0, id, gfn * PAGE, MEMSLOT_MOVE_KEEP, &err);
}

static void scene_open(uint32_t flags)
{
	memset(&sc, 0, sizeof(sc));
	memset(&err, 0, sizeof(err));
	for (unsigned i = 0; i < PAGES; i++)
		memset(memory[i], (int)i, 64);
	CHECK(bare_live() == 0);
	CHECK(memslots_create(&bare_platform, 2, &sc.ms, &err) == 0);
	memslots_set_faults(sc.ms, &sc.plan);
	memslot_reader_init(&sc.r, sc.ms, NULL, NULL);
	CHECK(pagetrack_create(sc.ms, &sc.pt, &err) == 0);
	CHECK(pagetrack_register(sc.pt, &ear_ops, &sc.stay, PAGETRACK_STAY,
		      &sc.stay.node, &err) == 0);
	CHECK(pagetrack_register(sc.pt, &ear_ops, &sc.follow, PAGETRACK_FOLLOW,
		      &sc.follow.node, &err) == 0);
	CHECK(pagetrack_register(sc.pt, &ear_ops, &sc.refuse, PAGETRACK_REFUSE,
		      &sc.refuse.node, &err) == 0);
	CHECK(create(1, A, 4, 0, flags) == 0);
	CHECK(create(2, B, 4, 4, flags) == 0);
}

static void scene_close(void)
{
	pagetrack_unregister(sc.stay.node);
	pagetrack_unregister(sc.follow.node);
	pagetrack_unregister(sc.refuse.node);
	pagetrack_destroy(sc.pt);
	memslot_reader_fini(&sc.r);
	memslots_destroy(sc.ms);
	CHECK(bare_live() == 0);
	CHECK(!bare_heap_broken());
}

/* The page of `memory` that the guest sees there; PAGES: none. */
static unsigned seen(gfn_t gfn)
{
	uint8_t byte = PAGES;

	return pagetrack_guest_read(&sc.r, 0, gfn * PAGE, &byte, 1) == 0
		       ? byte
		       : PAGES;
}

/* Bytes that are there already: nothing but the store is to be noticed. */
static int poke(gfn_t gfn)
{
	const struct pagetrack_source device = {PAGETRACK_DEVICE, 1};
	uint8_t byte = (uint8_t)seen(gfn);

	return pagetrack_guest_write(
		sc.pt, &sc.r, 0, gfn * PAGE, &byte, 1, device);
}

static bool dirty(gfn_t gfn)
{
	const struct memslot *s = memslot_enter_at(&sc.r, 0, gfn);
	bool is = s && memslot_page_dirty(s, gfn);

	memslot_leave(&sc.r);
	return is;
}

static struct memslot_txn *begin(void)
{
	struct memslot_txn *t = NULL;

	CHECK(memslot_begin(sc.ms, &t, &err) == 0);
	return t;
}

static int commit(struct memslot_txn *t)
{
	return memslot_commit(t, NULL, &err);
}

/* ---- slots ------------------------------------------------------------------ */

static void check_slots(void)
{
	const struct memslot *s;

	scene_open(0);
	CHECK(memslots_generation(sc.ms) == 2);
	for (unsigned i = 0; i < 4; i++) {
		CHECK(seen(A + i) == i);
		CHECK(seen(B + i) == 4 + i);
	}
	CHECK(seen(A - 1) == PAGES);
	CHECK(seen(A + 4) == PAGES);
	memslot_enter(&sc.r);
	s = memslot_lookup(&sc.r, 0, A + 3);
	CHECK(s && s->id == 1);
	CHECK(memslot_lookup(&sc.r, 0, A) == s);
	CHECK(memslot_by_id(&sc.r, 0, 1) == s);
	CHECK(memslot_by_host(&sc.r, memory[3], NULL) == s);
	CHECK(memslot_next(&sc.r, 0, 0) == s);
	CHECK(!memslot_lookup(&sc.r, 1, A));
	CHECK(!memslot_large_ok(s, A));
	memslot_leave(&sc.r);
	CHECK(move(1, 64) == 0);
	CHECK(seen(64) == 0);
	CHECK(seen(A) == PAGES);
	CHECK(memslots_delete_slot(sc.ms, 0, 1, &err) == 0);
	CHECK(seen(64) == PAGES);
	CHECK(memslots_generation(sc.ms) == 4);
	scene_close();
}

static struct memslot_txn *swap_begin(void)
{
	struct memslot_txn *t = begin();

	memslot_move(t, 0, 1, B * PAGE, MEMSLOT_MOVE_KEEP);
	memslot_move(t, 0, 2, A * PAGE, MEMSLOT_MOVE_KEEP);
	return t;
}

static void check_swap(void)
{
	struct memslot_result result = {0};

	scene_open(0);
	CHECK(memslot_commit(swap_begin(), &result, &err) == 0);
	CHECK(result.changes == 2 && result.generation == 3);
	/* 1 is at B: moving it to B and 2 to A changes nothing. */
	CHECK(memslot_commit(swap_begin(), &result, &err) == 0);
	CHECK(result.changes == 0 && result.generation == 3);
	for (unsigned i = 0; i < 4; i++) {
		CHECK(seen(A + i) == 4 + i);
		CHECK(seen(B + i) == i);
	}
	scene_close();
}

static void check_reshape(void)
{
	struct memslot_txn *t;

	scene_open(MEMSLOT_LOG_DIRTY);
	CHECK(poke(A + 1) == 0 && poke(A + 3) == 0);
	t = begin();
	memslot_split(t, 0, 1, 2 * PAGE, 7);
	CHECK(commit(t) == 0);
	CHECK(dirty(A + 1) && dirty(A + 3));
	CHECK(!dirty(A) && !dirty(A + 2));
	CHECK(seen(A + 1) == 1 && seen(A + 2) == 2);
	CHECK(move(7, 64) == 0);
	CHECK(seen(65) == 3 && dirty(65) && seen(A + 3) == PAGES);
	CHECK(move(7, A + 2) == 0);
	t = begin();
	memslot_merge(t, 0, 1, 7);
	CHECK(commit(t) == 0);
	CHECK(dirty(A + 1) && dirty(A + 3) && !dirty(A + 2));
	t = begin();
	memslot_resize(t, 0, 1, 2 * PAGE);
	memslot_resize(t, 0, 2, 5 * PAGE);
	CHECK(commit(t) == 0);
	CHECK(seen(A + 1) == 1 && seen(A + 2) == PAGES);
	CHECK(seen(B + 4) == 8 && !dirty(B + 4));
	t = begin();
	memslot_replace_host(t, 0, 1, memory[20], MEMSLOT_HOST_COPY);
	CHECK(commit(t) == 0);
	CHECK(memory[20][0] == 0 && memory[21][0] == 1);
	CHECK(dirty(A + 1) && !dirty(A));
	scene_close();
}

static void check_dirty(void)
{
	struct memslot_harvest *h = NULL;
	struct memslot_txn *t;

	scene_open(MEMSLOT_LOG_DIRTY);
	CHECK(poke(A + 2) == 0);
	CHECK(memslot_harvest(sc.ms, 0, 1, &h, &err) == 0);
	CHECK(memslot_harvest_count(h) == 1 && memslot_harvest_test(h, 2));
	CHECK(!dirty(A + 2));
	/* Given back, the bits find their memory at its new place. */
	CHECK(move(1, 64) == 0);
	memslot_harvest_give_back(h);
	CHECK(dirty(66) && !dirty(65));
	CHECK(memslot_harvest_range(sc.ms, 0, 1, 0, 2, &h, &err) == 0);
	CHECK(memslot_harvest_count(h) == 0);
	memslot_harvest_done(h);
	CHECK(memslot_harvest_range(sc.ms, 0, 1, 2, 2, &h, &err) == 0);
	CHECK(memslot_harvest_count(h) == 1);
	memslot_harvest_done(h);
	CHECK(!dirty(66));
	CHECK(memslots_move_slot(
		      sc.ms, 0, 1, A * PAGE, MEMSLOT_MOVE_MARK_ALL, &err) == 0);
	CHECK(dirty(A) && dirty(A + 3));
	CHECK(poke(B) == 0);
	t = begin();
	memslot_delete_harvest(t, 0, 2, &h);
	CHECK(commit(t) == 0);
	CHECK(memslot_harvest_count(h) == 1 && memslot_harvest_test(h, 0));
	memslot_harvest_done(h);
	scene_close();
}

/* ---- the tracker ------------------------------------------------------------ */

static int track(struct ear *e, gfn_t gfn, uint64_t pages)
{
	return pagetrack_add(e->node, 0, gfn, pages, &err);
}

static void check_policies(void)
{
	scene_open(0);
	CHECK(track(&sc.stay, A, 4) == 0);
	CHECK(track(&sc.follow, A + 1, 2) == 0);
	CHECK(track(&sc.stay, 100, 1) == -ENOENT);
	CHECK(poke(A + 1) == 0 && poke(A) == 0);
	CHECK(sc.stay.heard == 2 && sc.follow.heard == 1);
	CHECK(sc.stay.last == A * PAGE);
	CHECK(sc.follow.last == (A + 1) * PAGE);
	CHECK(commit(swap_begin()) == 0);
	CHECK(sc.stay.gone == 0 && sc.follow.gone == 0);
	CHECK(pagetrack_tracks(sc.stay.node, 0, A + 3));
	CHECK(pagetrack_tracks(sc.follow.node, 0, B + 2));
	CHECK(!pagetrack_tracks(sc.follow.node, 0, A + 2));
	CHECK(poke(A + 1) == 0 && poke(B + 1) == 0);
	CHECK(sc.stay.heard == 3 && sc.follow.heard == 2);
	CHECK(move(2, 64) == 0);
	CHECK(sc.stay.gone == 4);
	CHECK(pagetrack_size_pages(sc.stay.node) == 0);
	CHECK(memslots_delete_slot(sc.ms, 0, 1, &err) == 0);
	CHECK(sc.follow.gone == 2);
	scene_close();
}

static void check_refused(void)
{
	unsigned blocks;

	scene_open(0);
	CHECK(track(&sc.refuse, A + 1, 1) == 0);
	blocks = bare_live();
	CHECK(move(1, 64) == -EBUSY);
	CHECK(err.code == -EBUSY && err.text[0] != '\0');
	CHECK(commit(swap_begin()) == -EBUSY);
	CHECK(memslots_delete_slot(sc.ms, 0, 1, &err) == -EBUSY);
	CHECK(move(2, A + 3) == -EEXIST);
	CHECK(move(9, 64) == -ENOENT);
	CHECK(memslots_move_slot(sc.ms, 0, 2, 1, MEMSLOT_MOVE_KEEP, &err) ==
		-EINVAL);
	CHECK(memslots_set_space_options(sc.ms, 0, MEMSLOT_SPACE_NO_MOVES) ==
		0);
	CHECK(move(2, 64) == -EPERM);
	CHECK(memslots_set_space_options(sc.ms, 0, 0) == 0);
	CHECK(memslots_generation(sc.ms) == 2);
	CHECK(bare_live() == blocks);
	CHECK(seen(A) == 0 && seen(B) == 4);
	CHECK(poke(A + 1) == 0 && sc.refuse.heard == 1);
	CHECK(pagetrack_remove(sc.refuse.node, 0, A + 1, 1, &err) == 0);
	CHECK(move(1, 64) == 0);
	scene_close();
}

/* ---- every failure, one by one ------------------------------------------------ */

/* One transaction with a bit of everything. */
static int change_much(void)
{
	struct memslot_config c = config(5, 128, 2, 12, MEMSLOT_LOG_DIRTY);
	struct memslot_harvest *h = NULL;
	struct memslot_txn *t;
	int r = memslot_begin(sc.ms, &t, &err);

	if (r)
		return r;
	memslot_move(t, 0, 1, B * PAGE, MEMSLOT_MOVE_KEEP);
	memslot_move(t, 0, 2, A * PAGE, MEMSLOT_MOVE_KEEP);
	memslot_split(t, 0, 2, 2 * PAGE, 6);
	memslot_create(t, &c);
	memslot_delete_harvest(t, 0, 3, &h);
	r = memslot_commit(t, NULL, &err);
	CHECK((r == 0) == (h != NULL));
	memslot_harvest_done(h);
	return r;
}

static void walk_open(void)
{
	scene_open(MEMSLOT_LOG_DIRTY);
	CHECK(create(3, 48, 2, 10, MEMSLOT_LOG_DIRTY) == 0);
	CHECK(track(&sc.stay, A, 2) == 0);
	CHECK(track(&sc.follow, A + 1, 2) == 0);
	CHECK(track(&sc.follow, B + 3, 1) == 0);
}

/* All as it was. Slots, bytes, dirty bits, protections, memory in use. */
static void check_untouched(unsigned blocks)
{
	unsigned stay = sc.stay.heard, follow = sc.follow.heard;

	CHECK(memslots_generation(sc.ms) == 3);
	CHECK(bare_live() == blocks);
	CHECK(!memslots_broken(sc.ms));
	for (unsigned i = 0; i < 4; i++) {
		CHECK(seen(A + i) == i);
		CHECK(seen(B + i) == 4 + i);
	}
	CHECK(seen(48) == 10 && seen(128) == PAGES);
	CHECK(pagetrack_size_pages(sc.stay.node) == 2);
	CHECK(pagetrack_size_pages(sc.follow.node) == 3);
	CHECK(poke(A) == 0 && poke(A + 1) == 0 && poke(A + 2) == 0);
	CHECK(poke(A + 3) == 0 && poke(B + 3) == 0);
	CHECK(sc.stay.heard == stay + 2);
	CHECK(sc.follow.heard == follow + 3);
	CHECK(dirty(A + 3) && dirty(B + 3) && !dirty(B));
}

static void check_changed(void)
{
	unsigned follow = sc.follow.heard;

	CHECK(memslots_generation(sc.ms) == 4);
	for (unsigned i = 0; i < 4; i++) {
		CHECK(seen(A + i) == 4 + i);
		CHECK(seen(B + i) == i);
	}
	CHECK(seen(48) == PAGES && seen(128) == 12);
	CHECK(pagetrack_tracks(sc.follow.node, 0, B + 2));
	CHECK(pagetrack_tracks(sc.follow.node, 0, A + 3));
	CHECK(poke(B + 2) == 0 && poke(A + 3) == 0);
	CHECK(sc.follow.heard == follow + 2);
}

#define WALK_MAX 200u

/*
 * Fail at the first step that can fail, then at the second, and so on until
 * there is none left. by_arena: the steps are allocations, and they really
 * fail; otherwise they are the libraries' fault points.
 */
static unsigned walk(bool by_arena)
{
	unsigned blocks, n;
	bool failed;
	int r;

	walk_open();
	blocks = bare_live();
	for (n = 1; n <= WALK_MAX; n++) {
		if (by_arena)
			bare_fail_alloc(n);
		else
			fault_arm(&sc.plan, FAULT_ANY, n, false);
		r = change_much();
		failed = by_arena ? bare_alloc_failed()
				  : atomic_load(&sc.plan.fired) != 0;
		bare_fail_alloc(0);
		fault_arm(&sc.plan, FAULT_ANY, 0, false);
		if (!failed)
			break;
		CHECK(r < 0);
		check_untouched(blocks);
	}
	CHECK(r == 0 && n > 10 && n <= WALK_MAX);
	check_changed();
	scene_close();
	return n - 1;
}

/* The two calls without a fault point: without memory there is no map. */
static void check_no_memory(void)
{
	struct memslots *ms = NULL;
	struct pagetrack *pt = NULL;

	for (unsigned n = 1; n <= 2; n++) {
		bare_fail_alloc(n);
		CHECK(memslots_create(&bare_platform, 1, &ms, &err) == -ENOMEM);
		CHECK(bare_live() == 0);
	}
	CHECK(memslots_create(&bare_platform, 1, &ms, &err) == 0);
	bare_fail_alloc(1);
	CHECK(pagetrack_create(ms, &pt, &err) == -ENOMEM);
	bare_fail_alloc(0);
	memslots_destroy(ms);
	CHECK(bare_live() == 0);
}

/* The first page of a slot and node wants three blocks: all or nothing. */
static void check_track_no_memory(void)
{
	unsigned n;

	scene_open(0);
	for (n = 1; n < 10; n++) {
		bare_fail_alloc(n);
		if (track(&sc.follow, A, 2) == 0)
			break;
		CHECK(bare_alloc_failed() && err.code == -ENOMEM);
		CHECK(pagetrack_size_pages(sc.follow.node) == 0);
		CHECK(poke(A) == 0 && sc.follow.heard == 0);
		CHECK(move(1, 64) == 0 && move(1, A) == 0);
	}
	bare_fail_alloc(0);
	CHECK(n > 3 && n < 10);
	CHECK(poke(A) == 0 && poke(A + 1) == 0 && sc.follow.heard == 2);
	scene_close();
}

/* ---- two harts ---------------------------------------------------------------- */

#define ROUNDS 1000u

static struct memslot_reader second_reader;
static _Atomic(uint64_t) second_sections, second_writes, second_wrong;
static _Atomic(bool) second_stop, second_done;

/* One consistent set: each of the two places has the slot the other has not. */
static bool sees_both(void)
{
	const struct memslot *a = memslot_enter_at(&second_reader, 0, A), *b;
	bool well = false;

	if (a) {
		b = memslot_lookup(&second_reader, 0, B);
		well = b && a->id + b->id == 3 &&
		       a->host[0] == (a->id - 1) * 4 &&
		       b->host[0] == (b->id - 1) * 4;
	}
	memslot_leave(&second_reader);
	return well;
}

void second_main(void)
{
	const struct pagetrack_source source = {PAGETRACK_DEVICE, 2};
	const gpa_t place[2] = {A * PAGE + 128, B * PAGE + 128};

	for (uint64_t n = 0; !atomic_load(&second_stop); n++) {
		if (!sees_both())
			atomic_fetch_add(&second_wrong, 1);
		atomic_fetch_add(&second_sections, 1);
		if (pagetrack_guest_write(sc.pt, &second_reader, 0,
			    place[n & 1], &n, sizeof(n), source))
			atomic_fetch_add(&second_wrong, 1);
		atomic_fetch_add(&second_writes, 1);
	}
	atomic_store(&second_done, true);
}

static int swap_round(unsigned round)
{
	unsigned first = round & 1 ? 2 : 1;
	struct memslot_txn *t = NULL;
	int r = memslot_begin(sc.ms, &t, &err);

	if (r)
		return r;
	memslot_move(t, 0, first, B * PAGE, MEMSLOT_MOVE_KEEP);
	memslot_move(t, 0, 3 - first, A * PAGE, MEMSLOT_MOVE_KEEP);
	return memslot_commit(t, NULL, &err);
}

static void check_two_harts(void)
{
	char text[100];
	unsigned done = 0, failed = 0;

	scene_open(0);
	CHECK(track(&sc.follow, A, 1) == 0);
	CHECK(track(&sc.follow, B, 1) == 0);
	memslot_reader_init(&second_reader, sc.ms, NULL, NULL);
	if (bare_start_hart(1)) {
		bare_print("one hart only: no readers beside the writer\n");
		atomic_store(&second_done, true);
	}
	while (!atomic_load(&second_sections) && !atomic_load(&second_done))
		bare_pause();
	while (done < ROUNDS) {
		/* Before every fourth, one that fails, each time elsewhere. */
		if (done % 4 == 3) {
			fault_arm(
				&sc.plan, FAULT_ANY, 1 + done / 4 % 16, false);
			CHECK(swap_round(done) < 0);
			fault_arm(&sc.plan, FAULT_ANY, 0, false);
			failed++;
		}
		CHECK(swap_round(done++) == 0);
	}
	atomic_store(&second_stop, true);
	while (!atomic_load(&second_done))
		bare_pause();
	CHECK(atomic_load(&second_wrong) == 0);
	CHECK(sc.follow.heard == atomic_load(&second_writes));
	CHECK(pagetrack_size_pages(sc.follow.node) == 2);
	memslot_format(text, sizeof(text),
		"%u swaps, %u failed ones, %llu sections, %u writes heard\n",
		done, failed, (unsigned long long)atomic_load(&second_sections),
		sc.follow.heard);
	bare_print(text);
	memslot_reader_fini(&second_reader);
	scene_close();
}

/* ---- all of it ------------------------------------------------------------------ */

static unsigned stack_used(void)
{
	const uint64_t *p = stack_bottom;

	while (*p == 0x5a5a5a5a5a5a5a5a)
		p++;
	return (unsigned)((const char *)stack_top - (const char *)p);
}

void bare_trapped(unsigned long cause, unsigned long pc, unsigned long address)
{
	char text[120];

	memslot_format(text, sizeof(text),
		"trap: cause %#lx at %#lx, address %#lx\n", cause, pc, address);
	bare_print(text);
	bare_power_off(false);
}

void bare_main(void)
{
	char text[160];
	unsigned points, allocations;

	check_slots();
	check_swap();
	check_reshape();
	check_dirty();
	check_policies();
	check_refused();
	points = walk(false);
	allocations = walk(true);
	check_no_memory();
	check_track_no_memory();
	CHECK(bare_waits() == 0);   /* alone, nobody ever waits */
	CHECK(stack_used() < 8192); /* as docs/freestanding.md says */
	memslot_format(text, sizeof(text),
		"walked %u fault points, %u allocations; stack %u bytes\n",
		points, allocations, stack_used());
	bare_print(text);
	check_two_harts();
	memslot_format(
		text, sizeof(text), "%u checks, %u failed\n", checks, failures);
	bare_print(text);
	bare_power_off(failures == 0);
}
