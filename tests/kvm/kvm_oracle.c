/* SPDX-License-Identifier: MIT */
/*
 * kvm_oracle.c - the slot manager's rules are the kernel's
 *
 *	kvm_oracle [OPERATIONS [SEED [DOCUMENT]]]
 *
 * Random operations on slots go to our manager and, by raw ioctl, to a VM of
 * the kernel at hand: both must accept or refuse, with the same errno. Where
 * ours means to be different, `differences` below names the case and says
 * what both sides answer; docs/kvm-differences.md (DOCUMENT) gives the
 * reasons, and must have a heading for each name. Everything else that
 * differs is a failure. Now and then, and at the end, the layouts are
 * compared: see layouts_differ().
 */
#include "tests/kvm/raw.h"
#include "tests/unit/slots.h"

#define IDS       21u /* the last stands for the greatest there may be */
#define SPACES    2u
#define PAGES     96u /* most slots are in [0, PAGES) */
#define HOSTS     64u /* pages of host memory, so that there are aliases */
#define COMPARE   2000u
#define PROBE_ID  1000u /* never used by an operation */
#define NOT_SENT  1     /* there is no such request to the kernel */
#define ANY       2     /* whatever it says */
#define HOST_HIGH ((uint64_t)1 << 55) /* user memory on no x86-64 so far */

enum what {
	CREATE,
	DELETE,
	MOVE,
	FLAGS,
	/* from here on: nothing like it in the kernel's interface */
	RESIZE,
	HOST,
	SPLIT,
	MERGE,
	SEVERAL,
};

static const char *const what_name[] = {"create", "delete", "move", "flags",
	"resize", "host", "split", "merge", "several"};

struct op {
	enum what what;
	unsigned space, id, other;
	uint64_t gpa, size;
	uint64_t host;
	uint32_t flags;
};

/* A slot, as both sides should have it. */
struct slot {
	bool exists;
	uint64_t gpa, size;
	uint8_t *host;
	uint32_t flags;
};

static struct bed b;
static struct raw_vm vm;
static struct slot now[SPACES][IDS];
static unsigned spaces; /* of this kernel */
static uint64_t width;  /* end of this machine's guest-physical addresses */
static uint64_t rng;
static uint64_t agreed[2]; /* refused, accepted */

static unsigned below(unsigned n)
{
	return (unsigned)rng_below(&rng, n);
}

static bool one_in(unsigned n)
{
	return below(n) == 0;
}

/* Our ids, but the last is the greatest. */
static unsigned real_id(unsigned id)
{
	return id == IDS - 1 ? MEMSLOT_IDS_MAX - 1 : id;
}

static struct slot *slot_of(const struct op *op)
{
	if (op->space >= spaces)
		return NULL;
	for (unsigned i = 0; i < IDS; i++)
		if (real_id(i) == op->id)
			return &now[op->space][i];
	return NULL;
}

/* ---- deliberate differences ---------------------------------------------- */

static bool exists(const struct op *op)
{
	const struct slot *s = slot_of(op);

	return s && s->exists;
}

static bool used_id(const struct op *op)
{
	return op->what == CREATE && exists(op);
}

static bool absent(const struct op *op)
{
	return op->what != CREATE && op->what != SEVERAL && !exists(op);
}

static bool size_zero(const struct op *op)
{
	return op->what == CREATE && op->size == 0;
}

static bool too_many_pages(const struct op *op)
{
	return op->what == CREATE &&
	       op->size >> MEMSLOT_PAGE_SHIFT > MEMSLOT_PAGES_MAX;
}

static uint64_t end_of(const struct op *op)
{
	return op->gpa + (op->what == MOVE ? slot_of(op)->size : op->size);
}

static bool past_limit(const struct op *op)
{
	if (op->what != CREATE && !(op->what == MOVE && exists(op)))
		return false;
	return op->gpa > MEMSLOT_GPA_LIMIT || end_of(op) > MEMSLOT_GPA_LIMIT;
}

static bool past_width(const struct op *op)
{
	if (op->what != CREATE && !(op->what == MOVE && exists(op)))
		return false;
	return end_of(op) > width && !past_limit(op);
}

static bool host_null(const struct op *op)
{
	return op->what == CREATE && op->host == 0;
}

static bool host_high(const struct op *op)
{
	return op->what == CREATE && op->host >= HOST_HIGH;
}

static bool readonly_toggled(const struct op *op)
{
	return op->what == FLAGS && exists(op) &&
	       (op->flags ^ slot_of(op)->flags) & MEMSLOT_READONLY;
}

static bool reshape(const struct op *op)
{
	return op->what >= RESIZE && op->what <= MERGE;
}

static bool several(const struct op *op)
{
	return op->what == SEVERAL;
}

/*
 * The first that fits is the reason. `ours` and `kernels` are the results.
 * Who accepts alone is corrected afterwards: the kernel is brought to our
 * layout where `follow` says so, otherwise the change is taken back.
 */
static const struct difference {
	const char *name;
	bool (*fits)(const struct op *op);
	int ours, kernels;
	bool follow;
} differences[] = {
	{"size-zero", size_zero, -EINVAL, ANY, false},
	{"host-null", host_null, -EINVAL, ANY, false},
	{"page-limit", too_many_pages, -E2BIG, -EINVAL, false},
	{"address-limit", past_limit, -ERANGE, -EINVAL, false},
	{"address-limit-order", past_limit, -ERANGE, -EEXIST, false},
	{"used-id", used_id, -EEXIST, ANY, false},
	{"address-width", past_width, 0, -EINVAL, false},
	{"host-limit", host_high, 0, -EINVAL, false},
	{"host-limit-order", host_high, -EEXIST, -EINVAL, false},
	{"absent-slot", absent, -ENOENT, -EINVAL, false},
	{"absent-slot", absent, -ENOENT, NOT_SENT, false},
	{"absent-slot", absent, -EINVAL, NOT_SENT, false},
	{"readonly-toggle", readonly_toggled, 0, -EINVAL, true},
	{"reshape", reshape, ANY, -EINVAL, true},
	{"reshape", reshape, ANY, NOT_SENT, true},
	{"several", several, ANY, NOT_SENT, true},
};

#define DIFFERENCES (sizeof(differences) / sizeof(differences[0]))

static uint64_t met[DIFFERENCES]; /* how often */

static const struct difference *difference(
	const struct op *op, int ours, int kernels)
{
	for (size_t i = 0; i < DIFFERENCES; i++) {
		const struct difference *d = &differences[i];

		if ((d->ours == ANY || d->ours == ours) &&
			(d->kernels == ANY || d->kernels == kernels) &&
			d->fits(op))
			return d;
	}
	return NULL;
}

/* ---- both sides ---------------------------------------------------------- */

static void ours_add(struct memslot_txn *t, const struct op *op)
{
	struct memslot_config c = {op->space, op->id, op->gpa, op->size,
		(void *)(uintptr_t)op->host, op->flags};

	switch (op->what) {
	case CREATE:
		memslot_create(t, &c);
		break;
	case DELETE:
		memslot_delete(t, op->space, op->id);
		break;
	case MOVE:
		memslot_move(
			t, op->space, op->id, op->gpa, MEMSLOT_MOVE_MARK_ALL);
		break;
	case FLAGS:
		memslot_set_flags(t, op->space, op->id, op->flags);
		break;
	case RESIZE:
		memslot_resize(t, op->space, op->id, op->size);
		break;
	case HOST:
		memslot_replace_host(
			t, op->space, op->id, c.host, MEMSLOT_HOST_AS_IS);
		break;
	case SPLIT:
		memslot_split(t, op->space, op->id, op->size, op->other);
		break;
	case MERGE:
		memslot_merge(t, op->space, op->id, op->other);
		break;
	case SEVERAL:
		break;
	}
}

static int ours_try(const struct op *ops, unsigned count)
{
	struct memslot_txn *t;

	if (memslot_begin(b.ms, &t, &b.err))
		raw_die("memslot_begin");
	for (unsigned i = 0; i < count; i++)
		ours_add(t, &ops[i]);
	return memslot_commit(t, NULL, &b.err);
}

static uint32_t kernel_slot(unsigned space, unsigned id)
{
	return space << 16 | id;
}

/* The request that says the same to the kernel, if there is one. */
static int kernel_try(const struct op *op)
{
	const struct slot *s = slot_of(op);
	uint32_t slot = kernel_slot(op->space, op->id);
	const void *host = (const void *)(uintptr_t)op->host;

	if (op->what == CREATE)
		return raw_region(
			&vm, slot, op->flags, op->gpa, op->size, host);
	if (op->what == DELETE)
		return raw_region(&vm, slot, 0, 0, 0, NULL);
	if (!s || !s->exists)
		return NOT_SENT;
	switch (op->what) {
	case MOVE:
		return raw_region(
			&vm, slot, s->flags, op->gpa, s->size, s->host);
	case FLAGS:
		return raw_region(
			&vm, slot, op->flags, s->gpa, s->size, s->host);
	case RESIZE:
		/* 0 would delete it, and the same is no request at all */
		if (op->size == 0 || op->size == s->size)
			return NOT_SENT;
		return raw_region(
			&vm, slot, s->flags, s->gpa, op->size, s->host);
	case HOST:
		if (op->host == (uintptr_t)s->host)
			return NOT_SENT;
		return raw_region(&vm, slot, s->flags, s->gpa, s->size, host);
	default:
		return NOT_SENT;
	}
}

static void kernel_must(unsigned space, unsigned id, const struct slot *s)
{
	int r = raw_region(&vm, kernel_slot(space, real_id(id)), s->flags,
		s->gpa, s->size, s->host);

	if (r) {
		fprintf(stderr, "the kernel does not take slot %u.%u: %s\n",
			space, id, strerror(-r));
		exit(1);
	}
}

static void ours_read(struct slot out[SPACES][IDS])
{
	memset(out, 0, sizeof(now));
	memslot_enter(&b.r);
	for (unsigned space = 0; space < spaces; space++) {
		const struct memslot *s;
		gfn_t gfn = 0;

		while ((s = memslot_next(&b.r, space, gfn))) {
			unsigned id = s->id < IDS - 1 ? s->id : IDS - 1;

			gfn = s->base_gfn + s->size_pages;
			out[space][id] = (struct slot){true,
				s->base_gfn << MEMSLOT_PAGE_SHIFT,
				s->size_pages << MEMSLOT_PAGE_SHIFT, s->host,
				s->flags};
		}
	}
	memslot_leave(&b.r);
}

/* Delete what has changed, then create it: any layout can be had so. */
static void kernel_becomes(
	struct slot from[SPACES][IDS], struct slot to[SPACES][IDS])
{
	for (unsigned n = 0; n < spaces * IDS; n++) {
		unsigned space = n / IDS, id = n % IDS;
		struct slot gone = {0};

		if (from[space][id].exists &&
			memcmp(&from[space][id], &to[space][id], sizeof(gone)))
			kernel_must(space, id, &gone);
	}
	for (unsigned n = 0; n < spaces * IDS; n++) {
		unsigned space = n / IDS, id = n % IDS;

		if (to[space][id].exists &&
			memcmp(&from[space][id], &to[space][id],
				sizeof(struct slot)))
			kernel_must(space, id, &to[space][id]);
	}
}

static void ours_must(const struct op *op, const struct slot *s)
{
	struct op ops[2] = {{.what = DELETE}, {.what = CREATE}};

	for (unsigned i = 0; i < 2; i++) {
		ops[i].space = op->space;
		ops[i].id = op->id;
		ops[i].gpa = s->gpa;
		ops[i].size = s->size;
		ops[i].host = (uintptr_t)s->host;
		ops[i].flags = s->flags;
	}
	CHECK_EQ(ours_try(ops, s->exists ? 2 : 1), 0);
}

/* ---- comparing layouts --------------------------------------------------- */

static bool differs(const char *what, unsigned space, uint64_t at)
{
	fprintf(stderr, "%s differs: space %u, %#llx\n", what, space,
		(unsigned long long)at);
	return true;
}

/* Does the kernel have something at this page? Only then it says EEXIST. */
static bool kernel_covers(unsigned space, uint64_t gpa)
{
	uint32_t slot = kernel_slot(space, PROBE_ID);
	int r = raw_region(&vm, slot, 0, gpa, RAW_PAGE, b.host);

	if (r == 0)
		raw_region(&vm, slot, 0, 0, 0, NULL);
	return r == -EEXIST;
}

static bool covers(unsigned space, uint64_t gpa)
{
	for (unsigned id = 0; id < IDS; id++) {
		const struct slot *s = &now[space][id];

		if (s->exists && gpa - s->gpa < s->size)
			return true;
	}
	return false;
}

static bool edges_differ(unsigned space, const struct slot *s)
{
	const uint64_t at[] = {s->gpa - RAW_PAGE, s->gpa,
		s->gpa + s->size - RAW_PAGE, s->gpa + s->size};

	for (unsigned i = 0; i < 4; i++)
		if (at[i] < width &&
			kernel_covers(space, at[i]) != covers(space, at[i]))
			return differs("what is there", space, at[i]);
	return false;
}

static bool kernel_logs(uint32_t slot)
{
	static uint64_t bits[HOSTS];
	struct kvm_dirty_log log = {.slot = slot, .dirty_bitmap = bits};

	return ioctl(vm.fd, KVM_GET_DIRTY_LOG, &log) == 0;
}

/*
 * The kernel lets nobody read its slots, but its answers give them away: a
 * page more is refused with EINVAL, so the slot exists; then the very same
 * once more is accepted, so size, host memory and READONLY are right. It
 * would move the slot, or change its log, if those were wrong: those are
 * looked at before, and the edges again afterwards.
 */
static bool slot_differs(unsigned space, unsigned id)
{
	const struct slot *s = &now[space][id];
	uint32_t slot = kernel_slot(space, real_id(id));

	if (!s->exists)
		return raw_region(&vm, slot, 0, 0, 0, NULL) != -EINVAL &&
		       differs("an absent slot", space, id);
	if (kernel_logs(slot) != !!(s->flags & MEMSLOT_LOG_DIRTY))
		return differs("the log", space, id);
	if (edges_differ(space, s))
		return true;
	if (raw_region(&vm, slot, s->flags, s->gpa, s->size + RAW_PAGE,
		    s->host) != -EINVAL)
		return differs("the slot", space, id);
	if (raw_region(&vm, slot, s->flags, s->gpa, s->size, s->host))
		return differs("size, host memory or READONLY", space, id);
	return edges_differ(space, s);
}

static bool layouts_differ(void)
{
	struct slot ours[SPACES][IDS];

	ours_read(ours);
	if (memcmp(ours, now, sizeof(now)))
		return differs("our own layout", 0, 0);
	for (unsigned n = 0; n < spaces * IDS; n++)
		if (slot_differs(n / IDS, n % IDS))
			return true;
	return false;
}

/* ---- operations ---------------------------------------------------------- */

static uint64_t random_gpa(void)
{
	switch (below(24)) {
	case 0:
		return below(PAGES) * RAW_PAGE + 1 + below(RAW_PAGE - 1);
	case 1:
		return MEMSLOT_GPA_LIMIT - below(5) * RAW_PAGE;
	case 2:
		return width - below(5) * RAW_PAGE;
	case 3:
		return (uint64_t)0 - below(5) * RAW_PAGE;
	default:
		return below(PAGES) * RAW_PAGE;
	}
}

static uint64_t random_size(void)
{
	switch (below(32)) {
	case 0:
		return 0;
	case 1:
		return (1 + below(8)) * RAW_PAGE - below(RAW_PAGE);
	case 2:
		return (MEMSLOT_PAGES_MAX + 1 + below(2)) * RAW_PAGE;
	case 3:
		return (uint64_t)0 - below(3) * RAW_PAGE;
	default:
		return (1 + below(8)) * RAW_PAGE;
	}
}

static uint64_t random_host(void)
{
	uint64_t good = (uintptr_t)b.host + (uint64_t)below(HOSTS) * RAW_PAGE;

	switch (below(40)) {
	case 0:
		return good + 1 + below(RAW_PAGE - 1);
	case 1:
		return 0;
	case 2:
		return (uint64_t)1 << 63;
	case 3:
		return HOST_HIGH;
	default:
		return good;
	}
}

static uint32_t random_flags(void)
{
	return one_in(24) ? 1u << below(32) : below(4);
}

static unsigned random_id(void)
{
	switch (below(40)) {
	case 0:
		return MEMSLOT_IDS_MAX;
	case 1:
		return 0xffff;
	default:
		return real_id(below(IDS));
	}
}

/* Without it there is little to try: an id in use, or one to create. */
static unsigned likely_id(unsigned space, bool used)
{
	unsigned id = below(IDS);

	for (unsigned i = 0; i < IDS; i++)
		if (now[space][(id + i) % IDS].exists == used)
			return real_id((id + i) % IDS);
	return random_id();
}

static struct op random_op(enum what what)
{
	unsigned space = below(spaces);
	struct op op = {
		.what = what,
		.space = one_in(40) ? spaces : space,
		.id = one_in(10) ? random_id()
				 : likely_id(space, what != CREATE),
		.other = below(IDS - 1),
		.gpa = random_gpa(),
		.size = random_size(),
		.host = random_host(),
		.flags = random_flags(),
	};

	/* whether it has a place at the top of the machine is told by others */
	if (what == RESIZE && exists(&op) &&
		slot_of(&op)->gpa >= PAGES * RAW_PAGE)
		op.size = RAW_PAGE;
	return op;
}

/* The kernel has to follow: nothing that this machine cannot have. */
static struct op tame_op(enum what what)
{
	struct op op = random_op(what);

	op.gpa %= PAGES * RAW_PAGE;
	if (op.host >= HOST_HIGH)
		op.host = (uintptr_t)b.host;
	return op;
}

/* Such that there are about a dozen slots most of the time. */
static enum what random_what(void)
{
	static const unsigned char until[] = {
		[CREATE] = 40,
		[DELETE] = 46,
		[MOVE] = 70,
		[FLAGS] = 85,
		[RESIZE] = 89,
		[HOST] = 92,
		[SPLIT] = 94,
		[MERGE] = 96,
		[SEVERAL] = 100,
	};
	unsigned n = below(100), what = 0;

	while (n >= until[what])
		what++;
	return (enum what)what;
}

/* What the mirror becomes when both sides have accepted. */
static void mirror(const struct op *op)
{
	struct slot *s = slot_of(op);

	switch (op->what) {
	case CREATE:
		*s = (struct slot){true, op->gpa, op->size,
			(uint8_t *)(uintptr_t)op->host, op->flags};
		break;
	case DELETE:
		*s = (struct slot){0};
		break;
	case MOVE:
		s->gpa = op->gpa;
		break;
	case FLAGS:
		s->flags = op->flags;
		break;
	default:
		break;
	}
}

/* Only one side has accepted; the other has its reason. */
static void settle(
	const struct op *op, const struct difference *d, int ours, int kernels)
{
	struct slot was[SPACES][IDS];
	struct slot *s = slot_of(op);

	memcpy(was, now, sizeof(was));
	if (d->follow) {
		ours_read(now);
		kernel_becomes(was, now);
	} else if (ours == 0) {
		ours_must(op, s);
	} else if (kernels == 0) {
		unsigned id = (unsigned)(s - now[op->space]);

		/* it may have been deleted, moved, created, or nothing */
		raw_region(&vm, kernel_slot(op->space, op->id), 0, 0, 0, NULL);
		if (s->exists)
			kernel_must(op->space, id, s);
	}
}

static bool step(void)
{
	struct op ops[4];
	const struct op *op = &ops[0];
	unsigned count = 1;
	const struct difference *d;
	int ours, kernels;

	ops[0].what = random_what();
	ops[0] = ops[0].what < RESIZE ? random_op(ops[0].what)
				      : tame_op(ops[0].what);
	if (op->what == SEVERAL) {
		count = 2 + below(2);
		for (unsigned i = 1; i <= count; i++)
			ops[i] = tame_op((enum what)below(SEVERAL));
		ours = ours_try(&ops[1], count);
	} else {
		ours = ours_try(ops, 1);
	}
	kernels = kernel_try(op);
	if (ours == kernels) {
		agreed[ours == 0]++;
		if (ours == 0)
			mirror(op);
		return false;
	}
	d = difference(op, ours, kernels);
	if (d) {
		met[d - differences]++;
		settle(op, d, ours, kernels);
		return false;
	}
	fprintf(stderr,
		"%s slot %u.%u, gpa %#llx size %#llx host %#llx flags %#x:\n"
		"  ours %d (%s), the kernel's %d\n",
		what_name[op->what], op->space, op->id,
		(unsigned long long)op->gpa, (unsigned long long)op->size,
		(unsigned long long)op->host, op->flags, ours, b.err.text,
		kernels);
	return true;
}

/* ---- the document -------------------------------------------------------- */

/* Each name is the heading of a section: `## name`. */
static void check_document(const char *path)
{
	char line[256];
	uint64_t found = 0;
	FILE *f = fopen(path, "r");

	if (!f)
		raw_die(path);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		for (size_t i = 0; i < DIFFERENCES; i++)
			if (!strncmp(line, "## ", 3) &&
				!strcmp(line + 3, differences[i].name))
				found |= (uint64_t)1 << i;
	}
	fclose(f);
	for (size_t i = 0; i < DIFFERENCES; i++)
		if (!(found >> i & 1)) {
			fprintf(stderr, "%s has no section \"%s\"\n", path,
				differences[i].name);
			CHECK(!"each difference is documented");
		}
}

/* The table has the cases of one difference one after the other. */
static void print_differences(void)
{
	for (size_t i = 0, next; i < DIFFERENCES; i = next) {
		uint64_t sum = met[i];

		for (next = i + 1;
			next < DIFFERENCES &&
			!strcmp(differences[next].name, differences[i].name);
			next++)
			sum += met[next];
		printf("  %-20s %llu\n", differences[i].name,
			(unsigned long long)sum);
	}
}

static uint64_t physical_width(void)
{
	uint64_t end = MEMSLOT_GPA_LIMIT;

	while (raw_region(&vm, 0, 0, end - RAW_PAGE, RAW_PAGE, b.host))
		end >>= 1;
	raw_region(&vm, 0, 0, 0, 0, NULL);
	return end;
}

int main(int argc, char **argv)
{
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 0) : 100000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;
	unsigned long n;
	bool bad = false;

	if (!seed) /* 0, or a word */
		seed = raw_now_ns();
	printf("seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	if (argc > 3)
		check_document(argv[3]);
	rng = seed;
	vm = raw_vm();
	spaces = (unsigned)raw_cap(&vm, KVM_CAP_MULTI_ADDRESS_SPACE);
	spaces = spaces < 1 ? 1 : spaces > SPACES ? SPACES : spaces;
	bed_open(&b, spaces);
	width = physical_width();
	CHECK_EQ(raw_cap(&vm, KVM_CAP_NR_MEMSLOTS), MEMSLOT_IDS_MAX);

	for (n = 0; n < count && !bad; n++)
		bad = step() || (n % COMPARE == 0 && layouts_differ());
	bad = bad || layouts_differ();
	if (bad)
		fprintf(stderr, "seed %llu, operation %lu\n",
			(unsigned long long)seed, n - 1);
	CHECK(!bad);
	printf("%lu operations in %u space(s) of %u-bit addresses: %llu "
	       "accepted and %llu refused alike\n",
		n, spaces, (unsigned)__builtin_ctzll(width),
		(unsigned long long)agreed[1], (unsigned long long)agreed[0]);
	print_differences();
	raw_vm_close(&vm);
	bed_close(&b);
	return TEST_END("kvm-oracle");
}
