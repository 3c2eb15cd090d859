/* SPDX-License-Identifier: MIT */
/*
 * fdt_isa.c - an isa string taken apart
 *
 * The old property riscv,isa has one string, the new one a list. The list is
 * made from the string, so that they cannot disagree.
 */
#include "vmm/boot/fdt.h"

#include <errno.h>
#include <string.h>

struct fdt_list {
	char *bytes;
	size_t size, len;
};

static int fdt_list_add(struct fdt_list *l, const char *name, size_t len)
{
	if (len + 1 > l->size - l->len)
		return -E2BIG;
	memcpy(l->bytes + l->len, name, len);
	l->bytes[l->len + len] = 0;
	l->len += len + 1;
	return 0;
}

/* "g" is short for these; their zicsr and zifencei come with it. */
static int fdt_list_add_general(struct fdt_list *l)
{
	static const char *const names[] = {
		"i", "m", "a", "f", "d", "zicsr", "zifencei"};
	int e = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !e; i++)
		e = fdt_list_add(l, names[i], strlen(names[i]));
	return e;
}

static bool fdt_is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool fdt_is_name(char c)
{
	return fdt_is_lower(c) || (c >= '0' && c <= '9');
}

int fdt_isa_extensions(const char *isa, char *list, size_t size)
{
	struct fdt_list l = {list, size, 0};
	const char *p;
	int e = 0;

	if (strncmp(isa, "rv32", 4) != 0 && strncmp(isa, "rv64", 4) != 0)
		return -EINVAL;
	p = isa + 4;
	if (*p != 'i' && *p != 'g')
		return -EINVAL;
	for (; fdt_is_lower(*p) && !e; p++)
		e = *p == 'g' ? fdt_list_add_general(&l)
			      : fdt_list_add(&l, p, 1);
	while (*p == '_' && !e) {
		const char *name = ++p;

		while (fdt_is_name(*p))
			p++;
		if (p == name)
			return -EINVAL;
		e = fdt_list_add(&l, name, (size_t)(p - name));
	}
	if (!e && *p != 0)
		return -EINVAL;
	return e ? e : (int)l.len;
}
