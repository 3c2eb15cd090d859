#!/bin/bash
# SPDX-License-Identifier: MIT
#
# cpu-options.sh - Linux finds the extensions that --cpu leaves, and no others
#
# Once with all, once with all off that can be without Debian's programs
# failing. What the kernel says in /proc/cpuinfo comes from the device tree;
# that it boots and its programs run says that the tree is true. VMM names
# the program.
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

cat >"$tmp/init" <<'END'
#!/bin/sh
export PATH=/bin
busybox mount -t proc proc /proc
busybox grep -E '^(isa|mmu)' /proc/cpuinfo
busybox stty sane # waits until that has been sent
busybox poweroff -f
END
"$root/tests/lib/initramfs.sh" "$tmp/initrd.gz" "$tmp/init"

names='zba zbb zbs zicbom zicbop zicboz zicntr zihintpause zawrs sstc svadu
	svinval svnapot svpbmt'

# boot CPU: leaves the isa and the MMU of the first CPU in $isa and $mmu
boot()
{
	timeout -s KILL 120 "$vmm" --accel soft --kernel "$kernel" \
		--initrd "$tmp/initrd.gz" --cpu "$1" \
		--append 'console=ttyS0 quiet' </dev/null 2>"$tmp/err" |
		tr -d '\r' >"$tmp/out"
	isa=$(sed -n 's/^isa.*: //p' "$tmp/out")
	mmu=$(sed -n 's/^mmu.*: //p' "$tmp/out")
	echo "--cpu $1: $isa $mmu"
}

# has NAME: is it in $isa?
has()
{
	case _${isa}_ in *_"$1"_*) return 0 ;; esac
	return 1
}

boot rv64
[ "$mmu" = sv57 ] || die "the MMU is $mmu"
for name in $names; do
	has "$name" || die "Linux does not see $name"
done

off=rv64,sv48=off
for name in $names; do
	[ "$name" = zicntr ] || off=$off,$name=off # the vDSO reads time
done
boot "$off"
[ "$mmu" = sv39 ] || die "without sv48 the MMU is $mmu"
for name in $names; do
	[ "$name" = zicntr ] || ! has "$name" || die "$name is there, but off"
done
has svade || die "without svadu there is no svade"
