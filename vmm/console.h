/* SPDX-License-Identifier: MIT */
/*
 * console.h - the terminal, the keyboard, and signals
 *
 * A thread reads standard input and hands it to the guest's serial port. If
 * it is a terminal it is put into raw mode, so that ^C goes to the guest; ^A
 * is ours: ^A x ends the machine, ^A ^A sends one ^A. SIGINT, SIGTERM, SIGHUP
 * and SIGQUIT end the machine too. In each of these cases the terminal is
 * restored.
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include "vmm/machine.h"

struct console;

/*
 * Blocks the four signals in the calling thread until console_destroy(), so
 * call it before the threads of the machine start. `to_stderr` sends the
 * guest's output there, because stdout is for the report. Errors: what
 * eventfd and signalfd say.
 */
int console_create(
	bool to_stderr, struct console **out, struct memslot_error *err);
/* Start reading, for this machine. */
int console_start(struct console *c, struct vmm_machine *machine,
	struct memslot_error *err);
/* The machine is about to go. */
void console_stop(struct console *c);
void console_destroy(struct console *c);
/* The signal that ended the machine; 0: none did. */
int console_signal(const struct console *c);

/* For vmm_config: ctx is the console. */
void console_output(void *ctx, const void *bytes, size_t len);
void console_room(void *ctx);

#endif
