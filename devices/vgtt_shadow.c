/* SPDX-License-Identifier: MIT */
/*
 * vgtt_shadow.c - the shadow: tables, writes to them, transactions
 *
 * A table page is protected first and read then: what was written before is
 * read, what is written after is heard. A write is answered by reading the
 * entries that it touched, and not by taking its bytes: when two CPUs write
 * one entry, their reports may come in the other order, but the last of them
 * finds in memory what is there for good.
 *
 * A table that cannot be read just now (its slot is invalid, or has changed)
 * is `stale`: it is read as a whole when it is next used, and writes to it
 * need not be looked at till then.
 */
#include "devices/vgtt_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "memslot/error.h"

const struct fault_point vgtt_fault_points[] = {
	{FAULT_VGTT_APERTURE, "vgtt.aperture", "memory for vgtt's aperture"},
	{FAULT_VGTT_TABLE, "vgtt.table", "the shadow of one table page"},
	{0, NULL, NULL},
};

static gfn_t entry_gfn(uint64_t entry)
{
	return (entry & VGTT_ENTRY_ADDRESS) >> MEMSLOT_PAGE_SHIFT;
}

/* ---- the guest's table ------------------------------------------------------ */

/* Entries [first, first + count) of the table page. -EFAULT, -EBUSY. */
static int read_entries(struct vgtt *g, gfn_t gfn, unsigned first,
	unsigned count, uint64_t *entry)
{
	const struct memslot *s;
	const uint64_t *page;
	int r = 0;

	memslot_enter(&g->reader);
	s = memslot_lookup(&g->reader, 0, gfn);
	if (!s) {
		r = -EFAULT;
	} else if (memslot_is_invalid(s)) {
		r = -EBUSY;
	} else {
		page = (const uint64_t *)memslot_host(
			s, gfn << MEMSLOT_PAGE_SHIFT);
		for (unsigned i = 0; i < count; i++)
			entry[i] = __atomic_load_n(
				&page[first + i], __ATOMIC_RELAXED);
	}
	memslot_leave(&g->reader);
	return r;
}

/* ---- leaves ----------------------------------------------------------------- */

static struct vgtt_leaf **leaf_bucket(struct vgtt *g, gfn_t gfn)
{
	return &g->bucket[gfn % VGTT_BUCKETS];
}

static struct vgtt_leaf *leaf_find(struct vgtt *g, gfn_t gfn)
{
	struct vgtt_leaf *leaf = *leaf_bucket(g, gfn);

	while (leaf && leaf->table.gfn != gfn)
		leaf = leaf->next;
	return leaf;
}

static struct vgtt_leaf *leaf_make(struct vgtt *g, gfn_t gfn)
{
	struct vgtt_leaf **at = leaf_bucket(g, gfn), *leaf;

	if (FAULT(memslots_faults(g->config.slots), FAULT_VGTT_TABLE))
		return NULL;
	leaf = calloc(1, sizeof(*leaf));
	if (!leaf)
		return NULL;
	leaf->table.gfn = gfn;
	leaf->table.stale = true;
	leaf->next = *at;
	*at = leaf;
	return leaf;
}

static void table_unprotect(struct vgtt *g, struct vgtt_table *table)
{
	/* It may be gone already; we will be told so, or were (legacy) not. */
	if (table->tracked)
		(void)pagetrack_remove(g->node, 0, table->gfn, 1, NULL);
	table->tracked = false;
}

static void leaf_put(struct vgtt *g, struct vgtt_leaf *leaf)
{
	struct vgtt_leaf **at;

	if (--leaf->refs)
		return;
	table_unprotect(g, &leaf->table);
	at = leaf_bucket(g, leaf->table.gfn);
	while (*at != leaf)
		at = &(*at)->next;
	*at = leaf->next;
	free(leaf);
}

/* Protect the page if it is not. */
static int table_protect(struct vgtt *g, struct vgtt_table *table)
{
	int r;

	if (table->tracked)
		return 0;
	r = pagetrack_add(g->node, 0, table->gfn, 1, NULL);
	if (r)
		return r;
	table->tracked = true;
	table->stale = true;
	return 0;
}

/* ---- entries ---------------------------------------------------------------- */

static void leaf_set(struct vgtt_leaf *leaf, unsigned index, uint64_t entry)
{
	leaf->table.entry[index] = entry;
	leaf->host[index] = NULL;
}

/* From `fresh`, entries [first, first + count). Returns how many changed. */
static unsigned leaf_update(struct vgtt_leaf *leaf, unsigned first,
	unsigned count, const uint64_t *fresh)
{
	unsigned changed = 0;

	for (unsigned i = 0; i < count; i++) {
		if (leaf->table.entry[first + i] == fresh[i])
			continue;
		leaf_set(leaf, first + i, fresh[i]);
		changed++;
	}
	return changed;
}

/*
 * Protect and read a leaf as far as it needs that. -EFAULT: it cannot be
 * shadowed now, so what it would translate faults; -EBUSY.
 */
static int leaf_refresh(struct vgtt *g, struct vgtt_leaf *leaf)
{
	uint64_t fresh[VGTT_ENTRIES];
	int r;

	if (leaf->table.tracked && !leaf->table.stale)
		return 0;
	if (table_protect(g, &leaf->table))
		return -EFAULT;
	r = read_entries(g, leaf->table.gfn, 0, VGTT_ENTRIES, fresh);
	if (r)
		return r;
	leaf_update(leaf, 0, VGTT_ENTRIES, fresh);
	leaf->table.stale = false;
	return 0;
}

/*
 * Protect and read the page that a root entry names. If that cannot be done
 * now it is tried again when it is used.
 */
static void root_attach(struct vgtt *g, unsigned index)
{
	const uint64_t entry = g->root.entry[index];
	struct vgtt_leaf *leaf;

	if (g->leaf[index] || !(entry & VGTT_ENTRY_VALID))
		return;
	leaf = leaf_find(g, entry_gfn(entry));
	if (!leaf)
		leaf = leaf_make(g, entry_gfn(entry));
	if (!leaf)
		return;
	leaf->refs++;
	g->leaf[index] = leaf;
	(void)leaf_refresh(g, leaf);
}

static void root_set(struct vgtt *g, unsigned index, uint64_t entry)
{
	struct vgtt_leaf *old = g->leaf[index];

	/* The new one first: it may be the same page. */
	g->root.entry[index] = entry;
	g->leaf[index] = NULL;
	root_attach(g, index);
	if (old)
		leaf_put(g, old);
}

static unsigned root_update(
	struct vgtt *g, unsigned first, unsigned count, const uint64_t *fresh)
{
	unsigned changed = 0;

	for (unsigned i = 0; i < count; i++) {
		if (g->root.entry[first + i] == fresh[i])
			continue;
		root_set(g, first + i, fresh[i]);
		changed++;
	}
	return changed;
}

static int root_refresh(struct vgtt *g)
{
	uint64_t fresh[VGTT_ENTRIES];
	int r;

	if (g->root.tracked && !g->root.stale)
		return 0;
	if (table_protect(g, &g->root))
		return -EFAULT;
	r = read_entries(g, g->root.gfn, 0, VGTT_ENTRIES, fresh);
	if (r)
		return r;
	g->root.stale = false;
	root_update(g, 0, VGTT_ENTRIES, fresh);
	return 0;
}

/* ---- the root --------------------------------------------------------------- */

void vgtt_clear_root(struct vgtt *g)
{
	if (!g->has_root)
		return;
	for (unsigned i = 0; i < VGTT_ENTRIES; i++)
		root_set(g, i, 0);
	table_unprotect(g, &g->root);
	g->has_root = false;
}

/* The new page first: if it cannot be had, the old root stays. */
int vgtt_set_root(struct vgtt *g, gfn_t gfn, struct memslot_error *err)
{
	uint64_t fresh[VGTT_ENTRIES];
	int r = pagetrack_add(g->node, 0, gfn, 1, err);

	if (r)
		return r;
	r = read_entries(g, gfn, 0, VGTT_ENTRIES, fresh);
	if (r) {
		(void)pagetrack_remove(g->node, 0, gfn, 1, NULL);
		return r;
	}
	vgtt_clear_root(g);
	g->root = (struct vgtt_table){.gfn = gfn, .tracked = true};
	g->has_root = true;
	root_update(g, 0, VGTT_ENTRIES, fresh);
	return 0;
}

int vgtt_walk(struct vgtt *g, uint64_t address, struct vgtt_leaf **out,
	unsigned *index)
{
	const uint64_t page = address >> MEMSLOT_PAGE_SHIFT;
	struct vgtt_leaf *leaf;
	unsigned at;
	int r;

	if (!g->has_root || page >= VGTT_PAGES)
		return -EFAULT;
	at = (unsigned)(page / VGTT_ENTRIES);
	r = root_refresh(g);
	if (r)
		return r;
	root_attach(g, at);
	leaf = g->leaf[at];
	if (!leaf)
		return -EFAULT;
	r = leaf_refresh(g, leaf);
	if (r)
		return r;
	*index = (unsigned)(page % VGTT_ENTRIES);
	*out = leaf;
	return leaf->table.entry[*index] & VGTT_ENTRY_VALID ? 0 : -EFAULT;
}

/* ---- comparing -------------------------------------------------------------- */

/* Is the host address that we keep for this entry where its page is? */
static bool host_is_right(
	struct vgtt *g, const struct vgtt_leaf *leaf, unsigned index)
{
	const gfn_t gfn = entry_gfn(leaf->table.entry[index]);
	const struct memslot *s;
	bool right;

	if (g->changing || leaf->epoch != g->epoch || !leaf->host[index])
		return true;
	memslot_enter(&g->reader);
	s = memslot_lookup(&g->reader, 0, gfn);
	right = s &&
		memslot_host(s, gfn << MEMSLOT_PAGE_SHIFT) == leaf->host[index];
	memslot_leave(&g->reader);
	return right;
}

static int compare_leaf(struct vgtt *g, const struct vgtt_leaf *leaf)
{
	uint64_t fresh[VGTT_ENTRIES];
	int r = read_entries(g, leaf->table.gfn, 0, VGTT_ENTRIES, fresh);

	if (r)
		return r;
	for (unsigned i = 0; i < VGTT_ENTRIES; i++)
		if (fresh[i] != leaf->table.entry[i] ||
			!host_is_right(g, leaf, i))
			g->counts.mismatches++;
	g->counts.checked += VGTT_ENTRIES;
	return 0;
}

/* What cannot be shadowed is not compared. */
int vgtt_compare(struct vgtt *g, unsigned index)
{
	struct vgtt_leaf *leaf;
	uint64_t entry;
	int r;

	if (!g->has_root)
		return 0;
	r = root_refresh(g);
	if (!r)
		r = read_entries(g, g->root.gfn, index, 1, &entry);
	if (r)
		return r == -EBUSY ? r : 0;
	root_attach(g, index);
	leaf = g->leaf[index];
	if (leaf)
		r = leaf_refresh(g, leaf);
	if (leaf && !r)
		r = compare_leaf(g, leaf);
	if (r == -EBUSY)
		return r;
	g->counts.checked++;
	g->counts.mismatches += entry != g->root.entry[index];
	return 0;
}

/* ---- what the tracker tells ------------------------------------------------- */

/* The entries that a write touched. False: the page is stale now. */
static bool reread(struct vgtt *g, struct vgtt_table *table,
	const struct pagetrack_write *w, unsigned *first, unsigned *count,
	uint64_t *fresh)
{
	const unsigned into = (unsigned)(w->gpa & MEMSLOT_PAGE_MASK);

	if (table->stale)
		return false;
	*first = into / 8;
	*count = (into + (unsigned)w->len - 1) / 8 - *first + 1;
	if (read_entries(g, table->gfn, *first, *count, fresh) == 0)
		return true;
	table->stale = true;
	return false;
}

static void on_write(void *ctx, const struct pagetrack_write *w)
{
	const gfn_t gfn = w->gpa >> MEMSLOT_PAGE_SHIFT;
	struct vgtt *g = ctx;
	uint64_t fresh[VGTT_ENTRIES];
	struct vgtt_leaf *leaf;
	unsigned first, count;

	pthread_mutex_lock(&g->lock);
	g->counts.writes++;
	leaf = leaf_find(g, gfn);
	if (leaf && reread(g, &leaf->table, w, &first, &count, fresh))
		g->counts.updates += leaf_update(leaf, first, count, fresh);
	/* A page may be both, and the root's entries free leaves. */
	if (g->has_root && g->root.gfn == gfn &&
		reread(g, &g->root, w, &first, &count, fresh))
		g->counts.updates += root_update(g, first, count, fresh);
	pthread_mutex_unlock(&g->lock);
}

/* From now on no host address is used that was not looked up just then. */
static int on_prepare(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	struct vgtt *g = ctx;

	(void)t;
	(void)err;
	pthread_mutex_lock(&g->lock);
	g->changing = true;
	pthread_mutex_unlock(&g->lock);
	return 0;
}

static void on_cancel(void *ctx, const struct memslot_txn *t)
{
	struct vgtt *g = ctx;

	(void)t;
	pthread_mutex_lock(&g->lock);
	g->changing = false;
	g->counts.failed++;
	pthread_mutex_unlock(&g->lock);
}

static void on_flush(void *ctx, const struct memslot_txn *t)
{
	struct vgtt *g = ctx;

	(void)t;
	pthread_mutex_lock(&g->lock);
	g->epoch++;
	g->counts.flushes++;
	pthread_mutex_unlock(&g->lock);
}

static bool slot_has(const struct memslot *s, gfn_t gfn)
{
	return s && s->space == 0 && memslot_contains(s, gfn);
}

/* Has the transaction put other memory, or none, where the page is? */
static bool was_changed(const struct memslot_txn *t, gfn_t gfn)
{
	size_t count;
	const struct memslot_change *c = memslot_txn_changes(t, &count);

	for (; count; c++, count--)
		if (c->kind != MEMSLOT_CHANGE_FLAGS &&
			(slot_has(c->from, gfn) || slot_has(c->to, gfn)))
			return true;
	return false;
}

static void table_committed(
	struct vgtt *g, struct vgtt_table *table, const struct memslot_txn *t)
{
	if (!was_changed(t, table->gfn))
		return;
	table->tracked =
		table->tracked && pagetrack_tracks(g->node, 0, table->gfn);
	table->stale = true;
}

static void on_committed(
	void *ctx, const struct memslot_txn *t, uint64_t gone_pages)
{
	struct vgtt *g = ctx;

	(void)gone_pages; /* which they are is asked table by table */
	pthread_mutex_lock(&g->lock);
	g->changing = false;
	g->epoch++;
	g->counts.committed++;
	if (g->has_root)
		table_committed(g, &g->root, t);
	for (unsigned i = 0; i < VGTT_BUCKETS; i++)
		for (struct vgtt_leaf *l = g->bucket[i]; l; l = l->next)
			table_committed(g, &l->table, t);
	pthread_mutex_unlock(&g->lock);
}

const struct pagetrack_ops vgtt_track_ops = {
	.name = "vgtt",
	.prepare = on_prepare,
	.cancel = on_cancel,
	.flush = on_flush,
	.committed = on_committed,
	.write = on_write,
};
