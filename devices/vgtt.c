/* SPDX-License-Identifier: MIT */
/*
 * vgtt.c - registers, commands, life of the device
 *
 * A store to COMMAND runs the command in the thread of the vCPU: what it may
 * take is bounded by VGTT_LEN_MAX, and a vCPU that stands still is what makes
 * the order of table writes and commands certain.
 */
#include "devices/vgtt.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "devices/vgtt_internal.h"
#include "memslot/error.h"

/* ---- commands, under command_lock ------------------------------------------- */

/* What the registers said when the command was given. */
struct vgtt_order {
	uint64_t root, source, target, length, value;
};

static int check_range(uint64_t address, uint64_t length)
{
	const uint64_t limit = VGTT_PAGES << MEMSLOT_PAGE_SHIFT;

	if ((address | length) & 7)
		return -EINVAL;
	if (length > VGTT_LEN_MAX)
		return -E2BIG;
	return address <= limit && length <= limit - address ? 0 : -ERANGE;
}

static int run_set_root(struct vgtt *g, uint64_t root)
{
	int r;

	if (root & MEMSLOT_PAGE_MASK || root >= MEMSLOT_GPA_LIMIT)
		return -EINVAL;
	pthread_mutex_lock(&g->lock);
	while ((r = vgtt_set_root(g, root >> MEMSLOT_PAGE_SHIFT, NULL)) ==
		-EBUSY)
		if ((r = vgtt_wait(g)))
			break;
	pthread_mutex_unlock(&g->lock);
	return r;
}

static int run_clear_root(struct vgtt *g)
{
	pthread_mutex_lock(&g->lock);
	vgtt_clear_root(g);
	pthread_mutex_unlock(&g->lock);
	return 0;
}

static int run_verify(struct vgtt *g)
{
	int r = 0;

	pthread_mutex_lock(&g->lock);
	for (unsigned i = 0; !r && i < VGTT_ENTRIES; i++)
		while ((r = vgtt_compare(g, i)) == -EBUSY)
			if ((r = vgtt_wait(g)))
				break;
	pthread_mutex_unlock(&g->lock);
	return r;
}

static int run_fill(struct vgtt *g, const struct vgtt_order *o)
{
	int r = check_range(o->target, o->length);

	return r ? r : vgtt_fill(g, o->target, o->length, o->value);
}

static int run_copy(struct vgtt *g, const struct vgtt_order *o)
{
	int r = check_range(o->source, o->length);

	if (!r)
		r = check_range(o->target, o->length);
	return r ? r : vgtt_copy(g, o->source, o->target, o->length);
}

static int run_sum(struct vgtt *g, const struct vgtt_order *o)
{
	uint64_t sum;
	int r = check_range(o->source, o->length);

	if (!r)
		r = vgtt_add_up(g, o->source, o->length, &sum);
	if (r)
		return r;
	pthread_mutex_lock(&g->lock);
	g->reg_value = sum;
	pthread_mutex_unlock(&g->lock);
	return 0;
}

static int run(struct vgtt *g, uint32_t command, const struct vgtt_order *o)
{
	/* It reads and writes guest memory: only as a bus master. */
	if (!pci_may_dma(&g->pci))
		return -EPERM;
	switch (command) {
	case VGTT_SET_ROOT:
		return run_set_root(g, o->root);
	case VGTT_CLEAR_ROOT:
		return run_clear_root(g);
	case VGTT_FILL:
		return run_fill(g, o);
	case VGTT_COPY:
		return run_copy(g, o);
	case VGTT_SUM:
		return run_sum(g, o);
	case VGTT_VERIFY:
		return run_verify(g);
	default:
		return -ENOSYS;
	}
}

static void guest_command(struct vgtt *g, uint32_t command)
{
	struct vgtt_order o;
	int r;

	pthread_mutex_lock(&g->command_lock);
	pthread_mutex_lock(&g->lock);
	o = (struct vgtt_order){g->reg_root, g->reg_source, g->reg_target,
		g->reg_length, g->reg_value};
	pthread_mutex_unlock(&g->lock);
	r = run(g, command, &o);
	pthread_mutex_lock(&g->lock);
	g->reg_status = (uint32_t)-r;
	pthread_mutex_unlock(&g->lock);
	pthread_mutex_unlock(&g->command_lock);
}

uint64_t vgtt_verify(struct vgtt *g)
{
	struct vgtt_counts before, after;

	pthread_mutex_lock(&g->command_lock);
	vgtt_get_counts(g, &before);
	(void)run_verify(g); /* a broken machine has stopped anyway */
	vgtt_get_counts(g, &after);
	pthread_mutex_unlock(&g->command_lock);
	return after.mismatches - before.mismatches;
}

/* ---- registers, under `lock` ------------------------------------------------ */

/* The 64-bit register at offset if a guest may store to it. */
static uint64_t *writable(struct vgtt *g, uint64_t offset)
{
	switch (offset) {
	case VGTT_REG_ROOT:
		return &g->reg_root;
	case VGTT_REG_SOURCE:
		return &g->reg_source;
	case VGTT_REG_TARGET:
		return &g->reg_target;
	case VGTT_REG_LENGTH:
		return &g->reg_length;
	case VGTT_REG_VALUE:
		return &g->reg_value;
	default:
		return NULL;
	}
}

/* The aligned eight bytes at offset: one 64-bit register, or two of 32. */
static uint64_t load_word(struct vgtt *g, uint64_t offset)
{
	const uint64_t *reg = writable(g, offset);

	if (reg)
		return *reg;
	switch (offset) {
	case VGTT_REG_MAGIC:
		return (uint64_t)VGTT_VERSION << 32 | VGTT_MAGIC;
	case VGTT_REG_APERTURE:
		return g->config.aperture;
	case VGTT_REG_COMMAND:
		return (uint64_t)g->reg_status << 32;
	case VGTT_REG_FAULT:
		return g->reg_fault;
	case VGTT_REG_WRITES:
		return g->counts.writes;
	case VGTT_REG_UPDATES:
		return g->counts.updates;
	case VGTT_REG_TABLES:
		return pagetrack_size_pages(g->node);
	case VGTT_REG_CHECKED:
		return g->counts.checked;
	case VGTT_REG_MISMATCHES:
		return g->counts.mismatches;
	case VGTT_REG_FLUSHES:
		return g->counts.flushes;
	case VGTT_REG_COMMITTED:
		return g->counts.committed;
	case VGTT_REG_FAILED:
		return g->counts.failed;
	default:
		return 0;
	}
}

static void store_half(struct vgtt *g, uint64_t offset, uint32_t value)
{
	const unsigned shift = offset & 4 ? 32 : 0;
	uint64_t *reg = writable(g, offset & ~(uint64_t)7);

	if (!reg)
		return;
	*reg &= ~((uint64_t)UINT32_MAX << shift);
	*reg |= (uint64_t)value << shift;
}

static bool access_ok(uint64_t offset, unsigned len)
{
	return (len == 4 || len == 8) && offset % len == 0;
}

static uint64_t vgtt_read(void *ctx, uint64_t offset, unsigned len)
{
	struct vgtt *g = ctx;
	uint64_t word;

	if (!access_ok(offset, len))
		return 0;
	pthread_mutex_lock(&g->lock);
	word = load_word(g, offset & ~(uint64_t)7);
	pthread_mutex_unlock(&g->lock);
	if (len == 4)
		word = (uint32_t)(offset & 4 ? word >> 32 : word);
	return word;
}

static void vgtt_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct vgtt *g = ctx;

	if (!access_ok(offset, len))
		return;
	pthread_mutex_lock(&g->lock);
	store_half(g, offset, (uint32_t)value);
	if (len == 8)
		store_half(g, offset + 4, (uint32_t)(value >> 32));
	pthread_mutex_unlock(&g->lock);
	if (offset == VGTT_REG_COMMAND)
		guest_command(g, (uint32_t)value);
}

const struct bus_ops vgtt_bus_ops = {
	.name = "vgtt",
	.read = vgtt_read,
	.write = vgtt_write,
};

/* ---- life ------------------------------------------------------------------- */

static const struct pci_device_ops vgtt_pci_ops = {.name = "vgtt"};

static int make_aperture(struct vgtt *g, struct memslot_error *err)
{
	const uint64_t size = g->config.aperture;
	void *p = MAP_FAILED;

	if (size < MEMSLOT_PAGE_SIZE || size & (size - 1) ||
		size > VGTT_APERTURE_MAX)
		return memslot_fail(err, -EINVAL,
			"vgtt: an aperture of %llu bytes; it must be a power "
			"of two from %llu to %llu",
			(unsigned long long)size,
			(unsigned long long)MEMSLOT_PAGE_SIZE,
			(unsigned long long)VGTT_APERTURE_MAX);
	if (!FAULT(memslots_faults(g->config.slots), FAULT_VGTT_APERTURE))
		p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return memslot_fail(err, -ENOMEM,
			"vgtt: the host has no %llu bytes for the aperture",
			(unsigned long long)size);
	g->aperture = p;
	return 0;
}

static int make_pci(struct vgtt *g, struct memslot_error *err)
{
	const struct pci_identity id = {
		.vendor = VGTT_PCI_VENDOR,
		.device = VGTT_PCI_DEVICE,
		.class_code = 0x120000, /* a processing accelerator */
		.revision = VGTT_VERSION,
	};
	int r;

	pci_device_init(&g->pci, &id, &vgtt_pci_ops, g);
	r = pci_bar_handler(&g->pci, VGTT_BAR_REGISTERS, VGTT_REGISTERS_SIZE, 0,
		&vgtt_bus_ops, g, err);
	if (!r)
		r = pci_bar_memory(&g->pci, VGTT_BAR_APERTURE,
			g->config.aperture, PCI_BAR_64 | PCI_BAR_PREFETCH,
			g->aperture, g->config.slot, err);
	/* On the bus it stays: so this comes last. */
	if (!r)
		r = pci_bus_add(g->config.bus, &g->pci, g->config.number, err);
	return r;
}

static int make_locks(struct vgtt *g, struct memslot_error *err)
{
	int e = pthread_mutex_init(&g->command_lock, NULL);

	if (!e) {
		e = pthread_mutex_init(&g->lock, NULL);
		if (e)
			pthread_mutex_destroy(&g->command_lock);
	}
	return e ? memslot_fail(err, -e, "vgtt: no mutex, error %d", e) : 0;
}

int vgtt_create(const struct vgtt_config *config, struct vgtt **out,
	struct memslot_error *err)
{
	struct vgtt *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return memslot_fail(err, -ENOMEM, "no memory for vgtt");
	g->config = *config;
	if (!g->config.aperture)
		g->config.aperture = VGTT_APERTURE_DEFAULT;
	r = make_locks(g, err);
	if (r) {
		free(g);
		return r;
	}
	memslot_reader_init(&g->reader, config->slots, NULL, NULL);
	memslot_reader_init(&g->waiter, config->slots, NULL, NULL);
	r = make_aperture(g, err);
	if (!r)
		r = pagetrack_register(config->track, &vgtt_track_ops, g,
			PAGETRACK_STAY, &g->node, err);
	if (!r)
		r = make_pci(g, err);
	if (r) {
		vgtt_destroy(g);
		return r;
	}
	*out = g;
	return 0;
}

void vgtt_destroy(struct vgtt *g)
{
	if (!g)
		return;
	vgtt_clear_root(g);
	pagetrack_unregister(g->node);
	memslot_reader_fini(&g->waiter);
	memslot_reader_fini(&g->reader);
	pthread_mutex_destroy(&g->lock);
	pthread_mutex_destroy(&g->command_lock);
	if (g->aperture)
		munmap(g->aperture, g->config.aperture);
	free(g);
}

/* ---- the host --------------------------------------------------------------- */

void vgtt_get_counts(struct vgtt *g, struct vgtt_counts *out)
{
	pthread_mutex_lock(&g->lock);
	*out = g->counts;
	out->tables = pagetrack_size_pages(g->node);
	pthread_mutex_unlock(&g->lock);
}

uint8_t *vgtt_aperture(struct vgtt *g)
{
	return g->aperture;
}

struct pci_device *vgtt_pci(struct vgtt *g)
{
	return &g->pci;
}
