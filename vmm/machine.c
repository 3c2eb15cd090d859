/* SPDX-License-Identifier: MIT */
/*
 * machine.c - putting the parts together, and taking them apart
 *
 * Everything the machine owns hangs off one struct; what a failed create has
 * built so far is taken down by the same function that destroys a whole
 * machine, which therefore looks at what is there.
 */
#include "vmm/machine.h"

#include "devices/plic.h"
#include "devices/rtc.h"
#include "devices/syscon.h"
#include "devices/uart.h"
#include "memslot/error.h"
#include "vmm/boot/fdt.h"
#include "vmm/boot/image.h"
#include "vmm/soft/soft.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#define TIMEBASE_HZ 10000000u

struct mapping {
	void *host;
	uint64_t size;
};

struct vmm_machine {
	struct vmm_config config;
	struct memslots *slots;
	struct pagetrack *track;
	struct soft *soft;
	struct bus bus;
	struct plic plic;
	struct uart uart;
	struct rtc rtc;
	struct syscon syscon;
	struct slotctl slotctl;
	bool has_plic, has_uart, has_rtc, has_slotctl, has_reader;
	struct memslot_reader reader; /* loading and poking */
	struct mapping *mappings;     /* RAM, window, extra slots */
	unsigned mapping_count;
	void *fdt;
	size_t fdt_size;
	gpa_t entry, fdt_gpa;
};

typedef unsigned long long ull;

/* ---- memory --------------------------------------------------------------- */

/*
 * Guest memory is anonymous and not reserved: what the guest does not touch
 * costs nothing, as a guest of more memory than the host has free expects.
 */
static void *map_memory(struct vmm_machine *m, uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	m->mappings[m->mapping_count++] = (struct mapping){p, size};
	return p;
}

static int add_slot(struct vmm_machine *m, struct memslot_txn *t,
	const struct vmm_slot *slot, struct memslot_error *err)
{
	void *host = map_memory(m, slot->size);
	struct memslot_config c = {
		.id = slot->id,
		.gpa = slot->base,
		.size = slot->size,
		.host = host,
		.flags = slot->flags,
	};

	if (!host)
		return memslot_fail(err, -ENOMEM,
			"slot %u: the host has no %llu bytes to back it",
			slot->id, (ull)slot->size);
	memslot_create(t, &c);
	return 0;
}

static int create_slots(struct vmm_machine *m, struct memslot_error *err)
{
	const struct vmm_slot own[] = {
		{VMM_SLOT_RAM, VMM_RAM_BASE, m->config.mem_size, 0},
		{VMM_SLOT_WINDOW, VMM_RANGE_BASE, m->config.window_size,
			MEMSLOT_LOG_DIRTY},
	};
	struct memslot_txn *t;
	int r;

	m->mappings = calloc(m->config.slot_count + 2u, sizeof(*m->mappings));
	if (!m->mappings)
		return memslot_fail(err, -ENOMEM, "no memory for %u slots",
			m->config.slot_count + 2);
	r = memslot_begin(m->slots, &t, err);
	if (r)
		return r;
	for (unsigned i = 0; !r && i < 2; i++)
		r = add_slot(m, t, &own[i], err);
	for (unsigned i = 0; !r && i < m->config.slot_count; i++)
		r = add_slot(m, t, &m->config.slots[i], err);
	if (r) {
		memslot_discard(t);
		return r;
	}
	return memslot_commit(t, NULL, err);
}

/* ---- devices ---------------------------------------------------------------- */

static void on_syscon(void *ctx, unsigned what, unsigned code)
{
	struct vmm_machine *m = ctx;

	(void)code;
	soft_request_stop(m->soft, what == SYSCON_POWEROFF ? SOFT_STOP_SHUTDOWN
				   : what == SYSCON_REBOOT ? SOFT_STOP_REBOOT
							   : SOFT_STOP_FAILURE);
}

static int create_cpus(struct vmm_machine *m, struct memslot_error *err)
{
	const struct soft_config c = {
		.slots = m->slots,
		.track = m->track,
		.bus = &m->bus,
		.harts = m->config.cpus,
		.entry = m->entry,
		.a1 = m->fdt_gpa,
		.timebase_hz = TIMEBASE_HZ,
		.console_out = m->config.output,
		.console_ctx = m->config.ctx,
	};

	return soft_create(&c, &m->soft, err);
}

static int create_plic(struct vmm_machine *m, struct memslot_error *err)
{
	struct irq_line out[VMM_CPUS_MAX];
	int r;

	for (unsigned i = 0; i < m->config.cpus; i++)
		out[i] = soft_external_irq(m->soft, i);
	r = plic_init(&m->plic, VMM_PLIC_SOURCES, m->config.cpus, out, err);
	m->has_plic = r == 0;
	return r;
}

static int create_serial(struct vmm_machine *m, struct memslot_error *err)
{
	const struct uart_config c = {
		.output = m->config.output,
		.room = m->config.room,
		.ctx = m->config.ctx,
		.irq = plic_line(&m->plic, VMM_UART_IRQ),
	};
	int r = uart_init(&m->uart, &c, err);

	m->has_uart = r == 0;
	return r;
}

static int create_slotctl(struct vmm_machine *m, struct memslot_error *err)
{
	const struct slotctl_config c = {
		.slots = m->slots,
		.id = VMM_SLOT_WINDOW,
		.range_base = VMM_RANGE_BASE,
		.range_size = VMM_RANGE_SIZE,
		.events = {.done = m->config.guest_report,
			.ctx = m->config.ctx},
	};
	int r = slotctl_init(&m->slotctl, &c, err);

	m->has_slotctl = r == 0;
	return r;
}

static int create_rtc(struct vmm_machine *m, struct memslot_error *err)
{
	int r = rtc_init(
		&m->rtc, plic_line(&m->plic, VMM_RTC_IRQ), NULL, NULL, err);

	m->has_rtc = r == 0;
	if (!r && m->config.timer)
		rtc_on_armed(&m->rtc, m->config.timer, m->config.ctx);
	return r;
}

static int fill_bus(struct vmm_machine *m, struct memslot_error *err)
{
	const struct bus_range ranges[] = {
		{VMM_SYSCON_BASE, SYSCON_SIZE, &syscon_bus_ops, &m->syscon},
		{VMM_RTC_BASE, RTC_SIZE, &rtc_bus_ops, &m->rtc},
		{VMM_SLOTCTL_BASE, SLOTCTL_SIZE, &slotctl_bus_ops, &m->slotctl},
		{VMM_PLIC_BASE, PLIC_SIZE, &plic_bus_ops, &m->plic},
		{VMM_UART_BASE, UART_SIZE, &uart_bus_ops, &m->uart},
	};
	int r = 0;

	for (size_t i = 0; !r && i < sizeof(ranges) / sizeof(*ranges); i++)
		r = bus_add(&m->bus, ranges[i].gpa, ranges[i].size,
			ranges[i].ops, ranges[i].ctx, err);
	return r;
}

static int create_devices(struct vmm_machine *m, struct memslot_error *err)
{
	int r;

	syscon_init(&m->syscon, on_syscon, m);
	r = create_plic(m, err);
	if (!r)
		r = create_serial(m, err);
	if (!r)
		r = create_rtc(m, err);
	if (!r)
		r = create_slotctl(m, err);
	return r ? r : fill_bus(m, err);
}

/* ---- the guest -------------------------------------------------------------- */

static int write_guest(void *ctx, gpa_t gpa, const void *bytes, size_t len)
{
	struct vmm_machine *m = ctx;
	const struct pagetrack_source loader = {PAGETRACK_LOADER, 0};

	return pagetrack_guest_write(
		m->track, &m->reader, 0, gpa, bytes, len, loader);
}

static int build_fdt(struct vmm_machine *m, gpa_t initrd, uint64_t initrd_size,
	struct memslot_error *err)
{
	const struct fdt_range ram = {VMM_RAM_BASE, m->config.mem_size};
	uint8_t seed[32];
	ssize_t seeded = getrandom(seed, sizeof(seed), GRND_NONBLOCK);
	const struct fdt_machine d = {
		.ram = &ram,
		.ram_count = 1,
		.harts = m->config.cpus,
		.isa = soft_isa(m->soft),
		.mmu_type = soft_mmu_type(m->soft),
		.timebase_hz = TIMEBASE_HZ,
		.bootargs = m->config.append,
		.initrd = {initrd, initrd_size},
		.rng_seed = seeded > 0 ? seed : NULL,
		.rng_seed_size = seeded > 0 ? (size_t)seeded : 0,
		.plic = {VMM_PLIC_BASE, PLIC_SIZE},
		.plic_sources = VMM_PLIC_SOURCES,
		.uart = {VMM_UART_BASE, UART_SIZE},
		.uart_irq = VMM_UART_IRQ,
		.rtc = {VMM_RTC_BASE, RTC_SIZE},
		.rtc_irq = VMM_RTC_IRQ,
		.syscon = {VMM_SYSCON_BASE, SYSCON_SIZE},
		.syscon_poweroff = SYSCON_POWEROFF,
		.syscon_reboot = SYSCON_REBOOT,
		.slotctl = {VMM_SLOTCTL_BASE, SLOTCTL_SIZE},
		.slotctl_range = {VMM_RANGE_BASE, VMM_RANGE_SIZE},
	};

	return fdt_build(&d, &m->fdt, &m->fdt_size, err);
}

/* Where kernel, initrd and device tree go; all but the tree is loaded. */
static int load_kernel(struct vmm_machine *m, struct image_places *places,
	uint64_t *initrd_size, struct memslot_error *err)
{
	const struct image_memory memory = {
		.ram = {VMM_RAM_BASE, m->config.mem_size},
		.write = write_guest,
		.ctx = m,
	};
	struct image_file initrd = {NULL, 0};
	struct image_plan plan;
	int r = image_load(m->config.kernel, false, &memory, &plan, err);

	if (!r && m->config.initrd)
		r = image_read("initrd", m->config.initrd, &initrd, err);
	if (!r)
		r = image_place(&memory.ram, &plan, FDT_BLOB_MAX, initrd.len,
			places, err);
	if (!r && initrd.len &&
		write_guest(m, places->initrd, initrd.bytes, initrd.len))
		r = memslot_fail(err, -EFAULT,
			"the initrd could not be written at %#llx",
			(ull)places->initrd);
	m->entry = plan.entry;
	*initrd_size = initrd.len;
	image_free(&initrd);
	return r;
}

static int load_code(struct vmm_machine *m, struct memslot_error *err)
{
	m->entry = VMM_RAM_BASE;
	if (write_guest(m, m->entry, m->config.code, m->config.code_size))
		return memslot_fail(err, -EFBIG,
			"%zu bytes of code do not fit in %llu of RAM",
			m->config.code_size, (ull)m->config.mem_size);
	return 0;
}

static int load_guest(struct vmm_machine *m, struct memslot_error *err)
{
	struct image_places places = {0, 0};
	uint64_t initrd_size = 0;
	int r;

	if (m->config.kernel)
		r = load_kernel(m, &places, &initrd_size, err);
	else
		r = load_code(m, err);
	m->fdt_gpa = places.fdt;
	if (!r)
		r = create_cpus(m, err);
	if (r || !m->config.kernel)
		return r;
	r = build_fdt(m, places.initrd, initrd_size, err);
	if (!r && write_guest(m, places.fdt, m->fdt, m->fdt_size))
		r = memslot_fail(err, -EFAULT,
			"the device tree could not be written at %#llx",
			(ull)places.fdt);
	return r;
}

/* ---- life ------------------------------------------------------------------- */

static int check_config(struct vmm_config *c, struct memslot_error *err)
{
	c->mem_size = c->mem_size ? c->mem_size : VMM_MEM_DEFAULT;
	c->window_size = c->window_size ? c->window_size : VMM_WINDOW_DEFAULT;
	c->cpus = c->cpus ? c->cpus : 1;
	if (c->cpus > VMM_CPUS_MAX)
		return memslot_fail(err, -EINVAL,
			"%u CPUs asked for; 1 to %u are possible", c->cpus,
			VMM_CPUS_MAX);
	if (c->window_size > VMM_RANGE_SIZE)
		return memslot_fail(err, -EINVAL,
			"a window of %#llx bytes does not fit in its range of "
			"%#x",
			(ull)c->window_size, VMM_RANGE_SIZE);
	if (!c->kernel && !c->code)
		return memslot_fail(err, -EINVAL, "there is no guest to run");
	return 0;
}

static int build(struct vmm_machine *m, struct memslot_error *err)
{
	int r = check_config(&m->config, err);

	if (!r)
		r = memslots_create(&memslot_hosted, 1, &m->slots, err);
	if (r)
		return r;
	memslot_reader_init(&m->reader, m->slots, NULL, NULL);
	m->has_reader = true;
	r = pagetrack_create(m->slots, &m->track, err);
	if (!r)
		r = create_slots(m, err);
	if (!r)
		r = load_guest(m, err);
	if (!r)
		r = create_devices(m, err);
	if (r)
		return r;
	/* From here on things may be made to fail, or to go the old way. */
	memslots_set_faults(m->slots, m->config.faults);
	if (m->config.order)
		memslots_set_order(m->slots, m->config.order);
	return 0;
}

int vmm_machine_create(const struct vmm_config *config,
	struct vmm_machine **out, struct memslot_error *err)
{
	struct vmm_machine *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return memslot_fail(err, -ENOMEM, "no memory for a machine");
	m->config = *config;
	r = build(m, err);
	if (r) {
		vmm_machine_destroy(m);
		return r;
	}
	*out = m;
	return 0;
}

void vmm_machine_destroy(struct vmm_machine *m)
{
	if (!m)
		return;
	if (m->slots)
		memslots_set_faults(m->slots, NULL);
	if (m->has_slotctl)
		slotctl_fini(&m->slotctl);
	if (m->has_rtc)
		rtc_fini(&m->rtc);
	if (m->has_uart)
		uart_fini(&m->uart);
	if (m->has_plic)
		plic_fini(&m->plic);
	soft_destroy(m->soft);
	free(m->fdt);
	pagetrack_destroy(m->track);
	if (m->has_reader)
		memslot_reader_fini(&m->reader);
	memslots_destroy(m->slots);
	for (unsigned i = 0; i < m->mapping_count; i++)
		munmap(m->mappings[i].host, m->mappings[i].size);
	free(m->mappings);
	free(m);
}

int vmm_machine_run(
	struct vmm_machine *m, enum vmm_stop *why, struct memslot_error *err)
{
	static const enum vmm_stop reason[] = {
		[SOFT_STOP_REQUESTED] = VMM_STOP_ASKED,
		[SOFT_STOP_SHUTDOWN] = VMM_STOP_POWEROFF,
		[SOFT_STOP_FAILURE] = VMM_STOP_FAILURE,
		[SOFT_STOP_REBOOT] = VMM_STOP_REBOOT,
		[SOFT_STOP_ERROR] = VMM_STOP_ERROR,
	};
	enum soft_stop stop;
	int r = soft_run(m->soft, &stop, err);

	if (!r)
		*why = reason[stop];
	return r;
}

void vmm_machine_stop(struct vmm_machine *m)
{
	soft_request_stop(m->soft, SOFT_STOP_REQUESTED);
}

/* ---- the parts -------------------------------------------------------------- */

struct memslots *vmm_machine_slots(struct vmm_machine *m)
{
	return m->slots;
}

struct pagetrack *vmm_machine_track(struct vmm_machine *m)
{
	return m->track;
}

struct slotctl *vmm_machine_slotctl(struct vmm_machine *m)
{
	return &m->slotctl;
}

uint8_t *vmm_machine_window(struct vmm_machine *m)
{
	return m->mappings[VMM_SLOT_WINDOW].host;
}

const char *vmm_machine_accel(const struct vmm_machine *m)
{
	(void)m;
	return "soft";
}

const void *vmm_machine_fdt(const struct vmm_machine *m, size_t *size)
{
	*size = m->fdt_size;
	return m->fdt;
}

size_t vmm_machine_input(struct vmm_machine *m, const void *bytes, size_t len)
{
	return uart_input(&m->uart, bytes, len);
}

int vmm_machine_tick(struct vmm_machine *m)
{
	uint64_t ns = rtc_check(&m->rtc), ms = ns / 1000000 + 1;

	if (ns == RTC_NO_ALARM)
		return -1;
	return ms < 60000 ? (int)ms : 60000;
}

int vmm_machine_poke(
	struct vmm_machine *m, gpa_t gpa, const void *bytes, size_t len)
{
	const struct pagetrack_source host = {PAGETRACK_HOST, 0};

	return pagetrack_guest_write(
		m->track, &m->reader, 0, gpa, bytes, len, host);
}
