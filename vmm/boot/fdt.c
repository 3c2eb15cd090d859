/* SPDX-License-Identifier: MIT */
/*
 * fdt.c - write the device tree from its first byte to its last
 *
 * libfdt's sequential-write functions fill one buffer of FDT_BLOB_MAX bytes.
 * Each of them can fail, and all for the same reason, a full buffer: the
 * first error is kept in `struct tree_writer`, later calls do nothing, and
 * fdt_build() looks at the end. Nodes therefore read like the tree itself.
 */
#include "vmm/boot/fdt.h"

#include <errno.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#include "memslot/error.h"
#include "vmm/boot/fdt_writer.h"

/* Interrupt 9 of a hart is its supervisor external interrupt. */
#define FDT_S_EXTERNAL 9u

/* Phandles; harts' interrupt controllers are FDT_HART_PHANDLE + hart. */
enum fdt_phandle {
	FDT_PLIC_PHANDLE = 1,
	FDT_SYSCON_PHANDLE = 2,
	FDT_HART_PHANDLE = 16,
};

#define FDT_UART_CLOCK_HZ 3686400u

static void fdt_chosen(struct tree_writer *w, const struct fdt_machine *m)
{
	tree_open(w, "chosen");
	if (m->bootargs)
		tree_text(w, "bootargs", m->bootargs);
	if (m->uart.size)
		tree_textf(w, "stdout-path", "/soc/serial@%llx",
			(unsigned long long)m->uart.gpa);
	if (m->initrd.size) {
		tree_u64(w, "linux,initrd-start", m->initrd.gpa);
		tree_u64(w, "linux,initrd-end", m->initrd.gpa + m->initrd.size);
	}
	if (m->rng_seed)
		tree_bytes(w, "rng-seed", m->rng_seed, m->rng_seed_size);
	tree_close(w);
}

static void fdt_memory(struct tree_writer *w, const struct fdt_machine *m)
{
	for (unsigned i = 0; i < m->ram_count; i++) {
		tree_open_at(w, "memory", m->ram[i].gpa);
		tree_text(w, "device_type", "memory");
		tree_reg(w, "reg", &m->ram[i]);
		tree_close(w);
	}
}

static void fdt_isa(struct tree_writer *w, const struct fdt_machine *m)
{
	char base[] = "rv64i", list[1024];
	int len = fdt_isa_extensions(m->isa, list, sizeof(list));

	if (len < 0) {
		tree_broken(w, len);
		return;
	}
	memcpy(base, m->isa, 4);
	tree_text(w, "riscv,isa", m->isa);
	tree_text(w, "riscv,isa-base", base);
	tree_bytes(w, "riscv,isa-extensions", list, (size_t)len);
}

static void fdt_block(struct tree_writer *w, const char *name, uint32_t size)
{
	if (size)
		tree_u32(w, name, size);
}

static void fdt_hart(
	struct tree_writer *w, const struct fdt_machine *m, unsigned hart)
{
	tree_open_at(w, "cpu", hart);
	tree_text(w, "device_type", "cpu");
	tree_u32(w, "reg", hart);
	tree_text(w, "status", "okay");
	tree_text(w, "compatible", "riscv");
	fdt_isa(w, m);
	tree_text(w, "mmu-type", m->mmu_type);
	fdt_block(w, "riscv,cbom-block-size", m->cbom_block);
	fdt_block(w, "riscv,cbop-block-size", m->cbop_block);
	fdt_block(w, "riscv,cboz-block-size", m->cboz_block);
	tree_open(w, "interrupt-controller");
	tree_u32(w, "#interrupt-cells", 1);
	tree_bytes(w, "interrupt-controller", NULL, 0);
	tree_text(w, "compatible", "riscv,cpu-intc");
	tree_u32(w, "phandle", FDT_HART_PHANDLE + hart);
	tree_close(w);
	tree_close(w);
}

static void fdt_cpus(struct tree_writer *w, const struct fdt_machine *m)
{
	tree_open(w, "cpus");
	tree_u32(w, "#address-cells", 1);
	tree_u32(w, "#size-cells", 0);
	tree_u32(w, "timebase-frequency", m->timebase_hz);
	for (unsigned i = 0; i < m->harts; i++)
		fdt_hart(w, m, i);
	tree_close(w);
}

static void fdt_plic(struct tree_writer *w, const struct fdt_machine *m)
{
	uint32_t wires[2 * FDT_HARTS_MAX];

	for (unsigned i = 0; i < m->harts; i++) {
		wires[2 * i] = FDT_HART_PHANDLE + i;
		wires[2 * i + 1] = FDT_S_EXTERNAL;
	}
	tree_open_at(w, "interrupt-controller", m->plic.gpa);
	tree_texts(w, "compatible", "sifive,plic-1.0.0\0riscv,plic0");
	tree_reg(w, "reg", &m->plic);
	tree_u32(w, "#address-cells", 0);
	tree_u32(w, "#interrupt-cells", 1);
	tree_bytes(w, "interrupt-controller", NULL, 0);
	tree_u32s(w, "interrupts-extended", wires, 2 * m->harts);
	tree_u32(w, "riscv,ndev", m->plic_sources);
	tree_u32(w, "phandle", FDT_PLIC_PHANDLE);
	tree_close(w);
}

static void fdt_interrupt(struct tree_writer *w, unsigned irq)
{
	tree_u32(w, "interrupt-parent", FDT_PLIC_PHANDLE);
	tree_u32(w, "interrupts", irq);
}

static void fdt_uart(struct tree_writer *w, const struct fdt_machine *m)
{
	tree_open_at(w, "serial", m->uart.gpa);
	tree_text(w, "compatible", "ns16550a");
	tree_reg(w, "reg", &m->uart);
	tree_u32(w, "clock-frequency",
		m->uart_clock_hz ? m->uart_clock_hz : FDT_UART_CLOCK_HZ);
	if (m->plic.size)
		fdt_interrupt(w, m->uart_irq);
	tree_close(w);
}

static void fdt_rtc(struct tree_writer *w, const struct fdt_machine *m)
{
	tree_open_at(w, "rtc", m->rtc.gpa);
	tree_text(w, "compatible", "google,goldfish-rtc");
	tree_reg(w, "reg", &m->rtc);
	fdt_interrupt(w, m->rtc_irq);
	tree_close(w);
}

static void fdt_syscon(struct tree_writer *w, const struct fdt_machine *m)
{
	tree_open_at(w, "test", m->syscon.gpa);
	tree_texts(w, "compatible", "sifive,test1\0sifive,test0\0syscon");
	tree_reg(w, "reg", &m->syscon);
	tree_u32(w, "phandle", FDT_SYSCON_PHANDLE);
	tree_close(w);
}

/* `how` is "poweroff" or "reboot"; the driver's store is value at offset 0. */
static void fdt_syscon_use(
	struct tree_writer *w, const char *how, uint32_t value)
{
	tree_open(w, how);
	tree_textf(w, "compatible", "syscon-%s", how);
	tree_u32(w, "regmap", FDT_SYSCON_PHANDLE);
	tree_u32(w, "offset", 0);
	tree_u32(w, "value", value);
	tree_close(w);
}

/*
 * One entry per device number modulo 4 and pin: the mask keeps those bits of
 * the device number (11 and 12 of the first cell). The parent has no address.
 */
static void fdt_pci_interrupts(
	struct tree_writer *w, const struct fdt_machine *m)
{
	static const uint32_t mask[] = {3u << 11, 0, 0, 7};
	uint32_t map[16 * 6], *p = map;

	for (unsigned d = 0; d < 4; d++) {
		for (unsigned pin = 1; pin <= 4; pin++) {
			*p++ = d << 11;
			*p++ = 0;
			*p++ = 0;
			*p++ = pin;
			*p++ = FDT_PLIC_PHANDLE;
			*p++ = m->pci_irq + (d + pin - 1) % 4;
		}
	}
	tree_u32(w, "#interrupt-cells", 1);
	tree_u32s(w, "interrupt-map-mask", mask, 4);
	tree_u32s(w, "interrupt-map", map, 16 * 6);
}

/*
 * `space`: 0x02 memory below 4 GiB, 0x43 prefetchable memory anywhere. Only
 * of the latter may there be more than 4 GiB.
 */
static uint32_t *fdt_pci_range(
	uint32_t *p, uint32_t space, const struct fdt_range *r)
{
	const uint64_t cells[] = {r->gpa, r->gpa, r->size};

	if (!r->size)
		return p;
	*p++ = space << 24;
	for (unsigned i = 0; i < 3; i++) {
		*p++ = (uint32_t)(cells[i] >> 32);
		*p++ = (uint32_t)cells[i];
	}
	return p;
}

static void fdt_pci(struct tree_writer *w, const struct fdt_machine *m)
{
	static const uint32_t one_bus[] = {0, 0};
	uint32_t ranges[2 * 7], *end = ranges;

	end = fdt_pci_range(end, 0x02, &m->pci_low);
	end = fdt_pci_range(end, 0x43, &m->pci_high);
	tree_open_at(w, "pci", m->pci_ecam.gpa);
	tree_text(w, "compatible", "pci-host-ecam-generic");
	tree_text(w, "device_type", "pci");
	tree_reg(w, "reg", &m->pci_ecam);
	tree_u32(w, "#address-cells", 3);
	tree_u32(w, "#size-cells", 2);
	tree_u32s(w, "bus-range", one_bus, 2);
	tree_u32s(w, "ranges", ranges, (unsigned)(end - ranges));
	tree_bytes(w, "dma-coherent", NULL, 0);
	if (m->plic.size)
		fdt_pci_interrupts(w, m);
	tree_close(w);
}

static void fdt_slotctl(struct tree_writer *w, const struct fdt_machine *m)
{
	tree_open_at(w, "slot-controller", m->slotctl.gpa);
	tree_text(w, "compatible", "vmm,slot-controller");
	tree_reg(w, "reg", &m->slotctl);
	tree_reg(w, "vmm,window-range", &m->slotctl_range);
	tree_close(w);
}

static void fdt_soc(struct tree_writer *w, const struct fdt_machine *m)
{
	tree_open(w, "soc");
	tree_text(w, "compatible", "simple-bus");
	tree_u32(w, "#address-cells", 2);
	tree_u32(w, "#size-cells", 2);
	tree_bytes(w, "ranges", NULL, 0);
	if (m->plic.size)
		fdt_plic(w, m);
	if (m->uart.size)
		fdt_uart(w, m);
	if (m->rtc.size)
		fdt_rtc(w, m);
	if (m->syscon.size)
		fdt_syscon(w, m);
	if (m->pci_ecam.size)
		fdt_pci(w, m);
	if (m->slotctl.size)
		fdt_slotctl(w, m);
	tree_close(w);
}

static void fdt_root(struct tree_writer *w, const struct fdt_machine *m)
{
	tree_open(w, "");
	tree_u32(w, "#address-cells", 2);
	tree_u32(w, "#size-cells", 2);
	tree_text(w, "compatible", "vmm,machine");
	tree_text(w, "model", "vmm,machine");
	fdt_chosen(w, m);
	fdt_memory(w, m);
	fdt_cpus(w, m);
	if (m->syscon.size) {
		fdt_syscon_use(w, "poweroff", m->syscon_poweroff);
		fdt_syscon_use(w, "reboot", m->syscon_reboot);
	}
	fdt_soc(w, m);
	tree_close(w);
}

/* ---- what can be wrong with a description ------------------------------ */

static int fdt_check_irq(const struct fdt_machine *m, const char *name,
	unsigned irq, struct memslot_error *err)
{
	if (irq >= 1 && irq <= m->plic_sources)
		return 0;
	return memslot_fail(err, -EINVAL,
		"device tree: %s has interrupt %u, the controller has 1 to %u",
		name, irq, m->plic_sources);
}

static int fdt_check_devices(
	const struct fdt_machine *m, struct memslot_error *err)
{
	int e = 0;

	if (m->rtc.size && !m->plic.size)
		return memslot_fail(err, -EINVAL,
			"device tree: the clock has an interrupt, but there "
			"is no interrupt controller");
	if (m->uart.size && m->plic.size)
		e = fdt_check_irq(m, "the serial port", m->uart_irq, err);
	if (!e && m->rtc.size)
		e = fdt_check_irq(m, "the clock", m->rtc_irq, err);
	for (unsigned i = 0; !e && m->pci_ecam.size && m->plic.size && i < 4;
		i++)
		e = fdt_check_irq(m, "PCI", m->pci_irq + i, err);
	return e;
}

static int fdt_check(const struct fdt_machine *m, struct memslot_error *err)
{
	char list[1024];

	if (m->ram_count == 0)
		return memslot_fail(err, -EINVAL, "device tree: no RAM");
	for (unsigned i = 0; i < m->ram_count; i++)
		if (m->ram[i].size == 0)
			return memslot_fail(err, -EINVAL,
				"device tree: RAM range %u at %#llx is empty",
				i, (unsigned long long)m->ram[i].gpa);
	if (m->harts < 1 || m->harts > FDT_HARTS_MAX)
		return memslot_fail(err, -EINVAL,
			"device tree: %u harts, possible are 1 to %u", m->harts,
			FDT_HARTS_MAX);
	if (!m->mmu_type || !m->isa ||
		fdt_isa_extensions(m->isa, list, sizeof(list)) < 0)
		return memslot_fail(err, -EINVAL,
			"device tree: isa \"%s\" with mmu type \"%s\"",
			m->isa ? m->isa : "", m->mmu_type ? m->mmu_type : "");
	if (m->bootargs && strlen(m->bootargs) >= FDT_BOOTARGS_MAX)
		return memslot_fail(err, -E2BIG,
			"device tree: the kernel's arguments have %zu "
			"characters, the limit is %u",
			strlen(m->bootargs), FDT_BOOTARGS_MAX - 1);
	return fdt_check_devices(m, err);
}

int fdt_build(const struct fdt_machine *m, void **blob, size_t *size,
	struct memslot_error *err)
{
	struct tree_writer w;
	int e = fdt_check(m, err);

	if (e)
		return e;
	e = tree_begin(&w, FDT_BLOB_MAX);
	if (e)
		return memslot_fail(err, e,
			"device tree: no memory for %zu bytes", FDT_BLOB_MAX);
	fdt_root(&w, m);
	e = tree_end(&w, blob, size);
	if (e == -E2BIG)
		return memslot_fail(err, e,
			"device tree: it would be larger than %zu bytes",
			FDT_BLOB_MAX);
	if (e)
		return memslot_fail(err, e,
			"device tree: the isa \"%s\" is too long", m->isa);
	return 0;
}
