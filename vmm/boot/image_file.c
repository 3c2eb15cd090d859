/* SPDX-License-Identifier: MIT */
/*
 * image_file.c - files into memory, and gzip out of them
 *
 * Files are read, not mapped: a file that is cut short while it is mapped
 * kills the process, and what is not a regular file (a pipe) cannot be mapped
 * at all. Both reading and unpacking grow a buffer up to IMAGE_FILE_MAX.
 */
#include "vmm/boot/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "memslot/error.h"

#define IMAGE_FIRST_SIZE ((size_t)1 << 20)

void image_free(struct image_file *file)
{
	free(file->bytes);
	*file = (struct image_file){0};
}

/* ---- a buffer that grows ---------------------------------------------- */

struct image_buffer {
	uint8_t *bytes;
	size_t len, size;
};

/* Make room for at least one byte more. -EFBIG at the limit; -ENOMEM. */
static int image_grow(struct image_buffer *b)
{
	size_t size = b->size ? b->size * 2 : IMAGE_FIRST_SIZE;
	uint8_t *bytes;

	if (b->len < b->size)
		return 0;
	if (b->size >= IMAGE_FILE_MAX)
		return -EFBIG;
	if (size > IMAGE_FILE_MAX)
		size = IMAGE_FILE_MAX;
	bytes = realloc(b->bytes, size);
	if (!bytes)
		return -ENOMEM;
	b->bytes = bytes;
	b->size = size;
	return 0;
}

/* ---- reading ---------------------------------------------------------- */

/* Until end of file; one byte above the limit is too much. */
static int image_read_all(int fd, struct image_buffer *b)
{
	for (;;) {
		ssize_t n;
		int e = image_grow(b);
		uint8_t probe;

		if (e == -EFBIG)
			return read(fd, &probe, 1) == 0 ? 0 : e;
		if (e)
			return e;
		n = read(fd, b->bytes + b->len, b->size - b->len);
		if (n == 0)
			return 0;
		if (n > 0)
			b->len += (size_t)n;
		else if (errno != EINTR)
			return -errno;
	}
}

/* What can be told before reading; a regular file gets a buffer that fits. */
static int image_prepare(int fd, struct image_buffer *b)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return 0;
	if ((uint64_t)st.st_size > IMAGE_FILE_MAX)
		return -EFBIG;
	/* one more, so that the end of the file is met without growing */
	b->bytes = malloc((size_t)st.st_size + 1);
	if (!b->bytes)
		return -ENOMEM;
	b->size = (size_t)st.st_size + 1;
	return 0;
}

static int image_read_failed(
	const char *what, const char *path, int e, struct memslot_error *err)
{
	switch (e) {
	case -ENOENT:
		return memslot_fail(
			err, e, "%s: there is no file %s", what, path);
	case -EISDIR:
		return memslot_fail(
			err, e, "%s: %s is a directory", what, path);
	case -EFBIG:
		return memslot_fail(err, e, "%s: %s is larger than %llu MiB",
			what, path, (unsigned long long)IMAGE_FILE_MAX >> 20);
	default:
		return memslot_fail(
			err, e, "%s: %s: %s", what, path, strerror(-e));
	}
}

int image_read(const char *what, const char *path, struct image_file *out,
	struct memslot_error *err)
{
	struct image_buffer b = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int e;

	if (fd < 0)
		return image_read_failed(what, path, -errno, err);
	e = image_prepare(fd, &b);
	if (!e)
		e = image_read_all(fd, &b);
	close(fd); /* read only: nothing can be lost */
	if (e)
		e = image_read_failed(what, path, e, err);
	else if (b.len == 0)
		e = memslot_fail(err, -EINVAL, "%s: %s is empty", what, path);
	if (e) {
		free(b.bytes);
		return e;
	}
	*out = (struct image_file){b.bytes, b.len};
	return 0;
}

/* ---- gzip ------------------------------------------------------------- */

static bool image_is_gzip(const uint8_t *bytes, size_t len)
{
	return len >= 3 && bytes[0] == 0x1f && bytes[1] == 0x8b &&
	       bytes[2] == 8; /* deflate, the only method there is */
}

/* One member, at z->next_in. */
static int image_inflate_member(z_stream *z, struct image_buffer *b)
{
	int r = Z_OK;

	while (r != Z_STREAM_END) {
		int e = image_grow(b);

		if (e)
			return e;
		z->next_out = b->bytes + b->len;
		z->avail_out = (uInt)(b->size - b->len);
		r = inflate(z, Z_NO_FLUSH);
		b->len = b->size - z->avail_out;
		if (r == Z_MEM_ERROR)
			return -ENOMEM;
		if (r != Z_OK && r != Z_STREAM_END)
			return -EINVAL; /* damaged, or input has run out */
	}
	return 0;
}

/* A gzip file is one or more members; anything else behind is ignored. */
static int image_inflate(const struct image_file *in, struct image_buffer *b)
{
	z_stream z = {0};
	int e;

	z.next_in = in->bytes;
	z.avail_in = (uInt)in->len;
	/* 16: expect gzip's header and check its checksum */
	if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
		return -ENOMEM;
	do {
		e = image_inflate_member(&z, b);
	} while (!e && image_is_gzip(z.next_in, z.avail_in) &&
		 inflateReset(&z) == Z_OK);
	inflateEnd(&z);
	return e;
}

int image_unpack(
	const char *path, struct image_file *file, struct memslot_error *err)
{
	struct image_buffer b = {0};
	int e;

	if (!image_is_gzip(file->bytes, file->len))
		return 0;
	e = image_inflate(file, &b);
	if (!e && b.len > 0) {
		image_free(file);
		*file = (struct image_file){b.bytes, b.len};
		return 0;
	}
	free(b.bytes);
	if (e == -EFBIG)
		return memslot_fail(err, e,
			"kernel: %s unpacks to more than %llu MiB", path,
			(unsigned long long)IMAGE_FILE_MAX >> 20);
	if (e == -ENOMEM)
		return memslot_fail(
			err, e, "kernel: no memory to unpack %s", path);
	return memslot_fail(err, -EINVAL,
		"kernel: %s is gzip, but damaged, cut short or empty", path);
}

int image_open(
	const char *path, struct image_file *out, struct memslot_error *err)
{
	struct image_file file;
	int e = image_read("kernel", path, &file, err);

	if (!e) {
		e = image_unpack(path, &file, err);
		if (e)
			image_free(&file);
		else
			*out = file;
	}
	return e;
}
