/* SPDX-License-Identifier: MIT */
/*
 * session.h - one machine from create to destroy, as the program runs it
 *
 * Puts together what every job needs around a machine: the console, the
 * nodes of --track, the faults of --inject.
 */
#ifndef VMM_SESSION_H
#define VMM_SESSION_H

#include "vmm/console.h"
#include "vmm/mover.h"
#include "vmm/options.h"

struct session {
	const struct options *options;
	struct vmm_config config;
	struct vmm_machine *machine;
	struct console *console;
	struct fault_plan faults;
	struct mover *mover;            /* NULL: nothing is moved */
	struct pagetrack_node *counter; /* of --track */
	_Atomic(uint64_t) counted;
	bool ran;
};

/*
 * Fill in config from the options; the caller may change it before
 * session_open(), which builds the machine, and session_run(), which runs it
 * until it stops. session_close() takes down whatever is there.
 */
void session_init(struct session *s, const struct options *o);
int session_open(struct session *s, struct memslot_error *err);
int session_run(
	struct session *s, enum vmm_stop *why, struct memslot_error *err);
/* Was the failure that --inject asks for reached? -ERANGE if not. */
int session_injected(struct session *s, struct memslot_error *err);
void session_close(struct session *s);

/* A sentence to stderr, with the program's name before it. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
