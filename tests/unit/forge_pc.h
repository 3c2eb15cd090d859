/* SPDX-License-Identifier: MIT */
/* forge_pc.h - small guests for a PC, correct until a test changes a field */
#ifndef TESTS_UNIT_FORGE_PC_H
#define TESTS_UNIT_FORGE_PC_H

#include "vmm/boot/pc.h"

#include <stdlib.h>

#include "tests/unit/forge.h"

/* ---- bzImage ------------------------------------------------------------ */

#define BZ_SETUP (2 * 512u) /* one sector of setup */
#define BZ_CODE  4096u
#define BZ_LEN   (BZ_SETUP + BZ_CODE)
#define BZ_PREF  (2 * MIB)
#define BZ_INIT  (1 * MIB)

static inline void forge_bzimage(uint8_t bytes[BZ_LEN])
{
	memset(bytes, 0x90, BZ_LEN);
	bytes[0x1f1] = 1;
	put_le(bytes + 0x1f4, BZ_CODE / 16, 4);
	put_le(bytes + 0x1fe, 0xaa55, 2);
	put_le(bytes + 0x200, 0x6aeb, 2); /* header ends at 0x26c */
	memcpy(bytes + 0x202, "HdrS", 4);
	put_le(bytes + 0x206, 0x20f, 2);
	bytes[0x211] = 1;
	put_le(bytes + 0x22c, 0x7fffffff, 4);
	put_le(bytes + 0x230, 0x200000, 4);
	bytes[0x234] = 1;
	put_le(bytes + 0x236, 3, 2);
	put_le(bytes + 0x238, 2047, 4);
	put_le(bytes + 0x258, BZ_PREF, 8);
	put_le(bytes + 0x260, BZ_INIT, 4);
}

/* ---- ELF ---------------------------------------------------------------- */

#define ELF_AT   (2 * MIB)
#define ELF_VIRT 0xffffffff80000000u

struct elf_note {
	Elf64_Nhdr h;
	char name[4];
	uint64_t value;
};

/* Two segments to load and a PVH note. */
struct elf_pc {
	Elf64_Ehdr h;
	Elf64_Phdr p[3];
	struct elf_note other, note;
	uint8_t text[64];
};

static inline struct elf_pc forge_elf_pc(void)
{
	struct elf_pc f = {
		.h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB,
			      EV_CURRENT},
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_entry = ELF_VIRT + 8,
			.e_phoff = offsetof(struct elf_pc, p),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 3},
		.p = {{.p_type = PT_LOAD,
			      .p_offset = offsetof(struct elf_pc, text),
			      .p_vaddr = ELF_VIRT,
			      .p_paddr = ELF_AT,
			      .p_filesz = 64,
			      .p_memsz = 64},
			{.p_type = PT_LOAD,
				.p_offset = sizeof(struct elf_pc),
				.p_vaddr = ELF_VIRT + 0x3000,
				.p_paddr = ELF_AT + 0x3000,
				.p_memsz = 0x1234},
			{.p_type = PT_NOTE,
				.p_offset = offsetof(struct elf_pc, other),
				.p_filesz = 2 * sizeof(struct elf_note)}},
		.other = {{4, 8, 6}, "Xen", 1},
		.note = {{4, 8, 18}, "Xen", ELF_AT + 16},
	};

	memset(f.text, 0x90, sizeof(f.text));
	return f;
}

/* A 32-bit one with a Multiboot header in its text. */
struct elf_mb {
	Elf32_Ehdr h;
	Elf32_Phdr p[1];
	uint32_t header[8];
	uint8_t text[64];
};

#define MB_FLAGS 3u

static inline struct elf_mb forge_elf_mb(void)
{
	struct elf_mb f = {
		.h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB,
			      EV_CURRENT},
			.e_type = ET_EXEC,
			.e_machine = EM_386,
			.e_version = EV_CURRENT,
			.e_entry = MIB + 32,
			.e_phoff = offsetof(struct elf_mb, p),
			.e_ehsize = sizeof(Elf32_Ehdr),
			.e_phentsize = sizeof(Elf32_Phdr),
			.e_phnum = 1},
		.p = {{.p_type = PT_LOAD,
			.p_offset = offsetof(struct elf_mb, header),
			.p_vaddr = MIB,
			.p_paddr = MIB,
			.p_filesz = 96,
			.p_memsz = 0x2000}},
		.header = {0x1badb002, MB_FLAGS, -(0x1badb002 + MB_FLAGS)},
	};

	memset(f.text, 0x90, sizeof(f.text));
	return f;
}

/* Not ELF: the header's addresses say what to load. */
struct flat_mb {
	uint8_t before[16]; /* of the file; not loaded */
	uint8_t start[16];
	uint32_t magic, flags, sum, header, load, load_end, bss_end, entry;
	uint8_t text[64];
};

static inline void sum_mb(struct flat_mb *f)
{
	f->sum = -(f->magic + f->flags);
}

static inline struct flat_mb forge_flat_mb(void)
{
	struct flat_mb f = {
		.magic = 0x1badb002,
		.flags = 0x10000,
		.header = 0x100010,
		.load = 0x100000,
		.load_end = 0x100000 + 112,
		.bss_end = 0x102000,
		.entry = 0x100030,
	};

	memset(f.text, 0x90, sizeof(f.text));
	sum_mb(&f);
	return f;
}

/* ---- a machine ---------------------------------------------------------- */

#define PC_SIZE (16 * MIB)

static uint8_t pc_bytes[PC_SIZE];

static int pc_write_bytes(void *ctx, gpa_t gpa, const void *bytes, size_t len)
{
	(void)ctx;
	if (gpa > PC_SIZE || len > PC_SIZE - gpa)
		return -14;
	memcpy(pc_bytes + gpa, bytes, len);
	return 0;
}

static inline struct pc_memory forge_memory(void)
{
	struct pc_memory m = {.rsdp = 0xf0000, .write = pc_write_bytes};

	m.rams = pc_ram(PC_SIZE, 0, 0, m.ram);
	return m;
}

static inline uint64_t get_le(gpa_t at, unsigned size)
{
	uint64_t v = 0;

	while (size-- > 0)
		v = v << 8 | pc_bytes[at + size];
	return v;
}

#endif
