/* SPDX-License-Identifier: MIT */
/*
 * machine.h - a whole machine: slots, tracker, devices, CPUs, a guest
 *
 * create, run, stop and destroy are separate; run returns when the guest has
 * powered off or somebody has called stop. The library prints nothing and
 * leaves signals alone; the only threads it starts are CPUs 1 and up, and those
 * of the virtio devices that were asked for (docs/virtio.md). All of them end
 * before vmm_machine_run() returns.
 *
 * There are two kinds of machine: riscv64.h (the embedded CPU) and x86.h
 * (KVM). Each header has its guest-physical map.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include "devices/slotctl.h"
#include "devices/vgtt.h"
#include "memslot/memslot.h"
#include "pagetrack/pagetrack.h"

MEMSLOT_BEGIN_DECLS

#define VMM_CPUS_MAX 8u

/* Slot ids of the machine's own slots; others are free for extra slots. */
#define VMM_SLOT_RAM    0u
#define VMM_SLOT_WINDOW 1u
#define VMM_SLOT_HIGH   (MEMSLOT_IDS_MAX - 1) /* RAM above a hole */
#define VMM_SLOT_VGTT   (MEMSLOT_IDS_MAX - 2) /* vgtt's aperture */

#define VMM_MEM_DEFAULT    ((uint64_t)256 << 20)
#define VMM_WINDOW_DEFAULT ((uint64_t)64 << 10)

/* A slot besides RAM and window; its memory is anonymous and zeroed. */
struct vmm_slot {
	unsigned id;
	gpa_t base;
	uint64_t size; /* bytes */
	uint32_t flags;
};

/* Whose CPUs. */
enum vmm_accel {
	VMM_ACCEL_AUTO, /* whichever the guest is for: vmm_choose_accel() */
	VMM_ACCEL_SOFT, /* the embedded one: a riscv64 machine */
	VMM_ACCEL_KVM,  /* the kernel's: an x86-64 machine */
};

/* What is known of a guest. */
enum vmm_guest {
	VMM_GUEST_UNKNOWN, /* nothing: it is left to the embedded CPU */
	VMM_GUEST_RISCV64,
	VMM_GUEST_X86_64,
	VMM_GUEST_ANY, /* there is one for each machine */
};

/*
 * Choose the CPU for a guest. KVM is only taken where it executes natively,
 * unless the guest has no other; a slow one is told of in `note` (no text:
 * nothing to tell). Measures KVM's speed, which takes a millisecond. Errors:
 * kvm_check()'s, if the guest needs KVM.
 */
int vmm_choose_accel(enum vmm_guest guest, enum vmm_accel *out,
	struct memslot_error *note, struct memslot_error *err);

/* How code without a header is entered on x86-64. */
enum vmm_flat {
	VMM_FLAT_NO, /* a file named *.bin in real mode, vmm_config.code in long */
	VMM_FLAT_REAL,
	VMM_FLAT_LONG,
};

/* What is where in guest-physical space, as far as one may need to know. */
struct vmm_map {
	const char *name;     /* "riscv64", "x86-64" */
	gpa_t ram_base;       /* where RAM begins */
	uint64_t low_ram_max; /* bytes of it that are there at most ... */
	gpa_t high_ram_base;  /* ... the rest is here */
	gpa_t range_base;     /* where the window may be, and is at first */
	uint64_t range_size;
	gpa_t slotctl_base;  /* the slot controller */
	gpa_t chips_base;    /* interrupt controllers that are on no bus */
	uint64_t chips_size; /* 0: there are none */
};

/* A disk whose bytes are those of a file; see devices/virtio/blk.h. */
struct vmm_disk {
	const char *path;
	bool read_only;
};

struct vmm_config {
	enum vmm_accel accel;
	uint64_t mem_size;    /* bytes of RAM; 0: VMM_MEM_DEFAULT */
	uint64_t window_size; /* bytes; 0: VMM_WINDOW_DEFAULT */
	unsigned cpus;        /* 1 .. VMM_CPUS_MAX; 0: 1 */
	uint32_t cpu_off;     /* extensions to do without: isa_off_t; 0: none */
	/*
	 * Embedded CPU only, else -EINVAL: the same guest, seed and input do
	 * the same in all runs.
	 */
	bool deterministic;
	uint64_t seed; /* of the guest's random numbers */

	/*
	 * A kernel file; or code, which is not asked what CPU it is for: so
	 * accel says it (AUTO: the embedded one).
	 */
	const char *kernel;
	enum vmm_flat flat; /* x86-64 only */
	const char *initrd; /* or NULL */
	const char *append; /* kernel command line, or NULL */
	const void *code;
	size_t code_size;

	const struct vmm_slot *slots;
	unsigned slot_count;

	bool vgtt;              /* have the device of devices/vgtt.h ... */
	uint64_t vgtt_aperture; /* ... with this many bytes; 0: default */

	const struct vmm_disk *disks;
	unsigned disk_count;
	bool rng; /* random bytes from the host */

	const struct memslot_order *order; /* NULL: ours */
	struct fault_plan *faults;         /* or NULL */

	/*
	 * What the guest writes to its serial port or SBI debug console. Input
	 * goes to the serial port only; the debug console never has any.
	 */
	void (*output)(void *ctx, const void *bytes, size_t len);
	/* The serial port has room for input again. */
	void (*room)(void *ctx);
	/* A timer was set: call vmm_machine_tick() anew. */
	void (*timer)(void *ctx);
	/* See struct slotctl_events. */
	void (*guest_report)(void *ctx, const struct slotctl_report *report);
	/*
	 * A line about what the guest did and was refused, such as a BAR that
	 * cannot be where it wants it. Any thread; may be NULL.
	 */
	void (*log)(void *ctx, const char *line);
	/* A sentence that the user should see, though all is well. */
	void (*note)(void *ctx, const char *text);
	void *ctx;
};

/* Why vmm_machine_run() returned. */
enum vmm_stop {
	VMM_STOP_POWEROFF,
	VMM_STOP_REBOOT,
	VMM_STOP_FAILURE, /* the guest said it failed */
	VMM_STOP_EXIT,    /* the guest chose vmm_machine_exit_status() */
	VMM_STOP_ASKED,   /* vmm_machine_stop() */
	VMM_STOP_ERROR,   /* the monitor gave up: the error says why */
};

struct vmm_machine;

/*
 * Build the machine and load the guest. Nothing runs yet. Errors: -EINVAL a
 * number out of range; -EEXIST an extra slot is where the machine has
 * something; -ENOMEM; what image.h, memslot.h and the CPUs' headers say.
 */
int vmm_machine_create(const struct vmm_config *config,
	struct vmm_machine **out, struct memslot_error *err);
/* Not while it runs. NULL is allowed. */
void vmm_machine_destroy(struct vmm_machine *m);

/* The calling thread becomes CPU 0. Once per machine. */
int vmm_machine_run(
	struct vmm_machine *m, enum vmm_stop *why, struct memslot_error *err);
/* Any thread; before, while or after it runs. */
void vmm_machine_stop(struct vmm_machine *m);

/* After VMM_STOP_EXIT: what the guest wants the program to end with. */
int vmm_machine_exit_status(const struct vmm_machine *m);
/* See accel.h: the state of the CPU that stopped the machine. */
size_t vmm_machine_describe(struct vmm_machine *m, char *text, size_t size);

/* The parts, for those who look on or change the map. */
struct memslots *vmm_machine_slots(struct vmm_machine *m);
struct pagetrack *vmm_machine_track(struct vmm_machine *m);
struct slotctl *vmm_machine_slotctl(struct vmm_machine *m);
struct pci_bus *vmm_machine_pci(struct vmm_machine *m);
struct vgtt *vmm_machine_vgtt(struct vmm_machine *m); /* NULL: none */
/* Host memory of the window's first byte. */
uint8_t *vmm_machine_window(struct vmm_machine *m);
const struct vmm_map *vmm_machine_map(const struct vmm_machine *m);
const char *vmm_machine_accel(const struct vmm_machine *m); /* "soft" */
/* The device tree the guest got; NULL without a kernel, and on x86. */
const void *vmm_machine_fdt(const struct vmm_machine *m, size_t *size);

/* Bytes typed at the serial port; returns how many were taken. */
size_t vmm_machine_input(struct vmm_machine *m, const void *bytes, size_t len);
/*
 * Let timers of devices that have no thread fire. Returns the milliseconds
 * after which to call again, or -1.
 */
int vmm_machine_tick(struct vmm_machine *m);

/* Write guest memory as the embedder (source HOST). Outside callbacks. */
int vmm_machine_poke(
	struct vmm_machine *m, gpa_t gpa, const void *bytes, size_t len);

MEMSLOT_END_DECLS

#endif
