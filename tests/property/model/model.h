/* SPDX-License-Identifier: MIT */
/*
 * model.h - a memory map that is too simple to be wrong, beside the real one
 *
 * The model keeps arrays: a record for each page of each slot, for each guest
 * page who tracks it, and a second copy of all host memory. A step is one
 * `struct step`: it is done to the real thing, the model says what must come of
 * it, and afterwards all that can be seen from outside is compared.
 *
 *   state.c    what the model knows, and what a transaction makes of it
 *   txn.c      operations on slots, and their commit
 *   access.c   guest, device and loader: loads and stores, and who hears them
 *   steps.c    tracking, harvests, populating, questions
 *   compare.c  everything, page by page
 *   world.c    the real thing: map, tracker, nodes, CPUs, a backend
 *   script.c   steps as text, and steps by chance
 *
 * Used by tests/property/model_random.c with random numbers and by
 * tests/fuzz/fuzz_ops.c with a fuzzer's bytes. Something that must hold and
 * does not ends the program.
 */
#ifndef TESTS_PROPERTY_MODEL_H
#define TESTS_PROPERTY_MODEL_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pagetrack/pagetrack.h"
#include "vmm/soft/hart.h"

#define MUST(cond)                                                         \
	do {                                                               \
		if (!(cond)) {                                             \
			fprintf(stderr, "%s:%d: MUST(%s) does not hold\n", \
				__FILE__, __LINE__, #cond);                \
			abort();                                           \
		}                                                          \
	} while (0)

#define SPACES   2u
#define IDS      8u
#define GFNS     128u
#define FIRST    448u /* gfn of the first: a 2 MiB boundary is inside */
#define PAGES    48u  /* of a slot, at most */
#define FRAMES   128u /* host pages */
#define HARVESTS 3u
#define PENDING  16u /* operations of a transaction, at most */
#define EDGE     96u /* bytes at each end of a page that are ever written */
#define LONGEST  24u /* bytes of an access */
#define NOWHERE  0xffu
#define PAGE     4096u

/* The nodes, by policy: follow, stay, refuse. */
enum { F, S, R, NODES };

/* ---- a step ------------------------------------------------------------ */

enum kind {
	DO_CREATE, /* up to DO_HOST: recorded, and done by the next commit */
	DO_DELETE,
	DO_MOVE,
	DO_FLAGS,
	DO_RESIZE,
	DO_SPLIT,
	DO_MERGE,
	DO_HOST,
	DO_COMMIT,
	DO_DISCARD,
	DO_LOAD, /* of a hart */
	DO_STORE,
	DO_READ, /* of a device */
	DO_WRITE,
	DO_TRACK,
	DO_UNTRACK,
	DO_NODE, /* goes, and another comes */
	DO_HARVEST,
	DO_DONE,
	DO_GIVE_BACK,
	DO_POPULATE,
	DO_ASK,
	DO_OPTION,
	DO_CACHES, /* look into the translation caches */
	DO_COUNT,
};

enum arg {
	A_SPACE,
	A_ID,
	A_OTHER, /* slot: the upper one of a split or merge */
	A_GFN,   /* from FIRST on */
	A_PAGES,
	A_FRAME,
	A_FLAGS,
	A_KEEP,   /* move: dirty bits */
	A_LAST,   /* delete: hand out the last dirty bits */
	A_COPY,   /* host: the bytes */
	A_WRONG,  /* which rule to break, see enum wrong */
	A_FAULT,  /* the step that fails, from 1; 0: none */
	A_ONWARD, /* and all after it */
	A_VETO,   /* see enum veto */
	A_HART,
	A_OFFSET,
	A_SIZE,
	A_VALUE,
	A_SOURCE, /* 0 device, 1 host */
	A_NODE,
	A_WHICH, /* harvest */
	A_NO_MOVES,
	ARGS,
};

struct step {
	enum kind kind;
	unsigned v[ARGS];
};

/* Rules to be broken. Each has its error; those that a step has no use for do nothing. */
enum wrong {
	RIGHT,
	WRONG_SPACE,
	WRONG_ID,
	WRONG_FLAGS,
	WRONG_GPA,   /* not aligned */
	WRONG_LIMIT, /* beyond the address limit */
	WRONG_WRAP,  /* and around */
	WRONG_SIZE,  /* not aligned */
	WRONG_ZERO,
	WRONG_HUGE,
	WRONG_HOST, /* not aligned */
	WRONG_NULL,
	WRONGS,
};

enum veto {
	VETO_NONE,
	VETO_NODE,                        /* + F, S, R: it says no in prepare */
	VETO_PREPARE = VETO_NODE + NODES, /* the backend does */
	VETO_APPLY,
	VETOES,
};

/* script.c: "move id 3 gfn 20 keep 1"; arguments that are 0 are left out. */
const char *step_name(enum kind kind);
void step_print(FILE *to, const struct step *op);
/* False: this is no step. */
bool step_parse(const char *line, struct step *op);

/* Where choices come from: bytes until they run out, or a generator. */
struct source {
	const uint8_t *at; /* NULL: random */
	size_t left;
	uint64_t seed;
	unsigned space, gfn; /* the page that was chosen last */
};
void choose(struct source *from, struct step *op);

/* ---- the model ----------------------------------------------------------- */

struct page {
	uint8_t origin, origin_page; /* published slot id, or NOWHERE */
	uint8_t out;                 /* harvests that have its bit */
	uint8_t follow;              /* adds of node F */
	bool dirty, populated;
};

struct slot {
	bool there;
	/* of this transaction: */
	bool fresh; /* all of it was created */
	bool mark;  /* the last move marks all dirty */
	bool copy;  /* other host memory, and the bytes go there */
	unsigned gfn, pages, frame;
	uint32_t flags;
	struct page page[PAGES];
};

struct model {
	struct slot slot[SPACES][IDS];
	uint8_t count[NODES][SPACES][GFNS]; /* adds of S and R */
	bool no_moves[SPACES];
};

extern struct model now, next; /* published; and what a commit would make */
extern uint8_t bytes[FRAMES][PAGE];

/* The slot of x that holds the page, and which of its pages it is. */
struct slot *owner(
	struct model *x, unsigned space, unsigned gfn, unsigned *page);
unsigned adds(unsigned node, unsigned space, unsigned gfn);
void set_adds(unsigned node, unsigned space, unsigned gfn, unsigned count);
/* Pages that node tracks, in all. */
uint64_t tracked_by(unsigned node);

/* next = now; pages know where they come from. */
void next_begin(void);
void new_pages(struct slot *s, unsigned from, unsigned to);
bool slot_changed(unsigned space, unsigned id);
/* It is, and not only by its flags. */
bool slot_relocated(unsigned space, unsigned id);
unsigned count_changes(void);
bool changes_published(void); /* does some slot leave or change? */
bool next_overlaps(void);
/* Would bytes be copied over what a changing slot has now? */
bool copies_over_old(void);
/* Would two copies go to the same place? Nobody says what then. */
bool copies_collide(void);
bool refused_by_policy(void);
/* Harvest `bit` has the last dirty bits of a slot. */
void next_last_bits(unsigned space, unsigned id, unsigned bit);
/* now = next. */
void next_settle(void);

/* ---- the real thing ------------------------------------------------------ */

struct event {
	unsigned node, space;
	gpa_t gpa;
	size_t len;
	uint8_t bytes[LONGEST], old[LONGEST];
	bool has_old;
	struct pagetrack_source source;
};

struct ear {
	unsigned number;
	uint64_t gone;
};

struct world {
	struct memslots *ms;
	struct memslot_reader reader;
	struct memslot_platform platform;
	struct pagetrack *pt;
	struct pagetrack_node *node[NODES];
	struct ear ear[NODES];
	unsigned order[NODES]; /* of registration */
	struct soft *cpu[SPACES];
	struct memslot_participant backend;
	struct fault_plan plan;
	struct memslot_harvest *harvest[HARVESTS];
	long live; /* allocations */
	enum veto veto;
	/* what was heard since heard_clear(): "Ap" is node F, prepare */
	char heard[256];
	struct event event[NODES * 4];
	unsigned events;
	bool asked[SPACES][GFNS]; /* to be populated */
	bool flushed;
	/* operations recorded for the next commit */
	struct step pending[PENDING];
	unsigned pendings;
};

/* What has happened, over all worlds: to see that it was worth it. */
struct tally {
	uint64_t committed, unchanged, refused, vetoed, injected, broken;
	uint64_t cached; /* guest accesses through a translation cache */
	uint64_t events; /* writes that were heard */
};
extern struct tally tally;

extern struct world w;
extern uint8_t host[FRAMES][PAGE];

void world_open(void);
void world_close(void); /* nothing may be left allocated */
void node_open(unsigned node);
void heard_clear(void);
bool fault_fired(void);
/* As the step says; off again after it. */
void fault_set(const struct step *op);
struct hart *world_hart(unsigned space, unsigned number);

/* ---- steps --------------------------------------------------------------- */

/* Do it, and compare. False: the machine is broken, nothing may follow. */
bool step_run(const struct step *op);
void compare_all(void);
void compare_memory(void); /* every byte */
void compare_caches(void);

void txn_commit(const struct step *op);

void access_guest(const struct step *op);
void access_device(const struct step *op);

void step_track(const struct step *op);
void step_node(const struct step *op);
void step_harvest(const struct step *op);
void step_end_harvest(const struct step *op);
void step_populate(const struct step *op);
void step_ask(const struct step *op);
void step_option(const struct step *op);

#endif
