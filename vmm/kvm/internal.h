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

typedef unsigned long long ull; /* what %llx takes */

#define STOP_NONE (-1)

/* ---- kernel slots ---------------------------------------------------------- */

/* A kernel slot as it should be. */
struct piece {
	gfn_t gfn;
	uint64_t pages;
	uint8_t *host;
	uint32_t flags; /* KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY */
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

/* ---- project.c ------------------------------------------------------------------- */

#endif
