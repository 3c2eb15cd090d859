/* SPDX-License-Identifier: MIT */
/*
 * virtq_driver.h - a model of a virtio driver, for tests
 *
 * It has rings and buffers in guest memory of a bed (slots.h), offers chains,
 * direct or through an indirect table, and takes back what the device has
 * used. Words are stored as a driver would, through the host's mapping.
 */
#ifndef TESTS_UNIT_VIRTQ_DRIVER_H
#define TESTS_UNIT_VIRTQ_DRIVER_H

#include "devices/virtio/queue.h"

#include <linux/virtio_ring.h>

#include "tests/unit/slots.h"

#define DRIVER_BASE   0x100000ull /* guest address of the bed's memory */
#define DRIVER_DESC   (DRIVER_BASE + 0x0)
#define DRIVER_AVAIL  (DRIVER_BASE + 0x2000)
#define DRIVER_USED   (DRIVER_BASE + 0x4000)
#define DRIVER_TABLES (DRIVER_BASE + 0x10000)  /* indirect: 1 KiB a head */
#define DRIVER_DATA   (DRIVER_BASE + 0x100000) /* 16 KiB a head */

struct driver {
	struct bed *bed;
	struct virtq_config c;
	uint16_t offered, taken; /* counts of available and used entries */
	unsigned free_count;
	uint16_t free[VIRTQ_SIZE_MAX];
};

static inline void *driver_at(struct driver *d, gpa_t gpa)
{
	return d->bed->host + (gpa - DRIVER_BASE);
}

static inline struct vring_desc *driver_desc(struct driver *d, unsigned i)
{
	return (struct vring_desc *)driver_at(d, DRIVER_DESC) + i;
}

static inline uint16_t *driver_avail(struct driver *d)
{
	return driver_at(d, DRIVER_AVAIL);
}

static inline uint16_t *driver_used(struct driver *d)
{
	return driver_at(d, DRIVER_USED);
}

static inline void driver_open(struct driver *d, struct bed *b, unsigned size,
	bool event_index, bool indirect)
{
	memset(d, 0, sizeof(*d));
	d->bed = b;
	d->c = (struct virtq_config){size, DRIVER_DESC, DRIVER_AVAIL,
		DRIVER_USED, event_index, indirect};
	memset(driver_at(d, DRIVER_BASE), 0, 0x10000);
	for (unsigned i = 0; i < size; i++)
		d->free[d->free_count++] = (uint16_t)(size - 1 - i);
}

static inline void driver_offer(struct driver *d, uint16_t head)
{
	uint16_t *avail = driver_avail(d);

	avail[2 + d->offered % d->c.size] = head;
	d->offered++;
	__atomic_store_n(&avail[1], d->offered, __ATOMIC_RELEASE);
}

/* Would the driver kick after its offers since `old`? */
static inline bool driver_kicks(struct driver *d, uint16_t old)
{
	uint16_t event = driver_used(d)[2 + 4 * d->c.size];

	return !d->c.event_index || vring_need_event(event, d->offered, old);
}

/* The next used element, if there is one. */
static inline bool driver_take(struct driver *d, struct vring_used_elem *e)
{
	uint16_t *used = driver_used(d);

	if (__atomic_load_n(&used[1], __ATOMIC_ACQUIRE) == d->taken)
		return false;
	memcpy(e, (uint8_t *)used + 4 + 8 * (d->taken % d->c.size), sizeof(*e));
	d->taken++;
	return true;
}

#endif
