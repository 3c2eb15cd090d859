/* SPDX-License-Identifier: MIT */
/* points.h - the fault points of the whole program, by name */
#ifndef VMM_POINTS_H
#define VMM_POINTS_H

#include "memslot/fault.h"

/* The number of the point with that name or number; 0: there is none. */
unsigned point_by_name(const char *name);
const char *point_name(unsigned number);

/*
 * The points that a move of a slot passes with these CPUs ("soft", "kvm"), in
 * that order, ended by 0: what --move-slot makes fail in turn.
 */
const unsigned *points_of_a_move(const char *accel);

/* Print all points, for --help. Negative if stdout cannot be written. */
int points_print(void);

#endif
