/* SPDX-License-Identifier: MIT */
#include "vmm/mover.h"

#include "memslot/error.h"
#include "vmm/dirtycheck.h"
#include "vmm/points.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* One move in this many is made to fail; the log is harvested as often. */
#define FAIL_EVERY    4
#define HARVEST_EVERY 16

struct mover {
	struct mover_config config;
	struct memslots *slots;
	struct pagetrack_node *node;
	_Atomic(uint64_t) seen;
	pthread_t thread;
	pthread_mutex_t lock; /* ready, stop */
	pthread_cond_t changed;
	bool ready; /* the guest has begun */
	bool stop;  /* the guest is done, or the machine has stopped */
	struct dirtycheck dirty;
	/* of the thread, until it is joined */
	struct mover_result result;
	uint64_t *pauses;
	uint64_t pause_count;
	unsigned next_point; /* index into points_of_a_move */
};

/* ---- the node --------------------------------------------------------------- */

static void on_write(void *ctx, const struct pagetrack_write *w)
{
	struct mover *m = ctx;

	(void)w;
	atomic_fetch_add(&m->seen, 1);
}

/*
 * What an owner of protections can do under either order: when a change has
 * been committed, see that the pages are protected where they are now. Under
 * ours there is never anything to do.
 */
static void on_committed(
	void *ctx, const struct memslot_txn *t, uint64_t gone_pages)
{
	struct mover *m = ctx;
	size_t count;
	const struct memslot_change *c = memslot_txn_changes(t, &count);

	(void)gone_pages;
	for (; count; c++, count--) {
		if (!c->to || c->to->id != VMM_SLOT_WINDOW)
			continue;
		for (uint64_t i = 0; i < m->config.tracked_pages; i++) {
			gfn_t gfn = c->to->base_gfn + i;

			if (!pagetrack_tracks(m->node, 0, gfn))
				pagetrack_add(m->node, 0, gfn, 1, NULL);
		}
	}
}

static const struct pagetrack_ops node_ops = {
	.name = "move-slot",
	.committed = on_committed,
	.write = on_write,
};

/* ---- moving ----------------------------------------------------------------- */

/* Sleep for the interval; false: it is time to stop. */
static bool pause_between(struct mover *m)
{
	struct timespec until;
	bool stop;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += (long)(m->config.interval_us % 1000000) * 1000;
	until.tv_sec += (time_t)(m->config.interval_us / 1000000);
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&m->lock);
	while (!m->stop && pthread_cond_timedwait(
				   &m->changed, &m->lock, &until) != ETIMEDOUT)
		;
	stop = m->stop;
	pthread_mutex_unlock(&m->lock);
	return !stop;
}

static void arm_next(struct mover *m)
{
	const unsigned *points =
		points_of_a_move(vmm_machine_accel(m->config.machine));

	fault_arm(m->config.faults, points[m->next_point++], 1, false);
	if (!points[m->next_point])
		m->next_point = 0;
}

static void disarm(struct mover *m)
{
	if (!m->config.inject_point)
		fault_arm(m->config.faults, FAULT_ANY, 0, false);
}

/* Before move i: make it fail, if it is its turn. */
static void arm(struct mover *m, uint64_t i)
{
	if (m->config.inject_point) {
		if (i == 0)
			fault_arm(m->config.faults, m->config.inject_point,
				m->config.inject_nth, false);
		return;
	}
	disarm(m); /* what was lent and not used */
	if (i % FAIL_EVERY == FAIL_EVERY - 1)
		arm_next(m);
}

/*
 * Is it the guest's turn to fail? The point that is next stays armed for the
 * interval; the guest moves BARs of its own accord.
 */
static bool lend(struct mover *m, uint64_t i)
{
	if (m->config.inject_point || i % FAIL_EVERY != 1 ||
		!vmm_machine_vgtt(m->config.machine))
		return false;
	arm_next(m);
	return true;
}

static void move_once(struct mover *m, uint64_t i)
{
	struct slotctl *slotctl = vmm_machine_slotctl(m->config.machine);
	const gpa_t first = vmm_machine_map(m->config.machine)->range_base;
	struct memslot_result result = {0};
	uint64_t size;
	gpa_t base;
	int r;

	if (slotctl_window(slotctl, &base, &size))
		return;
	arm(m, i);
	r = slotctl_command(slotctl, SLOTCTL_MOVE_KEEP,
		base == first ? m->config.target : first, &result, NULL);
	disarm(m);
	m->result.moves_tried++;
	if (r)
		m->result.moves_failed++;
	else
		m->result.moves_committed++;
	if (result.pause_ns)
		m->pauses[m->pause_count++] = result.pause_ns;
}

static void end_guest(struct mover *m)
{
	const uint64_t stop = 1;

	/* A guest that cannot be told would run for ever. */
	if (vmm_machine_poke(
		    m->config.machine, m->config.stop, &stop, sizeof(stop)))
		vmm_machine_stop(m->config.machine);
}

static void *run(void *arg)
{
	struct mover *m = arg;

	pthread_mutex_lock(&m->lock);
	while (!m->ready && !m->stop)
		pthread_cond_wait(&m->changed, &m->lock);
	pthread_mutex_unlock(&m->lock);
	for (uint64_t i = 0; i < m->config.moves && pause_between(m); i++) {
		if (!lend(m, i))
			move_once(m, i);
		if (i % HARVEST_EVERY == HARVEST_EVERY - 1)
			dirtycheck_step(&m->dirty);
	}
	disarm(m);
	if (m->config.stop)
		end_guest(m);
	return NULL;
}

/* ---- life ------------------------------------------------------------------- */

static void signal_thread(struct mover *m, bool *flag)
{
	pthread_mutex_lock(&m->lock);
	*flag = true;
	pthread_cond_signal(&m->changed);
	pthread_mutex_unlock(&m->lock);
}

void mover_guest_report(struct mover *m, const struct slotctl_report *report)
{
	signal_thread(m, report->done ? &m->stop : &m->ready);
}

static void mover_free(struct mover *m)
{
	pagetrack_unregister(m->node);
	dirtycheck_fini(&m->dirty);
	pthread_cond_destroy(&m->changed);
	pthread_mutex_destroy(&m->lock);
	free(m->pauses);
	free(m);
}

static int protect(struct mover *m, struct memslot_error *err)
{
	gpa_t first = vmm_machine_map(m->config.machine)->range_base;
	int r = pagetrack_register(vmm_machine_track(m->config.machine),
		&node_ops, m, PAGETRACK_FOLLOW, &m->node, err);

	if (!r && m->config.tracked_pages)
		r = pagetrack_add(m->node, 0, first >> MEMSLOT_PAGE_SHIFT,
			m->config.tracked_pages, err);
	return r;
}

int mover_start(const struct mover_config *config, struct mover **out,
	struct memslot_error *err)
{
	struct mover *m = calloc(1, sizeof(*m));
	int r = -ENOMEM;

	if (!m)
		return memslot_fail(err, r, "no memory for the mover");
	m->config = *config;
	m->slots = vmm_machine_slots(config->machine);
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->changed, NULL);
	m->pauses = calloc(config->moves, sizeof(*m->pauses));
	if (!m->pauses)
		r = memslot_fail(err, -ENOMEM, "no memory to note %llu pauses",
			(unsigned long long)config->moves);
	else
		r = dirtycheck_init(&m->dirty, m->slots, VMM_SLOT_WINDOW,
			vmm_machine_window(config->machine),
			config->window_size, err);
	if (!r)
		r = protect(m, err);
	if (!r && pthread_create(&m->thread, NULL, run, m))
		r = memslot_fail(err, -EAGAIN, "no thread for the mover");
	if (r) {
		mover_free(m);
		return r;
	}
	*out = m;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void sum_up_pauses(struct mover *m, struct mover_pause *p)
{
	uint64_t n = m->pause_count;

	if (!n)
		return;
	qsort(m->pauses, n, sizeof(*m->pauses), compare);
	p->min_ns = m->pauses[0];
	p->median_ns = m->pauses[n / 2];
	p->p99_ns = m->pauses[n - 1 - n / 100];
	p->max_ns = m->pauses[n - 1];
}

/* After the guest has stopped: what is not in the shadow now never will be. */
static void sum_up_vgtt(struct vmm_machine *machine, struct mover_result *r)
{
	struct vgtt *g = vmm_machine_vgtt(machine);
	struct vgtt_counts counts;
	struct pci_counts bar;

	if (!g)
		return;
	vgtt_verify(g);
	vgtt_get_counts(g, &counts);
	pci_get_counts(vmm_machine_pci(machine), &bar);
	r->has_vgtt = true;
	r->table_writes = counts.writes;
	r->mismatches = counts.mismatches;
	r->bar_moves = bar.moves;
	r->bar_refusals = bar.refused;
}

void mover_finish(struct mover *m, struct mover_result *result)
{
	struct slotctl_report report;

	signal_thread(m, &m->stop);
	pthread_join(m->thread, NULL);
	/* A page found changed is missed if the next harvest lacks it too. */
	dirtycheck_step(&m->dirty);
	dirtycheck_step(&m->dirty);
	slotctl_get_report(vmm_machine_slotctl(m->config.machine), &report);
	*result = m->result;
	result->accel = vmm_machine_accel(m->config.machine);
	result->order = memslot_order_name(memslots_order(m->slots));
	result->writes_done = report.writes_done;
	result->bytes_wrong = report.bytes_wrong;
	result->guest_reported = report.done != 0;
	result->writes_seen = atomic_load(&m->seen);
	result->dirty_missed = m->dirty.missed;
	sum_up_pauses(m, &result->pause);
	sum_up_vgtt(m->config.machine, result);
	mover_free(m);
}

uint64_t mover_writes_missed(const struct mover_result *r)
{
	return r->writes_done > r->writes_seen
		       ? r->writes_done - r->writes_seen
		       : r->writes_seen - r->writes_done;
}

bool mover_lost_nothing(const struct mover_result *r)
{
	return r->guest_reported && mover_writes_missed(r) == 0 &&
	       r->bytes_wrong == 0 && r->dirty_missed == 0 &&
	       r->mismatches == 0;
}
