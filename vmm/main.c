/* SPDX-License-Identifier: MIT */
/*
 * main.c - the program: understand the options, do the job
 *
 * Exit status: 0 what was asked for happened; 1 it did not; 2 it was asked
 * wrongly. Errors are one sentence on stderr.
 */
#include "vmm/options.h"
#include "vmm/run.h"
#include "vmm/session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int print_only(const struct options *o)
{
	int r = o->action == OPTIONS_HELP ? options_help()
					  : printf("vmm %s\n", VMM_VERSION);

	if (r >= 0 && fflush(stdout) == 0)
		return EXIT_SUCCESS;
	say("the output cannot be written: %s", strerror(errno));
	return EXIT_FAILURE;
}

/*
 * Descriptors 0 to 2 that the caller closed would be given to files of ours,
 * and be taken for standard input and output then.
 */
static void open_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

int main(int argc, char **argv)
{
	struct memslot_error err = {0};
	struct options o;

	/* A closed pipe is an error of a write, not the end of a guest. */
	signal(SIGPIPE, SIG_IGN);
	open_standard_files();
	if (options_parse(&o, argc, argv, &err)) {
		say("%s", err.text);
		return EXIT_USAGE;
	}
	switch (o.action) {
	case OPTIONS_HELP:
	case OPTIONS_VERSION:
		return print_only(&o);
	case OPTIONS_MOVE_SLOT:
		return run_move_slot(&o);
	case OPTIONS_RUN:
		break;
	}
	return o.dump_dtb ? run_dump_dtb(&o) : run_guest(&o);
}
