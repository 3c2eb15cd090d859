/* SPDX-License-Identifier: MIT */
/*
 * pc_load.h - private to the PC's loaders: a guest half loaded
 *
 * What the guest is told differs by protocol; each has a function that finds
 * room for its structures, fills them and sets the registers.
 */
#ifndef VMM_BOOT_PC_LOAD_H
#define VMM_BOOT_PC_LOAD_H

#include "vmm/boot/pc_room.h"

struct pc_loading {
	const struct pc_guest *guest;
	const struct pc_memory *memory;
	struct pc_room room;
	gpa_t cmdline; /* 0: there is none */
	gpa_t module[PC_MODULES_MAX];
	struct pc_start start;
};

/* Structures are built in bytes: a field of `size` bytes, little-endian. */
static inline void pc_put(
	uint8_t *bytes, size_t offset, unsigned size, uint64_t value)
{
	for (unsigned i = 0; i < size; i++)
		bytes[offset + i] = (uint8_t)(value >> 8 * i);
}

/* An entry of the map that guests are given: types as in e820. */
enum pc_type { PC_TYPE_RAM = 1, PC_TYPE_RESERVED = 2 };

struct pc_range {
	gpa_t base;
	uint64_t size;
	enum pc_type type;
};

#define PC_MAP_MAX (PC_RANGES_MAX + 2u)

/* RAM and what is reserved, ascending; returns how many entries. */
unsigned pc_map(const struct pc_memory *memory, struct pc_range *map);

/* Find the lowest room for bytes and write them there. -EFBIG, -EFAULT. */
int pc_place(struct pc_loading *l, const char *what, const void *bytes,
	size_t size, uint64_t align, gpa_t *gpa, struct memslot_error *err);
/* Write them at a place that is known. -EFAULT. */
int pc_write(struct pc_loading *l, const char *what, gpa_t gpa,
	const void *bytes, size_t size, struct memslot_error *err);

/* Descriptors and, in long mode, page tables. */
int pc_place_tables(struct pc_loading *l, struct memslot_error *err);

int pc_tell_linux(struct pc_loading *l, struct memslot_error *err);
int pc_tell_pvh(struct pc_loading *l, struct memslot_error *err);
int pc_tell_multiboot(struct pc_loading *l, struct memslot_error *err);

#endif
