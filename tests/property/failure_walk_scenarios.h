/* SPDX-License-Identifier: MIT */
/*
 * failure_walk_scenarios.h - what the failure walk walks through, and where
 *
 * A scenario changes the world in one step: one transaction, or one call that
 * is all or nothing. Whatever it took besides (a harvest) it gives back.
 *
 * The world, in pages:
 *
 *   space 0  slot 1   0x200 .. 0x457  logged       host    0 .. 599
 *            slot 2   0x600 .. 0x60f               host  600 .. 615
 *            slot 3   0x700 .. 0x707  logged, ROM  host  620 .. 627
 *            slot 4   0x800 .. 0x9ff               host 1024 .. 1535
 *            slot 20  0xc00 .. 0xc07  logged       host 1536 .. 1543
 *            slot 21  0xc08 .. 0xc0f  logged       host 1544 .. 1551
 *            slot 5   0xd00 .. 0xd07  logged       host  630 .. 637
 *            slot 41  0x50010 .. 17  card 1's BAR host 1584 .. 1591
 *   space 1  slot 1   0     .. 3      logged       host  600 .. 603
 *
 *   follow   0x205 (twice), 0x300, 0x301, 0xc02
 *   stay     0x205, 0x206, 0x400, 0x602, 0xc0a
 *   refuse   0xd03
 *
 * On a PCI bus with a window from 0x50000 are two cards with a BAR backed by
 * 8 pages: card 0 (slot 40, host 1576 .. 1583) is not enabled.
 */
#ifndef TESTS_PROPERTY_FAILURE_WALK_SCENARIOS_H
#define TESTS_PROPERTY_FAILURE_WALK_SCENARIOS_H

#include "devices/pci.h"
#include "pagetrack/pagetrack.h"

#include "tests/unit/slots.h"

#define LOG  MEMSLOT_LOG_DIRTY
#define RO   MEMSLOT_READONLY
#define KEEP MEMSLOT_MOVE_KEEP
#define ALL  MEMSLOT_MOVE_MARK_ALL

#define MIRROR   200u /* ids a backend keeps book of, per space */
#define NODES    3u
#define BACKENDS 2u

enum { FOLLOW, STAY, REFUSE };

struct node {
	struct pagetrack_node *node;
	unsigned prepares, cancels, flushes, commits, aborts, writes;
	bool adds, added; /* page 0x210 during prepare */
};

struct mapping {
	gfn_t gfn;
	uint64_t pages;
	size_t host;
	uint32_t flags;
};

struct backend {
	struct memslot_participant p;
	struct mapping map[2][MIRROR];
	int refuse;
};

/* Counts calls of one sort; the nth fails, and perhaps all later ones. */
struct trouble {
	uint64_t calls, nth, failures;
	bool on;
};

struct world {
	struct bed b;
	struct pagetrack *pt;
	struct node node[NODES];
	struct backend backend[BACKENDS];
	struct pci_bus bus;
	struct pci_device card[2]; /* devices 1 and 2 */
	struct fault_plan plan;
	struct trouble alloc;   /* the platform has no memory */
	struct trouble consent; /* a node or a backend says no */
};

extern struct world w;

struct scenario {
	const char *name;
	int (*run)(void);
	int want;      /* what `run` returns when nothing is made to fail */
	bool reserves; /* may keep memory reserved that it did not need */
	bool changes; /* is a transaction with an old slot, and can be undone */
	/* pages that are tracked when it has succeeded */
	unsigned tracked[NODES];
};

extern const struct scenario scenarios[];
extern const unsigned scenarios_count;

/* The CHECKs that did not hold in the file of the scenarios. */
unsigned long scenarios_failures(void);

/* A node that only counts, as the world's own do. */
extern const struct pagetrack_ops walk_node_ops;

#endif
