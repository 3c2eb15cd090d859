/* SPDX-License-Identifier: MIT */
/* run.h - the program's jobs; each returns the exit status */
#ifndef VMM_RUN_H
#define VMM_RUN_H

#include "vmm/options.h"

#define EXIT_USAGE 2

/* --kernel without --move-slot: until the guest powers off. */
int run_guest(const struct options *o);
/* --dump-dtb */
int run_dump_dtb(const struct options *o);
/* --move-slot, with a kernel or with the built-in guest */
int run_move_slot(const struct options *o);

#endif
