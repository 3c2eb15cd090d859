/* SPDX-License-Identifier: MIT */
/*
 * i8042.h - the PC's keyboard controller, without a keyboard
 *
 * Guests reset a PC through it; some probe it first. Two ports, 0x60 (data)
 * and 0x64 (status and command), after the IBM PS/2 technical reference. On
 * the bus it takes five bytes, of which those between are not decoded.
 *
 *   command  0x20 read, 0x60 write the control byte
 *            0xaa self test (0x55: good), 0xab keyboard port (0x01: no clock)
 *            0xd1 write the output port: bit 0 clear resets
 *            0xfe (0xf0 - 0xff with bit 0 clear) pulse: resets
 *
 * Others do nothing. What is sent to the keyboard stays unanswered.
 */
#ifndef DEVICES_I8042_H
#define DEVICES_I8042_H

#include <pthread.h>

#include "devices/bus.h"

MEMSLOT_BEGIN_DECLS

#define I8042_SIZE 5u

/* All fields are private. */
struct i8042 {
	pthread_mutex_t lock; /* of what follows */
	void (*reset)(void *ctx);
	void *ctx;
	uint8_t control, out;
	uint8_t expects; /* command whose argument is the next data byte */
	bool full;       /* `out` waits to be read */
};

/*
 * `reset` is called in the thread of the vCPU, no lock held, perhaps more
 * than once. Errors: what pthread_mutex_init returns, negated.
 */
int i8042_init(struct i8042 *dev, void (*reset)(void *ctx), void *ctx,
	struct memslot_error *err);
void i8042_fini(struct i8042 *dev);

extern const struct bus_ops i8042_bus_ops; /* its ctx: struct i8042 * */

MEMSLOT_END_DECLS

#endif
