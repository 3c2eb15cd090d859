# SPDX-License-Identifier: MIT
#
# start.S - where the harts come in: S mode, no translation, a0 = hartid
#
# tp keeps the hart's number for as long as it runs; nothing here has thread
# locals.

	.section .text.start, "ax"
	.globl	_start
_start:
	mv	tp, a0
	la	t0, stray
	csrw	stvec, t0

	la	t0, bss_start
	la	t1, bss_end
1:	bgeu	t0, t1, 2f
	sd	zero, (t0)
	addi	t0, t0, 8
	j	1b

	# Paint the stack, to see afterwards how deep it has been.
2:	la	t0, stack_bottom
	la	t1, stack_top
	mv	sp, t1
	li	t2, 0x5a5a5a5a5a5a5a5a
3:	sd	t2, (t0)
	addi	t0, t0, 8
	bltu	t0, t1, 3b

	call	bare_main
	j	halt

# Hart 1, by way of SBI HSM.
	.globl	second_start
second_start:
	mv	tp, a0
	la	t0, stray
	csrw	stvec, t0
	la	sp, second_stack_top
	call	second_main
	li	a7, 0x48534d		# HSM, hart_stop
	li	a6, 1
	ecall
halt:	wfi
	j	halt

# No trap is expected.
	.balign	4
stray:
	csrr	a0, scause
	csrr	a1, sepc
	csrr	a2, stval
	call	bare_trapped
	j	halt
