/* SPDX-License-Identifier: MIT */
/*
 * soft_sbi.c - the SBI extensions of the embedded CPU
 *
 * RISC-V Supervisor Binary Interface Specification 2.0: chapter 3 (calling
 * convention), 4 (Base), 6 (TIME), 7 (IPI), 8 (RFENCE), 9 (HSM), 10 (SRST),
 * 12 (DBCN).
 */
#include "tests/unit/soft/soft_harness.h"

#include "tests/unit/test.h"

static struct sh m;

#define E(insn) sh_e(&m, insn)
#define N(a)    (sizeof(a) / sizeof((a)[0]))

#define NOWHERE 0x1000000000ull

static void expect(uint64_t extension, uint64_t function, uint64_t a0,
	uint64_t a1, uint64_t a2, int64_t error)
{
	sh_sbi_expect(&m, extension, function, a0, a1, a2, error);
}

static void base(void)
{
	static const uint64_t have[] = {SBI_BASE, SBI_TIME, SBI_IPI, SBI_RFENCE,
		SBI_HSM, SBI_SRST, SBI_DBCN};
	static const uint64_t none[] = {0x0a, 0x0f, 0x11, 0x12345, 0x434d5000,
		0x4e41434b, 0x0a000000, 0x1000000000000010, UINT64_MAX};
	unsigned i, r;

	sh_open(&m, 1);
	expect(SBI_BASE, 0, 0, 0, 0, SBI_SUCCESS);
	sh_expect(&m, RV_A1, 2 << 24, "spec version 2.0");
	for (i = 1; i < 7; i++)
		expect(SBI_BASE, i, 0, 0, 0, SBI_SUCCESS);
	expect(SBI_BASE, 7, 0, 0, 0, SBI_NOT_SUPPORTED);
	expect(SBI_BASE, UINT64_MAX, 0, 0, 0, SBI_NOT_SUPPORTED);
	for (i = 0; i < N(have); i++) {
		expect(SBI_BASE, 3, have[i], 0, 0, SBI_SUCCESS);
		E(rv_sltu(RV_A1, RV_ZERO, RV_A1));
		sh_expect(&m, RV_A1, 1, "probe %#llx",
			(unsigned long long)have[i]);
		expect(have[i], 0x99, 0, 0, 0, SBI_NOT_SUPPORTED);
	}
	for (i = 0; i < N(none); i++) {
		expect(SBI_BASE, 3, none[i], 0, 0, SBI_SUCCESS);
		sh_expect(&m, RV_A1, 0, "probe %#llx",
			(unsigned long long)none[i]);
		expect(none[i], 0, 0, 0, 0, SBI_NOT_SUPPORTED);
	}
	/* all registers but a0 and a1 are preserved */
	for (r = 1; r < 24; r++)
		if (r != RV_A0 && r != RV_A6 && r != RV_A7)
			sh_li(&m, r, 0x1111111100000000 + r);
	for (r = 28; r < 32; r++)
		sh_li(&m, r, 0x1111111100000000 + r);
	sh_li(&m, RV_A0, SBI_HSM);
	sh_sbi(&m, SBI_BASE, 3);
	for (r = 1; r < 32; r++)
		if ((r < 24 || r > 27) && r != RV_A0 && r != RV_A1 &&
			r != RV_A6 && r != RV_A7)
			sh_expect(&m, r, 0x1111111100000000 + r,
				"x%u after a call", r);
	sh_expect(&m, RV_A6, 3, "a6 after a call");
	sh_expect(&m, RV_A7, SBI_BASE, "a7 after a call");
	sh_run(&m);
	sh_close(&m);
}

/* hart_mask and hart_mask_base, in the calls that take them. */
static void masks(void)
{
	static const struct {
		uint64_t mask, base;
		int64_t error;
	} at[] = {
		{1, 0, 0},
		{0, 0, 0},
		{1, UINT64_MAX, 0},
		{0, UINT64_MAX, 0},
		{2, 0, SBI_INVALID_PARAM}, /* there is only hart 0 */
		{1ull << 63, 0, SBI_INVALID_PARAM},
		{3, 0, SBI_INVALID_PARAM},
		{1, 1, SBI_INVALID_PARAM},
		{1, 64, SBI_INVALID_PARAM},
		{1, UINT64_MAX - 1, SBI_INVALID_PARAM},
		{1, 1ull << 32, SBI_INVALID_PARAM},
	};
	size_t i;
	unsigned f;

	sh_open(&m, 1);
	for (i = 0; i < N(at); i++) {
		expect(SBI_IPI, 0, at[i].mask, at[i].base, 0, at[i].error);
		E(rv_csrr(RV_A0, RV_CSR_SIP));
		sh_expect_bits(&m, RV_A0, IRQ_SOFT,
			at[i].error || (!at[i].mask && at[i].base + 1)
				? 0
				: IRQ_SOFT,
			"SSIP after send_ipi(%#llx, %#llx)",
			(unsigned long long)at[i].mask,
			(unsigned long long)at[i].base);
		E(rv_csrrci(RV_ZERO, RV_CSR_SIP, 2));
		for (f = 0; f < 3; f++) {
			sh_li(&m, RV_A3, 0x1000);
			sh_li(&m, RV_A4, 0);
			expect(SBI_RFENCE, f, at[i].mask, at[i].base, 0x1000,
				at[i].error);
		}
	}
	/* remote fences of the hypervisor extension, which is not there */
	for (f = 3; f < 7; f++)
		expect(SBI_RFENCE, f, 1, 0, 0, SBI_NOT_SUPPORTED);
	expect(SBI_RFENCE, 7, 1, 0, 0, SBI_NOT_SUPPORTED);
	expect(SBI_IPI, 1, 1, 0, 0, SBI_NOT_SUPPORTED);
	expect(SBI_TIME, 1, 0, 0, 0, SBI_NOT_SUPPORTED);
	/* all of the address space */
	sh_li(&m, RV_A3, UINT64_MAX);
	expect(SBI_RFENCE, 1, 1, 0, 0, SBI_SUCCESS);
	sh_li(&m, RV_A3, 0);
	expect(SBI_RFENCE, 1, 1, 0, 0, SBI_SUCCESS);
	sh_run(&m);
	sh_close(&m);
}

static void poll_status(unsigned hart, unsigned status)
{
	rv_label again = rv_label_here(&m.p);

	sh_li(&m, RV_A0, hart);
	sh_sbi(&m, SBI_HSM, 2);
	sh_li(&m, RV_T0, status);
	rv_branch(&m.p, RV_BNE, RV_A1, RV_T0, again);
}

static void harts(void)
{
	rv_label other, over, again;
	unsigned round;

	sh_open(&m, 3);
	other = rv_label_new(&m.p);
	over = rv_label_new(&m.p);
	rv_jump(&m.p, RV_ZERO, over);
	/* a1 is the opaque: where to write what this hart sees */
	rv_bind(&m.p, other);
	E(rv_sd(RV_A0, RV_A1, 0));
	E(rv_sd(RV_A1, RV_A1, 8));
	E(rv_csrr(RV_T0, RV_CSR_SATP));
	E(rv_sd(RV_T0, RV_A1, 16));
	E(rv_csrr(RV_T0, RV_CSR_SSTATUS));
	E(rv_sd(RV_T0, RV_A1, 24));
	/* change them, for the next start */
	sh_li(&m, RV_T0, RAM);
	E(rv_csrw(RV_CSR_STVEC, RV_T0));
	E(rv_csrrsi(RV_ZERO, RV_CSR_SSTATUS, 2));
	E(rv_fence(3, 3));
	sh_li(&m, RV_T0, 1);
	E(rv_sd(RV_T0, RV_A1, 32));
	again = rv_label_here(&m.p);
	E(rv_ld(RV_T0, RV_A1, 40)); /* may it stop? */
	rv_branch(&m.p, RV_BEQ, RV_T0, RV_ZERO, again);
	sh_sbi(&m, SBI_HSM, 1);
	E(rv_sd(RV_A0, RV_A1, 48)); /* not reached */
	rv_bind(&m.p, over);

	/* errors */
	expect(SBI_HSM, 2, 0, 0, 0, 0);
	sh_expect(&m, RV_A1, 0, "hart 0 is started");
	expect(SBI_HSM, 2, 1, 0, 0, 0);
	sh_expect(&m, RV_A1, 1, "hart 1 is stopped");
	expect(SBI_HSM, 2, 3, 0, 0, SBI_INVALID_PARAM);
	expect(SBI_HSM, 2, UINT64_MAX, 0, 0, SBI_INVALID_PARAM);
	expect(SBI_HSM, 2, 1ull << 32, 0, 0, SBI_INVALID_PARAM);
	expect(SBI_HSM, 0, 3, RAM, 0, SBI_INVALID_PARAM);
	expect(SBI_HSM, 0, UINT64_MAX, RAM, 0, SBI_INVALID_PARAM);
	expect(SBI_HSM, 0, 0, RAM, 0, SBI_ALREADY);
	expect(SBI_HSM, 0, 1, NOWHERE, 0, SBI_INVALID_ADDRESS);
	expect(SBI_HSM, 0, 1, RAM + RAM_SIZE, 0, SBI_INVALID_ADDRESS);
	expect(SBI_HSM, 2, 1, 0, 0, 0);
	sh_expect(&m, RV_A1, 1, "hart 1 is stopped still");
	expect(SBI_HSM, 4, 0, 0, 0, SBI_NOT_SUPPORTED);
	/* start, look, stop, start again */
	for (round = 0; round < 3; round++) {
		unsigned hart = 1 + round % 2;
		uint64_t box = DATA + 0x100 * round;

		rv_la(&m.p, RV_A1, other);
		sh_li(&m, RV_A0, hart);
		sh_li(&m, RV_A2, box);
		sh_sbi(&m, SBI_HSM, 0);
		sh_expect(&m, RV_A0, 0, "hart_start %u", hart);
		sh_li(&m, RV_S0, box);
		again = rv_label_here(&m.p);
		E(rv_ld(RV_T0, RV_S0, 32));
		rv_branch(&m.p, RV_BEQ, RV_T0, RV_ZERO, again);
		E(rv_fence(3, 3));
		E(rv_ld(RV_T0, RV_S0, 0));
		sh_expect(&m, RV_T0, hart, "its a0");
		E(rv_ld(RV_T0, RV_S0, 8));
		sh_expect(&m, RV_T0, box, "its a1");
		E(rv_ld(RV_T0, RV_S0, 16));
		sh_expect(&m, RV_T0, 0, "its satp");
		E(rv_ld(RV_T0, RV_S0, 24));
		sh_expect_bits(&m, RV_T0, SSTATUS_SIE, 0, "its SIE");
		expect(SBI_HSM, 2, hart, 0, 0, 0);
		sh_expect(&m, RV_A1, 0, "hart %u is started", hart);
		expect(SBI_HSM, 0, hart, RAM, 0, SBI_ALREADY);
		E(rv_sd(RV_S0, RV_S0, 40));
		poll_status(hart, 1);
		sh_expect(&m, RV_A0, 0, "hart %u has stopped", hart);
		E(rv_ld(RV_T0, RV_S0, 48));
		sh_expect(&m, RV_T0, 0, "hart_stop does not return");
	}
	sh_run(&m);
	sh_close(&m);
}

/* hart_suspend: 9.4 and table 9.4. */
static void suspend(void)
{
	rv_label asleep, over;
	uint64_t k;

	sh_open(&m, 2);
	expect(SBI_HSM, 3, 1, 0, 0, SBI_INVALID_PARAM); /* reserved types */
	expect(SBI_HSM, 3, 0x0fffffff, 0, 0, SBI_INVALID_PARAM);
	expect(SBI_HSM, 3, 0x80000001, RAM, 0, SBI_INVALID_PARAM);
	/* non-retentive is not reserved, but this machine has only the other */
	expect(SBI_HSM, 3, 0x80000000, RAM, 0, SBI_NOT_SUPPORTED);
	/* retentive: returns when an enabled interrupt is pending */
	sh_li(&m, RV_T0, IRQ_TIMER);
	E(rv_csrw(RV_CSR_SIE, RV_T0));
	for (k = 0; k < 2; k++) {
		E(rv_csrr(RV_T0, RV_CSR_TIME));
		sh_li(&m, RV_T1, k ? 20000 : 0);
		E(rv_add(RV_S2, RV_T0, RV_T1));
		E(rv_csrw(RV_CSR_STIMECMP, RV_S2));
		expect(SBI_HSM, 3, 0, 0, 0, SBI_SUCCESS);
		E(rv_csrr(RV_T0, RV_CSR_TIME));
		E(rv_sltu(RV_T0, RV_T0, RV_S2));
		sh_expect(&m, RV_T0, 0, "woken in time");
	}
	sh_li(&m, RV_T0, UINT64_MAX);
	E(rv_csrw(RV_CSR_STIMECMP, RV_T0));
	/* another hart, woken by an IPI; meanwhile its status is 4 */
	asleep = rv_label_new(&m.p);
	over = rv_label_new(&m.p);
	rv_la(&m.p, RV_A1, asleep);
	sh_li(&m, RV_A0, 1);
	sh_sbi(&m, SBI_HSM, 0);
	sh_expect(&m, RV_A0, 0, "hart_start");
	rv_jump(&m.p, RV_ZERO, over);
	rv_bind(&m.p, asleep);
	E(rv_csrrwi(RV_ZERO, RV_CSR_SIE, 2));
	sh_li(&m, RV_A0, 0);
	sh_sbi(&m, SBI_HSM, 3);
	sh_sbi(&m, SBI_HSM, 1);
	rv_bind(&m.p, over);
	poll_status(1, 4);
	sh_expect(&m, RV_A0, 0, "hart 1 sleeps");
	expect(SBI_HSM, 0, 1, RAM, 0, SBI_ALREADY);
	expect(SBI_IPI, 0, 2, 0, 0, 0);
	poll_status(1, 1);
	sh_expect(&m, RV_A0, 0, "hart 1 woke and stopped");
	sh_run(&m);
	sh_close(&m);
}

static void console(void)
{
	static const char text[] = "Hello from the guest.\n";
	uint64_t end = RAM + RAM_SIZE;

	sh_open(&m, 1);
	memcpy(sh_at(&m, DATA), text, sizeof(text));
	memcpy(sh_at(&m, end - 4), "last", 4);
	m.input = "abc";
	expect(SBI_DBCN, 0, sizeof(text) - 1, DATA, 0, 0);
	sh_expect(&m, RV_A1, sizeof(text) - 1, "written");
	expect(SBI_DBCN, 0, 0, DATA, 0, 0);
	sh_expect(&m, RV_A1, 0, "written, nothing");
	expect(SBI_DBCN, 0, 4, end - 4, 0, 0);
	sh_expect(&m, RV_A1, 4, "written at the end of memory");
	expect(SBI_DBCN, 2, 'x', 0, 0, 0);
	expect(SBI_DBCN, 2, 0xffffff00 | 'y', 0, 0, 0); /* a byte of it */
	/* not memory, wholly or in part; address bits 64 and up */
	expect(SBI_DBCN, 0, 4, NOWHERE, 0, SBI_INVALID_PARAM);
	expect(SBI_DBCN, 0, 5, end - 4, 0, SBI_INVALID_PARAM);
	expect(SBI_DBCN, 0, 4, DATA, 1, SBI_INVALID_PARAM);
	expect(SBI_DBCN, 0, 4, UINT64_MAX - 1, 0, SBI_INVALID_PARAM);
	expect(SBI_DBCN, 1, 4, NOWHERE, 0, SBI_INVALID_PARAM);
	expect(SBI_DBCN, 1, 5, end - 4, 0, SBI_INVALID_PARAM);
	expect(SBI_DBCN, 1, 4, DATA, 1, SBI_INVALID_PARAM);
	/* read what there is, and then nothing */
	expect(SBI_DBCN, 1, 2, DATA + 0x100, 0, 0);
	sh_expect(&m, RV_A1, 2, "read 2");
	expect(SBI_DBCN, 1, 100, DATA + 0x102, 0, 0);
	sh_expect(&m, RV_A1, 1, "read the rest");
	expect(SBI_DBCN, 1, 100, DATA + 0x200, 0, 0);
	sh_expect(&m, RV_A1, 0, "read nothing");
	sh_li(&m, RV_T0, DATA + 0x100);
	E(rv_ld(RV_T0, RV_T0, 0));
	sh_expect(&m, RV_T0, 'a' | 'b' << 8 | 'c' << 16, "what was read");
	expect(SBI_DBCN, 3, 0, 0, 0, SBI_NOT_SUPPORTED);
	sh_run(&m);
	CHECK(!strcmp(m.console, "Hello from the guest.\nlastxy"));
	sh_close(&m);
}

static void reset(void)
{
	static const struct {
		uint64_t type, reason;
		enum accel_stop why;
	} end[] = {
		{0, 0, ACCEL_STOP_POWEROFF},
		{0, 1, ACCEL_STOP_FAILURE},
		{1, 0, ACCEL_STOP_REBOOT},
		{2, 0, ACCEL_STOP_REBOOT},
	};
	size_t i;

	for (i = 0; i < N(end); i++) {
		sh_open(&m, 2);
		expect(SBI_SRST, 0, 3, 0, 0, SBI_INVALID_PARAM);
		expect(SBI_SRST, 0, 0xefffffff, 0, 0, SBI_INVALID_PARAM);
		expect(SBI_SRST, 0, 0, 2, 0, SBI_INVALID_PARAM);
		expect(SBI_SRST, 0, 0, 0xdfffffff, 0, SBI_INVALID_PARAM);
		expect(SBI_SRST, 1, 0, 0, 0, SBI_NOT_SUPPORTED);
		sh_li(&m, RV_A0, end[i].type);
		sh_li(&m, RV_A1, end[i].reason);
		sh_sbi(&m, SBI_SRST, 0);
		E(0); /* not reached */
		m.quiet = true;
		sh_run(&m);
		CHECK_EQ(m.why, end[i].why);
		sh_close(&m);
	}
}

int main(void)
{
	sh_watchdog(60);
	base();
	masks();
	harts();
	suspend();
	console();
	reset();
	return sh_end("soft_sbi", TEST_END("soft_sbi, host side"));
}
