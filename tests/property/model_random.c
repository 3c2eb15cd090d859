/* SPDX-License-Identifier: MIT */
/*
 * model_random.c - a million random steps do to the map what they do to arrays
 *
 * usage: model_random [--seed N] [--steps N] [--replay FILE]
 *
 * Steps are transactions and what is in them, guest and device accesses
 * through the translation caches of vmm/soft and around them, tracking,
 * harvests, populating, some of them wrong, some made to fail: see
 * tests/property/model/model.h. Every few hundred steps begin anew with an
 * empty map. The seed is printed; the same seed makes the same steps.
 *
 * When something does not hold, or crashes, or hangs, the steps since the
 * map was empty are shrunk to few that still fail. These are printed, and
 * written to model-random.script, to be replayed and to be edited.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/property/model/model.h"

#define CASE     600u  /* steps from one empty map to the next */
#define PATIENCE 20u   /* seconds that a case may take */
#define TRIES    4000u /* runs to shrink a script */
#define SCRIPT   "model-random.script"

/* What the child is doing, for the parent to see after its end. */
struct shared {
	uint64_t cases, steps;
	uint64_t done[DO_COUNT];
	struct tally tally;
	unsigned count;
	struct step op[CASE];
};

static struct shared *shared;

/* ---- running ----------------------------------------------------------------- */

static void run_case(uint64_t seed)
{
	struct source from = {.seed = seed};
	bool going = true;

	alarm(PATIENCE);
	world_open();
	for (shared->count = 0; going && shared->count < CASE;) {
		struct step *op = &shared->op[shared->count];

		choose(&from, op);
		shared->count++;
		shared->steps++;
		shared->done[op->kind]++;
		going = step_run(op);
	}
	if (going)
		compare_caches();
	compare_memory();
	world_close();
	shared->tally = tally;
}

static void run_steps(const struct step *op, unsigned n)
{
	alarm(PATIENCE);
	world_open();
	while (n && step_run(op))
		op++, n--;
	if (!n)
		compare_caches();
	compare_memory();
	world_close();
}

/* In a process of its own: does it end well? */
static bool fails(const struct step *op, unsigned n, bool quiet)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (quiet && !freopen("/dev/null", "w", stderr))
			_exit(0);
		run_steps(op, n);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("model_random: fork");
		exit(2);
	}
	return status != 0;
}

/* ---- shrinking ----------------------------------------------------------------- */

static unsigned tries;

static bool still_fails(const struct step *op, unsigned n)
{
	return tries < TRIES && (tries++, fails(op, n, true));
}

/* Without [at, at + size), if it fails as well. */
static bool drop(struct step *op, unsigned *n, unsigned at, unsigned size)
{
	static struct step less[CASE];

	memcpy(less, op, at * sizeof(*op));
	memcpy(less + at, op + at + size, (*n - at - size) * sizeof(*op));
	if (!still_fails(less, *n - size))
		return false;
	*n -= size;
	memcpy(op, less, *n * sizeof(*op));
	return true;
}

static void shrink(struct step *op, unsigned *n)
{
	bool again = true;

	while (again) {
		again = false;
		for (unsigned size = *n / 2; size; size /= 2)
			for (unsigned at = 0; at + size <= *n;)
				if (drop(op, n, at, size))
					again = true;
				else
					at += size;
	}
	/* Arguments that do not matter are 0, and not printed. */
	for (unsigned i = 0; i < *n; i++)
		for (unsigned a = 0; a < ARGS; a++) {
			unsigned was = op[i].v[a];

			op[i].v[a] = 0;
			if (was && !still_fails(op, *n))
				op[i].v[a] = was;
		}
}

static void report(uint64_t seed)
{
	static struct step op[CASE];
	unsigned n = shared->count;
	FILE *f;

	memcpy(op, shared->op, n * sizeof(*op));
	fprintf(stderr, "seed %llu fails after %llu steps",
		(unsigned long long)seed, (unsigned long long)shared->steps);
	if (!fails(op, n, true)) {
		fprintf(stderr, ", but its last %u steps alone do not\n", n);
		return;
	}
	fprintf(stderr, "; shrinking %u of them\n", n);
	shrink(op, &n);
	for (unsigned i = 0; i < n; i++)
		step_print(stderr, &op[i]);
	f = fopen(SCRIPT, "w");
	for (unsigned i = 0; f && i < n; i++)
		step_print(f, &op[i]);
	if (!f || fclose(f))
		perror(SCRIPT);
	fails(op, n, false);
	fprintf(stderr, "again with: model_random --replay " SCRIPT "\n");
}

/* ---- in and out ------------------------------------------------------------------ */

static int replay(const char *path)
{
	static struct step op[CASE];
	char line[512];
	unsigned n = 0;
	FILE *f = fopen(path, "r");

	if (!f) {
		perror(path);
		return 2;
	}
	while (n < CASE && fgets(line, sizeof(line), f)) {
		if (line[0] == '\n' || line[0] == '#')
			continue;
		if (!step_parse(line, &op[n++])) {
			fprintf(stderr, "%s: not a step: %s", path, line);
			fclose(f);
			return 2;
		}
	}
	fclose(f);
	run_steps(op, n);
	printf("%u steps replayed: all holds\n", n);
	return 0;
}

static void summary(void)
{
	const struct tally *t = &shared->tally;

	printf("%llu steps from %llu empty maps:",
		(unsigned long long)shared->steps,
		(unsigned long long)shared->cases);
	for (unsigned k = 0; k < DO_COUNT; k++)
		printf("%s %llu %s", k ? "," : "",
			(unsigned long long)shared->done[k], step_name(k));
	printf("\ntransactions: %llu committed, %llu of no effect, %llu "
	       "against a rule, %llu vetoed, %llu made to fail, %llu of them "
	       "for good\n",
		(unsigned long long)t->committed,
		(unsigned long long)t->unchanged,
		(unsigned long long)t->refused, (unsigned long long)t->vetoed,
		(unsigned long long)(t->injected + t->broken),
		(unsigned long long)t->broken);
	printf("%llu writes heard, %llu accesses through a translation cache; "
	       "no difference\n",
		(unsigned long long)t->events, (unsigned long long)t->cached);
}

static int random_steps(uint64_t seed, uint64_t steps)
{
	int status;
	pid_t pid;

	printf("model-random: seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		for (; shared->steps < steps; shared->cases++)
			run_case(seed + (shared->cases << 32));
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("model_random: fork");
		return 2;
	}
	if (status) {
		report(seed);
		return 1;
	}
	summary();
	return 0;
}

int main(int argc, char **argv)
{
	struct timespec t;
	uint64_t seed, steps = 1000000;

	clock_gettime(CLOCK_REALTIME, &t);
	seed = (uint64_t)t.tv_sec;
	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--replay"))
			return replay(argv[i + 1]);
		if (!strcmp(argv[i], "--seed"))
			seed = strtoull(argv[i + 1], NULL, 0);
		else if (!strcmp(argv[i], "--steps"))
			steps = strtoull(argv[i + 1], NULL, 0);
		else
			argc = 0;
	}
	if (argc % 2 == 0) {
		fprintf(stderr, "usage: model_random [--seed N] [--steps N] "
				"[--replay FILE]\n");
		return 2;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		perror("model_random: mmap");
		return 2;
	}
	return random_steps(seed, steps);
}
