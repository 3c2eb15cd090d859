/* SPDX-License-Identifier: MIT */
/*
 * raw.h - KVM by its ioctls, as the reference that ours is compared with
 *
 * Nothing here knows our backend. Functions return 0 or a negative errno;
 * a program that cannot go on says why and exits.
 */
#ifndef TESTS_KVM_RAW_H
#define TESTS_KVM_RAW_H

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define RAW_PAGE 4096ul
#define RAW_SKIP 77 /* exit status: not here, and why is the last line */

struct raw_vm {
	int dev; /* /dev/kvm */
	int fd;
};

static inline void raw_die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* Open the device, or end the program as skipped. */
static inline int raw_open(void)
{
	int dev = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (dev < 0) {
		printf("SKIP: /dev/kvm: %s\n", strerror(errno));
		exit(RAW_SKIP);
	}
	return dev;
}

static inline struct raw_vm raw_vm(void)
{
	struct raw_vm vm = {.dev = raw_open()};

	vm.fd = ioctl(vm.dev, KVM_CREATE_VM, 0ul);
	if (vm.fd < 0)
		raw_die("KVM_CREATE_VM");
	return vm;
}

static inline void raw_vm_close(struct raw_vm *vm)
{
	close(vm->fd);
	close(vm->dev);
}

/* What the VM says of a capability: 0 for those it does not know. */
static inline int raw_cap(const struct raw_vm *vm, long cap)
{
	int r = ioctl(vm->fd, KVM_CHECK_EXTENSION, cap);

	return r < 0 ? 0 : r;
}

static inline int raw_region(const struct raw_vm *vm, uint32_t slot,
	uint32_t flags, uint64_t gpa, uint64_t size, const void *host)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

static inline int raw_vcpu(
	const struct raw_vm *vm, unsigned index, struct kvm_run **run)
{
	int size = ioctl(vm->dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	int fd = ioctl(vm->fd, KVM_CREATE_VCPU, index);

	if (fd < 0)
		raw_die("KVM_CREATE_VCPU");
	*run = mmap(
		NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*run == MAP_FAILED)
		raw_die("mmap of a vCPU");
	return fd;
}

/* Guest memory: zero, 2 MiB aligned, and never given back. */
static inline uint8_t *raw_memory(uint64_t size)
{
	const uint64_t large = 2ul << 20;
	uint8_t *at = mmap(NULL, size + large, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		raw_die("mmap");
	return at + (large - (uintptr_t)at % large) % large;
}

static inline uint64_t raw_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
