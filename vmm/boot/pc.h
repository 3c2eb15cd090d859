/* SPDX-License-Identifier: MIT */
/*
 * pc.h - from a kernel file to a PC that is about to run it
 *
 * As image.h for the x86-64 machine, in two steps: pc_plan() is pure, looks
 * at hostile bytes and decides what goes where; pc_load() writes it, with
 * what the guest is told, to memory. Kinds of guest:
 *
 *   bzImage    Linux's 64-bit boot protocol: Documentation/arch/x86/boot.rst.
 *              Entered in long mode, RSI = boot_params.
 *   vmlinux    ELF, 64 bits, entered the same way. An entry that is a virtual
 *              address is translated by the segment that holds it.
 *   PVH        ELF with a Xen note of type 18 (PHYS32_ENTRY): Xen's
 *              docs/misc/pvh.pandoc. Entered in protected mode, EBX =
 *              struct hvm_start_info.
 *   Multiboot  version 1: the Multiboot Specification 0.6.96. ELF, or any
 *              file with the address fields. Entered in protected mode, EAX =
 *              0x2badb002, EBX = its information.
 *   flat       no header. In real mode loaded and entered at 0x7c00; in long
 *              mode at 1 MiB, with the first 4 GiB mapped to themselves, open
 *              to ring 3, and selectors 0x10 and 0x18 (ring 0), 0x20 and 0x28
 *              (data and code of ring 3).
 *
 * A PVH note counts before a Multiboot header, that before a plain ELF file.
 */
#ifndef VMM_BOOT_PC_H
#define VMM_BOOT_PC_H

#include "vmm/boot/image.h"

MEMSLOT_BEGIN_DECLS

#define PC_RANGES_MAX  3u  /* of RAM */
#define PC_MODULES_MAX 16u /* of Multiboot */

/* Not usable: video memory, ROMs, and our ACPI tables. */
#define PC_HOLE_START ((gpa_t)0xa0000)
#define PC_HOLE_END   ((gpa_t)0x100000)

#define PC_REAL_BASE ((gpa_t)0x7c00)
#define PC_LONG_BASE ((gpa_t)0x100000)

/* How a flat file is entered; PC_FLAT_NO: only if its name ends in .bin. */
enum pc_flat {
	PC_FLAT_NO, /* and then in real mode */
	PC_FLAT_REAL,
	PC_FLAT_LONG,
};

enum pc_kind {
	PC_BZIMAGE,
	PC_VMLINUX,
	PC_PVH,
	PC_MULTIBOOT,
	PC_REAL,
	PC_LONG,
};

/* The machine, as far as a loader is concerned. */
struct pc_memory {
	/* Usable RAM, from pc_ram(). */
	struct image_ram ram[PC_RANGES_MAX];
	unsigned rams;
	gpa_t rsdp;            /* of the ACPI tables, 0: none */
	struct image_ram ecam; /* PCI's, reserved; size 0: none */
	int (*write)(void *ctx, gpa_t gpa, const void *bytes, size_t len);
	void *ctx;
};

/*
 * Usable RAM of a machine of so many bytes below the hole at 4 GiB and above
 * it (0: none): below the hole at 640 KiB, above that, above 4 GiB. What is
 * not there has size 0. Returns how many of the ranges matter.
 */
unsigned pc_ram(uint64_t low_size, gpa_t high_base, uint64_t high_size,
	struct image_ram ram[PC_RANGES_MAX]);

struct pc_plan {
	enum pc_kind kind;
	struct image_plan image;
	/* bzImage: what its setup header says */
	size_t header_size;     /* bytes of it, at 0x1f1 */
	uint64_t initrd_max;    /* its last byte may be here */
	uint64_t cmdline_max;   /* characters; others: PC_CMDLINE_MAX */
	uint64_t header_offset; /* Multiboot: in the file */
};

#define PC_CMDLINE_MAX 4095u

/*
 * Decide what goes where. Pure, like image_plan(), with the same errors:
 *   -ENOEXEC  not a guest for this machine
 *   -EINVAL   a header that contradicts itself or the file
 *   -EFBIG    it does not fit in RAM
 */
int pc_plan(const char *name, const uint8_t *bytes, size_t len,
	enum pc_flat flat, const struct pc_memory *memory, struct pc_plan *out,
	struct memslot_error *err);

/* The initrd, or a module of Multiboot. */
struct pc_module {
	struct image_file file;
	const char *text; /* what Multiboot tells the guest */
};

struct pc_modules {
	char *text; /* of all of them */
	unsigned count;
	struct pc_module module[PC_MODULES_MAX];
};

/*
 * Read the file named by the text; or, if there may be many, "FILE ARGUMENTS"
 * separated by commas. Errors: image_read()'s; -EINVAL too many; -ENOMEM.
 */
int pc_read_modules(const char *text, bool many, struct pc_modules *out,
	struct memslot_error *err);
void pc_free_modules(struct pc_modules *modules);

struct pc_guest {
	const char *name; /* what Multiboot calls the kernel */
	const struct image_file *kernel;
	const struct pc_plan *plan;
	const char *cmdline; /* or NULL */
	const struct pc_module *module;
	unsigned modules; /* of Linux and PVH: 0 or 1 */
};

enum pc_mode { PC_MODE_REAL, PC_MODE_PROTECTED, PC_MODE_LONG };

/* The first CPU's registers. */
struct pc_start {
	enum pc_mode mode;
	uint64_t rip, rsp, rax, rbx, rsi;
	gpa_t cr3, gdt; /* 0: there are none */
	uint16_t gdt_limit;
};

/*
 * Write the guest, its modules, command line and what tells it of them to
 * memory, each where nothing else lies. Errors: -E2BIG the command line is
 * longer than the kernel allows; -EINVAL modules or a command line for a flat
 * file, or more modules than there can be; -EFBIG no room, with the numbers; -EFAULT.
 */
int pc_load(const struct pc_guest *guest, const struct pc_memory *memory,
	struct pc_start *out, struct memslot_error *err);

MEMSLOT_END_DECLS

#endif
