/* SPDX-License-Identifier: MIT */
/*
 * probe.c - does this KVM execute, or does it only emulate?
 *
 * A guest of a few bytes counts down in real mode and halts. Entering and
 * leaving it costs much more than a short loop, and not always the same: so
 * a loop of one round and one of many take turns, and of each the fastest
 * counts.
 */
#include "vmm/kvm/internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 400u
#define TRIES  4u

/* loop: dec cx; jnz loop; hlt */
static const uint8_t code[] = {0x49, 0x75, 0xfd, 0xf4};

struct probe {
	int dev, vm, cpu;
	struct kvm_run *run;
	size_t run_size;
	void *page;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int set_up(struct probe *p)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = MEMSLOT_PAGE_SIZE,
	};
	uint64_t identity = KVM_PRIVATE_BASE;
	struct kvm_sregs sregs;
	int r;

	p->vm = sys_ioctl(NULL, 0, 0, p->dev, KVM_CREATE_VM, NULL);
	if (p->vm < 0)
		return p->vm;
	p->page = mmap(NULL, MEMSLOT_PAGE_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p->page == MAP_FAILED)
		return -errno;
	memcpy(p->page, code, sizeof(code));
	region.userspace_addr = (uintptr_t)p->page;
	r = sys_ioctl(NULL, 0, 0, p->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	if (!r)
		r = sys_ioctl(NULL, 0, 0, p->vm, KVM_SET_TSS_ADDR,
			(void *)(uintptr_t)(identity + MEMSLOT_PAGE_SIZE));
	if (!r)
		r = sys_ioctl(
			NULL, 0, 0, p->vm, KVM_SET_USER_MEMORY_REGION, &region);
	if (r)
		return r;
	p->cpu = sys_ioctl(NULL, 0, 0, p->vm, KVM_CREATE_VCPU, NULL);
	if (p->cpu < 0)
		return p->cpu;
	p->run = mmap(NULL, p->run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		p->cpu, 0);
	if (p->run == MAP_FAILED)
		return -errno;
	r = sys_ioctl(NULL, 0, 0, p->cpu, KVM_GET_SREGS, &sregs);
	sregs.cs.base = sregs.cs.selector = 0;
	return r ? r : sys_ioctl(NULL, 0, 0, p->cpu, KVM_SET_SREGS, &sregs);
}

/* Nanoseconds for so many rounds, or a negative errno. */
static int64_t run_loop(struct probe *p, unsigned rounds)
{
	struct kvm_regs regs = {.rcx = rounds, .rflags = 2};
	int r = sys_ioctl(NULL, 0, 0, p->cpu, KVM_SET_REGS, &regs);
	uint64_t start = now_ns();

	while (!r &&
		(r = sys_ioctl(NULL, 0, 0, p->cpu, KVM_RUN, NULL)) == -EINTR)
		r = 0; /* a signal of somebody else's */
	if (r)
		return r;
	return p->run->exit_reason == KVM_EXIT_HLT ? (int64_t)(now_ns() - start)
						   : -EIO;
}

static int measure(struct probe *p, uint64_t *picoseconds)
{
	int64_t best[2] = {INT64_MAX, INT64_MAX};

	for (unsigned n = 0; n < 2 * TRIES; n++) {
		int64_t ns = run_loop(p, n % 2 ? ROUNDS + 1 : 1);

		if (ns < 0)
			return (int)ns;
		if (ns < best[n % 2])
			best[n % 2] = ns;
	}
	*picoseconds = best[1] > best[0] ? (uint64_t)(best[1] - best[0]) *
						   1000 / (2 * ROUNDS)
					 : 0;
	return 0;
}

int kvm_probe_speed(uint64_t *picoseconds, struct memslot_error *err)
{
	struct probe p = {.dev = -1, .vm = -1, .cpu = -1};
	struct kvm_facts facts;
	int r;

	p.run = p.page = MAP_FAILED;
	r = facts_open(&p.dev, &facts, err);
	if (r)
		return r;
	r = sys_ioctl(NULL, 0, 0, p.dev, KVM_GET_VCPU_MMAP_SIZE, NULL);
	if (r > 0) {
		p.run_size = (size_t)r;
		r = set_up(&p);
	}
	if (!r)
		r = measure(&p, picoseconds);
	if (p.run != MAP_FAILED)
		munmap(p.run, p.run_size);
	if (p.cpu >= 0)
		close(p.cpu);
	if (p.page != MAP_FAILED)
		munmap(p.page, MEMSLOT_PAGE_SIZE);
	if (p.vm >= 0)
		close(p.vm);
	close(p.dev);
	return r ? memslot_fail(err, r,
			   "KVM: the speed of this kernel's KVM cannot be "
			   "measured (%d)",
			   r)
		 : 0;
}
