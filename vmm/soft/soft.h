/* SPDX-License-Identifier: MIT */
/*
 * soft.h - the embedded CPU: RV64 harts that run on any host
 *
 * Each hart is a thread. Its translation cache is the shadow page table of
 * this machine: filled from slot lookups, with write permission withheld
 * wherever memslot_page_writable() says so, dropped by `flush` and
 * `protect`, refilled by faults. While a hart runs guest code it is inside
 * one long read section of the slot manager; a kick makes it leave at the
 * next block boundary.
 */
#ifndef VMM_SOFT_SOFT_H
#define VMM_SOFT_SOFT_H

#include "devices/bus.h"
#include "memslot/memslot.h"
#include "pagetrack/pagetrack.h"
#include "vmm/accel.h"
#include "vmm/soft/isa.h"

MEMSLOT_BEGIN_DECLS

#define SOFT_HARTS_MAX 8

struct soft; /* all harts of one machine */

struct soft_config {
	struct memslots *slots;
	struct pagetrack *track; /* may be NULL */
	const struct bus *bus;
	unsigned space; /* address space the harts live in, usually 0 */
	unsigned harts; /* 1 .. SOFT_HARTS_MAX */
	gpa_t entry;    /* where hart 0 starts, in S mode, satp 0 */
	uint64_t a1;    /* its a1: address of the device tree; a0 = hartid */
	uint64_t timebase_hz; /* of the time CSR, 10000000 */
	/*
	 * One thread, time from the instruction counter: the same guest with
	 * the same input does the same. See lockstep.c.
	 */
	bool deterministic;
	isa_off_t isa_off; /* extensions to do without; 0: none */
	/* SBI debug console output and input; may be NULL. */
	void (*console_out)(void *ctx, const void *bytes, size_t len);
	size_t (*console_in)(void *ctx, void *bytes, size_t len);
	void *console_ctx;
};

/* Joins config->slots as participant "soft". */
int soft_create(const struct soft_config *config, struct soft **out,
	struct memslot_error *err);
void soft_destroy(struct soft *s);

/*
 * What struct accel_ops says of each. Reasons to stop that are the guest's
 * come from SBI's system reset: shutdown, failure, cold or warm reboot.
 */
int soft_run(struct soft *s, enum accel_stop *why, struct memslot_error *err);
void soft_request_stop(struct soft *s, enum accel_stop why);
/* The same for a machine that does not mind which CPU it has. */
struct accel soft_accel(struct soft *s);

/* The external interrupt wire (SEIP) of hart `number`; for the PLIC. */
struct irq_line soft_external_irq(struct soft *s, unsigned hart);

/* The isa string for the device tree, for example "rv64imafdc_zicsr_...". */
const char *soft_isa(const struct soft *s);
/* "riscv,sv39", "riscv,sv48" or "riscv,sv57" */
const char *soft_mmu_type(const struct soft *s);
/*
 * Nanoseconds that the time CSR says since the start; any thread. With
 * config.deterministic as of the beginning of a hart's turn.
 */
uint64_t soft_clock_ns(const struct soft *s);
bool soft_has(const struct soft *s, enum isa_ext ext);

struct soft_stats {
	uint64_t instructions; /* retired, all harts */
	uint64_t flushes;      /* ranges dropped by flush and protect */
	uint64_t refills;      /* translation cache misses */
	uint64_t tracked_stores;
};
void soft_stats(const struct soft *s, struct soft_stats *out);

/* Fault points of this backend: soft.prepare, soft.apply. */
enum soft_fault {
	FAULT_SOFT_PREPARE = FAULT_BASE_VMM,
	FAULT_SOFT_APPLY,
};
extern const struct fault_point soft_fault_points[];

MEMSLOT_END_DECLS

#endif
