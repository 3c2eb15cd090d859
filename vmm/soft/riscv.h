/* SPDX-License-Identifier: MIT */
/*
 * riscv.h - numbers of the RISC-V architecture that the CPU uses
 *
 * Names and values are those of the specifications: "The RISC-V Instruction
 * Set Manual", volume I (unprivileged) and volume II (privileged, version
 * 1.13), and the SBI specification 2.0. Nothing here is a decision of ours.
 */
#ifndef VMM_SOFT_RISCV_H
#define VMM_SOFT_RISCV_H

/* scause, privileged spec table "scause values after trap" */
#define CAUSE_FETCH_ACCESS     1
#define CAUSE_ILLEGAL          2
#define CAUSE_BREAKPOINT       3
#define CAUSE_LOAD_MISALIGNED  4
#define CAUSE_LOAD_ACCESS      5
#define CAUSE_STORE_MISALIGNED 6
#define CAUSE_STORE_ACCESS     7
#define CAUSE_ECALL_U          8
#define CAUSE_FETCH_PAGE       12
#define CAUSE_LOAD_PAGE        13
#define CAUSE_STORE_PAGE       15
#define CAUSE_INTERRUPT        ((uint64_t)1 << 63)

/* interrupt numbers, and their bits in sip and sie */
#define IRQ_SSI 1
#define IRQ_STI 5
#define IRQ_SEI 9
#define SIP_SSI (1u << IRQ_SSI)
#define SIP_STI (1u << IRQ_STI)
#define SIP_SEI (1u << IRQ_SEI)
#define SIP_ALL (SIP_SSI | SIP_STI | SIP_SEI)

/* sstatus */
#define SSTATUS_SIE  ((uint64_t)1 << 1)
#define SSTATUS_SPIE ((uint64_t)1 << 5)
#define SSTATUS_SPP  ((uint64_t)1 << 8)
#define SSTATUS_FS   ((uint64_t)3 << 13)
#define SSTATUS_SUM  ((uint64_t)1 << 18)
#define SSTATUS_MXR  ((uint64_t)1 << 19)
#define SSTATUS_UXL  ((uint64_t)2 << 32) /* 64 bits, read-only */
#define SSTATUS_SD   ((uint64_t)1 << 63)
#define SSTATUS_WRITABLE                                                       \
	(SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP | SSTATUS_FS | SSTATUS_SUM | \
		SSTATUS_MXR)

/* satp */
#define SATP_MODE_SHIFT 60
#define SATP_PPN        (((uint64_t)1 << 44) - 1)
#define SATP_BARE       0
#define SATP_SV39       8
#define SATP_SV48       9
#define SATP_SV57       10

/* page table entries */
#define PTE_V         0x01u
#define PTE_R         0x02u
#define PTE_W         0x04u
#define PTE_X         0x08u
#define PTE_U         0x10u
#define PTE_A         0x40u
#define PTE_D         0x80u
#define PTE_PPN_SHIFT 10
#define PTE_RESERVED  ((uint64_t)0x7f << 54)
#define PTE_PBMT      ((uint64_t)3 << 61) /* Svpbmt; 3 is reserved */
#define PTE_N         ((uint64_t)1 << 63) /* Svnapot */

/* senvcfg */
#define SENVCFG_FIOM       ((uint64_t)1 << 0)
#define SENVCFG_CBIE       ((uint64_t)3 << 4)
#define SENVCFG_CBIE_FLUSH ((uint64_t)1 << 4)
#define SENVCFG_CBIE_INVAL ((uint64_t)3 << 4)
#define SENVCFG_CBCFE      ((uint64_t)1 << 6)
#define SENVCFG_CBZE       ((uint64_t)1 << 7)

/* CSR numbers */
#define CSR_FFLAGS     0x001
#define CSR_FRM        0x002
#define CSR_FCSR       0x003
#define CSR_SSTATUS    0x100
#define CSR_SIE        0x104
#define CSR_STVEC      0x105
#define CSR_SCOUNTEREN 0x106
#define CSR_SENVCFG    0x10a
#define CSR_SSCRATCH   0x140
#define CSR_SEPC       0x141
#define CSR_SCAUSE     0x142
#define CSR_STVAL      0x143
#define CSR_SIP        0x144
#define CSR_STIMECMP   0x14d
#define CSR_SATP       0x180
#define CSR_CYCLE      0xc00
#define CSR_TIME       0xc01
#define CSR_INSTRET    0xc02

/* fflags, and rounding modes */
#define FFLAG_NX 0x01u
#define FFLAG_UF 0x02u
#define FFLAG_OF 0x04u
#define FFLAG_DZ 0x08u
#define FFLAG_NV 0x10u

enum rounding {
	ROUND_RNE, /* to nearest, ties to even */
	ROUND_RTZ, /* towards zero */
	ROUND_RDN, /* down */
	ROUND_RUP, /* up */
	ROUND_RMM, /* to nearest, ties away from zero */
	ROUND_DYN = 7,
};

#endif
