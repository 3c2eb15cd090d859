/* SPDX-License-Identifier: MIT */
/*
 * bare_x86.S - the built-in guest of --move-slot, for x86-64
 *
 * The same as the one in bare.c, but memory that is not there does not trap
 * here: it reads as ones, and swallows stores. So each store is looked at
 * again, and a word that is not as it should be is looked at once more, where
 * the window is by then, in a moment in which nothing has changed.
 *
 *	for (round = 1; !stop; round++)
 *		for (i = 0; i < words; i++) {
 *			if (round > 1 && base[i] != (round - 1) << 32 + i &&
 *				look(i) != (round - 1) << 32 + i)
 *				wrong += 8;
 *			do
 *				base[i] = round << 32 + i;
 *			while (base[i] != round << 32 + i &&
 *				look(i) != round << 32 + i);
 *			if (i < tracked)
 *				writes++;
 *		}
 *	report, power off
 *
 * A store that had arrived before the window moved is found by look(), one
 * that had not is made again: each is carried out exactly once.
 *
 * Entered at 1 MiB in long mode (vmm/boot/pc.h). It runs in ring 3, with
 * ports allowed (IOPL 3), because a KVM that only emulates does so in ring 0.
 */
	.section .rodata
	.globl	bare_x86_code, bare_x86_parameters, bare_x86_end
	.balign	8

/* Registers that keep their meaning */
#define SLOTS   %rbx /* slot controller */
#define BASE    %r12
#define WORDS   %r13
#define TRACKED %r14
#define STOP    %r15 /* address of the host's word */
#define ROUND   %rbp
#define I       %r8
#define WRITES  %r9
#define WRONG   %r10
#define NEW     %r11 /* round << 32 */
#define OLD     %rsi /* (round - 1) << 32 */

/* devices/slotctl.h */
#define WINDOW_BASE 0x08
#define GENERATION  0x40
#define WRITES_DONE 0x80
#define BYTES_WRONG 0x88
#define DONE        0x90

bare_x86_code:
	lea	ring3(%rip), %rax
	mov	%rsp, %rcx
	pushq	$0x23		/* SS */
	pushq	%rcx
	pushq	$0x3002		/* RFLAGS: IOPL 3 */
	pushq	$0x2b		/* CS */
	pushq	%rax
	iretq

ring3:
	mov	bare_x86_parameters+0(%rip), SLOTS
	mov	bare_x86_parameters+8(%rip), STOP
	mov	bare_x86_parameters+16(%rip), WORDS
	mov	bare_x86_parameters+24(%rip), TRACKED
	mov	$1, ROUND
	xor	WRITES, WRITES
	xor	WRONG, WRONG
	/* Ready: the host may begin. */
	mov	WINDOW_BASE(SLOTS), BASE
	movl	$0, DONE(SLOTS)

one_round:
	mov	ROUND, NEW
	shl	$32, NEW
	lea	-1(ROUND), OLD
	shl	$32, OLD
	xor	I, I

word:
	test	OLD, OLD
	jz	store		/* nothing stored yet */
	lea	(OLD, I), %rax
	cmp	%rax, (BASE, I, 8)
	jne	not_old
store:
	lea	(NEW, I), %rax
	mov	%rax, (BASE, I, 8)
	cmp	%rax, (BASE, I, 8)
	jne	not_new
stored:
	cmp	TRACKED, I
	jae	next
	inc	WRITES
next:
	inc	I
	cmp	WORDS, I
	jb	word
	inc	ROUND
	cmpq	$0, (STOP)
	je	one_round

	mov	WRITES, WRITES_DONE(SLOTS)
	mov	WRONG, BYTES_WRONG(SLOTS)
	movl	$1, DONE(SLOTS)
	mov	bare_x86_parameters+32(%rip), %rdx
	mov	bare_x86_parameters+40(%rip), %rax
	out	%ax, (%dx)	/* power off */
1:	jmp	1b

not_old:
	call	look
	cmp	%rax, %rcx
	je	store
	add	$8, WRONG
	jmp	store

not_new:
	call	look
	cmp	%rax, %rcx
	je	stored
	jmp	store

/* Where the window is, in BASE; word I of it, in %rcx. */
look:
	mov	GENERATION(SLOTS), %rdi
	mov	WINDOW_BASE(SLOTS), BASE
	mov	(BASE, I, 8), %rcx
	cmp	%rdi, GENERATION(SLOTS)
	jne	look
	ret

	.balign	8
bare_x86_parameters:	/* struct bare_x86_parameters in bare.c */
	.fill	6, 8, 0
bare_x86_end:

	.section .note.GNU-stack, "", @progbits
