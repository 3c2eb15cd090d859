/* SPDX-License-Identifier: MIT */
/*
 * hart.h - one hart, and what the files of this folder call of each other
 *
 *   soft.c    the machine: threads, stop, the slot manager's participant
 *   hart.c    sections, the mailbox, sleeping and waking, the thread's loop
 *   exec.c    the dispatch loop                decode.c, rvc.c  its input
 *   code.c    the cache of decoded blocks
 *   tlb.c     translation caches               mmu.c  the page table walk
 *   mem.c     loads and stores off the fast path    amo.c  atomics
 *   cbo.c     cache-block operations
 *   csr.c     control registers                trap.c  traps, interrupts
 *   float.c   IEEE 754 arithmetic              fp.c  the F and D extensions
 *   sbi.c     the monitor's services
 *   lockstep.c  all harts in one thread, with --deterministic
 *
 * The rule that everything else rests on: guest code and everything that
 * looks at a slot or a translation runs inside the hart's read section.
 * Whoever leaves it (hart_leave) forgets all of that, drains the mailbox
 * when he comes back (hart_enter does), and goes on from h->pc through a
 * fresh lookup. MEM_LEFT tells the dispatch loop that this has happened.
 */
#ifndef VMM_SOFT_HART_H
#define VMM_SOFT_HART_H

#include <pthread.h>

#include "vmm/soft/ops.h"
#include "vmm/soft/riscv.h"
#include "vmm/soft/soft.h"

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "guest memory is accessed with host loads: the host is little endian"
#endif

/* ---- translation caches (tlb.c) --------------------------------------- */

#define TLB_SIZE 512u
#define TLB_MASK (TLB_SIZE - 1)
#define TLB_NONE (~(uint64_t)0) /* a tag that no access can have */

/*
 * `tag` is the virtual page address. An access of `size` bytes compares it
 * with va & (~4095 | (size - 1)): one compare finds the page and rejects
 * misaligned accesses, which so can never run over the end of the page.
 */
struct tlb_entry {
	uint64_t tag;
	uintptr_t addend; /* host address - virtual address */
};

struct tlb {
	struct tlb_entry e[TLB_SIZE];
	gfn_t gfn[TLB_SIZE]; /* cold: for dropping by guest page */
};

/*
 * A translation is good for one kind of access in one of these contexts, so
 * that neither a trap nor the kernel's SUM toggling drops anything. S mode
 * without SUM sees no user pages.
 */
enum context { CONTEXT_U, CONTEXT_S, CONTEXT_SUM, CONTEXTS };

/* Superpages are cached as small pages; see tlb_drop_va(). */
struct tlb_super {
	uint64_t lo, hi; /* where superpages were seen, [lo, hi) */
	uint64_t size;   /* the largest of them; 0: none */
};

/* ---- decoded code (code.c, decode.c) ----------------------------------- */

/*
 * One decoded instruction. `off` is its distance from the block's start in
 * half words. pc-relative immediates are relative to the block's start, so
 * that no handler but the slow paths needs its own pc.
 */
struct insn {
	const void *go; /* label in hart_exec() */
	int32_t imm;    /* or the instruction's bits, for csr, fp, amo */
	uint8_t rd, rs1, rs2;
	uint8_t off;
};

#define BLOCK_INSNS 64u /* 256 bytes: off fits */

/*
 * Straight-line code of one guest page. The key is the host address of the
 * first byte. A block is believed while its generation is the hart's;
 * afterwards (fence.i, slot change) it is compared with memory again.
 * The bytes it was made from follow insn[count + 1].
 */
struct block {
	const uint8_t *host;   /* NULL: an instruction across two pages */
	struct block *next[2]; /* same page only: fall through, taken */
	uint32_t gen;
	uint16_t count; /* instructions, without the final OP_END */
	uint16_t bytes;
	struct insn insn[];
};

#define CODE_HASH  (1u << 15)
#define CODE_ARENA ((size_t)12 << 20)
#define CODE_CROSS 64u

struct code {
	struct block **hash;
	uint8_t *arena;
	size_t used;
	const void *const *label;        /* of hart_exec(), by enum op */
	struct block *cross[CODE_CROSS]; /* by bits of the instruction */
};

/* ---- mail: what others want a hart to forget (hart.c) ------------------- */

enum mail_kind {
	MAIL_FLUSH,    /* guest pages: all translations, and code */
	MAIL_PROTECT,  /* guest pages: permission to store */
	MAIL_POPULATE, /* guest pages: fill the caches, if paging is off */
	MAIL_SFENCE,   /* virtual pages */
	MAIL_FENCE_I,
};

struct mail {
	enum mail_kind kind;
	uint64_t first, count; /* page numbers */
};

#define MAIL_MAX 16u

struct mailbox {
	pthread_mutex_t lock; /* a leaf: nothing is called under it */
	MEMSLOT_ATOMIC(uint32_t) count;
	bool overflow; /* forget everything */
	struct mail mail[MAIL_MAX];
};

/* ---- a hart -------------------------------------------------------------- */

enum mode { MODE_U, MODE_S };

/* HSM states; the numbers of SBI's hart_get_status. */
enum hart_state {
	HART_STARTED = 0,
	HART_STOPPED = 1,
	HART_START_PENDING = 2,
	HART_SUSPENDED = 4,
	HART_STARTING = 100, /* parameters being written; "start pending" */
};

/* Why hart_exec() returned. */
enum hart_exit {
	EXIT_KICK,  /* somebody wants something: leave the section */
	EXIT_ECALL, /* from S mode: h->pc is after it */
	EXIT_WFI,
};

enum mem {
	MEM_OK,
	MEM_LEFT,  /* done, but the section was left meanwhile */
	MEM_FAULT, /* not done: h->cause, h->tval */
};

/* The dispatch loop looks around at least every so many instructions. */
#define POLL_INSNS     8192u
#define LEFTS_PER_LOOK 16u /* and after so many slow accesses */

struct hart {
	/* hot: every block and every access */
	MEMSLOT_ALIGNED(64) uint64_t x[X_SINK + 1];
	struct tlb *load, *store, *fetch; /* of the current context */
	/*
	 * The loop looks at the world when instret reaches this. Others set
	 * it to 0 after they have set what is to be seen.
	 */
	MEMSLOT_ATOMIC(uint64_t) check_at;
	uint32_t code_gen;
	struct code code;

	/* warm: traps, csr instructions, slow paths */
	uint64_t pc;       /* while not in the loop */
	uint64_t instret;  /* the same */
	uint64_t value;    /* what a slow load has read */
	uint64_t turn_end; /* the loop returns soon after: lockstep.c */
	bool waiting;      /* for an interrupt, the same */
	uint64_t cause, tval;
	bool left;      /* the section was left since this was cleared */
	unsigned lefts; /* how often MEM_LEFT has been seen */
	enum mode mode;
	uint64_t sstatus; /* writable bits */
	uint64_t sie, stvec, sscratch, sepc, scause, stval, satp;
	uint64_t scounteren, senvcfg;
	uint64_t stimecmp;
	bool timer_pending;           /* stimecmp had passed when last looked */
	MEMSLOT_ATOMIC(uint32_t) irq; /* SIP_SSI, SIP_SEI; any thread */
	uint64_t f[32];
	uint32_t fflags, frm;
	/* LR's reservation: size 0 is none */
	uint64_t reserve_va;
	gpa_t reserve_gpa;
	uint64_t reserve_value;
	unsigned reserve_size;

	struct soft *s;
	unsigned id;
	struct memslot_reader reader;
	MEMSLOT_ATOMIC(bool) kicked; /* leave the section soon */
	struct mailbox mailbox;

	/* cold: sleeping and starting */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	MEMSLOT_ATOMIC(bool) sleeping;
	MEMSLOT_ATOMIC(int) state;
	uint64_t start_pc, start_a1;
	pthread_t thread;
	MEMSLOT_ATOMIC(uint64_t) stat_instret;
	MEMSLOT_ATOMIC(uint64_t) stat_flushes;
	MEMSLOT_ATOMIC(uint64_t) stat_refills;
	MEMSLOT_ATOMIC(uint64_t) stat_tracked;

	/* big: the caches themselves */
	struct tlb_super super[2]; /* lower, upper half of virtual space */
	struct tlb loads[CONTEXTS];
	struct tlb stores[CONTEXTS];
	struct tlb fetches[CONTEXT_SUM];
};

struct soft {
	struct soft_config config;
	struct memslot_participant participant;
	struct memslot_reader reader; /* of the participant's populate */
	bool joined;
	uint64_t start_ns;     /* of the time CSR */
	uint64_t tick_ns;      /* one tick, if that is a whole number; or 0 */
	uint64_t pte_reserved; /* bits of any page table entry */
	char isa[ISA_STRING_MAX];
	MEMSLOT_ATOMIC(uint64_t) past; /* lockstep.c: done and skipped */
	struct hart *turn;             /* whose turn it is, or NULL */
	uint64_t turn_begin;           /* its instret then */
	MEMSLOT_ATOMIC(int) stop;      /* STOP_NONE or an enum accel_stop */
	unsigned harts;                /* that have been initialised */
	struct hart hart[];
};

#define STOP_NONE (-1)

/* Only the hart's own thread counts: a load and a store are enough. */
static inline void stat_add(MEMSLOT_ATOMIC(uint64_t) * stat, uint64_t n)
{
	atomic_store_explicit(stat,
		atomic_load_explicit(stat, memory_order_relaxed) + n,
		memory_order_relaxed);
}

/* ---- soft.c --------------------------------------------------------------- */

uint64_t soft_time(const struct soft *s);
/* The CLOCK_MONOTONIC time of a value of the time CSR; saturates. */
uint64_t soft_deadline_ns(const struct soft *s, uint64_t time);
bool soft_stopping(const struct soft *s);

/* ---- hart.c --------------------------------------------------------------- */

int hart_init(struct hart *h, struct soft *s, unsigned id);
void hart_fini(struct hart *h);
void hart_main(struct hart *h); /* until the machine stops */
void hart_run(struct hart *h);  /* until the loop returns; a started one */

/* In and out of the read section. hart_enter drains the mailbox. */
void hart_enter(struct hart *h);
void hart_leave(struct hart *h);
/*
 * Inside: these bytes have been written to tracked pages, and the dirty log
 * knows. Leaves, tells the trackers in order, and enters again.
 */
struct report {
	gpa_t gpa;
	const void *bytes;
	const void *old; /* what was there, or NULL if nobody asked */
	size_t len;
	struct pagetrack_hold hold;
};
void hart_report(struct hart *h, struct report *r, unsigned count,
	enum pagetrack_source_kind kind);

/* Any thread. The mail is obeyed before the hart's next section. */
void hart_post(struct hart *h, const struct mail *m);
/* Any thread: make the loop look, and the sleeper wake. */
void hart_signal(struct hart *h);
void hart_set_irq(struct hart *h, uint32_t bit, bool level);
/* Outside: sleep until an interrupt enabled in sie is pending, or stop. */
void hart_sleep(struct hart *h);

/* Inside: the guest is waiting for another hart. */
void hart_pause(struct hart *h);

/* ---- lockstep.c ----------------------------------------------------------- */

void lockstep_run(struct soft *s); /* until the machine stops */
uint64_t lockstep_time(const struct soft *s);
/* As it was when the present turn began. Any thread. */
uint64_t lockstep_turn_time(const struct soft *s);

/* ---- exec.c --------------------------------------------------------------- */

enum hart_exit hart_exec(struct hart *h);
const void *const *hart_exec_labels(void);

/* ---- code.c --------------------------------------------------------------- */

int code_init(struct code *c);
void code_fini(struct code *c);

static inline unsigned code_hash(const uint8_t *host)
{
	uintptr_t k = (uintptr_t)host >> 1;

	return (unsigned)(k ^ (k >> 15)) & (CODE_HASH - 1);
}

/*
 * The block at host, decoded if need be; NULL: its first instruction crosses
 * into the next page. *link, if link is not NULL, is made to point to it.
 */
struct block *code_find(
	struct hart *h, const uint8_t *host, struct block **link);
/* The block for one instruction that crosses pages. */
struct block *code_cross(struct hart *h, uint32_t bits);
/* Believe no block until it has been compared with memory. */
void code_expire(struct hart *h);
/* The bits of the instruction, as stval wants them. */
uint32_t block_bits(const struct block *b, const struct insn *i);

/* ---- tlb.c ---------------------------------------------------------------- */

enum access { ACCESS_FETCH, ACCESS_LOAD, ACCESS_STORE };

/* Host address of the byte at va if its page is cached, or NULL. */
static inline uint8_t *tlb_find(const struct tlb *t, uint64_t va)
{
	const struct tlb_entry *e =
		&t->e[(va >> MEMSLOT_PAGE_SHIFT) & TLB_MASK];

	if (e->tag != (va & ~MEMSLOT_PAGE_MASK))
		return NULL;
	return (uint8_t *)(uintptr_t)(va + e->addend);
}

/* Its guest-physical address, once tlb_find() has found it. */
static inline gpa_t tlb_gpa(const struct tlb *t, uint64_t va)
{
	return t->gfn[(va >> MEMSLOT_PAGE_SHIFT) & TLB_MASK]
		       << MEMSLOT_PAGE_SHIFT |
	       (va & MEMSLOT_PAGE_MASK);
}

void tlb_fill(struct hart *h, struct tlb *t, uint64_t va, gfn_t gfn,
	const uint8_t *page);
void tlb_drop_all(struct hart *h);
void tlb_drop_loads(struct hart *h);
void tlb_drop_va(struct hart *h, uint64_t va);
void tlb_drop_gfns(struct hart *h, gfn_t gfn, uint64_t pages, bool stores);
/* Paging is off: cache these guest pages as far as they are memory. */
void tlb_populate(struct hart *h, gfn_t gfn, uint64_t pages);
void tlb_saw_super(struct hart *h, uint64_t va, uint64_t size);
/* After a change of mode or SUM. */
void tlb_context(struct hart *h);

/* ---- mmu.c ------------------------------------------------------------------ */

/*
 * Translate, inside the section. MMU_RETRY: it was left meanwhile, to wait or
 * to report, so that all that was learned in it is stale: begin anew.
 */
enum mmu { MMU_OK, MMU_RETRY, MMU_FAULT };
enum mmu mmu_translate(
	struct hart *h, uint64_t va, enum access access, gpa_t *gpa);
/* The slot of gpa, waiting while it is invalid; NULL and MMU_OK: none. */
enum mmu mmu_slot(struct hart *h, gpa_t gpa, const struct memslot **slot);
/* Fill the fetch TLB for va. MEM_LEFT: look again. */
enum mem mmu_fetch(struct hart *h, uint64_t va);
enum mmu mmu_fault(struct hart *h, uint64_t cause, uint64_t va);

/* ---- mem.c, amo.c ----------------------------------------------------------- */

/* size 1, 2, 4, 8. The value of a load is in h->value, zero-extended. */
enum mem mem_load(struct hart *h, uint64_t va, unsigned size);
enum mem mem_store(struct hart *h, uint64_t va, unsigned size, uint64_t v);

/* Where an access goes: a slot, or (slot NULL) the bus. */
struct place {
	gpa_t gpa;
	const struct memslot *slot;
};
/* Loops until resolved without leaving; MEM_OK or MEM_FAULT. */
enum mem mem_resolve(
	struct hart *h, uint64_t va, enum access access, struct place *p);

/* The block of ISA_CBO_BLOCK bytes at va becomes 0; va is its address. */
enum mem mem_zero(struct hart *h, uint64_t va);
/* cbo.*; MEM_FAULT may also be an illegal instruction. */
enum mem cbo_exec(struct hart *h, uint32_t bits);

/* The A extension; `bits` is a valid AMO instruction. */
enum mem amo_exec(struct hart *h, uint32_t bits);

/* ---- csr.c, trap.c ---------------------------------------------------------- */

/* False: illegal instruction. Writes rd. */
bool csr_exec(struct hart *h, uint32_t bits);
/* sip as the guest sees it now. */
uint64_t csr_sip(const struct hart *h);
/* Look around soon if an interrupt may have become deliverable. */
void csr_recheck(struct hart *h);

/* Enter the handler; returns its address. */
uint64_t trap_enter(struct hart *h, uint64_t cause, uint64_t tval, uint64_t pc);
/* Take a pending interrupt, if any: true, and *pc is the handler. */
bool trap_interrupt(struct hart *h, uint64_t *pc);
uint64_t trap_sret(struct hart *h);

/* ---- fp.c ------------------------------------------------------------------- */

/* One F/D instruction that is no load or store. False: illegal. */
bool fp_exec(struct hart *h, uint32_t bits);
static inline bool fp_enabled(const struct hart *h)
{
	return h->sstatus & SSTATUS_FS;
}

/* ---- sbi.c ------------------------------------------------------------------ */

/* Outside the section: the ecall in a7, a6, a0..a5. */
void sbi_call(struct hart *h);

#endif
