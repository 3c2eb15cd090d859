/* SPDX-License-Identifier: MIT */
/*
 * bus.h - where an access goes that meets no memory
 *
 * A bus is a short table of half-open ranges, each with one handler. It is
 * filled before the first vCPU runs and constant afterwards, so that lookups
 * need no lock; a handler locks its own device. Handlers run in the thread
 * of the vCPU that made the access, outside any read section: they may wait,
 * write guest memory, and commit transactions.
 */
#ifndef DEVICES_BUS_H
#define DEVICES_BUS_H

#include "memslot/memslot.h"

MEMSLOT_BEGIN_DECLS

#define BUS_RANGES_MAX 32

/*
 * offset is relative to the range; len is 1, 2, 4 or 8; the access lies
 * wholly inside the range. `read` returns the value zero-extended.
 */
struct bus_ops {
	const char *name;
	uint64_t (*read)(void *ctx, uint64_t offset, unsigned len);
	void (*write)(void *ctx, uint64_t offset, unsigned len, uint64_t value);
};

struct bus_range {
	gpa_t gpa;
	uint64_t size;
	const struct bus_ops *ops;
	void *ctx;
};

struct bus {
	unsigned count;
	struct bus_range range[BUS_RANGES_MAX]; /* sorted by gpa */
};

/*
 * -EINVAL empty or wrapping range, -EEXIST overlap, -ENOSPC table full; a
 * sentence with both ranges in err.
 */
int bus_add(struct bus *bus, gpa_t gpa, uint64_t size,
	const struct bus_ops *ops, void *ctx, struct memslot_error *err);

/* 0, or -ENXIO: no device there, or the access crosses its end. */
int bus_read(const struct bus *bus, gpa_t gpa, unsigned len, uint64_t *value);
int bus_write(const struct bus *bus, gpa_t gpa, unsigned len, uint64_t value);

/* An interrupt wire. Any thread; level is kept by the receiver. */
struct irq_line {
	void (*set)(void *ctx, unsigned number, bool level);
	void *ctx;
	unsigned number;
};

static inline void irq_set(const struct irq_line *irq, bool level)
{
	if (irq->set)
		irq->set(irq->ctx, irq->number, level);
}

MEMSLOT_END_DECLS

#endif
