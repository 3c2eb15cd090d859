/* SPDX-License-Identifier: MIT */
/* test_pci.c - configuration space, BARs and interrupts of one PCI bus */
#include "devices/pci.h"

#include "tests/unit/slots.h"

#define PAGE   MEMSLOT_PAGE_SIZE
#define LOW    0x50000000u /* a window of 1 MiB with a slot in its middle */
#define HIGH   0x4000000000ull
#define WINDOW 0x100000u
#define RAM    0x80000000u
#define ECAM   0x30000000u

#define SLOT_RAM    0u
#define SLOT_INSIDE 1u
#define SLOT_BAR    2u

static struct {
	unsigned lines, loads, stores, mapped, commands, messages;
	char last[400];
	unsigned hook_offset, hook_len;
	uint64_t mapped_at, address;
	uint32_t data;
	uint64_t stored_at, stored;
	unsigned stored_len;
	bool wire[4];
	struct pci_device *dev;
} seen;

struct board {
	struct bed bed;
	struct bus machine;
	struct pci_bus bus;
	struct pci_device dev; /* 1: handler, 64-bit memory, MSI-X */
	struct pci_device two; /* 2: memory */
	struct fault_plan faults;
};

/* ---- what devices and the host do --------------------------------------- */

static uint64_t on_read(void *ctx, uint64_t offset, unsigned len)
{
	(void)ctx;
	return offset << 8 | len;
}

static void on_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	(void)ctx;
	seen.stored_at = offset;
	seen.stored_len = len;
	seen.stored = value;
}

static const struct bus_ops handler = {"test", on_read, on_write};

static void on_load(void *ctx, unsigned offset, unsigned len)
{
	const uint8_t byte = (uint8_t)(0xa0 + seen.loads++);

	(void)ctx;
	seen.hook_offset = offset;
	seen.hook_len = len;
	pci_config_put(seen.dev, offset, &byte, 1);
}

static void on_store(void *ctx, unsigned offset, unsigned len)
{
	(void)ctx;
	seen.stores++;
	seen.hook_offset = offset;
	seen.hook_len = len;
}

static void on_mapped(void *ctx, unsigned bar, gpa_t gpa)
{
	(void)ctx;
	seen.mapped |= 1u << bar;
	seen.mapped_at = gpa;
}

static void on_command(void *ctx, uint16_t command)
{
	(void)ctx;
	(void)command;
	seen.commands++;
}

static const struct pci_device_ops device_ops = {
	.name = "gadget",
	.before_load = on_load,
	.after_store = on_store,
	.mapped = on_mapped,
	.command = on_command,
};
static const struct pci_device_ops quiet_ops = {.name = "quiet"};

static void on_wire(void *ctx, unsigned number, bool level)
{
	(void)ctx;
	CHECK(seen.wire[number] != level); /* only changes are told */
	seen.wire[number] = level;
}

static void on_message(void *ctx, uint64_t address, uint32_t data)
{
	(void)ctx;
	seen.messages++;
	seen.address = address;
	seen.data = data;
}

static void on_log(void *ctx, const char *line)
{
	(void)ctx;
	seen.lines++;
	snprintf(seen.last, sizeof(seen.last), "%s", line);
	CHECK(!strchr(line, '\n'));
}

static void board_open(struct board *b)
{
	const struct pci_identity id = {.vendor = 0x1234,
		.device = 0x5678,
		.subvendor = 0x9abc,
		.subdevice = 0xdef0,
		.class_code = 0x120001,
		.revision = 7,
		.pin = 1};
	struct pci_bus_config c = {
		.window = {{LOW, WINDOW}, {HIGH, WINDOW}},
		.msi = on_message,
		.log = on_log,
	};
	struct memslot_error err;

	memset(&seen, 0, sizeof(seen));
	memset(&b->machine, 0, sizeof(b->machine));
	memset(&b->faults, 0, sizeof(b->faults));
	bed_open(&b->bed, 1);
	CHECK_EQ(bed_create(&b->bed, 0, SLOT_RAM, RAM >> 12, 64, 0, 0), 0);
	CHECK_EQ(bed_create(
			 &b->bed, 0, SLOT_INSIDE, (LOW >> 12) + 128, 16, 64, 0),
		0);
	c.slots = b->bed.ms;
	for (unsigned i = 0; i < 4; i++)
		c.intx[i] = (struct irq_line){on_wire, NULL, i};
	CHECK_EQ(pci_bus_init(&b->bus, &c, &err), 0);
	pci_device_init(&b->dev, &id, &device_ops, b);
	seen.dev = &b->dev;
	CHECK_EQ(pci_bar_handler(&b->dev, 0, PAGE, 0, &handler, b, &err), 0);
	CHECK_EQ(pci_bar_memory(&b->dev, 2, 16 * PAGE,
			 PCI_BAR_64 | PCI_BAR_PREFETCH,
			 b->bed.host + 128 * PAGE, SLOT_BAR, &err),
		0);
	CHECK_EQ(pci_add_msix(&b->dev, 4, 40, &err), 0);
	CHECK_EQ(pci_bus_add(&b->bus, &b->dev, 0, &err), 0);
	pci_device_init(&b->two, &id, &quiet_ops, NULL);
	CHECK_EQ(pci_bar_memory(&b->two, 1, PAGE, 0, b->bed.host + 256 * PAGE,
			 SLOT_BAR + 1, &err),
		0);
	CHECK_EQ(pci_bus_add(&b->bus, &b->two, 2, &err), 0);
	CHECK_EQ(pci_bus_attach(&b->bus, &b->machine, ECAM, &err), 0);
}

static void board_close(struct board *b)
{
	memslots_set_faults(b->bed.ms, NULL);
	pci_bus_fini(&b->bus);
	bed_close(&b->bed);
}

/* ---- the guest's ways ----------------------------------------------------- */

static uint32_t get(struct board *b, unsigned d, unsigned offset, unsigned len)
{
	uint64_t v = 0;

	CHECK_EQ(bus_read(&b->machine, ECAM + (d << 15) + offset, len, &v), 0);
	return (uint32_t)v;
}

static void put(
	struct board *b, unsigned d, unsigned offset, unsigned len, uint32_t v)
{
	CHECK_EQ(bus_write(&b->machine, ECAM + (d << 15) + offset, len, v), 0);
}

static uint32_t bar(struct board *b, unsigned d, unsigned index)
{
	return get(b, d, PCI_REG_BAR0 + 4 * index, 4);
}

static void set_bar(struct board *b, unsigned d, unsigned index, uint32_t v)
{
	put(b, d, PCI_REG_BAR0 + 4 * index, 4, v);
}

static void enable(struct board *b, unsigned d, bool on)
{
	put(b, d, PCI_REG_COMMAND, 2, on ? PCI_COMMAND_MEMORY : 0);
}

static bool enabled(struct board *b, unsigned d)
{
	return get(b, d, PCI_REG_COMMAND, 2) & PCI_COMMAND_MEMORY;
}

static void place(struct board *b)
{
	set_bar(b, 1, 0, LOW);
	set_bar(b, 1, 2, LOW + 0x10000);
	set_bar(b, 1, 3, 0);
	set_bar(b, 1, 4, LOW + 0x2000);
	enable(b, 1, true);
	CHECK(enabled(b, 1));
}

static bool memory_at(struct board *b, gpa_t gpa)
{
	return bed_has(&b->bed, 0, SLOT_BAR, gpa >> 12, 16, 128, 0);
}

/* ---- configuration space ---------------------------------------------------- */

static void test_identity(void)
{
	struct board b;
	uint64_t v;

	board_open(&b);
	CHECK_EQ(get(&b, 1, PCI_REG_VENDOR, 4), 0x56781234);
	CHECK_EQ(get(&b, 1, PCI_REG_DEVICE, 2), 0x5678);
	CHECK_EQ(get(&b, 1, PCI_REG_DEVICE + 1, 1), 0x56);
	CHECK_EQ(get(&b, 1, PCI_REG_REVISION, 4), 0x12000107);
	CHECK_EQ(get(&b, 1, PCI_REG_SUBVENDOR, 4), 0xdef09abc);
	CHECK_EQ(get(&b, 1, PCI_REG_PIN, 1), 1);
	CHECK_EQ(get(&b, 1, 0x0e, 1), 0); /* header type 0, one function */
	CHECK_EQ(get(&b, 0, PCI_REG_CLASS + 1, 2), 0x0600);
	/* Nothing of it can be changed but the note for drivers. */
	put(&b, 1, PCI_REG_VENDOR, 4, 0);
	put(&b, 1, PCI_REG_SUBVENDOR, 4, 0);
	put(&b, 1, PCI_REG_LINE, 4, 0xffffff0b);
	CHECK_EQ(get(&b, 1, PCI_REG_VENDOR, 4), 0x56781234);
	CHECK_EQ(get(&b, 1, PCI_REG_SUBVENDOR, 4), 0xdef09abc);
	CHECK_EQ(get(&b, 1, PCI_REG_LINE, 2), 0x010b);
	put(&b, 1, PCI_REG_COMMAND, 4, 0xfffffffd);
	CHECK_EQ(get(&b, 1, PCI_REG_COMMAND, 4),
		(PCI_STATUS_CAPABILITIES << 16 | PCI_COMMAND_MASTER |
			PCI_COMMAND_INTX_DISABLE));
	CHECK(pci_may_dma(&b.dev));
	CHECK_EQ(seen.commands, 1);
	/* Who is not there answers with ones; other functions are not there. */
	CHECK_EQ(get(&b, 3, PCI_REG_VENDOR, 4), UINT32_MAX);
	CHECK_EQ(get(&b, 3, 0x100, 2), 0xffff);
	CHECK_EQ(get(&b, 1, 0x1000, 4), UINT32_MAX);
	CHECK_EQ(get(&b, 1, 0x7ffe, 2), 0xffff);
	put(&b, 3, PCI_REG_COMMAND, 4, 2);
	put(&b, 1, 0x1004, 4, 2);
	/* There is no extended configuration space. */
	CHECK_EQ(get(&b, 1, 0x100, 4), 0);
	CHECK_EQ(get(&b, 1, 0xffc, 4), 0);
	put(&b, 1, 0x104, 4, 2);
	/* Eight bytes are two units; what is not aligned is nowhere. */
	CHECK_EQ(bus_read(&b.machine, ECAM + (1 << 15), 8, &v), 0);
	CHECK_EQ(v >> 32, get(&b, 1, 4, 4));
	CHECK_EQ((uint32_t)v, 0x56781234);
	CHECK_EQ(get(&b, 1, 2, 4), UINT32_MAX);
	put(&b, 1, 3, 2, 0);
	CHECK(!enabled(&b, 1));
	board_close(&b);
}

static void test_ports(void)
{
	struct board b;
	const struct bus_ops *p = &pci_ports_ops;

	board_open(&b);
	p->write(&b.bus, 0, 4, 0x80000000 | 1 << 11 | PCI_REG_REVISION);
	CHECK_EQ(p->read(&b.bus, 0, 4), 0x80000808);
	CHECK_EQ(p->read(&b.bus, 4, 4), 0x12000107);
	CHECK_EQ(p->read(&b.bus, 6, 2), 0x1200);
	CHECK_EQ(p->read(&b.bus, 7, 1), 0x12);
	p->write(&b.bus, 0, 4, 0x80000000 | 1 << 11 | PCI_REG_COMMAND);
	p->write(&b.bus, 4, 2, PCI_COMMAND_MASTER);
	CHECK(pci_may_dma(&b.dev));
	p->write(&b.bus, 4, 1, 0);
	CHECK(!pci_may_dma(&b.dev));
	/* No enable bit, another function, another bus: nobody. */
	p->write(&b.bus, 0, 4, 1 << 11);
	CHECK_EQ(p->read(&b.bus, 4, 4), UINT32_MAX);
	p->write(&b.bus, 0, 4, 0x80000000 | 1 << 11 | 1 << 8);
	CHECK_EQ(p->read(&b.bus, 4, 4), UINT32_MAX);
	p->write(&b.bus, 0, 4, 0x80000000 | 1 << 11 | 1 << 16);
	CHECK_EQ(p->read(&b.bus, 4, 1), 0xff);
	p->write(&b.bus, 4, 4, UINT32_MAX);
	/* The address port wants all four bytes. */
	p->write(&b.bus, 0, 1, 0);
	CHECK_EQ(p->read(&b.bus, 0, 4), 0x80010800);
	CHECK_EQ(p->read(&b.bus, 1, 1), 0xff);
	CHECK_EQ(p->read(&b.bus, 0, 8), UINT64_MAX);
	p->write(&b.bus, 0, 8, 1);
	board_close(&b);
}

static void test_capabilities(void)
{
	static const uint8_t bytes[16] = {0, 0, 16, 3, 4, 5};
	static const uint8_t writable[16] = {0xff, 0xff, 0, 0, 0x0f, 0xf0};
	const struct pci_identity id = {.vendor = 1};
	struct memslot_error err;
	struct pci_device dev;
	struct board b;
	int at, next;

	board_open(&b);
	pci_device_init(&dev, &id, &device_ops, NULL);
	seen.dev = &dev;
	at = pci_add_capability(
		&dev, PCI_CAP_VENDOR, bytes, writable, 13, 0, &err);
	CHECK_EQ(at, PCI_REG_FIRST_CAPABILITY);
	next = pci_add_capability(&dev, PCI_CAP_VENDOR, bytes, writable, 16,
		PCI_CAP_HOOKED, &err);
	CHECK_EQ(next, at + 16);
	CHECK_EQ(pci_bus_add(&b.bus, &dev, 9, &err), 0);
	CHECK_EQ(get(&b, 9, PCI_REG_STATUS, 2), PCI_STATUS_CAPABILITIES);
	CHECK_EQ(get(&b, 9, PCI_REG_CAPABILITIES, 1), (unsigned)at);
	CHECK_EQ(get(&b, 9, at, 4), 0x03100009u | next << 8);
	put(&b, 9, at, 4, 0);
	CHECK_EQ(get(&b, 9, at, 4), 0x03100009u | next << 8);
	put(&b, 9, at + 4, 4, UINT32_MAX);
	CHECK_EQ(get(&b, 9, at + 4, 4), 0x0000f50f);
	CHECK_EQ(seen.loads + seen.stores, 0);
	/* Hooks: told which bytes, before a load and after a store. */
	CHECK_EQ(get(&b, 9, next + 8, 2), 0xa0);
	CHECK_EQ(seen.hook_offset, (unsigned)next + 8);
	CHECK_EQ(seen.hook_len, 2);
	put(&b, 9, next + 5, 1, 0xff);
	CHECK_EQ(seen.stores, 1);
	CHECK_EQ(seen.hook_offset, (unsigned)next + 5);
	CHECK_EQ(pci_add_capability(&dev, 1, bytes, NULL, 2, 0, &err), -EINVAL);
	CHECK_EQ(pci_add_capability(&dev, 1, bytes, NULL, 256, 0, &err),
		-EINVAL);
	CHECK_EQ(pci_add_capability(&dev, 1, bytes, NULL, 170, 0, &err),
		-ENOSPC);
	CHECK_TEXT(err.text, "no room for capability 0x1 of gadget");
	board_close(&b);
}

static void test_making(void)
{
	const struct pci_identity id = {.vendor = 1};
	struct pci_bus_config c = {.window = {{LOW + 1, PAGE}}};
	struct memslot_error err;
	struct pci_device dev, more[PCI_DEVICES_MAX];
	struct pci_bus bus;
	struct board b;

	board_open(&b);
	pci_device_init(&dev, &id, &quiet_ops, NULL);
	CHECK_EQ(pci_bar_handler(&dev, 6, PAGE, 0, &handler, 0, &err), -EINVAL);
	CHECK_EQ(pci_bar_handler(&dev, 5, PAGE, PCI_BAR_64, &handler, 0, &err),
		-EINVAL);
	CHECK_TEXT(err.text, "no 64-bit BAR 5, the last is 4");
	CHECK_EQ(pci_bar_handler(&dev, 0, 2048, 0, &handler, 0, &err), -EINVAL);
	CHECK_EQ(pci_bar_handler(&dev, 0, 3 * PAGE, 0, &handler, 0, &err),
		-EINVAL);
	CHECK_EQ(pci_bar_handler(&dev, 0, 1ull << 32, 0, &handler, 0, &err),
		-EINVAL);
	CHECK_EQ(pci_bar_handler(&dev, 0, PAGE, PCI_BAR_64, &handler, 0, &err),
		0);
	CHECK_EQ(pci_bar_handler(&dev, 0, PAGE, 0, &handler, 0, &err), -EEXIST);
	CHECK_EQ(pci_bar_memory(&dev, 1, PAGE, 0, &dev, 9, &err), -EEXIST);
	CHECK_EQ(pci_bar_memory(&dev, 3, PAGE, 0, &dev, 9, &err), 0);
	CHECK_EQ(pci_bar_handler(&dev, 2, PAGE, PCI_BAR_64, &handler, 0, &err),
		-EEXIST);
	CHECK_EQ(pci_add_msix(&dev, 2, 0, &err), -EINVAL);
	CHECK_EQ(pci_add_msix(&dev, 2, PCI_MSIX_MAX + 1, &err), -EINVAL);
	CHECK_EQ(pci_add_msix(&dev, 3, 1, &err), -EEXIST);
	CHECK_EQ(pci_bus_add(&b.bus, &dev, 1, &err), -EEXIST);
	CHECK_TEXT(err.text, "device 1 is gadget, quiet cannot be there too");
	CHECK_EQ(pci_bus_add(&b.bus, &dev, 32, &err), -ENOSPC);
	for (unsigned i = 3; i < PCI_DEVICES_MAX; i++) {
		pci_device_init(&more[i], &id, &quiet_ops, NULL);
		CHECK_EQ(pci_bus_add(&b.bus, &more[i], 0, &err), 0);
		CHECK_EQ(more[i].number, i);
	}
	CHECK_EQ(pci_bus_add(&b.bus, &dev, 0, &err), -ENOSPC);
	CHECK_EQ(pci_bus_init(&bus, &c, &err), -EINVAL);
	c.window[0] = (struct pci_window){MEMSLOT_GPA_LIMIT, PAGE};
	CHECK_EQ(pci_bus_init(&bus, &c, &err), -EINVAL);
	CHECK_TEXT(err.text, "passes 0x10000000000000");
	board_close(&b);
}

/* ---- BARs ------------------------------------------------------------------- */

static void test_sizing(void)
{
	struct board b;

	board_open(&b);
	for (unsigned on = 0; on < 2; on++) {
		const uint64_t was = memslots_generation(b.bed.ms);
		uint32_t before[6];

		for (unsigned i = 0; i < 6; i++)
			before[i] = bar(&b, 1, i);
		for (unsigned i = 0; i < 6; i++)
			set_bar(&b, 1, i, UINT32_MAX);
		CHECK_EQ(bar(&b, 1, 0), 0xfffff000);
		CHECK_EQ(bar(&b, 1, 1), 0);
		CHECK_EQ(bar(&b, 1, 2), 0xffff000c);
		CHECK_EQ(bar(&b, 1, 3), 0xffffffff);
		CHECK_EQ(bar(&b, 1, 4), 0xffffe000);
		CHECK_EQ(bar(&b, 1, 5), 0);
		CHECK_EQ(get(&b, 1, 0x30, 4), 0); /* no expansion ROM */
		for (unsigned i = 6; i-- > 0;)
			set_bar(&b, 1, i, before[i]);
		for (unsigned i = 0; i < 6; i++)
			CHECK_EQ(bar(&b, 1, i), before[i]);
		CHECK_EQ(memslots_generation(b.bed.ms), was);
		CHECK_EQ(seen.lines, 0);
		if (!on)
			place(&b);
	}
	CHECK(memory_at(&b, LOW + 0x10000));
	board_close(&b);
}

static void test_memory(void)
{
	struct board b;
	uint64_t generation, v;
	gpa_t at;

	board_open(&b);
	CHECK_EQ(bed_count(&b.bed), 2);
	CHECK_EQ(pci_bar_where(&b.dev, 2, &at), -ENXIO);
	place(&b);
	CHECK_EQ(seen.mapped, 0x15);
	CHECK(memory_at(&b, LOW + 0x10000));
	CHECK_EQ(pci_bar_where(&b.dev, 2, &at), 0);
	CHECK_EQ(at, LOW + 0x10000);
	/* One transaction moves it. */
	generation = memslots_generation(b.bed.ms);
	set_bar(&b, 1, 2, LOW + 0x40000);
	CHECK(memory_at(&b, LOW + 0x40000));
	CHECK_EQ(memslots_generation(b.bed.ms), generation + 1);
	CHECK_EQ(bar(&b, 1, 2), LOW + 0x4000c);
	CHECK_EQ(seen.mapped_at, LOW + 0x40000);
	/* The same address again, or what is cut off of it, is nothing. */
	set_bar(&b, 1, 2, LOW + 0x4fff8);
	CHECK_EQ(memslots_generation(b.bed.ms), generation + 1);
	CHECK_EQ(bar(&b, 1, 2), LOW + 0x4000c);
	/* To the high window by halves, either way around, and back. */
	set_bar(&b, 1, 3, HIGH >> 32);
	CHECK(memory_at(&b, LOW + 0x40000));
	CHECK_EQ(bar(&b, 1, 3), 0);
	CHECK_EQ(seen.lines, 1);
	set_bar(&b, 1, 2, 0x20000);
	CHECK(memory_at(&b, HIGH + 0x20000));
	CHECK_EQ(bar(&b, 1, 2), 0x2000c);
	CHECK_EQ(bar(&b, 1, 3), HIGH >> 32);
	set_bar(&b, 1, 2, LOW);
	set_bar(&b, 1, 3, 0); /* BAR 0 is there */
	CHECK(memory_at(&b, HIGH + 0x20000));
	CHECK_EQ(seen.lines, 3);
	CHECK_TEXT(seen.last, "pci 00:01.0 gadget: BAR 2 stays at 0x4000020000:"
			      " [0x50000000,0x50010000) overlaps BAR 0 of "
			      "gadget (device 1) at 0x50000000");
	set_bar(&b, 1, 2, LOW + 0x30000);
	CHECK(memory_at(&b, LOW + 0x30000));
	/* A half that was refused does not lie in wait for ever. */
	set_bar(&b, 1, 2, RAM);
	set_bar(&b, 1, 3, 0x1000);
	set_bar(&b, 1, 3, 0);
	CHECK(memory_at(&b, LOW + 0x30000));
	CHECK_EQ(seen.lines, 5);
	seen.lines = 3;
	/* The handler's place. */
	CHECK_EQ(bus_read(&b.machine, LOW + 8, 4, &v), 0);
	CHECK_EQ(v, 8 << 8 | 4);
	CHECK_EQ(bus_write(&b.machine, LOW + 0xffe, 2, 0xabcd), 0);
	CHECK_EQ(seen.stored_at, 0xffe);
	CHECK_EQ(bus_read(&b.machine, LOW + 0xffe, 4, &v), 0);
	CHECK_EQ(v, UINT32_MAX); /* crosses its end */
	set_bar(&b, 1, 0, LOW + 0x5000);
	CHECK_EQ(bus_read(&b.machine, LOW + 8, 4, &v), 0);
	CHECK_EQ(v, UINT32_MAX);
	CHECK_EQ(bus_write(&b.machine, LOW + 8, 4, 1), 0);
	CHECK_EQ(seen.stored, 0xabcd);
	CHECK_EQ(bus_read(&b.machine, LOW + 0x5008, 8, &v), 0);
	CHECK_EQ(v, 8 << 8 | 8);
	/* Off: everything goes, registers stay. */
	enable(&b, 1, false);
	CHECK_EQ(bed_count(&b.bed), 2);
	CHECK_EQ(bar(&b, 1, 0), LOW + 0x5000);
	CHECK_EQ(bar(&b, 1, 2), LOW + 0x3000c);
	CHECK_EQ(bus_read(&b.machine, LOW + 0x5008, 8, &v), 0);
	CHECK_EQ(v, UINT64_MAX);
	CHECK_EQ(seen.lines, 3);
	board_close(&b);
}

/* Each is refused with one line, and nothing has changed. */
static void test_refusals(void)
{
	static const struct {
		unsigned index;
		uint32_t value;
		const char *why;
	} wrong[] = {
		{0, 0, "is in no window"},
		{0, LOW + WINDOW, "is in no window"},
		{0, RAM, "is in no window"},
		{0, LOW - PAGE, "is in no window"},
		{0, LOW + 0x80000, "overlaps memory slot 1"},
		{0, LOW + 0x1f000, "overlaps BAR 2"},
		{0, LOW + 0x3000, "overlaps BAR 4"},
		{0, LOW + 0xf0000, "overlaps BAR 1 of quiet"},
		{2, LOW + 0x80000, "overlap"},
		{2, LOW + 0xf0000, "overlaps BAR 1 of quiet"},
		{2, LOW, "overlaps BAR 0"},
		{2, RAM, "is in no window"},
		{2, 0xffff0000, "is in no window"},
		{3, 0x40, "is in no window"},
		{3, 0xfffffffe, "is in no window"},
	};
	struct board b;

	board_open(&b);
	set_bar(&b, 2, 1, LOW + 0xf0000);
	enable(&b, 2, true);
	CHECK(enabled(&b, 2));
	place(&b);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		const uint32_t old = bar(&b, 1, wrong[i].index);

		seen.lines = 0;
		set_bar(&b, 1, wrong[i].index, wrong[i].value);
		if (!CHECK_EQ(seen.lines, 1))
			fprintf(stderr, "case %u\n", i);
		CHECK_TEXT(seen.last, wrong[i].why);
		CHECK_EQ(bar(&b, 1, wrong[i].index), old);
		CHECK(memory_at(&b, LOW + 0x10000));
		set_bar(&b, 1, wrong[i].index, old);
		CHECK_EQ(seen.lines, 1);
	}
	/* Enabling is all or nothing too. */
	enable(&b, 1, false);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		const uint32_t old = bar(&b, 1, wrong[i].index);

		seen.lines = 0;
		set_bar(&b, 1, wrong[i].index, wrong[i].value);
		CHECK_EQ(seen.lines, 0);
		put(&b, 1, PCI_REG_COMMAND, 2,
			PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
		CHECK_EQ(get(&b, 1, PCI_REG_COMMAND, 2), PCI_COMMAND_MASTER);
		CHECK_EQ(seen.lines, 1);
		CHECK_TEXT(seen.last, "memory stays disabled");
		CHECK_EQ(bed_count(&b.bed), 3);
		set_bar(&b, 1, wrong[i].index, old);
	}
	CHECK(bed_has(&b.bed, 0, SLOT_INSIDE, (LOW >> 12) + 128, 16, 64, 0));
	CHECK(bed_has(&b.bed, 0, SLOT_RAM, RAM >> 12, 64, 0, 0));
	place(&b);
	board_close(&b);
}

/* Whatever fails in a transaction: the guest reads what is. */
static void test_faults(void)
{
	struct board b;
	unsigned refused = 0;

	board_open(&b);
	place(&b);
	memslots_set_faults(b.bed.ms, &b.faults);
	for (uint64_t n = 1;; n++) {
		fault_arm(&b.faults, FAULT_ANY, n, false);
		set_bar(&b, 1, 2, LOW + 0x40000);
		if (!atomic_load(&b.faults.fired))
			break;
		refused++;
		CHECK(memory_at(&b, LOW + 0x10000));
		CHECK_EQ(bar(&b, 1, 2), LOW + 0x1000c);
	}
	CHECK(memory_at(&b, LOW + 0x40000));
	for (uint64_t n = 1;; n++) {
		fault_arm(&b.faults, FAULT_ANY, n, false);
		enable(&b, 1, false);
		if (!atomic_load(&b.faults.fired))
			break;
		refused++;
		CHECK(enabled(&b, 1));
		CHECK(memory_at(&b, LOW + 0x40000));
		CHECK_EQ(bar(&b, 1, 2), LOW + 0x4000c);
	}
	CHECK_EQ(bed_count(&b.bed), 2);
	for (uint64_t n = 1;; n++) {
		fault_arm(&b.faults, FAULT_ANY, n, false);
		enable(&b, 1, true);
		if (!atomic_load(&b.faults.fired))
			break;
		refused++;
		CHECK(!enabled(&b, 1));
		CHECK_EQ(bed_count(&b.bed), 2);
	}
	CHECK(memory_at(&b, LOW + 0x40000));
	CHECK(refused > 10);
	CHECK_EQ(seen.lines, refused);
	board_close(&b);
}

/* ---- interrupts --------------------------------------------------------------- */

static void test_wires(void)
{
	struct board b;

	board_open(&b);
	/* Device 1 pin 1 is on wire 1, device 2 on wire 2. */
	pci_set_intx(&b.dev, true);
	CHECK(seen.wire[1]);
	pci_set_intx(&b.dev, true);
	pci_set_intx(&b.two, true);
	CHECK(seen.wire[2]);
	CHECK(get(&b, 1, PCI_REG_STATUS, 2) & PCI_STATUS_INTX);
	put(&b, 1, PCI_REG_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	CHECK(!seen.wire[1]);
	CHECK(get(&b, 1, PCI_REG_STATUS, 2) & PCI_STATUS_INTX);
	put(&b, 1, PCI_REG_COMMAND, 2, 0);
	CHECK(seen.wire[1]);
	/* Who has chosen messages has no wire. */
	put(&b, 1, b.dev.msix.capability + 2, 2, 0x8000);
	CHECK(pci_msix_enabled(&b.dev));
	CHECK(!seen.wire[1]);
	put(&b, 1, b.dev.msix.capability + 2, 2, 0);
	CHECK(seen.wire[1]);
	pci_set_intx(&b.dev, false);
	CHECK(!seen.wire[1]);
	CHECK(seen.wire[2]);
	board_close(&b);
}

/* Five devices share four wires. */
static void test_shared_wire(void)
{
	const struct pci_identity id = {.vendor = 1, .pin = 1};
	struct memslot_error err;
	struct pci_device five;
	struct board b;

	board_open(&b);
	pci_device_init(&five, &id, &quiet_ops, NULL);
	CHECK_EQ(pci_bus_add(&b.bus, &five, 5, &err), 0);
	pci_set_intx(&b.dev, true);
	pci_set_intx(&five, true);
	CHECK(seen.wire[1]);
	pci_set_intx(&b.dev, false);
	CHECK(seen.wire[1]);
	pci_set_intx(&five, false);
	CHECK(!seen.wire[1]);
	board_close(&b);
}

static uint64_t table(struct board *b, uint64_t offset, unsigned len)
{
	uint64_t v = 0;

	CHECK_EQ(bus_read(&b->machine, LOW + 0x2000 + offset, len, &v), 0);
	return v;
}

static void set_table(
	struct board *b, uint64_t offset, unsigned len, uint64_t v)
{
	CHECK_EQ(bus_write(&b->machine, LOW + 0x2000 + offset, len, v), 0);
}

static void test_messages(void)
{
	struct board b;
	unsigned control;

	board_open(&b);
	place(&b);
	control = b.dev.msix.capability + 2;
	CHECK_EQ(get(&b, 1, control - 2, 1), PCI_CAP_MSIX);
	CHECK_EQ(get(&b, 1, control, 2), 39);
	CHECK_EQ(get(&b, 1, control + 2, 4), 4);
	CHECK_EQ(get(&b, 1, control + 6, 4), 0x1004);
	CHECK_EQ(table(&b, 0x0c, 4), 1); /* masked */
	set_table(&b, 16 * 33, 8, 0x12345678fee00003);
	CHECK_EQ(table(&b, 16 * 33, 8), 0x12345678fee00000);
	set_table(&b, 16 * 33 + 4, 4, 0);
	set_table(&b, 16 * 33 + 8, 4, 0x4041);
	pci_msix_notify(&b.dev, 33); /* not enabled: lost */
	put(&b, 1, control, 2, 0xffff);
	CHECK_EQ(get(&b, 1, control, 2), 0xc000 | 39);
	CHECK_EQ(table(&b, 0x1000, 8), 0);
	pci_msix_notify(&b.dev, 33);
	CHECK_EQ(table(&b, 0x1000, 8), 1ull << 33);
	CHECK_EQ(table(&b, 0x1004, 4), 2);
	set_table(&b, 16 * 33 + 12, 4, 0); /* still masked as a whole */
	CHECK_EQ(seen.messages, 0);
	put(&b, 1, control, 2, 0x8000);
	CHECK_EQ(seen.messages, 1);
	CHECK_EQ(seen.address, 0xfee00000);
	CHECK_EQ(seen.data, 0x4041);
	CHECK_EQ(table(&b, 0x1000, 8), 0);
	pci_msix_notify(&b.dev, 33);
	CHECK_EQ(seen.messages, 2);
	set_table(&b, 16 * 33 + 8, 8, 0x100004042);
	pci_msix_notify(&b.dev, 33);
	pci_msix_notify(&b.dev, 33);
	CHECK_EQ(seen.messages, 2);
	set_table(&b, 16 * 33 + 12, 4, 0);
	CHECK_EQ(seen.messages, 3);
	CHECK_EQ(seen.data, 0x4042);
	/* What does not exist, or is no whole register, is nothing. */
	pci_msix_notify(&b.dev, 40);
	set_table(&b, 16 * 40, 4, 1);
	set_table(&b, 0x1000, 8, UINT64_MAX);
	set_table(&b, 0x1ff8, 8, UINT64_MAX);
	set_table(&b, 0, 2, 4);
	set_table(&b, 4, 8, 4);
	CHECK_EQ(table(&b, 16 * 40, 8), 0);
	CHECK_EQ(table(&b, 0, 8), 0);
	CHECK_EQ(table(&b, 0x1ff8, 8), 0);
	CHECK_EQ(table(&b, 16 * 33 + 8, 2), 0);
	CHECK_EQ(seen.messages, 3);
	board_close(&b);
}

int main(void)
{
	test_identity();
	test_ports();
	test_capabilities();
	test_making();
	test_sizing();
	test_memory();
	test_refusals();
	test_faults();
	test_wires();
	test_shared_wire();
	test_messages();
	return TEST_END("test_pci");
}
