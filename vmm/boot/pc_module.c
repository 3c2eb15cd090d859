/* SPDX-License-Identifier: MIT */
/* pc_module.c - initrd and modules, from their files */
#include "vmm/boot/pc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "memslot/error.h"

/* The next of the comma-separated texts, in place. */
static char *next(char **rest)
{
	char *text = *rest, *comma = strchr(text, ',');

	if (comma)
		*comma++ = '\0';
	*rest = comma;
	return text;
}

/* "FILE ARGUMENTS": the file is what is before the first space. */
static int read_module(
	struct pc_module *m, char *text, bool many, struct memslot_error *err)
{
	char *space = many ? strchr(text, ' ') : NULL;
	int e;

	m->text = text;
	if (space)
		*space = '\0';
	e = image_read(many ? "module" : "initrd", text, &m->file, err);
	if (space)
		*space = ' ';
	return e;
}

int pc_read_modules(const char *text, bool many, struct pc_modules *out,
	struct memslot_error *err)
{
	struct pc_modules m = {.text = strdup(text)};
	char *rest = m.text;
	int e = 0;

	if (!m.text)
		return memslot_fail(err, -ENOMEM, "no memory for --initrd");
	while (rest && !e) {
		if (m.count == PC_MODULES_MAX)
			e = memslot_fail(err, -EINVAL,
				"--initrd: more than %u modules",
				PC_MODULES_MAX);
		else if (many)
			e = read_module(
				&m.module[m.count], next(&rest), many, err);
		else
			e = read_module(&m.module[m.count], rest, many, err);
		m.count += !e;
		rest = many ? rest : NULL;
	}
	if (e)
		pc_free_modules(&m);
	else
		*out = m;
	return e;
}

void pc_free_modules(struct pc_modules *m)
{
	while (m->count > 0)
		image_free(&m->module[--m->count].file);
	free(m->text);
	m->text = NULL;
}
