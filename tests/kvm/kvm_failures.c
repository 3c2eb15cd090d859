/* SPDX-License-Identifier: MIT */
/*
 * kvm_failures.c - each ioctl of a change fails in turn, and nothing happened
 *
 *	kvm_failures [SCENARIO]
 *
 * A scenario changes the map or what is tracked. It runs once untouched, to
 * learn how many ioctls it takes and what comes of it. Then it is run with
 * the first of them failing, the second, and so on; each time the guest must
 * find its memory as before: a vCPU loads from and stores to every page, and
 * it is looked up where the bytes came from and went to and who heard of it.
 * Then the scenario must succeed. Last, all ioctls from the nth on fail, so
 * that nothing can be undone: then the machine must say so and stop.
 *
 * Failures that are the kernel's own come after that: slots of somebody
 * else's in the way, numbers and addresses it refuses, no memory, no ids.
 */
#include <sys/resource.h>

#include "tests/kvm/kbed.h"
#include "tests/unit/slots.h"
#include "vmm/kvm/internal.h" /* the VM's descriptor */

#define BASE  0x10000000ul
#define PAGES 80u /* what is looked at, from BASE on */
#define AT(n) (BASE + (n)*RAW_PAGE)

enum { LOGGED = 1, PLAIN = 2, READONLY = 3, NEW = 4, NEWER = 5 };

/* Pages from BASE: LOGGED 0-7, PLAIN 16-23, READONLY 32-35; to 80: nothing */
#define LOGGED_AT   0u
#define PLAIN_AT    16u
#define READONLY_AT 32u
#define FREE_AT     48u

/*
 * rdi: a list of rsi addresses, rdx: a list for what was loaded. Loads from
 * each and stores its number 8 bytes further on.
 */
TOY_PROGRAM(look, "	xor %ecx, %ecx\n"
		  "1:	mov (%rdi,%rcx,8), %r8\n"
		  "	mov (%r8), %rax\n"
		  "	mov %rax, (%rdx,%rcx,8)\n"
		  "	lea 1(%rcx), %rax\n"
		  "	mov %rax, 8(%r8)\n"
		  "	inc %rcx\n"
		  "	cmp %rsi, %rcx\n"
		  "	jb 1b\n"
		  "	ret");
#define LIST_AT (TOY_DATA + 0x20000)
#define SEEN_AT (TOY_DATA + 0x30000)

#define HOST_PAGES 64u

/* What the guest and the host see of each page. */
struct picture {
	uint64_t loaded[PAGES];
	uint64_t stored[PAGES]; /* host page it went to, plus 1; 0: nowhere */
	bool heard[PAGES];
	bool dirty[8]; /* of LOGGED, while it has a log */
	uint64_t generation;
};

typedef struct {
	struct kbed b;
	uint8_t *host;
	uint64_t look_at;
	struct pagetrack_node *node;
	bool heard[PAGES];
} fail_bed;

/* ---- pictures ------------------------------------------------------------ */

static void on_write(void *ctx, const struct pagetrack_write *w)
{
	fail_bed *f = ctx;
	uint64_t page = (w->gpa - BASE) / RAW_PAGE;

	if (page < PAGES)
		f->heard[page] = true;
}

static const struct pagetrack_ops node_ops = {
	.name = "failures",
	.write = on_write,
};

static uint64_t *host_word(fail_bed *f, unsigned page, unsigned n)
{
	return (uint64_t *)(f->host + page * RAW_PAGE) + n;
}

/* The log is of pages 1 and 3, one of which is tracked, before a change. */
static void prepare_log(fail_bed *f)
{
	struct memslot_harvest *h;

	if (memslot_harvest(f->b.ms, 0, LOGGED, &h, NULL))
		return;
	memslot_harvest_done(h);
	kbed_store(&f->b, AT(LOGGED_AT + 1) + 16, 1);
	kbed_store(&f->b, AT(LOGGED_AT + 3) + 16, 1);
}

static void take_log(fail_bed *f, struct picture *p)
{
	struct memslot_harvest *h;

	if (memslot_harvest(f->b.ms, 0, LOGGED, &h, NULL))
		return;
	for (unsigned i = 0; i < 8 && i < memslot_harvest_size_pages(h); i++)
		p->dirty[i] = memslot_harvest_test(h, i);
	memslot_harvest_give_back(h);
}

/* False: the guest is dead. */
static bool take(fail_bed *f, struct picture *p)
{
	uint64_t *list = (uint64_t *)(f->b.low + LIST_AT);
	const uint64_t *seen = (const uint64_t *)(f->b.low + SEEN_AT);
	struct kbed_call call = {.function = f->look_at,
		.rdi = LIST_AT,
		.rsi = PAGES,
		.rdx = SEEN_AT};

	memset(p, 0, sizeof(*p));
	memset(f->heard, 0, sizeof(f->heard));
	p->generation = memslots_generation(f->b.ms);
	take_log(f, p);
	for (unsigned i = 0; i < HOST_PAGES; i++)
		*host_word(f, i, 1) = 0;
	for (unsigned i = 0; i < PAGES; i++)
		list[i] = AT(i);
	if (!kbed_call(&f->b, 0, &call))
		return CHECK(!"the guest lives");
	memcpy(p->loaded, seen, sizeof(p->loaded));
	memcpy(p->heard, f->heard, sizeof(p->heard));
	for (unsigned i = 0; i < HOST_PAGES; i++) {
		uint64_t number = *host_word(f, i, 1);

		if (number)
			p->stored[number - 1] = i + 1;
	}
	prepare_log(f);
	return true;
}

static bool same(const char *name, const struct picture *is,
	const struct picture *was, bool generation)
{
	for (unsigned i = 0; i < PAGES; i++) {
		if (is->loaded[i] == was->loaded[i] &&
			is->stored[i] == was->stored[i] &&
			is->heard[i] == was->heard[i])
			continue;
		fprintf(stderr,
			"%s: page %u: loads %#llx, stores to %llu, heard %u; "
			"was %#llx, %llu, %u\n",
			name, i, (ull)is->loaded[i], (ull)is->stored[i],
			is->heard[i], (ull)was->loaded[i], (ull)was->stored[i],
			was->heard[i]);
		return CHECK(!"the guest finds its memory as before");
	}
	if (memcmp(is->dirty, was->dirty, sizeof(is->dirty))) {
		fprintf(stderr, "%s: the dirty log differs\n", name);
		return CHECK(!"the dirty log is as before");
	}
	return !generation || CHECK_EQ(is->generation, was->generation);
}

/* ---- the bed ------------------------------------------------------------- */

static void add(struct memslot_txn *t, fail_bed *f, unsigned id, unsigned page,
	unsigned pages, unsigned host_page, uint32_t flags)
{
	struct memslot_config c = {
		.id = id,
		.gpa = AT(page),
		.size = pages * RAW_PAGE,
		.host = f->host + host_page * RAW_PAGE,
		.flags = flags,
	};

	memslot_create(t, &c);
}

static int commit(fail_bed *f, struct memslot_txn *t)
{
	return memslot_commit(t, NULL, &f->b.err);
}

static struct memslot_txn *begin(fail_bed *f)
{
	struct memslot_txn *t;

	if (memslot_begin(f->b.ms, &t, &f->b.err))
		raw_die("memslot_begin");
	return t;
}

static int track(fail_bed *f, unsigned page, unsigned pages)
{
	return pagetrack_add(
		f->node, 0, AT(page) >> MEMSLOT_PAGE_SHIFT, pages, &f->b.err);
}

static int release(fail_bed *f, unsigned page, unsigned pages)
{
	return pagetrack_remove(
		f->node, 0, AT(page) >> MEMSLOT_PAGE_SHIFT, pages, &f->b.err);
}

static void open_bed(fail_bed *f)
{
	struct memslot_txn *t;

	memset(f, 0, sizeof(*f));
	watch_fail(0, 0, false, 0);
	kbed_open(&f->b, 2, 3);
	f->host = raw_memory(HOST_PAGES * RAW_PAGE);
	for (unsigned i = 0; i < HOST_PAGES; i++)
		*host_word(f, i, 0) = 0x1000 + i;
	t = begin(f);
	add(t, f, LOGGED, LOGGED_AT, 8, 0, MEMSLOT_LOG_DIRTY);
	add(t, f, PLAIN, PLAIN_AT, 8, 8, 0);
	add(t, f, READONLY, READONLY_AT, 4, 16, MEMSLOT_READONLY);
	CHECK_EQ(commit(f, t), 0);
	f->look_at = kbed_code(&f->b, look, (size_t)(look_end - look));
	kbed_run(&f->b);
	CHECK_EQ(pagetrack_register(f->b.track, &node_ops, f, PAGETRACK_STAY,
			 &f->node, &f->b.err),
		0);
	CHECK_EQ(track(f, LOGGED_AT + 2, 2), 0);
	CHECK_EQ(track(f, PLAIN_AT, 1), 0);
	prepare_log(f);
}

static void close_bed(fail_bed *f)
{
	watch_fail(0, 0, false, 0);
	kbed_stop(&f->b);
	pagetrack_unregister(f->node);
	kbed_close(&f->b);
	munmap(f->host, HOST_PAGES * RAW_PAGE);
}

/* ---- scenarios ----------------------------------------------------------- */

static int create(fail_bed *f)
{
	struct memslot_txn *t = begin(f);

	add(t, f, NEW, FREE_AT, 4, 24, 0);
	return commit(f, t);
}

static int create_three(fail_bed *f)
{
	struct memslot_txn *t = begin(f);

	add(t, f, NEW, FREE_AT, 4, 24, 0);
	add(t, f, NEWER, FREE_AT + 4, 4, 32, MEMSLOT_READONLY);
	add(t, f, NEWER + 1, FREE_AT + 10, 4, 40, MEMSLOT_LOG_DIRTY);
	return commit(f, t);
}

static int delete_one(fail_bed *f)
{
	struct memslot_txn *t = begin(f);

	memslot_delete(t, 0, READONLY);
	return commit(f, t);
}

static int delete_tracked(fail_bed *f)
{
	struct memslot_txn *t = begin(f);

	memslot_delete(t, 0, PLAIN);
	memslot_delete(t, 0, LOGGED);
	return commit(f, t);
}

static int move_one(fail_bed *f)
{
	struct memslot_txn *t = begin(f);

	memslot_move(t, 0, READONLY, AT(FREE_AT), MEMSLOT_MOVE_KEEP);
	return commit(f, t);
}

static int move_tracked(fail_bed *f)
{
	struct memslot_txn *t = begin(f);

	memslot_move(t, 0, LOGGED, AT(FREE_AT), MEMSLOT_MOVE_KEEP);
	return commit(f, t);
}

/* By a page, so that old and new place overlap and some pages stay tracked. */
static int move_overlapping(fail_bed *f)
{
	struct memslot_txn *t = begin(f);

	memslot_move(t, 0, LOGGED, AT(LOGGED_AT + 1), MEMSLOT_MOVE_KEEP);
	return commit(f, t);
}

static int swap(fail_bed *f)
{
	struct memslot_txn *t = begin(f);

	memslot_move(t, 0, LOGGED, AT(PLAIN_AT), MEMSLOT_MOVE_KEEP);
	memslot_move(t, 0, PLAIN, AT(LOGGED_AT), MEMSLOT_MOVE_KEEP);
	return commit(f, t);
}

static int readonly(fail_bed *f)
{
	struct memslot_txn *t = begin(f);

	memslot_set_flags(t, 0, PLAIN, MEMSLOT_READONLY);
	memslot_set_flags(t, 0, READONLY, 0);
	return commit(f, t);
}

static int log_all(fail_bed *f)
{
	struct memslot_txn *t = begin(f);

	memslot_set_flags(t, 0, PLAIN, MEMSLOT_LOG_DIRTY);
	memslot_set_flags(t, 0, LOGGED, 0);
	return commit(f, t);
}

static int split_and_merge(fail_bed *f)
{
	struct memslot_txn *t = begin(f);

	memslot_split(t, 0, LOGGED, 3 * RAW_PAGE, NEW);
	memslot_split(t, 0, PLAIN, 4 * RAW_PAGE, NEWER);
	memslot_delete(t, 0, PLAIN);
	return commit(f, t);
}

static int resize(fail_bed *f)
{
	struct memslot_txn *t = begin(f);

	memslot_resize(t, 0, PLAIN, 3 * RAW_PAGE);
	memslot_resize(t, 0, READONLY, 6 * RAW_PAGE);
	return commit(f, t);
}

static int other_host(fail_bed *f)
{
	struct memslot_txn *t = begin(f);

	memslot_replace_host(
		t, 0, PLAIN, f->host + 48 * RAW_PAGE, MEMSLOT_HOST_AS_IS);
	return commit(f, t);
}

static int everything(fail_bed *f)
{
	struct memslot_txn *t = begin(f);

	memslot_delete(t, 0, READONLY);
	memslot_move(t, 0, LOGGED, AT(PLAIN_AT), MEMSLOT_MOVE_KEEP);
	memslot_move(t, 0, PLAIN, AT(READONLY_AT), MEMSLOT_MOVE_KEEP);
	add(t, f, NEW, LOGGED_AT, 8, 40, MEMSLOT_LOG_DIRTY);
	memslot_split(t, 0, PLAIN, 2 * RAW_PAGE, NEWER);
	return commit(f, t);
}

static int track_more(fail_bed *f)
{
	return track(f, PLAIN_AT + 3, 2);
}

static int track_less(fail_bed *f)
{
	return release(f, LOGGED_AT + 2, 1);
}

static const struct scenario {
	const char *name;
	int (*run)(fail_bed *f);
} scenarios[] = {
	{"create", create},
	{"create three", create_three},
	{"delete", delete_one},
	{"delete tracked", delete_tracked},
	{"move", move_one},
	{"move tracked", move_tracked},
	{"move overlapping", move_overlapping},
	{"swap", swap},
	{"read-only", readonly},
	{"log", log_all},
	{"split", split_and_merge},
	{"resize", resize},
	{"other host memory", other_host},
	{"everything", everything},
	{"track", track_more},
	{"release", track_less},
};

/* ---- the walk ------------------------------------------------------------ */

static unsigned long walked, undone, broken;

/* Untouched: how many ioctls, and what comes of it. */
static unsigned long reference(
	const struct scenario *s, struct picture *before, struct picture *after)
{
	unsigned long calls = 0;
	fail_bed f;

	open_bed(&f);
	if (take(&f, before)) {
		watch_fail(KVM_SET_USER_MEMORY_REGION, 0, false, 0);
		if (!CHECK_EQ(s->run(&f), 0))
			fprintf(stderr, "%s: %s\n", s->name, f.b.err.text);
		calls = atomic_load(&watch.seen);
		watch_fail(0, 0, false, 0);
		take(&f, after);
	}
	close_bed(&f);
	return calls;
}

static void fail_once(const struct scenario *s, unsigned long nth,
	const struct picture *before, const struct picture *after)
{
	static const int codes[] = {ENOMEM, EINVAL, EEXIST};
	int code = codes[nth % 3], r;
	struct picture p;
	fail_bed f;

	open_bed(&f);
	take(&f, &p);
	watch_fail(KVM_SET_USER_MEMORY_REGION, (long)nth, false, code);
	r = s->run(&f);
	watch_fail(0, 0, false, 0);
	walked++;
	if (r == 0) {
		/* done with one call less: then it is done */
		if (take(&f, &p))
			same(s->name, &p, after, false);
		close_bed(&f);
		return;
	}
	undone++;
	CHECK_EQ(r, -code);
	CHECK(!memslots_broken(f.b.ms));
	if (take(&f, &p))
		same(s->name, &p, before, true);
	if (CHECK_EQ(s->run(&f), 0) && take(&f, &p))
		same(s->name, &p, after, false);
	close_bed(&f);
}

/* Nothing can be undone. Then either nothing had been done, or it must stop. */
static void fail_onwards(const struct scenario *s, unsigned long nth,
	const struct picture *before, const struct picture *after)
{
	struct picture p;
	fail_bed f;
	int r;

	open_bed(&f);
	take(&f, &p);
	watch_fail(KVM_SET_USER_MEMORY_REGION, (long)nth, true, ENOMEM);
	r = s->run(&f);
	watch_fail(0, 0, false, 0);
	/* what is released is released, whatever becomes of its kernel slot */
	CHECK(r < 0 || s->run == track_less);
	if (memslots_broken(f.b.ms)) {
		broken++;
		CHECK_EQ(kbed_stop(&f.b), ACCEL_STOP_ERROR);
	} else if (take(&f, &p)) {
		same(s->name, &p, r ? before : after, true);
	}
	close_bed(&f);
}

static void walk(const struct scenario *s)
{
	struct picture before, after;
	unsigned long calls = reference(s, &before, &after);

	for (unsigned long n = 1; n <= calls; n++) {
		fail_once(s, n, &before, &after);
		fail_onwards(s, n, &before, &after);
	}
	printf("%s: %lu ioctls\n", s->name, calls);
	fflush(stdout);
}

/* ---- the kernel's own refusals ------------------------------------------- */

/* A slot that the backend does not know of. */
static int foreign(fail_bed *f, unsigned id, gpa_t gpa, uint64_t size)
{
	struct raw_vm vm = {.fd = f->b.kvm->fd};

	return raw_region(&vm, id, 0, gpa, size, f->host);
}

static void refused(fail_bed *f, const char *name, int r, int code,
	const struct picture *before)
{
	struct picture p;

	if (!CHECK_EQ(r, code))
		fprintf(stderr, "%s: %s\n", name, f->b.err.text);
	printf("%s: %s\n", name, f->b.err.text);
	if (take(f, &p))
		same(name, &p, before, true);
}

static void address_conflict(void)
{
	struct picture before, p;
	fail_bed f;
	int r;

	open_bed(&f);
	CHECK_EQ(foreign(&f, 20000, AT(FREE_AT + 3), RAW_PAGE), 0);
	/* the stranger's page is no concern of ours: not looked at */
	CHECK_EQ(foreign(&f, 20000, 0, 0), 0);
	take(&f, &before);
	CHECK_EQ(foreign(&f, 20000, AT(FREE_AT + 3), RAW_PAGE), 0);
	r = move_tracked(&f);
	CHECK_EQ(foreign(&f, 20000, 0, 0), 0);
	refused(&f, "address conflict", r, -EEXIST, &before);
	CHECK_EQ(move_tracked(&f), 0);
	take(&f, &p);
	close_bed(&f);
}

/* Whatever numbers are free are taken by a stranger. */
static void id_conflict(void)
{
	const gpa_t far = (gpa_t)1 << 32;
	struct picture before;
	bool taken[64];
	fail_bed f;
	int r;

	open_bed(&f);
	take(&f, &before);
	for (unsigned i = 0; i < 64; i++)
		taken[i] = !foreign(&f, i, far + i * RAW_PAGE, RAW_PAGE);
	r = create(&f);
	for (unsigned i = 0; i < 64; i++)
		if (taken[i])
			foreign(&f, i, 0, 0);
	refused(&f, "id conflict", r, -EINVAL, &before);
	CHECK_EQ(create(&f), 0);
	close_bed(&f);
}

/* Where the kernel's limits are lower than the slot manager's. */
static void beyond_limits(void)
{
	struct memslot_config c = {
		.id = NEW, .gpa = AT(FREE_AT), .size = RAW_PAGE};
	struct picture before;
	fail_bed f;
	int r;

	open_bed(&f);
	take(&f, &before);
	c.host = (void *)((uintptr_t)1 << 55);
	r = memslots_create_slot(f.b.ms, &c, &f.b.err);
	if (r)
		refused(&f, "host address", r, -EINVAL, &before);
	else
		CHECK_EQ(memslots_delete_slot(f.b.ms, 0, NEW, NULL), 0);
	take(&f, &before);
	c.host = f.host;
	c.gpa = MEMSLOT_GPA_LIMIT - RAW_PAGE;
	r = memslots_create_slot(f.b.ms, &c, &f.b.err);
	if (r)
		refused(&f, "guest address", r, -EINVAL, &before);
	close_bed(&f);
}

static void no_memory(void)
{
	const uint64_t size = (uint64_t)16 << 30;
	struct memslot_config c = {.id = NEW,
		.gpa = (gpa_t)1 << 32,
		.size = size,
		.flags = MEMSLOT_LOG_DIRTY};
	struct rlimit was, none = {0};
	struct picture before;
	fail_bed f;
	int r;

	open_bed(&f);
	take(&f, &before);
	c.host = raw_memory(size);
	CHECK_EQ(getrlimit(RLIMIT_AS, &was), 0);
	none.rlim_max = was.rlim_max;
	CHECK_EQ(setrlimit(RLIMIT_AS, &none), 0);
	r = memslots_create_slot(f.b.ms, &c, &f.b.err);
	CHECK_EQ(setrlimit(RLIMIT_AS, &was), 0);
	refused(&f, "no memory", r, -ENOMEM, &before);
	close_bed(&f);
	munmap(c.host, size);
}

/* More pieces than the kernel has slots. */
static void no_ids(void)
{
	const uint64_t size = KVM_SLOT_PAGES * RAW_PAGE * 33000;
	struct memslot_config c = {
		.id = NEW, .gpa = (gpa_t)1 << 32, .size = size};
	struct picture before;
	fail_bed f;

	open_bed(&f);
	take(&f, &before);
	c.host = raw_memory(size);
	refused(&f, "no ids", memslots_create_slot(f.b.ms, &c, &f.b.err),
		-ENOSPC, &before);
	close_bed(&f);
	munmap(c.host, size);
}

int main(int argc, char **argv)
{
	const size_t count = sizeof(scenarios) / sizeof(scenarios[0]);

	for (size_t i = 0; i < count; i++)
		if (argc < 2 || strcmp(argv[1], scenarios[i].name) == 0)
			walk(&scenarios[i]);
	if (argc < 2) {
		address_conflict();
		id_conflict();
		beyond_limits();
		no_memory();
		no_ids();
	}
	printf("%lu failures, %lu undone, %lu machines broken\n", walked,
		undone, broken);
	return TEST_END("kvm-failures");
}
