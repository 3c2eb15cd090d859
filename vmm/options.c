/* SPDX-License-Identifier: MIT */
/*
 * options.c - from argv to struct options, or to one sentence
 *
 * All that can be judged without looking at a file is judged here, so that a
 * wrong option never gets as far as a half-built machine.
 */
#include "vmm/options.h"

#include "memslot/error.h"
#include "vmm/points.h"
#include "vmm/soft/isa.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOVES_MAX    100000000u
#define INTERVAL_MAX 3600000000u /* us: an hour */

/* ---- numbers ---------------------------------------------------------------- */

int options_size(const char *text, uint64_t *value)
{
	unsigned shift = 0;
	unsigned long long v;
	char *end;

	/* strtoull also takes spaces and signs, which no size has. */
	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end,
		text[0] == '0' && (text[1] | 0x20) == 'x' ? 16 : 10);
	if (errno)
		return -ERANGE;
	switch (*end) {
	case 'K':
	case 'k':
		shift = 10;
		break;
	case 'M':
	case 'm':
		shift = 20;
		break;
	case 'G':
	case 'g':
		shift = 30;
		break;
	}
	if (end[shift != 0])
		return -EINVAL;
	if (v << shift >> shift != v)
		return -ERANGE;
	*value = v << shift;
	return 0;
}

static int number(const char *option, const char *text, uint64_t *value,
	struct memslot_error *err)
{
	int r = options_size(text, value);

	if (r == -ERANGE)
		return memslot_fail(err, -EINVAL,
			"%s: \"%s\" is too large a number", option, text);
	if (r)
		return memslot_fail(err, -EINVAL,
			"%s: \"%s\" is no number; say for example 4096, 64K or "
			"0x1000",
			option, text);
	return 0;
}

static int pages_only(
	const char *option, uint64_t value, struct memslot_error *err)
{
	if (value & MEMSLOT_PAGE_MASK)
		return memslot_fail(err, -EINVAL,
			"%s: %llu is not a multiple of the page size 4096",
			option, (unsigned long long)value);
	return 0;
}

/* ---- options with a structure ----------------------------------------------- */

/* The next of comma-separated words, in place; NULL at the end. */
static char *next_word(char **rest)
{
	char *word = *rest, *comma;

	if (!word)
		return NULL;
	comma = strchr(word, ',');
	if (comma)
		*comma++ = '\0';
	*rest = comma;
	return word;
}

/* If word is key=..., its value. */
static const char *value_of(const char *word, const char *key)
{
	size_t n = strlen(key);

	return strncmp(word, key, n) == 0 && word[n] == '=' ? word + n + 1
							    : NULL;
}

static int check_slot(const struct vmm_slot *s, struct memslot_error *err)
{
	const uint64_t limit = MEMSLOT_GPA_LIMIT;
	int r = pages_only("--slot base", s->base, err);

	if (!r)
		r = pages_only("--slot size", s->size, err);
	if (r)
		return r;
	if (s->size == 0 || s->base > limit || s->size > limit - s->base)
		return memslot_fail(err, -EINVAL,
			"--slot: size %llu at base %#llx: at least a page, "
			"ending at most at %#llx",
			(unsigned long long)s->size,
			(unsigned long long)s->base, (unsigned long long)limit);
	return 0;
}

static int slot_word(struct vmm_slot *s, unsigned *given, const char *word,
	struct memslot_error *err)
{
	const char *v;
	uint64_t id = 0;
	bool twice = false;
	int r = 0;

	if ((v = value_of(word, "id"))) {
		twice = *given & 1;
		*given |= 1;
		r = number("--slot id", v, &id, err);
		if (!r && (id <= VMM_SLOT_WINDOW || id >= VMM_SLOT_VGTT))
			r = memslot_fail(err, -EINVAL,
				"--slot: id %s is not %u to %u (0 and 1 are "
				"RAM and the window)",
				v, VMM_SLOT_WINDOW + 1, VMM_SLOT_VGTT - 1);
		s->id = (unsigned)id;
	} else if ((v = value_of(word, "base"))) {
		twice = *given & 2;
		*given |= 2;
		r = number("--slot base", v, &s->base, err);
	} else if ((v = value_of(word, "size"))) {
		twice = *given & 4;
		*given |= 4;
		r = number("--slot size", v, &s->size, err);
	} else if (strcmp(word, "ro") == 0) {
		s->flags |= MEMSLOT_READONLY;
	} else if (strcmp(word, "log-dirty") == 0) {
		s->flags |= MEMSLOT_LOG_DIRTY;
	} else {
		r = memslot_fail(err, -EINVAL,
			"--slot: \"%s\" is not known; say "
			"id=,base=,size=[,ro][,log-dirty]",
			word);
	}
	if (!r && twice)
		r = memslot_fail(
			err, -EINVAL, "--slot: \"%s\" is given twice", word);
	return r;
}

static int parse_slot(struct options *o, char *text, struct memslot_error *err)
{
	struct vmm_slot s = {0};
	unsigned given = 0;
	char *word;
	int r = 0;

	while (!r && (word = next_word(&text)))
		r = slot_word(&s, &given, word, err);
	if (r)
		return r;
	if (given != 7)
		return memslot_fail(err, -EINVAL,
			"--slot: %s= is missing; say "
			"id=,base=,size=[,ro][,log-dirty]",
			!(given & 1)   ? "id"
			: !(given & 2) ? "base"
				       : "size");
	r = check_slot(&s, err);
	if (r)
		return r;
	if (o->slot_count == OPTIONS_SLOTS_MAX)
		return memslot_fail(err, -EINVAL, "--slot: at most %d of them",
			OPTIONS_SLOTS_MAX);
	o->slot[o->slot_count++] = s;
	return 0;
}

static int parse_track(struct options *o, char *text, struct memslot_error *err)
{
	char *base = next_word(&text), *pages = next_word(&text);
	const char *more = text;
	struct options_track *t = &o->track[o->track_count];
	uint64_t gpa;
	int r;

	if (!pages || more)
		return memslot_fail(err, -EINVAL,
			"--track: \"%s%s%s%s%s\" is not BASE,PAGES", base,
			pages ? "," : "", pages ? pages : "", more ? "," : "",
			more ? more : "");
	if (o->track_count == OPTIONS_TRACKS_MAX)
		return memslot_fail(err, -EINVAL, "--track: at most %d of them",
			OPTIONS_TRACKS_MAX);
	r = number("--track base", base, &gpa, err);
	if (!r)
		r = pages_only("--track base", gpa, err);
	if (!r)
		r = number("--track pages", pages, &t->size_pages, err);
	if (!r && t->size_pages == 0)
		r = memslot_fail(err, -EINVAL, "--track: 0 pages to track");
	if (r)
		return r;
	t->gfn = gpa >> MEMSLOT_PAGE_SHIFT;
	o->track_count++;
	return 0;
}

static int parse_inject(
	struct options *o, char *text, struct memslot_error *err)
{
	char *colon = strchr(text, ':');

	o->inject_nth = 1;
	if (colon)
		*colon++ = '\0';
	o->inject_point = point_by_name(text);
	if (!o->inject_point)
		return memslot_fail(err, -EINVAL,
			"--inject: there is no fault point \"%s\"; --help "
			"lists them",
			text);
	if (!colon)
		return 0;
	if (number("--inject count", colon, &o->inject_nth, err))
		return -EINVAL;
	if (o->inject_nth == 0)
		return memslot_fail(
			err, -EINVAL, "--inject: the first time is number 1");
	return 0;
}

/* A sub-option of --move-slot that must be lo .. hi and given once. */
static int sub_number(const char *name, const char *text, bool *given,
	uint64_t *value, uint64_t lo, uint64_t hi, struct memslot_error *err)
{
	int r = number(name, text, value, err);

	if (!r && *given)
		r = memslot_fail(err, -EINVAL, "%s is given twice", name);
	if (!r && (*value < lo || *value > hi))
		r = memslot_fail(err, -EINVAL, "%s: %s is not %llu to %llu",
			name, text, (unsigned long long)lo,
			(unsigned long long)hi);
	*given = true;
	return r;
}

static int parse_move_slot(
	struct options *o, char *text, struct memslot_error *err)
{
	const char *v;
	char *word;
	int r = 0;

	while (!r && (word = next_word(&text))) {
		if ((v = value_of(word, "count")))
			r = sub_number("--move-slot count", v, &o->has_count,
				&o->move_count, 1, MOVES_MAX, err);
		else if ((v = value_of(word, "interval")))
			r = sub_number("--move-slot interval", v,
				&o->has_interval, &o->move_interval_us, 0,
				INTERVAL_MAX, err);
		else if ((v = value_of(word, "target")))
			r = sub_number("--move-slot target", v, &o->has_target,
				&o->move_target, 0, MEMSLOT_GPA_LIMIT, err);
		else
			r = memslot_fail(err, -EINVAL,
				"--move-slot: \"%s\" is not known; say "
				"count=,interval=,target=",
				word);
	}
	if (!r)
		r = pages_only("--move-slot target", o->move_target, err);
	return r;
}

/* ---- options with a word ---------------------------------------------------- */

static int parse_mem(struct options *o, char *text, struct memslot_error *err)
{
	int r = number("--mem", text, &o->mem_size, err);

	if (!r)
		r = pages_only("--mem", o->mem_size, err);
	if (!r && (o->mem_size < MEMSLOT_PAGE_SIZE ||
			  o->mem_size > (uint64_t)1 << 42))
		r = memslot_fail(err, -EINVAL,
			"--mem: \"%s\" is not between one page and 4096G",
			text);
	return r;
}

static int parse_vgtt(struct options *o, char *text, struct memslot_error *err)
{
	int r = number("--vgtt", text, &o->vgtt_aperture, err);

	if (!r && (o->vgtt_aperture < MEMSLOT_PAGE_SIZE ||
			  o->vgtt_aperture & (o->vgtt_aperture - 1) ||
			  o->vgtt_aperture > VGTT_APERTURE_MAX))
		r = memslot_fail(err, -EINVAL,
			"--vgtt: an aperture of \"%s\"; it is a power of two "
			"from 4K to 1G",
			text);
	return r;
}

static int parse_cpus(struct options *o, char *text, struct memslot_error *err)
{
	uint64_t n;
	int r = number("--cpus", text, &n, err);

	if (!r && (n < 1 || n > VMM_CPUS_MAX))
		r = memslot_fail(err, -EINVAL,
			"--cpus: %s is not between 1 and %u", text,
			VMM_CPUS_MAX);
	if (!r)
		o->cpus = (unsigned)n;
	return r;
}

static int parse_cpu(struct options *o, char *text, struct memslot_error *err)
{
	return isa_parse(text, &o->cpu_off, err);
}

static int parse_accel(struct options *o, char *text, struct memslot_error *err)
{
	if (strcmp(text, "auto") == 0)
		o->accel = VMM_ACCEL_AUTO;
	else if (strcmp(text, "soft") == 0)
		o->accel = VMM_ACCEL_SOFT;
	else if (strcmp(text, "kvm") == 0)
		o->accel = VMM_ACCEL_KVM;
	else
		return memslot_fail(err, -EINVAL,
			"--accel: \"%s\" is not auto, soft or kvm", text);
	return 0;
}

static int parse_flat(struct options *o, char *text, struct memslot_error *err)
{
	if (strcmp(text, "real") == 0)
		o->flat = VMM_FLAT_REAL;
	else if (strcmp(text, "long") == 0)
		o->flat = VMM_FLAT_LONG;
	else
		return memslot_fail(err, -EINVAL,
			"--flat: \"%s\" is not real or long", text);
	return 0;
}

static int parse_order(struct options *o, char *text, struct memslot_error *err)
{
	if (strcmp(text, "ours") == 0)
		o->order = OPTIONS_ORDER_OURS;
	else if (strcmp(text, "legacy") == 0)
		o->order = OPTIONS_ORDER_LEGACY;
	else
		return memslot_fail(err, -EINVAL,
			"--order: \"%s\" is not ours or legacy", text);
	return 0;
}

static int parse_report(
	struct options *o, char *text, struct memslot_error *err)
{
	if (strcmp(text, "json"))
		return memslot_fail(
			err, -EINVAL, "--report: \"%s\" is not json", text);
	o->json = true;
	return 0;
}

static int parse_kernel(
	struct options *o, char *text, struct memslot_error *err)
{
	(void)err;
	o->kernel = text;
	return 0;
}

static int parse_initrd(
	struct options *o, char *text, struct memslot_error *err)
{
	(void)err;
	o->initrd = text;
	return 0;
}

static int parse_append(
	struct options *o, char *text, struct memslot_error *err)
{
	(void)err;
	o->append = text;
	return 0;
}

/* FILE or FILE,ro; a file's own name may have commas. */
static int parse_disk(struct options *o, char *text, struct memslot_error *err)
{
	char *comma = strrchr(text, ',');
	struct vmm_disk d = {.path = text};

	if (comma && strcmp(comma, ",ro") == 0) {
		*comma = '\0';
		d.read_only = true;
	}
	if (!*text)
		return memslot_fail(
			err, -EINVAL, "--disk: no file is named: FILE[,ro]");
	if (o->disk_count == OPTIONS_DISKS_MAX)
		return memslot_fail(err, -EINVAL, "--disk: at most %d of them",
			OPTIONS_DISKS_MAX);
	o->disk[o->disk_count++] = d;
	return 0;
}

static int parse_dump_dtb(
	struct options *o, char *text, struct memslot_error *err)
{
	(void)err;
	o->dump_dtb = text;
	return 0;
}

/* ---- the table -------------------------------------------------------------- */

struct option {
	const char *name;
	const char *argument; /* what --help calls it */
	bool many;            /* may be given more than once */
	int (*parse)(struct options *o, char *text, struct memslot_error *err);
	const char *help;
};

static const struct option table[] = {
	{"--kernel", "FILE", false, parse_kernel,
		"what to run: for RISC-V a Linux Image, for x86-64 a bzImage, "
		"a PVH or\n        Multiboot file; ELF or .bin; also gzip'ed"},
	{"--flat", "real|long", false, parse_flat,
		"it is x86 code without a header, entered in this mode"},
	{"--initrd", "FILE", false, parse_initrd,
		"its initial RAM disk; for Multiboot FILE[ ARGS][,FILE...]"},
	{"--append", "TEXT", false, parse_append, "its command line"},
	{"--mem", "SIZE", false, parse_mem, "RAM (256M); K, M, G and 0x work"},
	{"--cpus", "N", false, parse_cpus, "1 to 8 CPUs (1)"},
	{"--cpu", "rv64[,NAME=off...]", false, parse_cpu,
		"do without extensions, such as zba, zicbom or sv57"},
	{"--accel", "auto|soft|kvm", false, parse_accel,
		"which CPU: the embedded one, the kernel's, or what fits "
		"(auto)"},
	{"--slot", "id=,base=,size=[,ro][,log-dirty]", true, parse_slot,
		"one more memory slot"},
	{"--disk", "FILE[,ro]", true, parse_disk,
		"a virtio disk: a raw image, read-only with ,ro"},
	{"--track", "BASE,PAGES", true, parse_track,
		"protect pages, count the writes to them"},
	{"--order", "ours|legacy", false, parse_order,
		"order of a transaction's phases (ours)"},
	{"--inject", "POINT[:N]", false, parse_inject,
		"make POINT (a name or number) fail, the Nth time it is "
		"reached"},
	{"--report", "json", false, parse_report,
		"--move-slot: numbers as JSON on stdout"},
	{"--dump-dtb", "FILE", false, parse_dump_dtb,
		"write the device tree to FILE, run nothing"},
};

#define TABLE_SIZE (sizeof(table) / sizeof(table[0]))

int options_help(void)
{
	int r;

	r = printf("usage: vmm --kernel FILE [options]\n"
		   "       vmm --move-slot[=SUB,...] [--kernel FILE] "
		   "[options]\n\n"
		   "Runs a toy Linux guest whose memory is under "
		   "transactional control.\n"
		   "^A x ends it. Options:\n\n");
	for (size_t i = 0; r >= 0 && i < TABLE_SIZE; i++)
		r = printf("  %s %s\n        %s\n", table[i].name,
			table[i].argument, table[i].help);
	if (r >= 0)
		r = printf("  --move-slot[=count=N,interval=USEC,target=ADDR]\n"
			   "        move the window slot to and fro under the "
			   "guest; without a\n"
			   "        kernel a built-in one runs, ours beside "
			   "legacy\n"
			   "  --rng  random bytes from the host "
			   "(virtio)\n"
			   "  --vgtt[=SIZE]\n"
			   "        a PCI device that shadows tables of the "
			   "guest (docs/vgtt.md);\n"
			   "        SIZE of its aperture (16M)\n"
			   "  --deterministic[=SEED]\n"
			   "        embedded CPU: one thread, time counts "
			   "instructions, the same\n"
			   "        SEED (0) and input give the same run\n"
			   "  -v    say what is done\n"
			   "  --help, --version\n\n"
			   "Fault points for --inject:\n");
	return r < 0 ? r : points_print();
}

/* Index in the table, or -1; *value is set for --name=value. */
static int find(const char *arg, char **value)
{
	for (size_t i = 0; i < TABLE_SIZE; i++) {
		size_t n = strlen(table[i].name);

		if (strncmp(arg, table[i].name, n))
			continue;
		if (arg[n] == '=')
			*value = (char *)arg + n + 1;
		if (arg[n] == '=' || arg[n] == '\0')
			return (int)i;
	}
	return -1;
}

/* --help, and then --version, whatever else is asked for. */
static void ask_for(struct options *o, enum options_action action)
{
	if (action > o->action)
		o->action = action;
}

/* Options without an entry in the table; false: not one of them. */
static bool parse_simple(
	struct options *o, char *arg, int *r, struct memslot_error *err)
{
	const size_t move_len = strlen("--move-slot");

	if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
		ask_for(o, OPTIONS_HELP);
	} else if (strcmp(arg, "--version") == 0) {
		ask_for(o, OPTIONS_VERSION);
	} else if (strcmp(arg, "-v") == 0) {
		o->verbose = true;
	} else if (strcmp(arg, "--no-reboot") == 0) {
		o->no_reboot = true;
	} else if (strcmp(arg, "--deterministic") == 0) {
		o->deterministic = true;
	} else if (strncmp(arg, "--deterministic=",
			   strlen("--deterministic=")) == 0) {
		o->deterministic = true;
		*r = number("--deterministic", arg + strlen("--deterministic="),
			&o->seed, err);
	} else if (strcmp(arg, "--rng") == 0) {
		o->rng = true;
	} else if (strcmp(arg, "--vgtt") == 0) {
		o->vgtt = true;
	} else if (strncmp(arg, "--vgtt=", strlen("--vgtt=")) == 0) {
		o->vgtt = true;
		*r = parse_vgtt(o, arg + strlen("--vgtt="), err);
	} else if (strcmp(arg, "--move-slot") == 0) {
		ask_for(o, OPTIONS_MOVE_SLOT);
	} else if (strncmp(arg, "--move-slot=", move_len + 1) == 0) {
		ask_for(o, OPTIONS_MOVE_SLOT);
		*r = parse_move_slot(o, arg + move_len + 1, err);
	} else {
		return false;
	}
	return true;
}

static bool overlap(const struct vmm_slot *s, uint64_t base, uint64_t size)
{
	return s->base < base + size && base < s->base + s->size;
}

/*
 * Slot n against the slots before it. What the machine has itself is known
 * when the kernel file is: vmm_machine_create() looks at that.
 */
static int check_place(
	const struct options *o, unsigned n, struct memslot_error *err)
{
	const struct vmm_slot *s = &o->slot[n];

	for (unsigned i = 0; i < n; i++) {
		if (o->slot[i].id == s->id)
			return memslot_fail(err, -EINVAL,
				"--slot: id %u is given twice", s->id);
		if (overlap(s, o->slot[i].base, o->slot[i].size))
			return memslot_fail(err, -EINVAL,
				"--slot: slot %u at [%#llx, %#llx) overlaps "
				"another --slot",
				s->id, (unsigned long long)s->base,
				(unsigned long long)(s->base + s->size));
	}
	return 0;
}

/* Do the options agree with each other? */
static int check(const struct options *o, struct memslot_error *err)
{
	int r = 0;

	if (o->action == OPTIONS_HELP || o->action == OPTIONS_VERSION)
		return 0;
	if (!o->kernel && (o->initrd || o->append || o->dump_dtb || o->flat))
		return memslot_fail(err, -EINVAL,
			"%s needs a --kernel to go with",
			o->initrd   ? "--initrd"
			: o->append ? "--append"
			: o->flat   ? "--flat"
				    : "--dump-dtb");
	if (o->flat && o->accel == VMM_ACCEL_SOFT)
		return memslot_fail(err, -EINVAL,
			"--flat is about x86-64, which --accel soft is not");
	if (!o->kernel && o->action == OPTIONS_RUN)
		return memslot_fail(err, -EINVAL,
			"nothing to run: say --kernel FILE or --move-slot, or "
			"see --help");
	if (o->json && o->action != OPTIONS_MOVE_SLOT)
		return memslot_fail(err, -EINVAL,
			"--report goes with --move-slot, which has something "
			"to report");
	if (o->deterministic && o->action == OPTIONS_MOVE_SLOT)
		return memslot_fail(err, -EINVAL,
			"--move-slot moves by the host's clock, so that no two "
			"runs are alike; with --deterministic let the guest "
			"ask the slot controller");
	if (o->dump_dtb && o->action == OPTIONS_MOVE_SLOT)
		return memslot_fail(err, -EINVAL,
			"--dump-dtb runs nothing, --move-slot does: choose");
	for (unsigned n = 0; !r && n < o->slot_count; n++)
		r = check_place(o, n, err);
	return r;
}

int options_parse(
	struct options *o, int argc, char **argv, struct memslot_error *err)
{
	bool seen[TABLE_SIZE] = {false};
	int r = 0;

	memset(o, 0, sizeof(*o));
	for (int i = 1; !r && i < argc; i++) {
		char *value = NULL;
		int at;

		if (parse_simple(o, argv[i], &r, err))
			continue;
		at = find(argv[i], &value);
		if (at < 0)
			return memslot_fail(err, -EINVAL,
				argv[i][0] == '-'
					? "\"%s\" is not an option; see --help"
					: "\"%s\" stands alone; a kernel is "
					  "named by --kernel",
				argv[i]);
		if (seen[at] && !table[at].many)
			return memslot_fail(err, -EINVAL, "%s is given twice",
				table[at].name);
		seen[at] = true;
		if (!value && ++i < argc)
			value = argv[i];
		if (!value)
			return memslot_fail(err, -EINVAL,
				"%s wants a value: %s", table[at].name,
				table[at].argument);
		r = table[at].parse(o, value, err);
	}
	return r ? r : check(o, err);
}
