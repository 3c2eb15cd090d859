/* SPDX-License-Identifier: MIT */
/*
 * PVH: start info with its magic, a command line "one two ...", a module that
 * begins with "first", the RSDP, and a memory map that begins at 0.
 */
#include "guest.h"
	.code32
	.globl	_start
_start:
	mov	$1, %ecx
	cmpl	$0x336ec578, (%ebx)
	jne	bad
	inc	%ecx			/* 2 */
	mov	24(%ebx), %esi
	cmpl	$0x20656e6f, (%esi)	/* "one " */
	jne	bad
	inc	%ecx			/* 3 */
	cmpl	$1, 12(%ebx)
	jne	bad
	mov	16(%ebx), %esi
	mov	(%esi), %edi
	cmpl	$0x73726966, (%edi)
	jne	bad
	cmpl	$5, 8(%esi)
	jne	bad
	inc	%ecx			/* 4: "RSD PTR " */
	mov	32(%ebx), %esi
	cmpl	$0x20445352, (%esi)
	jne	bad
	inc	%ecx			/* 5 */
	mov	40(%ebx), %esi
	cmpl	$0, (%esi)
	jne	bad
	cmpl	$1, 16(%esi)
	jne	bad
	mov	%cr0, %eax		/* protected, no paging */
	and	$0x80000001, %eax
	cmp	$1, %eax
	jne	bad
	EXIT(GOOD)
bad:	mov	%ecx, %eax
	out	%al, $0xf4
	hlt

	.section .note.Xen, "a", @note
	.long	4, 4, 18
	.asciz	"Xen"
	.long	_start
