/* SPDX-License-Identifier: MIT */
/*
 * test_pc_load.c - what a PC's guest finds in its memory
 *
 * For each kind of guest: the bytes it was given are where its structures
 * say, nothing overlaps anything, and the registers point at them.
 */
#include "vmm/boot/pc.h"

#include <errno.h>
#include <unistd.h>

#include "tests/unit/forge_pc.h"
#include "tests/unit/test.h"

#define CMDLINE "console=ttyS0 quiet"

static struct pc_memory memory;
static struct memslot_error err;
static struct pc_plan plan;
static struct pc_start start;
static uint8_t initrd[10000];

/* Load with the command line and so many modules; 0 or the error. */
static int load(const void *bytes, size_t len, enum pc_flat flat,
	const char *cmdline, unsigned modules)
{
	const struct image_file kernel = {(uint8_t *)(uintptr_t)bytes, len};
	struct pc_module module[PC_MODULES_MAX + 1];
	const struct pc_guest g = {.name = "kernel",
		.kernel = &kernel,
		.plan = &plan,
		.cmdline = cmdline,
		.module = module,
		.modules = modules};

	for (unsigned i = 0; i < modules; i++)
		module[i] = (struct pc_module){
			{initrd + i, sizeof(initrd) - i}, "module one two"};
	memset(pc_bytes, 0xee, sizeof(pc_bytes));
	CHECK_EQ(pc_plan("k", bytes, len, flat, &memory, &plan, &err), 0);
	return pc_load(&g, &memory, &start, &err);
}

/* What is not in the plan is where nothing of the plan is. */
static void check_apart(gpa_t at, uint64_t size)
{
	CHECK(at >= 0x1000);
	CHECK(at + size <= 0xa0000 || at >= 0x100000);
	CHECK(at + size <= PC_SIZE);
	for (unsigned i = 0; i < plan.image.count; i++) {
		const struct image_segment *s = &plan.image.segment[i];

		CHECK(at + size <= s->gpa || at >= s->gpa + s->size);
	}
}

static void check_paging(void)
{
	gpa_t pdpt = get_le(start.cr3, 8) & ~0xfffull;

	CHECK_EQ(get_le(start.cr3, 8) & 0xfff, 7);
	CHECK_EQ(get_le(start.cr3 + 8, 8), 0);
	for (uint64_t i = 0; i < 4; i++) {
		gpa_t pd = get_le(pdpt + 8 * i, 8) & ~0xfffull;

		check_apart(pd, 0x1000);
		for (uint64_t n = 0; n < 512; n += 73)
			CHECK_EQ(get_le(pd + 8 * n, 8),
				(i << 30 | n << 21) + 0x87);
	}
	CHECK_EQ(get_le(pdpt + 32, 8), 0);
	check_apart(start.cr3, 0x1000);
}

static void check_gdt(uint64_t code)
{
	CHECK_EQ(start.gdt_limit, 47);
	CHECK_EQ(get_le(start.gdt, 8), 0);
	CHECK_EQ(get_le(start.gdt + 0x10, 8), code);
	CHECK_EQ(get_le(start.gdt + 0x18, 8), 0x00cf93000000ffff);
	check_apart(start.gdt, 48);
}

static void check_initrd(gpa_t at)
{
	check_apart(at, sizeof(initrd));
	CHECK_EQ(at % 4096, 0);
	CHECK(memcmp(pc_bytes + at, initrd, sizeof(initrd)) == 0);
}

/* ---- Linux -------------------------------------------------------------- */

static void check_e820(gpa_t params)
{
	CHECK_EQ(get_le(params + 0x1e8, 1), 3);
	CHECK_EQ(get_le(params + 0x2d0, 8), 0);
	CHECK_EQ(get_le(params + 0x2d8, 8), 0xa0000);
	CHECK_EQ(get_le(params + 0x2e0, 4), 1);
	CHECK_EQ(get_le(params + 0x2e4, 8), 0xa0000);
	CHECK_EQ(get_le(params + 0x2f4, 4), 2);
	CHECK_EQ(get_le(params + 0x2f8, 8), MIB);
	CHECK_EQ(get_le(params + 0x300, 8), PC_SIZE - MIB);
	CHECK_EQ(get_le(params + 0x308, 4), 1);
}

static void check_params(void)
{
	gpa_t p = start.rsi, cmdline = get_le(p + 0x228, 4);

	CHECK_EQ(start.mode, PC_MODE_LONG);
	check_gdt(0x00af9b000000ffff);
	check_paging();
	check_apart(p, 4096);
	check_e820(p);
	CHECK_EQ(get_le(p + 0x70, 8), 0xf0000);
	CHECK_EQ(get_le(p + 0x1fe, 2), 0xaa55);
	CHECK_EQ(get_le(p + 0x202, 4), 0x53726448);
	CHECK_EQ(get_le(p + 0x210, 1), 0xff);
	CHECK_EQ(get_le(p + 0x211, 1) & 0x41, 0x41);
	check_apart(cmdline, sizeof(CMDLINE));
	CHECK_TEXT((char *)pc_bytes + cmdline, CMDLINE);
	check_initrd(get_le(p + 0x218, 4));
	CHECK_EQ(get_le(p + 0x21c, 4), sizeof(initrd));
}

static void test_linux(void)
{
	static char text[2049];
	uint8_t b[BZ_LEN];
	struct elf_pc f = forge_elf_pc();

	forge_bzimage(b);
	CHECK_EQ(load(b, sizeof(b), PC_FLAT_NO, CMDLINE, 1), 0);
	check_params();
	CHECK_EQ(start.rip, BZ_PREF + 0x200);
	CHECK(memcmp(pc_bytes + BZ_PREF, b + BZ_SETUP, BZ_CODE) == 0);
	CHECK_EQ(get_le(start.rsi + 0x258, 8), BZ_PREF); /* its own header */
	CHECK_EQ(get_le(start.rsi + 0x26c, 1), 0);       /* and no more */

	/* As high as the kernel allows, above all that it clears. */
	CHECK_EQ(get_le(start.rsi + 0x218, 4), PC_SIZE - 0x3000);
	put_le(b + 0x22c, 0x5fffff, 4);
	CHECK_EQ(load(b, sizeof(b), PC_FLAT_NO, NULL, 1), 0);
	CHECK_EQ(get_le(start.rsi + 0x218, 4), 0x600000 - 0x3000);
	CHECK_EQ(get_le(start.rsi + 0x228, 4), 0); /* no command line */
	put_le(b + 0x22c, 0x300fff, 4); /* the kernel is there: below it */
	CHECK_EQ(load(b, sizeof(b), PC_FLAT_NO, NULL, 1), 0);
	CHECK_EQ(get_le(start.rsi + 0x218, 4), BZ_PREF - 0x3000);
	put_le(b + 0x22c, 0x2000, 4);
	CHECK_EQ(load(b, sizeof(b), PC_FLAT_NO, NULL, 1), -EFBIG);
	CHECK_TEXT(err.text, "initrd: no 10000 bytes are free below 0x2001");
	forge_bzimage(b);
	CHECK_EQ(load(b, sizeof(b), PC_FLAT_NO, NULL, 2), -EINVAL);
	CHECK_TEXT(err.text, "initrd: 2 of them; this guest takes 1");

	memset(text, 'x', sizeof(text) - 1);
	CHECK_EQ(load(b, sizeof(b), PC_FLAT_NO, text, 0), -E2BIG);
	CHECK_TEXT(err.text, "--append: 2048 characters; this kernel takes at "
			     "most 2047");
	text[2047] = '\0';
	CHECK_EQ(load(b, sizeof(b), PC_FLAT_NO, text, 0), 0);

	f.note.h.n_type = 0;
	CHECK_EQ(load(&f, sizeof(f), PC_FLAT_NO, CMDLINE, 1), 0);
	check_params();
	CHECK_EQ(start.rip, ELF_AT + 8);
	CHECK(memcmp(pc_bytes + ELF_AT, f.text, 64) == 0);
}

/* ---- PVH ---------------------------------------------------------------- */

static void test_pvh(void)
{
	struct elf_pc f = forge_elf_pc();
	gpa_t i, module, map;

	CHECK_EQ(load(&f, sizeof(f), PC_FLAT_NO, CMDLINE, 1), 0);
	CHECK_EQ(start.mode, PC_MODE_PROTECTED);
	CHECK_EQ(start.rip, ELF_AT + 16);
	CHECK_EQ(start.cr3, 0);
	check_gdt(0x00cf9b000000ffff);
	i = start.rbx;
	check_apart(i, 4096);
	CHECK_EQ(get_le(i, 4), 0x336ec578);
	CHECK_EQ(get_le(i + 4, 4), 1);
	CHECK_EQ(get_le(i + 12, 4), 1);
	module = get_le(i + 16, 8);
	check_initrd(get_le(module, 8));
	CHECK_EQ(get_le(module + 8, 8), sizeof(initrd));
	CHECK_TEXT((char *)pc_bytes + get_le(i + 24, 8), CMDLINE);
	CHECK_EQ(get_le(i + 32, 8), 0xf0000);
	CHECK_EQ(get_le(i + 48, 4), 3);
	map = get_le(i + 40, 8);
	CHECK_EQ(get_le(map + 8, 8), 0xa0000);
	CHECK_EQ(get_le(map + 24 + 16, 4), 2);
	CHECK_EQ(get_le(map + 48, 8), MIB);

	CHECK_EQ(load(&f, sizeof(f), PC_FLAT_NO, NULL, 0), 0);
	CHECK_EQ(get_le(start.rbx + 12, 4), 0);
	CHECK_EQ(get_le(start.rbx + 16, 8), 0);
	CHECK_EQ(get_le(start.rbx + 24, 8), 0);
}

/* ---- Multiboot ---------------------------------------------------------- */

static void check_mbi(unsigned modules)
{
	gpa_t i = start.rbx, list = get_le(i + 24, 4), map = get_le(i + 48, 4);

	CHECK_EQ(start.mode, PC_MODE_PROTECTED);
	CHECK_EQ(start.rax, 0x2badb002);
	check_apart(i, 1024);
	CHECK_EQ(get_le(i, 4), 0x24d);
	CHECK_EQ(get_le(i + 4, 4), 640);
	CHECK_EQ(get_le(i + 8, 4), (PC_SIZE - MIB) >> 10);
	CHECK_TEXT((char *)pc_bytes + get_le(i + 16, 4), "kernel " CMDLINE);
	check_apart(get_le(i + 16, 4), sizeof("kernel " CMDLINE));
	CHECK_EQ(get_le(i + 20, 4), modules);
	for (unsigned n = 0; n < modules; n++, list += 16) {
		gpa_t at = get_le(list, 4);

		check_apart(at, sizeof(initrd) - n);
		CHECK_EQ(at % 4096, 0);
		CHECK_EQ(get_le(list + 4, 4), at + sizeof(initrd) - n);
		CHECK(memcmp(pc_bytes + at, initrd + n, sizeof(initrd) - n) ==
			0);
		CHECK_TEXT((char *)pc_bytes + get_le(list + 8, 4),
			"module one two");
		CHECK_EQ(get_le(list + 12, 4), 0);
	}
	CHECK_EQ(get_le(i + 44, 4), 3 * 24);
	CHECK_EQ(get_le(map, 4), 20);
	CHECK_EQ(get_le(map + 12, 8), 0xa0000);
	CHECK_EQ(get_le(map + 48 + 4, 8), MIB);
	CHECK_EQ(get_le(map + 48 + 20, 4), 1);
	CHECK_TEXT((char *)pc_bytes + get_le(i + 64, 4), "vmm");
}

/* A guest that occupies low memory: its structures go elsewhere. */
static void test_multiboot(void)
{
	struct elf_mb e = forge_elf_mb();
	struct flat_mb f = forge_flat_mb();

	CHECK_EQ(load(&e, sizeof(e), PC_FLAT_NO, CMDLINE, 3), 0);
	CHECK_EQ(start.rip, MIB + 32);
	check_mbi(3);
	CHECK_EQ(load(&e, sizeof(e), PC_FLAT_NO, CMDLINE, PC_MODULES_MAX), 0);
	check_mbi(PC_MODULES_MAX);
	CHECK_EQ(load(&e, sizeof(e), PC_FLAT_NO, CMDLINE, PC_MODULES_MAX + 1),
		-EINVAL);
	CHECK_EQ(load(&f, sizeof(f), PC_FLAT_NO, CMDLINE, 0), 0);
	check_mbi(0);
	CHECK_EQ(get_le(0x100000 + 112, 1), 0); /* cleared up to bss_end */
	CHECK_EQ(get_le(0x101fff, 1), 0);
	CHECK_EQ(get_le(0x102000, 1), 0xee);

	f.header = 0x1010;
	f.load = 0x1000;
	f.load_end = 0x1000 + 112;
	f.bss_end = 0xa0000;
	f.entry = 0x1030;
	CHECK_EQ(load(&f, sizeof(f), PC_FLAT_NO, CMDLINE, 2), 0);
	check_mbi(2);
	f.load = f.header = 0x100000;
	f.load_end = 0;
	f.bss_end = PC_SIZE;
	f.entry = 0x100020;
	CHECK_EQ(load(&f, sizeof(f), PC_FLAT_NO, CMDLINE, 2), 0);
	check_mbi(2); /* all below the hole */
	f.before[0] = 0;
	f.bss_end = PC_SIZE;
	memory.ram[0].size = 0x2000;
	CHECK_EQ(load(&f, sizeof(f), PC_FLAT_NO, CMDLINE, 0), -EFBIG);
	CHECK_TEXT(err.text, "bytes are free below 0x100000000: give it more");
	memory = forge_memory();
}

/* ---- flat --------------------------------------------------------------- */

static void test_flat(void)
{
	CHECK_EQ(load("\xf4\xf4", 2, PC_FLAT_REAL, NULL, 0), 0);
	CHECK_EQ(start.mode, PC_MODE_REAL);
	CHECK_EQ(start.rip, 0x7c00);
	CHECK_EQ(get_le(0x7c00, 2), 0xf4f4);
	CHECK_EQ(load("\xf4\xf4", 2, PC_FLAT_LONG, NULL, 0), 0);
	CHECK_EQ(start.mode, PC_MODE_LONG);
	CHECK_EQ(start.rip, MIB);
	CHECK_EQ(start.rsp, 0xa0000);
	check_gdt(0x00af9b000000ffff);
	CHECK_EQ(get_le(start.gdt + 0x20, 8), 0x00cff3000000ffff);
	CHECK_EQ(get_le(start.gdt + 0x28, 8), 0x00affb000000ffff);
	check_paging();
	CHECK_EQ(load("\xf4", 1, PC_FLAT_LONG, NULL, 1), -EINVAL);
	CHECK_TEXT(err.text, "initrd: a flat binary is told of none");
	CHECK_EQ(load("\xf4", 1, PC_FLAT_REAL, CMDLINE, 0), -EINVAL);
	CHECK_TEXT(err.text, "--append: a flat binary is told of none");
}

/* ---- more than 3 GiB ---------------------------------------------------- */

/* The machine's bytes are only imagined: what is written high is dropped. */
static int write_low(void *ctx, gpa_t gpa, const void *bytes, size_t len)
{
	return gpa < PC_SIZE ? pc_write_bytes(ctx, gpa, bytes, len) : 0;
}

static void test_high(void)
{
	uint8_t b[BZ_LEN];
	gpa_t p;

	memory.rams = pc_ram(3072 * MIB, 4096 * MIB, 1024 * MIB, memory.ram);
	memory.ecam = (struct image_ram){0xe0000000, 0x10000000};
	memory.write = write_low;
	forge_bzimage(b);
	put_le(b + 0x22c, UINT32_MAX, 4);
	CHECK_EQ(load(b, sizeof(b), PC_FLAT_NO, NULL, 1), 0);
	p = start.rsi;
	CHECK_EQ(get_le(p + 0x218, 4), 3072 * MIB - 0x3000);
	CHECK_EQ(get_le(p + 0x1e8, 1), 5);
	CHECK_EQ(get_le(p + 0x300, 8), 3071 * MIB);
	CHECK_EQ(get_le(p + 0x30c, 8), 0xe0000000);
	CHECK_EQ(get_le(p + 0x31c, 4), 2);
	CHECK_EQ(get_le(p + 0x320, 8), 4096 * MIB);
	CHECK_EQ(get_le(p + 0x328, 8), 1024 * MIB);
	memory = forge_memory();
}

/* ---- modules from files ------------------------------------------------- */

static void test_modules(void)
{
	char dir[] = "/tmp/test_pc.XXXXXX", one[64], text[256];
	struct pc_modules m;
	FILE *f;

	if (!CHECK(mkdtemp(dir) != NULL))
		return;
	snprintf(one, sizeof(one), "%s/one", dir);
	f = fopen(one, "w");
	CHECK(f && fputs("1", f) >= 0 && fclose(f) == 0);
	snprintf(text, sizeof(text), "%s a b,%s", one, one);
	CHECK_EQ(pc_read_modules(text, true, &m, &err), 0);
	CHECK_EQ(m.count, 2);
	CHECK_TEXT(m.module[0].text, "/one a b");
	CHECK_EQ(m.module[0].file.len, 1);
	CHECK(!strchr(m.module[1].text, ' '));
	pc_free_modules(&m);
	CHECK_EQ(pc_read_modules(text, false, &m, &err), -ENOENT);
	CHECK_TEXT(err.text, "initrd: there is no file");
	CHECK_EQ(pc_read_modules(one, false, &m, &err), 0);
	pc_free_modules(&m);
	snprintf(text, sizeof(text), "%s,,%s", one, one);
	CHECK_EQ(pc_read_modules(text, true, &m, &err), -ENOENT);
	CHECK_EQ(pc_read_modules("", true, &m, &err), -ENOENT);
	CHECK_TEXT(err.text, "module: there is no file");
	unlink(one);
	rmdir(dir);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(initrd); i++)
		initrd[i] = (uint8_t)(i * i >> 3);
	memory = forge_memory();
	test_linux();
	test_pvh();
	test_multiboot();
	test_flat();
	test_high();
	test_modules();
	return TEST_END("pc-load");
}
