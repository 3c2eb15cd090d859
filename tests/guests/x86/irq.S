/* SPDX-License-Identifier: MIT */
/*
 * COM1's interrupt, by the PIC: the transmitter is empty, IRQ 4 arrives. Real
 * mode, vector 0x24.
 */
#include "guest.h"
	.code16
	.globl	_start
_start:
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %ss
	mov	$0x7c00, %sp
	movw	$handler, 0x24 * 4
	movw	%ax, 0x24 * 4 + 2
	mov	$0x11, %al		/* ICW1: edge, cascade, ICW4 */
	out	%al, $0x20
	mov	$0x20, %al		/* ICW2: vectors from 0x20 */
	out	%al, $0x21
	mov	$0x04, %al
	out	%al, $0x21
	mov	$0x01, %al		/* 8086 */
	out	%al, $0x21
	mov	$0xef, %al		/* only IRQ 4 */
	out	%al, $0x21
	mov	$0x3f9, %dx		/* IER: transmitter empty */
	mov	$0x02, %al
	out	%al, %dx
	sti
1:	hlt
	jmp	1b
handler:
	mov	$0x3fa, %dx		/* IIR says so */
	in	%dx, %al
	and	$0x0f, %al
	cmp	$0x02, %al
	jne	2f
	EXIT(GOOD)
2:	EXIT(1)
