/* SPDX-License-Identifier: MIT */
/*
 * pci.c - the four regions of the BAR, and who is interrupted how
 *
 * Every register is looked up at its own offset and width; the specification
 * forbids drivers others (4.1.3.1), and those that try read 0 and store
 * nothing. 64-bit fields may be accessed in two halves, and are by some.
 *
 * Locks: `lock` is held for a register access, and the device's within it.
 * Interrupts come from within the device's lock or from no lock, so they use
 * neither: vectors are atomic, and `isr_lock` is below both.
 */
#include "devices/virtio/pci.h"

#include <errno.h>
#include <linux/virtio_pci.h>
#include <stddef.h>
#include <string.h>

#include "memslot/error.h"

#define COMMON     0x0000u
#define ISR        0x1000u
#define DEVICE     0x2000u
#define NOTIFY     0x3000u
#define REGION     0x1000u
#define MULTIPLIER 4u

#define ISR_QUEUE  1u
#define ISR_CONFIG 2u

#define VENDOR    0x1af4u
#define DEVICE_ID 0x1040u /* + the device's virtio id */
#define MSIX_BAR  2u

/* ---- interrupts --------------------------------------------------------------- */

static void raise(struct virtio_pci *p, uint32_t bit)
{
	pthread_mutex_lock(&p->isr_lock);
	atomic_fetch_or(&p->isr, bit);
	pci_set_intx(&p->pci, true);
	pthread_mutex_unlock(&p->isr_lock);
}

static uint32_t take_isr(struct virtio_pci *p)
{
	uint32_t bits;

	pthread_mutex_lock(&p->isr_lock);
	bits = atomic_exchange(&p->isr, 0);
	pci_set_intx(&p->pci, false);
	pthread_mutex_unlock(&p->isr_lock);
	return bits;
}

static void interrupt(struct virtio_pci *p, uint32_t vector, uint32_t bit)
{
	if (!pci_msix_enabled(&p->pci))
		raise(p, bit);
	else if (vector != VIRTIO_MSI_NO_VECTOR)
		pci_msix_notify(&p->pci, vector);
}

static void queue_interrupt(void *ctx, unsigned queue)
{
	struct virtio_pci *p = ctx;

	interrupt(p, atomic_load(&p->queue_vector[queue]), ISR_QUEUE);
}

static void config_interrupt(void *ctx)
{
	struct virtio_pci *p = ctx;

	interrupt(p, atomic_load(&p->config_vector), ISR_CONFIG);
}

static void reset(void *ctx)
{
	struct virtio_pci *p = ctx;

	atomic_store(&p->config_vector, VIRTIO_MSI_NO_VECTOR);
	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
		atomic_store(&p->queue_vector[i], VIRTIO_MSI_NO_VECTOR);
	take_isr(p);
}

/* ---- common configuration ------------------------------------------------------ */

#define FIELD(name) offsetof(struct virtio_pci_common_cfg, name)

/* A register: where, how wide. 64-bit ones are listed as two halves. */
static unsigned width_of(unsigned offset)
{
	switch (offset) {
	case FIELD(device_feature_select):
	case FIELD(device_feature):
	case FIELD(guest_feature_select):
	case FIELD(guest_feature):
	case FIELD(queue_desc_lo):
	case FIELD(queue_desc_hi):
	case FIELD(queue_avail_lo):
	case FIELD(queue_avail_hi):
	case FIELD(queue_used_lo):
	case FIELD(queue_used_hi):
		return 4;
	case FIELD(msix_config):
	case FIELD(num_queues):
	case FIELD(queue_select):
	case FIELD(queue_size):
	case FIELD(queue_msix_vector):
	case FIELD(queue_enable):
	case FIELD(queue_notify_off):
		return 2;
	case FIELD(device_status):
	case FIELD(config_generation):
		return 1;
	default:
		return 0;
	}
}

/* Of the queue that is selected. */
static uint32_t load_queue(struct virtio_pci *p, unsigned offset)
{
	struct virtq_config q;
	uint16_t size_max;
	bool enabled;

	virtio_queue_get(p->dev, p->queue, &q, &size_max, &enabled);
	if (size_max == 0)
		return 0;
	switch (offset) {
	case FIELD(queue_size):
		return q.size;
	case FIELD(queue_msix_vector):
		return atomic_load(&p->queue_vector[p->queue]);
	case FIELD(queue_enable):
		return enabled;
	case FIELD(queue_notify_off):
		return p->queue;
	case FIELD(queue_desc_lo):
		return (uint32_t)q.descriptors;
	case FIELD(queue_desc_hi):
		return (uint32_t)(q.descriptors >> 32);
	case FIELD(queue_avail_lo):
		return (uint32_t)q.available;
	case FIELD(queue_avail_hi):
		return (uint32_t)(q.available >> 32);
	case FIELD(queue_used_lo):
		return (uint32_t)q.used;
	case FIELD(queue_used_hi):
		return (uint32_t)(q.used >> 32);
	default:
		return 0;
	}
}

static uint32_t load_common(struct virtio_pci *p, unsigned offset)
{
	switch (offset) {
	case FIELD(device_feature_select):
		return p->offered_word;
	case FIELD(device_feature):
		return virtio_offered(p->dev, p->offered_word);
	case FIELD(guest_feature_select):
		return p->accepted_word;
	case FIELD(guest_feature):
		return virtio_accepted(p->dev, p->accepted_word);
	case FIELD(msix_config):
		return atomic_load(&p->config_vector);
	case FIELD(num_queues):
		return p->dev->queues;
	case FIELD(device_status):
		return virtio_status(p->dev);
	case FIELD(config_generation):
		return virtio_generation(p->dev);
	case FIELD(queue_select):
		return p->queue;
	default:
		return load_queue(p, offset);
	}
}

static void set_low(gpa_t *gpa, uint32_t value)
{
	*gpa = (*gpa & ~(gpa_t)UINT32_MAX) | value;
}

static void set_high(gpa_t *gpa, uint32_t value)
{
	*gpa = (*gpa & UINT32_MAX) | (gpa_t)value << 32;
}

static void store_queue(struct virtio_pci *p, unsigned offset, uint32_t value)
{
	struct virtq_config q;
	uint16_t size_max;
	bool enabled;

	virtio_queue_get(p->dev, p->queue, &q, &size_max, &enabled);
	if (size_max == 0)
		return;
	switch (offset) {
	case FIELD(queue_size):
		q.size = value;
		break;
	case FIELD(queue_desc_lo):
		set_low(&q.descriptors, value);
		break;
	case FIELD(queue_desc_hi):
		set_high(&q.descriptors, value);
		break;
	case FIELD(queue_avail_lo):
		set_low(&q.available, value);
		break;
	case FIELD(queue_avail_hi):
		set_high(&q.available, value);
		break;
	case FIELD(queue_used_lo):
		set_low(&q.used, value);
		break;
	case FIELD(queue_used_hi):
		set_high(&q.used, value);
		break;
	case FIELD(queue_enable):
		if (value == 1)
			virtio_queue_enable(p->dev, p->queue);
		return;
	default:
		return;
	}
	virtio_queue_set(p->dev, p->queue, &q);
}

/* A vector that does not exist reads back as "none" (4.1.5.1.2.2). */
static uint32_t a_vector(struct virtio_pci *p, uint32_t value)
{
	return value <= p->dev->queues ? value : VIRTIO_MSI_NO_VECTOR;
}

static void store_common(struct virtio_pci *p, unsigned offset, uint32_t value)
{
	switch (offset) {
	case FIELD(device_feature_select):
		p->offered_word = value;
		break;
	case FIELD(guest_feature_select):
		p->accepted_word = value;
		break;
	case FIELD(guest_feature):
		virtio_accept(p->dev, p->accepted_word, value);
		break;
	case FIELD(msix_config):
		atomic_store(&p->config_vector, a_vector(p, value));
		break;
	case FIELD(device_status):
		virtio_set_status(p->dev, (uint8_t)value);
		break;
	case FIELD(queue_select):
		p->queue = (uint16_t)value;
		break;
	case FIELD(queue_msix_vector):
		if (p->queue < p->dev->queues)
			atomic_store(
				&p->queue_vector[p->queue], a_vector(p, value));
		break;
	default:
		store_queue(p, offset, value);
	}
}

/* ---- the BAR --------------------------------------------------------------------- */

static uint64_t bar_load_common(
	struct virtio_pci *p, unsigned offset, unsigned len)
{
	uint64_t value = 0;

	pthread_mutex_lock(&p->lock);
	if (len == 8 && width_of(offset) == 4 && width_of(offset + 4) == 4)
		value = load_common(p, offset) |
			(uint64_t)load_common(p, offset + 4) << 32;
	else if (len == width_of(offset))
		value = load_common(p, offset);
	pthread_mutex_unlock(&p->lock);
	return value;
}

static void bar_store_common(
	struct virtio_pci *p, unsigned offset, unsigned len, uint64_t value)
{
	pthread_mutex_lock(&p->lock);
	if (len == 8 && width_of(offset) == 4 && width_of(offset + 4) == 4) {
		store_common(p, offset, (uint32_t)value);
		store_common(p, offset + 4, (uint32_t)(value >> 32));
	} else if (len == width_of(offset)) {
		store_common(p, offset, (uint32_t)value);
	}
	pthread_mutex_unlock(&p->lock);
}

static uint64_t bar_load(void *ctx, uint64_t offset, unsigned len)
{
	struct virtio_pci *p = ctx;
	const unsigned at = offset % REGION;
	uint64_t value = 0;

	switch (offset - at) {
	case COMMON:
		return bar_load_common(p, at, len);
	case ISR:
		return at == 0 && len == 1 ? take_isr(p) : 0;
	case DEVICE:
		virtio_config_load(p->dev, at, &value, len);
		return value;
	default:
		return 0;
	}
}

static void bar_store(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct virtio_pci *p = ctx;
	const unsigned at = offset % REGION;

	switch (offset - at) {
	case COMMON:
		bar_store_common(p, at, len, value);
		break;
	case DEVICE:
		virtio_config_store(p->dev, at, &value, len);
		break;
	case NOTIFY:
		if (at % MULTIPLIER == 0)
			virtio_kick(p->dev, at / MULTIPLIER);
		break;
	}
}

static const struct bus_ops bar_ops = {
	.name = "virtio",
	.read = bar_load,
	.write = bar_store,
};

/* ---- the window in configuration space --------------------------------------------- */

/* What the driver has set up; true: it is an access that can be made. */
static bool window_target(struct virtio_pci *p, uint64_t *offset, unsigned *len)
{
	struct virtio_pci_cap cap;

	pci_config_get(&p->pci, p->window, &cap, sizeof(cap));
	*offset = cap.offset;
	*len = cap.length;
	return cap.bar == 0 && (*len == 1 || *len == 2 || *len == 4) &&
	       *offset % *len == 0 && *offset < VIRTIO_PCI_BAR_SIZE;
}

#define WINDOW_DATA offsetof(struct virtio_pci_cfg_cap, pci_cfg_data)

static bool touches_data(unsigned offset, unsigned len)
{
	return offset + len > WINDOW_DATA;
}

static void before_load(void *ctx, unsigned offset, unsigned len)
{
	struct virtio_pci *p = ctx;
	uint64_t at;
	unsigned width;
	uint32_t value;

	if (!touches_data(offset, len) || !window_target(p, &at, &width))
		return;
	value = (uint32_t)bar_load(p, at, width);
	pci_config_put(&p->pci, p->window + WINDOW_DATA, &value, width);
}

static void after_store(void *ctx, unsigned offset, unsigned len)
{
	struct virtio_pci *p = ctx;
	uint64_t at;
	unsigned width;
	uint32_t value = 0;

	if (!touches_data(offset, len) || !window_target(p, &at, &width))
		return;
	pci_config_get(&p->pci, p->window + WINDOW_DATA, &value, width);
	bar_store(p, at, width, value);
}

static void on_command(void *ctx, uint16_t command)
{
	struct virtio_pci *p = ctx;

	virtio_allow(p->dev, command & PCI_COMMAND_MASTER);
}

static const struct pci_device_ops pci_ops = {
	.name = "virtio",
	.before_load = before_load,
	.after_store = after_store,
	.command = on_command,
};

/* ---- life ------------------------------------------------------------------------------ */

static int add_capabilities(struct virtio_pci *p, struct memslot_error *err)
{
	static const uint32_t region[] = {
		[VIRTIO_PCI_CAP_COMMON_CFG] = COMMON,
		[VIRTIO_PCI_CAP_NOTIFY_CFG] = NOTIFY,
		[VIRTIO_PCI_CAP_ISR_CFG] = ISR,
		[VIRTIO_PCI_CAP_DEVICE_CFG] = DEVICE,
	};
	struct virtio_pci_notify_cap c = {.notify_off_multiplier = MULTIPLIER};
	struct virtio_pci_cfg_cap w = {0}, writable = {0};
	int r = 0;

	for (uint8_t type = VIRTIO_PCI_CAP_COMMON_CFG;
		r >= 0 && type <= VIRTIO_PCI_CAP_DEVICE_CFG; type++) {
		unsigned len = type == VIRTIO_PCI_CAP_NOTIFY_CFG
				       ? sizeof(c)
				       : sizeof(c.cap);

		c.cap.cap_len = (uint8_t)len;
		c.cap.cfg_type = type;
		c.cap.offset = region[type];
		c.cap.length = REGION;
		r = pci_add_capability(
			&p->pci, PCI_CAP_VENDOR, &c, NULL, len, 0, err);
	}
	if (r < 0)
		return r;
	w.cap.cap_len = sizeof(w);
	w.cap.cfg_type = VIRTIO_PCI_CAP_PCI_CFG;
	writable.cap.bar = 0xff;
	writable.cap.offset = writable.cap.length = UINT32_MAX;
	memset(writable.pci_cfg_data, 0xff, sizeof(writable.pci_cfg_data));
	r = pci_add_capability(&p->pci, PCI_CAP_VENDOR, &w, &writable,
		sizeof(w), PCI_CAP_HOOKED, err);
	p->window = (unsigned)r;
	return r < 0 ? r : 0;
}

static int init_locks(struct virtio_pci *p, struct memslot_error *err)
{
	int e = pthread_mutex_init(&p->lock, NULL);

	if (!e) {
		e = pthread_mutex_init(&p->isr_lock, NULL);
		if (e)
			pthread_mutex_destroy(&p->lock);
	}
	return e ? memslot_fail(err, -e, "virtio: no mutex: %s", strerror(e))
		 : 0;
}

int virtio_pci_init(struct virtio_pci *p, struct virtio_device *dev,
	struct pci_bus *bus, unsigned number, struct memslot_error *err)
{
	const struct pci_identity id = {
		.vendor = VENDOR,
		.device = (uint16_t)(DEVICE_ID + dev->ops->id),
		.subvendor = VENDOR,
		.subdevice = 0x1100,
		.class_code = dev->ops->class_code,
		.revision = 1, /* 4.1.2.2: not transitional */
		.pin = 1,
	};
	const struct virtio_transport transport = {
		.queue_interrupt = queue_interrupt,
		.config_interrupt = config_interrupt,
		.reset = reset,
		.ctx = p,
	};
	int r;

	memset(p, 0, sizeof(*p));
	r = init_locks(p, err);
	if (r)
		return r;
	p->dev = dev;
	pci_device_init(&p->pci, &id, &pci_ops, p);
	r = pci_bar_handler(
		&p->pci, 0, VIRTIO_PCI_BAR_SIZE, PCI_BAR_64, &bar_ops, p, err);
	if (!r)
		r = pci_add_msix(&p->pci, MSIX_BAR, dev->queues + 1, err);
	if (!r)
		r = add_capabilities(p, err);
	if (!r)
		r = pci_bus_add(bus, &p->pci, number, err);
	if (r) {
		virtio_pci_fini(p);
		return r;
	}
	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
		atomic_store(&p->queue_vector[i], VIRTIO_MSI_NO_VECTOR);
	atomic_store(&p->config_vector, VIRTIO_MSI_NO_VECTOR);
	virtio_connect(dev, &transport);
	return 0;
}

void virtio_pci_fini(struct virtio_pci *p)
{
	if (!p->dev)
		return;
	pthread_mutex_destroy(&p->isr_lock);
	pthread_mutex_destroy(&p->lock);
	p->dev = NULL;
}
