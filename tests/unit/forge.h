/* SPDX-License-Identifier: MIT */
/* forge.h - small kernels, correct until a test changes a field */
#ifndef TESTS_UNIT_FORGE_H
#define TESTS_UNIT_FORGE_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BASE 0x80000000u /* where their RAM begins */
#define MIB  ((uint64_t)1 << 20)

static inline void put_le(uint8_t *at, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

#define IMAGE_LEN 200u

static inline void forge_linux(
	uint8_t bytes[IMAGE_LEN], uint64_t text_offset, uint64_t image_size)
{
	memset(bytes, 0x13, IMAGE_LEN);
	put_le(bytes + 8, text_offset, 8);
	put_le(bytes + 16, image_size, 8);
	put_le(bytes + 24, 0, 8);
	memcpy(bytes + 48, "RISCV\0\0\0RSC\x05", 12);
}

struct elf {
	Elf64_Ehdr h;
	Elf64_Phdr p[3];
	uint8_t text[64];
};

static inline struct elf forge_elf(void)
{
	struct elf f = {
		.h =
			{
				.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64,
					ELFDATA2LSB, EV_CURRENT},
				.e_type = ET_EXEC,
				.e_machine = EM_RISCV,
				.e_version = EV_CURRENT,
				.e_entry = BASE + 8,
				.e_phoff = offsetof(struct elf, p),
				.e_ehsize = sizeof(Elf64_Ehdr),
				.e_phentsize = sizeof(Elf64_Phdr),
				.e_phnum = 3,
			},
		.p =
			{
				{.p_type = PT_LOAD,
					.p_offset = offsetof(struct elf, text),
					.p_vaddr = BASE,
					.p_paddr = BASE,
					.p_filesz = 64,
					.p_memsz = 64},
				{.p_type = PT_NOTE,
					.p_offset = UINT64_MAX,
					.p_filesz = UINT64_MAX},
				{.p_type = PT_LOAD,
					.p_offset = sizeof(struct elf),
					.p_vaddr = BASE + 0x3000,
					.p_paddr = BASE + 0x3000,
					.p_filesz = 0,
					.p_memsz = 0x1234},
			},
	};

	memset(f.text, 0x42, sizeof(f.text));
	return f;
}

#endif
