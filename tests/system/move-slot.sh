#!/bin/bash
# SPDX-License-Identifier: MIT
#
# move-slot.sh - the built-in demonstration shows what it says
#
# VMM names the program.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
vmm=$(realpath "${VMM:-$root/build/vmm/vmm}")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
failed=0

# expect STATUS NAME ARGUMENT...
expect()
{
	local want=$1 name=$2 status=0
	shift 2
	timeout -s KILL 120 "$vmm" "$@" </dev/null >out 2>err || status=$?
	if [ "$status" -eq "$want" ]; then
		echo "ok - $name"
	else
		failed=1
		echo "not ok - $name: exit $status, not $want"
		sed 's/^/# /' out err
	fi
}

# json ORDER...: what expect left
json()
{
	if "$root/tests/lib/check-report.py" out "$@" >why; then
		echo "ok - its report"
	else
		failed=1
		sed 's/^/not ok - its report: /' why
	fi
}

short=--move-slot=count=600,interval=100

expect 0 "both orders, a table" "$short"
grep -q '^verdict .*nothing lost .*LOST$' out || {
	failed=1
	echo "not ok - the table has no verdict"
}
expect 0 "both orders, JSON" "$short" --report json
json ours legacy
expect 0 "ours" "$short" --order ours --report json
json ours
expect 0 "legacy" "$short" --order legacy --report json
json legacy
expect 0 "as fast as it can" --move-slot=count=600,interval=0
expect 0 "another place" "$short,target=0x43fc0000"
expect 2 "a place that overlaps the first" "$short,target=0x40001000"
expect 2 "a place out of range" "$short,target=0x44000000"
expect 2 "no moves at all" --move-slot=count=0
expect 2 "more moves than can be noted" \
	--move-slot=count=0xffffffffffffffff
expect 2 "too little memory for its guest" --move-slot --mem 8K
expect 0 "one failure, by name" "$short" --inject prepare.large
expect 0 "one failure, by number" "$short" --inject 9:3
expect 1 "a failure that is never reached" "$short" --inject prepare.heir

# Every fourth move fails: the check must see one that is a loss. Without its
# undo a machine is broken, and says so.
expect 1 "a machine that cannot undo" "$short" --inject undo.participant

exit "$failed"
