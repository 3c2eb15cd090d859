/* SPDX-License-Identifier: MIT */
/*
 * acpi_pci.c - AML, front to back
 *
 * What encloses other objects (a scope, a device, a package, a buffer) has
 * its length before them, in a form of variable length (ACPI 6.4, 20.2.4).
 * Here it is always of three bytes, left open and filled in at the end.
 */
#include "vmm/boot/acpi_pci.h"

#include <errno.h>
#include <string.h>

#include "memslot/error.h"

/* 20.3, the opcodes that are used */
#define AML_ZERO    0x00u
#define AML_NAME    0x08u
#define AML_BYTE    0x0au
#define AML_WORD    0x0bu
#define AML_DWORD   0x0cu
#define AML_SCOPE   0x10u
#define AML_BUFFER  0x11u
#define AML_PACKAGE 0x12u
#define AML_EXT     0x5bu
#define AML_DEVICE  0x82u

/* 6.4: resource descriptors */
#define RES_IO        0x47u /* small, 7 bytes */
#define RES_END       0x79u
#define RES_FIXED_MEM 0x86u
#define RES_DWORD     0x87u
#define RES_WORD      0x88u
#define RES_QWORD     0x8au
#define RES_MEMORY    0u
#define RES_BUS       2u
#define RES_FIXED     0x0cu /* minimum and maximum are what they are */
#define RES_RW        0x01u
#define RES_PREFETCH  0x06u

struct aml {
	uint8_t *bytes;
	size_t size, used;
};

static void put(struct aml *a, unsigned size, uint64_t value)
{
	for (unsigned i = 0; i < size; i++, a->used++)
		if (a->used < a->size)
			a->bytes[a->used] = (uint8_t)(value >> 8 * i);
}

static void put_name(struct aml *a, const char *name)
{
	for (unsigned i = 0; i < 4; i++)
		put(a, 1, (uint8_t)name[i]);
}

static size_t open_length(struct aml *a)
{
	put(a, 3, 0);
	return a->used - 3;
}

/* Two more bytes follow; the length counts itself. */
static void close_length(struct aml *a, size_t at)
{
	const size_t length = a->used - at;

	if (a->used > a->size)
		return;
	a->bytes[at] = (uint8_t)(2u << 6 | (length & 15));
	a->bytes[at + 1] = (uint8_t)(length >> 4);
	a->bytes[at + 2] = (uint8_t)(length >> 12);
}

static size_t open_device(struct aml *a, const char *name)
{
	size_t at;

	put(a, 1, AML_EXT);
	put(a, 1, AML_DEVICE);
	at = open_length(a);
	put_name(a, name);
	return at;
}

static size_t open_package(struct aml *a, unsigned elements)
{
	size_t at;

	put(a, 1, AML_PACKAGE);
	at = open_length(a);
	put(a, 1, elements);
	return at;
}

static void named_dword(struct aml *a, const char *name, uint32_t value)
{
	put(a, 1, AML_NAME);
	put_name(a, name);
	put(a, 1, AML_DWORD);
	put(a, 4, value);
}

/* 19.3.4: "PNP" and four hexadecimal digits, compressed; here: the digits. */
static uint32_t pnp(unsigned digits)
{
	return 0xd041u | (digits & 0xff00) << 8 | (digits & 0xff) << 24;
}

/* ---- resources ---------------------------------------------------------------- */

/* Name (_CRS, Buffer): the buffer's own size comes first, as a word. */
static size_t open_resources(struct aml *a)
{
	size_t at;

	put(a, 1, AML_NAME);
	put_name(a, "_CRS");
	put(a, 1, AML_BUFFER);
	at = open_length(a);
	put(a, 1, AML_WORD);
	put(a, 2, 0);
	return at;
}

static void close_resources(struct aml *a, size_t at)
{
	size_t size;

	put(a, 1, RES_END);
	put(a, 1, 0); /* no checksum */
	close_length(a, at);
	if (a->used > a->size)
		return;
	size = a->used - at - 6;
	a->bytes[at + 4] = (uint8_t)size;
	a->bytes[at + 5] = (uint8_t)(size >> 8);
}

/* 6.4.3.5: an address space descriptor with numbers of `width` bytes. */
static void put_space(struct aml *a, unsigned descriptor, unsigned width,
	unsigned type, unsigned flags, uint64_t first, uint64_t size)
{
	put(a, 1, descriptor);
	put(a, 2, 3 + 5 * width);
	put(a, 1, type);
	put(a, 1, RES_FIXED);
	put(a, 1, flags);
	put(a, width, 0);                /* granularity */
	put(a, width, first);            /* minimum */
	put(a, width, first + size - 1); /* maximum */
	put(a, width, 0);                /* translation */
	put(a, width, size);
}

static void bridge_resources(struct aml *a, const struct acpi_pci *p)
{
	const size_t at = open_resources(a);

	put_space(a, RES_WORD, 2, RES_BUS, 0, 0, 1);
	put(a, 1, RES_IO);
	put(a, 1, 1); /* 16 bits are decoded */
	put(a, 2, 0xcf8);
	put(a, 2, 0xcf8);
	put(a, 1, 1);
	put(a, 1, 8);
	if (p->low_size)
		put_space(a, RES_DWORD, 4, RES_MEMORY, RES_RW, p->low,
			p->low_size);
	if (p->high_size)
		put_space(a, RES_QWORD, 8, RES_MEMORY, RES_RW | RES_PREFETCH,
			p->high, p->high_size);
	close_resources(a, at);
}

static void ecam_resources(struct aml *a, const struct acpi_pci *p)
{
	const size_t at = open_resources(a);

	put(a, 1, RES_FIXED_MEM);
	put(a, 2, 9);
	put(a, 1, 1); /* writable */
	put(a, 4, p->ecam);
	put(a, 4, 0x100000);
	close_resources(a, at);
}

/* ---- interrupts ----------------------------------------------------------------- */

/* 32 devices of 4 pins: Package { device << 16 | 0xffff, pin, 0, GSI } */
static void routing(struct aml *a, const struct acpi_pci *p)
{
	size_t all, one;

	put(a, 1, AML_NAME);
	put_name(a, "_PRT");
	all = open_package(a, 32 * 4);
	for (unsigned i = 0; i < 32 * 4; i++) {
		const unsigned device = i / 4, pin = i % 4;

		one = open_package(a, 4);
		put(a, 1, AML_DWORD);
		put(a, 4, device << 16 | 0xffff);
		put(a, 1, AML_BYTE);
		put(a, 1, pin);
		put(a, 1, AML_ZERO);
		put(a, 1, AML_BYTE);
		put(a, 1, p->irq + (device + pin) % 4);
		close_length(a, one);
	}
	close_length(a, all);
}

/* ---- all of it ------------------------------------------------------------------ */

static void scope(struct aml *a, const struct acpi_pci *p)
{
	size_t sb, device;

	put(a, 1, AML_SCOPE);
	sb = open_length(a);
	put_name(a, "_SB_");

	device = open_device(a, "PCI0");
	named_dword(a, "_HID", pnp(0x0a08));
	named_dword(a, "_CID", pnp(0x0a03));
	named_dword(a, "_SEG", 0);
	named_dword(a, "_BBN", 0);
	named_dword(a, "_UID", 0);
	bridge_resources(a, p);
	routing(a, p);
	close_length(a, device);

	device = open_device(a, "ECAM");
	named_dword(a, "_HID", pnp(0x0c02));
	named_dword(a, "_UID", 0);
	ecam_resources(a, p);
	close_length(a, device);

	close_length(a, sb);
}

int acpi_pci_aml(const struct acpi_pci *p, uint8_t *bytes, size_t size,
	struct memslot_error *err)
{
	const uint64_t limit = (uint64_t)1 << 32;
	struct aml a = {bytes, size, 0};

	if (p->low >= limit || p->low_size > limit - p->low ||
		p->ecam > limit - 0x100000 || p->irq > 252 ||
		p->high + p->high_size < p->high)
		return memslot_fail(err, -EINVAL,
			"ACPI: a PCI window of %#llx bytes at %#llx, one of "
			"%#llx at %#llx, ECAM at %#llx, interrupt %u: out of "
			"range",
			(unsigned long long)p->low_size,
			(unsigned long long)p->low,
			(unsigned long long)p->high_size,
			(unsigned long long)p->high,
			(unsigned long long)p->ecam, p->irq);
	scope(&a, p);
	if (a.used > size)
		return memslot_fail(err, -E2BIG,
			"ACPI: the PCI host bridge takes %zu bytes of %zu",
			a.used, size);
	return (int)a.used;
}
