#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage: cpu-speed.sh [ROUNDS]
#
# The loops of cpu/speed.S on the embedded CPU and on QEMU's emulator, which
# translates to host code. The rounds (default 5) alternate, so that a busy
# machine hurts both; of each round counts the fastest of several runs, and of
# the rounds the median. Fails if a loop is slower than 250 MIPS, or a store
# to a tracked page takes 60 ns. Last line: our three.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/common.sh
. "$root/tests/lib/common.sh"

vmm=${VMM:-$root/build/vmm/vmm}
qemu=${QEMU:-qemu-system-riscv64}
rounds=${1:-5}
cc=riscv64-linux-gnu-gcc

for tool in "$qemu" "$cc"; do
	command -v "$tool" >/dev/null ||
		die "no $tool: run tests/lib/packages.sh guest bench"
done

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# Where OpenSBI, QEMU's firmware, expects a kernel.
"$cc" -nostdlib -static -march=rv64gc -mabi=lp64d -mcmodel=medany \
	-Wl,--build-id=none -Wl,-Ttext=0x80200000 -Wl,-n \
	-Wl,--no-warn-rwx-segments -o "$tmp/speed.elf" \
	"$root/tests/bench/cpu/speed.S"

# run NAME COMMAND...: adds "LOOP INSTRUCTIONS TICKS" lines to $tmp/NAME
run()
{
	name=$1
	shift
	timeout -s KILL 120 "$@" </dev/null >"$tmp/log" 2>&1 ||
		{ tail -n 5 "$tmp/log" >&2; die "$name failed"; }
	tr -d '\r' <"$tmp/log" | grep -E '^(alu|mem|call|store) ' >"$tmp/lines" ||
		die "$name printed no times"
	while read -r loop instructions ticks; do
		echo "$loop $((0x$instructions)) $((0x$ticks))"
	done <"$tmp/lines" >>"$tmp/$name"
}

# median NAME LOOP: MIPS, a tick being 100 ns on either machine
median()
{
	awk -v loop="$2" '$1 == loop { print int($2 * 10 / $3) }' "$tmp/$1" |
		sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# ns of a turn of the store loop
store_ns()
{
	awk '$1 == "store" { print $3 * 300 / $2 }' "$tmp/$1" |
		sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

round=0
while [ "$round" -lt "$rounds" ]; do
	round=$((round + 1))
	run vmm "$vmm" --accel soft --kernel "$tmp/speed.elf" --mem 64M
	run tracked "$vmm" --accel soft --kernel "$tmp/speed.elf" --mem 64M \
		--track 0x80300000,1
	run qemu "$qemu" -M virt -accel tcg -m 64M -smp 1 -nographic \
		-no-reboot -kernel "$tmp/speed.elf"
done

printf '%-6s %10s %10s %8s\n' MIPS vmm qemu ratio
slow=
for loop in alu mem call; do
	ours=$(median vmm "$loop")
	theirs=$(median qemu "$loop")
	printf '%-6s %10d %10d %8s\n' "$loop" "$ours" "$theirs" \
		"$(awk -v a="$ours" -v b="$theirs" 'BEGIN { printf "%.2f", a / b }')"
	[ "$ours" -ge 250 ] || slow="$slow $loop"
done
echo "with another page tracked: alu $(median tracked alu)," \
	"mem $(median tracked mem), call $(median tracked call)"
tracked=$(awk -v a="$(store_ns tracked)" -v b="$(store_ns vmm)" \
	'BEGIN { printf "%.1f", a - b }')
echo "a store to a tracked page, one node: $tracked ns more than another"
[ -z "$slow" ] || die "slower than 250 MIPS:$slow"
awk -v ns="$tracked" 'BEGIN { exit !(ns < 60) }' ||
	die "a tracked store takes $tracked ns, not less than 60"
echo "alu $(median vmm alu) mips, mem $(median vmm mem) mips," \
	"call $(median vmm call) mips"
