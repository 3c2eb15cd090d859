/* SPDX-License-Identifier: MIT */
/*
 * pc_multiboot.c - the header of a Multiboot file
 *
 * The Multiboot Specification 0.6.96, 3.1: somewhere in the first 8 KiB, at a
 * multiple of 4, three words that sum to 0; then, if bit 16 of the second is
 * set, five addresses that say what to load, whatever the file's format.
 */
#include "vmm/boot/pc_plan.h"

#include <elf.h>
#include <errno.h>

#include "memslot/error.h"

#define HEADER_MAGIC  0x1badb002u
#define HEADER_SIZE   12u
#define SEARCH_SIZE   8192u
#define ADDRESS_SIZE  32u /* the header with its addresses */
#define HAS_ADDRESSES 0x10000u
#define MUST_KNOW     0xffffu /* a loader must do these, or refuse */
#define WE_KNOW       0x3u    /* modules on pages; tell of memory */
#define WANTS_VIDEO   0x4u

typedef unsigned long long ull;

bool pc_find_multiboot(const struct image_bytes *b, uint64_t *offset)
{
	for (uint64_t at = 0; at + HEADER_SIZE <= SEARCH_SIZE; at += 4) {
		if (at + HEADER_SIZE > b->len)
			return false;
		if (le32(b, at) == HEADER_MAGIC &&
			(uint32_t)(HEADER_MAGIC + le32(b, at + 4) +
				   le32(b, at + 8)) == 0) {
			*offset = at;
			return true;
		}
	}
	return false;
}

/*
 * load_addr is the address of the byte of the file that is as far before the
 * header as load_addr is before header_addr. load_end_addr 0: to the end of
 * the file; bss_end_addr 0: nothing to clear.
 */
static int plan_addresses(const struct image_bytes *b, struct pc_plan *plan,
	struct memslot_error *err)
{
	uint64_t at = plan->header_offset;
	uint64_t header = le32(b, at + 12), load = le32(b, at + 16);
	uint64_t load_end = le32(b, at + 20), bss_end = le32(b, at + 24);
	uint64_t offset, file_size, size;

	if (b->len - at < ADDRESS_SIZE)
		return memslot_fail(err, -EINVAL,
			"kernel: %s ends inside its Multiboot header", b->name);
	if (load > header || header - load > at)
		return memslot_fail(err, -EINVAL,
			"kernel: %s: its Multiboot header at offset %llu says "
			"that it is at %#llx, and the load address %#llx",
			b->name, (ull)at, (ull)header, (ull)load);
	offset = at - (header - load);
	file_size = load_end ? load_end - load : b->len - offset;
	if (load_end && load_end <= load)
		return memslot_fail(err, -EINVAL,
			"kernel: %s: its Multiboot header says that what is "
			"loaded at %#llx ends at %#llx",
			b->name, (ull)load, (ull)load_end);
	if (file_size > b->len - offset)
		return memslot_fail(err, -EINVAL,
			"kernel: %s is truncated: %zu bytes of %llu", b->name,
			b->len, (ull)(offset + file_size));
	size = bss_end ? bss_end - load : file_size;
	if (bss_end && (bss_end < load || size < file_size))
		return memslot_fail(err, -EINVAL,
			"kernel: %s: its Multiboot header says that memory "
			"ends at %#llx, before what is loaded",
			b->name, (ull)bss_end);
	if (!image_in_ram(b, load, size))
		return pc_no_room(b, load, size, err);
	image_add(&plan->image, load, offset, file_size, size);
	plan->image.entry = le32(b, at + 28);
	if (plan->image.entry - load >= size)
		return memslot_fail(err, -EINVAL,
			"kernel: %s: its entry %#llx is not in [%#llx,%#llx)",
			b->name, (ull)plan->image.entry, (ull)load,
			(ull)(load + size));
	return 0;
}

int pc_plan_multiboot(const struct image_bytes *b, struct pc_plan *plan,
	struct memslot_error *err)
{
	uint32_t flags = le32(b, plan->header_offset + 4);
	int e;

	if (flags & WANTS_VIDEO)
		return memslot_fail(err, -ENOEXEC,
			"kernel: %s wants a video mode (Multiboot flag 2); "
			"this machine has a serial port only",
			b->name);
	if (flags & MUST_KNOW & ~WE_KNOW)
		return memslot_fail(err, -ENOEXEC,
			"kernel: %s wants what Multiboot flags %#x mean, which "
			"is not known",
			b->name, flags & MUST_KNOW & ~WE_KNOW);
	if (flags & HAS_ADDRESSES)
		return plan_addresses(b, plan, err);
	if (!image_has(b, 0, ELFMAG, SELFMAG))
		return memslot_fail(err, -ENOEXEC,
			"kernel: %s has a Multiboot header without addresses, "
			"and is not an ELF file",
			b->name);
	e = pc_plan_segments(b, &plan->image, err);
	if (!e && plan->image.entry > UINT32_MAX)
		return memslot_fail(err, -EINVAL,
			"kernel: %s: its entry %#llx is above 4 GiB", b->name,
			(ull)plan->image.entry);
	return e;
}
