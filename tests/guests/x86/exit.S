/* SPDX-License-Identifier: MIT */
/* isa-debug-exit with CODE, in real mode. */
#include "guest.h"
	.code16
	.globl	_start
_start:	EXIT(CODE)
