/* SPDX-License-Identifier: MIT */
/*
 * einval.c - which rule was broken
 *
 * The kernel says EINVAL or EEXIST for a dozen reasons and names none. Each
 * documented rule (api.rst 4.35, and the checks at the head of the kernel's
 * kvm_set_memory_region()) is checked here again, against the books.
 */
#include "vmm/kvm/internal.h"

static const char *const step_name[] = {
	[STEP_DELETE] = "delete",
	[STEP_MOVE] = "move",
	[STEP_FLAGS] = "change logging of",
	[STEP_CREATE] = "create",
};

#define STEP_FMT "KVM refused to %s kernel slot %u at [%#llx, %#llx): "
#define STEP_ARGS(s, p)                                                     \
	step_name[(s)->kind], (s)->id, (ull)(p)->gfn << MEMSLOT_PAGE_SHIFT, \
		(ull)((p)->gfn + (p)->pages) << MEMSLOT_PAGE_SHIFT

/* A kernel slot in the books, not this one, that overlaps the piece. */
static const struct kslot *overlapped(
	const struct kvm *k, unsigned id, const struct piece *p)
{
	for (unsigned n = 0; n < MEMSLOT_IDS_MAX; n++) {
		const struct layout *l = &k->layout[n];
		unsigned i = layout_find(l, p->gfn);

		if (i < l->count && l->slot[i].id != id &&
			l->slot[i].piece.gfn < p->gfn + p->pages)
			return &l->slot[i];
	}
	return NULL;
}

static int explain_eexist(struct kvm *k, const struct step *s,
	const struct piece *p, struct memslot_error *err)
{
	const struct kslot *other = overlapped(k, s->id, p);

	if (!other)
		return memslot_fail(err, -EEXIST,
			STEP_FMT "it overlaps a kernel slot that somebody "
				 "else has made in this VM",
			STEP_ARGS(s, p));
	return memslot_fail(err, -EEXIST,
		STEP_FMT "it overlaps kernel slot %u at [%#llx, %#llx)",
		STEP_ARGS(s, p), other->id,
		(ull)other->piece.gfn << MEMSLOT_PAGE_SHIFT,
		(ull)(other->piece.gfn + other->piece.pages)
			<< MEMSLOT_PAGE_SHIFT);
}

static int explain_einval(struct kvm *k, const struct step *s,
	const struct piece *p, struct memslot_error *err)
{
	if (s->id >= k->facts.slots_max)
		return memslot_fail(err, -EINVAL, STEP_FMT "ids end at %u",
			STEP_ARGS(s, p), k->facts.slots_max);
	if ((uintptr_t)p->host & MEMSLOT_PAGE_MASK)
		return memslot_fail(err, -EINVAL,
			STEP_FMT "host address %p is not page aligned",
			STEP_ARGS(s, p), (void *)p->host);
	if ((uintptr_t)p->host >> 47)
		return memslot_fail(err, -EINVAL,
			STEP_FMT "host address %p is not this process's",
			STEP_ARGS(s, p), (void *)p->host);
	if (p->pages > MEMSLOT_PAGES_MAX)
		return memslot_fail(err, -EINVAL,
			STEP_FMT "a slot has at most %llu pages",
			STEP_ARGS(s, p), (ull)MEMSLOT_PAGES_MAX);
	if (k->config.irqchip &&
		p->gfn << MEMSLOT_PAGE_SHIFT < KVM_PRIVATE_END &&
		(p->gfn + p->pages) << MEMSLOT_PAGE_SHIFT > KVM_PRIVATE_BASE)
		return memslot_fail(err, -EINVAL,
			STEP_FMT "[%#llx, %#llx) is the kernel's own",
			STEP_ARGS(s, p), (ull)KVM_PRIVATE_BASE,
			(ull)KVM_PRIVATE_END);
	if (s->kind == STEP_MOVE)
		return memslot_fail(err, -EINVAL,
			STEP_FMT "the address is above what this processor "
				 "has, or a device of the kernel's (KVMGT) "
				 "tracks this VM",
			STEP_ARGS(s, p));
	return memslot_fail(err, -EINVAL,
		STEP_FMT "the address is above what this processor has, or "
			 "somebody else uses this kernel slot",
		STEP_ARGS(s, p));
}

int einval_explain(struct kvm *k, const struct step *s, int code,
	struct memslot_error *err)
{
	const struct piece *p = s->kind == STEP_DELETE ? &s->from : &s->to;

	switch (code) {
	case -EEXIST:
		return explain_eexist(k, s, p, err);
	case -EINVAL:
		return explain_einval(k, s, p, err);
	case -ENOMEM:
		return memslot_fail(err, code,
			STEP_FMT "the kernel has no memory for it",
			STEP_ARGS(s, p));
	default:
		return memslot_fail(
			err, code, STEP_FMT "error %d", STEP_ARGS(s, p), code);
	}
}
