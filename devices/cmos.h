/* SPDX-License-Identifier: MIT */
/*
 * cmos.h - the PC's clock, and its 128 bytes of memory
 *
 * Motorola's MC146818A as PCs have it: port 0x70 chooses a register (bit 7
 * masks the NMI and is ignored), port 0x71 reads and writes it.
 *
 *   0x00 0x02 0x04        seconds, minutes, hours
 *   0x06 0x07 0x08 0x09   day of the week, of the month, month, year
 *   0x32                  century
 *   0x0a  A  bit 7: the time is about to change (for the last 244 us of a
 *            second)
 *   0x0b  B  bit 1: 24 hours, bit 2: binary, not BCD
 *   0x0c  C  0: there are no interrupts
 *   0x0d  D  0x80: the time is valid
 *
 * It shows the host's time, as UTC. Setting it has no effect, nor do alarms;
 * all other registers are memory.
 */
#ifndef DEVICES_CMOS_H
#define DEVICES_CMOS_H

#include <pthread.h>

#include "devices/bus.h"

MEMSLOT_BEGIN_DECLS

#define CMOS_SIZE  2u
#define CMOS_BYTES 128u

/* All fields are private. */
struct cmos {
	pthread_mutex_t lock; /* of what follows */
	uint64_t (*now_ns)(void *ctx);
	void *ctx;
	uint8_t index;
	uint8_t bytes[CMOS_BYTES];
};

/*
 * `now_ns` gives nanoseconds since 1970 (NULL: CLOCK_REALTIME). Errors: what
 * pthread_mutex_init returns, negated.
 */
int cmos_init(struct cmos *dev, uint64_t (*now_ns)(void *ctx), void *ctx,
	struct memslot_error *err);
void cmos_fini(struct cmos *dev);

extern const struct bus_ops cmos_bus_ops; /* its ctx: struct cmos * */

MEMSLOT_END_DECLS

#endif
