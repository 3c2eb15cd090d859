/* SPDX-License-Identifier: MIT */
/* machines.c - the two CPUs that run one image */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices/bus.h"
#include "memslot/memslot.h"
#include "tests/differential/diff.h"
#include "vmm/soft/soft.h"

static void die(const char *what, const char *why)
{
	fprintf(stderr, "cpu-differential: %s: %s\n", what, why);
	exit(1);
}

void ours_run(uint8_t *ram, isa_off_t off)
{
	struct memslot_error err = {0};
	struct memslots *slots;
	struct bus bus = {0};
	struct soft *soft;
	enum accel_stop why = ACCEL_STOP_ERROR;
	const struct memslot_config slot = {
		.id = 0,
		.gpa = RAM_BASE,
		.size = RAM_SIZE,
		.host = ram,
	};
	struct soft_config config = {
		.bus = &bus,
		.harts = 1,
		.entry = S_ENTRY,
		.timebase_hz = 10000000,
		.isa_off = off,
	};

	if (memslots_create(&memslot_hosted, 1, &slots, &err) ||
		memslots_create_slot(slots, &slot, &err))
		die("memory", err.text);
	config.slots = slots;
	if (soft_create(&config, &soft, &err) || soft_run(soft, &why, &err))
		die("our CPU", err.text);
	if (why != ACCEL_STOP_POWEROFF)
		die("our CPU", "did not come to the end of its cases");
	soft_destroy(soft);
	memslots_destroy(slots);
}

/*
 * QEMU 7.2 has all of M, A, F, D, always Svadu, Sv48, Sv57, and none of
 * Zicbom, Zicboz, Zawrs; what can be chosen is chosen.
 */
int qemu_run(int fd, isa_off_t off)
{
	static const struct {
		enum isa_ext ext;
		const char *name;
	} choice[] = {{ISA_ZBA, "zba"}, {ISA_ZBB, "zbb"}, {ISA_ZBS, "zbs"},
		{ISA_SVINVAL, "svinval"}, {ISA_SVNAPOT, "svnapot"},
		{ISA_SVPBMT, "svpbmt"}};
	char cpu[256];
	char object[256], size[16];
	const char *program = getenv("QEMU");
	int status;
	pid_t pid;

	snprintf(cpu, sizeof(cpu), "rv64,h=off,zbc=off");
	for (size_t n = 0; n < sizeof(choice) / sizeof(*choice); n++)
		snprintf(cpu + strlen(cpu), sizeof(cpu) - strlen(cpu), ",%s=%s",
			choice[n].name,
			isa_has(off, choice[n].ext) ? "on" : "off");
	snprintf(size, sizeof(size), "%dM", RAM_MIB);
	snprintf(object, sizeof(object),
		"memory-backend-file,id=ram,share=on,size=%s,"
		"mem-path=/proc/self/fd/%d",
		size, fd);
	pid = fork();
	if (pid < 0)
		die("fork", "no process for QEMU");
	if (pid == 0) {
		alarm(120); /* it outlives exec */
		if (!freopen("/dev/null", "w", stderr))
			_exit(126);
		execlp(program ? program : "qemu-system-riscv64",
			"qemu-system-riscv64", "-M", "virt,memory-backend=ram",
			"-object", object, "-m", size, "-smp", "2", "-cpu", cpu,
			"-bios", "none", "-display", "none", "-monitor", "none",
			"-serial", "none", "-no-reboot", (char *)NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("QEMU", "lost");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
