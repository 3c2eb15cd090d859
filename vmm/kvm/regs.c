/* SPDX-License-Identifier: MIT */
/*
 * regs.c - how a vCPU starts, and its state as text
 *
 * Registers not named in struct kvm_start are as after a reset (Intel SDM
 * volume 3, table 10-1). Numbers of bits are those of the SDM.
 */
#include "vmm/kvm/internal.h"

#include <stdarg.h>
#include <stdio.h>

#define CR0_PE ((uint64_t)1 << 0)
#define CR0_MP ((uint64_t)1 << 1)
#define CR0_ET ((uint64_t)1 << 4)
#define CR0_NE ((uint64_t)1 << 5)
#define CR0_PG ((uint64_t)1 << 31)

#define CR4_PAE ((uint64_t)1 << 5)

#define EFER_LME ((uint64_t)1 << 8)
#define EFER_LMA ((uint64_t)1 << 10)

#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18

#define TYPE_DATA 3  /* read, write, accessed */
#define TYPE_CODE 11 /* execute, read, accessed */

#define MSR_MISC_ENABLE   0x1a0
#define MSR_MTRR_DEF_TYPE 0x2ff

/* ---- the start ------------------------------------------------------------------- */

static struct kvm_segment flat(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
	};
}

static void set_data(struct kvm_sregs *s, struct kvm_segment data)
{
	s->ds = s->es = s->fs = s->gs = s->ss = data;
}

static void start_flat(
	struct kvm_sregs *s, const struct kvm_start *start, bool long_mode)
{
	struct kvm_segment code = flat(SELECTOR_CODE, TYPE_CODE);
	struct kvm_segment data = flat(SELECTOR_DATA, TYPE_DATA);

	code.l = long_mode;
	code.db = !long_mode;
	data.db = 1;
	s->cs = code;
	set_data(s, data);
	s->gdt.base = start->gdt;
	s->gdt.limit = start->gdt_limit;
	s->cr0 = CR0_PE | CR0_ET | CR0_NE;
	if (!long_mode)
		return;
	s->cr0 |= CR0_PG | CR0_MP;
	s->cr3 = start->cr3;
	s->cr4 = CR4_PAE;
	s->efer = EFER_LME | EFER_LMA;
}

static void start_real(struct kvm_sregs *s, const struct kvm_start *start)
{
	struct kvm_segment data = s->ds;

	data.base = 0;
	data.selector = 0;
	set_data(s, data);
	s->cs.base = start->rip & ~(uint64_t)0xffff;
	s->cs.selector = (uint16_t)(s->cs.base >> 4);
}

static int start_sregs(struct vcpu *v, const struct kvm_start *start)
{
	struct fault_plan *faults = kvm_faults(v->kvm);
	struct kvm_sregs s;
	int r;

	r = sys_ioctl(
		faults, FAULT_KVM_STATE, -ENOMEM, v->fd, KVM_GET_SREGS, &s);
	if (r)
		return r;
	if (start->mode == KVM_MODE_REAL)
		start_real(&s, start);
	else
		start_flat(&s, start, start->mode == KVM_MODE_LONG);
	return sys_ioctl(
		faults, FAULT_KVM_STATE, -ENOMEM, v->fd, KVM_SET_SREGS, &s);
}

/*
 * What firmware would have set: write-back memory wherever no MTRR says
 * otherwise, and fast string operations. A kernel without these MSRs does
 * without.
 */
static void start_msrs(struct vcpu *v)
{
	struct kvm_msr_entry entry[] = {
		{.index = MSR_MTRR_DEF_TYPE, .data = 0x806},
		{.index = MSR_MISC_ENABLE, .data = 1},
	};

	(void)sys_msrs(v->fd, KVM_SET_MSRS, entry, 2);
}

int regs_start(struct vcpu *v, const struct kvm_start *start,
	struct memslot_error *err)
{
	struct kvm_regs regs = {
		.rip = start->rip,
		.rsp = start->rsp,
		.rax = start->rax,
		.rbx = start->rbx,
		.rsi = start->rsi,
		.rdi = start->rdi,
		.rflags = 2, /* bit 1 is always set */
	};
	int r = start_sregs(v, start);

	if (start->mode == KVM_MODE_REAL)
		regs.rip &= 0xffff;
	if (!r)
		r = sys_ioctl(kvm_faults(v->kvm), FAULT_KVM_STATE, -ENOMEM,
			v->fd, KVM_SET_REGS, &regs);
	if (r)
		return memslot_fail(err, r,
			"KVM: the registers of vCPU %u cannot be set (%d)",
			v->index, r);
	start_msrs(v);
	return 0;
}

/* ---- the end ---------------------------------------------------------------------- */

/* Lines of text, cut at the end of the buffer. */
struct text {
	char *at;
	size_t left; /* with the final 0, so never less than 1 */
};

static __attribute__((format(printf, 2, 3))) void add(
	struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->at, t->left, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n >= t->left)
		n = (int)t->left - 1;
	t->at += n;
	t->left -= (size_t)n;
}

static void add_regs(struct text *t, const struct kvm_regs *r)
{
	add(t, "rip %#llx  rflags %#llx\n", (ull)r->rip, (ull)r->rflags);
	add(t, "rax %016llx rbx %016llx rcx %016llx rdx %016llx\n", (ull)r->rax,
		(ull)r->rbx, (ull)r->rcx, (ull)r->rdx);
	add(t, "rsi %016llx rdi %016llx rbp %016llx rsp %016llx\n", (ull)r->rsi,
		(ull)r->rdi, (ull)r->rbp, (ull)r->rsp);
	add(t, "r8  %016llx r9  %016llx r10 %016llx r11 %016llx\n", (ull)r->r8,
		(ull)r->r9, (ull)r->r10, (ull)r->r11);
	add(t, "r12 %016llx r13 %016llx r14 %016llx r15 %016llx\n", (ull)r->r12,
		(ull)r->r13, (ull)r->r14, (ull)r->r15);
}

static void add_segment(
	struct text *t, const char *name, const struct kvm_segment *s)
{
	add(t, "%s %#x base %#llx limit %#x type %u dpl %u%s%s\n", name,
		s->selector, (ull)s->base, s->limit, s->type, s->dpl,
		s->l    ? " 64-bit"
		: s->db ? " 32-bit"
			: " 16-bit",
		s->present ? "" : " absent");
}

static void add_sregs(struct text *t, const struct kvm_sregs *s)
{
	add_segment(t, "cs", &s->cs);
	add_segment(t, "ss", &s->ss);
	add_segment(t, "ds", &s->ds);
	add(t, "gdt %#llx limit %#x  idt %#llx limit %#x  tr %#x\n",
		(ull)s->gdt.base, s->gdt.limit, (ull)s->idt.base, s->idt.limit,
		s->tr.selector);
	add(t, "cr0 %#llx  cr2 %#llx  cr3 %#llx  cr4 %#llx  efer %#llx\n",
		(ull)s->cr0, (ull)s->cr2, (ull)s->cr3, (ull)s->cr4,
		(ull)s->efer);
}

/* The bytes at rip, as far as they can be found. */
static void add_code(struct text *t, struct vcpu *v, uint64_t linear)
{
	struct kvm_translation tr = {.linear_address = linear};
	uint8_t bytes[16];
	size_t n = MEMSLOT_PAGE_SIZE - (linear & MEMSLOT_PAGE_MASK);

	n = n < sizeof(bytes) ? n : sizeof(bytes);
	if (sys_ioctl(NULL, 0, 0, v->fd, KVM_TRANSLATE, &tr) || !tr.valid ||
		pagetrack_guest_read(&v->reader, v->kvm->config.space,
			tr.physical_address, bytes, n))
		return;
	add(t, "at rip:");
	for (size_t i = 0; i < n; i++)
		add(t, " %02x", bytes[i]);
	add(t, "\n");
}

size_t regs_describe(struct vcpu *v, char *text, size_t size)
{
	struct text t = {text, size};
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	if (!size || sys_ioctl(NULL, 0, 0, v->fd, KVM_GET_REGS, &regs) ||
		sys_ioctl(NULL, 0, 0, v->fd, KVM_GET_SREGS, &sregs))
		return 0;
	add(&t, "vCPU %u, last exit %u\n", v->index, v->run->exit_reason);
	add_regs(&t, &regs);
	add_sregs(&t, &sregs);
	add_code(&t, v, sregs.cs.base + regs.rip);
	return size - t.left;
}
