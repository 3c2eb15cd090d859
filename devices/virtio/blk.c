/* SPDX-License-Identifier: MIT */
/*
 * blk.c - requests of a disk, one by one
 *
 * A request is a header of 16 bytes, data, and a byte for the status, cut
 * into buffers however the driver likes (2.6.4: no assumptions). Data goes
 * through a buffer of ours: guest memory is only touched inside short read
 * sections, and a disk may take long.
 */
#include "devices/virtio/blk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memslot/error.h"

#define SECTOR      512u
#define QUEUE_SIZE  128u
#define SEGMENTS    (QUEUE_SIZE - 2) /* besides header and status */
#define BUFFER      ((size_t)256 << 10)
#define RANGES_MAX  16u       /* of one discard */
#define DISCARD_MAX 0x200000u /* sectors of one range: 1 GiB */

struct blk {
	struct virtio_device dev;
	int fd;
	bool read_only;
	uint64_t capacity;               /* sectors */
	MEMSLOT_ATOMIC(bool) through;    /* write-through was chosen */
	pthread_mutex_t flush_lock;      /* one flush at a time */
	bool unsafe;                     /* a flush has failed; its lock's */
	MEMSLOT_ATOMIC(bool) complained; /* of a host error, in the log */
	uint8_t *buffer[VIRTIO_BLK_QUEUES_MAX];
	struct virtq_chain chain[VIRTIO_BLK_QUEUES_MAX];
};

typedef unsigned long long ull;

static bool fails(struct blk *b, unsigned point)
{
	return FAULT(memslots_faults(b->dev.config.slots), point);
}

/* The guest gets an error; the user, once, the reason. */
static uint8_t host_error(struct blk *b, const char *what, int e)
{
	if (!atomic_exchange(&b->complained, true))
		virtio_log(&b->dev, "%s: %s; the guest gets I/O errors", what,
			strerror(e));
	return VIRTIO_BLK_S_IOERR;
}

/* ---- the file ------------------------------------------------------------------ */

/* All `len` bytes, or an errno. A file that has become shorter is an EIO. */
static int file_read(struct blk *b, uint8_t *to, size_t len, uint64_t at)
{
	while (len) {
		ssize_t n = pread(b->fd, to, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? errno : EIO;
		to += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int file_write(
	struct blk *b, const uint8_t *from, size_t len, uint64_t at)
{
	while (len) {
		ssize_t n = pwrite(b->fd, from, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? errno : ENOSPC;
		from += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static uint8_t flush_locked(struct blk *b)
{
	int e = 0;

	if (b->unsafe)
		return VIRTIO_BLK_S_IOERR;
	if (fails(b, FAULT_VIRTIO_BLK_FLUSH))
		e = EIO;
	else if (fdatasync(b->fd))
		e = errno;
	if (!e)
		return VIRTIO_BLK_S_OK;
	b->unsafe = true;
	return host_error(b, "flush", e);
}

/*
 * The kernel reports a failed write-back once for an open file. Queues share
 * it: none may be told that all is well between another's failure and
 * `unsafe`.
 */
static uint8_t flush(struct blk *b)
{
	uint8_t status;

	pthread_mutex_lock(&b->flush_lock);
	status = flush_locked(b);
	pthread_mutex_unlock(&b->flush_lock);
	return status;
}

/* After anything that changes the file. */
static uint8_t settle(struct blk *b)
{
	if (atomic_load(&b->through) ||
		!virtio_has(&b->dev, VIRTIO_BLK_F_FLUSH))
		return flush(b);
	return VIRTIO_BLK_S_OK;
}

/* ---- requests ------------------------------------------------------------------- */

struct request {
	struct blk *b;
	unsigned queue;
	struct virtq_chain *c;
	struct virtio_blk_outhdr header;
	uint32_t written; /* bytes of data for the guest */
};

static bool in_disk(const struct blk *b, uint64_t sector, uint64_t bytes)
{
	return bytes % SECTOR == 0 && sector <= b->capacity &&
	       bytes / SECTOR <= b->capacity - sector;
}

static uint8_t do_read(struct request *r)
{
	struct blk *b = r->b;
	uint64_t left = r->c->write_len - 1, at = r->header.sector * SECTOR;

	if (!in_disk(b, r->header.sector, left))
		return VIRTIO_BLK_S_IOERR;
	while (left) {
		size_t n = left < BUFFER ? (size_t)left : BUFFER;
		int e = fails(b, FAULT_VIRTIO_BLK_READ)
				? EIO
				: file_read(b, b->buffer[r->queue], n, at);

		if (e)
			return host_error(b, "read", e);
		if (virtio_write(&b->dev, r->queue, r->c, r->written,
			    b->buffer[r->queue], n) != (int64_t)n)
			return VIRTIO_BLK_S_IOERR;
		r->written += (uint32_t)n;
		at += n;
		left -= n;
	}
	return VIRTIO_BLK_S_OK;
}

static uint8_t do_write(struct request *r)
{
	struct blk *b = r->b;
	uint64_t done = sizeof(r->header), at = r->header.sector * SECTOR;
	uint64_t left = r->c->read_len - done;

	if (b->read_only || !in_disk(b, r->header.sector, left))
		return VIRTIO_BLK_S_IOERR;
	while (left) {
		size_t n = left < BUFFER ? (size_t)left : BUFFER;
		int e;

		if (virtio_read(&b->dev, r->queue, r->c, done,
			    b->buffer[r->queue], n) != (int64_t)n)
			return VIRTIO_BLK_S_IOERR;
		e = fails(b, FAULT_VIRTIO_BLK_WRITE)
			    ? ENOSPC
			    : file_write(b, b->buffer[r->queue], n, at);
		if (e)
			return host_error(b, "write", e);
		done += n;
		at += n;
		left -= n;
	}
	return settle(b);
}

static int write_zeros(struct request *r, uint64_t at, uint64_t left)
{
	uint8_t *buffer = r->b->buffer[r->queue];
	int e = 0;

	memset(buffer, 0, BUFFER);
	while (!e && left) {
		size_t n = left < BUFFER ? (size_t)left : BUFFER;

		e = file_write(r->b, buffer, n, at);
		at += n;
		left -= n;
	}
	return e;
}

/*
 * Zeros: as a hole where the guest allows it and the file can have one. A
 * discard is a hint, and fails only if holes can be had but not this one.
 */
static uint8_t clear(
	struct request *r, const struct virtio_blk_discard_write_zeroes *d)
{
	const bool discard = r->header.type == VIRTIO_BLK_T_DISCARD;
	const bool unmap =
		discard || d->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	const uint64_t at = d->sector * SECTOR;
	const uint64_t len = (uint64_t)d->num_sectors * SECTOR;
	int e = 0;

	if (d->flags & ~VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP ||
		(discard && d->flags))
		return VIRTIO_BLK_S_UNSUPP;
	if (d->num_sectors > DISCARD_MAX || !in_disk(r->b, d->sector, len))
		return VIRTIO_BLK_S_IOERR;
	if (len == 0)
		return VIRTIO_BLK_S_OK;
	if (fails(r->b, FAULT_VIRTIO_BLK_DISCARD))
		e = EIO;
	else if (fallocate(r->b->fd,
			 (unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) |
				 FALLOC_FL_KEEP_SIZE,
			 (off_t)at, (off_t)len))
		e = errno;
	if (e == EOPNOTSUPP)
		e = discard ? 0 : write_zeros(r, at, len);
	return e ? host_error(r->b, "discard", e) : VIRTIO_BLK_S_OK;
}

static uint8_t do_clear(struct request *r)
{
	struct virtio_blk_discard_write_zeroes d[RANGES_MAX];
	const size_t len = r->c->read_len - sizeof(r->header);
	uint8_t status = VIRTIO_BLK_S_OK;

	if (r->b->read_only || len % sizeof(*d) || len > sizeof(d))
		return VIRTIO_BLK_S_IOERR;
	if (virtio_read(&r->b->dev, r->queue, r->c, sizeof(r->header), d,
		    len) != (int64_t)len)
		return VIRTIO_BLK_S_IOERR;
	for (size_t i = 0; !status && i < len / sizeof(*d); i++)
		status = clear(r, &d[i]);
	return status ? status : settle(r->b);
}

static uint8_t do_get_id(struct request *r)
{
	static const char id[VIRTIO_BLK_ID_BYTES] = "vmm";
	const size_t room = r->c->write_len - 1;
	const size_t n = room < sizeof(id) ? room : sizeof(id);

	if (virtio_write(&r->b->dev, r->queue, r->c, 0, id, n) != (int64_t)n)
		return VIRTIO_BLK_S_IOERR;
	r->written = (uint32_t)n;
	return VIRTIO_BLK_S_OK;
}

static uint8_t serve(struct request *r)
{
	switch (r->header.type) {
	case VIRTIO_BLK_T_IN:
		return do_read(r);
	case VIRTIO_BLK_T_OUT:
		return do_write(r);
	case VIRTIO_BLK_T_FLUSH:
		return flush(r->b);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return do_clear(r);
	case VIRTIO_BLK_T_GET_ID:
		return do_get_id(r);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/* False: it is no request, and the device is broken. */
static bool answer(struct blk *b, unsigned queue, struct virtq_chain *c)
{
	struct request r = {.b = b, .queue = queue, .c = c};
	uint8_t status;

	if (c->write_len < 1 || virtio_read(&b->dev, queue, c, 0, &r.header,
					sizeof(r.header)) != sizeof(r.header)) {
		virtio_break(&b->dev, "a request without header or status");
		return false;
	}
	status = serve(&r);
	if (virtio_write(&b->dev, queue, c, c->write_len - 1, &status, 1) !=
		1) {
		virtio_break(&b->dev, "a status byte where there is no memory");
		return false;
	}
	virtio_push(&b->dev, queue, c, r.written + 1);
	return true;
}

static void run(void *ctx, unsigned queue)
{
	struct blk *b = ctx;
	struct virtq_chain *c = &b->chain[queue];

	do {
		while (virtio_pop(&b->dev, queue, c)) {
			if (!answer(b, queue, c))
				return;
			virtio_signal(&b->dev, queue);
		}
	} while (!virtio_rest(&b->dev, queue));
}

/* ---- configuration --------------------------------------------------------------- */

#define WCE offsetof(struct blk_space, wce)

/* 5.2.4, as far as we offer it; <linux/virtio_blk.h>'s grows with time. */
struct blk_space {
	uint64_t capacity;
	uint32_t size_max, seg_max;
	uint8_t geometry[4];
	uint32_t blk_size;
	uint8_t topology[8];
	uint8_t wce, unused;
	uint16_t num_queues;
	uint32_t max_discard_sectors, max_discard_seg;
	uint32_t discard_sector_alignment;
	uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap, unused1[3];
} __attribute__((packed));

static void put_wce(struct blk *b, uint8_t wce)
{
	atomic_store(&b->through, !wce);
	virtio_config_put(&b->dev, WCE, &wce, 1, false);
}

static void config_store(
	void *ctx, unsigned offset, const void *bytes, unsigned len)
{
	struct blk *b = ctx;

	if (offset == WCE && len == 1)
		put_wce(b, *(const uint8_t *)bytes & 1);
}

/* Under the device's lock. */
static void reset(void *ctx)
{
	struct blk *b = ctx;

	atomic_store(&b->through, false);
	b->dev.config_bytes[WCE] = 1;
}

static void fill_config(struct blk *b, unsigned queues)
{
	const struct blk_space c = {
		.capacity = b->capacity,
		.seg_max = SEGMENTS,
		.blk_size = SECTOR,
		.wce = 1,
		.num_queues = (uint16_t)queues,
		.max_discard_sectors = DISCARD_MAX,
		.max_discard_seg = RANGES_MAX,
		.discard_sector_alignment = 4096 / SECTOR,
		.max_write_zeroes_sectors = DISCARD_MAX,
		.max_write_zeroes_seg = RANGES_MAX,
		.write_zeroes_may_unmap = 1,
	};

	virtio_config_put(&b->dev, 0, &c, sizeof(c), false);
}

/* ---- life ------------------------------------------------------------------------ */

static int lock_file(struct blk *b, const char *path, struct memslot_error *err)
{
	struct flock l = {
		.l_type = b->read_only ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};

	if (fcntl(b->fd, F_OFD_SETLK, &l) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return memslot_fail(err, -EBUSY,
			"disk \"%s\" is in use by another program%s", path,
			b->read_only ? ", which writes to it"
				     : "; two cannot write to one disk");
	return memslot_fail(err, -errno, "disk \"%s\" cannot be locked: %s",
		path, strerror(errno));
}

static int open_file(struct blk *b, const char *path, struct memslot_error *err)
{
	struct stat st;
	off_t size;
	int r;

	b->fd = open(path, (b->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (b->fd < 0)
		return memslot_fail(err, -errno,
			"disk \"%s\" cannot be opened%s: %s", path,
			b->read_only ? "" : " for writing", strerror(errno));
	if (fstat(b->fd, &st))
		return memslot_fail(
			err, -errno, "disk \"%s\": %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return memslot_fail(err, -EINVAL,
			"disk \"%s\" is neither a file nor a block device",
			path);
	r = lock_file(b, path, err);
	if (r)
		return r;
	size = lseek(b->fd, 0, SEEK_END);
	if (size < 0)
		return memslot_fail(err, -errno, "disk \"%s\" has no size: %s",
			path, strerror(errno));
	if (size == 0 || size % SECTOR)
		return memslot_fail(err, -EINVAL,
			"disk \"%s\" has %lld bytes; a disk has a multiple of "
			"512, and not 0",
			path, (long long)size);
	b->capacity = (uint64_t)size / SECTOR;
	return 0;
}

static void destroy(void *ctx)
{
	struct blk *b = ctx;

	virtio_fini(&b->dev);
	for (unsigned i = 0; i < VIRTIO_BLK_QUEUES_MAX; i++)
		free(b->buffer[i]);
	if (b->fd >= 0)
		close(b->fd);
	pthread_mutex_destroy(&b->flush_lock);
	free(b);
}

static const struct virtio_ops ops = {
	.name = "virtio-blk",
	.id = VIRTIO_ID_BLOCK,
	.class_code = 0x010000,
	.run = run,
	.config_store = config_store,
	.reset = reset,
	.destroy = destroy,
};

static int build(struct blk *b, const struct virtio_disk *disk,
	const struct virtio_config *common, struct memslot_error *err)
{
	struct virtio_queue_spec spec[VIRTIO_BLK_QUEUES_MAX];
	uint64_t features = VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) |
			    VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) |
			    VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) |
			    VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) |
			    VIRTIO_BIT(VIRTIO_BLK_F_MQ);
	int r = open_file(b, disk->path, err);

	if (r)
		return r;
	for (unsigned i = 0; i < disk->queues; i++) {
		spec[i] = (struct virtio_queue_spec){QUEUE_SIZE, i};
		b->buffer[i] = malloc(BUFFER);
		if (!b->buffer[i])
			return memslot_fail(err, -ENOMEM,
				"no memory for disk \"%s\"", disk->path);
	}
	features |= b->read_only
			    ? VIRTIO_BIT(VIRTIO_BLK_F_RO)
			    : VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) |
				      VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES);
	r = virtio_init(
		&b->dev, &ops, b, common, features, spec, disk->queues, err);
	if (!r)
		fill_config(b, disk->queues);
	return r;
}

int virtio_blk_create(const struct virtio_disk *disk,
	const struct virtio_config *common, struct virtio_device **out,
	struct memslot_error *err)
{
	struct blk *b;
	int r;

	if (disk->queues == 0 || disk->queues > VIRTIO_BLK_QUEUES_MAX)
		return memslot_fail(err, -EINVAL,
			"disk \"%s\": %u queues; 1 to %u are possible",
			disk->path, disk->queues, VIRTIO_BLK_QUEUES_MAX);
	b = calloc(1, sizeof(*b));
	if (!b)
		return memslot_fail(
			err, -ENOMEM, "no memory for disk \"%s\"", disk->path);
	b->fd = -1;
	pthread_mutex_init(&b->flush_lock, NULL);
	b->read_only = disk->read_only;
	r = build(b, disk, common, err);
	if (r) {
		destroy(b);
		return r;
	}
	*out = &b->dev;
	return 0;
}
