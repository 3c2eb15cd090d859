/* SPDX-License-Identifier: MIT */
/*
 * guest.h - for guests that do one thing and end
 *
 * Each ends with EXIT code: vmm's exit status is code << 1 | 1. By custom 0x10
 * (33) is success; other codes say which step went wrong.
 */
#define GOOD 0x10

#define EXIT(code)         \
	mov $(code), % al; \
	out % al, $0xf4;   \
	hlt
