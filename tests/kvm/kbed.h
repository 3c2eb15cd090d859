/* SPDX-License-Identifier: MIT */
/*
 * kbed.h - a map, a tracker and the KVM backend under a toy guest
 *
 * The guest is an agent on each vCPU: it does what the test asks of it, one
 * function at a time, and stays running. What the test knows of memory, it
 * knows from there.
 */
#ifndef TESTS_KVM_KBED_H
#define TESTS_KVM_KBED_H

#include <pthread.h>

#include "tests/kvm/toy.h"
#include "tests/kvm/watch.h"
#include "tests/unit/test.h"
#include "vmm/kvm/kvm.h"

#define KBED_CPUS 2u
/* Functions of the guest's, 16 bytes apart; the test's follow. */
#define KBED_FUNCTIONS (TOY_CODE + 0x1000)
#define KBED_LOW_SLOT  0u /* low memory is this slot */

struct kbed {
	struct memslots *ms;
	struct pagetrack *track;
	struct kvm *kvm;
	struct accel accel;
	struct bus mmio, ports;
	struct memslot_error err;
	uint8_t *low;
	unsigned cpus, ring;
	unsigned dirty_ring; /* of the VM; the test may set it */

	pthread_t runner;
	pthread_mutex_t lock; /* the rest */
	pthread_cond_t said;
	bool started;        /* there is a runner */
	bool running;        /* it has not come back */
	enum accel_stop why; /* if it has */
	uint32_t ack[KBED_CPUS];
	uint32_t seq[KBED_CPUS];
};

/* A call of a function in the guest, and what it left in registers. */
struct kbed_call {
	uint64_t function; /* guest address */
	uint64_t rdi, rsi, rdx, rcx, rax;
	uint64_t out_rax, out_rdx, out_flags;
};

/* A map with low memory, and no VM yet. The test adds slots. */
void kbed_open(struct kbed *b, unsigned cpus, unsigned ring);
/*
 * Copy functions of the test's into low memory; returns the guest address of
 * the first byte.
 */
uint64_t kbed_code(struct kbed *b, const void *code, size_t size);
/* Make the VM, and run nothing. Ends the program as skipped without KVM. */
void kbed_make(struct kbed *b);
/* Make the VM and run the agents. */
void kbed_run(struct kbed *b);
/* Stop them, destroy the VM, and say why they stopped. */
enum accel_stop kbed_stop(struct kbed *b);
void kbed_close(struct kbed *b);

/* False: the machine has stopped, before it or because of it. */
bool kbed_call(struct kbed *b, unsigned cpu, struct kbed_call *call);
/* Start it, and let it run; wait for the end of what was started. */
void kbed_start(struct kbed *b, unsigned cpu, const struct kbed_call *call);
bool kbed_wait(struct kbed *b, unsigned cpu, struct kbed_call *call);

/* 8 bytes through vCPU 0. All ones where nothing is. */
uint64_t kbed_load(struct kbed *b, gpa_t gpa);
void kbed_store(struct kbed *b, gpa_t gpa, uint64_t value);

#endif
