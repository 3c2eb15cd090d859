/* SPDX-License-Identifier: MIT */
/*
 * platform.h - what every machine has, and what each kind adds to it
 *
 * Private to the machine. machine.c owns what all kinds share: memory slots,
 * tracker, buses, slot controller, serial port, and the order in which they
 * come and go. A platform owns the rest: its devices, how a guest is loaded
 * and told what there is, and which CPUs run it.
 *
 * A device that both kinds should have is initialised by a function of
 * machine.c or of its own file, and put on a bus by each platform's create.
 */
#ifndef VMM_PLATFORM_H
#define VMM_PLATFORM_H

#include "devices/bus.h"
#include "devices/pci.h"
#include "devices/slotctl.h"
#include "devices/uart.h"
#include "vmm/accel.h"
#include "vmm/boot/image.h"
#include "vmm/machine.h"

struct mapping {
	void *host;
	uint64_t size;
};

struct vmm_machine {
	struct vmm_config config;
	const struct platform_ops *platform;
	void *board; /* the platform's own; NULL: nothing is there yet */
	struct accel accel;
	struct memslots *slots;
	struct pagetrack *track;
	struct memslot_reader reader; /* loading and poking */
	struct bus mmio;
	struct bus ports; /* x86: addresses are port numbers */
	struct slotctl slotctl;
	struct uart uart;
	struct pci_bus pci;
	struct vgtt *vgtt; /* or NULL */
	struct virtio_unit *virtio;
	unsigned virtio_count;
	bool has_reader, has_slotctl, has_uart, has_pci;
	struct mapping *mappings; /* one a slot, in the order of creation */
	unsigned mapping_count;
	uint8_t *window;
	/* Not 0: a device wants the run, which it has stopped, to end so. */
	MEMSLOT_ATOMIC(int) exit_status;
	void *fdt; /* malloc'ed, or NULL: this machine has none */
	size_t fdt_size;
};

struct platform_ops {
	struct vmm_map map;
	/*
	 * Make the devices, put them on the buses, load the guest, make its
	 * CPUs. Slots, tracker and slot controller are there; `kernel` holds
	 * the unpacked file, or no bytes if the guest is config.code.
	 */
	int (*create)(struct vmm_machine *m, const struct image_file *kernel,
		struct memslot_error *err);
	/* m->board and all it holds, also if create stopped half way. */
	void (*destroy)(struct vmm_machine *m);
	/* See vmm_machine_tick(). */
	int (*tick)(struct vmm_machine *m);
};

extern const struct platform_ops riscv64_platform, x86_platform;

/* ---- for platforms --------------------------------------------------------- */

/* RAM as it is on this machine; returns how many ranges, 1 or 2. */
unsigned machine_ram(const struct vmm_machine *m, struct image_ram ram[2]);

/* Write guest memory before the guest runs; ctx is the machine. */
int machine_load(void *ctx, gpa_t gpa, const void *bytes, size_t len);

/* The serial port, on `bus` at `base`, `size` addresses. */
int machine_add_uart(struct vmm_machine *m, struct bus *bus, gpa_t base,
	uint64_t size, struct irq_line irq, struct memslot_error *err);

/*
 * The PCI bus, its devices, and its ranges on m->mmio (`ecam` PCI_UNMAPPED:
 * without configuration space there). The platform gives windows, wires and
 * messages; the rest of `config` is filled in. In machine_pci.c.
 */
int machine_add_pci(struct vmm_machine *m, struct pci_bus_config *config,
	gpa_t ecam, struct memslot_error *err);
void machine_remove_pci(struct vmm_machine *m);

/*
 * The virtio devices of m->config, on the PCI bus; their threads run while
 * CPUs do. In machine_virtio.c.
 */
int machine_add_virtio(struct vmm_machine *m, struct memslot_error *err);
int machine_start_virtio(struct vmm_machine *m, struct memslot_error *err);
void machine_stop_virtio(struct vmm_machine *m);
void machine_remove_virtio(struct vmm_machine *m);

#endif
