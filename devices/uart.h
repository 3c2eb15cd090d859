/* SPDX-License-Identifier: MIT */
/*
 * uart.h - a serial port
 *
 * ns16550a: National Semiconductor's PC16550D data sheet (1995), as Linux's
 * drivers/tty/serial/8250 drives it. Eight registers of one byte, one byte
 * apart; wider accesses reach the register at their address only.
 *
 *   0  RBR  R: next byte received      THR  W: byte to send
 *   1  IER  R/W: interrupts enabled (RX 1, THRE 2, line 4, modem 8)
 *   2  IIR  R: highest interrupt       FCR  W: FIFOs on, reset, trigger
 *   3  LCR  R/W: bit 7 DLAB: 0 and 1 are then the divisor latch DLL, DLM
 *   4  MCR  R/W: bit 4 loopback
 *   5  LSR  R: line status             6  MSR  R: modem status
 *   7  SCR  R/W: scratch
 *
 * Interrupts in falling priority, and what clears them: line status (read
 * LSR), data at trigger level or waiting below it (read RBR), transmitter
 * empty (read IIR while it shows this, or write THR), modem status (read
 * MSR).
 *
 * Three ways in which it is better than hardware: a byte is sent the moment
 * it is written, so that the transmitter is always empty; waiting data below
 * the trigger level is announced at once, not after four character times;
 * and a FIFO reset does not lose input from outside: what the guest has not
 * read is received again, so that what was typed or piped in before a driver
 * started is not thrown away by the driver's start. In loopback a reset
 * drops the bytes.
 */
#ifndef DEVICES_UART_H
#define DEVICES_UART_H

#include <pthread.h>

#include "devices/bus.h"

MEMSLOT_BEGIN_DECLS

#define UART_SIZE    0x100u
#define UART_FIFO    16u
#define UART_BACKLOG 4096u /* bytes of input that wait outside the FIFO */

struct uart_config {
	/*
	 * The guest sent bytes. In the vCPU's thread, no lock held; vCPUs that
	 * send at once are in no order. May be NULL.
	 */
	void (*output)(void *ctx, const void *bytes, size_t len);
	/*
	 * There is room again after uart_input() had taken less than it was
	 * given. In the vCPU's thread, no lock held. May be NULL.
	 */
	void (*room)(void *ctx);
	void *ctx;
	/* Set with the device's lock held: its receiver must not call back. */
	struct irq_line irq;
};

/* All fields are private. */
struct uart {
	pthread_mutex_t lock;
	struct uart_config config;
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t line_errors; /* of LSR, until it is read */
	uint8_t modem_lines; /* upper half of MSR */
	uint8_t modem_delta; /* lower half of MSR, until it is read */
	bool thre_pending;
	bool raised;        /* the interrupt wire */
	bool refused;       /* uart_input() took less than was given */
	bool fifo_external; /* bytes in the FIFO came from outside */
	unsigned fifo_len;
	uint8_t fifo[UART_FIFO];
	unsigned backlog_start, backlog_len;
	uint8_t backlog[UART_BACKLOG + UART_FIFO]; /* a ring */
};

/* Errors: what pthread_mutex_init returns, negated. */
int uart_init(struct uart *dev, const struct uart_config *config,
	struct memslot_error *err);
void uart_fini(struct uart *dev);

/*
 * Bytes arrive on the wire. Returns how many were taken; if fewer than len,
 * `room` is called when at least half of the backlog is free. Any thread.
 */
size_t uart_input(struct uart *dev, const void *bytes, size_t len);

extern const struct bus_ops uart_bus_ops; /* its ctx: struct uart * */

MEMSLOT_END_DECLS

#endif
