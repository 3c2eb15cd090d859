#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bare-c.sh - examples/bare.c builds as it says and runs
#
# VMM names the program. Skipped (exit 77) without a cross compiler.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/common.sh
. "$root/tests/lib/common.sh"

command -v riscv64-linux-gnu-gcc >/dev/null || {
	echo "SKIP: no riscv64-linux-gnu-gcc"
	exit 77
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# The command is the one in the example's head, without the last word's path.
riscv64-linux-gnu-gcc -Wall -Wextra -Werror -O2 -ffreestanding -nostdlib \
	-static -mcmodel=medany -Wl,-n,-Ttext=0x80000000 -Wl,--build-id=none \
	-o "$tmp/bare" "$root/examples/bare.c"
timeout 20 "${VMM:-$root/build/vmm/vmm}" --kernel "$tmp/bare" --mem 4M \
	</dev/null >"$tmp/out"
grep -q '^hart 0: hello' "$tmp/out" || die "it says: $(cat "$tmp/out")"
