/* SPDX-License-Identifier: MIT */
/*
 * dirty.c - what the kernel has logged goes into the slot manager's log
 *
 * The kernel logs writes of vCPUs to the kernel slots that have the flag; the
 * slot manager's log has those of everybody else. Before somebody harvests,
 * and before a kernel slot goes, the one is added to the other. Where
 * KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 is there, only the pages that are asked
 * for are protected again; without it, reading the log protects the whole
 * kernel slot. (api.rst 4.8 KVM_GET_DIRTY_LOG, 4.117 KVM_CLEAR_DIRTY_LOG)
 */
#include "vmm/kvm/internal.h"

#define WORDS (KVM_SLOT_PAGES / 64)

static int get_log(struct kvm *k, unsigned id, uint64_t *bits)
{
	struct kvm_dirty_log log = {.slot = id, .dirty_bitmap = bits};

	return sys_ioctl(kvm_faults(k), FAULT_KVM_LOG, -ENOMEM, k->fd,
		KVM_GET_DIRTY_LOG, &log);
}

static int clear_log(struct kvm *k, unsigned id, uint64_t *bits, uint64_t first,
	uint64_t end)
{
	struct kvm_clear_dirty_log log = {
		.slot = id,
		.first_page = first,
		.num_pages = (uint32_t)(end - first),
		.dirty_bitmap = &bits[first / 64],
	};

	return sys_ioctl(kvm_faults(k), FAULT_KVM_LOG, -ENOMEM, k->fd,
		KVM_CLEAR_DIRTY_LOG, &log);
}

static void mark(const struct memslot *s, gfn_t gfn, const uint64_t *bits,
	uint64_t first, uint64_t end)
{
	for (uint64_t word = first / 64; word * 64 < end; word++)
		for (uint64_t left = bits[word]; left; left &= left - 1)
			memslot_mark_dirty(
				s, gfn + word * 64 +
					   (unsigned)__builtin_ctzll(left));
}

int dirty_sync_slot(struct kvm *k, const struct kslot *ks,
	const struct memslot *s, uint64_t first, uint64_t end)
{
	uint64_t bits[WORDS] = {0};
	const uint64_t pages = ks->piece.pages;
	int r = get_log(k, ks->id, bits);

	if (r)
		return r;
	/* Clearing wants multiples of 64 pages, or the end. */
	first -= first % 64;
	end = (end + 63) / 64 * 64;
	if (!k->facts.manual_protect || end > pages)
		end = pages;
	if (!k->facts.manual_protect)
		first = 0;
	mark(s, ks->piece.gfn, bits, first, end);
	return k->facts.manual_protect ? clear_log(k, ks->id, bits, first, end)
				       : 0;
}

/* With the transaction lock held: the map and the books agree. */
int dirty_sync(void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages,
	struct memslot_error *err)
{
	struct kvm *k = ctx;
	const gfn_t end = gfn + size_pages;
	const struct memslot *s;
	int r = 0;

	if (space != k->config.space)
		return 0;
	pthread_mutex_lock(&k->change_lock);
	memslot_enter(&k->reader);
	s = memslot_lookup(&k->reader, space, gfn);
	if (s) {
		const struct layout *l = &k->layout[s->id];
		unsigned i = layout_find(l, gfn);

		for (; !r && i < l->count && l->slot[i].piece.gfn < end; i++) {
			const struct piece *p = &l->slot[i].piece;
			gfn_t lo = gfn > p->gfn ? gfn : p->gfn;
			gfn_t hi = end < p->gfn + p->pages ? end
							   : p->gfn + p->pages;

			if (p->flags & KVM_MEM_LOG_DIRTY_PAGES)
				r = dirty_sync_slot(k, &l->slot[i], s,
					lo - p->gfn, hi - p->gfn);
		}
	}
	memslot_leave(&k->reader);
	pthread_mutex_unlock(&k->change_lock);
	return r ? memslot_fail(err, r,
			   "KVM: the dirty log of pages %#llx to %#llx cannot "
			   "be read (%d)",
			   (ull)gfn, (ull)end - 1, r)
		 : 0;
}
