/* SPDX-License-Identifier: MIT */
/*
 * queue.h - a split virtqueue, the device's side
 *
 * Virtual I/O Device (VIRTIO) Version 1.2, section 2.7. Three tables in
 * guest memory, at addresses the driver chose:
 *
 *   descriptors  16 bytes each: address, length, flags, next (2.7.5)
 *   available    heads of chains the driver offers, and a count (2.7.6)
 *   used         heads the device is done with, and a count (2.7.8)
 *
 * A chain is a request: buffers that the device reads, followed by buffers
 * that it writes; a descriptor may stand for a table of descriptors elsewhere
 * (2.7.5.3). Whether either side wants to be told of progress is said by
 * flags or, with the event index, by "tell me when you pass this" (2.7.7,
 * 2.7.10).
 *
 * Everything in guest memory is hostile. It is read through the slots once,
 * judged, and used as it was judged. What breaks a rule of the
 * specification, or names memory that is not there, makes the queue broken:
 * nothing is taken from it nor put into it any more, and `why` says what was
 * wrong. The buffers' own addresses are looked at when they are used.
 *
 * A queue belongs to one thread at a time, outside read sections.
 */
#ifndef DEVICES_VIRTIO_QUEUE_H
#define DEVICES_VIRTIO_QUEUE_H

#include "devices/dma.h"

MEMSLOT_BEGIN_DECLS

#define VIRTQ_SIZE_MAX 256u /* entries; a power of two */
/*
 * Buffers of one chain. The specification's limit is the size of the queue
 * (2.7.5.3.1); drivers with small queues are known to pass it.
 */
#define VIRTQ_CHAIN_MAX 256u

struct virtq_segment {
	gpa_t gpa;
	uint32_t len;
};

struct virtq_chain {
	uint16_t head;      /* its name in the used ring */
	unsigned readable;  /* segments that the device reads, then */
	unsigned writable;  /* segments that it writes */
	uint32_t read_len;  /* bytes in the former */
	uint32_t write_len; /* bytes in the latter; the sum is below 2^32 */
	struct virtq_segment segment[VIRTQ_CHAIN_MAX];
};

/* What the driver chose. */
struct virtq_config {
	unsigned size;     /* entries: a power of two, 1 .. VIRTQ_SIZE_MAX */
	gpa_t descriptors; /* aligned to 16 */
	gpa_t available;   /* to 2 */
	gpa_t used;        /* to 4 */
	bool event_index;  /* VIRTIO_F_EVENT_IDX was accepted */
	bool indirect;     /* VIRTIO_F_INDIRECT_DESC was accepted */
};

/* All fields but `why` are private. */
struct virtq {
	struct virtq_config config;
	struct dma *dma;
	uint16_t available; /* the entry to look at next, modulo 2^16 */
	uint16_t seen;      /* what the driver had offered when last asked */
	uint16_t used;      /* the entry to fill next */
	uint16_t signalled; /* `used` when the driver was last told */
	const char *why;    /* NULL, or why the queue is broken */
};

/*
 * A queue at its beginning. `dma` is borrowed: the way into guest memory of
 * the thread that will use the queue. A config that breaks a rule gives a
 * queue that is broken from the start, and -EINVAL.
 */
int virtq_init(
	struct virtq *q, const struct virtq_config *config, struct dma *dma);

/*
 * Take the next chain. 1: *c is it; 0: there is none; -EIO: the queue is, or
 * has just been found, broken.
 */
int virtq_pop(struct virtq *q, struct virtq_chain *c);

/*
 * Copy from the readable, or to the writable, bytes of a chain, `offset`
 * bytes into them. Returns how many bytes were copied: fewer than `len` where
 * the chain ends, or -EFAULT: a buffer is where there is no memory.
 */
int64_t virtq_read(struct virtq *q, const struct virtq_chain *c,
	uint64_t offset, void *bytes, size_t len);
int64_t virtq_write(struct virtq *q, const struct virtq_chain *c,
	uint64_t offset, const void *bytes, size_t len);

/*
 * Hand the chain back to the driver; `written` bytes of its writable part
 * hold something now. 0, or -EIO: the queue is broken.
 */
int virtq_push(struct virtq *q, uint16_t head, uint32_t written);

/*
 * Is there something in the used ring that the driver wants to be told of?
 * Asking counts as telling.
 */
bool virtq_must_signal(struct virtq *q);

/*
 * Ask the driver for a kick when it offers more. True: there is nothing now,
 * so that a later offer will kick. False: more has come meanwhile (or the
 * queue is broken, which virtq_pop() tells).
 */
bool virtq_rest(struct virtq *q);

/* How many chains are waiting to be popped; 0 if the queue is broken. */
unsigned virtq_waiting(struct virtq *q);

MEMSLOT_END_DECLS

#endif
