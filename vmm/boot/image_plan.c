/* SPDX-License-Identifier: MIT */
/*
 * image_plan.c - what is this file, and where does it want to be?
 *
 * Pure functions over bytes that nobody has looked at before: image_bytes.h
 * says how they are read.
 */
#include "vmm/boot/image.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "memslot/error.h"
#include "vmm/boot/image_bytes.h"

#define IMAGE_HEADER_SIZE 64u /* of Linux's RISC-V Image */
#define IMAGE_LOAD_ALIGN  ((uint64_t)2 << 20)
#define IMAGE_PE_MAGIC    0x4550u /* "PE", 0, 0 */
#define IMAGE_BIG_ENDIAN  1u      /* bit 0 of its flags */

void image_add(struct image_plan *plan, gpa_t gpa, uint64_t offset,
	uint64_t file_size, uint64_t size)
{
	gpa_t end = (gpa + size + MEMSLOT_PAGE_MASK) & ~MEMSLOT_PAGE_MASK;

	if (plan->count == 0 || gpa < plan->start)
		plan->start = gpa;
	if (plan->count == 0 || end > plan->end)
		plan->end = end;
	plan->segment[plan->count++] =
		(struct image_segment){gpa, offset, file_size, size};
}

static int image_too_big(const struct image_bytes *b, gpa_t gpa, uint64_t size,
	struct memslot_error *err)
{
	return memslot_fail(err, -EFBIG,
		"kernel: %s needs %llu bytes at %#llx, but RAM is "
		"[%#llx,%#llx)",
		b->name, (unsigned long long)size, (unsigned long long)gpa,
		(unsigned long long)b->ram->base,
		(unsigned long long)(b->ram->base + b->ram->size));
}

/* ---- Linux Image ------------------------------------------------------ */

static bool image_is_linux(const struct image_bytes *b)
{
	return image_has(b, 56, "RSC\x05", 4);
}

/*
 * How long the file must be. Linux's own header does not say: its image_size
 * includes memory that is only cleared. But a kernel built for EFI is a PE
 * file too, and that header lists its sections (Microsoft's "PE Format", COFF
 * header and section table). 0: not such a kernel.
 */
static uint64_t image_linux_file_size(const struct image_bytes *b)
{
	uint64_t pe = le32(b, 60), at, end = 0;
	unsigned sections = le16(b, pe + 6);

	if (le32(b, pe) != IMAGE_PE_MAGIC)
		return 0;
	at = pe + 24 + le16(b, pe + 20);
	for (unsigned i = 0; i < sections; i++, at += 40) {
		uint64_t size = le32(b, at + 16);
		uint64_t section_end = le32(b, at + 20) + size;

		if (size && section_end > end)
			end = section_end;
	}
	return end;
}

static int image_plan_linux(const struct image_bytes *b,
	struct image_plan *plan, struct memslot_error *err)
{
	uint64_t text_offset = le64(b, 8);
	uint64_t size = le64(b, 16);
	gpa_t gpa = b->ram->base + text_offset;

	if (b->len < IMAGE_HEADER_SIZE)
		return memslot_fail(err, -EINVAL,
			"kernel: %s ends inside its header, after %zu of %u "
			"bytes",
			b->name, b->len, IMAGE_HEADER_SIZE);
	if (image_linux_file_size(b) > b->len)
		return memslot_fail(err, -EINVAL,
			"kernel: %s is truncated: it has %zu bytes of %llu",
			b->name, b->len,
			(unsigned long long)image_linux_file_size(b));
	if (le64(b, 24) & IMAGE_BIG_ENDIAN)
		return memslot_fail(err, -ENOEXEC,
			"kernel: %s is a big-endian RISC-V kernel", b->name);
	/* image_size counts what the kernel clears itself; old ones say 0. */
	if (size < b->len)
		size = b->len;
	if (!image_in_ram(b, gpa, size))
		return memslot_fail(err, -EFBIG,
			"kernel: %s needs %llu bytes from %#llx into RAM, "
			"which has %llu",
			b->name, (unsigned long long)size,
			(unsigned long long)text_offset,
			(unsigned long long)b->ram->size);
	if (gpa % IMAGE_LOAD_ALIGN)
		return memslot_fail(err, -EINVAL,
			"kernel: %s would be loaded at %#llx, which is not "
			"2 MiB aligned",
			b->name, (unsigned long long)gpa);
	image_add(plan, gpa, 0, b->len, b->len);
	plan->end = (gpa + size + MEMSLOT_PAGE_MASK) & ~MEMSLOT_PAGE_MASK;
	plan->entry = gpa;
	return 0;
}

/* ---- ELF -------------------------------------------------------------- */

static const char *image_machine(unsigned machine)
{
	switch (machine) {
	case EM_386:
		return "32-bit x86";
	case EM_X86_64:
		return "x86-64";
	case EM_ARM:
		return "32-bit ARM";
	case EM_AARCH64:
		return "arm64";
	case EM_PPC64:
		return "64-bit PowerPC";
	case EM_S390:
		return "s390";
	case EM_MIPS:
		return "MIPS";
	default:
		return NULL;
	}
}

static int image_check_elf(
	const struct image_bytes *b, struct memslot_error *err)
{
	unsigned machine = le16(b, offsetof(Elf64_Ehdr, e_machine));
	unsigned type = le16(b, offsetof(Elf64_Ehdr, e_type));
	const char *other = image_machine(machine);

	if (b->len < sizeof(Elf64_Ehdr))
		return memslot_fail(err, -EINVAL,
			"kernel: %s ends inside its ELF header, after %zu of "
			"%zu bytes",
			b->name, b->len, sizeof(Elf64_Ehdr));
	if (b->bytes[EI_DATA] != ELFDATA2LSB)
		return memslot_fail(err, -ENOEXEC,
			"kernel: %s is a big-endian ELF file", b->name);
	if (other)
		return memslot_fail(err, -ENOEXEC,
			"kernel: %s is an ELF file for %s, not for RISC-V",
			b->name, other);
	if (machine != EM_RISCV)
		return memslot_fail(err, -ENOEXEC,
			"kernel: %s is an ELF file for machine %u, not for "
			"RISC-V (%u)",
			b->name, machine, EM_RISCV);
	if (b->bytes[EI_CLASS] != ELFCLASS64)
		return memslot_fail(err, -ENOEXEC,
			"kernel: %s is an ELF file for 32-bit RISC-V", b->name);
	/* ET_DYN: a kernel that can relocate itself (CONFIG_RELOCATABLE) */
	if (type != ET_EXEC && type != ET_DYN)
		return memslot_fail(err, -ENOEXEC,
			"kernel: %s is an ELF file of type %u, not an "
			"executable",
			b->name, type);
	return 0;
}

static Elf64_Phdr image_phdr(const struct image_bytes *b, uint64_t at)
{
	return (Elf64_Phdr){
		.p_type = le32(b, at + offsetof(Elf64_Phdr, p_type)),
		.p_offset = le64(b, at + offsetof(Elf64_Phdr, p_offset)),
		.p_vaddr = le64(b, at + offsetof(Elf64_Phdr, p_vaddr)),
		.p_paddr = le64(b, at + offsetof(Elf64_Phdr, p_paddr)),
		.p_filesz = le64(b, at + offsetof(Elf64_Phdr, p_filesz)),
		.p_memsz = le64(b, at + offsetof(Elf64_Phdr, p_memsz)),
	};
}

static int image_plan_segment(const struct image_bytes *b, unsigned i,
	const Elf64_Phdr *p, struct image_plan *plan, struct memslot_error *err)
{
	if (p->p_filesz > p->p_memsz || p->p_offset > b->len ||
		p->p_filesz > b->len - p->p_offset)
		return memslot_fail(err, -EINVAL,
			"kernel: %s, program header %u: %llu bytes at offset "
			"%llu for %llu in memory, in a file of %zu",
			b->name, i, (unsigned long long)p->p_filesz,
			(unsigned long long)p->p_offset,
			(unsigned long long)p->p_memsz, b->len);
	if (!image_in_ram(b, p->p_paddr, p->p_memsz))
		return image_too_big(b, p->p_paddr, p->p_memsz, err);
	if (plan->count == IMAGE_SEGMENTS_MAX)
		return memslot_fail(err, -EINVAL,
			"kernel: %s has more than %u segments to load", b->name,
			IMAGE_SEGMENTS_MAX);
	image_add(plan, p->p_paddr, p->p_offset, p->p_filesz, p->p_memsz);
	return 0;
}

/*
 * Physical address of the entry. Most files give it as such; one linked for
 * virtual addresses gives that of a segment, whose physical one is known.
 * The first segment that holds it, in either way, decides.
 */
static bool image_entry(const Elf64_Phdr *p, uint64_t entry, gpa_t *out)
{
	if (entry - p->p_paddr < p->p_memsz)
		*out = entry;
	else if (entry - p->p_vaddr < p->p_memsz)
		*out = entry - p->p_vaddr + p->p_paddr;
	else
		return false;
	return true;
}

static int image_plan_elf(const struct image_bytes *b, struct image_plan *plan,
	struct memslot_error *err)
{
	uint64_t table = le64(b, offsetof(Elf64_Ehdr, e_phoff));
	unsigned stride = le16(b, offsetof(Elf64_Ehdr, e_phentsize));
	unsigned count = le16(b, offsetof(Elf64_Ehdr, e_phnum));
	uint64_t entry = le64(b, offsetof(Elf64_Ehdr, e_entry));
	bool found = false;
	int e = image_check_elf(b, err);

	if (e)
		return e;
	if (stride < sizeof(Elf64_Phdr) || table > b->len ||
		(uint64_t)stride * count > b->len - table)
		return memslot_fail(err, -EINVAL,
			"kernel: %s: %u program headers of %u bytes at offset "
			"%llu, in a file of %zu",
			b->name, count, stride, (unsigned long long)table,
			b->len);
	for (unsigned i = 0; i < count && !e; i++) {
		Elf64_Phdr p = image_phdr(b, table + (uint64_t)stride * i);

		if (p.p_type != PT_LOAD || p.p_memsz == 0)
			continue;
		e = image_plan_segment(b, i, &p, plan, err);
		found = found || image_entry(&p, entry, &plan->entry);
	}
	if (!e && plan->count == 0)
		return memslot_fail(err, -EINVAL,
			"kernel: %s has no segment to load", b->name);
	if (!e && !found)
		return memslot_fail(err, -EINVAL,
			"kernel: %s: its entry %#llx is in none of its %u "
			"segments",
			b->name, (unsigned long long)entry, plan->count);
	return e;
}

/* ---- flat, and what we do not take ------------------------------------ */

static int image_plan_flat(const struct image_bytes *b, struct image_plan *plan,
	struct memslot_error *err)
{
	if (b->len > b->ram->size)
		return image_too_big(b, b->ram->base, b->len, err);
	image_add(plan, b->ram->base, 0, b->len, b->len);
	plan->entry = b->ram->base;
	return 0;
}

bool image_ends_with(const char *name, const char *ending)
{
	size_t n = strlen(name), m = strlen(ending);

	return n >= m && strcmp(name + n - m, ending) == 0;
}

const char *image_foreign(const struct image_bytes *b)
{
	static const struct {
		uint64_t offset;
		uint8_t size;
		char magic[7];
		const char *is;
	} known[] = {
		{0x202, 4, "HdrS", "an x86 bzImage, which wants KVM"},
		{56, 4, "RSC\x05",
			"a RISC-V Image, which wants the embedded CPU"},
		{56, 4, "ARM\x64", "an arm64 Image, which no CPU here runs"},
		{4, 4, "zimg", "an EFI zboot kernel: unpack the Image in it"},
		{0, 2, "\x1f\x8b", "gzip inside gzip: unpack it once"},
		{0, 6,
			"\xfd"
			"7zXZ",
			"packed with xz: unpack it first"},
		{0, 4, "\x28\xb5\x2f\xfd", "packed with zstd: unpack it first"},
		{0, 3, "BZh", "packed with bzip2: unpack it first"},
		{0, 4, "\x04\x22\x4d\x18", "packed with lz4: unpack it first"},
		{0, 4, "\x02\x21\x4c\x18", "packed with lz4: unpack it first"},
		{0, 4, "\x27\x05\x19\x56",
			"a U-Boot image: use the Image in it"},
		{0, 4, "\xd0\x0d\xfe\xed", "a device tree, not a kernel"},
		{0, 6, "070701", "a cpio archive: is it the initrd?"},
		{0, 2, "#!", "a script"},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (image_has(
			    b, known[i].offset, known[i].magic, known[i].size))
			return known[i].is;
	return NULL;
}

static int image_refuse(const struct image_bytes *b, struct memslot_error *err)
{
	const char *is = image_foreign(b);

	if (is)
		return memslot_fail(
			err, -ENOEXEC, "kernel: %s is %s", b->name, is);
	return memslot_fail(err, -ENOEXEC,
		"kernel: %s is neither a RISC-V Linux Image nor an ELF file, "
		"packed with gzip or not; flat binaries must be named *.bin",
		b->name);
}

static enum image_kind image_detect(const struct image_bytes *b, bool flat)
{
	if (flat)
		return IMAGE_FLAT;
	if (image_has(b, 0, ELFMAG, SELFMAG))
		return IMAGE_ELF;
	if (image_is_linux(b))
		return IMAGE_LINUX;
	if (image_foreign(b))
		return IMAGE_UNKNOWN;
	if (image_ends_with(b->name, ".bin") ||
		image_ends_with(b->name, ".bin.gz"))
		return IMAGE_FLAT;
	return IMAGE_UNKNOWN;
}

int image_plan(const char *name, const uint8_t *bytes, size_t len, bool flat,
	const struct image_ram *ram, struct image_plan *out,
	struct memslot_error *err)
{
	const struct image_bytes b = {name, bytes, len, ram, 1};
	struct image_plan plan = {.kind = image_detect(&b, flat)};
	int e;

	switch (plan.kind) {
	case IMAGE_LINUX:
		e = image_plan_linux(&b, &plan, err);
		break;
	case IMAGE_ELF:
		e = image_plan_elf(&b, &plan, err);
		break;
	case IMAGE_FLAT:
		e = image_plan_flat(&b, &plan, err);
		break;
	default:
		e = image_refuse(&b, err);
		break;
	}
	if (!e)
		*out = plan;
	return e;
}
