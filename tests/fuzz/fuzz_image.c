/* SPDX-License-Identifier: MIT */
/*
 * fuzz_image.c - hostile kernel files
 *
 * The first byte chooses the RAM and whether a flat image is asked for; the
 * rest is the file: unpacked if it is gzip, planned, checked against what
 * image.h promises of a plan, written to RAM of exactly that size, and placed
 * beside an initrd and a device tree.
 */
#include "tests/fuzz/fuzz.h"

#include "vmm/boot/image.h"

#define BASE 0x80000000ull

struct target {
	const struct image_plan *plan;
	uint8_t *ram;
	uint64_t size;
};

/* image_write zeroes and copies only inside the plan's extent. */
static int write_ram(void *ctx, gpa_t gpa, const void *bytes, size_t len)
{
	struct target *t = ctx;

	MUST(gpa >= t->plan->start && gpa <= t->plan->end);
	MUST(len <= t->plan->end - gpa);
	memcpy(t->ram + (gpa - BASE), bytes, len);
	return 0;
}

static void check_plan(const struct image_plan *p, size_t len, uint64_t size)
{
	MUST(p->count >= 1 && p->count <= IMAGE_SEGMENTS_MAX);
	MUST(p->start >= BASE && p->start < p->end && p->end <= BASE + size);
	MUST(p->entry >= p->start && p->entry < p->end);
	for (unsigned i = 0; i < p->count; i++) {
		const struct image_segment *s = &p->segment[i];

		MUST(s->offset <= len && s->file_size <= len - s->offset);
		MUST(s->file_size <= s->size);
		MUST(s->gpa >= p->start && s->gpa <= p->end);
		MUST(s->size <= p->end - s->gpa);
	}
}

static void check_places(const struct image_plan *plan,
	const struct image_ram *ram, uint64_t initrd, uint64_t fdt)
{
	struct image_places at;
	struct memslot_error err;

	if (image_place(ram, plan, fdt, initrd, &at, &err))
		return;
	MUST(at.fdt % (2u << 20) == 0 && at.fdt >= plan->end);
	MUST(fdt <= ram->base + ram->size - at.fdt);
	MUST((at.initrd != 0) == (initrd != 0));
	if (!initrd)
		return;
	MUST(at.initrd % MEMSLOT_PAGE_SIZE == 0 && at.initrd >= plan->end);
	MUST(at.initrd + initrd <= at.fdt || at.initrd >= at.fdt + fdt);
	MUST(initrd <= ram->base + ram->size - at.initrd);
}

static void run_file(const struct image_file *f, bool flat, uint64_t size)
{
	struct image_ram ram = {BASE, size};
	struct memslot_error err;
	struct image_plan plan;
	struct target t = {&plan, NULL, size};
	struct image_memory memory = {ram, write_ram, &t};
	int r;

	r = image_plan(flat ? "f.bin.gz" : "f", f->bytes, f->len, flat, &ram,
		&plan, &err);
	if (r) {
		MUST(err.code == r && err.text[0]);
		return;
	}
	check_plan(&plan, f->len, size);
	t.ram = malloc(size);
	MUST(t.ram != NULL);
	MUST(image_write(&plan, f->bytes, f->len, &memory, &err) == 0);
	free(t.ram);
	check_places(&plan, &ram, f->len, 1 + f->len * 37);
	check_places(&plan, &ram, 0, 65536);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct image_file f = {NULL, 0};
	struct memslot_error err;
	int r;

	if (len < 2)
		return 0;
	f.len = len - 1;
	f.bytes = malloc(f.len);
	MUST(f.bytes != NULL);
	memcpy(f.bytes, bytes + 1, f.len);
	r = image_unpack("f", &f, &err);
	if (r)
		MUST(f.len == len - 1 && err.code == r && err.text[0]);
	/* From one page to 32 MiB. */
	run_file(&f, bytes[0] & 1, 4096ull << (bytes[0] >> 1) % 14);
	image_free(&f);
	return 0;
}
