/* SPDX-License-Identifier: MIT */
/*
 * image_bytes.h - reading a file that nobody has looked at before
 *
 * Private to the loaders. Fields are read through le16/le32/le64, which never
 * look beyond len (what is not there reads 0); sizes are compared by
 * subtraction from what is known to be larger, so that no sum can wrap.
 */
#ifndef VMM_BOOT_IMAGE_BYTES_H
#define VMM_BOOT_IMAGE_BYTES_H

#include "vmm/boot/image.h"

#include <string.h>

struct image_bytes {
	const char *name;
	const uint8_t *bytes;
	size_t len;
	const struct image_ram *ram; /* what may be loaded to */
	unsigned rams;
};

static inline uint64_t image_le(
	const struct image_bytes *b, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	if (offset > b->len || size > b->len - offset)
		return 0;
	for (unsigned i = size; i-- > 0;)
		value = value << 8 | b->bytes[offset + i];
	return value;
}

static inline uint16_t le16(const struct image_bytes *b, uint64_t offset)
{
	return (uint16_t)image_le(b, offset, 2);
}

static inline uint32_t le32(const struct image_bytes *b, uint64_t offset)
{
	return (uint32_t)image_le(b, offset, 4);
}

static inline uint64_t le64(const struct image_bytes *b, uint64_t offset)
{
	return image_le(b, offset, 8);
}

static inline bool image_has(const struct image_bytes *b, uint64_t offset,
	const char *magic, size_t size)
{
	return offset <= b->len && size <= b->len - offset &&
	       memcmp(b->bytes + offset, magic, size) == 0;
}

static inline bool image_in_ram(
	const struct image_bytes *b, gpa_t gpa, uint64_t size)
{
	for (unsigned i = 0; i < b->rams; i++)
		if (gpa >= b->ram[i].base &&
			gpa - b->ram[i].base <= b->ram[i].size &&
			size <= b->ram[i].size - (gpa - b->ram[i].base))
			return true;
	return false;
}

/* The plan's extent grows to cover the segment, which lies in RAM. */
void image_add(struct image_plan *plan, gpa_t gpa, uint64_t offset,
	uint64_t file_size, uint64_t size);

bool image_ends_with(const char *name, const char *ending);

/* The end of the sentence "kernel: FILE is ...", or NULL: not known. */
const char *image_foreign(const struct image_bytes *b);

#endif
