/* SPDX-License-Identifier: MIT */
/*
 * Linux's 64-bit boot protocol, as vmlinux (ELF) and as bzImage (-DBZIMAGE):
 * boot_params in RSI, with an e820 map, a command line, an initrd, the RSDP.
 */
#include "guest.h"
	.code64
	.globl	_start
#ifdef BZIMAGE
	.org	0x1f1
	.byte	1			/* setup_sects */
	.word	0
	.long	(end - kernel) / 16	/* syssize */
	.org	0x1fe
	.word	0xaa55
	.byte	0xeb, 0x6a
	.ascii	"HdrS"
	.word	0x20f
	.org	0x211
	.byte	1			/* loaded high */
	.org	0x22c
	.long	0x7fffffff		/* initrd_addr_max */
	.long	0x200000
	.byte	1			/* relocatable */
	.org	0x236
	.word	3			/* 64-bit entry; above 4 GiB */
	.long	255			/* command line */
	.org	0x258
	.quad	0x1000000		/* would like to be at 16 MiB */
	.long	0x100000
	.org	0x400
kernel:
	EXIT(9)				/* the 32-bit entry */
	.org	0x600
#endif
_start:
	mov	$1, %ebx
	cmpl	$0x53726448, 0x202(%rsi)
	jne	bad
	inc	%ebx			/* 2 */
	mov	0x228(%rsi), %edi
	cmpl	$0x20656e6f, (%rdi)
	jne	bad
	inc	%ebx			/* 3 */
	mov	0x218(%rsi), %edi
	cmpl	$0x73726966, (%rdi)
	jne	bad
	cmpl	$5, 0x21c(%rsi)
	jne	bad
	inc	%ebx			/* 4 */
	mov	0x70(%rsi), %edi
	cmpl	$0x20445352, (%rdi)
	jne	bad
	inc	%ebx			/* 5: RAM at 1 MiB */
	cmpb	$3, 0x1e8(%rsi)
	jne	bad
	cmpq	$0x100000, 0x2f8(%rsi)
	jne	bad
#ifdef BZIMAGE
	inc	%ebx			/* 6: where it could be, 2 MiB aligned */
	lea	_start(%rip), %rax
	cmp	$0x200200, %rax
	jne	bad
#endif
	EXIT(GOOD)
bad:	mov	%ebx, %eax
	out	%al, $0xf4
	hlt
	.balign	16
end:
