/* SPDX-License-Identifier: MIT */
/*
 * none.c - hosts that are not x86-64: this backend is not for them
 */
#include "vmm/kvm/kvm.h"

#include <errno.h>
#include <string.h>

#include "memslot/error.h"

const struct fault_point kvm_fault_points[] = {{0, NULL, NULL}};

static int not_here(struct memslot_error *err)
{
	return memslot_fail(err, -ENOENT,
		"KVM: this program runs x86-64 guests, and this host is no "
		"x86-64 machine");
}

int kvm_check(struct kvm_facts *out, struct memslot_error *err)
{
	return not_here(err);
}

int kvm_probe_speed(uint64_t *picoseconds, struct memslot_error *err)
{
	return not_here(err);
}

int kvm_create(const struct kvm_config *config, struct kvm **out,
	struct memslot_error *err)
{
	*out = NULL;
	return not_here(err);
}

void kvm_destroy(struct kvm *kvm)
{
}

struct accel kvm_accel(struct kvm *kvm)
{
	return (struct accel){NULL, NULL};
}

struct irq_line kvm_irq(struct kvm *kvm, unsigned gsi)
{
	return (struct irq_line){NULL, NULL, 0};
}

int kvm_msi(struct kvm *kvm, uint64_t address, uint32_t data)
{
	return -ENODEV;
}

void kvm_stats(struct kvm *kvm, struct kvm_stats *out)
{
	memset(out, 0, sizeof(*out));
}
