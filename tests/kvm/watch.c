/* SPDX-License-Identifier: MIT */
/*
 * watch.c - between the backend and the kernel
 */
#include "tests/kvm/watch.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <string.h>

#define VCPUS 8

struct watch watch;

static struct {
	int fd;
	struct kvm_run *run;
} vcpu[VCPUS];
static unsigned vcpus;

/* musl says int and glibc unsigned long: only 32 bits mean something. */
int __wrap_ioctl(int fd, unsigned request, ...);
int __real_ioctl(int fd, unsigned request, ...);

void watch_range(uint64_t lo, uint64_t hi)
{
	watch.lo = lo;
	watch.hi = hi;
	atomic_store(&watch.exits, 0);
}

void watch_vcpu(int fd, struct kvm_run *run)
{
	vcpu[vcpus].fd = fd;
	vcpu[vcpus++].run = run;
}

void watch_forget_vcpus(void)
{
	vcpus = 0;
}

void watch_fail(unsigned long request, long nth, bool onwards, int code)
{
	atomic_store(&watch.nth, 0);
	atomic_store(&watch.request, (unsigned)request);
	atomic_store(&watch.onwards, onwards);
	atomic_store(&watch.code, code);
	atomic_store(&watch.failed, 0);
	atomic_store(&watch.seen, 0);
	atomic_store(&watch.nth, nth);
}

static bool fails(unsigned request)
{
	unsigned long seen;
	long nth = atomic_load(&watch.nth);

	if (request != atomic_load(&watch.request))
		return false;
	seen = atomic_fetch_add(&watch.seen, 1) + 1;
	if (nth == 0 || seen < (unsigned long)nth ||
		(seen > (unsigned long)nth && !atomic_load(&watch.onwards)))
		return false;
	atomic_fetch_add(&watch.failed, 1);
	return true;
}

static void look_at_exit(int fd)
{
	for (unsigned i = 0; i < vcpus; i++) {
		const struct kvm_run *run = vcpu[i].run;

		if (vcpu[i].fd == fd && run->exit_reason == KVM_EXIT_MMIO &&
			run->mmio.phys_addr >= watch.lo &&
			run->mmio.phys_addr < watch.hi)
			atomic_fetch_add(&watch.exits, 1);
	}
}

int __wrap_ioctl(int fd, unsigned request, ...)
{
	va_list ap;
	void *arg;
	int r;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == (unsigned)KVM_SET_USER_MEMORY_REGION)
		atomic_fetch_add(&watch.regions, 1);
	if (fails(request)) {
		errno = atomic_load(&watch.code);
		return -1;
	}
	r = __real_ioctl(fd, request, arg);
	if (request == (unsigned)KVM_RUN) {
		atomic_fetch_add(&watch.runs, 1);
		if (r == 0)
			look_at_exit(fd);
	}
	return r;
}
