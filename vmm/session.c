/* SPDX-License-Identifier: MIT */
#include "vmm/session.h"

#include "memslot/error.h"
#include "vmm/points.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void say(const char *fmt, ...)
{
	va_list ap;

	fputs("vmm: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* ---- what the machine calls ----------------------------------------------- */

static void on_output(void *ctx, const void *bytes, size_t len)
{
	struct session *s = ctx;

	console_output(s->console, bytes, len);
}

static void on_room(void *ctx)
{
	struct session *s = ctx;

	console_room(s->console);
}

static void on_guest_report(void *ctx, const struct slotctl_report *report)
{
	struct session *s = ctx;

	if (s->mover)
		mover_guest_report(s->mover, report);
}

static void on_note(void *ctx, const char *text)
{
	(void)ctx;
	say("%s", text);
}

static void on_log(void *ctx, const char *line)
{
	(void)ctx;
	say("%s", line);
}

/* ---- --track ---------------------------------------------------------------- */

static void on_counted_write(void *ctx, const struct pagetrack_write *w)
{
	struct session *s = ctx;

	(void)w;
	atomic_fetch_add(&s->counted, 1);
}

static const struct pagetrack_ops counter_ops = {
	.name = "--track",
	.write = on_counted_write,
};

static int add_tracks(struct session *s, struct memslot_error *err)
{
	const struct options *o = s->options;
	int r;

	if (!o->track_count)
		return 0;
	r = pagetrack_register(vmm_machine_track(s->machine), &counter_ops, s,
		PAGETRACK_STAY, &s->counter, err);
	for (unsigned i = 0; !r && i < o->track_count; i++)
		r = pagetrack_add(s->counter, 0, o->track[i].gfn,
			o->track[i].size_pages, err);
	return r;
}

static void remove_tracks(struct session *s)
{
	if (!s->counter)
		return;
	if (s->ran)
		say("%llu writes to tracked pages (%llu pages are still "
		    "tracked)",
			(unsigned long long)atomic_load(&s->counted),
			(unsigned long long)pagetrack_size_pages(s->counter));
	pagetrack_unregister(s->counter);
	s->counter = NULL;
}

/* ---- life ------------------------------------------------------------------- */

void session_init(struct session *s, const struct options *o)
{
	memset(s, 0, sizeof(*s));
	s->options = o;
	s->config = (struct vmm_config){
		.accel = o->accel,
		.mem_size = o->mem_size,
		.cpus = o->cpus,
		.cpu_off = o->cpu_off,
		.deterministic = o->deterministic,
		.seed = o->seed,
		.kernel = o->kernel,
		.flat = o->flat,
		.initrd = o->initrd,
		.append = o->append,
		.slots = o->slot,
		.slot_count = o->slot_count,
		.disks = o->disk,
		.disk_count = o->disk_count,
		.rng = o->rng,
		.vgtt = o->vgtt,
		.vgtt_aperture = o->vgtt_aperture,
		.order = o->order == OPTIONS_ORDER_LEGACY
				 ? &memslot_order_legacy
				 : &memslot_order_ours,
		.faults = &s->faults,
		.output = on_output,
		.room = on_room,
		.timer = on_room, /* either way the console looks again */
		.guest_report = on_guest_report,
		.log = o->verbose ? on_log : NULL,
		.note = on_note,
		.ctx = s,
	};
}

int session_open(struct session *s, struct memslot_error *err)
{
	const struct options *o = s->options;
	int r = vmm_machine_create(&s->config, &s->machine, err);

	if (!r)
		r = add_tracks(s, err);
	/* Signals end the program as ever until there is a guest to stop. */
	if (!r)
		r = console_create(o->json, &s->console, err);
	if (r)
		return r;
	if (o->inject_point && o->action == OPTIONS_RUN)
		fault_arm(&s->faults, o->inject_point, o->inject_nth, false);
	return 0;
}

int session_run(
	struct session *s, enum vmm_stop *why, struct memslot_error *err)
{
	int r = console_start(s->console, s->machine, err);

	if (r)
		return r;
	s->ran = true;
	r = vmm_machine_run(s->machine, why, err);
	console_stop(s->console);
	if (!r && console_signal(s->console))
		return memslot_fail(err, -EINTR, "ended by signal %d",
			console_signal(s->console));
	return r;
}

int session_injected(struct session *s, struct memslot_error *err)
{
	const struct options *o = s->options;

	if (!o->inject_point || atomic_load(&s->faults.fired))
		return 0;
	return memslot_fail(err, -ERANGE,
		"--inject: %s was reached %llu times, so nothing failed",
		point_name(o->inject_point),
		(unsigned long long)atomic_load(&s->faults.seen));
}

/* After the guest has stopped: what is wrong now will never be right. */
static void say_vgtt(struct session *s)
{
	struct vgtt *g = s->machine ? vmm_machine_vgtt(s->machine) : NULL;
	struct vgtt_counts c;

	if (!g || !s->ran || !s->options->verbose)
		return;
	vgtt_verify(g);
	vgtt_get_counts(g, &c);
	say("vgtt: %llu writes to tables, %llu entries updated, %llu of %llu "
	    "compared were wrong",
		(unsigned long long)c.writes, (unsigned long long)c.updates,
		(unsigned long long)c.mismatches,
		(unsigned long long)c.checked);
}

void session_close(struct session *s)
{
	remove_tracks(s);
	say_vgtt(s);
	vmm_machine_destroy(s->machine);
	console_destroy(s->console);
	s->machine = NULL;
	s->console = NULL;
}
