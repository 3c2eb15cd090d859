/* SPDX-License-Identifier: MIT */
/*
 * bench_start.c - from the start of vmm to the guest's first instruction
 *
 *	bench_start VMM [ROUNDS]
 *
 * The guest is three bytes that end the machine through port 0xf4. Two
 * programs run it in turns: vmm, and this one as a child that makes the
 * ioctls of such a machine and nothing else. The difference of the medians,
 * from fork to exit, is what vmm adds: at most 5 ms.
 */
#include <sys/wait.h>

#include "tests/kvm/raw.h"

#define MEMORY     (256ul << 20)
#define ENTRY      0x7c00u
#define DEBUG_EXIT 0xf4
#define LIMIT_US   5000
#define ROUNDS_MAX 999u

static const uint8_t guest[] = {
	0xb0, 0x00,       /* mov $0, %al */
	0xe6, DEBUG_EXIT, /* out %al, $0xf4 */
	0xf4,             /* hlt */
};

/* ---- nothing but ioctls -------------------------------------------------- */

static void must(int r, const char *what)
{
	if (r < 0)
		raw_die(what);
}

static void set_cpuid(const struct raw_vm *vm, int vcpu)
{
	const unsigned room = 256;
	struct kvm_cpuid2 *c =
		calloc(1, sizeof(*c) + room * sizeof(c->entries[0]));

	if (!c)
		raw_die("calloc");
	c->nent = room;
	must(ioctl(vm->dev, KVM_GET_SUPPORTED_CPUID, c),
		"KVM_GET_SUPPORTED_CPUID");
	must(ioctl(vcpu, KVM_SET_CPUID2, c), "KVM_SET_CPUID2");
	free(c);
}

static int bare(void)
{
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	struct kvm_regs regs = {.rip = ENTRY, .rflags = 2};
	struct raw_vm vm = raw_vm();
	struct kvm_sregs sregs;
	struct kvm_run *run;
	uint8_t *memory;
	int vcpu;

	must(ioctl(vm.fd, KVM_SET_TSS_ADDR, 0xfffbd000ul), "KVM_SET_TSS_ADDR");
	must(ioctl(vm.fd, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
	must(ioctl(vm.fd, KVM_CREATE_PIT2, &pit), "KVM_CREATE_PIT2");
	memory = raw_memory(MEMORY);
	memcpy(memory + ENTRY, guest, sizeof(guest));
	must(raw_region(&vm, 0, 0, 0, MEMORY, memory), "a slot");
	vcpu = raw_vcpu(&vm, 0, &run);
	set_cpuid(&vm, vcpu);
	must(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs.base = sregs.cs.selector = 0;
	must(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	must(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
	must(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
	return run->exit_reason == KVM_EXIT_IO && run->io.port == DEBUG_EXIT
		       ? 1
		       : 2;
}

/* ---- both ---------------------------------------------------------------- */

/* Microseconds from fork to exit; the program must exit with status 1. */
static uint64_t time_of(char *const argv[])
{
	uint64_t since = raw_now_ns();
	pid_t child = fork();
	int status;

	if (child < 0)
		raw_die("fork");
	if (child == 0) {
		execv(argv[0], argv);
		_exit(127);
	}
	if (waitpid(child, &status, 0) < 0)
		raw_die("waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 1) {
		fprintf(stderr, "%s: status %#x, not exit 1\n", argv[0],
			status);
		exit(2);
	}
	return (raw_now_ns() - since) / 1000;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void write_guest(const char *path)
{
	FILE *f = fopen(path, "wb");

	if (!f || fwrite(guest, sizeof(guest), 1, f) != 1 || fclose(f))
		raw_die(path);
}

int main(int argc, char **argv)
{
	static uint64_t ours[ROUNDS_MAX], raw[ROUNDS_MAX];
	char path[] = "/tmp/vmm-start-XXXXXX";
	unsigned n = argc > 2 ? (unsigned)atoi(argv[2]) : 51;
	char *bare_argv[] = {argv[0], "bare", NULL};
	char *vmm_argv[] = {argc > 1 ? argv[1] : NULL, "--accel", "kvm",
		"--flat", "real", "--mem", "256M", "--kernel", path, NULL};
	int64_t more;

	if (argc > 1 && strcmp(argv[1], "bare") == 0)
		return bare();
	if (argc < 2 || n < 1 || n > ROUNDS_MAX) {
		fprintf(stderr, "usage: bench_start VMM [ROUNDS]\n");
		return 2;
	}
	close(raw_open());
	close(mkstemp(path));
	write_guest(path);
	for (unsigned i = 0; i < n; i++) {
		raw[i] = time_of(bare_argv);
		ours[i] = time_of(vmm_argv);
	}
	unlink(path);
	qsort(ours, n, sizeof(ours[0]), by_size);
	qsort(raw, n, sizeof(raw[0]), by_size);
	more = (int64_t)(ours[n / 2] - raw[n / 2]);
	printf("start to first instruction: vmm %llu us, ioctls alone %llu us, "
	       "%lld us more (limit %d)%s\n",
		(unsigned long long)ours[n / 2], (unsigned long long)raw[n / 2],
		(long long)more, LIMIT_US, more > LIMIT_US ? "  TOO SLOW" : "");
	return more > LIMIT_US;
}
