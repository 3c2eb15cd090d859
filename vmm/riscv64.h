/* SPDX-License-Identifier: MIT */
/*
 * riscv64.h - the machine of the embedded CPU
 *
 *   0x00100000  syscon: power off, reboot
 *   0x00101000  goldfish RTC                       (interrupt 11)
 *   0x00110000  slot controller: docs/slot-controller.md
 *   0x0c000000  PLIC
 *   0x10000000  ns16550a serial port               (interrupt 10)
 *   0x30000000  PCI configuration space (ECAM), one bus
 *   0x40000000  the range in which the window may be, 64 MiB
 *   0x50000000  BARs of PCI devices, 768 MiB       (interrupts 20 to 23)
 *   0x80000000  RAM
 *   1 TiB       64-bit BARs of PCI devices, 64 GiB
 *
 * A guest finds all of it in the device tree. Code without a file
 * (vmm_config.code) is entered at the start of RAM in S mode.
 */
#ifndef VMM_RISCV64_H
#define VMM_RISCV64_H

#define RISCV64_SYSCON_BASE   0x00100000u
#define RISCV64_RTC_BASE      0x00101000u
#define RISCV64_SLOTCTL_BASE  0x00110000u
#define RISCV64_PLIC_BASE     0x0c000000u
#define RISCV64_UART_BASE     0x10000000u
#define RISCV64_ECAM_BASE     0x30000000u
#define RISCV64_PCI_BASE      0x50000000u
#define RISCV64_PCI_SIZE      0x30000000u
#define RISCV64_PCI_HIGH      0x10000000000ull
#define RISCV64_PCI_HIGH_SIZE 0x1000000000ull
#define RISCV64_RANGE_BASE    0x40000000u
#define RISCV64_RANGE_SIZE    0x04000000u
#define RISCV64_RAM_BASE      0x80000000u

#define RISCV64_UART_IRQ     10
#define RISCV64_RTC_IRQ      11
#define RISCV64_PCI_IRQ      20 /* INTA# of device 0, and three more */
#define RISCV64_PLIC_SOURCES 31

#endif
