/* SPDX-License-Identifier: MIT */
/*
 * rng.h - random bytes from the host (virtio 1.2, section 5.4)
 *
 * One queue; each buffer is filled from getrandom(2), with at most 64 KiB.
 */
#ifndef DEVICES_VIRTIO_RNG_H
#define DEVICES_VIRTIO_RNG_H

#include "devices/virtio/device.h"

MEMSLOT_BEGIN_DECLS

/* Free with virtio_destroy(). Errors: -ENOMEM; those of virtio_init(). */
int virtio_rng_create(const struct virtio_config *common,
	struct virtio_device **out, struct memslot_error *err);

MEMSLOT_END_DECLS

#endif
