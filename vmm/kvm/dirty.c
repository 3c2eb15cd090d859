/* SPDX-License-Identifier: MIT */
/*
 * dirty.c - from the kernel's dirty log into the slot manager's
 *
 * The slot manager's log is the one that is harvested. What vCPUs write is
 * noted by the kernel first, in a bitmap for each kernel slot or in a ring
 * for each vCPU, and brought over here: when somebody harvests, and before a
 * kernel slot goes that may have been written. Reading the kernel's log takes
 * write permission from the pages it names (api.rst 4.8, 4.117, 8.29), so
 * that a later write is noted again.
 *
 * With KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 that is a second call for the pages
 * that were asked for, and the rest of a large slot is left alone. With a
 * ring, vCPUs are paused: a processor may note writes in memory of its own
 * until it leaves the guest.
 */
#include "vmm/kvm/slots.h"

#include <sys/mman.h>

#define BITS 64u

/* ---- marking ---------------------------------------------------------------------- */

/* Page `page` of word `word` of the kernel slot's log, and so on. */
static void mark_word(
	struct kvm *k, const struct piece *p, uint64_t word, uint64_t bits)
{
	const struct memslot *s =
		memslot_lookup(&k->reader, k->config.space, p->gfn);

	while (s && bits) {
		uint64_t page = word * BITS + (unsigned)__builtin_ctzll(bits);

		if (page < p->pages)
			memslot_mark_dirty(s, p->gfn + page);
		bits &= bits - 1;
	}
}

/* ---- bitmaps ---------------------------------------------------------------------- */

static int get_log(struct kvm *k, uint32_t id)
{
	struct kvm_dirty_log log = {.slot = id, .dirty_bitmap = k->bitmap};

	return sys_ioctl(kvm_faults(k), FAULT_KVM_DIRTY, -ENOMEM, k->fd,
		KVM_GET_DIRTY_LOG, &log);
}

/* Words [first, end) of the slot's log: forget the bits, protect the pages. */
static int clear_log(struct kvm *k, uint32_t id, uint64_t first, uint64_t end)
{
	uint64_t pages = k->live[id].pages;
	uint64_t last = end * BITS < pages ? end * BITS : pages;
	struct kvm_clear_dirty_log log = {
		.slot = id,
		.first_page = first * BITS,
		.num_pages = (uint32_t)(last - first * BITS),
		.dirty_bitmap = k->bitmap + first,
	};

	return sys_ioctl(kvm_faults(k), FAULT_KVM_DIRTY, -ENOMEM, k->fd,
		KVM_CLEAR_DIRTY_LOG, &log);
}

static bool any_bit(const uint64_t *bitmap, uint64_t first, uint64_t end)
{
	while (first < end && !bitmap[first])
		first++;
	return first < end;
}

static int pull_bitmap(struct kvm *k, uint32_t id, uint64_t page, uint64_t end)
{
	const struct piece *p = &k->live[id];
	uint64_t first = 0, last = (p->pages + BITS - 1) / BITS;
	int r = get_log(k, id);

	/* What is cleared must be marked, and nothing else may be. */
	if (k->facts.manual_protect) {
		first = page / BITS;
		last = (end + BITS - 1) / BITS;
	}
	if (r || !any_bit(k->bitmap, first, last))
		return r;
	if (k->facts.manual_protect)
		r = clear_log(k, id, first, last);
	if (r)
		return r;
	memslot_enter(&k->reader);
	for (uint64_t w = first; w < last; w++)
		mark_word(k, p, w, k->bitmap[w]);
	memslot_leave(&k->reader);
	return 0;
}

/* ---- rings ------------------------------------------------------------------------ */

static size_t ring_bytes(const struct kvm *k)
{
	return k->config.dirty_ring * sizeof(struct kvm_dirty_gfn);
}

int dirty_ring_map(struct vcpu *v)
{
	void *p;

	if (!v->kvm->config.dirty_ring)
		return 0;
	p = mmap(NULL, ring_bytes(v->kvm), PROT_READ | PROT_WRITE, MAP_SHARED,
		v->fd, (off_t)(KVM_DIRTY_LOG_PAGE_OFFSET * MEMSLOT_PAGE_SIZE));
	if (p == MAP_FAILED)
		return -errno;
	v->ring = p;
	return 0;
}

void dirty_ring_unmap(struct vcpu *v)
{
	if (v->ring)
		munmap(v->ring, ring_bytes(v->kvm));
}

/*
 * Entries are ours from when the kernel sets DIRTY until we set RESET. They
 * name kernel slots by id: no id is given away before all rings are empty.
 */
static unsigned drain(struct vcpu *v)
{
	struct kvm *k = v->kvm;
	unsigned n;

	for (n = 0; n < k->config.dirty_ring; n++) {
		struct kvm_dirty_gfn *e =
			&v->ring[v->ring_next % k->config.dirty_ring];
		uint32_t flags = __atomic_load_n(&e->flags, __ATOMIC_ACQUIRE);

		if (!(flags & KVM_DIRTY_GFN_F_DIRTY) ||
			(flags & KVM_DIRTY_GFN_F_RESET))
			break;
		if (e->slot < k->facts.slots_max &&
			e->offset < k->live[e->slot].pages)
			mark_word(k, &k->live[e->slot], e->offset / BITS,
				(uint64_t)1 << e->offset % BITS);
		__atomic_store_n(&e->flags, flags | KVM_DIRTY_GFN_F_RESET,
			__ATOMIC_RELEASE);
		v->ring_next++;
	}
	return n;
}

/* A signal may interrupt the kernel's half: it goes on when called again. */
static int pull_rings(struct kvm *k)
{
	unsigned found = 0;
	int r;

	memslot_enter(&k->reader);
	for (unsigned n = 0; n < k->cpus; n++)
		found += drain(&k->vcpu[n]);
	memslot_leave(&k->reader);
	if (!found)
		return 0;
	do
		r = sys_ioctl(kvm_faults(k), FAULT_KVM_DIRTY, -ENOMEM, k->fd,
			KVM_RESET_DIRTY_RINGS, NULL);
	while (r == -EINTR);
	return r < 0 ? r : 0;
}

int dirty_ring_full(struct vcpu *v)
{
	struct kvm *k = v->kvm;
	int r;

	pthread_mutex_lock(&k->slots_lock);
	r = pull_rings(k);
	pthread_mutex_unlock(&k->slots_lock);
	return r;
}

/* ---- both -------------------------------------------------------------------------- */

int dirty_enable(struct kvm *k, struct memslot_error *err)
{
	struct kvm_enable_cap cap = {0};
	int r;

	if (k->config.dirty_ring) {
		cap.cap = k->facts.ring_cap;
		cap.args[0] = ring_bytes(k);
	} else if (k->facts.manual_protect) {
		cap.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2;
		cap.args[0] = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
	} else {
		return 0;
	}
	r = sys_ioctl(kvm_faults(k), FAULT_KVM_DIRTY, -ENOMEM, k->fd,
		KVM_ENABLE_CAP, &cap);
	return r ? memslot_fail(err, r,
			   "KVM: the dirty log cannot be set up (%d); a ring "
			   "has a power of two of entries, 1024 to %u",
			   r, k->facts.ring_entries)
		 : 0;
}

int dirty_pull(struct kvm *k, uint32_t id, uint64_t page, uint64_t end)
{
	return k->config.dirty_ring ? pull_rings(k)
				    : pull_bitmap(k, id, page, end);
}

/* The pages of [gfn, end) that this kernel slot has. */
static int sync_one(struct kvm *k, uint32_t id, gfn_t gfn, gfn_t end)
{
	const struct piece *p = &k->live[id];
	gfn_t lo = gfn > p->gfn ? gfn : p->gfn;
	gfn_t hi = end < p->gfn + p->pages ? end : p->gfn + p->pages;

	if (!(p->flags & PIECE_LOG) || lo >= hi)
		return 0;
	return pull_bitmap(k, id, lo - p->gfn, hi - p->gfn);
}

/* A harvest is of one slot, and holds the transaction lock: it stays. */
static int sync_bitmaps(struct kvm *k, gfn_t gfn, gfn_t end)
{
	const struct memslot *s;
	const struct group *g;
	int r = 0;

	memslot_enter(&k->reader);
	s = memslot_lookup(&k->reader, k->config.space, gfn);
	g = s ? k->group[s->id] : NULL;
	memslot_leave(&k->reader);
	for (unsigned i = 0; !r && g && i < g->count; i++)
		r = sync_one(k, g->id[i], gfn, end);
	return r;
}

int dirty_sync(struct kvm *k, gfn_t gfn, gfn_t end)
{
	int r;

	if (!k->config.dirty_ring)
		return sync_bitmaps(k, gfn, end);
	pause_begin(k);
	r = pull_rings(k);
	pause_end(k);
	return r;
}
