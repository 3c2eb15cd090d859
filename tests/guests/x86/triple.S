/* SPDX-License-Identifier: MIT */
/* A triple fault: an invalid instruction, and no interrupt table. */
	.code64
	.globl	_start
_start:	mov	$0x1122334455667788, %r12
	lidt	empty(%rip)
	ud2
empty:	.word	0
	.quad	0
