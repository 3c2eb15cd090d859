/* SPDX-License-Identifier: MIT */
/*
 * kvm_hammer.c - vCPUs write flat out while their memory is re-arranged
 *
 *	kvm_hammer naive [CHANGES]
 *
 * Each vCPU increments words of its own in 128 random pages, which are two
 * slots, and counts how often. A page that is RAM before and after a change
 * must never look like a device meanwhile; and at the end, the sum of the
 * words must be the count: not one write was lost.
 *
 * naive  what everybody writes first: delete the slot, create it again, with
 *        raw ioctls while the vCPUs run. It must be caught.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/kvm/toy.h"
#include "tests/unit/test.h"

#define CPUS  2u
#define PAGES 128ul /* of both slots together */
#define BASE  0x10000000ul
#define STOP  TOY_DATA /* the guest looks whether it is 0 */

/*
 * rdi the vCPU's word of the first page, rsi PAGES - 1, rdx STOP, r8 seed,
 * r9 where in the device to store the count
 */
TOY_PROGRAM(hammer, "	mov $6364136223846793005, %r10\n"
		    "	xor %ecx, %ecx\n"
		    "1:	imul %r10, %r8\n"
		    "	inc %r8\n"
		    "	mov %r8, %rax\n"
		    "	shr $33, %rax\n"
		    "	and %rsi, %rax\n"
		    "	shl $12, %rax\n"
		    "	incq (%rdi,%rax)\n"
		    "	inc %rcx\n"
		    "	cmpl $0, (%rdx)\n"
		    "	je 1b\n"
		    "	mov %rcx, (%r9)\n"
		    "2:	jmp 2b");

struct hammer {
	uint8_t *low, *data;
	uint64_t count[CPUS]; /* what each vCPU says it has written */
};

static void place(const struct hammer *h, int vcpu, unsigned index)
{
	struct toy_regs regs = {
		.rdi = BASE + index * 64,
		.rsi = PAGES - 1,
		.rdx = STOP,
		.r8 = index,
		.r9 = TOY_DEVICE + index * 8,
		.ring = 3,
	};

	(void)h;
	toy_place(vcpu, index, &regs);
}

static void hammer_init(struct hammer *h)
{
	memset(h, 0, sizeof(*h));
	h->low = raw_memory(TOY_LOW_SIZE);
	h->data = raw_memory(PAGES * RAW_PAGE);
	toy_init(h->low);
	TOY_LOAD(h->low, hammer);
}

/* The vCPUs look at it all the time. */
static void hammer_stop(struct hammer *h)
{
	__atomic_store_n((uint32_t *)(h->low + STOP), 1, __ATOMIC_SEQ_CST);
}

/* Writes that are in no page. */
static int64_t hammer_lost(const struct hammer *h, unsigned index)
{
	uint64_t sum = 0;

	for (uint64_t page = 0; page < PAGES; page++)
		sum += *(const uint64_t *)(h->data + page * RAW_PAGE +
					   index * 64);
	return (int64_t)(h->count[index] - sum);
}

/* ---- the naive way -------------------------------------------------------------- */

struct naive {
	struct hammer h;
	struct raw_vm vm;
	atomic_ulong holes; /* MMIO exits for what is RAM */
};

struct naive_cpu {
	struct naive *n;
	pthread_t thread;
	unsigned index;
	int fd;
	struct kvm_run *run;
};

/* True: the vCPU is done. */
static bool naive_exit(struct naive_cpu *c)
{
	struct kvm_run *run = c->run;
	uint64_t at = run->mmio.phys_addr;

	if (run->exit_reason != KVM_EXIT_MMIO) {
		fprintf(stderr, "vCPU %u: exit %u\n", c->index,
			run->exit_reason);
		CHECK(!"the guest does nothing but write");
		return true;
	}
	if (at - TOY_DEVICE < CPUS * 8) {
		memcpy(&c->n->h.count[c->index], run->mmio.data, 8);
		return true;
	}
	atomic_fetch_add(&c->n->holes, 1);
	if (!run->mmio.is_write)
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
	return false;
}

static void *naive_run(void *ctx)
{
	struct naive_cpu *c = ctx;

	do {
		if (ioctl(c->fd, KVM_RUN, 0) && errno != EINTR)
			raw_die("KVM_RUN");
	} while (!naive_exit(c));
	return NULL;
}

static void naive_cpu(struct naive *n, struct naive_cpu *c, unsigned index)
{
	int size = ioctl(n->vm.dev, KVM_GET_VCPU_MMAP_SIZE, 0);

	c->n = n;
	c->index = index;
	c->fd = ioctl(n->vm.fd, KVM_CREATE_VCPU, index);
	if (c->fd < 0)
		raw_die("KVM_CREATE_VCPU");
	c->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED,
		c->fd, 0);
	if (c->run == MAP_FAILED)
		raw_die("mmap of a vCPU");
	place(&n->h, c->fd, index);
}

static int naive(unsigned long changes)
{
	struct naive_cpu cpu[CPUS];
	struct naive n = {.vm = raw_vm()};
	const uint64_t half = PAGES / 2 * RAW_PAGE;

	hammer_init(&n.h);
	raw_region(&n.vm, 0, 0, 0, TOY_LOW_SIZE, n.h.low);
	raw_region(&n.vm, 1, 0, BASE, half, n.h.data);
	raw_region(&n.vm, 2, 0, BASE + half, half, n.h.data + half);
	for (unsigned i = 0; i < CPUS; i++)
		naive_cpu(&n, &cpu[i], i);
	for (unsigned i = 0; i < CPUS; i++)
		pthread_create(&cpu[i].thread, NULL, naive_run, &cpu[i]);
	for (unsigned long i = 0; i < changes; i++) {
		CHECK_EQ(raw_region(&n.vm, 1, 0, 0, 0, NULL), 0);
		CHECK_EQ(raw_region(&n.vm, 1, 0, BASE, half, n.h.data), 0);
	}
	hammer_stop(&n.h);
	for (unsigned i = 0; i < CPUS; i++) {
		pthread_join(cpu[i].thread, NULL);
		printf("vCPU %u: %llu writes, %lld of them lost\n", i,
			(unsigned long long)n.h.count[i],
			(long long)hammer_lost(&n.h, i));
	}
	printf("naive: %lu changes, %lu MMIO exits for RAM\n", changes,
		atomic_load(&n.holes));
	CHECK(atomic_load(&n.holes) > 0);
	return TEST_END("kvm-hammer naive");
}

int main(int argc, char **argv)
{
	unsigned long changes = argc > 2 ? strtoul(argv[2], NULL, 0) : 2000;

	if (argc > 1 && strcmp(argv[1], "naive") == 0)
		return naive(changes);
	fprintf(stderr, "usage: kvm_hammer naive [CHANGES]\n");
	return 2;
}
