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

/* Within one page. False: there is no memory. */
static bool memory_read(struct vcpu *v, gpa_t gpa, uint8_t *bytes, unsigned len)
{
	return pagetrack_guest_read(
		       &v->reader, v->kvm->config.space, gpa, bytes, len) == 0;
}

/*
 * A store of the guest's, performed here: a tracked page's kernel slot is
 * read-only. In a slot that is read-only to the guest it is dropped.
 */
static bool memory_write(
	struct vcpu *v, gpa_t gpa, const uint8_t *bytes, unsigned len)
{
	const struct kvm_config *c = &v->kvm->config;
	const struct pagetrack_source cpu = {PAGETRACK_CPU, v->index};
	const struct memslot *s;
	bool there, readonly, tracked;
	gfn_t gfn = gpa >> MEMSLOT_PAGE_SHIFT;

	s = memslot_enter_at(&v->reader, c->space, gfn);
	there = s != NULL;
	readonly = there && (s->flags & MEMSLOT_READONLY);
	tracked = there && memslot_page_tracked(s, gfn);
	memslot_leave(&v->reader);
	if (!there)
		return false;
	if (readonly) {
		v->stats.dropped_writes++;
		return true;
	}
	if (tracked)
		v->stats.tracked_writes++;
	else
		v->stats.memory_exits++;
	/* Looks again; whatever is there then is right. */
	(void)pagetrack_guest_write(
		c->track, &v->reader, c->space, gpa, bytes, len, cpu);
	return true;
}

void exit_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	gpa_t gpa = run->mmio.phys_addr;
	unsigned len = run->mmio.len;
	bool write = run->mmio.is_write, memory;

	if (len > sizeof(run->mmio.data)) {
		vcpu_fail(v, "KVM hands over an access of %u bytes", len);
		return;
	}
	v->stats.mmio_exits++;
	if (write) {
		memory = memory_write(v, gpa, run->mmio.data, len);
	} else {
		memory = memory_read(v, gpa, run->mmio.data, len);
		v->stats.memory_exits += memory;
	}
	if (!memory)
		bus_access(
			v->kvm->config.mmio, gpa, run->mmio.data, len, write);
}
