/* SPDX-License-Identifier: MIT */
/* options.h - what the user asked for */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

#include "vmm/machine.h"

#define OPTIONS_SLOTS_MAX  64
#define OPTIONS_TRACKS_MAX 64
#define OPTIONS_DISKS_MAX  16

enum options_action {
	OPTIONS_RUN,
	OPTIONS_MOVE_SLOT,
	OPTIONS_VERSION,
	OPTIONS_HELP,
};

/* Which orders --move-slot shows. */
enum options_order {
	OPTIONS_ORDER_DEFAULT,
	OPTIONS_ORDER_OURS,
	OPTIONS_ORDER_LEGACY,
};

struct options_track {
	gfn_t gfn;
	uint64_t size_pages;
};

struct options {
	enum options_action action;
	const char *kernel, *initrd, *append, *dump_dtb;
	enum vmm_accel accel;
	enum vmm_flat flat;
	uint64_t mem_size; /* 0: default */
	unsigned cpus;     /* 0: default */
	uint32_t cpu_off;  /* see isa_off_t */
	struct vmm_slot slot[OPTIONS_SLOTS_MAX];
	unsigned slot_count;
	struct options_track track[OPTIONS_TRACKS_MAX];
	unsigned track_count;
	struct vmm_disk disk[OPTIONS_DISKS_MAX];
	unsigned disk_count;
	bool rng;
	enum options_order order;
	unsigned inject_point; /* 0: none */
	uint64_t inject_nth;
	bool json;
	bool verbose;
	bool no_reboot;
	bool deterministic;
	uint64_t seed; /* of --deterministic */
	bool vgtt;
	uint64_t vgtt_aperture; /* 0: default */
	/* --move-slot, where given */
	bool has_count, has_interval, has_target;
	uint64_t move_count, move_interval_us;
	gpa_t move_target;
};

/*
 * Understand the command line. -EINVAL and one sentence in err if it makes
 * no sense. Strings stay in argv.
 */
int options_parse(
	struct options *o, int argc, char **argv, struct memslot_error *err);

/* The text of --help. */
int options_help(void);

/*
 * A number of bytes: decimal or 0x..., perhaps followed by K, M or G (of
 * 1024). The whole string must be used. -EINVAL no number; -ERANGE too large.
 */
int options_size(const char *text, uint64_t *value);

#endif
