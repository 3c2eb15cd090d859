#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""u-boot.py - U-Boot's S-mode build comes to its prompt and obeys

Debian's package u-boot-qemu has it; UBOOT names another file, VMM the
program. Without the file the test is skipped (exit 77), except under CI.
"""
import os
import select
import subprocess
import sys
import time

VMM = os.environ.get("VMM", "build/vmm/vmm")
UBOOT = os.environ.get(
    "UBOOT", "/usr/lib/u-boot/qemu-riscv64_smode/uboot.elf")
LIMIT = 60

if not os.path.exists(UBOOT):
    if os.environ.get("CI") == "true":
        sys.exit(f"no {UBOOT}: tests/lib/packages.sh test installs it")
    print(f"SKIP: no {UBOOT}")
    sys.exit(77)


def read_until(pipe, wanted, nudge=None):
    seen = b""
    end = time.monotonic() + LIMIT
    while wanted not in seen:
        if time.monotonic() > end:
            sys.exit(f"no {wanted!r} within {LIMIT} s, only {seen!r}")
        if nudge and b"stop autoboot" in seen:
            nudge()
            nudge = None
        if select.select([pipe], [], [], 1)[0]:
            more = os.read(pipe.fileno(), 4096)
            if not more:
                sys.exit(f"ended without {wanted!r}: {seen!r}")
            seen += more
    return seen


child = subprocess.Popen([VMM, "--kernel", UBOOT, "--cpus", "2"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def type_in(line):
    child.stdin.write(line)
    child.stdin.flush()


try:
    banner = read_until(child.stdout, b"=> ", lambda: type_in(b"\r"))
    assert b"DRAM:  256 MiB" in banner, banner
    # The prompt comes with the answer; a sum shows that it computes.
    type_in(b"setexpr x 0x1234 * 0x10; printenv x\r")
    read_until(child.stdout, b"x=12340")
    type_in(b"poweroff\r")
    status = child.wait(LIMIT)
finally:
    child.kill()
if status:
    sys.exit(f"exit status {status} after poweroff")
print("U-Boot came to its prompt and went")
