/* SPDX-License-Identifier: MIT */
/*
 * pci.h - virtio on PCI: the modern transport
 *
 * Virtual I/O Device (VIRTIO) Version 1.2, section 4.1, without the legacy
 * interface. One 64-bit BAR of 16 KiB, number 0:
 *
 *   0x0000  common configuration (4.1.4.3)
 *   0x1000  ISR status (4.1.4.5)
 *   0x2000  device configuration (4.1.4.6)
 *   0x3000  notifications (4.1.4.4): 4 bytes a queue
 *
 * each named by a capability of configuration space; a fifth capability is a
 * window to the BAR for those who cannot map it (4.1.4.9). BAR 2 is MSI-X's:
 * a vector for the configuration and one for each queue. A driver that does
 * not use MSI-X gets INTA# and the ISR status.
 */
#ifndef DEVICES_VIRTIO_PCI_H
#define DEVICES_VIRTIO_PCI_H

#include "devices/pci.h"
#include "devices/virtio/device.h"

MEMSLOT_BEGIN_DECLS

#define VIRTIO_PCI_BAR_SIZE 0x4000u

/* All fields are private. */
struct virtio_pci {
	struct virtio_device *dev;
	struct pci_device pci;
	unsigned window; /* where the fifth capability is */
	/* what the driver has selected; under `lock` */
	pthread_mutex_t lock;
	uint32_t offered_word, accepted_word;
	uint16_t queue;
	/* vectors, and the ISR status; atomic: interrupts look at them */
	MEMSLOT_ATOMIC(uint32_t) config_vector;
	MEMSLOT_ATOMIC(uint32_t) queue_vector[VIRTIO_QUEUES_MAX];
	MEMSLOT_ATOMIC(uint32_t) isr;
	pthread_mutex_t isr_lock; /* the ISR status and the wire agree */
};

/*
 * Put `dev` on the bus as device `number` (0: the next free one). Both must
 * stay where they are; before the guest runs. Errors: those of pci.h; what
 * pthread_mutex_init returns, negated.
 */
int virtio_pci_init(struct virtio_pci *p, struct virtio_device *dev,
	struct pci_bus *bus, unsigned number, struct memslot_error *err);
/* Not while CPUs or the device's threads run. */
void virtio_pci_fini(struct virtio_pci *p);

MEMSLOT_END_DECLS

#endif
