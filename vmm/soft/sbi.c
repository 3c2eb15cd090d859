/* SPDX-License-Identifier: MIT */
/*
 * sbi.c - the monitor's side of the Supervisor Binary Interface 2.0
 *
 * An ecall from S mode: a7 names the extension, a6 the function, a0 to a5
 * are arguments; a0 returns an error and a1 a value. Offered: base, time,
 * IPI, remote fences, hart state (HSM), system reset and debug console. The
 * legacy extensions of SBI 0.1 are not.
 *
 * All of it runs outside the read section. Guest addresses are physical and
 * go through pagetrack_guest_read/write, which check every page. A remote
 * fence returns when it has been obeyed: mail first, then wait until every
 * hart has been outside its section (see hart.c).
 */
#include "vmm/soft/hart.h"

#define SBI_SUCCESS               0
#define SBI_ERR_FAILED            (-1)
#define SBI_ERR_NOT_SUPPORTED     (-2)
#define SBI_ERR_INVALID_PARAM     (-3)
#define SBI_ERR_INVALID_ADDRESS   (-5)
#define SBI_ERR_ALREADY_AVAILABLE (-6)

#define EXT_BASE   0x10u
#define EXT_TIME   0x54494d45u /* "TIME" */
#define EXT_IPI    0x00735049u /* "sPI" */
#define EXT_RFENCE 0x52464e43u /* "RFNC" */
#define EXT_HSM    0x0048534du /* "HSM" */
#define EXT_SRST   0x53525354u /* "SRST" */
#define EXT_DBCN   0x4442434eu /* "DBCN" */

#define SPEC_VERSION 0x02000000u
/* No number has been assigned to us; the spec's list ends far below. */
#define IMPL_ID      0x766d6du /* "vmm" */
#define IMPL_VERSION 1u

#define DBCN_CHUNK 256u
#define DBCN_MAX   65536u /* of one call; the guest then calls again */

struct sbi_ret {
	long error;
	uint64_t value;
};

static struct sbi_ret ok(uint64_t value)
{
	return (struct sbi_ret){.error = SBI_SUCCESS, .value = value};
}

static struct sbi_ret failed(long error)
{
	return (struct sbi_ret){.error = error};
}

static bool known(uint64_t ext)
{
	switch (ext) {
	case EXT_BASE:
	case EXT_TIME:
	case EXT_IPI:
	case EXT_RFENCE:
	case EXT_HSM:
	case EXT_SRST:
	case EXT_DBCN:
		return true;
	}
	return false;
}

static struct sbi_ret sbi_base(uint64_t function, uint64_t arg)
{
	switch (function) {
	case 0:
		return ok(SPEC_VERSION);
	case 1:
		return ok(IMPL_ID);
	case 2:
		return ok(IMPL_VERSION);
	case 3:
		return ok(known(arg));
	case 4: /* mvendorid, marchid, mimpid: "not implemented" */
	case 5:
	case 6:
		return ok(0);
	}
	return failed(SBI_ERR_NOT_SUPPORTED);
}

static struct sbi_ret sbi_time(struct hart *h, uint64_t function, uint64_t at)
{
	if (function != 0)
		return failed(SBI_ERR_NOT_SUPPORTED);
	h->stimecmp = at;
	h->timer_pending = soft_time(h->s) >= at;
	csr_recheck(h);
	return ok(0);
}

/* ---- several harts -------------------------------------------------------- */

/* The bits of the harts named by (mask, base), or false. */
static bool hart_set(
	const struct hart *h, uint64_t mask, uint64_t base, unsigned *set)
{
	unsigned harts = h->s->harts;

	if (base == ~(uint64_t)0) {
		*set = (1u << harts) - 1;
		return true;
	}
	if (mask == 0) {
		*set = 0;
		return true;
	}
	if (base >= harts || mask >> (harts - base) != 0)
		return false;
	*set = (unsigned)(mask << base);
	return true;
}

static struct sbi_ret sbi_ipi(
	struct hart *h, uint64_t function, uint64_t mask, uint64_t base)
{
	unsigned set;

	if (function != 0)
		return failed(SBI_ERR_NOT_SUPPORTED);
	if (!hart_set(h, mask, base, &set))
		return failed(SBI_ERR_INVALID_PARAM);
	for (unsigned n = 0; n < h->s->harts; n++)
		if (set >> n & 1)
			hart_set_irq(&h->s->hart[n], SIP_SSI, true);
	return ok(0);
}

/* a0, a1: harts; a2, a3: virtual start and size; a4: asid, of no interest */
static struct sbi_ret sbi_rfence(
	struct hart *h, uint64_t function, const uint64_t *a)
{
	struct mail m = {.kind = MAIL_SFENCE};
	uint64_t start = a[2], size = a[3], last = start + size - 1;
	unsigned set;

	if (function > 2) /* hypervisor fences: there is no H extension */
		return failed(SBI_ERR_NOT_SUPPORTED);
	if (!hart_set(h, a[0], a[1], &set))
		return failed(SBI_ERR_INVALID_PARAM);
	if (function == 0) {
		m.kind = MAIL_FENCE_I;
	} else if (size == 0 || size == ~(uint64_t)0 || last < start) {
		m.count = ~(uint64_t)0;
	} else {
		m.first = start >> MEMSLOT_PAGE_SHIFT;
		m.count = (last >> MEMSLOT_PAGE_SHIFT) - m.first + 1;
	}
	for (unsigned n = 0; n < h->s->harts; n++)
		if (set >> n & 1)
			hart_post(&h->s->hart[n], &m);
	/* The caller is outside, and drains when it goes back. */
	if (set & ~(1u << h->id))
		memslots_synchronize(h->s->config.slots);
	return ok(0);
}

static bool is_memory(struct hart *h, gpa_t gpa)
{
	const struct memslot *slot;

	if (gpa >= MEMSLOT_GPA_LIMIT)
		return false;
	slot = memslot_enter_at(
		&h->reader, h->s->config.space, gpa >> MEMSLOT_PAGE_SHIFT);
	memslot_leave(&h->reader);
	return slot;
}

static struct sbi_ret hsm_start(struct hart *h, const uint64_t *a)
{
	int stopped = HART_STOPPED;
	struct hart *other;

	if (a[0] >= h->s->harts)
		return failed(SBI_ERR_INVALID_PARAM);
	if (!is_memory(h, a[1]) || a[1] & 1)
		return failed(SBI_ERR_INVALID_ADDRESS);
	other = &h->s->hart[a[0]];
	if (!atomic_compare_exchange_strong(
		    &other->state, &stopped, HART_STARTING))
		return failed(SBI_ERR_ALREADY_AVAILABLE);
	other->start_pc = a[1];
	other->start_a1 = a[2];
	atomic_store(&other->state, HART_START_PENDING);
	hart_signal(other);
	return ok(0);
}

static struct sbi_ret hsm_suspend(struct hart *h, uint64_t type)
{
	/* Only the default retentive suspend: it is wfi that returns. */
	if (type != 0) {
		bool platform =
			type >> 32 == 0 &&
			((type >= 0x10000000 && type < 0x80000000) ||
				type >= 0x90000000 || type == 0x80000000);

		return failed(platform ? SBI_ERR_NOT_SUPPORTED
				       : SBI_ERR_INVALID_PARAM);
	}
	atomic_store(&h->state, HART_SUSPENDED);
	hart_sleep(h);
	if (!h->waiting) /* else lockstep.c sees to it */
		atomic_store(&h->state, HART_STARTED);
	return ok(0);
}

static struct sbi_ret sbi_hsm(
	struct hart *h, uint64_t function, const uint64_t *a)
{
	int state;

	switch (function) {
	case 0:
		return hsm_start(h, a);
	case 1: /* does not return; the thread's loop sees the state */
		atomic_store(&h->state, HART_STOPPED);
		return ok(0);
	case 2:
		if (a[0] >= h->s->harts)
			return failed(SBI_ERR_INVALID_PARAM);
		state = atomic_load(&h->s->hart[a[0]].state);
		return ok(state == HART_STARTING ? HART_START_PENDING
						 : (uint64_t)state);
	case 3:
		return hsm_suspend(h, a[0]);
	}
	return failed(SBI_ERR_NOT_SUPPORTED);
}

static struct sbi_ret sbi_reset(
	struct hart *h, uint64_t function, uint64_t type, uint64_t reason)
{
	enum accel_stop why = ACCEL_STOP_REBOOT; /* cold, warm */

	if (function != 0)
		return failed(SBI_ERR_NOT_SUPPORTED);
	/* Both are 32 bits wide; the known ones are the spec's first. */
	if ((uint32_t)type > 2 || (uint32_t)reason > 1)
		return failed(SBI_ERR_INVALID_PARAM);
	if ((uint32_t)type == 0)
		why = (uint32_t)reason ? ACCEL_STOP_FAILURE
				       : ACCEL_STOP_POWEROFF;
	soft_request_stop(h->s, why);
	return ok(0);
}

/* ---- debug console ---------------------------------------------------------- */

/* SBI 2.0, 3.2: a shared memory range must be memory from end to end. */
static bool all_memory(struct hart *h, gpa_t gpa, uint64_t len)
{
	uint8_t byte;

	for (uint64_t at = 0; at < len; at += MEMSLOT_PAGE_SIZE)
		if (pagetrack_guest_read(
			    &h->reader, h->s->config.space, gpa + at, &byte, 1))
			return false;
	return len == 0 || pagetrack_guest_read(&h->reader, h->s->config.space,
				   gpa + len - 1, &byte, 1) == 0;
}

static struct sbi_ret dbcn_write(struct hart *h, gpa_t gpa, uint64_t len)
{
	const struct soft_config *c = &h->s->config;
	uint8_t bytes[DBCN_CHUNK];
	uint64_t done = 0;

	while (done < len) {
		size_t n = len - done < sizeof(bytes) ? (size_t)(len - done)
						      : sizeof(bytes);

		if (pagetrack_guest_read(
			    &h->reader, c->space, gpa + done, bytes, n))
			return done ? ok(done) : failed(SBI_ERR_INVALID_PARAM);
		if (c->console_out)
			c->console_out(c->console_ctx, bytes, n);
		done += n;
	}
	return ok(done);
}

static struct sbi_ret dbcn_read(struct hart *h, gpa_t gpa, uint64_t len)
{
	const struct soft_config *c = &h->s->config;
	struct pagetrack_source source = {
		.kind = PAGETRACK_CPU, .index = h->id};
	uint8_t bytes[DBCN_CHUNK];
	uint64_t done = 0;

	while (done < len && c->console_in) {
		size_t n = len - done < sizeof(bytes) ? (size_t)(len - done)
						      : sizeof(bytes);

		/* Find out before bytes are taken from the input. */
		if (pagetrack_guest_read(
			    &h->reader, c->space, gpa + done, bytes, n))
			return done ? ok(done) : failed(SBI_ERR_INVALID_PARAM);
		n = c->console_in(c->console_ctx, bytes, n);
		if (n == 0)
			break;
		if (pagetrack_guest_write(c->track, &h->reader, c->space,
			    gpa + done, bytes, n, source))
			return failed(SBI_ERR_FAILED);
		done += n;
	}
	return ok(done);
}

static struct sbi_ret sbi_console(
	struct hart *h, uint64_t function, const uint64_t *a)
{
	const struct soft_config *c = &h->s->config;
	uint64_t len = a[0] < DBCN_MAX ? a[0] : DBCN_MAX;
	uint8_t byte = (uint8_t)a[0];

	switch (function) {
	case 0:
	case 1:
		/* a1, a2: low and high half of the address */
		if (a[2] != 0 || a[1] >= MEMSLOT_GPA_LIMIT ||
			a[0] > MEMSLOT_GPA_LIMIT - a[1] ||
			!all_memory(h, a[1], len))
			return failed(SBI_ERR_INVALID_PARAM);
		return function ? dbcn_read(h, a[1], len)
				: dbcn_write(h, a[1], len);
	case 2:
		if (c->console_out)
			c->console_out(c->console_ctx, &byte, 1);
		return ok(0);
	}
	return failed(SBI_ERR_NOT_SUPPORTED);
}

void sbi_call(struct hart *h)
{
	uint64_t ext = h->x[17], function = h->x[16];
	const uint64_t *a = &h->x[10];
	struct sbi_ret r;

	switch (ext) {
	case EXT_BASE:
		r = sbi_base(function, a[0]);
		break;
	case EXT_TIME:
		r = sbi_time(h, function, a[0]);
		break;
	case EXT_IPI:
		r = sbi_ipi(h, function, a[0], a[1]);
		break;
	case EXT_RFENCE:
		r = sbi_rfence(h, function, a);
		break;
	case EXT_HSM:
		r = sbi_hsm(h, function, a);
		break;
	case EXT_SRST:
		r = sbi_reset(h, function, a[0], a[1]);
		break;
	case EXT_DBCN:
		r = sbi_console(h, function, a);
		break;
	default:
		r = failed(SBI_ERR_NOT_SUPPORTED);
		break;
	}
	h->x[10] = (uint64_t)r.error;
	h->x[11] = r.value;
}
