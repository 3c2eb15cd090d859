/* SPDX-License-Identifier: MIT */
/*
 * rvasm.c - the program builder of the assembler: labels and constants
 *
 * A use of a label is emitted with distance 0 and remembered; rv_finish()
 * puts the distances in, when every label has its place.
 */
#include "vmm/rvasm.h"

#include <string.h>

static void fail(struct rv_program *p, enum rv_error why)
{
	if (p->error == RV_OK)
		p->error = why;
}

void rv_begin(struct rv_program *p, void *buffer, size_t capacity)
{
	p->bytes = buffer;
	p->size = 0;
	p->capacity = capacity;
	p->error = RV_OK;
	p->labels = 0;
	p->uses = 0;
}

void rv_data(struct rv_program *p, const void *bytes, size_t size)
{
	if (p->error != RV_OK)
		return;
	if (size > p->capacity - p->size) {
		fail(p, RV_FULL);
		return;
	}
	if (size)
		memcpy(p->bytes + p->size, bytes, size);
	p->size += size;
}

/* The guest is little-endian, whatever the host is. */
static void put(uint8_t *at, uint64_t v, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		at[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get32(const uint8_t *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[3] << 24;
}

static void emit_bytes(struct rv_program *p, uint64_t v, size_t size)
{
	uint8_t b[8];

	put(b, v, size);
	rv_data(p, b, size);
}

void rv_emit(struct rv_program *p, uint32_t insn)
{
	emit_bytes(p, insn, 4);
}

void rv_emit16(struct rv_program *p, uint16_t insn)
{
	emit_bytes(p, insn, 2);
}

void rv_data64(struct rv_program *p, uint64_t v)
{
	emit_bytes(p, v, 8);
}

void rv_align(struct rv_program *p, size_t alignment)
{
	size_t fill = -p->size & (alignment - 1);

	if (p->error != RV_OK)
		return;
	if (fill > p->capacity - p->size) {
		fail(p, RV_FULL);
		return;
	}
	memset(p->bytes + p->size, 0, fill);
	p->size += fill;
}

rv_label rv_label_new(struct rv_program *p)
{
	if (p->labels == RV_LABELS_MAX) {
		fail(p, RV_FULL);
		return RV_LABELS_MAX;
	}
	p->place[p->labels] = SIZE_MAX;
	return p->labels++;
}

void rv_bind(struct rv_program *p, rv_label label)
{
	if (label >= p->labels)
		return; /* rv_label_new() has set the error */
	if (p->place[label] != SIZE_MAX)
		fail(p, RV_UNBOUND);
	p->place[label] = p->size;
}

rv_label rv_label_here(struct rv_program *p)
{
	rv_label label = rv_label_new(p);

	rv_bind(p, label);
	return label;
}

size_t rv_label_offset(const struct rv_program *p, rv_label label)
{
	return label < p->labels ? p->place[label] : SIZE_MAX;
}

static void use(struct rv_program *p, enum rv_use_kind kind, rv_label label)
{
	if (p->error != RV_OK)
		return;
	if (p->uses == RV_USES_MAX || label >= p->labels) {
		fail(p, RV_FULL);
		return;
	}
	p->use[p->uses].at = p->size;
	p->use[p->uses].label = label;
	p->use[p->uses].kind = kind;
	p->uses++;
}

void rv_branch(struct rv_program *p, enum rv_branch_kind kind, unsigned rs1,
	unsigned rs2, rv_label label)
{
	use(p, RV_USE_BRANCH, label);
	rv_emit(p, rv_type_b(0x63, kind, rs1, rs2, 0));
}

void rv_jump(struct rv_program *p, unsigned rd, rv_label label)
{
	use(p, RV_USE_JUMP, label);
	rv_emit(p, rv_jal(rd, 0));
}

void rv_la(struct rv_program *p, unsigned rd, rv_label label)
{
	use(p, RV_USE_PAIR, label);
	rv_emit(p, rv_auipc(rd, 0));
	rv_emit(p, rv_addi(rd, rd, 0));
}

static bool resolve(struct rv_program *p, const struct rv_use *u)
{
	uint8_t *at = p->bytes + u->at;
	int64_t d = (int64_t)p->place[u->label] - (int64_t)u->at;

	switch (u->kind) {
	case RV_USE_BRANCH:
		if (d < -4096 || d > 4094)
			return false;
		put(at, get32(at) | rv_type_b(0, 0, 0, 0, (int32_t)d), 4);
		return true;
	case RV_USE_JUMP:
		if (d < -(1 << 20) || d >= 1 << 20)
			return false;
		put(at, get32(at) | rv_type_j(0, 0, (int32_t)d), 4);
		return true;
	case RV_USE_PAIR:
		if (d + 0x800 < INT32_MIN || d + 0x800 > INT32_MAX)
			return false;
		/* addi subtracts for low parts from 0x800: round up */
		put(at,
			get32(at) | rv_type_u(0, 0,
					    (uint32_t)((uint64_t)(d + 0x800) >>
						       12)),
			4);
		put(at + 4, get32(at + 4) | rv_type_i(0, 0, 0, 0, (int32_t)d),
			4);
		return true;
	}
	return false;
}

enum rv_error rv_finish(struct rv_program *p)
{
	unsigned i;

	if (p->error != RV_OK)
		return p->error;
	for (i = 0; i < p->uses; i++) {
		if (p->place[p->use[i].label] == SIZE_MAX)
			fail(p, RV_UNBOUND);
		else if (!resolve(p, &p->use[i]))
			fail(p, RV_DISTANCE);
	}
	p->uses = 0;
	return p->error;
}

void rv_li(struct rv_program *p, unsigned rd, uint64_t value)
{
	int64_t v = (int64_t)value;
	/* What addi adds at the end is signed; the part above makes up. */
	int64_t low = (int64_t)(value << 52) >> 52;

	if (v == low) {
		rv_emit(p, rv_addi(rd, RV_ZERO, (int32_t)low));
	} else if (v == (int32_t)v) {
		/* lui sign-extends, and addiw wraps at 32 bits */
		rv_emit(p, rv_lui(rd, (uint32_t)((value + 0x800) >> 12)));
		if (low)
			rv_emit(p, rv_addiw(rd, rd, (int32_t)low));
	} else {
		int64_t high = (int64_t)(value - (uint64_t)low) >> 12;
		unsigned shift = 12;

		while (!(high & 1)) {
			high >>= 1;
			shift++;
		}
		rv_li(p, rd, (uint64_t)high);
		rv_emit(p, rv_slli(rd, rd, shift));
		if (low)
			rv_emit(p, rv_addi(rd, rd, (int32_t)low));
	}
}
