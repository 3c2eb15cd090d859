/* SPDX-License-Identifier: MIT */
/*
 * fuzz_options.c - hostile command lines
 *
 * The input is an argv, its words ended by line feeds or NULs. What is
 * accepted must keep the promises of options.h; what is refused must be
 * refused with a sentence.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>

#include "vmm/options.h"

#define WORDS 200

static void check_slots(const struct options *o)
{
	MUST(o->slot_count <= OPTIONS_SLOTS_MAX);
	for (unsigned i = 0; i < o->slot_count; i++) {
		const struct vmm_slot *s = &o->slot[i];

		MUST(s->id < MEMSLOT_IDS_MAX && s->size > 0);
		MUST(!((s->base | s->size) & MEMSLOT_PAGE_MASK));
		MUST(s->base <= MEMSLOT_GPA_LIMIT);
		MUST(s->size <= MEMSLOT_GPA_LIMIT - s->base);
	}
	MUST(o->track_count <= OPTIONS_TRACKS_MAX);
	for (unsigned i = 0; i < o->track_count; i++)
		MUST(o->track[i].size_pages > 0);
}

static void check(const struct options *o)
{
	check_slots(o);
	MUST(o->cpus <= VMM_CPUS_MAX);
	MUST(!(o->mem_size & MEMSLOT_PAGE_MASK));
	MUST(!o->inject_point || o->inject_nth > 0);
	MUST(!(o->move_target & MEMSLOT_PAGE_MASK));
	if (o->action == OPTIONS_RUN)
		MUST(o->kernel != NULL);
}

/* A size that was understood is understood again when it is written down. */
static void check_size(const char *text)
{
	uint64_t value = 0, again = 1;
	char plain[32];
	int r = options_size(text, &value);

	MUST(r == 0 || r == -EINVAL || r == -ERANGE);
	if (r)
		return;
	snprintf(plain, sizeof(plain), "%llu", (unsigned long long)value);
	MUST(options_size(plain, &again) == 0 && again == value);
	snprintf(plain, sizeof(plain), "%#llx", (unsigned long long)value);
	MUST(options_size(plain, &again) == 0 && again == value);
}

/* The next word, in memory of its own length. */
static char *take_word(struct supply *s)
{
	size_t n = 0;
	char *word;

	while (n < s->left && s->at[n] && s->at[n] != '\n')
		n++;
	word = malloc(n + 1);
	MUST(word != NULL);
	memcpy(word, s->at, n);
	word[n] = '\0';
	n += n < s->left;
	s->at += n;
	s->left -= n;
	return word;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static char name[] = "vmm";
	struct supply s = {bytes, len};
	char *argv[WORDS + 2] = {name};
	struct memslot_error err = {0};
	struct options *o = malloc(sizeof(*o));
	int argc = 1, r;

	MUST(o != NULL);
	while (s.left && argc <= WORDS) {
		argv[argc] = take_word(&s);
		check_size(argv[argc++]);
	}
	r = options_parse(o, argc, argv, &err);
	if (r)
		MUST(r == -EINVAL && err.code == r && err.text[0]);
	else
		check(o);
	while (--argc > 0)
		free(argv[argc]);
	free(o);
	return 0;
}
