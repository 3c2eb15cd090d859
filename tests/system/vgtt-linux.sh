#!/bin/bash
# SPDX-License-Identifier: MIT
#
# vgtt-linux.sh - a Linux process drives vgtt while memory moves both ways
#
# The guest makes more than a million stores to its translation tables and
# moves the device's aperture more than 1,000 times by its BAR; the host moves
# the window, in which some of the tables are; failures are injected at each
# point, in moves of both sides. With our order every result of the engine is
# right and shadow and table agree; with the legacy order they must not.
#
# VMM names the program, ARCH the guest's machine: riscv64, or amd64 (which
# needs a KVM and is skipped without one); KERNEL its kernel. Without a kernel
# the test is skipped (exit 77), except under CI, where it must not go missing.
# WRITES and MOVES: how many.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/common.sh
. "$root/tests/lib/common.sh"

vmm=${VMM:-$root/build/vmm/vmm}
export ARCH="${ARCH:-riscv64}"
kernel=${KERNEL:-$cache/$ARCH/Image}
limit=${LIMIT:-240}
writes=${WRITES:-1100000}
moves=${MOVES:-1500}
case $ARCH in
amd64) cc=gcc ;;
*) cc=$ARCH-linux-gnu-gcc ;;
esac

if [ "$ARCH" = amd64 ] && [ ! -w /dev/kvm ]; then
	echo "SKIP: there is no KVM"
	exit 77
fi

if [ ! -s "$kernel" ] || ! command -v "$cc" >/dev/null; then
	reason="no guest: the kernel has not been fetched"
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

# run VGTT ARGUMENT...: leaves $status, $tmp/report and $tmp/console
run()
{
	local what=$1
	shift
	status=0
	timeout -s KILL "$limit" "$vmm" --kernel "$kernel" \
		--initrd "$tmp/initrd.gz" --mem 256M --vgtt \
		--append "console=ttyS0 quiet vgtt=$what" "$@" \
		</dev/null >"$tmp/report" 2>"$tmp/err" || status=$?
	tr -d '\r' <"$tmp/err" >"$tmp/console"
	tr -d '\r' <"$tmp/report" >>"$tmp/console"
}

# boot ORDER ARGUMENT...: moves from both sides
boot()
{
	order=$1
	shift
	run "$writes:$moves:follow" --order "$order" \
		--move-slot=count=1000000,interval=500 --report json "$@"
	grep '^vgtt:' "$tmp/console" | tail -n 3 | sed 's/^/# /' || true
}

console()
{
	grep -qE -e "$1" "$tmp/console" && return
	echo "not on the console: $1; its end:"
	tail -n 15 "$tmp/console"
	return 1
}

# at_least KEY NUMBER: the report says so
at_least()
{
	value=$(sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" "$tmp/report")
	[ "${value:-0}" -ge "$2" ] && return
	echo "$1 is ${value:-missing}, not $2 or more"
	return 1
}

"$root/tests/lib/initramfs.sh" "$tmp/initrd.gz"

boot ours
check "ours: exit 0" test "$status" -eq 0
check "ours: the guest's verdict" console '^guest: verdict ok'
check "ours: all results right" \
	console '^vgtt: 0 results wrong, 0 mismatches'
check "ours: the report" "$root/tests/lib/check-report.py" "$tmp/report" ours
check "ours: a million table writes heard" at_least table_writes 1000000
check "ours: BAR 2 moved 1,000 times" at_least bar_moves 1000
check "ours: moves of the guest failed too" at_least bar_refusals 100
check "ours: moves of the host failed too" at_least moves_failed 100

boot ours --cpus 2
check "ours, two CPUs: exit 0" test "$status" -eq 0
check "ours, two CPUs: the report" \
	"$root/tests/lib/check-report.py" "$tmp/report" ours

boot legacy
check "legacy: the report shows the loss" \
	"$root/tests/lib/check-report.py" "$tmp/report" legacy
check "legacy: wrong entries" at_least mismatches 1
check "legacy: the guest sees it" console '^guest: verdict FAILED'

# ---- one failure, in a move that the guest makes -------------------------------

for point in prepare.track prepare.participant apply.participant; do
	run 20000:40:none --inject "$point:20"
	check "ours, $point: exit 0" test "$status" -eq 0
	check "ours, $point: nothing lost" \
		console '^vgtt: 0 results wrong, 0 mismatches'
	run 20000:40:none --inject "$point:20" --order legacy
	check "legacy, $point: wrong entries" \
		console '^vgtt: .* results wrong, [1-9][0-9]* mismatches'
done

echo "1..$count"
[ "$failed" -eq 0 ]
