/* SPDX-License-Identifier: MIT */
/* test_image_plan.c - kernels as they should be, and forged */
#include "vmm/boot/image.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/unit/forge.h"
#include "tests/unit/test.h"

static const struct image_ram ram = {BASE, 16 * MIB};
static struct memslot_error err;
static struct image_plan plan;

static int plan_as(const char *name, const void *bytes, size_t len)
{
	memset(&err, 0, sizeof(err));
	return image_plan(name, bytes, len, false, &ram, &plan, &err);
}

static void test_linux(void)
{
	uint8_t b[IMAGE_LEN];

	forge_linux(b, 2 * MIB, 3 * MIB + 1);
	CHECK_EQ(plan_as("Image", b, sizeof(b)), 0);
	CHECK_EQ(plan.kind, IMAGE_LINUX);
	CHECK_EQ(plan.entry, BASE + 2 * MIB);
	CHECK_EQ(plan.start, BASE + 2 * MIB);
	CHECK_EQ(plan.end, BASE + 5 * MIB + 0x1000);
	CHECK_EQ(plan.count, 1);
	CHECK_EQ(plan.segment[0].file_size, IMAGE_LEN);

	forge_linux(b, 0, 0); /* no size: the file's */
	CHECK_EQ(plan_as("Image", b, sizeof(b)), 0);
	CHECK_EQ(plan.end, BASE + 0x1000);
	forge_linux(b, 0, 16 * MIB); /* all of RAM */
	CHECK_EQ(plan_as("Image", b, sizeof(b)), 0);
	CHECK_EQ(plan.end, BASE + 16 * MIB);

	forge_linux(b, 0, 16 * MIB + 1);
	CHECK_EQ(plan_as("Image", b, sizeof(b)), -EFBIG);
	CHECK_TEXT(err.text, "Image needs 16777217 bytes from 0x0 into RAM, "
			     "which has 16777216");
	forge_linux(b, 2 * MIB, 15 * MIB);
	CHECK_EQ(plan_as("Image", b, sizeof(b)), -EFBIG);
	forge_linux(b, UINT64_MAX, 1);
	CHECK_EQ(plan_as("Image", b, sizeof(b)), -EFBIG);
	forge_linux(b, (uint64_t)-BASE, 1);
	CHECK_EQ(plan_as("Image", b, sizeof(b)), -EFBIG);
	forge_linux(b, 2 * MIB, UINT64_MAX - 2 * MIB);
	CHECK_EQ(plan_as("Image", b, sizeof(b)), -EFBIG);
	forge_linux(b, 0x1000, 1);
	CHECK_EQ(plan_as("Image", b, sizeof(b)), -EINVAL);
	CHECK_TEXT(err.text, "at 0x80001000, which is not 2 MiB aligned");
	forge_linux(b, 0, 0);
	CHECK_EQ(plan_as("Image", b, 60), -EINVAL);
	CHECK_TEXT(err.text, "ends inside its header, after 60 of 64");
	b[24] = 1;
	CHECK_EQ(plan_as("Image", b, sizeof(b)), -ENOEXEC);
	CHECK_TEXT(err.text, "big-endian");
}

static void test_elf(void)
{
	struct elf f = forge_elf();

	CHECK_EQ(plan_as("k", &f, sizeof(f)), 0);
	CHECK_EQ(plan.kind, IMAGE_ELF);
	CHECK_EQ(plan.entry, BASE + 8);
	CHECK_EQ(plan.start, BASE);
	CHECK_EQ(plan.end, BASE + 0x5000);
	CHECK_EQ(plan.count, 2);
	CHECK_EQ(plan.segment[1].file_size, 0);
	CHECK_EQ(plan.segment[1].size, 0x1234);

	/* linked high, loaded low */
	f.p[0].p_vaddr = 0xffffffff80000000;
	f.h.e_entry = 0xffffffff80000010;
	f.h.e_type = ET_DYN;
	CHECK_EQ(plan_as("k", &f, sizeof(f)), 0);
	CHECK_EQ(plan.entry, BASE + 0x10);
}

/* One field wrong at a time. */
static void test_bad_elf(void)
{
	struct elf f;

#define BAD(change, want, says)                                \
	do {                                                   \
		f = forge_elf();                               \
		change;                                        \
		CHECK_EQ(plan_as("k", &f, sizeof(f)), (want)); \
		CHECK_TEXT(err.text, (says));                  \
		CHECK_EQ(err.code, (want));                    \
	} while (0)

	BAD(f.h.e_machine = EM_X86_64, -ENOEXEC, "for x86-64, not for RISC-V");
	BAD(f.h.e_machine = EM_AARCH64, -ENOEXEC, "for arm64");
	BAD(f.h.e_machine = 0, -ENOEXEC, "for machine 0, not for RISC-V (243)");
	BAD(f.h.e_ident[EI_CLASS] = ELFCLASS32, -ENOEXEC, "32-bit RISC-V");
	BAD(f.h.e_ident[EI_DATA] = ELFDATA2MSB, -ENOEXEC, "big-endian");
	BAD(f.h.e_type = ET_REL, -ENOEXEC, "type 1, not an executable");
	BAD(f.h.e_phnum = 0, -EINVAL, "no segment to load");
	BAD(f.h.e_phnum = 5, -EINVAL, "5 program headers of 56 bytes");
	BAD(f.h.e_phnum = 0xffff, -EINVAL, "65535 program headers");
	BAD(f.h.e_phoff = UINT64_MAX, -EINVAL, "program headers");
	BAD(f.h.e_phoff = UINT64_MAX - 100, -EINVAL, "program headers");
	BAD(f.h.e_phentsize = 55, -EINVAL, "of 55 bytes");
	BAD(f.h.e_entry = BASE + 64, -EINVAL, "entry 0x80000040 is in none");
	BAD(f.h.e_entry = 0, -EINVAL, "is in none of its 2");
	BAD(f.p[0].p_filesz = 65, -EINVAL, "program header 0: 65 bytes");
	BAD(f.p[0].p_memsz = 63, -EINVAL, "for 63 in memory");
	BAD(f.p[0].p_offset = sizeof(f), -EINVAL, "program header 0");
	BAD(f.p[0].p_offset = UINT64_MAX, -EINVAL, "program header 0");
	BAD(f.p[2].p_paddr = 0, -EFBIG,
		"needs 4660 bytes at 0x0, but RAM is "
		"[0x80000000,0x81000000)");
	BAD(f.p[2].p_paddr = BASE + 16 * MIB, -EFBIG, "4660 bytes");
	BAD(f.p[2].p_paddr = UINT64_MAX, -EFBIG, "4660 bytes");
	BAD(f.p[2].p_memsz = UINT64_MAX, -EFBIG, "but RAM is");
	BAD(f.p[2].p_memsz = 16 * MIB, -EFBIG, "but RAM is");
#undef BAD
	f = forge_elf();
	CHECK_EQ(plan_as("k", &f, 20), -EINVAL);
	CHECK_TEXT(err.text, "ends inside its ELF header, after 20 of 64");
}

static void test_many_segments(void)
{
	static uint8_t b[sizeof(Elf64_Ehdr) + 40 * sizeof(Elf64_Phdr)];
	struct elf f = forge_elf();

	f.h.e_phoff = sizeof(f.h);
	memset(&f.p[0], 0, sizeof(f.p[0]));
	f.p[0].p_type = PT_LOAD;
	f.p[0].p_paddr = BASE;
	f.p[0].p_memsz = 16;
	for (unsigned count = 31; count <= 40; count++) {
		f.h.e_phnum = (Elf64_Half)count;
		memcpy(b, &f.h, sizeof(f.h));
		for (unsigned i = 0; i < count; i++)
			memcpy(b + sizeof(f.h) + i * sizeof(f.p[0]), &f.p[0],
				sizeof(f.p[0]));
		CHECK_EQ(plan_as("k", b, sizeof(b)),
			count <= IMAGE_SEGMENTS_MAX ? 0 : -EINVAL);
	}
	CHECK_TEXT(err.text, "more than 32 segments");
}

static void test_flat(void)
{
	static const uint8_t large[16 * MIB + 1];
	uint8_t b[16] = {0x13};

	CHECK_EQ(plan_as("a.bin", b, sizeof(b)), 0);
	CHECK_EQ(plan.kind, IMAGE_FLAT);
	CHECK_EQ(plan.entry, BASE);
	CHECK_EQ(plan.end, BASE + 0x1000);
	CHECK_EQ(plan_as("a.bin.gz", b, sizeof(b)), 0);
	CHECK_EQ(plan_as("bin", b, sizeof(b)), -ENOEXEC);
	CHECK_TEXT(err.text, "neither a RISC-V Linux Image nor an ELF");
	CHECK_EQ(image_plan("x", b, sizeof(b), true, &ram, &plan, NULL), 0);
	CHECK_EQ(plan.kind, IMAGE_FLAT);
	CHECK_EQ(image_plan("x", large, 16 * MIB, true, &ram, &plan, NULL), 0);
	CHECK_EQ(image_plan("x", large, 16 * MIB + 1, true, &ram, &plan, &err),
		-EFBIG);
}

static void test_foreign(void)
{
	static const struct {
		unsigned offset;
		const char *magic, *says;
	} files[] = {
		{0x202, "HdrS", "k.bin is an x86 bzImage"},
		{56, "ARM\x64", "is an arm64 Image"},
		{0, "\x1f\x8b\x08", "gzip inside gzip"},
		{0, "\xfd\x37zXZ", "packed with xz"},
		{0, "\x28\xb5\x2f\xfd", "packed with zstd"},
		{4, "zimg", "EFI zboot"},
		{0, "070701", "is it the initrd?"},
		{0, "\xd0\x0d\xfe\xed", "a device tree, not a kernel"},
		{0, "#!/bin/sh", "is a script"},
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		uint8_t b[1024] = {0};

		memcpy(b + files[i].offset, files[i].magic,
			strlen(files[i].magic));
		CHECK_EQ(plan_as("k.bin", b, sizeof(b)), -ENOEXEC);
		CHECK_TEXT(err.text, files[i].says);
	}
}

/*
 * Every prefix, and every byte set to a few values: whatever comes out of it
 * must lie inside the file and inside RAM. The copy is as long as the file,
 * so that a sanitizer sees a read beyond.
 */
static void check_promises(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	memcpy(copy, bytes, len);
	if (plan_as("fuzz", copy, len) == 0) {
		CHECK(plan.count >= 1 && plan.count <= IMAGE_SEGMENTS_MAX);
		CHECK(plan.entry - BASE < ram.size);
		CHECK(plan.end <= BASE + ram.size && plan.start >= BASE);
		for (unsigned i = 0; i < plan.count; i++) {
			struct image_segment s = plan.segment[i];

			CHECK(s.offset <= len && s.file_size <= len - s.offset);
			CHECK(s.gpa - BASE <= ram.size &&
				s.size <= ram.size - (s.gpa - BASE));
			CHECK(s.file_size <= s.size);
		}
	} else {
		CHECK(err.code < 0 && err.text[0]);
	}
	free(copy);
}

static void test_hostile(void)
{
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
	uint8_t image[IMAGE_LEN], bytes[512];
	struct elf f = forge_elf();

	forge_linux(image, 0, IMAGE_LEN);
	for (size_t n = 0; n <= sizeof(f); n++)
		check_promises((uint8_t *)&f, n);
	for (size_t n = 0; n <= sizeof(image); n++)
		check_promises(image, n);
	for (size_t v = 0; v < sizeof(values); v++) {
		for (size_t i = 0; i < sizeof(f); i++) {
			memcpy(bytes, &f, sizeof(f));
			bytes[i] = values[v];
			check_promises(bytes, sizeof(f));
		}
		for (size_t i = 0; i < IMAGE_LEN; i++) {
			memcpy(bytes, image, IMAGE_LEN);
			bytes[i] = values[v];
			check_promises(bytes, IMAGE_LEN);
		}
	}
}

int main(void)
{
	test_linux();
	test_elf();
	test_bad_elf();
	test_many_segments();
	test_flat();
	test_foreign();
	test_hostile();
	return TEST_END("image_plan");
}
