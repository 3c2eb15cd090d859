/* SPDX-License-Identifier: MIT */
/* test_plic.c - gateways, choice, masks; and two threads at it */
#include "devices/plic.h"

#include <errno.h>

#include "tests/unit/test.h"

static bool wire[PLIC_CONTEXTS_MAX];
static unsigned changes;

static void set_wire(void *ctx, unsigned number, bool level)
{
	(void)ctx;
	CHECK(wire[number] != level); /* told of changes only */
	wire[number] = level;
	changes++;
}

static uint32_t get(struct plic *dev, uint64_t offset)
{
	return (uint32_t)plic_bus_ops.read(dev, offset, 4);
}

static void put(struct plic *dev, uint64_t offset, uint32_t value)
{
	plic_bus_ops.write(dev, offset, 4, value);
}

static uint32_t claim(struct plic *dev, unsigned context)
{
	return get(dev, 0x200004 + 0x1000 * context);
}

static void complete(struct plic *dev, unsigned context, uint32_t source)
{
	put(dev, 0x200004 + 0x1000 * context, source);
}

static void line(struct plic *dev, unsigned source, bool level)
{
	struct irq_line l = plic_line(dev, source);

	irq_set(&l, level);
}

static struct plic *fresh(struct plic *dev, unsigned sources, unsigned contexts)
{
	struct irq_line out[PLIC_CONTEXTS_MAX];

	for (unsigned i = 0; i < PLIC_CONTEXTS_MAX; i++) {
		out[i] = (struct irq_line){set_wire, NULL, i};
		wire[i] = false;
	}
	CHECK_EQ(plic_init(dev, sources, contexts, out, NULL), 0);
	return dev;
}

/* Everything enabled for everybody, priority 1. */
static void open_all(struct plic *dev, unsigned sources, unsigned contexts)
{
	for (unsigned s = 1; s <= sources; s++)
		put(dev, 4 * s, 1);
	for (unsigned c = 0; c < contexts; c++) {
		put(dev, 0x2000 + 0x80 * c, UINT32_MAX);
		put(dev, 0x2004 + 0x80 * c, UINT32_MAX);
	}
}

static void test_init(void)
{
	struct plic dev;
	struct irq_line out[PLIC_CONTEXTS_MAX] = {{0}};
	struct memslot_error err;

	CHECK_EQ(plic_init(&dev, 0, 1, out, &err), -EINVAL);
	CHECK_EQ(plic_init(&dev, 64, 1, out, &err), -EINVAL);
	CHECK_TEXT(err.text, "64 sources, possible are 1 to 63");
	CHECK_EQ(plic_init(&dev, 1, 0, out, &err), -EINVAL);
	CHECK_EQ(plic_init(&dev, 1, 17, out, &err), -EINVAL);
	for (unsigned sources = 1; sources <= 63; sources += 31) {
		fresh(&dev, sources, 1);
		CHECK(!plic_line(&dev, 0).set);
		CHECK(plic_line(&dev, 1).set);
		CHECK(plic_line(&dev, sources).set);
		CHECK(!plic_line(&dev, sources + 1).set);
		CHECK(!plic_line(&dev, UINT32_MAX).set);
		plic_fini(&dev);
	}
}

static void test_gateway(void)
{
	struct plic memory, *dev = fresh(&memory, 31, 1);

	open_all(dev, 31, 1);
	line(dev, 10, true);
	CHECK(wire[0]);
	CHECK_EQ(get(dev, 0x1000), 1u << 10);
	CHECK_EQ(claim(dev, 0), 10);
	CHECK(!wire[0]);
	CHECK_EQ(get(dev, 0x1000), 0);
	CHECK_EQ(claim(dev, 0), 0);

	/* shut until completed, however the line wiggles */
	line(dev, 10, false);
	line(dev, 10, true);
	CHECK(!wire[0]);
	complete(dev, 0, 10);
	CHECK(wire[0]);

	/* a request stays when the line falls */
	line(dev, 10, false);
	CHECK(wire[0]);
	CHECK_EQ(claim(dev, 0), 10);
	complete(dev, 0, 10);
	CHECK(!wire[0]);
	CHECK_EQ(claim(dev, 0), 0);

	/* completing what is not enabled is ignored */
	line(dev, 10, true);
	CHECK_EQ(claim(dev, 0), 10);
	put(dev, 0x2000, 0);
	complete(dev, 0, 10);
	CHECK_EQ(get(dev, 0x1000), 0);
	put(dev, 0x2000, UINT32_MAX);
	complete(dev, 0, 64);
	complete(dev, 0, UINT32_MAX);
	CHECK_EQ(get(dev, 0x1000), 0);
	complete(dev, 0, 10);
	CHECK_EQ(get(dev, 0x1000), 1u << 10);
	plic_fini(dev);
}

static void test_choice(void)
{
	struct plic memory, *dev = fresh(&memory, 63, 2);

	open_all(dev, 63, 2);
	put(dev, 4 * 40, 5);
	put(dev, 4 * 50, 5);
	line(dev, 3, true);
	line(dev, 50, true);
	line(dev, 40, true);
	CHECK_EQ(claim(dev, 1), 40); /* the lowest of the highest */
	CHECK_EQ(claim(dev, 0), 50);
	CHECK_EQ(claim(dev, 1), 3);
	CHECK_EQ(claim(dev, 0), 0);
	CHECK(!wire[0] && !wire[1]);

	/* the threshold gates the wire, not the claim */
	put(dev, 0x200000, 5);
	complete(dev, 0, 40);
	CHECK(!wire[0] && wire[1]);
	put(dev, 0x200000, 4);
	CHECK(wire[0]);
	put(dev, 0x200000, 7);
	CHECK(!wire[0]);
	CHECK_EQ(claim(dev, 0), 40);
	CHECK(!wire[1]);

	/* priority 0 never interrupts */
	put(dev, 4 * 50, 0);
	complete(dev, 1, 50);
	CHECK_EQ(get(dev, 0x1004), 1u << (50 - 32));
	CHECK_EQ(claim(dev, 1), 0);
	plic_fini(dev);
}

static void test_registers(void)
{
	struct plic memory, *dev = fresh(&memory, 40, 2);

	put(dev, 4, 0xff);
	CHECK_EQ(get(dev, 4), 7);
	put(dev, 0, 7);
	CHECK_EQ(get(dev, 0), 0);
	put(dev, 4 * 41, 7);
	CHECK_EQ(get(dev, 4 * 41), 0);
	put(dev, 0x1000, UINT32_MAX);
	CHECK_EQ(get(dev, 0x1000), 0);
	put(dev, 0x2080, UINT32_MAX);
	put(dev, 0x2084, UINT32_MAX);
	put(dev, 0x2088, UINT32_MAX);
	CHECK_EQ(get(dev, 0x2080), 0xfffffffe);
	CHECK_EQ(get(dev, 0x2084), 0x1ff);
	CHECK_EQ(get(dev, 0x2088), 0);
	CHECK_EQ(get(dev, 0x2000), 0);
	put(dev, 0x2100, UINT32_MAX); /* context 2 of 2 */
	CHECK_EQ(get(dev, 0x2100), 0);
	put(dev, 0x201000, 0x13);
	CHECK_EQ(get(dev, 0x201000), 3);
	put(dev, 0x202000, 3);
	CHECK_EQ(get(dev, 0x202000), 0);
	CHECK_EQ(plic_bus_ops.read(dev, 0x201000, 8), 0);
	CHECK_EQ(plic_bus_ops.read(dev, 0x201002, 4), 0);
	plic_bus_ops.write(dev, 4, 8, 1);
	CHECK_EQ(get(dev, 4), 7);
	/* every register there is or is not, with the worst value */
	for (uint64_t at = 0; at < PLIC_SIZE; at += 4) {
		put(dev, at, UINT32_MAX);
		(void)get(dev, at);
	}
	plic_fini(dev);
}

#define ROUNDS 20000

static void *wiggle(void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		line(arg, 1 + i % 31, true);
		line(arg, 1 + i % 31, false);
	}
	return NULL;
}

static void test_threads(void)
{
	struct plic memory, *dev = fresh(&memory, 31, 2);
	pthread_t thread;
	uint32_t s;

	open_all(dev, 31, 2);
	CHECK_EQ(pthread_create(&thread, NULL, wiggle, dev), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		s = claim(dev, i & 1);
		if (s)
			complete(dev, i & 1, s);
	}
	CHECK_EQ(pthread_join(thread, NULL), 0);
	while ((s = claim(dev, 0)) != 0)
		complete(dev, 0, s);
	CHECK(!wire[0] && !wire[1]);
	CHECK_EQ(changes % 2, 0);
	plic_fini(dev);
}

int main(void)
{
	test_init();
	test_gateway();
	test_choice();
	test_registers();
	changes = 0;
	test_threads();
	return TEST_END("plic");
}
