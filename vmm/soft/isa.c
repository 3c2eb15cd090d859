/* SPDX-License-Identifier: MIT */
#include "vmm/soft/isa.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const names[ISA_EXTS] = {
	[ISA_M] = "m",
	[ISA_A] = "a",
	[ISA_F] = "f",
	[ISA_D] = "d",
	[ISA_ZICBOM] = "zicbom",
	[ISA_ZICBOP] = "zicbop",
	[ISA_ZICBOZ] = "zicboz",
	[ISA_ZICNTR] = "zicntr",
	[ISA_ZIFENCEI] = "zifencei",
	[ISA_ZIHINTPAUSE] = "zihintpause",
	[ISA_ZAWRS] = "zawrs",
	[ISA_ZBA] = "zba",
	[ISA_ZBB] = "zbb",
	[ISA_ZBS] = "zbs",
	[ISA_SSTC] = "sstc",
	[ISA_SVADU] = "svadu",
	[ISA_SVINVAL] = "svinval",
	[ISA_SVNAPOT] = "svnapot",
	[ISA_SVPBMT] = "svpbmt",
	[ISA_SV48] = "sv48",
	[ISA_SV57] = "sv57",
};

static void add(char text[ISA_STRING_MAX], const char *before, const char *name)
{
	size_t len = strlen(text);

	snprintf(text + len, ISA_STRING_MAX - len, "%s%s", before, name);
}

void isa_string(isa_off_t off, char text[ISA_STRING_MAX])
{
	strcpy(text, "rv64i");
	for (unsigned e = ISA_M; e <= ISA_D; e++)
		if (isa_has(off, e))
			add(text, "", names[e]);
	add(text, "", "c");
	for (unsigned e = ISA_ZICBOM; e <= ISA_SVPBMT; e++) {
		/* Where one that is always there has its place. */
		if (e == ISA_ZIFENCEI)
			add(text, "_", "zicsr");
		if (isa_has(off, e))
			add(text, "_", names[e]);
		else if (e == ISA_SVADU)
			add(text, "_", "svade");
	}
}

const char *isa_mmu_type(isa_off_t off)
{
	if (isa_has(off, ISA_SV57))
		return "riscv,sv57";
	return isa_has(off, ISA_SV48) ? "riscv,sv48" : "riscv,sv39";
}

/* One word: NAME=on or NAME=off. */
static int set(const char *word, isa_off_t *off, struct memslot_error *err)
{
	const char *value = strchr(word, '=');
	size_t len = value ? (size_t)(value - word) : strlen(word);

	for (unsigned e = ISA_M; value && e < ISA_EXTS; e++) {
		if (strlen(names[e]) != len || strncmp(word, names[e], len))
			continue;
		if (strcmp(value, "=off") == 0)
			*off |= (isa_off_t)1 << e;
		else if (strcmp(value, "=on") == 0)
			*off &= ~((isa_off_t)1 << e);
		else
			return memslot_fail(err, -EINVAL,
				"--cpu: %s can be on or off, not \"%s\"",
				names[e], value + 1);
		return 0;
	}
	return memslot_fail(err, -EINVAL,
		"--cpu: \"%s\" is not known; say rv64[,NAME=off...] with a "
		"NAME such as zba, svadu or sv57",
		word);
}

int isa_parse(char *text, isa_off_t *off, struct memslot_error *err)
{
	char *rest = NULL, *word = strtok_r(text, ",", &rest);
	int r = 0;

	*off = 0;
	if (!word || strcmp(word, "rv64"))
		return memslot_fail(err, -EINVAL,
			"--cpu: \"%s\" is not a CPU; there is rv64",
			word ? word : "");
	while (!r && (word = strtok_r(NULL, ",", &rest)))
		r = set(word, off, err);
	if (!isa_has(*off, ISA_F))
		*off |= (isa_off_t)1 << ISA_D;
	if (!isa_has(*off, ISA_SV48))
		*off |= (isa_off_t)1 << ISA_SV57;
	return r;
}
