/* SPDX-License-Identifier: MIT */
/*
 * vmm.h - all of libvmm
 *
 *   memslot/    memory slots and transactions over them
 *   pagetrack/  hearing every write to chosen pages
 *   devices/    a bus and what can sit on it
 *   vmm/        a whole machine
 *
 * Each header is the manual of its part.
 */
#ifndef VMM_VMM_H
#define VMM_VMM_H

#include "memslot/error.h"
#include "memslot/fault.h"
#include "memslot/memslot.h"
#include "pagetrack/pagetrack.h"

#include "devices/bus.h"
#include "devices/pci.h"
#include "devices/slotctl.h"
#include "vmm/machine.h"

#endif
