#!/bin/bash
# SPDX-License-Identifier: MIT
#
# usage: tests/lab/lab.sh [--npt 0|1] [--peer] [--list | --shell | CHECK...]
#
# The nested lab: a machine with a real, unmodified kvm-amd where there is
# none. QEMU emulates a PC whose CPUs have AMD's SVM; Debian's amd64 cloud
# kernel is its system; in it run vmm, its guests and the programs of
# tests/kvm/.
#
#   --npt 1   nested paging (the default); 0: shadow paging
#   CHECK...  only these; --list names them (tests/lab/checks.sh)
#   --peer    with QEMU inside, too, to measure against (bench_boot)
#   --shell   a shell in the lab: `check NAME` runs one there. ^A x ends it
#
# On a Debian machine it installs and fetches what is missing and builds what
# is not built. Under `meson test`, which sets BUILD, it does neither and is
# skipped (exit 77) with the reason.
#
#   BUILD  a static build of the project ($root/build)
#   LIMIT  seconds until the run is killed (280)
#   LOG    where the console goes (BUILD/lab-npt1.log)
#
# The last line is `N passed, N failed, N skipped`; exits 0 if none failed.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/common.sh
. "$root/tests/lib/common.sh"

usage()
{
	die "usage: lab.sh [--npt 0|1] [--peer] [--list | --shell | CHECK...]"
}

npt=1
peer=
shell=
checks=
while [ $# -gt 0 ]; do
	case $1 in
	--npt)
		[ "${2:-}" = 0 ] || [ "${2:-}" = 1 ] || usage
		npt=$2
		shift
		;;
	--peer) peer=yes ;;
	--shell) shell=yes ;;
	--list)
		sed -n 's/^\(check\|bench\)_\([a-z0-9_]*\)() *# */\2\t/p' \
			"$root/tests/lab/checks.sh"
		exit
		;;
	-*) usage ;;
	*)
		grep -qE "^(check|bench)_$1\(\)" "$root/tests/lab/checks.sh" ||
			die "no check '$1': see lab.sh --list"
		checks=$checks,$1
		;;
	esac
	shift
done

# ---- what it is made of ----------------------------------------------------

skip()
{
	echo "SKIP: $*"
	exit 77
}

if [ -z "${BUILD:-}" ]; then
	build=$root/build
	"$root/tests/lib/packages.sh" build lab
	"$root/tests/lib/guest.sh" amd64
	[ -f "$build/build.ninja" ] || meson setup "$build" "$root"
	ninja -C "$build"
else
	build=$BUILD
fi
guest=$cache/amd64

command -v qemu-system-x86_64 >/dev/null ||
	skip "no qemu-system-x86_64: tests/lib/packages.sh lab installs it"
[ -s "$guest/modules/kvm.order" ] ||
	skip "no guest: tests/lib/guest.sh amd64 fetches the kernel"
[ -x "$build/vmm/vmm" ] || die "$build has no vmm: build it first"
# A dynamic program would not find its libraries there.
if ldd "$build/vmm/vmm" >/dev/null 2>&1; then
	skip "$build is not a static build"
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

fs=$tmp/fs
mkdir -p "$fs"/{bin,proc,sys,dev,tmp,modules,guest,lab}
cp "$guest/busybox" "$fs/bin/busybox"
ln -s busybox "$fs/bin/sh"
cp "$guest"/modules/{kvm.order,irqbypass.ko,kvm.ko,kvm-amd.ko} "$fs/modules"
cp "$guest/Image" "$fs/guest"
cp "$build/vmm/vmm" "$fs/lab"
# Whatever of tests/kvm/ is built; a check says what it misses.
for program in "$build"/tests/kvm_*; do
	if [ -f "$program" ] && [ -x "$program" ]; then
		cp "$program" "$fs/lab"
	fi
done
cp "$root/tests/lab/init" "$fs/init"
cp "$root/tests/lab/checks.sh" "$fs/lab"
chmod 755 "$fs/init"
ARCH=amd64 "$root/tests/lib/initramfs.sh" "$fs/guest/initrd.gz"
if [ "$peer" ]; then
	"$root/tests/lab/qemu-files.sh" "$fs/qemu"
fi
(cd "$fs" && find . | cpio --quiet -o -H newc -R 0:0) >"$tmp/initramfs"

# ---- the run ---------------------------------------------------------------

# thread=multi: two vCPUs that really run at the same time.
machine=(qemu-system-x86_64 -nodefaults -no-user-config -display none
	-M q35 -accel 'tcg,thread=multi' -cpu max -smp 2 -m 1536M -no-reboot
	-kernel "$guest/Image" -initrd "$tmp/initramfs")
append="console=ttyS0 quiet panic=-1 npt=$npt"

if [ "$shell" ]; then
	"${machine[@]}" -serial mon:stdio -append "$append checks=shell"
	exit
fi

log=${LOG:-$build/lab-npt$npt.log}
status=0
timeout -s KILL "${LIMIT:-280}" "${machine[@]}" -serial stdio \
	-append "$append checks=${checks#,}" </dev/null 2>&1 |
	tr -d '\r' | tee "$log" || status=$?

# `lab: VERDICT NAME ...`, one a check; `lab: end` if none is missing
count()
{
	grep -c "^lab: $1 " "$log" || true
}

failed=$(count failed)
if ! grep -q '^lab: end$' "$log"; then
	echo "the lab did not come to its end (status $status)"
	failed=$((failed + 1))
fi
sed -n 's/^lab: \(failed\|skipped\) /\1: /p' "$log"
passed=$(count passed)
skipped=$(count skipped)
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] || exit 1
[ "$passed" -gt 0 ] || skip "none of the checks could run"
