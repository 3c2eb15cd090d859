/* SPDX-License-Identifier: MIT */
/*
 * rtc.h - a clock that counts nanoseconds since 1970
 *
 * google,goldfish-rtc: Linux's drivers/rtc/rtc-goldfish.c and the Android
 * emulator's docs/GOLDFISH-VIRTUAL-HARDWARE.TXT. 32-bit accesses only; any
 * other width or offset reads 0 and writes nothing.
 *
 *   0x00 TIME_LOW         R: low half of now, latches the high half
 *                         W: sets the clock to TIME_HIGH written before : it
 *   0x04 TIME_HIGH        R: the latched half   W: kept for TIME_LOW
 *   0x08 ALARM_LOW        R: low half of the alarm
 *                         W: sets the alarm to ALARM_HIGH : it, arms it
 *   0x0c ALARM_HIGH       R: high half          W: high half
 *   0x10 IRQ_ENABLED      R/W: bit 0
 *   0x14 CLEAR_ALARM      W: disarms
 *   0x18 ALARM_STATUS     R: 1 if armed
 *   0x1c CLEAR_INTERRUPT  W: lowers the interrupt
 *
 * The latch is one for the machine, as in the original: vCPUs that share the
 * clock take turns. Setting the clock moves this clock, not the host's.
 *
 * The device starts no thread. An alarm that is due fires at the next access
 * to any register or at the next rtc_check(): whoever owns the machine calls
 * that after the time it returned. Without such calls alarms fire late.
 */
#ifndef DEVICES_RTC_H
#define DEVICES_RTC_H

#include <pthread.h>

#include "devices/bus.h"

MEMSLOT_BEGIN_DECLS

#define RTC_SIZE     0x1000u
#define RTC_NO_ALARM UINT64_MAX

/* All fields are private. */
struct rtc {
	pthread_mutex_t lock;
	uint64_t (*now_ns)(void *ctx);
	void *ctx;
	struct irq_line irq;
	uint64_t shift_ns; /* guest's time - host's time, modulo 2^64 */
	uint64_t alarm_ns; /* guest's time */
	uint32_t time_high_read, time_high_write;
	bool armed, pending, irq_enabled;
	void (*on_armed)(void *ctx);
	void *on_armed_ctx;
};

/*
 * `now_ns` tells host time in ns since 1970; NULL: CLOCK_REALTIME. `irq` is
 * set with the device's lock held: its receiver must not call back. Errors:
 * what pthread_mutex_init returns, negated.
 */
int rtc_init(struct rtc *dev, struct irq_line irq,
	uint64_t (*now_ns)(void *ctx), void *ctx, struct memslot_error *err);
void rtc_fini(struct rtc *dev);
/*
 * Before the guest runs: what to call when the guest has set an alarm, so
 * that rtc_check() is called anew. In the vCPU's thread, no lock held.
 */
void rtc_on_armed(struct rtc *dev, void (*armed)(void *ctx), void *ctx);

/*
 * Fire the alarm if it is due. Returns the nanoseconds until the alarm that
 * is armed, or RTC_NO_ALARM. Any thread.
 */
uint64_t rtc_check(struct rtc *dev);

extern const struct bus_ops rtc_bus_ops; /* its ctx: struct rtc * */

MEMSLOT_END_DECLS

#endif
