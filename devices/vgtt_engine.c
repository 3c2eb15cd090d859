/* SPDX-License-Identifier: MIT */
/*
 * vgtt_engine.c - loads and stores through the shadow, and what is made of
 * them
 *
 * A page is found in the shadow: its entry, and where it is in host memory.
 * The second is looked up at first use and kept; a transaction makes it
 * forgotten (`epoch`), and while one runs nothing is kept. So a host address
 * is used only under `lock`, with no transaction between its lookup and its
 * use: on_prepare() in vgtt_shadow.c waits for the lock.
 *
 * A store also needs the slot, to mark the page dirty and to tell the
 * tracker. It may hit a page of the device's own table, so it is reported
 * with no lock held.
 */
#include "devices/vgtt_internal.h"

#include <errno.h>
#include <string.h>

/* One access to one page; the bytes are in `bytes`, or come there. */
struct vgtt_access {
	bool store;
	uint8_t *bytes;
	size_t len;
	gpa_t gpa; /* out: of the first byte */
	/* stores: to be reported, with the bytes before if that is wanted */
	bool tracked, has_old;
	struct pagetrack_hold hold;
	uint8_t old[MEMSLOT_PAGE_SIZE];
};

int vgtt_wait(struct vgtt *g)
{
	pthread_mutex_unlock(&g->lock);
	memslot_wait_valid(&g->waiter);
	pthread_mutex_lock(&g->lock);
	return memslots_broken(g->config.slots) ? -EIO : 0;
}

/* The kept host address of an entry's page; NULL: look it up. */
static uint8_t **kept_host(
	struct vgtt *g, struct vgtt_leaf *leaf, unsigned index)
{
	if (leaf->epoch != g->epoch) {
		memset(leaf->host, 0, sizeof(leaf->host));
		leaf->epoch = g->epoch;
	}
	return &leaf->host[index];
}

/* Inside a read section. */
static void put_bytes(struct vgtt *g, struct vgtt_access *a,
	const struct memslot *s, uint8_t *at)
{
	const gfn_t gfn = a->gpa >> MEMSLOT_PAGE_SHIFT;

	a->has_old = pagetrack_wants_old(g->config.track);
	if (a->has_old)
		memcpy(a->old, at, a->len);
	memcpy(at, a->bytes, a->len);
	memslot_mark_dirty(s, gfn);
	a->tracked = memslot_page_tracked(s, gfn);
	if (a->tracked)
		pagetrack_hold(g->config.track, &a->hold, 0, a->gpa, a->len);
}

static int touch_slot(struct vgtt *g, struct vgtt_access *a, uint8_t **kept)
{
	const struct memslot *s =
		memslot_lookup(&g->reader, 0, a->gpa >> MEMSLOT_PAGE_SHIFT);
	const uint64_t into = a->gpa & MEMSLOT_PAGE_MASK;
	uint8_t *host;

	if (!s || (a->store && s->flags & MEMSLOT_READONLY))
		return -EFAULT;
	if (memslot_is_invalid(s))
		return -EBUSY;
	host = memslot_host(s, a->gpa - into);
	if (!g->changing) {
		if (!*kept)
			*kept = host;
		host = *kept;
	}
	if (a->store)
		put_bytes(g, a, s, host + into);
	else
		memcpy(a->bytes, host + into, a->len);
	return 0;
}

/* Under `lock`. -EFAULT, -EBUSY. */
static int touch(struct vgtt *g, uint64_t address, struct vgtt_access *a)
{
	struct vgtt_leaf *leaf;
	unsigned index;
	uint64_t entry;
	uint8_t **kept;
	int r = vgtt_walk(g, address, &leaf, &index);

	if (r)
		return r;
	entry = leaf->table.entry[index];
	if (a->store && !(entry & VGTT_ENTRY_WRITE))
		return -EFAULT;
	a->gpa = (entry & VGTT_ENTRY_ADDRESS) | (address & MEMSLOT_PAGE_MASK);
	kept = kept_host(g, leaf, index);
	if (!a->store && !g->changing && *kept) {
		memcpy(a->bytes, *kept + (address & MEMSLOT_PAGE_MASK), a->len);
		return 0;
	}
	memslot_enter(&g->reader);
	r = touch_slot(g, a, kept);
	memslot_leave(&g->reader);
	return r;
}

static void report(struct vgtt *g, struct vgtt_access *a)
{
	const struct pagetrack_write w = {
		.gpa = a->gpa,
		.bytes = a->bytes,
		.old = a->has_old ? a->old : NULL,
		.len = a->len,
		.source = {PAGETRACK_DEVICE, g->pci.number},
	};

	pagetrack_report(g->config.track, &a->hold, &w);
}

/* `len` bytes that lie in one page. -EFAULT and reg_fault, -EIO. */
static int access_page(
	struct vgtt *g, uint64_t address, bool store, void *bytes, size_t len)
{
	struct vgtt_access a;
	int r;

	a.store = store;
	a.bytes = bytes;
	a.len = len;
	a.tracked = false;
	pthread_mutex_lock(&g->lock);
	while ((r = touch(g, address, &a)) == -EBUSY)
		if ((r = vgtt_wait(g)))
			break;
	if (r == -EFAULT)
		g->reg_fault = address;
	pthread_mutex_unlock(&g->lock);
	if (!r && a.tracked)
		report(g, &a);
	return r;
}

/* ---- the engine ------------------------------------------------------------- */

static size_t in_page(uint64_t address, uint64_t len)
{
	const uint64_t left = MEMSLOT_PAGE_SIZE - (address & MEMSLOT_PAGE_MASK);

	return (size_t)(len < left ? len : left);
}

int vgtt_fill(struct vgtt *g, uint64_t target, uint64_t len, uint64_t value)
{
	uint64_t word[MEMSLOT_PAGE_SIZE / 8];
	int r = 0;

	for (size_t i = 0; i < MEMSLOT_PAGE_SIZE / 8; i++)
		word[i] = value;
	while (!r && len) {
		size_t n = in_page(target, len);

		r = access_page(g, target, true, word, n);
		target += n;
		len -= n;
	}
	return r;
}

int vgtt_copy(struct vgtt *g, uint64_t source, uint64_t target, uint64_t len)
{
	uint64_t word[MEMSLOT_PAGE_SIZE / 8];
	int r = 0;

	while (!r && len) {
		size_t n = in_page(source, in_page(target, len));

		r = access_page(g, source, false, word, n);
		if (!r)
			r = access_page(g, target, true, word, n);
		source += n;
		target += n;
		len -= n;
	}
	return r;
}

int vgtt_add_up(struct vgtt *g, uint64_t source, uint64_t len, uint64_t *sum)
{
	uint64_t word[MEMSLOT_PAGE_SIZE / 8];
	int r = 0;

	*sum = 0;
	while (!r && len) {
		size_t n = in_page(source, len);

		r = access_page(g, source, false, word, n);
		if (!r)
			*sum = vgtt_sum(*sum, word, n / 8);
		source += n;
		len -= n;
	}
	return r;
}
