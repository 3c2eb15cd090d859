/* SPDX-License-Identifier: MIT */
/* choose.c - which CPU runs a guest, if the user leaves it to us */
#include "memslot/error.h"
#include "vmm/kvm/kvm.h"
#include "vmm/platform.h"

#include <errno.h>
#include <string.h>

/*
 * A KVM that executes needs a nanosecond for an instruction, under TCG some
 * ten; one that emulates, a thousand.
 */
#define EMULATES_PS 200000u

typedef unsigned long long ull;

/* 0 and whether it executes natively, or what is missing. */
static int look_at_kvm(bool *native, uint64_t *ps, struct memslot_error *err)
{
	struct kvm_facts facts;
	int r = kvm_check(&facts, err);

	if (!r)
		r = kvm_probe_speed(ps, err);
	*native = !r && *ps < EMULATES_PS;
	return r;
}

static enum vmm_accel choose_for_x86(
	bool native, uint64_t ps, struct memslot_error *note)
{
	if (!native)
		memslot_fail(note, 0,
			"/dev/kvm only emulates (about %llu ns an "
			"instruction); an x86 guest has no other CPU here",
			(ull)ps / 1000);
	return VMM_ACCEL_KVM;
}

static enum vmm_accel choose_for_any(
	bool native, uint64_t ps, struct memslot_error *note)
{
	if (native)
		return VMM_ACCEL_KVM;
	memslot_fail(note, 0,
		"/dev/kvm only emulates (about %llu ns an instruction): "
		"taking the embedded CPU",
		(ull)ps / 1000);
	return VMM_ACCEL_SOFT;
}

int vmm_choose_accel(enum vmm_guest guest, enum vmm_accel *out,
	struct memslot_error *note, struct memslot_error *err)
{
	uint64_t ps = 0;
	bool native;
	int r;

	memset(note, 0, sizeof(*note));
	*out = VMM_ACCEL_SOFT;
	if (guest == VMM_GUEST_RISCV64 || guest == VMM_GUEST_UNKNOWN)
		return 0;
	r = look_at_kvm(&native, &ps, err);
	if (r)
		return guest == VMM_GUEST_ANY ? 0 : r;
	*out = guest == VMM_GUEST_ANY ? choose_for_any(native, ps, note)
				      : choose_for_x86(native, ps, note);
	return 0;
}
