/* SPDX-License-Identifier: MIT */
/*
 * einval.c - which rule it was
 *
 * The kernel says EINVAL for a dozen reasons and EEXIST for one. Each
 * documented rule is checked here again (api.rst 4.35, in the order in which
 * kvm_set_memory_region() looks at them) and the one that was broken named.
 */
#include "vmm/kvm/slots.h"

#include <cpuid.h>

#define USER_END ((uint64_t)1 << 47) /* of addresses, with 4-level paging */

static const char *const doing[] = {
	[STEP_CREATE] = "create",
	[STEP_DELETE] = "delete",
	[STEP_MOVE] = "move",
	[STEP_FLAGS] = "change the flags of",
};

static unsigned physical_bits(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000008, &a, &b, &c, &d) ? a & 0xff : 36;
}

/* One of our own that is in the way; NULL: it is somebody else's. */
static const struct piece *in_the_way(const struct kvm *k, const struct step *s)
{
	for (uint32_t id = 0; id < k->facts.slots_max; id++) {
		const struct piece *p = &k->live[id];

		if (p->pages && id != s->id &&
			p->gfn < s->to.gfn + s->to.pages &&
			s->to.gfn < p->gfn + p->pages)
			return p;
	}
	return NULL;
}

static void explain_overlap(
	const struct kvm *k, const struct step *s, struct memslot_error *err)
{
	const struct piece *p = in_the_way(k, s);

	if (p)
		memslot_fail(err, -EEXIST,
			"KVM: kernel slot of pages [%#llx,%#llx) overlaps one "
			"of [%#llx,%#llx)",
			(ull)s->to.gfn, (ull)(s->to.gfn + s->to.pages),
			(ull)p->gfn, (ull)(p->gfn + p->pages));
	else
		memslot_fail(err, -EEXIST,
			"KVM: pages [%#llx,%#llx) overlap a kernel slot that "
			"this program did not create",
			(ull)s->to.gfn, (ull)(s->to.gfn + s->to.pages));
}

/* False: no rule that we know of. */
static bool explain_range(const struct step *s, struct memslot_error *err)
{
	const struct piece *p = s->kind == STEP_DELETE ? &s->from : &s->to;
	uint64_t size = p->pages << MEMSLOT_PAGE_SHIFT;
	uint64_t host = (uintptr_t)p->host;
	unsigned bits = physical_bits();

	if (host % MEMSLOT_PAGE_SIZE)
		memslot_fail(err, -EINVAL,
			"KVM: host address %#llx is no multiple of 4096",
			(ull)host);
	else if (host + size < host || host + size > USER_END)
		memslot_fail(err, -EINVAL,
			"KVM: host memory [%#llx,%#llx) is not below %#llx, "
			"where a program's addresses end",
			(ull)host, (ull)(host + size), (ull)USER_END);
	else if (p->pages > MEMSLOT_PAGES_MAX)
		memslot_fail(err, -EINVAL,
			"KVM: %llu pages are more than a kernel slot's %llu",
			(ull)p->pages, (ull)MEMSLOT_PAGES_MAX);
	else if (bits < 52 &&
		 (p->gfn + p->pages - 1) >> (bits - MEMSLOT_PAGE_SHIFT))
		memslot_fail(err, -EINVAL,
			"KVM: page %#llx is beyond the %u bits of this "
			"processor's physical addresses",
			(ull)(p->gfn + p->pages - 1), bits);
	else
		return false;
	return true;
}

static void explain_inval(const struct step *s, struct memslot_error *err)
{
	if (explain_range(s, err))
		return;
	memslot_fail(err, -EINVAL,
		"KVM: kernel slot %u cannot be used for pages [%#llx,%#llx): "
		"it belongs to something that this program did not create, or "
		"is gone",
		s->id, (ull)s->to.gfn, (ull)(s->to.gfn + s->to.pages));
}

void explain(const struct kvm *k, const struct step *s, int code,
	struct memslot_error *err)
{
	if (!s)
		memslot_fail(err, code,
			"KVM: the kernel does not hand out its dirty log (%d)",
			code);
	else if (code == -EEXIST)
		explain_overlap(k, s, err);
	else if (code == -EINVAL)
		explain_inval(s, err);
	else
		memslot_fail(err, code,
			"KVM: the kernel would not %s a slot of %llu pages at "
			"page %#llx (%d)",
			doing[s->kind],
			(ull)(s->kind == STEP_DELETE ? s->from : s->to).pages,
			(ull)(s->kind == STEP_DELETE ? s->from : s->to).gfn,
			code);
}
