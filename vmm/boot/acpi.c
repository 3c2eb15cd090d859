/* SPDX-License-Identifier: MIT */
/*
 * acpi.c - tables, one after the other
 *
 * A table is begun, filled by fields of known size, and ended, which writes
 * its length and checksum. Section numbers are those of ACPI 6.4.
 */
#include "vmm/boot/acpi.h"

#include <errno.h>
#include <string.h>

#include "devices/acpipm.h"
#include "memslot/error.h"

#define HEADER_SIZE 36u
#define RSDP_SIZE   36u
#define FADT_SIZE   244u
#define FACS_SIZE   64u
#define FACS_ALIGN  64u

/* FADT, 5.2.9: fixed feature flags */
#define WBINVD          (1u << 0)
#define PROC_C1         (1u << 2)
#define NO_POWER_BUTTON (1u << 4)
#define NO_SLEEP_BUTTON (1u << 5)
#define NO_FIXED_RTC    (1u << 6)
#define RESET_REG_SUP   (1u << 10)
/* and IA-PC boot architecture flags: no 8042 to be probed for, no VGA */
#define LEGACY_DEVICES (1u << 0)
#define NO_VGA         (1u << 2)

/* MADT, 5.2.12 */
#define PCAT_COMPAT   1u
#define ENABLED       1u
#define LEVEL_HIGH    0x0du
#define ALL_CPUS      0xffu
#define MADT_LAPIC    0u
#define MADT_IOAPIC   1u
#define MADT_OVERRIDE 2u
#define MADT_NMI      4u

#define SPACE_IO 1u

/*
 * DefinitionBlock ("", "DSDT", 2, "VMM   ", "VMM     ", 1)
 * {
 *	Name (_S5, Package () { 5, 5, 0, 0 })
 * }
 */
static const uint8_t s5[] = {
	0x08, '_', 'S', '5', '_', /* NameOp, NameSeg */
	0x12, 0x08, 0x04,         /* PackageOp, PkgLength 8, 4 elements */
	0x0a, ACPIPM_S5,          /* BytePrefix: SLP_TYPa */
	0x0a, ACPIPM_S5,          /* SLP_TYPb */
	0x00, 0x00,               /* ZeroOp: reserved */
};

/* A buffer that is written front to back; full is noticed at the end. */
struct out {
	uint8_t *bytes;
	size_t size, used;
	gpa_t base;
	size_t table; /* where the current one begins */
};

static void put(struct out *o, unsigned size, uint64_t value)
{
	for (unsigned i = 0; i < size; i++, o->used++)
		if (o->used < o->size)
			o->bytes[o->used] = (uint8_t)(value >> 8 * i);
}

static void put_text(struct out *o, const char *text, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		put(o, 1, (uint8_t)text[i]);
}

static void zeroes(struct out *o, unsigned size)
{
	while (size--)
		put(o, 1, 0);
}

static void align(struct out *o, unsigned to)
{
	zeroes(o, (unsigned)(-o->used & (to - 1)));
}

static void set(struct out *o, size_t at, unsigned size, uint64_t value)
{
	for (unsigned i = 0; i < size; i++)
		if (at + i < o->size)
			o->bytes[at + i] = (uint8_t)(value >> 8 * i);
}

/* What makes the bytes [from, to) sum up to 0, in the byte at `at`. */
static void checksum(struct out *o, size_t from, size_t to, size_t at)
{
	uint8_t sum = 0;

	for (size_t i = from; i < to && i < o->size; i++)
		sum = (uint8_t)(sum + o->bytes[i]);
	set(o, at, 1, (uint8_t)-sum);
}

/* 5.2.6: length and checksum come with the end. */
static gpa_t begin(struct out *o, const char *signature, unsigned revision)
{
	align(o, 16);
	o->table = o->used;
	put_text(o, signature, 4);
	put(o, 4, 0);
	put(o, 1, revision);
	put(o, 1, 0);
	put_text(o, "VMM   ", 6);
	put_text(o, "VMM     ", 8);
	put(o, 4, 1);
	put_text(o, "VMM ", 4);
	put(o, 4, 1);
	return o->base + o->table;
}

static void end(struct out *o)
{
	set(o, o->table + 4, 4, o->used - o->table);
	checksum(o, o->table, o->used, o->table + 9);
}

/* ---- the tables ------------------------------------------------------- */

static gpa_t dsdt(struct out *o, const struct acpi_machine *m)
{
	gpa_t at = begin(o, "DSDT", 2);

	for (size_t i = 0; i < sizeof(s5); i++)
		put(o, 1, s5[i]);
	for (size_t i = 0; i < m->aml_size; i++)
		put(o, 1, m->aml[i]);
	end(o);
	return at;
}

/* 5.2.10: no header, no checksum; nobody waits for the global lock. */
static gpa_t facs(struct out *o)
{
	gpa_t at;

	align(o, FACS_ALIGN);
	at = o->base + o->used;
	put_text(o, "FACS", 4);
	put(o, 4, FACS_SIZE);
	zeroes(o, 24);
	put(o, 1, 2); /* version */
	zeroes(o, FACS_SIZE - 33);
	return at;
}

/* 5.2.3.2: a register in port space; bits 0: there is none. */
static void port(struct out *o, unsigned bits, unsigned number)
{
	put(o, 1, bits ? SPACE_IO : 0);
	put(o, 1, bits);
	put(o, 1, 0);
	put(o, 1, bits / 8 < 3 ? bits / 8 : 3); /* access size: 1, 2, 4 bytes */
	put(o, 8, number);
}

static gpa_t fadt(struct out *o, const struct acpi_machine *m, gpa_t facs_at,
	gpa_t dsdt_at)
{
	const unsigned event = m->pm_port + ACPIPM_EVENT;
	const unsigned control = m->pm_port + ACPIPM_CONTROL;
	gpa_t at = begin(o, "FACP", 4);
	size_t start = o->table;

	put(o, 4, facs_at);
	put(o, 4, dsdt_at);
	put(o, 1, 0);
	put(o, 1, 0); /* preferred profile: unspecified */
	put(o, 2, m->sci);
	zeroes(o, 8); /* SMI_CMD 0: always in ACPI mode */
	put(o, 4, event);
	put(o, 4, 0);
	put(o, 4, control);
	zeroes(o, 20); /* PM1b, PM2, timer, general purpose events: none */
	put(o, 1, 4);  /* length of PM1a's event block */
	put(o, 1, 2);  /* of its control block */
	zeroes(o, 6);
	put(o, 2, 0xffff); /* no C2 */
	put(o, 2, 0xffff); /* no C3 */
	zeroes(o, 8);
	put(o, 1, 0x32); /* century, in CMOS */
	put(o, 2, LEGACY_DEVICES | NO_VGA);
	put(o, 1, 0);
	put(o, 4,
		WBINVD | PROC_C1 | NO_POWER_BUTTON | NO_SLEEP_BUTTON |
			NO_FIXED_RTC | RESET_REG_SUP);
	port(o, 8, m->pm_port + ACPIPM_RESET_REG);
	put(o, 1, ACPIPM_RESET);
	zeroes(o, 3);
	put(o, 8, facs_at);
	put(o, 8, dsdt_at);
	port(o, 32, event);
	port(o, 0, 0);
	port(o, 16, control);
	while (o->used < start + FADT_SIZE)
		port(o, 0, 0);
	end(o);
	return at;
}

static gpa_t madt(struct out *o, const struct acpi_machine *m)
{
	gpa_t at = begin(o, "APIC", 4);

	put(o, 4, m->lapic);
	put(o, 4, PCAT_COMPAT);
	for (unsigned i = 0; i < m->cpus; i++) {
		put(o, 1, MADT_LAPIC);
		put(o, 1, 8);
		put(o, 1, i); /* processor uid */
		put(o, 1, i); /* APIC id */
		put(o, 4, ENABLED);
	}
	put(o, 1, MADT_IOAPIC);
	put(o, 1, 12);
	put(o, 2, 0); /* its id, and reserved */
	put(o, 4, m->ioapic);
	put(o, 4, 0); /* its first interrupt */
	put(o, 1, MADT_OVERRIDE);
	put(o, 1, 10);
	put(o, 1, 0); /* of ISA */
	put(o, 1, m->sci);
	put(o, 4, m->sci);
	put(o, 2, LEVEL_HIGH);
	put(o, 1, MADT_NMI);
	put(o, 1, 6);
	put(o, 1, ALL_CPUS);
	put(o, 2, 0);
	put(o, 1, 1); /* LINT1 */
	end(o);
	return at;
}

/* PCI Firmware Specification 3.0, 4.1.2 */
static gpa_t mcfg(struct out *o, const struct acpi_machine *m)
{
	gpa_t at = begin(o, "MCFG", 1);

	zeroes(o, 8);
	put(o, 8, m->ecam);
	put(o, 2, 0); /* segment */
	put(o, 1, 0); /* first bus */
	put(o, 1, m->buses - 1);
	zeroes(o, 4);
	end(o);
	return at;
}

/* 5.2.5.3, at the very start; two checksums. */
static void rsdp(struct out *o, gpa_t xsdt_at)
{
	struct out at = {o->bytes, o->size, 0, 0, 0};

	put_text(&at, "RSD PTR ", 8);
	put(&at, 1, 0);
	put_text(&at, "VMM   ", 6);
	put(&at, 1, 2); /* revision */
	put(&at, 4, 0); /* no RSDT */
	put(&at, 4, RSDP_SIZE);
	put(&at, 8, xsdt_at);
	zeroes(&at, 4);
	checksum(&at, 0, 20, 8);
	checksum(&at, 0, RSDP_SIZE, 32);
}

int acpi_build(const struct acpi_machine *m, gpa_t base, uint8_t *bytes,
	size_t size, size_t *used, struct memslot_error *err)
{
	struct out o = {bytes, size, 0, base, 0};
	gpa_t table[3], facs_at, dsdt_at;
	unsigned tables = 0;

	if (m->cpus < 1 || m->cpus > ACPI_CPUS_MAX)
		return memslot_fail(err, -EINVAL,
			"ACPI: %u CPUs; 1 to %u are possible", m->cpus,
			ACPI_CPUS_MAX);
	if (m->ecam && (m->buses < 1 || m->buses > 256))
		return memslot_fail(err, -EINVAL,
			"ACPI: %u PCI buses; 1 to 256 are possible", m->buses);
	if (base % FACS_ALIGN || base + size < base || base + size > UINT32_MAX)
		return memslot_fail(err, -EINVAL,
			"ACPI: tables cannot be at %#llx",
			(unsigned long long)base);
	zeroes(&o, RSDP_SIZE);
	facs_at = facs(&o);
	dsdt_at = dsdt(&o, m);
	table[tables++] = fadt(&o, m, facs_at, dsdt_at);
	table[tables++] = madt(&o, m);
	if (m->ecam)
		table[tables++] = mcfg(&o, m);
	rsdp(&o, begin(&o, "XSDT", 1));
	for (unsigned i = 0; i < tables; i++)
		put(&o, 8, table[i]);
	end(&o);
	if (o.used > size)
		return memslot_fail(err, -E2BIG,
			"ACPI: tables of %zu bytes do not fit in %zu", o.used,
			size);
	*used = o.used;
	return 0;
}
