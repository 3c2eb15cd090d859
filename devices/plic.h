/* SPDX-License-Identifier: MIT */
/*
 * plic.h - the platform-level interrupt controller
 *
 * sifive,plic-1.0.0: "RISC-V Platform-Level Interrupt Controller
 * Specification" 1.0.0, and Linux's drivers/irqchip/irq-sifive-plic.c.
 * Naturally aligned 32-bit accesses; others read 0 and write nothing.
 *
 *   0x000000 + 4 s             priority of source s, 0 (never) .. 7
 *   0x001000 + 4 (s / 32)      pending bits, read only
 *   0x002000 + 0x80 c + 4 w    enable bits of context c, word w
 *   0x200000 + 0x1000 c        threshold of context c, 0 .. 7
 *   0x200004 + 0x1000 c        R: claim   W: complete
 *
 * Sources are numbered from 1. Context c is the supervisor external
 * interrupt of hart c and there are no others, so that the n-th entry of
 * interrupts-extended in the device tree is context n and names hart n.
 *
 * Gateways are level-triggered: a raised line makes one request; the next is
 * made no sooner than the handler completed, and then only if the line is
 * still (or again) raised. A request once made stays when the line falls, as
 * the specification wants it. A claim ignores the threshold and takes the
 * highest priority, the lowest number among equals; a complete is ignored
 * unless the source is enabled for that context.
 */
#ifndef DEVICES_PLIC_H
#define DEVICES_PLIC_H

#include <pthread.h>

#include "devices/bus.h"

MEMSLOT_BEGIN_DECLS

#define PLIC_SIZE         0x600000u
#define PLIC_SOURCES_MAX  63u
#define PLIC_CONTEXTS_MAX 16u
#define PLIC_PRIORITY_MAX 7u

/* All fields are private. Bit s of a uint64_t is source s; bit 0 is 0. */
struct plic_context {
	uint64_t enable;
	uint32_t threshold;
	bool raised;
	struct irq_line out;
};

struct plic {
	pthread_mutex_t lock;
	uint64_t sources; /* those that exist */
	uint64_t level;   /* lines as they are now */
	uint64_t pending; /* requests not claimed yet */
	uint64_t claimed; /* claimed and not completed: gateway shut */
	uint32_t priority[PLIC_SOURCES_MAX + 1];
	unsigned contexts;
	struct plic_context context[PLIC_CONTEXTS_MAX];
};

/*
 * Sources 1 .. `sources`; out[c] is hart c's external interrupt wire. Wires
 * are set with the controller's lock held, only when they change: receivers
 * must not call back. Errors: -EINVAL counts out of range; what
 * pthread_mutex_init returns, negated.
 */
int plic_init(struct plic *dev, unsigned sources, unsigned contexts,
	const struct irq_line *out, struct memslot_error *err);
void plic_fini(struct plic *dev);

/*
 * The wire to hand to the device on `source`. A source that does not exist
 * gets a wire that goes nowhere.
 */
struct irq_line plic_line(struct plic *dev, unsigned source);

extern const struct bus_ops plic_bus_ops; /* its ctx: struct plic * */

MEMSLOT_END_DECLS

#endif
