/* SPDX-License-Identifier: MIT */
/*
 * internal.h - one VM, and what the files of this folder call of each other
 *
 *   sys.c     every ioctl, behind a fault point
 *   facts.c   what the kernel at hand can do, how fast it is
 *   vm.c      create, destroy, run, stop
 *   vcpu.c    a vCPU's thread and its loop
 *   pause.c   kicking vCPUs, and holding them all
 *   exits.c   accesses that the kernel hands over
 *   regs.c    how a vCPU starts, and its state as text
 *   cpuid.c   what the guest is told about its CPUs
 *   project.c logical slots and tracked pages -> kernel slots (pure)
 *   plan.c    from some kernel slots to others (pure)
 *   slots.c   the kernel's slots, changed all or not at all
 *   txn.c     the slot manager's participant
 *   sync.c    pages are tracked, or no more
 *   dirty.c   from the kernel's dirty log into the slot manager's
 *   step.c    writes that the kernel's emulator cannot do
 *   unseen.c  pages that the kernel writes itself
 *   einval.c  which rule it was
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
#include "vmm/kvm/project.h"

typedef unsigned long long ull; /* what %llx takes */

#define STOP_NONE (-1)

/* ---- kernel slots ---------------------------------------------------------- */

struct group;  /* of one logical slot: slots.h */
struct change; /* of kernel slots: slots.h */

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
	struct kvm_stats stats;     /* of this thread */
	struct kvm_dirty_gfn *ring; /* or NULL; under slots_lock */
	uint32_t ring_next;
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
	_Atomic(int) stop;               /* enum accel_stop, or STOP_NONE */
	struct vcpu *stopped_by;         /* which did, or NULL; as stop_error */
	struct memslot_error stop_error; /* under kick_lock, with `stop` */

	/* pausing */
	pthread_mutex_t kick_lock; /* `alive`; sleeping and waking */
	pthread_cond_t left;       /* some vCPU is out of the guest */
	pthread_cond_t resumed;
	_Atomic(unsigned) paused; /* who wants the vCPUs out, 0: they may run */
	struct vcpu *alone; /* may be in the guest all the same; kick_lock */

	/* kernel slots; all under slots_lock */
	pthread_mutex_t slots_lock;
	bool has_slots;     /* there are a lock and a reader */
	struct piece *live; /* by kernel id; of 0 pages: there is none */
	uint16_t *free_ids; /* a stack */
	unsigned free_count;
	struct group **group; /* by logical id; NULL: none */
	uint64_t version;     /* of all this */
	struct memslot_reader reader;
	uint64_t bitmap[KVM_SLOT_PAGES / 64]; /* what was read last */

	/* of the running transaction's thread */
	struct change *change;
	bool txn_locked, txn_paused;
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
/*
 * KVM_GET_MSRS, KVM_SET_MSRS (api.rst 4.18, 4.19): how many of the entries,
 * at most SYS_MSRS_MAX, from the first on were done, or a negative errno.
 */
#define SYS_MSRS_MAX 2u
int sys_msrs(int fd, unsigned long request, struct kvm_msr_entry *entry,
	unsigned count);
int sys_extension(int fd, unsigned cap);
/* One KVM_SET_USER_MEMORY_REGION; pages 0 deletes. */
int sys_set_region(struct kvm *k, unsigned point, unsigned id,
	const struct piece *p, uint64_t pages);

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
/* The same, but this vCPU, of the calling thread, may go in. slots_lock. */
void pause_begin_for(struct vcpu *v);
void pause_end_for(struct vcpu *v);

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

/* ---- slots.c, sync.c, txn.c: see slots.h ------------------------------------------ */

int slots_init(struct kvm *k, struct memslot_error *err);
void slots_fini(struct kvm *k);

/* ---- dirty.c; all with slots_lock held, but for the first and last ----------------- */

int dirty_enable(struct kvm *k, struct memslot_error *err);
/* Of a kernel slot that logs, pages [page, end). */
int dirty_pull(struct kvm *k, uint32_t id, uint64_t page, uint64_t end);
/* Of one logical slot, pages [gfn, end). */
int dirty_sync(struct kvm *k, gfn_t gfn, gfn_t end);
int dirty_ring_map(struct vcpu *v);
void dirty_ring_unmap(struct vcpu *v);
/* The vCPU's ring has no more room. */
int dirty_ring_full(struct vcpu *v);

/* ---- step.c ------------------------------------------------------------------------ */

/*
 * The kernel gave up at an instruction: let the vCPU execute it with all
 * pages writable. True: it has come out of the guest again, for the reason in
 * v->run; false: it has not, or the VM stops.
 */
bool step_over(struct vcpu *v);

/* ---- unseen.c ---------------------------------------------------------------------- */

/* With vCPUs paused. -EPERM: the kernel writes one of the pages itself. */
int kernel_writes(struct kvm *k, gfn_t gfn, uint64_t size_pages,
	struct memslot_error *err);

#endif
