/* SPDX-License-Identifier: MIT */
/*
 * cpuid.c - what the guest is told about its CPUs
 *
 * All that this kernel supports (KVM_GET_SUPPORTED_CPUID, api.rst 4.46), but
 *
 *   - each vCPU has its number as APIC id, and the topology is as many
 *     one-threaded cores of one package as there are vCPUs
 *   - no nested virtualization, and no performance counters
 *   - of KVM's own features no async page faults, no steal time and no
 *     paravirtual end of interrupt: with each of them the kernel writes guest
 *     memory behind the back of write tracking. The clock stays.
 */
#include "vmm/kvm/internal.h"

#include <asm/kvm_para.h>
#include <stdlib.h>

#define ENTRIES_MAX 256u

#define BIT(n) (1u << (n))

/* Leaf 1 */
#define ECX_VMX          BIT(5)
#define ECX_X2APIC       BIT(21)
#define ECX_TSC_DEADLINE BIT(24)
#define ECX_HYPERVISOR   BIT(31)
#define EDX_HTT          BIT(28)
/* Leaf 0x80000001 */
#define ECX_SVM BIT(2)

/* What depends on memory that the kernel writes unseen. */
#define PV_UNSEEN                                                         \
	(BIT(KVM_FEATURE_ASYNC_PF) | BIT(KVM_FEATURE_STEAL_TIME) |        \
		BIT(KVM_FEATURE_PV_EOI) | BIT(KVM_FEATURE_PV_TLB_FLUSH) | \
		BIT(KVM_FEATURE_ASYNC_PF_VMEXIT) |                        \
		BIT(KVM_FEATURE_ASYNC_PF_INT))

/* The number of bits of an APIC id that tell vCPUs apart. */
static unsigned id_bits(unsigned cpus)
{
	unsigned bits = 0;

	while ((1u << bits) < cpus)
		bits++;
	return bits;
}

static void leaf_1(struct kvm_cpuid_entry2 *e, const struct vcpu *v)
{
	unsigned cpus = v->kvm->config.cpus;

	e->ebx = (e->ebx & 0xffff) | cpus << 16 | v->index << 24;
	e->ecx |= ECX_HYPERVISOR;
	e->ecx &= ~ECX_VMX;
	e->edx &= ~EDX_HTT;
	if (cpus > 1)
		e->edx |= EDX_HTT;
	if (!v->kvm->config.irqchip)
		e->ecx &= ~(ECX_X2APIC | ECX_TSC_DEADLINE);
	else if (sys_extension(v->kvm->fd, KVM_CAP_TSC_DEADLINE_TIMER) > 0)
		e->ecx |= ECX_TSC_DEADLINE;
}

/* Leaf 0xb and 0x1f: level 0 threads of a core, level 1 cores. */
static void leaf_topology(struct kvm_cpuid_entry2 *e, const struct vcpu *v)
{
	unsigned cpus = v->kvm->config.cpus;

	e->eax = e->ebx = 0;
	e->ecx = e->index;
	e->edx = v->index;
	if (e->index == 0) {
		e->ebx = 1;
		e->ecx |= 1u << 8;
	} else if (e->index == 1) {
		e->eax = id_bits(cpus);
		e->ebx = cpus;
		e->ecx |= 2u << 8;
	}
}

static void filter(struct kvm_cpuid_entry2 *e, const struct vcpu *v)
{
	unsigned cpus = v->kvm->config.cpus;

	switch (e->function) {
	case 0x1:
		leaf_1(e, v);
		break;
	case 0xa:
		e->eax = e->ebx = e->ecx = e->edx = 0;
		break;
	case 0xb:
	case 0x1f:
		leaf_topology(e, v);
		break;
	case KVM_CPUID_FEATURES:
		e->eax &= ~PV_UNSEEN;
		break;
	case 0x80000001:
		e->ecx &= ~ECX_SVM;
		break;
	case 0x80000008: /* AMD: number of cores, bits of their ids */
		e->ecx = id_bits(cpus) << 12 | (cpus - 1);
		break;
	case 0x8000001e: /* AMD: id; cores have one thread; one node */
		e->eax = v->index;
		e->ebx = v->index & 0xff;
		e->ecx = 0;
		break;
	default:
		break;
	}
}

int cpuid_set(struct vcpu *v, struct memslot_error *err)
{
	struct fault_plan *faults = kvm_faults(v->kvm);
	struct kvm_cpuid2 *c;
	int r = -ENOMEM;

	c = calloc(1, sizeof(*c) + ENTRIES_MAX * sizeof(c->entries[0]));
	if (c) {
		c->nent = ENTRIES_MAX;
		r = sys_ioctl(faults, FAULT_KVM_STATE, -ENOMEM, v->kvm->dev,
			KVM_GET_SUPPORTED_CPUID, c);
	}
	for (unsigned i = 0; !r && i < c->nent; i++)
		filter(&c->entries[i], v);
	if (!r)
		r = sys_ioctl(faults, FAULT_KVM_STATE, -ENOMEM, v->fd,
			KVM_SET_CPUID2, c);
	free(c);
	if (r)
		return memslot_fail(err, r,
			"KVM: the CPUID of vCPU %u cannot be set (%d)",
			v->index, r);
	return 0;
}
