/* SPDX-License-Identifier: MIT */
/*
 * riscv64.c - the machine of the embedded CPU: devices, device tree, boot
 *
 * SBI is in the CPU (vmm/soft/sbi.c): a guest starts in S mode with its hart
 * number in a0 and the device tree in a1, as after OpenSBI.
 */
#include "vmm/riscv64.h"

#include "devices/pci.h"
#include "devices/plic.h"
#include "devices/rtc.h"
#include "devices/syscon.h"
#include "memslot/error.h"
#include "vmm/boot/fdt.h"
#include "vmm/platform.h"
#include "vmm/soft/soft.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TIMEBASE_HZ 10000000u

struct riscv64 {
	struct soft *soft; /* owned by the machine's accel */
	struct plic plic;
	struct rtc rtc;
	struct syscon syscon;
	bool has_plic, has_rtc;
	gpa_t entry;
	struct image_places places;
	uint64_t initrd_size;
};

typedef unsigned long long ull;

/* ---- devices ---------------------------------------------------------------- */

static void on_syscon(void *ctx, unsigned what, unsigned code)
{
	struct vmm_machine *m = ctx;

	(void)code;
	m->accel.ops->request_stop(
		m->accel.ctx, what == SYSCON_POWEROFF ? ACCEL_STOP_POWEROFF
			      : what == SYSCON_REBOOT ? ACCEL_STOP_REBOOT
						      : ACCEL_STOP_FAILURE);
}

static int create_plic(
	struct vmm_machine *m, struct riscv64 *b, struct memslot_error *err)
{
	struct irq_line out[VMM_CPUS_MAX];
	int r;

	for (unsigned i = 0; i < m->config.cpus; i++)
		out[i] = soft_external_irq(b->soft, i);
	r = plic_init(&b->plic, RISCV64_PLIC_SOURCES, m->config.cpus, out, err);
	b->has_plic = r == 0;
	return r;
}

/* Without the host's clock it is the year 2000 when a guest starts. */
static uint64_t rtc_now(void *ctx)
{
	const struct riscv64 *b = ctx;

	return 946684800000000000u + soft_clock_ns(b->soft);
}

static int create_rtc(
	struct vmm_machine *m, struct riscv64 *b, struct memslot_error *err)
{
	int r = rtc_init(&b->rtc, plic_line(&b->plic, RISCV64_RTC_IRQ),
		m->config.deterministic ? rtc_now : NULL, b, err);

	b->has_rtc = r == 0;
	if (!r && m->config.timer)
		rtc_on_armed(&b->rtc, m->config.timer, m->config.ctx);
	return r;
}

static int fill_bus(
	struct vmm_machine *m, struct riscv64 *b, struct memslot_error *err)
{
	const struct bus_range ranges[] = {
		{RISCV64_SYSCON_BASE, SYSCON_SIZE, &syscon_bus_ops, &b->syscon},
		{RISCV64_RTC_BASE, RTC_SIZE, &rtc_bus_ops, &b->rtc},
		{RISCV64_PLIC_BASE, PLIC_SIZE, &plic_bus_ops, &b->plic},
	};
	int r = 0;

	for (size_t i = 0; !r && i < sizeof(ranges) / sizeof(*ranges); i++)
		r = bus_add(&m->mmio, ranges[i].gpa, ranges[i].size,
			ranges[i].ops, ranges[i].ctx, err);
	return r;
}

static int create_pci(
	struct vmm_machine *m, struct riscv64 *b, struct memslot_error *err)
{
	struct pci_bus_config c = {
		.window =
			{
				{RISCV64_PCI_BASE, RISCV64_PCI_SIZE},
				{RISCV64_PCI_HIGH, RISCV64_PCI_HIGH_SIZE},
			},
	};

	for (unsigned i = 0; i < 4; i++)
		c.intx[i] = plic_line(&b->plic, RISCV64_PCI_IRQ + i);
	return machine_add_pci(m, &c, RISCV64_ECAM_BASE, err);
}

static int create_devices(
	struct vmm_machine *m, struct riscv64 *b, struct memslot_error *err)
{
	int r;

	syscon_init(&b->syscon, on_syscon, m);
	r = create_plic(m, b, err);
	if (!r)
		r = create_rtc(m, b, err);
	if (!r)
		r = fill_bus(m, b, err);
	if (!r)
		r = machine_add_uart(m, &m->mmio, RISCV64_UART_BASE, UART_SIZE,
			plic_line(&b->plic, RISCV64_UART_IRQ), err);
	if (!r)
		r = create_pci(m, b, err);
	return r;
}

/* ---- the guest -------------------------------------------------------------- */

/* The block size of a cache-block extension; 0: the CPUs do without. */
static uint32_t block_of(const struct riscv64 *b, enum isa_ext ext)
{
	return soft_has(b->soft, ext) ? ISA_CBO_BLOCK : 0;
}

/* Bytes to seed the guest's random numbers with; how many there are. */
static size_t random_seed(
	const struct vmm_machine *m, uint8_t *seed, size_t size)
{
	ssize_t n;

	if (m->config.deterministic) {
		memset(seed, 0, size);
		memcpy(seed, &m->config.seed, sizeof(m->config.seed));
		return size;
	}
	n = getrandom(seed, size, GRND_NONBLOCK);
	return n > 0 ? (size_t)n : 0;
}

static int build_fdt(
	struct vmm_machine *m, struct riscv64 *b, struct memslot_error *err)
{
	const struct fdt_range ram = {RISCV64_RAM_BASE, m->config.mem_size};
	uint8_t seed[32];
	size_t seeded = random_seed(m, seed, sizeof(seed));
	const struct fdt_machine d = {
		.ram = &ram,
		.ram_count = 1,
		.harts = m->config.cpus,
		.isa = soft_isa(b->soft),
		.mmu_type = soft_mmu_type(b->soft),
		.cbom_block = block_of(b, ISA_ZICBOM),
		.cbop_block = block_of(b, ISA_ZICBOP),
		.cboz_block = block_of(b, ISA_ZICBOZ),
		.timebase_hz = TIMEBASE_HZ,
		.bootargs = m->config.append,
		.initrd = {b->places.initrd, b->initrd_size},
		.rng_seed = seeded ? seed : NULL,
		.rng_seed_size = seeded,
		.plic = {RISCV64_PLIC_BASE, PLIC_SIZE},
		.plic_sources = RISCV64_PLIC_SOURCES,
		.uart = {RISCV64_UART_BASE, UART_SIZE},
		.uart_irq = RISCV64_UART_IRQ,
		.rtc = {RISCV64_RTC_BASE, RTC_SIZE},
		.rtc_irq = RISCV64_RTC_IRQ,
		.syscon = {RISCV64_SYSCON_BASE, SYSCON_SIZE},
		.syscon_poweroff = SYSCON_POWEROFF,
		.syscon_reboot = SYSCON_REBOOT,
		.pci_ecam = {RISCV64_ECAM_BASE, PCI_ECAM_SIZE},
		.pci_low = {RISCV64_PCI_BASE, RISCV64_PCI_SIZE},
		.pci_high = {RISCV64_PCI_HIGH, RISCV64_PCI_HIGH_SIZE},
		.pci_irq = RISCV64_PCI_IRQ,
		.slotctl = {RISCV64_SLOTCTL_BASE, SLOTCTL_SIZE},
		.slotctl_range = {RISCV64_RANGE_BASE, RISCV64_RANGE_SIZE},
	};

	return fdt_build(&d, &m->fdt, &m->fdt_size, err);
}

/* Where kernel, initrd and device tree go; all but the tree is loaded. */
static int load_kernel(struct vmm_machine *m, struct riscv64 *b,
	const struct image_file *kernel, struct memslot_error *err)
{
	const struct image_memory memory = {
		.ram = {RISCV64_RAM_BASE, m->config.mem_size},
		.write = machine_load,
		.ctx = m,
	};
	struct image_file initrd = {NULL, 0};
	struct image_plan plan;
	int r = image_load(
		m->config.kernel, kernel, false, &memory, &plan, err);

	if (!r && m->config.initrd)
		r = image_read("initrd", m->config.initrd, &initrd, err);
	if (!r)
		r = image_place(&memory.ram, &plan, FDT_BLOB_MAX, initrd.len,
			&b->places, err);
	if (!r && initrd.len &&
		machine_load(m, b->places.initrd, initrd.bytes, initrd.len))
		r = memslot_fail(err, -EFAULT,
			"the initrd could not be written at %#llx",
			(ull)b->places.initrd);
	b->entry = plan.entry;
	b->initrd_size = initrd.len;
	image_free(&initrd);
	return r;
}

static int load_code(
	struct vmm_machine *m, struct riscv64 *b, struct memslot_error *err)
{
	b->entry = RISCV64_RAM_BASE;
	if (machine_load(m, b->entry, m->config.code, m->config.code_size))
		return memslot_fail(err, -EFBIG,
			"%zu bytes of code do not fit in %llu of RAM",
			m->config.code_size, (ull)m->config.mem_size);
	return 0;
}

static int create_cpus(
	struct vmm_machine *m, struct riscv64 *b, struct memslot_error *err)
{
	const struct soft_config c = {
		.slots = m->slots,
		.track = m->track,
		.bus = &m->mmio,
		.harts = m->config.cpus,
		.entry = b->entry,
		.a1 = b->places.fdt,
		.timebase_hz = TIMEBASE_HZ,
		.isa_off = m->config.cpu_off,
		.deterministic = m->config.deterministic,
		.console_out = m->config.output,
		.console_ctx = m->config.ctx,
	};
	int r = soft_create(&c, &b->soft, err);

	if (!r)
		m->accel = soft_accel(b->soft);
	return r;
}

static int load_fdt(
	struct vmm_machine *m, struct riscv64 *b, struct memslot_error *err)
{
	int r = build_fdt(m, b, err);

	if (!r && machine_load(m, b->places.fdt, m->fdt, m->fdt_size))
		r = memslot_fail(err, -EFAULT,
			"the device tree could not be written at %#llx",
			(ull)b->places.fdt);
	return r;
}

/* ---- the platform ------------------------------------------------------------ */

static int create(struct vmm_machine *m, const struct image_file *kernel,
	struct memslot_error *err)
{
	struct riscv64 *b = calloc(1, sizeof(*b));
	int r;

	m->board = b;
	if (!b)
		return memslot_fail(err, -ENOMEM, "no memory for a machine");
	r = kernel->bytes ? load_kernel(m, b, kernel, err)
			  : load_code(m, b, err);
	if (!r)
		r = create_cpus(m, b, err);
	if (!r && kernel->bytes)
		r = load_fdt(m, b, err);
	return r ? r : create_devices(m, b, err);
}

static void destroy(struct vmm_machine *m)
{
	struct riscv64 *b = m->board;

	if (b->has_rtc)
		rtc_fini(&b->rtc);
	if (b->has_plic)
		plic_fini(&b->plic);
	free(b);
}

static int tick(struct vmm_machine *m)
{
	struct riscv64 *b = m->board;
	uint64_t ns = rtc_check(&b->rtc), ms = ns / 1000000 + 1;

	if (ns == RTC_NO_ALARM)
		return -1;
	return ms < 60000 ? (int)ms : 60000;
}

const struct platform_ops riscv64_platform = {
	.map =
		{
			.name = "riscv64",
			.ram_base = RISCV64_RAM_BASE,
			.low_ram_max = MEMSLOT_GPA_LIMIT - RISCV64_RAM_BASE,
			.range_base = RISCV64_RANGE_BASE,
			.range_size = RISCV64_RANGE_SIZE,
			.slotctl_base = RISCV64_SLOTCTL_BASE,
		},
	.create = create,
	.destroy = destroy,
	.tick = tick,
};
