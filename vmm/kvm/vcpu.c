/* SPDX-License-Identifier: MIT */
/*
 * vcpu.c - a vCPU's thread and its loop
 */
#include "vmm/kvm/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- stopping the VM ---------------------------------------------------------------- */

/* The first reason counts, with its text. */
static void stop(
	struct vcpu *v, enum accel_stop why, const struct memslot_error *text)
{
	struct kvm *k = v->kvm;
	int none = STOP_NONE;

	pthread_mutex_lock(&k->kick_lock);
	if (atomic_compare_exchange_strong(&k->stop, &none, (int)why)) {
		k->stopped_by = v;
		if (text)
			k->stop_error = *text;
	}
	pthread_mutex_unlock(&k->kick_lock);
	pause_kick_all(k);
}

void vcpu_stop(struct vcpu *v, enum accel_stop why)
{
	stop(v, why, NULL);
}

void vcpu_fail(struct vcpu *v, const char *fmt, ...)
{
	struct memslot_error text = {.code = -EIO};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text.text, sizeof(text.text), fmt, ap);
	va_end(ap);
	stop(v, ACCEL_STOP_ERROR, &text);
}

/* ---- exits --------------------------------------------------------------------------- */

static void on_exit(struct vcpu *v, bool stepped);

/* The emulator's limits have a way around; a second time they have not. */
static void internal_error(struct vcpu *v, bool stepped)
{
	unsigned suberror = v->run->internal.suberror;

	if (!stepped && (suberror == KVM_INTERNAL_ERROR_EMULATION ||
				suberror == KVM_INTERNAL_ERROR_DELIVERY_EV)) {
		if (step_over(v))
			on_exit(v, true);
		return;
	}
	vcpu_fail(v,
		"vCPU %u: KVM gave up, internal error %u (1: an instruction "
		"it cannot emulate, 3: while an exception was delivered)",
		v->index, v->run->internal.suberror);
}

static void on_exit(struct vcpu *v, bool stepped)
{
	struct kvm_run *run = v->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		exit_io(v);
		break;
	case KVM_EXIT_MMIO:
		exit_mmio(v);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		break;
	case KVM_EXIT_HLT: /* with interrupt chips the kernel waits itself */
		vcpu_stop(v, ACCEL_STOP_POWEROFF);
		break;
	case KVM_EXIT_SHUTDOWN:
		vcpu_fail(v, "vCPU %u: triple fault, the guest has crashed",
			v->index);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		internal_error(v, stepped);
		break;
	case KVM_EXIT_DEBUG: /* a step has ended */
		break;
	case KVM_EXIT_DIRTY_RING_FULL:
		if (dirty_ring_full(v))
			vcpu_fail(v, "vCPU %u: its dirty ring stays full",
				v->index);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		vcpu_fail(v,
			"vCPU %u: the processor refused to enter the guest, "
			"reason %#llx",
			v->index,
			(ull)run->fail_entry.hardware_entry_failure_reason);
		break;
	default:
		vcpu_fail(v, "vCPU %u: KVM stopped for unknown reason %u",
			v->index, run->exit_reason);
		break;
	}
}

/*
 * EINTR: a kick, which pause_enter() looks at, or a signal of somebody
 * else's. EAGAIN: a vCPU that waited for INIT and SIPI has got them.
 */
static void run_once(struct vcpu *v)
{
	int r = sys_ioctl(NULL, 0, 0, v->fd, KVM_RUN, NULL);

	pause_leave(v);
	v->stats.exits++;
	if (r >= 0)
		on_exit(v, false);
	else if (r != -EINTR && r != -EAGAIN)
		vcpu_fail(v, "vCPU %u: KVM_RUN failed (%d)", v->index, r);
}

void vcpu_main(struct vcpu *v)
{
	pause_attach(v);
	while (pause_enter(v))
		run_once(v);
	pause_detach(v);
}

/* ---- life ------------------------------------------------------------------------------ */

static int make(struct vcpu *v)
{
	struct kvm *k = v->kvm;
	struct fault_plan *faults = kvm_faults(k);
	void *run;

	v->fd = sys_ioctl(faults, FAULT_KVM_VCPU, -ENOMEM, k->fd,
		KVM_CREATE_VCPU, (void *)(uintptr_t)v->index);
	if (v->fd < 0)
		return v->fd;
	if (FAULT(faults, FAULT_KVM_MAP))
		return -ENOMEM;
	run = mmap(NULL, k->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd,
		0);
	if (run == MAP_FAILED)
		return -errno;
	v->run = run;
	return dirty_ring_map(v);
}

int vcpu_init(struct vcpu *v, struct kvm *k, unsigned index,
	struct memslot_error *err)
{
	int r;

	v->kvm = k;
	v->index = index;
	memslot_reader_init(&v->reader, k->config.slots, NULL, NULL);
	r = make(v);
	if (r)
		memslot_fail(err, r, "KVM: cannot make vCPU %u (%d)", index, r);
	else
		r = cpuid_set(v, err);
	if (r)
		vcpu_fini(v);
	return r;
}

void vcpu_fini(struct vcpu *v)
{
	dirty_ring_unmap(v);
	if (v->run)
		munmap(v->run, v->kvm->run_size);
	if (v->fd >= 0)
		close(v->fd);
	memslot_reader_fini(&v->reader);
}
