/* SPDX-License-Identifier: MIT */
/*
 * kvm_zoo.c - every kind of write to a tracked page is seen, and is right
 *
 *	kvm_zoo [RING [NAME]]
 *
 * Each animal is an instruction that writes memory. It runs twice, on twin
 * areas with the same bytes: first where nothing is tracked, which is the
 * reference, and then where the two pages in the middle are. Memory,
 * registers and flags must come out alike, and the reports, applied to what
 * the pages held before, must give what they hold now. Meanwhile the other
 * vCPU increments a word of the same pages, and each increment must be heard.
 */
#include "tests/kvm/kbed.h"
#include "tests/unit/slots.h"

#define AREA_PAGES 4ul /* tracked are 1 and 2 */
#define AREA_SIZE  (AREA_PAGES * RAW_PAGE)
#define TRACKED    0x20000000ul
#define TWIN       0x20100000ul
#define WORD       (RAW_PAGE + 0xc00) /* of the other vCPU's */
#define VALUE      0x1122334455667788ul
#define FLAGS      0x8d5ul /* those that arithmetic defines */

/* Places in the area: in a page, and across its edges. */
#define IN   (RAW_PAGE + 0x123)
#define A16  (RAW_PAGE + 0x120)
#define INTO (RAW_PAGE - 3)
#define OVER (2 * RAW_PAGE - 3)
#define OUT  (3 * RAW_PAGE - 3)

/*
 * name, instructions, place, rcx. They find the place in rdi, VALUE in rsi and
 * the address of something to copy in rdx, and keep rbx, r12, r14 and rsp.
 */
#define ANIMALS(X)                                                             \
	X(mov8, "movb %sil, (%rdi)", IN, 0)                                    \
	X(mov16, "movw %si, (%rdi)", IN, 0)                                    \
	X(mov32, "movl %esi, (%rdi)", IN, 0)                                   \
	X(mov64, "movq %rsi, (%rdi)", IN, 0)                                   \
	X(mov_imm, "movq $-2, (%rdi)", IN, 0)                                  \
	X(mov_into, "movq %rsi, (%rdi)", INTO, 0)                              \
	X(mov_over, "movq %rsi, (%rdi)", OVER, 0)                              \
	X(mov_out, "movq %rsi, (%rdi)", OUT, 0)                                \
	X(mov32_over, "movl %esi, (%rdi)", OVER, 0)                            \
	X(mov16_over, "movw %si, (%rdi)", OVER + 2, 0)                         \
	X(movnti, "movnti %rsi, (%rdi)", IN, 0)                                \
	X(pop_mem, "push %rsi; popq (%rdi)", IN, 0)                            \
	X(setcc, "cmp %rsi, %rsi; setz (%rdi)", IN, 0)                         \
	X(rep_stosb, "rep stosb", IN, 300)                                     \
	X(rep_stosb_over, "rep stosb", OVER, 100)                              \
	X(rep_stosq_into, "rep stosq", INTO - 61, 30)                          \
	X(rep_stosq_all, "rep stosq", INTO - 61, 1100)                         \
	X(rep_movsb, "mov %rdx, %rsi; rep movsb", IN, 200)                     \
	X(rep_movsb_all, "mov %rdx, %rsi; rep movsb", INTO, 8205)              \
	X(rep_movsq_over, "mov %rdx, %rsi; rep movsq", OVER - 40, 20)          \
	X(movs_back, "lea 512(%rdx), %rsi; std; rep movsq; cld", OVER + 83,    \
		20)                                                            \
	X(movs_inside, "lea -16(%rdi), %rsi; rep movsb", IN, 64)               \
	X(rep_insb, "mov $0x80, %edx; rep insb; xor %edx, %edx", IN, 24)       \
	X(add, "addq %rsi, (%rdi)", IN, 0)                                     \
	X(sub_over, "subq %rsi, (%rdi)", OVER, 0)                              \
	X(inc, "incl (%rdi)", IN, 0)                                           \
	X(neg, "negq (%rdi)", IN, 0)                                           \
	X(not, "notb (%rdi)", IN, 0)                                           \
	X(adc, "stc; adcq %rsi, (%rdi)", IN, 0)                                \
	X(rol, "rolq $13, (%rdi)", IN, 0)                                      \
	X(shld, "shldq $7, %rsi, (%rdi)", IN, 0)                               \
	X(bts, "mov $100, %ecx; btsq %rcx, (%rdi)", IN, 0)                     \
	X(btc, "btcl $5, (%rdi)", IN, 0)                                       \
	X(xchg, "mov %rsi, %rax; xchgq %rax, (%rdi)", IN, 0)                   \
	X(xadd, "mov %rsi, %rax; xaddq %rax, (%rdi)", IN, 0)                   \
	X(lock_add, "lock addq %rsi, (%rdi)", IN, 0)                           \
	X(lock_or, "lock orl %esi, (%rdi)", IN, 0)                             \
	X(lock_inc, "lock incb (%rdi)", IN, 0)                                 \
	X(lock_bts, "lock btsq $9, (%rdi)", IN, 0)                             \
	X(lock_xadd, "mov %rsi, %rax; lock xaddl %eax, (%rdi)", A16, 0)        \
	X(lock_over, "lock addq %rsi, (%rdi)", OVER, 0)                        \
	X(cmpxchg, "movq (%rdi), %rax; lock cmpxchgq %rsi, (%rdi)", A16, 0)    \
	X(cmpxchg_other, "mov %rsi, %rax; lock cmpxchgq %rdx, (%rdi)", A16, 0) \
	X(cmpxchg_over, "movq (%rdi), %rax; lock cmpxchgq %rsi, (%rdi)", OVER, \
		0)                                                             \
	X(cmpxchg8b,                                                           \
		"push %rbx; movl (%rdi), %eax; movl 4(%rdi), %edx; "           \
		"mov %esi, %ebx; mov $7, %ecx; lock cmpxchg8b (%rdi); "        \
		"pop %rbx",                                                    \
		A16, 0)                                                        \
	X(cmpxchg16b,                                                          \
		"push %rbx; movq (%rdi), %rax; movq 8(%rdi), %rdx; "           \
		"mov %rsi, %rbx; mov $7, %ecx; lock cmpxchg16b (%rdi); "       \
		"pop %rbx",                                                    \
		A16, 0)                                                        \
	X(cmpxchg16b_other,                                                    \
		"push %rbx; xor %eax, %eax; xor %edx, %edx; "                  \
		"mov %rsi, %rbx; mov $7, %ecx; lock cmpxchg16b (%rdi); "       \
		"pop %rbx",                                                    \
		A16, 0)                                                        \
	X(push_call,                                                           \
		"mov %rsp, %r8; lea (%rdi), %rsp; push %rsi; push $-3; "       \
		"call 1f; 1: mov %r8, %rsp; xor %eax, %eax; mov %rax, "        \
		"-24(%rdi)",                                                   \
		A16, 0)                                                        \
	X(push_over,                                                           \
		"mov %rsp, %r8; mov %rdi, %rsp; push %rsi; mov %r8, "          \
		"%rsp",                                                        \
		OVER + 8, 0)                                                   \
	X(enter,                                                               \
		"mov %rsp, %r8; push %rbp; mov %rsp, %r9; "                    \
		"mov $77, %ebp; mov %rdi, %rsp; enter $32, $0; "               \
		"mov %r9, %rsp; pop %rbp",                                     \
		A16, 0)                                                        \
	X(movd, "movq %rsi, %xmm1; movd %xmm1, (%rdi)", IN, 0)                 \
	X(movq_sse, "movq %rsi, %xmm1; movq %xmm1, (%rdi)", IN, 0)             \
	X(movaps, "movups (%rdx), %xmm1; movaps %xmm1, (%rdi)", A16, 0)        \
	X(movups, "movups (%rdx), %xmm1; movups %xmm1, (%rdi)", IN, 0)         \
	X(movdqu_into, "movdqu (%rdx), %xmm1; movdqu %xmm1, (%rdi)", INTO, 0)  \
	X(movdqu_over, "movdqu (%rdx), %xmm1; movdqu %xmm1, (%rdi)", OVER, 0)  \
	X(movdqu_out, "movdqu (%rdx), %xmm1; movdqu %xmm1, (%rdi)", OUT, 0)    \
	X(movntdq, "movdqu (%rdx), %xmm1; movntdq %xmm1, (%rdi)", A16, 0)      \
	X(movhps, "movups (%rdx), %xmm1; movhps %xmm1, (%rdi)", IN, 0)         \
	X(maskmov,                                                             \
		"movups (%rdx), %xmm1; movups 16(%rdx), %xmm2; "               \
		"maskmovdqu %xmm2, %xmm1",                                     \
		IN, 0)                                                         \
	X(fst, "fninit; fldpi; fstpl (%rdi)", IN, 0)                           \
	X(fstp80, "fninit; fldpi; fstpt (%rdi)", IN, 0)                        \
	X(fstp80_over, "fninit; fldpi; fstpt (%rdi)", OVER, 0)                 \
	X(fistp, "fninit; fldpi; fistpll (%rdi)", IN, 0)                       \
	X(fnstcw, "fninit; fnstcw (%rdi)", IN, 0)                              \
	X(stmxcsr, "stmxcsr (%rdi)", IN, 0)                                    \
	X(fxsave, "fninit; fxsave (%rdi)", A16, 0)                             \
	X(fxsave_over, "fninit; fxsave (%rdi)", OVER - 0xfd, 0)

#define DEFINE(name, text, place, count) \
	TOY_PROGRAM(animal_##name, text "\n ret");
ANIMALS(DEFINE)

static const struct animal {
	const char *name;
	const uint8_t *code, *end;
	uint64_t place, count;
} animals[] = {
#define ROW(name, text, place, count) \
	{#name, animal_##name, animal_##name##_end, (place), (count)},
	ANIMALS(ROW)};

#define ANIMALS_COUNT (sizeof(animals) / sizeof(animals[0]))

/* rdi: a word. Increments it until *rdx is not 0, and returns how often. */
TOY_PROGRAM(neighbour, "	xor %eax, %eax\n"
		       "1:	incq (%rdi)\n"
		       "	inc %rax\n"
		       "	cmpl $0, (%rdx)\n"
		       "	je 1b\n"
		       "	ret");
#define NEIGHBOUR_STOP (TOY_DATA + 0x10000)

/* Without single steps, instructions that the kernel cannot emulate kill. */
static bool can_step;
static bool untold[ANIMALS_COUNT]; /* died for want of a step */

struct zoo {
	struct kbed b;
	bool dead;
	struct pagetrack_node *node;
	uint8_t *tracked, *twin;
	pthread_mutex_t lock; /* the rest: vCPUs report at the same time */
	uint8_t replay[AREA_SIZE];
	uint64_t heard, of_neighbour;
	uint64_t strange; /* reports of what is not tracked */
};

static void on_write(void *ctx, const struct pagetrack_write *w)
{
	struct zoo *z = ctx;
	uint64_t at = w->gpa - TRACKED;

	pthread_mutex_lock(&z->lock);
	if (at < RAW_PAGE || at + w->len > 3 * RAW_PAGE)
		z->strange++;
	else
		memcpy(z->replay + at, w->bytes, w->len);
	if (w->source.kind == PAGETRACK_CPU && w->source.index == 1)
		z->of_neighbour++;
	else
		z->heard++;
	pthread_mutex_unlock(&z->lock);
}

static const struct pagetrack_ops node_ops = {
	.name = "zoo",
	.write = on_write,
};

static void add_area(struct zoo *z, unsigned id, gpa_t gpa, uint8_t **host)
{
	struct memslot_config c = {.id = id, .gpa = gpa, .size = AREA_SIZE};

	c.host = *host = raw_memory(AREA_SIZE);
	CHECK_EQ(memslots_create_slot(z->b.ms, &c, &z->b.err), 0);
}

static void fill(struct zoo *z, uint64_t seed)
{
	for (uint64_t i = 0; i < AREA_SIZE; i++)
		z->twin[i] = z->tracked[i] = (uint8_t)rng_next(&seed);
	memset(z->twin + WORD, 0, 8);
	memset(z->tracked + WORD, 0, 8);
	memcpy(z->replay, z->tracked, AREA_SIZE);
}

static bool open_zoo(struct zoo *z, unsigned ring)
{
	memset(z, 0, sizeof(*z));
	pthread_mutex_init(&z->lock, NULL);
	kbed_open(&z->b, 2, ring);
	add_area(z, 1, TRACKED, &z->tracked);
	add_area(z, 2, TWIN, &z->twin);
	kbed_run(&z->b);
	return CHECK_EQ(pagetrack_register(z->b.track, &node_ops, z,
				PAGETRACK_STAY, &z->node, &z->b.err),
		       0) &&
	       CHECK_EQ(pagetrack_add(z->node, 0,
				(TRACKED + RAW_PAGE) >> MEMSLOT_PAGE_SHIFT, 2,
				&z->b.err),
		       0);
}

static void close_zoo(struct zoo *z)
{
	kbed_stop(&z->b);
	pagetrack_unregister(z->node);
	kbed_close(&z->b);
	pthread_mutex_destroy(&z->lock);
}

/* ---- one animal ---------------------------------------------------------- */

static bool differ(
	const char *name, const char *what, const uint8_t *a, const uint8_t *b)
{
	for (uint64_t i = 0; i < AREA_SIZE; i++)
		if (a[i] != b[i] && (i < WORD || i >= WORD + 8)) {
			fprintf(stderr,
				"%s: %s: at %#llx is %02x, should be %02x\n",
				name, what, (unsigned long long)i, a[i], b[i]);
			return true;
		}
	return false;
}

static bool died(struct zoo *z, const char *name)
{
	char text[2048];

	z->dead = true;
	if (!can_step)
		return false;
	if (z->b.kvm && z->b.accel.ops->describe &&
		z->b.accel.ops->describe(z->b.accel.ctx, text, sizeof(text)))
		fprintf(stderr, "%s", text);
	fprintf(stderr, "%s: the guest is dead: %s\n", name, z->b.err.text);
	return CHECK(!"the guest lives");
}

static struct kbed_call call_of(
	const struct animal *a, uint64_t code, gpa_t area)
{
	return (struct kbed_call){
		.function = code,
		.rdi = area + a->place,
		.rsi = VALUE,
		.rdx = TOY_CODE + 0x800, /* bytes that are not 0, see below */
		.rcx = a->count,
		.rax = 0x5a,
	};
}

static bool same_results(
	const char *name, const struct kbed_call *a, const struct kbed_call *b)
{
	uint64_t flags = (a->out_flags ^ b->out_flags) & FLAGS;

	if (a->out_rax == b->out_rax && a->out_rdx == b->out_rdx && !flags)
		return true;
	fprintf(stderr, "%s: rax %#llx, rdx %#llx, flags differ in %#llx\n",
		name, (unsigned long long)a->out_rax,
		(unsigned long long)a->out_rdx, (unsigned long long)flags);
	return CHECK(!"registers are as in the reference");
}

/* Is the page tracked as before? A plain store must be heard. */
static bool still_tracked(struct zoo *z)
{
	uint64_t before;

	pthread_mutex_lock(&z->lock);
	before = z->heard;
	pthread_mutex_unlock(&z->lock);
	kbed_store(&z->b, TRACKED + RAW_PAGE + 8, 1);
	kbed_store(&z->b, TRACKED + 2 * RAW_PAGE + 8, 1);
	return CHECK_EQ(z->heard, before + 2);
}

static bool show(struct zoo *z, const struct animal *a, uint64_t code)
{
	struct kbed_call reference = call_of(a, code, TWIN);
	struct kbed_call real = call_of(a, code, TRACKED);
	bool changes;

	fill(z, (uint64_t)(a - animals) + 1);
	z->heard = 0;
	if (!kbed_call(&z->b, 0, &reference) || !kbed_call(&z->b, 0, &real))
		return died(z, a->name);
	changes = memcmp(z->twin + RAW_PAGE, z->replay + RAW_PAGE,
			  WORD - RAW_PAGE) ||
		  memcmp(z->twin + 2 * RAW_PAGE, z->replay + 2 * RAW_PAGE,
			  RAW_PAGE);
	/* the pages that are not tracked are for no report to tell */
	memcpy(z->replay, z->tracked, RAW_PAGE);
	memcpy(z->replay + 3 * RAW_PAGE, z->tracked + 3 * RAW_PAGE, RAW_PAGE);
	return CHECK(!differ(a->name, "memory", z->tracked, z->twin)) &
	       CHECK(!differ(a->name, "reports", z->replay, z->tracked)) &
	       CHECK(!changes || z->heard) & CHECK_EQ(z->strange, 0) &
	       same_results(a->name, &real, &reference) & still_tracked(z);
}

/* ---- all of them --------------------------------------------------------- */

static bool wanted(const struct animal *a, const char *name)
{
	return !name || strcmp(a->name, name) == 0;
}

/*
 * Does a single step end with an exit? A KVM without hardware underneath may
 * hand the exception to the guest instead, which dies of it.
 */
static bool steps(unsigned ring)
{
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
	struct toy_regs regs = {.ring = ring};
	struct raw_vm vm = raw_vm();
	uint8_t *low = raw_memory(TOY_LOW_SIZE);
	struct kvm_run *run;
	int vcpu = raw_vcpu(&vm, 0, &run);
	bool good;

	toy_init(low);
	memset(low + TOY_CODE, 0x90, 64); /* nop */
	raw_region(&vm, 0, 0, 0, TOY_LOW_SIZE, low);
	toy_place(vcpu, 0, &regs);
	good = ioctl(vcpu, KVM_SET_GUEST_DEBUG, &debug) == 0 &&
	       ioctl(vcpu, KVM_RUN, 0) == 0 &&
	       run->exit_reason == KVM_EXIT_DEBUG;
	close(vcpu);
	raw_vm_close(&vm);
	return good;
}

/* Each in a machine of its own: one that dies hides nothing of the others. */
static unsigned one_by_one(unsigned ring, const char *name)
{
	unsigned good = 0;

	for (size_t i = 0; i < ANIMALS_COUNT; i++) {
		const struct animal *a = &animals[i];
		struct zoo z;
		uint64_t code;

		if (!wanted(a, name))
			continue;
		if (open_zoo(&z, ring)) {
			for (unsigned n = 0; n < 256; n++)
				z.b.low[TOY_CODE + 0x800 + n] =
					(uint8_t)(n * 7 + 1);
			code = kbed_code(
				&z.b, a->code, (size_t)(a->end - a->code));
			if (show(&z, a, code))
				good++;
			else
				fprintf(stderr, "%s: ring %u\n", a->name, ring);
		}
		close_zoo(&z);
	}
	return good;
}

/*
 * In one machine, while the neighbour writes: what one vCPU does may take
 * the page's protection away for an instruction, and not for the other.
 */
static void with_neighbour(unsigned ring, unsigned rounds)
{
	struct kbed_call other = {.rdi = TRACKED + WORD, .rdx = NEIGHBOUR_STOP};
	struct zoo z;
	uint64_t word, at;

	if (!open_zoo(&z, ring))
		return;
	fill(&z, 1);
	at = kbed_code(&z.b, neighbour, (size_t)(neighbour_end - neighbour));
	other.function = at;
	at += 64;
	kbed_start(&z.b, 1, &other);
	for (unsigned n = 0; n < rounds; n++)
		for (size_t i = 0; i < ANIMALS_COUNT; i++) {
			const struct animal *a = &animals[i];
			struct kbed_call call = call_of(a, at, TRACKED);

			/* it overwrites the neighbour's word */
			if (a->count > 1000 || untold[i])
				continue;
			memcpy(z.b.low + at, a->code,
				(size_t)(a->end - a->code));
			if (!kbed_call(&z.b, 0, &call)) {
				died(&z, a->name);
				goto out;
			}
		}
	*(volatile uint32_t *)(z.b.low + NEIGHBOUR_STOP) = 1;
	if (kbed_wait(&z.b, 1, &other)) {
		memcpy(&word, z.tracked + WORD, 8);
		CHECK_EQ(word, other.out_rax);
		CHECK_EQ(z.of_neighbour, other.out_rax);
		printf("ring %u: %llu writes of the other vCPU, %llu heard\n",
			ring, (unsigned long long)other.out_rax,
			(unsigned long long)z.of_neighbour);
	} else {
		died(&z, "neighbour");
	}
out:
	close_zoo(&z);
}

int main(int argc, char **argv)
{
	unsigned ring = argc > 1 ? (unsigned)atoi(argv[1]) : 3;
	const char *name = argc > 2 ? argv[2] : NULL;
	unsigned good;

	can_step = steps(ring);
	good = one_by_one(ring, name);
	if (!can_step)
		printf("ring %u: this KVM does not single-step there\n", ring);
	if (!name)
		with_neighbour(ring, 3);
	printf("ring %u: %u of %u animals\n", ring, good,
		name ? 1 : (unsigned)ANIMALS_COUNT);
	for (size_t i = 0; i < ANIMALS_COUNT; i++)
		if (untold[i])
			printf("  %s needs a single step\n", animals[i].name);
	return TEST_END("kvm-zoo");
}
