/* SPDX-License-Identifier: MIT */
/*
 * speed.S - three loops, and how long each takes
 *
 * For S mode without translation, on any machine with the console of QEMU's
 * `virt` board (a 16550 at 0x10000000) and its switch (0x100000). Prints a
 * line for each loop: its name, instructions, and the fewest ticks of the
 * time CSR that one of REPEATS runs of that many instructions took, both in
 * hexadecimal.
 *
 *   alu   arithmetic in registers
 *   mem   a load, an addition and a store to each of 8192 double words
 *   call  a call and a return
 *   store a store to one page, at PAGE: for somebody who tracks it
 */

#define REPEATS   9
#define ALU_TURNS 0x80000	/* of 18 instructions */
#define MEM_TURNS 0x100		/* over 64 KiB, of 5 * 8192 + 4 */
#define CALL_TURNS 0x180000	/* of 5 */
#define STORE_TURNS 0x10000	/* of 3 */
#define PAGE 0x80300000

	.section .text.start, "ax"
	.globl	_start
_start:
	la	sp, stack_top
	la	s0, names
	la	s1, loops
1:	ld	s2, (s1)		# the loop
	beqz	s2, off
	ld	s3, 8(s1)		# its instructions
	li	s4, -1			# the fewest ticks
	li	s5, REPEATS
2:	rdtime	s6
	jalr	s2
	rdtime	s7
	sub	s7, s7, s6
	bgeu	s7, s4, 3f
	mv	s4, s7
3:	addi	s5, s5, -1
	bnez	s5, 2b
	call	print_name
	mv	a0, s3
	call	print_hex
	mv	a0, s4
	call	print_hex
	li	a0, '\n'
	call	put
	addi	s1, s1, 16
	j	1b

off:	li	t0, 0x100000
	li	t1, 0x5555
	sw	t1, (t0)
4:	wfi
	j	4b

/* ---- the loops --------------------------------------------------------- */

	.balign	64
alu:	li	a0, ALU_TURNS
	li	a1, 1
	li	a2, 2
	li	a3, 3
1:	add	a4, a1, a2
	xor	a5, a4, a3
	slli	a6, a5, 3
	sub	a1, a6, a2
	srli	a2, a1, 7
	or	a3, a2, a4
	and	a4, a3, a6
	addi	a5, a5, 17
	sltu	a6, a4, a5
	addw	a1, a1, a6
	xori	a2, a2, 0x55
	add	a3, a3, a1
	slli	a4, a4, 1
	sub	a5, a5, a4
	andi	a6, a6, 0xff
	or	a1, a1, a6
	addi	a0, a0, -1
	bnez	a0, 1b
	ret

	.balign	64
mem:	li	a0, MEM_TURNS
	la	a1, buffer
	li	a2, 0x10000
	add	a2, a2, a1
1:	mv	a3, a1
2:	ld	a4, (a3)
	add	a4, a4, a0
	sd	a4, (a3)
	addi	a3, a3, 8
	bne	a3, a2, 2b
	addi	a0, a0, -1
	nop
	bnez	a0, 1b
	ret

	.balign	64
calls:	mv	a3, ra
	li	a0, CALL_TURNS
	li	a1, 0
1:	call	function
	addi	a0, a0, -1
	bnez	a0, 1b
	mv	ra, a3
	ret
function:
	addi	a1, a1, 3
	ret

	.balign	64
stores:	li	a0, STORE_TURNS
	li	a1, PAGE
1:	sd	a0, 8(a1)
	addi	a0, a0, -1
	bnez	a0, 1b
	ret

/* ---- printing ---------------------------------------------------------- */

print_name:
	mv	a2, ra
1:	lbu	a0, (s0)
	addi	s0, s0, 1
	beqz	a0, 2f
	call	put
	j	1b
2:	mv	ra, a2
	ret

print_hex:
	mv	a2, ra
	mv	a3, a0
	li	a0, ' '
	call	put
	li	a4, 60
1:	srl	a0, a3, a4
	andi	a0, a0, 15
	addi	a0, a0, '0'
	li	a5, '9'
	bleu	a0, a5, 2f
	addi	a0, a0, 'a' - '9' - 1
2:	call	put
	addi	a4, a4, -4
	bgez	a4, 1b
	mv	ra, a2
	ret

put:	li	t0, 0x10000000
1:	lbu	t1, 5(t0)
	andi	t1, t1, 0x20
	beqz	t1, 1b
	sb	a0, (t0)
	ret

	.section .rodata
	.balign	8
loops:	.dword	alu, ALU_TURNS * 18
	.dword	mem, MEM_TURNS * (5 * 0x2000 + 4)
	.dword	calls, CALL_TURNS * 5
	.dword	stores, STORE_TURNS * 3
	.dword	0, 0
names:	.asciz	"alu"
	.asciz	"mem"
	.asciz	"call"
	.asciz	"store"

	.bss
	.balign	4096
buffer:	.skip	0x10000
	.skip	4096
stack_top:
