/* SPDX-License-Identifier: MIT */
/* test_pc_devices.c - the small devices of a PC: clock, reset, power, exit */
#include "devices/acpipm.h"
#include "devices/cmos.h"
#include "devices/debugexit.h"
#include "devices/i8042.h"

#include "tests/unit/test.h"

static struct memslot_error err;

/* ---- debug-exit --------------------------------------------------------- */

static unsigned exits;
static int last_status;

static void on_exit_status(void *ctx, int status)
{
	CHECK(ctx == &exits);
	exits++;
	last_status = status;
}

static void test_debugexit(void)
{
	struct debugexit d;
	const struct bus_ops *ops = &debugexit_bus_ops;

	debugexit_init(&d, on_exit_status, &exits);
	ops->write(&d, 0, 1, 0);
	CHECK_EQ(last_status, 1);
	ops->write(&d, 0, 4, 0x10);
	CHECK_EQ(last_status, 33);
	ops->write(&d, 0, 1, 0xff);
	CHECK_EQ(last_status, 255);
	ops->write(&d, 0, 4, 0x12345681);
	CHECK_EQ(last_status, 3);
	CHECK_EQ(exits, 4);
	ops->write(&d, 1, 1, 9);
	CHECK_EQ(exits, 4);
	CHECK_EQ(ops->read(&d, 0, 4), 0);
}

/* ---- power -------------------------------------------------------------- */

static unsigned poweroffs, reboots;

static void on_pm(void *ctx, bool reboot)
{
	CHECK(ctx == &reboots);
	poweroffs += !reboot;
	reboots += reboot;
}

static void test_acpipm(void)
{
	struct acpipm d;
	const struct bus_ops *ops = &acpipm_bus_ops;

	acpipm_init(&d, on_pm, &reboots);
	CHECK_EQ(ops->read(&d, 4, 2) & 0xffff, 1); /* SCI_EN: no SMI needed */
	CHECK_EQ(ops->read(&d, 0, 2) & 0xffff, 0);
	ops->write(&d, 2, 2, 0x120);
	CHECK_EQ(ops->read(&d, 2, 2) & 0xffff, 0x120);
	CHECK_EQ(ops->read(&d, 0, 4), 0x1200000);
	ops->write(&d, 0, 4, 0x420ffff);
	CHECK_EQ(ops->read(&d, 2, 2) & 0xffff, 0x420);
	ops->write(&d, 4, 2, 5 << 10); /* the type alone does nothing */
	ops->write(&d, 4, 2, 1 << 13); /* nor do other types */
	ops->write(&d, 4, 2, 1 << 13 | 3 << 10);
	ops->write(&d, 4, 1, 0x34);
	CHECK_EQ(poweroffs, 0);
	ops->write(&d, 4, 2, 1 << 13 | 5 << 10);
	CHECK_EQ(poweroffs, 1);
	ops->write(&d, 8, 1, 0);
	CHECK_EQ(reboots, 0);
	ops->write(&d, 8, 1, ACPIPM_RESET);
	CHECK_EQ(reboots, 1);
	CHECK_EQ(ops->read(&d, 8, 8), 0);
}

/* ---- i8042 -------------------------------------------------------------- */

static unsigned resets;

static void on_reset(void *ctx)
{
	CHECK(ctx == &resets);
	resets++;
}

static void test_i8042(void)
{
	struct i8042 d;
	const struct bus_ops *ops = &i8042_bus_ops;

	CHECK_EQ(i8042_init(&d, on_reset, &resets, &err), 0);
	CHECK_EQ(ops->read(&d, 4, 1) & 3, 0); /* ready, nothing to read */
	ops->write(&d, 4, 1, 0xaa);
	CHECK_EQ(ops->read(&d, 4, 1) & 3, 1);
	CHECK_EQ(ops->read(&d, 0, 1), 0x55);
	CHECK_EQ(ops->read(&d, 4, 1) & 3, 0);
	ops->write(&d, 4, 1, 0x60);
	ops->write(&d, 0, 1, 0x74);
	ops->write(&d, 4, 1, 0x20);
	CHECK_EQ(ops->read(&d, 0, 1), 0x74);
	ops->write(&d, 0, 1, 0xf4); /* to the keyboard: none answers */
	CHECK_EQ(ops->read(&d, 4, 1) & 3, 0);
	ops->write(&d, 4, 1, 0xd1);
	ops->write(&d, 0, 1, 0x03); /* A20 on, no reset */
	ops->write(&d, 0, 1, 0x02); /* not an output port any more */
	ops->write(&d, 4, 1, 0xff); /* pulses nothing */
	CHECK_EQ(resets, 0);
	ops->write(&d, 4, 1, 0xfe);
	CHECK_EQ(resets, 1);
	ops->write(&d, 4, 1, 0xd1);
	ops->write(&d, 0, 1, 0x02);
	CHECK_EQ(resets, 2);
	CHECK_EQ(ops->read(&d, 1, 1), 0xff);
	i8042_fini(&d);
}

/* ---- clock -------------------------------------------------------------- */

static uint64_t the_time;

static uint64_t now_ns(void *ctx)
{
	CHECK(ctx == &the_time);
	return the_time;
}

static unsigned cmos(struct cmos *d, unsigned reg)
{
	cmos_bus_ops.write(d, 0, 1, reg | 0x80); /* NMI masked */
	return (unsigned)cmos_bus_ops.read(d, 1, 1);
}

static void test_cmos(void)
{
	struct cmos d;

	CHECK_EQ(cmos_init(&d, now_ns, &the_time, &err), 0);
	the_time = 1709212527000000000; /* Thu 2024-02-29 13:15:27 UTC */
	CHECK_EQ(cmos(&d, 0), 0x27);
	CHECK_EQ(cmos(&d, 2), 0x15);
	CHECK_EQ(cmos(&d, 4), 0x13);
	CHECK_EQ(cmos(&d, 6), 5);
	CHECK_EQ(cmos(&d, 7), 0x29);
	CHECK_EQ(cmos(&d, 8), 2);
	CHECK_EQ(cmos(&d, 9), 0x24);
	CHECK_EQ(cmos(&d, 0x32), 0x20);
	CHECK_EQ(cmos(&d, 10), 0x26);
	CHECK_EQ(cmos(&d, 12), 0);
	CHECK_EQ(cmos(&d, 13), 0x80);
	the_time += 999756000;
	CHECK_EQ(cmos(&d, 10), 0xa6); /* do not read now */
	CHECK_EQ(cmos(&d, 0), 0x27);

	cmos_bus_ops.write(&d, 0, 2, 0x060b); /* binary, by one store */
	CHECK_EQ(cmos(&d, 0), 27);
	CHECK_EQ(cmos(&d, 9), 24);
	cmos_bus_ops.write(&d, 0, 1, 0x0b);
	cmos_bus_ops.write(&d, 1, 1, 0x00); /* BCD, 12 hours */
	CHECK_EQ(cmos(&d, 4), 0x81);
	the_time -= 3600000000000ull;
	CHECK_EQ(cmos(&d, 4), 0x92);
	the_time -= 12 * 3600000000000ull;
	CHECK_EQ(cmos(&d, 4), 0x12);

	/* The clock cannot be set; the rest is memory. */
	cmos_bus_ops.write(&d, 0, 1, 0);
	cmos_bus_ops.write(&d, 1, 1, 0x59);
	CHECK_EQ(cmos(&d, 0), 0x27);
	CHECK_EQ(cmos(&d, 0x0f), 0);
	cmos_bus_ops.write(&d, 1, 1, 0x0a);
	CHECK_EQ(cmos(&d, 0x0f), 0x0a);
	CHECK_EQ(cmos_bus_ops.read(&d, 0, 1), 0xff);
	cmos_fini(&d);
}

/* ---- any access --------------------------------------------------------- */

/* Whatever a guest does: values are as wide as was asked, and it returns. */
static void test_any(void)
{
	struct debugexit e;
	struct acpipm pm;
	struct i8042 kbd;
	struct cmos clock;
	struct bus bus = {0};
	uint64_t random = 42, value;

	debugexit_init(&e, on_exit_status, &exits);
	acpipm_init(&pm, on_pm, &reboots);
	CHECK_EQ(i8042_init(&kbd, on_reset, &resets, &err), 0);
	CHECK_EQ(cmos_init(&clock, NULL, NULL, &err), 0);
	bus_add(&bus, 0x60, I8042_SIZE, &i8042_bus_ops, &kbd, &err);
	bus_add(&bus, 0x70, CMOS_SIZE, &cmos_bus_ops, &clock, &err);
	bus_add(&bus, 0xf4, DEBUGEXIT_SIZE, &debugexit_bus_ops, &e, &err);
	bus_add(&bus, 0x600, ACPIPM_SIZE, &acpipm_bus_ops, &pm, &err);
	CHECK_EQ(bus.count, 4);
	for (unsigned i = 0; i < 200000; i++) {
		const struct bus_range *r = &bus.range[random >> 60 & 3];
		unsigned len = 1u << (random >> 58 & 3);
		gpa_t port = r->gpa + (random >> 40) % (r->size + 1);

		random = random * 6364136223846793005u + 1442695040888963407u;
		if (random >> 63)
			bus_write(&bus, port, len, random);
		else if (bus_read(&bus, port, len, &value) == 0 && len < 8)
			CHECK_EQ(value >> 8 * len, 0);
	}
	cmos_fini(&clock);
	i8042_fini(&kbd);
}

int main(void)
{
	test_any();
	exits = poweroffs = reboots = resets = 0;
	test_debugexit();
	test_acpipm();
	test_i8042();
	test_cmos();
	return TEST_END("pc-devices");
}
