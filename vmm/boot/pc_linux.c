/* SPDX-License-Identifier: MIT */
/*
 * pc_linux.c - boot_params, the "zero page" of Linux
 *
 * Documentation/arch/x86/boot.rst and zero-page.rst; the offsets are those of
 * struct boot_params in arch/x86/include/uapi/asm/bootparam.h. A bzImage
 * brings a setup header, which is copied; for a vmlinux the few fields that
 * the kernel itself looks at are made up.
 */
#include "vmm/boot/pc_load.h"

#include <string.h>

#define PARAMS_SIZE 4096u

#define RSDP_ADDR       0x070u
#define E820_ENTRIES    0x1e8u
#define SETUP_HEADER    0x1f1u
#define BOOT_FLAG       0x1feu
#define HEADER_MAGIC    0x202u
#define VERSION         0x206u
#define TYPE_OF_LOADER  0x210u
#define LOADFLAGS       0x211u
#define RAMDISK_IMAGE   0x218u
#define RAMDISK_SIZE    0x21cu
#define CMD_LINE_PTR    0x228u
#define E820_TABLE      0x2d0u
#define E820_ENTRY_SIZE 20u

#define LOADER_UNKNOWN 0xffu
#define LOADED_HIGH    0x01u
#define KEEP_SEGMENTS  0x40u

static void copy_header(const struct pc_guest *g, uint8_t *params)
{
	if (g->plan->kind == PC_BZIMAGE) {
		memcpy(params + SETUP_HEADER, g->kernel->bytes + SETUP_HEADER,
			g->plan->header_size);
		return;
	}
	pc_put(params, BOOT_FLAG, 2, 0xaa55);
	memcpy(params + HEADER_MAGIC, "HdrS", 4);
	pc_put(params, VERSION, 2, 0x020c);
	pc_put(params, LOADFLAGS, 1, LOADED_HIGH);
}

int pc_tell_linux(struct pc_loading *l, struct memslot_error *err)
{
	uint8_t params[PARAMS_SIZE] = {0};
	struct pc_range map[PC_MAP_MAX];
	unsigned entries = pc_map(l->memory, map);
	gpa_t at;
	int e;

	copy_header(l->guest, params);
	pc_put(params, RSDP_ADDR, 8, l->memory->rsdp);
	pc_put(params, TYPE_OF_LOADER, 1, LOADER_UNKNOWN);
	pc_put(params, LOADFLAGS, 1, params[LOADFLAGS] | KEEP_SEGMENTS);
	pc_put(params, CMD_LINE_PTR, 4, l->cmdline);
	if (l->guest->modules) {
		pc_put(params, RAMDISK_IMAGE, 4, l->module[0]);
		pc_put(params, RAMDISK_SIZE, 4, l->guest->module[0].file.len);
	}
	pc_put(params, E820_ENTRIES, 1, entries);
	for (unsigned i = 0; i < entries; i++) {
		size_t o = E820_TABLE + i * E820_ENTRY_SIZE;

		pc_put(params, o, 8, map[i].base);
		pc_put(params, o + 8, 8, map[i].size);
		pc_put(params, o + 16, 4, map[i].type);
	}
	e = pc_place(l, "boot parameters", params, sizeof(params),
		MEMSLOT_PAGE_SIZE, &at, err);
	l->start.rsi = at;
	return e;
}
