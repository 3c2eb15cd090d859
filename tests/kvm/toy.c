/* SPDX-License-Identifier: MIT */
/*
 * toy.c - a guest of a few instructions
 */
#include "tests/kvm/toy.h"

#define PTE_PRESENT 0x01ul
#define PTE_WRITE   0x02ul
#define PTE_USER    0x04ul
#define PTE_A       0x20ul
#define PTE_D       0x40ul
#define PTE_LARGE   0x80ul
#define PTE_TABLE   (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_A)

#define GIB 0x40000000ul

static uint64_t *table(uint8_t *low, unsigned n)
{
	return (uint64_t *)(low + TOY_CR3 + n * RAW_PAGE);
}

/* Accessed and dirty are set already: nobody has to write them. */
void toy_init(uint8_t *low)
{
	uint64_t *pml4 = table(low, 0), *pdpt = table(low, 1);

	pml4[0] = (TOY_CR3 + RAW_PAGE) | PTE_TABLE;
	for (unsigned g = 0; g < 4; g++) {
		uint64_t *pd = table(low, 2 + g);

		pdpt[g] = (TOY_CR3 + (2 + g) * RAW_PAGE) | PTE_TABLE;
		for (unsigned i = 0; i < 512; i++)
			pd[i] = (g * GIB + i * (GIB / 512)) | PTE_TABLE |
				PTE_D | PTE_LARGE;
	}
}

void toy_load(uint8_t *low, const uint8_t *code, size_t size)
{
	memcpy(low + TOY_CODE, code, size);
}

static struct kvm_segment segment(
	unsigned selector, unsigned type, unsigned dpl)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = (uint16_t)(selector | dpl),
		.type = (uint8_t)type,
		.present = 1,
		.dpl = (uint8_t)dpl,
		.s = 1,
		.g = 1,
		.l = type == 11,
		.db = type != 11,
	};
}

static void must(int r, const char *what)
{
	if (r)
		raw_die(what);
}

void toy_place(int vcpu, unsigned index, const struct toy_regs *t)
{
	struct kvm_mp_state runnable = {.mp_state = KVM_MP_STATE_RUNNABLE};
	struct kvm_sregs s;
	struct kvm_regs r = {
		.rip = t->rip ? t->rip : TOY_CODE,
		.rsp = TOY_STACKS + index * RAW_PAGE,
		.rdi = t->rdi,
		.rsi = t->rsi,
		.rdx = t->rdx,
		.rcx = t->rcx,
		.r8 = t->r8,
		.r9 = t->r9,
		.rflags = 0x3002, /* I/O privilege: ports from ring 3 */
	};

	must(ioctl(vcpu, KVM_GET_SREGS, &s), "KVM_GET_SREGS");
	s.cs = segment(t->ring ? 0x30 : 0x10, 11, t->ring);
	s.ss = s.ds = s.es = s.fs = s.gs =
		segment(t->ring ? 0x28 : 0x18, 3, t->ring);
	s.cr0 = 0x80010033; /* PG WP NE ET MP PE */
	s.cr3 = t->cr3 ? t->cr3 : TOY_CR3;
	s.cr4 = 0x620;  /* PAE, SSE */
	s.efer = 0x500; /* LME, LMA */
	must(ioctl(vcpu, KVM_SET_SREGS, &s), "KVM_SET_SREGS");
	must(ioctl(vcpu, KVM_SET_REGS, &r), "KVM_SET_REGS");
	/* refused, and not needed, where there is no interrupt chip */
	(void)ioctl(vcpu, KVM_SET_MP_STATE, &runnable);
}
