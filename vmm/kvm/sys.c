/* SPDX-License-Identifier: MIT */
/*
 * sys.c - asking the kernel, and failing as it would
 */
#include "vmm/kvm/internal.h"

#include <sys/ioctl.h>

const struct fault_point kvm_fault_points[] = {
	{FAULT_KVM_OPEN, "kvm.open", "/dev/kvm cannot be opened"},
	{FAULT_KVM_VM, "kvm.vm", "the kernel makes no VM"},
	{FAULT_KVM_CHIPS, "kvm.chips", "no in-kernel interrupt chips"},
	{FAULT_KVM_VCPU, "kvm.vcpu", "the kernel makes no vCPU"},
	{FAULT_KVM_MAP, "kvm.map", "a vCPU's shared page cannot be mapped"},
	{FAULT_KVM_STATE, "kvm.state", "a vCPU's registers cannot be set"},
	{FAULT_KVM_CREATE, "kvm.create", "a kernel slot is not created"},
	{FAULT_KVM_DELETE, "kvm.delete", "a kernel slot is not deleted"},
	{FAULT_KVM_MOVE, "kvm.move", "a kernel slot is not moved"},
	{FAULT_KVM_FLAGS, "kvm.flags", "a kernel slot keeps its flags"},
	{FAULT_KVM_UNDO, "kvm.undo",
		"a step is not undone (breaks the machine)"},
	{FAULT_KVM_PLAN, "kvm.plan", "memory to plan a change of slots"},
	{FAULT_KVM_DIRTY, "kvm.dirty", "the kernel's dirty log is not read"},
	{FAULT_KVM_STEP, "kvm.step", "an instruction cannot be stepped over"},
	{0, NULL, NULL},
};

int sys_ioctl(struct fault_plan *faults, unsigned point, int injected, int fd,
	unsigned long request, void *arg)
{
	int r;

	if (FAULT(faults, point))
		return injected;
	/* musl declares the request an int, glibc an unsigned long */
	r = (int)ioctl(fd, (__typeof__(_IO(0, 0)))request, arg);
	return r < 0 ? -errno : r;
}

int sys_msrs(int fd, unsigned long request, struct kvm_msr_entry *entry,
	unsigned count)
{
	/* kvm_msrs ends with an array of no size: room for it follows */
	_Alignas(struct kvm_msrs) uint8_t
		room[sizeof(struct kvm_msrs) + SYS_MSRS_MAX * sizeof(*entry)];
	struct kvm_msrs *m = (struct kvm_msrs *)room;
	int r;

	memset(room, 0, sizeof(room));
	m->nmsrs = count;
	memcpy(m->entries, entry, count * sizeof(*entry));
	r = sys_ioctl(NULL, 0, 0, fd, request, m);
	memcpy(entry, m->entries, count * sizeof(*entry));
	return r;
}

int sys_extension(int fd, unsigned cap)
{
	int r = (int)ioctl(fd, KVM_CHECK_EXTENSION, (unsigned long)cap);

	return r < 0 ? 0 : r;
}

int sys_set_region(struct kvm *k, unsigned point, unsigned id,
	const struct piece *p, uint64_t pages)
{
	struct kvm_userspace_memory_region r = {
		.slot = id,
		.flags = p->flags,
		.guest_phys_addr = p->gfn << MEMSLOT_PAGE_SHIFT,
		.memory_size = pages << MEMSLOT_PAGE_SHIFT,
		.userspace_addr = (uintptr_t)p->host,
	};

	return sys_ioctl(kvm_faults(k), point, -ENOMEM, k->fd,
		KVM_SET_USER_MEMORY_REGION, &r);
}
