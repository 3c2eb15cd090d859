/* SPDX-License-Identifier: MIT */
/*
 * cpu-differential - our CPU and QEMU's, instruction sequence by sequence
 *
 * usage: cpu_diff HARNESS CASES [SEED]
 *
 * A case is a random sequence of instructions with random registers, CSRs,
 * memory and page tables, in U or S mode. Both CPUs run the same image of
 * many cases and a harness (harness.S), which logs every trap and goes on
 * behind it; registers, traps, memory and the A and D bits of the page table
 * must be the same at the end. A case that differs is shrunk to what is
 * needed for that and printed. README.md says what is not compared, and why.
 *
 * Case n of seed S depends on S and n only.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/differential/diff.h"

#define FAILURES_SHOWN     5u
#define CAUSE_ILLEGAL      2u
#define CAUSE_BREAK        3u
#define CAUSE_LOAD_ACCESS  5u
#define CAUSE_STORE_ACCESS 7u
#define CAUSE_TIMER        ((uint64_t)1 << 63 | 5)
#define SSTATUS_FS         ((uint64_t)3 << 13)
#define SSTATUS_SD         ((uint64_t)1 << 63)

struct diff {
	uint8_t harness[AT_CONTEXT];
	size_t harness_size;
	uint64_t seed;
	isa_off_t off; /* of the present batch */
	uint8_t *qemu; /* shared with it through fd */
	uint8_t *ours;
	int fd;
	uint64_t skipped;
};

static struct diff_case *cases(uint8_t *ram)
{
	return (struct diff_case *)(ram + AT_CASES);
}

static const struct diff_result *results(const uint8_t *ram)
{
	return (const struct diff_result *)(ram + AT_RESULTS);
}

/* ---- comparing ---------------------------------------------------------------- */

/*
 * FS says "dirty" or less precisely; the specification lets it ("the extension
 * context status may be overestimated"), so only off and not off are compared.
 */
static uint64_t status_of(uint64_t v)
{
	uint64_t on = v & SSTATUS_FS ? SSTATUS_FS : 0;

	return (v & ~(SSTATUS_FS | SSTATUS_SD)) | on;
}

static uint32_t word_at(const struct diff_case *c, uint64_t pc)
{
	uint64_t n = (pc - c->entry) / 2;

	if (n + 1 >= CODE_HALVES)
		return 0;
	return c->code[n] | (uint32_t)c->code[n + 1] << 16;
}

/* `a` is ours, `b` QEMU's. */
static bool trap_same(const struct diff_case *c, const struct diff_trap *a,
	const struct diff_trap *b)
{
	uint32_t word = word_at(c, a->epc);
	bool access =
		a->cause == CAUSE_LOAD_ACCESS || a->cause == CAUSE_STORE_ACCESS;

	if (a->epc != b->epc || status_of(a->status) != status_of(b->status))
		return false;
	/* An AMO on no memory is a load's fault in QEMU; it should not be. */
	if (a->cause != b->cause &&
		!((word & 0x7f) == 0x2f && a->cause == CAUSE_STORE_ACCESS &&
			b->cause == CAUSE_LOAD_ACCESS))
		return false;
	/* A breakpoint's stval is its address or 0, as one likes. */
	if (a->cause == CAUSE_BREAK)
		return a->tval == a->epc || a->tval == 0;
	/* QEMU sometimes gives 0, which is allowed; ours is the instruction. */
	if (a->cause == CAUSE_ILLEGAL && !b->tval)
		return !word ||
		       a->tval == (word & ((word & 3) == 3 ? 0xffffffffu
							   : 0xffffu));
	/*
	 * QEMU reads a misaligned operand as two aligned ones, and names one
	 * of those if the bus says no; ours is the operand's address.
	 */
	if (access)
		return a->tval - b->tval < 8;
	return a->tval == b->tval;
}

static bool timed_out(const struct diff_result *r)
{
	return r->traps >= 1 && r->traps <= TRAPS_MAX &&
	       r->trap[r->traps - 1].cause == CAUSE_TIMER;
}

/*
 * An access across pages of which one is no memory: QEMU has then written
 * the bytes of the other, or set its D bit, and names either page.
 */
static bool torn(const struct diff_result *r)
{
	for (unsigned n = 0; n < r->traps && n < TRAPS_MAX; n++) {
		const struct diff_trap *t = &r->trap[n];

		if ((t->cause == CAUSE_LOAD_ACCESS ||
			    t->cause == CAUSE_STORE_ACCESS) &&
			((t->tval + 8) & 0xfff) < 16)
			return true;
	}
	return false;
}

/* Could this one be compared, and does it differ? */
static bool differs(struct diff *d, unsigned n)
{
	const struct diff_result *a = &results(d->ours)[n],
				 *b = &results(d->qemu)[n];
	const struct diff_case *c = &cases(d->ours)[n];

	if (timed_out(a) || timed_out(b) || torn(a) || torn(b)) {
		d->skipped++;
		return false;
	}
	if (a->traps != b->traps || a->traps < 1 || a->traps > TRAPS_MAX)
		return true;
	for (unsigned t = 0; t < a->traps; t++)
		if (!trap_same(c, &a->trap[t], &b->trap[t]))
			return true;
	return memcmp(a, b, offsetof(struct diff_result, trap)) != 0;
}

/* ---- running -------------------------------------------------------------------- */

/* Everything but the cases. */
static void prepare(struct diff *d, unsigned count)
{
	struct rng r = {d->seed};
	uint64_t left = count;

	memset(d->ours, 0, RAM_SIZE);
	memcpy(d->ours, d->harness, d->harness_size);
	image_fill(d->ours, &r);
	memcpy(d->ours + AT_CONTEXT + K_LEFT, &left, sizeof(left));
}

/* The image is in d->ours. */
static void run(struct diff *d)
{
	int status;

	memcpy(d->qemu, d->ours, RAM_SIZE);
	status = qemu_run(d->fd, d->off);
	if (status) {
		fprintf(stderr, "cpu-differential: QEMU ended with %d\n",
			status);
		exit(1);
	}
	ours_run(d->ours, d->off);
}

/* ---- shrinking ------------------------------------------------------------------ */

#define PARTS (UNITS_MAX + 64u)

/* Part n of a case, a unit or a register, becomes nothing. */
static void take_out(struct diff_case *c, unsigned n)
{
	if (n < UNITS_MAX) {
		for (unsigned h = c->unit[n];
			n < c->units && h < c->unit[n + 1]; h++)
			c->code[h] = 0x0001; /* c.nop */
		return;
	}
	n -= UNITS_MAX;
	(n < 32 ? c->x : c->f)[n & 31] = 0;
}

/* Run what has been put into the image, `count` cases. */
static void run_cases(struct diff *d, uint64_t count)
{
	memcpy(d->ours + AT_CONTEXT + K_LEFT, &count, sizeof(count));
	run(d);
}

/*
 * Find the parts that alone are not needed for the difference, then the
 * longest beginning of their list that can go together.
 */
static bool shrink_once(struct diff *d, struct diff_case *c)
{
	struct diff_case list[PARTS];
	unsigned part[PARTS], count = 0, spare = 0;

	for (unsigned n = 0; n < PARTS; n++) {
		list[count] = *c;
		take_out(&list[count], n);
		part[count] = n;
		if (memcmp(&list[count], c, sizeof(*c)))
			count++;
	}
	if (!count)
		return false;
	prepare(d, 0);
	memcpy(cases(d->ours), list, count * sizeof(*list));
	run_cases(d, count);
	for (unsigned n = 0; n < count; n++)
		if (differs(d, n))
			part[spare++] = part[n];
	if (!spare)
		return false;
	for (unsigned n = 0; n < spare; n++) {
		list[n] = n ? list[n - 1] : *c;
		take_out(&list[n], part[n]);
	}
	prepare(d, 0);
	memcpy(cases(d->ours), list, spare * sizeof(*list));
	run_cases(d, spare);
	while (spare > 0 && !differs(d, spare - 1))
		spare--;
	if (spare)
		*c = list[spare - 1];
	return spare;
}

static void print_word(const struct diff_case *c, unsigned n, unsigned halves)
{
	uint32_t word = c->code[n];

	if (halves == 2)
		word |= (uint32_t)c->code[n + 1] << 16;
	printf("    %#llx: %0*x\n", (unsigned long long)(c->entry + 2 * n),
		halves == 2 ? 8 : 4, word);
}

static void print_field(const char *name, uint64_t ours, uint64_t qemu)
{
	if (ours != qemu)
		printf("  %-10s ours %#llx, QEMU %#llx\n", name,
			(unsigned long long)ours, (unsigned long long)qemu);
}

static void print_difference(
	const struct diff_result *a, const struct diff_result *b)
{
	char name[16];

	for (unsigned n = 0; n < 32; n++) {
		snprintf(name, sizeof(name), "x%u", n);
		print_field(name, a->x[n], b->x[n]);
	}
	for (unsigned n = 0; n < 32; n++) {
		snprintf(name, sizeof(name), "f%u", n);
		print_field(name, a->f[n], b->f[n]);
	}
	print_field("fcsr", a->fcsr, b->fcsr);
	print_field("memory", a->data, b->data);
	print_field("tables", a->level0, b->level0);
	print_field("senvcfg", a->senvcfg, b->senvcfg);
	print_field("scounteren", a->scounteren, b->scounteren);
	print_field("sie", a->sie, b->sie);
	print_field("sip", a->sip, b->sip);
	print_field("satp", a->satp, b->satp);
	print_field("traps", a->traps, b->traps);
	for (unsigned n = 0; n < TRAPS_MAX && (n < a->traps || n < b->traps);
		n++) {
		const struct diff_trap *s = &a->trap[n], *t = &b->trap[n];

		printf("  trap %u: ours cause %llx tval %#llx epc %#llx "
		       "status %#llx\n          QEMU cause %llx tval %#llx "
		       "epc %#llx status %#llx\n",
			n, (unsigned long long)s->cause,
			(unsigned long long)s->tval, (unsigned long long)s->epc,
			(unsigned long long)s->status,
			(unsigned long long)t->cause,
			(unsigned long long)t->tval, (unsigned long long)t->epc,
			(unsigned long long)t->status);
	}
}

static void show(struct diff *d, struct diff_case *c, uint64_t index,
	const struct diff_result *a, const struct diff_result *b)
{
	unsigned end = c->unit[c->units], n = 0;
	bool again;

	printf("case %llu of seed %llu, extensions off %#x, differs\n",
		(unsigned long long)index, (unsigned long long)d->seed, d->off);
	fflush(stdout);
	while (shrink_once(d, c))
		;
	prepare(d, 1);
	cases(d->ours)[0] = *c;
	run(d);
	again = differs(d, 0);
	printf("  shrunk%s:\n", again ? "" : " (alone it does not differ)");
	while (n < end) {
		unsigned halves = (c->code[n] & 3) == 3 ? 2 : 1;

		if (c->code[n] != 1)
			print_word(c, n, halves);
		n += halves;
	}
	printf("  sstatus %#llx fcsr %#llx satp %#llx\n",
		(unsigned long long)c->sstatus, (unsigned long long)c->fcsr,
		(unsigned long long)c->satp);
	for (unsigned r = 1; r < 32; r++)
		if (c->x[r])
			printf("  x%u = %#llx\n", r,
				(unsigned long long)c->x[r]);
	for (unsigned r = 0; r < 32; r++)
		if (c->f[r])
			printf("  f%u = %#llx\n", r,
				(unsigned long long)c->f[r]);
	if (again)
		print_difference(results(d->ours), results(d->qemu));
	else
		print_difference(a, b);
}

/* ---- batches ---------------------------------------------------------------------- */

/* Each batch does without some of what QEMU can do without. */
static isa_off_t off_random(struct rng *r)
{
	static const enum isa_ext choice[] = {ISA_ZBA, ISA_ZBB, ISA_ZBS,
		ISA_SVINVAL, ISA_SVNAPOT, ISA_SVPBMT};
	isa_off_t off = (isa_off_t)1 << ISA_ZAWRS;

	for (size_t n = 0; n < sizeof(choice) / sizeof(*choice); n++)
		if (rng_below(r, 6) == 0)
			off |= (isa_off_t)1 << choice[n];
	/* With Svpbmt alone QEMU overlooks Svnapot's bit. */
	if (!isa_has(off, ISA_SVNAPOT))
		off |= (isa_off_t)1 << ISA_SVPBMT;
	return off;
}

static unsigned batch(struct diff *d, uint64_t first, unsigned count)
{
	struct rng r = {d->seed ^ (first / BATCH_MAX + 1) * 0x5851f42d4c957f2d};
	struct diff_result a[FAILURES_SHOWN], b[FAILURES_SHOWN];
	unsigned failed = 0, bad[FAILURES_SHOWN] = {0};

	d->off = off_random(&r);
	prepare(d, count);
	for (unsigned n = 0; n < count; n++) {
		struct rng of = {d->seed + (first + n) * 0xd1342543de82ef95};

		rng_next(&of);
		case_random(&of, &cases(d->ours)[n]);
	}
	run(d);
	for (unsigned n = 0; n < count; n++) {
		if (!differs(d, n))
			continue;
		if (failed < FAILURES_SHOWN) {
			bad[failed] = n;
			a[failed] = results(d->ours)[n];
			b[failed] = results(d->qemu)[n];
		}
		failed++;
	}
	for (unsigned n = 0; n < failed && n < FAILURES_SHOWN; n++) {
		struct rng of = {
			d->seed + (first + bad[n]) * 0xd1342543de82ef95};
		struct diff_case c;

		rng_next(&of);
		case_random(&of, &c);
		show(d, &c, first + bad[n], &a[n], &b[n]);
	}
	return failed;
}

static int open_all(struct diff *d, const char *harness)
{
	char path[] = "/dev/shm/cpu-diff.XXXXXX";
	FILE *f = fopen(harness, "rb");

	if (!f)
		return -errno;
	d->harness_size = fread(d->harness, 1, sizeof(d->harness), f);
	fclose(f);
	/* Without a name, so that nothing is left however this ends. */
	d->fd = mkstemp(path);
	if (d->fd < 0 || unlink(path) || ftruncate(d->fd, (off_t)RAM_SIZE))
		return -errno;
	d->qemu = mmap(
		NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, 0);
	d->ours = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return d->qemu == MAP_FAILED || d->ours == MAP_FAILED ? -errno : 0;
}

int main(int argc, char **argv)
{
	static struct diff d;
	uint64_t total, done = 0, failed = 0;

	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: cpu_diff HARNESS CASES [SEED]\n");
		return 2;
	}
	total = strtoull(argv[2], NULL, 0);
	d.seed = argc > 3 ? strtoull(argv[3], NULL, 0) : (uint64_t)time(NULL);
	printf("seed %llu\n", (unsigned long long)d.seed);
	fflush(stdout);
	if (open_all(&d, argv[1])) {
		fprintf(stderr, "cpu-differential: %s\n", strerror(errno));
		return 1;
	}
	while (done < total && failed < FAILURES_SHOWN) {
		unsigned count = total - done < BATCH_MAX
					 ? (unsigned)(total - done)
					 : BATCH_MAX;

		failed += batch(&d, done, count);
		done += count;
		fflush(stdout);
	}
	printf("%llu sequences, %llu differ, %llu not compared\n",
		(unsigned long long)done, (unsigned long long)failed,
		(unsigned long long)d.skipped);
	return failed != 0;
}
