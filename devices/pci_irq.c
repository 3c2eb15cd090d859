/* SPDX-License-Identifier: MIT */
/*
 * pci_irq.c - INTx and MSI-X (PCI Local Bus Specification 3.0, 2.2.6, 6.8.2)
 *
 * A wire is shared by devices, so its level is worked out anew from all of
 * them whenever one changes, under irq_lock: receivers see changes in the
 * order in which they happened. Messages are sent without a lock; one that
 * is masked is a pending bit, sent when the mask goes.
 */
#include "devices/pci.h"

#include <errno.h>

#include "devices/pci_internal.h"
#include "memslot/error.h"

#define MSIX_CONTROL        2u /* in the capability */
#define MSIX_CONTROL_ENABLE 0x8000u
#define MSIX_CONTROL_MASK   0x4000u
#define MSIX_ENTRY_SIZE     16u
#define MSIX_PENDING        0x1000u /* where the pending bits are in the BAR */
#define MSIX_BAR_SIZE       0x2000u

/* ---- wires, under irq_lock -------------------------------------------------- */

static bool pci_pin_raised(const struct pci_device *dev)
{
	return dev->intx && !(dev->command & PCI_COMMAND_INTX_DISABLE) &&
	       !dev->msix.enabled;
}

static unsigned pci_wire(const struct pci_device *dev)
{
	return (dev->number + dev->bytes[PCI_REG_PIN] - 1) % 4;
}

static void pci_set_wire(struct pci_bus *bus, unsigned wire)
{
	bool level = false;

	for (unsigned d = 0; d < PCI_DEVICES_MAX; d++) {
		const struct pci_device *dev = bus->device[d];

		if (dev && pci_wire(dev) == wire && pci_pin_raised(dev))
			level = true;
	}
	if (level == bus->wire[wire])
		return;
	bus->wire[wire] = level;
	irq_set(&bus->config.intx[wire], level);
}

void pci_set_intx(struct pci_device *dev, bool level)
{
	struct pci_bus *bus = dev->bus;

	pthread_mutex_lock(&bus->irq_lock);
	if (dev->intx != level) {
		dev->intx = level;
		pci_set_wire(bus, pci_wire(dev));
	}
	pthread_mutex_unlock(&bus->irq_lock);
}

/* ---- messages --------------------------------------------------------------- */

bool pci_msix_enabled(struct pci_device *dev)
{
	return dev->msix.enabled;
}

static void pci_send(
	struct pci_device *dev, const struct pci_msix_entry *message)
{
	const struct pci_bus_config *c = &dev->bus->config;

	if (c->msi)
		c->msi(c->msi_ctx, message->address, message->data);
}

/* Under irq_lock. */
static bool pci_may_send(
	const struct pci_msix *m, const struct pci_msix_entry *entry)
{
	return m->enabled && !m->masked && !entry->masked;
}

void pci_msix_notify(struct pci_device *dev, unsigned vector)
{
	struct pci_msix *m = &dev->msix;
	struct pci_msix_entry entry;
	bool send;

	if (vector >= m->vectors)
		return;
	pthread_mutex_lock(&dev->bus->irq_lock);
	send = pci_may_send(m, &m->entry[vector]);
	m->entry[vector].pending |= m->enabled && !send;
	entry = m->entry[vector];
	pthread_mutex_unlock(&dev->bus->irq_lock);
	if (send)
		pci_send(dev, &entry);
}

/* Masks may have gone: send what waits. */
static void pci_send_pending(struct pci_device *dev)
{
	struct pci_msix *m = &dev->msix;

	for (unsigned i = 0; i < m->vectors; i++) {
		struct pci_msix_entry entry;
		bool send;

		pthread_mutex_lock(&dev->bus->irq_lock);
		entry = m->entry[i];
		send = entry.pending && pci_may_send(m, &entry);
		if (send)
			m->entry[i].pending = false;
		pthread_mutex_unlock(&dev->bus->irq_lock);
		if (send)
			pci_send(dev, &entry);
	}
}

void pci_irq_update(struct pci_device *dev)
{
	struct pci_bus *bus = dev->bus;
	struct pci_msix *m = &dev->msix;
	uint32_t control = 0;

	if (m->vectors) {
		pthread_mutex_lock(&bus->lock);
		control = pci_get(dev, m->capability + MSIX_CONTROL, 2);
		pthread_mutex_unlock(&bus->lock);
	}
	pthread_mutex_lock(&bus->irq_lock);
	m->enabled = control & MSIX_CONTROL_ENABLE;
	m->masked = control & MSIX_CONTROL_MASK;
	pci_set_wire(bus, pci_wire(dev));
	pthread_mutex_unlock(&bus->irq_lock);
	pci_send_pending(dev);
}

/* ---- the table and the pending bits ----------------------------------------- */

/* Under irq_lock: the aligned 32 bits at `offset` of the BAR. */
static uint32_t pci_msix_load(const struct pci_msix *m, uint64_t offset)
{
	const struct pci_msix_entry *e;
	uint32_t bits = 0;

	if (offset >= MSIX_PENDING) {
		uint64_t first = (offset - MSIX_PENDING) * 8;

		for (unsigned i = 0; i < 32 && first + i < m->vectors; i++)
			bits |= (uint32_t)m->entry[first + i].pending << i;
		return bits;
	}
	if (offset / MSIX_ENTRY_SIZE >= m->vectors)
		return 0;
	e = &m->entry[offset / MSIX_ENTRY_SIZE];
	switch (offset % MSIX_ENTRY_SIZE) {
	case 0:
		return (uint32_t)e->address;
	case 4:
		return (uint32_t)(e->address >> 32);
	case 8:
		return e->data;
	default:
		return e->masked;
	}
}

static void pci_msix_store(struct pci_msix *m, uint64_t offset, uint32_t value)
{
	struct pci_msix_entry *e;

	if (offset / MSIX_ENTRY_SIZE >= m->vectors)
		return;
	e = &m->entry[offset / MSIX_ENTRY_SIZE];
	switch (offset % MSIX_ENTRY_SIZE) {
	case 0:
		e->address = (e->address >> 32 << 32) | (value & ~3u);
		break;
	case 4:
		e->address = (uint64_t)value << 32 | (uint32_t)e->address;
		break;
	case 8:
		e->data = value;
		break;
	default:
		e->masked = value & 1;
		break;
	}
}

static bool pci_msix_access_ok(uint64_t offset, unsigned len)
{
	return (len == 4 || len == 8) && offset % len == 0;
}

static uint64_t pci_msix_read(void *ctx, uint64_t offset, unsigned len)
{
	struct pci_device *dev = ctx;
	uint64_t v;

	if (!pci_msix_access_ok(offset, len))
		return 0;
	pthread_mutex_lock(&dev->bus->irq_lock);
	v = pci_msix_load(&dev->msix, offset);
	if (len == 8)
		v |= (uint64_t)pci_msix_load(&dev->msix, offset + 4) << 32;
	pthread_mutex_unlock(&dev->bus->irq_lock);
	return v;
}

static void pci_msix_write(
	void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct pci_device *dev = ctx;

	if (!pci_msix_access_ok(offset, len))
		return;
	pthread_mutex_lock(&dev->bus->irq_lock);
	pci_msix_store(&dev->msix, offset, (uint32_t)value);
	if (len == 8)
		pci_msix_store(&dev->msix, offset + 4, (uint32_t)(value >> 32));
	pthread_mutex_unlock(&dev->bus->irq_lock);
	pci_send_pending(dev);
}

static const struct bus_ops pci_msix_ops = {
	.name = "msix",
	.read = pci_msix_read,
	.write = pci_msix_write,
};

int pci_add_msix(struct pci_device *dev, unsigned bar, unsigned vectors,
	struct memslot_error *err)
{
	const uint32_t pending = MSIX_PENDING | bar;
	const uint8_t bytes[12] = {
		[2] = (uint8_t)(vectors - 1),
		[3] = (uint8_t)((vectors - 1) >> 8),
		[4] = (uint8_t)bar,
		[8] = (uint8_t)pending,
		[9] = (uint8_t)(pending >> 8),
	};
	const uint8_t writable[12] = {
		[3] = (MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK) >> 8};
	int r;

	if (vectors == 0 || vectors > PCI_MSIX_MAX)
		return memslot_fail(err, -EINVAL,
			"pci: %s: %u MSI-X vectors, 1 to %u are possible",
			dev->ops->name, vectors, PCI_MSIX_MAX);
	r = pci_bar_handler(
		dev, bar, MSIX_BAR_SIZE, 0, &pci_msix_ops, dev, err);
	if (r)
		return r;
	r = pci_add_capability(
		dev, PCI_CAP_MSIX, bytes, writable, sizeof(bytes), 0, err);
	if (r < 0) {
		dev->bar[bar].size = 0;
		return r;
	}
	dev->msix.capability = (unsigned)r;
	dev->msix.vectors = vectors;
	for (unsigned i = 0; i < vectors; i++)
		dev->msix.entry[i].masked = true;
	return 0;
}
