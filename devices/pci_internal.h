/* SPDX-License-Identifier: MIT */
/* pci_internal.h - what the files of the PCI bus share; see pci.h */
#ifndef DEVICES_PCI_INTERNAL_H
#define DEVICES_PCI_INTERNAL_H

#include "devices/pci.h"

/* A little-endian number of up to 4 bytes in configuration space. */
uint32_t pci_get(const struct pci_device *dev, unsigned offset, unsigned len);
void pci_put(struct pci_device *dev, unsigned offset, unsigned len, uint32_t v);

/* One line to the log: who, what was refused, why. */
void pci_refused(struct pci_device *dev, const char *what,
	const struct memslot_error *why);

/* ---- pci_bar.c ------------------------------------------------------------ */

/* BAR register number `index`, 0 .. 5. Under `lock`. */
uint32_t pci_bar_load(const struct pci_device *dev, unsigned index);
/* Store the bits of `mask`. Under config_lock. */
void pci_bar_store(
	struct pci_device *dev, unsigned index, uint32_t value, uint32_t mask);
/*
 * All BARs of the device, or none, begin or cease to be mapped. Under
 * config_lock. An error has been logged and has changed nothing.
 */
int pci_bars_map(struct pci_device *dev);
int pci_bars_unmap(struct pci_device *dev);
/* The handler of a BAR that holds all of the access, or NULL. */
const struct bus_ops *pci_bar_find(struct pci_bus *bus, gpa_t gpa, unsigned len,
	void **ctx, uint64_t *offset);

/* ---- pci_irq.c ------------------------------------------------------------ */

/* The command register, or MSI-X control, has changed: set wires anew. */
void pci_irq_update(struct pci_device *dev);

#endif
