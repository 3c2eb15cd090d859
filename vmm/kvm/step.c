/* SPDX-License-Identifier: MIT */
/*
 * step.c - writes to tracked pages that the kernel's emulator cannot do
 *
 * A write to a read-only slot is emulated by the kernel, which knows most
 * instructions and not all, and stops with an internal error at others. It
 * also does when the write is part of delivering an exception. Then:
 *
 *   - all other vCPUs are held outside the guest
 *   - tracked pages are copied, and become writable
 *   - this vCPU executes one instruction, natively
 *   - what differs from the copies has been written, and is reported
 *
 * A write of what was there before leaves no trace and is not reported. Where
 * the error was about something else, the step fails the same way, and the
 * machine stops as it would have.
 */
#include "vmm/kvm/slots.h"

#include <stdlib.h>

/* A tracked page, as it was before the step. */
struct shot {
	struct shot *next;
	gfn_t gfn;
	uint8_t *host;
	uint8_t bytes[MEMSLOT_PAGE_SIZE];
	/* if it was written: */
	bool tracked;
	size_t lo, hi; /* the bytes that differ */
	struct pagetrack_hold hold;
	uint8_t now[MEMSLOT_PAGE_SIZE];
};

/* ---- the copies -------------------------------------------------------------------- */

static void free_shots(struct shot *list)
{
	while (list) {
		struct shot *s = list;

		list = s->next;
		free(s);
	}
}

static struct shot *shoot(struct kvm *k, gfn_t gfn, uint8_t *host)
{
	struct shot *s = NULL;

	if (!FAULT(kvm_faults(k), FAULT_KVM_STEP))
		s = malloc(sizeof(*s));
	if (!s)
		return NULL;
	s->gfn = gfn;
	s->host = host;
	memcpy(s->bytes, host, MEMSLOT_PAGE_SIZE);
	return s;
}

/* All tracked pages of writable slots: which one it is, nobody tells us. */
static int shoot_all(struct kvm *k, struct shot **list)
{
	const struct memslot *s;
	gfn_t gfn = 0;
	int r = 0;

	memslot_enter(&k->reader);
	while (!r && (s = memslot_next(&k->reader, k->config.space, gfn))) {
		for (gfn = s->base_gfn; !(s->flags & MEMSLOT_READONLY) &&
					memslot_next_tracked(s, &gfn);
			gfn++) {
			struct shot *shot = shoot(k, gfn,
				memslot_host(s, gfn << MEMSLOT_PAGE_SHIFT));

			if (!shot) {
				r = -ENOMEM;
				break;
			}
			shot->next = *list;
			*list = shot;
		}
		gfn = s->base_gfn + s->size_pages;
	}
	memslot_leave(&k->reader);
	return r;
}

/* ---- what was written ----------------------------------------------------------------- */

static void compare(struct kvm *k, struct shot *s)
{
	const struct memslot *slot;
	size_t lo = 0, hi = MEMSLOT_PAGE_SIZE;

	s->tracked = false;
	s->hi = 0;
	if (memcmp(s->host, s->bytes, MEMSLOT_PAGE_SIZE) == 0)
		return;
	while (s->host[lo] == s->bytes[lo])
		lo++;
	while (s->host[hi - 1] == s->bytes[hi - 1])
		hi--;
	s->lo = lo;
	s->hi = hi;
	memcpy(s->now, s->host, MEMSLOT_PAGE_SIZE);
	memslot_enter(&k->reader);
	slot = memslot_lookup(&k->reader, k->config.space, s->gfn);
	if (slot) {
		memslot_mark_dirty(slot, s->gfn);
		s->tracked =
			k->config.track && memslot_page_tracked(slot, s->gfn);
	}
	if (s->tracked)
		pagetrack_hold(k->config.track, &s->hold, k->config.space,
			(s->gfn << MEMSLOT_PAGE_SHIFT) + lo, hi - lo);
	memslot_leave(&k->reader);
}

static void report(struct vcpu *v, struct shot *s)
{
	struct pagetrack_write w = {
		.space = v->kvm->config.space,
		.gpa = (s->gfn << MEMSLOT_PAGE_SHIFT) + s->lo,
		.bytes = s->now + s->lo,
		.old = s->bytes + s->lo,
		.len = s->hi - s->lo,
		.source = {PAGETRACK_CPU, v->index},
	};

	if (s->tracked)
		pagetrack_report(v->kvm->config.track, &s->hold, &w);
}

/* ---- the step ---------------------------------------------------------------------------- */

static int debug(struct vcpu *v, bool step)
{
	struct kvm_guest_debug d = {0};

	if (step) {
		d.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
		if (v->kvm->facts.step_alone)
			d.control |= KVM_GUESTDBG_BLOCKIRQ;
	}
	return sys_ioctl(kvm_faults(v->kvm), FAULT_KVM_STEP, -ENOMEM, v->fd,
		KVM_SET_GUEST_DEBUG, &d);
}

/*
 * The others are held, this one is not: it goes in although vCPUs are paused.
 * A kick meant for the others only makes it try again.
 */
static int run_alone(struct vcpu *v)
{
	struct kvm *k = v->kvm;
	int r = -EINTR;

	while (r == -EINTR) {
		__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		atomic_store(&v->in_guest, true);
		if (atomic_load(&k->stop) != STOP_NONE)
			break;
		r = sys_ioctl(NULL, 0, 0, v->fd, KVM_RUN, NULL);
		v->stats.exits++;
		atomic_store(&v->in_guest, false);
	}
	atomic_store(&v->in_guest, false);
	return r;
}

static int one_instruction(struct vcpu *v)
{
	int r = debug(v, true);

	if (!r)
		r = run_alone(v);
	/* Left on, it would only make exits that are passed over. */
	(void)debug(v, false);
	return r;
}

/* With slots_lock held and the others paused. */
static int step_locked(struct vcpu *v, struct shot **list)
{
	const gfn_t all = MEMSLOT_GPA_LIMIT >> MEMSLOT_PAGE_SHIFT;
	struct kvm *k = v->kvm;
	struct memslot_error err;
	int r, closed;

	r = shoot_all(k, list);
	if (!r)
		r = slots_sync(k, 0, all, true, &err);
	if (r) {
		vcpu_fail(v, "vCPU %u: no memory to step over a write (%d)",
			v->index, r);
		return r;
	}
	r = one_instruction(v);
	for (struct shot *s = *list; s; s = s->next)
		compare(k, s);
	closed = slots_sync(k, 0, all, false, &err);
	if (closed)
		vcpu_fail(v, "%s", err.text);
	return closed ? closed : r;
}

bool step_over(struct vcpu *v)
{
	struct kvm *k = v->kvm;
	struct shot *list = NULL;
	int r;

	pthread_mutex_lock(&k->slots_lock);
	pause_begin_for(v);
	r = step_locked(v, &list);
	pause_end_for(v);
	pthread_mutex_unlock(&k->slots_lock);
	for (struct shot *s = list; s; s = s->next)
		report(v, s);
	free_shots(list);
	v->stats.steps++;
	if (r < 0 && r != -EINTR && r != -EAGAIN)
		vcpu_fail(v, "vCPU %u: a single step failed (%d)", v->index, r);
	return r >= 0;
}
