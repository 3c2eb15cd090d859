/* SPDX-License-Identifier: MIT */
/*
 * bare.h - the built-in guest of --move-slot
 *
 * Some sixty instructions, for each kind of machine: in S mode without paging
 * (bare.c), or in ring 3 of long mode (bare_x86.S). It goes round and round
 * the window: check the word that the last round stored, store this round's.
 * A word for which there is no memory, because the window has moved away, is
 * done again where the slot controller says that the window is. So each store
 * that is counted was carried out exactly once.
 */
#ifndef VMM_BARE_H
#define VMM_BARE_H

#include "vmm/machine.h"

#define BARE_CODE_MAX 4096u

struct bare_guest {
	_Alignas(8) uint8_t code[BARE_CODE_MAX];
	size_t size;
	uint64_t mem_size; /* bytes of RAM it is given */
	uint64_t mem_min;  /* bytes it needs */
	gpa_t stop;        /* 64-bit word: not 0 means "finish this round" */
};

/*
 * Make the guest for a window of `words` 64-bit words, of which the first
 * `tracked_words` are counted in WRITES_DONE. -ENOSYS: there is none for this
 * CPU in this program.
 */
int bare_make(enum vmm_accel accel, uint64_t words, uint64_t tracked_words,
	struct bare_guest *out, struct memslot_error *err);

#endif
