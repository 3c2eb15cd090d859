#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run.sh - memslot and pagetrack on bare metal, checking themselves
#
# Links both libraries with image/ into a riscv64 program that needs no
# operating system and no libc, and runs it on the embedded CPU, on one hart and
# on two. VMM names the program that runs it.
set -euo pipefail

vmm=$(realpath "${VMM:-$(dirname "$0")/../../build/vmm/vmm}")
cd "$(dirname "$0")/../.."
cc=riscv64-linux-gnu-gcc
command -v "$cc" >/dev/null || {
	echo "SKIP: no $cc to build the image"
	exit 77
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

here=tests/freestanding
flags=(-std=gnu11 -O2 -g -Wall -Wextra -Werror
	-march=rv64gc -mabi=lp64d -mcmodel=medany
	-ffreestanding -fno-stack-protector -fno-pic
	-fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns
	-nostdinc -isystem "$("$cc" -print-file-name=include)"
	-isystem "$here/include" -I "$here/image" -I .)
sources=("$here"/image/*.[cS])
for f in memslot/*.c pagetrack/*.c; do
	case $f in
	memslot/hosted.c | memslot/yield.c) ;;
	*) sources+=("$f") ;;
	esac
done
# libatomic and libgcc: the compiler's own, neither needs anything further.
"$cc" "${flags[@]}" -nostdlib -static -Wl,-n -Wl,--build-id=none \
	-Wl,--no-warn-rwx-segments -Wl,-T,"$here/image/link.ld" \
	-o "$tmp/image.elf" "${sources[@]}" -lgcc

# With two harts, the second one reads and writes beside the transactions.
failed=0
for cpus in 1 2; do
	status=0
	timeout -s KILL 120 "$vmm" --kernel "$tmp/image.elf" --mem 16M \
		--cpus "$cpus" </dev/null >"$tmp/out" 2>"$tmp/err" || status=$?
	sed 's/^/# /' "$tmp/out"
	if [ "$status" -eq 0 ] &&
		grep -qE '^[1-9][0-9]* checks, 0 failed' "$tmp/out" &&
		{ [ "$cpus" = 1 ] || grep -qE ' [1-9][0-9]* writes heard' \
			"$tmp/out"; }; then
		echo "ok - the bare-metal image on $cpus"
	else
		failed=1
		sed 's/^/# /' "$tmp/err"
		echo "not ok - the bare-metal image on $cpus: exit $status"
	fi
done
exit "$failed"
