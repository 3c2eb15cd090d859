/* SPDX-License-Identifier: MIT */
/*
 * device.h - a virtio device, whatever it does and whatever bus it is on
 *
 * Virtual I/O Device (VIRTIO) Version 1.2, sections 2 and 3. Between the
 * transport, which turns register accesses into calls of this file, and the
 * device proper, which takes requests from queues, this part keeps what all
 * devices have: status, features, configuration space, queues, and who may
 * touch which when.
 *
 * Threads. The transport's calls come from vCPU threads and never wait for
 * I/O. The device's own code runs in its workers: each queue belongs to one,
 * and nobody else touches it while it is live. Live it is from DRIVER_OK to
 * the next reset, or until the device breaks. A reset is therefore not done
 * when the driver's store of 0 returns: the status reads 0 once every worker
 * has put down what it had in hand (4.1.4.3.1 lets the driver wait for it).
 *
 * A driver that breaks a rule gets DEVICE_NEEDS_RESET (2.1.2): all queues
 * are dead at once, `log` says why, and a reset makes the device like new.
 *
 * Locks: docs/locking.md. `lock` is held for register accesses only, and
 * while the transport is asked to interrupt.
 */
#ifndef DEVICES_VIRTIO_DEVICE_H
#define DEVICES_VIRTIO_DEVICE_H

#include "devices/virtio/queue.h"
#include "devices/worker.h"
#include "memslot/fault.h"

MEMSLOT_BEGIN_DECLS

#define VIRTIO_QUEUES_MAX  24u
#define VIRTIO_WORKERS_MAX 8u
#define VIRTIO_CONFIG_MAX  64u /* bytes of device-specific configuration */

/* Device status (2.1). */
#define VIRTIO_ACKNOWLEDGE 0x01u
#define VIRTIO_DRIVER      0x02u
#define VIRTIO_DRIVER_OK   0x04u
#define VIRTIO_FEATURES_OK 0x08u
#define VIRTIO_NEEDS_RESET 0x40u
#define VIRTIO_FAILED      0x80u

#define VIRTIO_BIT(n) ((uint64_t)1 << (n))

enum virtio_fault {
	FAULT_VIRTIO_WORKER = FAULT_BASE_VIRTIO,
	FAULT_VIRTIO_BLK_READ,
	FAULT_VIRTIO_BLK_WRITE,
	FAULT_VIRTIO_BLK_FLUSH,
	FAULT_VIRTIO_BLK_DISCARD,
	FAULT_VIRTIO_RNG,
	FAULT_VIRTIO_END, /* not a point */
};
extern const struct fault_point virtio_fault_points[];

struct virtio_device;

/* The device proper. Any of the functions may be NULL but `run`. */
struct virtio_ops {
	const char *name;
	uint16_t id;         /* section 5 */
	uint32_t class_code; /* what a PCI function of this kind is */
	/*
	 * In the queue's worker: the driver may have offered something.
	 * Should go on until virtio_rest() is true or nothing can be done.
	 */
	void (*run)(void *ctx, unsigned queue);
	/* In the worker; see struct worker_ops. Only while live. */
	unsigned (*wants)(void *ctx, unsigned worker, struct pollfd *fds);
	void (*ready)(void *ctx, unsigned worker, const struct pollfd *fds,
		unsigned count);
	/*
	 * The driver has stored to configuration space; what it stored is
	 * not there unless this says so by virtio_config_put(). In the vCPU's
	 * thread, no lock held.
	 */
	void (*config_store)(
		void *ctx, unsigned offset, const void *bytes, unsigned len);
	/*
	 * Forget everything the driver has brought about. No worker is inside
	 * the device; `lock` is held.
	 */
	void (*reset)(void *ctx);
	/* End and free the device: what virtio_destroy() calls. */
	void (*destroy)(void *ctx);
};

/* How the transport interrupts. With `lock` held, from any thread. */
struct virtio_transport {
	/* Queue `queue` has something in its used ring. */
	void (*queue_interrupt)(void *ctx, unsigned queue);
	/* Configuration or status has changed. */
	void (*config_interrupt)(void *ctx);
	/* The device has been reset: so must be vectors and pending state. */
	void (*reset)(void *ctx);
	void *ctx;
};

struct virtio_queue_spec {
	uint16_t size;   /* the largest, a power of two up to VIRTQ_SIZE_MAX */
	unsigned worker; /* which thread it belongs to */
};

struct virtio_config {
	struct memslots *slots;
	struct pagetrack *track; /* or NULL */
	unsigned space;
	unsigned source; /* index of struct pagetrack_source */
	/* One line about a driver's fault or a host's trouble. Or NULL. */
	void (*log)(void *ctx, const char *line);
	void *log_ctx;
};

struct virtio_queue {
	uint16_t size_max;
	unsigned worker;
	/* registers, under the device's lock */
	struct virtq_config regs;
	bool enabled;
	/* shared */
	MEMSLOT_ATOMIC(bool) live;   /* the worker may touch `q` */
	MEMSLOT_ATOMIC(bool) kicked; /* `run` is due */
	/* the worker's while live */
	struct virtq q;
};

struct virtio_worker {
	struct worker thread;
	struct virtio_device *dev;
	unsigned index;
	bool parked; /* has seen the reset; under the device's lock */
	struct memslot_reader reader;
	struct dma dma;
};

/* All fields are private. */
struct virtio_device {
	const struct virtio_ops *ops;
	void *ctx;
	struct virtio_config config;
	struct virtio_transport transport;
	struct worker_ops worker_ops;
	pthread_mutex_t lock;
	uint64_t offered, accepted;
	uint8_t status;
	bool running; /* there are threads */
	MEMSLOT_ATOMIC(bool) resetting;
	MEMSLOT_ATOMIC(bool) allowed; /* to touch guest memory */
	uint8_t generation;
	unsigned config_size;
	uint8_t config_bytes[VIRTIO_CONFIG_MAX];
	unsigned queues, workers;
	struct virtio_queue queue[VIRTIO_QUEUES_MAX];
	struct virtio_worker worker[VIRTIO_WORKERS_MAX];
};

/* ---- the device's side ----------------------------------------------------- */

/*
 * A device with `queues` queues, whose workers are numbered from 0 without a
 * gap. `features` are the device's own; the ones of every queue are added.
 * Registers a reader with the map for each worker, until virtio_fini().
 * Errors: -EINVAL too many queues or workers; what eventfd and
 * pthread_mutex_init say, negated.
 */
int virtio_init(struct virtio_device *dev, const struct virtio_ops *ops,
	void *ctx, const struct virtio_config *config, uint64_t features,
	const struct virtio_queue_spec *queue, unsigned queues,
	struct memslot_error *err);
/* After virtio_stop(). No effect on a zeroed device. */
void virtio_fini(struct virtio_device *dev);
/* Free a device that a ..._create() has made. NULL is allowed. */
void virtio_destroy(struct virtio_device *dev);

/*
 * Start the workers' threads; errors: what pthread_create says, negated, and
 * none is running. Stop waits for I/O in flight.
 */
int virtio_start(struct virtio_device *dev, struct memslot_error *err);
void virtio_stop(struct virtio_device *dev);
/*
 * One round of a worker's work, in the caller's thread: for those who have
 * not started it, such as tests. `fds` are as from `wants`.
 */
void virtio_work(struct virtio_device *dev, unsigned worker,
	const struct pollfd *fds, unsigned count);

/* Has the driver accepted feature `bit`? */
static inline bool virtio_has(const struct virtio_device *dev, unsigned bit)
{
	return dev->accepted >> bit & 1;
}

/*
 * In the queue's worker. As in queue.h, but: a queue that is not live has
 * nothing to pop, and to push to it does nothing; a broken queue breaks the
 * device; signal interrupts if the driver wants it. virtio_rest() is also
 * true of a queue that is not live.
 */
bool virtio_pop(
	struct virtio_device *dev, unsigned queue, struct virtq_chain *c);
int64_t virtio_read(struct virtio_device *dev, unsigned queue,
	const struct virtq_chain *c, uint64_t offset, void *bytes, size_t len);
int64_t virtio_write(struct virtio_device *dev, unsigned queue,
	const struct virtq_chain *c, uint64_t offset, const void *bytes,
	size_t len);
void virtio_push(struct virtio_device *dev, unsigned queue,
	const struct virtq_chain *c, uint32_t written);
void virtio_signal(struct virtio_device *dev, unsigned queue);
bool virtio_rest(struct virtio_device *dev, unsigned queue);
bool virtio_live(struct virtio_device *dev, unsigned queue);

/* Any thread: let the queue's worker run it. */
void virtio_wake(struct virtio_device *dev, unsigned queue);

/* The driver has broken a rule: DEVICE_NEEDS_RESET. In a worker. */
void virtio_break(struct virtio_device *dev, const char *why);

/*
 * Bytes of configuration space. `tell`: the driver hears that they changed.
 * Any thread, without `lock`; also before the guest runs.
 */
void virtio_config_put(struct virtio_device *dev, unsigned offset,
	const void *bytes, unsigned len, bool tell);

/* One line to the log, in printf's way. */
void virtio_log(struct virtio_device *dev, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- the transport's side: register accesses ---------------------------------- */

/* Before the guest runs. */
void virtio_connect(
	struct virtio_device *dev, const struct virtio_transport *transport);

uint8_t virtio_status(struct virtio_device *dev);
void virtio_set_status(struct virtio_device *dev, uint8_t value);

/* 32 feature bits; `word` 2 and up are 0. Storing works until FEATURES_OK. */
uint32_t virtio_offered(struct virtio_device *dev, uint32_t word);
uint32_t virtio_accepted(struct virtio_device *dev, uint32_t word);
void virtio_accept(struct virtio_device *dev, uint32_t word, uint32_t bits);

/* Bytes outside of the configuration read 0 and are not stored. */
void virtio_config_load(
	struct virtio_device *dev, unsigned offset, void *bytes, unsigned len);
void virtio_config_store(struct virtio_device *dev, unsigned offset,
	const void *bytes, unsigned len);
uint8_t virtio_generation(struct virtio_device *dev);

/*
 * A queue's registers. A queue that does not exist has size_max 0. Stores
 * are ignored once the queue is enabled. Enabling one whose registers make no
 * sense breaks the device.
 */
void virtio_queue_get(struct virtio_device *dev, unsigned queue,
	struct virtq_config *regs, uint16_t *size_max, bool *enabled);
void virtio_queue_set(struct virtio_device *dev, unsigned queue,
	const struct virtq_config *regs);
void virtio_queue_enable(struct virtio_device *dev, unsigned queue);
/* The driver has offered something. */
void virtio_kick(struct virtio_device *dev, unsigned queue);

/* May the device touch guest memory (PCI: bus master)? At first it may not. */
void virtio_allow(struct virtio_device *dev, bool allowed);

MEMSLOT_END_DECLS

#endif
