/* SPDX-License-Identifier: MIT */
#include "vmm/run.h"

#include "memslot/error.h"
#include "vmm/bare.h"
#include "vmm/points.h"
#include "vmm/report.h"
#include "vmm/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESULTS_MAX 2

/* The built-in guest's window: 64 pages, a quarter of them protected. */
#define BARE_WINDOW        ((uint64_t)256 << 10)
#define BARE_TRACKED_PAGES 16u
#define BARE_MOVES         2000u
#define BARE_INTERVAL_US   200u

#define KERNEL_MOVES       1000u
#define KERNEL_INTERVAL_US 2000u

/* ---- running a guest ------------------------------------------------------ */

/* The machine has stopped: is that what was asked for? */
static int judge_stop(struct vmm_machine *m, enum vmm_stop why,
	const struct memslot_error *err)
{
	char state[4096];

	switch (why) {
	case VMM_STOP_POWEROFF:
	case VMM_STOP_REBOOT:
	case VMM_STOP_ASKED:
		return EXIT_SUCCESS;
	case VMM_STOP_FAILURE:
		say("the guest says that it has failed");
		return EXIT_FAILURE;
	case VMM_STOP_EXIT:
		return vmm_machine_exit_status(m);
	case VMM_STOP_ERROR:
		say("%s", err->text);
		if (vmm_machine_describe(m, state, sizeof(state)))
			fputs(state, stderr);
		return EXIT_FAILURE;
	}
	return EXIT_FAILURE;
}

static int run_once(const struct options *o, enum vmm_stop *why)
{
	struct memslot_error err = {0};
	struct session s;
	int r;

	session_init(&s, o);
	r = session_open(&s, &err);
	if (!r && o->verbose)
		say("%s at CPU %s, order %s", o->kernel,
			vmm_machine_accel(s.machine),
			memslot_order_name(s.config.order));
	if (!r)
		r = session_run(&s, why, &err);
	if (!r)
		r = session_injected(&s, &err);
	if (r)
		say("%s", err.text);
	r = r ? EXIT_FAILURE : judge_stop(s.machine, *why, &err);
	session_close(&s);
	return r;
}

int run_guest(const struct options *o)
{
	enum vmm_stop why = VMM_STOP_ERROR;
	int status;

	do
		status = run_once(o, &why);
	while (status == EXIT_SUCCESS && why == VMM_STOP_REBOOT &&
		!o->no_reboot);
	return status;
}

/* ---- --dump-dtb ------------------------------------------------------------- */

static int write_file(const char *path, const void *bytes, size_t size,
	struct memslot_error *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	ssize_t n;
	int e = 0;

	if (fd < 0) {
		e = errno;
	} else {
		n = write(fd, bytes, size);
		if (n != (ssize_t)size)
			e = n < 0 ? errno : ENOSPC;
		if (close(fd) && !e)
			e = errno;
	}
	return e ? memslot_fail(err, -e,
			   "device tree \"%s\" cannot be written: %s", path,
			   strerror(e))
		 : 0;
}

int run_dump_dtb(const struct options *o)
{
	struct memslot_error err = {0};
	struct session s;
	const void *fdt;
	size_t size;
	int r;

	session_init(&s, o);
	r = session_open(&s, &err);
	if (!r) {
		fdt = vmm_machine_fdt(s.machine, &size);
		r = fdt ? write_file(o->dump_dtb, fdt, size, &err)
			: memslot_fail(&err, -ENOENT,
				  "--dump-dtb: an x86-64 machine has none");
	}
	session_close(&s);
	if (r)
		say("%s", err.text);
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- --move-slot ------------------------------------------------------------ */

static int check_mem(const struct options *o, const struct bare_guest *guest)
{
	if (!o->mem_size || o->mem_size >= guest->mem_min)
		return 0;
	say("--mem: the built-in guest needs %llu bytes",
		(unsigned long long)guest->mem_min);
	return EXIT_USAGE;
}

static int check_target(
	const struct vmm_map *map, gpa_t target, uint64_t window)
{
	const gpa_t first = map->range_base + window;
	const gpa_t last = map->range_base + map->range_size - window;

	if (target >= first && target <= last)
		return 0;
	say("--move-slot target %#llx: the window of %#llx bytes can go to "
	    "[%#llx, %#llx]",
		(unsigned long long)target, (unsigned long long)window,
		(unsigned long long)first, (unsigned long long)last);
	return EXIT_USAGE;
}

static void mover_defaults(
	const struct options *o, struct session *s, struct mover_config *c)
{
	bool kernel = o->kernel != NULL;

	*c = (struct mover_config){
		.faults = &s->faults,
		.window_size = kernel ? VMM_WINDOW_DEFAULT : BARE_WINDOW,
		.moves = kernel ? KERNEL_MOVES : BARE_MOVES,
		.interval_us = kernel ? KERNEL_INTERVAL_US : BARE_INTERVAL_US,
		.inject_point = o->inject_point,
		.inject_nth = o->inject_nth,
	};
	c->tracked_pages = kernel ? c->window_size >> MEMSLOT_PAGE_SHIFT
				  : BARE_TRACKED_PAGES;
	if (o->has_count)
		c->moves = o->move_count;
	if (o->has_interval)
		c->interval_us = o->move_interval_us;
}

/*
 * The second place is 16 MiB on and one window further, so that it differs
 * from the first also modulo 2 MiB: each move changes where large pages may
 * be.
 */
static gpa_t target(const struct options *o, const struct vmm_map *map,
	const struct mover_config *c)
{
	return o->has_target
		       ? o->move_target
		       : map->range_base + ((gpa_t)16 << 20) + c->window_size;
}

static int run_moves(struct session *s, struct mover_config *c,
	enum vmm_stop *why, struct mover_result *result,
	struct memslot_error *err)
{
	int r = mover_start(c, &s->mover, err);

	if (r)
		return r;
	r = session_run(s, why, err);
	mover_finish(s->mover, result);
	s->mover = NULL;
	/* The legacy order need not come by every point. */
	if (!r && s->config.order == &memslot_order_ours)
		r = session_injected(s, err);
	return r;
}

/* The machine for it, not yet running, and what else has to be known. */
static int open_for_moves(
	const struct options *o, struct session *s, struct mover_config *c)
{
	struct memslot_error err = {0};
	const struct vmm_map *map;
	int r;

	if (session_open(s, &err)) {
		say("%s", err.text);
		return EXIT_FAILURE;
	}
	map = vmm_machine_map(s->machine);
	c->machine = s->machine;
	c->target = target(o, map, c);
	r = check_target(map, c->target, c->window_size);
	if (!r && o->verbose)
		say("order %s: %llu moves between %#llx and %#llx, one each "
		    "%llu us",
			memslot_order_name(s->config.order),
			(unsigned long long)c->moves,
			(unsigned long long)map->range_base,
			(unsigned long long)c->target,
			(unsigned long long)c->interval_us);
	return r;
}

/* The built-in guest, instead of a kernel. */
static int take_bare(const struct options *o, struct session *s,
	struct mover_config *c, struct bare_guest *guest)
{
	struct memslot_error err = {0};

	if (bare_make(o->accel, c->window_size / 8,
		    c->tracked_pages * MEMSLOT_PAGE_SIZE / 8, guest, &err)) {
		say("%s", err.text);
		return EXIT_FAILURE;
	}
	s->config.mem_size = o->mem_size ? o->mem_size : guest->mem_size;
	s->config.code = guest->code;
	s->config.code_size = guest->size;
	c->stop = guest->stop;
	return check_mem(o, guest);
}

/* One order, one machine. */
static int move_with(const struct options *o, struct mover_result *result)
{
	struct memslot_error err = {0};
	struct bare_guest guest;
	struct mover_config c;
	enum vmm_stop why = VMM_STOP_ERROR;
	struct session s;
	int r = 0;

	session_init(&s, o);
	mover_defaults(o, &s, &c);
	s.config.window_size = c.window_size;
	if (!o->kernel)
		r = take_bare(o, &s, &c, &guest);
	if (r)
		return r;
	r = open_for_moves(o, &s, &c);
	if (r) {
		session_close(&s);
		return r;
	}
	r = run_moves(&s, &c, &why, result, &err);
	if (r)
		say("%s", err.text);
	r = r ? EXIT_FAILURE : judge_stop(s.machine, why, &err);
	session_close(&s);
	if (r == EXIT_SUCCESS && !result->guest_reported) {
		say("the guest ended without a report to the slot controller");
		r = EXIT_FAILURE;
	}
	return r;
}

/* Ours must lose nothing; legacy must show its loss. */
static int judge_moves(const struct mover_result *r, bool injected)
{
	bool ours = strcmp(r->order, "ours") == 0;
	bool moved = r->moves_committed && r->writes_done;

	if (!moved) {
		say("order %s: nothing was moved, or nothing written",
			r->order);
		return EXIT_FAILURE;
	}
	if (ours && !mover_lost_nothing(r)) {
		say("order ours: something was lost");
		return EXIT_FAILURE;
	}
	if (!ours && r->bytes_wrong) {
		say("order legacy: bytes are wrong, which no order excuses");
		return EXIT_FAILURE;
	}
	/* With one chosen failure there need not be a loss. */
	if (!ours && !injected && mover_writes_missed(r) == 0) {
		say("order legacy: no write was missed, so nothing was shown");
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

static int print_report(
	const struct options *o, const struct mover_result *r, unsigned count)
{
	int e = o->json ? report_json(stdout, r, count)
			: report_table(stdout, r, count);

	if (e < 0 || fflush(stdout)) {
		say("the report cannot be written: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

/* The built-in guest is there for each CPU. */
static int choose_accel(struct options *o)
{
	struct memslot_error note, err = {0};

	if (o->kernel || o->accel != VMM_ACCEL_AUTO)
		return 0;
	if (vmm_choose_accel(VMM_GUEST_ANY, &o->accel, &note, &err)) {
		say("%s", err.text);
		return EXIT_FAILURE;
	}
	if (note.text[0])
		say("%s", note.text);
	return 0;
}

int run_move_slot(const struct options *given)
{
	struct mover_result result[RESULTS_MAX];
	struct options o = *given;
	unsigned count = 0;
	int status, verdict = EXIT_SUCCESS;

	/* Without a kernel and unless told otherwise: both, side by side. */
	if (o.order == OPTIONS_ORDER_DEFAULT)
		o.order = OPTIONS_ORDER_OURS;
	status = choose_accel(&o);
	if (!status)
		status = move_with(&o, &result[count++]);
	if (!status && given->order == OPTIONS_ORDER_DEFAULT && !o.kernel) {
		o.order = OPTIONS_ORDER_LEGACY;
		status = move_with(&o, &result[count++]);
	}
	if (status)
		return status;
	status = print_report(&o, result, count);
	for (unsigned i = 0; i < count; i++)
		if (judge_moves(&result[i], o.inject_point != 0))
			verdict = EXIT_FAILURE;
	return status ? status : verdict;
}
