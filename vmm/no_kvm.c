/* SPDX-License-Identifier: MIT */
/* no_kvm.c - a program without vmm/kvm */
#include "vmm/kvm/kvm.h"

#include <errno.h>

#include "memslot/error.h"

static int not_here(struct memslot_error *err)
{
	return memslot_fail(
		err, -ENOSYS, "KVM: this program was built without it");
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
	return not_here(err);
}

struct accel kvm_accel(struct kvm *kvm)
{
	return (struct accel){NULL, NULL};
}

struct irq_line kvm_irq(struct kvm *kvm, unsigned gsi)
{
	return (struct irq_line){NULL, NULL, 0};
}
