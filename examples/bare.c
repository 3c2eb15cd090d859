/* SPDX-License-Identifier: MIT */
/*
 * bare.c - a guest without an operating system
 *
 *   riscv64-linux-gnu-gcc -O2 -ffreestanding -nostdlib -static \
 *       -mcmodel=medany -Wl,-n,-Ttext=0x80000000 -Wl,--build-id=none \
 *       -o bare examples/bare.c
 *   vmm --kernel bare --mem 4M
 *
 * It starts in S mode with the hart's number in a0 and the device tree in a1.
 * The serial port is at 0x10000000; SBI's system reset ends the machine.
 */
#include <stdint.h>

__asm__(".section .text.start, \"ax\"\n"
	".globl _start\n_start: la sp, stack_end\n call run\n");

uint8_t stack[4096] __attribute__((aligned(16)));
__asm__(".globl stack_end\n.set stack_end, stack + 4096\n");

static void print(const char *s)
{
	volatile uint8_t *serial = (volatile uint8_t *)0x10000000;

	while (*s)
		*serial = (uint8_t)*s++;
}

void run(unsigned long hart)
{
	char number[] = "hart 0: hello\n";

	number[5] = (char)('0' + hart);
	print(number);
	register unsigned long type __asm__("a0") = 0; /* shut down */
	register unsigned long reason __asm__("a1") = 0;
	register unsigned long function __asm__("a6") = 0;
	register unsigned long extension __asm__("a7") = 0x53525354;
	__asm__ volatile("ecall" ::"r"(type), "r"(reason), "r"(function),
		"r"(extension));
	__builtin_unreachable();
}
