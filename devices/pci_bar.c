/* SPDX-License-Identifier: MIT */
/*
 * pci_bar.c - base address registers, and the memory that moves by them
 *
 * A BAR has two addresses: what the guest has stored (`written`) and, while
 * it is mapped, where it is (`base`). A store changes the first; only if the
 * second can be made to follow does it change too, and while the BAR is
 * mapped it is the second that the guest reads. After a refusal the half
 * just stored stays in `written`, for a store to the other half to complete;
 * the other half is what is true again.
 *
 * A half of `written` with ones in all address bits is a question for the
 * size. No address looks like that: BARs are at least a page, so that the
 * low half of an address has zeros in bits 4 to 11, and the high half is
 * below that of MEMSLOT_GPA_LIMIT.
 */
#include "devices/pci.h"

#include <errno.h>

#include "devices/pci_internal.h"
#include "memslot/error.h"

#define PCI_BAR_ADDRESS_LOW   0xfffffff0u
#define PCI_BAR_FLAG_64       0x4u
#define PCI_BAR_FLAG_PREFETCH 0x8u

typedef unsigned long long ull;

/* ---- making ----------------------------------------------------------------- */

static bool pci_bar_used(const struct pci_device *dev, unsigned index)
{
	return dev->bar[index].size ||
	       (index > 0 && dev->bar[index - 1].flags & PCI_BAR_64);
}

static int pci_bar_make(struct pci_device *dev, unsigned bar, uint64_t size,
	uint32_t flags, struct memslot_error *err)
{
	const char *name = dev->ops->name;
	const bool wide = flags & PCI_BAR_64;

	if (bar >= PCI_BARS || (wide && bar == PCI_BARS - 1))
		return memslot_fail(err, -EINVAL,
			"pci: %s has no %sBAR %u, the last is %u", name,
			wide ? "64-bit " : "", bar, PCI_BARS - (wide ? 2 : 1));
	if (size < PCI_BAR_SIZE_MIN || size & (size - 1) ||
		size > (wide ? MEMSLOT_GPA_LIMIT : (uint64_t)1 << 31))
		return memslot_fail(err, -EINVAL,
			"pci: %s: BAR %u of %#llx bytes: not a power of two "
			"from %#x to what %s bits hold",
			name, bar, (ull)size, PCI_BAR_SIZE_MIN,
			wide ? "64" : "32");
	if (pci_bar_used(dev, bar) || (wide && dev->bar[bar + 1].size))
		return memslot_fail(err, -EEXIST,
			"pci: %s: BAR %u or what it needs is in use", name,
			bar);
	dev->bar[bar] = (struct pci_bar){.size = size, .flags = flags};
	return 0;
}

int pci_bar_handler(struct pci_device *dev, unsigned bar, uint64_t size,
	uint32_t flags, const struct bus_ops *ops, void *ctx,
	struct memslot_error *err)
{
	int r = pci_bar_make(dev, bar, size, flags, err);

	if (r)
		return r;
	dev->bar[bar].ops = ops;
	dev->bar[bar].ctx = ctx;
	return 0;
}

int pci_bar_memory(struct pci_device *dev, unsigned bar, uint64_t size,
	uint32_t flags, void *host, unsigned slot, struct memslot_error *err)
{
	int r = pci_bar_make(dev, bar, size, flags, err);

	if (r)
		return r;
	dev->bar[bar].host = host;
	dev->bar[bar].slot = slot;
	return 0;
}

/* ---- what the registers say ------------------------------------------------- */

/* The BAR that register `index` belongs to, or NULL; *shift 32: its upper. */
static struct pci_bar *pci_bar_of(
	const struct pci_device *dev, unsigned index, unsigned *shift)
{
	const struct pci_bar *bar = dev->bar + index;

	*shift = 0;
	if (!bar->size && index > 0 && bar[-1].flags & PCI_BAR_64) {
		bar--;
		*shift = 32;
	}
	return bar->size ? (struct pci_bar *)bar : NULL;
}

static bool pci_half_asks(uint64_t written, unsigned shift)
{
	const uint32_t ones = shift ? UINT32_MAX : PCI_BAR_ADDRESS_LOW;

	return (uint32_t)(written >> shift) == ones;
}

static gpa_t pci_bar_target(const struct pci_bar *bar)
{
	return bar->written & ~(bar->size - 1);
}

uint32_t pci_bar_load(const struct pci_device *dev, unsigned index)
{
	unsigned shift;
	const struct pci_bar *bar = pci_bar_of(dev, index, &shift);
	uint32_t v;

	if (!bar)
		return 0;
	if (bar->mapped && !pci_half_asks(bar->written, shift))
		v = (uint32_t)(bar->base >> shift);
	else
		v = (uint32_t)(pci_bar_target(bar) >> shift);
	if (shift)
		return v;
	if (bar->flags & PCI_BAR_64)
		v |= PCI_BAR_FLAG_64;
	if (bar->flags & PCI_BAR_PREFETCH)
		v |= PCI_BAR_FLAG_PREFETCH;
	return v;
}

int pci_bar_where(struct pci_device *dev, unsigned bar, gpa_t *gpa)
{
	int r = -ENXIO;

	pthread_mutex_lock(&dev->bus->lock);
	if (bar < PCI_BARS && dev->bar[bar].mapped) {
		*gpa = dev->bar[bar].base;
		r = 0;
	}
	pthread_mutex_unlock(&dev->bus->lock);
	return r;
}

/* ---- may a BAR be there? Under config_lock ---------------------------------- */

static int pci_check_window(const struct pci_bus *bus, gpa_t gpa, uint64_t size,
	struct memslot_error *err)
{
	for (unsigned i = 0; i < PCI_WINDOWS_MAX; i++) {
		const struct pci_window *w = &bus->config.window[i];

		if (gpa >= w->gpa && size <= w->size &&
			gpa - w->gpa <= w->size - size)
			return 0;
	}
	return memslot_fail(err, -ERANGE,
		"[%#llx,%#llx) is in no window of the host bridge", (ull)gpa,
		(ull)(gpa + size));
}

static int pci_check_apart(gpa_t gpa, uint64_t size,
	const struct pci_device *dev, unsigned bar, gpa_t base,
	struct memslot_error *err)
{
	const struct pci_bar *b = &dev->bar[bar];

	if (gpa + size <= base || base + b->size <= gpa)
		return 0;
	return memslot_fail(err, -EEXIST,
		"[%#llx,%#llx) overlaps BAR %u of %s (device %u) at %#llx",
		(ull)gpa, (ull)(gpa + size), bar, dev->ops->name, dev->number,
		(ull)base);
}

/*
 * A BAR with a handler must not be behind memory. For one that is memory the
 * transaction sees to it.
 */
static int pci_check_memory(struct pci_bus *bus, gpa_t gpa, uint64_t size,
	struct memslot_error *err)
{
	const struct memslot *s;
	int r = 0;

	memslot_enter(&bus->reader);
	s = memslot_next(
		&bus->reader, bus->config.space, gpa >> MEMSLOT_PAGE_SHIFT);
	if (s && s->base_gfn << MEMSLOT_PAGE_SHIFT < gpa + size)
		r = memslot_fail(err, -EEXIST,
			"[%#llx,%#llx) overlaps memory slot %u", (ull)gpa,
			(ull)(gpa + size), s->id);
	memslot_leave(&bus->reader);
	return r;
}

/* Against all that is mapped now, but for itself. */
static int pci_check_place(struct pci_device *dev, const struct pci_bar *bar,
	gpa_t gpa, struct memslot_error *err)
{
	struct pci_bus *bus = dev->bus;
	int r = pci_check_window(bus, gpa, bar->size, err);

	for (unsigned d = 0; !r && d < PCI_DEVICES_MAX; d++) {
		const struct pci_device *other = bus->device[d];

		for (unsigned b = 0; other && !r && b < PCI_BARS; b++)
			if (other->bar[b].mapped && &other->bar[b] != bar)
				r = pci_check_apart(gpa, bar->size, other, b,
					other->bar[b].base, err);
	}
	if (!r && bar->ops)
		r = pci_check_memory(bus, gpa, bar->size, err);
	return r;
}

/* ---- mapping, under config_lock --------------------------------------------- */

/* What the guest reads, and accesses through the windows see, changes here. */
static void pci_bar_publish(struct pci_device *dev, unsigned index, gpa_t gpa)
{
	struct pci_bar *bar = &dev->bar[index];

	pthread_mutex_lock(&dev->bus->lock);
	if (gpa == PCI_UNMAPPED)
		bar->written = bar->base;
	bar->mapped = gpa != PCI_UNMAPPED;
	bar->base = gpa;
	pthread_mutex_unlock(&dev->bus->lock);
	if (dev->ops->mapped)
		dev->ops->mapped(dev->ctx, index, gpa);
}

static void pci_record(struct pci_device *dev, struct memslot_txn *t,
	const struct pci_bar *bar, bool map)
{
	const struct pci_bus_config *c = &dev->bus->config;
	const struct memslot_config slot = {
		.space = c->space,
		.id = bar->slot,
		.gpa = pci_bar_target(bar),
		.size = bar->size,
		.host = bar->host,
	};

	/* Its only error is -ENOMEM, which the commit reports too. */
	if (map)
		(void)memslot_create(t, &slot);
	else
		(void)memslot_delete(t, c->space, bar->slot);
}

/* The slots of all BARs that are memory, in one transaction. */
static int pci_bars_commit(
	struct pci_device *dev, bool map, struct memslot_error *err)
{
	struct memslot_txn *t;
	unsigned count = 0;
	int r;

	for (unsigned i = 0; i < PCI_BARS; i++)
		count += dev->bar[i].host != NULL;
	if (count == 0)
		return 0;
	r = memslot_begin(dev->bus->config.slots, &t, err);
	if (r)
		return r;
	for (unsigned i = 0; i < PCI_BARS; i++)
		if (dev->bar[i].host)
			pci_record(dev, t, &dev->bar[i], map);
	return memslot_commit(t, NULL, err);
}

/* None of the device's BARs is mapped: may all of them be, together? */
static int pci_check_all(struct pci_device *dev, struct memslot_error *err)
{
	int r = 0;

	for (unsigned i = 0; !r && i < PCI_BARS; i++) {
		const struct pci_bar *bar = &dev->bar[i];

		if (!bar->size)
			continue;
		r = pci_check_place(dev, bar, pci_bar_target(bar), err);
		for (unsigned j = 0; !r && j < i; j++)
			if (dev->bar[j].size)
				r = pci_check_apart(pci_bar_target(bar),
					bar->size, dev, j,
					pci_bar_target(&dev->bar[j]), err);
	}
	return r;
}

int pci_bars_map(struct pci_device *dev)
{
	struct memslot_error err = {0};
	int r = pci_check_all(dev, &err);

	if (!r)
		r = pci_bars_commit(dev, true, &err);
	if (r) {
		pci_refused(dev, "memory stays disabled", &err);
		return r;
	}
	for (unsigned i = 0; i < PCI_BARS; i++)
		if (dev->bar[i].size)
			pci_bar_publish(dev, i, pci_bar_target(&dev->bar[i]));
	return 0;
}

int pci_bars_unmap(struct pci_device *dev)
{
	struct memslot_error err = {0};
	int r = pci_bars_commit(dev, false, &err);

	if (r) {
		pci_refused(dev, "memory stays enabled", &err);
		return r;
	}
	for (unsigned i = 0; i < PCI_BARS; i++)
		if (dev->bar[i].size)
			pci_bar_publish(dev, i, PCI_UNMAPPED);
	return 0;
}

static int pci_bar_move(struct pci_device *dev, unsigned index, gpa_t gpa)
{
	const struct pci_bus_config *c = &dev->bus->config;
	const struct pci_bar *bar = &dev->bar[index];
	struct memslot_error err = {0};
	char what[64];
	int r = pci_check_place(dev, bar, gpa, &err);

	if (!r && bar->host)
		r = memslots_move_slot(c->slots, c->space, bar->slot, gpa,
			MEMSLOT_MOVE_MARK_ALL, &err);
	if (r) {
		memslot_format(what, sizeof(what), "BAR %u stays at %#llx",
			index, (ull)bar->base);
		pci_refused(dev, what, &err);
		return r;
	}
	pthread_mutex_lock(&dev->bus->lock);
	dev->bus->counts.moves++;
	pthread_mutex_unlock(&dev->bus->lock);
	pci_bar_publish(dev, index, gpa);
	return 0;
}

/* Under config_lock. */
static void pci_bar_write(struct pci_device *dev, struct pci_bar *bar,
	uint64_t value, uint64_t mask)
{
	pthread_mutex_lock(&dev->bus->lock);
	bar->written = (bar->written & ~mask) | (value & mask);
	pthread_mutex_unlock(&dev->bus->lock);
}

void pci_bar_store(
	struct pci_device *dev, unsigned index, uint32_t value, uint32_t mask)
{
	unsigned shift;
	struct pci_bar *bar = pci_bar_of(dev, index, &shift);
	gpa_t target;

	if (!bar)
		return;
	if (!shift)
		mask &= PCI_BAR_ADDRESS_LOW;
	pci_bar_write(
		dev, bar, (uint64_t)value << shift, (uint64_t)mask << shift);
	if (!bar->mapped || pci_half_asks(bar->written, 0) ||
		(bar->flags & PCI_BAR_64 && pci_half_asks(bar->written, 32)))
		return;
	target = pci_bar_target(bar);
	if (target != bar->base &&
		pci_bar_move(dev, (unsigned)(bar - dev->bar), target))
		pci_bar_write(
			dev, bar, bar->base, ~((uint64_t)UINT32_MAX << shift));
}

/* ---- accesses through a window ---------------------------------------------- */

const struct bus_ops *pci_bar_find(struct pci_bus *bus, gpa_t gpa, unsigned len,
	void **ctx, uint64_t *offset)
{
	const struct bus_ops *ops = NULL;

	pthread_mutex_lock(&bus->lock);
	for (unsigned d = 0; !ops && d < PCI_DEVICES_MAX; d++) {
		const struct pci_device *dev = bus->device[d];

		for (unsigned i = 0; dev && !ops && i < PCI_BARS; i++) {
			const struct pci_bar *bar = &dev->bar[i];

			if (!bar->mapped || !bar->ops ||
				gpa - bar->base >= bar->size ||
				len > bar->size - (gpa - bar->base))
				continue;
			ops = bar->ops;
			*ctx = bar->ctx;
			*offset = gpa - bar->base;
		}
	}
	pthread_mutex_unlock(&bus->lock);
	return ops;
}
