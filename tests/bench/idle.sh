#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage: idle.sh [CPUS]
#
# What an idle Linux guest costs the host: processor time of the program
# over ten seconds in which the guest's init sleeps. Last line: `idle X.XX % of
# a core`; 2 % or more is a failure.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/common.sh
. "$root/tests/lib/common.sh"

vmm=${VMM:-$root/build/vmm/vmm}
kernel=${KERNEL:-$cache/riscv64/Image}
[ -s "$kernel" ] || die "no guest kernel: run tests/lib/guest.sh riscv64"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

cat >"$tmp/init" <<'END'
#!/bin/sh
# After the boot kernel threads have work for some seconds yet.
export PATH=/bin
busybox mount -t proc proc /proc
idle()
{
	busybox awk '/^cpu / { print $5 }' /proc/stat
}
cpus=$(busybox nproc)
while a=$(idle); do
	busybox sleep 2
	b=$(idle)
	[ $((b - a)) -lt $((190 * cpus)) ] || break
done
echo "guest: idle"
busybox sleep 14
busybox poweroff -f
END
"$root/tests/lib/initramfs.sh" "$tmp/initrd.gz" "$tmp/init"

"$vmm" --accel soft --kernel "$kernel" --initrd "$tmp/initrd.gz" \
	--append 'console=ttyS0 quiet' --cpus "${1:-4}" \
	</dev/null >"$tmp/out" 2>&1 &
pid=$!

# Ticks of processor time so far, in user and kernel mode
ticks()
{
	sed 's/.*) //' "/proc/$pid/stat" | awk '{ print $12 + $13 }'
}

until grep -aq 'guest: idle' "$tmp/out"; do
	kill -0 "$pid" 2>/dev/null || die "the guest ended early"
	sleep 0.2
done
sleep 1
before=$(ticks)
sleep 10
after=$(ticks)
wait "$pid"
awk -v n=$((after - before)) -v hz="$(getconf CLK_TCK)" 'BEGIN {
	percent = n / hz / 10 * 100
	printf "idle %.2f %% of a core\n", percent
	exit percent >= 2
}'
