/* SPDX-License-Identifier: MIT */
/*
 * pc_mbi.c - what a Multiboot guest is told
 *
 * The Multiboot Specification 0.6.96, 3.3: the information, then the modules,
 * the memory map and our name, in one piece; strings apart. The command line
 * begins with the kernel's name, as GRUB has it.
 */
#include "vmm/boot/pc_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>

#include "memslot/error.h"

#define BOOT_MAGIC 0x2badb002u

#define HAS_MEMORY  0x001u
#define HAS_CMDLINE 0x004u
#define HAS_MODULES 0x008u
#define HAS_MAP     0x040u
#define HAS_NAME    0x200u

#define INFO_SIZE   120u
#define MODULE_SIZE 16u
#define MODULES     INFO_SIZE
#define ENTRY_SIZE  24u
#define MAP         (MODULES + PC_MODULES_MAX * MODULE_SIZE)
#define NAME        (MAP + PC_MAP_MAX * ENTRY_SIZE)
#define ALL         (NAME + 8u)

static const char our_name[8] = "vmm";

static int place_text(struct pc_loading *l, const char *name, const char *text,
	gpa_t *gpa, struct memslot_error *err)
{
	size_t size = strlen(name) + 1 + (text ? strlen(text) : 0) + 1;
	char *all = malloc(size);
	int e;

	if (!all)
		return memslot_fail(
			err, -ENOMEM, "no memory for a command line");
	snprintf(all, size, "%s%s%s", name, text ? " " : "", text ? text : "");
	e = pc_place(l, "command line", all, strlen(all) + 1, 4, gpa, err);
	free(all);
	return e;
}

static int tell_modules(
	struct pc_loading *l, uint8_t *info, struct memslot_error *err)
{
	for (unsigned i = 0; i < l->guest->modules; i++) {
		const struct pc_module *m = &l->guest->module[i];
		size_t o = MODULES + i * MODULE_SIZE;
		gpa_t text;
		int e = place_text(l, m->text, NULL, &text, err);

		if (e)
			return e;
		pc_put(info, o, 4, l->module[i]);
		pc_put(info, o + 4, 4, l->module[i] + m->file.len);
		pc_put(info, o + 8, 4, text);
	}
	return 0;
}

/* mem_lower and mem_upper: KiB below 640 KiB, and from 1 MiB on. */
static void tell_memory(struct pc_loading *l, uint8_t *info)
{
	const struct pc_memory *m = l->memory;
	struct pc_range map[PC_MAP_MAX];
	unsigned entries = pc_map(m, map);

	pc_put(info, 4, 4, m->ram[0].size >> 10);
	if (m->rams > 1)
		pc_put(info, 8, 4, m->ram[1].size >> 10);
	pc_put(info, 44, 4, entries * ENTRY_SIZE);
	for (unsigned i = 0; i < entries; i++) {
		size_t o = MAP + i * ENTRY_SIZE;

		pc_put(info, o, 4, ENTRY_SIZE - 4);
		pc_put(info, o + 4, 8, map[i].base);
		pc_put(info, o + 12, 8, map[i].size);
		pc_put(info, o + 20, 4, map[i].type);
	}
}

int pc_tell_multiboot(struct pc_loading *l, struct memslot_error *err)
{
	uint8_t info[ALL] = {0};
	gpa_t at, cmdline;
	int e = pc_place(l, "Multiboot information", info, sizeof(info),
		MEMSLOT_PAGE_SIZE, &at, err);

	if (!e)
		e = place_text(
			l, l->guest->name, l->guest->cmdline, &cmdline, err);
	if (!e)
		e = tell_modules(l, info, err);
	if (e)
		return e;
	pc_put(info, 0, 4,
		HAS_MEMORY | HAS_CMDLINE | HAS_MODULES | HAS_MAP | HAS_NAME);
	tell_memory(l, info);
	pc_put(info, 16, 4, cmdline);
	pc_put(info, 20, 4, l->guest->modules);
	pc_put(info, 24, 4, at + MODULES);
	pc_put(info, 48, 4, at + MAP);
	pc_put(info, 64, 4, at + NAME);
	memcpy(info + NAME, our_name, sizeof(our_name));
	l->start.rax = BOOT_MAGIC;
	l->start.rbx = at;
	return pc_write(
		l, "Multiboot information", at, info, sizeof(info), err);
}
