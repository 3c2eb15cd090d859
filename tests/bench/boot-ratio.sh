#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage: boot-ratio.sh [ROUNDS]
#
# How long a Linux guest takes from the start of the program to its power
# off, under vmm and under QEMU's emulator: the same kernel, an init that
# powers off at once, 256 MiB, one CPU. The rounds (default 3) alternate, so
# that a busy machine hurts both. Last line: the ratio of the medians.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/common.sh
. "$root/tests/lib/common.sh"

vmm=${VMM:-$root/build/vmm/vmm}
kernel=${KERNEL:-$cache/riscv64/Image}
qemu=${QEMU:-qemu-system-riscv64}
rounds=${1:-3}

command -v "$qemu" >/dev/null ||
	die "no $qemu: run tests/lib/packages.sh bench"
[ -s "$kernel" ] || die "no guest kernel: run tests/lib/guest.sh riscv64"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

cat >"$tmp/init" <<'END'
#!/bin/sh
echo "guest: init reached"
exec /bin/busybox poweroff -f
END
"$root/tests/lib/initramfs.sh" "$tmp/initrd.gz" "$tmp/init"

# boot NAME COMMAND...: adds the milliseconds it took to $tmp/NAME
boot()
{
	name=$1
	shift
	start=$(date +%s%N)
	timeout -s KILL 300 "$@" </dev/null >"$tmp/log" 2>&1 || {
		tail -n 5 "$tmp/log" >&2
		die "$name failed"
	}
	end=$(date +%s%N)
	grep -q 'guest: init reached' "$tmp/log" || {
		tail -n 5 "$tmp/log" >&2
		die "$name did not reach init"
	}
	echo $(((end - start) / 1000000)) >>"$tmp/$name"
}

median()
{
	sort -n "$tmp/$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

round=0
while [ "$round" -lt "$rounds" ]; do
	round=$((round + 1))
	boot vmm "$vmm" --accel soft --kernel "$kernel" \
		--initrd "$tmp/initrd.gz" --append console=ttyS0 --mem 256M
	boot qemu "$qemu" -M virt -accel tcg -m 256M -smp 1 -nographic \
		-no-reboot -kernel "$kernel" -initrd "$tmp/initrd.gz" \
		-append console=ttyS0
	echo "round $round: vmm $(tail -n 1 "$tmp/vmm") ms," \
		"qemu $(tail -n 1 "$tmp/qemu") ms"
done

ours=$(median vmm)
theirs=$(median qemu)
echo "median of $rounds: vmm $ours ms, qemu $theirs ms"
awk -v a="$ours" -v b="$theirs" 'BEGIN { printf "boot ratio %.2f\n", a / b }'
