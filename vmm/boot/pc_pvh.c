/* SPDX-License-Identifier: MIT */
/*
 * pc_pvh.c - what a PVH guest is told
 *
 * xen/include/public/arch-x86/hvm/start_info.h, version 1: start info, then
 * the list of modules, then the memory map, in one piece.
 */
#include "vmm/boot/pc_load.h"

#define MAGIC      0x336ec578u
#define INFO_SIZE  56u
#define MODULE     INFO_SIZE
#define ENTRY_SIZE 24u
#define MAP        (MODULE + 32u)

int pc_tell_pvh(struct pc_loading *l, struct memslot_error *err)
{
	uint8_t info[MAP + PC_MAP_MAX * ENTRY_SIZE] = {0};
	struct pc_range map[PC_MAP_MAX];
	unsigned entries = pc_map(l->memory, map);
	gpa_t at;
	int e = pc_place(l, "start info", info, sizeof(info), MEMSLOT_PAGE_SIZE,
		&at, err);

	if (e)
		return e;
	pc_put(info, 0, 4, MAGIC);
	pc_put(info, 4, 4, 1); /* version */
	pc_put(info, 12, 4, l->guest->modules);
	if (l->guest->modules) {
		pc_put(info, 16, 8, at + MODULE);
		pc_put(info, MODULE, 8, l->module[0]);
		pc_put(info, MODULE + 8, 8, l->guest->module[0].file.len);
	}
	pc_put(info, 24, 8, l->cmdline);
	pc_put(info, 32, 8, l->memory->rsdp);
	pc_put(info, 40, 8, at + MAP);
	pc_put(info, 48, 4, entries);
	for (unsigned i = 0; i < entries; i++) {
		size_t o = MAP + i * ENTRY_SIZE;

		pc_put(info, o, 8, map[i].base);
		pc_put(info, o + 8, 8, map[i].size);
		pc_put(info, o + 16, 4, map[i].type);
	}
	l->start.rbx = at;
	return pc_write(l, "start info", at, info, sizeof(info), err);
}
