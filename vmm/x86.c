/* SPDX-License-Identifier: MIT */
/*
 * x86.c - the machine of KVM on x86-64: devices, ACPI tables, boot
 *
 * Interrupt chips, PIT and kvmclock are in the kernel (vmm/kvm). Ports and
 * addresses: x86.h. The guest is loaded before its CPUs are made, because
 * they are made as it wants to be entered; devices come last, as their wires
 * end in the kernel's chips.
 */
#include "vmm/x86.h"

#include "devices/acpipm.h"
#include "devices/cmos.h"
#include "devices/debugexit.h"
#include "devices/i8042.h"
#include "memslot/error.h"
#include "vmm/boot/acpi.h"
#include "vmm/boot/acpi_pci.h"
#include "vmm/boot/pc.h"
#include "vmm/kvm/kvm.h"
#include "vmm/platform.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* COM1 has eight ports. */
#define UART_PORTS 8u

struct x86 {
	struct kvm *kvm; /* owned by the machine's accel */
	struct acpipm pm;
	struct cmos cmos;
	struct debugexit debugexit;
	struct i8042 i8042;
	bool has_cmos, has_i8042;
	struct pc_memory memory;
	struct pc_start start;
};

typedef unsigned long long ull;

/* ---- devices ---------------------------------------------------------------- */

static void stop(struct vmm_machine *m, enum accel_stop why)
{
	m->accel.ops->request_stop(m->accel.ctx, why);
}

static void on_pm(void *ctx, bool reboot)
{
	stop(ctx, reboot ? ACCEL_STOP_REBOOT : ACCEL_STOP_POWEROFF);
}

static void on_reset(void *ctx)
{
	stop(ctx, ACCEL_STOP_REBOOT);
}

/* The first status counts, as does the first reason to stop. */
static void on_exit_status(void *ctx, int status)
{
	struct vmm_machine *m = ctx;
	int none = 0;

	atomic_compare_exchange_strong(&m->exit_status, &none, status);
	stop(m, ACCEL_STOP_FAILURE);
}

static int fill_ports(
	struct vmm_machine *m, struct x86 *b, struct memslot_error *err)
{
	const struct bus_range ranges[] = {
		{X86_PORT_I8042, I8042_SIZE, &i8042_bus_ops, &b->i8042},
		{X86_PORT_CMOS, CMOS_SIZE, &cmos_bus_ops, &b->cmos},
		{X86_PORT_EXIT, DEBUGEXIT_SIZE, &debugexit_bus_ops,
			&b->debugexit},
		{X86_PORT_PM, ACPIPM_SIZE, &acpipm_bus_ops, &b->pm},
	};
	int r = 0;

	for (size_t i = 0; !r && i < sizeof(ranges) / sizeof(*ranges); i++)
		r = bus_add(&m->ports, ranges[i].gpa, ranges[i].size,
			ranges[i].ops, ranges[i].ctx, err);
	return r;
}

/* A message that nobody takes is lost, as on a bus. */
static void on_msi(void *ctx, uint64_t address, uint32_t data)
{
	(void)kvm_msi(ctx, address, data);
}

static int create_pci(
	struct vmm_machine *m, struct x86 *b, struct memslot_error *err)
{
	struct pci_bus_config c = {
		.window = {{X86_PCI_BASE, X86_PCI_SIZE}},
		.msi = on_msi,
		.msi_ctx = b->kvm,
	};
	int r;

	for (unsigned i = 0; i < 4; i++)
		c.intx[i] = kvm_irq(b->kvm, X86_IRQ_PCI + i);
	r = machine_add_pci(m, &c, X86_ECAM_BASE, err);
	if (!r)
		r = bus_add(&m->ports, X86_PORT_PCI, PCI_PORTS_SIZE,
			&pci_ports_ops, &m->pci, err);
	return r;
}

static int create_devices(
	struct vmm_machine *m, struct x86 *b, struct memslot_error *err)
{
	int r;

	acpipm_init(&b->pm, on_pm, m);
	debugexit_init(&b->debugexit, on_exit_status, m);
	r = i8042_init(&b->i8042, on_reset, m, err);
	b->has_i8042 = r == 0;
	if (!r) {
		r = cmos_init(&b->cmos, NULL, NULL, err);
		b->has_cmos = r == 0;
	}
	if (!r)
		r = fill_ports(m, b, err);
	if (!r)
		r = machine_add_uart(m, &m->ports, X86_PORT_COM1, UART_PORTS,
			kvm_irq(b->kvm, X86_IRQ_COM1), err);
	if (!r)
		r = create_pci(m, b, err);
	return r;
}

/* ---- the guest -------------------------------------------------------------- */

static int load_acpi(
	struct vmm_machine *m, struct x86 *b, struct memslot_error *err)
{
	const struct acpi_pci pci = {
		.ecam = X86_ECAM_BASE,
		.low = X86_PCI_BASE,
		.low_size = X86_PCI_SIZE,
		.irq = X86_IRQ_PCI,
	};
	uint8_t aml[ACPI_PCI_AML_MAX];
	int aml_size = acpi_pci_aml(&pci, aml, sizeof(aml), err);
	const struct acpi_machine d = {
		.cpus = m->config.cpus,
		.lapic = X86_LAPIC_BASE,
		.ioapic = X86_IOAPIC_BASE,
		.pm_port = X86_PORT_PM,
		.sci = X86_IRQ_ACPI,
		.ecam = X86_ECAM_BASE,
		.buses = 1,
		.aml = aml,
		.aml_size = (size_t)aml_size,
	};
	uint8_t *bytes;
	size_t used;
	int r;

	if (aml_size < 0)
		return aml_size;
	bytes = calloc(1, X86_ACPI_SIZE);
	if (!bytes)
		return memslot_fail(err, -ENOMEM, "no memory for ACPI tables");
	r = acpi_build(&d, X86_ACPI_BASE, bytes, X86_ACPI_SIZE, &used, err);
	if (!r && machine_load(m, X86_ACPI_BASE, bytes, used))
		r = memslot_fail(err, -EFAULT,
			"the ACPI tables could not be written at %#x",
			X86_ACPI_BASE);
	b->memory.rsdp = X86_ACPI_BASE;
	free(bytes);
	return r;
}

static int prepare_memory(
	struct vmm_machine *m, struct x86 *b, struct memslot_error *err)
{
	struct image_ram ram[2] = {0};

	if (m->config.mem_size < X86_RAM_MIN)
		return memslot_fail(err, -EINVAL,
			"an x86-64 machine needs at least %u bytes of RAM",
			X86_RAM_MIN);
	machine_ram(m, ram);
	b->memory.rams =
		pc_ram(ram[0].size, ram[1].base, ram[1].size, b->memory.ram);
	b->memory.write = machine_load;
	b->memory.ctx = m;
	return load_acpi(m, b, err);
}

static enum pc_flat flat(const struct vmm_machine *m)
{
	switch (m->config.flat) {
	case VMM_FLAT_REAL:
		return PC_FLAT_REAL;
	case VMM_FLAT_LONG:
		return PC_FLAT_LONG;
	case VMM_FLAT_NO:
		break;
	}
	return m->config.kernel ? PC_FLAT_NO : PC_FLAT_LONG;
}

/*
 * Linux hands words that it does not know to its first process: so a program
 * finds the slot controller without a device tree. malloc'ed, or NULL.
 */
static char *linux_cmdline(const struct vmm_machine *m)
{
	const char *given = m->config.append ? m->config.append : "";
	size_t size = strlen(given) + sizeof(" slotctl=0x12345678");
	char *text = malloc(size);

	if (text)
		snprintf(text, size, "%s%sslotctl=%#x", given,
			*given ? " " : "", X86_SLOTCTL_BASE);
	return text;
}

static int read_modules(struct vmm_machine *m, enum pc_kind kind,
	struct pc_modules *out, struct memslot_error *err)
{
	if (!m->config.initrd)
		return 0;
	return pc_read_modules(
		m->config.initrd, kind == PC_MULTIBOOT, out, err);
}

static int load_planned(struct vmm_machine *m, struct x86 *b,
	struct pc_guest *g, struct memslot_error *err)
{
	const enum pc_kind kind = g->plan->kind;
	struct pc_modules modules = {0};
	char *cmdline = NULL;
	int r = 0;

	g->cmdline = m->config.append;
	if (kind == PC_BZIMAGE || kind == PC_VMLINUX || kind == PC_PVH) {
		g->cmdline = cmdline = linux_cmdline(m);
		if (!cmdline)
			r = memslot_fail(
				err, -ENOMEM, "no memory for a command line");
	}
	if (!r)
		r = read_modules(m, kind, &modules, err);
	g->module = modules.module;
	g->modules = modules.count;
	if (!r)
		r = pc_load(g, &b->memory, &b->start, err);
	pc_free_modules(&modules);
	free(cmdline);
	return r;
}

static int load_guest(struct vmm_machine *m, struct x86 *b,
	const struct image_file *kernel, struct memslot_error *err)
{
	const char *name = m->config.kernel ? m->config.kernel : "code";
	struct pc_plan plan;
	struct pc_guest g = {.name = name, .kernel = kernel, .plan = &plan};
	int r = pc_plan(name, kernel->bytes, kernel->len, flat(m), &b->memory,
		&plan, err);

	return r ? r : load_planned(m, b, &g, err);
}

static int create_cpus(
	struct vmm_machine *m, struct x86 *b, struct memslot_error *err)
{
	static const enum kvm_mode mode[] = {
		[PC_MODE_REAL] = KVM_MODE_REAL,
		[PC_MODE_PROTECTED] = KVM_MODE_PROTECTED,
		[PC_MODE_LONG] = KVM_MODE_LONG,
	};
	const struct pc_start *s = &b->start;
	const struct kvm_config c = {
		.slots = m->slots,
		.track = m->track,
		.cpus = m->config.cpus,
		.mmio = &m->mmio,
		.ports = &m->ports,
		.start =
			{
				.mode = mode[s->mode],
				.rip = s->rip,
				.rsp = s->rsp,
				.rax = s->rax,
				.rbx = s->rbx,
				.rsi = s->rsi,
				.cr3 = s->cr3,
				.gdt = s->gdt,
				.gdt_limit = s->gdt_limit,
			},
		.irqchip = true,
	};
	int r = kvm_create(&c, &b->kvm, err);

	if (!r)
		m->accel = kvm_accel(b->kvm);
	return r;
}

/* ---- the platform ------------------------------------------------------------ */

static int create(struct vmm_machine *m, const struct image_file *kernel,
	struct memslot_error *err)
{
	/* Only read from: pc_load() writes to the guest alone. */
	const struct image_file code = {
		(uint8_t *)(uintptr_t)m->config.code, m->config.code_size};
	struct x86 *b = calloc(1, sizeof(*b));
	int r;

	m->board = b;
	if (!b)
		return memslot_fail(err, -ENOMEM, "no memory for a machine");
	r = prepare_memory(m, b, err);
	if (!r)
		r = load_guest(m, b, kernel->bytes ? kernel : &code, err);
	if (!r)
		r = create_cpus(m, b, err);
	return r ? r : create_devices(m, b, err);
}

static void destroy(struct vmm_machine *m)
{
	struct x86 *b = m->board;

	if (b->has_cmos)
		cmos_fini(&b->cmos);
	if (b->has_i8042)
		i8042_fini(&b->i8042);
	free(b);
}

/* All that has a timer here is in the kernel. */
static int tick(struct vmm_machine *m)
{
	(void)m;
	return -1;
}

const struct platform_ops x86_platform = {
	.map =
		{
			.name = "x86-64",
			.low_ram_max = X86_LOW_RAM_MAX,
			.high_ram_base = X86_HIGH_RAM_BASE,
			.range_base = X86_RANGE_BASE,
			.range_size = X86_RANGE_SIZE,
			.slotctl_base = X86_SLOTCTL_BASE,
			.chips_base = X86_IOAPIC_BASE,
			.chips_size = X86_HIGH_RAM_BASE - X86_IOAPIC_BASE,
		},
	.create = create,
	.destroy = destroy,
	.tick = tick,
};
