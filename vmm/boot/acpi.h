/* SPDX-License-Identifier: MIT */
/*
 * acpi.h - what the x86-64 machine tells its guest it has
 *
 * ACPI specification 6.4, chapter 5: RSDP, XSDT, FADT (revision 4, with fixed
 * hardware: devices/acpipm.h), FACS, MADT, MCFG if there is PCI, and a DSDT
 * that holds \_S5 and whatever AML else it is given. All of it is one piece
 * of memory, with the RSDP at its start, where guests look for it: between
 * 0xe0000 and 0xfffff, at a multiple of 16.
 */
#ifndef VMM_BOOT_ACPI_H
#define VMM_BOOT_ACPI_H

#include "memslot/memslot.h"

MEMSLOT_BEGIN_DECLS

#define ACPI_CPUS_MAX 255u

struct acpi_machine {
	unsigned cpus; /* local APIC ids from 0 */
	gpa_t lapic, ioapic;
	uint16_t pm_port;   /* of devices/acpipm.h */
	uint8_t sci;        /* its interrupt: level, active high */
	gpa_t ecam;         /* PCI configuration space; 0: no MCFG */
	unsigned buses;     /* of it, from 0 */
	const uint8_t *aml; /* more for the DSDT; NULL: nothing */
	size_t aml_size;
};

/*
 * Write the tables that will lie at `base` to bytes[0, size); *used of them
 * are. Errors: -EINVAL cpus, buses or base out of range; -E2BIG `size` is too
 * small. Pure.
 */
int acpi_build(const struct acpi_machine *m, gpa_t base, uint8_t *bytes,
	size_t size, size_t *used, struct memslot_error *err);

MEMSLOT_END_DECLS

#endif
