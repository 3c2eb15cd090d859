/* SPDX-License-Identifier: MIT */
/*
 * acpipm.h - the registers of ACPI with which a guest ends its machine
 *
 * ACPI specification 6.4, 4.8.3: fixed hardware without events of its own.
 *
 *   0  PM1_STS  16 RW  nothing ever happens: reads 0
 *   2  PM1_EN   16 RW  what the guest would like to hear of
 *   4  PM1_CNT  16 RW  bit 0 SCI_EN reads 1; bits 10-12 SLP_TYP and 13 SLP_EN:
 *                      both as in \_S5 means power off
 *   8  RESET     8 W   ACPIPM_RESET: reboot (the FADT's RESET_REG)
 */
#ifndef DEVICES_ACPIPM_H
#define DEVICES_ACPIPM_H

#include "devices/bus.h"

MEMSLOT_BEGIN_DECLS

#define ACPIPM_SIZE      0x10u
#define ACPIPM_EVENT     0u /* PM1_STS and PM1_EN */
#define ACPIPM_CONTROL   4u
#define ACPIPM_RESET_REG 8u

#define ACPIPM_S5    5u /* SLP_TYP of \_S5 */
#define ACPIPM_RESET 1u
/* What a store to PM1_CNT of 16 bits says to power off. */
#define ACPIPM_POWEROFF (1u << 13 | ACPIPM_S5 << 10)

struct acpipm {
	/*
	 * Power off, or reboot. In the thread of the vCPU, no lock held; it
	 * may be called again, as vCPUs run on until they are stopped.
	 */
	void (*event)(void *ctx, bool reboot);
	void *ctx;
	MEMSLOT_ATOMIC(uint16_t) enable;
};

/* There is nothing to undo. */
void acpipm_init(
	struct acpipm *dev, void (*event)(void *ctx, bool reboot), void *ctx);

extern const struct bus_ops acpipm_bus_ops; /* its ctx: struct acpipm * */

MEMSLOT_END_DECLS

#endif
