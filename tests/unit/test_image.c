/* SPDX-License-Identifier: MIT */
/* test_image.c - kernels out of files into memory; where the rest goes */
#include "vmm/boot/image.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "tests/unit/forge.h"
#include "tests/unit/test.h"

static const struct image_ram ram = {BASE, 16 * MIB};
static struct memslot_error err;
static struct image_plan plan;
static uint8_t guest[16 * MIB];

/* ---- files ------------------------------------------------------------ */

static char directory[] = "/tmp/test_image.XXXXXX";
static char path[PATH_MAX];

static const char *file_of(const char *name, const void *bytes, size_t len)
{
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	close(fd);
	return path;
}

/* gzip `bytes` into out; the length. */
static size_t zip(const void *bytes, size_t len, uint8_t *out, size_t size)
{
	z_stream z = {0};

	CHECK_EQ(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 9,
			 Z_DEFAULT_STRATEGY),
		Z_OK);
	z.next_in = (void *)(uintptr_t)bytes;
	z.avail_in = (uInt)len;
	z.next_out = out;
	z.avail_out = (uInt)size;
	CHECK_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
	size -= z.avail_out;
	deflateEnd(&z);
	return size;
}

static int guest_write(void *ctx, gpa_t gpa, const void *bytes, size_t len)
{
	(void)ctx;
	if (gpa - BASE > sizeof(guest) || len > sizeof(guest) - (gpa - BASE))
		return -EFAULT;
	memcpy(guest + (gpa - BASE), bytes, len);
	return 0;
}

static const struct image_memory memory = {{BASE, 16 * MIB}, guest_write, NULL};

static int load(void)
{
	struct image_file f;
	int r = image_open(path, &f, &err);

	if (r)
		return r;
	r = image_load(path, &f, false, &memory, &plan, &err);
	image_free(&f);
	return r;
}

static void test_load(void)
{
	static uint8_t large[3 * MIB], packed[4 * MIB];
	struct elf f = forge_elf();
	uint8_t b[IMAGE_LEN];
	size_t len;

	memset(guest, 0xee, sizeof(guest));
	file_of("k.elf", &f, sizeof(f));
	CHECK_EQ(load(), 0);
	CHECK(memcmp(guest, f.text, 64) == 0);
	CHECK_EQ(guest[64], 0xee);
	CHECK_EQ(guest[0x3000], 0);
	CHECK_EQ(guest[0x3000 + 0x1233], 0);
	CHECK_EQ(guest[0x3000 + 0x1234], 0xee);
	CHECK_EQ(guest[0x2fff], 0xee);

	forge_linux(b, 2 * MIB, 0);
	len = zip(b, sizeof(b), packed, sizeof(packed));
	file_of("Image.gz", packed, len);
	CHECK_EQ(load(), 0);
	CHECK(memcmp(guest + 2 * MIB, b, sizeof(b)) == 0);

	/* larger than the first buffer; two members in one file */
	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = (uint8_t)(i * i >> 7);
	len = zip(large, MIB + 5, packed, sizeof(packed));
	len += zip(large + MIB + 5, sizeof(large) - MIB - 5, packed + len,
		sizeof(packed) - len);
	file_of("large.bin.gz", packed, len);
	CHECK_EQ(load(), 0);
	CHECK(memcmp(guest, large, sizeof(large)) == 0);
	CHECK_EQ(plan.end, BASE + sizeof(large));

	file_of("cut.bin.gz", packed, len - 1);
	CHECK_EQ(load(), -EINVAL);
	CHECK_TEXT(err.text, "is gzip, but damaged, cut short or empty");
	packed[len / 3] ^= 0x10;
	file_of("bad.bin.gz", packed, len);
	CHECK_EQ(load(), -EINVAL);
	len = zip(large, 0, packed, sizeof(packed));
	file_of("none.bin.gz", packed, len);
	CHECK_EQ(load(), -EINVAL);
	file_of("three.bin.gz", "\x1f\x8b\x08", 3);
	CHECK_EQ(load(), -EINVAL);
}

static void test_read(void)
{
	struct image_file f = {0};

	CHECK_EQ(image_read("kernel", "/nowhere/Image", &f, &err), -ENOENT);
	CHECK_TEXT(err.text, "kernel: there is no file /nowhere/Image");
	CHECK_EQ(image_read("initrd", directory, &f, &err), -EISDIR);
	CHECK_TEXT(err.text, "is a directory");
	file_of("empty", "", 0);
	CHECK_EQ(image_read("initrd", path, &f, &err), -EINVAL);
	CHECK_TEXT(err.text, "/empty is empty");
	CHECK(!f.bytes);
	file_of("huge", "", 0);
	CHECK_EQ(truncate(path, (off_t)IMAGE_FILE_MAX * 4), 0);
	CHECK_EQ(image_read("kernel", path, &f, &err), -EFBIG);
	CHECK_TEXT(err.text, "/huge is larger than 1024 MiB");
	file_of("one", "1", 1);
	CHECK_EQ(image_read("initrd", path, &f, &err), 0);
	CHECK_EQ(f.len, 1);
	image_free(&f);
	CHECK(!f.bytes);
	CHECK_EQ(image_read("kernel", "/dev/null", &f, &err), -EINVAL);
	CHECK(!f.bytes);
}

static void test_write(void)
{
	struct elf f = forge_elf();
	struct image_memory small = memory;

	CHECK_EQ(image_plan("k", (uint8_t *)&f, sizeof(f), false, &ram, &plan,
			 &err),
		0);
	CHECK_EQ(
		image_write(&plan, (uint8_t *)&f, 100, &memory, &err), -EINVAL);
	CHECK_TEXT(err.text, "segment 0 is not inside its 100 bytes");
	CHECK_EQ(
		image_write(&plan, (uint8_t *)&f, sizeof(f) - 1, &memory, &err),
		-EINVAL);
	CHECK_TEXT(err.text, "segment 0");
	plan.segment[0].file_size--;
	plan.segment[0].size--;
	CHECK_EQ(
		image_write(&plan, (uint8_t *)&f, sizeof(f) - 1, &memory, &err),
		-EINVAL); /* the other one begins behind the end */
	plan.segment[0].file_size += 2;
	CHECK_EQ(image_write(&plan, (uint8_t *)&f, sizeof(f), &memory, &err),
		-EINVAL);
	plan.segment[0].file_size -= 2;
	plan.segment[1].gpa = 0;
	CHECK_EQ(image_write(&plan, (uint8_t *)&f, sizeof(f), &small, &err),
		-EFAULT);
	CHECK_TEXT(err.text, "cannot write 0x1234 bytes at 0x0, error 14");
}

/* ---- places ----------------------------------------------------------- */

static void test_place(void)
{
	struct image_plan kernel = {.start = BASE, .end = BASE + 6 * MIB};
	struct image_places p;

	CHECK_EQ(image_place(&ram, &kernel, 0x10000, 0, &p, &err), 0);
	CHECK_EQ(p.fdt, BASE + 14 * MIB);
	CHECK_EQ(p.initrd, 0);
	CHECK_EQ(image_place(&ram, &kernel, 0x10000, 5000, &p, &err), 0);
	CHECK_EQ(p.initrd, BASE + 14 * MIB - 0x2000);
	CHECK_EQ(image_place(&ram, &kernel, 0x10000, 8 * MIB, &p, &err), 0);
	CHECK_EQ(p.initrd, BASE + 6 * MIB);
	CHECK_EQ(image_place(&ram, &kernel, 0x10000, 8 * MIB + 1, &p, &err),
		-EFBIG);
	CHECK_TEXT(err.text, "initrd: 8388609 bytes do not fit between the "
			     "kernel's end at 0x80600000 and the device tree "
			     "at 0x80e00000");
	CHECK_EQ(image_place(&ram, &kernel, 0x10000, UINT64_MAX, &p, &err),
		-EFBIG);
	CHECK_EQ(image_place(&ram, &kernel, 10 * MIB, 0, &p, &err), 0);
	CHECK_EQ(p.fdt, kernel.end);
	CHECK_EQ(image_place(&ram, &kernel, 10 * MIB, 1, &p, &err), -EFBIG);
	CHECK_EQ(image_place(&ram, &kernel, 10 * MIB + 1, 0, &p, &err), -EFBIG);
	CHECK_TEXT(err.text, "device tree: 10485761 bytes, 2 MiB aligned, "
			     "do not fit");
	CHECK_EQ(image_place(&ram, &kernel, UINT64_MAX, 0, &p, &err), -EFBIG);
	CHECK_EQ(image_place(&ram, &kernel, 0, 0, &p, &err), -EINVAL);
	kernel.end = BASE + 15 * MIB;
	CHECK_EQ(image_place(&ram, &kernel, 0x10000, 0, &p, &err), -EFBIG);
	kernel.end = BASE + 17 * MIB;
	CHECK_EQ(image_place(&ram, &kernel, 1, 0, &p, &err), -EFBIG);
}

static void clean(void)
{
	static const char *const names[] = {"k.elf", "Image.gz", "large.bin.gz",
		"cut.bin.gz", "bad.bin.gz", "none.bin.gz", "three.bin.gz",
		"empty", "huge", "one"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		CHECK_EQ(unlink(path), 0);
	}
	CHECK_EQ(rmdir(directory), 0);
}

int main(void)
{
	if (!CHECK(mkdtemp(directory) != NULL))
		return TEST_END("image");
	test_load();
	test_read();
	test_write();
	test_place();
	clean();
	return TEST_END("image");
}
