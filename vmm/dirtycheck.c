/* SPDX-License-Identifier: MIT */
#include "vmm/dirtycheck.h"

#include "memslot/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int dirtycheck_init(struct dirtycheck *d, struct memslots *slots, unsigned id,
	const uint8_t *memory, uint64_t size, struct memslot_error *err)
{
	*d = (struct dirtycheck){
		.slots = slots,
		.id = id,
		.memory = memory,
		.size_pages = size >> MEMSLOT_PAGE_SHIFT,
		.copy = malloc(size),
		.suspect = calloc(size >> MEMSLOT_PAGE_SHIFT, sizeof(bool)),
	};
	if (d->copy && d->suspect) {
		memcpy(d->copy, memory, size);
		return 0;
	}
	dirtycheck_fini(d);
	return memslot_fail(err, -ENOMEM,
		"no memory for a copy of the window's %llu bytes",
		(unsigned long long)size);
}

void dirtycheck_fini(struct dirtycheck *d)
{
	free(d->copy);
	free(d->suspect);
	d->copy = NULL;
	d->suspect = NULL;
}

static void step_page(struct dirtycheck *d, uint64_t page, bool dirty)
{
	const uint8_t *now = d->memory + page * MEMSLOT_PAGE_SIZE;
	uint8_t *copy = d->copy + page * MEMSLOT_PAGE_SIZE;
	bool differs = !dirty && memcmp(now, copy, MEMSLOT_PAGE_SIZE) != 0;

	if (differs && d->suspect[page])
		d->missed++;
	if (dirty || (differs && d->suspect[page]))
		memcpy(copy, now, MEMSLOT_PAGE_SIZE);
	d->suspect[page] = differs && !d->suspect[page];
}

void dirtycheck_step(struct dirtycheck *d)
{
	struct memslot_harvest *h;

	if (memslot_harvest(d->slots, 0, d->id, &h, NULL))
		return;
	for (uint64_t i = 0; i < d->size_pages; i++)
		step_page(d, i, memslot_harvest_test(h, i));
	memslot_harvest_done(h);
}
