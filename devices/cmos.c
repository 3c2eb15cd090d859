/* SPDX-License-Identifier: MIT */
#include "devices/cmos.h"

#include <time.h>

#include "memslot/error.h"

#define NS_PER_S  1000000000u
#define UPDATE_NS 244000u

enum {
	SECONDS = 0x00,
	MINUTES = 0x02,
	HOURS = 0x04,
	WEEKDAY = 0x06,
	DAY = 0x07,
	MONTH = 0x08,
	YEAR = 0x09,
	REG_A = 0x0a,
	REG_B = 0x0b,
	REG_C = 0x0c,
	REG_D = 0x0d,
	CENTURY = 0x32,
};

#define A_UPDATING 0x80u
#define A_DEFAULT  0x26u /* 32768 Hz */
#define B_24_HOURS 0x02u
#define B_BINARY   0x04u
#define D_VALID    0x80u
#define PM         0x80u

static uint64_t real_time(void *ctx)
{
	struct timespec t;

	(void)ctx;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

int cmos_init(struct cmos *dev, uint64_t (*now_ns)(void *ctx), void *ctx,
	struct memslot_error *err)
{
	int e;

	*dev = (struct cmos){
		.now_ns = now_ns ? now_ns : real_time,
		.ctx = ctx,
	};
	dev->bytes[REG_A] = A_DEFAULT;
	dev->bytes[REG_B] = B_24_HOURS;
	e = pthread_mutex_init(&dev->lock, NULL);
	return e ? memslot_fail(err, -e, "cmos: no lock (%d)", e) : 0;
}

void cmos_fini(struct cmos *dev)
{
	pthread_mutex_destroy(&dev->lock);
}

/* A number of two digits, in the form that B asks for. */
static uint8_t digits(const struct cmos *dev, int n)
{
	return (uint8_t)(dev->bytes[REG_B] & B_BINARY ? n
						      : n / 10 * 16 + n % 10);
}

static uint8_t hours(const struct cmos *dev, int n)
{
	if (dev->bytes[REG_B] & B_24_HOURS)
		return digits(dev, n);
	return digits(dev, (n + 11) % 12 + 1) | (n >= 12 ? PM : 0);
}

static uint8_t load(struct cmos *dev, uint8_t reg)
{
	uint64_t ns = dev->now_ns(dev->ctx);
	time_t seconds = (time_t)(ns / NS_PER_S);
	struct tm t;

	gmtime_r(&seconds, &t);
	switch (reg) {
	case SECONDS:
		return digits(dev, t.tm_sec);
	case MINUTES:
		return digits(dev, t.tm_min);
	case HOURS:
		return hours(dev, t.tm_hour);
	case WEEKDAY:
		return digits(dev, t.tm_wday + 1);
	case DAY:
		return digits(dev, t.tm_mday);
	case MONTH:
		return digits(dev, t.tm_mon + 1);
	case YEAR:
		return digits(dev, t.tm_year % 100);
	case CENTURY:
		return digits(dev, (t.tm_year / 100 + 19) % 100);
	case REG_A:
		return (dev->bytes[REG_A] & ~A_UPDATING) |
		       (ns % NS_PER_S >= NS_PER_S - UPDATE_NS ? A_UPDATING : 0);
	case REG_C:
		return 0;
	case REG_D:
		return D_VALID;
	}
	return dev->bytes[reg];
}

/* Bytes; and a store of 16 bits to port 0x70 is one to both ports. */
static uint64_t cmos_read(void *ctx, uint64_t offset, unsigned len)
{
	struct cmos *dev = ctx;
	uint64_t value = 0xff; /* the index cannot be read */

	(void)len;
	pthread_mutex_lock(&dev->lock);
	if (offset == 1)
		value = load(dev, dev->index);
	pthread_mutex_unlock(&dev->lock);
	return value;
}

static void cmos_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct cmos *dev = ctx;

	pthread_mutex_lock(&dev->lock);
	if (offset == 0)
		dev->index = value & (CMOS_BYTES - 1);
	if (offset + len == 2)
		dev->bytes[dev->index] = (uint8_t)(value >> 8 * (len - 1));
	pthread_mutex_unlock(&dev->lock);
}

const struct bus_ops cmos_bus_ops = {
	.name = "cmos",
	.read = cmos_read,
	.write = cmos_write,
};
