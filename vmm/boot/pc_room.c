/* SPDX-License-Identifier: MIT */
#include "vmm/boot/pc_room.h"

/* The first of what is taken that [gpa, gpa + size) meets, or NULL. */
static const struct image_ram *meets(
	const struct pc_room *r, gpa_t gpa, uint64_t size)
{
	for (unsigned i = 0; i < r->count; i++) {
		const struct image_ram *t = &r->taken[i];

		if (gpa < t->base + t->size && t->base < gpa + size)
			return t;
	}
	return NULL;
}

static bool take(struct pc_room *r, gpa_t gpa, uint64_t size)
{
	if (r->count == PC_TAKEN_MAX)
		return false;
	r->taken[r->count++] = (struct image_ram){gpa, size};
	return true;
}

void pc_room_init(struct pc_room *r, const struct pc_memory *memory,
	const struct image_plan *plan)
{
	r->memory = memory;
	r->count = 0;
	/* A pointer to page 0 looks like none to many a guest. */
	take(r, 0, MEMSLOT_PAGE_SIZE);
	for (unsigned i = 0; i < plan->count; i++)
		take(r, plan->segment[i].gpa, plan->segment[i].size);
	/* What the kernel clears or unpacks into, beyond its last segment. */
	if (plan->count == 1)
		take(r, plan->start, plan->end - plan->start);
}

/* The end of a range of RAM, but not above the limit. */
static gpa_t end_of(const struct image_ram *ram, gpa_t limit)
{
	gpa_t end = ram->base + ram->size;

	return end < limit ? end : limit;
}

bool pc_room_lowest(struct pc_room *r, uint64_t size, uint64_t align,
	gpa_t limit, gpa_t *gpa)
{
	for (unsigned i = 0; i < r->memory->rams; i++) {
		const struct image_ram *ram = &r->memory->ram[i];
		gpa_t end = end_of(ram, limit), at = ram->base;
		const struct image_ram *t;

		for (;;) {
			at = (at + align - 1) & ~(align - 1);
			if (at > end || size > end - at)
				break;
			t = meets(r, at, size);
			if (!t) {
				*gpa = at;
				return take(r, at, size);
			}
			at = t->base + t->size;
		}
	}
	return false;
}

bool pc_room_highest(struct pc_room *r, uint64_t size, uint64_t align,
	gpa_t limit, gpa_t *gpa)
{
	for (unsigned i = r->memory->rams; i-- > 0;) {
		const struct image_ram *ram = &r->memory->ram[i];
		gpa_t top = end_of(ram, limit), at;
		const struct image_ram *t;

		while (top > ram->base && size <= top - ram->base) {
			at = (top - size) & ~(align - 1);
			if (at < ram->base)
				break;
			t = meets(r, at, size);
			if (!t) {
				*gpa = at;
				return take(r, at, size);
			}
			top = t->base;
		}
	}
	return false;
}
