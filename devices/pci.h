/* SPDX-License-Identifier: MIT */
/*
 * pci.h - one PCI bus: configuration space, BARs, interrupts
 *
 * A bus is behind one host bridge: 32 device numbers, function 0 of each, no
 * bridges below. The guest reaches configuration space through ECAM (PCI
 * Express Base Specification, 7.2.2) or, on a PC, through the ports 0xcf8 and
 * 0xcfc (PCI Local Bus Specification 3.0, 3.2.2.3.2), and BARs through the
 * bridge's windows: ranges of guest-physical space given when the bus is
 * made. All of them are ranges of one `struct bus`, constant while the guest
 * runs; what moves are BARs inside the windows.
 *
 * A BAR has a handler, or it is backed by memory. One backed by memory is a
 * memory slot: setting the command register's memory bit creates it,
 * storing another address moves it in one transaction, clearing the bit
 * deletes it. A CPU then reaches it without any handler.
 *
 * What the guest can rely on, whatever it stores, in any order and width:
 *
 * - While the memory bit reads 1, every BAR of the device is mapped: inside
 *   a window, and where no other enabled BAR and no other memory is. A BAR
 *   register reads the address at which its BAR is mapped.
 * - A store to a BAR register that would break this, or whose transaction
 *   fails, changes nothing: the BAR stays mapped where it was and that is
 *   what the register reads. A store that sets the memory bit and cannot be
 *   granted leaves it 0; one that clears it and fails leaves it 1. Each such
 *   refusal is one line to `log`.
 * - All ones in the address bits of a register (or of one half of a 64-bit
 *   one) ask for its size and move nothing, memory bit set or not; the
 *   register (half) reads the answer until it is stored to again.
 * - The two halves of a 64-bit BAR may be stored in either order. If the
 *   address between the two stores can not be had, that is a refusal as
 *   above; but the half is kept for the next store, and if that is to the
 *   other half, both together are the address. A half that was refused twice,
 *   or before the memory bit was cleared, is forgotten.
 *
 * An address in a window that no BAR decodes reads all ones; stores to it do
 * nothing (master abort).
 *
 * Locks: docs/locking.md. A config store is made under `config_lock`, which
 * is held in a commit; so no callback of a transaction may store to
 * configuration space. Handlers of BARs run with no lock of the bus held.
 */
#ifndef DEVICES_PCI_H
#define DEVICES_PCI_H

#include <pthread.h>

#include "devices/bus.h"

MEMSLOT_BEGIN_DECLS

#define PCI_DEVICES_MAX  32u
#define PCI_BARS         6u
#define PCI_WINDOWS_MAX  4u
#define PCI_MSIX_MAX     256u /* vectors of one device; the format has 2048 */
#define PCI_CONFIG_SIZE  256u /* no extended configuration space */
#define PCI_ECAM_SIZE    0x100000u /* of one bus */
#define PCI_PORTS        0xcf8u
#define PCI_PORTS_SIZE   8u
#define PCI_BAR_SIZE_MIN 0x1000u

/* Configuration space, type 0 (PCI Local Bus Specification 3.0, 6.1). */
enum pci_register {
	PCI_REG_VENDOR = 0x00,
	PCI_REG_DEVICE = 0x02,
	PCI_REG_COMMAND = 0x04,
	PCI_REG_STATUS = 0x06,
	PCI_REG_REVISION = 0x08,
	PCI_REG_CLASS = 0x09, /* 3 bytes */
	PCI_REG_BAR0 = 0x10,
	PCI_REG_SUBVENDOR = 0x2c,
	PCI_REG_SUBDEVICE = 0x2e,
	PCI_REG_CAPABILITIES = 0x34,
	PCI_REG_LINE = 0x3c,
	PCI_REG_PIN = 0x3d,
	PCI_REG_FIRST_CAPABILITY = 0x40,
};

#define PCI_COMMAND_MEMORY       0x0002u
#define PCI_COMMAND_MASTER       0x0004u
#define PCI_COMMAND_INTX_DISABLE 0x0400u
#define PCI_STATUS_INTX          0x0008u
#define PCI_STATUS_CAPABILITIES  0x0010u

#define PCI_CAP_VENDOR 0x09u
#define PCI_CAP_MSIX   0x11u

struct pci_bus;
struct pci_device;

/* What a device hears. All may be NULL. */
struct pci_device_ops {
	const char *name; /* for log lines; must be given */
	/*
	 * The guest is about to load, or has stored, bytes of a capability
	 * that was added with PCI_CAP_HOOKED; [offset, offset + len) is the
	 * part of the access inside it. `before_load` may refresh them by
	 * pci_config_put(). In the vCPU's thread; before_load with no lock
	 * held, after_store with config_lock.
	 */
	void (*before_load)(void *ctx, unsigned offset, unsigned len);
	void (*after_store)(void *ctx, unsigned offset, unsigned len);
	/*
	 * BAR `bar` was mapped at gpa, or moved there, or (gpa PCI_UNMAPPED)
	 * is not mapped any more. With config_lock held, after the fact.
	 */
	void (*mapped)(void *ctx, unsigned bar, gpa_t gpa);
	/* The command register has changed. With config_lock held. */
	void (*command)(void *ctx, uint16_t command);
};
#define PCI_UNMAPPED UINT64_MAX

/* ---- a device ----------------------------------------------------------- */

struct pci_identity {
	uint16_t vendor, device;
	uint16_t subvendor, subdevice;
	uint32_t class_code; /* 24 bits: class, subclass, interface */
	uint8_t revision;
	uint8_t pin; /* INTx: 1 (INTA#) .. 4, or 0: it has none */
};

/* All fields are private. */
struct pci_bar {
	uint64_t size; /* 0: there is no such BAR; else a power of two */
	uint32_t flags;
	const struct bus_ops *ops; /* a handler, or else */
	void *ctx;
	void *host; /* memory, and its slot's id */
	unsigned slot;
	bool mapped;
	gpa_t base;       /* where it is mapped */
	uint64_t written; /* what the guest has stored */
};

struct pci_msix_entry {
	uint64_t address;
	uint32_t data;
	bool masked, pending;
};

struct pci_msix {
	unsigned vectors; /* 0: the device has no MSI-X */
	unsigned capability;
	MEMSLOT_ATOMIC(bool) enabled;
	bool masked;
	struct pci_msix_entry entry[PCI_MSIX_MAX];
};

struct pci_device {
	const struct pci_device_ops *ops;
	void *ctx;
	struct pci_bus *bus; /* NULL: not on one yet */
	unsigned number;
	uint8_t bytes[PCI_CONFIG_SIZE];    /* but for BARs */
	uint8_t writable[PCI_CONFIG_SIZE]; /* bits that a store changes */
	uint8_t hooked[PCI_CONFIG_SIZE];   /* bytes of hooked capabilities */
	unsigned last_capability, free_config;
	struct pci_bar bar[PCI_BARS];
	struct pci_msix msix;
	MEMSLOT_ATOMIC(uint32_t) command;
	MEMSLOT_ATOMIC(bool) intx; /* as the device has set it */
};

/*
 * A device is made, given BARs and capabilities, then put on a bus; from then
 * on it is constant but for what the guest stores. None of these functions
 * allocates, and there is nothing to free. `ops` and `ctx` are borrowed.
 */
void pci_device_init(struct pci_device *dev, const struct pci_identity *id,
	const struct pci_device_ops *ops, void *ctx);

#define PCI_BAR_64       0x1u /* takes the next register too */
#define PCI_BAR_PREFETCH 0x2u

/*
 * BAR number `bar` with a handler. The offset that `ops` gets is that in the
 * BAR; accesses are as in bus.h. Errors (both): -EINVAL no such BAR, size no
 * power of two, below PCI_BAR_SIZE_MIN, or 32 bits do not hold it; -EEXIST
 * it, or the register it would take too, is in use.
 */
int pci_bar_handler(struct pci_device *dev, unsigned bar, uint64_t size,
	uint32_t flags, const struct bus_ops *ops, void *ctx,
	struct memslot_error *err);
/*
 * BAR number `bar` backed by `size` bytes at `host`, page aligned, which
 * must outlive the bus and the map. `slot` is the id of its memory slot,
 * which nobody else may use.
 */
int pci_bar_memory(struct pci_device *dev, unsigned bar, uint64_t size,
	uint32_t flags, void *host, unsigned slot, struct memslot_error *err);

#define PCI_CAP_HOOKED 0x1u
/*
 * Add a capability: `len` bytes (3 .. 255) that begin with `bytes`; the first
 * two, id and link, are filled in. `writable` says which bits a guest's store
 * changes (NULL: none). Returns its offset in configuration space, a multiple
 * of 4, or -ENOSPC (or -EINVAL: len).
 */
int pci_add_capability(struct pci_device *dev, uint8_t id, const void *bytes,
	const void *writable, unsigned len, uint32_t flags,
	struct memslot_error *err);

/*
 * MSI-X with `vectors` vectors, its table and pending bits in a BAR of their
 * own, number `bar`, 32 bits, not prefetchable. Errors: as above; -EINVAL
 * vectors is 0 or above PCI_MSIX_MAX.
 */
int pci_add_msix(struct pci_device *dev, unsigned bar, unsigned vectors,
	struct memslot_error *err);

/*
 * Bytes of configuration space as the device sees them, without masks or
 * hooks; not for BAR registers and the command register. Any thread, also
 * under a lock of the device, also from the hooks: the bus's `lock` is taken
 * for a moment, and nothing is called with it held.
 */
void pci_config_get(
	struct pci_device *dev, unsigned offset, void *bytes, unsigned len);
void pci_config_put(struct pci_device *dev, unsigned offset, const void *bytes,
	unsigned len);

/* ---- interrupts: once on a bus; any thread, also under a device's lock ---- */

/* Is MSI-X what the driver has chosen? Then INTx must not be used. */
bool pci_msix_enabled(struct pci_device *dev);
/*
 * Send vector's message, or, while it is masked, remember to. Without effect
 * if MSI-X is not enabled or the vector does not exist.
 */
void pci_msix_notify(struct pci_device *dev, unsigned vector);
/*
 * The device's INTx pin. The wire is shared: it is raised while any device
 * on it has raised its pin and not set INTX_DISABLE (and not enabled MSI-X).
 */
void pci_set_intx(struct pci_device *dev, bool level);

/* May the device access guest memory (bus master bit)? Lock-free. */
static inline bool pci_may_dma(const struct pci_device *dev)
{
	return __atomic_load_n(
		       (const uint32_t *)&dev->command, __ATOMIC_ACQUIRE) &
	       PCI_COMMAND_MASTER;
}

/* ---- the bus ------------------------------------------------------------- */

/* A range of guest-physical space that the host bridge passes on to BARs. */
struct pci_window {
	gpa_t gpa; /* page aligned */
	uint64_t size;
};

struct pci_bus_config {
	struct memslots *slots; /* where BARs backed by memory become slots */
	unsigned space;
	struct pci_window window[PCI_WINDOWS_MAX]; /* size 0: none */
	/*
	 * Wires: device d's pin p (from 1) is on intx[(d + p - 1) % 4], as
	 * the interrupt-map of the device tree or _PRT must say.
	 */
	struct irq_line intx[4];
	/* Deliver a message: a 32-bit store of data to address. Or NULL. */
	void (*msi)(void *ctx, uint64_t address, uint32_t data);
	void *msi_ctx;
	/* One line about a refusal, without newline; any thread. Or NULL. */
	void (*log)(void *ctx, const char *line);
	void *log_ctx;
};

struct pci_counts {
	uint64_t moves;   /* of BARs that were mapped */
	uint64_t refused; /* stores, as told to the log */
};

/* A window with its bus: what a bus handler gets. Private. */
struct pci_window_ctx {
	struct pci_bus *bus;
	gpa_t gpa;
};

/* All fields are private. */
struct pci_bus {
	struct pci_bus_config config;
	pthread_mutex_t
		config_lock;  /* taken first: one config store at a time */
	pthread_mutex_t lock; /* config bytes, BARs; never held in a commit */
	pthread_mutex_t irq_lock;     /* INTx, MSI-X tables */
	struct memslot_reader reader; /* used under config_lock */
	struct pci_device *device[PCI_DEVICES_MAX];
	struct pci_window_ctx window[PCI_WINDOWS_MAX];
	struct pci_device bridge; /* device 0 */
	bool wire[4];             /* levels, as last set */
	uint32_t address;         /* what port 0xcf8 holds */
	struct pci_counts counts; /* under `lock` */
};

/*
 * A bus with the host bridge as device 0. Registers a reader with the map
 * until pci_bus_fini(). Errors: -EINVAL a window is not page aligned, wraps,
 * or passes the address limit; what pthread_mutex_init returns, negated.
 */
int pci_bus_init(struct pci_bus *bus, const struct pci_bus_config *config,
	struct memslot_error *err);
/* Not while CPUs run. Slots of BARs stay; the map's end ends them. */
void pci_bus_fini(struct pci_bus *bus);

/*
 * Put the device on the bus as number `number` (1 .. 31); 0: the lowest that
 * is free. Before the first vCPU runs. The number is dev->number. -EEXIST it
 * is taken; -ENOSPC all are.
 */
int pci_bus_add(struct pci_bus *bus, struct pci_device *dev, unsigned number,
	struct memslot_error *err);

/*
 * Put ECAM (`ecam` != PCI_UNMAPPED) and the windows on the machine's bus.
 * Errors: those of bus_add().
 */
int pci_bus_attach(struct pci_bus *bus, struct bus *machine, gpa_t ecam,
	struct memslot_error *err);

/* Ranges for a machine that lays its bus out itself. */
extern const struct bus_ops pci_ecam_ops;   /* ctx: struct pci_bus * */
extern const struct bus_ops pci_ports_ops;  /* the same; PCI_PORTS_SIZE */
extern const struct bus_ops pci_window_ops; /* struct pci_window_ctx * */

/*
 * A config access by the host: what the guest's would do. len is 1, 2 or 4
 * and offset a multiple of it, or all ones / nothing happens.
 */
uint32_t pci_config_load(
	struct pci_bus *bus, unsigned device, unsigned offset, unsigned len);
void pci_config_store(struct pci_bus *bus, unsigned device, unsigned offset,
	unsigned len, uint32_t value);

/* Any thread. */
void pci_get_counts(struct pci_bus *bus, struct pci_counts *out);

/* Where the BAR is mapped: 0, or -ENXIO if it is not. Any thread. */
int pci_bar_where(struct pci_device *dev, unsigned bar, gpa_t *gpa);

MEMSLOT_END_DECLS

#endif
