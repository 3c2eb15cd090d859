/* SPDX-License-Identifier: MIT */
/*
 * kvm_walker.c - accessed and dirty bits in a page table that is tracked
 *
 *	kvm_walker [RING]
 *
 * The guest reads and writes through page table entries whose accessed and
 * dirty bits are clear. The page table lies in a tracked page: the processor
 * that walks it is a writer like any other. What the reports say must be what
 * the page holds afterwards, and no access may fail. Which bits are set is
 * compared with a twin that is not tracked. KVM's own walker, which does the
 * access when the processor's cannot, leaves bits in read-only memory alone:
 * then there is nothing to report, and nothing was written.
 */
#include "tests/kvm/kbed.h"
#include "tests/unit/slots.h"

#define TABLES  0x20000000ul   /* one page, tracked; the twin is the next */
#define VA      0x8000000000ul /* PML4 entry 1; the twin's is entry 2 */
#define UPPER   (TOY_DATA + 0x20000) /* a PDPT and a PD for each */
#define SCRATCH (TOY_DATA + 0x30000) /* what they map */
#define ENTRIES 16u

#define PTE      0x7ul /* present, writable, user */
#define ACCESSED 0x20ul
#define DIRTY    0x40ul

/* rdi: first address. Reads even pages, writes odd ones, then all again. */
TOY_PROGRAM(walk, "	mov $2, %edx\n"
		  "1:	xor %ecx, %ecx\n"
		  "2:	mov %rcx, %r8\n"
		  "	shl $12, %r8\n"
		  "	test $1, %cl\n"
		  "	jz 3f\n"
		  "	mov %rcx, (%rdi,%r8)\n"
		  "3:	mov (%rdi,%r8), %rax\n"
		  "	inc %ecx\n"
		  "	cmp $16, %ecx\n"
		  "	jb 2b\n"
		  "	dec %edx\n"
		  "	jnz 1b\n"
		  "	ret");

struct walker {
	struct kbed b;
	struct pagetrack_node *node;
	uint64_t *table[2]; /* tracked, twin */
	uint8_t replay[RAW_PAGE];
	uint64_t heard, by_walker;
};

static void on_write(void *ctx, const struct pagetrack_write *w)
{
	struct walker *z = ctx;

	memcpy(z->replay + (w->gpa & MEMSLOT_PAGE_MASK), w->bytes, w->len);
	z->heard++;
	z->by_walker += w->source.kind == PAGETRACK_WALKER;
}

static const struct pagetrack_ops node_ops = {
	.name = "walker",
	.write = on_write,
};

/* PML4 entry 1 + n leads to the page table of twin n. */
static void map_tables(struct walker *z, unsigned n)
{
	gpa_t upper = UPPER + n * 2 * RAW_PAGE;
	uint64_t *pml4 = (uint64_t *)(z->b.low + TOY_CR3);
	uint64_t *pdpt = (uint64_t *)(z->b.low + upper);
	uint64_t *pd = (uint64_t *)(z->b.low + upper + RAW_PAGE);

	pml4[1 + n] = upper | PTE | ACCESSED;
	pdpt[0] = (upper + RAW_PAGE) | PTE | ACCESSED;
	pd[0] = (TABLES + n * RAW_PAGE) | PTE | ACCESSED;
	for (unsigned i = 0; i < ENTRIES; i++)
		z->table[n][i] = (SCRATCH + i * RAW_PAGE) | PTE;
}

static void start(struct walker *z, unsigned ring)
{
	struct memslot_config c = {
		.id = 1, .gpa = TABLES, .size = 2 * RAW_PAGE};

	memset(z, 0, sizeof(*z));
	kbed_open(&z->b, 1, ring);
	c.host = raw_memory(c.size);
	z->table[0] = c.host;
	z->table[1] = z->table[0] + RAW_PAGE / 8;
	CHECK_EQ(memslots_create_slot(z->b.ms, &c, &z->b.err), 0);
	map_tables(z, 0);
	map_tables(z, 1);
	memcpy(z->replay, z->table[0], RAW_PAGE);
	kbed_run(&z->b);
	CHECK_EQ(pagetrack_register(z->b.track, &node_ops, z, PAGETRACK_STAY,
			 &z->node, &z->b.err),
		0);
	CHECK_EQ(pagetrack_add(z->node, 0, TABLES >> MEMSLOT_PAGE_SHIFT, 1,
			 &z->b.err),
		0);
}

static bool walk_both(struct walker *z)
{
	uint64_t at = kbed_code(&z->b, walk, (size_t)(walk_end - walk));

	for (unsigned n = 2; n-- > 0;) {
		struct kbed_call call = {.function = at, .rdi = VA + n * VA};

		if (kbed_call(&z->b, 0, &call)) {
			CHECK_EQ(call.out_rax, 15);
			continue;
		}
		kbed_stop(&z->b);
		fprintf(stderr, "twin %u: the guest is dead: %s\n", n,
			z->b.err.text);
		return CHECK(!"the guest lives");
	}
	return true;
}

static void compare(struct walker *z)
{
	const uint64_t bits = ACCESSED | DIRTY;
	unsigned set = 0, alike = 0;

	for (unsigned i = 0; i < ENTRIES; i++) {
		uint64_t ours = z->table[0][i], twin = z->table[1][i];

		set += (ours & bits) != 0;
		alike += (ours & bits) == (twin & bits);
		CHECK_EQ(ours & ~bits, twin & ~bits);
		CHECK(twin & ACCESSED);
	}
	CHECK(memcmp(z->replay, z->table[0], RAW_PAGE) == 0);
	CHECK(set == 0 || alike == ENTRIES);
	CHECK(set == 0 || z->heard > 0);
	printf("%u of %u entries have bits set, %u like the twin's; %llu "
	       "writes heard, %llu of them the walker's\n",
		set, ENTRIES, alike, (unsigned long long)z->heard,
		(unsigned long long)z->by_walker);
	/* a plain store, to an entry nobody uses */
	z->heard = 0;
	kbed_store(&z->b, TABLES + 8 * 100, 1);
	CHECK_EQ(z->heard, 1);
}

int main(int argc, char **argv)
{
	struct walker z;

	start(&z, argc > 1 ? (unsigned)atoi(argv[1]) : 3);
	if (walk_both(&z))
		compare(&z);
	kbed_stop(&z.b);
	pagetrack_unregister(z.node);
	kbed_close(&z.b);
	return TEST_END("kvm-walker");
}
