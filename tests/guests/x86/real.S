/* SPDX-License-Identifier: MIT */
/* A boot sector: says hello on COM1; page 0 and the top of low RAM hold. */
#include "guest.h"
	.code16
	.globl	_start
_start:
	xor	%ax, %ax
	mov	%ax, %ds
	mov	$hello, %si
1:	lodsb
	test	%al, %al
	jz	2f
	mov	$0x3f8, %dx
	out	%al, %dx
	jmp	1b
2:	movl	$0x12345678, 0
	cmpl	$0x12345678, 0
	jne	3f
	mov	$0x9ff0, %ax
	mov	%ax, %es
	movw	%ax, %es:0xfe
	cmpw	%ax, %es:0xfe
	jne	4f
	EXIT(GOOD)
3:	EXIT(1)
4:	EXIT(2)
hello:	.asciz	"hello\n"
