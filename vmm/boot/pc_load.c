/* SPDX-License-Identifier: MIT */
/*
 * pc_load.c - carry out a plan for a PC
 *
 * The kernel first, since it says itself where it wants to be; then modules,
 * as high as they may be; then the small things, as low as there is room.
 * All of it lies below 4 GiB, where each mode of the CPU can reach it.
 */
#include "vmm/boot/pc_load.h"

#include <errno.h>
#include <string.h>

#include "memslot/error.h"

#define FOUR_GIB ((gpa_t)1 << 32)

/* Tables of the CPU: Intel's SDM volume 3, 3.4.5 and 4.5. */
#define ENTRIES       512u
#define TABLES        6u /* one PML4, one PDPT, a directory for each GiB */
#define PRESENT       0x1u
#define WRITABLE      0x2u
#define USER          0x4u
#define LARGE         0x80u
#define DIRECTORY_MAP ((uint64_t)2 << 20)

typedef unsigned long long ull;

/* ---- for all protocols ------------------------------------------------ */

unsigned pc_map(const struct pc_memory *memory, struct pc_range *map)
{
	const struct image_ram hole = {
		PC_HOLE_START, PC_HOLE_END - PC_HOLE_START};
	const struct image_ram *const all[PC_MAP_MAX] = {&memory->ram[0], &hole,
		&memory->ram[1], &memory->ecam, &memory->ram[2]};
	unsigned n = 0;

	for (unsigned i = 0; i < PC_MAP_MAX; i++)
		if (all[i]->size)
			map[n++] = (struct pc_range){all[i]->base, all[i]->size,
				i % 2 ? PC_TYPE_RESERVED : PC_TYPE_RAM};
	return n;
}

int pc_write(struct pc_loading *l, const char *what, gpa_t gpa,
	const void *bytes, size_t size, struct memslot_error *err)
{
	int e = l->memory->write(l->memory->ctx, gpa, bytes, size);

	return e ? memslot_fail(err, e,
			   "%s: cannot write %zu bytes at %#llx, error %d",
			   what, size, (ull)gpa, -e)
		 : 0;
}

static int no_room(
	const char *what, uint64_t size, gpa_t limit, struct memslot_error *err)
{
	return memslot_fail(err, -EFBIG,
		"%s: no %llu bytes are free below %#llx: give it more --mem",
		what, (ull)size, (ull)limit);
}

int pc_place(struct pc_loading *l, const char *what, const void *bytes,
	size_t size, uint64_t align, gpa_t *gpa, struct memslot_error *err)
{
	if (!pc_room_lowest(&l->room, size, align, FOUR_GIB, gpa))
		return no_room(what, size, FOUR_GIB, err);
	return pc_write(l, what, *gpa, bytes, size, err);
}

/* ---- descriptors and page tables -------------------------------------- */

/* Access bytes and flags of flat segments; base 0, limit 4 GiB. */
static uint64_t descriptor(unsigned access, unsigned flags)
{
	return 0x000f00000000ffffull | (uint64_t)access << 40 |
	       (uint64_t)flags << 52;
}

static int place_gdt(struct pc_loading *l, struct memslot_error *err)
{
	/* flags: 4 KiB units, and 64-bit code (L) or 32-bit (D) */
	const unsigned code = l->start.mode == PC_MODE_LONG ? 0xa : 0xc;
	const uint64_t gdt[] = {0, 0, descriptor(0x9b, code),
		descriptor(0x93, 0xc), descriptor(0xf3, 0xc),
		descriptor(0xfb, code)};
	uint8_t bytes[sizeof(gdt)];

	for (size_t i = 0; i < sizeof(gdt) / sizeof(gdt[0]); i++)
		pc_put(bytes, 8 * i, 8, gdt[i]);
	l->start.gdt_limit = sizeof(gdt) - 1;
	return pc_place(l, "descriptors", bytes, sizeof(bytes),
		MEMSLOT_PAGE_SIZE, &l->start.gdt, err);
}

/* The first 4 GiB at their own addresses, in pages of 2 MiB. */
static int place_paging(struct pc_loading *l, struct memslot_error *err)
{
	const uint64_t all = TABLES * MEMSLOT_PAGE_SIZE;
	const unsigned open = PRESENT | WRITABLE | USER;
	uint8_t table[MEMSLOT_PAGE_SIZE] = {0};
	gpa_t at, next;
	int e;

	if (!pc_room_lowest(&l->room, all, MEMSLOT_PAGE_SIZE, FOUR_GIB, &at))
		return no_room("page tables", all, FOUR_GIB, err);
	l->start.cr3 = at;
	next = at + MEMSLOT_PAGE_SIZE;
	pc_put(table, 0, 8, next | open);
	e = pc_write(l, "page tables", at, table, sizeof(table), err);
	for (unsigned i = 0; i < TABLES - 2; i++)
		pc_put(table, 8 * i, 8,
			(next + (i + 1) * MEMSLOT_PAGE_SIZE) | open);
	if (!e)
		e = pc_write(l, "page tables", next, table, sizeof(table), err);
	for (unsigned i = 0; i < (TABLES - 2) * ENTRIES && !e; i++) {
		pc_put(table, 8 * (i % ENTRIES), 8,
			i * DIRECTORY_MAP | open | LARGE);
		if (i % ENTRIES == ENTRIES - 1) {
			next += MEMSLOT_PAGE_SIZE;
			e = pc_write(l, "page tables", next, table,
				sizeof(table), err);
		}
	}
	return e;
}

int pc_place_tables(struct pc_loading *l, struct memslot_error *err)
{
	int e = place_gdt(l, err);

	if (!e && l->start.mode == PC_MODE_LONG)
		e = place_paging(l, err);
	return e;
}

/* ---- modules and the command line ------------------------------------- */

static int place_module(
	struct pc_loading *l, unsigned i, struct memslot_error *err)
{
	const struct image_file *f = &l->guest->module[i].file;
	gpa_t limit = l->guest->plan->initrd_max + 1;

	if (limit > FOUR_GIB)
		limit = FOUR_GIB;
	if (!pc_room_highest(
		    &l->room, f->len, MEMSLOT_PAGE_SIZE, limit, &l->module[i]))
		return no_room("initrd", f->len, limit, err);
	return pc_write(l, "initrd", l->module[i], f->bytes, f->len, err);
}

static int place_modules(struct pc_loading *l, struct memslot_error *err)
{
	const struct pc_guest *g = l->guest;
	int e = 0;

	if (g->modules && g->plan->kind >= PC_REAL)
		return memslot_fail(
			err, -EINVAL, "initrd: a flat binary is told of none");
	if (g->modules > PC_MODULES_MAX ||
		(g->modules > 1 && g->plan->kind != PC_MULTIBOOT))
		return memslot_fail(err, -EINVAL,
			"initrd: %u of them; this guest takes %u", g->modules,
			g->plan->kind == PC_MULTIBOOT ? PC_MODULES_MAX : 1);
	for (unsigned i = 0; i < g->modules && !e; i++)
		e = place_module(l, i, err);
	return e;
}

static int place_cmdline(struct pc_loading *l, struct memslot_error *err)
{
	const char *text = l->guest->cmdline;
	size_t len = text ? strlen(text) : 0;

	if (text && l->guest->plan->kind >= PC_REAL)
		return memslot_fail(err, -EINVAL,
			"--append: a flat binary is told of none");
	if (len > l->guest->plan->cmdline_max)
		return memslot_fail(err, -E2BIG,
			"--append: %zu characters; this kernel takes at most "
			"%llu",
			len, (ull)l->guest->plan->cmdline_max);
	if (!text || l->guest->plan->kind == PC_MULTIBOOT)
		return 0; /* Multiboot has the kernel's name before it */
	return pc_place(l, "command line", text, len + 1, 16, &l->cmdline, err);
}

/* ---- all of it -------------------------------------------------------- */

static int load_kernel(struct pc_loading *l, struct memslot_error *err)
{
	const struct image_memory memory = {
		.write = l->memory->write,
		.ctx = l->memory->ctx,
	};
	const struct image_file *f = l->guest->kernel;

	return image_write(
		&l->guest->plan->image, f->bytes, f->len, &memory, err);
}

static int tell(struct pc_loading *l, struct memslot_error *err)
{
	switch (l->guest->plan->kind) {
	case PC_BZIMAGE:
	case PC_VMLINUX:
		return pc_tell_linux(l, err);
	case PC_PVH:
		return pc_tell_pvh(l, err);
	case PC_MULTIBOOT:
		return pc_tell_multiboot(l, err);
	case PC_REAL:
	case PC_LONG:
		break;
	}
	return 0;
}

static enum pc_mode mode_of(enum pc_kind kind)
{
	switch (kind) {
	case PC_REAL:
		return PC_MODE_REAL;
	case PC_PVH:
	case PC_MULTIBOOT:
		return PC_MODE_PROTECTED;
	default:
		return PC_MODE_LONG;
	}
}

int pc_load(const struct pc_guest *guest, const struct pc_memory *memory,
	struct pc_start *out, struct memslot_error *err)
{
	struct pc_loading l = {
		.guest = guest,
		.memory = memory,
		.start =
			{
				.mode = mode_of(guest->plan->kind),
				.rip = guest->plan->image.entry,
			},
	};
	int e;

	pc_room_init(&l.room, memory, &guest->plan->image);
	e = load_kernel(&l, err);
	if (!e)
		e = place_modules(&l, err);
	if (!e && l.start.mode != PC_MODE_REAL)
		e = pc_place_tables(&l, err);
	if (!e)
		e = place_cmdline(&l, err);
	if (!e)
		e = tell(&l, err);
	/* A stack, for guests that do not bring one: below the hole, down. */
	if (!e && guest->plan->kind >= PC_REAL)
		l.start.rsp =
			guest->plan->kind == PC_REAL
				? PC_REAL_BASE
				: memory->ram[0].base + memory->ram[0].size;
	if (!e)
		*out = l.start;
	return e;
}
