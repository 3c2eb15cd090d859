/* SPDX-License-Identifier: MIT */
/* test_uart.c - a driver's view of the serial port, and the other end's */
#include "devices/uart.h"

#include "tests/unit/test.h"

static char sent[64];
static size_t sent_len;
static unsigned rooms;
static bool wire;

static void output(void *ctx, const void *bytes, size_t len)
{
	(void)ctx;
	if (sent_len + len < sizeof(sent))
		memcpy(sent + sent_len, bytes, len);
	sent_len += len;
}

static void room(void *ctx)
{
	(void)ctx;
	rooms++;
}

static void set_wire(void *ctx, unsigned number, bool level)
{
	(void)ctx;
	CHECK_EQ(number, 10);
	CHECK(wire != level);
	wire = level;
}

static uint8_t get(struct uart *dev, uint64_t offset)
{
	return (uint8_t)uart_bus_ops.read(dev, offset, 1);
}

static void put(struct uart *dev, uint64_t offset, uint8_t value)
{
	uart_bus_ops.write(dev, offset, 1, value);
}

static struct uart *fresh(struct uart *dev)
{
	const struct uart_config config = {
		.output = output,
		.room = room,
		.irq = {set_wire, NULL, 10},
	};

	memset(sent, 0, sizeof(sent));
	sent_len = 0;
	rooms = 0;
	wire = false;
	CHECK_EQ(uart_init(dev, &config, NULL), 0);
	return dev;
}

static void test_registers(void)
{
	struct uart memory, *dev = fresh(&memory);

	CHECK_EQ(get(dev, 2), 0x01);
	CHECK_EQ(get(dev, 5), 0x60);
	CHECK_EQ(get(dev, 6), 0xb0);
	put(dev, 7, 0x5a);
	CHECK_EQ(get(dev, 7), 0x5a);
	put(dev, 3, 0x83);
	put(dev, 0, 0x34);
	put(dev, 1, 0x12);
	CHECK_EQ(get(dev, 0), 0x34);
	CHECK_EQ(get(dev, 1), 0x12);
	put(dev, 3, 0x03);
	CHECK_EQ(get(dev, 3), 0x03);
	CHECK_EQ(get(dev, 1), 0x00);
	CHECK_EQ(sent_len, 0);
	put(dev, 1, 0xf0);
	CHECK_EQ(get(dev, 1), 0x00);
	put(dev, 4, 0xff & ~0x10);
	CHECK_EQ(get(dev, 4), 0x0f);
	put(dev, 5, 0xff);
	put(dev, 6, 0xff);
	CHECK_EQ(get(dev, 5), 0x60);
	CHECK_EQ(get(dev, 6), 0xb0);
	CHECK_EQ(get(dev, 0), 0); /* RBR when nothing came */
	CHECK_EQ(get(dev, 8), 0);
	put(dev, 2, 0xc1);
	CHECK_EQ(get(dev, 2), 0xc1);
	put(dev, 2, 0xc0); /* FIFOs off: the rest is not programmed */
	CHECK_EQ(get(dev, 2), 0x01);
	uart_bus_ops.write(dev, 0, 4, 0x44434241);
	CHECK(strcmp(sent, "A") == 0);
	uart_fini(dev);
}

static void test_transmit(void)
{
	struct uart memory, *dev = fresh(&memory);

	put(dev, 0, 'h');
	put(dev, 0, 'i');
	CHECK(strcmp(sent, "hi") == 0);
	CHECK(!wire);

	/* Linux's probe for a broken THRE: enabling must raise, twice */
	put(dev, 1, 0x02);
	CHECK(wire);
	CHECK_EQ(get(dev, 2), 0x02);
	CHECK(!wire);
	CHECK_EQ(get(dev, 2), 0x01);
	put(dev, 1, 0x00);
	put(dev, 1, 0x02);
	CHECK(wire);
	CHECK_EQ(get(dev, 2), 0x02);
	put(dev, 1, 0x02); /* already enabled: nothing new */
	CHECK(!wire);
	put(dev, 0, '!');
	CHECK(wire);
	put(dev, 1, 0x00);
	CHECK(!wire);
	uart_fini(dev);
}

static void test_receive(void)
{
	struct uart memory, *dev = fresh(&memory);

	/* without FIFOs: one at a time, none lost */
	put(dev, 1, 0x01);
	CHECK_EQ(uart_input(dev, "abc", 3), 3);
	CHECK(wire);
	CHECK_EQ(get(dev, 2), 0x04);
	CHECK_EQ(get(dev, 5), 0x61);
	CHECK_EQ(get(dev, 0), 'a');
	CHECK(wire);
	CHECK_EQ(get(dev, 0), 'b');
	CHECK_EQ(get(dev, 0), 'c');
	CHECK(!wire);
	CHECK_EQ(get(dev, 5), 0x60);

	/* with them: 0x04 at the trigger level of 8, 0x0c below it */
	put(dev, 2, 0x81);
	CHECK_EQ(uart_input(dev, "0123456789", 10), 10);
	for (char c = '0'; c <= '9'; c++) {
		CHECK_EQ(get(dev, 2), '9' - c >= 7 ? 0xc4 : 0xcc);
		CHECK_EQ(get(dev, 0), (uint8_t)c);
	}
	CHECK_EQ(get(dev, 2), 0xc1);
	CHECK(!wire);
	uart_fini(dev);
}

/* What was typed before a driver started is still there afterwards. */
static void test_reset_keeps_input(void)
{
	struct uart memory, *dev = fresh(&memory);

	CHECK_EQ(uart_input(dev, "0123456789abcdefXYZ", 19), 19);
	put(dev, 2, 0x01);
	put(dev, 2, 0x07);
	put(dev, 2, 0x00);
	put(dev, 2, 0x01);
	for (const char *c = "0123456789abcdefXYZ"; *c; c++)
		CHECK_EQ(get(dev, 0), (uint8_t)*c);
	CHECK_EQ(get(dev, 5), 0x60);
	uart_fini(dev);
}

static void test_flow(void)
{
	static uint8_t bytes[2 * UART_BACKLOG];
	struct uart memory, *dev = fresh(&memory);
	size_t taken, got = 0;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251);
	put(dev, 2, 0x01);
	taken = uart_input(dev, bytes, sizeof(bytes));
	CHECK(taken >= UART_BACKLOG && taken <= UART_BACKLOG + UART_FIFO);
	taken += uart_input(dev, bytes + taken, sizeof(bytes) - taken);
	CHECK_EQ(taken, UART_BACKLOG + UART_FIFO);
	CHECK_EQ(uart_input(dev, bytes, 1), 0);
	put(dev, 2, 0x07); /* all goes back on a wire that is full */
	CHECK_EQ(uart_input(dev, bytes, 1), 0);
	while (rooms == 0 && got < taken)
		CHECK_EQ(get(dev, 0), bytes[got++]);
	CHECK_EQ(got, UART_BACKLOG / 2);
	taken += uart_input(dev, bytes + taken, sizeof(bytes) - taken);
	while (got < taken)
		CHECK_EQ(get(dev, 0), bytes[got++]);
	CHECK_EQ(got, UART_BACKLOG + UART_FIFO + UART_BACKLOG / 2);
	CHECK_EQ(get(dev, 5), 0x60);
	CHECK_EQ(rooms, 2);
	CHECK_EQ(uart_input(dev, bytes, 1), 1);
	CHECK_EQ(get(dev, 0), bytes[0]);
	CHECK_EQ(rooms, 2); /* nothing had been refused */
	uart_fini(dev);
}

static void test_loopback(void)
{
	struct uart memory, *dev = fresh(&memory);

	CHECK_EQ(uart_input(dev, "x", 1), 1);
	put(dev, 4, 0x1a); /* loop, OUT2, RTS: Linux's probe wants 0x90 */
	CHECK_EQ(get(dev, 6) & 0xf0, 0x90);
	CHECK_EQ(get(dev, 5), 0x60);
	put(dev, 0, 'a');
	CHECK_EQ(sent_len, 0);
	CHECK_EQ(get(dev, 5), 0x61);
	CHECK_EQ(get(dev, 0), 'a');

	/* overrun: the lone register is overwritten, the FIFO is not */
	put(dev, 1, 0x05);
	put(dev, 0, 'b');
	put(dev, 0, 'c');
	CHECK_EQ(get(dev, 2), 0x06);
	CHECK_EQ(get(dev, 5), 0x63);
	CHECK_EQ(get(dev, 5), 0x61);
	CHECK_EQ(get(dev, 2), 0x04);
	CHECK_EQ(get(dev, 0), 'c');
	put(dev, 2, 0x01);
	for (unsigned i = 0; i < UART_FIFO + 1; i++)
		put(dev, 0, (uint8_t)('A' + i));
	CHECK_EQ(get(dev, 5), 0x63);
	for (unsigned i = 0; i < UART_FIFO; i++)
		CHECK_EQ(get(dev, 0), 'A' + i);
	CHECK_EQ(get(dev, 5), 0x60);
	put(dev, 0, 'z');
	put(dev, 2, 0x03); /* a reset drops what was looped */
	CHECK_EQ(get(dev, 5), 0x60);

	put(dev, 4, 0x00);
	CHECK_EQ(get(dev, 0), 'x');
	uart_fini(dev);
}

static void test_priorities(void)
{
	struct uart memory, *dev = fresh(&memory);

	put(dev, 4, 0x10);
	(void)get(dev, 6);
	put(dev, 1, 0x0f); /* everything, and make everything happen */
	put(dev, 4, 0x16); /* CTS and RI change */
	put(dev, 0, 'a');
	put(dev, 0, 'b');
	CHECK_EQ(get(dev, 2), 0x06);
	CHECK_EQ(get(dev, 5), 0x63);
	CHECK_EQ(get(dev, 2), 0x04);
	CHECK_EQ(get(dev, 0), 'b');
	CHECK_EQ(get(dev, 2), 0x02);
	CHECK_EQ(get(dev, 2), 0x00);
	CHECK_EQ(get(dev, 6), 0x51);
	CHECK_EQ(get(dev, 2), 0x01);
	CHECK(!wire);
	put(dev, 4, 0x12); /* RI falls: only that is an event */
	CHECK(wire);
	CHECK_EQ(get(dev, 6), 0x14);
	put(dev, 4, 0x16);
	CHECK_EQ(get(dev, 6), 0x50);
	CHECK(!wire);
	uart_fini(dev);
}

/* Whatever a guest does, the buffers keep their bounds. */
static void test_hostile(void)
{
	struct uart memory, *dev = fresh(&memory);
	static const uint8_t bytes[600];
	uint64_t x = 88172645463325252u;
	unsigned bad = 0, from_wire;

	for (unsigned i = 0; i < 300000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if (x >> 60 == 0)
			(void)uart_input(dev, bytes, x >> 20 & 511);
		else if (x & 1 << 9)
			put(dev, x & 15, (uint8_t)(x >> 32));
		else
			(void)get(dev, x & 15);
		from_wire = dev->backlog_len;
		if (dev->fifo_external)
			from_wire += dev->fifo_len;
		bad += dev->fifo_len > UART_FIFO ||
		       from_wire > UART_BACKLOG + UART_FIFO;
	}
	CHECK_EQ(bad, 0);
	uart_fini(dev);
}

#define STREAM 200000

static void *type(void *arg)
{
	for (unsigned i = 0; i < STREAM;) {
		uint8_t byte = (uint8_t)i;

		i += (unsigned)uart_input(arg, &byte, 1);
	}
	return NULL;
}

static void test_threads(void)
{
	struct uart memory, *dev = fresh(&memory);
	pthread_t thread;
	unsigned got = 0, wrong = 0;

	put(dev, 2, 0x01);
	CHECK_EQ(pthread_create(&thread, NULL, type, dev), 0);
	while (got < STREAM) {
		if (!(get(dev, 5) & 1))
			continue;
		wrong += get(dev, 0) != (uint8_t)got++;
		if (got % 1000 == 0)
			put(dev, 2, 0x03);
	}
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(wrong, 0);
	uart_fini(dev);
}

int main(void)
{
	test_registers();
	test_transmit();
	test_receive();
	test_reset_keeps_input();
	test_flow();
	test_loopback();
	test_priorities();
	test_hostile();
	test_threads();
	return TEST_END("uart");
}
