/* SPDX-License-Identifier: MIT */
/*
 * pc_plan.c - what is this file, for a PC, and where does it want to be?
 *
 * bzImage and flat files are here, ELF and Multiboot have files of their own.
 */
#include "vmm/boot/pc_plan.h"

#include <elf.h>
#include <errno.h>

#include "memslot/error.h"

/* Linux's setup header: Documentation/arch/x86/boot.rst */
#define SETUP_START        0x1f1u
#define SETUP_SECTS        0x1f1u
#define SETUP_SYSSIZE      0x1f4u
#define SETUP_BOOT_FLAG    0x1feu
#define SETUP_JUMP         0x200u /* 0xeb, and how far to the header's end */
#define SETUP_MAGIC        0x202u
#define SETUP_VERSION      0x206u
#define SETUP_LOADFLAGS    0x211u
#define SETUP_INITRD_MAX   0x22cu
#define SETUP_ALIGNMENT    0x230u
#define SETUP_RELOCATABLE  0x234u
#define SETUP_XLOADFLAGS   0x236u
#define SETUP_CMDLINE_SIZE 0x238u
#define SETUP_PREF_ADDRESS 0x258u
#define SETUP_INIT_SIZE    0x260u
#define SETUP_END          0x290u /* what follows in boot_params */

#define VERSION_64_BIT 0x020cu /* the first with xloadflags */
#define LOADED_HIGH    0x01u
#define KERNEL_64      0x01u
#define ENTRY_64       0x200u
#define SECTOR         512u

typedef unsigned long long ull;

/* ---- RAM -------------------------------------------------------------- */

unsigned pc_ram(uint64_t low_size, gpa_t high_base, uint64_t high_size,
	struct image_ram ram[PC_RANGES_MAX])
{
	const bool above = low_size > PC_HOLE_END;

	ram[0] = (struct image_ram){
		0, low_size < PC_HOLE_START ? low_size : PC_HOLE_START};
	ram[1] = (struct image_ram){
		PC_HOLE_END, above ? low_size - PC_HOLE_END : 0};
	ram[2] = (struct image_ram){high_base, high_size};
	return high_size ? 3 : above ? 2 : 1;
}

int pc_no_room(const struct image_bytes *b, gpa_t gpa, uint64_t size,
	struct memslot_error *err)
{
	const struct image_ram *last = &b->ram[b->rams - 1];

	return memslot_fail(err, -EFBIG,
		"kernel: %s needs %llu bytes at %#llx, but RAM is "
		"[0,%#llx)%s%s",
		b->name, (ull)size, (ull)gpa, (ull)(last->base + last->size),
		last->base + last->size > PC_HOLE_START
			? " without [0xa0000,0x100000)"
			: "",
		b->rams > 2 ? " and the hole below 4 GiB" : "");
}

/* ---- bzImage ---------------------------------------------------------- */

bool pc_is_bzimage(const struct image_bytes *b)
{
	return le16(b, SETUP_BOOT_FLAG) == 0xaa55 &&
	       image_has(b, SETUP_MAGIC, "HdrS", 4);
}

/* Is it one that we can enter, and all there? */
static int pc_check_bzimage(
	const struct image_bytes *b, uint64_t start, struct memslot_error *err)
{
	unsigned version = le16(b, SETUP_VERSION);
	uint64_t size = (uint64_t)le32(b, SETUP_SYSSIZE) * 16;

	if (version < VERSION_64_BIT)
		return memslot_fail(err, -ENOEXEC,
			"kernel: %s speaks boot protocol %u.%u; at least "
			"2.12 is needed",
			b->name, version >> 8, version & 0xff);
	if (!(le16(b, SETUP_XLOADFLAGS) & KERNEL_64))
		return memslot_fail(err, -ENOEXEC,
			"kernel: %s is a 32-bit x86 kernel, without the 64-bit "
			"entry",
			b->name);
	if (!(le16(b, SETUP_LOADFLAGS) & LOADED_HIGH))
		return memslot_fail(err, -ENOEXEC,
			"kernel: %s is a zImage, which is loaded low: use the "
			"bzImage",
			b->name);
	if (size == 0 || start > b->len || size > b->len - start)
		return memslot_fail(err, -EINVAL,
			"kernel: %s is truncated: it has %zu bytes of %llu",
			b->name, b->len, (ull)(start + size));
	return 0;
}

/* Where it would like to be, or, if it can be anywhere, where it fits. */
static int pc_place_bzimage(const struct image_bytes *b, uint64_t size,
	gpa_t *gpa, struct memslot_error *err)
{
	uint64_t want = le64(b, SETUP_PREF_ADDRESS);
	uint64_t align = le32(b, SETUP_ALIGNMENT);
	gpa_t low = PC_HOLE_END;

	*gpa = want;
	if (image_in_ram(b, want, size))
		return 0;
	if (le16(b, SETUP_RELOCATABLE) & 0xff) {
		if (align == 0 || (align & (align - 1)))
			return memslot_fail(err, -EINVAL,
				"kernel: %s wants an alignment of %#llx, which "
				"is no power of two",
				b->name, (ull)align);
		low = (low + align - 1) & ~(align - 1);
		*gpa = low;
		if (image_in_ram(b, low, size))
			return 0;
	}
	return pc_no_room(b, *gpa, size, err);
}

static int pc_plan_bzimage(const struct image_bytes *b, struct pc_plan *plan,
	struct memslot_error *err)
{
	unsigned sects = b->bytes[SETUP_SECTS] ? b->bytes[SETUP_SECTS] : 4;
	uint64_t start = (uint64_t)(sects + 1) * SECTOR;
	uint64_t file_size = (uint64_t)le32(b, SETUP_SYSSIZE) * 16;
	uint64_t size = le32(b, SETUP_INIT_SIZE);
	uint64_t end = SETUP_JUMP + 2 + b->bytes[SETUP_JUMP + 1];
	gpa_t gpa;
	int e = pc_check_bzimage(b, start, err);

	if (e)
		return e;
	if (end < SETUP_INIT_SIZE + 4 || end > SETUP_END)
		return memslot_fail(err, -EINVAL,
			"kernel: %s has a setup header that ends at %llu",
			b->name, (ull)end);
	if (size < file_size)
		size = file_size;
	e = pc_place_bzimage(b, size, &gpa, err);
	if (e)
		return e;
	image_add(&plan->image, gpa, start, file_size, file_size);
	plan->image.end = (gpa + size + MEMSLOT_PAGE_MASK) & ~MEMSLOT_PAGE_MASK;
	plan->image.entry = gpa + ENTRY_64;
	plan->header_size = (size_t)(end - SETUP_START);
	plan->initrd_max = le32(b, SETUP_INITRD_MAX);
	plan->cmdline_max = le32(b, SETUP_CMDLINE_SIZE);
	if (plan->cmdline_max > PC_CMDLINE_MAX)
		plan->cmdline_max = PC_CMDLINE_MAX;
	return 0;
}

/* ---- flat ------------------------------------------------------------- */

static int pc_plan_flat(const struct image_bytes *b, gpa_t base,
	struct pc_plan *plan, struct memslot_error *err)
{
	if (!image_in_ram(b, base, b->len))
		return pc_no_room(b, base, b->len, err);
	image_add(&plan->image, base, 0, b->len, b->len);
	plan->image.entry = base;
	return 0;
}

static int pc_refuse(const struct image_bytes *b, struct memslot_error *err)
{
	const char *is = image_foreign(b);

	if (is)
		return memslot_fail(
			err, -ENOEXEC, "kernel: %s is %s", b->name, is);
	return memslot_fail(err, -ENOEXEC,
		"kernel: %s is neither a bzImage nor an ELF or Multiboot file, "
		"packed with gzip or not; flat binaries must be named *.bin, "
		"or --flat given",
		b->name);
}

/* ---- all of them ------------------------------------------------------ */

static int pc_plan_other(const struct image_bytes *b, struct pc_plan *plan,
	struct memslot_error *err)
{
	if (image_has(b, 0, ELFMAG, SELFMAG))
		return pc_plan_elf(b, plan, err);
	if (pc_is_bzimage(b)) {
		plan->kind = PC_BZIMAGE;
		return pc_plan_bzimage(b, plan, err);
	}
	if (pc_find_multiboot(b, &plan->header_offset)) {
		plan->kind = PC_MULTIBOOT;
		return pc_plan_multiboot(b, plan, err);
	}
	if (image_foreign(b))
		return pc_refuse(b, err);
	if (image_ends_with(b->name, ".bin") ||
		image_ends_with(b->name, ".bin.gz")) {
		plan->kind = PC_REAL;
		return pc_plan_flat(b, PC_REAL_BASE, plan, err);
	}
	return pc_refuse(b, err);
}

int pc_plan(const char *name, const uint8_t *bytes, size_t len,
	enum pc_flat flat, const struct pc_memory *memory, struct pc_plan *out,
	struct memslot_error *err)
{
	const struct image_bytes b = {
		name, bytes, len, memory->ram, memory->rams};
	struct pc_plan plan = {
		.initrd_max = UINT32_MAX,
		.cmdline_max = PC_CMDLINE_MAX,
	};
	int e;

	switch (flat) {
	case PC_FLAT_REAL:
		plan.kind = PC_REAL;
		e = pc_plan_flat(&b, PC_REAL_BASE, &plan, err);
		break;
	case PC_FLAT_LONG:
		plan.kind = PC_LONG;
		e = pc_plan_flat(&b, PC_LONG_BASE, &plan, err);
		break;
	default:
		e = pc_plan_other(&b, &plan, err);
		break;
	}
	if (!e)
		*out = plan;
	return e;
}
