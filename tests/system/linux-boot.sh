#!/bin/bash
# SPDX-License-Identifier: MIT
#
# linux-boot.sh - Debian's kernel boots, its window moves, nothing is lost
#
# VMM names the program, KERNEL the guest's kernel.
# Without a kernel to boot the test is skipped (exit 77), except under CI,
# where it must not go missing.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/common.sh
. "$root/tests/lib/common.sh"

vmm=${VMM:-$root/build/vmm/vmm}
kernel=${KERNEL:-$cache/riscv64/Image}
limit=${LIMIT:-240}

if [ ! -s "$kernel" ] || ! command -v riscv64-linux-gnu-gcc >/dev/null; then
	reason="no guest: tests/lib/guest.sh riscv64 fetches the kernel"
	[ "${CI:-}" != true ] || die "$reason"
	echo "SKIP: $reason"
	exit 77
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

count=0
failed=0

# check NAME COMMAND...
check()
{
	local name=$1
	shift
	count=$((count + 1))
	if "$@" >"$tmp/why" 2>&1; then
		echo "ok $count - $name"
	else
		failed=$((failed + 1))
		echo "not ok $count - $name"
		sed 's/^/# /' "$tmp/why"
	fi
}

# boot ARGUMENT...: leaves $status, $tmp/out and $tmp/err
boot()
{
	status=0
	timeout -s KILL "$limit" "$vmm" --kernel "$kernel" \
		--initrd "$tmp/initrd.gz" --mem 256M "$@" \
		</dev/null >"$tmp/out" 2>"$tmp/err" || status=$?
	tr -d '\r' <"$tmp/err" >"$tmp/console"
	tr -d '\r' <"$tmp/out" >>"$tmp/console"
}

console()
{
	grep -qE -e "$1" "$tmp/console" && return
	echo "not on the console: $1; its end:"
	tail -n 15 "$tmp/console"
	return 1
}

"$root/tests/lib/initramfs.sh" "$tmp/initrd.gz"

# ---- boot and power off, without a window ----------------------------------

boot --append 'console=ttyS0 window=none'
check "plain boot: exit 0" test "$status" -eq 0
check "plain boot: the kernel's banner" console '^(\[.*\] )?Linux version [0-9]'
check "plain boot: init" console '^guest: init reached, Linux .* riscv64, 1 CPU'
check "plain boot: verdict" console '^guest: verdict ok'

# ---- reboot ------------------------------------------------------------------

boot --append 'console=ttyS0 quiet window=none end=reboot' --no-reboot
check "reboot with --no-reboot: exit 0" test "$status" -eq 0
check "reboot with --no-reboot: one boot" \
	test "$(grep -c '^guest: init reached' "$tmp/console")" -eq 1
long=$limit
limit=30 # it would go on for ever
boot --append 'console=ttyS0 quiet window=none end=reboot'
limit=$long
check "reboot: boots again" \
	test "$(grep -c '^guest: init reached' "$tmp/console")" -ge 2

# ---- two harts ---------------------------------------------------------------

boot --append 'console=ttyS0 quiet window=none' --cpus 2
check "two CPUs: exit 0" test "$status" -eq 0
check "two CPUs: both up" console '^guest: init reached, .* 2 CPU'

# ---- the host moves the window -------------------------------------------------

boot --append 'console=ttyS0 quiet' --move-slot --report json
check "moves: exit 0" test "$status" -eq 0
check "moves: init" console '^guest: init reached'
check "moves: the guest's verdict" console '^guest: verdict ok'
check "moves: the report" \
	"$root/tests/lib/check-report.py" "$tmp/out" ours

# ---- the guest asks for the moves ------------------------------------------------

boot --append 'console=ttyS0 quiet window=drive:200' --move-slot --report json
check "guest-driven moves: exit 0" test "$status" -eq 0
check "guest-driven moves: the guest's verdict" console '^guest: verdict ok'

echo "1..$count"
[ "$failed" -eq 0 ]
