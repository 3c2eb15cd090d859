/* SPDX-License-Identifier: MIT */
/* test_slotctl.c - a guest's way to its memory map, against a real map */
#include "devices/slotctl.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/unit/test.h"

#define PAGE   MEMSLOT_PAGE_SIZE
#define RANGE  0x40000000u
#define RANGES 0x10000u /* 16 pages */
#define WINDOW 0x4000u  /* 4 of them */
#define SLOT   7u

static struct {
	unsigned commands, dones, last_command;
	int last_code;
	gpa_t last_target;
	uint64_t changes;
	struct slotctl_report report;
	struct slotctl *dev;
} seen;

static void on_command(void *ctx, unsigned command, gpa_t target,
	const struct memslot_result *result, const struct memslot_error *err)
{
	struct slotctl_counts counts;

	CHECK(ctx == &seen);
	seen.commands++;
	seen.last_command = command;
	seen.last_target = target;
	seen.last_code = err->code;
	seen.changes = result->changes;
	slotctl_get_counts(seen.dev, &counts); /* reading is allowed here */
	CHECK(counts.failed > 0 || err->code == 0);
}

static void on_done(void *ctx, const struct slotctl_report *report)
{
	CHECK(ctx == &seen);
	seen.dones++;
	seen.report = *report;
}

struct machine {
	struct memslots *slots;
	struct slotctl dev;
	uint8_t *host;
};

static void fresh(struct machine *m, bool with_window)
{
	struct memslot_error err;
	struct slotctl_config c = {
		.space = 1,
		.id = SLOT,
		.range_base = RANGE,
		.range_size = RANGES,
		.events = {on_command, on_done, &seen},
	};
	struct memslot_config s = {
		.space = 1,
		.id = SLOT,
		.gpa = RANGE,
		.size = WINDOW,
	};

	memset(&seen, 0, sizeof(seen));
	seen.dev = &m->dev;
	m->host = aligned_alloc(PAGE, WINDOW);
	s.host = m->host;
	CHECK_EQ(memslots_create(&memslot_hosted, 2, &m->slots, &err), 0);
	if (with_window)
		CHECK_EQ(memslots_create_slot(m->slots, &s, &err), 0);
	c.slots = m->slots;
	CHECK_EQ(slotctl_init(&m->dev, &c, &err), 0);
}

static void end(struct machine *m)
{
	slotctl_fini(&m->dev);
	memslots_destroy(m->slots);
	free(m->host);
}

static uint64_t get8(struct machine *m, uint64_t offset)
{
	return slotctl_bus_ops.read(&m->dev, offset, 8);
}

static uint32_t get(struct machine *m, uint64_t offset)
{
	return (uint32_t)slotctl_bus_ops.read(&m->dev, offset, 4);
}

static void put8(struct machine *m, uint64_t offset, uint64_t value)
{
	slotctl_bus_ops.write(&m->dev, offset, 8, value);
}

static void put(struct machine *m, uint64_t offset, uint32_t value)
{
	slotctl_bus_ops.write(&m->dev, offset, 4, value);
}

static uint32_t move(struct machine *m, uint64_t target)
{
	put8(m, SLOTCTL_REG_TARGET, target);
	put(m, SLOTCTL_REG_COMMAND, SLOTCTL_MOVE);
	return get(m, SLOTCTL_REG_STATUS);
}

static uint32_t command(struct machine *m, uint32_t number)
{
	put(m, SLOTCTL_REG_COMMAND, number);
	return get(m, SLOTCTL_REG_STATUS);
}

static void test_init(void)
{
	static const uint64_t wrong[][2] = {
		{RANGE, 0},
		{RANGE + 1, PAGE},
		{RANGE, PAGE + 1},
		{MEMSLOT_GPA_LIMIT, PAGE},
		{PAGE, MEMSLOT_GPA_LIMIT},
		{UINT64_MAX - PAGE + 1, PAGE},
	};
	struct slotctl dev;
	struct memslot_error err;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct slotctl_config c = {
			.range_base = wrong[i][0],
			.range_size = wrong[i][1],
		};

		CHECK_EQ(slotctl_init(&dev, &c, &err), -EINVAL);
	}
	CHECK_TEXT(err.text, "the range of 0x1000 bytes at 0xfffffffffffff000");
}

static void test_registers(void)
{
	struct machine m;

	fresh(&m, true);
	CHECK_EQ(get(&m, 0x00), SLOTCTL_MAGIC);
	CHECK_EQ(get(&m, 0x04), 1);
	CHECK_EQ(get8(&m, 0x00), (uint64_t)1 << 32 | SLOTCTL_MAGIC);
	CHECK_EQ(get8(&m, 0x08), RANGE);
	CHECK_EQ(get8(&m, 0x10), WINDOW);
	CHECK_EQ(get8(&m, 0x18), RANGE);
	CHECK_EQ(get8(&m, 0x20), RANGES);
	CHECK_EQ(get(&m, 0x38), 0);
	CHECK_EQ(get8(&m, 0x40), memslots_generation(m.slots));

	/* read-only ones, holes, odd widths and places */
	for (uint64_t at = 0; at < SLOTCTL_SIZE; at += 4) {
		if (at == SLOTCTL_REG_COMMAND || at == SLOTCTL_REG_DONE ||
			at - SLOTCTL_REG_TARGET < 8 ||
			at - SLOTCTL_REG_WRITES_DONE < 16)
			continue;
		uint32_t before = get(&m, at);

		put(&m, at, ~before);
		CHECK_EQ(get(&m, at), before);
	}
	CHECK_EQ(slotctl_bus_ops.read(&m.dev, 0, 2), 0);
	CHECK_EQ(slotctl_bus_ops.read(&m.dev, 0, 1), 0);
	CHECK_EQ(slotctl_bus_ops.read(&m.dev, 2, 4), 0);
	CHECK_EQ(slotctl_bus_ops.read(&m.dev, 4, 8), 0);
	slotctl_bus_ops.write(&m.dev, SLOTCTL_REG_COMMAND, 2, SLOTCTL_MOVE);
	slotctl_bus_ops.write(&m.dev, SLOTCTL_REG_COMMAND - 4, 8,
		(uint64_t)SLOTCTL_MOVE << 32);
	CHECK_EQ(seen.commands, 0);
	CHECK_EQ(get8(&m, SLOTCTL_REG_TARGET), 0);
	end(&m);
}

static void test_halves(void)
{
	struct machine m;

	fresh(&m, true);
	put(&m, SLOTCTL_REG_TARGET, 0x11111111);
	put(&m, SLOTCTL_REG_TARGET + 4, 0x22222222);
	CHECK_EQ(get8(&m, SLOTCTL_REG_TARGET), 0x2222222211111111);

	/* low, change, high: the high half of that moment; once */
	CHECK_EQ(get(&m, SLOTCTL_REG_TARGET), 0x11111111);
	put8(&m, SLOTCTL_REG_TARGET, 0x4444444433333333);
	CHECK_EQ(get(&m, SLOTCTL_REG_TARGET + 4), 0x22222222);
	CHECK_EQ(get(&m, SLOTCTL_REG_TARGET + 4), 0x44444444);

	/* another register's high half is not what was kept */
	CHECK_EQ(get(&m, SLOTCTL_REG_TARGET), 0x33333333);
	CHECK_EQ(get(&m, SLOTCTL_REG_WINDOW_SIZE + 4), 0);
	put8(&m, SLOTCTL_REG_TARGET, 0);
	CHECK_EQ(get(&m, SLOTCTL_REG_TARGET + 4), 0);

	/* STATUS, in a high half, is never kept */
	CHECK_EQ(get(&m, SLOTCTL_REG_COMMAND), 0);
	CHECK_EQ(command(&m, 99), ENOSYS);
	CHECK_EQ(get8(&m, SLOTCTL_REG_COMMAND), (uint64_t)ENOSYS << 32);
	end(&m);
}

static void test_moves(void)
{
	struct machine m;
	uint64_t generation;
	gpa_t gpa;
	uint64_t size;

	fresh(&m, true);
	generation = get8(&m, SLOTCTL_REG_GENERATION);
	CHECK_EQ(move(&m, RANGE + PAGE), 0); /* overlaps itself */
	CHECK_EQ(get8(&m, SLOTCTL_REG_WINDOW_BASE), RANGE + PAGE);
	CHECK_EQ(get8(&m, SLOTCTL_REG_MOVES), 1);
	CHECK_EQ(get8(&m, SLOTCTL_REG_GENERATION), generation + 1);
	CHECK_EQ(seen.last_target, RANGE + PAGE);
	CHECK_EQ(seen.changes, 1);
	CHECK_EQ(move(&m, RANGE + PAGE), 0); /* nothing to do: no move */
	CHECK_EQ(get8(&m, SLOTCTL_REG_MOVES), 1);
	CHECK_EQ(move(&m, RANGE + RANGES - WINDOW), 0); /* the last place */
	CHECK_EQ(slotctl_window(&m.dev, &gpa, &size), 0);
	CHECK_EQ(gpa, RANGE + RANGES - WINDOW);
	CHECK_EQ(size, WINDOW);

	static const uint64_t outside[] = {0, RANGE - PAGE, RANGE - 1,
		RANGE + RANGES - WINDOW + PAGE, RANGE + RANGES - WINDOW + 1,
		RANGE + RANGES, UINT64_MAX, UINT64_MAX - PAGE + 1,
		UINT64_MAX - WINDOW + 1, MEMSLOT_GPA_LIMIT - WINDOW};

	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		CHECK_EQ(move(&m, outside[i]), EPERM);
		CHECK_EQ(get8(&m, SLOTCTL_REG_FAILED), i + 1);
		CHECK_EQ(seen.last_code, -EPERM);
	}
	CHECK_EQ(move(&m, RANGE + 8), EINVAL);
	CHECK_EQ(get8(&m, SLOTCTL_REG_WINDOW_BASE), RANGE + RANGES - WINDOW);
	CHECK_EQ(get8(&m, SLOTCTL_REG_MOVES), 2);
	CHECK_EQ(move(&m, RANGE), 0); /* STATUS is of the last command */
	end(&m);
}

static void test_neighbour(void)
{
	struct machine m;
	struct memslot_config s = {
		.space = 1,
		.id = 8,
		.gpa = RANGE + 8 * PAGE,
		.size = PAGE,
	};
	uint8_t *host = aligned_alloc(PAGE, PAGE);

	fresh(&m, true);
	s.host = host;
	CHECK_EQ(memslots_create_slot(m.slots, &s, NULL), 0);
	CHECK_EQ(move(&m, RANGE + 5 * PAGE), EEXIST);
	CHECK_EQ(move(&m, RANGE + 4 * PAGE), 0);
	CHECK_EQ(move(&m, RANGE + 9 * PAGE), 0);
	end(&m);
	free(host);
}

/* A move marks all pages, unless it is asked to keep the log. */
static void test_log(void)
{
	struct machine m;
	struct memslot_harvest *h;

	fresh(&m, true);
	CHECK_EQ(command(&m, SLOTCTL_SET_LOG), 0);
	CHECK_EQ(memslot_harvest(m.slots, 1, SLOT, &h, NULL), 0);
	memslot_harvest_done(h);
	put8(&m, SLOTCTL_REG_TARGET, RANGE + PAGE);
	CHECK_EQ(command(&m, SLOTCTL_MOVE_KEEP), 0);
	CHECK_EQ(get8(&m, SLOTCTL_REG_WINDOW_BASE), RANGE + PAGE);
	CHECK_EQ(get8(&m, SLOTCTL_REG_MOVES), 1);
	CHECK_EQ(memslot_harvest(m.slots, 1, SLOT, &h, NULL), 0);
	CHECK_EQ(memslot_harvest_count(h), 0);
	memslot_harvest_done(h);
	CHECK_EQ(move(&m, RANGE), 0);
	CHECK_EQ(memslot_harvest(m.slots, 1, SLOT, &h, NULL), 0);
	CHECK_EQ(memslot_harvest_count(h), WINDOW / PAGE);
	memslot_harvest_done(h);
	put8(&m, SLOTCTL_REG_TARGET, RANGE + RANGES);
	CHECK_EQ(command(&m, SLOTCTL_MOVE_KEEP), EPERM);
	end(&m);
}

/* A range too small for the window: it can go nowhere, also not wrapped. */
static void test_small_range(void)
{
	struct machine m;

	fresh(&m, true);
	m.dev.config.range_size = WINDOW - PAGE;
	CHECK_EQ(move(&m, RANGE), EPERM);
	CHECK_EQ(move(&m, RANGE + PAGE), EPERM);
	CHECK_EQ(move(&m, 0), EPERM);
	end(&m);
}

static void test_flags(void)
{
	struct machine m;

	fresh(&m, true);
	CHECK_EQ(command(&m, SLOTCTL_SET_LOG), 0);
	CHECK_EQ(get(&m, SLOTCTL_REG_FLAGS), MEMSLOT_LOG_DIRTY);
	CHECK_EQ(command(&m, SLOTCTL_SET_READONLY), 0);
	CHECK_EQ(get(&m, SLOTCTL_REG_FLAGS),
		MEMSLOT_LOG_DIRTY | MEMSLOT_READONLY);
	CHECK_EQ(move(&m, RANGE + 2 * PAGE), 0);
	CHECK_EQ(get(&m, SLOTCTL_REG_FLAGS),
		MEMSLOT_LOG_DIRTY | MEMSLOT_READONLY);
	CHECK_EQ(command(&m, SLOTCTL_CLEAR_READONLY), 0);
	CHECK_EQ(get(&m, SLOTCTL_REG_FLAGS), MEMSLOT_LOG_DIRTY);
	CHECK_EQ(command(&m, SLOTCTL_SET_READONLY), 0);
	CHECK_EQ(command(&m, SLOTCTL_CLEAR_LOG), 0);
	CHECK_EQ(get(&m, SLOTCTL_REG_FLAGS), MEMSLOT_READONLY);
	CHECK_EQ(command(&m, SLOTCTL_CLEAR_READONLY), 0);
	CHECK_EQ(get(&m, SLOTCTL_REG_FLAGS), 0);
	CHECK_EQ(get8(&m, SLOTCTL_REG_MOVES), 1);
	CHECK_EQ(command(&m, 0), ENOSYS);
	CHECK_EQ(command(&m, 7), ENOSYS);
	CHECK_EQ(command(&m, UINT32_MAX), ENOSYS);
	CHECK_EQ(seen.commands, 10);
	end(&m);
}

static void test_no_window(void)
{
	struct machine m;
	gpa_t gpa;
	uint64_t size;

	fresh(&m, false);
	CHECK_EQ(get8(&m, SLOTCTL_REG_WINDOW_BASE), 0);
	CHECK_EQ(get8(&m, SLOTCTL_REG_WINDOW_SIZE), 0);
	CHECK_EQ(move(&m, RANGE), ENOENT);
	CHECK_EQ(command(&m, SLOTCTL_SET_LOG), ENOENT);
	CHECK_EQ(slotctl_window(&m.dev, &gpa, &size), -ENOENT);
	end(&m);
}

static void test_report(void)
{
	struct machine m;
	struct slotctl_report r;

	fresh(&m, true);
	put8(&m, SLOTCTL_REG_WRITES_DONE, 0x123456789a);
	put(&m, SLOTCTL_REG_BYTES_WRONG + 4, 1);
	CHECK_EQ(seen.dones, 0);
	put(&m, SLOTCTL_REG_DONE, 5);
	CHECK_EQ(seen.dones, 1);
	CHECK_EQ(seen.report.writes_done, 0x123456789a);
	CHECK_EQ(seen.report.bytes_wrong, (uint64_t)1 << 32);
	CHECK_EQ(seen.report.done, 5);
	slotctl_get_report(&m.dev, &r);
	CHECK_EQ(r.writes_done, 0x123456789a);
	CHECK_EQ(r.done, 5);
	CHECK_EQ(get(&m, SLOTCTL_REG_DONE), 5);
	end(&m);
}

/* The host's commands: counted, told, and STATUS left alone. */
static void test_host(void)
{
	struct machine m;
	struct memslot_error err;
	struct memslot_result result;

	fresh(&m, true);
	CHECK_EQ(command(&m, 77), ENOSYS);
	CHECK_EQ(slotctl_move(&m.dev, RANGE + PAGE, &result, &err), 0);
	CHECK_EQ(result.changes, 1);
	CHECK_EQ(get8(&m, SLOTCTL_REG_MOVES), 1);
	CHECK_EQ(get(&m, SLOTCTL_REG_STATUS), ENOSYS);
	CHECK_EQ(get8(&m, SLOTCTL_REG_TARGET), 0);
	CHECK_EQ(slotctl_move(&m.dev, 0, NULL, &err), -EPERM);
	CHECK_TEXT(err.text, "0x4000 bytes at 0x0 are not inside "
			     "[0x40000000,0x40010000)");
	CHECK_EQ(slotctl_move(&m.dev, 0, NULL, NULL), -EPERM);
	CHECK_EQ(seen.commands, 4);
	end(&m);
}

#define ROUNDS 3000

static void *other_vcpu(void *arg)
{
	struct machine *m = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t base = get8(m, SLOTCTL_REG_WINDOW_BASE);

		CHECK(base >= RANGE && base <= RANGE + RANGES - WINDOW);
		(void)get8(m, SLOTCTL_REG_GENERATION);
		if (i % 8 == 0)
			put(m, SLOTCTL_REG_COMMAND, 2 + i / 8 % 4);
	}
	return NULL;
}

static void test_threads(void)
{
	struct machine m;
	pthread_t thread;

	fresh(&m, true);
	CHECK_EQ(pthread_create(&thread, NULL, other_vcpu, &m), 0);
	for (unsigned i = 0; i < ROUNDS; i++)
		CHECK_EQ(slotctl_move(&m.dev, RANGE + (1 + i % 8) * PAGE, NULL,
				 NULL),
			0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(get8(&m, SLOTCTL_REG_MOVES), ROUNDS);
	CHECK_EQ(get8(&m, SLOTCTL_REG_FAILED), 0);
	end(&m);
}

int main(void)
{
	test_init();
	test_registers();
	test_halves();
	test_moves();
	test_neighbour();
	test_log();
	test_small_range();
	test_flags();
	test_no_window();
	test_report();
	test_host();
	test_threads();
	return TEST_END("slotctl");
}
