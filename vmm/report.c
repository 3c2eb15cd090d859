/* SPDX-License-Identifier: MIT */
#include "vmm/report.h"

#include <inttypes.h>

struct row {
	const char *name;
	uint64_t (*value)(const struct mover_result *r);
};

static uint64_t tried(const struct mover_result *r)
{
	return r->moves_tried;
}

static uint64_t committed(const struct mover_result *r)
{
	return r->moves_committed;
}

static uint64_t failed(const struct mover_result *r)
{
	return r->moves_failed;
}

static uint64_t done(const struct mover_result *r)
{
	return r->writes_done;
}

static uint64_t seen(const struct mover_result *r)
{
	return r->writes_seen;
}

static uint64_t wrong(const struct mover_result *r)
{
	return r->bytes_wrong;
}

static uint64_t dirty(const struct mover_result *r)
{
	return r->dirty_missed;
}

static uint64_t bar_moves(const struct mover_result *r)
{
	return r->bar_moves;
}

static uint64_t bar_refusals(const struct mover_result *r)
{
	return r->bar_refusals;
}

static uint64_t table_writes(const struct mover_result *r)
{
	return r->table_writes;
}

static uint64_t mismatches(const struct mover_result *r)
{
	return r->mismatches;
}

static const struct row rows[] = {
	{"moves tried", tried},
	{"  committed", committed},
	{"  failed", failed},
	{"writes to protected pages", done},
	{"  seen by the tracker", seen},
	{"  MISSED", mover_writes_missed},
	{"bytes wrong", wrong},
	{"dirty pages missed", dirty},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* With --vgtt. */
static const struct row vgtt_rows[] = {
	{"BAR moves by the guest", bar_moves},
	{"  refused", bar_refusals},
	{"writes to shadowed tables", table_writes},
	{"  MISMATCHES", mismatches},
};

#define VGTT_ROWS (sizeof(vgtt_rows) / sizeof(vgtt_rows[0]))

static double us(uint64_t ns)
{
	return (double)ns / 1000;
}

static int row_pause(
	FILE *f, const char *name, const struct mover_result *r, unsigned count)
{
	int e = fprintf(f, "%-28s", name);

	for (unsigned i = 0; e >= 0 && i < count; i++)
		e = fprintf(f, "  %5.1f %5.1f %6.1f %7.1f",
			us(r[i].pause.min_ns), us(r[i].pause.median_ns),
			us(r[i].pause.p99_ns), us(r[i].pause.max_ns));
	return e < 0 ? e : fprintf(f, "\n");
}

static int row_verdict(FILE *f, const struct mover_result *r, unsigned count)
{
	int e = fprintf(f, "%-28s", "verdict");

	for (unsigned i = 0; e >= 0 && i < count; i++)
		e = fprintf(f, "  %26s",
			mover_lost_nothing(&r[i]) ? "nothing lost" : "LOST");
	return e < 0 ? e : fprintf(f, "\n");
}

static int print_rows(FILE *f, const struct row *row, size_t rows_count,
	const struct mover_result *r, unsigned count)
{
	int e = 0;

	for (size_t n = 0; e >= 0 && n < rows_count; n++) {
		e = fprintf(f, "\n%-28s", row[n].name);
		for (unsigned i = 0; e >= 0 && i < count; i++)
			e = fprintf(f, "  %26" PRIu64, row[n].value(&r[i]));
	}
	return e;
}

int report_table(FILE *f, const struct mover_result *r, unsigned count)
{
	int e = fprintf(f, "%-28s", "order of phases");

	for (unsigned i = 0; e >= 0 && i < count; i++)
		e = fprintf(f, "  %26s", r[i].order);
	if (e >= 0)
		e = print_rows(f, rows, ROWS, r, count);
	if (e >= 0 && r->has_vgtt)
		e = print_rows(f, vgtt_rows, VGTT_ROWS, r, count);
	if (e >= 0)
		e = fprintf(f, "\n");
	if (e >= 0)
		e = row_pause(f, "pause, us: min med p99 max", r, count);
	return e < 0 ? e : row_verdict(f, r, count);
}

static int json_vgtt(FILE *f, const struct mover_result *r)
{
	return fprintf(f,
		", \"bar_moves\": %" PRIu64 ", \"bar_refusals\": %" PRIu64
		", \"table_writes\": %" PRIu64 ", \"mismatches\": %" PRIu64,
		r->bar_moves, r->bar_refusals, r->table_writes, r->mismatches);
}

static int json_object(FILE *f, const struct mover_result *r)
{
	int e = fprintf(f,
		"{\"accel\": \"%s\", \"order\": \"%s\", "
		"\"moves_tried\": %" PRIu64 ", \"moves_committed\": %" PRIu64
		", \"moves_failed\": %" PRIu64 ", \"writes_done\": %" PRIu64
		", \"writes_seen\": %" PRIu64 ", \"writes_missed\": %" PRIu64
		", \"bytes_wrong\": %" PRIu64 ", \"dirty_missed\": %" PRIu64
		", \"pause_us\": {\"min\": %.1f, \"median\": %.1f, "
		"\"p99\": %.1f, \"max\": %.1f}",
		r->accel, r->order, r->moves_tried, r->moves_committed,
		r->moves_failed, r->writes_done, r->writes_seen,
		mover_writes_missed(r), r->bytes_wrong, r->dirty_missed,
		us(r->pause.min_ns), us(r->pause.median_ns),
		us(r->pause.p99_ns), us(r->pause.max_ns));

	if (e >= 0 && r->has_vgtt)
		e = json_vgtt(f, r);
	return e < 0 ? e : fprintf(f, "}");
}

int report_json(FILE *f, const struct mover_result *r, unsigned count)
{
	int e = fprintf(f, "[");

	for (unsigned i = 0; e >= 0 && i < count; i++) {
		e = fprintf(f, i ? ",\n " : "");
		if (e >= 0)
			e = json_object(f, &r[i]);
	}
	return e < 0 ? e : fprintf(f, "]\n");
}
