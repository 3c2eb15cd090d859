/* SPDX-License-Identifier: MIT */
/*
 * bench_core.c - are memslot/ and pagetrack/ as fast as they promise?
 *
 *	bench_core [--json FILE] [lookup] [txn] [readers] [track] [vgtt]
 *
 * Prints one table and the promises. Exit status: 0 all kept, 1 some not, 2
 * something is wrong with the benchmark. plot.py draws the JSON file.
 */
#include "tests/bench/bench_util.h"

#include <stdio.h>
#include <string.h>

static const struct part {
	const char *name;
	void (*run)(void);
} parts[] = {
	{"lookup", bench_lookup},
	{"txn", bench_txn},
	{"readers", bench_readers},
	{"track", bench_track},
	{"vgtt", bench_vgtt},
};

#define PARTS (sizeof(parts) / sizeof(parts[0]))

static int usage(void)
{
	fprintf(stderr, "usage: bench_core [--json FILE] "
			"[lookup] [txn] [readers] [track] [vgtt]\n");
	return 2;
}

int main(int argc, char **argv)
{
	const char *json = NULL;
	unsigned wanted = 0;

	for (int i = 1; i < argc; i++) {
		unsigned part = 0;

		if (!strcmp(argv[i], "--json") && i + 1 < argc) {
			json = argv[++i];
			continue;
		}
		while (part < PARTS && strcmp(argv[i], parts[part].name))
			part++;
		if (part == PARTS)
			return usage();
		wanted |= 1u << part;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned i = 0; i < PARTS; i++)
		if (!wanted || (wanted >> i & 1))
			parts[i].run();
	if (bench_print_bounds()) {
		if (json)
			bench_write_json(json);
		return 1;
	}
	if (json && bench_write_json(json)) {
		perror(json);
		return 2;
	}
	return 0;
}
