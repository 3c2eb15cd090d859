/* SPDX-License-Identifier: MIT */
/* test_fdt.c - the device tree as a guest will read it */
#include "vmm/boot/fdt.h"

#include <errno.h>
#include <libfdt.h>
#include <stdlib.h>

#include "tests/unit/test.h"

static const struct fdt_range ram[] = {
	{0x80000000, 0x8000000},
	{0x100000000, 0x40000000},
};

static const struct fdt_machine full = {
	.ram = ram,
	.ram_count = 2,
	.harts = 3,
	.isa = "rv64imafdc_zicsr_zifencei_sstc",
	.mmu_type = "riscv,sv39",
	.timebase_hz = 10000000,
	.bootargs = "console=ttyS0 quiet",
	.initrd = {0x87000000, 0x1234},
	.rng_seed = "0123456789abcdef",
	.rng_seed_size = 16,
	.plic = {0x0c000000, 0x600000},
	.plic_sources = 31,
	.uart = {0x10000000, 0x100},
	.uart_irq = 10,
	.rtc = {0x00101000, 0x1000},
	.rtc_irq = 11,
	.syscon = {0x00100000, 0x1000},
	.syscon_poweroff = 0x5555,
	.syscon_reboot = 0x7777,
	.pci_ecam = {0x30000000, 0x100000},
	.pci_low = {0x50000000, 0x30000000},
	.pci_high = {0x10000000000, 0x1000000000},
	.pci_irq = 20,
	.slotctl = {0x00110000, 0x1000},
	.slotctl_range = {0x40000000, 0x20000000},
};

/* Does the node have this property with exactly these bytes? */
static int has(const void *blob, const char *path, const char *name,
	const void *bytes, int size)
{
	int len, node = fdt_path_offset(blob, path);
	const void *p = fdt_getprop(blob, node, name, &len);

	return p && len == size && memcmp(p, bytes, (size_t)size) == 0;
}

#define HAS_TEXT(blob, path, name, literal) \
	CHECK(has((blob), (path), (name), (literal), sizeof(literal)))

static void check_cells(const void *blob, const char *path, const char *name,
	const uint32_t *cells, unsigned count)
{
	fdt32_t big[16];

	for (unsigned i = 0; i < count; i++)
		big[i] = cpu_to_fdt32(cells[i]);
	if (!CHECK(has(blob, path, name, big, (int)(4 * count))))
		fprintf(stderr, "in %s: %s\n", path, name);
}

#define HAS_CELLS(blob, path, name, ...)                                     \
	check_cells((blob), (path), (name), (const uint32_t[]){__VA_ARGS__}, \
		sizeof((const uint32_t[]){__VA_ARGS__}) / 4)

static uint32_t phandle(const void *blob, const char *path)
{
	return fdt_get_phandle(blob, fdt_path_offset(blob, path));
}

static void check_cpus(const void *blob)
{
	uint32_t wire[3];

	HAS_CELLS(blob, "/cpus", "timebase-frequency", 10000000);
	HAS_TEXT(blob, "/cpus/cpu@2", "compatible", "riscv");
	HAS_TEXT(blob, "/cpus/cpu@2", "mmu-type", "riscv,sv39");
	HAS_TEXT(blob, "/cpus/cpu@2", "riscv,isa",
		"rv64imafdc_zicsr_zifencei_sstc");
	HAS_TEXT(blob, "/cpus/cpu@2", "riscv,isa-base", "rv64i");
	HAS_TEXT(blob, "/cpus/cpu@2", "riscv,isa-extensions",
		"i\0m\0a\0f\0d\0c\0zicsr\0zifencei\0sstc");
	HAS_CELLS(blob, "/cpus/cpu@2", "reg", 2);
	CHECK(fdt_path_offset(blob, "/cpus/cpu@3") < 0);
	HAS_TEXT(blob, "/cpus/cpu@0/interrupt-controller", "compatible",
		"riscv,cpu-intc");

	/* context n of the controller is entry n, is hart n's wire 9 */
	wire[0] = phandle(blob, "/cpus/cpu@0/interrupt-controller");
	wire[1] = phandle(blob, "/cpus/cpu@1/interrupt-controller");
	wire[2] = phandle(blob, "/cpus/cpu@2/interrupt-controller");
	CHECK(wire[0] && wire[1] && wire[2] && wire[0] != wire[1]);
	HAS_CELLS(blob, "/soc/interrupt-controller@c000000",
		"interrupts-extended", wire[0], 9, wire[1], 9, wire[2], 9);
}

static void check_pci(const void *blob)
{
	const char *pci = "/soc/pci@30000000";
	const uint32_t plic =
		phandle(blob, "/soc/interrupt-controller@c000000");
	const fdt32_t *map;
	int len = 0, node = fdt_path_offset(blob, pci);

	HAS_TEXT(blob, pci, "compatible", "pci-host-ecam-generic");
	HAS_TEXT(blob, pci, "device_type", "pci");
	HAS_CELLS(blob, pci, "reg", 0, 0x30000000, 0, 0x100000);
	HAS_CELLS(blob, pci, "bus-range", 0, 0);
	HAS_CELLS(blob, pci, "ranges", 0x02000000, 0, 0x50000000, 0, 0x50000000,
		0, 0x30000000, 0x43000000, 0x100, 0, 0x100, 0, 0x10, 0);
	HAS_CELLS(blob, pci, "interrupt-map-mask", 0x1800, 0, 0, 7);
	map = fdt_getprop(blob, node, "interrupt-map", &len);
	if (!CHECK_EQ(len, 16 * 6 * 4))
		return;
	for (uint32_t i = 0; i < 16; i++) {
		const uint32_t device = i / 4, pin = i % 4 + 1;
		const uint32_t want[] = {device << 11, 0, 0, pin, plic,
			20 + (device + pin - 1) % 4};

		for (unsigned j = 0; j < 6; j++)
			CHECK_EQ(fdt32_to_cpu(map[6 * i + j]), want[j]);
	}
}

static void check_soc(const void *blob)
{
	const char *plic = "/soc/interrupt-controller@c000000";
	const char *uart = "/soc/serial@10000000";
	const char *slotctl = "/soc/slot-controller@110000";

	HAS_CELLS(blob, plic, "reg", 0, 0x0c000000, 0, 0x600000);
	HAS_CELLS(blob, plic, "riscv,ndev", 31);
	HAS_TEXT(blob, plic, "compatible", "sifive,plic-1.0.0\0riscv,plic0");
	HAS_TEXT(blob, uart, "compatible", "ns16550a");
	HAS_CELLS(blob, uart, "interrupts", 10);
	HAS_CELLS(blob, uart, "interrupt-parent", phandle(blob, plic));
	HAS_TEXT(blob, "/soc/rtc@101000", "compatible", "google,goldfish-rtc");
	HAS_CELLS(blob, "/soc/rtc@101000", "interrupts", 11);
	HAS_TEXT(blob, "/soc/test@100000", "compatible",
		"sifive,test1\0sifive,test0\0syscon");
	HAS_TEXT(blob, "/poweroff", "compatible", "syscon-poweroff");
	HAS_CELLS(blob, "/poweroff", "value", 0x5555);
	HAS_CELLS(blob, "/poweroff", "offset", 0);
	HAS_CELLS(
		blob, "/poweroff", "regmap", phandle(blob, "/soc/test@100000"));
	HAS_TEXT(blob, "/reboot", "compatible", "syscon-reboot");
	HAS_CELLS(blob, "/reboot", "value", 0x7777);
	HAS_TEXT(blob, slotctl, "compatible", "vmm,slot-controller");
	HAS_CELLS(blob, slotctl, "reg", 0, 0x110000, 0, 0x1000);
	HAS_CELLS(blob, slotctl, "vmm,window-range", 0, 0x40000000, 0,
		0x20000000);
}

static void test_full(void)
{
	struct memslot_error err;
	const char *out = getenv("TEST_FDT_OUT"); /* a file, to look at */
	size_t size;
	void *blob;

	if (!CHECK_EQ(fdt_build(&full, &blob, &size, &err), 0))
		return;
	CHECK_EQ(fdt_check_full(blob, size), 0);
	CHECK_EQ(fdt_totalsize(blob), size);
	CHECK(size < 8192);
	HAS_TEXT(blob, "/chosen", "bootargs", "console=ttyS0 quiet");
	HAS_TEXT(blob, "/chosen", "stdout-path", "/soc/serial@10000000");
	HAS_CELLS(blob, "/chosen", "linux,initrd-start", 0, 0x87000000);
	HAS_CELLS(blob, "/chosen", "linux,initrd-end", 0, 0x87001234);
	CHECK(has(blob, "/chosen", "rng-seed", full.rng_seed, 16));
	HAS_CELLS(blob, "/memory@80000000", "reg", 0, 0x80000000, 0, 0x8000000);
	HAS_CELLS(blob, "/memory@100000000", "reg", 1, 0, 0, 0x40000000);
	check_cpus(blob);
	check_soc(blob);
	check_pci(blob);
	if (out) {
		FILE *f = fopen(out, "wb");

		CHECK(f && fwrite(blob, size, 1, f) == 1 && fclose(f) == 0);
	}
	free(blob);
}

static void test_least(void)
{
	struct fdt_machine m = {
		.ram = ram,
		.ram_count = 1,
		.harts = 1,
		.isa = "rv64i",
		.mmu_type = "riscv,sv39",
	};
	struct memslot_error err;
	size_t size;
	void *blob;

	if (!CHECK_EQ(fdt_build(&m, &blob, &size, &err), 0))
		return;
	CHECK_EQ(fdt_check_full(blob, size), 0);
	CHECK(fdt_path_offset(blob, "/soc/serial") < 0);
	CHECK(fdt_path_offset(blob, "/poweroff") < 0);
	CHECK(!fdt_getprop(
		blob, fdt_path_offset(blob, "/chosen"), "bootargs", NULL));
	free(blob);

	/* a serial port without interrupts is possible: it is polled */
	m.uart = full.uart;
	CHECK_EQ(fdt_build(&m, &blob, &size, &err), 0);
	free(blob);
	m.harts = FDT_HARTS_MAX;
	m.plic = full.plic;
	m.plic_sources = 63;
	m.uart_irq = 63;
	CHECK_EQ(fdt_build(&m, &blob, &size, &err), 0);
	free(blob);
}

static int refused(const struct fdt_machine *m, const char *text)
{
	struct memslot_error err = {0};
	size_t size;
	void *blob = NULL;
	int e = fdt_build(m, &blob, &size, &err);

	CHECK(e < 0);
	CHECK(!blob);
	CHECK_EQ(err.code, e);
	CHECK_TEXT(err.text, text);
	return e;
}

static void test_refusals(void)
{
	static const struct fdt_range empty = {0x80000000, 0};
	static char args[FDT_BOOTARGS_MAX + 1];
	static char seed[FDT_BLOB_MAX];
	static char isa[1200] = "rv64i";
	struct fdt_machine m = full;

	m.ram_count = 0;
	CHECK_EQ(refused(&m, "no RAM"), -EINVAL);
	m.ram_count = 1;
	m.ram = &empty;
	CHECK_EQ(refused(&m, "range 0 at 0x80000000 is empty"), -EINVAL);
	m = full;
	m.harts = 0;
	CHECK_EQ(refused(&m, "0 harts, possible are 1 to 64"), -EINVAL);
	m.harts = 65;
	CHECK_EQ(refused(&m, "65 harts"), -EINVAL);
	m = full;
	m.isa = "x86";
	CHECK_EQ(refused(&m, "\"x86\""), -EINVAL);
	m.isa = NULL;
	CHECK_EQ(refused(&m, "isa \"\""), -EINVAL);
	memset(isa + 5, 'm', sizeof(isa) - 6);
	m.isa = isa;
	CHECK_EQ(refused(&m, "isa \"rv64immm"), -EINVAL);
	m = full;
	m.mmu_type = NULL;
	CHECK_EQ(refused(&m, "mmu type \"\""), -EINVAL);
	m = full;
	m.uart_irq = 0;
	CHECK_EQ(refused(&m, "serial port has interrupt 0"), -EINVAL);
	m.uart_irq = 32;
	CHECK_EQ(refused(&m, "interrupt 32, the controller has 1 to 31"),
		-EINVAL);
	m = full;
	m.pci_irq = 29;
	CHECK_EQ(refused(&m, "PCI has interrupt 32"), -EINVAL);
	m = full;
	m.plic.size = 0;
	CHECK_EQ(refused(&m, "no interrupt controller"), -EINVAL);
	m = full;
	memset(args, 'x', FDT_BOOTARGS_MAX);
	m.bootargs = args;
	CHECK_EQ(refused(&m, "4096 characters, the limit is 4095"), -E2BIG);
	m = full;
	m.rng_seed = seed;
	m.rng_seed_size = sizeof(seed);
	CHECK_EQ(refused(&m, "larger than 65536 bytes"), -E2BIG);
}

static void test_isa(void)
{
	static const char *const bad[] = {"", "rv", "rv64", "rv128i", "rv64_i",
		"rv64m", "rv64i_", "rv64i__zicsr", "rv64i_Zicsr", "rv64i-m",
		"RV64I", "rv64i_zicsr "};
	static const char g[] = "i\0m\0a\0f\0d\0zicsr\0zifencei\0c";
	char list[64];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK_EQ(fdt_isa_extensions(bad[i], list, sizeof(list)),
			-EINVAL);
	CHECK_EQ(fdt_isa_extensions("rv64gc", list, sizeof(list)), sizeof(g));
	CHECK(memcmp(list, g, sizeof(g)) == 0);
	CHECK_EQ(fdt_isa_extensions("rv32im", list, 4), 4);
	CHECK_EQ(fdt_isa_extensions("rv32im", list, 3), -E2BIG);
	CHECK_EQ(fdt_isa_extensions("rv32i_zba", list, 5), -E2BIG);
	CHECK_EQ(fdt_isa_extensions("rv32i_zba", list, 0), -E2BIG);
}

int main(void)
{
	test_full();
	test_least();
	test_refusals();
	test_isa();
	return TEST_END("fdt");
}
