/* SPDX-License-Identifier: MIT */
/*
 * uart.c - a 16550A whose wire is infinitely fast
 *
 * Input waits in two places: the backlog, which is the wire, and the FIFO,
 * which is what the guest sees. uart_refill() moves bytes from one to the
 * other whenever the FIFO has room; in non-FIFO mode it has room for one.
 * The interrupt wire is a function of the registers, recomputed after every
 * access by uart_update_irq(). Callbacks to the embedder are made after the
 * lock is dropped.
 */
#include "devices/uart.h"

#include <string.h>

#include "memslot/error.h"

enum uart_register {
	UART_DATA = 0, /* RBR, THR, DLL */
	UART_IER = 1,  /* and DLM */
	UART_IIR = 2,  /* and FCR */
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
	UART_MSR = 6,
	UART_SCR = 7,
};

#define IER_RX   0x01u
#define IER_THRE 0x02u
#define IER_LINE 0x04u
#define IER_MSR  0x08u
#define IER_ALL  0x0fu

#define IIR_MODEM   0x00u
#define IIR_NONE    0x01u
#define IIR_THRE    0x02u
#define IIR_RX      0x04u
#define IIR_LINE    0x06u
#define IIR_TIMEOUT 0x0cu
#define IIR_FIFOS   0xc0u

#define FCR_ENABLE   0x01u
#define FCR_RESET_RX 0x02u
#define FCR_TRIGGER  0xc0u

#define LCR_DLAB 0x80u

#define MCR_DTR      0x01u
#define MCR_RTS      0x02u
#define MCR_OUT1     0x04u
#define MCR_OUT2     0x08u
#define MCR_LOOPBACK 0x10u
#define MCR_ALL      0x1fu

#define LSR_DATA    0x01u
#define LSR_OVERRUN 0x02u
#define LSR_THRE    0x20u
#define LSR_IDLE    0x40u

#define MSR_RI_FELL 0x04u
#define MSR_CTS     0x10u
#define MSR_DSR     0x20u
#define MSR_RI      0x40u
#define MSR_DCD     0x80u

/* What an access wants done once the lock is dropped. */
struct uart_after {
	bool send;
	bool room;
	uint8_t byte;
};

int uart_init(struct uart *dev, const struct uart_config *config,
	struct memslot_error *err)
{
	int e;

	*dev = (struct uart){
		.config = *config,
		.modem_lines = MSR_CTS | MSR_DSR | MSR_DCD,
	};
	e = pthread_mutex_init(&dev->lock, NULL);
	if (e)
		return memslot_fail(err, -e, "uart: no mutex, error %d", e);
	return 0;
}

void uart_fini(struct uart *dev)
{
	pthread_mutex_destroy(&dev->lock);
}

/* ---- receiver --------------------------------------------------------- */

static unsigned uart_depth(const struct uart *dev)
{
	return dev->fcr & FCR_ENABLE ? UART_FIFO : 1;
}

static unsigned uart_trigger(const struct uart *dev)
{
	static const uint8_t level[4] = {1, 4, 8, 14};

	return dev->fcr & FCR_ENABLE ? level[dev->fcr >> 6] : 1;
}

/* In loopback the receiver is cut off from the wire. */
static void uart_refill(struct uart *dev)
{
	if (dev->mcr & MCR_LOOPBACK)
		return;
	while (dev->fifo_len < uart_depth(dev) && dev->backlog_len > 0) {
		dev->fifo[dev->fifo_len++] = dev->backlog[dev->backlog_start];
		dev->fifo_external = true;
		dev->backlog_start =
			(dev->backlog_start + 1) % sizeof(dev->backlog);
		dev->backlog_len--;
	}
}

/*
 * Empty the FIFO; unread input from outside goes back on the wire. The
 * backlog is larger than uart_input() fills it, by one FIFO, for this.
 */
static void uart_reset_fifo(struct uart *dev)
{
	const unsigned size = sizeof(dev->backlog);

	while (dev->fifo_external && dev->fifo_len > 0) {
		dev->backlog_start = (dev->backlog_start + size - 1) % size;
		dev->backlog[dev->backlog_start] = dev->fifo[--dev->fifo_len];
		dev->backlog_len++;
	}
	dev->fifo_len = 0;
	dev->fifo_external = false;
}

static uint8_t uart_receive(struct uart *dev)
{
	uint8_t byte = dev->fifo[0];

	if (dev->fifo_len == 0)
		return 0;
	dev->fifo_len--;
	memmove(dev->fifo, dev->fifo + 1, dev->fifo_len);
	return byte;
}

/* The data sheet: a full FIFO stays as it is, a lone RBR is overwritten. */
static void uart_loop(struct uart *dev, uint8_t byte)
{
	if (dev->fifo_len < uart_depth(dev)) {
		dev->fifo[dev->fifo_len++] = byte;
		return;
	}
	dev->line_errors |= LSR_OVERRUN;
	if (!(dev->fcr & FCR_ENABLE))
		dev->fifo[0] = byte;
}

/* ---- interrupts ------------------------------------------------------- */

static uint8_t uart_interrupt(const struct uart *dev)
{
	if ((dev->ier & IER_LINE) && dev->line_errors)
		return IIR_LINE;
	if ((dev->ier & IER_RX) && dev->fifo_len >= uart_trigger(dev))
		return IIR_RX;
	if ((dev->ier & IER_RX) && dev->fifo_len > 0)
		return IIR_TIMEOUT;
	if ((dev->ier & IER_THRE) && dev->thre_pending)
		return IIR_THRE;
	if ((dev->ier & IER_MSR) && dev->modem_delta)
		return IIR_MODEM;
	return IIR_NONE;
}

static void uart_update_irq(struct uart *dev)
{
	bool raise = uart_interrupt(dev) != IIR_NONE;

	if (raise == dev->raised)
		return;
	dev->raised = raise;
	irq_set(&dev->config.irq, raise);
}

/* The modem's wires as the guest sees them: all ready, or its own outputs. */
static uint8_t uart_modem_lines(const struct uart *dev)
{
	uint8_t lines = 0;

	if (!(dev->mcr & MCR_LOOPBACK))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	if (dev->mcr & MCR_RTS)
		lines |= MSR_CTS;
	if (dev->mcr & MCR_DTR)
		lines |= MSR_DSR;
	if (dev->mcr & MCR_OUT1)
		lines |= MSR_RI;
	if (dev->mcr & MCR_OUT2)
		lines |= MSR_DCD;
	return lines;
}

static void uart_update_modem(struct uart *dev)
{
	uint8_t old = dev->modem_lines, new = uart_modem_lines(dev);

	/* A change bit is its line shifted down by four; RI only if it fell. */
	dev->modem_delta |= ((old ^ new) & (MSR_CTS | MSR_DSR | MSR_DCD)) >> 4;
	if ((old & ~new) & MSR_RI)
		dev->modem_delta |= MSR_RI_FELL;
	dev->modem_lines = new;
}

/* ---- registers -------------------------------------------------------- */

static uint8_t uart_read_iir(struct uart *dev)
{
	uint8_t id = uart_interrupt(dev);

	if (id == IIR_THRE)
		dev->thre_pending = false;
	return dev->fcr & FCR_ENABLE ? id | IIR_FIFOS : id;
}

static uint8_t uart_read_lsr(struct uart *dev)
{
	uint8_t lsr = LSR_THRE | LSR_IDLE | dev->line_errors;

	if (dev->fifo_len > 0)
		lsr |= LSR_DATA;
	dev->line_errors = 0;
	return lsr;
}

static uint8_t uart_read_msr(struct uart *dev)
{
	uint8_t msr = dev->modem_lines | dev->modem_delta;

	dev->modem_delta = 0;
	return msr;
}

static uint8_t uart_get(struct uart *dev, uint64_t offset)
{
	bool dlab = dev->lcr & LCR_DLAB;

	switch (offset) {
	case UART_DATA:
		return dlab ? dev->dll : uart_receive(dev);
	case UART_IER:
		return dlab ? dev->dlm : dev->ier;
	case UART_IIR:
		return uart_read_iir(dev);
	case UART_LCR:
		return dev->lcr;
	case UART_MCR:
		return dev->mcr;
	case UART_LSR:
		return uart_read_lsr(dev);
	case UART_MSR:
		return uart_read_msr(dev);
	case UART_SCR:
		return dev->scr;
	default:
		return 0;
	}
}

/* The byte is gone at once, so that the transmitter is empty again. */
static void uart_transmit(
	struct uart *dev, uint8_t byte, struct uart_after *after)
{
	dev->thre_pending = true;
	if (dev->mcr & MCR_LOOPBACK) {
		uart_loop(dev, byte);
		return;
	}
	after->send = true;
	after->byte = byte;
}

/* Enabling the THRE interrupt while the transmitter is empty raises it. */
static void uart_write_ier(struct uart *dev, uint8_t value)
{
	if ((value & ~dev->ier) & IER_THRE)
		dev->thre_pending = true;
	dev->ier = value & IER_ALL;
}

static void uart_write_fcr(struct uart *dev, uint8_t value)
{
	if (((value ^ dev->fcr) & FCR_ENABLE) || (value & FCR_RESET_RX))
		uart_reset_fifo(dev);
	/* The other bits are not programmed unless the FIFOs are on. */
	dev->fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | FCR_TRIGGER) : 0;
}

/* What is in the FIFO does not come along into, or out of, loopback. */
static void uart_write_mcr(struct uart *dev, uint8_t value)
{
	if ((value ^ dev->mcr) & MCR_LOOPBACK)
		uart_reset_fifo(dev);
	dev->mcr = value & MCR_ALL;
	uart_update_modem(dev);
}

static void uart_set(struct uart *dev, uint64_t offset, uint8_t value,
	struct uart_after *after)
{
	bool dlab = dev->lcr & LCR_DLAB;

	switch (offset) {
	case UART_DATA:
		if (dlab)
			dev->dll = value;
		else
			uart_transmit(dev, value, after);
		break;
	case UART_IER:
		if (dlab)
			dev->dlm = value;
		else
			uart_write_ier(dev, value);
		break;
	case UART_IIR:
		uart_write_fcr(dev, value);
		break;
	case UART_LCR:
		dev->lcr = value;
		break;
	case UART_MCR:
		uart_write_mcr(dev, value);
		break;
	case UART_SCR:
		dev->scr = value;
		break;
	default: /* LSR and MSR are for the factory */
		break;
	}
}

/* After every access: make everything agree, and decide what to tell. */
static void uart_settle(struct uart *dev, struct uart_after *after)
{
	uart_refill(dev);
	uart_update_irq(dev);
	if (dev->refused && dev->backlog_len <= UART_BACKLOG / 2) {
		dev->refused = false;
		after->room = true;
	}
}

static void uart_tell(const struct uart *dev, const struct uart_after *after)
{
	const struct uart_config *c = &dev->config;

	if (after->send && c->output)
		c->output(c->ctx, &after->byte, 1);
	if (after->room && c->room)
		c->room(c->ctx);
}

static uint64_t uart_read(void *ctx, uint64_t offset, unsigned len)
{
	struct uart *dev = ctx;
	struct uart_after after = {0};
	uint8_t value;

	(void)len;
	pthread_mutex_lock(&dev->lock);
	value = uart_get(dev, offset);
	uart_settle(dev, &after);
	pthread_mutex_unlock(&dev->lock);
	uart_tell(dev, &after);
	return value;
}

static void uart_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct uart *dev = ctx;
	struct uart_after after = {0};

	(void)len;
	pthread_mutex_lock(&dev->lock);
	uart_set(dev, offset, (uint8_t)value, &after);
	uart_settle(dev, &after);
	pthread_mutex_unlock(&dev->lock);
	uart_tell(dev, &after);
}

/* ---- the outside ------------------------------------------------------ */

size_t uart_input(struct uart *dev, const void *bytes, size_t len)
{
	const uint8_t *from = bytes;
	size_t taken = 0;

	pthread_mutex_lock(&dev->lock);
	while (taken < len && dev->backlog_len < UART_BACKLOG) {
		unsigned end = (dev->backlog_start + dev->backlog_len) %
			       sizeof(dev->backlog);

		dev->backlog[end] = from[taken++];
		dev->backlog_len++;
	}
	if (taken < len)
		dev->refused = true;
	uart_refill(dev);
	uart_update_irq(dev);
	pthread_mutex_unlock(&dev->lock);
	return taken;
}

const struct bus_ops uart_bus_ops = {
	.name = "uart",
	.read = uart_read,
	.write = uart_write,
};
