#!/bin/bash
# SPDX-License-Identifier: MIT
#
# power-cut.sh - what a guest has flushed survives kill -9 of vmm
#
# A Linux guest writes files to an ext4 file system on a virtio disk, flushes
# each (fsync, which in ext4 takes the directory along) and then says so. vmm is killed the
# moment it has said so a random number of times, while the guest goes on
# writing. Every file it has spoken of must be there, whole; the file system
# must be clean once its journal is replayed. Besides: a second vmm is
# refused the disk while the first has it.
#
# VMM names the program; ROUNDS (3) how often; KERNEL the guest's kernel.
# Without a guest the test is skipped (exit 77), except under CI.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/common.sh
. "$root/tests/lib/common.sh"

vmm=${VMM:-$root/build/vmm/vmm}
kernel=${KERNEL:-$cache/riscv64/Image}
rounds=${ROUNDS:-3}
PATH=$PATH:/sbin:/usr/sbin

for need in "$kernel" "$cache/riscv64/modules/virtio.order" \
	"$(command -v riscv64-linux-gnu-gcc)" "$(command -v mkfs.ext4)"; do
	[ ! -s "$need" ] || continue
	reason="no guest, or no e2fsprogs: tests/lib/guest.sh fetches the former"
	[ "${CI:-}" != true ] || die "$reason"
	echo "SKIP: $reason"
	exit 77
done

tmp=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null; rm -rf "$tmp"' EXIT
disk=$tmp/disk.img
failed=0

# check NAME COMMAND...
check()
{
	local name=$1
	shift
	if "$@" >"$tmp/why" 2>&1; then
		echo "ok - $name"
	else
		failed=1
		echo "not ok - $name"
		sed 's/^/# /' "$tmp/why"
	fi
}

# The guest's console is file descriptor 3.
start()
{
	mkfifo "$tmp/console"
	"$vmm" --kernel "$kernel" --initrd "$tmp/initrd.gz" \
		--append 'console=ttyS0 quiet' --disk "$disk" \
		</dev/null >"$tmp/console" 2>"$tmp/err" &
	pid=$!
	exec 3<"$tmp/console"
	rm "$tmp/console"
}

# read_until NUMBER: until the guest has flushed so many; $seen is how many
read_until()
{
	local line
	seen=0
	while [ "$seen" -lt "$1" ] && IFS= read -r line <&3; do
		line=${line%$'\r'}
		case $line in
		'flushed '*) seen=${line#flushed } ;;
		esac
	done
	[ "$seen" -ge "$1" ]
}

cut()
{
	kill -9 "$pid"
	wait "$pid" 2>/dev/null || true
	# what it had said before it died counts, too
	local line
	while IFS= read -r line <&3; do
		line=${line%$'\r'}
		case $line in
		'flushed '[0-9]*) seen=${line#flushed } ;;
		esac
	done
	exec 3<&-
	pid=
}

all_there()
{
	local n
	for ((n = 1; n <= seen; n++)); do
		debugfs -R "cat /$n" "$disk" 2>/dev/null | cmp - \
			<(seq "$n" "$((n + 3000))") || {
			echo "file $n of $seen"
			debugfs -R "ls -l" "$disk" 2>&1 | tail -n 5
			return 1
		}
	done
}

replayed()
{
	local status=0
	e2fsck -p "$disk" || status=$?
	[ "$status" -le 1 ] && e2fsck -fn "$disk"
}

fresh()
{
	rm -f "$disk"
	truncate -s 64M "$disk"
	mkfs.ext4 -q "$disk"
}

MODULES=virtio "$root/tests/lib/initramfs.sh" "$tmp/initrd.gz" \
	"$root/tests/system/power-cut-init"

for ((round = 1; round <= rounds; round++)); do
	fresh
	start
	check "round $round: the guest flushes" \
		read_until $((RANDOM % 40 + 3))
	if [ "$round" -eq 1 ]; then
		status=0
		"$vmm" --kernel "$kernel" --disk "$disk" </dev/null \
			>"$tmp/second" 2>&1 || status=$?
		check "a second writer is refused" test "$status" -eq 1
		check "and told why" grep -q 'in use by another' "$tmp/second"
	fi
	cut
	check "round $round: clean after the journal" replayed
	check "round $round: all $seen flushed files are there" all_there
done
exit "$failed"
