/* SPDX-License-Identifier: MIT */
/*
 * plic.c - gateways, priorities, claim and complete
 *
 * All state of a source is one bit in each of four words, so that what a
 * context may claim is `pending & enable` and the rest is choosing the best
 * of at most 63 bits. Whoever changes anything calls plic_update(), which
 * recomputes the wires; nothing else touches them.
 */
#include "devices/plic.h"

#include <errno.h>

#include "memslot/error.h"

#define PLIC_PENDING        0x001000u
#define PLIC_ENABLE         0x002000u
#define PLIC_ENABLE_STRIDE  0x80u
#define PLIC_CONTEXT        0x200000u
#define PLIC_CONTEXT_STRIDE 0x1000u
#define PLIC_THRESHOLD      0x0u
#define PLIC_CLAIM          0x4u

static uint64_t plic_bit(unsigned source)
{
	return (uint64_t)1 << source;
}

/* The source context c would get from a claim; 0 if there is none. */
static unsigned plic_best(const struct plic *dev, const struct plic_context *c)
{
	uint64_t left = dev->pending & c->enable;
	unsigned best = 0;

	while (left) {
		unsigned s = (unsigned)__builtin_ctzll(left);

		left &= left - 1;
		if (dev->priority[s] > dev->priority[best])
			best = s;
	}
	return best; /* priority[0] is 0: a source with priority 0 never wins */
}

static void plic_update(struct plic *dev)
{
	for (unsigned i = 0; i < dev->contexts; i++) {
		struct plic_context *c = &dev->context[i];
		bool raise = dev->priority[plic_best(dev, c)] > c->threshold;

		if (raise == c->raised)
			continue;
		c->raised = raise;
		irq_set(&c->out, raise);
	}
}

/* Open gateways of raised lines make their request. */
static void plic_request(struct plic *dev)
{
	dev->pending |= dev->level & ~dev->claimed;
}

static void plic_set_line(void *ctx, unsigned source, bool level)
{
	struct plic *dev = ctx;

	pthread_mutex_lock(&dev->lock);
	if (level)
		dev->level |= plic_bit(source);
	else
		dev->level &= ~plic_bit(source);
	plic_request(dev);
	plic_update(dev);
	pthread_mutex_unlock(&dev->lock);
}

struct irq_line plic_line(struct plic *dev, unsigned source)
{
	struct irq_line line = {plic_set_line, dev, source};

	if (source > PLIC_SOURCES_MAX || !(dev->sources & plic_bit(source)))
		line.set = NULL;
	return line;
}

int plic_init(struct plic *dev, unsigned sources, unsigned contexts,
	const struct irq_line *out, struct memslot_error *err)
{
	int e;

	if (sources < 1 || sources > PLIC_SOURCES_MAX)
		return memslot_fail(err, -EINVAL,
			"plic: %u sources, possible are 1 to %u", sources,
			PLIC_SOURCES_MAX);
	if (contexts < 1 || contexts > PLIC_CONTEXTS_MAX)
		return memslot_fail(err, -EINVAL,
			"plic: %u contexts, possible are 1 to %u", contexts,
			PLIC_CONTEXTS_MAX);
	*dev = (struct plic){
		.sources = (UINT64_MAX >> (63 - sources)) & ~plic_bit(0),
		.contexts = contexts,
	};
	for (unsigned i = 0; i < contexts; i++)
		dev->context[i].out = out[i];
	e = pthread_mutex_init(&dev->lock, NULL);
	if (e)
		return memslot_fail(err, -e, "plic: no mutex, error %d", e);
	return 0;
}

void plic_fini(struct plic *dev)
{
	pthread_mutex_destroy(&dev->lock);
}

/* ---- registers ------------------------------------------------------- */

static uint32_t plic_claim(struct plic *dev, const struct plic_context *c)
{
	unsigned s = plic_best(dev, c);

	if (s) {
		dev->pending &= ~plic_bit(s);
		dev->claimed |= plic_bit(s);
		plic_update(dev);
	}
	return s;
}

static void plic_complete(
	struct plic *dev, const struct plic_context *c, uint32_t source)
{
	if (source > PLIC_SOURCES_MAX || !(c->enable & plic_bit(source)))
		return;
	dev->claimed &= ~plic_bit(source);
	plic_request(dev);
	plic_update(dev);
}

/* Half `word` (0 or 1) of a bitmap; there are no sources above 63. */
static uint32_t plic_get_word(uint64_t bits, uint64_t word)
{
	return word < 2 ? (uint32_t)(bits >> (32 * word)) : 0;
}

static uint64_t plic_put_word(uint64_t bits, uint64_t word, uint32_t value)
{
	if (word >= 2)
		return bits;
	bits &= ~((uint64_t)UINT32_MAX << (32 * word));
	return bits | (uint64_t)value << (32 * word);
}

/* The context whose block of `stride` bytes holds offset, or NULL. */
static struct plic_context *plic_context_at(
	struct plic *dev, uint64_t offset, uint64_t stride)
{
	uint64_t n = offset / stride;

	return n < dev->contexts ? &dev->context[n] : NULL;
}

static uint32_t plic_get(struct plic *dev, uint64_t offset)
{
	struct plic_context *c;

	if (offset < PLIC_PENDING) {
		uint64_t s = offset / 4;

		return s <= PLIC_SOURCES_MAX ? dev->priority[s] : 0;
	}
	if (offset < PLIC_ENABLE)
		return plic_get_word(dev->pending, (offset - PLIC_PENDING) / 4);
	if (offset < PLIC_CONTEXT) {
		c = plic_context_at(
			dev, offset - PLIC_ENABLE, PLIC_ENABLE_STRIDE);
		return c ? plic_get_word(
				   c->enable, offset % PLIC_ENABLE_STRIDE / 4)
			 : 0;
	}
	c = plic_context_at(dev, offset - PLIC_CONTEXT, PLIC_CONTEXT_STRIDE);
	if (c && offset % PLIC_CONTEXT_STRIDE == PLIC_THRESHOLD)
		return c->threshold;
	if (c && offset % PLIC_CONTEXT_STRIDE == PLIC_CLAIM)
		return plic_claim(dev, c);
	return 0;
}

static void plic_set_priority(struct plic *dev, uint64_t source, uint32_t value)
{
	if (source > PLIC_SOURCES_MAX || !(dev->sources & plic_bit(source)))
		return;
	dev->priority[source] = value & PLIC_PRIORITY_MAX;
	plic_update(dev);
}

static void plic_set_enable(struct plic *dev, uint64_t offset, uint32_t value)
{
	struct plic_context *c =
		plic_context_at(dev, offset, PLIC_ENABLE_STRIDE);

	if (!c)
		return;
	c->enable = plic_put_word(
			    c->enable, offset % PLIC_ENABLE_STRIDE / 4, value) &
		    dev->sources;
	plic_update(dev);
}

static void plic_set_context(struct plic *dev, uint64_t offset, uint32_t value)
{
	struct plic_context *c =
		plic_context_at(dev, offset, PLIC_CONTEXT_STRIDE);

	if (!c)
		return;
	if (offset % PLIC_CONTEXT_STRIDE == PLIC_THRESHOLD) {
		c->threshold = value & PLIC_PRIORITY_MAX;
		plic_update(dev);
	} else if (offset % PLIC_CONTEXT_STRIDE == PLIC_CLAIM) {
		plic_complete(dev, c, value);
	}
}

static void plic_set(struct plic *dev, uint64_t offset, uint32_t value)
{
	if (offset < PLIC_PENDING)
		plic_set_priority(dev, offset / 4, value);
	else if (offset < PLIC_ENABLE)
		return;
	else if (offset < PLIC_CONTEXT)
		plic_set_enable(dev, offset - PLIC_ENABLE, value);
	else
		plic_set_context(dev, offset - PLIC_CONTEXT, value);
}

static uint64_t plic_read(void *ctx, uint64_t offset, unsigned len)
{
	struct plic *dev = ctx;
	uint32_t value;

	if (len != 4 || offset % 4)
		return 0;
	pthread_mutex_lock(&dev->lock);
	value = plic_get(dev, offset);
	pthread_mutex_unlock(&dev->lock);
	return value;
}

static void plic_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct plic *dev = ctx;

	if (len != 4 || offset % 4)
		return;
	pthread_mutex_lock(&dev->lock);
	plic_set(dev, offset, (uint32_t)value);
	pthread_mutex_unlock(&dev->lock);
}

const struct bus_ops plic_bus_ops = {
	.name = "plic",
	.read = plic_read,
	.write = plic_write,
};
