/* SPDX-License-Identifier: MIT */
/*
 * image.c - carry out a plan, and find room for what comes after
 *
 * image_plan() has promised that segments lie inside the file and inside
 * RAM. image_write() checks the first promise again, since it is handed the
 * bytes anew; the second is kept by guest memory itself, which refuses.
 */
#include "vmm/boot/image.h"

#include <errno.h>

#include "memslot/error.h"

#define IMAGE_FDT_ALIGN ((uint64_t)2 << 20)

static int image_zero(
	const struct image_memory *memory, gpa_t gpa, uint64_t size)
{
	static const uint8_t zeroes[4096];

	while (size > 0) {
		size_t part = size < sizeof(zeroes) ? size : sizeof(zeroes);
		int e = memory->write(memory->ctx, gpa, zeroes, part);

		if (e)
			return e;
		gpa += part;
		size -= part;
	}
	return 0;
}

static int image_write_segment(const struct image_segment *s,
	const uint8_t *bytes, const struct image_memory *memory)
{
	int e = 0;

	if (s->file_size > 0)
		e = memory->write(memory->ctx, s->gpa, bytes + s->offset,
			(size_t)s->file_size);
	if (e)
		return e;
	return image_zero(
		memory, s->gpa + s->file_size, s->size - s->file_size);
}

int image_write(const struct image_plan *plan, const uint8_t *bytes, size_t len,
	const struct image_memory *memory, struct memslot_error *err)
{
	for (unsigned i = 0; i < plan->count; i++) {
		const struct image_segment *s = &plan->segment[i];
		int e;

		if (s->offset > len || s->file_size > len - s->offset ||
			s->file_size > s->size)
			return memslot_fail(err, -EINVAL,
				"kernel: segment %u is not inside its %zu "
				"bytes",
				i, len);
		e = image_write_segment(s, bytes, memory);
		if (e)
			return memslot_fail(err, e,
				"kernel: cannot write %#llx bytes at %#llx, "
				"error %d",
				(unsigned long long)s->size,
				(unsigned long long)s->gpa, -e);
	}
	return 0;
}

int image_load(const char *name, const struct image_file *file, bool flat,
	const struct image_memory *memory, struct image_plan *out,
	struct memslot_error *err)
{
	int e = image_plan(
		name, file->bytes, file->len, flat, &memory->ram, out, err);

	if (!e)
		e = image_write(out, file->bytes, file->len, memory, err);
	return e;
}

/*
 * Take `size` bytes, aligned, from the end of [floor, *top): the address, or
 * false if they are not there.
 */
static bool image_take(
	gpa_t floor, gpa_t *top, uint64_t size, uint64_t align, gpa_t *gpa)
{
	if (size > *top)
		return false;
	*gpa = (*top - size) & ~(align - 1);
	if (*gpa < floor)
		return false;
	*top = *gpa;
	return true;
}

int image_place(const struct image_ram *ram, const struct image_plan *kernel,
	uint64_t fdt_size, uint64_t initrd_size, struct image_places *out,
	struct memslot_error *err)
{
	gpa_t top = ram->base + ram->size;
	struct image_places p = {0};

	if (fdt_size == 0)
		return memslot_fail(err, -EINVAL, "device tree: its size is 0");
	if (kernel->end > top || !image_take(kernel->end, &top, fdt_size,
					 IMAGE_FDT_ALIGN, &p.fdt))
		return memslot_fail(err, -EFBIG,
			"device tree: %llu bytes, 2 MiB aligned, do not fit "
			"between the kernel's end at %#llx and the end of RAM "
			"at %#llx: give it more --mem",
			(unsigned long long)fdt_size,
			(unsigned long long)kernel->end,
			(unsigned long long)(ram->base + ram->size));
	if (initrd_size > 0 && !image_take(kernel->end, &top, initrd_size,
				       MEMSLOT_PAGE_SIZE, &p.initrd))
		return memslot_fail(err, -EFBIG,
			"initrd: %llu bytes do not fit between the kernel's "
			"end at %#llx and the device tree at %#llx",
			(unsigned long long)initrd_size,
			(unsigned long long)kernel->end,
			(unsigned long long)p.fdt);
	*out = p;
	return 0;
}
