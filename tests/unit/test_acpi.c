/* SPDX-License-Identifier: MIT */
/*
 * test_acpi.c - the tables of the x86-64 machine
 *
 * With a folder as argument, each table is also written there, for iasl.
 */
#include "vmm/boot/acpi.h"

#include <errno.h>

#include "devices/acpipm.h"
#include "tests/unit/test.h"

#define BASE 0xf0000u

static const struct acpi_machine four = {
	.cpus = 4,
	.lapic = 0xfee00000,
	.ioapic = 0xfec00000,
	.pm_port = 0x600,
	.sci = 9,
	.ecam = 0xe0000000,
	.buses = 1,
};
static uint8_t bytes[65536];
static struct memslot_error err;
static size_t used;

static uint64_t get(size_t at, unsigned size)
{
	uint64_t v = 0;

	while (size-- > 0)
		v = v << 8 | bytes[at + size];
	return v;
}

static unsigned sum(size_t at, size_t size)
{
	uint8_t s = 0;

	while (size-- > 0)
		s = (uint8_t)(s + bytes[at++]);
	return s;
}

/* Where a table is; a header that is as it must be. */
static size_t table_at(uint64_t gpa, const char *signature)
{
	size_t at = (size_t)(gpa - BASE);

	if (!CHECK(gpa >= BASE && at + 36 <= used))
		return 0;
	CHECK(memcmp(bytes + at, signature, 4) == 0);
	CHECK(at + get(at + 4, 4) <= used);
	CHECK_EQ(sum(at, get(at + 4, 4)), 0);
	return at;
}

static void write_table(const char *dir, size_t at)
{
	char path[256];
	FILE *f;

	if (!dir)
		return;
	snprintf(path, sizeof(path), "%s/%.4s.dat", dir, (char *)bytes + at);
	f = fopen(path, "w");
	CHECK(f && fwrite(bytes + at, get(at + 4, 4), 1, f) == 1);
	CHECK(f && fclose(f) == 0);
}

static void check_fadt(size_t at, const char *dir)
{
	size_t dsdt = table_at(get(at + 40, 4), "DSDT");
	size_t facs = (size_t)(get(at + 36, 4) - BASE);

	CHECK_EQ(get(at + 4, 4), 244);
	CHECK_EQ(get(at + 132, 8), get(at + 36, 4));
	CHECK_EQ(get(at + 140, 8), get(at + 40, 4));
	CHECK(memcmp(bytes + facs, "FACS", 4) == 0);
	CHECK_EQ(get(facs + 4, 4), 64);
	CHECK_EQ((facs + BASE) % 64, 0);
	CHECK_EQ(get(at + 46, 2), 9);
	CHECK_EQ(get(at + 48, 4), 0);
	CHECK_EQ(get(at + 56, 4), 0x600);
	CHECK_EQ(get(at + 64, 4), 0x604);
	CHECK_EQ(get(at + 88, 1), 4);
	CHECK_EQ(get(at + 89, 1), 2);
	CHECK_EQ(get(at + 108, 1), 0x32);
	CHECK_EQ(get(at + 109, 2) & 2, 0); /* no i8042 to be probed */
	CHECK_EQ(get(at + 112, 4) >> 10 & 1, 1);
	CHECK_EQ(get(at + 116, 1), 1);
	CHECK_EQ(get(at + 120, 8), 0x608);
	CHECK_EQ(get(at + 128, 1), ACPIPM_RESET);
	CHECK_EQ(get(at + 152, 8), 0x600);
	CHECK_EQ(get(at + 176, 8), 0x604);
	CHECK(memcmp(bytes + dsdt + 36,
		      "\x08_S5_\x12\x08\x04\x0a\x05\x0a\x05\0\0", 14) == 0);
	write_table(dir, at);
	write_table(dir, dsdt);
}

static void check_madt(size_t at, const char *dir)
{
	size_t end = at + get(at + 4, 4);
	unsigned cpus = 0, ioapics = 0, overrides = 0;

	CHECK_EQ(get(at + 36, 4), 0xfee00000);
	write_table(dir, at);
	for (at += 44; at < end && get(at + 1, 1); at += get(at + 1, 1)) {
		switch (get(at, 1)) {
		case 0:
			CHECK_EQ(get(at + 3, 1), cpus++);
			CHECK_EQ(get(at + 4, 4), 1);
			break;
		case 1:
			ioapics++;
			CHECK_EQ(get(at + 4, 4), 0xfec00000);
			CHECK_EQ(get(at + 8, 4), 0);
			break;
		case 2:
			overrides++;
			CHECK_EQ(get(at + 3, 1), 9);
			CHECK_EQ(get(at + 4, 4), 9);
			CHECK_EQ(get(at + 8, 2), 0xd);
			break;
		}
	}
	CHECK_EQ(at, end);
	CHECK_EQ(cpus, 4);
	CHECK_EQ(ioapics, 1);
	CHECK_EQ(overrides, 1);
}

static void test_tables(const char *dir)
{
	size_t xsdt;

	CHECK_EQ(acpi_build(&four, BASE, bytes, sizeof(bytes), &used, &err), 0);
	CHECK(memcmp(bytes, "RSD PTR ", 8) == 0);
	CHECK_EQ(sum(0, 20), 0);
	CHECK_EQ(sum(0, 36), 0);
	CHECK_EQ(get(20, 4), 36);
	xsdt = table_at(get(24, 8), "XSDT");
	CHECK_EQ(get(xsdt + 4, 4), 36 + 3 * 8);
	check_fadt(table_at(get(xsdt + 36, 8), "FACP"), dir);
	check_madt(table_at(get(xsdt + 44, 8), "APIC"), dir);
	write_table(dir, xsdt);
	xsdt = table_at(get(xsdt + 52, 8), "MCFG");
	CHECK_EQ(get(xsdt + 4, 4), 60);
	CHECK_EQ(get(xsdt + 44, 8), 0xe0000000);
	CHECK_EQ(get(xsdt + 55, 1), 0);
	write_table(dir, xsdt);
}

static void test_more_aml(void)
{
	struct acpi_machine m = four;
	size_t xsdt, dsdt;

	m.ecam = 0;
	m.aml = (const uint8_t *)"\xa3\xa3";
	m.aml_size = 2;
	CHECK_EQ(acpi_build(&m, BASE, bytes, sizeof(bytes), &used, &err), 0);
	xsdt = table_at(get(24, 8), "XSDT");
	CHECK_EQ(get(xsdt + 4, 4), 36 + 2 * 8);
	dsdt = table_at(
		get(table_at(get(xsdt + 36, 8), "FACP") + 40, 4), "DSDT");
	CHECK_EQ(get(dsdt + 4, 4), 36 + 14 + 2);
	CHECK_EQ(get(dsdt + 36 + 14, 2), 0xa3a3);
}

static void test_errors(void)
{
	struct acpi_machine m = four;

	/* What does not fit is refused, and nothing is written behind it. */
	CHECK_EQ(acpi_build(&m, BASE, bytes, sizeof(bytes), &used, &err), 0);
	for (size_t size = 0; size < used; size++) {
		size_t u = 0;

		memset(bytes, 0xee, sizeof(bytes));
		CHECK_EQ(acpi_build(&m, BASE, bytes, size, &u, &err), -E2BIG);
		CHECK_EQ(bytes[size], 0xee);
	}
	CHECK_EQ(acpi_build(&m, BASE, bytes, used, &used, &err), 0);
	m.cpus = 0;
	CHECK_EQ(acpi_build(&m, BASE, bytes, sizeof(bytes), &used, &err),
		-EINVAL);
	CHECK_TEXT(err.text, "0 CPUs; 1 to 255");
	m = four;
	m.buses = 257;
	CHECK_EQ(acpi_build(&m, BASE, bytes, sizeof(bytes), &used, &err),
		-EINVAL);
	CHECK_EQ(acpi_build(&four, 8, bytes, sizeof(bytes), &used, &err),
		-EINVAL);
	CHECK_EQ(acpi_build(&four, UINT32_MAX & ~63u, bytes, sizeof(bytes),
			 &used, &err),
		-EINVAL);
	CHECK_TEXT(err.text, "tables cannot be at 0xffffffc0");
}

int main(int argc, char **argv)
{
	test_tables(argc > 1 ? argv[1] : NULL);
	test_more_aml();
	test_errors();
	return TEST_END("acpi");
}
