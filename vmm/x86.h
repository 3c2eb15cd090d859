/* SPDX-License-Identifier: MIT */
/*
 * x86.h - the machine of KVM on x86-64
 *
 *   0x00000000  RAM, page 0 too, up to 3 GiB; of it
 *               0x000a0000 - 0x000fffff are reserved for the guest, with the
 *               ACPI tables in the last 64 KiB
 *   0xc0000000  the range in which the window may be, 64 MiB
 *   0xd0000000  BARs of PCI devices, 256 MiB
 *   0xe0000000  PCI configuration space (MCFG), 1 MiB a bus
 *   0xfe000000  slot controller: docs/slot-controller.md
 *   0xfec00000  IOAPIC, 0xfee00000 local APICs (in the kernel)
 *   0xfffbc000  four pages that KVM needs on Intel
 *  0x100000000  the rest of RAM
 *
 * Ports:
 *
 *   0x20, 0xa0  PIC, 0x40 PIT (in the kernel)
 *   0x60, 0x64  i8042: reset, no keyboard
 *   0x70, 0x71  CMOS clock
 *   0xf4        isa-debug-exit
 *   0x3f8       16550 serial port                  (IRQ 4)
 *   0x600       ACPI: power off, reset             (IRQ 9)
 *   0xcf8       PCI configuration
 *
 * A guest finds what is not as old as the PC in ACPI tables. Where the slot
 * controller is, is the last word of Linux's and PVH's command line:
 * slotctl=0xfe000000.
 */
#ifndef VMM_X86_H
#define VMM_X86_H

#define X86_LOW_RAM_MAX   0xc0000000u
#define X86_RANGE_BASE    0xc0000000u
#define X86_RANGE_SIZE    0x04000000u
#define X86_PCI_BASE      0xd0000000u
#define X86_PCI_SIZE      0x10000000u
#define X86_ECAM_BASE     0xe0000000u
#define X86_ECAM_SIZE     0x10000000u
#define X86_SLOTCTL_BASE  0xfe000000u
#define X86_IOAPIC_BASE   0xfec00000u
#define X86_LAPIC_BASE    0xfee00000u
#define X86_HIGH_RAM_BASE 0x100000000ull

#define X86_PORT_I8042 0x60u
#define X86_PORT_CMOS  0x70u
#define X86_PORT_EXIT  0xf4u
#define X86_PORT_COM1  0x3f8u
#define X86_PORT_PM    0x600u
#define X86_PORT_PCI   0xcf8u

#define X86_IRQ_COM1 4u
#define X86_IRQ_ACPI 9u
/* Interrupts of the IOAPIC that PCI devices may have. */
#define X86_IRQ_PCI 16u

/* The ACPI tables, in guest memory; guests look for them from 0xe0000 on. */
#define X86_ACPI_BASE 0xf0000u
#define X86_ACPI_SIZE 0x10000u

/* What is needed for the tables to be there, in bytes of RAM. */
#define X86_RAM_MIN 0x100000u

#endif
