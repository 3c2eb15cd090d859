/* SPDX-License-Identifier: MIT */
/*
 * bare.h - the built-in guest of --move-slot
 *
 * Sixty instructions in S mode without paging. It goes round and round the
 * window: check the word that the last round stored, store this round's. An
 * access that finds no memory (the window has moved away) traps; the handler
 * asks the slot controller where the window is and the word is done again.
 * So each store that is counted was carried out exactly once.
 */
#ifndef VMM_BARE_H
#define VMM_BARE_H

#include "vmm/riscv64.h"

#include <stddef.h>
#include <stdint.h>

#define BARE_CODE_MAX 4096u
/* A 64-bit word: not 0 means "finish this round". */
#define BARE_STOP (RISCV64_RAM_BASE + 8192u)

/*
 * Assemble the guest for a window of `words` 64-bit words, of which the first
 * `tracked_words` are counted in WRITES_DONE. Returns its size in bytes; 0 if
 * it does not fit, which only a change of the program can cause.
 */
size_t bare_assemble(
	uint8_t code[BARE_CODE_MAX], uint64_t words, uint64_t tracked_words);

#endif
