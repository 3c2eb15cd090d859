#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""console.py - the program on a terminal

On a pty: ^C goes to the guest, ^A x ends the machine, SIGTERM too, and the
terminal's modes are afterwards what they were. A reader who does not read
does not keep the machine from ending. VMM names the program.
"""
import os
import pty
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

VMM = os.environ.get("VMM", "build/vmm/vmm")
LIMIT = 20

# Echo: read the serial port for ever, write what comes, 'R' first.
#   lui s1,0x10000; li t0,'R'; sb t0,(s1)
#   1: lbu t0,5(s1); andi t0,t0,1; beqz t0,1b; lbu t0,(s1); sb t0,(s1); j 1b
ECHO = [0x100004B7, 0x05200293, 0x00548023, 0x0054C283, 0x0012F293,
        0xFE028CE3, 0x0004C283, 0x00548023, 0xFEDFF06F]


def read_until(fd, wanted):
    seen = b""
    end = time.monotonic() + LIMIT
    while wanted not in seen:
        if time.monotonic() > end:
            sys.exit(f"no {wanted!r} within {LIMIT} s, only {seen!r}")
        seen += os.read(fd, 100)
    return seen


def run(image, act):
    """Returns the exit status; the terminal must be as before."""
    pid, fd = pty.fork()
    if pid == 0:
        # A shell would look at the modes afterwards; we do it here.
        before = termios.tcgetattr(0)
        child = os.spawnv(os.P_NOWAIT, VMM,
                          [VMM, "--kernel", image, "--mem", "4M"])
        os.write(2, b"<%d>" % child)
        _, status = os.waitpid(child, 0)
        same = termios.tcgetattr(0) == before
        os.write(2, b"<%s>" % (b"restored" if same else b"RAW"))
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    vmm_pid = int(read_until(fd, b">R").split(b"<")[1].split(b">")[0])
    act(fd, vmm_pid)
    read_until(fd, b"<restored>")
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def type_and_quit(fd, _):
    os.write(fd, b"abc\x03\x01\x01d")
    read_until(fd, b"abc\x03\x01d")
    os.write(fd, b"\x01x")


def terminate(_, pid):
    os.kill(pid, signal.SIGTERM)


# lui s1,0x10000; li t0,'x'; 1: sb t0,(s1); j 1b
SPAM = [0x100004B7, 0x07800293, 0x00548023, 0xFFDFF06F]


def stalled():
    """Nobody reads its output: the pipe fills, and SIGTERM still ends it."""
    with tempfile.NamedTemporaryFile(suffix=".bin") as f:
        f.write(struct.pack(f"<{len(SPAM)}I", *SPAM))
        f.flush()
        with subprocess.Popen([VMM, "--kernel", f.name, "--mem", "4M"],
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as p:
            os.read(p.stdout.fileno(), 1)
            p.terminate()
            try:
                return p.wait(LIMIT)
            except subprocess.TimeoutExpired:
                p.kill()
                return None


def main():
    with tempfile.NamedTemporaryFile(suffix=".bin") as f:
        f.write(struct.pack(f"<{len(ECHO)}I", *ECHO))
        f.flush()
        # A machine that a signal ended has not done what was asked.
        for act, expected in ((type_and_quit, 0), (terminate, 1)):
            status = run(f.name, act)
            print(f"{act.__name__}: exit {status}")
            if status != expected:
                sys.exit(1)
    status = stalled()
    print(f"stalled: exit {status}")
    if status != 1:
        sys.exit(1)


main()
