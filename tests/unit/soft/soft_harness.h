/* SPDX-License-Identifier: MIT */
/*
 * soft_harness.h - a bare machine around the embedded CPU, for its tests
 *
 * A test builds one program with vmm/rvasm.h, says as it goes what every
 * result must be, and runs it. The program runs in S mode from the start of
 * RAM with satp 0; results go, in order, to a stream in memory (sh_expect),
 * and so does what a trap handler saw of a trap that was expected (sh_try ..
 * sh_trapped). Any other trap ends the run and is a failure. The end of the
 * program is an SBI shutdown. A watchdog ends a test that hangs.
 *
 * The harness keeps registers s8 to s11 for itself: s8, s9 scratch, s10
 * where an expected trap resumes (0: none is expected), s11 the stream.
 *
 * Everything is written from the specifications: The RISC-V Instruction Set
 * Manual volume I (20191213) and volume II (20211203), Sstc 1.0, and RISC-V
 * Supervisor Binary Interface 2.0.
 */
#ifndef TESTS_UNIT_SOFT_HARNESS_H
#define TESTS_UNIT_SOFT_HARNESS_H

#include "devices/bus.h"
#include "memslot/memslot.h"
#include "pagetrack/pagetrack.h"
#include "vmm/rvasm.h"
#include "vmm/soft/soft.h"

#ifndef RAM
#define RAM 0x80000000ull
#endif
#define RAM_SIZE 0x1000000ull
#define STACKS   (RAM + 0x3f0000) /* what an unexpected trap writes down */
#define RESULTS  (RAM + 0x400000) /* the stream, 2 MiB */
#define DATA     (RAM + 0x600000) /* for the tests, 2 MiB, zeroed */
#define TABLES   (RAM + 0x800000) /* for page tables, 2 MiB, zeroed */
#define SPARE    (RAM + 0xa00000) /* for the tests, 6 MiB, zeroed */

#define SLOT_RAM 0u

/* scause */
#define CAUSE_FETCH_MISALIGNED 0ull
#define CAUSE_FETCH_ACCESS     1ull
#define CAUSE_ILLEGAL          2ull
#define CAUSE_BREAKPOINT       3ull
#define CAUSE_LOAD_MISALIGNED  4ull
#define CAUSE_LOAD_ACCESS      5ull
#define CAUSE_STORE_MISALIGNED 6ull
#define CAUSE_STORE_ACCESS     7ull
#define CAUSE_ECALL_U          8ull
#define CAUSE_FETCH_PAGE       12ull
#define CAUSE_LOAD_PAGE        13ull
#define CAUSE_STORE_PAGE       15ull
#define CAUSE_SOFT_IRQ         (1ull << 63 | 1)
#define CAUSE_TIMER_IRQ        (1ull << 63 | 5)
#define CAUSE_EXTERNAL_IRQ     (1ull << 63 | 9)

/* sstatus, sie */
#define SSTATUS_SIE  (1ull << 1)
#define SSTATUS_SPIE (1ull << 5)
#define SSTATUS_SPP  (1ull << 8)
#define SSTATUS_FS   (3ull << 13)
#define SSTATUS_SUM  (1ull << 18)
#define SSTATUS_MXR  (1ull << 19)
#define SSTATUS_SD   (1ull << 63)
#define IRQ_SOFT     (1ull << 1)
#define IRQ_TIMER    (1ull << 5)
#define IRQ_EXTERNAL (1ull << 9)

/* PTE, satp */
#define PTE_V      1ull
#define PTE_R      2ull
#define PTE_W      4ull
#define PTE_X      8ull
#define PTE_U      16ull
#define PTE_G      32ull
#define PTE_A      64ull
#define PTE_D      128ull
#define PTE_RWX    (PTE_R | PTE_W | PTE_X)
#define PTE_ALL    (PTE_V | PTE_RWX | PTE_A | PTE_D)
#define PTE_PA(pa) ((uint64_t)(pa) >> 12 << 10)
#define SATP_SV39  (8ull << 60)
#define SATP_SV48  (9ull << 60)

/* SBI extensions */
#define SBI_BASE   0x10ull
#define SBI_TIME   0x54494d45ull
#define SBI_IPI    0x735049ull
#define SBI_RFENCE 0x52464e43ull
#define SBI_HSM    0x48534dull
#define SBI_SRST   0x53525354ull
#define SBI_DBCN   0x4442434eull

#define SBI_SUCCESS         0ll
#define SBI_FAILED          -1ll
#define SBI_NOT_SUPPORTED   -2ll
#define SBI_INVALID_PARAM   -3ll
#define SBI_DENIED          -4ll
#define SBI_INVALID_ADDRESS -5ll
#define SBI_ALREADY         -6ll
#define SBI_STARTED         -7ll
#define SBI_STOPPED         -8ll

struct sh_want {
	uint64_t at; /* offset in the stream */
	uint64_t value, mask;
	char text[80];
};

struct sh {
	struct memslots *slots;
	struct pagetrack *track;
	struct bus bus;
	struct soft *soft; /* from sh_start() on */
	struct memslot_reader reader;
	uint8_t *ram;
	unsigned harts;
	isa_off_t isa_off; /* set these before sh_start() */
	bool deterministic;
	struct rv_program p;
	uint64_t stream; /* offset of the next result */
	size_t handler;  /* offset of the trap handler in the program */
	struct sh_want *want;
	size_t wants, room;
	size_t try_at; /* where s10 is loaded for the trap that comes next */
	size_t try_pc; /* and the instruction that must trap */
	char console[4096];
	size_t console_size;
	const char *input;
	enum accel_stop why;
	bool quiet; /* do not check how it stopped */
};

/* A machine with RAM, an empty bus, a program with the trap handler. */
void sh_open(struct sh *m, unsigned harts);
/*
 * End the program with a shutdown, run it, compare the stream. sh_run is
 * sh_start (create the CPUs) and sh_go (run and compare).
 */
void sh_run(struct sh *m);
void sh_start(struct sh *m);
void sh_go(struct sh *m);
void sh_close(struct sh *m);

/* One instruction, 32 or 16 bits; a constant into a register. */
void sh_e(struct sh *m, uint32_t insn);
void sh_c(struct sh *m, uint16_t insn);
void sh_li(struct sh *m, unsigned rd, uint64_t value);
/* The address the next instruction will have. */
uint64_t sh_pc(const struct sh *m);

/* The next word of the stream comes from `reg` and must be `value`. */
__attribute__((format(printf, 4, 5))) void sh_expect(
	struct sh *m, unsigned reg, uint64_t value, const char *format, ...);
/* ... in the bits of `mask`. */
__attribute__((format(printf, 5, 6))) void sh_expect_bits(struct sh *m,
	unsigned reg, uint64_t mask, uint64_t value, const char *format, ...);

/*
 * Code between sh_try and sh_trapped ends with a trap. Execution goes on
 * after it in S mode, and after an interrupt with sstatus.SIE clear.
 * sh_trapping() marks the instruction that traps, if it is not the first after
 * sh_try(); its pc is compared with sepc.
 */
void sh_try(struct sh *m);
void sh_trapping(struct sh *m);
__attribute__((format(printf, 4, 5))) void sh_trapped(
	struct sh *m, uint64_t cause, uint64_t tval, const char *format, ...);
/* The same; sepc is given, and bits of sstatus as the handler saw it. */
__attribute__((format(printf, 7, 8))) void sh_trapped_at(struct sh *m,
	uint64_t cause, uint64_t tval, uint64_t epc, uint64_t status_mask,
	uint64_t status, const char *format, ...);
#define SH_ANY 0xa11a11a11a11a11aull /* tval or epc: not compared */

/* Go on in U mode (s9 is used). The next trap leads back. */
void sh_user(struct sh *m);

/* An SBI call: a7, a6 and ecall; the caller loads a0 .. a5 before. */
void sh_sbi(struct sh *m, uint64_t extension, uint64_t function);
/* li of up to 3 arguments, the call, and what a0 must be. */
void sh_sbi_expect(struct sh *m, uint64_t extension, uint64_t function,
	uint64_t a0, uint64_t a1, uint64_t a2, int64_t error);

/* Host address, and 8 bytes, of guest memory in RAM. */
void *sh_at(struct sh *m, uint64_t gpa);
uint64_t sh_get(struct sh *m, uint64_t gpa);
void sh_put(struct sh *m, uint64_t gpa, uint64_t value);

/*
 * The exit status: `failed` or what the harness found. It counts apart from
 * the CHECKs of the test itself: return sh_end("name", TEST_END("name"));
 */
int sh_end(const char *name, int failed);

/* Kill the program with a message after so many seconds. */
void sh_watchdog(unsigned seconds);

#endif
