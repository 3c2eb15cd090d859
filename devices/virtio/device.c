/* SPDX-License-Identifier: MIT */
/*
 * device.c - status, features, configuration, and whose turn it is
 *
 * The one delicate thing here is the end of a queue's life. A vCPU that
 * resets the device clears `live` of all queues, so that their workers find
 * nothing more to do, and sets `resetting`. Each worker, on its next round,
 * parks; the last one to park puts everything back to the beginning. Without
 * threads nobody is inside the device, and the reset is done at once.
 */
#include "devices/virtio/device.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "memslot/error.h"

const struct fault_point virtio_fault_points[] = {
	{FAULT_VIRTIO_WORKER, "virtio.worker", "start a device's thread"},
	{FAULT_VIRTIO_BLK_READ, "blk.read", "read a disk's file"},
	{FAULT_VIRTIO_BLK_WRITE, "blk.write", "write to it: it is full"},
	{FAULT_VIRTIO_BLK_FLUSH, "blk.flush", "have it on stable storage"},
	{FAULT_VIRTIO_BLK_DISCARD, "blk.discard", "punch a hole into it"},
	{FAULT_VIRTIO_RNG, "rng.get", "get random bytes from the host"},
	{0, NULL, NULL},
};

void virtio_log(struct virtio_device *dev, const char *fmt, ...)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "%s: ", dev->ops->name);
	va_list ap;

	if (!dev->config.log || n < 0 || (size_t)n >= sizeof(line))
		return;
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	va_end(ap);
	dev->config.log(dev->config.log_ctx, line);
}

/* ---- life ------------------------------------------------------------------- */

static unsigned worker_wants(void *ctx, struct pollfd *fds);
static void worker_work(void *ctx, const struct pollfd *fds, unsigned count);

static int init_worker(
	struct virtio_device *dev, unsigned i, struct memslot_error *err)
{
	struct virtio_worker *w = &dev->worker[i];
	int r = worker_init(&w->thread, &dev->worker_ops, w, err);

	if (r)
		return r;
	w->dev = dev;
	w->index = i;
	memslot_reader_init(&w->reader, dev->config.slots, NULL, NULL);
	w->dma = (struct dma){
		.reader = &w->reader,
		.track = dev->config.track,
		.space = dev->config.space,
		.source = {PAGETRACK_DEVICE, dev->config.source},
	};
	dev->workers++;
	return 0;
}

int virtio_init(struct virtio_device *dev, const struct virtio_ops *ops,
	void *ctx, const struct virtio_config *config, uint64_t features,
	const struct virtio_queue_spec *queue, unsigned queues,
	struct memslot_error *err)
{
	unsigned workers = 0;
	int r = 0;

	memset(dev, 0, sizeof(*dev));
	for (unsigned i = 0; i < queues; i++)
		if (queue[i].worker >= workers)
			workers = queue[i].worker + 1;
	if (queues > VIRTIO_QUEUES_MAX || workers > VIRTIO_WORKERS_MAX)
		return memslot_fail(err, -EINVAL,
			"%s: %u queues and %u workers; at most %u and %u",
			ops->name, queues, workers, VIRTIO_QUEUES_MAX,
			VIRTIO_WORKERS_MAX);
	dev->ctx = ctx;
	dev->config = *config;
	dev->offered = features | VIRTIO_BIT(VIRTIO_F_VERSION_1) |
		       VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
		       VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC);
	dev->worker_ops = (struct worker_ops){
		.name = ops->name,
		.wants = ops->wants ? worker_wants : NULL,
		.work = worker_work,
	};
	for (unsigned i = 0; i < queues; i++) {
		dev->queue[i].size_max = queue[i].size;
		dev->queue[i].regs.size = queue[i].size;
		dev->queue[i].worker = queue[i].worker;
	}
	dev->queues = queues;
	r = -pthread_mutex_init(&dev->lock, NULL);
	if (r)
		return memslot_fail(
			err, r, "%s: no mutex: %s", ops->name, strerror(-r));
	dev->ops = ops;
	for (unsigned i = 0; !r && i < workers; i++)
		r = init_worker(dev, i, err);
	if (r)
		virtio_fini(dev);
	return r;
}

void virtio_fini(struct virtio_device *dev)
{
	if (!dev->ops)
		return;
	virtio_stop(dev);
	for (unsigned i = 0; i < dev->workers; i++) {
		worker_fini(&dev->worker[i].thread);
		memslot_reader_fini(&dev->worker[i].reader);
	}
	pthread_mutex_destroy(&dev->lock);
	dev->ops = NULL;
}

void virtio_destroy(struct virtio_device *dev)
{
	if (dev)
		dev->ops->destroy(dev->ctx);
}

int virtio_start(struct virtio_device *dev, struct memslot_error *err)
{
	int r = 0;

	dev->running = true;
	for (unsigned i = 0; !r && i < dev->workers; i++) {
		if (FAULT(memslots_faults(dev->config.slots),
			    FAULT_VIRTIO_WORKER))
			r = memslot_fail(err, -EAGAIN,
				"%s: no thread (injected)", dev->ops->name);
		else
			r = worker_start(&dev->worker[i].thread, err);
	}
	if (r)
		virtio_stop(dev);
	return r;
}

/* ---- reset -------------------------------------------------------------------- */

static void finish_reset(struct virtio_device *dev)
{
	for (unsigned i = 0; i < dev->queues; i++) {
		struct virtio_queue *q = &dev->queue[i];

		q->regs = (struct virtq_config){.size = q->size_max};
		q->enabled = false;
		atomic_store(&q->kicked, false);
	}
	for (unsigned i = 0; i < dev->workers; i++)
		dev->worker[i].parked = false;
	dev->accepted = 0;
	if (dev->ops->reset)
		dev->ops->reset(dev->ctx);
	if (dev->transport.reset)
		dev->transport.reset(dev->transport.ctx);
	dev->status = 0;
	atomic_store(&dev->resetting, false);
}

static void kill_queues(struct virtio_device *dev)
{
	for (unsigned i = 0; i < dev->queues; i++)
		atomic_store(&dev->queue[i].live, false);
}

static void begin_reset(struct virtio_device *dev)
{
	kill_queues(dev);
	if (!dev->running) {
		finish_reset(dev);
		return;
	}
	atomic_store(&dev->resetting, true);
	for (unsigned i = 0; i < dev->workers; i++)
		worker_kick(&dev->worker[i].thread);
}

static void park(struct virtio_worker *w)
{
	struct virtio_device *dev = w->dev;
	bool all = true;

	pthread_mutex_lock(&dev->lock);
	if (atomic_load(&dev->resetting)) {
		w->parked = true;
		for (unsigned i = 0; i < dev->workers; i++)
			all = all && dev->worker[i].parked;
		if (all)
			finish_reset(dev);
	}
	pthread_mutex_unlock(&dev->lock);
}

void virtio_stop(struct virtio_device *dev)
{
	for (unsigned i = 0; i < dev->workers; i++)
		worker_stop(&dev->worker[i].thread);
	pthread_mutex_lock(&dev->lock);
	dev->running = false;
	if (atomic_load(&dev->resetting))
		finish_reset(dev);
	pthread_mutex_unlock(&dev->lock);
}

/* ---- workers ------------------------------------------------------------------- */

static bool worker_idle(const struct virtio_worker *w)
{
	return atomic_load(&w->dev->resetting) ||
	       !atomic_load(&w->dev->allowed);
}

static unsigned worker_wants(void *ctx, struct pollfd *fds)
{
	struct virtio_worker *w = ctx;
	bool live = false;

	for (unsigned i = 0; i < w->dev->queues; i++)
		if (w->dev->queue[i].worker == w->index)
			live = live || atomic_load(&w->dev->queue[i].live);
	if (!live || worker_idle(w))
		return 0;
	return w->dev->ops->wants(w->dev->ctx, w->index, fds);
}

static void worker_work(void *ctx, const struct pollfd *fds, unsigned count)
{
	struct virtio_worker *w = ctx;
	struct virtio_device *dev = w->dev;

	if (atomic_load(&dev->resetting))
		park(w);
	if (worker_idle(w))
		return;
	for (unsigned i = 0; i < dev->queues; i++) {
		struct virtio_queue *q = &dev->queue[i];

		if (q->worker == w->index && atomic_load(&q->live) &&
			atomic_exchange(&q->kicked, false))
			dev->ops->run(dev->ctx, i);
	}
	if (dev->ops->ready && count)
		dev->ops->ready(dev->ctx, w->index, fds, count);
}

void virtio_work(struct virtio_device *dev, unsigned worker,
	const struct pollfd *fds, unsigned count)
{
	worker_work(&dev->worker[worker], fds, count);
}

void virtio_wake(struct virtio_device *dev, unsigned queue)
{
	struct virtio_queue *q = &dev->queue[queue];

	atomic_store(&q->kicked, true);
	worker_kick(&dev->worker[q->worker].thread);
}

/* ---- queues, for the device --------------------------------------------------- */

bool virtio_live(struct virtio_device *dev, unsigned queue)
{
	return atomic_load(&dev->queue[queue].live) &&
	       atomic_load(&dev->allowed);
}

/* Is the queue still good? If it has just been found broken, say so once. */
static bool still_good(struct virtio_device *dev, unsigned queue)
{
	const char *why = dev->queue[queue].q.why;
	char text[128];

	if (!why)
		return true;
	snprintf(text, sizeof(text), "queue %u: %s", queue, why);
	virtio_break(dev, text);
	return false;
}

bool virtio_pop(
	struct virtio_device *dev, unsigned queue, struct virtq_chain *c)
{
	return virtio_live(dev, queue) &&
	       virtq_pop(&dev->queue[queue].q, c) == 1 &&
	       still_good(dev, queue);
}

int64_t virtio_read(struct virtio_device *dev, unsigned queue,
	const struct virtq_chain *c, uint64_t offset, void *bytes, size_t len)
{
	return virtq_read(&dev->queue[queue].q, c, offset, bytes, len);
}

int64_t virtio_write(struct virtio_device *dev, unsigned queue,
	const struct virtq_chain *c, uint64_t offset, const void *bytes,
	size_t len)
{
	return virtq_write(&dev->queue[queue].q, c, offset, bytes, len);
}

void virtio_push(struct virtio_device *dev, unsigned queue,
	const struct virtq_chain *c, uint32_t written)
{
	if (!virtio_live(dev, queue))
		return;
	virtq_push(&dev->queue[queue].q, c->head, written);
	still_good(dev, queue);
}

void virtio_signal(struct virtio_device *dev, unsigned queue)
{
	if (virtio_live(dev, queue) &&
		virtq_must_signal(&dev->queue[queue].q) &&
		dev->transport.queue_interrupt)
		dev->transport.queue_interrupt(dev->transport.ctx, queue);
	still_good(dev, queue);
}

bool virtio_rest(struct virtio_device *dev, unsigned queue)
{
	if (!virtio_live(dev, queue))
		return true;
	return virtq_rest(&dev->queue[queue].q) || !still_good(dev, queue);
}

void virtio_break(struct virtio_device *dev, const char *why)
{
	bool first = false;

	pthread_mutex_lock(&dev->lock);
	if (!atomic_load(&dev->resetting) &&
		!(dev->status & VIRTIO_NEEDS_RESET)) {
		first = true;
		dev->status |= VIRTIO_NEEDS_RESET;
		kill_queues(dev);
		if (dev->status & VIRTIO_DRIVER_OK &&
			dev->transport.config_interrupt)
			dev->transport.config_interrupt(dev->transport.ctx);
	}
	pthread_mutex_unlock(&dev->lock);
	if (first)
		virtio_log(dev, "the driver has broken a rule: %s", why);
}

/* ---- status and features ------------------------------------------------------ */

void virtio_connect(
	struct virtio_device *dev, const struct virtio_transport *transport)
{
	dev->transport = *transport;
}

uint8_t virtio_status(struct virtio_device *dev)
{
	uint8_t status;

	pthread_mutex_lock(&dev->lock);
	status = dev->status;
	pthread_mutex_unlock(&dev->lock);
	return status;
}

static void make_live(struct virtio_device *dev, unsigned queue)
{
	struct virtio_queue *q = &dev->queue[queue];
	struct virtq_config c = q->regs;

	c.event_index = virtio_has(dev, VIRTIO_RING_F_EVENT_IDX);
	c.indirect = virtio_has(dev, VIRTIO_RING_F_INDIRECT_DESC);
	virtq_init(&q->q, &c, &dev->worker[q->worker].dma);
	atomic_store(&q->live, true);
	virtio_wake(dev, queue);
}

/* Of the bits the driver sets, those that are granted. */
static uint8_t grant(struct virtio_device *dev, uint8_t bits)
{
	if (bits & VIRTIO_FEATURES_OK &&
		(dev->accepted & ~dev->offered ||
			!virtio_has(dev, VIRTIO_F_VERSION_1)))
		bits &= (uint8_t)~VIRTIO_FEATURES_OK;
	if (!((bits | dev->status) & VIRTIO_FEATURES_OK))
		bits &= (uint8_t)~VIRTIO_DRIVER_OK;
	return bits;
}

static void set_bits(struct virtio_device *dev, uint8_t bits)
{
	const uint8_t before = dev->status;

	dev->status |= grant(dev, bits);
	if (before & VIRTIO_DRIVER_OK || !(dev->status & VIRTIO_DRIVER_OK) ||
		dev->status & VIRTIO_NEEDS_RESET)
		return;
	for (unsigned i = 0; i < dev->queues; i++)
		if (dev->queue[i].enabled)
			make_live(dev, i);
}

void virtio_set_status(struct virtio_device *dev, uint8_t value)
{
	const uint8_t known = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER |
			      VIRTIO_DRIVER_OK | VIRTIO_FEATURES_OK |
			      VIRTIO_FAILED;

	pthread_mutex_lock(&dev->lock);
	if (!atomic_load(&dev->resetting)) {
		if (value == 0)
			begin_reset(dev);
		else
			set_bits(dev, value & known);
	}
	pthread_mutex_unlock(&dev->lock);
}

uint32_t virtio_offered(struct virtio_device *dev, uint32_t word)
{
	return word < 2 ? (uint32_t)(dev->offered >> 32 * word) : 0;
}

uint32_t virtio_accepted(struct virtio_device *dev, uint32_t word)
{
	uint32_t bits = 0;

	pthread_mutex_lock(&dev->lock);
	if (word < 2)
		bits = (uint32_t)(dev->accepted >> 32 * word);
	pthread_mutex_unlock(&dev->lock);
	return bits;
}

void virtio_accept(struct virtio_device *dev, uint32_t word, uint32_t bits)
{
	const uint64_t mask = (uint64_t)UINT32_MAX << 32 * (word & 1);

	pthread_mutex_lock(&dev->lock);
	if (word < 2 && !(dev->status & VIRTIO_FEATURES_OK) &&
		!atomic_load(&dev->resetting))
		dev->accepted = (dev->accepted & ~mask) | (uint64_t)bits
								  << 32 * word;
	pthread_mutex_unlock(&dev->lock);
}

/* ---- configuration space ------------------------------------------------------- */

void virtio_config_put(struct virtio_device *dev, unsigned offset,
	const void *bytes, unsigned len, bool tell)
{
	pthread_mutex_lock(&dev->lock);
	memcpy(dev->config_bytes + offset, bytes, len);
	if (offset + len > dev->config_size)
		dev->config_size = offset + len;
	dev->generation++;
	if (tell && dev->status & VIRTIO_DRIVER_OK &&
		dev->transport.config_interrupt)
		dev->transport.config_interrupt(dev->transport.ctx);
	pthread_mutex_unlock(&dev->lock);
}

void virtio_config_load(
	struct virtio_device *dev, unsigned offset, void *bytes, unsigned len)
{
	memset(bytes, 0, len);
	pthread_mutex_lock(&dev->lock);
	if (offset < dev->config_size) {
		if (len > dev->config_size - offset)
			len = dev->config_size - offset;
		memcpy(bytes, dev->config_bytes + offset, len);
	}
	pthread_mutex_unlock(&dev->lock);
}

void virtio_config_store(struct virtio_device *dev, unsigned offset,
	const void *bytes, unsigned len)
{
	if (offset >= dev->config_size || len > dev->config_size - offset)
		return;
	if (dev->ops->config_store)
		dev->ops->config_store(dev->ctx, offset, bytes, len);
}

uint8_t virtio_generation(struct virtio_device *dev)
{
	uint8_t generation;

	pthread_mutex_lock(&dev->lock);
	generation = dev->generation;
	pthread_mutex_unlock(&dev->lock);
	return generation;
}

/* ---- a queue's registers -------------------------------------------------------- */

void virtio_queue_get(struct virtio_device *dev, unsigned queue,
	struct virtq_config *regs, uint16_t *size_max, bool *enabled)
{
	*regs = (struct virtq_config){0};
	*size_max = 0;
	*enabled = false;
	if (queue >= dev->queues)
		return;
	pthread_mutex_lock(&dev->lock);
	*regs = dev->queue[queue].regs;
	*size_max = dev->queue[queue].size_max;
	*enabled = dev->queue[queue].enabled;
	pthread_mutex_unlock(&dev->lock);
}

void virtio_queue_set(struct virtio_device *dev, unsigned queue,
	const struct virtq_config *regs)
{
	if (queue >= dev->queues)
		return;
	pthread_mutex_lock(&dev->lock);
	if (!dev->queue[queue].enabled && !atomic_load(&dev->resetting))
		dev->queue[queue].regs = *regs;
	pthread_mutex_unlock(&dev->lock);
}

void virtio_queue_enable(struct virtio_device *dev, unsigned queue)
{
	struct virtio_queue *q = &dev->queue[queue];
	struct virtq probe;
	bool good = true;

	if (queue >= dev->queues)
		return;
	pthread_mutex_lock(&dev->lock);
	if (!q->enabled && !atomic_load(&dev->resetting)) {
		good = q->regs.size <= q->size_max &&
		       virtq_init(&probe, &q->regs, NULL) == 0;
		q->enabled = good;
		if (good && dev->status & VIRTIO_DRIVER_OK &&
			!(dev->status & VIRTIO_NEEDS_RESET))
			make_live(dev, queue);
	}
	pthread_mutex_unlock(&dev->lock);
	if (!good)
		virtio_break(dev, "a queue was enabled whose size or "
				  "addresses make no sense");
}

void virtio_kick(struct virtio_device *dev, unsigned queue)
{
	if (queue < dev->queues && atomic_load(&dev->queue[queue].live))
		virtio_wake(dev, queue);
}

void virtio_allow(struct virtio_device *dev, bool allowed)
{
	if (atomic_exchange(&dev->allowed, allowed) == allowed || !allowed)
		return;
	for (unsigned i = 0; i < dev->queues; i++)
		virtio_kick(dev, i);
}
