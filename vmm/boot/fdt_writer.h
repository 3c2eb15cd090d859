/* SPDX-License-Identifier: MIT */
/*
 * fdt_writer.h - a device tree being written; private to vmm/boot
 *
 * Its names begin with tree_, as fdt_ is where libfdt's own names are.
 * Errors stick: after the first one nothing is written, and tree_end() tells.
 */
#ifndef VMM_BOOT_FDT_WRITER_H
#define VMM_BOOT_FDT_WRITER_H

#include "vmm/boot/fdt.h"

struct tree_writer {
	void *blob;
	int error; /* negative errno, 0 so far */
};

/* -ENOMEM; otherwise every tree_begin() has its tree_end(). */
int tree_begin(struct tree_writer *w, size_t size);
/* 0, and the caller owns *blob; or the first error (-E2BIG: full). */
int tree_end(struct tree_writer *w, void **blob, size_t *size);
/* Something else went wrong: as if a write had. */
void tree_broken(struct tree_writer *w, int error);

void tree_open(struct tree_writer *w, const char *node);
void tree_open_at(struct tree_writer *w, const char *node, uint64_t unit);
void tree_close(struct tree_writer *w);

void tree_bytes(
	struct tree_writer *w, const char *name, const void *bytes, size_t len);
void tree_u32(struct tree_writer *w, const char *name, uint32_t value);
void tree_u32s(struct tree_writer *w, const char *name, const uint32_t *values,
	unsigned count);
void tree_u64(struct tree_writer *w, const char *name, uint64_t value);
/* Address and size, two cells each. */
void tree_reg(
	struct tree_writer *w, const char *name, const struct fdt_range *range);
void tree_text(struct tree_writer *w, const char *name, const char *text);
void tree_textf(struct tree_writer *w, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A string list given as one literal with NULs between. */
#define tree_texts(w, name, literal) \
	tree_bytes((w), (name), (literal), sizeof(literal))

#endif
