/* SPDX-License-Identifier: MIT */
/*
 * soft_smc.c - code that changes
 *
 * Volume I, chapter 3 (Zifencei): after FENCE.I a hart fetches what its own
 * earlier stores put there; other harts need a fence of their own, which SBI
 * remote_fence_i (8.1) gives them. Slots: code of memory that was exchanged
 * or moved is forgotten with its translations.
 */
#include "tests/unit/soft/soft_harness.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/test.h"

static struct sh m;

#define E(insn) sh_e(&m, insn)
#define N(a)    (sizeof(a) / sizeof((a)[0]))

#define CODE (DATA + 0x10000)
#define TWO  0x90000000ull
#define SIZE 0x10000ull

/* `li a0, n; ret` at gpa, stored by the guest (t0, t1 used). */
static void write_code(uint64_t gpa, int n)
{
	sh_li(&m, RV_T0, gpa);
	sh_li(&m, RV_T1, rv_addi(RV_A0, RV_ZERO, n) | (uint64_t)rv_ret() << 32);
	E(rv_sd(RV_T1, RV_T0, 0));
}

static void call(uint64_t gpa)
{
	sh_li(&m, RV_T2, gpa);
	E(rv_jalr(RV_RA, RV_T2, 0));
}

static void local(void)
{
	uint32_t insn;
	uint64_t gpa;
	int i;

	sh_open(&m, 1);
	/* a function rewritten again and again, and run hot in between */
	for (i = 0; i < 60; i++) {
		write_code(CODE, i);
		E(rv_fence_i());
		call(CODE);
		sh_expect(&m, RV_A0, (uint64_t)i, "rewritten %d", i);
		call(CODE);
		call(CODE);
		sh_expect(&m, RV_A0, (uint64_t)i, "and again %d", i);
	}
	/* parts of an instruction: its immediate, by each width */
	for (i = 0; i < 40; i++) {
		insn = rv_addi(RV_A0, RV_ZERO, 3 + 17 * i);
		sh_li(&m, RV_T0, CODE);
		sh_li(&m, RV_T1, insn >> (i & 1 ? 16 : 24));
		if (i & 1) {
			E(rv_sh(RV_T1, RV_T0, 2));
		} else {
			E(rv_sb(RV_T1, RV_T0, 3));
			sh_li(&m, RV_T1, insn >> 16);
			E(rv_sb(RV_T1, RV_T0, 2));
		}
		E(rv_fence_i());
		call(CODE);
		sh_expect(&m, RV_A0, (uint64_t)(3 + 17 * i), "by parts %d", i);
	}
	/* by an atomic, by sc, by stores that cross pages */
	sh_li(&m, RV_T0, CODE);
	sh_li(&m, RV_T1, rv_addi(RV_A0, RV_ZERO, 1111));
	E(rv_amoswap_w(RV_ZERO, RV_T1, RV_T0));
	E(rv_fence_i());
	call(CODE);
	sh_expect(&m, RV_A0, 1111, "by amoswap");
	sh_li(&m, RV_T1, rv_addi(RV_A0, RV_ZERO, 1222));
	E(rv_lr_w(RV_T3, RV_T0));
	E(rv_sc_w(RV_T3, RV_T1, RV_T0));
	E(rv_fence_i());
	call(CODE);
	sh_expect(&m, RV_A0, 1222, "by sc");
	for (i = 0; i < 12; i++) {
		gpa = CODE + 0x1ff4 + (uint64_t)i; /* 12 bytes before */
		if (i & 1)
			continue;
		write_code(gpa, 100 + i);
		E(rv_fence_i());
		call(gpa);
		sh_expect(&m, RV_A0, 100 + (uint64_t)i, "over two pages %d", i);
		write_code(gpa, 200 + i);
		E(rv_fence_i());
		call(gpa);
		sh_expect(&m, RV_A0, 200 + (uint64_t)i, "over two pages %d", i);
	}
	/* just ahead, in what would be one block */
	for (i = 0; i < 20; i++) {
		size_t at;

		sh_li(&m, RV_T1, rv_addi(RV_A0, RV_ZERO, 500 + i));
		at = m.p.size;
		E(rv_auipc(RV_T0, 0));
		E(rv_sw(RV_T1, RV_T0, 16));
		E(rv_fence_i());
		E(rv_nop());
		CHECK_EQ(m.p.size, at + 16);
		E(rv_addi(RV_A0, RV_ZERO, -1)); /* rewritten */
		sh_expect(&m, RV_A0, 500 + (uint64_t)i, "just ahead");
	}
	/* one 4-byte instruction becomes two of 2 bytes, and back */
	for (i = 0; i < 10; i++) {
		sh_li(&m, RV_T0, CODE);
		sh_li(&m, RV_T1,
			i & 1 ? rv_addi(RV_A0, RV_ZERO, 77)
			      : rv_c_li(RV_A0, 7) |
					(uint32_t)rv_c_addi(RV_A0, 9) << 16);
		E(rv_sw(RV_T1, RV_T0, 0));
		E(rv_fence_i());
		call(CODE);
		sh_expect(&m, RV_A0, i & 1 ? 77 : 16, "other lengths");
	}
	/* an instruction becomes illegal and legal again */
	for (i = 0; i < 3; i++) {
		sh_li(&m, RV_T0, CODE);
		E(rv_sw(RV_ZERO, RV_T0, 0));
		E(rv_fence_i());
		sh_try(&m);
		call(CODE);
		sh_trapped_at(&m, CAUSE_ILLEGAL, 0, CODE, 0, 0, "illegal now");
		write_code(CODE, 5);
		E(rv_fence_i());
		call(CODE);
		sh_expect(&m, RV_A0, 5, "legal again");
	}
	sh_run(&m);
	sh_close(&m);
}

/* Code written through another virtual address than it runs at. */
static void aliases(void)
{
	int i;

	sh_open(&m, 1);
	sh_put(&m, TABLES + 8 * (RAM >> 30),
		PTE_PA(RAM & ~0x3fffffffull) | PTE_ALL);
	sh_put(&m, TABLES + 8 * 5, PTE_PA(RAM & ~0x3fffffffull) | PTE_ALL);
	sh_li(&m, RV_T0, SATP_SV39 | TABLES >> 12);
	E(rv_csrw(RV_CSR_SATP, RV_T0));
	E(rv_sfence_vma(RV_ZERO, RV_ZERO));
	for (i = 0; i < 20; i++) {
		write_code(i & 1 ? CODE : 0x140000000 + (CODE & 0x3fffffff), i);
		E(rv_fence_i());
		call(CODE);
		sh_expect(&m, RV_A0, (uint64_t)i, "here %d", i);
		call(0x140000000 + (CODE & 0x3fffffff));
		sh_expect(&m, RV_A0, (uint64_t)i, "at the alias %d", i);
	}
	sh_run(&m);
	sh_close(&m);
}

/*
 * Hart 0 rewrites a function 300 times and calls remote_fence_i; the number
 * it then publishes is a lower bound for what hart 1 gets from the function.
 */
static void remote(void)
{
	rv_label other, over, loop, rewrite, wait, good;

	sh_open(&m, 2);
	other = rv_label_new(&m.p);
	over = rv_label_new(&m.p);
	good = rv_label_new(&m.p);
	rv_jump(&m.p, RV_ZERO, over);
	rv_bind(&m.p, other);
	sh_li(&m, RV_S0, DATA);
	sh_li(&m, RV_S1, CODE);
	sh_li(&m, RV_S2, 300);
	loop = rv_label_here(&m.p);
	E(rv_ld(RV_S3, RV_S0, 0)); /* published */
	E(rv_fence(2, 3));
	E(rv_jalr(RV_RA, RV_S1, 0));
	E(rv_sd(RV_A0, RV_S0, 16)); /* seen */
	rv_branch(&m.p, RV_BGE, RV_A0, RV_S3, good);
	sh_li(&m, RV_T0, 1);
	E(rv_addi(RV_T1, RV_S0, 24));
	E(rv_amoadd_d(RV_ZERO, RV_T0, RV_T1));
	rv_bind(&m.p, good);
	rv_branch(&m.p, RV_BNE, RV_S3, RV_S2, loop);
	sh_sbi(&m, SBI_HSM, 1);
	rv_bind(&m.p, over);
	write_code(CODE, 0);
	E(rv_fence_i());
	rv_la(&m.p, RV_A1, other);
	sh_li(&m, RV_A0, 1);
	sh_sbi(&m, SBI_HSM, 0);
	sh_expect(&m, RV_A0, 0, "hart_start");
	sh_li(&m, RV_S0, DATA);
	sh_li(&m, RV_S1, CODE);
	sh_li(&m, RV_S2, 300);
	sh_li(&m, RV_S3, 0);
	sh_li(&m, RV_S5, 0);
	rewrite = rv_label_here(&m.p);
	E(rv_addi(RV_S3, RV_S3, 1));
	/* addi a0, zero, s3 */
	E(rv_slli(RV_T0, RV_S3, 20));
	sh_li(&m, RV_T1, rv_addi(RV_A0, RV_ZERO, 0));
	E(rv_or(RV_T0, RV_T0, RV_T1));
	E(rv_sw(RV_T0, RV_S1, 0));
	sh_li(&m, RV_A0, 2);
	sh_li(&m, RV_A1, 0);
	sh_sbi(&m, SBI_RFENCE, 0);
	E(rv_or(RV_S5, RV_S5, RV_A0));
	E(rv_fence(3, 3));
	E(rv_sd(RV_S3, RV_S0, 0));
	wait = rv_label_here(&m.p); /* every 8th: until it was seen */
	E(rv_andi(RV_T0, RV_S3, 7));
	{
		rv_label next = rv_label_new(&m.p);

		rv_branch(&m.p, RV_BNE, RV_T0, RV_ZERO, next);
		E(rv_ld(RV_T0, RV_S0, 16));
		rv_branch(&m.p, RV_BLT, RV_T0, RV_S3, wait);
		rv_bind(&m.p, next);
	}
	rv_branch(&m.p, RV_BNE, RV_S3, RV_S2, rewrite);
	sh_expect(&m, RV_S5, 0, "remote_fence_i");
	wait = rv_label_here(&m.p);
	sh_li(&m, RV_A0, 1);
	sh_sbi(&m, SBI_HSM, 2);
	sh_li(&m, RV_T0, 1);
	rv_branch(&m.p, RV_BNE, RV_A1, RV_T0, wait);
	E(rv_ld(RV_A0, RV_S0, 24));
	sh_expect(&m, RV_A0, 0, "old code seen after remote_fence_i");
	E(rv_ld(RV_A0, RV_S0, 16));
	sh_expect(&m, RV_A0, 300, "the last result");
	sh_run(&m);
	sh_close(&m);
}

/* ---- and the slots ------------------------------------------------------- */

static uint8_t *memory[2];

static void put_code(uint8_t *at, int n)
{
	uint32_t insn[2] = {rv_addi(RV_A0, RV_ZERO, n), rv_ret()};

	memcpy(at, insn, sizeof(insn));
}

/* The guest hands over to the host and waits; s0 = DATA. */
static void handshake(unsigned step)
{
	rv_label wait;

	sh_li(&m, RV_A1, step);
	E(rv_fence(3, 3));
	E(rv_sd(RV_A1, RV_S0, 0));
	wait = rv_label_here(&m.p);
	E(rv_ld(RV_T0, RV_S0, 8));
	rv_branch(&m.p, RV_BNE, RV_T0, RV_A1, wait);
	E(rv_fence(3, 3));
}

#define STEPS 24

/* Even steps: exchange the slots; odd ones: write code from the host. */
static void *host(void *arg)
{
	volatile uint64_t *box = sh_at(&m, DATA);
	struct pagetrack_source source = {.kind = PAGETRACK_HOST};
	struct memslot_error err;
	struct memslot_txn *t;
	unsigned step, at[2] = {0, 1};

	for (step = 1; step <= STEPS; step++) {
		while (__atomic_load_n(&box[0], __ATOMIC_ACQUIRE) != step)
			usleep(20);
		if (step & 1) {
			uint32_t insn =
				rv_addi(RV_A0, RV_ZERO, 100 + (int)step);

			CHECK_EQ(pagetrack_guest_write(m.track, &m.reader, 0,
					 TWO + 0x3000, &insn, 4, source),
				0);
		} else if (CHECK_EQ(memslot_begin(m.slots, &t, &err), 0)) {
			at[0] ^= 1;
			at[1] ^= 1;
			memslot_move(
				t, 0, 1, TWO + at[0] * SIZE, MEMSLOT_MOVE_KEEP);
			memslot_move(
				t, 0, 2, TWO + at[1] * SIZE, MEMSLOT_MOVE_KEEP);
			CHECK_EQ(memslot_commit(t, NULL, &err), 0);
		}
		__atomic_store_n(&box[1], step, __ATOMIC_RELEASE);
	}
	return arg;
}

static void slots(void)
{
	struct memslot_config c = {0};
	pthread_t thread;
	unsigned i, step;
	int swapped = 0, number[2] = {0, 0};

	sh_open(&m, 1);
	for (i = 0; i < 2; i++) {
		memory[i] = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory[i] == MAP_FAILED)
			abort();
		put_code(memory[i], 40 + (int)i);
		put_code(memory[i] + 0x3000, 0);
		c.id = 1 + i;
		c.gpa = TWO + i * SIZE;
		c.size = SIZE;
		c.host = memory[i];
		CHECK_EQ(memslots_create_slot(m.slots, &c, NULL), 0);
	}
	sh_li(&m, RV_S0, DATA);
	for (step = 1; step <= STEPS; step++) {
		handshake(step);
		if (step & 1) {
			/* written from the host: the guest's fence is needed */
			number[swapped] = 100 + (int)step;
			E(rv_fence_i());
		} else {
			swapped ^= 1;
		}
		for (i = 0; i < 2; i++) {
			call(TWO + i * SIZE);
			sh_expect(&m, RV_A0, 40 + (i ^ (unsigned)swapped),
				"step %u, code at %u", step, i);
			call(TWO + i * SIZE + 0x3000);
			sh_expect(&m, RV_A0,
				(uint64_t)number[i ^ (unsigned)swapped],
				"step %u, written code at %u", step, i);
		}
	}
	sh_start(&m);
	if (!CHECK(!pthread_create(&thread, NULL, host, NULL)))
		return;
	sh_go(&m);
	pthread_join(thread, NULL);
	sh_close(&m);
	munmap(memory[0], SIZE);
	munmap(memory[1], SIZE);
}

int main(void)
{
	sh_watchdog(60);
	local();
	aliases();
	remote();
	slots();
	return sh_end("soft_smc", TEST_END("soft_smc, host side"));
}
