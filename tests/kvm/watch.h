/* SPDX-License-Identifier: MIT */
/*
 * watch.h - between the backend and the kernel
 *
 * Programs that link watch.c are linked with --wrap=ioctl: every ioctl of the
 * backend passes through here, is counted, and may be made to fail. So what
 * is known of it does not come from the backend's own books.
 */
#ifndef TESTS_KVM_WATCH_H
#define TESTS_KVM_WATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct kvm_run;

struct watch {
	atomic_ulong regions; /* KVM_SET_USER_MEMORY_REGION calls */
	atomic_ulong runs;    /* KVM_RUN calls */
	atomic_ulong exits;   /* MMIO exits of the range [lo, hi) */
	uint64_t lo, hi;
	/* make the nth call of it from now on fail (0: none) */
	_Atomic(unsigned) request;
	atomic_long nth;
	_Atomic(bool) onwards; /* and all later ones */
	_Atomic(int) code;     /* with this errno */
	atomic_ulong failed;   /* how many were made to fail */
	atomic_ulong seen;     /* calls of `request` since it was set */
};

/* One a process: an ioctl carries no context. */
extern struct watch watch;

/* Count exits of this range from now on. No vCPU runs. */
void watch_range(uint64_t lo, uint64_t hi);
/* The vCPU of this descriptor says its exits there. No vCPU runs. */
void watch_vcpu(int fd, struct kvm_run *run);
void watch_forget_vcpus(void);
void watch_fail(unsigned long request, long nth, bool onwards, int code);

#endif
