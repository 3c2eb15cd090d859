/* SPDX-License-Identifier: MIT */
/*
 * dirtycheck.h - does the dirty log tell of every page that changed?
 *
 * Keeps a copy of a slot's memory that is only ever updated by what the log
 * says, as a migration would. A page that differs from the copy and is not
 * in a harvest was written either just after the harvest, and is then in the
 * next one, or it was missed. The guest may run meanwhile.
 */
#ifndef VMM_DIRTYCHECK_H
#define VMM_DIRTYCHECK_H

#include "memslot/memslot.h"

struct dirtycheck {
	struct memslots *slots;
	unsigned id;
	const uint8_t *memory;
	uint8_t *copy;
	bool *suspect; /* per page: differed at the last step */
	uint64_t size_pages;
	uint64_t missed;
};

/* The memory must not have been written unlogged before. -ENOMEM. */
int dirtycheck_init(struct dirtycheck *d, struct memslots *slots, unsigned id,
	const uint8_t *memory, uint64_t size, struct memslot_error *err);
void dirtycheck_fini(struct dirtycheck *d);
/* Harvest and compare. A harvest that fails changes nothing. */
void dirtycheck_step(struct dirtycheck *d);

#endif
