/* SPDX-License-Identifier: MIT */
/*
 * fdt_writer.c - libfdt's sequential writer with an error that sticks
 */
#include "vmm/boot/fdt_writer.h"

#include <errno.h>
#include <libfdt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FDT_NAME_MAX 64

void tree_broken(struct tree_writer *w, int error)
{
	if (!w->error)
		w->error = error;
}

/* The only way a correct sequence of calls fails is a full buffer. */
static void fdt_note(struct tree_writer *w, int result)
{
	if (result == -FDT_ERR_NOSPACE)
		tree_broken(w, -E2BIG);
	else if (result < 0)
		tree_broken(w, -EINVAL);
}

int tree_begin(struct tree_writer *w, size_t size)
{
	*w = (struct tree_writer){.blob = malloc(size)};
	if (!w->blob)
		return -ENOMEM;
	fdt_note(w, fdt_create(w->blob, (int)size));
	if (!w->error)
		fdt_note(w, fdt_finish_reservemap(w->blob));
	return 0;
}

int tree_end(struct tree_writer *w, void **blob, size_t *size)
{
	if (!w->error)
		fdt_note(w, fdt_finish(w->blob));
	if (w->error) {
		free(w->blob);
		return w->error;
	}
	*blob = w->blob;
	*size = fdt_totalsize(w->blob);
	return 0;
}

void tree_open(struct tree_writer *w, const char *node)
{
	if (!w->error)
		fdt_note(w, fdt_begin_node(w->blob, node));
}

void tree_open_at(struct tree_writer *w, const char *node, uint64_t unit)
{
	char name[FDT_NAME_MAX];

	snprintf(name, sizeof(name), "%s@%llx", node, (unsigned long long)unit);
	tree_open(w, name);
}

void tree_close(struct tree_writer *w)
{
	if (!w->error)
		fdt_note(w, fdt_end_node(w->blob));
}

void tree_bytes(
	struct tree_writer *w, const char *name, const void *bytes, size_t len)
{
	if (!w->error)
		fdt_note(w, fdt_property(w->blob, name, bytes, (int)len));
}

void tree_u32(struct tree_writer *w, const char *name, uint32_t value)
{
	if (!w->error)
		fdt_note(w, fdt_property_u32(w->blob, name, value));
}

void tree_u32s(struct tree_writer *w, const char *name, const uint32_t *values,
	unsigned count)
{
	void *cells = NULL;

	if (w->error)
		return;
	fdt_note(w, fdt_property_placeholder(w->blob, name,
			    (int)(count * sizeof(*values)), &cells));
	for (unsigned i = 0; i < count && !w->error; i++)
		fdt32_st((char *)cells + i * sizeof(*values), values[i]);
}

void tree_u64(struct tree_writer *w, const char *name, uint64_t value)
{
	if (!w->error)
		fdt_note(w, fdt_property_u64(w->blob, name, value));
}

void tree_reg(
	struct tree_writer *w, const char *name, const struct fdt_range *range)
{
	const uint32_t cells[4] = {
		(uint32_t)(range->gpa >> 32),
		(uint32_t)range->gpa,
		(uint32_t)(range->size >> 32),
		(uint32_t)range->size,
	};

	tree_u32s(w, name, cells, 4);
}

void tree_text(struct tree_writer *w, const char *name, const char *text)
{
	tree_bytes(w, name, text, strlen(text) + 1);
}

void tree_textf(struct tree_writer *w, const char *name, const char *fmt, ...)
{
	char text[FDT_NAME_MAX];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(text))
		tree_broken(w, -EINVAL);
	else
		tree_text(w, name, text);
}
