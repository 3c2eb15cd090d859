/* SPDX-License-Identifier: MIT */
/* test_bus.c - ranges, their order, their ends */
#include "devices/bus.h"

#include <errno.h>

#include "tests/unit/test.h"

struct seen {
	uint64_t offset, value;
	unsigned len, reads, writes;
};

static uint64_t seen_read(void *ctx, uint64_t offset, unsigned len)
{
	struct seen *s = ctx;

	s->offset = offset;
	s->len = len;
	s->reads++;
	return 0x1122334455667788;
}

static void seen_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct seen *s = ctx;

	s->offset = offset;
	s->len = len;
	s->value = value;
	s->writes++;
}

static const struct bus_ops seen_ops = {"seen", seen_read, seen_write};

static void test_refusals(void)
{
	struct bus bus = {0};
	struct memslot_error err = {0};
	struct seen s = {0};

	CHECK_EQ(bus_add(&bus, 0x1000, 0, &seen_ops, &s, &err), -EINVAL);
	CHECK_TEXT(err.text, "seen");
	CHECK_EQ(bus_add(&bus, UINT64_MAX, 2, &seen_ops, &s, &err), -EINVAL);
	CHECK_EQ(bus_add(&bus, 2, UINT64_MAX, &seen_ops, &s, NULL), -EINVAL);
	CHECK_EQ(bus.count, 0);

	CHECK_EQ(bus_add(&bus, 0x1000, 0x100, &seen_ops, &s, &err), 0);
	CHECK_EQ(bus_add(&bus, 0x1000, 0x100, &seen_ops, &s, &err), -EEXIST);
	CHECK_EQ(bus_add(&bus, 0x10ff, 1, &seen_ops, &s, &err), -EEXIST);
	CHECK_EQ(bus_add(&bus, 0xfff, 2, &seen_ops, &s, &err), -EEXIST);
	CHECK_EQ(bus_add(&bus, 0, 0x8000, &seen_ops, &s, &err), -EEXIST);
	CHECK_TEXT(err.text, "[0x0,0x8000) overlaps seen [0x1000,0x1100)");
	CHECK_EQ(bus_add(&bus, 0x1100, 1, &seen_ops, &s, &err), 0);
	CHECK_EQ(bus_add(&bus, 0xfff, 1, &seen_ops, &s, &err), 0);
	CHECK_EQ(bus.count, 3);
}

static void test_full(void)
{
	struct bus bus = {0};
	struct memslot_error err = {0};
	struct seen s = {0};
	uint64_t value;

	/* from both ends inwards, so that insertion has to move */
	for (unsigned i = 0; i < BUS_RANGES_MAX; i++) {
		unsigned at = i & 1 ? BUS_RANGES_MAX - 1 - i / 2 : i / 2;

		CHECK_EQ(bus_add(&bus, (at + 1) * 0x1000, 0x1000, &seen_ops, &s,
				 &err),
			0);
	}
	CHECK_EQ(bus_add(&bus, 0, 0x1000, &seen_ops, &s, &err), -ENOSPC);
	for (unsigned i = 0; i < BUS_RANGES_MAX; i++) {
		CHECK_EQ(bus.range[i].gpa, (i + 1) * 0x1000);
		CHECK_EQ(bus_read(&bus, (i + 1) * 0x1000 + i, 1, &value), 0);
		CHECK_EQ(s.offset, i);
	}
	CHECK_EQ(bus_read(&bus, 0xfff, 1, &value), -ENXIO);
	CHECK_EQ(bus_read(&bus, (BUS_RANGES_MAX + 1) * 0x1000, 1, &value),
		-ENXIO);
}

static void test_access(void)
{
	struct bus bus = {0};
	struct seen a = {0}, b = {0};
	uint64_t value = 0;

	CHECK_EQ(bus_read(&bus, 0, 1, &value), -ENXIO);
	CHECK_EQ(bus_add(&bus, 0x1000, 0x10, &seen_ops, &a, NULL), 0);
	CHECK_EQ(bus_add(&bus, 0x1010, 0x10, &seen_ops, &b, NULL), 0);
	CHECK_EQ(bus_read(&bus, 0x1008, 8, &value), 0);
	CHECK_EQ(value, 0x1122334455667788);
	CHECK_EQ(a.offset, 8);
	CHECK_EQ(a.len, 8);
	CHECK_EQ(bus_write(&bus, 0x1010, 4, 77), 0);
	CHECK_EQ(b.value, 77);
	CHECK_EQ(b.offset, 0);
	/* across the end, also where another device begins */
	CHECK_EQ(bus_read(&bus, 0x100c, 8, &value), -ENXIO);
	CHECK_EQ(bus_write(&bus, 0x101d, 4, 1), -ENXIO);
	CHECK_EQ(bus_write(&bus, 0xffe, 4, 1), -ENXIO);
	CHECK_EQ(bus_write(&bus, UINT64_MAX, 8, 1), -ENXIO);
	CHECK_EQ(a.reads, 1);
	CHECK_EQ(b.writes, 1);
}

int main(void)
{
	test_refusals();
	test_full();
	test_access();
	return TEST_END("bus");
}
