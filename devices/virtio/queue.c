/* SPDX-License-Identifier: MIT */
/*
 * queue.c - taking chains from the available ring, filling the used ring
 *
 * Offsets in the rings (virtio 1.2, 2.7.6 and 2.7.8):
 *
 *   available: flags, idx, ring[size] of 2 bytes, used_event
 *   used:      flags, idx, ring[size] of {id, len}, avail_event
 *
 * The counters run modulo 2^16 and are compared by subtraction. All numbers
 * are little-endian, and so is every host we run on.
 */
#include "devices/virtio/queue.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	"virtqueues are little-endian and are copied as they are");

#define RING_FLAGS 0u
#define RING_INDEX 2u
#define RING_ENTRY 4u

static int broken(struct virtq *q, const char *why)
{
	if (!q->why)
		q->why = why;
	return -EIO;
}

/* ---- addresses ------------------------------------------------------------ */

static gpa_t available_entry(const struct virtq *q, uint16_t n)
{
	return q->config.available + RING_ENTRY +
	       2ull * (n & (q->config.size - 1));
}

static gpa_t used_entry(const struct virtq *q, uint16_t n)
{
	return q->config.used + RING_ENTRY + 8ull * (n & (q->config.size - 1));
}

/* Where the driver says when it wants to be told, and where we do. */
static gpa_t used_event(const struct virtq *q)
{
	return q->config.available + RING_ENTRY + 2ull * q->config.size;
}

static gpa_t available_event(const struct virtq *q)
{
	return q->config.used + RING_ENTRY + 8ull * q->config.size;
}

static bool fits(gpa_t gpa, uint64_t len, uint64_t align)
{
	return gpa % align == 0 && gpa < MEMSLOT_GPA_LIMIT &&
	       len <= MEMSLOT_GPA_LIMIT - gpa;
}

int virtq_init(
	struct virtq *q, const struct virtq_config *config, struct dma *dma)
{
	const unsigned n = config->size;

	*q = (struct virtq){.config = *config, .dma = dma};
	if (n == 0 || n > VIRTQ_SIZE_MAX || (n & (n - 1)))
		broken(q, "its size is no power of two, or too large");
	else if (!fits(config->descriptors, 16ull * n, 16))
		broken(q, "its descriptors are at no possible address");
	else if (!fits(config->available, 6 + 2ull * n, 2))
		broken(q, "its available ring is at no possible address");
	else if (!fits(config->used, 6 + 8ull * n, 4))
		broken(q, "its used ring is at no possible address");
	return q->why ? -EINVAL : 0;
}

/* ---- chains --------------------------------------------------------------- */

/* One more buffer. */
static int add_segment(
	struct virtq *q, struct virtq_chain *c, const struct vring_desc *d)
{
	uint32_t *len;

	if (d->flags & VRING_DESC_F_WRITE) {
		c->writable++;
		len = &c->write_len;
	} else if (c->writable) {
		return broken(q, "a buffer to read follows one to write");
	} else {
		c->readable++;
		len = &c->read_len;
	}
	if (d->len > UINT32_MAX - c->read_len - c->write_len)
		return broken(q, "a chain of 4 GiB or more");
	if (!fits(d->addr, d->len, 1))
		return broken(q, "a buffer is at no possible address");
	*len += d->len;
	c->segment[c->readable + c->writable - 1] =
		(struct virtq_segment){d->addr, d->len};
	return 0;
}

/*
 * Follow the chain that begins at `at` of a table. A chain cannot be longer
 * than its table unless it loops; so counting is what ends a loop. `indirect`
 * receives a descriptor that stands for a table, which must be the last.
 */
static int walk(struct virtq *q, struct virtq_chain *c, gpa_t table,
	unsigned entries, unsigned at, struct vring_desc *indirect)
{
	for (unsigned n = 0;; n++) {
		struct vring_desc d;
		int r;

		if (at >= entries)
			return broken(q, "a descriptor that does not exist");
		if (n == entries || n == VIRTQ_CHAIN_MAX)
			return broken(q, "a chain that is too long, or loops");
		if (dma_read(q->dma, table + 16ull * at, &d, sizeof(d)))
			return broken(
				q, "descriptors where there is no memory");
		if (d.flags & VRING_DESC_F_INDIRECT) {
			if (!indirect || d.flags & VRING_DESC_F_NEXT)
				return broken(q,
					"an indirect descriptor within one, "
					"or one that goes on");
			*indirect = d;
			return 0;
		}
		if (c->readable + c->writable == VIRTQ_CHAIN_MAX)
			return broken(q, "a chain of too many buffers");
		r = add_segment(q, c, &d);
		if (r || !(d.flags & VRING_DESC_F_NEXT))
			return r;
		at = d.next;
	}
}

static int walk_indirect(
	struct virtq *q, struct virtq_chain *c, const struct vring_desc *d)
{
	const unsigned entries = d->len / 16;

	if (!q->config.indirect)
		return broken(q, "an indirect descriptor, not agreed upon");
	if (d->len % 16 || entries == 0 || entries > UINT16_MAX)
		return broken(q, "an indirect table of an odd length");
	if (!fits(d->addr, d->len, 1))
		return broken(q, "an indirect table at no possible address");
	return walk(q, c, d->addr, entries, 0, NULL);
}

unsigned virtq_waiting(struct virtq *q)
{
	uint16_t index;

	if (q->why)
		return 0;
	if (q->seen != q->available)
		return (uint16_t)(q->seen - q->available);
	if (dma_load16(q->dma, q->config.available + RING_INDEX, &index)) {
		broken(q, "an available ring where there is no memory");
		return 0;
	}
	if ((uint16_t)(index - q->available) > q->config.size) {
		broken(q, "more chains on offer than the ring holds");
		return 0;
	}
	q->seen = index;
	return (uint16_t)(index - q->available);
}

int virtq_pop(struct virtq *q, struct virtq_chain *c)
{
	struct vring_desc indirect = {0};
	int r;

	if (!virtq_waiting(q))
		return q->why ? -EIO : 0;
	c->readable = c->writable = 0;
	c->read_len = c->write_len = 0;
	if (dma_load16(q->dma, available_entry(q, q->available), &c->head))
		return broken(q, "an available ring where there is no memory");
	r = walk(q, c, q->config.descriptors, q->config.size, c->head,
		&indirect);
	if (!r && indirect.flags)
		r = walk_indirect(q, c, &indirect);
	if (r)
		return r;
	q->available++;
	return 1;
}

/* ---- buffers --------------------------------------------------------------- */

/*
 * The part of segment list [s, s + count) that begins `offset` bytes in:
 * moves *s and *count on, *offset becomes the offset in the first.
 */
static void skip(
	const struct virtq_segment **s, unsigned *count, uint64_t *offset)
{
	while (*count && *offset >= (*s)->len) {
		*offset -= (*s)->len;
		(*s)++;
		(*count)--;
	}
}

static size_t part(const struct virtq_segment *s, uint64_t offset, size_t len)
{
	return len < s->len - offset ? len : (size_t)(s->len - offset);
}

int64_t virtq_read(struct virtq *q, const struct virtq_chain *c,
	uint64_t offset, void *bytes, size_t len)
{
	const struct virtq_segment *s = c->segment;
	unsigned count = c->readable;
	uint8_t *to = bytes;

	for (skip(&s, &count, &offset); count && len; s++, count--) {
		size_t n = part(s, offset, len);

		if (n && dma_read(q->dma, s->gpa + offset, to, n))
			return -EFAULT;
		to += n;
		len -= n;
		offset = 0;
	}
	return to - (uint8_t *)bytes;
}

int64_t virtq_write(struct virtq *q, const struct virtq_chain *c,
	uint64_t offset, const void *bytes, size_t len)
{
	const struct virtq_segment *s = c->segment + c->readable;
	unsigned count = c->writable;
	const uint8_t *from = bytes;

	for (skip(&s, &count, &offset); count && len; s++, count--) {
		size_t n = part(s, offset, len);

		if (n && dma_write(q->dma, s->gpa + offset, from, n))
			return -EFAULT;
		from += n;
		len -= n;
		offset = 0;
	}
	return from - (const uint8_t *)bytes;
}

/* ---- the used ring ----------------------------------------------------------- */

int virtq_push(struct virtq *q, uint16_t head, uint32_t written)
{
	const struct vring_used_elem e = {.id = head, .len = written};

	if (q->why)
		return -EIO;
	if (dma_write(q->dma, used_entry(q, q->used), &e, sizeof(e)) ||
		dma_store16(q->dma, q->config.used + RING_INDEX,
			(uint16_t)(q->used + 1)))
		return broken(q, "a used ring where there is no memory");
	q->used++;
	return 0;
}

/*
 * The other side may be going to sleep while we make progress: it stores
 * what it waits for and then looks for progress, we store progress and then
 * look at what it waits for. Each needs a full barrier between its two.
 */
bool virtq_must_signal(struct virtq *q)
{
	const uint16_t old = q->signalled;
	uint16_t word;

	if (q->why || q->used == old)
		return false;
	atomic_thread_fence(memory_order_seq_cst);
	if (dma_load16(q->dma,
		    q->config.event_index ? used_event(q)
					  : q->config.available + RING_FLAGS,
		    &word)) {
		broken(q, "an available ring where there is no memory");
		return false;
	}
	q->signalled = q->used;
	if (!q->config.event_index)
		return !(word & VRING_AVAIL_F_NO_INTERRUPT);
	return vring_need_event(word, q->used, old);
}

/* Without the event index the driver always kicks: our flags stay 0. */
bool virtq_rest(struct virtq *q)
{
	if (q->why || q->seen != q->available)
		return false;
	if (q->config.event_index &&
		dma_store16(q->dma, available_event(q), q->available)) {
		broken(q, "a used ring where there is no memory");
		return false;
	}
	atomic_thread_fence(memory_order_seq_cst);
	return virtq_waiting(q) == 0 && !q->why;
}
