/* SPDX-License-Identifier: MIT */
/*
 * syscon.h - one register with which a guest ends its machine
 *
 * After the "test finisher" of SiFive's cores, as QEMU's virt machine has it
 * (hw/misc/sifive_test.c). A 32-bit store to offset 0:
 *
 *   bits 15:0   0x5555  power off
 *               0x7777  reboot
 *               0x3333  the guest failed; bits 31:16 are its code
 *   bits 31:16  a code
 *
 * Any other value, width or offset is ignored; loads give 0. Linux drives it
 * with syscon-poweroff and syscon-reboot, which read, modify and write: that
 * loads give 0 makes the store always happen.
 */
#ifndef DEVICES_SYSCON_H
#define DEVICES_SYSCON_H

#include "devices/bus.h"

MEMSLOT_BEGIN_DECLS

#define SYSCON_SIZE     0x1000u
#define SYSCON_POWEROFF 0x5555u
#define SYSCON_REBOOT   0x7777u
#define SYSCON_FAIL     0x3333u

struct syscon {
	/*
	 * `what` is SYSCON_POWEROFF, _REBOOT or _FAIL. Called in the thread of
	 * the vCPU, with no lock held; it may be called again, as other vCPUs
	 * run on until they are stopped.
	 */
	void (*event)(void *ctx, unsigned what, unsigned code);
	void *ctx;
};

/* Stateless: there is nothing to undo. */
void syscon_init(struct syscon *dev,
	void (*event)(void *ctx, unsigned what, unsigned code), void *ctx);

extern const struct bus_ops syscon_bus_ops; /* its ctx: struct syscon * */

MEMSLOT_END_DECLS

#endif
