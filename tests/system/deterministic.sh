#!/bin/bash
# SPDX-License-Identifier: MIT
#
# deterministic.sh - a Linux guest with two CPUs runs twice, the same
#
# The guest moves its window 100 times. The kernel's time stamps count
# microseconds, each of them 100 instructions: consoles that are the same to
# the byte say that the instructions were. Another seed must make a
# difference, or this shows nothing. VMM names the program.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/common.sh
. "$root/tests/lib/common.sh"

vmm=${VMM:-$root/build/vmm/vmm}
kernel=${KERNEL:-$cache/riscv64/Image}

if [ ! -s "$kernel" ] || ! command -v riscv64-linux-gnu-gcc >/dev/null; then
	reason="no guest: tests/lib/guest.sh riscv64 fetches the kernel"
	[ "${CI:-}" != true ] || die "$reason"
	echo "SKIP: $reason"
	exit 77
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"$root/tests/lib/initramfs.sh" "$tmp/initrd.gz"

# boot NAME SEED
boot()
{
	timeout -s KILL 240 "$vmm" --kernel "$kernel" \
		--initrd "$tmp/initrd.gz" --cpus 2 "--deterministic=$2" \
		--append 'console=ttyS0 window=drive:100' </dev/null >"$tmp/$1"
}

boot first 1
boot second 1
boot other 2
grep -q 'guest: verdict ok' "$tmp/first" || die "the guest did not end well"
grep -q '2 CPU' "$tmp/first" || die "the guest had one CPU"
cmp "$tmp/first" "$tmp/second" || die "two runs differ"
! cmp -s "$tmp/first" "$tmp/other" || die "another seed makes no difference"
echo "two runs of $(wc -l <"$tmp/first") lines are the same"
