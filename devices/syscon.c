/* SPDX-License-Identifier: MIT */
/*
 * syscon.c - power off, reboot, fail
 */
#include "devices/syscon.h"

void syscon_init(struct syscon *dev,
	void (*event)(void *ctx, unsigned what, unsigned code), void *ctx)
{
	dev->event = event;
	dev->ctx = ctx;
}

static uint64_t syscon_read(void *ctx, uint64_t offset, unsigned len)
{
	(void)ctx;
	(void)offset;
	(void)len;
	return 0;
}

static void syscon_write(
	void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct syscon *dev = ctx;
	unsigned what = value & 0xffff;
	unsigned code = value >> 16 & 0xffff;

	if (offset != 0 || len != 4)
		return;
	if (what != SYSCON_POWEROFF && what != SYSCON_REBOOT &&
		what != SYSCON_FAIL)
		return;
	dev->event(dev->ctx, what, code);
}

const struct bus_ops syscon_bus_ops = {
	.name = "syscon",
	.read = syscon_read,
	.write = syscon_write,
};
