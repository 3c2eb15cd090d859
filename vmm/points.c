/* SPDX-License-Identifier: MIT */
#include "vmm/points.h"

#include "devices/vgtt.h"
#include "devices/virtio/device.h"
#include "pagetrack/pagetrack.h"
#include "vmm/kvm/kvm.h"
#include "vmm/soft/soft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct fault_point *const tables[] = {memslot_fault_points,
	pagetrack_fault_points, soft_fault_points, kvm_fault_points,
	vgtt_fault_points, virtio_fault_points};

#define TABLES (sizeof(tables) / sizeof(tables[0]))

/* Up to where the CPUs' backend comes in. */
#define POINTS_OF_ALL                                                          \
	FAULT_TXN_BEGIN, FAULT_TXN_RECORD, FAULT_VALIDATE_PLAN,                \
		FAULT_VALIDATE_SLOT, FAULT_VALIDATE_NODE, FAULT_VALIDATE_SET,  \
		FAULT_PREPARE_TRACK, FAULT_PREPARE_LARGE, FAULT_TRACK_RESERVE, \
		FAULT_PREPARE_PARTICIPANT, FAULT_PAGETRACK_PREPARE

const unsigned *points_of_a_move(const char *accel)
{
	static const unsigned soft[] = {POINTS_OF_ALL, FAULT_SOFT_PREPARE,
		FAULT_APPLY_PARTICIPANT, FAULT_SOFT_APPLY, 0};
	static const unsigned kvm[] = {POINTS_OF_ALL, FAULT_KVM_PLAN,
		FAULT_APPLY_PARTICIPANT, FAULT_KVM_MOVE, 0};

	return strcmp(accel, "kvm") == 0 ? kvm : soft;
}

unsigned point_by_name(const char *name)
{
	char *end;
	unsigned long number = strtoul(name, &end, 10);

	for (size_t t = 0; t < TABLES; t++)
		for (const struct fault_point *p = tables[t]; p->name; p++)
			if (strcmp(p->name, name) == 0 ||
				(*name >= '0' && *name <= '9' && !*end &&
					p->number == number))
				return p->number;
	return 0;
}

const char *point_name(unsigned number)
{
	for (size_t t = 0; t < TABLES; t++)
		for (const struct fault_point *p = tables[t]; p->name; p++)
			if (p->number == number)
				return p->name;
	return "none";
}

int points_print(void)
{
	int r = 0;

	for (size_t t = 0; t < TABLES; t++)
		for (const struct fault_point *p = tables[t]; r >= 0 && p->name;
			p++)
			r = printf("  %3u %-20s %s\n", p->number, p->name,
				p->what);
	return r;
}
