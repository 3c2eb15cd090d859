/* SPDX-License-Identifier: MIT */
/* soft_harness.c - see soft_harness.h */
#include "tests/unit/soft/soft_harness.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/test.h"

static unsigned long vectors, wrong;

int sh_end(const char *name, int failed)
{
	wrong += atomic_load(&test_failures);
	printf("%s: %lu vectors", name, vectors);
	if (wrong)
		printf(", %lu failed", wrong);
	printf("\n");
	return failed || wrong;
}

static void rang(int sig)
{
	static const char text[] = "watchdog: the test hangs\n";
	ssize_t n = write(2, text, sizeof(text) - 1);

	(void)n;
	_exit(1 + 0 * sig);
}

void sh_watchdog(unsigned seconds)
{
	signal(SIGALRM, rang);
	alarm(seconds);
}

void sh_e(struct sh *m, uint32_t insn)
{
	rv_emit(&m->p, insn);
}

void sh_c(struct sh *m, uint16_t insn)
{
	rv_emit16(&m->p, insn);
}

void sh_li(struct sh *m, unsigned rd, uint64_t value)
{
	rv_li(&m->p, rd, value);
}

uint64_t sh_pc(const struct sh *m)
{
	return RAM + m->p.size;
}

void *sh_at(struct sh *m, uint64_t gpa)
{
	return m->ram + (gpa - RAM);
}

uint64_t sh_get(struct sh *m, uint64_t gpa)
{
	uint64_t v;

	memcpy(&v, sh_at(m, gpa), sizeof(v));
	return v;
}

void sh_put(struct sh *m, uint64_t gpa, uint64_t value)
{
	memcpy(sh_at(m, gpa), &value, sizeof(value));
}

static void console_out(void *ctx, const void *bytes, size_t len)
{
	struct sh *m = ctx;
	size_t room = sizeof(m->console) - 1 - m->console_size;

	if (len > room)
		len = room;
	memcpy(m->console + m->console_size, bytes, len);
	m->console_size += len;
}

static size_t console_in(void *ctx, void *bytes, size_t len)
{
	struct sh *m = ctx;
	size_t have = m->input ? strlen(m->input) : 0;

	if (len > have)
		len = have;
	if (len) {
		memcpy(bytes, m->input, len);
		m->input += len;
	}
	return len;
}

static void shutdown_call(struct sh *m, uint64_t reason)
{
	sh_li(m, RV_A0, 0);
	sh_li(m, RV_A1, reason);
	sh_sbi(m, SBI_SRST, 0);
}

static void emit_handler(struct sh *m)
{
	rv_label start = rv_label_new(&m->p);
	rv_label unexpected = rv_label_new(&m->p);
	rv_label handler = rv_label_new(&m->p);
	rv_label stay = rv_label_new(&m->p);
	rv_label exception = rv_label_new(&m->p);
	static const unsigned seen[] = {
		RV_CSR_SCAUSE, RV_CSR_STVAL, RV_CSR_SEPC, RV_CSR_SSTATUS};
	int i;

	rv_jump(&m->p, RV_ZERO, start);
	rv_align(&m->p, 64);
	rv_bind(&m->p, handler);
	m->handler = m->p.size;
	rv_branch(&m->p, RV_BEQ, RV_S10, RV_ZERO, unexpected);
	for (i = 0; i < 4; i++) {
		sh_e(m, rv_csrr(RV_S9, seen[i]));
		sh_e(m, rv_sd(RV_S9, RV_S11, 8 * i));
	}
	/* after an interrupt, go on with interrupts disabled */
	sh_e(m, rv_csrr(RV_S9, RV_CSR_SCAUSE));
	rv_branch(&m->p, RV_BGE, RV_S9, RV_ZERO, exception);
	sh_li(m, RV_S9, SSTATUS_SPIE);
	sh_e(m, rv_csrrc(RV_ZERO, RV_CSR_SSTATUS, RV_S9));
	rv_bind(&m->p, exception);
	sh_e(m, rv_andi(RV_S9, RV_S10, 1));
	rv_branch(&m->p, RV_BEQ, RV_S9, RV_ZERO, stay);
	sh_li(m, RV_S9, SSTATUS_SPP);
	sh_e(m, rv_csrrs(RV_ZERO, RV_CSR_SSTATUS, RV_S9));
	rv_bind(&m->p, stay);
	sh_e(m, rv_andi(RV_S10, RV_S10, -2));
	sh_e(m, rv_csrw(RV_CSR_SEPC, RV_S10));
	sh_e(m, rv_mv(RV_S10, RV_ZERO));
	sh_e(m, rv_sret());

	rv_bind(&m->p, unexpected);
	sh_li(m, RV_S8, STACKS);
	for (i = 0; i < 4; i++) {
		sh_e(m, rv_csrr(RV_S9, seen[i]));
		sh_e(m, rv_sd(RV_S9, RV_S8, 8 * i));
	}
	sh_e(m, rv_sd(RV_S11, RV_S8, 32));
	shutdown_call(m, 1);
	rv_bind(&m->p, start);
	rv_la(&m->p, RV_S9, handler);
	sh_e(m, rv_csrw(RV_CSR_STVEC, RV_S9));
	sh_li(m, RV_S11, RESULTS);
	sh_e(m, rv_mv(RV_S10, RV_ZERO));
}

void sh_open(struct sh *m, unsigned harts)
{
	struct memslot_config c = {0};
	struct memslot_error err = {0};

	memset(m, 0, sizeof(*m));
	m->harts = harts;
	m->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m->ram == MAP_FAILED ||
		memslots_create(&memslot_hosted, 1, &m->slots, &err) ||
		pagetrack_create(m->slots, &m->track, &err))
		abort();
	c.id = SLOT_RAM;
	c.gpa = RAM;
	c.size = RAM_SIZE;
	c.host = m->ram;
	if (memslots_create_slot(m->slots, &c, &err))
		abort();
	memslot_reader_init(&m->reader, m->slots, NULL, NULL);
	rv_begin(&m->p, m->ram, STACKS - RAM);
	emit_handler(m);
}

void sh_start(struct sh *m)
{
	struct soft_config c = {0};
	struct memslot_error err = {0};
	int r;

	shutdown_call(m, 0);
	CHECK_EQ(rv_finish(&m->p), RV_OK);
	CHECK(RESULTS + m->stream <= DATA);
	/* what is not written must not look right by chance */
	memset(sh_at(m, RESULTS), 0x5a, DATA - RESULTS);
	c.slots = m->slots;
	c.track = m->track;
	c.bus = &m->bus;
	c.harts = m->harts;
	c.isa_off = m->isa_off;
	c.deterministic = m->deterministic;
	c.entry = RAM;
	c.timebase_hz = 10000000;
	c.console_out = console_out;
	c.console_in = console_in;
	c.console_ctx = m;
	r = soft_create(&c, &m->soft, &err);
	if (!CHECK_EQ(r, 0)) {
		fprintf(stderr, "soft_create: %s\n", err.text);
		exit(1);
	}
}

static void compare(struct sh *m)
{
	size_t i, bad = 0;

	for (i = 0; i < m->wants; i++) {
		const struct sh_want *w = &m->want[i];
		uint64_t have = sh_get(m, RESULTS + w->at);

		vectors++;
		if (!((have ^ w->value) & w->mask))
			continue;
		wrong++;
		if (bad++ < 40)
			fprintf(stderr, "  %s: %#llx, should be %#llx%s\n",
				w->text, (unsigned long long)have,
				(unsigned long long)w->value,
				w->mask == UINT64_MAX ? "" : " (masked)");
	}
	if (bad > 40)
		fprintf(stderr, "  ... %zu wrong of %zu\n", bad, m->wants);
}

/* The run ended early: show the last result that was still written. */
static void show_progress(struct sh *m, uint64_t stream)
{
	size_t i;

	for (i = 0; i < m->wants; i++)
		if (RESULTS + m->want[i].at >= stream)
			break;
	if (i)
		fprintf(stderr, "  after: %s\n", m->want[i - 1].text);
	if (i < m->wants)
		fprintf(stderr, "  before: %s\n", m->want[i].text);
}

void sh_go(struct sh *m)
{
	struct memslot_error err = {0};
	int r = soft_run(m->soft, &m->why, &err);

	if (!CHECK_EQ(r, 0))
		fprintf(stderr, "soft_run: %s\n", err.text);
	if (!m->quiet && !CHECK_EQ(m->why, ACCEL_STOP_POWEROFF)) {
		if (m->why == ACCEL_STOP_ERROR)
			fprintf(stderr, "soft_run: %s\n", err.text);
		if (sh_get(m, STACKS + 32)) {
			fprintf(stderr,
				"  unexpected trap: scause %#llx stval %#llx "
				"sepc %#llx (insn %#x) sstatus %#llx\n",
				(unsigned long long)sh_get(m, STACKS),
				(unsigned long long)sh_get(m, STACKS + 8),
				(unsigned long long)sh_get(m, STACKS + 16),
				sh_get(m, STACKS + 16) - RAM < RAM_SIZE - 8
					? (unsigned)sh_get(
						  m, sh_get(m, STACKS + 16))
					: 0,
				(unsigned long long)sh_get(m, STACKS + 24));
			show_progress(m, sh_get(m, STACKS + 32));
		}
	}
	compare(m);
}

void sh_run(struct sh *m)
{
	sh_start(m);
	sh_go(m);
}

void sh_close(struct sh *m)
{
	if (m->soft)
		soft_destroy(m->soft);
	memslot_reader_fini(&m->reader);
	pagetrack_destroy(m->track);
	memslots_destroy(m->slots);
	munmap(m->ram, RAM_SIZE);
	free(m->want);
}

/* ---- results ----------------------------------------------------------- */

static void want(struct sh *m, uint64_t at, uint64_t mask, uint64_t value,
	const char *what, const char *format, va_list ap)
{
	struct sh_want *w;
	int n;

	if (m->wants == m->room) {
		m->room = m->room ? 2 * m->room : 256;
		m->want = realloc(m->want, m->room * sizeof(*m->want));
		if (!m->want)
			abort();
	}
	w = &m->want[m->wants++];
	w->at = at;
	w->mask = mask;
	w->value = value;
	n = vsnprintf(w->text, sizeof(w->text), format, ap);
	if (n >= 0 && (size_t)n < sizeof(w->text))
		snprintf(w->text + n, sizeof(w->text) - (size_t)n, "%s", what);
}

void sh_expect(
	struct sh *m, unsigned reg, uint64_t value, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	want(m, m->stream, UINT64_MAX, value, "", format, ap);
	va_end(ap);
	sh_e(m, rv_sd(reg, RV_S11, 0));
	sh_e(m, rv_addi(RV_S11, RV_S11, 8));
	m->stream += 8;
}

void sh_expect_bits(struct sh *m, unsigned reg, uint64_t mask, uint64_t value,
	const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	want(m, m->stream, mask, value, "", format, ap);
	va_end(ap);
	sh_e(m, rv_sd(reg, RV_S11, 0));
	sh_e(m, rv_addi(RV_S11, RV_S11, 8));
	m->stream += 8;
}

/* ---- traps ------------------------------------------------------------- */

static void put32(struct sh *m, size_t at, uint32_t v)
{
	if (m->p.error == RV_OK)
		memcpy(m->p.bytes + at, &v, 4);
}

/* auipc + addi of an address that is not known yet, and its completion. */
static void address_later(struct sh *m, unsigned rd)
{
	sh_e(m, rv_auipc(rd, 0));
	sh_e(m, rv_addi(rd, rd, 0));
}

static void address_now(struct sh *m, size_t at, unsigned rd, unsigned odd)
{
	size_t d = m->p.size - at;

	put32(m, at, rv_auipc(rd, (uint32_t)((d + 0x800) >> 12)));
	put32(m, at + 4, rv_addi(rd, rd, (int32_t)(d | odd)));
}

void sh_try(struct sh *m)
{
	m->try_at = m->p.size;
	address_later(m, RV_S10);
	m->try_pc = m->p.size;
}

void sh_trapping(struct sh *m)
{
	m->try_pc = m->p.size;
}

static void trapped(struct sh *m, uint64_t cause, uint64_t tval, uint64_t epc,
	uint64_t status_mask, uint64_t status, const char *format, va_list ap)
{
	static const char *const name[] = {
		" [scause]", " [stval]", " [sepc]", " [sstatus]"};
	uint64_t value[4] = {cause, tval, epc, status};
	uint64_t mask[4] = {UINT64_MAX, tval == SH_ANY ? 0 : UINT64_MAX,
		epc == SH_ANY ? 0 : UINT64_MAX, status_mask};
	va_list again;
	int i;

	/* here if it did not trap */
	sh_e(m, rv_addi(RV_S9, RV_ZERO, -77));
	for (i = 0; i < 4; i++)
		sh_e(m, rv_sd(RV_S9, RV_S11, 8 * i));
	sh_e(m, rv_mv(RV_S10, RV_ZERO));
	/* here if it did: in S mode */
	address_now(m, m->try_at, RV_S10, 1);
	sh_e(m, rv_addi(RV_S11, RV_S11, 32));
	for (i = 0; i < 4; i++) {
		va_copy(again, ap);
		want(m, m->stream + 8 * (unsigned)i, mask[i], value[i], name[i],
			format, again);
		va_end(again);
	}
	m->stream += 32;
}

void sh_trapped(
	struct sh *m, uint64_t cause, uint64_t tval, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	trapped(m, cause, tval, RAM + m->try_pc, 0, 0, format, ap);
	va_end(ap);
}

void sh_trapped_at(struct sh *m, uint64_t cause, uint64_t tval, uint64_t epc,
	uint64_t status_mask, uint64_t status, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	trapped(m, cause, tval, epc, status_mask, status, format, ap);
	va_end(ap);
}

void sh_user(struct sh *m)
{
	size_t at;

	sh_li(m, RV_S9, SSTATUS_SPP);
	sh_e(m, rv_csrrc(RV_ZERO, RV_CSR_SSTATUS, RV_S9));
	at = m->p.size;
	address_later(m, RV_S9);
	sh_e(m, rv_csrw(RV_CSR_SEPC, RV_S9));
	sh_e(m, rv_sret());
	address_now(m, at, RV_S9, 0);
	sh_trapping(m);
}

/* ---- SBI --------------------------------------------------------------- */

void sh_sbi(struct sh *m, uint64_t extension, uint64_t function)
{
	sh_li(m, RV_A7, extension);
	sh_li(m, RV_A6, function);
	sh_e(m, rv_ecall());
}

void sh_sbi_expect(struct sh *m, uint64_t extension, uint64_t function,
	uint64_t a0, uint64_t a1, uint64_t a2, int64_t error)
{
	sh_li(m, RV_A0, a0);
	sh_li(m, RV_A1, a1);
	sh_li(m, RV_A2, a2);
	sh_sbi(m, extension, function);
	sh_expect(m, RV_A0, (uint64_t)error, "sbi %#llx.%llu(%#llx, %#llx)",
		(unsigned long long)extension, (unsigned long long)function,
		(unsigned long long)a0, (unsigned long long)a1);
}
