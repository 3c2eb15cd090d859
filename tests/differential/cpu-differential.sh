#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage: cpu-differential.sh [CASES [SEED]]
#
# Our CPU against qemu-system-riscv64, on CASES (20000) random instruction
# sequences; CPU_DIFF names the program. Without QEMU or a cross assembler the
# test is skipped (exit 77), except under CI.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/common.sh
. "$root/tests/lib/common.sh"

cc=riscv64-linux-gnu-gcc
for tool in "${QEMU:-qemu-system-riscv64}" "$cc"; do
	command -v "$tool" >/dev/null && continue
	reason="no $tool: tests/lib/packages.sh guest bench installs it"
	[ "${CI:-}" != true ] || die "$reason"
	echo "SKIP: $reason"
	exit 77
done

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

"$cc" -nostdlib -static -Wl,-Ttext=0x80000000 -Wl,--build-id=none \
	-march=rv64imafdc_zicsr_zifencei -mabi=lp64d -I "$root/tests/differential" \
	-o "$tmp/harness.elf" "$root/tests/differential/harness.S"
riscv64-linux-gnu-objcopy -O binary -j .text "$tmp/harness.elf" \
	"$tmp/harness.bin"
"${CPU_DIFF:-$root/build/tests/cpu_diff}" "$tmp/harness.bin" \
	"${1:-20000}" ${2:+"$2"}
