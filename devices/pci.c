/* SPDX-License-Identifier: MIT */
/*
 * pci.c - devices, and the configuration space they show
 *
 * Configuration space is bytes and a mask of bits that a store changes. Three
 * places are more than that: BAR registers (pci_bar.c), the command register,
 * whose memory bit maps and unmaps BARs, and the control word of MSI-X
 * (pci_irq.c). A store is made in 32-bit units: the bits of `mask` of the
 * unit that holds the access.
 */
#include "devices/pci.h"

#include <errno.h>
#include <string.h>

#include "devices/pci_internal.h"
#include "memslot/error.h"

#define PCI_COMMAND_WRITABLE \
	(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE)

/* ---- bytes ------------------------------------------------------------------ */

uint32_t pci_get(const struct pci_device *dev, unsigned offset, unsigned len)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < len; i++)
		v |= (uint32_t)dev->bytes[offset + i] << 8 * i;
	return v;
}

void pci_put(struct pci_device *dev, unsigned offset, unsigned len, uint32_t v)
{
	for (unsigned i = 0; i < len; i++)
		dev->bytes[offset + i] = (uint8_t)(v >> 8 * i);
}

void pci_config_get(
	struct pci_device *dev, unsigned offset, void *bytes, unsigned len)
{
	if (dev->bus)
		pthread_mutex_lock(&dev->bus->lock);
	memcpy(bytes, dev->bytes + offset, len);
	if (dev->bus)
		pthread_mutex_unlock(&dev->bus->lock);
}

void pci_config_put(struct pci_device *dev, unsigned offset, const void *bytes,
	unsigned len)
{
	if (dev->bus)
		pthread_mutex_lock(&dev->bus->lock);
	memcpy(dev->bytes + offset, bytes, len);
	if (dev->bus)
		pthread_mutex_unlock(&dev->bus->lock);
}

void pci_refused(struct pci_device *dev, const char *what,
	const struct memslot_error *why)
{
	const struct pci_bus_config *c = &dev->bus->config;
	char line[sizeof(why->text) + 96];

	pthread_mutex_lock(&dev->bus->lock);
	dev->bus->counts.refused++;
	pthread_mutex_unlock(&dev->bus->lock);
	if (!c->log)
		return;
	memslot_format(line, sizeof(line), "pci 00:%x%x.0 %s: %s: %s",
		dev->number >> 4, dev->number & 15, dev->ops->name, what,
		why->text);
	c->log(c->log_ctx, line);
}

/* ---- making a device -------------------------------------------------------- */

void pci_device_init(struct pci_device *dev, const struct pci_identity *id,
	const struct pci_device_ops *ops, void *ctx)
{
	*dev = (struct pci_device){
		.ops = ops,
		.ctx = ctx,
		.free_config = PCI_REG_FIRST_CAPABILITY,
	};
	pci_put(dev, PCI_REG_VENDOR, 2, id->vendor);
	pci_put(dev, PCI_REG_DEVICE, 2, id->device);
	pci_put(dev, PCI_REG_REVISION, 1, id->revision);
	pci_put(dev, PCI_REG_CLASS, 3, id->class_code);
	pci_put(dev, PCI_REG_SUBVENDOR, 2, id->subvendor);
	pci_put(dev, PCI_REG_SUBDEVICE, 2, id->subdevice);
	pci_put(dev, PCI_REG_PIN, 1, id->pin);
	/* Only a note that firmware leaves for drivers. */
	dev->writable[PCI_REG_LINE] = 0xff;
}

int pci_add_capability(struct pci_device *dev, uint8_t id, const void *bytes,
	const void *writable, unsigned len, uint32_t flags,
	struct memslot_error *err)
{
	const unsigned at = dev->free_config;

	if (len < 3 || len > 255)
		return memslot_fail(err, -EINVAL,
			"pci: capability %#x of %s has %u bytes, not 3 to 255",
			id, dev->ops->name, len);
	if (len > PCI_CONFIG_SIZE - at)
		return memslot_fail(err, -ENOSPC,
			"pci: no room for capability %#x of %s: %u bytes at "
			"%#x of %#x",
			id, dev->ops->name, len, at, PCI_CONFIG_SIZE);
	memcpy(dev->bytes + at, bytes, len);
	if (writable)
		memcpy(dev->writable + at, writable, len);
	if (flags & PCI_CAP_HOOKED)
		memset(dev->hooked + at, 1, len);
	dev->bytes[at] = id;
	dev->bytes[at + 1] = 0;
	dev->writable[at] = dev->writable[at + 1] = 0;
	if (dev->last_capability)
		dev->bytes[dev->last_capability + 1] = (uint8_t)at;
	else
		dev->bytes[PCI_REG_CAPABILITIES] = (uint8_t)at;
	dev->bytes[PCI_REG_STATUS] |= PCI_STATUS_CAPABILITIES;
	dev->last_capability = at;
	dev->free_config = (at + len + 3) & ~3u;
	return (int)at;
}

/* ---- loads ------------------------------------------------------------------ */

static uint32_t pci_ones(unsigned len)
{
	return len >= 4 ? UINT32_MAX : (1u << 8 * len) - 1;
}

static bool pci_access_ok(unsigned offset, unsigned len)
{
	return (len == 1 || len == 2 || len == 4) && offset % len == 0 &&
	       offset < PCI_CONFIG_SIZE;
}

/* The hooked bytes of an access: how many; *first where they begin. */
static unsigned pci_hooked(const struct pci_device *dev, unsigned offset,
	unsigned len, unsigned *first)
{
	unsigned count = 0;

	*first = offset;
	for (unsigned i = 0; i < len; i++) {
		if (!dev->hooked[offset + i])
			continue;
		if (count++ == 0)
			*first = offset + i;
	}
	return count;
}

static bool pci_is_bar(unsigned offset)
{
	return offset >= PCI_REG_BAR0 && offset < PCI_REG_BAR0 + 4 * PCI_BARS;
}

/* The aligned 32 bits at `at`. Under `lock`. */
static uint32_t pci_load_unit(const struct pci_device *dev, unsigned at)
{
	uint32_t v;

	if (pci_is_bar(at))
		return pci_bar_load(dev, (at - PCI_REG_BAR0) / 4);
	v = pci_get(dev, at, 4);
	if (at == PCI_REG_COMMAND) {
		v |= dev->command;
		if (dev->intx)
			v |= PCI_STATUS_INTX << 16;
	}
	return v;
}

uint32_t pci_config_load(
	struct pci_bus *bus, unsigned device, unsigned offset, unsigned len)
{
	struct pci_device *dev =
		device < PCI_DEVICES_MAX ? bus->device[device] : NULL;
	unsigned count, first;
	uint32_t v;

	if (!dev || !pci_access_ok(offset, len))
		return pci_ones(len);
	count = pci_hooked(dev, offset, len, &first);
	if (count && dev->ops->before_load)
		dev->ops->before_load(dev->ctx, first, count);
	pthread_mutex_lock(&bus->lock);
	v = pci_load_unit(dev, offset & ~3u);
	pthread_mutex_unlock(&bus->lock);
	return v >> 8 * (offset & 3) & pci_ones(len);
}

/* ---- stores, under config_lock ---------------------------------------------- */

static void pci_store_command(
	struct pci_device *dev, uint32_t value, uint32_t mask)
{
	const uint32_t old = dev->command;
	uint32_t command;

	mask &= PCI_COMMAND_WRITABLE;
	command = (old & ~mask) | (value & mask);
	/* A refusal leaves the memory bit as it is, and takes the others. */
	if ((old ^ command) & PCI_COMMAND_MEMORY &&
		(command & PCI_COMMAND_MEMORY ? pci_bars_map(dev)
					      : pci_bars_unmap(dev)))
		command ^= PCI_COMMAND_MEMORY;
	if (command == old)
		return;
	dev->command = command;
	pci_irq_update(dev);
	if (dev->ops->command)
		dev->ops->command(dev->ctx, (uint16_t)command);
}

static void pci_store_bytes(
	struct pci_device *dev, unsigned at, uint32_t value, uint32_t mask)
{
	uint32_t old;

	pthread_mutex_lock(&dev->bus->lock);
	for (unsigned i = 0; i < 4; i++) {
		uint8_t m = (uint8_t)(mask >> 8 * i) & dev->writable[at + i];

		old = dev->bytes[at + i];
		pci_put(dev, at + i, 1, (old & ~m) | (value >> 8 * i & m));
	}
	pthread_mutex_unlock(&dev->bus->lock);
	if (dev->msix.vectors && at == dev->msix.capability)
		pci_irq_update(dev);
}

static void pci_store(
	struct pci_device *dev, unsigned offset, unsigned len, uint32_t value)
{
	const unsigned at = offset & ~3u, shift = 8 * (offset & 3);
	const uint32_t mask = pci_ones(len) << shift;
	unsigned count, first;

	value <<= shift;
	if (pci_is_bar(at))
		pci_bar_store(dev, (at - PCI_REG_BAR0) / 4, value, mask);
	else if (at == PCI_REG_COMMAND)
		pci_store_command(dev, value, mask);
	else
		pci_store_bytes(dev, at, value, mask);
	count = pci_hooked(dev, offset, len, &first);
	if (count && dev->ops->after_store)
		dev->ops->after_store(dev->ctx, first, count);
}

void pci_config_store(struct pci_bus *bus, unsigned device, unsigned offset,
	unsigned len, uint32_t value)
{
	struct pci_device *dev =
		device < PCI_DEVICES_MAX ? bus->device[device] : NULL;

	if (!dev || !pci_access_ok(offset, len))
		return;
	pthread_mutex_lock(&bus->config_lock);
	pci_store(dev, offset, len, value);
	pthread_mutex_unlock(&bus->config_lock);
}
