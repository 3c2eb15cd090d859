/* SPDX-License-Identifier: MIT */
/*
 * pc_elf.c - ELF files for x86, of 32 and 64 bits
 *
 * Program headers of both sizes are read into the larger one. The note of
 * PVH is looked for in every PT_NOTE segment: struct Elf64_Nhdr is the same
 * as Elf32_Nhdr, names and descriptors are padded to 4 bytes.
 */
#include "vmm/boot/pc_plan.h"

#include <elf.h>
#include <errno.h>

#include "memslot/error.h"

#define NOTE_PHYS32_ENTRY 18u /* xen/include/public/elfnote.h */

typedef unsigned long long ull;

/* What the two sizes of header say alike. */
struct elf_file {
	bool wide; /* 64 bits */
	uint64_t entry, table;
	unsigned stride, count;
};

static int elf_check(const struct image_bytes *b, struct memslot_error *err)
{
	bool wide = b->len > EI_CLASS && b->bytes[EI_CLASS] == ELFCLASS64;
	size_t header = wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
	unsigned machine = le16(b, offsetof(Elf64_Ehdr, e_machine));
	unsigned type = le16(b, offsetof(Elf64_Ehdr, e_type));

	if (b->len < header)
		return memslot_fail(err, -EINVAL,
			"kernel: %s ends inside its ELF header, after %zu of "
			"%zu bytes",
			b->name, b->len, header);
	if (b->bytes[EI_CLASS] != ELFCLASS64 &&
		b->bytes[EI_CLASS] != ELFCLASS32)
		return memslot_fail(err, -ENOEXEC,
			"kernel: %s is an ELF file of class %u, neither 32 nor "
			"64 bits",
			b->name, b->bytes[EI_CLASS]);
	if (b->bytes[EI_DATA] != ELFDATA2LSB)
		return memslot_fail(err, -ENOEXEC,
			"kernel: %s is a big-endian ELF file", b->name);
	if (machine != EM_386 && machine != EM_X86_64)
		return memslot_fail(err, -ENOEXEC,
			"kernel: %s is an ELF file for %s (machine %u), not "
			"for x86",
			b->name, machine == EM_RISCV ? "RISC-V" : "another CPU",
			machine);
	/* ET_DYN: a kernel that can relocate itself (CONFIG_RELOCATABLE) */
	if (type != ET_EXEC && type != ET_DYN)
		return memslot_fail(err, -ENOEXEC,
			"kernel: %s is an ELF file of type %u, not an "
			"executable",
			b->name, type);
	return 0;
}

static int elf_open(const struct image_bytes *b, struct elf_file *f,
	struct memslot_error *err)
{
	int e = elf_check(b, err);
	size_t least;

	if (e)
		return e;
	f->wide = b->bytes[EI_CLASS] == ELFCLASS64;
	if (f->wide) {
		least = sizeof(Elf64_Phdr);
		f->entry = le64(b, offsetof(Elf64_Ehdr, e_entry));
		f->table = le64(b, offsetof(Elf64_Ehdr, e_phoff));
		f->stride = le16(b, offsetof(Elf64_Ehdr, e_phentsize));
		f->count = le16(b, offsetof(Elf64_Ehdr, e_phnum));
	} else {
		least = sizeof(Elf32_Phdr);
		f->entry = le32(b, offsetof(Elf32_Ehdr, e_entry));
		f->table = le32(b, offsetof(Elf32_Ehdr, e_phoff));
		f->stride = le16(b, offsetof(Elf32_Ehdr, e_phentsize));
		f->count = le16(b, offsetof(Elf32_Ehdr, e_phnum));
	}
	if (f->stride < least || f->table > b->len ||
		(uint64_t)f->stride * f->count > b->len - f->table)
		return memslot_fail(err, -EINVAL,
			"kernel: %s: %u program headers of %u bytes at offset "
			"%llu, in a file of %zu",
			b->name, f->count, f->stride, (ull)f->table, b->len);
	return 0;
}

static Elf64_Phdr elf_phdr(
	const struct image_bytes *b, const struct elf_file *f, unsigned i)
{
	uint64_t at = f->table + (uint64_t)f->stride * i;

	if (f->wide)
		return (Elf64_Phdr){
			.p_type = le32(b, at + offsetof(Elf64_Phdr, p_type)),
			.p_offset =
				le64(b, at + offsetof(Elf64_Phdr, p_offset)),
			.p_vaddr = le64(b, at + offsetof(Elf64_Phdr, p_vaddr)),
			.p_paddr = le64(b, at + offsetof(Elf64_Phdr, p_paddr)),
			.p_filesz =
				le64(b, at + offsetof(Elf64_Phdr, p_filesz)),
			.p_memsz = le64(b, at + offsetof(Elf64_Phdr, p_memsz)),
		};
	return (Elf64_Phdr){
		.p_type = le32(b, at + offsetof(Elf32_Phdr, p_type)),
		.p_offset = le32(b, at + offsetof(Elf32_Phdr, p_offset)),
		.p_vaddr = le32(b, at + offsetof(Elf32_Phdr, p_vaddr)),
		.p_paddr = le32(b, at + offsetof(Elf32_Phdr, p_paddr)),
		.p_filesz = le32(b, at + offsetof(Elf32_Phdr, p_filesz)),
		.p_memsz = le32(b, at + offsetof(Elf32_Phdr, p_memsz)),
	};
}

/* ---- segments --------------------------------------------------------- */

static int elf_check_segment(const struct image_bytes *b, unsigned i,
	const Elf64_Phdr *p, const struct image_plan *plan,
	struct memslot_error *err)
{
	if (p->p_filesz > p->p_memsz || p->p_offset > b->len ||
		p->p_filesz > b->len - p->p_offset)
		return memslot_fail(err, -EINVAL,
			"kernel: %s, program header %u: %llu bytes at offset "
			"%llu for %llu in memory, in a file of %zu",
			b->name, i, (ull)p->p_filesz, (ull)p->p_offset,
			(ull)p->p_memsz, b->len);
	if (!image_in_ram(b, p->p_paddr, p->p_memsz))
		return pc_no_room(b, p->p_paddr, p->p_memsz, err);
	if (plan->count == IMAGE_SEGMENTS_MAX)
		return memslot_fail(err, -EINVAL,
			"kernel: %s has more than %u segments to load", b->name,
			IMAGE_SEGMENTS_MAX);
	return 0;
}

/* As in image_plan.c: given as a physical address, or as a virtual one. */
static bool elf_entry(const Elf64_Phdr *p, uint64_t entry, gpa_t *out)
{
	if (entry - p->p_paddr < p->p_memsz)
		*out = entry;
	else if (entry - p->p_vaddr < p->p_memsz)
		*out = entry - p->p_vaddr + p->p_paddr;
	else
		return false;
	return true;
}

static int elf_load(const struct image_bytes *b, const struct elf_file *f,
	struct image_plan *plan, struct memslot_error *err)
{
	bool found = false;
	int e = 0;

	for (unsigned i = 0; i < f->count && !e; i++) {
		Elf64_Phdr p = elf_phdr(b, f, i);

		if (p.p_type != PT_LOAD || p.p_memsz == 0)
			continue;
		e = elf_check_segment(b, i, &p, plan, err);
		if (!e)
			image_add(plan, p.p_paddr, p.p_offset, p.p_filesz,
				p.p_memsz);
		found = found || elf_entry(&p, f->entry, &plan->entry);
	}
	if (!e && plan->count == 0)
		return memslot_fail(err, -EINVAL,
			"kernel: %s has no segment to load", b->name);
	if (!e && !found)
		return memslot_fail(err, -EINVAL,
			"kernel: %s: its entry %#llx is in none of its %u "
			"segments",
			b->name, (ull)f->entry, plan->count);
	return e;
}

int pc_plan_segments(const struct image_bytes *b, struct image_plan *plan,
	struct memslot_error *err)
{
	struct elf_file f;
	int e = elf_open(b, &f, err);

	return e ? e : elf_load(b, &f, plan, err);
}

/* ---- the note of PVH -------------------------------------------------- */

static uint64_t pad4(uint64_t size)
{
	return (size + 3) & ~(uint64_t)3;
}

/* Notes in [at, end) of the file; false: none of them is it. */
static bool elf_find_pvh(
	const struct image_bytes *b, uint64_t at, uint64_t end, uint64_t *entry)
{
	while (end - at >= sizeof(Elf64_Nhdr)) {
		uint64_t name = le32(b, at), desc = le32(b, at + 4);
		uint64_t value = at + sizeof(Elf64_Nhdr) + pad4(name);

		if (pad4(name) + pad4(desc) > end - at - sizeof(Elf64_Nhdr))
			return false;
		if (le32(b, at + 8) == NOTE_PHYS32_ENTRY && name == 4 &&
			image_has(b, at + sizeof(Elf64_Nhdr), "Xen", 4) &&
			(desc == 4 || desc == 8)) {
			*entry = image_le(b, value, (unsigned)desc);
			return true;
		}
		at = value + pad4(desc);
	}
	return false;
}

static bool elf_is_pvh(
	const struct image_bytes *b, const struct elf_file *f, uint64_t *entry)
{
	for (unsigned i = 0; i < f->count; i++) {
		Elf64_Phdr p = elf_phdr(b, f, i);

		if (p.p_type == PT_NOTE && p.p_offset <= b->len &&
			p.p_filesz <= b->len - p.p_offset &&
			elf_find_pvh(
				b, p.p_offset, p.p_offset + p.p_filesz, entry))
			return true;
	}
	return false;
}

static int elf_plan_pvh(const struct image_bytes *b, struct elf_file *f,
	uint64_t entry, struct pc_plan *plan, struct memslot_error *err)
{
	int e;

	f->entry = entry; /* a physical address: e_entry does not matter */
	e = elf_load(b, f, &plan->image, err);
	if (!e && plan->image.entry > UINT32_MAX)
		return memslot_fail(err, -EINVAL,
			"kernel: %s: its PVH entry %#llx is above 4 GiB",
			b->name, (ull)plan->image.entry);
	return e;
}

int pc_plan_elf(const struct image_bytes *b, struct pc_plan *plan,
	struct memslot_error *err)
{
	struct elf_file f;
	uint64_t entry;
	int e = elf_open(b, &f, err);

	if (e)
		return e;
	if (elf_is_pvh(b, &f, &entry)) {
		plan->kind = PC_PVH;
		return elf_plan_pvh(b, &f, entry, plan, err);
	}
	if (pc_find_multiboot(b, &plan->header_offset)) {
		plan->kind = PC_MULTIBOOT;
		return pc_plan_multiboot(b, plan, err);
	}
	if (!f.wide)
		return memslot_fail(err, -ENOEXEC,
			"kernel: %s is a 32-bit ELF file with neither a PVH "
			"note nor a Multiboot header",
			b->name);
	plan->kind = PC_VMLINUX;
	return elf_load(b, &f, &plan->image, err);
}
