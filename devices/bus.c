/* SPDX-License-Identifier: MIT */
/*
 * bus.c - a sorted table of ranges
 *
 * Ranges are sorted by address and never overlap, so that the only range
 * that can hold an address is the last one that starts at or below it.
 */
#include "devices/bus.h"

#include <errno.h>

#include "memslot/error.h"

/* The number of ranges that start at or below gpa. */
static unsigned bus_rank(const struct bus *bus, gpa_t gpa)
{
	unsigned low = 0, high = bus->count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (bus->range[middle].gpa <= gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int bus_overlap(const struct bus_range *a, const struct bus_range *b,
	struct memslot_error *err)
{
	return memslot_fail(err, -EEXIST,
		"bus: %s [%#llx,%#llx) overlaps %s [%#llx,%#llx)", a->ops->name,
		(unsigned long long)a->gpa,
		(unsigned long long)(a->gpa + a->size), b->ops->name,
		(unsigned long long)b->gpa,
		(unsigned long long)(b->gpa + b->size));
}

int bus_add(struct bus *bus, gpa_t gpa, uint64_t size,
	const struct bus_ops *ops, void *ctx, struct memslot_error *err)
{
	const struct bus_range new = {gpa, size, ops, ctx};
	unsigned at = bus_rank(bus, gpa);

	if (size == 0 || gpa + size <= gpa)
		return memslot_fail(err, -EINVAL,
			"bus: %s at %#llx: size %#llx is zero or wraps",
			ops->name, (unsigned long long)gpa,
			(unsigned long long)size);
	if (at > 0 && gpa - bus->range[at - 1].gpa < bus->range[at - 1].size)
		return bus_overlap(&new, &bus->range[at - 1], err);
	if (at < bus->count && bus->range[at].gpa - gpa < size)
		return bus_overlap(&new, &bus->range[at], err);
	if (bus->count == BUS_RANGES_MAX)
		return memslot_fail(err, -ENOSPC,
			"bus: %s [%#llx,%#llx): all %u ranges are in use",
			ops->name, (unsigned long long)gpa,
			(unsigned long long)(gpa + size), BUS_RANGES_MAX);
	for (unsigned i = bus->count; i > at; i--)
		bus->range[i] = bus->range[i - 1];
	bus->range[at] = new;
	bus->count++;
	return 0;
}

/* The range that holds all of the access, or NULL. */
static const struct bus_range *bus_find(
	const struct bus *bus, gpa_t gpa, unsigned len)
{
	unsigned rank = bus_rank(bus, gpa);
	const struct bus_range *r;
	uint64_t offset;

	if (rank == 0)
		return NULL;
	r = &bus->range[rank - 1];
	offset = gpa - r->gpa;
	if (offset >= r->size || len > r->size - offset)
		return NULL;
	return r;
}

int bus_read(const struct bus *bus, gpa_t gpa, unsigned len, uint64_t *value)
{
	const struct bus_range *r = bus_find(bus, gpa, len);

	if (!r)
		return -ENXIO;
	*value = r->ops->read(r->ctx, gpa - r->gpa, len);
	return 0;
}

int bus_write(const struct bus *bus, gpa_t gpa, unsigned len, uint64_t value)
{
	const struct bus_range *r = bus_find(bus, gpa, len);

	if (!r)
		return -ENXIO;
	r->ops->write(r->ctx, gpa - r->gpa, len, value);
	return 0;
}
