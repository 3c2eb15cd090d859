/* SPDX-License-Identifier: MIT */
/*
 * fuzz_pc.c - hostile guests for a PC
 *
 * The first byte chooses the RAM, the second the kind of flat file, whether
 * there is a command line, and how many modules; the rest is the file. It is
 * planned, checked against what pc.h promises of a plan, and loaded into RAM
 * of exactly that size; nothing is written outside of it, and nothing of the
 * kernel is overwritten.
 */
#include "tests/fuzz/fuzz.h"

#include "vmm/boot/pc.h"

struct target {
	const struct pc_plan *plan;
	uint8_t *ram;
	uint64_t size;
	uint64_t left; /* bytes of the kernel, which comes first */
};

static bool in_ram(uint64_t size, gpa_t gpa, uint64_t len)
{
	if (gpa < 0xa0000)
		return len <= 0xa0000 - gpa && gpa + len <= size;
	return gpa >= 0x100000 && gpa <= size && len <= size - gpa;
}

static int write_ram(void *ctx, gpa_t gpa, const void *bytes, size_t len)
{
	struct target *t = ctx;
	const struct image_plan *p = &t->plan->image;

	MUST(in_ram(t->size, gpa, len));
	memcpy(t->ram + gpa, bytes, len);
	if (t->left) {
		MUST(len <= t->left);
		t->left -= len;
		return 0;
	}
	for (unsigned i = 0; i < p->count; i++)
		MUST(gpa + len <= p->segment[i].gpa ||
			gpa >= p->segment[i].gpa + p->segment[i].size);
	return 0;
}

static void check_plan(const struct pc_plan *p, size_t len, uint64_t size)
{
	const struct image_plan *im = &p->image;
	bool inside = false;

	MUST(im->count >= 1 && im->count <= IMAGE_SEGMENTS_MAX);
	MUST(p->cmdline_max <= PC_CMDLINE_MAX);
	for (unsigned i = 0; i < im->count; i++) {
		const struct image_segment *s = &im->segment[i];

		MUST(s->offset <= len && s->file_size <= len - s->offset);
		MUST(s->file_size <= s->size);
		MUST(in_ram(size, s->gpa, s->size));
		MUST(s->gpa >= im->start && s->gpa + s->size <= im->end);
		inside |= im->entry - s->gpa < s->size;
	}
	/* A bzImage's entry may be beyond its bytes, but not its memory. */
	MUST(inside || (p->kind == PC_BZIMAGE && im->entry < im->end + 0x200));
	if (p->kind == PC_PVH || p->kind == PC_MULTIBOOT)
		MUST(im->entry <= UINT32_MAX);
}

static void load(const struct pc_plan *plan, const struct image_file *f,
	const struct pc_memory *memory, unsigned modules, const char *cmdline)
{
	static uint8_t bytes[5000];
	struct pc_module module[PC_MODULES_MAX];
	const struct pc_guest g = {
		.name = "f",
		.kernel = f,
		.plan = plan,
		.cmdline = cmdline,
		.module = module,
		.modules = modules,
	};
	struct memslot_error err = {0};
	struct pc_start start;

	for (unsigned i = 0; i < modules; i++)
		module[i] = (struct pc_module){{bytes, 1 + 300 * i}, "m"};
	if (pc_load(&g, memory, &start, &err)) {
		MUST(err.code < 0 && err.text[0]);
		return;
	}
	MUST(start.rip == plan->image.entry);
	MUST((start.mode == PC_MODE_LONG) == (start.cr3 != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct target t = {0};
	struct pc_memory memory = {.write = write_ram, .ctx = &t};
	struct image_file f;
	struct memslot_error err = {0};
	struct pc_plan plan;
	int r;

	if (len < 3)
		return 0;
	t.size = (uint64_t)1 << 20 << bytes[0] % 6;
	memory.rams = pc_ram(t.size, 0, 0, memory.ram);
	f.len = len - 2;
	f.bytes = malloc(f.len);
	MUST(f.bytes != NULL);
	memcpy(f.bytes, bytes + 2, f.len);
	(void)image_arch(&f);
	r = pc_plan("f", f.bytes, f.len, bytes[1] % 3, &memory, &plan, &err);
	if (r) {
		MUST(err.code == r && err.text[0]);
	} else {
		check_plan(&plan, f.len, t.size);
		t.plan = &plan;
		for (unsigned i = 0; i < plan.image.count; i++)
			t.left += plan.image.segment[i].size;
		t.ram = malloc(t.size);
		MUST(t.ram != NULL);
		load(&plan, &f, &memory, (bytes[1] >> 2) % PC_MODULES_MAX,
			bytes[1] & 0x80 ? "one two" : NULL);
		free(t.ram);
	}
	free(f.bytes);
	return 0;
}
