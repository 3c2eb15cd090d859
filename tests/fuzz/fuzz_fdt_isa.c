/* SPDX-License-Identifier: MIT */
/*
 * fuzz_fdt_isa.c - hostile strings and numbers for the device tree
 *
 * An isa string is taken apart with room of every size up to what it needs;
 * then a machine made of the input is described, and what fdt_build() calls a
 * tree must be one that libfdt can walk.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <libfdt.h>

#include "vmm/boot/fdt.h"

/* "i\0m\0" : strings without an empty one, filling the list exactly. */
static void check_list(const char *list, int len)
{
	for (int at = 0; at < len;) {
		size_t n = strnlen(list + at, (size_t)(len - at));

		MUST(n > 0 && at + (int)n < len);
		at += (int)n + 1;
	}
}

static void run_isa(const char *isa)
{
	char *list = malloc(4096);
	int len, less;

	MUST(list != NULL);
	len = fdt_isa_extensions(isa, list, 4096);
	if (len > 0) {
		check_list(list, len);
		free(list);
		list = malloc((size_t)len);
		MUST(list != NULL);
		MUST(fdt_isa_extensions(isa, list, (size_t)len) == len);
		less = fdt_isa_extensions(isa, list, (size_t)len - 1);
		MUST(less == -E2BIG);
	} else {
		MUST(len == -EINVAL || len == -E2BIG);
	}
	free(list);
}

static struct fdt_range take_range(struct supply *s)
{
	uint8_t how = take8(s);
	struct fdt_range r = {take(s, 4) << (how & 31), 0};

	r.size = take(s, 3) << (how >> 5);
	return r;
}

static void walk(const void *blob, size_t size)
{
	int depth = 0, node = 0, nodes = 0;

	MUST(size <= FDT_BLOB_MAX && fdt_totalsize(blob) == size);
	MUST(fdt_check_full(blob, size) == 0);
	while ((node = fdt_next_node(blob, node, &depth)) >= 0)
		nodes++;
	MUST(nodes > 0);
	MUST(fdt_path_offset(blob, "/cpus") >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct supply s = {bytes, len};
	char *isa = take_text(&s, 2000), *mmu = take_text(&s, 64);
	char *bootargs = take_text(&s, FDT_BOOTARGS_MAX + 8);
	struct fdt_range ram[3];
	struct fdt_machine m = {.ram = ram};
	struct memslot_error err;
	uint8_t *seed, how;
	size_t size;
	void *blob;
	int r;

	run_isa(isa);
	how = take8(&s);
	m.isa = how & 1 ? NULL : isa;
	m.mmu_type = how & 2 ? NULL : mmu;
	m.bootargs = how & 4 ? NULL : bootargs;
	m.ram_count = how >> 3 & 3;
	m.harts = take8(&s);
	for (unsigned i = 0; i < 3; i++)
		ram[i] = take_range(&s);
	m.timebase_hz = (uint32_t)take(&s, 4);
	m.initrd = take_range(&s);
	m.plic = take_range(&s);
	m.plic_sources = (unsigned)take(&s, 2);
	m.uart = take_range(&s);
	m.uart_irq = take8(&s);
	m.uart_clock_hz = (uint32_t)take(&s, 4);
	m.rtc = take_range(&s);
	m.rtc_irq = take8(&s);
	m.syscon = take_range(&s);
	m.slotctl = take_range(&s);
	m.slotctl_range = take_range(&s);
	m.rng_seed_size = s.left;
	seed = malloc(s.left + 1);
	MUST(seed != NULL);
	memcpy(seed, s.at, s.left);
	m.rng_seed = how & 32 ? NULL : seed;
	r = fdt_build(&m, &blob, &size, &err);
	if (r) {
		MUST(err.code == r && err.text[0]);
	} else {
		walk(blob, size);
		free(blob);
	}
	free(seed);
	free(bootargs);
	free(mmu);
	free(isa);
	return 0;
}
