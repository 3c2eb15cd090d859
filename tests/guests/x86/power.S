/* SPDX-License-Identifier: MIT */
/* Prints 'x', then a store to PORT: power off, or reset. */
	.code16
	.globl	_start
_start:	mov	$0x3f8, %dx
	mov	$'x', %al
	out	%al, %dx
	mov	$PORT, %dx
	mov	$VALUE, %ax
#ifdef WIDE
	out	%ax, %dx
#else
	out	%al, %dx
#endif
	hlt
