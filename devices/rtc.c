/* SPDX-License-Identifier: MIT */
/*
 * rtc.c - the goldfish clock and its alarm
 *
 * Guest time is host time plus a shift that the guest chooses by setting the
 * clock. All arithmetic is modulo 2^64: a guest that sets absurd times gets
 * absurd times and nothing else.
 */
#include "devices/rtc.h"

#include <time.h>

#include "memslot/error.h"

enum rtc_register {
	RTC_TIME_LOW = 0x00,
	RTC_TIME_HIGH = 0x04,
	RTC_ALARM_LOW = 0x08,
	RTC_ALARM_HIGH = 0x0c,
	RTC_IRQ_ENABLED = 0x10,
	RTC_CLEAR_ALARM = 0x14,
	RTC_ALARM_STATUS = 0x18,
	RTC_CLEAR_INTERRUPT = 0x1c,
};

static uint64_t rtc_host_now(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t rtc_now(const struct rtc *dev)
{
	return dev->now_ns(dev->ctx) + dev->shift_ns;
}

static void rtc_update_irq(struct rtc *dev)
{
	irq_set(&dev->irq, dev->pending && dev->irq_enabled);
}

static void rtc_fire_if_due(struct rtc *dev)
{
	if (!dev->armed || dev->alarm_ns > rtc_now(dev))
		return;
	dev->armed = false;
	dev->pending = true;
	rtc_update_irq(dev);
}

void rtc_on_armed(struct rtc *dev, void (*armed)(void *ctx), void *ctx)
{
	dev->on_armed = armed;
	dev->on_armed_ctx = ctx;
}

int rtc_init(struct rtc *dev, struct irq_line irq,
	uint64_t (*now_ns)(void *ctx), void *ctx, struct memslot_error *err)
{
	int e;

	*dev = (struct rtc){
		.now_ns = now_ns ? now_ns : rtc_host_now,
		.ctx = ctx,
		.irq = irq,
	};
	e = pthread_mutex_init(&dev->lock, NULL);
	if (e)
		return memslot_fail(err, -e, "rtc: no mutex, error %d", e);
	return 0;
}

void rtc_fini(struct rtc *dev)
{
	pthread_mutex_destroy(&dev->lock);
}

uint64_t rtc_check(struct rtc *dev)
{
	uint64_t left = RTC_NO_ALARM;

	pthread_mutex_lock(&dev->lock);
	rtc_fire_if_due(dev);
	if (dev->armed) {
		uint64_t now = rtc_now(dev);

		left = dev->alarm_ns > now ? dev->alarm_ns - now : 0;
	}
	pthread_mutex_unlock(&dev->lock);
	return left;
}

static uint32_t rtc_read_time_low(struct rtc *dev)
{
	uint64_t now = rtc_now(dev);

	dev->time_high_read = now >> 32;
	return (uint32_t)now;
}

static uint32_t rtc_get(struct rtc *dev, uint64_t offset)
{
	switch (offset) {
	case RTC_TIME_LOW:
		return rtc_read_time_low(dev);
	case RTC_TIME_HIGH:
		return dev->time_high_read;
	case RTC_ALARM_LOW:
		return (uint32_t)dev->alarm_ns;
	case RTC_ALARM_HIGH:
		return dev->alarm_ns >> 32;
	case RTC_IRQ_ENABLED:
		return dev->irq_enabled;
	case RTC_ALARM_STATUS:
		return dev->armed;
	default:
		return 0;
	}
}

static void rtc_set(struct rtc *dev, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case RTC_TIME_LOW:
		dev->shift_ns = ((uint64_t)dev->time_high_write << 32 | value) -
				dev->now_ns(dev->ctx);
		break;
	case RTC_TIME_HIGH:
		dev->time_high_write = value;
		break;
	case RTC_ALARM_LOW:
		dev->alarm_ns = (dev->alarm_ns & ~(uint64_t)UINT32_MAX) | value;
		dev->armed = true;
		break;
	case RTC_ALARM_HIGH:
		dev->alarm_ns = (uint64_t)value << 32 | (uint32_t)dev->alarm_ns;
		break;
	case RTC_IRQ_ENABLED:
		dev->irq_enabled = value & 1;
		rtc_update_irq(dev);
		break;
	case RTC_CLEAR_ALARM:
		dev->armed = false;
		break;
	case RTC_CLEAR_INTERRUPT:
		dev->pending = false;
		rtc_update_irq(dev);
		break;
	default:
		break;
	}
}

static uint64_t rtc_read(void *ctx, uint64_t offset, unsigned len)
{
	struct rtc *dev = ctx;
	uint32_t value;

	if (len != 4)
		return 0;
	pthread_mutex_lock(&dev->lock);
	rtc_fire_if_due(dev);
	value = rtc_get(dev, offset);
	pthread_mutex_unlock(&dev->lock);
	return value;
}

/*
 * The alarm is looked at before the write, which may be the one that clears
 * it, and after, as it may be the one that sets it into the past.
 */
static void rtc_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct rtc *dev = ctx;
	bool armed;

	if (len != 4)
		return;
	pthread_mutex_lock(&dev->lock);
	rtc_fire_if_due(dev);
	rtc_set(dev, offset, (uint32_t)value);
	rtc_fire_if_due(dev);
	armed = dev->armed;
	pthread_mutex_unlock(&dev->lock);
	if (armed && offset == RTC_ALARM_LOW && dev->on_armed)
		dev->on_armed(dev->on_armed_ctx);
}

const struct bus_ops rtc_bus_ops = {
	.name = "rtc",
	.read = rtc_read,
	.write = rtc_write,
};
