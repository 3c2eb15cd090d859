/* SPDX-License-Identifier: MIT */
/*
 * machine.c - putting the parts together, and taking them apart
 *
 * Everything the machine owns hangs off one struct; what a failed create has
 * built so far is taken down by the same function that destroys a whole
 * machine, which therefore looks at what is there.
 */
#include "vmm/machine.h"

#include "memslot/error.h"
#include "vmm/platform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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
	uint8_t *host = map_memory(m, slot->size);
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
	if (slot->id == VMM_SLOT_WINDOW)
		m->window = host;
	memslot_create(t, &c);
	return 0;
}

unsigned machine_ram(const struct vmm_machine *m, struct image_ram ram[2])
{
	const struct vmm_map *map = &m->platform->map;
	uint64_t size = m->config.mem_size;

	ram[0] = (struct image_ram){map->ram_base, size};
	if (size <= map->low_ram_max)
		return 1;
	ram[0].size = map->low_ram_max;
	ram[1] = (struct image_ram){map->high_ram_base, size - ram[0].size};
	return 2;
}

static int create_slots(struct vmm_machine *m, struct memslot_error *err)
{
	const struct vmm_slot window = {VMM_SLOT_WINDOW,
		m->platform->map.range_base, m->config.window_size,
		MEMSLOT_LOG_DIRTY};
	struct image_ram ram[2];
	unsigned rams = machine_ram(m, ram);
	struct memslot_txn *t;
	int r;

	m->mappings = calloc(m->config.slot_count + 3u, sizeof(*m->mappings));
	if (!m->mappings)
		return memslot_fail(err, -ENOMEM, "no memory for %u slots",
			m->config.slot_count + 3);
	r = memslot_begin(m->slots, &t, err);
	if (r)
		return r;
	for (unsigned i = 0; !r && i < rams; i++) {
		const struct vmm_slot s = {i ? VMM_SLOT_HIGH : VMM_SLOT_RAM,
			ram[i].base, ram[i].size, 0};

		r = add_slot(m, t, &s, err);
	}
	if (!r)
		r = add_slot(m, t, &window, err);
	for (unsigned i = 0; !r && i < m->config.slot_count; i++)
		r = add_slot(m, t, &m->config.slots[i], err);
	if (r) {
		memslot_discard(t);
		return r;
	}
	return memslot_commit(t, NULL, err);
}

/* ---- extra slots against what the machine has --------------------------------- */

static int check_slot(const struct vmm_slot *s, const char *what, gpa_t base,
	uint64_t size, struct memslot_error *err)
{
	if (s->base >= base + size || base >= s->base + s->size)
		return 0;
	return memslot_fail(err, -EEXIST,
		"slot %u at [%#llx, %#llx) overlaps %s at [%#llx, %#llx)",
		s->id, (ull)s->base, (ull)(s->base + s->size), what, (ull)base,
		(ull)(base + size));
}

/* Before they are made, so that the sentence names what is there. */
static int check_memory(struct vmm_machine *m, struct memslot_error *err)
{
	const struct vmm_map *map = &m->platform->map;
	struct image_ram ram[2];
	unsigned rams = machine_ram(m, ram);
	int r = 0;

	for (unsigned n = 0; !r && n < m->config.slot_count; n++) {
		const struct vmm_slot *s = &m->config.slots[n];

		for (unsigned i = 0; !r && i < rams; i++)
			r = check_slot(s, "RAM", ram[i].base, ram[i].size, err);
		if (!r)
			r = check_slot(s, "the window's range", map->range_base,
				map->range_size, err);
		if (!r && map->chips_size)
			r = check_slot(s, "interrupt controllers",
				map->chips_base, map->chips_size, err);
	}
	return r;
}

/* A device behind memory would never be asked. */
static int check_devices(struct vmm_machine *m, struct memslot_error *err)
{
	int r = 0;

	for (unsigned n = 0; !r && n < m->config.slot_count; n++)
		for (unsigned i = 0; !r && i < m->mmio.count; i++) {
			const struct bus_range *d = &m->mmio.range[i];

			r = check_slot(&m->config.slots[n], d->ops->name,
				d->gpa, d->size, err);
		}
	return r;
}

/* ---- what all kinds have -------------------------------------------------------- */

int machine_load(void *ctx, gpa_t gpa, const void *bytes, size_t len)
{
	struct vmm_machine *m = ctx;
	const struct pagetrack_source loader = {PAGETRACK_LOADER, 0};

	return pagetrack_guest_write(
		m->track, &m->reader, 0, gpa, bytes, len, loader);
}

int machine_add_uart(struct vmm_machine *m, struct bus *bus, gpa_t base,
	uint64_t size, struct irq_line irq, struct memslot_error *err)
{
	const struct uart_config c = {
		.output = m->config.output,
		.room = m->config.room,
		.ctx = m->config.ctx,
		.irq = irq,
	};
	int r = uart_init(&m->uart, &c, err);

	m->has_uart = r == 0;
	if (!r)
		r = bus_add(bus, base, size, &uart_bus_ops, &m->uart, err);
	return r;
}

static int create_slotctl(struct vmm_machine *m, struct memslot_error *err)
{
	const struct vmm_map *map = &m->platform->map;
	const struct slotctl_config c = {
		.slots = m->slots,
		.id = VMM_SLOT_WINDOW,
		.range_base = map->range_base,
		.range_size = map->range_size,
		.events = {.done = m->config.guest_report,
			.ctx = m->config.ctx},
	};
	int r = slotctl_init(&m->slotctl, &c, err);

	m->has_slotctl = r == 0;
	if (!r)
		r = bus_add(&m->mmio, map->slotctl_base, SLOTCTL_SIZE,
			&slotctl_bus_ops, &m->slotctl, err);
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
	if (!c->kernel && !c->code)
		return memslot_fail(err, -EINVAL, "there is no guest to run");
	return 0;
}

static enum vmm_guest guest_of(
	const struct vmm_config *c, const struct image_file *kernel)
{
	if (c->flat != VMM_FLAT_NO)
		return VMM_GUEST_X86_64;
	if (!c->kernel)
		return VMM_GUEST_UNKNOWN;
	switch (image_arch(kernel)) {
	case IMAGE_ARCH_RISCV64:
		return VMM_GUEST_RISCV64;
	case IMAGE_ARCH_X86_64:
		return VMM_GUEST_X86_64;
	default:
		return VMM_GUEST_UNKNOWN;
	}
}

static int choose_platform(struct vmm_machine *m,
	const struct image_file *kernel, struct memslot_error *err)
{
	struct vmm_config *c = &m->config;
	struct memslot_error note;
	uint64_t range_size;
	int r;

	if (c->accel == VMM_ACCEL_AUTO) {
		r = vmm_choose_accel(
			guest_of(c, kernel), &c->accel, &note, err);
		if (r)
			return r;
		if (note.text[0] && c->note)
			c->note(c->ctx, note.text);
	}
	if (c->deterministic && c->accel == VMM_ACCEL_KVM)
		return memslot_fail(err, -EINVAL,
			"only the embedded CPU can be deterministic");
	m->platform =
		c->accel == VMM_ACCEL_KVM ? &x86_platform : &riscv64_platform;
	range_size = m->platform->map.range_size;
	if (c->window_size > range_size)
		return memslot_fail(err, -EINVAL,
			"a window of %#llx bytes does not fit in its range of "
			"%#llx",
			(ull)c->window_size, (ull)range_size);
	return 0;
}

static int build_map(struct vmm_machine *m, struct memslot_error *err)
{
	int r = check_memory(m, err);

	if (!r)
		r = memslots_create(&memslot_hosted, 1, &m->slots, err);
	if (r)
		return r;
	memslot_reader_init(&m->reader, m->slots, NULL, NULL);
	m->has_reader = true;
	r = pagetrack_create(m->slots, &m->track, err);
	return r ? r : create_slots(m, err);
}

static int build(struct vmm_machine *m, struct memslot_error *err)
{
	struct image_file kernel = {NULL, 0};
	int r = check_config(&m->config, err);

	if (!r && m->config.kernel)
		r = image_open(m->config.kernel, &kernel, err);
	if (!r)
		r = choose_platform(m, &kernel, err);
	if (!r)
		r = build_map(m, err);
	if (!r)
		r = create_slotctl(m, err);
	if (!r)
		r = m->platform->create(m, &kernel, err);
	image_free(&kernel);
	if (!r)
		r = check_devices(m, err);
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
	if (m->board)
		m->platform->destroy(m);
	if (m->has_uart)
		uart_fini(&m->uart);
	machine_remove_pci(m);
	if (m->has_slotctl)
		slotctl_fini(&m->slotctl);
	if (m->accel.ops)
		m->accel.ops->destroy(m->accel.ctx);
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
		[ACCEL_STOP_ASKED] = VMM_STOP_ASKED,
		[ACCEL_STOP_POWEROFF] = VMM_STOP_POWEROFF,
		[ACCEL_STOP_FAILURE] = VMM_STOP_FAILURE,
		[ACCEL_STOP_REBOOT] = VMM_STOP_REBOOT,
		[ACCEL_STOP_ERROR] = VMM_STOP_ERROR,
	};
	enum accel_stop stop;
	int r = machine_start_virtio(m, err);

	if (!r)
		r = m->accel.ops->run(m->accel.ctx, &stop, err);
	machine_stop_virtio(m);
	if (r)
		return r;
	*why = reason[stop];
	if (stop == ACCEL_STOP_FAILURE && vmm_machine_exit_status(m))
		*why = VMM_STOP_EXIT;
	return 0;
}

void vmm_machine_stop(struct vmm_machine *m)
{
	m->accel.ops->request_stop(m->accel.ctx, ACCEL_STOP_ASKED);
}

int vmm_machine_exit_status(const struct vmm_machine *m)
{
	return atomic_load(&m->exit_status);
}

size_t vmm_machine_describe(struct vmm_machine *m, char *text, size_t size)
{
	return m->accel.ops->describe
		       ? m->accel.ops->describe(m->accel.ctx, text, size)
		       : 0;
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

struct pci_bus *vmm_machine_pci(struct vmm_machine *m)
{
	return &m->pci;
}

struct vgtt *vmm_machine_vgtt(struct vmm_machine *m)
{
	return m->vgtt;
}

uint8_t *vmm_machine_window(struct vmm_machine *m)
{
	return m->window;
}

const struct vmm_map *vmm_machine_map(const struct vmm_machine *m)
{
	return &m->platform->map;
}

const char *vmm_machine_accel(const struct vmm_machine *m)
{
	return m->accel.ops->name;
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
	return m->platform->tick(m);
}

int vmm_machine_poke(
	struct vmm_machine *m, gpa_t gpa, const void *bytes, size_t len)
{
	const struct pagetrack_source host = {PAGETRACK_HOST, 0};

	return pagetrack_guest_write(
		m->track, &m->reader, 0, gpa, bytes, len, host);
}
