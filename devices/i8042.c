/* SPDX-License-Identifier: MIT */
#include "devices/i8042.h"

#include "memslot/error.h"

#define DATA   0u
#define STATUS 4u /* reads; writes are commands */

#define STATUS_FULL   0x01u
#define STATUS_SYSTEM 0x04u /* the self test was passed, long ago */

#define CONTROL_SYSTEM 0x04u

#define READ_CONTROL  0x20u
#define WRITE_CONTROL 0x60u
#define SELF_TEST     0xaau
#define TEST_KEYBOARD 0xabu
#define READ_OUTPUT   0xd0u
#define WRITE_OUTPUT  0xd1u
#define PULSE         0xf0u /* to 0xff: bits that are 0 are pulsed */
#define NOT_RESET     0x01u /* of the output port and of a pulse */
#define A20           0x02u

int i8042_init(struct i8042 *dev, void (*reset)(void *ctx), void *ctx,
	struct memslot_error *err)
{
	int e;

	*dev = (struct i8042){
		.reset = reset,
		.ctx = ctx,
		.control = CONTROL_SYSTEM,
	};
	e = pthread_mutex_init(&dev->lock, NULL);
	return e ? memslot_fail(err, -e, "i8042: no lock (%d)", e) : 0;
}

void i8042_fini(struct i8042 *dev)
{
	pthread_mutex_destroy(&dev->lock);
}

static uint64_t i8042_read(void *ctx, uint64_t offset, unsigned len)
{
	struct i8042 *dev = ctx;
	uint64_t value = 0xff;

	(void)len;
	pthread_mutex_lock(&dev->lock);
	if (offset == DATA) {
		value = dev->out;
		dev->full = false;
	} else if (offset == STATUS) {
		value = STATUS_SYSTEM | (dev->full ? STATUS_FULL : 0);
	}
	pthread_mutex_unlock(&dev->lock);
	return value;
}

static void answer(struct i8042 *dev, uint8_t byte)
{
	dev->out = byte;
	dev->full = true;
}

/* True: the machine is to be reset. */
static bool command(struct i8042 *dev, uint8_t byte)
{
	dev->expects = 0;
	switch (byte) {
	case READ_CONTROL:
		answer(dev, dev->control);
		break;
	case WRITE_CONTROL:
	case WRITE_OUTPUT:
		dev->expects = byte;
		break;
	case SELF_TEST:
		answer(dev, 0x55);
		break;
	case TEST_KEYBOARD:
		answer(dev, 0x01);
		break;
	case READ_OUTPUT:
		answer(dev, NOT_RESET | A20);
		break;
	}
	return (byte & PULSE) == PULSE && !(byte & NOT_RESET);
}

static bool data(struct i8042 *dev, uint8_t byte)
{
	uint8_t expects = dev->expects;

	dev->expects = 0;
	if (expects == WRITE_CONTROL)
		dev->control = byte;
	return expects == WRITE_OUTPUT && !(byte & NOT_RESET);
}

static void i8042_write(
	void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct i8042 *dev = ctx;
	bool reset = false;

	(void)len;
	pthread_mutex_lock(&dev->lock);
	if (offset == STATUS)
		reset = command(dev, (uint8_t)value);
	else if (offset == DATA)
		reset = data(dev, (uint8_t)value);
	pthread_mutex_unlock(&dev->lock);
	if (reset)
		dev->reset(dev->ctx);
}

const struct bus_ops i8042_bus_ops = {
	.name = "i8042",
	.read = i8042_read,
	.write = i8042_write,
};
