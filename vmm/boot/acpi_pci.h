/* SPDX-License-Identifier: MIT */
/*
 * acpi_pci.h - a PCI host bridge in ACPI's words
 *
 * The part of the DSDT that says where a bus is: \_SB.PCI0 (PNP0A08 and
 * PNP0A03) with its windows and interrupts (PCI Firmware Specification 3.0,
 * 4.1; ACPI 6.4, 6.2.13 _PRT), and \_SB.ECAM (PNP0C02), a motherboard
 * resource that keeps configuration space for MCFG.
 */
#ifndef VMM_BOOT_ACPI_PCI_H
#define VMM_BOOT_ACPI_PCI_H

#include "memslot/memslot.h"

MEMSLOT_BEGIN_DECLS

/* No bridge takes more. */
#define ACPI_PCI_AML_MAX 4096u

struct acpi_pci {
	gpa_t ecam; /* of one bus, 1 MiB */
	/* Windows; size 0: there is none. `low` ends below 4 GiB. */
	gpa_t low, high;
	uint64_t low_size, high_size;
	/*
	 * The first of four interrupts of the IOAPIC, level, as PCI has them:
	 * pin p (from 1) of device d is irq + (d + p - 1) % 4.
	 */
	unsigned irq;
};

/*
 * Write the AML to bytes[0, size). Returns how much of it there is; -E2BIG if
 * it does not fit; -EINVAL: `low` is not below 4 GiB, a window wraps, or irq
 * is above 252.
 */
int acpi_pci_aml(const struct acpi_pci *p, uint8_t *bytes, size_t size,
	struct memslot_error *err);

MEMSLOT_END_DECLS

#endif
