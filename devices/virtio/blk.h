/* SPDX-License-Identifier: MIT */
/*
 * blk.h - a disk that is a file
 *
 * Virtual I/O Device (VIRTIO) Version 1.2, section 5.2. The file holds the
 * disk's bytes and nothing else; a block device will do too. Each queue has
 * a thread that serves one request after the other.
 *
 * What the guest is told is done, is done: a flush is answered after
 * fdatasync(2) has returned; so is each write if the driver has chosen
 * write-through (5.2.5), or does not know of flushes. If the host cannot
 * say that the bytes are safe, this and all later flushes fail: Linux
 * reports a failed write-back once and then forgets it.
 *
 * A host that cannot read or write gives the guest VIRTIO_BLK_S_IOERR and
 * one line to the log.
 *
 * The file is locked (fcntl(2), F_OFD_SETLK), for writing or, with
 * `read_only`, for reading: one writer or any number of readers. The lock
 * ends with the process, however that ends.
 */
#ifndef DEVICES_VIRTIO_BLK_H
#define DEVICES_VIRTIO_BLK_H

#include "devices/virtio/device.h"

MEMSLOT_BEGIN_DECLS

#define VIRTIO_BLK_QUEUES_MAX 8u

struct virtio_disk {
	const char *path;
	bool read_only;
	unsigned queues; /* 1 .. VIRTIO_BLK_QUEUES_MAX */
};

/*
 * Open and lock the file. Free with virtio_destroy(). Errors: -EBUSY it is
 * in use; -EINVAL it is no file or block device, or its size is 0 or no
 * multiple of 512; what open(2) says; those of virtio_init().
 */
int virtio_blk_create(const struct virtio_disk *disk,
	const struct virtio_config *common, struct virtio_device **out,
	struct memslot_error *err);

MEMSLOT_END_DECLS

#endif
