/* SPDX-License-Identifier: MIT */
/*
 * soft.c - the embedded CPU as a machine: create, run, stop, take part
 *
 * Its part in a transaction is small. There is nothing to prepare and
 * nothing to apply: translations are refilled from the published set on
 * demand. `flush` and `protect` post to every hart's mailbox and then wait
 * until each hart has been outside its read section (hart.c says why that
 * is enough). Harts that are in a callback or a device are outside already,
 * so a callback that starts tracking a page does not wait for itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "memslot/error.h"
#include "memslot/fault.h"
#include "vmm/soft/hart.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; older ones say EINVAL */
#endif

#define NS_PER_S 1000000000u

const struct fault_point soft_fault_points[] = {
	{FAULT_SOFT_PREPARE, "soft.prepare",
		"the software CPU refuses to prepare a change"},
	{FAULT_SOFT_APPLY, "soft.apply",
		"the software CPU refuses to apply a change"},
	{0, NULL, NULL},
};

/* ---- time ----------------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t soft_time(const struct soft *s)
{
	uint64_t ns;

	if (s->config.deterministic)
		return lockstep_time(s);
	ns = now_ns() - s->start_ns;

	if (LIKELY(s->tick_ns))
		return ns / s->tick_ns;
	return (uint64_t)((unsigned __int128)ns * s->config.timebase_hz /
			  NS_PER_S);
}

uint64_t soft_clock_ns(const struct soft *s)
{
	uint64_t time =
		s->config.deterministic ? lockstep_turn_time(s) : soft_time(s);

	return (uint64_t)((unsigned __int128)time * NS_PER_S /
			  s->config.timebase_hz);
}

uint64_t soft_deadline_ns(const struct soft *s, uint64_t time)
{
	unsigned __int128 ns = (unsigned __int128)time * NS_PER_S;

	/* Round up: at the deadline soft_time() must have reached `time`. */
	ns = (ns + s->config.timebase_hz - 1) / s->config.timebase_hz;
	ns += s->start_ns;
	/* Also what does not fit a time_t of 64 bits means never. */
	return ns >> 62 ? ~(uint64_t)0 : (uint64_t)ns;
}

/* ---- participant ------------------------------------------------------------ */

static int part_prepare(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	const struct soft *s = ctx;

	if (FAULT(memslots_faults(s->config.slots), FAULT_SOFT_PREPARE))
		return memslot_fail(err, -ENOMEM,
			"software CPU: no memory to prepare the change");
	return 0;
}

static int part_apply(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	const struct soft *s = ctx;

	if (FAULT(memslots_faults(s->config.slots), FAULT_SOFT_APPLY))
		return memslot_fail(err, -ENOMEM,
			"software CPU: no memory to apply the change");
	return 0;
}

static void post_all(
	struct soft *s, enum mail_kind kind, uint64_t first, uint64_t count)
{
	struct mail m = {.kind = kind, .first = first, .count = count};

	for (unsigned n = 0; n < s->harts; n++)
		hart_post(&s->hart[n], &m);
}

static void part_flush(void *ctx, const struct memslot_txn *t)
{
	struct soft *s = ctx;
	bool posted = false;
	size_t count;
	const struct memslot_change *c = memslot_txn_changes(t, &count);

	for (size_t n = 0; n < count; n++) {
		const struct memslot *from = c[n].from;

		if (!from || from->space != s->config.space)
			continue;
		post_all(s, MAIL_FLUSH, from->base_gfn, from->size_pages);
		posted = true;
	}
	if (posted)
		memslots_synchronize(s->config.slots);
}

static void part_protect(
	void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages)
{
	struct soft *s = ctx;

	if (space != s->config.space)
		return;
	post_all(s, MAIL_PROTECT, gfn, size_pages);
	memslots_synchronize(s->config.slots);
}

/*
 * Two things make a first touch slow: the host has no page yet, and the
 * translation cache has no entry. Both are seen to here; with paging on only
 * the guest knows the virtual addresses, and a hit in the host is what counts.
 */
static void part_populate(
	void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages)
{
	struct soft *s = ctx;
	const struct memslot *slot;
	uint8_t *host = NULL;

	if (space != s->config.space)
		return;
	memslot_enter(&s->reader);
	slot = memslot_lookup(&s->reader, space, gfn);
	if (slot)
		host = memslot_host(slot, gfn << MEMSLOT_PAGE_SHIFT);
	memslot_leave(&s->reader);
	/* The caller keeps the slot in place. Failing costs speed only. */
	if (host)
		(void)madvise(host, size_pages << MEMSLOT_PAGE_SHIFT,
			MADV_POPULATE_WRITE);
	post_all(s, MAIL_POPULATE, gfn, size_pages);
	memslots_synchronize(s->config.slots);
}

static void part_broken(void *ctx)
{
	soft_request_stop(ctx, ACCEL_STOP_ERROR);
}

static const struct memslot_participant_ops part_ops = {
	.name = "soft",
	.prepare = part_prepare,
	.flush = part_flush,
	.apply = part_apply,
	.protect = part_protect,
	.populate = part_populate,
	.broken = part_broken,
};

/* ---- create, destroy -------------------------------------------------------- */

static int check_config(
	const struct soft_config *config, struct memslot_error *err)
{
	if (!config->slots || !config->bus)
		return memslot_fail(err, -EINVAL,
			"software CPU: a memory map and a bus are needed");
	if (config->harts < 1 || config->harts > SOFT_HARTS_MAX)
		return memslot_fail(err, -EINVAL,
			"software CPU: %u harts wanted, 1 to %u possible",
			config->harts, SOFT_HARTS_MAX);
	if (config->timebase_hz < 1 || config->timebase_hz > NS_PER_S)
		return memslot_fail(err, -EINVAL,
			"software CPU: timebase of %llu Hz, 1 to %u possible",
			(unsigned long long)config->timebase_hz, NS_PER_S);
	return 0;
}

int soft_create(const struct soft_config *config, struct soft **out,
	struct memslot_error *err)
{
	struct soft *s;
	size_t size;
	int ret;

	*out = NULL;
	ret = check_config(config, err);
	if (ret)
		return ret;
	size = sizeof(*s) + config->harts * sizeof(s->hart[0]);
	/* sizeof of a struct is a multiple of its alignment, so size is. */
	s = aligned_alloc(_Alignof(struct soft), size);
	if (!s)
		return memslot_fail(err, -ENOMEM,
			"software CPU: no memory for %u harts", config->harts);
	memset(s, 0, size);
	s->config = *config;
	s->start_ns = now_ns();
	if (NS_PER_S % config->timebase_hz == 0)
		s->tick_ns = NS_PER_S / config->timebase_hz;
	isa_string(config->isa_off, s->isa);
	s->pte_reserved = PTE_RESERVED;
	if (!soft_has(s, ISA_SVPBMT))
		s->pte_reserved |= PTE_PBMT;
	if (!soft_has(s, ISA_SVNAPOT))
		s->pte_reserved |= PTE_N;
	atomic_init(&s->stop, STOP_NONE);
	for (; s->harts < config->harts; s->harts++) {
		ret = hart_init(&s->hart[s->harts], s, s->harts);
		if (ret) {
			memslot_fail(err, ret,
				"software CPU: no memory for hart %u",
				s->harts);
			soft_destroy(s);
			return ret;
		}
	}
	s->participant.ops = &part_ops;
	s->participant.ctx = s;
	memslot_reader_init(&s->reader, config->slots, NULL, NULL);
	ret = memslots_join(config->slots, &s->participant);
	if (ret) {
		memslot_reader_fini(&s->reader);
		soft_destroy(s);
		return memslot_fail(err, ret,
			"software CPU: cannot join the memory map (%d)", ret);
	}
	s->joined = true;
	s->hart[0].start_pc = config->entry;
	s->hart[0].start_a1 = config->a1;
	atomic_store(&s->hart[0].state, HART_START_PENDING);
	*out = s;
	return 0;
}

void soft_destroy(struct soft *s)
{
	if (!s)
		return;
	if (s->joined) {
		memslots_quit(s->config.slots, &s->participant);
		memslot_reader_fini(&s->reader);
	}
	while (s->harts > 0)
		hart_fini(&s->hart[--s->harts]);
	free(s);
}

/* ---- run, stop -------------------------------------------------------------- */

bool soft_stopping(const struct soft *s)
{
	return atomic_load(&s->stop) != STOP_NONE;
}

void soft_request_stop(struct soft *s, enum accel_stop why)
{
	int none = STOP_NONE;

	/* The first reason counts. */
	atomic_compare_exchange_strong(&s->stop, &none, (int)why);
	for (unsigned n = 0; n < s->harts; n++) {
		atomic_store(&s->hart[n].kicked, true);
		hart_signal(&s->hart[n]);
	}
}

static void *hart_thread(void *ctx)
{
	hart_main(ctx);
	return NULL;
}

int soft_run(struct soft *s, enum accel_stop *why, struct memslot_error *err)
{
	unsigned started = 1;
	int ret = 0;

	if (s->config.deterministic)
		started = s->harts;
	for (; started < s->harts; started++) {
		struct hart *h = &s->hart[started];

		ret = pthread_create(&h->thread, NULL, hart_thread, h);
		if (ret)
			break;
	}
	if (ret)
		soft_request_stop(s, ACCEL_STOP_ERROR);
	else if (s->config.deterministic)
		lockstep_run(s);
	else
		hart_main(&s->hart[0]);
	for (unsigned n = 1; !s->config.deterministic && n < started; n++)
		pthread_join(s->hart[n].thread, NULL);
	/* The stop has been obeyed; a later run goes on from here. */
	*why = (enum accel_stop)atomic_exchange(&s->stop, STOP_NONE);
	if (*why == ACCEL_STOP_ERROR && !ret)
		memslot_fail(err, -EIO,
			"software CPU: a memory map change could not be "
			"undone, the machine is stopped");
	if (ret)
		return memslot_fail(err, ret == ENOMEM ? -ENOMEM : -EAGAIN,
			"software CPU: cannot start a thread for hart %u",
			started);
	return 0;
}

/* ---- as an accel ------------------------------------------------------------ */

static int accel_run(void *ctx, enum accel_stop *why, struct memslot_error *err)
{
	return soft_run(ctx, why, err);
}

static void accel_request_stop(void *ctx, enum accel_stop why)
{
	soft_request_stop(ctx, why);
}

static void accel_destroy(void *ctx)
{
	soft_destroy(ctx);
}

static const struct accel_ops accel_ops = {
	.name = "soft",
	.run = accel_run,
	.request_stop = accel_request_stop,
	.destroy = accel_destroy,
};

struct accel soft_accel(struct soft *s)
{
	return (struct accel){&accel_ops, s};
}

/* ---- the rest of the face --------------------------------------------------- */

static void set_external(void *ctx, unsigned number, bool level)
{
	struct soft *s = ctx;

	hart_set_irq(&s->hart[number], SIP_SEI, level);
}

struct irq_line soft_external_irq(struct soft *s, unsigned hart)
{
	struct irq_line line = {.ctx = s, .number = hart};

	if (hart < s->harts)
		line.set = set_external;
	return line;
}

const char *soft_isa(const struct soft *s)
{
	return s->isa;
}

const char *soft_mmu_type(const struct soft *s)
{
	return isa_mmu_type(s->config.isa_off);
}

bool soft_has(const struct soft *s, enum isa_ext ext)
{
	return isa_has(s->config.isa_off, ext);
}

static uint64_t get(const MEMSLOT_ATOMIC(uint64_t) * stat)
{
	return atomic_load_explicit(stat, memory_order_relaxed);
}

void soft_stats(const struct soft *s, struct soft_stats *out)
{
	*out = (struct soft_stats){0};
	for (unsigned n = 0; n < s->harts; n++) {
		const struct hart *h = &s->hart[n];

		out->instructions += get(&h->stat_instret);
		out->flushes += get(&h->stat_flushes);
		out->refills += get(&h->stat_refills);
		out->tracked_stores += get(&h->stat_tracked);
	}
}
