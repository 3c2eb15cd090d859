/* SPDX-License-Identifier: MIT */
/* test_rtc.c - reading, setting and waking by a clock that tests drive */
#include "devices/rtc.h"

#include <time.h>

#include "tests/unit/test.h"

static uint64_t host_ns;
static bool wire;

static uint64_t now(void *ctx)
{
	(void)ctx;
	return host_ns;
}

static void set_wire(void *ctx, unsigned number, bool level)
{
	(void)ctx;
	CHECK_EQ(number, 11);
	wire = level;
}

static uint64_t get(struct rtc *dev, uint64_t offset)
{
	return rtc_bus_ops.read(dev, offset, 4);
}

static void put(struct rtc *dev, uint64_t offset, uint32_t value)
{
	rtc_bus_ops.write(dev, offset, 4, value);
}

static uint64_t get_time(struct rtc *dev)
{
	uint64_t low = get(dev, 0x00);

	return get(dev, 0x04) << 32 | low;
}

static void set_alarm(struct rtc *dev, uint64_t ns)
{
	put(dev, 0x0c, (uint32_t)(ns >> 32));
	put(dev, 0x08, (uint32_t)ns);
}

static struct rtc *fresh(struct rtc *dev)
{
	struct irq_line irq = {set_wire, NULL, 11};

	host_ns = 0x12345678ffffffff;
	wire = false;
	CHECK_EQ(rtc_init(dev, irq, now, NULL, NULL), 0);
	return dev;
}

static void test_time(void)
{
	struct rtc memory, *dev = fresh(&memory);

	CHECK_EQ(get(dev, 0x00), 0xffffffff);
	host_ns++; /* carries: the latch must not see it */
	CHECK_EQ(get(dev, 0x04), 0x12345678);
	CHECK_EQ(get_time(dev), 0x1234567900000000);

	put(dev, 0x04, 5); /* nothing moves until the low half comes */
	CHECK_EQ(get_time(dev), host_ns);
	put(dev, 0x00, 6);
	CHECK_EQ(get_time(dev), 0x500000006);
	host_ns += 10;
	CHECK_EQ(get_time(dev), 0x500000010);

	CHECK_EQ(rtc_bus_ops.read(dev, 0, 8), 0);
	CHECK_EQ(rtc_bus_ops.read(dev, 1, 4), 0);
	CHECK_EQ(get(dev, 0x20), 0);
	rtc_bus_ops.write(dev, 0x10, 8, 1);
	CHECK_EQ(get(dev, 0x10), 0);
	rtc_fini(dev);
}

static void test_alarm(void)
{
	struct rtc memory, *dev = fresh(&memory);
	uint64_t due = host_ns + 1000;

	CHECK_EQ(rtc_check(dev), RTC_NO_ALARM);
	put(dev, 0x10, 1);
	set_alarm(dev, due);
	CHECK_EQ(get(dev, 0x18), 1);
	CHECK_EQ(get(dev, 0x0c) << 32 | get(dev, 0x08), due);
	CHECK_EQ(rtc_check(dev), 1000);
	host_ns += 999;
	CHECK_EQ(rtc_check(dev), 1);
	CHECK(!wire);
	host_ns++;
	CHECK_EQ(rtc_check(dev), RTC_NO_ALARM);
	CHECK(wire);
	CHECK_EQ(get(dev, 0x18), 0);
	put(dev, 0x1c, 1);
	CHECK(!wire);

	/* into the past: at once; without rtc_check: at the next access */
	set_alarm(dev, host_ns - 1);
	CHECK(wire);
	put(dev, 0x1c, 0);
	set_alarm(dev, host_ns + 5);
	host_ns += 5;
	CHECK(!wire);
	get(dev, 0x18);
	CHECK(wire);

	/* disabled, it stays pending */
	put(dev, 0x10, 0);
	CHECK(!wire);
	put(dev, 0x10, 3);
	CHECK(wire);
	CHECK_EQ(get(dev, 0x10), 1);
	put(dev, 0x1c, 0);

	set_alarm(dev, host_ns + 5);
	put(dev, 0x14, 0);
	CHECK_EQ(get(dev, 0x18), 0);
	host_ns += 5;
	CHECK_EQ(rtc_check(dev), RTC_NO_ALARM);
	CHECK(!wire);
	rtc_fini(dev);
}

static void test_host_clock(void)
{
	struct rtc dev;
	struct irq_line none = {0};
	uint64_t seconds, before = (uint64_t)time(NULL);

	CHECK_EQ(rtc_init(&dev, none, NULL, NULL, NULL), 0);
	seconds = get_time(&dev) / 1000000000;
	CHECK(seconds + 1 >= before && seconds <= (uint64_t)time(NULL) + 1);
	set_alarm(&dev, 1); /* no wire: no crash */
	put(&dev, 0x10, 1);
	rtc_fini(&dev);
}

static void count_armed(void *ctx)
{
	unsigned *n = ctx;

	++*n;
}

/* Whoever sleeps until the next alarm must hear of a new one. */
static void test_on_armed(void)
{
	struct rtc memory, *dev = fresh(&memory);
	unsigned n = 0;

	rtc_on_armed(dev, count_armed, &n);
	put(dev, 0x0c, (uint32_t)(host_ns >> 32) + 1);
	CHECK_EQ(n, 0);
	put(dev, 0x08, 0);
	CHECK_EQ(n, 1);
	put(dev, 0x10, 1);
	put(dev, 0x14, 1);
	CHECK_EQ(n, 1);
	set_alarm(dev, host_ns - 5); /* rings at once: nothing to wait for */
	CHECK_EQ(n, 1);
	rtc_fini(dev);
}

int main(void)
{
	test_time();
	test_alarm();
	test_host_clock();
	test_on_armed();
	return TEST_END("rtc");
}
