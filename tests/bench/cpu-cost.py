#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cpu-cost.py - what the embedded CPU costs besides its instructions

  start     from the start of the program to its end, of a guest whose first
            instructions switch it off: an upper bound for the time to the
            first one. The least of 21: neighbours only add. Less than 5 ms.
  resident  of a Linux guest that has booted: memory of the program beyond
            the guest's RAM. Less than 16 MiB.
  idle      of a host CPU, for that guest, asleep: the least of some spans of
            five seconds, since a kernel that has just booted is not idle
            yet. Less than 2 %.

VMM and KERNEL name the program and the guest's kernel. Fails if one is more.
"""
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
VMM = os.environ.get("VMM", os.path.join(ROOT, "build/vmm/vmm"))
KERNEL = os.environ.get("KERNEL", os.path.join(ROOT, ".cache/riscv64/Image"))
STARTS = 21
RAM_MIB = 256
IDLE_SECONDS = 5
IDLE_SPANS = 8
IDLE_LIMIT = 2  # per cent

OFF = """
	.globl _start
_start:	li t0, 0x100000
	li t1, 0x5555
	sw t1, (t0)
1:	wfi
	j 1b
"""

INIT = """#!/bin/sh
echo "guest: idle"
exec /bin/busybox sleep 1000
"""


def start_ms(tmp):
    source, image = os.path.join(tmp, "off.S"), os.path.join(tmp, "off.elf")
    with open(source, "w", encoding="utf-8") as f:
        f.write(OFF)
    subprocess.run(["riscv64-linux-gnu-gcc", "-nostdlib", "-static",
                    "-Wl,--build-id=none", "-Wl,-Ttext=0x80200000",
                    "-o", image, source], check=True)
    times = []
    for _ in range(STARTS):
        begin = time.monotonic()
        pid = os.posix_spawn(VMM, [VMM, "--accel", "soft", "--kernel", image],
                             os.environ, file_actions=[
                                 (os.POSIX_SPAWN_OPEN, 0, "/dev/null",
                                  os.O_RDONLY, 0)])
        _, status = os.waitpid(pid, 0)
        times.append((time.monotonic() - begin) * 1000)
        if status:
            sys.exit(f"cpu-cost.py: vmm ended with status {status}")
    return min(times)


def resident_mib(pid):
    """Of all mappings but the guest's RAM, known by its size.

    The kernel may have made one of the RAM and a neighbour; the neighbour
    then counts whole.
    """
    total, size = 0, 0
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as f:
        for line in f:
            word = line.split()
            if word[0] == "Size:":
                size = int(word[1])
            elif word[0] == "Rss:":
                ram = RAM_MIB * 1024
                total += int(word[1]) if size < ram else size - ram
    return total / 1024


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        field = f.read().rsplit(")", 1)[1].split()
    return (int(field[11]) + int(field[12])) / os.sysconf("SC_CLK_TCK")


def idle_guest(tmp):
    init, initrd = os.path.join(tmp, "init"), os.path.join(tmp, "initrd.gz")
    with open(init, "w", encoding="utf-8") as f:
        f.write(INIT)
    subprocess.run([os.path.join(ROOT, "tests/lib/initramfs.sh"), initrd,
                    init], check=True)
    with subprocess.Popen([VMM, "--accel", "soft", "--kernel", KERNEL,
                           "--initrd", initrd, "--append", "console=ttyS0",
                           "--mem", f"{RAM_MIB}M"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as vmm:
        try:
            for line in vmm.stdout:
                if b"guest: idle" in line:
                    break
            else:
                sys.exit("cpu-cost.py: the guest did not come up")
            idle = 100.0
            for _ in range(IDLE_SPANS):
                begin = cpu_seconds(vmm.pid)
                time.sleep(IDLE_SECONDS)
                used = cpu_seconds(vmm.pid) - begin
                idle = min(idle, 100 * used / IDLE_SECONDS)
                if idle < IDLE_LIMIT:
                    break
            return resident_mib(vmm.pid), idle
        finally:
            vmm.kill()


def main():
    failed = False
    with tempfile.TemporaryDirectory() as tmp:
        figures = [("start", start_ms(tmp), 5, "ms")]
        if os.path.exists(KERNEL):
            resident, idle = idle_guest(tmp)
            figures += [("resident", resident, 16, "MiB"),
                        ("idle", idle, IDLE_LIMIT, "% of a CPU")]
        else:
            print("no guest kernel: run tests/lib/guest.sh riscv64")
    for name, value, limit, unit in figures:
        print(f"{name:9} {value:6.2f} {unit}, less than {limit} wanted")
        failed |= value >= limit
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
