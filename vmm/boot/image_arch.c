/* SPDX-License-Identifier: MIT */
/* image_arch.c - which CPU does this file want? */
#include "vmm/boot/image_bytes.h"
#include "vmm/boot/pc_plan.h"

#include <elf.h>

enum image_arch image_arch(const struct image_file *file)
{
	const struct image_bytes b = {"", file->bytes, file->len, NULL, 0};
	uint64_t offset;

	if (image_has(&b, 0, ELFMAG, SELFMAG))
		switch (le16(&b, offsetof(Elf64_Ehdr, e_machine))) {
		case EM_RISCV:
			return IMAGE_ARCH_RISCV64;
		case EM_386:
		case EM_X86_64:
			return IMAGE_ARCH_X86_64;
		default:
			return IMAGE_ARCH_UNKNOWN;
		}
	if (image_has(&b, 56, "RSC\x05", 4))
		return IMAGE_ARCH_RISCV64;
	if (pc_is_bzimage(&b) || pc_find_multiboot(&b, &offset))
		return IMAGE_ARCH_X86_64;
	return IMAGE_ARCH_UNKNOWN;
}
