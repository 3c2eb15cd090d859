/* SPDX-License-Identifier: MIT */
/* image.h - what the files of the bare-metal image share */
#ifndef FREESTANDING_IMAGE_H
#define FREESTANDING_IMAGE_H

#include "memslot/memslot.h"

/* ---- platform.c ------------------------------------------------------ */

extern const struct memslot_platform bare_platform;

/* Blocks that are handed out; times that somebody waited. */
unsigned bare_live(void);
unsigned bare_waits(void);
/* Let the nth allocation from now on fail, once; 0: none. */
void bare_fail_alloc(unsigned nth);
/* Has it failed? */
bool bare_alloc_failed(void);
/* Was a block freed that was not handed out? */
bool bare_heap_broken(void);

void bare_pause(void);
void bare_print(const char *text);
void bare_power_off(bool well) __attribute__((noreturn));
/* SBI HSM: let a hart begin at second_start. An SBI error, 0 if it does. */
long bare_start_hart(unsigned long hart);

/* ---- check.c, called by start.S -------------------------------------- */

void bare_main(void);
void second_main(void);
void bare_trapped(unsigned long cause, unsigned long pc, unsigned long address);

/* ---- start.S, link.ld ------------------------------------------------- */

extern char second_start[];
extern uint64_t stack_bottom[], stack_top[];

#endif
