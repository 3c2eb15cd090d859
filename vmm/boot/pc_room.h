/* SPDX-License-Identifier: MIT */
/*
 * pc_room.h - finding memory that nobody uses yet
 *
 * Private to the PC's loaders. A list of what is taken, short enough to be
 * looked through from the start each time.
 */
#ifndef VMM_BOOT_PC_ROOM_H
#define VMM_BOOT_PC_ROOM_H

#include "vmm/boot/pc.h"

#define PC_TAKEN_MAX (IMAGE_SEGMENTS_MAX + PC_MODULES_MAX + 16u)

struct pc_room {
	const struct pc_memory *memory;
	unsigned count;
	struct image_ram taken[PC_TAKEN_MAX];
};

/* Room for what the plan does not occupy; page 0 is never given away. */
void pc_room_init(struct pc_room *r, const struct pc_memory *memory,
	const struct image_plan *plan);

/*
 * Take `size` bytes (not 0) below `limit`, aligned to a power of two: the
 * lowest there are, or the highest. False: there are none.
 */
bool pc_room_lowest(struct pc_room *r, uint64_t size, uint64_t align,
	gpa_t limit, gpa_t *gpa);
bool pc_room_highest(struct pc_room *r, uint64_t size, uint64_t align,
	gpa_t limit, gpa_t *gpa);

#endif
