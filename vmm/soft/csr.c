/* SPDX-License-Identifier: MIT */
/*
 * csr.c - control and status registers
 *
 * Unprivileged spec "Zicsr", privileged spec "Supervisor-Level ISA". A CSR
 * that does not exist, is above the mode, or is read-only and written is an
 * illegal instruction. Fields that hold only some values (WARL) keep legal
 * ones; a satp write with an unknown mode has no effect at all.
 *
 * There is no M mode: counters are enabled for S, everything is delegated.
 * cycle counts instructions, as instret does.
 */
#include "vmm/soft/hart.h"

enum csr_op { CSR_WRITE = 1, CSR_SET = 2, CSR_CLEAR = 3 };

uint64_t csr_sip(const struct hart *h)
{
	uint64_t sip = atomic_load(&h->irq);

	return soft_time(h->s) >= h->stimecmp ? sip | SIP_STI : sip;
}

void csr_recheck(struct hart *h)
{
	uint64_t sip = atomic_load(&h->irq);

	if (h->timer_pending)
		sip |= SIP_STI;
	if (sip & h->sie)
		atomic_store_explicit(&h->check_at, 0, memory_order_relaxed);
}

static bool has(const struct hart *h, enum isa_ext ext)
{
	return isa_has(h->s->config.isa_off, ext);
}

/* cycle, time, instret: for U as far as scounteren says. */
static bool read_counter(const struct hart *h, unsigned csr, uint64_t *v)
{
	if (!has(h, ISA_ZICNTR))
		return false;
	if (h->mode == MODE_U && !(h->scounteren >> (csr - CSR_CYCLE) & 1))
		return false;
	*v = csr == CSR_TIME ? soft_time(h->s) : h->instret;
	return true;
}

static bool csr_read(const struct hart *h, unsigned csr, uint64_t *v)
{
	switch (csr) {
	case CSR_FFLAGS:
		*v = h->fflags;
		return fp_enabled(h);
	case CSR_FRM:
		*v = h->frm;
		return fp_enabled(h);
	case CSR_FCSR:
		*v = h->frm << 5 | h->fflags;
		return fp_enabled(h);
	case CSR_SSTATUS:
		*v = h->sstatus | SSTATUS_UXL;
		if ((h->sstatus & SSTATUS_FS) == SSTATUS_FS)
			*v |= SSTATUS_SD;
		return true;
	case CSR_SIE:
		*v = h->sie;
		return true;
	case CSR_STVEC:
		*v = h->stvec;
		return true;
	case CSR_SCOUNTEREN:
		*v = h->scounteren;
		return true;
	case CSR_SENVCFG:
		*v = h->senvcfg;
		return true;
	case CSR_SSCRATCH:
		*v = h->sscratch;
		return true;
	case CSR_SEPC:
		*v = h->sepc;
		return true;
	case CSR_SCAUSE:
		*v = h->scause;
		return true;
	case CSR_STVAL:
		*v = h->stval;
		return true;
	case CSR_SIP:
		*v = csr_sip(h);
		return true;
	case CSR_STIMECMP:
		*v = h->stimecmp;
		return has(h, ISA_SSTC);
	case CSR_SATP:
		*v = h->satp;
		return true;
	case CSR_CYCLE:
	case CSR_TIME:
	case CSR_INSTRET:
		return read_counter(h, csr, v);
	}
	return false;
}

static void write_sstatus(struct hart *h, uint64_t v)
{
	uint64_t changed = (h->sstatus ^ v) & SSTATUS_WRITABLE;

	/* Without F nothing ever turns it on. */
	if (!has(h, ISA_F))
		changed &= ~SSTATUS_FS;
	h->sstatus ^= changed;
	if (changed & SSTATUS_MXR)
		tlb_drop_loads(h);
	if (changed & SSTATUS_SUM)
		tlb_context(h);
	if (changed & SSTATUS_SIE)
		csr_recheck(h);
}

static void write_satp(struct hart *h, uint64_t v)
{
	unsigned mode = (unsigned)(v >> SATP_MODE_SHIFT);

	if (mode != SATP_BARE && mode != SATP_SV39 &&
		!(mode == SATP_SV48 && has(h, ISA_SV48)) &&
		!(mode == SATP_SV57 && has(h, ISA_SV57)))
		return;
	v = (uint64_t)mode << SATP_MODE_SHIFT | (v & SATP_PPN);
	if (v == h->satp)
		return;
	h->satp = v;
	tlb_drop_all(h);
}

static void write_fp(struct hart *h, unsigned csr, uint64_t v)
{
	if (csr == CSR_FCSR) {
		h->frm = v >> 5 & 7;
		h->fflags = v & 31;
	} else if (csr == CSR_FRM) {
		h->frm = v & 7;
	} else {
		h->fflags = v & 31;
	}
	h->sstatus |= SSTATUS_FS;
}

/*
 * Privileged spec, "Supervisor Environment Configuration Register". FIOM is
 * only kept: our fences order I/O anyway. CBIE 2 is reserved.
 */
static void write_senvcfg(struct hart *h, uint64_t v)
{
	uint64_t can = SENVCFG_FIOM;

	if (has(h, ISA_ZICBOM))
		can |= SENVCFG_CBIE | SENVCFG_CBCFE;
	if (has(h, ISA_ZICBOZ))
		can |= SENVCFG_CBZE;
	v &= can;
	if (!(v & SENVCFG_CBIE_FLUSH))
		v &= ~SENVCFG_CBIE;
	h->senvcfg = v;
}

static void csr_write(struct hart *h, unsigned csr, uint64_t v)
{
	switch (csr) {
	case CSR_FFLAGS:
	case CSR_FRM:
	case CSR_FCSR:
		write_fp(h, csr, v);
		break;
	case CSR_SSTATUS:
		write_sstatus(h, v);
		break;
	case CSR_SIE:
		h->sie = v & SIP_ALL;
		csr_recheck(h);
		break;
	case CSR_STVEC:
		h->stvec = v & ~(uint64_t)2;
		break;
	case CSR_SCOUNTEREN:
		h->scounteren = v & 7;
		break;
	case CSR_SENVCFG:
		write_senvcfg(h, v);
		break;
	case CSR_SSCRATCH:
		h->sscratch = v;
		break;
	case CSR_SEPC:
		h->sepc = v & ~(uint64_t)1;
		break;
	case CSR_SCAUSE:
		h->scause = v;
		break;
	case CSR_STVAL:
		h->stval = v;
		break;
	case CSR_STIMECMP:
		h->stimecmp = v;
		h->timer_pending = soft_time(h->s) >= v;
		csr_recheck(h);
		break;
	case CSR_SATP:
		write_satp(h, v);
		break;
	}
}

/*
 * Only SSIP can be written. Others raise it at any time, so an instruction
 * that does not name the bit must not write back what it had read.
 */
static void write_sip(struct hart *h, enum csr_op op, uint64_t v)
{
	if (op == CSR_SET ? v & SIP_SSI : op == CSR_WRITE && v & SIP_SSI)
		atomic_fetch_or(&h->irq, SIP_SSI);
	else if (op == CSR_CLEAR ? v & SIP_SSI : op == CSR_WRITE)
		atomic_fetch_and(&h->irq, ~SIP_SSI);
	csr_recheck(h);
}

bool csr_exec(struct hart *h, uint32_t bits)
{
	unsigned csr = bits >> 20, rs1 = bits >> 15 & 31, rd = bits >> 7 & 31;
	enum csr_op op = bits >> 12 & 3;
	uint64_t v = bits >> 14 & 1 ? rs1 : h->x[rs1], old;
	bool write = op == CSR_WRITE || rs1 != 0;

	if ((csr >> 8 & 3) > (unsigned)h->mode)
		return false;
	if (write && csr >> 10 == 3)
		return false;
	if (!csr_read(h, csr, &old))
		return false;
	if (write && csr == CSR_SIP)
		write_sip(h, op, v);
	else if (write)
		csr_write(h, csr,
			op == CSR_WRITE ? v
			: op == CSR_SET ? old | v
					: old & ~v);
	if (rd)
		h->x[rd] = old;
	return true;
}
