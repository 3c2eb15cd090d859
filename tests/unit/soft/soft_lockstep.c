/* SPDX-License-Identifier: MIT */
/*
 * soft_lockstep - two deterministic runs are one run, to the instruction
 *
 * Two harts add to one word without a lock: load, add, store. How many of
 * their additions are lost depends on when each is interrupted by the other,
 * so the word tells runs apart as long as anything does. The clock is read
 * on the way, and in the end both wait for a timer that is an hour away.
 */
#include "tests/unit/soft/soft_harness.h"
#include "tests/unit/test.h"

#define E(w) sh_e(&m, (w))

#define ROUNDS 200000
#define WORD   DATA         /* what both add to */
#define READY  (DATA + 64)  /* hart 1 is done */
#define TIMES  (DATA + 128) /* clocks that hart 0 has read */
#define HOUR   36000000000ull

struct seen {
	uint64_t word, times[3], instructions, harts[2];
};

/*
 * ROUNDS times: word = word + 1. The jump in between is a place where a turn
 * can end.
 */
static void add(struct sh *m)
{
	rv_label again = rv_label_new(&m->p), between = rv_label_new(&m->p);

	sh_li(m, RV_A3, WORD);
	sh_li(m, RV_A4, ROUNDS);
	rv_bind(&m->p, again);
	sh_e(m, rv_ld(RV_A5, RV_A3, 0));
	rv_jump(&m->p, RV_ZERO, between);
	rv_bind(&m->p, between);
	sh_e(m, rv_addi(RV_A5, RV_A5, 1));
	sh_e(m, rv_sd(RV_A5, RV_A3, 0));
	sh_e(m, rv_addi(RV_A4, RV_A4, -1));
	rv_branch(&m->p, RV_BNE, RV_A4, RV_ZERO, again);
}

static void read_time(struct sh *m, unsigned n)
{
	sh_e(m, rv_csrr(RV_A0, RV_CSR_TIME));
	sh_li(m, RV_A1, TIMES + 8 * n);
	sh_e(m, rv_sd(RV_A0, RV_A1, 0));
}

static void run(struct seen *seen)
{
	rv_label other, over, wait;
	struct soft_stats stats;
	struct sh m;

	sh_open(&m, 2);
	m.deterministic = true;
	other = rv_label_new(&m.p);
	over = rv_label_new(&m.p);
	wait = rv_label_new(&m.p);
	rv_jump(&m.p, RV_ZERO, over);
	rv_align(&m.p, 8);
	rv_bind(&m.p, other);
	add(&m);
	sh_li(&m, RV_A0, READY);
	E(rv_sd(RV_A0, RV_A0, 0));
	sh_sbi(&m, SBI_HSM, 1); /* stop */
	rv_bind(&m.p, over);
	read_time(&m, 0);
	sh_li(&m, RV_A0, 1);
	rv_la(&m.p, RV_A1, other);
	sh_li(&m, RV_A2, 0);
	sh_sbi(&m, SBI_HSM, 0); /* start hart 1 */
	add(&m);
	sh_li(&m, RV_A0, READY);
	rv_bind(&m.p, wait);
	E(0x0100000f); /* pause */
	E(rv_ld(RV_A1, RV_A0, 0));
	rv_branch(&m.p, RV_BEQ, RV_A1, RV_ZERO, wait);
	read_time(&m, 1);
	/* nothing to do for an hour, which takes no time */
	sh_li(&m, RV_A0, HOUR);
	E(rv_csrw(RV_CSR_STIMECMP, RV_A0));
	sh_li(&m, RV_A0, IRQ_TIMER);
	E(rv_csrw(RV_CSR_SIE, RV_A0));
	E(rv_wfi());
	read_time(&m, 2);
	sh_run(&m);
	seen->word = sh_get(&m, WORD);
	for (unsigned n = 0; n < 3; n++)
		seen->times[n] = sh_get(&m, TIMES + 8 * n);
	soft_stats(m.soft, &stats);
	seen->instructions = stats.instructions;
	sh_close(&m);
}

int main(void)
{
	struct seen first = {0}, again = {0};

	sh_watchdog(100);
	run(&first);
	for (unsigned n = 0; n < 5; n++) {
		memset(&again, 0, sizeof(again));
		run(&again);
		CHECK(memcmp(&first, &again, sizeof(first)) == 0);
	}
	/* Turns are long, and both harts had theirs: some are lost. */
	CHECK(first.word > ROUNDS);
	CHECK(first.word < 2 * ROUNDS);
	CHECK(first.times[1] > first.times[0]);
	CHECK(first.times[2] >= HOUR && first.times[2] < HOUR + 100);
	CHECK(first.instructions > 10 * ROUNDS);
	return sh_end("soft_lockstep", TEST_END("soft_lockstep, host side"));
}
