/* SPDX-License-Identifier: MIT */
/*
 * vgtt.h - a PCI device that shadows a table in guest memory
 *
 * What KVMGT is to a GPU, without the GPU: the guest builds a translation
 * table in its own memory and gives the device its root. The device walks it
 * once, write-protects its pages through pagetrack (policy stay), and from
 * then on keeps a shadow of it: each guest write to a table page updates
 * those shadow entries that it touches. A small engine fills, copies and sums
 * through the shadow alone, so an update that was missed is a wrong answer.
 * docs/vgtt.md is the description for those who write guests; registers,
 * commands and errors are there.
 *
 * Two levels: a root page of 512 entries, each naming a table page of 512
 * entries, each naming a page of 4 KiB: 1 GiB of device addresses. An entry
 * holds a guest page number, not memory: what is behind it is what the memory
 * map says at the time of the access.
 *
 * What the words of a transaction mean here:
 *   prepare    host addresses are not used from now on
 *   flush      they are forgotten; protections and entries stay
 *   cancel,    nothing has changed: all protections stand
 *   aborted
 *   committed  table pages in places that have changed are read anew, and
 *              protected anew where policy stay has let go of them and there
 *              is memory
 *   removed    (there is none) the page is not shadowed, and what it would
 *              translate faults, until there is memory again
 *
 * Everything the guest stores, tables included, is hostile: it can make its
 * own accesses fault and nothing else.
 */
#ifndef DEVICES_VGTT_H
#define DEVICES_VGTT_H

#include "devices/pci.h"
#include "pagetrack/pagetrack.h"

MEMSLOT_BEGIN_DECLS

#define VGTT_PCI_VENDOR 0x1af4u /* of the range for experiments: see */
#define VGTT_PCI_DEVICE 0x10f1u /* pci_host.c */

#define VGTT_MAGIC   0x54544756u /* "VGTT" in memory */
#define VGTT_VERSION 1u

#define VGTT_REGISTERS_SIZE   0x1000u
#define VGTT_APERTURE_DEFAULT ((uint64_t)16 << 20)
#define VGTT_APERTURE_MAX     ((uint64_t)1 << 30)
#define VGTT_LEN_MAX          ((uint64_t)1 << 20) /* of one command */

#define VGTT_BAR_REGISTERS 0u
#define VGTT_BAR_APERTURE  2u

#define VGTT_ENTRIES     512u
#define VGTT_PAGES       ((uint64_t)VGTT_ENTRIES * VGTT_ENTRIES)
#define VGTT_ENTRY_VALID 0x1u
#define VGTT_ENTRY_WRITE 0x2u /* of a table page's entries */
#define VGTT_ENTRY_ADDRESS \
	((MEMSLOT_GPA_LIMIT - 1) & ~(uint64_t)MEMSLOT_PAGE_MASK)

enum vgtt_register {
	VGTT_REG_MAGIC = 0x00,      /* 32 R */
	VGTT_REG_VERSION = 0x04,    /* 32 R */
	VGTT_REG_APERTURE = 0x08,   /* 64 R: its bytes */
	VGTT_REG_ROOT = 0x10,       /* 64 RW: address for SET_ROOT */
	VGTT_REG_SOURCE = 0x18,     /* 64 RW: device address */
	VGTT_REG_TARGET = 0x20,     /* 64 RW: device address */
	VGTT_REG_LENGTH = 0x28,     /* 64 RW: bytes */
	VGTT_REG_VALUE = 0x30,      /* 64 RW: to fill with; the sum */
	VGTT_REG_COMMAND = 0x38,    /* 32 W */
	VGTT_REG_STATUS = 0x3c,     /* 32 R: 0, or a Linux errno */
	VGTT_REG_FAULT = 0x40,      /* 64 R: device address that faulted */
	VGTT_REG_WRITES = 0x48,     /* 64 R: writes to table pages heard of */
	VGTT_REG_UPDATES = 0x50,    /* 64 R: shadow entries that they changed */
	VGTT_REG_TABLES = 0x58,     /* 64 R: table pages that are protected */
	VGTT_REG_CHECKED = 0x60,    /* 64 R: entries compared by all VERIFYs */
	VGTT_REG_MISMATCHES = 0x68, /* 64 R: of them wrong */
	VGTT_REG_FLUSHES = 0x70,    /* 64 R \                             */
	VGTT_REG_COMMITTED = 0x78,  /* 64 R  } transactions heard of      */
	VGTT_REG_FAILED = 0x80,     /* 64 R /                             */
};

enum vgtt_command {
	VGTT_SET_ROOT = 1,   /* shadow the table whose root page is at ROOT */
	VGTT_CLEAR_ROOT = 2, /* shadow nothing */
	VGTT_FILL = 3,       /* LENGTH bytes at TARGET with VALUE */
	VGTT_COPY = 4,       /* LENGTH bytes from SOURCE to TARGET */
	VGTT_SUM = 5,        /* VALUE becomes vgtt_sum() of SOURCE */
	VGTT_VERIFY = 6,     /* compare the shadow with the guest's table */
};

enum vgtt_fault {
	FAULT_VGTT_APERTURE = FAULT_BASE_DEVICES,
	FAULT_VGTT_TABLE,
	FAULT_VGTT_END, /* not a point */
};
extern const struct fault_point vgtt_fault_points[];

struct vgtt;

struct vgtt_config {
	struct memslots *slots;
	struct pagetrack *track;
	struct pci_bus *bus;
	unsigned number;   /* on the bus; 0: any */
	unsigned slot;     /* id of the aperture's memory slot */
	uint64_t aperture; /* bytes: a power of two; 0: the default */
};

/*
 * Make the device and put it on the bus. Before the first vCPU runs and while
 * no transaction does. Errors: -EINVAL aperture; -ENOMEM; those of
 * pci_bus_add() and pagetrack_register().
 */
int vgtt_create(const struct vgtt_config *config, struct vgtt **out,
	struct memslot_error *err);
/*
 * After the last vCPU has stopped; before the tracker and the map go, and
 * after nobody will use the bus any more. The aperture's slot may still be
 * there: nobody may touch its memory. NULL is allowed.
 */
void vgtt_destroy(struct vgtt *g);

struct vgtt_counts {
	uint64_t writes, updates; /* to table pages; entries changed by them */
	uint64_t tables;          /* protected now */
	uint64_t checked, mismatches;
	uint64_t flushes, committed, failed;
};
void vgtt_get_counts(struct vgtt *g, struct vgtt_counts *out);

/*
 * As the guest's VERIFY: how many entries of the shadow are not what is in
 * the guest's table now; added to the counts. Writes that are under way in
 * other threads may count. Outside a read section, any thread. What had to be
 * read anew, and could not be protected, is not in the shadow and is not
 * compared.
 */
uint64_t vgtt_verify(struct vgtt *g);

/* The sum over `count` words, begun with 0: order and place count. */
static inline uint64_t vgtt_sum(
	uint64_t sum, const uint64_t *word, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		sum = (sum ^ word[i]) * 0x9e3779b97f4a7c15u;
		sum ^= sum >> 32;
	}
	return sum;
}

/* Host memory of the aperture's first byte; for tests and benchmarks. */
uint8_t *vgtt_aperture(struct vgtt *g);
struct pci_device *vgtt_pci(struct vgtt *g);
extern const struct bus_ops vgtt_bus_ops; /* the registers; ctx: struct vgtt */

MEMSLOT_END_DECLS

#endif
