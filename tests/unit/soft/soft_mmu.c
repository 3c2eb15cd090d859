/* SPDX-License-Identifier: MIT */
/*
 * soft_mmu.c - Sv39 and Sv48
 *
 * Volume II: 4.1.11 (satp), 4.2.1 (sfence.vma), 4.3.1 and 4.3.2 (rights and
 * the walk), 4.4 and 4.5 (Sv39, Sv48). Accessed and dirty bits are set in
 * memory by the walker, the first of the two schemes of 4.3.1.
 *
 * The program lives in an identity mapping of one gigapage, which U mode
 * sees at ALIAS. Pages under test are at VA.
 */
#include "tests/unit/soft/soft_harness.h"

#include "tests/unit/test.h"

static struct sh m;

#define E(insn) sh_e(&m, insn)
#define N(a)    (sizeof(a) / sizeof((a)[0]))

#define GIGA   0x40000000ull
#define IDENT  (RAM & ~(GIGA - 1))
#define ALIAS  GIGA /* what is added to an address for U mode */
#define VA     0x40000000ull
#define ROOT   TABLES
#define LEVEL1 (TABLES + 0x1000)
#define LEVEL0 (TABLES + 0x2000)
#define TOP48  (TABLES + 0x3000)
#define PAGE_A (DATA + 0x10000)
#define PAGE_B (DATA + 0x30000)
#define PAGE_C (DATA + 0x20000)

/* Tables as described, in host memory; then satp is written. */
static void paging(bool sv48)
{
	uint64_t satp = sv48 ? SATP_SV48 | TOP48 >> 12 : SATP_SV39 | ROOT >> 12;

	sh_put(&m, TOP48, PTE_PA(ROOT) | PTE_V);
	sh_put(&m, ROOT + 8 * (IDENT / GIGA), PTE_PA(IDENT) | PTE_ALL);
	sh_put(&m, ROOT + 8 * ((IDENT + ALIAS) / GIGA),
		PTE_PA(IDENT) | PTE_ALL | PTE_U);
	sh_put(&m, ROOT + 8 * (VA / GIGA), PTE_PA(LEVEL1) | PTE_V);
	sh_put(&m, LEVEL1, PTE_PA(LEVEL0) | PTE_V);
	sh_li(&m, RV_T0, satp);
	E(rv_csrw(RV_CSR_SATP, RV_T0));
	E(rv_sfence_vma(RV_ZERO, RV_ZERO));
	E(rv_csrr(RV_T1, RV_CSR_SATP));
	sh_expect(&m, RV_T1, satp, "satp");
}

/* The guest writes a PTE (at a physical = virtual address) and fences. */
static void set_pte(uint64_t at, uint64_t pte)
{
	sh_li(&m, RV_T0, at);
	sh_li(&m, RV_T1, pte);
	E(rv_sd(RV_T1, RV_T0, 0));
	E(rv_sfence_vma(RV_ZERO, RV_ZERO));
}

/* PTE of the n-th small page at VA. */
static uint64_t small(unsigned n)
{
	return LEVEL0 + 8 * n;
}

static void expect_pte(uint64_t at, uint64_t pte, const char *text)
{
	sh_li(&m, RV_T0, at);
	E(rv_ld(RV_T1, RV_T0, 0));
	sh_expect(&m, RV_T1, pte, "%s: the PTE", text);
}

static void status(bool sum, bool mxr)
{
	sh_li(&m, RV_T0, SSTATUS_SUM | SSTATUS_MXR);
	E(rv_csrrc(RV_ZERO, RV_CSR_SSTATUS, RV_T0));
	sh_li(&m, RV_T0, (sum ? SSTATUS_SUM : 0) | (mxr ? SSTATUS_MXR : 0));
	E(rv_csrrs(RV_ZERO, RV_CSR_SSTATUS, RV_T0));
}

enum access { LOAD, STORE, AMO, FETCH };

static const uint64_t page_fault[] = {
	CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE, CAUSE_STORE_PAGE, CAUSE_FETCH_PAGE};
static const uint64_t access_fault[] = {CAUSE_LOAD_ACCESS, CAUSE_STORE_ACCESS,
	CAUSE_STORE_ACCESS, CAUSE_FETCH_ACCESS};
static const char *const access_name[] = {"load", "store", "amo", "fetch"};

static uint32_t access_insn(enum access access)
{
	return access == LOAD    ? rv_lw(RV_A1, RV_A0, 0)
	       : access == STORE ? rv_sw(RV_A2, RV_A0, 0)
	       : access == AMO   ? rv_amoor_w(RV_A1, RV_ZERO, RV_A0)
				 : rv_jalr(RV_RA, RV_A0, 0);
}

/* U mode at the alias of what comes next. */
static void user(void)
{
	sh_li(&m, RV_S9, SSTATUS_SPP);
	E(rv_csrrc(RV_ZERO, RV_CSR_SSTATUS, RV_S9));
	sh_li(&m, RV_S8, ALIAS);
	E(rv_auipc(RV_S9, 0));
	E(rv_add(RV_S9, RV_S9, RV_S8));
	E(rv_addi(RV_S9, RV_S9, 20));
	E(rv_csrw(RV_CSR_SEPC, RV_S9));
	E(rv_sret());
	sh_trapping(&m);
}

/*
 * One access to va, whose memory begins with a return instruction; cause 0
 * means it succeeds.
 */
static void touch(uint64_t va, enum access access, bool umode, uint64_t cause,
	const char *text)
{
	uint64_t up = umode ? ALIAS : 0;

	sh_li(&m, RV_A0, va);
	sh_li(&m, RV_A2, 0x8082); /* c.jr ra: stores leave it what it is */
	if (!umode && !cause) {
		E(access_insn(access));
		return;
	}
	sh_try(&m);
	if (umode)
		user();
	E(access_insn(access));
	if (!cause) {
		sh_trapping(&m);
		E(rv_ecall());
	}
	sh_trapped_at(&m, cause ? cause : CAUSE_ECALL_U, cause ? va : 0,
		cause && access == FETCH ? va : RAM + m.try_pc + up,
		SSTATUS_SPP, umode ? 0 : SSTATUS_SPP, "%s %s%s", text,
		access_name[access], umode ? " U" : "");
}

/* 4.3.2, steps 3, 5 and 6, for a PTE of the last level. */
static bool allowed(
	uint64_t pte, enum access access, bool umode, bool sum, bool mxr)
{
	if (!(pte & PTE_V) || (!(pte & PTE_R) && (pte & PTE_W)))
		return false;
	if (!(pte & (PTE_R | PTE_X)))
		return false; /* a pointer to a level that does not exist */
	if (umode && !(pte & PTE_U))
		return false;
	if (!umode && (pte & PTE_U) && (access == FETCH || !sum))
		return false;
	if (access == FETCH)
		return pte & PTE_X;
	if (access == LOAD)
		return (pte & PTE_R) || (mxr && (pte & PTE_X));
	return pte & PTE_W;
}

/* All PTEs, all accesses, S mode with all SUM and MXR, and U mode. */
static void rights(bool sv48)
{
	static const uint64_t bit[] = {
		PTE_V, PTE_R, PTE_W, PTE_X, PTE_U, PTE_A, PTE_D};
	unsigned mode, flags, k;
	char text[64];
	int access;

	/* mode: bit 0 SUM, bit 1 MXR, 4 and 6: U mode without and with MXR */
	for (mode = 0; mode < 7; mode++) {
		bool sum = mode & 1, mxr = mode & 2, umode = mode & 4;

		if (mode == 5)
			continue;
		sh_open(&m, 1);
		sh_put(&m, PAGE_A, 0x8082);
		paging(sv48);
		status(sum, mxr);
		for (flags = 0; flags < 128; flags++) {
			uint64_t pte = PTE_PA(PAGE_A);

			for (k = 0; k < N(bit); k++)
				pte |= flags >> k & 1 ? bit[k] : 0;
			snprintf(text, sizeof(text), "pte %#x sum %d mxr %d",
				(unsigned)(pte & 0xff), sum, mxr);
			for (access = LOAD; access <= FETCH; access++) {
				bool ok = allowed(pte, access, umode, sum, mxr);
				uint64_t after = pte;

				if (ok)
					after |=
						access == STORE || access == AMO
							? PTE_A | PTE_D
							: PTE_A;
				set_pte(small(3), pte);
				touch(VA + 0x3000, access, umode,
					ok ? 0 : page_fault[access], text);
				expect_pte(small(3), after, text);
			}
		}
		sh_run(&m);
		sh_close(&m);
	}
}

/* What makes a walk fail at any level; superpages; canonical addresses. */
static void walks(bool sv48)
{
	static const uint64_t offsets[] = {0, 0x1000, 0xff000, 0x1ff000};
	static const uint64_t reserved[] = {
		54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
	uint64_t bits = sv48 ? 48 : 39, half = 1ull << (bits - 1);
	uint64_t super = VA + 0x200000, k, at;
	int access;
	size_t i;

	sh_open(&m, 1);
	/* else bits 61 to 63 mean something: soft_isa tests that */
	m.isa_off = 1u << ISA_SVNAPOT | 1u << ISA_SVPBMT;
	for (i = 0; i < N(offsets); i++) {
		sh_put(&m, SPARE + offsets[i], 0x8082);
		sh_put(&m, SPARE + offsets[i] + 8, 0x1000 + i);
	}
	sh_put(&m, PAGE_A, 0x8082);
	sh_put(&m, PAGE_A + 8, 0xaaaa);
	sh_put(&m, PAGE_B, 0xbbbb);
	paging(sv48);
	/* megapage; SPARE is 2 MiB aligned */
	set_pte(LEVEL1 + 8, PTE_PA(SPARE) | PTE_V | PTE_RWX);
	for (i = 0; i < N(offsets); i++) {
		sh_li(&m, RV_A0, super + offsets[i]);
		E(rv_ld(RV_A1, RV_A0, 8));
		sh_expect(&m, RV_A1, 0x1000 + i, "2M page + %#llx",
			(unsigned long long)offsets[i]);
		if (!i)
			expect_pte(LEVEL1 + 8,
				PTE_PA(SPARE) | PTE_V | PTE_RWX | PTE_A,
				"2M load");
		touch(super + offsets[i], FETCH, false, 0, "2M page");
	}
	E(rv_sd(RV_A1, RV_A0, 8));
	expect_pte(LEVEL1 + 8, PTE_PA(SPARE) | PTE_ALL, "2M store");
	/* misaligned megapages */
	for (k = 0; k < 9; k++) {
		set_pte(LEVEL1 + 8,
			(PTE_PA(SPARE) | PTE_ALL) ^ 1ull << (10 + k));
		for (access = LOAD; access <= FETCH; access++)
			touch(super + 0x1000, access, false, page_fault[access],
				"misaligned 2M page");
	}
	/* gigapages: VA of entry 5 */
	at = ROOT + 8 * 5;
	set_pte(at, PTE_PA(IDENT) | PTE_V | PTE_RWX);
	sh_li(&m, RV_A0, 5 * GIGA + (PAGE_A - IDENT));
	E(rv_ld(RV_A1, RV_A0, 8));
	sh_expect(&m, RV_A1, 0xaaaa, "1G page");
	expect_pte(at, PTE_PA(IDENT) | PTE_V | PTE_RWX | PTE_A, "1G load");
	E(rv_sd(RV_A1, RV_A0, 16));
	expect_pte(at, PTE_PA(IDENT) | PTE_ALL, "1G store");
	for (k = 0; k < 18; k++) {
		set_pte(at, PTE_PA(IDENT) | PTE_ALL | 1ull << (10 + k));
		touch(5 * GIGA, k % 4, false, page_fault[k % 4],
			"misaligned 1G page");
	}
	if (sv48) {
		/* terapages: entry 1 of the top; all of memory is in 0 */
		set_pte(TOP48 + 8, PTE_V | PTE_RWX);
		sh_li(&m, RV_A0, (1ull << 39) + PAGE_A);
		E(rv_ld(RV_A1, RV_A0, 8));
		sh_expect(&m, RV_A1, 0xaaaa, "512G page");
		expect_pte(TOP48 + 8, PTE_V | PTE_RWX | PTE_A, "512G load");
		for (k = 0; k < 27; k++) {
			set_pte(TOP48 + 8, PTE_ALL | 1ull << (10 + k));
			touch(1ull << 39, k % 4, false, page_fault[k % 4],
				"misaligned 512G page");
		}
		set_pte(TOP48 + 8, 0);
	}
	/* nothing there: invalid at each level */
	for (access = LOAD; access <= FETCH; access++) {
		touch(7 * GIGA, access, false, page_fault[access], "no root");
		touch(VA + 0x400000, access, false, page_fault[access],
			"no level 1");
		touch(VA + 0x5000, access, false, page_fault[access],
			"no level 0");
		touch(VA + 0x5ffc, access, true, page_fault[access],
			"no level 0");
	}
	/* W without R, in a pointer; reserved bits, in leaf and pointer */
	set_pte(LEVEL1 + 8, PTE_PA(LEVEL0) | PTE_V | PTE_W);
	touch(super, LOAD, false, CAUSE_LOAD_PAGE, "W only");
	set_pte(LEVEL1 + 8, PTE_PA(LEVEL0) | PTE_V | PTE_W | PTE_X);
	touch(super, FETCH, false, CAUSE_FETCH_PAGE, "WX only");
	for (i = 0; i < N(reserved); i++) {
		set_pte(small(3),
			PTE_PA(PAGE_A) | PTE_ALL | 1ull << reserved[i]);
		for (access = LOAD; access <= FETCH; access++)
			touch(VA + 0x3000, access, false, page_fault[access],
				"reserved bit of a leaf");
		set_pte(LEVEL1 + 8,
			PTE_PA(LEVEL0) | PTE_V | 1ull << reserved[i]);
		touch(super, LOAD, false, CAUSE_LOAD_PAGE,
			"reserved bit of a pointer");
	}
	/* RSW bits are the software's; G is no right */
	set_pte(small(3), PTE_PA(PAGE_A) | PTE_ALL | PTE_G | 3ull << 8);
	touch(VA + 0x3000, LOAD, false, 0, "RSW");
	expect_pte(
		small(3), PTE_PA(PAGE_A) | PTE_ALL | PTE_G | 3ull << 8, "RSW");
	/* not canonical: not mapped, whatever the low bits say */
	for (access = LOAD; access <= FETCH; access++) {
		touch(half, access, false, page_fault[access], "half");
		touch(half | PAGE_A, access, false, page_fault[access],
			"half + memory");
		touch((2 * half) | PAGE_A, access, false, page_fault[access],
			"above");
		touch(1ull << 63 | PAGE_A, access, false, page_fault[access],
			"bit 63");
		touch(-half - 4096, access, false, page_fault[access],
			"below the upper half");
		touch((-half & ~(1ull << 55)) | PAGE_A, access, false,
			page_fault[access], "a hole in the sign");
	}
	/* the upper half can be mapped: its last gigabyte */
	at = (sv48 ? TOP48 : ROOT) + 8 * 511;
	set_pte(TABLES + 0x5000 + 8 * 511, PTE_PA(IDENT) | PTE_ALL);
	set_pte(at, sv48 ? PTE_PA(TABLES + 0x5000) | PTE_V
			 : PTE_PA(IDENT) | PTE_ALL);
	sh_li(&m, RV_A0, -GIGA + (PAGE_A - IDENT));
	E(rv_ld(RV_A1, RV_A0, 8));
	sh_expect(&m, RV_A1, 0xaaaa, "upper half");
	touch(-GIGA + (PAGE_A - IDENT), FETCH, false, 0, "upper half");
	/* tables where there is no memory: access faults, not page faults */
	set_pte(LEVEL1 + 8, PTE_PA(0x1000000000) | PTE_V);
	for (access = LOAD; access <= FETCH; access++)
		touch(super + 0x123000, access, false, access_fault[access],
			"table without memory");
	set_pte(LEVEL1 + 8, PTE_PA(LEVEL0) | PTE_V);
	/* and a page without memory */
	set_pte(small(3), PTE_PA(0x1000000000) | PTE_ALL);
	for (access = LOAD; access <= FETCH; access++)
		touch(VA + 0x3000, access, false, access_fault[access],
			"page without memory");
	sh_run(&m);
	sh_close(&m);
}

static void fences(bool sv48)
{
	uint64_t leaf = PTE_ALL, mode;
	rv_label again, over;
	int k;

	sh_open(&m, 1);
	sh_put(&m, PAGE_A, 0xaaaa);
	sh_put(&m, PAGE_B, 0xbbbb);
	paging(sv48);
	sh_li(&m, RV_A0, VA + 0x3000);
	sh_li(&m, RV_A5, 3);
	for (k = 0; k < 20; k++) {
		uint64_t page = k & 1 ? PAGE_B : PAGE_A;

		sh_li(&m, RV_T0, small(3));
		sh_li(&m, RV_T1, PTE_PA(page) | leaf);
		E(rv_sd(RV_T1, RV_T0, 0));
		switch (k % 4) {
		case 0:
			E(rv_sfence_vma(RV_ZERO, RV_ZERO));
			break;
		case 1:
			E(rv_sfence_vma(RV_A0, RV_ZERO));
			break;
		case 2:
			E(rv_sfence_vma(RV_ZERO, RV_ZERO));
			break;
		default:
			/* our ASID is 0: a register that holds 0 */
			E(rv_mv(RV_A6, RV_ZERO));
			E(rv_sfence_vma(RV_A0, RV_A6));
			break;
		}
		E(rv_ld(RV_A1, RV_A0, 0));
		sh_expect(&m, RV_A1, k & 1 ? 0xbbbb : 0xaaaa,
			"after sfence.vma, kind %d", k % 4);
		/* the address may be any in the page */
		E(rv_sd(RV_A1, RV_A0, 0x7f8));
		E(rv_addi(RV_A0, RV_A0, 8));
		E(rv_addi(RV_A0, RV_A0, -8));
	}
	/* rights withdrawn and given */
	for (k = 0; k < 4; k++) {
		set_pte(small(3), PTE_PA(PAGE_A) | (PTE_ALL & ~PTE_W));
		touch(VA + 0x3000, LOAD, false, 0, "");
		touch(VA + 0x3000, STORE, false, CAUSE_STORE_PAGE,
			"W withdrawn");
		set_pte(small(3), PTE_PA(PAGE_A) | PTE_ALL);
		touch(VA + 0x3000, STORE, false, 0, "");
		set_pte(small(3), 0);
		touch(VA + 0x3000, LOAD, false, CAUSE_LOAD_PAGE, "V withdrawn");
	}
	/* a dirty bit that was cleared is set again by the next store */
	for (k = 0; k < 3; k++) {
		set_pte(small(3), PTE_PA(PAGE_A) | PTE_V | PTE_RWX);
		touch(VA + 0x3000, LOAD, false, 0, "");
		expect_pte(small(3), PTE_PA(PAGE_A) | PTE_V | PTE_RWX | PTE_A,
			"a load sets A only");
		touch(VA + 0x3000, STORE, false, 0, "");
		expect_pte(small(3), PTE_PA(PAGE_A) | PTE_ALL,
			"a store sets D too");
	}
	/*
	 * Two address spaces with two ASIDs, without any fence. If there are
	 * no ASIDs (the field reads 0), a write of satp does not flush, so
	 * that the fence is needed then.
	 */
	set_pte(TABLES + 0x10000 + 8 * (IDENT / GIGA), PTE_PA(IDENT) | PTE_ALL);
	set_pte(TABLES + 0x10000 + 8 * (VA / GIGA),
		PTE_PA(TABLES + 0x11000) | PTE_V);
	set_pte(TABLES + 0x11000, PTE_PA(TABLES + 0x12000) | PTE_V);
	set_pte(TABLES + 0x12000 + 8 * 3, PTE_PA(PAGE_B) | PTE_ALL);
	set_pte(TABLES + 0x13000, PTE_PA(TABLES + 0x10000) | PTE_V);
	set_pte(small(3), PTE_PA(PAGE_A) | PTE_ALL);
	sh_li(&m, RV_A0, PAGE_A);
	sh_li(&m, RV_A1, 0xaaaa);
	E(rv_sd(RV_A1, RV_A0, 0));
	sh_li(&m, RV_A0, VA + 0x3000);
	mode = sv48 ? SATP_SV48 : SATP_SV39;
	sh_li(&m, RV_S2, mode | 1ull << 44 | (sv48 ? TOP48 : ROOT) >> 12);
	sh_li(&m, RV_S3,
		mode | 2ull << 44 |
			(TABLES + (sv48 ? 0x13000 : 0x10000)) >> 12);
	sh_li(&m, RV_S4, 200);
	E(rv_mv(RV_S5, RV_ZERO));
	E(rv_mv(RV_S6, RV_ZERO));
	again = rv_label_here(&m.p);
	for (k = 0; k < 2; k++) {
		over = rv_label_new(&m.p);
		E(rv_csrw(RV_CSR_SATP, k ? RV_S3 : RV_S2));
		E(rv_csrr(RV_T0, RV_CSR_SATP));
		E(rv_slli(RV_T0, RV_T0, 4));
		E(rv_srli(RV_T0, RV_T0, 48));
		rv_branch(&m.p, RV_BNE, RV_T0, RV_ZERO, over);
		E(rv_sfence_vma(RV_ZERO, RV_ZERO));
		rv_bind(&m.p, over);
		E(rv_ld(RV_T1, RV_A0, 0));
		E(rv_add(k ? RV_S6 : RV_S5, k ? RV_S6 : RV_S5, RV_T1));
	}
	E(rv_addi(RV_S4, RV_S4, -1));
	rv_branch(&m.p, RV_BNE, RV_S4, RV_ZERO, again);
	sh_expect(&m, RV_S5, 200 * 0xaaaa, "address space 1");
	sh_expect(&m, RV_S6, 200 * 0xbbbb, "address space 2");
	/* satp: modes that do not exist leave it as it is */
	for (k = 1; k < 16; k++) {
		uint64_t satp = mode | (sv48 ? TOP48 : ROOT) >> 12;

		if (k >= 8 && k <= 10) /* 10, Sv57, may exist */
			continue;
		sh_li(&m, RV_T0, satp);
		E(rv_csrw(RV_CSR_SATP, RV_T0));
		E(rv_sfence_vma(RV_ZERO, RV_ZERO));
		sh_li(&m, RV_T1, (uint64_t)k << 60 | 0x12345);
		E(rv_csrw(RV_CSR_SATP, RV_T1));
		E(rv_csrr(RV_T1, RV_CSR_SATP));
		sh_expect(&m, RV_T1, satp, "satp of mode %d", k);
	}
	E(rv_csrw(RV_CSR_SATP, RV_ZERO));
	E(rv_sfence_vma(RV_ZERO, RV_ZERO));
	sh_li(&m, RV_A0, PAGE_A);
	E(rv_ld(RV_A1, RV_A0, 0));
	sh_expect(&m, RV_A1, 0xaaaa, "bare again");
	sh_li(&m, RV_A0, VA + 0x3000);
	sh_try(&m);
	E(rv_ld(RV_A1, RV_A0, 0));
	sh_trapped(&m, CAUSE_LOAD_ACCESS, VA + 0x3000, "VA is nothing now");
	sh_run(&m);
	sh_close(&m);
}

/* Pages 6, 7 of VA are PAGE_A, PAGE_C: neighbours only there. */
static void crossing(bool sv48)
{
	static const struct {
		unsigned len;
		uint32_t (*load)(unsigned rd, unsigned rs1, int32_t imm);
		uint32_t (*store)(unsigned rs2, unsigned rs1, int32_t imm);
	} width[] = {{2, rv_lhu, rv_sh}, {4, rv_lwu, rv_sw}, {8, rv_ld, rv_sd}};
	uint64_t edge = VA + 0x7000, k, v, mask, end;
	uint8_t bytes[16];
	uint32_t insn;
	size_t i;

	sh_open(&m, 1);
	paging(sv48);
	set_pte(small(6), PTE_PA(PAGE_A) | PTE_V | PTE_RWX);
	set_pte(small(7), PTE_PA(PAGE_C) | PTE_V | PTE_RWX);
	set_pte(small(8), 0);
	for (i = 0; i < 16; i++)
		bytes[i] = (uint8_t)(0x10 + 3 * i);
	for (i = 0; i < 8; i++) {
		*(uint8_t *)sh_at(&m, PAGE_A + 0xff8 + i) = bytes[i];
		*(uint8_t *)sh_at(&m, PAGE_C + i) = bytes[8 + i];
	}
	for (i = 0; i < N(width); i++)
		for (k = 1; k < width[i].len; k++) {
			v = 0;
			memcpy(&v, bytes + 8 - k, width[i].len);
			sh_li(&m, RV_A0, edge - k);
			E(width[i].load(RV_A1, RV_A0, 0));
			sh_expect(&m, RV_A1, v, "load of %u at edge - %u",
				width[i].len, (unsigned)k);
		}
	expect_pte(small(6), PTE_PA(PAGE_A) | PTE_V | PTE_RWX | PTE_A, "left");
	expect_pte(small(7), PTE_PA(PAGE_C) | PTE_V | PTE_RWX | PTE_A, "right");
	for (i = 0; i < N(width); i++)
		for (k = 1; k < width[i].len; k++) {
			uint64_t left = UINT64_MAX, right = UINT64_MAX;
			uint8_t both[16];

			mask = width[i].len == 8
				       ? UINT64_MAX
				       : (1ull << 8 * width[i].len) - 1;
			v = 0xf1e2d3c4b5a69788;
			memset(both, 0xff, sizeof(both));
			memcpy(both + 8 - k, &v, width[i].len);
			memcpy(&left, both, 8);
			memcpy(&right, both + 8, 8);
			sh_li(&m, RV_A0, edge);
			sh_li(&m, RV_A1, UINT64_MAX);
			E(rv_sd(RV_A1, RV_A0, -8));
			E(rv_sd(RV_A1, RV_A0, 0));
			sh_li(&m, RV_A1, v);
			E(width[i].store(RV_A1, RV_A0, -(int)k));
			sh_li(&m, RV_A2, PAGE_A + 0xff8);
			E(rv_ld(RV_A3, RV_A2, 0));
			sh_expect(&m, RV_A3, left,
				"store of %u at edge - %u, left", width[i].len,
				(unsigned)k);
			sh_li(&m, RV_A2, PAGE_C);
			E(rv_ld(RV_A3, RV_A2, 0));
			sh_expect(&m, RV_A3, right,
				"store of %u at edge - %u, right", width[i].len,
				(unsigned)k);
			E(width[i].load(RV_A3, RV_A0, -(int)k));
			sh_expect(&m, RV_A3, v & mask, "read back");
		}
	expect_pte(small(6), PTE_PA(PAGE_A) | PTE_ALL, "left");
	expect_pte(small(7), PTE_PA(PAGE_C) | PTE_ALL, "right");
	/* the second page is missing: stval is where it begins */
	end = VA + 0x8000;
	for (i = 0; i < N(width); i++)
		for (k = 1; k < width[i].len; k++) {
			sh_li(&m, RV_A0, end - k);
			sh_li(&m, RV_A1, 0x7777777777777777);
			sh_try(&m);
			E(width[i].load(RV_A1, RV_A0, 0));
			sh_trapped(&m, CAUSE_LOAD_PAGE, end,
				"load of %u, second page missing",
				width[i].len);
			sh_expect(&m, RV_A1, 0x7777777777777777,
				"rd is not written");
			sh_try(&m);
			E(width[i].store(RV_A1, RV_A0, 0));
			sh_trapped(&m, CAUSE_STORE_PAGE, end,
				"store of %u, second page missing",
				width[i].len);
			sh_li(&m, RV_A0, end - 8);
			E(rv_ld(RV_A1, RV_A0, 0));
			sh_expect(&m, RV_A1, 0, "no half of it is stored");
		}
	/* the first one is: stval is the address itself */
	set_pte(small(5), 0);
	for (i = 0; i < N(width); i++) {
		sh_li(&m, RV_A0, VA + 0x6000 - 1);
		sh_try(&m);
		E(width[i].load(RV_A1, RV_A0, 0));
		sh_trapped(&m, CAUSE_LOAD_PAGE, VA + 0x6000 - 1,
			"load of %u, first page missing", width[i].len);
		sh_try(&m);
		E(width[i].store(RV_A1, RV_A0, 0));
		sh_trapped(&m, CAUSE_STORE_PAGE, VA + 0x6000 - 1,
			"store of %u, first page missing", width[i].len);
	}
	/* an instruction on both pages */
	insn = rv_addi(RV_A1, RV_A1, 1234);
	sh_li(&m, RV_A0, PAGE_A + 0xffe);
	sh_li(&m, RV_A1, insn & 0xffff);
	E(rv_sh(RV_A1, RV_A0, 0));
	sh_li(&m, RV_A0, PAGE_C);
	sh_li(&m, RV_A1, insn >> 16);
	E(rv_sh(RV_A1, RV_A0, 0));
	sh_li(&m, RV_A1, rv_ret());
	E(rv_sw(RV_A1, RV_A0, 2));
	E(rv_fence_i());
	sh_li(&m, RV_A0, edge - 2);
	for (k = 0; k < 3; k++) {
		E(rv_mv(RV_A1, RV_ZERO));
		E(rv_jalr(RV_RA, RV_A0, 0));
		sh_expect(&m, RV_A1, 1234, "an instruction on two pages");
	}
	/* it changes with the second page, after the fence */
	sh_li(&m, RV_T0, PAGE_B);
	sh_li(&m, RV_A1, rv_addi(RV_A1, RV_A1, 567) >> 16);
	E(rv_sh(RV_A1, RV_T0, 0));
	sh_li(&m, RV_A1, rv_ret());
	E(rv_sw(RV_A1, RV_T0, 2));
	E(rv_fence_i());
	set_pte(small(7), PTE_PA(PAGE_B) | PTE_ALL);
	E(rv_mv(RV_A1, RV_ZERO));
	E(rv_jalr(RV_RA, RV_A0, 0));
	sh_expect(&m, RV_A1, 567, "its second page replaced");
	/* the second page is not executable: sepc and stval differ */
	set_pte(small(7), PTE_PA(PAGE_B) | (PTE_ALL & ~PTE_X));
	sh_try(&m);
	E(rv_jalr(RV_RA, RV_A0, 0));
	sh_trapped_at(&m, CAUSE_FETCH_PAGE, edge, edge - 2, 0, 0,
		"second half of an instruction");
	set_pte(small(7), 0);
	sh_try(&m);
	E(rv_jalr(RV_RA, RV_A0, 0));
	sh_trapped_at(&m, CAUSE_FETCH_PAGE, edge, edge - 2, 0, 0,
		"second half of an instruction, no page");
	/* 2 bytes at the end of a page do not need the next one */
	sh_li(&m, RV_T0, PAGE_A + 0xffe);
	sh_li(&m, RV_T1, rv_c_jr(RV_RA));
	E(rv_sh(RV_T1, RV_T0, 0));
	E(rv_fence_i());
	E(rv_jalr(RV_RA, RV_A0, 0));
	sh_expect(&m, RV_ZERO, 0, "c.jr at the end of a page");
	/* running off the end of a page */
	sh_li(&m, RV_T1, rv_c_nop());
	E(rv_sh(RV_T1, RV_T0, 0));
	E(rv_fence_i());
	sh_try(&m);
	E(rv_jalr(RV_RA, RV_A0, 0));
	sh_trapped_at(
		&m, CAUSE_FETCH_PAGE, edge, edge, 0, 0, "running off a page");
	sh_run(&m);
	sh_close(&m);
}

/*
 * What was allowed once is in some cache; a change of SUM, MXR or of the mode
 * needs no fence (4.1.1.2 and 4.1.1.3: they are no part of the translation).
 */
static void cached_rights(bool sv48)
{
	uint64_t user_page = VA + 0x1000, code = VA + 0x2000;
	uint64_t kernel = VA + 0x3000;
	int k;

	sh_open(&m, 1);
	sh_put(&m, PAGE_A, 0x8082);
	paging(sv48);
	set_pte(small(1), PTE_PA(PAGE_A) | PTE_ALL | PTE_U);
	set_pte(small(2), PTE_PA(PAGE_A) | PTE_V | PTE_X | PTE_A);
	set_pte(small(3), PTE_PA(PAGE_A) | PTE_ALL);
	for (k = 0; k < 5; k++) {
		status(true, true);
		touch(user_page, LOAD, false, 0, "SUM");
		touch(user_page, STORE, false, 0, "SUM");
		touch(user_page, AMO, false, 0, "SUM");
		touch(code, LOAD, false, 0, "MXR");
		touch(code, FETCH, false, 0, "MXR");
		touch(user_page, FETCH, false, CAUSE_FETCH_PAGE, "SUM");
		status(true, false);
		touch(code, LOAD, false, CAUSE_LOAD_PAGE, "MXR cleared");
		touch(code, FETCH, false, 0, "MXR cleared");
		touch(user_page, STORE, false, 0, "SUM still");
		status(false, false);
		touch(user_page, LOAD, false, CAUSE_LOAD_PAGE, "SUM cleared");
		touch(user_page, STORE, false, CAUSE_STORE_PAGE, "SUM cleared");
		touch(user_page, AMO, false, CAUSE_STORE_PAGE, "SUM cleared");
		/* the modes do not share */
		touch(user_page, LOAD, true, 0, "warm");
		touch(user_page, STORE, true, 0, "warm");
		touch(user_page, FETCH, true, 0, "warm");
		touch(user_page, LOAD, false, CAUSE_LOAD_PAGE, "U was warm");
		touch(user_page, FETCH, false, CAUSE_FETCH_PAGE, "U was warm");
		touch(kernel, LOAD, false, 0, "warm");
		touch(kernel, STORE, false, 0, "warm");
		touch(kernel, FETCH, false, 0, "warm");
		touch(kernel, LOAD, true, CAUSE_LOAD_PAGE, "S was warm");
		touch(kernel, STORE, true, CAUSE_STORE_PAGE, "S was warm");
		touch(kernel, FETCH, true, CAUSE_FETCH_PAGE, "S was warm");
	}
	sh_run(&m);
	sh_close(&m);
}

/* One sfence.vma with any address in a superpage is for all of it. */
static void fence_superpages(bool sv48)
{
	static const uint64_t at[] = {0, 0x1000, 0x42000, 0x1ff000};
	uint64_t super = VA + 0x200000, giga = 5 * GIGA;
	unsigned round, giant;
	size_t i;

	sh_open(&m, 1);
	for (i = 0; i < N(at); i++) {
		sh_put(&m, SPARE + at[i], 0x1000 + i);
		sh_put(&m, SPARE + 0x200000 + at[i], 0x2000 + i);
	}
	paging(sv48);
	for (giant = 0; giant < 2; giant++)
		for (round = 0; round < 8; round++) {
			uint64_t page = SPARE + (round & 1) * 0x200000;
			uint64_t pte = PTE_PA(page) | PTE_ALL, va = super;

			if (giant) {
				/* the gigapage with memory, or one without */
				va = giga + (SPARE - IDENT);
				pte = round & 1 ? 0 : PTE_PA(IDENT) | PTE_ALL;
			}
			sh_li(&m, RV_T0, giant ? ROOT + 8 * 5 : LEVEL1 + 8);
			sh_li(&m, RV_T1, pte);
			E(rv_sd(RV_T1, RV_T0, 0));
			sh_li(&m, RV_A0, va + at[round / 2 % N(at)] + 0x123);
			E(rv_sfence_vma(RV_A0, RV_ZERO));
			for (i = 0; i < N(at); i++) {
				sh_li(&m, RV_A0, va + at[i]);
				if (!pte) {
					touch(va + at[i], LOAD, false,
						CAUSE_LOAD_PAGE, "fenced");
					continue;
				}
				E(rv_ld(RV_A1, RV_A0, 0));
				E(rv_sd(RV_A1, RV_A0, 0));
				sh_expect(&m, RV_A1,
					(giant || !(round & 1) ? 0x1000
							       : 0x2000) +
						i,
					"superpage replaced %u", round);
			}
		}
	sh_run(&m);
	sh_close(&m);
}

/*
 * Hart 0 points a page at ever newer memory and calls remote_sfence_vma (SBI
 * 8.2, 8.3); what it then publishes is a lower bound for what hart 1 reads.
 */
static void remote(bool sv48, unsigned function)
{
	uint64_t satp = sv48 ? SATP_SV48 | TOP48 >> 12 : SATP_SV39 | ROOT >> 12;
	rv_label other, over, loop, good, change, wait;
	unsigned i;

	sh_open(&m, 2);
	for (i = 0; i < 256; i++)
		sh_put(&m, SPARE + 4096 * i, i);
	other = rv_label_new(&m.p);
	over = rv_label_new(&m.p);
	good = rv_label_new(&m.p);
	set_pte(small(3), PTE_PA(SPARE) | PTE_ALL);
	paging(sv48);
	rv_jump(&m.p, RV_ZERO, over);
	rv_bind(&m.p, other);
	E(rv_csrw(RV_CSR_SATP, RV_A1));
	E(rv_sfence_vma(RV_ZERO, RV_ZERO));
	sh_li(&m, RV_S0, DATA);
	sh_li(&m, RV_S1, VA + 0x3000);
	sh_li(&m, RV_S2, 255);
	sh_li(&m, RV_S4, 0);
	loop = rv_label_here(&m.p);
	E(rv_ld(RV_S3, RV_S0, 0));
	E(rv_fence(2, 3));
	E(rv_ld(RV_A0, RV_S1, 0));
	rv_branch(&m.p, RV_BGE, RV_A0, RV_S3, good);
	E(rv_addi(RV_S4, RV_S4, 1));
	rv_bind(&m.p, good);
	E(rv_sd(RV_A0, RV_S0, 16));
	rv_branch(&m.p, RV_BNE, RV_S3, RV_S2, loop);
	E(rv_sd(RV_S4, RV_S0, 24));
	sh_sbi(&m, SBI_HSM, 1);
	rv_bind(&m.p, over);
	rv_la(&m.p, RV_A1, other);
	sh_li(&m, RV_A0, 1);
	sh_li(&m, RV_A2, satp);
	sh_sbi(&m, SBI_HSM, 0);
	sh_expect(&m, RV_A0, 0, "hart_start");
	sh_li(&m, RV_S0, DATA);
	sh_li(&m, RV_S1, small(3));
	sh_li(&m, RV_S2, 255);
	sh_li(&m, RV_S3, 0);
	sh_li(&m, RV_S4, PTE_PA(SPARE) | PTE_ALL);
	sh_li(&m, RV_S5, 0);
	change = rv_label_here(&m.p);
	E(rv_addi(RV_S3, RV_S3, 1));
	E(rv_addi(RV_S4, RV_S4, 1 << 10)); /* the next page */
	E(rv_sd(RV_S4, RV_S1, 0));
	sh_li(&m, RV_A0, 2);
	sh_li(&m, RV_A1, 0);
	sh_li(&m, RV_A2, VA + 0x3000);
	sh_li(&m, RV_A3, 0x1000);
	sh_li(&m, RV_A4, 0);
	sh_sbi(&m, SBI_RFENCE, function);
	E(rv_or(RV_S5, RV_S5, RV_A0));
	E(rv_fence(3, 3));
	E(rv_sd(RV_S3, RV_S0, 0));
	wait = rv_label_here(&m.p); /* until hart 1 has seen it */
	E(rv_ld(RV_T0, RV_S0, 16));
	rv_branch(&m.p, RV_BLT, RV_T0, RV_S3, wait);
	rv_branch(&m.p, RV_BNE, RV_S3, RV_S2, change);
	sh_expect(&m, RV_S5, 0, "remote_sfence_vma");
	wait = rv_label_here(&m.p);
	sh_li(&m, RV_A0, 1);
	sh_sbi(&m, SBI_HSM, 2);
	sh_li(&m, RV_T0, 1);
	rv_branch(&m.p, RV_BNE, RV_A1, RV_T0, wait);
	E(rv_ld(RV_A0, RV_S0, 24));
	sh_expect(
		&m, RV_A0, 0, "old page seen after remote fence %u", function);
	sh_run(&m);
	sh_close(&m);
}

int main(void)
{
	int sv48;

	sh_watchdog(120);
	for (sv48 = 0; sv48 < 2; sv48++) {
		rights(sv48);
		walks(sv48);
		fences(sv48);
		crossing(sv48);
		cached_rights(sv48);
		fence_superpages(sv48);
		remote(sv48, 1);
		remote(sv48, 2);
	}
	return sh_end("soft_mmu", TEST_END("soft_mmu, host side"));
}
