/* SPDX-License-Identifier: MIT */
/*
 * vgtt_board.h - a machine without CPUs that has a vgtt
 *
 *   gfn 0x100  64 pages of RAM
 *   gfn 0x200  slot A, 16 pages
 *   gfn 0x300  slot B, 16 pages
 *   0x50000000 window of the PCI bus, 1 MiB; registers at its start, the
 *              aperture (64 KiB) at 0x50010000
 */
#ifndef TESTS_UNIT_VGTT_BOARD_H
#define TESTS_UNIT_VGTT_BOARD_H

#include "devices/vgtt.h"

#include "tests/unit/slots.h"

#define BOARD_RAM      0x100u
#define BOARD_A        0x200u
#define BOARD_B        0x300u
#define BOARD_LOW      0x50000000u
#define BOARD_APERTURE 0x50010000u
#define BOARD_PAGES    16u /* of the aperture */

#define SLOT_A   1u
#define SLOT_B   2u
#define SLOT_BAR 3u
#define HOST_A   64u
#define HOST_B   80u

struct board {
	struct bed bed;
	struct bus machine;
	struct pci_bus bus;
	struct pagetrack *track;
	struct vgtt *vgtt;
	struct fault_plan faults;
	unsigned lines;
};

static inline void board_log(void *ctx, const char *line)
{
	struct board *b = ctx;

	(void)line;
	b->lines++;
}

static inline void config_put(
	struct board *b, unsigned offset, unsigned len, uint32_t value)
{
	pci_config_store(&b->bus, 1, offset, len, value);
}

static inline void board_open(struct board *b)
{
	struct pci_bus_config pci = {
		.window = {{BOARD_LOW, 0x100000}},
		.log = board_log,
		.log_ctx = b,
	};
	struct vgtt_config c = {
		.slot = SLOT_BAR, .aperture = BOARD_PAGES * MEMSLOT_PAGE_SIZE};
	struct memslot_error err;

	memset(b, 0, sizeof(*b));
	bed_open(&b->bed, 1);
	bed_create(&b->bed, 0, 0, BOARD_RAM, 64, 0, 0);
	bed_create(&b->bed, 0, SLOT_A, BOARD_A, 16, HOST_A, 0);
	bed_create(&b->bed, 0, SLOT_B, BOARD_B, 16, HOST_B, MEMSLOT_LOG_DIRTY);
	CHECK_EQ(pagetrack_create(b->bed.ms, &b->track, &err), 0);
	pci.slots = c.slots = b->bed.ms;
	CHECK_EQ(pci_bus_init(&b->bus, &pci, &err), 0);
	c.track = b->track;
	c.bus = &b->bus;
	CHECK_EQ(vgtt_create(&c, &b->vgtt, &err), 0);
	CHECK_EQ(pci_bus_attach(&b->bus, &b->machine, PCI_UNMAPPED, &err), 0);
	config_put(b, PCI_REG_BAR0, 4, BOARD_LOW);
	config_put(b, PCI_REG_BAR0 + 8, 4, BOARD_APERTURE);
	config_put(
		b, PCI_REG_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	memslots_set_faults(b->bed.ms, &b->faults);
}

static inline void board_close(struct board *b)
{
	memslots_set_faults(b->bed.ms, NULL);
	vgtt_destroy(b->vgtt);
	pci_bus_fini(&b->bus);
	pagetrack_destroy(b->track);
	bed_close(&b->bed);
}

/* ---- registers ------------------------------------------------------------- */

static inline uint64_t reg(struct board *b, unsigned offset)
{
	uint64_t v = 0;

	CHECK_EQ(bus_read(&b->machine, BOARD_LOW + offset, 8, &v), 0);
	return v;
}

static inline void set_reg(struct board *b, unsigned offset, uint64_t v)
{
	CHECK_EQ(bus_write(&b->machine, BOARD_LOW + offset, 8, v), 0);
}

/* Run a command; its status. */
static inline unsigned command(struct board *b, uint32_t number)
{
	CHECK_EQ(
		bus_write(&b->machine, BOARD_LOW + VGTT_REG_COMMAND, 4, number),
		0);
	return (unsigned)(reg(b, VGTT_REG_COMMAND) >> 32);
}

static inline unsigned set_root(struct board *b, gfn_t gfn)
{
	set_reg(b, VGTT_REG_ROOT, gfn << 12);
	return command(b, VGTT_SET_ROOT);
}

static inline unsigned sum(struct board *b, uint64_t at, uint64_t len)
{
	set_reg(b, VGTT_REG_SOURCE, at);
	set_reg(b, VGTT_REG_LENGTH, len);
	return command(b, VGTT_SUM);
}

static inline unsigned fill(
	struct board *b, uint64_t at, uint64_t len, uint64_t value)
{
	set_reg(b, VGTT_REG_TARGET, at);
	set_reg(b, VGTT_REG_LENGTH, len);
	set_reg(b, VGTT_REG_VALUE, value);
	return command(b, VGTT_FILL);
}

static inline unsigned copy(
	struct board *b, uint64_t from, uint64_t to, uint64_t len)
{
	set_reg(b, VGTT_REG_SOURCE, from);
	set_reg(b, VGTT_REG_TARGET, to);
	set_reg(b, VGTT_REG_LENGTH, len);
	return command(b, VGTT_COPY);
}

/* ---- the guest's memory ------------------------------------------------------ */

/* A CPU's store of any length. */
static inline int guest_store(
	struct board *b, gpa_t gpa, const void *bytes, size_t len)
{
	const struct pagetrack_source cpu = {PAGETRACK_CPU, 0};

	return pagetrack_guest_write(
		b->track, &b->bed.r, 0, gpa, bytes, len, cpu);
}

static inline void set_entry(
	struct board *b, gfn_t table, unsigned index, uint64_t entry)
{
	CHECK_EQ(guest_store(b, (table << 12) + 8 * index, &entry, 8), 0);
}

static inline uint64_t entry_of(gfn_t gfn)
{
	return gfn << 12 | VGTT_ENTRY_WRITE | VGTT_ENTRY_VALID;
}

/* A device address: root entry, table entry, byte. */
static inline uint64_t at(unsigned root, unsigned index, unsigned into)
{
	return (uint64_t)root << 21 | (uint64_t)index << 12 | into;
}

#endif
