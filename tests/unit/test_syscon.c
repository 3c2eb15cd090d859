/* SPDX-License-Identifier: MIT */
/* test_syscon.c - three ways to end a machine, and what is none */
#include "devices/syscon.h"

#include "tests/unit/test.h"

static unsigned events, last_what, last_code;

static void event(void *ctx, unsigned what, unsigned code)
{
	CHECK(ctx == &events);
	events++;
	last_what = what;
	last_code = code;
}

int main(void)
{
	struct syscon dev;

	syscon_init(&dev, event, &events);
	syscon_bus_ops.write(&dev, 0, 4, 0x5555);
	CHECK_EQ(events, 1);
	CHECK_EQ(last_what, SYSCON_POWEROFF);
	syscon_bus_ops.write(&dev, 0, 4, 0x7777);
	CHECK_EQ(last_what, SYSCON_REBOOT);
	syscon_bus_ops.write(&dev, 0, 4, 0xabcd3333);
	CHECK_EQ(last_what, SYSCON_FAIL);
	CHECK_EQ(last_code, 0xabcd);
	CHECK_EQ(events, 3);

	syscon_bus_ops.write(&dev, 4, 4, 0x5555);
	syscon_bus_ops.write(&dev, 0, 2, 0x5555);
	syscon_bus_ops.write(&dev, 0, 8, 0x5555);
	syscon_bus_ops.write(&dev, 0, 4, 0x5556);
	syscon_bus_ops.write(&dev, 0, 4, 0);
	CHECK_EQ(events, 3);
	CHECK_EQ(syscon_bus_ops.read(&dev, 0, 4), 0);
	return TEST_END("syscon");
}
