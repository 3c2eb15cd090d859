/* SPDX-License-Identifier: MIT */
#include "devices/virtio/rng.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>

#include "memslot/error.h"

#define QUEUE_SIZE  64u
#define REQUEST_MAX 65536u

struct rng {
	struct virtio_device dev;
	struct virtq_chain chain;
};

/* How many bytes the chain has got; < 0: it names no memory. */
static int64_t fill(struct rng *g)
{
	uint8_t bytes[256]; /* as many as getrandom never gives fewer of */
	int64_t done = 0;

	while (done < g->chain.write_len && done < REQUEST_MAX) {
		ssize_t n = FAULT(memslots_faults(g->dev.config.slots),
				    FAULT_VIRTIO_RNG)
				    ? -1
				    : getrandom(bytes, sizeof(bytes), 0);
		int64_t put;

		if (n <= 0)
			break;
		put = virtio_write(&g->dev, 0, &g->chain, (uint64_t)done, bytes,
			(size_t)n);
		if (put < 0)
			return put;
		done += put;
	}
	return done;
}

static void run(void *ctx, unsigned queue)
{
	struct rng *g = ctx;

	do {
		while (virtio_pop(&g->dev, queue, &g->chain)) {
			int64_t n = fill(g);

			if (n < 0) {
				virtio_break(&g->dev,
					"a buffer where there is no memory");
				return;
			}
			virtio_push(&g->dev, queue, &g->chain, (uint32_t)n);
		}
		virtio_signal(&g->dev, queue);
	} while (!virtio_rest(&g->dev, queue));
}

static void destroy(void *ctx)
{
	struct rng *g = ctx;

	virtio_fini(&g->dev);
	free(g);
}

static const struct virtio_ops ops = {
	.name = "virtio-rng",
	.id = VIRTIO_ID_RNG,
	.class_code = 0xff0000,
	.run = run,
	.destroy = destroy,
};

int virtio_rng_create(const struct virtio_config *common,
	struct virtio_device **out, struct memslot_error *err)
{
	const struct virtio_queue_spec queue = {QUEUE_SIZE, 0};
	struct rng *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return memslot_fail(err, -ENOMEM, "no memory for virtio-rng");
	r = virtio_init(&g->dev, &ops, g, common, 0, &queue, 1, err);
	if (r) {
		destroy(g);
		return r;
	}
	*out = &g->dev;
	return 0;
}
