/* SPDX-License-Identifier: MIT */
/*
 * replay.c - run a fuzz target once for each file
 *
 * usage: fuzz_TARGET FILE|DIRECTORY...
 *
 * Directories are not descended into. The last line says how many files ran;
 * none is a failure, as a corpus that is not found must not pass.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

static unsigned long files;

static void run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *bytes;
	struct stat st;
	size_t len;

	if (!f || fstat(fileno(f), &st)) {
		perror(path);
		exit(2);
	}
	bytes = malloc(st.st_size ? (size_t)st.st_size : 1);
	MUST(bytes != NULL);
	len = fread(bytes, 1, (size_t)st.st_size, f);
	fclose(f);
	LLVMFuzzerTestOneInput(bytes, len);
	free(bytes);
	files++;
}

static void run_directory(const char *path, DIR *dir)
{
	struct dirent *entry;
	char name[4096];

	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		run_file(name);
	}
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);

		if (dir) {
			run_directory(argv[i], dir);
			closedir(dir);
		} else {
			run_file(argv[i]);
		}
	}
	printf("%lu files replayed\n", files);
	return files == 0;
}
