/* SPDX-License-Identifier: MIT */
/*
 * image.h - from a kernel file to bytes in guest memory
 *
 * Four steps, so that what meets hostile bytes is pure and can be fuzzed:
 *
 *   image_read    the file into memory                       (I/O)
 *   image_unpack  gzip, if it is gzip                        (bounded)
 *   image_plan    which bytes go where, entry, extent        (pure)
 *   image_write   do it                                      (through `write`)
 *
 * image_open() is the first two, image_load() the others. What follows is about
 * RISC-V; pc.h has what a PC takes. Kinds of kernel, told apart by their first bytes:
 *
 *   Image  Linux's RISC-V boot image: Documentation/arch/riscv/
 *          boot-image-header.rst. Loaded at RAM base + text_offset.
 *   ELF    64-bit little-endian RISC-V executable: PT_LOAD segments go to
 *          their physical addresses. An entry that is a virtual address is
 *          translated by the segment that holds it.
 *   flat   no header: the file as it is at RAM base, entered at its start.
 *          As nothing identifies it, only if asked for or if the file's name
 *          ends in .bin (or .bin.gz).
 *
 * Everything else is refused by a sentence that says what the file is, where
 * that can be told.
 */
#ifndef VMM_BOOT_IMAGE_H
#define VMM_BOOT_IMAGE_H

#include "memslot/memslot.h"

MEMSLOT_BEGIN_DECLS

/* No file, packed or unpacked, is taken beyond this. */
#define IMAGE_FILE_MAX     ((uint64_t)1 << 30)
#define IMAGE_SEGMENTS_MAX 32

struct image_file {
	uint8_t *bytes; /* malloc'ed */
	size_t len;
};

struct image_ram {
	gpa_t base;
	uint64_t size;
};

enum image_kind {
	IMAGE_UNKNOWN,
	IMAGE_LINUX,
	IMAGE_ELF,
	IMAGE_FLAT,
};

struct image_segment {
	gpa_t gpa;
	uint64_t offset;    /* in the file */
	uint64_t file_size; /* bytes copied from there */
	uint64_t size;      /* bytes occupied; what is not copied is zeroed */
};

struct image_plan {
	enum image_kind kind;
	gpa_t entry;
	gpa_t start; /* [start, end): everything it occupies, with its */
	gpa_t end;   /* uninitialised data, rounded up to pages */
	unsigned count;
	struct image_segment segment[IMAGE_SEGMENTS_MAX];
};

/* How bytes reach guest memory: 0 or a negative errno. */
struct image_memory {
	struct image_ram ram;
	int (*write)(void *ctx, gpa_t gpa, const void *bytes, size_t len);
	void *ctx;
};

/*
 * Read a whole file; `what` ("kernel", "initrd") begins the sentence.
 * Errors: -ENOENT, -EACCES and others of open and read; -EISDIR; -EINVAL
 * empty; -EFBIG beyond IMAGE_FILE_MAX; -ENOMEM.
 */
int image_read(const char *what, const char *path, struct image_file *out,
	struct memslot_error *err);
void image_free(struct image_file *file);

/*
 * Replace gzip'ed content by what it unpacks to; other content stays. On an
 * error the file is as it was. Errors: -EINVAL damaged, truncated or empty;
 * -EFBIG beyond IMAGE_FILE_MAX; -ENOMEM.
 */
int image_unpack(
	const char *path, struct image_file *file, struct memslot_error *err);

/* A kernel file, unpacked. */
int image_open(
	const char *path, struct image_file *out, struct memslot_error *err);

/* Which CPU a kernel is for, as far as its first bytes tell. Pure. */
enum image_arch {
	IMAGE_ARCH_UNKNOWN, /* a flat binary, or no kernel at all */
	IMAGE_ARCH_RISCV64,
	IMAGE_ARCH_X86_64,
};
enum image_arch image_arch(const struct image_file *file);

/*
 * Decide what goes where. `name` is for sentences and for its ending.
 * `flat`: asked for, whatever the bytes look like. Pure: reads len bytes and
 * nothing else; the plan's segments lie inside the file and inside RAM.
 *   -ENOEXEC  not a kernel for this machine
 *   -EINVAL   a header that contradicts itself or the file
 *   -EFBIG    it does not fit in RAM
 */
int image_plan(const char *name, const uint8_t *bytes, size_t len, bool flat,
	const struct image_ram *ram, struct image_plan *out,
	struct memslot_error *err);

/* -EINVAL the plan is not for these bytes; or what memory->write returned. */
int image_write(const struct image_plan *plan, const uint8_t *bytes, size_t len,
	const struct image_memory *memory, struct memslot_error *err);

/* Plan and write what image_open() has given. */
int image_load(const char *name, const struct image_file *file, bool flat,
	const struct image_memory *memory, struct image_plan *out,
	struct memslot_error *err);

/* Where everything is that is not the kernel. */
struct image_places {
	gpa_t fdt;    /* 2 MiB aligned, fdt_size bytes are free there */
	gpa_t initrd; /* page aligned; 0 if there is none */
};

/*
 * Place the device tree at the end of RAM and the initrd (size 0: none)
 * below it, both above the kernel. -EFBIG with the numbers if they do not
 * fit; -EINVAL if fdt_size is 0. Pure.
 */
int image_place(const struct image_ram *ram, const struct image_plan *kernel,
	uint64_t fdt_size, uint64_t initrd_size, struct image_places *out,
	struct memslot_error *err);

MEMSLOT_END_DECLS

#endif
