/* SPDX-License-Identifier: MIT */
/*
 * soft_isa - extensions that can be off are off; and what QEMU 7.2 lacks
 *
 * What the instructions compute is compared with another CPU by the test
 * cpu-differential. Here: that without an extension its instructions, CSR
 * fields and page table bits are as if they had never been invented, and the
 * parts of the specifications that the other CPU does not implement: Zicbom,
 * Zicboz, Zawrs, Svade.
 */
#include "tests/unit/soft/soft_harness.h"
#include "tests/unit/test.h"

#define N(a)   (sizeof(a) / sizeof((a)[0]))
#define E(w)   sh_e(&m, (w))
#define OFF(e) ((isa_off_t)1 << (e))

#define ROOT   TABLES            /* Sv39's; below others */
#define LEVEL1 (TABLES + 0x1000) /* of the gigabyte at VA */
#define LEVEL0 (TABLES + 0x2000)
#define TOP48  (TABLES + 0x3000)
#define TOP57  (TABLES + 0x4000)
#define VA     0x40000000ull

#define SATP(mode, root) ((uint64_t)(mode) << 60 | (root) >> 12)

#define CBO(what, rs1) (0x0000200fu | (what) << 20 | (rs1) << 15)
enum { INVAL, CLEAN, FLUSH, ZERO = 4 };

/* Each word, with all else on: traps with the extension off, else not. */
static void instructions(void)
{
	static const struct {
		enum isa_ext ext;
		uint32_t word;
	} of[] = {
		{ISA_M, 0x02b50533}, /* mul a0, a0, a1 */
		{ISA_M, 0x02b5553b}, /* divuw a0, a0, a1 */
		{ISA_A, 0x1005a52f}, /* lr.w a0, (a1) */
		{ISA_A, 0x00c5b52f}, /* amoadd.d a0, a2, (a1) */
		{ISA_F, 0x0005a507}, /* flw fa0, 0(a1) */
		{ISA_F, 0x00a5a027}, /* fsw fa0, 0(a1) */
		{ISA_F, 0x00b57553}, /* fadd.s fa0, fa0, fa1 */
		{ISA_D, 0x0005b507}, /* fld fa0, 0(a1) */
		{ISA_D, 0x00a5b027}, /* fsd fa0, 0(a1) */
		{ISA_D, 0x02b57553}, /* fadd.d fa0, fa0, fa1 */
		{ISA_D, 0x4015f553}, /* fcvt.s.d fa0, fa1 */
		{ISA_D, 0x42058553}, /* fcvt.d.s fa0, fa1 */
		{ISA_D, 0x62b57543}, /* fmadd.d */
		{ISA_ZICBOM, CBO(INVAL, 11)}, {ISA_ZICBOM, CBO(CLEAN, 11)},
		{ISA_ZICBOM, CBO(FLUSH, 11)}, {ISA_ZICBOZ, CBO(ZERO, 11)},
		{ISA_ZICNTR, 0xc0002573},   /* rdcycle a0 */
		{ISA_ZICNTR, 0xc0102573},   /* rdtime a0 */
		{ISA_ZICNTR, 0xc0202573},   /* rdinstret a0 */
		{ISA_ZIFENCEI, 0x0000100f}, /* fence.i */
		{ISA_ZAWRS, 0x00d00073},    /* wrs.nto */
		{ISA_ZAWRS, 0x01d00073},    /* wrs.sto */
		{ISA_ZBA, 0x20b52533},      /* sh1add a0, a0, a1 */
		{ISA_ZBA, 0x08b5053b},      /* add.uw a0, a0, a1 */
		{ISA_ZBA, 0x0815151b},      /* slli.uw a0, a0, 1 */
		{ISA_ZBB, 0x40b57533},      /* andn a0, a0, a1 */
		{ISA_ZBB, 0x60051513},      /* clz a0, a0 */
		{ISA_ZBB, 0x6b855513},      /* rev8 a0, a0 */
		{ISA_ZBB, 0x0805453b},      /* zext.h a0, a0 */
		{ISA_ZBB, 0x6015551b},      /* roriw a0, a0, 1 */
		{ISA_ZBS, 0x28b51533},      /* bset a0, a0, a1 */
		{ISA_ZBS, 0x48155513},      /* bexti a0, a0, 1 */
		{ISA_SSTC, 0x14d02573},     /* csrr a0, stimecmp */
		{ISA_SVINVAL, 0x16000073},  /* sinval.vma */
		{ISA_SVINVAL, 0x18000073},  /* sfence.w.inval */
		{ISA_SVINVAL, 0x18100073},  /* sfence.inval.ir */
	};
	struct sh m;

	for (unsigned off = ISA_BASE; off < ISA_EXTS; off++) {
		sh_open(&m, 1);
		m.isa_off = off == ISA_BASE ? 0 : OFF(off);
		/* As isa_parse() has it. */
		if (off == ISA_F)
			m.isa_off |= OFF(ISA_D);
		sh_li(&m, RV_A1, SSTATUS_FS);
		E(rv_csrrs(RV_ZERO, RV_CSR_SSTATUS, RV_A1));
		sh_li(&m, RV_A1, DATA);
		for (size_t i = 0; i < N(of); i++) {
			bool gone = !isa_has(m.isa_off, of[i].ext);

			if (gone)
				sh_try(&m);
			E(of[i].word);
			if (gone)
				sh_trapped(&m, CAUSE_ILLEGAL, of[i].word,
					"%#x with %u off", of[i].word, off);
		}
		/* Hints are hints whether they have a name or not. */
		E(0x0100000f);          /* pause */
		E(rv_ori(0, RV_A1, 1)); /* prefetch.r */
		sh_run(&m);
		sh_close(&m);
	}
}

/* Zbb where QEMU 7.2 errs. */
static void ctzw(void)
{
	static const uint64_t in[] = {0, 1ull << 63, 1ull << 32, ~0ull << 31};
	static const uint64_t out[] = {32, 32, 32, 31};
	struct sh m;

	sh_open(&m, 1);
	for (size_t i = 0; i < N(in); i++) {
		sh_li(&m, RV_A0, in[i]);
		E(0x6015151b); /* ctzw a0, a0 */
		sh_expect(&m, RV_A0, out[i], "ctzw %#llx",
			(unsigned long long)in[i]);
	}
	sh_run(&m);
	sh_close(&m);
}

/* What is left of a write of all ones, or of another value. */
static void expect_csr(struct sh *m, unsigned csr, uint64_t write,
	uint64_t mask, uint64_t left, const char *what)
{
	sh_li(m, RV_A0, write);
	sh_e(m, rv_csrw(csr, RV_A0));
	sh_e(m, rv_csrr(RV_A0, csr));
	sh_expect_bits(m, RV_A0, mask, left, "%s after %#llx", what,
		(unsigned long long)write);
}

/* A gigabyte of memory where it is, and LEVEL0 at VA, for all three. */
static void tables(struct sh *m)
{
	sh_put(m, TOP57, PTE_PA(TOP48) | PTE_V);
	sh_put(m, TOP48, PTE_PA(ROOT) | PTE_V);
	sh_put(m, ROOT + 8 * 2, PTE_PA(RAM) | PTE_ALL);
	sh_put(m, ROOT + 8 * 1, PTE_PA(LEVEL1) | PTE_V);
	sh_put(m, LEVEL1, PTE_PA(LEVEL0) | PTE_V);
}

static void csrs(void)
{
	const uint64_t all = ~0ull;
	struct sh m;

	sh_open(&m, 1);
	tables(&m);
	expect_csr(&m, RV_CSR_SENVCFG, all, all, 0xf1, "senvcfg");
	expect_csr(&m, RV_CSR_SENVCFG, 0x20, all, 0, "senvcfg, CBIE 2");
	expect_csr(&m, RV_CSR_SENVCFG, 0x10, all, 0x10, "senvcfg, CBIE 1");
	expect_csr(&m, RV_CSR_SATP, SATP(10, TOP57), all, SATP(10, TOP57),
		"satp, Sv57");
	expect_csr(&m, RV_CSR_SATP, SATP(11, TOP57), all, SATP(10, TOP57),
		"satp, mode 11");
	expect_csr(&m, RV_CSR_SATP, SATP(9, TOP48), all, SATP(9, TOP48),
		"satp, Sv48");
	sh_run(&m);
	sh_close(&m);

	sh_open(&m, 1);
	m.isa_off = OFF(ISA_ZICBOM) | OFF(ISA_SV57) | OFF(ISA_F) | OFF(ISA_D);
	tables(&m);
	expect_csr(&m, RV_CSR_SENVCFG, all, all, 0x81, "senvcfg, no Zicbom");
	expect_csr(&m, RV_CSR_SATP, SATP(10, TOP57), all, 0, "satp, no Sv57");
	expect_csr(&m, RV_CSR_SSTATUS, SSTATUS_FS, SSTATUS_FS | SSTATUS_SD, 0,
		"sstatus, no F");
	sh_run(&m);
	sh_close(&m);

	sh_open(&m, 1);
	m.isa_off = OFF(ISA_ZICBOZ) | OFF(ISA_SV48) | OFF(ISA_SV57);
	tables(&m);
	expect_csr(&m, RV_CSR_SENVCFG, all, all, 0x71, "senvcfg, no Zicboz");
	expect_csr(&m, RV_CSR_SATP, SATP(9, TOP48), all, 0, "satp, no Sv48");
	expect_csr(&m, RV_CSR_SATP, SATP(8, ROOT), all, SATP(8, ROOT),
		"satp, Sv39");
	sh_run(&m);
	sh_close(&m);
}

/* Which cbo instructions U mode may use, by senvcfg. */
static void cbo_permission(void)
{
	static const uint32_t what[] = {INVAL, CLEAN, FLUSH, ZERO};
	static const uint64_t bit[] = {0x10, 0x40, 0x40, 0x80};
	struct sh m;

	for (uint64_t env = 0; env < 16; env++) {
		uint64_t senvcfg = env << 4 & ~0x20ull;

		sh_open(&m, 1);
		sh_li(&m, RV_A0, senvcfg);
		E(rv_csrw(RV_CSR_SENVCFG, RV_A0));
		sh_li(&m, RV_A1, DATA + 0x55);
		for (size_t i = 0; i < N(what); i++) {
			bool may = senvcfg & bit[i];

			sh_try(&m);
			sh_user(&m);
			if (may)
				E(CBO(what[i], RV_A1));
			sh_trapping(&m);
			E(may ? 0x00000073 /* ecall */ : CBO(what[i], RV_A1));
			sh_trapped(&m, may ? CAUSE_ECALL_U : CAUSE_ILLEGAL,
				may ? 0 : CBO(what[i], RV_A1),
				"cbo %u in U, senvcfg %#llx", what[i],
				(unsigned long long)senvcfg);
		}
		sh_run(&m);
		sh_close(&m);
	}
}

/* cbo.zero clears its block and no byte more; the others change nothing. */
static void cbo_effect(void)
{
	struct sh m;

	sh_open(&m, 1);
	memset(sh_at(&m, DATA), 0xa5, 0x1000);
	sh_li(&m, RV_A1, DATA + 0x155);
	for (uint32_t what = INVAL; what <= FLUSH; what++)
		E(CBO(what, RV_A1));
	E(CBO(ZERO, RV_A1));
	E(CBO(ZERO, RV_A1)); /* now by the translation cache */
	sh_run(&m);
	for (unsigned n = 0; n < 0x1000; n++)
		CHECK_EQ(*(uint8_t *)sh_at(&m, DATA + n),
			n >= 0x140 && n < 0x180 ? 0 : 0xa5);
	sh_close(&m);
}

static void cbo_faults(void)
{
	static const uint32_t what[] = {INVAL, CLEAN, FLUSH, ZERO};
	struct sh m;

	sh_open(&m, 1);
	tables(&m);
	sh_put(&m, LEVEL0 + 8 * 1, PTE_PA(DATA) | PTE_V | PTE_R | PTE_A);
	sh_put(&m, LEVEL0 + 8 * 2, PTE_PA(DATA) | PTE_V | PTE_X | PTE_A);
	sh_put(&m, LEVEL0 + 8 * 3, PTE_PA(0x10000) | PTE_ALL);
	sh_li(&m, RV_A0, SATP(8, ROOT));
	E(rv_csrw(RV_CSR_SATP, RV_A0));
	for (size_t i = 0; i < N(what); i++) {
		for (unsigned page = 0; page < 4; page++) {
			uint64_t va = VA + page * 0x1000 + 0x77;

			/* reading is enough for all but zero */
			sh_li(&m, RV_A1, va);
			if (page == 1 && what[i] != ZERO) {
				E(CBO(what[i], RV_A1));
				continue;
			}
			sh_try(&m);
			E(CBO(what[i], RV_A1));
			sh_trapped(&m,
				page == 3 ? CAUSE_STORE_ACCESS
					  : CAUSE_STORE_PAGE,
				va, "cbo %u on page %u", what[i], page);
		}
	}
	sh_run(&m);
	sh_close(&m);
}

/* A load or store at va that works or page-faults. */
static void touch(
	struct sh *m, uint64_t va, bool store, bool works, const char *what)
{
	sh_li(m, RV_A1, va);
	if (!works)
		sh_try(m);
	sh_e(m, store ? rv_sd(RV_A2, RV_A1, 0) : rv_ld(RV_A2, RV_A1, 0));
	if (!works)
		sh_trapped(m, store ? CAUSE_STORE_PAGE : CAUSE_LOAD_PAGE, va,
			"%s, %s", what, store ? "store" : "load");
}

static void svade(void)
{
	struct sh m;

	sh_open(&m, 1);
	m.isa_off = OFF(ISA_SVADU);
	tables(&m);
	sh_put(&m, LEVEL0, PTE_PA(DATA) | PTE_V | PTE_R | PTE_W);
	sh_put(&m, LEVEL0 + 8, PTE_PA(DATA) | PTE_V | PTE_R | PTE_W | PTE_A);
	sh_put(&m, LEVEL0 + 16,
		PTE_PA(DATA) | PTE_V | PTE_R | PTE_W | PTE_A | PTE_D);
	sh_li(&m, RV_A0, SATP(8, ROOT));
	E(rv_csrw(RV_CSR_SATP, RV_A0));
	for (unsigned round = 0; round < 2; round++) {
		touch(&m, VA, false, false, "no A");
		touch(&m, VA, true, false, "no A");
		touch(&m, VA + 0x1000, false, true, "no D");
		touch(&m, VA + 0x1000, true, false, "no D");
		touch(&m, VA + 0x2000, true, true, "A and D");
	}
	sh_run(&m);
	CHECK_EQ(sh_get(&m, LEVEL0), PTE_PA(DATA) | PTE_V | PTE_R | PTE_W);
	CHECK_EQ(sh_get(&m, LEVEL0 + 8),
		PTE_PA(DATA) | PTE_V | PTE_R | PTE_W | PTE_A);
	sh_close(&m);
}

/*
 * Svnapot: 16 entries that all say "the 64 KiB at SPARE"; any one of them may
 * be used for all. Dropping one page must drop all of the 64 KiB.
 */
static void svnapot(void)
{
	const uint64_t n = 1ull << 63, eight = 1ull << 13;
	struct sh m;

	sh_open(&m, 1);
	tables(&m);
	for (unsigned i = 0; i < 16; i++) {
		sh_put(&m, LEVEL0 + 8 * i, PTE_PA(SPARE) | PTE_ALL | n | eight);
		sh_put(&m, SPARE + 0x1000 * i + 8 * i, 0x1234 + i);
		sh_put(&m, SPARE + 0x10000 + 0x1000 * i + 8 * i, 0x5678 + i);
	}
	/* no other size, and only at the lowest level */
	sh_put(&m, LEVEL0 + 8 * 16, PTE_PA(SPARE) | PTE_ALL | n);
	sh_put(&m, LEVEL0 + 8 * 17, PTE_PA(SPARE) | PTE_ALL | n | 3ull << 10);
	sh_put(&m, LEVEL0 + 8 * 18, PTE_PA(SPARE) | PTE_ALL | n | 1ull << 12);
	sh_put(&m, LEVEL1 + 8, PTE_PA(SPARE) | PTE_ALL | n | eight);
	sh_put(&m, LEVEL1 + 16, PTE_PA(LEVEL0) | PTE_V | n);
	sh_li(&m, RV_A0, SATP(8, ROOT));
	E(rv_csrw(RV_CSR_SATP, RV_A0));
	for (unsigned i = 0; i < 16; i++) {
		sh_li(&m, RV_A0, VA + 0x1000 * i + 8 * i);
		E(rv_ld(RV_A0, RV_A0, 0));
		sh_expect(&m, RV_A0, 0x1234 + i, "napot page %u", i);
	}
	for (unsigned i = 0; i < 16; i++) {
		sh_li(&m, RV_A0, RAM + (LEVEL0 - RAM) + 8 * i);
		sh_li(&m, RV_A1, PTE_PA(SPARE + 0x10000) | PTE_ALL | n | eight);
		E(rv_sd(RV_A1, RV_A0, 0));
	}
	sh_li(&m, RV_A0, VA + 0x3000);
	E(rv_sfence_vma(RV_A0, RV_ZERO));
	for (unsigned i = 0; i < 16; i++) {
		sh_li(&m, RV_A0, VA + 0x1000 * i + 8 * i);
		E(rv_ld(RV_A0, RV_A0, 0));
		sh_expect(&m, RV_A0, 0x5678 + i, "napot page %u, fenced", i);
	}
	touch(&m, VA + 0x10000, false, false, "napot of 8 KiB");
	touch(&m, VA + 0x11000, false, false, "napot, ppn 3");
	touch(&m, VA + 0x12000, false, false, "napot, ppn 4");
	touch(&m, VA + 0x200000, false, false, "napot superpage");
	touch(&m, VA + 0x400000, false, false, "napot pointer");
	sh_run(&m);
	sh_close(&m);
}

static void svpbmt(void)
{
	struct sh m;

	sh_open(&m, 1);
	tables(&m);
	for (uint64_t type = 0; type < 4; type++)
		sh_put(&m, LEVEL0 + 8 * type,
			PTE_PA(DATA) | PTE_ALL | type << 61);
	sh_put(&m, LEVEL1 + 8, PTE_PA(LEVEL0) | PTE_V | 1ull << 61);
	sh_li(&m, RV_A0, SATP(8, ROOT));
	E(rv_csrw(RV_CSR_SATP, RV_A0));
	for (unsigned type = 0; type < 4; type++)
		touch(&m, VA + 0x1000 * type, true, type != 3, "pbmt");
	touch(&m, VA + 0x200000, true, false, "pbmt of a pointer");
	sh_run(&m);
	sh_close(&m);
}

static void sv57(void)
{
	struct sh m;

	sh_open(&m, 1);
	tables(&m);
	sh_put(&m, LEVEL0, PTE_PA(DATA) | PTE_ALL);
	sh_put(&m, DATA + 8, 0x1234);
	/* petapage 1, and the last 512 GiB */
	sh_put(&m, TOP57 + 8, PTE_ALL);
	sh_put(&m, TOP57 + 8 * 511, PTE_PA(TABLES + 0x5000) | PTE_V);
	sh_put(&m, TABLES + 0x5000 + 8 * 511, PTE_ALL);
	sh_li(&m, RV_A0, SATP(10, TOP57));
	E(rv_csrw(RV_CSR_SATP, RV_A0));
	sh_li(&m, RV_A1, VA + 8);
	E(rv_ld(RV_A0, RV_A1, 0));
	sh_expect(&m, RV_A0, 0x1234, "sv57");
	sh_li(&m, RV_A1, (1ull << 48) + DATA + 8);
	E(rv_ld(RV_A0, RV_A1, 0));
	sh_expect(&m, RV_A0, 0x1234, "256T page");
	sh_li(&m, RV_A1, -(1ull << 39) + DATA + 8);
	E(rv_ld(RV_A0, RV_A1, 0));
	sh_expect(&m, RV_A0, 0x1234, "upper half");
	touch(&m, 1ull << 56, false, false, "not canonical");
	touch(&m, (1ull << 57) + VA, false, false, "not canonical");
	sh_run(&m);
	sh_close(&m);
}

static void names(void)
{
	struct memslot_error err;
	char text[ISA_STRING_MAX];
	char all_off[512] = "rv64";
	isa_off_t off;

	isa_string(0, text);
	CHECK(strlen(text) < ISA_STRING_MAX - 2);
	CHECK_TEXT(text, "rv64imafdc_");
	CHECK_TEXT(text, "_svadu");
	{
		char cpu[] = "rv64,zba=off,sv48=off,f=off,zbb=off,zbb=on";

		CHECK_EQ(isa_parse(cpu, &off, &err), 0);
	}
	CHECK_EQ(off, OFF(ISA_ZBA) | OFF(ISA_SV48) | OFF(ISA_SV57) |
			      OFF(ISA_F) | OFF(ISA_D));
	isa_string(off, text);
	CHECK_TEXT(text, "rv64imac_");
	CHECK(!strstr(text, "zba"));
	for (unsigned e = ISA_M; e < ISA_EXTS; e++) {
		char cpu[64];
		const char *name;

		/* each by its name, as the string has it */
		if (e >= ISA_SV48 || e <= ISA_D)
			continue;
		isa_string((isa_off_t)~OFF(e), text);
		name = strrchr(text, '_');
		for (char *p = strtok(text, "_"); p; p = strtok(NULL, "_"))
			if (strncmp(p, "rv64", 4) && strcmp(p, "zicsr") &&
				strcmp(p, "svade"))
				name = p;
		snprintf(cpu, sizeof(cpu), "rv64,%s=off", name);
		snprintf(all_off + strlen(all_off),
			sizeof(all_off) - strlen(all_off), ",%s=off", name);
		CHECK_EQ(isa_parse(cpu, &off, &err), 0);
		CHECK_EQ(off, OFF(e));
	}
	CHECK_EQ(isa_parse(all_off, &off, &err), 0);
	isa_string(off, text);
	CHECK_EQ(strcmp(text, "rv64imafdc_zicsr_svade"), 0);
	for (unsigned i = 0; i < 6; i++) {
		char wrong[][20] = {"", "rv32", "rv64,zbx=off", "rv64,zba",
			"rv64,zba=of", "rv64,=off"};

		CHECK_EQ(isa_parse(wrong[i], &off, &err), -22);
	}
}

int main(void)
{
	sh_watchdog(100);
	names();
	instructions();
	ctzw();
	csrs();
	cbo_permission();
	cbo_effect();
	cbo_faults();
	svade();
	svnapot();
	svpbmt();
	sv57();
	return sh_end("soft_isa", TEST_END("soft_isa, host side"));
}
