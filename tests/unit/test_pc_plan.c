/* SPDX-License-Identifier: MIT */
/* test_pc_plan.c - guests for a PC as they should be, and forged */
#include "vmm/boot/pc.h"

#include <errno.h>

#include "tests/unit/forge_pc.h"
#include "tests/unit/test.h"

static struct pc_memory memory;
static struct memslot_error err;
static struct pc_plan plan;

static int plan_as(const char *name, const void *bytes, size_t len)
{
	memset(&err, 0, sizeof(err));
	return pc_plan(name, bytes, len, PC_FLAT_NO, &memory, &plan, &err);
}

/* Change one field of what `forge` makes: refused, by that sentence. */
#define BAD(type, forge, change, want, says)                   \
	do {                                                   \
		type f = forge();                              \
		change;                                        \
		CHECK_EQ(plan_as("k", &f, sizeof(f)), (want)); \
		CHECK_TEXT(err.text, (says));                  \
		CHECK_EQ(err.code, (want));                    \
	} while (0)

/* ---- RAM ---------------------------------------------------------------- */

static void test_ram(void)
{
	struct image_ram r[PC_RANGES_MAX];

	CHECK_EQ(pc_ram(64 << 10, 0, 0, r), 1);
	CHECK_EQ(r[0].size, 64 << 10);
	CHECK_EQ(pc_ram(MIB, 0, 0, r), 1);
	CHECK_EQ(r[0].size, 0xa0000);
	CHECK_EQ(pc_ram(3 * MIB, 0, 0, r), 2);
	CHECK_EQ(r[1].base, MIB);
	CHECK_EQ(r[1].size, 2 * MIB);
	CHECK_EQ(pc_ram(3072 * MIB, 4096 * MIB, MIB, r), 3);
	CHECK_EQ(r[2].base, 4096 * MIB);
	CHECK_EQ(r[2].size, MIB);
}

/* ---- bzImage ------------------------------------------------------------ */

static void test_bzimage(void)
{
	uint8_t b[BZ_LEN];

	forge_bzimage(b);
	CHECK_EQ(plan_as("bzImage", b, sizeof(b)), 0);
	CHECK_EQ(plan.kind, PC_BZIMAGE);
	CHECK_EQ(plan.image.entry, BZ_PREF + 0x200);
	CHECK_EQ(plan.image.start, BZ_PREF);
	CHECK_EQ(plan.image.end, BZ_PREF + BZ_INIT);
	CHECK_EQ(plan.image.segment[0].offset, BZ_SETUP);
	CHECK_EQ(plan.image.segment[0].file_size, BZ_CODE);
	CHECK_EQ(plan.initrd_max, 0x7fffffff);
	CHECK_EQ(plan.cmdline_max, 2047);
	CHECK_EQ(plan.header_size, 0x26c - 0x1f1);

	/* Relocatable, and its preferred place is not there: the lowest. */
	put_le(b + 0x258, PC_SIZE, 8);
	CHECK_EQ(plan_as("bzImage", b, sizeof(b)), 0);
	CHECK_EQ(plan.image.start, 2 * MIB);
	put_le(b + 0x230, 0x1000, 4);
	CHECK_EQ(plan_as("bzImage", b, sizeof(b)), 0);
	CHECK_EQ(plan.image.start, MIB);
	b[0x234] = 0;
	CHECK_EQ(plan_as("bzImage", b, sizeof(b)), -EFBIG);
	CHECK_TEXT(err.text, "needs 1048576 bytes at 0x1000000, but RAM is "
			     "[0,0x1000000) without [0xa0000,0x100000)");

	/* 0 sectors means 4; what is behind the kernel is ignored. */
	forge_bzimage(b);
	b[0x1f1] = 0;
	put_le(b + 0x1f4, 1, 4);
	CHECK_EQ(plan_as("bzImage", b, sizeof(b)), 0);
	CHECK_EQ(plan.image.segment[0].offset, 5 * 512);
	CHECK_EQ(plan.image.segment[0].file_size, 16);
}

static void test_bad_bzimage(void)
{
	uint8_t b[BZ_LEN];

#define BAD_BZ(offset, size, value, want, says)               \
	do {                                                  \
		forge_bzimage(b);                             \
		put_le(b + (offset), (value), (size));        \
		CHECK_EQ(plan_as("k", b, sizeof(b)), (want)); \
		CHECK_TEXT(err.text, (says));                 \
		CHECK_EQ(err.code, (want));                   \
	} while (0)

	BAD_BZ(0x206, 2, 0x20b, -ENOEXEC, "boot protocol 2.11; at least 2.12");
	BAD_BZ(0x236, 2, 0, -ENOEXEC, "32-bit x86 kernel");
	BAD_BZ(0x211, 1, 0, -ENOEXEC, "is a zImage");
	BAD_BZ(0x1f4, 4, BZ_CODE / 16 + 1, -EINVAL,
		"truncated: it has 5120 bytes of 5136");
	BAD_BZ(0x1f4, 4, UINT32_MAX, -EINVAL, "truncated");
	BAD_BZ(0x1f4, 4, 0, -EINVAL, "truncated");
	BAD_BZ(0x1f1, 1, 255, -EINVAL, "truncated");
	BAD_BZ(0x201, 1, 0x20, -EINVAL, "setup header that ends at 546");
	BAD_BZ(0x201, 1, 0xff, -EINVAL, "setup header that ends at 769");
	BAD_BZ(0x260, 4, UINT32_MAX, -EFBIG, "needs 4294967295 bytes");
	BAD_BZ(0x258, 8, UINT64_MAX, 0, "");
	forge_bzimage(b);
	put_le(b + 0x258, UINT64_MAX, 8);
	put_le(b + 0x230, 3, 4);
	CHECK_EQ(plan_as("k", b, sizeof(b)), -EINVAL);
	CHECK_TEXT(err.text, "alignment of 0x3, which is no power of two");
	put_le(b + 0x230, 0x80000000, 4);
	CHECK_EQ(plan_as("k", b, sizeof(b)), -EFBIG);

	/* Cut anywhere: never a plan, always a sentence. */
	forge_bzimage(b);
	for (size_t len = 0; len < sizeof(b); len += 1 + len / 64) {
		CHECK(plan_as("k", b, len) < 0);
		CHECK(err.text[0]);
	}
}

/* ---- ELF, PVH ----------------------------------------------------------- */

static void test_elf(void)
{
	struct elf_pc f = forge_elf_pc();

	CHECK_EQ(plan_as("vmlinux", &f, sizeof(f)), 0);
	CHECK_EQ(plan.kind, PC_PVH);
	CHECK_EQ(plan.image.entry, ELF_AT + 16);
	CHECK_EQ(plan.image.count, 2);
	CHECK_EQ(plan.image.end, ELF_AT + 0x5000);
	f.note.h.n_descsz = 4;
	CHECK_EQ(plan_as("vmlinux", &f, sizeof(f)), 0);
	CHECK_EQ(plan.kind, PC_PVH);
	CHECK_EQ(plan.image.entry, ELF_AT + 16);

	/* None of these is that note: entered in long mode. */
	f = forge_elf_pc();
	f.note.h.n_type = 17;
	CHECK_EQ(plan_as("vmlinux", &f, sizeof(f)), 0);
	CHECK_EQ(plan.kind, PC_VMLINUX);
	CHECK_EQ(plan.image.entry, ELF_AT + 8);
	f = forge_elf_pc();
	f.note.name[0] = 'G';
	CHECK_EQ(plan_as("vmlinux", &f, sizeof(f)), 0);
	CHECK_EQ(plan.kind, PC_VMLINUX);
	f = forge_elf_pc();
	f.note.h.n_descsz = 2;
	CHECK_EQ(plan_as("vmlinux", &f, sizeof(f)), 0);
	CHECK_EQ(plan.kind, PC_VMLINUX);
	f = forge_elf_pc();
	f.other.h.n_descsz = UINT32_MAX; /* the note behind it is not seen */
	CHECK_EQ(plan_as("vmlinux", &f, sizeof(f)), 0);
	CHECK_EQ(plan.kind, PC_VMLINUX);
	f = forge_elf_pc();
	f.p[2].p_offset = UINT64_MAX;
	CHECK_EQ(plan_as("vmlinux", &f, sizeof(f)), 0);
	CHECK_EQ(plan.kind, PC_VMLINUX);
}

static void test_bad_elf(void)
{
#define BAD_ELF(change, want, says) \
	BAD(struct elf_pc, forge_elf_pc, change, want, says)

	BAD_ELF(f.h.e_machine = EM_RISCV, -ENOEXEC, "for RISC-V (machine 243)");
	BAD_ELF(f.h.e_machine = EM_AARCH64, -ENOEXEC, "another CPU");
	BAD_ELF(f.h.e_ident[EI_CLASS] = 7, -ENOEXEC, "of class 7");
	BAD_ELF(f.h.e_ident[EI_DATA] = ELFDATA2MSB, -ENOEXEC, "big-endian");
	BAD_ELF(f.h.e_type = ET_REL, -ENOEXEC, "type 1, not an executable");
	BAD_ELF(f.h.e_phnum = 0, -EINVAL, "no segment to load");
	BAD_ELF(f.h.e_phnum = 0xffff, -EINVAL, "65535 program headers");
	BAD_ELF(f.h.e_phoff = UINT64_MAX, -EINVAL, "program headers");
	BAD_ELF(f.h.e_phentsize = 55, -EINVAL, "of 55 bytes");
	BAD_ELF(f.note.value = 1 << 30, -EINVAL, "entry 0x40000000 is in none");
	BAD_ELF(f.note.value = ELF_AT + 64, -EINVAL, "is in none of its 2");
	BAD_ELF((f.note.h.n_type = 1, f.h.e_entry = 0), -EINVAL,
		"entry 0x0 is in none");
	BAD_ELF(f.p[0].p_filesz = 65, -EINVAL, "program header 0: 65 bytes");
	BAD_ELF(f.p[0].p_offset = UINT64_MAX, -EINVAL, "program header 0");
	BAD_ELF(f.p[1].p_paddr = PC_SIZE, -EFBIG, "needs 4660 bytes at");
	BAD_ELF(f.p[1].p_paddr = 0x9f000, -EFBIG, "needs 4660 bytes at");
	BAD_ELF(f.p[1].p_paddr = UINT64_MAX, -EFBIG, "4660 bytes");
	BAD_ELF(f.p[1].p_memsz = UINT64_MAX, -EFBIG, "but RAM is");
	/* A note whose entry is translated to one above 4 GiB cannot be. */
	for (size_t len = 4; len < sizeof(struct elf_pc); len++) {
		struct elf_pc f = forge_elf_pc();

		CHECK(plan_as("k", &f, len) < 0);
	}
}

/* ---- Multiboot ---------------------------------------------------------- */

static void test_multiboot(void)
{
	struct elf_mb e = forge_elf_mb();
	struct flat_mb f = forge_flat_mb();

	CHECK_EQ(plan_as("k", &e, sizeof(e)), 0);
	CHECK_EQ(plan.kind, PC_MULTIBOOT);
	CHECK_EQ(plan.image.entry, MIB + 32);
	CHECK_EQ(plan.image.end, MIB + 0x2000);
	CHECK_EQ(plan.header_offset, offsetof(struct elf_mb, header));

	CHECK_EQ(plan_as("k", &f, sizeof(f)), 0);
	CHECK_EQ(plan.kind, PC_MULTIBOOT);
	CHECK_EQ(plan.image.entry, 0x100030);
	CHECK_EQ(plan.image.segment[0].offset, 16);
	CHECK_EQ(plan.image.segment[0].file_size, 112);
	CHECK_EQ(plan.image.segment[0].size, 0x2000);
	f.load_end = f.bss_end = 0; /* all of the file, nothing to clear */
	CHECK_EQ(plan_as("k", &f, sizeof(f)), 0);
	CHECK_EQ(plan.image.segment[0].size, 112);

	/* An ELF file that gives addresses is not read as ELF. */
	e.header[1] = 0x10003;
	e.header[2] = -(0x1badb002 + 0x10003);
	e.header[3] = e.header[4] = 0x200000;
	e.header[5] = 0x200060;
	e.header[7] = 0x200020;
	e.p[0].p_paddr = UINT32_MAX;
	CHECK_EQ(plan_as("k", &e, sizeof(e)), 0);
	CHECK_EQ(plan.image.start, 0x200000);

	/* The sum must be 0, else it is not a header. */
	f = forge_flat_mb();
	f.sum++;
	CHECK_EQ(plan_as("k", &f, sizeof(f)), -ENOEXEC);
	CHECK_TEXT(err.text, "neither a bzImage nor an ELF or Multiboot");
	e = forge_elf_mb();
	e.header[2]++;
	CHECK_EQ(plan_as("k", &e, sizeof(e)), -ENOEXEC);
	CHECK_TEXT(err.text, "32-bit ELF file with neither a PVH note nor");
}

static void test_bad_multiboot(void)
{
#define BAD_MB(change, want, says) \
	BAD(struct flat_mb, forge_flat_mb, (change, sum_mb(&f)), want, says)

	BAD_MB(f.flags = 0x10004, -ENOEXEC, "wants a video mode");
	BAD_MB(f.flags = 0x18000, -ENOEXEC, "flags 0x8000 mean");
	BAD_MB(f.flags = 0, -ENOEXEC, "without addresses, and is not an ELF");
	BAD_MB(f.load = f.header + 1, -EINVAL, "header at offset 32 says");
	BAD_MB(f.header = f.load + 33, -EINVAL, "header at offset 32 says");
	BAD_MB(f.load_end = f.load, -EINVAL, "ends at 0x100000");
	BAD_MB(f.load_end = 1, -EINVAL, "ends at 0x1");
	BAD_MB(f.load_end = f.load + 113, -EINVAL,
		"truncated: 128 bytes of 129");
	BAD_MB(f.bss_end = f.load_end - 1, -EINVAL, "memory ends at 0x10006f");
	BAD_MB(f.bss_end = 1, -EINVAL, "memory ends at 0x1");
	BAD_MB(f.bss_end = UINT32_MAX, -EFBIG, "but RAM is");
	BAD_MB((f.header = f.load = 0xb8000, f.load_end = 0), -EFBIG,
		"bytes at 0xb8000, but");
	BAD_MB(f.entry = f.load - 1, -EINVAL, "entry 0xfffff is not in");
	BAD_MB(f.entry = f.bss_end, -EINVAL, "entry 0x102000 is not in");
	BAD(struct elf_mb, forge_elf_mb, f.p[0].p_filesz = 97, -EINVAL, "97");

	struct flat_mb f = forge_flat_mb();

	CHECK_EQ(plan_as("k", &f, 32 + 31), -EINVAL);
	CHECK_TEXT(err.text, "ends inside its Multiboot header");
	CHECK_EQ(plan_as("k", &f, 32 + 11), -ENOEXEC);
}

/* Found up to the end of the first 8 KiB, at multiples of 4 only. */
static void test_multiboot_place(void)
{
	static uint8_t b[10000];
	struct flat_mb f = forge_flat_mb();

	f.header = f.load + 0x2000;
	f.load_end = f.bss_end = 0;
	for (size_t at = 8170; at < 8192; at++) {
		memset(b, 0, sizeof(b));
		memcpy(b + at, &f.magic, 32);
		CHECK_EQ(plan_as("k", b, sizeof(b)) == -ENOEXEC,
			at % 4 != 0 || at > 8192 - 12);
	}
}

/* ---- flat, and others --------------------------------------------------- */

static void test_flat(void)
{
	static uint8_t b[0xa0000 - 0x7c00 + 1];

	CHECK_EQ(plan_as("k.bin", b, sizeof(b) - 1), 0);
	CHECK_EQ(plan.kind, PC_REAL);
	CHECK_EQ(plan.image.entry, 0x7c00);
	CHECK_EQ(plan_as("k.bin", b, sizeof(b)), -EFBIG);
	CHECK_EQ(plan_as("k", b, 100), -ENOEXEC);
	CHECK_TEXT(err.text, "must be named *.bin, or --flat given");
	CHECK_EQ(pc_plan("k", b, 100, PC_FLAT_REAL, &memory, &plan, &err), 0);
	CHECK_EQ(plan.image.entry, 0x7c00);
	CHECK_EQ(pc_plan("k", b, sizeof(b), PC_FLAT_LONG, &memory, &plan, &err),
		0);
	CHECK_EQ(plan.kind, PC_LONG);
	CHECK_EQ(plan.image.entry, MIB);
	CHECK_EQ(pc_plan("k", b, PC_SIZE - MIB + 1, PC_FLAT_LONG, &memory,
			 &plan, &err),
		-EFBIG);
	memcpy(b, "\x28\xb5\x2f\xfd", 4);
	CHECK_EQ(plan_as("k.bin", b, 100), -ENOEXEC);
	CHECK_TEXT(err.text, "is packed with zstd");
	memcpy(b + 56, "RSC\x05", 4);
	CHECK_EQ(plan_as("k", b, 100), -ENOEXEC);
	CHECK_TEXT(err.text, "a RISC-V Image, which wants the embedded CPU");
}

/* ---- whose is it? ------------------------------------------------------- */

static enum image_arch arch_of(const void *bytes, size_t len)
{
	const struct image_file f = {(uint8_t *)(uintptr_t)bytes, len};

	return image_arch(&f);
}

static void test_arch(void)
{
	uint8_t b[BZ_LEN], r[IMAGE_LEN];
	struct elf_pc e = forge_elf_pc();
	struct flat_mb f = forge_flat_mb();

	forge_bzimage(b);
	forge_linux(r, 0, 0);
	CHECK_EQ(arch_of(b, sizeof(b)), IMAGE_ARCH_X86_64);
	CHECK_EQ(arch_of(b, 0x205), IMAGE_ARCH_UNKNOWN);
	CHECK_EQ(arch_of(r, sizeof(r)), IMAGE_ARCH_RISCV64);
	CHECK_EQ(arch_of(&e, sizeof(e)), IMAGE_ARCH_X86_64);
	e.h.e_machine = EM_RISCV;
	CHECK_EQ(arch_of(&e, sizeof(e)), IMAGE_ARCH_RISCV64);
	e.h.e_machine = EM_SPARC;
	CHECK_EQ(arch_of(&e, sizeof(e)), IMAGE_ARCH_UNKNOWN);
	CHECK_EQ(arch_of(&f, sizeof(f)), IMAGE_ARCH_X86_64);
	CHECK_EQ(arch_of("", 0), IMAGE_ARCH_UNKNOWN);
}

int main(void)
{
	memory = forge_memory();
	test_ram();
	test_bzimage();
	test_bad_bzimage();
	test_elf();
	test_bad_elf();
	test_multiboot();
	test_bad_multiboot();
	test_multiboot_place();
	test_flat();
	test_arch();
	return TEST_END("pc-plan");
}
