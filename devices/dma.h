/* SPDX-License-Identifier: MIT */
/*
 * dma.h - how a device reaches guest memory
 *
 * A `struct dma` is one thread's way into one address space. Every access
 * looks the slot up anew, inside a read section of its own, and marks dirty
 * and reports what it wrote (source PAGETRACK_DEVICE): so a device keeps no
 * host pointer while the map may change, and no write of its goes unseen.
 *
 * All functions: outside a read section, one thread at a time. They may wait
 * for the end of a transaction that changes the memory they are after, and
 * they call the callbacks of trackers. Errors: -EFAULT there is no slot, or
 * it is read-only; -EINVAL the range wraps or passes the address limit.
 */
#ifndef DEVICES_DMA_H
#define DEVICES_DMA_H

#include "pagetrack/pagetrack.h"

MEMSLOT_BEGIN_DECLS

struct dma {
	struct memslot_reader *reader; /* the thread's own */
	struct pagetrack *track;       /* NULL: nobody to report to */
	unsigned space;
	struct pagetrack_source source;
};

/* Copies; on -EFAULT the bytes before the bad page have been copied. */
int dma_read(struct dma *d, gpa_t gpa, void *bytes, size_t len);
int dma_write(struct dma *d, gpa_t gpa, const void *bytes, size_t len);

/*
 * Two aligned bytes at once, as one access; -EINVAL if gpa is odd. The load
 * is an acquire and the store a release, so that what a guest wrote before
 * its store is seen after our load, and the other way round.
 */
int dma_load16(struct dma *d, gpa_t gpa, uint16_t *value);
int dma_store16(struct dma *d, gpa_t gpa, uint16_t value);

MEMSLOT_END_DECLS

#endif
