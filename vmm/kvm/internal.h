/* SPDX-License-Identifier: MIT */
/*
 * internal.h - one VM, and what the files of this folder call of each other
 *
 *   sys.c     every ioctl, behind a fault point
 *   facts.c   what the kernel at hand can do, how fast it is
 *   vm.c      create, destroy, run, stop; the slot manager's participant
 *   vcpu.c    a vCPU's thread and its loop
 *   pause.c   kicking vCPUs, and holding them all
 *   exits.c   accesses that the kernel hands over
 *   regs.c    how a vCPU starts, and its state as text
 *   cpuid.c   what the guest is told about its CPUs
 *   project.c logical slots and tracked pages -> kernel slots
 *   plan.c    the steps from some kernel slots to others
 *   layout.c  the books: which kernel slots each logical slot has
 *   apply.c   taking the steps, and taking them back
 *   change.c  the slot manager's participant
 *   arm.c     tracked pages become read-only
 *   dirty.c   what the kernel has logged goes into the slot manager's log
 *   einval.c  which rule was broken
 */
#ifndef VMM_KVM_INTERNAL_H
#define VMM_KVM_INTERNAL_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "memslot/error.h"
#include "memslot/fault.h"
#include "vmm/kvm/compat.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/layout.h"

typedef unsigned long long ull; /* what %llx takes */

#define STOP_NONE (-1)

/* ---- kernel slots ---------------------------------------------------------- */

/* One logical slot in a transaction: what it had, what it will have. */
struct changed {
	unsigned id;
	struct layout before, after;
};

/* What the running transaction does to kernel slots. */
struct change {
	struct changed *slot;
	unsigned count;
	struct kslot *wanted; /* of all of them, one after the other */
	struct plan plan;
	uint64_t arms; /* of struct kvm when the plan was made */
	bool paused;
};

/* ---- one vCPU ----------------------------------------------------------------- */

struct vcpu {
	struct kvm *kvm;
	unsigned index;
	int fd;
	struct kvm_run *run; /* shared with the kernel */
	/* In KVM_RUN, or past the last look at what forbids it. */
	_Atomic(bool) in_guest;
	bool alive; /* `thread` can be signalled; under kick_lock */
	pthread_t thread;
	sigset_t old_mask; /* of the thread, before it was ours */
	struct memslot_reader reader;
	struct kvm_stats stats; /* of this thread */
};

/* ---- one VM -------------------------------------------------------------------- */

struct kvm {
	struct kvm_config config;
	struct kvm_facts facts;
	int dev, fd;
	size_t run_size; /* bytes of a kvm_run mapping */
	struct memslot_participant participant;
	bool joined;

	unsigned cpus; /* made so far */
	struct vcpu vcpu[KVM_CPUS_MAX];

	/* stopping */
	_Atomic(int) stop; /* enum accel_stop, or STOP_NONE */
	/* by the vCPU that set `stop`; read when all threads are joined */
	struct vcpu *stopped_by;
	struct memslot_error stop_error;

	/* pausing */
	pthread_mutex_t kick_lock; /* `alive`; sleeping and waking */
	pthread_cond_t left;       /* some vCPU is out of the guest */
	pthread_cond_t resumed;
	_Atomic(unsigned) paused; /* who wants the vCPUs out, 0: they may run */

	/*
	 * Kernel slots. The lock is also held from `apply` to `adopt` of a
	 * transaction, or to its `undo`.
	 */
	pthread_mutex_t change_lock;
	/* of who holds it; the second where the first may be inside */
	struct memslot_reader reader, log_reader;
	struct layout *layout; /* of each logical id */
	struct kernel_ids ids;
	struct change change;
	uint64_t arms; /* times the tracked pages have changed kernel slots */
	/* the transaction whose layout is here but not yet published */
	const struct memslot_txn *adopted;
};

static inline struct fault_plan *kvm_faults(const struct kvm *k)
{
	return memslots_faults(k->config.slots);
}

/* ---- sys.c --------------------------------------------------------------------- */

/*
 * ioctl() that returns what it returned, or a negative errno. EINTR comes
 * back as it is. `point` is the fault point that stands for it, and
 * `injected` the errno it then fails with.
 */
int sys_ioctl(struct fault_plan *faults, unsigned point, int injected, int fd,
	unsigned long request, void *arg);
int sys_extension(int fd, unsigned cap);
/* One KVM_SET_USER_MEMORY_REGION (api.rst 4.35); pages 0 deletes. */
int sys_set_region(struct kvm *k, unsigned point, unsigned id,
	const struct piece *p, uint64_t pages);

/* ---- vm.c --------------------------------------------------------------------- */

/* Stop the VM, with this as the error of its run. The first reason counts. */
void vm_fail(struct kvm *k, const struct memslot_error *why);

/* ---- facts.c ------------------------------------------------------------------- */

/* kvm_check() that leaves the device open in *dev. */
int facts_open(int *dev, struct kvm_facts *out, struct memslot_error *err);

/* ---- pause.c ------------------------------------------------------------------- */

int pause_init(struct kvm *k, struct memslot_error *err);
void pause_fini(struct kvm *k);
/*
 * Before and after each KVM_RUN, by the vCPU's thread. False: the VM is
 * stopping. In between the vCPU counts as being in the guest.
 */
bool pause_enter(struct vcpu *v);
void pause_leave(struct vcpu *v);
/* The calling thread is the vCPU's from now on, or no more. */
void pause_attach(struct vcpu *v);
void pause_detach(struct vcpu *v);
/* Make every vCPU look whether it may go on. Any thread. */
void pause_kick_all(struct kvm *k);
/*
 * Hold all vCPUs outside the guest: when pause_begin() returns, none is in
 * KVM_RUN, and none enters until as many pause_end() as begins. Any thread
 * that is not itself in KVM_RUN.
 */
void pause_begin(struct kvm *k);
void pause_end(struct kvm *k);

/* ---- vcpu.c --------------------------------------------------------------------- */

int vcpu_init(struct vcpu *v, struct kvm *k, unsigned index,
	struct memslot_error *err);
void vcpu_fini(struct vcpu *v);
/* Run until the VM stops. In the thread that is the vCPU. */
void vcpu_main(struct vcpu *v);
/* Stop the VM because of what this vCPU did. The first reason counts. */
void vcpu_stop(struct vcpu *v, enum accel_stop why);
void vcpu_fail(struct vcpu *v, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- exits.c -------------------------------------------------------------------- */

void exit_io(struct vcpu *v);
void exit_mmio(struct vcpu *v);

/* ---- regs.c, cpuid.c ------------------------------------------------------------- */

int regs_start(struct vcpu *v, const struct kvm_start *start,
	struct memslot_error *err);
size_t regs_describe(struct vcpu *v, char *text, size_t size);
int cpuid_set(struct vcpu *v, struct memslot_error *err);

/* ---- apply.c ---------------------------------------------------------------------- */

/* With change_lock held. */

/* -ENOSPC: the plan needs more kernel slots than there are. */
int apply_fits(
	const struct kvm *k, const struct plan *p, struct memslot_error *err);
/*
 * Take all steps, with new ids for what is created (also into wanted[]), or
 * none. An undo that fails is -EIO, and the VM has been stopped. Both with
 * the vCPUs held if plan_needs_pause() says so.
 */
int apply_plan(struct kvm *k, struct plan *p, struct kslot *wanted,
	struct memslot_error *err);
/* Take a plan back that was applied. -EIO: the kernel refuses. */
int apply_undo(struct kvm *k, const struct plan *p);

/* ---- change.c --------------------------------------------------------------------- */

extern const struct memslot_participant_ops change_ops;

int change_init(struct kvm *k, struct memslot_error *err);
void change_fini(struct kvm *k);
/* Kernel slots for the map as it is. Before the first vCPU runs. */
int change_first(struct kvm *k, struct memslot_error *err);

/* ---- arm.c ------------------------------------------------------------------------- */

/*
 * Make the kernel slots of these pages agree with which of them are tracked.
 * Takes change_lock. -ENOSPC, -ENOMEM, what the kernel says: nothing changed.
 */
int arm_range(struct kvm *k, gfn_t gfn, uint64_t size_pages,
	struct memslot_error *err);
/* The same for pages of one slot, with change_lock held. */
int arm_slot(struct kvm *k, const struct memslot *s, uint64_t first,
	uint64_t size_pages, struct memslot_error *err);
/* The tracked pages among [first, end) of a slot. -ENOMEM. */
int arm_tracked(const struct memslot *s, uint64_t first, uint64_t end,
	struct runs *out);

/* ---- dirty.c ------------------------------------------------------------------------ */

/*
 * Move the kernel's log of pages [first, end) of this kernel slot, which lie
 * in `s`, to the log of the slot manager, and protect them again. With
 * change_lock held. What the kernel says.
 */
int dirty_sync_slot(struct kvm *k, const struct kslot *ks,
	const struct memslot *s, uint64_t first, uint64_t end);
/* The participant's sync_dirty. */
int dirty_sync(void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages,
	struct memslot_error *err);

/* ---- einval.c ------------------------------------------------------------------------ */

/* A sentence for a step that the kernel refused with `code`. Returns code. */
int einval_explain(struct kvm *k, const struct step *s, int code,
	struct memslot_error *err);

#endif
