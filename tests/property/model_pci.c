/* SPDX-License-Identifier: MIT */
/*
 * model_pci.c - configuration space against a model too simple to be wrong
 *
 * Three devices with BARs of all kinds, a slot in the midst of a window, and
 * stores to configuration space that no driver would make: any offset, width
 * and value, likely ones more often, some with a step of the transaction made
 * to fail. The model is a list of BARs: what was stored, and where it is
 * mapped. After each store
 *
 *   - every register reads what the model says;
 *   - a BAR backed by memory is a slot with all its bytes exactly where its
 *     register says, or, if it is not mapped, nowhere; a BAR with a handler
 *     answers exactly there; no other slot has changed: no hole in RAM;
 *   - there was one line for a store that was refused, and none otherwise;
 *   - the map changed by one transaction at most.
 *
 *	model_pci [seed [steps]]
 */
#include "devices/pci.h"

#include "tests/unit/slots.h"

enum { DEVICES = 3, SLOT_RAM = 0, SLOT_INSIDE = 1, SLOT_BARS = 8 };

#define PAGE      MEMSLOT_PAGE_SIZE
#define LOW       0x50000000ull
#define LOW_SIZE  0x200000ull
#define HIGH      0x4000000000ull
#define HIGH_SIZE 0x400000ull
#define INSIDE    (LOW + 0x80000)
#define RAM       0x80000000ull

struct m_bar {
	uint64_t size; /* 0: none */
	bool wide, memory;
	unsigned host; /* first page of its memory */
	bool mapped;
	uint64_t stored, base;
};

struct m_device {
	struct m_bar bar[PCI_BARS];
	uint32_t command, line;
};

static const struct {
	unsigned device, bar;
	uint64_t size;
	uint32_t flags;
	bool memory;
} layout[] = {
	{0, 0, PAGE, 0, false},
	{0, 2, 16 * PAGE, PCI_BAR_64 | PCI_BAR_PREFETCH, true},
	{0, 4, 4 * PAGE, 0, true},
	{1, 0, 8 * PAGE, PCI_BAR_64, true},
	{1, 2, 2 * PAGE, PCI_BAR_64, false},
	{1, 5, PAGE, 0, true},
	{2, 1, 64 * PAGE, 0, true},
	{2, 3, 256 * PAGE, PCI_BAR_64, false},
};
#define LAYOUT (sizeof(layout) / sizeof(*layout))

static struct bed bed;
static struct bus machine;
static struct pci_bus bus;
static struct pci_device device[DEVICES];
static struct m_device model[DEVICES];
static struct fault_plan faults;
static unsigned lines;
static uint64_t state;
static unsigned long moves, maps, unmaps, refusals, injected;

/* ---- the model ---------------------------------------------------------------- */

static bool m_overlap(uint64_t a, uint64_t n, uint64_t b, uint64_t m)
{
	return a < b + m && b < a + n;
}

static bool m_in_window(uint64_t at, uint64_t size)
{
	return at + size > at &&
	       ((at >= LOW && at + size <= LOW + LOW_SIZE) ||
		       (at >= HIGH && at + size <= HIGH + HIGH_SIZE));
}

/* May this BAR be there, given where the others are (or will be)? */
static bool m_allowed(
	const struct m_bar *b, uint64_t at, const struct m_device *with)
{
	if (!m_in_window(at, b->size) ||
		m_overlap(at, b->size, INSIDE, 16 * PAGE))
		return false;
	for (unsigned d = 0; d < DEVICES; d++) {
		for (unsigned i = 0; i < PCI_BARS; i++) {
			const struct m_bar *o = &model[d].bar[i];
			bool there = o->mapped || &model[d] == with;
			uint64_t where = o->mapped ? o->base
						   : o->stored & ~(o->size - 1);

			if (o != b && o->size && there &&
				m_overlap(at, b->size, where, o->size))
				return false;
		}
	}
	return true;
}

static bool m_has_memory(const struct m_device *m)
{
	for (unsigned i = 0; i < PCI_BARS; i++)
		if (m->bar[i].size && m->bar[i].memory)
			return true;
	return false;
}

/* Returns whether it is refused. `fails`: a step of a transaction does. */
static bool m_store_command(struct m_device *m, uint32_t value, bool fails)
{
	bool on = value & PCI_COMMAND_MEMORY;
	bool was = m->command & PCI_COMMAND_MEMORY, refused = false;

	for (unsigned i = 0; on && !was && i < PCI_BARS; i++)
		if (m->bar[i].size &&
			!m_allowed(&m->bar[i],
				m->bar[i].stored & ~(m->bar[i].size - 1), m))
			refused = true;
	if (on != was && fails && m_has_memory(m))
		refused = true;
	for (unsigned i = 0; on != was && !refused && i < PCI_BARS; i++) {
		struct m_bar *b = &m->bar[i];

		if (!b->size)
			continue;
		if (on)
			b->base = b->stored & ~(b->size - 1);
		else
			b->stored = b->base;
		b->mapped = on;
	}
	m->command = value & (PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	if (refused ? was : on)
		m->command |= PCI_COMMAND_MEMORY;
	maps += on && !was && !refused;
	unmaps += !on && was && !refused;
	return refused;
}

static bool m_asks(const struct m_bar *b, unsigned half)
{
	return (uint32_t)(b->stored >> 32 * half) ==
	       (half ? 0xffffffff : 0xfffffff0);
}

static bool m_store_bar(
	struct m_bar *b, unsigned half, uint32_t value, bool fails)
{
	const uint64_t keep = half ? 0xffffffff : 0xffffffff00000000;
	uint64_t target;

	b->stored = (b->stored & keep) | (uint64_t)(half ? value : value & ~15u)
						 << 32 * half;
	target = b->stored & ~(b->size - 1);
	if (!b->mapped || m_asks(b, 0) || (b->wide && m_asks(b, 1)) ||
		target == b->base)
		return false;
	if (!m_allowed(b, target, NULL) || (fails && b->memory)) {
		b->stored = (b->stored & ~keep) | (b->base & keep);
		return true;
	}
	b->base = target;
	moves++;
	return false;
}

/* The BAR of register `index`, and which half of it; NULL: none. */
static struct m_bar *m_bar_of(
	struct m_device *m, unsigned index, unsigned *half)
{
	*half = 0;
	if (m->bar[index].size)
		return &m->bar[index];
	*half = 1;
	return index && m->bar[index - 1].size && m->bar[index - 1].wide
		       ? &m->bar[index - 1]
		       : NULL;
}

static uint32_t m_load_bar(struct m_device *m, unsigned index)
{
	unsigned half;
	const struct m_bar *b = m_bar_of(m, index, &half);
	uint64_t v;
	uint32_t flags;

	if (!b)
		return 0;
	v = b->mapped && !m_asks(b, half) ? b->base
					  : b->stored & ~(b->size - 1);
	flags = b->wide ? 4 : 0;
	if (m == &model[0] && index == 2)
		flags |= 8;
	return half ? (uint32_t)(v >> 32) : (uint32_t)v | flags;
}

/* ---- the law ------------------------------------------------------------------- */

static uint64_t on_read(void *ctx, uint64_t offset, unsigned len)
{
	(void)len;
	return (uintptr_t)ctx << 32 | offset;
}

static void on_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	(void)ctx;
	(void)offset;
	(void)len;
	(void)value;
}

static const struct bus_ops handler = {"handler", on_read, on_write};
static const struct pci_device_ops ops = {.name = "device"};

static void on_log(void *ctx, const char *line)
{
	(void)ctx;
	(void)line;
	lines++;
}

static void check_memory(const struct m_bar *b, unsigned id)
{
	struct seen s = bed_look_id(&bed, 0, id);

	if (!b->mapped)
		CHECK(!s.there);
	else
		CHECK(bed_has(
			&bed, 0, id, b->base >> 12, b->size >> 12, b->host, 0));
}

static void check_handler(const struct m_bar *b, uintptr_t name)
{
	const uint64_t last = b->size - 8;
	uint64_t v = 0;

	if (!b->mapped)
		return;
	CHECK_EQ(bus_read(&machine, b->base, 8, &v), 0);
	CHECK_EQ(v, (uint64_t)name << 32);
	CHECK_EQ(bus_read(&machine, b->base + last, 8, &v), 0);
	CHECK_EQ(v, (uint64_t)name << 32 | last);
}

static void check_all(void)
{
	unsigned slots = 2;

	for (unsigned d = 0; d < DEVICES; d++) {
		CHECK_EQ(pci_config_load(&bus, d + 1, PCI_REG_COMMAND, 2),
			model[d].command);
		CHECK_EQ(pci_config_load(&bus, d + 1, PCI_REG_LINE, 1),
			model[d].line);
		for (unsigned i = 0; i < PCI_BARS; i++)
			CHECK_EQ(pci_config_load(
					 &bus, d + 1, PCI_REG_BAR0 + 4 * i, 4),
				m_load_bar(&model[d], i));
	}
	for (unsigned i = 0; i < LAYOUT; i++) {
		const struct m_bar *b =
			&model[layout[i].device].bar[layout[i].bar];

		if (b->memory)
			check_memory(b, SLOT_BARS + i);
		else
			check_handler(b, i + 1);
		slots += b->memory && b->mapped;
	}
	CHECK_EQ(bed_count(&bed), slots);
	CHECK(bed_has(&bed, 0, SLOT_RAM, RAM >> 12, 256, 0, 0));
	CHECK(bed_has(&bed, 0, SLOT_INSIDE, INSIDE >> 12, 16, 300, 0));
}

/* ---- what the guest does --------------------------------------------------------- */

static unsigned below(uint64_t n)
{
	return (unsigned)rng_below(&state, n);
}

static uint32_t some_value(void)
{
	switch (below(12)) {
	case 0:
		return UINT32_MAX;
	case 1:
		return 0;
	case 2:
		return (uint32_t)rng_next(&state);
	case 3:
		return HIGH >> 32;
	case 4:
		return RAM + below(512) * 4096;
	case 5: /* of the high window, or so */
		return below(0x500) * 4096 | below(16);
	default:
		return LOW - 0x2000 + below(0x210) * 4096 + below(16);
	}
}

/* A store of all four bytes, or of some; in the model always of four. */
static bool m_store(
	unsigned d, unsigned at, uint32_t value, uint32_t mask, bool fails)
{
	struct m_device *m = &model[d];
	unsigned half, index = (at - PCI_REG_BAR0) / 4;
	struct m_bar *b;

	if (at == PCI_REG_COMMAND)
		return m_store_command(
			m, (m->command & ~mask) | (value & mask), fails);
	if (at == PCI_REG_LINE)
		m->line = ((m->line & ~mask) | (value & mask)) & 0xff;
	if (at < PCI_REG_BAR0 || index >= PCI_BARS)
		return false;
	b = m_bar_of(m, index, &half);
	if (!b)
		return false;
	value = ((uint32_t)(b->stored >> 32 * half) & ~mask) | (value & mask);
	return m_store_bar(b, half, value, fails);
}

static void store_one(unsigned d, unsigned at, unsigned len, uint32_t value)
{
	const uint64_t generation = memslots_generation(bed.ms);
	bool fails, refused;
	uint32_t mask;

	if (len < 4)
		value &= (1u << 8 * len) - 1;
	mask = (len < 4 ? (1u << 8 * len) - 1 : UINT32_MAX) << 8 * (at & 3);
	if (below(4) == 0)
		fault_arm(&faults, FAULT_ANY, below(20) + 1, false);
	lines = 0;
	pci_config_store(&bus, d + 1, at, len, value);
	fails = atomic_load(&faults.fired) != 0;
	fault_arm(&faults, FAULT_ANY, 0, false);
	refused = m_store(d, at & ~3u, value << 8 * (at & 3), mask, fails);
	injected += fails;
	refusals += refused;
	CHECK_EQ(lines, refused);
	CHECK(memslots_generation(bed.ms) - generation <= 1);
	check_all();
}

/* As an operating system does it, more or less. */
static void set_up(unsigned d)
{
	store_one(d, PCI_REG_COMMAND, 2, 0);
	for (unsigned i = 0; i < LAYOUT; i++) {
		const bool high = layout[i].flags & PCI_BAR_64 && below(2);
		const uint64_t at =
			below((high ? HIGH_SIZE : LOW_SIZE) / layout[i].size) *
			layout[i].size;
		const unsigned reg = PCI_REG_BAR0 + 4 * layout[i].bar;

		if (layout[i].device != d)
			continue;
		if (layout[i].flags & PCI_BAR_64)
			store_one(d, reg + 4, 4, high ? HIGH >> 32 : 0);
		store_one(d, reg, 4, (uint32_t)(at + (high ? HIGH : LOW)));
	}
	store_one(d, PCI_REG_COMMAND, 2, PCI_COMMAND_MEMORY);
}

static void step(void)
{
	static const unsigned places[] = {PCI_REG_COMMAND, PCI_REG_LINE, 0x10,
		0x14, 0x18, 0x1c, 0x20, 0x24, 0x10, 0x18, 0x1c, 0x24};
	const unsigned d = below(DEVICES);
	const unsigned len = below(8) ? 4 : below(2) + 1;
	unsigned at = places[below(12)] + (len == 4 ? 0 : below(4 / len) * len);
	uint32_t value = some_value();

	if (below(64) == 0)
		at = below(PCI_CONFIG_SIZE / len) * len;
	if ((at & ~3u) == PCI_REG_COMMAND)
		value = below(8) ? PCI_COMMAND_MEMORY : 0;
	if (below(16) == 0)
		set_up(d);
	else
		store_one(d, at, len, value);
}

static void open_all(void)
{
	struct pci_bus_config c = {
		.window = {{LOW, LOW_SIZE}, {HIGH, HIGH_SIZE}}, .log = on_log};
	const struct pci_identity id = {.vendor = 1, .pin = 1};
	unsigned host = 512;

	bed_open(&bed, 1);
	CHECK_EQ(bed_create(&bed, 0, SLOT_RAM, RAM >> 12, 256, 0, 0), 0);
	CHECK_EQ(bed_create(&bed, 0, SLOT_INSIDE, INSIDE >> 12, 16, 300, 0), 0);
	c.slots = bed.ms;
	CHECK_EQ(pci_bus_init(&bus, &c, NULL), 0);
	for (unsigned d = 0; d < DEVICES; d++)
		pci_device_init(&device[d], &id, &ops, NULL);
	for (unsigned i = 0; i < LAYOUT; i++) {
		struct pci_device *dev = &device[layout[i].device];

		model[layout[i].device].bar[layout[i].bar] = (struct m_bar){
			.size = layout[i].size,
			.wide = layout[i].flags & PCI_BAR_64,
			.memory = layout[i].memory,
			.host = host,
		};
		if (layout[i].memory)
			CHECK_EQ(pci_bar_memory(dev, layout[i].bar,
					 layout[i].size, layout[i].flags,
					 bed.host + host * PAGE, SLOT_BARS + i,
					 NULL),
				0);
		else
			CHECK_EQ(pci_bar_handler(dev, layout[i].bar,
					 layout[i].size, layout[i].flags,
					 &handler, (void *)(uintptr_t)(i + 1),
					 NULL),
				0);
		host += (unsigned)(layout[i].size / PAGE);
	}
	for (unsigned d = 0; d < DEVICES; d++)
		CHECK_EQ(pci_bus_add(&bus, &device[d], d + 1, NULL), 0);
	CHECK_EQ(pci_bus_attach(&bus, &machine, PCI_UNMAPPED, NULL), 0);
	memslots_set_faults(bed.ms, &faults);
}

int main(int argc, char **argv)
{
	unsigned long steps = argc > 2 ? strtoul(argv[2], NULL, 0) : 200000, i;

	state = argc > 1 ? strtoull(argv[1], NULL, 0) : 20221109;
	open_all();
	for (i = 0; i < steps && !atomic_load(&test_failures); i++)
		step();
	if (atomic_load(&test_failures))
		fprintf(stderr, "model_pci: at step %lu\n", i - 1);
	memslots_set_faults(bed.ms, NULL);
	pci_bus_fini(&bus);
	bed_close(&bed);
	printf("%lu stores: %lu moves, %lu times enabled, %lu disabled, %lu "
	       "refused, %lu failures injected\n",
		i, moves, maps, unmaps, refusals, injected);
	CHECK(moves > steps / 100 && maps > steps / 1000 &&
		unmaps > steps / 1000);
	return TEST_END("model_pci");
}
