/* SPDX-License-Identifier: MIT */
/*
 * pci_host.c - the host bridge: the machine's bus on one side, PCI's on the
 * other
 *
 * Three kinds of ranges on the machine's bus lead here: ECAM, the two ports
 * of a PC, and windows, in which BARs are found at the time of the access.
 */
#include "devices/pci.h"

#include <errno.h>
#include <string.h>

#include "devices/pci_internal.h"
#include "memslot/error.h"

/*
 * Vendor and devices of the range that may be used without registration
 * (pci-ids of the virtio vendor, 1af4:10f0 to 10ff, "experimental").
 */
#define PCI_VENDOR_EXPERIMENTAL 0x1af4u
#define PCI_DEVICE_BRIDGE       0x10f0u
#define PCI_CLASS_HOST_BRIDGE   0x060000u

static const struct pci_device_ops pci_bridge_ops = {.name = "host bridge"};

/* ---- life ------------------------------------------------------------------- */

static int pci_check_config(
	const struct pci_bus_config *c, struct memslot_error *err)
{
	for (unsigned i = 0; i < PCI_WINDOWS_MAX; i++) {
		const struct pci_window *w = &c->window[i];

		if (!((w->gpa | w->size) & MEMSLOT_PAGE_MASK) &&
			w->gpa <= MEMSLOT_GPA_LIMIT &&
			w->size <= MEMSLOT_GPA_LIMIT - w->gpa)
			continue;
		return memslot_fail(err, -EINVAL,
			"pci: the window of %#llx bytes at %#llx is not page "
			"aligned, or passes %#llx",
			(unsigned long long)w->size, (unsigned long long)w->gpa,
			(unsigned long long)MEMSLOT_GPA_LIMIT);
	}
	return 0;
}

static int pci_make_locks(struct pci_bus *bus, struct memslot_error *err)
{
	pthread_mutex_t *lock[] = {
		&bus->config_lock, &bus->lock, &bus->irq_lock};

	for (unsigned i = 0; i < sizeof(lock) / sizeof(*lock); i++) {
		int e = pthread_mutex_init(lock[i], NULL);

		if (!e)
			continue;
		while (i > 0)
			pthread_mutex_destroy(lock[--i]);
		return memslot_fail(err, -e, "pci: no mutex, error %d", e);
	}
	return 0;
}

int pci_bus_init(struct pci_bus *bus, const struct pci_bus_config *config,
	struct memslot_error *err)
{
	const struct pci_identity bridge = {
		.vendor = PCI_VENDOR_EXPERIMENTAL,
		.device = PCI_DEVICE_BRIDGE,
		.class_code = PCI_CLASS_HOST_BRIDGE,
	};
	int r = pci_check_config(config, err);

	if (r)
		return r;
	memset(bus, 0, sizeof(*bus));
	bus->config = *config;
	r = pci_make_locks(bus, err);
	if (r)
		return r;
	memslot_reader_init(&bus->reader, config->slots, NULL, NULL);
	for (unsigned i = 0; i < PCI_WINDOWS_MAX; i++)
		bus->window[i] =
			(struct pci_window_ctx){bus, config->window[i].gpa};
	pci_device_init(&bus->bridge, &bridge, &pci_bridge_ops, NULL);
	bus->bridge.bus = bus;
	bus->device[0] = &bus->bridge;
	return 0;
}

void pci_bus_fini(struct pci_bus *bus)
{
	memslot_reader_fini(&bus->reader);
	pthread_mutex_destroy(&bus->irq_lock);
	pthread_mutex_destroy(&bus->lock);
	pthread_mutex_destroy(&bus->config_lock);
}

void pci_get_counts(struct pci_bus *bus, struct pci_counts *out)
{
	pthread_mutex_lock(&bus->lock);
	*out = bus->counts;
	pthread_mutex_unlock(&bus->lock);
}

int pci_bus_add(struct pci_bus *bus, struct pci_device *dev, unsigned number,
	struct memslot_error *err)
{
	unsigned at = number ? number : 1;

	while (!number && at < PCI_DEVICES_MAX && bus->device[at])
		at++;
	if (at >= PCI_DEVICES_MAX)
		return memslot_fail(err, -ENOSPC,
			"pci: no device number %u for %s: 1 to %u are "
			"possible, and as many devices",
			at, dev->ops->name, PCI_DEVICES_MAX - 1);
	if (bus->device[at])
		return memslot_fail(err, -EEXIST,
			"pci: device %u is %s, %s cannot be there too", at,
			bus->device[at]->ops->name, dev->ops->name);
	dev->bus = bus;
	dev->number = at;
	bus->device[at] = dev;
	return 0;
}

int pci_bus_attach(struct pci_bus *bus, struct bus *machine, gpa_t ecam,
	struct memslot_error *err)
{
	int r = 0;

	if (ecam != PCI_UNMAPPED)
		r = bus_add(
			machine, ecam, PCI_ECAM_SIZE, &pci_ecam_ops, bus, err);
	for (unsigned i = 0; !r && i < PCI_WINDOWS_MAX; i++)
		if (bus->config.window[i].size)
			r = bus_add(machine, bus->config.window[i].gpa,
				bus->config.window[i].size, &pci_window_ops,
				&bus->window[i], err);
	return r;
}

/* ---- ECAM ------------------------------------------------------------------- */

/*
 * Bits 12-14 of an address are the function; the rest of the 4 KiB of one
 * has no capabilities, which is what zeros say.
 */
static uint32_t pci_ecam_load(struct pci_bus *bus, uint64_t at, unsigned len)
{
	const unsigned device = (unsigned)(at >> 15) % PCI_DEVICES_MAX;
	const unsigned offset = (unsigned)at & 0x7fff;

	if (offset >= PCI_CONFIG_SIZE && offset < 0x1000 && bus->device[device])
		return 0;
	return pci_config_load(bus, device, offset, len);
}

static uint64_t pci_ecam_read(void *ctx, uint64_t offset, unsigned len)
{
	uint64_t v;

	if (len < 8)
		return pci_ecam_load(ctx, offset, len);
	v = pci_ecam_load(ctx, offset, 4);
	return v | (uint64_t)pci_ecam_load(ctx, offset + 4, 4) << 32;
}

static void pci_ecam_write(
	void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	const unsigned device = (unsigned)(offset >> 15) % PCI_DEVICES_MAX;
	const unsigned at = (unsigned)offset & 0x7fff;

	pci_config_store(ctx, device, at, len < 8 ? len : 4, (uint32_t)value);
	if (len == 8)
		pci_config_store(
			ctx, device, at + 4, 4, (uint32_t)(value >> 32));
}

const struct bus_ops pci_ecam_ops = {
	.name = "pci ecam",
	.read = pci_ecam_read,
	.write = pci_ecam_write,
};

/* ---- ports 0xcf8 and 0xcfc -------------------------------------------------- */

#define PCI_PORT_ENABLE 0x80000000u

/* Does the address port name a register of bus 0, function 0? */
static bool pci_port_selects(
	uint32_t address, uint64_t port, unsigned *device, unsigned *offset)
{
	*device = address >> 11 & 31;
	*offset = (address & 0xfc) | (port & 3);
	return (address & (PCI_PORT_ENABLE | 0x00ff0700)) == PCI_PORT_ENABLE;
}

static uint32_t pci_port_address(struct pci_bus *bus)
{
	uint32_t v;

	pthread_mutex_lock(&bus->lock);
	v = bus->address;
	pthread_mutex_unlock(&bus->lock);
	return v;
}

static uint64_t pci_ports_read(void *ctx, uint64_t port, unsigned len)
{
	struct pci_bus *bus = ctx;
	unsigned device, offset;

	if (port == 0 && len == 4)
		return pci_port_address(bus);
	if (port < 4 || len > 4 ||
		!pci_port_selects(
			pci_port_address(bus), port, &device, &offset))
		return UINT64_MAX >> (64 - 8 * len);
	return pci_config_load(bus, device, offset, len);
}

static void pci_ports_write(
	void *ctx, uint64_t port, unsigned len, uint64_t value)
{
	struct pci_bus *bus = ctx;
	unsigned device, offset;

	if (port == 0 && len == 4) {
		pthread_mutex_lock(&bus->lock);
		bus->address = (uint32_t)value;
		pthread_mutex_unlock(&bus->lock);
	} else if (port >= 4 && len <= 4 &&
		   pci_port_selects(
			   pci_port_address(bus), port, &device, &offset)) {
		pci_config_store(bus, device, offset, len, (uint32_t)value);
	}
}

const struct bus_ops pci_ports_ops = {
	.name = "pci ports",
	.read = pci_ports_read,
	.write = pci_ports_write,
};

/* ---- windows ---------------------------------------------------------------- */

static uint64_t pci_window_read(void *ctx, uint64_t offset, unsigned len)
{
	const struct pci_window_ctx *w = ctx;
	const struct bus_ops *ops;
	void *bar;

	ops = pci_bar_find(w->bus, w->gpa + offset, len, &bar, &offset);
	return ops ? ops->read(bar, offset, len) : UINT64_MAX >> (64 - 8 * len);
}

static void pci_window_write(
	void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	const struct pci_window_ctx *w = ctx;
	const struct bus_ops *ops;
	void *bar;

	ops = pci_bar_find(w->bus, w->gpa + offset, len, &bar, &offset);
	if (ops)
		ops->write(bar, offset, len, value);
}

const struct bus_ops pci_window_ops = {
	.name = "pci window",
	.read = pci_window_read,
	.write = pci_window_write,
};
