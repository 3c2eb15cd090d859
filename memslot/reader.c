/* SPDX-License-Identifier: MIT */
/*
 * reader.c - read sections, grace periods, lookups
 *
 * Each reader counts in a cache line of its own: odd inside a section, even
 * outside. A grace period notes all counts, and waits until those that were
 * odd have changed. Two orders make this right, both by sequentially
 * consistent accesses:
 *
 *   reader: count up to odd,   then load the published set
 *   writer: publish the set,   then load each reader's count
 *
 * so that a writer that sees a reader outside knows that the reader, should
 * it enter now, will see what was published before; and
 *
 *   reader: count up to even,  then load `asked`
 *   writer: store asked 1,     then load the reader's count
 *
 * so that either the writer sees the reader gone or the reader sees that it
 * has to wake the writer.
 */
#include "memslot/internal.h"

/*
 * A look takes the reader's cache line away from it, and each publication
 * the top of the map: both cost a reader more than many lookups. So a grace
 * period that finds somebody inside relaxes before it looks again. Briefly
 * while slots are invalid and a guest may wait; longer before the old set is
 * freed, for which only the writer waits. (bench_core readers: without this
 * a writer at full speed takes a fifth of the readers' throughput.)
 */
#define GRACE_BRIEF_NS  2000
#define GRACE_GENTLE_NS 40000
#define GRACE_LOOKS     4   /* before sleeping */
#define GRACE_SPINS     400 /* of one relaxation, at most: clocks may stop */

static void relax_once(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#elif defined(__riscv)
	__asm__ volatile(".4byte 0x0100000f"); /* pause, a hint */
#endif
}

static void relax(struct memslots *ms, uint64_t ns)
{
	const struct memslot_platform *pf = ms->pf;
	uint64_t start = pf->now_ns(pf->ctx);

	for (unsigned i = 0; i < GRACE_SPINS; i++) {
		for (unsigned n = 0; n < 8; n++) /* clocks are slow */
			relax_once();
		if (pf->now_ns(pf->ctx) - start >= ns)
			return;
	}
}

void memslot_reader_init(struct memslot_reader *r, struct memslots *ms,
	void (*kick)(void *ctx), void *kick_ctx)
{
	memset(r, 0, sizeof(*r));
	r->ms = ms;
	r->kick = kick;
	r->kick_ctx = kick_ctx;
	memslot_lock(&ms->readers_lock, ms->pf);
	r->next = ms->readers;
	ms->readers = r;
	memslot_unlock(&ms->readers_lock, ms->pf);
}

void memslot_reader_fini(struct memslot_reader *r)
{
	struct memslots *ms = r->ms;

	memslot_lock(&ms->readers_lock, ms->pf);
	for (struct memslot_reader **at = &ms->readers; *at; at = &(*at)->next)
		if (*at == r) {
			*at = r->next;
			break;
		}
	memslot_unlock(&ms->readers_lock, ms->pf);
}

/* Only this thread writes the count. */
static uint64_t count(const struct memslot_reader *r)
{
	return atomic_load_explicit(&r->section, memory_order_relaxed);
}

void memslot_enter(struct memslot_reader *r)
{
	struct memslots *ms = r->ms;

	atomic_store(&r->section, (count(r) + 1) | 1);
	r->set = atomic_load(&ms->set);
	/* The last hit is a slot of another set: it may have been freed. */
	if (r->set->generation != r->last_generation) {
		r->last_pages = 0;
		r->last_generation = r->set->generation;
	}
}

void memslot_leave(struct memslot_reader *r)
{
	const struct memslot_platform *pf = r->ms->pf;

	atomic_store(&r->section, (count(r) | 1) + 1);
	if (atomic_load(&r->asked)) {
		atomic_store(&r->asked, 0);
		pf->wake(pf->ctx, &r->asked);
	}
}

void memslot_wait_valid(struct memslot_reader *r)
{
	struct memslots *ms = r->ms;
	uint32_t seen;

	if (ms_owns_txn(ms))
		return; /* it would wait for itself */
	atomic_fetch_add(&ms->waiting, 1);
	while ((seen = atomic_load(&ms->window)) & 1)
		ms->pf->wait(ms->pf->ctx, &ms->window, seen);
	atomic_fetch_sub(&ms->waiting, 1);
}

/* Has it been outside since the grace period began? */
static bool reader_passed(struct memslot_reader *r)
{
	return !(r->seen & 1) || atomic_load(&r->section) != r->seen;
}

static void wait_for_reader(
	struct memslots *ms, struct memslot_reader *r, uint64_t relax_ns)
{
	for (unsigned look = 1; look < GRACE_LOOKS; look++) {
		if (reader_passed(r))
			return;
		relax(ms, relax_ns);
	}
	while (!reader_passed(r)) {
		atomic_store(&r->asked, 1);
		if (reader_passed(r))
			return;
		ms->pf->wait(ms->pf->ctx, &r->asked, 1);
	}
}

static void synchronize(struct memslots *ms, uint64_t relax_ns)
{
	bool inside = false;

	memslot_lock(&ms->readers_lock, ms->pf);
	for (struct memslot_reader *r = ms->readers; r; r = r->next) {
		r->seen = atomic_load(&r->section);
		if (!(r->seen & 1))
			continue;
		inside = true;
		if (r->kick)
			r->kick(r->kick_ctx);
	}
	if (inside)
		relax(ms, relax_ns);
	for (struct memslot_reader *r = ms->readers; r; r = r->next)
		wait_for_reader(ms, r, relax_ns);
	memslot_unlock(&ms->readers_lock, ms->pf);
}

void memslots_synchronize(struct memslots *ms)
{
	synchronize(ms, GRACE_BRIEF_NS);
}

void ms_synchronize_gently(struct memslots *ms)
{
	synchronize(ms, GRACE_GENTLE_NS);
}

/* ---- lookups ------------------------------------------------------------ */

const struct memslot *memslot_search(
	struct memslot_reader *r, unsigned space, gfn_t gfn)
{
	const struct map_node *leaf;
	uint64_t key = gfn_key(space, gfn), into, pages;
	unsigned i;

	/* Such a key would be another page's. One test for both. */
	if ((gfn / (MEMSLOT_GPA_LIMIT >> MEMSLOT_PAGE_SHIFT)) |
		(space / MEMSLOT_SPACES_MAX))
		return NULL;
	leaf = map_seek(r->set->by_gfn, key, &i);
	if (!leaf)
		return NULL;
	into = key - leaf->key[i]; /* huge if the first entry begins later */
	pages = leaf->end[i] - leaf->key[i];
	if (into >= pages)
		return NULL;
	r->last_space = space;
	r->last_gfn = gfn - into;
	r->last_pages = pages;
	r->last = leaf->ptr[i];
	return r->last;
}

const struct memslot *memslot_by_id(
	struct memslot_reader *r, unsigned space, unsigned id)
{
	if (space >= r->ms->spaces || id >= MEMSLOT_IDS_MAX)
		return NULL;
	return map_find(r->set->by_id, id_key(space, id));
}

const struct memslot *memslot_by_host(
	struct memslot_reader *r, const void *host, const struct memslot *prev)
{
	const uint64_t any = ((uint64_t)1 << HOST_KEY_SHIFT) - 1;
	uint64_t from = 0;
	const void *value;

	if ((uint64_t)(uintptr_t)host >= MEMSLOT_HOST_LIMIT)
		return NULL;
	if (prev)
		from = host_key(prev->host, id_key(prev->space, prev->id)) + 1;
	value = map_stab(
		r->set->by_host, from, host_key(host, any), host_key(host, 0));
	return value ? map_find(r->set->by_id, host_value_id_key(value)) : NULL;
}

const struct memslot *memslot_next(
	struct memslot_reader *r, unsigned space, gfn_t gfn)
{
	const struct memslot *s = memslot_search(r, space, gfn);

	/* Beyond the limit the key would be one of the next space. */
	if (s || space >= r->ms->spaces ||
		gfn >= MEMSLOT_GPA_LIMIT >> MEMSLOT_PAGE_SHIFT)
		return s;
	s = map_ceiling(r->set->by_gfn, gfn_key(space, gfn));
	return s && s->space == space ? s : NULL;
}

const struct memslot *memslot_enter_at(
	struct memslot_reader *r, unsigned space, gfn_t gfn)
{
	const struct memslot *s;

	for (;;) {
		memslot_enter(r);
		s = memslot_lookup(r, space, gfn);
		if (!s || !memslot_is_invalid(s))
			return s;
		/*
		 * A callback of the transaction itself: the memory is there,
		 * and nobody else uses it meanwhile.
		 */
		if (ms_owns_txn(r->ms))
			return s;
		if (memslots_broken(r->ms))
			return NULL;
		memslot_leave(r);
		memslot_wait_valid(r);
	}
}
