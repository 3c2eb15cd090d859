/* SPDX-License-Identifier: MIT */
/*
 * fuzz_ops.c - any sequence of operations beside a model that knows no trick
 *
 * The input's bytes are the choices of tests/property/model/: transactions of
 * up to 16 operations, good and bad ones, accesses by harts and devices,
 * harvests that come back late or never, nodes of all three policies, faults
 * at any point. All of it is compared after every step; at the end nothing
 * may be left allocated. STEPS=1 in the environment prints the steps, as
 * tests/property/model_random.c reads them.
 */
#include "tests/property/model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	struct source from = {.at = input, .left = len};
	bool print = getenv("STEPS"), going = len > 0;
	struct step s;

	if (!len)
		return 0;
	world_open();
	for (unsigned n = 0; going && from.left && n < 100; n++) {
		choose(&from, &s);
		if (print)
			step_print(stderr, &s);
		going = step_run(&s);
	}
	if (going)
		compare_caches();
	compare_memory();
	world_close();
	return 0;
}
