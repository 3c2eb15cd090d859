#!/bin/bash
# SPDX-License-Identifier: MIT
#
# usage: guest-job.sh [SECONDS]
#
# A Linux guest of four CPUs packs and unpacks for SECONDS (10; 600 is the
# long run) while its window moves every 2 ms: no wrong byte anywhere, and no
# CPU that the kernel finds stuck. VMM names the program.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/common.sh
. "$root/tests/lib/common.sh"

vmm=${VMM:-$root/build/vmm/vmm}
kernel=${KERNEL:-$cache/riscv64/Image}
seconds=${1:-10}

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
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs devtmpfs /dev 2>/dev/null
window follow "$seconds" &
window=$!
job()
{
	want=$(busybox sha256sum </bin/busybox)
	rounds=0
	end=$(($(busybox date +%s) + seconds))
	while [ "$(busybox date +%s)" -lt "$end" ]; do
		got=$(busybox gzip -c /bin/busybox | busybox gunzip |
			busybox sha256sum)
		[ "$got" = "$want" ] || echo "guest: job WRONG"
		rounds=$((rounds + 1))
	done
	echo "guest: job $1 did $rounds rounds"
}
job 1 &
one=$!
job 2 &
two=$!
wait $one
wait $two
wait $window && echo "guest: window ok"
busybox stty sane # waits until that has been sent
busybox poweroff -f
END
"$root/tests/lib/initramfs.sh" "$tmp/initrd.gz" "$tmp/init"

timeout -s KILL $((seconds * 3 + 120)) "$vmm" --kernel "$kernel" \
	--initrd "$tmp/initrd.gz" --mem 256M --cpus 4 \
	--append "console=ttyS0 seconds=$seconds" \
	"--move-slot=count=$((seconds * 400)),interval=2000" \
	</dev/null >"$tmp/out" 2>"$tmp/err" || {
	tail -n 20 "$tmp/err" "$tmp/out"
	die "the machine failed"
}
cat "$tmp/err" "$tmp/out" | tr -d '\r' >"$tmp/console"
grep -a 'guest: job' "$tmp/console"
[ "$(grep -ac 'guest: job [12] did [1-9]' "$tmp/console")" -eq 2 ] ||
	die "a job did not do its work"
! grep -a 'WRONG\|rcu.*stall\|soft lockup\|hung_task\|Oops' "$tmp/console" ||
	die "see above"
grep -aq 'guest: window ok' "$tmp/console" || die "the window lost something"
tail -n 15 "$tmp/out"
