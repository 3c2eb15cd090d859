/* SPDX-License-Identifier: MIT */
/*
 * soft_trap.c - traps, privilege, control and status registers, interrupts
 *
 * Volume II: chapter 2 (CSR access, WARL), 3.1.9 (priority), 3.3.3 (wfi),
 * 4.1 (supervisor CSRs), 4.2 (sret); Sstc 1.0; SBI 2.0 chapters 6 and 7.
 * Where the specification leaves a choice (stval of an illegal instruction:
 * its bits or 0) this machine's is tested.
 */
#include "tests/unit/soft/soft_harness.h"

#include <pthread.h>
#include <unistd.h>

#include "tests/unit/test.h"

static struct sh m;

#define E(insn) sh_e(&m, insn)
#define N(a)    (sizeof(a) / sizeof((a)[0]))

#define NOWHERE 0x1000000000ull

static void illegal(void)
{
	static const uint32_t bad[] = {
		0xffffffff, 0x0000007f, 0x0000001f, /* longer than 32 bits */
		0x0000000b, 0x0000002b, 0x0000005b, 0x0000007b, /* custom */
		0x0000006b, 0x00000057, 0x00000077, /* reserved, vector */
		0x04001013,                         /* slli, bit 26 */
		0x04005013, 0x80005013,             /* srli, srai, bad top */
		0x0200101b, 0x0200501b, 0x4200501b, /* w shifts by 32 */
		0x0000201b, 0x0000301b,             /* op-imm-32 funct3 */
		0x40001033, 0x40002033, 0x80000033, /* op: funct7 */
		0x04000033, 0x0200103b, 0x4000103b, /* mulhw? */
		0x00007003, 0x00004023, 0x00007023, /* ldu, sd+ */
		0x00002063, 0x00003063,             /* branch funct3 2, 3 */
		0x00001067, 0x00007067,             /* jalr funct3 */
		0x00002007, 0x0030200f, 0x0000208f, /* flw needs FS; cbo */
		0x00004073,                         /* system funct3 4 */
		0x30200073,                         /* mret */
		0x00200073,                         /* uret */
		0x7b200073,                         /* dret */
		0x10200173, 0x10208073,             /* sret with rd, rs1 */
		0x00008073, 0x00100173,             /* ecall, ebreak: fields */
		0x10500173,                         /* wfi with rd */
		0x120000f3,                         /* sfence.vma with rd */
		0x22000073, 0x62000073,             /* hfence */
	};
	size_t i;

	sh_open(&m, 1);
	sh_li(&m, RV_T0, SSTATUS_FS);
	E(rv_csrrc(RV_ZERO, RV_CSR_SSTATUS, RV_T0));
	for (i = 0; i < N(bad); i++) {
		sh_try(&m);
		E(bad[i]);
		sh_trapped_at(&m, CAUSE_ILLEGAL, bad[i], RAM + m.try_pc,
			SSTATUS_SPP, SSTATUS_SPP, "illegal %#x", bad[i]);
		sh_try(&m);
		sh_user(&m);
		E(bad[i]);
		sh_trapped_at(&m, CAUSE_ILLEGAL, bad[i], RAM + m.try_pc,
			SSTATUS_SPP, 0, "illegal in U %#x", bad[i]);
	}
	sh_run(&m);
	sh_close(&m);
}

static void calls(void)
{
	uint64_t at;
	int k;

	sh_open(&m, 1);
	sh_try(&m);
	E(rv_ebreak());
	sh_trapped(&m, CAUSE_BREAKPOINT, SH_ANY, "ebreak");
	sh_try(&m);
	sh_user(&m);
	E(rv_ebreak());
	sh_trapped_at(&m, CAUSE_BREAKPOINT, SH_ANY, RAM + m.try_pc, SSTATUS_SPP,
		0, "ebreak in U");
	sh_try(&m);
	sh_user(&m);
	E(rv_ecall());
	sh_trapped_at(&m, CAUSE_ECALL_U, 0, RAM + m.try_pc, SSTATUS_SPP, 0,
		"ecall in U");
	/* after others: sepc is of the ecall */
	sh_try(&m);
	sh_user(&m);
	E(rv_addi(RV_A0, RV_ZERO, 5));
	sh_c(&m, rv_c_nop());
	E(rv_addi(RV_A0, RV_A0, 6));
	sh_trapping(&m);
	E(rv_ecall());
	sh_trapped(&m, CAUSE_ECALL_U, 0, "ecall in U after others");
	sh_expect(&m, RV_A0, 11, "what U mode did");
	/* privileged instructions in U mode */
#define T(insn)      \
	sh_try(&m);  \
	sh_user(&m); \
	E(insn);     \
	sh_trapped(&m, CAUSE_ILLEGAL, insn, "U: " #insn);
	T(rv_sret())
	T(rv_mret())
	T(rv_wfi())
	T(rv_sfence_vma(RV_ZERO, RV_ZERO))
	T(rv_sfence_vma(RV_A0, RV_A1))
#undef T
	/* SIE goes to SPIE and back, SPP says where from */
	for (k = 0; k < 4; k++) {
		bool sie = k & 1, spie = k & 2;

		sh_li(&m, RV_T0, SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP);
		E(rv_csrrc(RV_ZERO, RV_CSR_SSTATUS, RV_T0));
		sh_li(&m, RV_T0,
			(sie ? SSTATUS_SIE : 0) | (spie ? SSTATUS_SPIE : 0));
		E(rv_csrrs(RV_ZERO, RV_CSR_SSTATUS, RV_T0));
		sh_try(&m);
		E(rv_ebreak());
		sh_trapped_at(&m, CAUSE_BREAKPOINT, SH_ANY, RAM + m.try_pc,
			SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP,
			(sie ? SSTATUS_SPIE : 0) | SSTATUS_SPP,
			"trap with SIE %d, SPIE %d", sie, spie);
		E(rv_csrr(RV_T0, RV_CSR_SSTATUS));
		sh_expect_bits(&m, RV_T0,
			SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP,
			(sie ? SSTATUS_SIE : 0) | SSTATUS_SPIE,
			"after sret, SIE %d", sie);
	}
	sh_li(&m, RV_T0, SSTATUS_SIE);
	E(rv_csrrc(RV_ZERO, RV_CSR_SSTATUS, RV_T0));
	/* access faults: where there is neither memory nor device */
	for (k = 0; k < 8; k++) {
		static uint32_t (*const loads[])(
			unsigned, unsigned, int32_t) = {
			rv_lb, rv_lbu, rv_lh, rv_lhu, rv_lw, rv_lwu, rv_ld};
		static uint32_t (*const stores[])(unsigned, unsigned,
			int32_t) = {rv_sb, rv_sh, rv_sw, rv_sd};

		at = NOWHERE + 8 * (unsigned)k;
		sh_li(&m, RV_A0, at);
		sh_li(&m, RV_A1, 1234);
		if (k < 7) {
			sh_try(&m);
			E(loads[k](RV_A1, RV_A0, 0));
			sh_trapped(&m, CAUSE_LOAD_ACCESS, at, "load %d", k);
			sh_expect(&m, RV_A1, 1234, "rd after the fault");
		}
		if (k < 4) {
			sh_try(&m);
			E(stores[k](RV_A1, RV_A0, 0));
			sh_trapped(&m, CAUSE_STORE_ACCESS, at, "store %d", k);
		}
	}
	/* fetch: sepc and stval are the target; the link is written */
	sh_li(&m, RV_A0, NOWHERE);
	E(rv_mv(RV_RA, RV_ZERO));
	sh_try(&m);
	at = sh_pc(&m);
	E(rv_jalr(RV_RA, RV_A0, 6));
	sh_trapped_at(&m, CAUSE_FETCH_ACCESS, NOWHERE + 6, NOWHERE + 6, 0, 0,
		"fetch");
	sh_expect(&m, RV_RA, at + 4, "link of the jump that led there");
	sh_run(&m);
	sh_close(&m);
}

/*
 * Across the end of memory: stval is where the part begins that is missing
 * (volume II, 4.1.9: "the portion of the access that caused the fault"), and
 * nothing has been written. The other way round it is the address.
 */
static void memory_ends(void)
{
	const uint64_t end = RAM + RAM_SIZE;
	int k;

	sh_open(&m, 1);
	sh_li(&m, RV_A0, end);
	sh_li(&m, RV_A1, 0x1122334455667788);
	E(rv_sd(RV_A1, RV_A0, -8));
	for (k = 1; k < 8; k++) {
		sh_try(&m);
		E(rv_ld(RV_A2, RV_A0, -k));
		sh_trapped(&m, CAUSE_LOAD_ACCESS, end, "%d bytes loaded", k);
		sh_try(&m);
		E(rv_sd(RV_ZERO, RV_A0, -k));
		sh_trapped(&m, CAUSE_STORE_ACCESS, end, "%d bytes stored", k);
		E(rv_ld(RV_A2, RV_A0, -8));
		sh_expect(&m, RV_A2, 0x1122334455667788, "%d bytes kept", k);
	}
	sh_li(&m, RV_A0, RAM);
	E(rv_ld(RV_A1, RV_A0, 0));
	E(rv_mv(RV_A3, RV_A1));
	for (k = 1; k < 8; k++) {
		sh_try(&m);
		E(rv_sd(RV_ZERO, RV_A0, -k));
		sh_trapped(&m, CAUSE_STORE_ACCESS, RAM - (unsigned)k,
			"store %d before memory", k);
	}
	E(rv_ld(RV_A1, RV_A0, 0));
	E(rv_sub(RV_A1, RV_A1, RV_A3));
	sh_expect(&m, RV_A1, 0, "the first word");
	sh_run(&m);
	sh_close(&m);
}

/* Chapter 2.1: what may be accessed, and how. */
static void csr_access(void)
{
	static const unsigned absent[] = {0x000, 0x044, 0x180 + 1, 0x1ff, 0x200,
		0x300, 0x301, 0x304, 0x305, 0x340, 0x341, 0x342, 0x343, 0x344,
		0x3a0, 0x3b0, 0x5a8 + 1, 0x600, 0x680, 0x7a0 + 8, 0x7b0, 0x7c0,
		0x800, 0x9c0, 0xb00, 0xb02, 0xcc0, 0xdc0, 0xf11, 0xf14, 0xfff};
	static const unsigned readonly[] = {
		RV_CSR_CYCLE, RV_CSR_TIME, RV_CSR_INSTRET};
	static const unsigned supervisor[] = {RV_CSR_SSTATUS, RV_CSR_SIE,
		RV_CSR_STVEC, RV_CSR_SCOUNTEREN, RV_CSR_SSCRATCH, RV_CSR_SEPC,
		RV_CSR_SCAUSE, RV_CSR_STVAL, RV_CSR_SIP, RV_CSR_STIMECMP,
		RV_CSR_SATP};
	uint32_t insn;
	size_t i;
	int on;

	sh_open(&m, 1);
#define T(x, format, ...) \
	insn = x;         \
	sh_try(&m);       \
	E(insn);          \
	sh_trapped(&m, CAUSE_ILLEGAL, insn, format, __VA_ARGS__);
#define U(x, format, ...) \
	insn = x;         \
	sh_try(&m);       \
	sh_user(&m);      \
	E(insn);          \
	sh_trapped(&m, CAUSE_ILLEGAL, insn, format, __VA_ARGS__);
	for (i = 0; i < N(absent); i++) {
		T(rv_csrr(RV_A0, absent[i]), "read csr %#x", absent[i])
		T(rv_csrw(absent[i], RV_A0), "write csr %#x", absent[i])
		U(rv_csrr(RV_A0, absent[i]), "U: read csr %#x", absent[i])
	}
	for (i = 0; i < N(readonly); i++) {
		T(rv_csrrw(RV_ZERO, readonly[i], RV_A0), "csrrw %#x",
			readonly[i])
		T(rv_csrrw(RV_ZERO, readonly[i], RV_ZERO), "csrrw x0 %#x",
			readonly[i])
		T(rv_csrrwi(RV_ZERO, readonly[i], 0), "csrrwi 0 %#x",
			readonly[i])
		/* what counts is the register number, not its value */
		E(rv_mv(RV_A0, RV_ZERO));
		T(rv_csrrs(RV_A1, readonly[i], RV_A0), "csrrs %#x", readonly[i])
		T(rv_csrrc(RV_A1, readonly[i], RV_A0), "csrrc %#x", readonly[i])
		T(rv_csrrsi(RV_A1, readonly[i], 1), "csrrsi 1 %#x", readonly[i])
		E(rv_csrrsi(RV_A1, readonly[i], 0));
		E(rv_csrrci(RV_A1, readonly[i], 0));
		E(rv_csrrc(RV_A1, readonly[i], RV_ZERO));
		sh_expect(&m, RV_ZERO, 0, "reads of %#x", readonly[i]);
	}
	for (i = 0; i < N(supervisor); i++) {
		U(rv_csrr(RV_A0, supervisor[i]), "U: read %#x", supervisor[i])
		U(rv_csrw(supervisor[i], RV_A0), "U: write %#x", supervisor[i])
	}
	/* scounteren gives the counters to U mode, one by one */
	for (on = 0; on < 8; on++) {
		sh_li(&m, RV_T0, (unsigned)on);
		E(rv_csrw(RV_CSR_SCOUNTEREN, RV_T0));
		for (i = 0; i < 3; i++) {
			sh_li(&m, RV_A0, 0);
			sh_try(&m);
			sh_user(&m);
			insn = rv_csrr(RV_A0, readonly[i]);
			E(insn);
			if (on >> i & 1) {
				sh_trapping(&m);
				E(rv_ecall());
				sh_trapped(&m, CAUSE_ECALL_U, 0,
					"U: counter %zu on", i);
			} else {
				sh_trapped(&m, CAUSE_ILLEGAL, insn,
					"U: counter %zu off", i);
			}
		}
	}
#undef T
#undef U
	/* the counters count */
	E(rv_csrr(RV_A0, RV_CSR_INSTRET));
	E(rv_nop());
	E(rv_nop());
	E(rv_csrr(RV_A1, RV_CSR_INSTRET));
	E(rv_sub(RV_A1, RV_A1, RV_A0));
	sh_expect(&m, RV_A1, 3, "instret");
	E(rv_csrr(RV_A0, RV_CSR_CYCLE));
	E(rv_csrr(RV_A1, RV_CSR_CYCLE));
	E(rv_sltu(RV_A0, RV_A0, RV_A1));
	sh_expect(&m, RV_A0, 1, "cycle grows");
	E(rv_csrr(RV_A0, RV_CSR_TIME));
	E(rv_csrr(RV_A1, RV_CSR_TIME));
	E(rv_beq(RV_A0, RV_A1, -4));
	E(rv_sltu(RV_A0, RV_A0, RV_A1));
	sh_expect(&m, RV_A0, 1, "time grows");
	sh_run(&m);
	sh_close(&m);
}

static void csr_fields(void)
{
	uint64_t writable = SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP |
			    SSTATUS_FS | SSTATUS_SUM | SSTATUS_MXR;

	sh_open(&m, 1);
	sh_li(&m, RV_T0, UINT64_MAX & ~SSTATUS_SIE);
	sh_li(&m, RV_T6, UINT64_MAX);
#define SET(csr, name, mask, want)                                     \
	E(rv_csrw(csr, RV_T6));                                        \
	E(rv_csrr(RV_A0, csr));                                        \
	sh_expect_bits(&m, RV_A0, mask, want, name " after all ones"); \
	E(rv_csrw(csr, RV_ZERO));                                      \
	E(rv_csrr(RV_A0, csr));                                        \
	sh_expect_bits(&m, RV_A0, mask, 0, name " after zero");
	SET(RV_CSR_SSCRATCH, "sscratch", UINT64_MAX, UINT64_MAX)
	SET(RV_CSR_SEPC, "sepc", UINT64_MAX, UINT64_MAX - 1)
	SET(RV_CSR_STVAL, "stval", UINT64_MAX, UINT64_MAX)
	SET(RV_CSR_SIE, "sie", 0x222, 0x222)
	SET(RV_CSR_SCOUNTEREN, "scounteren", 7, 7)
	/* sip: only SSIP can be written */
	E(rv_csrw(RV_CSR_SIP, RV_T6));
	E(rv_csrr(RV_A0, RV_CSR_SIP));
	sh_expect_bits(&m, RV_A0, 0xfff & ~IRQ_TIMER, IRQ_SOFT, "sip");
	E(rv_csrw(RV_CSR_SIP, RV_ZERO));
	E(rv_csrr(RV_A0, RV_CSR_SIP));
	sh_expect_bits(&m, RV_A0, 0xfff & ~IRQ_TIMER, 0, "sip after 0");
	/* sstatus, without SIE */
	E(rv_csrw(RV_CSR_SSTATUS, RV_T0));
	E(rv_csrr(RV_A0, RV_CSR_SSTATUS));
	sh_expect_bits(&m, RV_A0, ~(0x7ull << 8 | 3ull << 15 | 1ull << 24),
		SSTATUS_SD | 2ull << 32 |
			(writable & ~SSTATUS_SIE & ~SSTATUS_SPP),
		"sstatus after ones");
	E(rv_csrr(RV_A0, RV_CSR_SSTATUS));
	sh_expect_bits(&m, RV_A0, SSTATUS_SPP, SSTATUS_SPP, "SPP");
	E(rv_csrw(RV_CSR_SSTATUS, RV_ZERO));
	E(rv_csrr(RV_A0, RV_CSR_SSTATUS));
	sh_expect_bits(&m, RV_A0, ~(3ull << 9), 2ull << 32,
		"sstatus after zero: UXL stays");
	/* stvec keeps mode 0 and 1 and any aligned base */
	E(rv_csrr(RV_T1, RV_CSR_STVEC));
	sh_li(&m, RV_T2, RAM + 0x101);
	E(rv_csrw(RV_CSR_STVEC, RV_T2));
	E(rv_csrr(RV_A0, RV_CSR_STVEC));
	sh_expect(&m, RV_A0, RAM + 0x101, "stvec vectored");
	E(rv_csrw(RV_CSR_STVEC, RV_T6));
	E(rv_csrr(RV_A0, RV_CSR_STVEC));
	sh_expect_bits(&m, RV_A0, 2, 0, "stvec of a reserved mode");
	E(rv_csrw(RV_CSR_STVEC, RV_T1));
	E(rv_csrr(RV_A0, RV_CSR_STVEC));
	E(rv_sub(RV_A0, RV_A0, RV_T1));
	sh_expect(&m, RV_A0, 0, "stvec direct");
	/* scause holds what can happen, interrupts too */
	sh_li(&m, RV_T2, CAUSE_EXTERNAL_IRQ);
	E(rv_csrw(RV_CSR_SCAUSE, RV_T2));
	E(rv_csrr(RV_A0, RV_CSR_SCAUSE));
	sh_expect(&m, RV_A0, CAUSE_EXTERNAL_IRQ, "scause");
	/* read, set and clear; the old value; rd = rs1 */
	sh_li(&m, RV_A0, 0xf0f0);
	E(rv_csrw(RV_CSR_SSCRATCH, RV_A0));
	sh_li(&m, RV_A0, 0x0ff0);
	E(rv_csrrs(RV_A0, RV_CSR_SSCRATCH, RV_A0));
	sh_expect(&m, RV_A0, 0xf0f0, "csrrs rd = rs1");
	sh_li(&m, RV_A0, 0x0f00);
	E(rv_csrrc(RV_A0, RV_CSR_SSCRATCH, RV_A0));
	sh_expect(&m, RV_A0, 0xfff0, "csrrc rd = rs1");
	sh_li(&m, RV_A0, 99);
	E(rv_csrrw(RV_A0, RV_CSR_SSCRATCH, RV_A0));
	sh_expect(&m, RV_A0, 0xf0f0, "csrrw rd = rs1");
	E(rv_csrrwi(RV_A0, RV_CSR_SSCRATCH, 31));
	sh_expect(&m, RV_A0, 99, "csrrwi");
	E(rv_csrrci(RV_A0, RV_CSR_SSCRATCH, 21));
	sh_expect(&m, RV_A0, 31, "csrrci");
	E(rv_csrrsi(RV_A0, RV_CSR_SSCRATCH, 5));
	sh_expect(&m, RV_A0, 10, "csrrsi");
	E(rv_csrr(RV_A0, RV_CSR_SSCRATCH));
	sh_expect(&m, RV_A0, 15, "sscratch at the end");
#undef SET
	sh_run(&m);
	sh_close(&m);
}

static void sie(uint64_t mask)
{
	sh_li(&m, RV_T0, mask);
	E(rv_csrw(RV_CSR_SIE, RV_T0));
}

static void enable(void)
{
	E(rv_csrrsi(RV_ZERO, RV_CSR_SSTATUS, 2));
}

/* Wait where we are, with a bound, for the interrupt that must come. */
static void linger(void)
{
	sh_li(&m, RV_T5, 400000000);
	E(rv_addi(RV_T5, RV_T5, -1));
	E(rv_bne(RV_T5, RV_ZERO, -4));
}

static void set_soft(void)
{
	E(rv_csrrsi(RV_ZERO, RV_CSR_SIP, 2));
}

static void clear_soft(void)
{
	E(rv_csrrci(RV_ZERO, RV_CSR_SIP, 2));
}

static void no_timer(void)
{
	sh_li(&m, RV_T0, UINT64_MAX);
	E(rv_csrw(RV_CSR_STIMECMP, RV_T0));
}

/* stimecmp = time + ticks */
static void timer_in(uint64_t ticks)
{
	E(rv_csrr(RV_T0, RV_CSR_TIME));
	sh_li(&m, RV_T1, ticks);
	E(rv_add(RV_T0, RV_T0, RV_T1));
	E(rv_csrw(RV_CSR_STIMECMP, RV_T0));
}

static void interrupts(void)
{
	uint64_t status = SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP;

	sh_open(&m, 1);
	E(rv_mv(RV_S2, RV_A0)); /* hart id, before anything else */
	no_timer();
	sie(0x222);
	clear_soft();
	/* software: set by the guest itself */
	set_soft();
	E(rv_nop());
	E(rv_nop());
	sh_expect(&m, RV_ZERO, 0, "SIE is clear: nothing happens in S mode");
	sh_try(&m);
	enable();
	linger();
	sh_trapped_at(&m, CAUSE_SOFT_IRQ, 0, SH_ANY, status,
		SSTATUS_SPIE | SSTATUS_SPP, "software interrupt");
	/* in U mode SIE does not matter */
	sh_try(&m);
	sh_user(&m);
	linger();
	sh_trapped_at(&m, CAUSE_SOFT_IRQ, 0, SH_ANY, SSTATUS_SPP, 0,
		"software interrupt in U mode");
	/* sie masks it, in U mode too */
	sie(0x220);
	enable();
	sh_try(&m);
	sh_user(&m);
	E(rv_nop());
	sh_trapping(&m);
	E(rv_ecall());
	sh_trapped(&m, CAUSE_ECALL_U, 0, "masked by sie");
	/* enabling it in sie, when SIE is set */
	sh_try(&m);
	enable();
	sie(0x2);
	linger();
	sh_trapped_at(&m, CAUSE_SOFT_IRQ, 0, SH_ANY, status,
		SSTATUS_SPIE | SSTATUS_SPP, "enabled in sie");
	/* sret that sets SIE takes it at once, in S mode */
	sh_li(&m, RV_T0, SSTATUS_SPIE | SSTATUS_SPP);
	E(rv_csrrs(RV_ZERO, RV_CSR_SSTATUS, RV_T0));
	sh_try(&m);
	E(rv_auipc(RV_T0, 0));
	E(rv_addi(RV_T0, RV_T0, 16));
	E(rv_csrw(RV_CSR_SEPC, RV_T0));
	E(rv_sret());
	sh_trapping(&m);
	linger();
	sh_trapped_at(&m, CAUSE_SOFT_IRQ, 0, SH_ANY, status,
		SSTATUS_SPIE | SSTATUS_SPP, "enabled by sret");
	clear_soft();

	/* SBI send_ipi to oneself */
	sh_li(&m, RV_A0, 1);
	E(rv_sll(RV_A0, RV_A0, RV_S2));
	sh_li(&m, RV_A1, 0);
	sh_sbi(&m, SBI_IPI, 0);
	sh_expect(&m, RV_A0, 0, "send_ipi");
	sie(IRQ_SOFT);
	sh_try(&m);
	enable();
	linger();
	sh_trapped_at(&m, CAUSE_SOFT_IRQ, 0, SH_ANY, 0, 0, "send_ipi");
	sh_run(&m);
	sh_close(&m);
}

static void timers(void)
{
	sh_open(&m, 1);
	no_timer();
	clear_soft();
	E(rv_csrr(RV_A0, RV_CSR_SIP));
	sh_expect_bits(&m, RV_A0, IRQ_TIMER, 0, "no timer");
	/* in the past: pending at once; STIP can not be written */
	E(rv_csrw(RV_CSR_STIMECMP, RV_ZERO));
	E(rv_csrr(RV_A0, RV_CSR_SIP));
	sh_expect_bits(&m, RV_A0, IRQ_TIMER, IRQ_TIMER, "timer in the past");
	sh_li(&m, RV_T0, IRQ_TIMER);
	E(rv_csrrc(RV_ZERO, RV_CSR_SIP, RV_T0));
	E(rv_csrr(RV_A0, RV_CSR_SIP));
	sh_expect_bits(&m, RV_A0, IRQ_TIMER, IRQ_TIMER, "STIP is read-only");
	E(rv_csrr(RV_A0, RV_CSR_STIMECMP));
	sh_expect(&m, RV_A0, 0, "stimecmp");
	sie(IRQ_TIMER);
	sh_try(&m);
	enable();
	linger();
	sh_trapped_at(&m, CAUSE_TIMER_IRQ, 0, SH_ANY, SSTATUS_SPP, SSTATUS_SPP,
		"timer in the past");
	no_timer();
	E(rv_csrr(RV_A0, RV_CSR_SIP));
	sh_expect_bits(&m, RV_A0, IRQ_TIMER, 0, "stimecmp clears STIP");
	/* in 2 ms: it interrupts a loop, not before its time */
	timer_in(20000);
	E(rv_mv(RV_S2, RV_T0));
	sh_try(&m);
	enable();
	linger();
	sh_trapped_at(&m, CAUSE_TIMER_IRQ, 0, SH_ANY, 0, 0, "timer in a loop");
	E(rv_csrr(RV_A0, RV_CSR_TIME));
	E(rv_sltu(RV_A0, RV_A0, RV_S2));
	sh_expect(&m, RV_A0, 0, "not before its time");
	/* ... and a wfi, with interrupts on and off */
	timer_in(20000);
	E(rv_mv(RV_S2, RV_T0));
	sh_try(&m);
	enable();
	E(rv_wfi());
	linger();
	sh_trapped_at(&m, CAUSE_TIMER_IRQ, 0, SH_ANY, 0, 0, "timer in wfi");
	no_timer();
	timer_in(20000);
	E(rv_mv(RV_S2, RV_T0));
	E(rv_csrrci(RV_ZERO, RV_CSR_SSTATUS, 2));
	{
		rv_label again = rv_label_here(&m.p);

		E(rv_wfi()); /* may wake early */
		E(rv_csrr(RV_A0, RV_CSR_SIP));
		E(rv_andi(RV_A0, RV_A0, (int)IRQ_TIMER));
		rv_branch(&m.p, RV_BEQ, RV_A0, RV_ZERO, again);
	}
	E(rv_csrr(RV_A0, RV_CSR_TIME));
	E(rv_sltu(RV_A0, RV_A0, RV_S2));
	sh_expect(&m, RV_A0, 0, "wfi with SIE clear goes on");
	/* wfi with something pending does not wait */
	E(rv_wfi());
	E(rv_wfi());
	sh_expect(&m, RV_ZERO, 0, "wfi while pending");
	no_timer();
	/* the SBI way */
	E(rv_csrr(RV_A0, RV_CSR_TIME));
	sh_li(&m, RV_T0, 20000);
	E(rv_add(RV_A0, RV_A0, RV_T0));
	E(rv_mv(RV_S2, RV_A0));
	sh_sbi(&m, SBI_TIME, 0);
	sh_expect(&m, RV_A0, 0, "set_timer");
	sh_try(&m);
	enable();
	linger();
	sh_trapped_at(&m, CAUSE_TIMER_IRQ, 0, SH_ANY, 0, 0, "set_timer");
	E(rv_csrr(RV_A0, RV_CSR_TIME));
	E(rv_sltu(RV_A0, RV_A0, RV_S2));
	sh_expect(&m, RV_A0, 0, "set_timer, not before its time");
	sh_li(&m, RV_A0, UINT64_MAX);
	sh_sbi(&m, SBI_TIME, 0);
	E(rv_csrr(RV_A0, RV_CSR_SIP));
	sh_expect_bits(&m, RV_A0, IRQ_TIMER, 0, "set_timer clears STIP");
	/* priority: external, software, timer */
	set_soft();
	E(rv_csrw(RV_CSR_STIMECMP, RV_ZERO));
	sie(0x222);
	sh_try(&m);
	enable();
	linger();
	sh_trapped_at(&m, CAUSE_SOFT_IRQ, 0, SH_ANY, 0, 0,
		"software goes before timer");
	clear_soft();
	sh_try(&m);
	enable();
	linger();
	sh_trapped_at(&m, CAUSE_TIMER_IRQ, 0, SH_ANY, 0, 0, "then timer");
	sh_run(&m);
	sh_close(&m);
}

/*
 * Vectored stvec: interrupts go to BASE + 4 * cause, exceptions to BASE. The
 * vectors put their number into a1 and go to the handler of the harness.
 */
static void vectored(void)
{
	rv_label table, over;
	size_t handler;
	int i;

	sh_open(&m, 1);
	table = rv_label_new(&m.p);
	over = rv_label_new(&m.p);
	handler = m.handler;
	rv_jump(&m.p, RV_ZERO, over);
	rv_align(&m.p, 256);
	rv_bind(&m.p, table);
	for (i = 0; i < 16; i++)
		E(rv_jal(RV_A1, 64)); /* to its twin; a1 tells which */
	for (i = 0; i < 16; i++)
		E(rv_jal(RV_ZERO,
			(int32_t)((int64_t)handler - (int64_t)m.p.size)));
	rv_bind(&m.p, over);
	rv_la(&m.p, RV_A2, table);
	E(rv_addi(RV_T0, RV_A2, 1));
	E(rv_csrw(RV_CSR_STVEC, RV_T0));
	no_timer();
	sie(0x222);
	sh_try(&m);
	E(rv_ebreak());
	sh_trapped(&m, CAUSE_BREAKPOINT, SH_ANY, "vectored ebreak");
	E(rv_sub(RV_A0, RV_A1, RV_A2));
	sh_expect(&m, RV_A0, 4, "exceptions go to the base");
	set_soft();
	sh_try(&m);
	enable();
	linger();
	sh_trapped_at(&m, CAUSE_SOFT_IRQ, 0, SH_ANY, 0, 0, "vectored SSI");
	E(rv_sub(RV_A0, RV_A1, RV_A2));
	sh_expect(&m, RV_A0, 4 + 4 * 1, "SSI goes to base + 4");
	clear_soft();
	E(rv_csrw(RV_CSR_STIMECMP, RV_ZERO));
	sh_try(&m);
	enable();
	linger();
	sh_trapped_at(&m, CAUSE_TIMER_IRQ, 0, SH_ANY, 0, 0, "vectored STI");
	E(rv_sub(RV_A0, RV_A1, RV_A2));
	sh_expect(&m, RV_A0, 4 + 4 * 5, "STI goes to base + 20");
	sh_run(&m);
	sh_close(&m);
}

#ifndef SH_QEMU
/* The wire from the interrupt controller, set and cleared by a host thread. */
static void *wire(void *arg)
{
	struct irq_line irq = soft_external_irq(m.soft, 0);
	uint64_t *box = sh_at(&m, DATA);
	unsigned step;

	for (step = 1; step <= 5; step++) {
		while (__atomic_load_n(&box[0], __ATOMIC_ACQUIRE) != step)
			usleep(100);
		usleep(2000); /* let it get into wfi */
		irq_set(&irq, step & 1);
		__atomic_store_n(&box[1], step, __ATOMIC_RELEASE);
	}
	return arg;
}

static void flag(unsigned step)
{
	E(rv_addi(RV_T0, RV_ZERO, (int)step));
	E(rv_sd(RV_T0, RV_S0, 0));
}

static void await(unsigned step)
{
	rv_label again = rv_label_here(&m.p);

	E(rv_addi(RV_T0, RV_ZERO, (int)step));
	E(rv_ld(RV_T1, RV_S0, 8));
	rv_branch(&m.p, RV_BNE, RV_T0, RV_T1, again);
}

static void external(void)
{
	pthread_t thread;

	sh_open(&m, 1);
	sh_li(&m, RV_S0, DATA);
	no_timer();
	sie(IRQ_EXTERNAL);
	/* raised while the hart loops */
	sh_try(&m);
	enable();
	flag(1);
	linger();
	sh_trapped_at(&m, CAUSE_EXTERNAL_IRQ, 0, SH_ANY, 0, 0, "external");
	E(rv_csrr(RV_A0, RV_CSR_SIP));
	sh_expect_bits(&m, RV_A0, IRQ_EXTERNAL, IRQ_EXTERNAL, "SEIP");
	sh_li(&m, RV_T0, IRQ_EXTERNAL);
	E(rv_csrrc(RV_A0, RV_CSR_SIP, RV_T0));
	E(rv_csrr(RV_A0, RV_CSR_SIP));
	sh_expect_bits(
		&m, RV_A0, IRQ_EXTERNAL, IRQ_EXTERNAL, "SEIP is read-only");
	/* it goes before the others */
	set_soft();
	E(rv_csrw(RV_CSR_STIMECMP, RV_ZERO));
	sie(0x222);
	sh_try(&m);
	enable();
	linger();
	sh_trapped_at(&m, CAUSE_EXTERNAL_IRQ, 0, SH_ANY, 0, 0,
		"external goes before software and timer");
	clear_soft();
	no_timer();
	sie(IRQ_EXTERNAL);
	flag(2);
	await(2);
	E(rv_csrr(RV_A0, RV_CSR_SIP));
	sh_expect_bits(&m, RV_A0, IRQ_EXTERNAL, 0, "the line went low");
	/* raised while the hart waits in wfi, SIE set */
	sh_try(&m);
	enable();
	flag(3);
	E(rv_wfi());
	linger();
	sh_trapped_at(&m, CAUSE_EXTERNAL_IRQ, 0, SH_ANY, 0, 0, "out of wfi");
	flag(4);
	await(4);
	/* ... and clear */
	flag(5);
	{
		rv_label again = rv_label_here(&m.p);

		E(rv_wfi());
		E(rv_csrr(RV_A0, RV_CSR_SIP));
		E(rv_andi(RV_A0, RV_A0, (int)IRQ_EXTERNAL));
		rv_branch(&m.p, RV_BEQ, RV_A0, RV_ZERO, again);
	}
	sh_expect(&m, RV_A0, IRQ_EXTERNAL, "wfi with SIE clear");
	sh_start(&m);
	if (CHECK(!pthread_create(&thread, NULL, wire, NULL))) {
		sh_go(&m);
		pthread_join(thread, NULL);
	}
	sh_close(&m);
}

/* soft_request_stop(), from another thread, also out of wfi. */
static void *stopper(void *arg)
{
	usleep(5000);
	soft_request_stop(m.soft, ACCEL_STOP_ASKED);
	return arg;
}

static void stops(void)
{
	pthread_t thread;
	int waiting;

	for (waiting = 0; waiting < 2; waiting++) {
		sh_open(&m, 2);
		if (waiting)
			E(rv_wfi());
		E(rv_jal(RV_ZERO, waiting ? -4 : 0));
		m.quiet = true;
		sh_start(&m);
		if (!CHECK(!pthread_create(&thread, NULL, stopper, NULL)))
			return;
		sh_go(&m);
		pthread_join(thread, NULL);
		CHECK_EQ(m.why, ACCEL_STOP_ASKED);
		sh_close(&m);
	}
}
#endif

int main(void)
{
	sh_watchdog(120);
	illegal();
	calls();
	memory_ends();
	csr_access();
	csr_fields();
	interrupts();
	timers();
	vectored();
#ifndef SH_QEMU
	external();
	stops();
#endif
	return sh_end("soft_trap", TEST_END("soft_trap, host side"));
}
