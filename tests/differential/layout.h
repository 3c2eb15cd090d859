/* SPDX-License-Identifier: MIT */
/*
 * layout.h - memory and records of cpu-differential; C and assembly read it
 *
 * All of RAM is one image that the host makes: the same bytes are the start
 * of both CPUs, and what they leave there is compared.
 */
#ifndef DIFF_LAYOUT_H
#define DIFF_LAYOUT_H

#define RAM_BASE 0x80000000
#define RAM_MIB  64
#define S_ENTRY  0x80000100

/* The harness sees RAM here in all page tables, for S mode only. */
#define HIGH 0xffffffe580000000

/* Offsets in RAM. */
#define AT_CONTEXT  0x2000
#define AT_CODE     0x3000 /* two pages, also mapped for the case */
#define AT_DATA     0x5000 /* two pages, mapped in many ways */
#define AT_ROOT39   0x8000
#define AT_ROOT48   0x9000
#define AT_ROOT57   0xa000
#define AT_LEVEL1   0xb000
#define AT_LEVEL0   0xc000
#define AT_LEVEL0_0 0xe000   /* what LEVEL0 is before a case */
#define AT_NAPOT    0x10000  /* 64 KiB, only read */
#define AT_DATA_0   0x20000  /* what DATA is before a case */
#define AT_SUPER    0x200000 /* 2 MiB, only read */
#define AT_CASES    0x400000
#define AT_RESULTS  0x2000000

#define CODE_PAGES_BYTES 0x2000
#define DATA_PAGES_BYTES 0x2000
#define LEVEL0_ENTRIES   64

/* Virtual addresses of a case. */
#define VA_CODE_U 0x10000
#define VA_CODE_S 0x20000
#define VA_DATA   0x30000 /* see pages.c */

#define CODE_HALVES 164
#define TRAPS_MAX   8
#define RECORD_SIZE 1024

/* struct diff_case */
#define C_X        0
#define C_F        256
#define C_FCSR     512
#define C_SSTATUS  520
#define C_ENTRY    528
#define C_BASE     536 /* VA of the code pages */
#define C_END      544 /* VA of the last instruction */
#define C_SATP     552
#define C_SENVCFG  560
#define C_SCOUNTER 568
#define C_SIE      576
#define C_TIMEOUT  584 /* ticks; 0: none */
#define C_OFFSET   592 /* of the code in its pages */
#define C_CODE     600

/* struct diff_result */
#define R_X        0
#define R_F        256
#define R_FCSR     512
#define R_TRAPS    520 /* how many */
#define R_DATA     528 /* hashes */
#define R_LEVEL0   536
#define R_SENVCFG  544
#define R_SCOUNTER 552
#define R_SIE      560
#define R_SIP      568
#define R_SATP     576
#define R_TRAP     584 /* scause, stval, sepc, sstatus each */

/* The harness's own, at AT_CONTEXT. */
#define K_X     0
#define K_SATP  256
#define K_CASE  264 /* high addresses */
#define K_RES   272
#define K_LEFT  280
#define K_TRAPS 288

#endif
