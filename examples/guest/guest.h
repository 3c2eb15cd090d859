/* SPDX-License-Identifier: MIT */
/*
 * guest.h - how a guest's program finds the slot controller, and maps memory
 * that is not the kernel's. docs/slot-controller.md has the registers.
 *
 * For 64-bit machines: uint64_t is unsigned long.
 */
#ifndef EXAMPLES_GUEST_GUEST_H
#define EXAMPLES_GUEST_GUEST_H

#include <err.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* The controller, mapped at `regs`. */
#define REG32(regs, offset) (*(volatile uint32_t *)((regs) + (offset)))
#define REG64(regs, offset) (*(volatile uint64_t *)((regs) + (offset)))

#define SLOTCTL_MAGIC       REG32(slotctl, 0x00)
#define SLOTCTL_VERSION     REG32(slotctl, 0x04)
#define SLOTCTL_WINDOW_BASE REG64(slotctl, 0x08)
#define SLOTCTL_WINDOW_SIZE REG64(slotctl, 0x10)
#define SLOTCTL_RANGE_BASE  REG64(slotctl, 0x18)
#define SLOTCTL_RANGE_SIZE  REG64(slotctl, 0x20)
#define SLOTCTL_TARGET      REG64(slotctl, 0x28)
#define SLOTCTL_COMMAND     REG32(slotctl, 0x30)
#define SLOTCTL_STATUS      REG32(slotctl, 0x34)
#define SLOTCTL_GENERATION  REG64(slotctl, 0x40)
#define SLOTCTL_MOVES       REG64(slotctl, 0x48)
#define SLOTCTL_FAILED      REG64(slotctl, 0x50)
#define SLOTCTL_WRITES_DONE REG64(slotctl, 0x80)
#define SLOTCTL_BYTES_WRONG REG64(slotctl, 0x88)
#define SLOTCTL_DONE        REG32(slotctl, 0x90)

#define SLOTCTL_THE_MAGIC    0x544f4c53u
#define SLOTCTL_THE_VERSION  1u
#define SLOTCTL_COMMAND_MOVE 1u

#define PAGE 4096u

/*
 * From the device tree, as the kernel has understood it: a device's name
 * begins with its address. A machine without one says slotctl=0x... on the
 * kernel's command line, which comes to us in the environment. 0: none.
 */
static inline uint64_t slotctl_address(void)
{
	static const char devices[] = "/sys/bus/platform/devices/";
	const char *given = getenv("slotctl");
	char path[128], compatible[64];
	uint64_t address = 0;
	glob_t g;

	if (given)
		return strtoull(given, NULL, 0);
	snprintf(path, sizeof(path), "%s*/of_node/compatible", devices);
	glob(path, 0, NULL, &g);
	for (size_t i = 0; i < g.gl_pathc && !address; i++) {
		FILE *f = fopen(g.gl_pathv[i], "r");

		if (!f)
			continue;
		if (fgets(compatible, sizeof(compatible), f) &&
			strcmp(compatible, "vmm,slot-controller") == 0)
			address = strtoull(
				g.gl_pathv[i] + sizeof(devices) - 1, NULL, 16);
		fclose(f);
	}
	globfree(&g);
	return address;
}

/* Through /dev/mem, or a file of sysfs (address 0). */
static inline void *map_file(int fd, uint64_t address, uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		(off_t)address);

	if (p == MAP_FAILED)
		err(2, "cannot map 0x%lx bytes at 0x%lx", size, address);
	return p;
}

#endif
