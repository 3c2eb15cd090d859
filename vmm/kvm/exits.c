/* SPDX-License-Identifier: MIT */
/*
 * exits.c - accesses that the kernel hands over
 *
 * A port goes to the bus of ports. An address goes to memory, if there is
 * memory by now, and to the bus of devices otherwise. What nobody answers
 * reads as all ones, and writes to it are lost, as on a PC.
 */
#include "vmm/kvm/internal.h"

static uint64_t all_ones(unsigned len)
{
	return len >= 8 ? UINT64_MAX : ((uint64_t)1 << len * 8) - 1;
}

/* Lengths other than 1, 2, 4, 8 occur where an access crosses a page. */
static unsigned bus_len(unsigned left)
{
	return left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

static void bus_access(const struct bus *bus, gpa_t gpa, uint8_t *bytes,
	unsigned len, bool write)
{
	while (len) {
		unsigned n = bus_len(len);
		uint64_t value = 0;

		if (write) {
			memcpy(&value, bytes, n);
			(void)bus_write(bus, gpa, n, value);
		} else {
			if (bus_read(bus, gpa, n, &value))
				value = all_ones(n);
			memcpy(bytes, &value, n);
		}
		gpa += n;
		bytes += n;
		len -= n;
	}
}

void exit_io(struct vcpu *v)
{
	const struct kvm_run *run = v->run;
	uint8_t *bytes = (uint8_t *)run + run->io.data_offset;

	v->stats.port_exits++;
	/* A string instruction hands over several at once. */
	for (unsigned n = 0; n < run->io.count; n++) {
		bus_access(v->kvm->config.ports, run->io.port, bytes,
			run->io.size, run->io.direction == KVM_EXIT_IO_OUT);
		bytes += run->io.size;
	}
}

/* ---- memory ------------------------------------------------------------------------ */

/*
 * What is at this page, as published. Where there is nothing, a transaction
 * may be about to put memory there that the kernel has already: then look
 * again when it has ended. False: there is no memory.
 */
static bool look(struct vcpu *v, gfn_t gfn, bool *readonly, bool *tracked)
{
	const struct kvm_config *c = &v->kvm->config;
	const struct memslot *s;
	uint64_t generation;

	do {
		generation = memslots_generation(c->slots);
		s = memslot_enter_at(&v->reader, c->space, gfn);
		if (s) {
			*readonly = s->flags & MEMSLOT_READONLY;
			*tracked = memslot_page_tracked(s, gfn);
		}
		memslot_leave(&v->reader);
		if (s)
			return true;
		memslot_wait_valid(&v->reader);
	} while (memslots_generation(c->slots) != generation);
	return false;
}

/*
 * A store of the guest's, performed here: a tracked page's kernel slot is
 * read-only. In a slot that is read-only to the guest it is dropped. What is
 * left is a store that the kernel began before its page's tracking ended, or
 * a page that could not be made writable when it did.
 */
static void memory_write(
	struct vcpu *v, gpa_t gpa, unsigned len, bool readonly, bool tracked)
{
	const struct kvm_config *c = &v->kvm->config;
	const struct pagetrack_source cpu = {PAGETRACK_CPU, v->index};

	if (readonly) {
		v->stats.dropped_writes++;
		return;
	}
	/* Looks again; whatever is there then is right. */
	(void)pagetrack_guest_write(c->track, &v->reader, c->space, gpa,
		v->run->mmio.data, len, cpu);
	if (tracked)
		v->stats.tracked_writes++;
	else
		v->stats.memory_exits++;
}

void exit_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	gpa_t gpa = run->mmio.phys_addr;
	unsigned len = run->mmio.len;
	bool readonly, tracked;

	if (len > sizeof(run->mmio.data)) {
		vcpu_fail(v, "KVM hands over an access of %u bytes", len);
		return;
	}
	v->stats.mmio_exits++;
	if (!look(v, gpa >> MEMSLOT_PAGE_SHIFT, &readonly, &tracked)) {
		bus_access(v->kvm->config.mmio, gpa, run->mmio.data, len,
			run->mmio.is_write);
		return;
	}
	if (run->mmio.is_write) {
		memory_write(v, gpa, len, readonly, tracked);
		return;
	}
	v->stats.memory_exits++;
	(void)pagetrack_guest_read(
		&v->reader, v->kvm->config.space, gpa, run->mmio.data, len);
}
