/* SPDX-License-Identifier: MIT */
/*
 * slotctl.c - commands, registers, report
 *
 * Two locks. `command_lock` makes commands one at a time and is held while a
 * transaction is committed, which may take long. `lock` guards the registers
 * for a few instructions, so that another vCPU, the monitor, or a callback of
 * that very transaction can read them meanwhile. Order: command_lock, lock,
 * then the read section inside which the window is looked up.
 *
 * Nothing about the window is remembered here: where it is and its flags are
 * read from the map each time, which others may change too.
 */
#include "devices/slotctl.h"

#include <errno.h>

#include "memslot/error.h"

/* The window as the map has it. */
struct slotctl_window {
	bool exists;
	gpa_t gpa;
	uint64_t size;
	uint32_t flags;
};

/* Under `lock`, which is what makes one reader serve every thread. */
static struct slotctl_window slotctl_look(struct slotctl *dev)
{
	struct slotctl_window w = {0};
	const struct memslot *s;

	memslot_enter(&dev->reader);
	s = memslot_by_id(&dev->reader, dev->config.space, dev->config.id);
	if (s) {
		w.exists = true;
		w.gpa = s->base_gfn << MEMSLOT_PAGE_SHIFT;
		w.size = s->size_pages << MEMSLOT_PAGE_SHIFT;
		w.flags = s->flags;
	}
	memslot_leave(&dev->reader);
	return w;
}

static struct slotctl_window slotctl_look_locked(struct slotctl *dev)
{
	struct slotctl_window w;

	pthread_mutex_lock(&dev->lock);
	w = slotctl_look(dev);
	pthread_mutex_unlock(&dev->lock);
	return w;
}

static int slotctl_check_config(
	const struct slotctl_config *c, struct memslot_error *err)
{
	if (c->range_size != 0 &&
		!((c->range_base | c->range_size) & MEMSLOT_PAGE_MASK) &&
		c->range_base <= MEMSLOT_GPA_LIMIT &&
		c->range_size <= MEMSLOT_GPA_LIMIT - c->range_base)
		return 0;
	return memslot_fail(err, -EINVAL,
		"slot controller: the range of %#llx bytes at %#llx is empty, "
		"not page aligned, or passes %#llx",
		(unsigned long long)c->range_size,
		(unsigned long long)c->range_base,
		(unsigned long long)MEMSLOT_GPA_LIMIT);
}

int slotctl_init(struct slotctl *dev, const struct slotctl_config *config,
	struct memslot_error *err)
{
	int e = slotctl_check_config(config, err);

	if (e)
		return e;
	*dev = (struct slotctl){
		.config = *config,
		.latch_offset = SLOTCTL_SIZE,
	};
	e = pthread_mutex_init(&dev->command_lock, NULL);
	if (e)
		return memslot_fail(
			err, -e, "slot controller: no mutex, error %d", e);
	e = pthread_mutex_init(&dev->lock, NULL);
	if (e) {
		pthread_mutex_destroy(&dev->command_lock);
		return memslot_fail(
			err, -e, "slot controller: no mutex, error %d", e);
	}
	memslot_reader_init(&dev->reader, config->slots, NULL, NULL);
	return 0;
}

void slotctl_fini(struct slotctl *dev)
{
	memslot_reader_fini(&dev->reader);
	pthread_mutex_destroy(&dev->lock);
	pthread_mutex_destroy(&dev->command_lock);
}

/* ---- commands --------------------------------------------------------- */

/* No sum is formed before it is known to fit. */
static int slotctl_check_target(const struct slotctl_config *c,
	const struct slotctl_window *w, gpa_t target, struct memslot_error *err)
{
	if (target >= c->range_base && w->size <= c->range_size &&
		target - c->range_base <= c->range_size - w->size)
		return 0;
	return memslot_fail(err, -EPERM,
		"slot controller: %#llx bytes at %#llx are not inside "
		"[%#llx,%#llx)",
		(unsigned long long)w->size, (unsigned long long)target,
		(unsigned long long)c->range_base,
		(unsigned long long)(c->range_base + c->range_size));
}

static bool slotctl_moves(unsigned command)
{
	return command == SLOTCTL_MOVE || command == SLOTCTL_MOVE_KEEP;
}

static int slotctl_record(struct slotctl *dev, struct memslot_txn *t,
	enum slotctl_command command, const struct slotctl_window *w,
	gpa_t target)
{
	const struct slotctl_config *c = &dev->config;
	uint32_t flags = w->flags;

	switch (command) {
	case SLOTCTL_MOVE:
		return memslot_move(
			t, c->space, c->id, target, MEMSLOT_MOVE_MARK_ALL);
	case SLOTCTL_MOVE_KEEP:
		return memslot_move(
			t, c->space, c->id, target, MEMSLOT_MOVE_KEEP);
	case SLOTCTL_SET_READONLY:
		flags |= MEMSLOT_READONLY;
		break;
	case SLOTCTL_CLEAR_READONLY:
		flags &= ~MEMSLOT_READONLY;
		break;
	case SLOTCTL_SET_LOG:
		flags |= MEMSLOT_LOG_DIRTY;
		break;
	case SLOTCTL_CLEAR_LOG:
		flags &= ~MEMSLOT_LOG_DIRTY;
		break;
	}
	return memslot_set_flags(t, c->space, c->id, flags);
}

/* Under command_lock. */
static int slotctl_run(struct slotctl *dev, unsigned command, gpa_t target,
	struct memslot_result *result, struct memslot_error *err)
{
	const struct slotctl_config *c = &dev->config;
	struct slotctl_window w = slotctl_look_locked(dev);
	struct memslot_txn *t;
	int e;

	if (command < SLOTCTL_MOVE || command > SLOTCTL_MOVE_KEEP)
		return memslot_fail(err, -ENOSYS,
			"slot controller: no command %u", command);
	if (!w.exists)
		return memslot_fail(err, -ENOENT,
			"slot controller: there is no slot %u in space %u",
			c->id, c->space);
	if (slotctl_moves(command)) {
		e = slotctl_check_target(c, &w, target, err);
		if (e)
			return e;
	}
	e = memslot_begin(c->slots, &t, err);
	if (e)
		return e;
	/* Its only error is -ENOMEM, which the commit reports too. */
	(void)slotctl_record(dev, t, command, &w, target);
	return memslot_commit(t, result, err);
}

/* One command with everything around it, but for STATUS. */
static int slotctl_execute(struct slotctl *dev, unsigned command, gpa_t target,
	struct memslot_result *result, struct memslot_error *err)
{
	const struct slotctl_events *ev = &dev->config.events;
	int e;

	pthread_mutex_lock(&dev->command_lock);
	e = slotctl_run(dev, command, target, result, err);
	pthread_mutex_lock(&dev->lock);
	if (e)
		dev->counts.failed++;
	else if (slotctl_moves(command) && result->changes)
		dev->counts.moves++;
	pthread_mutex_unlock(&dev->lock);
	if (ev->command)
		ev->command(ev->ctx, command, target, result, err);
	pthread_mutex_unlock(&dev->command_lock);
	return e;
}

int slotctl_command(struct slotctl *dev, enum slotctl_command command,
	gpa_t target, struct memslot_result *result, struct memslot_error *err)
{
	struct memslot_result own_result = {0};
	struct memslot_error own_err = {0};

	if (!result)
		result = &own_result;
	if (!err)
		err = &own_err;
	*result = own_result;
	*err = own_err;
	return slotctl_execute(dev, command, target, result, err);
}

/* The guest's way: the vCPU stands still until the command has ended. */
static void slotctl_guest_command(
	struct slotctl *dev, unsigned command, gpa_t target)
{
	struct memslot_result result = {0};
	struct memslot_error err = {0};
	int e = slotctl_execute(dev, command, target, &result, &err);

	pthread_mutex_lock(&dev->lock);
	dev->status = (uint32_t)-e;
	pthread_mutex_unlock(&dev->lock);
}

/* ---- registers, under `lock` ------------------------------------------ */

/* The aligned eight bytes at offset: one 64-bit register, or two of 32. */
static uint64_t slotctl_word(struct slotctl *dev, uint64_t offset)
{
	switch (offset) {
	case SLOTCTL_REG_MAGIC:
		return (uint64_t)SLOTCTL_VERSION << 32 | SLOTCTL_MAGIC;
	case SLOTCTL_REG_WINDOW_BASE:
		return slotctl_look(dev).gpa;
	case SLOTCTL_REG_WINDOW_SIZE:
		return slotctl_look(dev).size;
	case SLOTCTL_REG_RANGE_BASE:
		return dev->config.range_base;
	case SLOTCTL_REG_RANGE_SIZE:
		return dev->config.range_size;
	case SLOTCTL_REG_TARGET:
		return dev->target;
	case SLOTCTL_REG_COMMAND:
		return (uint64_t)dev->status << 32;
	case SLOTCTL_REG_FLAGS:
		return slotctl_look(dev).flags;
	case SLOTCTL_REG_GENERATION:
		return memslots_generation(dev->config.slots);
	case SLOTCTL_REG_MOVES:
		return dev->counts.moves;
	case SLOTCTL_REG_FAILED:
		return dev->counts.failed;
	case SLOTCTL_REG_WRITES_DONE:
		return dev->report.writes_done;
	case SLOTCTL_REG_BYTES_WRONG:
		return dev->report.bytes_wrong;
	case SLOTCTL_REG_DONE:
		return dev->report.done;
	default:
		return 0;
	}
}

/* Pairs of 32-bit registers are not latched: STATUS must always be current. */
static bool slotctl_is_pair(uint64_t offset)
{
	return offset == SLOTCTL_REG_MAGIC || offset == SLOTCTL_REG_COMMAND ||
	       offset == SLOTCTL_REG_FLAGS || offset == SLOTCTL_REG_DONE;
}

static uint32_t slotctl_read_half(struct slotctl *dev, uint64_t offset)
{
	uint64_t word = offset & ~(uint64_t)7;
	uint64_t latched = dev->latch_offset;
	uint64_t value;

	if (slotctl_is_pair(word)) {
		value = slotctl_word(dev, word);
		return (uint32_t)(offset & 4 ? value >> 32 : value);
	}
	if (offset & 4) {
		dev->latch_offset = SLOTCTL_SIZE;
		return latched == word ? dev->latch_high
				       : slotctl_word(dev, word) >> 32;
	}
	value = slotctl_word(dev, word);
	dev->latch_offset = word;
	dev->latch_high = value >> 32;
	return (uint32_t)value;
}

static void slotctl_put_half(uint64_t *reg, bool high, uint32_t value)
{
	unsigned shift = high ? 32 : 0;

	*reg &= ~((uint64_t)UINT32_MAX << shift);
	*reg |= (uint64_t)value << shift;
}

static void slotctl_write_half(
	struct slotctl *dev, uint64_t offset, uint32_t value)
{
	bool high = offset & 4;

	switch (offset & ~(uint64_t)7) {
	case SLOTCTL_REG_TARGET:
		slotctl_put_half(&dev->target, high, value);
		break;
	case SLOTCTL_REG_WRITES_DONE:
		slotctl_put_half(&dev->report.writes_done, high, value);
		break;
	case SLOTCTL_REG_BYTES_WRONG:
		slotctl_put_half(&dev->report.bytes_wrong, high, value);
		break;
	case SLOTCTL_REG_DONE:
		if (!high)
			dev->report.done = value;
		break;
	default:
		break;
	}
}

static bool slotctl_access_ok(uint64_t offset, unsigned len)
{
	return (len == 4 || len == 8) && offset % len == 0;
}

static uint64_t slotctl_read(void *ctx, uint64_t offset, unsigned len)
{
	struct slotctl *dev = ctx;
	uint64_t value;

	if (!slotctl_access_ok(offset, len))
		return 0;
	pthread_mutex_lock(&dev->lock);
	value = len == 8 ? slotctl_word(dev, offset)
			 : slotctl_read_half(dev, offset);
	pthread_mutex_unlock(&dev->lock);
	return value;
}

static void slotctl_write(
	void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct slotctl *dev = ctx;
	const struct slotctl_events *ev = &dev->config.events;
	struct slotctl_report report;
	gpa_t target;

	if (!slotctl_access_ok(offset, len))
		return;
	pthread_mutex_lock(&dev->lock);
	slotctl_write_half(dev, offset, (uint32_t)value);
	if (len == 8)
		slotctl_write_half(dev, offset + 4, (uint32_t)(value >> 32));
	target = dev->target;
	report = dev->report;
	pthread_mutex_unlock(&dev->lock);

	/* What may take long, or call out, is done without the lock. */
	if (offset == SLOTCTL_REG_COMMAND)
		slotctl_guest_command(dev, (uint32_t)value, target);
	else if (offset == SLOTCTL_REG_DONE && ev->done)
		ev->done(ev->ctx, &report);
}

const struct bus_ops slotctl_bus_ops = {
	.name = "slotctl",
	.read = slotctl_read,
	.write = slotctl_write,
};

/* ---- the host --------------------------------------------------------- */

int slotctl_window(struct slotctl *dev, gpa_t *gpa, uint64_t *size)
{
	struct slotctl_window w = slotctl_look_locked(dev);

	if (!w.exists)
		return -ENOENT;
	*gpa = w.gpa;
	*size = w.size;
	return 0;
}

void slotctl_get_report(struct slotctl *dev, struct slotctl_report *out)
{
	pthread_mutex_lock(&dev->lock);
	*out = dev->report;
	pthread_mutex_unlock(&dev->lock);
}

void slotctl_get_counts(struct slotctl *dev, struct slotctl_counts *out)
{
	pthread_mutex_lock(&dev->lock);
	*out = dev->counts;
	pthread_mutex_unlock(&dev->lock);
}
