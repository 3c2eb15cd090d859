/* SPDX-License-Identifier: MIT */
/*
 * test_acpi_pci.c - the host bridge in the DSDT
 *
 * With a folder as argument, a DSDT that has it is written there, for iasl:
 * tests/system/acpi.sh. What it means is checked there too.
 */
#include "vmm/boot/acpi_pci.h"

#include <errno.h>

#include "tests/unit/test.h"
#include "vmm/boot/acpi.h"

static const struct acpi_pci bridge = {
	.ecam = 0xe0000000,
	.low = 0xd0000000,
	.low_size = 0x10000000,
	.high = 0x100000000000,
	.high_size = 0x1000000000,
	.irq = 16,
};
static uint8_t aml[ACPI_PCI_AML_MAX], tables[65536];
static struct memslot_error err;

/* The length that follows an opcode must end where its contents end. */
static size_t length_at(size_t at)
{
	CHECK_EQ(aml[at] >> 6, 2);
	return (size_t)(aml[at] & 15) | (size_t)aml[at + 1] << 4 |
	       (size_t)aml[at + 2] << 12;
}

static void test_lengths(void)
{
	const int used = acpi_pci_aml(&bridge, aml, sizeof(aml), &err);
	const uint8_t *device;

	if (!CHECK(used > 0))
		return;
	CHECK_EQ(aml[0], 0x10);
	CHECK_EQ(1 + length_at(1), (unsigned)used);
	CHECK(memcmp(aml + 4, "_SB_", 4) == 0);
	CHECK(memcmp(aml + 8, "\x5b\x82", 2) == 0);
	CHECK(memcmp(aml + 13, "PCI0", 4) == 0);
	device = aml + 10 + length_at(10);
	CHECK(memcmp(device, "\x5b\x82", 2) == 0);
	CHECK(memcmp(device + 5, "ECAM", 4) == 0);
	CHECK_EQ((size_t)(device + 2 - aml) +
			 length_at((size_t)(device + 2 - aml)),
		(unsigned)used);
	/* The compressed names. */
	CHECK(memcmp(aml + 17, "\x08_HID\x0c\x41\xd0\x0a\x08", 10) == 0);
	CHECK(memcmp(aml + 27, "\x08_CID\x0c\x41\xd0\x0a\x03", 10) == 0);
}

static void test_errors(void)
{
	const int used = acpi_pci_aml(&bridge, aml, sizeof(aml), &err);
	struct acpi_pci p = bridge;

	for (int size = 0; size < used; size++) {
		memset(aml, 0xee, sizeof(aml));
		CHECK_EQ(
			acpi_pci_aml(&bridge, aml, (size_t)size, &err), -E2BIG);
		CHECK_EQ(aml[size], 0xee);
	}
	CHECK_EQ(acpi_pci_aml(&bridge, aml, (size_t)used, &err), used);
	p.low = 0x100000000;
	CHECK_EQ(acpi_pci_aml(&p, aml, sizeof(aml), &err), -EINVAL);
	p = bridge;
	p.low_size = 0x30000001;
	CHECK_EQ(acpi_pci_aml(&p, aml, sizeof(aml), &err), -EINVAL);
	p = bridge;
	p.high_size = UINT64_MAX;
	CHECK_EQ(acpi_pci_aml(&p, aml, sizeof(aml), &err), -EINVAL);
	p = bridge;
	p.irq = 253;
	CHECK_EQ(acpi_pci_aml(&p, aml, sizeof(aml), &err), -EINVAL);
	CHECK_TEXT(err.text, "interrupt 253: out of range");
}

static void write_dsdt(const char *dir)
{
	const int size = acpi_pci_aml(&bridge, aml, sizeof(aml), &err);
	const struct acpi_machine m = {
		.cpus = 1,
		.ecam = bridge.ecam,
		.buses = 1,
		.pm_port = 0x600,
		.aml = aml,
		.aml_size = (size_t)size,
	};
	char path[256];
	size_t used, at;
	uint32_t length;
	FILE *f;

	CHECK_EQ(acpi_build(&m, 0xf0000, tables, sizeof(tables), &used, &err),
		0);
	for (at = 0; at + 36 < used; at += 16)
		if (memcmp(tables + at, "DSDT", 4) == 0)
			break;
	memcpy(&length, tables + at + 4, 4);
	CHECK(at + length <= used);
	snprintf(path, sizeof(path), "%s/PCI.dat", dir);
	f = fopen(path, "w");
	CHECK(f && fwrite(tables + at, length, 1, f) == 1);
	CHECK(f && fclose(f) == 0);
}

int main(int argc, char **argv)
{
	test_lengths();
	test_errors();
	if (argc > 1)
		write_dsdt(argv[1]);
	return TEST_END("acpi_pci");
}
