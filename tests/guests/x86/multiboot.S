/* SPDX-License-Identifier: MIT */
/*
 * Multiboot 1: magic, command line "... one two", two modules that begin with
 * "first" and "secon", a memory map. Works as ELF and, with the addresses
 * (-DADDRESSES), as a flat file.
 */
#include "guest.h"
#ifdef ADDRESSES
#define FLAGS 0x10003
#else
#define FLAGS 3
#endif
	.code32
	.globl	_start
head:
	.balign	4
header:
	.long	0x1badb002, FLAGS, -(0x1badb002 + FLAGS)
#ifdef ADDRESSES
	.long	header, head, 0, 0, _start
#endif
_start:
	mov	$0x80000, %esp
	mov	$1, %ecx
	cmp	$0x2badb002, %eax
	jne	bad
	inc	%ecx			/* 2: flags */
	mov	(%ebx), %eax
	and	$0x4d, %eax
	cmp	$0x4d, %eax
	jne	bad
	inc	%ecx			/* 3: RAM above 1 MiB, in KiB */
	cmpl	$(15 << 10), 8(%ebx)
	jne	bad
	inc	%ecx			/* 4: the command line ends so */
	mov	16(%ebx), %edi
1:	inc	%edi
	cmpb	$0, (%edi)
	jne	1b
	cmpl	$0x6f777420, -4(%edi)	/* " two" */
	jne	bad
	inc	%ecx			/* 5: two modules */
	cmpl	$2, 20(%ebx)
	jne	bad
	mov	24(%ebx), %esi
	mov	(%esi), %edi
	cmpl	$0x73726966, (%edi)	/* "firs" */
	jne	bad
	mov	4(%esi), %eax
	sub	%edi, %eax
	cmp	$5, %eax
	jne	bad
	mov	16(%esi), %edi
	cmpl	$0x6f636573, (%edi)	/* "seco" */
	jne	bad
	inc	%ecx			/* 6: the map begins at 0, with RAM */
	mov	48(%ebx), %esi
	cmpl	$20, (%esi)
	jne	bad
	cmpl	$0, 4(%esi)
	jne	bad
	cmpl	$1, 20(%esi)
	jne	bad
	EXIT(GOOD)
bad:	mov	%ecx, %eax
	out	%al, $0xf4
	hlt
