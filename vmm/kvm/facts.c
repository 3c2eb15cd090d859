/* SPDX-License-Identifier: MIT */
/*
 * facts.c - what the kernel at hand can do
 *
 * Asked once, with KVM_CHECK_EXTENSION (api.rst 4.4), so that what is missing
 * is said in one sentence at the start and not by a strange failure later.
 */
#include "vmm/kvm/internal.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define DEVICE "/dev/kvm"

/* ---- the device ------------------------------------------------------------------ */

static int not_permitted(int code, struct memslot_error *err)
{
	struct group *group = NULL;
	struct stat st;

	if (stat(DEVICE, &st) == 0)
		group = getgrgid(st.st_gid);
	if (group)
		return memslot_fail(err, code,
			DEVICE " may be opened by group %s only: add the user "
			       "to it (adduser USER %s) and log in again",
			group->gr_name, group->gr_name);
	return memslot_fail(err, code,
		DEVICE " may not be opened by this user: ask its owner for "
		       "read and write permission");
}

static int open_device(int *dev, struct memslot_error *err)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC), code;

	if (fd >= 0) {
		*dev = fd;
		return 0;
	}
	code = -errno;
	if (code == -EACCES || code == -EPERM)
		return not_permitted(-EACCES, err);
	if (code == -ENOENT || code == -ENXIO || code == -ENODEV)
		return memslot_fail(err, -ENOENT,
			"there is no " DEVICE ": load kvm-intel or kvm-amd, "
			"and see that virtualization is on in the firmware");
	return memslot_fail(err, code, DEVICE " cannot be opened (%d)", code);
}

/* ---- capabilities ----------------------------------------------------------------- */

/* What there is no way around. All are in Linux 4.17 and later. */
static const struct {
	unsigned cap;
	const char *name, *what;
} needed[] = {
	{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY", "memory slots"},
	{KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
		"KVM_CAP_DESTROY_MEMORY_REGION_WORKS", "slots can be deleted"},
	{KVM_CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM", "writes can be tracked"},
	{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT",
		"vCPUs can be stopped without a race"},
	{KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP", "interrupt chips"},
	{KVM_CAP_PIT2, "KVM_CAP_PIT2", "the timer chip"},
	{KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI", "interrupts of devices"},
	{KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID", "CPUID can be filtered"},
	{KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE", "several vCPUs"},
	{KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR", "real mode on Intel"},
	{KVM_CAP_SET_GUEST_DEBUG, "KVM_CAP_SET_GUEST_DEBUG",
		"instructions can be stepped over"},
};

static int too_old(unsigned i, struct memslot_error *err)
{
	struct utsname u;

	if (uname(&u))
		u.release[0] = 0;
	return memslot_fail(err, -ENOSYS,
		"the KVM of Linux %s has no %s (%s): Linux 4.17 or later is "
		"needed",
		u.release, needed[i].name, needed[i].what);
}

static void ring(int dev, struct kvm_facts *f)
{
	int bytes = 0;

	f->ring_cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL;
	bytes = sys_extension(dev, f->ring_cap);
	if (bytes <= 0) {
		f->ring_cap = KVM_CAP_DIRTY_LOG_RING;
		bytes = sys_extension(dev, f->ring_cap);
	}
	if (bytes > 0)
		f->ring_entries =
			(unsigned)bytes / sizeof(struct kvm_dirty_gfn);
}

static void optional(int dev, struct kvm_facts *f)
{
	int vcpus = sys_extension(dev, KVM_CAP_MAX_VCPUS);
	int debug = sys_extension(dev, KVM_CAP_SET_GUEST_DEBUG2);

	/* api.rst 4.4: without the one the other, without both 4 */
	if (vcpus <= 0)
		vcpus = sys_extension(dev, KVM_CAP_NR_VCPUS);
	f->vcpus_max = vcpus > 0 ? (unsigned)vcpus : 4;
	f->slots_max = (unsigned)sys_extension(dev, KVM_CAP_NR_MEMSLOTS);
	if (f->slots_max == 0)
		f->slots_max = 32;
	f->manual_protect =
		sys_extension(dev, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) > 0;
	ring(dev, f);
	f->precise_zap = sys_extension(dev, KVM_CAP_DISABLE_QUIRKS2) &
			 KVM_X86_QUIRK_SLOT_ZAP_ALL;
	f->step_alone = debug & KVM_GUESTDBG_BLOCKIRQ;
}

static int check_device(
	int dev, struct kvm_facts *out, struct memslot_error *err)
{
	int version = sys_ioctl(NULL, 0, 0, dev, KVM_GET_API_VERSION, NULL);

	if (version != KVM_API_VERSION)
		return memslot_fail(err, -ENOSYS,
			DEVICE " speaks version %d of the interface, not %d",
			version, KVM_API_VERSION);
	for (unsigned i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (sys_extension(dev, needed[i].cap) <= 0)
			return too_old(i, err);
	memset(out, 0, sizeof(*out));
	optional(dev, out);
	return 0;
}

int facts_open(int *dev, struct kvm_facts *out, struct memslot_error *err)
{
	int fd = -1, r;

	r = open_device(&fd, err);
	if (!r)
		r = check_device(fd, out, err);
	if (r && fd >= 0)
		close(fd);
	else
		*dev = fd;
	return r;
}

int kvm_check(struct kvm_facts *out, struct memslot_error *err)
{
	struct kvm_facts facts;
	int dev, r = facts_open(&dev, &facts, err);

	if (r)
		return r;
	close(dev);
	if (out)
		*out = facts;
	return 0;
}
