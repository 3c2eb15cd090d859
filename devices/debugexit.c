/* SPDX-License-Identifier: MIT */
#include "devices/debugexit.h"

void debugexit_init(
	struct debugexit *dev, void (*event)(void *ctx, int status), void *ctx)
{
	dev->event = event;
	dev->ctx = ctx;
}

static uint64_t debugexit_read(void *ctx, uint64_t offset, unsigned len)
{
	(void)ctx;
	(void)offset;
	(void)len;
	return 0;
}

static void debugexit_write(
	void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct debugexit *dev = ctx;

	(void)len;
	if (offset == 0)
		dev->event(dev->ctx, (int)(value << 1 & 0xff) | 1);
}

const struct bus_ops debugexit_bus_ops = {
	.name = "isa-debug-exit",
	.read = debugexit_read,
	.write = debugexit_write,
};
