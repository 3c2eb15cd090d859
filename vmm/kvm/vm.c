/* SPDX-License-Identifier: MIT */
/*
 * vm.c - a VM: create, run, stop, destroy
 */
#include "vmm/kvm/slots.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- making it ------------------------------------------------------------------------ */

static int check_config(const struct kvm_config *c, struct memslot_error *err)
{
	if (!c->slots || !c->mmio || !c->ports)
		return memslot_fail(err, -EINVAL,
			"KVM: a memory map and two buses are needed");
	if (c->cpus < 1 || c->cpus > KVM_CPUS_MAX)
		return memslot_fail(err, -EINVAL,
			"KVM: %u vCPUs wanted, 1 to %u possible", c->cpus,
			KVM_CPUS_MAX);
	if (c->space >= memslots_spaces(c->slots))
		return memslot_fail(err, -EINVAL,
			"KVM: space %u wanted, there are %u", c->space,
			memslots_spaces(c->slots));
	return 0;
}

static void enable(struct kvm *k, unsigned cap, uint64_t arg)
{
	struct kvm_enable_cap c = {.cap = cap, .args = {arg}};

	(void)sys_ioctl(NULL, 0, 0, k->fd, KVM_ENABLE_CAP, &c);
}

/*
 * Where the kernel has them: an instruction that it cannot emulate is ours in
 * user mode too, not an exception for the guest; and a slot that goes leaves
 * the mappings of others alone. Without, it is slower, or does less.
 */
static void enable_optional(struct kvm *k)
{
	enable(k, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1);
	if (k->facts.precise_zap)
		enable(k, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_SLOT_ZAP_ALL);
}

static int make_vm(struct kvm *k, struct memslot_error *err)
{
	int r;

	if (k->config.cpus > k->facts.vcpus_max)
		return memslot_fail(err, -EINVAL,
			"KVM: %u vCPUs wanted, this kernel has %u at most",
			k->config.cpus, k->facts.vcpus_max);
	k->fd = sys_ioctl(kvm_faults(k), FAULT_KVM_VM, -ENOMEM, k->dev,
		KVM_CREATE_VM, NULL);
	if (k->fd < 0)
		return memslot_fail(
			err, k->fd, "KVM: the kernel makes no VM (%d)", k->fd);
	r = sys_ioctl(NULL, 0, 0, k->dev, KVM_GET_VCPU_MMAP_SIZE, NULL);
	if (r < (int)sizeof(struct kvm_run))
		return memslot_fail(err, -ENOSYS,
			"KVM: vCPUs share %d bytes with us, %zu are needed", r,
			sizeof(struct kvm_run));
	k->run_size = (size_t)r;
	enable_optional(k);
	return dirty_enable(k, err);
}

/*
 * Before the first vCPU, which gets its local APIC from them. Real mode on
 * older Intel processors needs memory of the kernel's own in any case.
 */
static int make_chips(struct kvm *k, struct memslot_error *err)
{
	struct fault_plan *faults = kvm_faults(k);
	/* the speaker's port 0x61 too, by which Linux calibrates its clock */
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	uint64_t identity = KVM_PRIVATE_BASE;
	int r;

	r = sys_ioctl(faults, FAULT_KVM_CHIPS, -ENOMEM, k->fd,
		KVM_SET_IDENTITY_MAP_ADDR, &identity);
	if (!r)
		r = sys_ioctl(faults, FAULT_KVM_CHIPS, -ENOMEM, k->fd,
			KVM_SET_TSS_ADDR,
			(void *)(uintptr_t)(identity + MEMSLOT_PAGE_SIZE));
	if (!r && k->config.irqchip)
		r = sys_ioctl(faults, FAULT_KVM_CHIPS, -ENOMEM, k->fd,
			KVM_CREATE_IRQCHIP, NULL);
	if (!r && k->config.irqchip)
		r = sys_ioctl(faults, FAULT_KVM_CHIPS, -ENOMEM, k->fd,
			KVM_CREATE_PIT2, &pit);
	return r ? memslot_fail(err, r,
			   "KVM: the interrupt chips cannot be made (%d)", r)
		 : 0;
}

static int make_cpus(struct kvm *k, struct memslot_error *err)
{
	int r = 0;

	while (!r && k->cpus < k->config.cpus) {
		r = vcpu_init(&k->vcpu[k->cpus], k, k->cpus, err);
		k->cpus += r == 0;
	}
	if (!r)
		r = regs_start(&k->vcpu[0], &k->config.start, err);
	return r;
}

/*
 * While there is nobody who changes the map, so that what is found is the
 * same that the first transaction starts from.
 */
static int join(struct kvm *k, struct memslot_error *err)
{
	int r;

	k->participant.ops = &part_ops;
	k->participant.ctx = k;
	r = memslots_join(k->config.slots, &k->participant);
	if (r)
		return memslot_fail(
			err, r, "KVM: cannot join the memory map (%d)", r);
	k->joined = true;
	pthread_mutex_lock(&k->slots_lock);
	r = slots_sync(
		k, 0, MEMSLOT_GPA_LIMIT >> MEMSLOT_PAGE_SHIFT, false, err);
	pthread_mutex_unlock(&k->slots_lock);
	return r;
}

int kvm_create(const struct kvm_config *config, struct kvm **out,
	struct memslot_error *err)
{
	struct kvm *k;
	int r;

	*out = NULL;
	r = check_config(config, err);
	if (r)
		return r;
	k = aligned_alloc(_Alignof(struct kvm), sizeof(*k));
	if (!k)
		return memslot_fail(err, -ENOMEM, "no memory for a KVM VM");
	memset(k, 0, sizeof(*k));
	k->config = *config;
	k->dev = k->fd = -1;
	atomic_init(&k->stop, STOP_NONE);
	for (unsigned n = 0; n < KVM_CPUS_MAX; n++)
		k->vcpu[n].fd = -1;
	r = pause_init(k, err);
	if (r) {
		free(k);
		return r;
	}
	if (FAULT(kvm_faults(k), FAULT_KVM_OPEN))
		r = memslot_fail(err, -ENOENT, "KVM: no device (injected)");
	else
		r = facts_open(&k->dev, &k->facts, err);
	if (!r)
		r = slots_init(k, err);
	if (!r)
		r = make_vm(k, err);
	if (!r)
		r = make_chips(k, err);
	if (!r)
		r = make_cpus(k, err);
	if (!r)
		r = join(k, err);
	if (r) {
		kvm_destroy(k);
		return r;
	}
	*out = k;
	return 0;
}

void kvm_destroy(struct kvm *k)
{
	if (!k)
		return;
	if (k->joined)
		memslots_quit(k->config.slots, &k->participant);
	while (k->cpus > 0)
		vcpu_fini(&k->vcpu[--k->cpus]);
	if (k->fd >= 0)
		close(k->fd);
	if (k->dev >= 0)
		close(k->dev);
	slots_fini(k);
	pause_fini(k);
	free(k);
}

/* ---- run, stop ---------------------------------------------------------------------------- */

static void *cpu_thread(void *ctx)
{
	vcpu_main(ctx);
	return NULL;
}

static void kvm_request_stop(void *ctx, enum accel_stop why)
{
	struct kvm *k = ctx;
	int none = STOP_NONE;

	atomic_compare_exchange_strong(&k->stop, &none, (int)why);
	pause_kick_all(k);
}

static int kvm_run_all(
	void *ctx, enum accel_stop *why, struct memslot_error *err)
{
	struct kvm *k = ctx;
	pthread_t thread[KVM_CPUS_MAX];
	unsigned started;
	int r = 0;

	k->stopped_by = NULL;
	k->stop_error.code = 0;
	for (started = 1; started < k->cpus; started++) {
		r = pthread_create(
			&thread[started], NULL, cpu_thread, &k->vcpu[started]);
		if (r)
			break;
	}
	if (r)
		kvm_request_stop(k, ACCEL_STOP_ERROR);
	else
		vcpu_main(&k->vcpu[0]);
	for (unsigned n = 1; n < started; n++)
		pthread_join(thread[n], NULL);
	/* The stop has been obeyed; a later run goes on from here. */
	*why = (enum accel_stop)atomic_exchange(&k->stop, STOP_NONE);
	if (r)
		return memslot_fail(err, r == ENOMEM ? -ENOMEM : -EAGAIN,
			"KVM: cannot start a thread for vCPU %u", started);
	if (*why == ACCEL_STOP_ERROR)
		memslot_fail(err, -EIO, "%s",
			k->stop_error.code
				? k->stop_error.text
				: "KVM: a change of the memory map could "
				  "not be undone, the machine is stopped");
	return 0;
}

static size_t kvm_describe(void *ctx, char *text, size_t size)
{
	struct kvm *k = ctx;

	return k->stopped_by ? regs_describe(k->stopped_by, text, size) : 0;
}

static void accel_destroy(void *ctx)
{
	kvm_destroy(ctx);
}

struct accel kvm_accel(struct kvm *kvm)
{
	static const struct accel_ops ops = {
		.name = "kvm",
		.run = kvm_run_all,
		.request_stop = kvm_request_stop,
		.describe = kvm_describe,
		.destroy = accel_destroy,
	};

	return (struct accel){&ops, kvm};
}

/* ---- interrupts ---------------------------------------------------------------------------- */

static void set_gsi(void *ctx, unsigned number, bool level)
{
	struct kvm *k = ctx;
	struct kvm_irq_level irq = {.irq = number, .level = level};

	(void)sys_ioctl(NULL, 0, 0, k->fd, KVM_IRQ_LINE, &irq);
}

struct irq_line kvm_irq(struct kvm *kvm, unsigned gsi)
{
	struct irq_line line = {.ctx = kvm, .number = gsi};

	if (kvm->config.irqchip && gsi < KVM_IOAPIC_NUM_PINS)
		line.set = set_gsi;
	return line;
}

int kvm_msi(struct kvm *kvm, uint64_t address, uint32_t data)
{
	struct kvm_msi msi = {
		.address_lo = (uint32_t)address,
		.address_hi = (uint32_t)(address >> 32),
		.data = data,
	};
	int r = sys_ioctl(NULL, 0, 0, kvm->fd, KVM_SIGNAL_MSI, &msi);

	/* 0: delivered to nobody, because all have it blocked */
	return r < 0 ? r : 0;
}

void kvm_stats(struct kvm *kvm, struct kvm_stats *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned n = 0; n < kvm->cpus; n++) {
		const struct kvm_stats *s = &kvm->vcpu[n].stats;

		out->exits += s->exits;
		out->port_exits += s->port_exits;
		out->mmio_exits += s->mmio_exits;
		out->tracked_writes += s->tracked_writes;
		out->dropped_writes += s->dropped_writes;
		out->steps += s->steps;
		out->memory_exits += s->memory_exits;
	}
}
