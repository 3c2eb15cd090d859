/* SPDX-License-Identifier: MIT */
/*
 * The second CPU by INIT and SIPI: the first waits for a word of it. The
 * first is in long mode, the other begins in real mode at 0x8000.
 */
#include "guest.h"
#define SPURIOUS 0xfee000f0
#define ICR_LOW  0xfee00300
#define ICR_HIGH 0xfee00310
#define HELLO    0x9000
	.code64
	.globl	_start
_start:
	mov	$other, %esi
	mov	$0x8000, %edi
	mov	$(other_end - other), %ecx
	rep movsb
	movl	$0, HELLO
	mov	$SPURIOUS, %edx
	movl	$0x1ff, (%rdx)		/* the APIC is on */
	mov	$ICR_HIGH, %edx
	movl	$(1 << 24), (%rdx)
	mov	$ICR_LOW, %edx
	movl	$0x4500, (%rdx)		/* INIT */
	movl	$0x4608, (%rdx)		/* SIPI to page 8 */
	movl	$0x4608, (%rdx)
1:	pause
	cmpl	$0xcafe, HELLO
	jne	1b
	EXIT(GOOD)

	.code16
other:	xor	%ax, %ax
	mov	%ax, %ds
	movl	$0xcafe, HELLO
1:	hlt
	jmp	1b
other_end:
