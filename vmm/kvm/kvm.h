/* SPDX-License-Identifier: MIT */
/*
 * kvm.h - the CPU backend on Linux KVM, x86-64
 *
 * The caller's slots are logical. The kernel's slots are computed from them
 * and from the pages that are tracked (a run of tracked pages is a read-only
 * kernel slot of its own), and a transaction applies the difference between
 * two such projections. A write to a tracked page arrives as an MMIO exit
 * with its bytes; it is performed, marked dirty and reported here.
 *
 * Follows Documentation/virt/kvm/api.rst; the section is named where a rule
 * of it matters.
 */
#ifndef VMM_KVM_KVM_H
#define VMM_KVM_KVM_H

#include "devices/bus.h"
#include "memslot/fault.h"
#include "memslot/memslot.h"
#include "pagetrack/pagetrack.h"
#include "vmm/accel.h"

MEMSLOT_BEGIN_DECLS

#define KVM_CPUS_MAX 8u
/* The most pages of one kernel slot: 64 MiB; docs/kvm.md says why. */
#define KVM_SLOT_PAGES ((uint64_t)16384)

/*
 * The signal that interrupts a vCPU's thread. Its disposition becomes a
 * handler that does nothing, unless it has a handler already, which serves as
 * well; it stays when the last VM is gone. vCPU threads have it unblocked
 * while they run. No other signal is touched.
 */
#define KVM_KICK_SIGNAL SIGRTMIN

/*
 * Not for guest memory: on Intel the kernel puts a task state segment and a
 * page table of its own here. (api.rst 4.36 KVM_SET_TSS_ADDR, 4.41)
 */
#define KVM_PRIVATE_BASE ((gpa_t)0xfffbc000)
#define KVM_PRIVATE_END  ((gpa_t)0xfffc0000)

struct kvm; /* one VM with its vCPUs */

/* ---- what the kernel at hand can do ------------------------------------------ */

struct kvm_facts {
	unsigned slots_max;    /* KVM_CAP_NR_MEMSLOTS */
	unsigned vcpus_max;    /* KVM_CAP_MAX_VCPUS */
	bool manual_protect;   /* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 */
	unsigned ring_entries; /* largest dirty ring, 0: none */
	unsigned ring_cap;     /* the capability that it is */
	bool precise_zap;      /* DELETE forgets one slot's mappings only */
	bool step_alone;       /* single steps without interrupts */
};

/*
 * Open the device and look whether all that this backend needs is there.
 * Each error has a sentence with what is missing and what to do:
 *   -ENOENT  no such device: no KVM in this kernel, or not loaded
 *   -EACCES  not permitted: names the group that is
 *   -ENOSYS  the kernel's KVM is too old: names the capability
 */
int kvm_check(struct kvm_facts *out, struct memslot_error *err);

/*
 * How long this KVM takes for one instruction of a guest, in picoseconds,
 * measured with a loop of some hundred microseconds. A KVM that emulates
 * takes about a microsecond, one that executes about a nanosecond.
 */
int kvm_probe_speed(uint64_t *picoseconds, struct memslot_error *err);

/* ---- a VM ---------------------------------------------------------------------- */

/* How vCPU 0 starts; the others wait for INIT and SIPI. */
enum kvm_mode {
	KVM_MODE_REAL,      /* 16 bits, CS base = rip & ~0xffff */
	KVM_MODE_PROTECTED, /* 32 bits, flat segments, no paging */
	KVM_MODE_LONG,      /* 64 bits, flat segments, page tables at cr3 */
};

struct kvm_start {
	enum kvm_mode mode;
	uint64_t rip, rsp, rax, rbx, rsi, rdi;
	gpa_t cr3; /* KVM_MODE_LONG: in guest memory, written by the loader */
	gpa_t gdt; /* in guest memory; selectors 0x10 code, 0x18 data */
	uint16_t gdt_limit;
};

struct kvm_config {
	struct memslots *slots;
	struct pagetrack *track; /* may be NULL */
	unsigned space;          /* address space the vCPUs live in */
	unsigned cpus;           /* 1 .. KVM_CPUS_MAX */
	const struct bus *mmio;
	const struct bus *ports; /* addresses are port numbers */
	struct kvm_start start;
	/*
	 * In-kernel PIC, IOAPIC, local APICs and PIT, kvmclock. Without them
	 * (bare-metal guests of tests) HLT ends the run as a power-off.
	 */
	bool irqchip;
	/*
	 * 0: dirty pages are noted in the kernel's bitmaps. Otherwise in a
	 * ring for each vCPU of so many entries, a power of two.
	 */
	unsigned dirty_ring;
};

/*
 * Make the VM, its vCPUs and kernel slots for the map as it is, and join the
 * map as participant "kvm". Errors: what kvm_check() returns; -ENOSPC more
 * kernel slots needed than there are; -EINVAL; -ENOMEM.
 */
int kvm_create(const struct kvm_config *config, struct kvm **out,
	struct memslot_error *err);
/* Not while it runs. NULL is allowed. */
void kvm_destroy(struct kvm *kvm);
/* The same, ready to run; ops->destroy destroys the VM. */
struct accel kvm_accel(struct kvm *kvm);

/* What has happened so far. Any thread; exact while no vCPU runs. */
struct kvm_stats {
	uint64_t exits;          /* returns from KVM_RUN */
	uint64_t port_exits;     /* of these: accesses to ports */
	uint64_t mmio_exits;     /* and to addresses without memory */
	uint64_t tracked_writes; /* writes to tracked pages */
	uint64_t dropped_writes; /* writes to read-only slots */
	uint64_t steps;          /* instructions stepped over: step.c */
	/*
	 * Exits for memory that is neither read-only nor tracked: an access
	 * that the kernel began before its page's tracking ended, or
	 * something this backend promises not to let happen.
	 */
	uint64_t memory_exits;
};
void kvm_stats(struct kvm *kvm, struct kvm_stats *out);

/* A wire of the interrupt chips (GSI 0 .. 23). Any thread. */
struct irq_line kvm_irq(struct kvm *kvm, unsigned gsi);
/*
 * Send a message-signalled interrupt now (KVM_SIGNAL_MSI). Any thread.
 * Returns 0, or a negative errno if nobody can be interrupted that way.
 */
int kvm_msi(struct kvm *kvm, uint64_t address, uint32_t data);

/* ---- fault points ------------------------------------------------------------- */

enum kvm_fault {
	FAULT_KVM_OPEN = FAULT_BASE_VMM + 16,
	FAULT_KVM_VM,
	FAULT_KVM_CHIPS,
	FAULT_KVM_VCPU,
	FAULT_KVM_MAP,
	FAULT_KVM_STATE,
	FAULT_KVM_CREATE,
	FAULT_KVM_DELETE,
	FAULT_KVM_MOVE,
	FAULT_KVM_FLAGS,
	FAULT_KVM_UNDO,
	FAULT_KVM_PLAN,
	FAULT_KVM_DIRTY,
	FAULT_KVM_STEP,
	FAULT_KVM_END, /* not a point */
};
extern const struct fault_point kvm_fault_points[];

MEMSLOT_END_DECLS

#endif
