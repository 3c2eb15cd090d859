/* SPDX-License-Identifier: MIT */
/* pc_plan.h - private to the PC's loaders: what pc_plan() is made of */
#ifndef VMM_BOOT_PC_PLAN_H
#define VMM_BOOT_PC_PLAN_H

#include "vmm/boot/image_bytes.h"
#include "vmm/boot/pc.h"

/* "kernel: ... needs ... bytes at ..., but RAM is ...": -EFBIG. */
int pc_no_room(const struct image_bytes *b, gpa_t gpa, uint64_t size,
	struct memslot_error *err);

/* An ELF file of any of its kinds: vmlinux, PVH, Multiboot. */
int pc_plan_elf(const struct image_bytes *b, struct pc_plan *plan,
	struct memslot_error *err);
/* Its load segments only; entry is e_entry, translated. */
int pc_plan_segments(const struct image_bytes *b, struct image_plan *plan,
	struct memslot_error *err);

/* The two magics of a boot sector and setup header. */
bool pc_is_bzimage(const struct image_bytes *b);
/* Is there a Multiboot header, and where? */
bool pc_find_multiboot(const struct image_bytes *b, uint64_t *offset);
/* plan->header_offset is where it is. */
int pc_plan_multiboot(const struct image_bytes *b, struct pc_plan *plan,
	struct memslot_error *err);

#endif
