/* SPDX-License-Identifier: MIT */
/*
 * fuzz_pci.c - a hostile guest on a PCI bus
 *
 * The bus has a vgtt and a card with all that a device may have: BARs of each
 * kind, MSI-X, a capability with hooks, INTx. The input is a list of accesses
 * by ECAM, ports, windows and registers, stores to guest memory (which may be
 * tables), changes of slots, and steps made to fail. After each:
 *
 *   - RAM is whole, and where it was;
 *   - a BAR backed by memory is a slot exactly where its register says, or
 *     there is no such slot;
 *   - wires are told of changes only, messages only of vectors that are open.
 *
 * In the end the shadow has no entry that is not in the guest's table.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/vgtt_board.h"

#define CARD_SLOT 8u
#define VECTORS   5u

static struct board b;
static struct pci_device card;
static bool wire[4];

static void on_wire(void *ctx, unsigned number, bool level)
{
	(void)ctx;
	MUST(number < 4 && wire[number] != level);
	wire[number] = level;
}

static void on_message(void *ctx, uint64_t address, uint32_t data)
{
	(void)ctx;
	(void)data;
	MUST(!(address & 3) && pci_msix_enabled(&card));
}

static void before_load(void *ctx, unsigned offset, unsigned len)
{
	const uint8_t zero[4] = {0};

	(void)ctx;
	MUST(len >= 1 && len <= 4 && offset >= PCI_REG_FIRST_CAPABILITY);
	pci_config_put(&card, offset, zero, len);
}

static void after_store(void *ctx, unsigned offset, unsigned len)
{
	uint8_t bytes[4];

	(void)ctx;
	MUST(len >= 1 && len <= 4);
	pci_config_get(&card, offset, bytes, len);
}

static void on_mapped(void *ctx, unsigned bar, gpa_t gpa)
{
	(void)ctx;
	MUST(bar < PCI_BARS && (gpa == PCI_UNMAPPED || !(gpa & 4095)));
}

static const struct pci_device_ops card_ops = {
	.name = "card",
	.before_load = before_load,
	.after_store = after_store,
	.mapped = on_mapped,
};

static uint64_t card_read(void *ctx, uint64_t offset, unsigned len)
{
	(void)ctx;
	MUST(offset + len <= 0x4000);
	return UINT64_MAX;
}

static void card_write(void *ctx, uint64_t offset, unsigned len, uint64_t v)
{
	(void)ctx;
	(void)v;
	MUST(offset + len <= 0x4000);
	if (offset < 0x1000)
		pci_set_intx(&card, offset & 8);
	else
		pci_msix_notify(&card, (unsigned)offset & 7);
}

static const struct bus_ops card_bar = {"card", card_read, card_write};

static void open_board(void)
{
	static const uint8_t cap[20] = {0, 0, 20},
			     writable[20] = {[4] = 0xff, [9] = 3};
	const struct pci_identity id = {.vendor = 0x1234, .pin = 2};

	board_open(&b);
	memset(wire, 0, sizeof(wire));
	for (unsigned i = 0; i < 4; i++)
		b.bus.config.intx[i] = (struct irq_line){on_wire, NULL, i};
	b.bus.config.msi = on_message;
	pci_device_init(&card, &id, &card_ops, NULL);
	MUST(pci_bar_handler(
		     &card, 0, 0x4000, PCI_BAR_64, &card_bar, NULL, NULL) == 0);
	MUST(pci_bar_memory(&card, 2, 0x8000, 0, b.bed.host + (512u << 12),
		     CARD_SLOT, NULL) == 0);
	MUST(pci_add_msix(&card, 3, VECTORS, NULL) == 0);
	MUST(pci_bar_memory(&card, 4, 0x2000, PCI_BAR_64,
		     b.bed.host + (600u << 12), CARD_SLOT + 1, NULL) == 0);
	MUST(pci_add_capability(&card, PCI_CAP_VENDOR, cap, writable,
		     sizeof(cap), PCI_CAP_HOOKED, NULL) > 0);
	MUST(pci_bus_add(&b.bus, &card, 2, NULL) == 0);
}

/* ---- the law ------------------------------------------------------------------- */

static void check_bar(
	unsigned d, unsigned bar, unsigned id, bool wide, uint64_t pages)
{
	const unsigned at = PCI_REG_BAR0 + 4 * bar;
	const bool on = pci_config_load(&b.bus, d, PCI_REG_COMMAND, 2) &
			PCI_COMMAND_MEMORY;
	const uint32_t low = pci_config_load(&b.bus, d, at, 4) & ~15u;
	const uint32_t high = wide ? pci_config_load(&b.bus, d, at + 4, 4) : 0;
	const struct seen s = bed_look_id(&b.bed, 0, id);
	gpa_t gpa = 0;

	MUST(s.there == on);
	MUST((pci_bar_where(b.bus.device[d], bar, &gpa) == 0) == on);
	if (!on)
		return;
	MUST(s.gfn << 12 == gpa && s.pages == pages);
	/* A register, or half, that was asked for the size reads that. */
	MUST(low == (uint32_t)gpa || low == (uint32_t) ~((pages << 12) - 1));
	MUST(high == gpa >> 32 || high == UINT32_MAX);
}

static void check(void)
{
	MUST(bed_has(&b.bed, 0, 0, BOARD_RAM, 64, 0, 0));
	check_bar(1, VGTT_BAR_APERTURE, SLOT_BAR, true, BOARD_PAGES);
	check_bar(2, 2, CARD_SLOT, false, 8);
	check_bar(2, 4, CARD_SLOT + 1, true, 2);
	MUST(atomic_load(&test_failures) == 0);
}

/* ---- what the guest does ----------------------------------------------------------- */

/* Addresses that may mean something, or any. */
static uint64_t take_address(struct supply *s)
{
	switch (take8(s) % 6) {
	case 0:
		return take(s, 8);
	case 1:
		return UINT64_MAX;
	case 2:
		return (uint64_t)BOARD_RAM << 12;
	case 3:
		return (uint64_t)(BOARD_A + take8(s) % 32) << 12;
	default:
		return BOARD_LOW + ((uint64_t)take8(s) << 12) + take8(s) % 16;
	}
}

static uint64_t take_entry(struct supply *s)
{
	const unsigned kind = take8(s);

	if (kind & 0x80)
		return take(s, 8);
	return (uint64_t)(BOARD_RAM + kind % 8 + (kind & 16 ? 0x100 : 0) +
			  (kind & 32 ? 0x200 : 0))
		       << 12 |
	       3;
}

static unsigned take_len(struct supply *s)
{
	return 1u << take8(s) % 4;
}

static void do_ecam(struct supply *s)
{
	const unsigned len = take_len(s), d = take8(s) % 4;
	uint64_t offset = (uint64_t)d << 15 | take(s, 2) % 0x8000;

	if (take8(s) & 1)
		offset = (uint64_t)d << 15 | take8(s) % 0x50;
	if (len <= PCI_ECAM_SIZE - offset && take8(s) & 1)
		pci_ecam_ops.write(&b.bus, offset, len, take_address(s));
	else
		pci_ecam_ops.read(&b.bus, offset, len);
}

static void do_bar(struct supply *s)
{
	pci_config_store(&b.bus, 1 + take8(s) % 2,
		PCI_REG_BAR0 + 4 * (take8(s) % 6), 4,
		(uint32_t)take_address(s));
}

static void do_command(struct supply *s)
{
	pci_config_store(&b.bus, 1 + take8(s) % 2, PCI_REG_COMMAND, 2,
		take8(s) | take8(s) << 8);
}

static void do_ports(struct supply *s)
{
	const unsigned len = take_len(s), port = take8(s) % (9 - len);

	if (take8(s) & 1)
		pci_ports_ops.write(&b.bus, port, len, take(s, 8));
	else
		pci_ports_ops.read(&b.bus, port, len);
}

static void do_window(struct supply *s)
{
	const unsigned len = take_len(s);
	const gpa_t gpa = BOARD_LOW + take(s, 3) % (0x100000 - 7);
	uint64_t v;

	if (take8(s) & 1)
		bus_write(&b.machine, gpa, len, take(s, len));
	else
		bus_read(&b.machine, gpa, len, &v);
}

/* A BAR of the card with a handler, if it is mapped. */
static void do_card(struct supply *s)
{
	const unsigned bar = take8(s) & 1 ? 3 : 0, len = take_len(s);
	const uint64_t offset = take(s, 2) % (0x2000 - 7);
	uint64_t v;
	gpa_t gpa;

	if (pci_bar_where(&card, bar, &gpa))
		return;
	if (take8(s) & 1)
		MUST(bus_write(&b.machine, gpa + offset, len, take(s, len)) ==
			0);
	else
		MUST(bus_read(&b.machine, gpa + offset, len, &v) == 0);
}

/* BARs of both where they can be, and enabled. */
static void do_set_up(struct supply *s)
{
	const uint32_t at = BOARD_LOW + 0x40000 + (take8(s) % 8) * 0x10000;

	for (unsigned i = 0; i < PCI_BARS; i++)
		pci_config_store(&b.bus, 2, PCI_REG_BAR0 + 4 * i, 4,
			i == 1 || i == 5 ? 0 : at + i * 0x8000);
	pci_config_store(&b.bus, 2, PCI_REG_COMMAND, 2, PCI_COMMAND_MEMORY);
}

/* A register of vgtt, whether or not its BAR can be reached just now. */
static void do_register(struct supply *s)
{
	const unsigned offset = take8(s) % 0x90, len = take_len(s);

	if (take8(s) & 1)
		vgtt_bus_ops.write(b.vgtt, offset, len, take(s, len));
	else
		vgtt_bus_ops.read(b.vgtt, offset, len);
}

static void do_vgtt(struct supply *s)
{
	static const unsigned regs[] = {
		VGTT_REG_SOURCE, VGTT_REG_TARGET, VGTT_REG_LENGTH};

	vgtt_bus_ops.write(b.vgtt, VGTT_REG_ROOT, 8,
		(uint64_t)(BOARD_RAM + take8(s) % 4) << 12);
	vgtt_bus_ops.write(b.vgtt, VGTT_REG_VALUE, 8, take_entry(s));
	for (unsigned i = 0; i < 3; i++)
		vgtt_bus_ops.write(
			b.vgtt, regs[i], 8, take(s, 3) % 0x801000 & ~7ull);
	vgtt_bus_ops.write(b.vgtt, VGTT_REG_COMMAND, 4, take8(s) % 8);
}

static void do_store(struct supply *s)
{
	uint64_t entry[4];
	const uint8_t where = take8(s);
	const gpa_t gpa =
		(uint64_t)(BOARD_RAM + where % 8 + (where & 16 ? 0x100 : 0))
			<< 12 |
		(take(s, 2) % 64);

	for (unsigned i = 0; i < 4; i++)
		entry[i] = take_entry(s);
	guest_store(&b, gpa, entry, 1 + take8(s) % 32);
}

static void do_slot(struct supply *s)
{
	const gfn_t gfn = BOARD_A + take8(s) % 24;

	if (!bed_look_id(&b.bed, 0, SLOT_A).there)
		bed_create(&b.bed, 0, SLOT_A, gfn, 16, HOST_A, 0);
	else if (take8(s) % 4 == 0)
		memslots_delete_slot(b.bed.ms, 0, SLOT_A, NULL);
	else
		memslots_move_slot(b.bed.ms, 0, SLOT_A, gfn << 12,
			MEMSLOT_MOVE_KEEP, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static void (*const ops[])(struct supply * s) = {do_ecam, do_bar,
		do_command, do_ports, do_window, do_register, do_vgtt, do_store,
		do_slot, do_card, do_set_up};
	struct supply s = {bytes, len};

	open_board();
	for (unsigned n = 0; s.left && n < 300; n++) {
		const uint8_t op = take8(&s);

		if (op & 0x80)
			fault_arm(&b.faults, FAULT_ANY, take8(&s) % 32 + 1,
				false);
		ops[(op & 0x7f) % (sizeof(ops) / sizeof(*ops))](&s);
		fault_arm(&b.faults, FAULT_ANY, 0, false);
		check();
	}
	MUST(vgtt_verify(b.vgtt) == 0);
	board_close(&b);
	MUST(atomic_load(&test_failures) == 0);
	return 0;
}
