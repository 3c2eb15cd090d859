/* SPDX-License-Identifier: MIT */
/*
 * harness.S - runs all cases of the image, one after the other
 *
 * Where there is an M mode (QEMU) it begins there, delegates everything to S
 * mode and ends the machine when S mode calls. Where there is none (ours) it
 * begins at S_ENTRY. For each case: put code, data, page table and registers
 * as the case wants them, go there, log each trap and go on behind it; at the
 * end of the case write down what is left.
 */
#include "layout.h"

	.option norvc
	.text
	.globl _start
_start: /* The second hart only makes QEMU use real atomic instructions. */
	csrr t0, mhartid
	bnez t0, park
	lla t0, machine_trap
	csrw mtvec, t0
	li t0, -1
	csrw pmpaddr0, t0
	li t0, 0x1f
	csrw pmpcfg0, t0
	li t0, 0xb1ff
	csrw medeleg, t0
	li t0, 0x222
	csrw mideleg, t0
	li t0, 7
	csrw mcounteren, t0
	li t0, 0xc0000000000000f1
	csrw 0x30a, t0 /* menvcfg */
	li t0, 0x800   /* MPP: S */
	csrw mstatus, t0
	lla t0, supervisor
	csrw mepc, t0
	mret
park:
	wfi
	j park
	.balign 4
machine_trap:
	csrr t2, mcause
	li t3, 9 /* ecall from S */
	li t1, 0x5555
	beq t2, t3, 1f
	li t1, 0x13333
1:	li t0, 0x100000
	sw t1, 0(t0)
	j 1b

	.org S_ENTRY - RAM_BASE
supervisor: /* the first fetch with paging on traps to where we want to be */
	lla t0, high
	li t1, HIGH - RAM_BASE
	add t0, t0, t1
	csrw stvec, t0
	li t0, RAM_BASE + AT_CONTEXT
	ld t0, K_SATP(t0)
	csrw satp, t0
	nop
	nop
	.balign 4
high:
	lla t0, trap
	csrw stvec, t0

next_case:
	li s0, HIGH + AT_CONTEXT
	ld s2, K_LEFT(s0)
	beqz s2, finish
	ld s1, K_CASE(s0)

	li t0, HIGH + AT_CODE
	ld t1, C_OFFSET(s1)
	add t0, t0, t1
	addi t1, s1, C_CODE
	li t2, CODE_HALVES
1:	lhu t3, 0(t1)
	sh t3, 0(t0)
	addi t0, t0, 2
	addi t1, t1, 2
	addi t2, t2, -1
	bnez t2, 1b

	li t0, HIGH + AT_DATA
	li t1, HIGH + AT_DATA_0
	li t2, DATA_PAGES_BYTES
	call copy
	li t0, HIGH + AT_LEVEL0
	li t1, HIGH + AT_LEVEL0_0
	li t2, LEVEL0_ENTRIES * 8
	call copy
	fence.i

	ld t0, C_SATP(s1)
	csrw satp, t0
	sfence.vma
	ld t0, C_SENVCFG(s1)
	csrw senvcfg, t0
	ld t0, C_SCOUNTER(s1)
	csrw scounteren, t0
	csrw sip, zero
	li t0, -1
	ld t1, C_TIMEOUT(s1)
	beqz t1, 1f
	rdtime t0
	add t0, t0, t1
1:	csrw 0x14d, t0 /* stimecmp */
	ld t0, C_SIE(s1)
	csrw sie, t0
	csrw scause, zero
	csrw stval, zero
	addi t0, s0, K_TRAPS
	sc.d t0, zero, (t0) /* ends what reservation the last case left */
	sd zero, K_TRAPS(s0)
	csrw sscratch, s0
	li t0, 0x6000
	csrs sstatus, t0
	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	fld f\n, C_F + 8 * \n(s1)
	.endr
	ld t0, C_FCSR(s1)
	csrw fcsr, t0
	ld t0, C_ENTRY(s1)
	csrw sepc, t0
	ld t0, C_SSTATUS(s1)
	csrw sstatus, t0
	mv x31, s1
	.irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	ld x\n, C_X + 8 * \n(x31)
	.endr
	sret

	.balign 4
trap:
	csrrw x31, sscratch, x31
	.irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
	sd x\n, K_X + 8 * \n(x31)
	.endr
	csrr t0, sscratch
	sd t0, K_X + 8 * 31(x31)
	csrw sscratch, x31
	mv s0, x31
	ld s1, K_CASE(s0)
	ld s3, K_RES(s0)
	ld s4, K_TRAPS(s0)
	slli t0, s4, 5
	add t0, t0, s3
	csrr s5, scause
	csrr t1, stval
	csrr s6, sepc
	csrr s7, sstatus
	sd s5, R_TRAP + 0(t0)
	sd t1, R_TRAP + 8(t0)
	sd s6, R_TRAP + 16(t0)
	sd s7, R_TRAP + 24(t0)
	addi s4, s4, 1
	sd s4, K_TRAPS(s0)

	/* The end: its last instruction, an interrupt, nothing to fetch. */
	ld t0, C_END(s1)
	beq s6, t0, done
	bltz s5, done
	li t0, 1
	bleu s5, t0, done
	li t0, 12
	beq s5, t0, done
	li t0, TRAPS_MAX
	beq s4, t0, done
	ld t0, C_BASE(s1)
	sub t0, s6, t0
	li t1, CODE_PAGES_BYTES - 4
	bgtu t0, t1, done

	li t1, HIGH + AT_CODE
	add t0, t0, t1
	lhu t0, 0(t0)
	andi t0, t0, 3
	addi s6, s6, 2
	li t1, 3
	bne t0, t1, 1f
	addi s6, s6, 2
1:	csrw sepc, s6
	csrw scause, zero /* the log has them, and is compared with some leeway */
	csrw stval, zero
	mv x31, s0
	.irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	ld x\n, K_X + 8 * \n(x31)
	.endr
	sret

done:
	sd s4, R_TRAPS(s3)
	csrr t0, sie
	sd t0, R_SIE(s3)
	csrw sie, zero
	li t0, -1
	csrw 0x14d, t0
	csrr t0, sip
	andi t0, t0, ~0x20 /* on a busy host the timer may have rung */
	sd t0, R_SIP(s3)
	csrr t0, senvcfg
	sd t0, R_SENVCFG(s3)
	csrr t0, scounteren
	sd t0, R_SCOUNTER(s3)
	csrr t0, satp
	sd t0, R_SATP(s3)
	.irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	ld t0, K_X + 8 * \n(s0)
	sd t0, R_X + 8 * \n(s3)
	.endr
	li t0, 0x6000
	csrs sstatus, t0
	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	fsd f\n, R_F + 8 * \n(s3)
	.endr
	csrr t0, fcsr
	sd t0, R_FCSR(s3)
	li t0, HIGH + AT_DATA
	li t1, DATA_PAGES_BYTES
	call hash
	sd t2, R_DATA(s3)
	li t0, HIGH + AT_LEVEL0
	li t1, LEVEL0_ENTRIES * 8
	call hash
	sd t2, R_LEVEL0(s3)

	/* Leave no code that a jump of a later case could find. */
	li t0, HIGH + AT_CODE
	ld t1, C_OFFSET(s1)
	add t0, t0, t1
	li t2, CODE_HALVES
1:	sh zero, 0(t0)
	addi t0, t0, 2
	addi t2, t2, -1
	bnez t2, 1b

	addi s1, s1, RECORD_SIZE / 2
	addi s1, s1, RECORD_SIZE / 2
	sd s1, K_CASE(s0)
	addi s3, s3, RECORD_SIZE / 2
	addi s3, s3, RECORD_SIZE / 2
	sd s3, K_RES(s0)
	ld s2, K_LEFT(s0)
	addi s2, s2, -1
	sd s2, K_LEFT(s0)
	j next_case

finish:
	li a7, 0x53525354 /* SBI: system reset, shutdown */
	li a6, 0
	li a0, 0
	li a1, 0
	ecall
	j finish

copy: /* t2 bytes from t1 to t0 */
1:	ld t3, 0(t1)
	sd t3, 0(t0)
	addi t0, t0, 8
	addi t1, t1, 8
	addi t2, t2, -8
	bnez t2, 1b
	ret

hash: /* t2: of t1 bytes at t0 */
	li t2, 0
	li t4, 0x9e3779b97f4a7c15
1:	ld t3, 0(t0)
	xor t2, t2, t3
	mul t2, t2, t4
	srli t3, t2, 29
	xor t2, t2, t3
	addi t0, t0, 8
	addi t1, t1, -8
	bnez t1, 1b
	ret
