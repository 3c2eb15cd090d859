/* SPDX-License-Identifier: MIT */
/*
 * kvm_naive.c - what becomes of memory that is deleted and created again
 *
 *	kvm_naive [CHANGES]
 *
 * What everybody writes first, and what kvm_hammer must tell from ours: the
 * slot is deleted and created again with raw ioctls while two vCPUs write.
 * They must meet the hole: MMIO exits for what is RAM before and after.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/kvm/hammer.h"
#include "tests/unit/test.h"

/* r9: where in the device to store the count */
TOY_PROGRAM(naive_start, "	call 3f\n"
			 "	mov %rax, (%r9)\n"
			 "1:	jmp 1b\n"
			 "	.balign 16\n"
			 "3:");

struct machine {
	struct raw_vm vm;
	uint8_t *low, *data;
	uint64_t count[HAMMER_CPUS]; /* what each vCPU says it has written */
	atomic_ulong holes;          /* MMIO exits for what is RAM */
};

struct cpu {
	struct machine *m;
	pthread_t thread;
	unsigned index;
	int fd;
	struct kvm_run *run;
};

/* True: the vCPU is done. */
static bool handle_exit(struct cpu *c)
{
	struct kvm_run *run = c->run;
	uint64_t at = run->mmio.phys_addr;

	if (run->exit_reason != KVM_EXIT_MMIO) {
		fprintf(stderr, "vCPU %u: exit %u\n", c->index,
			run->exit_reason);
		CHECK(!"the guest does nothing but write");
		return true;
	}
	if (at - TOY_DEVICE < HAMMER_CPUS * 8) {
		memcpy(&c->m->count[c->index], run->mmio.data, 8);
		return true;
	}
	atomic_fetch_add(&c->m->holes, 1);
	if (!run->mmio.is_write)
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
	return false;
}

static void *cpu_run(void *ctx)
{
	struct cpu *c = ctx;

	do {
		if (ioctl(c->fd, KVM_RUN, 0) && errno != EINTR)
			raw_die("KVM_RUN");
	} while (!handle_exit(c));
	return NULL;
}

static void cpu_start(struct machine *m, struct cpu *c, unsigned index)
{
	struct toy_regs regs = {
		.rdi = hammer_word(index),
		.rsi = HAMMER_PAGES - 1,
		.rdx = HAMMER_STOP,
		.rcx = index,
		.r9 = TOY_DEVICE + index * 8,
		.ring = 3,
	};

	c->m = m;
	c->index = index;
	c->fd = raw_vcpu(&m->vm, index, &c->run);
	toy_place(c->fd, index, &regs);
	if (pthread_create(&c->thread, NULL, cpu_run, c))
		raw_die("pthread_create");
}

static void machine_init(struct machine *m)
{
	m->vm = raw_vm();
	m->low = raw_memory(TOY_LOW_SIZE);
	m->data = raw_memory(HAMMER_PAGES * RAW_PAGE);
	toy_init(m->low);
	TOY_LOAD(m->low, naive_start);
	memcpy(m->low + TOY_CODE + (naive_start_end - naive_start), hammer,
		(size_t)(hammer_end - hammer));
	CHECK_EQ(raw_region(&m->vm, 0, 0, 0, TOY_LOW_SIZE, m->low), 0);
	CHECK_EQ(
		raw_region(&m->vm, 1, 0, HAMMER_BASE, HAMMER_HALF, m->data), 0);
	CHECK_EQ(raw_region(&m->vm, 2, 0, HAMMER_BASE + HAMMER_HALF,
			 HAMMER_HALF, m->data + HAMMER_HALF),
		0);
}

int main(int argc, char **argv)
{
	unsigned long changes = argc > 1 ? strtoul(argv[1], NULL, 0) : 2000;
	struct machine m = {0};
	struct cpu cpu[HAMMER_CPUS];

	machine_init(&m);
	for (unsigned i = 0; i < HAMMER_CPUS; i++)
		cpu_start(&m, &cpu[i], i);
	for (unsigned long i = 0; i < changes; i++) {
		CHECK_EQ(raw_region(&m.vm, 1, 0, 0, 0, NULL), 0);
		CHECK_EQ(raw_region(
				 &m.vm, 1, 0, HAMMER_BASE, HAMMER_HALF, m.data),
			0);
	}
	hammer_stop(m.low);
	for (unsigned i = 0; i < HAMMER_CPUS; i++) {
		pthread_join(cpu[i].thread, NULL);
		printf("vCPU %u: %llu writes, %lld of them lost\n", i,
			(unsigned long long)m.count[i],
			(long long)hammer_lost(m.data, i, m.count[i]));
	}
	printf("%lu changes, %lu MMIO exits for RAM\n", changes,
		atomic_load(&m.holes));
	CHECK(atomic_load(&m.holes) > 0);
	return TEST_END("kvm-naive");
}
