/* SPDX-License-Identifier: MIT */
/* Long mode: 64-bit registers, a stack, memory up to 4 GiB; page 0 is RAM. */
#include "guest.h"
	.code64
	.globl	_start
_start:
	mov	$0x123456789abcdef0, %rax
	push	%rax
	pop	%rbx
	cmp	%rax, %rbx
	jne	1f
	mov	%rax, 0
	cmp	%rax, 0
	jne	2f
	mov	$0xfe000000, %edx	/* the slot controller */
	cmpl	$0x544f4c53, (%rdx)
	jne	3f
	mov	$0xfffff000, %edx	/* nobody is there: ones */
	cmpl	$-1, (%rdx)
	jne	4f
	mov	$0x5000, %edx		/* no port either */
	in	%dx, %eax
	inc	%eax
	jnz	5f
	EXIT(GOOD)
1:	EXIT(1)
2:	EXIT(2)
3:	EXIT(3)
4:	EXIT(4)
5:	EXIT(5)
