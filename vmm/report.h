/* SPDX-License-Identifier: MIT */
/* report.h - the results of --move-slot for people and for programs */
#ifndef VMM_REPORT_H
#define VMM_REPORT_H

#include "vmm/mover.h"

#include <stdio.h>

/* A table, one column per result. Negative if it cannot be written. */
int report_table(FILE *f, const struct mover_result *r, unsigned count);
/* An array of objects, one per result. */
int report_json(FILE *f, const struct mover_result *r, unsigned count);

#endif
