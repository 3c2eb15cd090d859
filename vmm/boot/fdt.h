/* SPDX-License-Identifier: MIT */
/*
 * fdt.h - the device tree: what the machine tells its guest it has
 *
 * Follows the Devicetree Specification 0.4 and Linux's bindings: riscv/
 * cpus.yaml, riscv/extensions.yaml, interrupt-controller/riscv,cpu-intc and
 * sifive,plic-1.0.0, pci/host-generic-pci, serial/8250, rtc/google,goldfish-rtc, power/reset/
 * syscon-poweroff and syscon-reboot. The slot controller's binding is ours:
 * docs/slot-controller.md. A device whose size is 0 is left out.
 *
 * The window of the slot controller is deliberately not in /memory: a kernel
 * must not keep its own data where memory moves away.
 */
#ifndef VMM_BOOT_FDT_H
#define VMM_BOOT_FDT_H

#include "memslot/memslot.h"

MEMSLOT_BEGIN_DECLS

/* The blob is never larger; reserve this much before it is built. */
#define FDT_BLOB_MAX     ((size_t)64 << 10)
#define FDT_HARTS_MAX    64u
#define FDT_BOOTARGS_MAX 4096u

struct fdt_range {
	gpa_t gpa;
	uint64_t size; /* 0: there is no such thing */
};

/* Strings and arrays are only borrowed for the call. */
struct fdt_machine {
	const struct fdt_range *ram; /* at least one, none empty */
	unsigned ram_count;

	unsigned harts;       /* 1 .. FDT_HARTS_MAX; ids from 0 */
	const char *isa;      /* "rv64imafdc_zicsr_zifencei_sstc" */
	const char *mmu_type; /* "riscv,sv39" */
	/* Bytes a cache block has for Zicbom, Zicbop, Zicboz; 0: not there. */
	uint32_t cbom_block, cbop_block, cboz_block;
	uint32_t timebase_hz;

	const char *bootargs; /* NULL: none */
	struct fdt_range initrd;
	const void *rng_seed; /* for the guest's random numbers; NULL: none */
	size_t rng_seed_size;

	struct fdt_range plic; /* one context a hart, see devices/plic.h */
	unsigned plic_sources;
	struct fdt_range uart; /* ns16550a, also the console */
	unsigned uart_irq;
	uint32_t uart_clock_hz; /* 0: 3686400, which is 115200 * 16 * 2 */
	struct fdt_range rtc;
	unsigned rtc_irq;
	struct fdt_range syscon; /* see devices/syscon.h for the values */
	uint32_t syscon_poweroff, syscon_reboot;
	/*
	 * A host bridge with one bus: configuration space (ECAM), windows
	 * below and above 4 GiB. Pin p of device d is interrupt
	 * pci_irq + (d + p - 1) % 4.
	 */
	struct fdt_range pci_ecam;
	struct fdt_range pci_low, pci_high;
	unsigned pci_irq;
	struct fdt_range slotctl;
	struct fdt_range slotctl_range; /* where the window may be */
};

/*
 * Build the blob: malloc'ed in *blob, *size bytes of it used. Errors:
 *   -EINVAL  no RAM, an empty RAM range, harts out of range, an isa that does
 *            not begin with rv32 or rv64, a missing string, an interrupt
 *            without an interrupt controller or above its sources
 *   -E2BIG   bootargs longer than FDT_BOOTARGS_MAX - 1, or all of it larger
 *            than FDT_BLOB_MAX
 *   -ENOMEM
 */
int fdt_build(const struct fdt_machine *m, void **blob, size_t *size,
	struct memslot_error *err);

/*
 * "rv64imac_zicsr" as the string list of riscv,isa-extensions: "i", "m",
 * "a", "c", "zicsr", each with its NUL; "g" is spelled out. The bytes used,
 * -EINVAL if it is no isa string, -E2BIG if `size` is too small. Pure.
 */
int fdt_isa_extensions(const char *isa, char *list, size_t size);

MEMSLOT_END_DECLS

#endif
