/* SPDX-License-Identifier: MIT */
/*
 * hart.c - a hart's thread: sections, mail, sleep
 *
 * The order that makes `flush` and remote fences sound:
 *
 *   poster   puts mail into the box, then waits (memslots_synchronize) until
 *            the hart has been outside its read section
 *   hart     enters its section, then drains the box, then uses the caches
 *
 * Either the poster sees the hart inside and waits for it to leave, or the
 * hart, entering, sees the mail: memslot_enter() orders the announcement
 * before the loads that follow it. So when the poster goes on, whatever the
 * mail forbids is not in use and will not be.
 *
 * Waking follows the same pattern: the waker sets what is to be seen, then
 * check_at and, under the lock, the condition variable; the hart announces
 * that it looks or sleeps, then looks.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "vmm/soft/hart.h"

/* Every fragment of a longer remote fence would cost more than a refill. */
#define SFENCE_PAGES_MAX 64u

/*
 * Called by a transaction that waits for this hart, with the registry of
 * readers locked. The hart is inside its section, so it is awake.
 */
static void kick(void *ctx)
{
	struct hart *h = ctx;

	atomic_store(&h->kicked, true);
	atomic_store(&h->check_at, 0);
}

static int init_wake(struct hart *h)
{
	pthread_condattr_t attr;
	int err;

	err = pthread_condattr_init(&attr);
	if (err)
		return -err;
	err = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (!err)
		err = pthread_cond_init(&h->wake, &attr);
	pthread_condattr_destroy(&attr);
	return -err;
}

int hart_init(struct hart *h, struct soft *s, unsigned id)
{
	int err;

	h->s = s;
	h->id = id;
	h->code_gen = 1;
	h->stimecmp = ~(uint64_t)0;
	h->turn_end = ~(uint64_t)0;
	/* As firmware leaves it: Linux's vDSO reads the time in U mode. */
	h->scounteren = 7;
	h->mode = MODE_S;
	atomic_init(&h->state, HART_STOPPED);
	err = code_init(&h->code);
	if (!err)
		err = init_wake(h);
	if (err) {
		code_fini(&h->code);
		return err;
	}
	pthread_mutex_init(&h->lock, NULL);
	pthread_mutex_init(&h->mailbox.lock, NULL);
	memslot_reader_init(&h->reader, s->config.slots, kick, h);
	tlb_drop_all(h);
	tlb_context(h);
	return 0;
}

void hart_fini(struct hart *h)
{
	memslot_reader_fini(&h->reader);
	pthread_mutex_destroy(&h->mailbox.lock);
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->wake);
	code_fini(&h->code);
}

/* ---- mail --------------------------------------------------------------- */

void hart_post(struct hart *h, const struct mail *m)
{
	struct mailbox *box = &h->mailbox;
	uint32_t count;

	pthread_mutex_lock(&box->lock);
	count = atomic_load(&box->count);
	if (count < MAIL_MAX) {
		box->mail[count] = *m;
		atomic_store(&box->count, count + 1);
	} else {
		box->overflow = true;
	}
	pthread_mutex_unlock(&box->lock);
}

static void forget_everything(struct hart *h)
{
	tlb_drop_all(h);
	code_expire(h);
	h->reserve_size = 0;
}

static void obey(struct hart *h, const struct mail *m)
{
	switch (m->kind) {
	case MAIL_FLUSH:
		tlb_drop_gfns(h, m->first, m->count, false);
		code_expire(h);
		h->reserve_size = 0;
		stat_add(&h->stat_flushes, 1);
		break;
	case MAIL_PROTECT:
		tlb_drop_gfns(h, m->first, m->count, true);
		stat_add(&h->stat_flushes, 1);
		break;
	case MAIL_POPULATE:
		if (h->satp >> SATP_MODE_SHIFT == SATP_BARE)
			tlb_populate(h, m->first, m->count);
		break;
	case MAIL_SFENCE:
		if (m->count > SFENCE_PAGES_MAX) {
			tlb_drop_all(h);
			break;
		}
		for (uint64_t n = 0; n < m->count; n++)
			tlb_drop_va(h, (m->first + n) << MEMSLOT_PAGE_SHIFT);
		break;
	case MAIL_FENCE_I:
		code_expire(h);
		break;
	}
}

static void drain(struct hart *h)
{
	struct mailbox *box = &h->mailbox;
	struct mail mail[MAIL_MAX];
	uint32_t count;
	bool overflow;

	if (LIKELY(atomic_load(&box->count) == 0))
		return;
	pthread_mutex_lock(&box->lock);
	count = atomic_load(&box->count);
	overflow = box->overflow;
	memcpy(mail, box->mail, count * sizeof(*mail));
	atomic_store(&box->count, 0);
	box->overflow = false;
	pthread_mutex_unlock(&box->lock);
	if (overflow) {
		forget_everything(h);
		stat_add(&h->stat_flushes, 1);
		return;
	}
	for (uint32_t n = 0; n < count; n++)
		obey(h, &mail[n]);
}

/* ---- sections ------------------------------------------------------------ */

void hart_enter(struct hart *h)
{
	memslot_enter(&h->reader);
	drain(h);
}

void hart_leave(struct hart *h)
{
	h->left = true;
	memslot_leave(&h->reader);
}

void hart_report(struct hart *h, struct report *r, unsigned count,
	enum pagetrack_source_kind kind)
{
	const struct soft_config *config = &h->s->config;
	struct pagetrack *track = config->track;

	stat_add(&h->stat_tracked, count);
	/* While the pages can not move: */
	for (unsigned n = 0; track && n < count; n++)
		pagetrack_hold(
			track, &r[n].hold, config->space, r[n].gpa, r[n].len);
	hart_leave(h);
	for (unsigned n = 0; track && n < count; n++) {
		const struct pagetrack_write w = {
			.space = config->space,
			.gpa = r[n].gpa,
			.bytes = r[n].bytes,
			.old = r[n].old,
			.len = r[n].len,
			.source = {.kind = kind, .index = h->id},
		};

		pagetrack_report(track, &r[n].hold, &w);
	}
	hart_enter(h);
}

/* ---- sleeping and waking -------------------------------------------------- */

void hart_signal(struct hart *h)
{
	atomic_store(&h->check_at, 0);
	if (h->s->config.deterministic)
		h = &h->s->hart[0]; /* which sleeps for all */
	if (!atomic_load(&h->sleeping))
		return;
	pthread_mutex_lock(&h->lock);
	pthread_cond_broadcast(&h->wake);
	pthread_mutex_unlock(&h->lock);
}

void hart_set_irq(struct hart *h, uint32_t bit, bool level)
{
	if (level) {
		atomic_fetch_or(&h->irq, bit);
		hart_signal(h);
	} else {
		atomic_fetch_and(&h->irq, ~bit);
	}
}

/* With h->lock: until woken or the timer rings. */
static void wait_for_timer(struct hart *h)
{
	uint64_t ns = soft_deadline_ns(h->s, h->stimecmp);
	struct timespec at = {
		.tv_sec = (time_t)(ns / 1000000000u),
		.tv_nsec = (long)(ns % 1000000000u),
	};

	if (ns == ~(uint64_t)0)
		pthread_cond_wait(&h->wake, &h->lock);
	else
		pthread_cond_timedwait(&h->wake, &h->lock, &at);
}

void hart_sleep(struct hart *h)
{
	if (h->s->config.deterministic) {
		h->waiting = true;
		return;
	}
	pthread_mutex_lock(&h->lock);
	atomic_store(&h->sleeping, true);
	while (!soft_stopping(h->s) && !(csr_sip(h) & h->sie))
		wait_for_timer(h);
	atomic_store(&h->sleeping, false);
	pthread_mutex_unlock(&h->lock);
	/* Nobody but the clock may have woken us: look at once. */
	atomic_store(&h->check_at, 0);
}

/* The other hart may be waiting for this host CPU. */
void hart_pause(struct hart *h)
{
	if (!h->s->config.deterministic) {
		sched_yield();
		return;
	}
	h->turn_end = 0;
	atomic_store_explicit(&h->check_at, 0, memory_order_relaxed);
}

static void sleep_until_started(struct hart *h)
{
	pthread_mutex_lock(&h->lock);
	atomic_store(&h->sleeping, true);
	while (!soft_stopping(h->s) &&
		atomic_load(&h->state) != HART_START_PENDING)
		pthread_cond_wait(&h->wake, &h->lock);
	atomic_store(&h->sleeping, false);
	pthread_mutex_unlock(&h->lock);
}

/* SBI, "HART State Management": registers at the start of a hart. */
static void start(struct hart *h)
{
	memset(h->x, 0, sizeof(h->x));
	h->x[10] = h->id;
	h->x[11] = h->start_a1;
	h->pc = h->start_pc;
	h->mode = MODE_S;
	h->sstatus = 0;
	h->satp = 0;
	h->sie = 0;
	h->stimecmp = ~(uint64_t)0;
	h->timer_pending = false;
	forget_everything(h);
	tlb_context(h);
	atomic_store(&h->state, HART_STARTED);
}

void hart_run(struct hart *h)
{
	enum hart_exit why;

	if (atomic_load(&h->state) == HART_START_PENDING)
		start(h);
	hart_enter(h);
	why = hart_exec(h);
	hart_leave(h);
	if (why == EXIT_ECALL)
		sbi_call(h);
	else if (why == EXIT_WFI)
		hart_sleep(h);
}

void hart_main(struct hart *h)
{
	for (;;) {
		/* In this order: a stop sets the flag, then kicks. */
		atomic_store(&h->kicked, false);
		if (soft_stopping(h->s))
			break;
		if (atomic_load(&h->state) != HART_STARTED &&
			atomic_load(&h->state) != HART_START_PENDING)
			sleep_until_started(h);
		else
			hart_run(h);
	}
	atomic_store_explicit(
		&h->stat_instret, h->instret, memory_order_relaxed);
}
