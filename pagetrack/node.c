/* SPDX-License-Identifier: MIT */
/*
 * node.c - registration, and calling nodes that may vanish meanwhile
 *
 * A callback runs without the lock, so that it may do what it likes. What
 * keeps its node in place is a pin, on the caller's stack and on the node's
 * list. An unregistered node with pins stays in the list, marked dead, so
 * that walks can go on from it; it leaves with its last pin.
 */
#include "pagetrack/internal.h"

const struct fault_point pagetrack_fault_points[] = {
	{FAULT_PAGETRACK_REGISTER, "pagetrack.register", "memory for a node"},
	{FAULT_PAGETRACK_PAGE, "pagetrack.page", "memory for a tracked page"},
	{FAULT_PAGETRACK_RESERVE, "pagetrack.reserve",
		"track counts at a page's place after a transaction"},
	{FAULT_PAGETRACK_PREPARE, "pagetrack.prepare",
		"a tracker that refuses the change"},
	{FAULT_PAGETRACK_FILTER, "pagetrack.filter", "memory for a filter"},
	{FAULT_PAGETRACK_QUEUE, "pagetrack.queue", "memory for a queue"},
	{0, NULL, NULL},
};

/* ---- life of a tracker ---------------------------------------------------- */

int pagetrack_create(
	struct memslots *ms, struct pagetrack **out, struct memslot_error *err)
{
	const struct memslot_platform *pf = memslots_platform(ms);
	const size_t align = _Alignof(struct pagetrack);
	void *memory = pf->alloc(pf->ctx, sizeof(struct pagetrack) + align);
	struct pagetrack *pt;
	int r;

	if (!memory)
		return memslot_fail(err, -ENOMEM, "no memory for a tracker");
	pt = (void *)(((uintptr_t)memory + align - 1) & ~(align - 1));
	pt->memory = memory;
	pt->ms = ms;
	pt->pf = pf;
	pt->participant.ops = &pagetrack_participant_ops;
	pt->participant.ctx = pt;
	memslot_reader_init(&pt->reader, ms, NULL, NULL);
	r = memslots_join(ms, &pt->participant);
	if (r) {
		memslot_reader_fini(&pt->reader);
		pf->free(pf->ctx, memory);
		return memslot_fail(err, r,
			"a tracker cannot be created inside a callback");
	}
	*out = pt;
	return 0;
}

void pagetrack_destroy(struct pagetrack *pt)
{
	if (!pt)
		return;
	memslots_quit(pt->ms, &pt->participant);
	memslot_reader_fini(&pt->reader);
	pt->pf->free(pt->pf->ctx, pt->memory);
}

/* ---- pins ----------------------------------------------------------------- */

static void node_free(struct pagetrack_node *node)
{
	struct pagetrack *pt = node->pt;
	struct pagetrack_node **at = &pt->nodes;

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	pt->node_count--;
	queue_free(node);
	if (node->table.bucket)
		pt->pf->free(pt->pf->ctx, node->table.bucket);
	pt->pf->free(pt->pf->ctx, node);
}

void node_pin(struct pagetrack_node *node, struct pagetrack_pin *pin)
{
	pin->node = node;
	pin->thread = node->pt->pf->self(node->pt->pf->ctx);
	pin->running = false;
	pin->next = node->pins;
	node->pins = pin;
}

void node_unpin(struct pagetrack_node *node, struct pagetrack_pin *pin)
{
	struct pagetrack_pin **at = &node->pins;

	while (*at != pin)
		at = &(*at)->next;
	*at = pin->next;
	if (!node->dead)
		return;
	if (node->reap && !node->pins) {
		node_free(node);
		return;
	}
	atomic_fetch_add(&node->idle, 1);
	node->pt->pf->wake(node->pt->pf->ctx, &node->idle);
}

struct pagetrack_node *node_next(struct pagetrack *pt,
	struct pagetrack_node *prev, struct pagetrack_pin *pin)
{
	struct pagetrack_node *node = prev ? prev->next : pt->nodes;

	while (node && node->dead)
		node = node->next;
	if (prev)
		node_unpin(prev, pin);
	if (node) {
		node_pin(node, pin);
		pin->running = true;
	}
	return node;
}

/* Is a callback of the node running, in this thread (0: in any)? */
static bool running_in(const struct pagetrack_node *node, uintptr_t thread)
{
	for (const struct pagetrack_pin *p = node->pins; p; p = p->next)
		if (p->running && (!thread || p->thread == thread))
			return true;
	return false;
}

/* ---- registration ----------------------------------------------------------- */

int pagetrack_register(struct pagetrack *pt, const struct pagetrack_ops *ops,
	void *ctx, enum pagetrack_policy policy, struct pagetrack_node **out,
	struct memslot_error *err)
{
	struct pagetrack_node **at = &pt->nodes, *node = NULL;

	if (policy != PAGETRACK_STAY && policy != PAGETRACK_FOLLOW &&
		policy != PAGETRACK_REFUSE)
		return memslot_fail(err, -EINVAL,
			"node \"%s\": unknown policy %d", ops->name,
			(int)policy);
	if (!FAULT(memslots_faults(pt->ms), FAULT_PAGETRACK_REGISTER))
		node = pt->pf->alloc(pt->pf->ctx, sizeof(*node));
	if (!node)
		return memslot_fail(err, -ENOMEM,
			"no memory for tracker node \"%s\"", ops->name);
	node->pt = pt;
	node->ops = ops;
	node->ctx = ctx;
	node->policy = policy;
	pt_lock(pt);
	if (pt->node_count == PAGETRACK_NODES_MAX) {
		pt_unlock(pt);
		pt->pf->free(pt->pf->ctx, node);
		return memslot_fail(err, -ENOSPC,
			"node \"%s\": a tracker has room for %u nodes",
			ops->name, PAGETRACK_NODES_MAX);
	}
	while (*at)
		at = &(*at)->next;
	/* Known to the caller before a callback can run. */
	*out = node;
	*at = node;
	pt->node_count++;
	pt_unlock(pt);
	return 0;
}

void pagetrack_unregister(struct pagetrack_node *node)
{
	struct pagetrack *pt;
	bool tracked;
	uint32_t seen;

	if (!node)
		return;
	pt = node->pt;
	pt_lock_pages(pt);
	tracked = node->table.pages != 0;
	node_forget_pages(node);
	node->dead = true;
	if (node->wants_old)
		atomic_fetch_sub(&pt->old_wanted, 1);
	node->wants_old = false;
	queue_close(node);
	/* Pins that are not running belong to holds: they skip a dead node. */
	if (!running_in(node, pt->pf->self(pt->pf->ctx)))
		while (running_in(node, 0)) {
			seen = atomic_load(&node->idle);
			pt_unlock(pt);
			pt->pf->wait(pt->pf->ctx, &node->idle, seen);
			pt_lock(pt);
		}
	if (node->pins)
		node->reap = true;
	else
		node_free(node);
	pt_unlock(pt);
	for (unsigned space = 0; tracked && space < memslots_spaces(pt->ms);
		space++)
		(void)memslots_untrack(pt->ms, space, 0,
			MEMSLOT_GPA_LIMIT >> MEMSLOT_PAGE_SHIFT);
}
