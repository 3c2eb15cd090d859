/* SPDX-License-Identifier: MIT */
/*
 * seed_case.c - the case of the mail thread of November 2022
 *
 * An outside tracker, as KVMGT was one, write-protects pages of a slot. The
 * slot is moved (deleted, replaced), and the change fails. Then the guest
 * writes the pages. Was every write reported?
 *
 * The change is made to fail at each point there is, one after the other,
 * in two orders of the phases: ours, and the one of Linux in 2022, which
 * flushes first, takes a flush for "gone", and prepares afterwards. Ours
 * must not lose a write anywhere. The legacy order must lose them all
 * wherever the failure comes after the flush: a demonstration that shows no
 * bug is none. It prints a table and exits 0 if both held.
 */
#include "tests/unit/test_track.h"

enum { TRACKED = 4 }; /* pages 9..12 of the slot at 8..15 */

enum change { MOVE, MOVE_OVERLAP, DELETE, REPLACE, CHANGES };
static const char *const change_names[CHANGES] = {
	"move", "overlap", "delete", "replace"};

/* Where it can fail, and what has been by then in the legacy order. */
struct failure {
	const char *where;
	unsigned point; /* 0: the node's or the backend's own refusal */
	uint64_t nth;
	bool flushed; /* legacy only: the flush came before it */
	unsigned kinds;
	int node, backend, apply;
};

#define ON(k)    (1u << (k))
#define ALL      (ON(CHANGES) - 1)
#define NEW_SLOT (ON(MOVE) | ON(MOVE_OVERLAP) | ON(REPLACE))

static const struct failure failures[] = {
	{"txn.begin", FAULT_TXN_BEGIN, 1, false, ALL, 0, 0, 0},
	{"txn.record", FAULT_TXN_RECORD, 1, false, ALL, 0, 0, 0},
	{"validate.plan", FAULT_VALIDATE_PLAN, 1, false, ALL, 0, 0, 0},
	{"validate.slot", FAULT_VALIDATE_SLOT, 1, false, NEW_SLOT, 0, 0, 0},
	{"validate.node", FAULT_VALIDATE_NODE, 1, false, NEW_SLOT, 0, 0, 0},
	{"validate.set", FAULT_VALIDATE_SET, 1, false, ALL, 0, 0, 0},
	{"prepare.dirty", FAULT_PREPARE_DIRTY, 1, true, ON(REPLACE), 0, 0, 0},
	{"prepare.track", FAULT_PREPARE_TRACK, 1, true, NEW_SLOT, 0, 0, 0},
	{"prepare.large", FAULT_PREPARE_LARGE, 1, true, NEW_SLOT, 0, 0, 0},
	{"the tracker itself", FAULT_PREPARE_PARTICIPANT, 1, true, ALL, 0, 0,
		0},
	{"pagetrack.prepare", FAULT_PAGETRACK_PREPARE, 1, true, ALL, 0, 0, 0},
	{"another participant", FAULT_PREPARE_PARTICIPANT, 2, true, ALL, 0, 0,
		0},
	{"a node says no", 0, 0, true, ALL, -EBUSY, 0, 0},
	{"a backend says no", 0, 0, true, ALL, 0, -ENODEV, 0},
	{"apply.participant", FAULT_APPLY_PARTICIPANT, 1, true, ALL, 0, 0, 0},
	{"the kernel says no", 0, 0, true, ALL, 0, 0, -ENOSPC},
};
#define FAILURES (sizeof(failures) / sizeof(failures[0]))

static int change_slot(struct world *w, enum change kind)
{
	struct memslot_config c =
		slot_config(w, 0, 0, 8, 8, 32, MEMSLOT_LOG_DIRTY);
	struct memslot_txn *t;
	int r = memslot_begin(w->ms, &t, &w->err);

	if (r)
		return r;
	if (kind == MOVE)
		memslot_move(t, 0, 0, 40 * PAGE, MEMSLOT_MOVE_MARK_ALL);
	if (kind == MOVE_OVERLAP)
		memslot_move(t, 0, 0, 9 * PAGE, MEMSLOT_MOVE_MARK_ALL);
	if (kind == DELETE || kind == REPLACE)
		memslot_delete(t, 0, 0);
	if (kind == REPLACE)
		memslot_create(t, &c);
	return memslot_commit(t, NULL, &w->err);
}

/* The guest writes each protected page; how many did nobody hear of? */
static unsigned missed_writes(struct world *w, struct ear *gvt)
{
	unsigned before = gvt->writes;

	for (gfn_t g = 0; g < TRACKED; g++)
		CHECK_EQ(poke(w, 0, 9 + g, (uint8_t)(g + 1)), 0);
	return TRACKED - (gvt->writes - before);
}

struct outcome {
	unsigned failed, missed, told_gone;
};

static struct outcome run_case(const struct memslot_order *order,
	enum pagetrack_policy policy, enum change kind, const struct failure *f)
{
	struct outcome o = {0, 0, 0};
	struct world w;
	struct ear gvt;
	int r;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 0, 8, 8, 0, MEMSLOT_LOG_DIRTY), 0);
	CHECK_EQ(ear_open(&w, &gvt, 'G', policy), 0);
	CHECK_EQ(pagetrack_add(gvt.node, 0, 9, TRACKED, NULL), 0);
	CHECK_EQ(missed_writes(&w, &gvt), 0);
	memslots_set_order(w.ms, order);
	gvt.refuse = f->node;
	w.backend.refuse_prepare = f->backend;
	w.backend.refuse_apply = f->apply;
	if (f->point)
		fault_arm(&w.plan, f->point, f->nth, false);
	r = change_slot(&w, kind);
	CHECK(!f->point || atomic_load(&w.plan.fired) == 1);
	faults_off(&w);
	gvt.refuse = w.backend.refuse_prepare = w.backend.refuse_apply = 0;
	o.failed = r != 0;
	CHECK_EQ(w.err.code, r);
	o.told_gone = gvt.commits;
	o.missed = missed_writes(&w, &gvt);
	/* The machine itself is whole in either order. */
	CHECK_EQ(memslots_generation(w.ms), 1);
	memslots_set_order(w.ms, &memslot_order_ours);
	CHECK_EQ(change_slot(&w, kind), 0);
	ear_close(&gvt);
	world_close(&w);
	return o;
}

/* One cell of the table: stay and follow, 4 pages each. */
static void cell(const struct failure *f, enum change kind)
{
	static const enum pagetrack_policy policies[] = {
		PAGETRACK_STAY, PAGETRACK_FOLLOW};
	unsigned ours = 0, legacy = 0;

	if (!(f->kinds & ON(kind))) {
		printf("%10s", "-");
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		struct outcome o =
			run_case(&memslot_order_ours, policies[i], kind, f);
		struct outcome l =
			run_case(&memslot_order_legacy, policies[i], kind, f);

		CHECK_EQ(o.failed, 1);
		CHECK_EQ(l.failed, 1);
		CHECK_EQ(o.missed, 0);
		CHECK_EQ(o.told_gone, 0);
		CHECK_EQ(l.missed, f->flushed ? TRACKED : 0);
		CHECK_EQ(l.told_gone, 0);
		ours += o.missed;
		legacy += l.missed;
	}
	printf("%6u / %u", ours, legacy);
}

/*
 * Refuse a move: in our order before anything happened, in the legacy order
 * after the pages were forgotten, so that there is nobody left to refuse.
 */
static void refusing_tracker(void)
{
	struct world w;
	struct ear gvt;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 0, 8, 8, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &gvt, 'G', PAGETRACK_REFUSE), 0);
	CHECK_EQ(pagetrack_add(gvt.node, 0, 9, TRACKED, NULL), 0);
	CHECK_EQ(change_slot(&w, MOVE), -EBUSY);
	CHECK_EQ(change_slot(&w, DELETE), -EBUSY);
	CHECK_HEARD(&w, "");
	CHECK_EQ(w.backend.flushed, 0);
	CHECK_EQ(missed_writes(&w, &gvt), 0);
	memslots_set_order(w.ms, &memslot_order_legacy);
	CHECK_EQ(change_slot(&w, MOVE), 0);
	CHECK_EQ(pagetrack_size_pages(gvt.node), 0);
	ear_close(&gvt);
	world_close(&w);
}

int main(void)
{
	CHECK_TEXT(memslot_order_name(&memslot_order_ours), "ours");
	CHECK_TEXT(memslot_order_name(&memslot_order_legacy), "legacy");
	printf("protected pages whose writes nobody hears of after a change\n"
	       "that failed, of %d: our order / the order of 2022\n\n%-22s",
		2 * TRACKED, "failed at");
	for (enum change kind = 0; kind < CHANGES; kind++)
		printf("%10s", change_names[kind]);
	for (unsigned i = 0; i < FAILURES; i++) {
		printf("\n%-22s", failures[i].where);
		for (enum change kind = 0; kind < CHANGES; kind++)
			cell(&failures[i], kind);
	}
	printf("\n\n");
	refusing_tracker();
	return TEST_END("seed_case");
}
