/* SPDX-License-Identifier: MIT */
/*
 * window.c - a Linux process whose memory moves under it
 *
 * usage: window follow [SECONDS] | window drive [SLOTCTL_MOVES]
 *
 * The machine has a slot of memory, the window, that is not the kernel's: we
 * reach it, and the controller that moves it, through /dev/mem. The register
 * map is in docs/slot-controller.md.
 *
 *   follow  the host moves the window, when it likes, while we write and
 *           check it; ends one second after the last attempt to move it, or
 *           after SECONDS (20).
 *   drive   we ask for the moves (100), from place to place, and check all
 *           bytes after each. When a move fails, the window must be where it
 *           was, with the same bytes.
 *
 * We map the whole range that the window lives in. An access to where it no
 * longer is raises a signal, or, on machines like x86, swallows a store and
 * reads as ones. So each store is looked at; after a signal, or if a word is
 * not as it should be, we ask where the window is now, and look there, and
 * store again only what has not arrived. So every store that we count was
 * carried out exactly once. This asks one thing in return: the places that the
 * host moves the window between do not overlap (else a late store could hit
 * the window at a wrong offset).
 *
 * We store 0 to DONE when we begin; in the end the stores made, the bytes
 * found wrong, and 1 to DONE. If the host tracks a part of the window only,
 * the environment says tracked=FIRST,COUNT, in pages of the window: other
 * stores are made, but not reported.
 *
 * Exit status: 0 all well; 1 bytes or places were wrong; 2 no window. For
 * 64-bit machines: uint64_t is printed as unsigned long.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

/* A round writes every STEP-th word, so that a round is short. */
#define STEP 8u

static volatile unsigned char *slotctl;
static unsigned char *range; /* where the range is mapped */
static uint64_t range_base, range_size, window_size, words;

static uint64_t tracked_first, tracked_end; /* words whose stores we report */

/* These change between a sigsetjmp and the jump back to it. */
static volatile uint64_t writes, bytes_wrong;
static volatile unsigned faults;
static unsigned places_wrong;

/* ---- finding the controller -------------------------------------------- */

static void find_window(void)
{
	uint64_t address = slotctl_address(), first, count;
	const char *tracked = getenv("tracked");
	int fd = open("/dev/mem", O_RDWR | O_SYNC);

	if (!address)
		errx(2, "this machine has no slot controller");
	if (fd < 0)
		err(2, "cannot open /dev/mem");
	slotctl = map_file(fd, address, PAGE);
	if (SLOTCTL_MAGIC != SLOTCTL_THE_MAGIC ||
		SLOTCTL_VERSION != SLOTCTL_THE_VERSION)
		errx(2, "no slot controller that we know at 0x%lx", address);

	range_base = SLOTCTL_RANGE_BASE;
	range_size = SLOTCTL_RANGE_SIZE;
	window_size = SLOTCTL_WINDOW_SIZE;
	if (!window_size || window_size > range_size)
		errx(2, "this machine has no window");
	range = map_file(fd, range_base, range_size);
	words = window_size / sizeof(uint64_t);

	tracked_end = words;
	if (tracked && sscanf(tracked, "%lu,%lu", &first, &count) == 2) {
		tracked_first = first * (PAGE / sizeof(uint64_t));
		tracked_end = tracked_first + count * (PAGE / sizeof(uint64_t));
	}
}

/* ---- the window, wherever it is ---------------------------------------- */

/*
 * A loop over the window begins with sigsetjmp(retry, 1) and window(), and
 * comes back there when an access met no memory. What it must remember is
 * volatile.
 */
static sigjmp_buf retry;
static volatile sig_atomic_t may_retry;

static void on_fault(int sig)
{
	if (!may_retry) {
		signal(sig, SIG_DFL); /* a bug of ours: die of it */
		return;
	}
	faults++;
	siglongjmp(retry, 1);
}

static volatile uint64_t *window(void)
{
	uint64_t base;

	/* In the midst of a change there may be none. */
	do
		base = SLOTCTL_WINDOW_BASE;
	while (base < range_base ||
		base > range_base + range_size - window_size);
	may_retry = 1;
	return (volatile uint64_t *)(range + (base - range_base));
}

/*
 * What word i holds after `round`: its index and the number of the last round
 * that wrote it, mixed so that all bytes take part. round >= STEP.
 */
static uint64_t value(uint64_t i, uint64_t round)
{
	uint64_t own = round - (round - i) % STEP;

	return (i << 32 | (own & 0xffffffff)) * 0x9e3779b97f4a7c15u;
}

/* Word i, in a moment in which the map did not change; may fault. */
static uint64_t look(volatile uint64_t **w, uint64_t i)
{
	uint64_t generation, got;

	do {
		generation = SLOTCTL_GENERATION;
		*w = window();
		got = (*w)[i];
	} while (SLOTCTL_GENERATION != generation);
	return got;
}

static void stamp(uint64_t round)
{
	volatile uint64_t next = round % STEP;
	volatile bool stored = false; /* word `next`: perhaps in vain */
	volatile uint64_t *w;

	sigsetjmp(retry, 1);
	w = window();
	while (next < words) {
		uint64_t i = next, v = value(i, round);

		if (stored && look(&w, i) != v)
			stored = false;
		while (!stored) {
			w[i] = v;
			stored = true;
			if (w[i] != v && look(&w, i) != v)
				stored = false;
		}
		/* It is done: from here on it must not be done again. */
		next = i + STEP;
		stored = false;
		if (i >= tracked_first && i < tracked_end)
			writes++;
	}
	may_retry = 0;
}

static void check(uint64_t round)
{
	volatile uint64_t next = 0;
	volatile uint64_t *w;

	sigsetjmp(retry, 1);
	w = window();
	while (next < words) {
		uint64_t i = next, want = value(i, round), got = w[i];

		if (got != want)
			got = look(&w, i);
		next = i + 1;
		if (got == want)
			continue;
		if (!bytes_wrong)
			printf("window: word %lu is 0x%016lx, not 0x%016lx\n",
				i, got, want);
		for (uint64_t diff = got ^ want; diff; diff >>= 8)
			bytes_wrong += (diff & 0xff) != 0;
	}
	may_retry = 0;
}

/* ---- the two ways to go ------------------------------------------------ */

/*
 * Ask for a move to the next place. Whether it is made or refused, the window
 * must then be where it should, unless the host moved it as well.
 */
static void move(void)
{
	uint64_t moves = SLOTCTL_MOVES, base = SLOTCTL_WINDOW_BASE;
	uint64_t place = (base - range_base) / window_size + 1;
	uint64_t target =
		range_base + place % (range_size / window_size) * window_size;
	bool made;

	SLOTCTL_TARGET = target;
	SLOTCTL_COMMAND = SLOTCTL_COMMAND_MOVE;
	made = SLOTCTL_STATUS == 0;
	if (made)
		base = target;
	if (SLOTCTL_WINDOW_BASE != base && SLOTCTL_MOVES == moves + made) {
		printf("window: not at 0x%lx after a move that %s\n", base,
			made ? "was made" : "failed");
		places_wrong++;
	}
}

static uint64_t drive(uint64_t round, unsigned long count)
{
	while (count--) {
		stamp(++round);
		move();
		check(round);
	}
	return round;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t follow(uint64_t round, double limit)
{
	double start = seconds(), now = start, changed = start;
	uint64_t first = SLOTCTL_MOVES + SLOTCTL_FAILED, last = first;

	while (now - start < limit && (last == first || now - changed < 1)) {
		uint64_t tried;

		stamp(++round);
		check(round);
		now = seconds();
		tried = SLOTCTL_MOVES + SLOTCTL_FAILED;
		if (tried != last)
			changed = now;
		last = tried;
	}
	return round;
}

int main(int argc, char **argv)
{
	struct sigaction fault = {.sa_handler = on_fault};
	const char *mode = argc > 1 ? argv[1] : "follow";
	unsigned long arg = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	uint64_t round = STEP, moves, failed;

	setvbuf(stdout, NULL, _IOLBF, 0);
	find_window();
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	moves = SLOTCTL_MOVES;
	failed = SLOTCTL_FAILED;
	SLOTCTL_DONE = 0;

	/* All words once. */
	for (uint64_t r = 1; r <= round; r++)
		stamp(r);
	check(round);
	if (strcmp(mode, "follow") == 0)
		round = follow(round, arg ? (double)arg : 20);
	else if (strcmp(mode, "drive") == 0)
		round = drive(round, arg ? arg : 100);
	else
		errx(2, "no mode '%s': say follow or drive", mode);

	SLOTCTL_WRITES_DONE = writes;
	SLOTCTL_BYTES_WRONG = bytes_wrong;
	printf("window: %lu KiB, %lu rounds, %lu writes, %lu moves made, "
	       "%lu failed, %u accesses came late, %lu bytes wrong\n",
		window_size / 1024, round, writes, SLOTCTL_MOVES - moves,
		SLOTCTL_FAILED - failed, faults, bytes_wrong);
	SLOTCTL_DONE = 1;
	return bytes_wrong || places_wrong;
}
