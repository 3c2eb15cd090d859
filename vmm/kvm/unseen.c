/* SPDX-License-Identifier: MIT */
/*
 * unseen.c - guest pages that the kernel writes itself
 *
 * The guest names a page for its clock by an MSR, and the kernel writes the
 * time there, by no path that can be tracked. Such a page is not tracked,
 * rather than tracked with holes. Only what the guest has enabled by now can
 * be known. (Documentation/virt/kvm/x86/msr.rst; cpuid.c withholds the rest
 * of what works that way.)
 */
#include "vmm/kvm/slots.h"

#include <asm/kvm_para.h>

#define CLOCK_ENABLED 1u

static const uint32_t clocks[] = {MSR_KVM_SYSTEM_TIME_NEW, MSR_KVM_SYSTEM_TIME};

#define CLOCKS (sizeof(clocks) / sizeof(clocks[0]))

static uint64_t read_msr(struct vcpu *v, uint32_t index)
{
	struct kvm_msr_entry entry = {.index = index};

	/* a kernel without the MSR writes no clock */
	return sys_msrs(v->fd, KVM_GET_MSRS, &entry, 1) == 1 ? entry.data : 0;
}

int kernel_writes(struct kvm *k, gfn_t gfn, uint64_t size_pages,
	struct memslot_error *err)
{
	for (unsigned n = 0; n < k->cpus * CLOCKS; n++) {
		struct vcpu *v = &k->vcpu[n / CLOCKS];
		uint64_t clock = read_msr(v, clocks[n % CLOCKS]);
		gfn_t at = clock >> MEMSLOT_PAGE_SHIFT;

		if ((clock & CLOCK_ENABLED) && at - gfn < size_pages)
			return memslot_fail(err, -EPERM,
				"KVM: page %#llx cannot be tracked: the "
				"kernel writes the clock of vCPU %u there, "
				"unseen",
				(ull)at, v->index);
	}
	return 0;
}
