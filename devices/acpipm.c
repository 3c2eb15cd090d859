/* SPDX-License-Identifier: MIT */
#include "devices/acpipm.h"

#include <stdatomic.h>

#define ENABLE_REG 2u
#define SCI_EN     0x0001u
#define SLP_TYP    0x1c00u
#define SLP_SHIFT  10
#define SLP_EN     0x2000u

void acpipm_init(
	struct acpipm *dev, void (*event)(void *ctx, bool reboot), void *ctx)
{
	dev->event = event;
	dev->ctx = ctx;
	atomic_init(&dev->enable, 0);
}

/* Registers of 16 bits, one after the other; accesses may be wider. */
static uint64_t acpipm_read(void *ctx, uint64_t offset, unsigned len)
{
	struct acpipm *dev = ctx;
	uint64_t all = (uint64_t)atomic_load(&dev->enable) << 8 * ENABLE_REG |
		       (uint64_t)SCI_EN << 8 * ACPIPM_CONTROL;

	if (offset >= 8)
		return 0;
	all >>= 8 * offset;
	return len < 8 ? all & (((uint64_t)1 << 8 * len) - 1) : all;
}

static void acpipm_write(
	void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct acpipm *dev = ctx;

	if (offset == ACPIPM_EVENT && len == 4)
		atomic_store(&dev->enable, (uint16_t)(value >> 16));
	else if (offset == ENABLE_REG && len == 2)
		atomic_store(&dev->enable, (uint16_t)value);
	else if (offset == ACPIPM_CONTROL && (value & SLP_EN) &&
		 (value & SLP_TYP) >> SLP_SHIFT == ACPIPM_S5)
		dev->event(dev->ctx, false);
	else if (offset == ACPIPM_RESET_REG && (value & 0xff) == ACPIPM_RESET)
		dev->event(dev->ctx, true);
}

const struct bus_ops acpipm_bus_ops = {
	.name = "acpi-pm",
	.read = acpipm_read,
	.write = acpipm_write,
};
