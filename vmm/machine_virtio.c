/* SPDX-License-Identifier: MIT */
/* machine_virtio.c - the virtio devices of a machine, on its PCI bus */
#include "vmm/platform.h"

#include "devices/virtio/blk.h"
#include "devices/virtio/pci.h"
#include "devices/virtio/rng.h"
#include "memslot/error.h"

#include <errno.h>
#include <stdlib.h>

struct virtio_unit {
	struct virtio_device *dev;
	struct virtio_pci pci;
};

/* What is common to all; `source` is the place where the next will be. */
static struct virtio_config common(const struct vmm_machine *m)
{
	return (struct virtio_config){
		.slots = m->slots,
		.track = m->track,
		.source = m->virtio_count,
		.log = m->config.log,
		.log_ctx = m->config.ctx,
	};
}

/* Takes the device over, also if it fails. */
static int plug(struct vmm_machine *m, struct virtio_device *dev,
	struct memslot_error *err)
{
	struct virtio_unit *u = &m->virtio[m->virtio_count++];

	u->dev = dev;
	return virtio_pci_init(&u->pci, dev, &m->pci, 0, err);
}

static int add_disk(struct vmm_machine *m, const struct vmm_disk *d,
	struct memslot_error *err)
{
	const struct virtio_config c = common(m);
	const struct virtio_disk disk = {
		.path = d->path,
		.read_only = d->read_only,
		.queues = m->config.cpus < VIRTIO_BLK_QUEUES_MAX
				  ? m->config.cpus
				  : VIRTIO_BLK_QUEUES_MAX,
	};
	struct virtio_device *dev;
	int r = virtio_blk_create(&disk, &c, &dev, err);

	return r ? r : plug(m, dev, err);
}

static int add_rng(struct vmm_machine *m, struct memslot_error *err)
{
	const struct virtio_config c = common(m);
	struct virtio_device *dev;
	int r = virtio_rng_create(&c, &dev, err);

	return r ? r : plug(m, dev, err);
}

int machine_add_virtio(struct vmm_machine *m, struct memslot_error *err)
{
	const unsigned count = m->config.disk_count + m->config.rng;
	int r = 0;

	if (count == 0)
		return 0;
	m->virtio = calloc(count, sizeof(*m->virtio));
	if (!m->virtio)
		return memslot_fail(
			err, -ENOMEM, "no memory for %u devices", count);
	for (unsigned i = 0; !r && i < m->config.disk_count; i++)
		r = add_disk(m, &m->config.disks[i], err);
	if (!r && m->config.rng)
		r = add_rng(m, err);
	return r;
}

int machine_start_virtio(struct vmm_machine *m, struct memslot_error *err)
{
	int r = 0;

	for (unsigned i = 0; !r && i < m->virtio_count; i++)
		r = virtio_start(m->virtio[i].dev, err);
	return r;
}

void machine_stop_virtio(struct vmm_machine *m)
{
	for (unsigned i = 0; i < m->virtio_count; i++)
		virtio_stop(m->virtio[i].dev);
}

void machine_remove_virtio(struct vmm_machine *m)
{
	for (unsigned i = 0; i < m->virtio_count; i++) {
		virtio_pci_fini(&m->virtio[i].pci);
		virtio_destroy(m->virtio[i].dev);
	}
	free(m->virtio);
	m->virtio = NULL;
	m->virtio_count = 0;
}
