#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage: x86.sh [GUESTS]
#
# x86-64 guests that do one thing each (tests/guests/x86) on /dev/kvm: modes
# and protocols of boot, exit status, power off, reboot, crash. Without a
# folder of assembled guests they are assembled here. VMM names the program;
# without a KVM the test is skipped (exit 77). A KVM that only emulates will
# do.
set -eu

skip()
{
	echo "SKIP: $*"
	exit 77
}

here=$(cd "$(dirname "$0")" && pwd)
vmm=$(realpath "${VMM:-$here/../../build/vmm/vmm}")
[ -e /dev/kvm ] || skip "there is no /dev/kvm"
{ : >/dev/kvm; } 2>/dev/null || skip "/dev/kvm may not be opened"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
if [ $# -gt 0 ]; then
	guests=$(realpath "$1")
else
	command -v as >/dev/null || skip "there is no assembler"
	guests=$tmp/guests
	"$here/../guests/x86/build.sh" "$guests" >"$tmp/log" 2>&1 || {
		sed 's/^/# /' "$tmp/log"
		exit 1
	}
fi
cd "$tmp"

failed=0
mem=16M
verdict()
{
	if [ "$1" -eq 0 ]; then
		echo "ok - $2"
	else
		failed=1
		echo "not ok - $2${3:+: $3}"
		head -n 30 out err 2>/dev/null | sed 's/^/# /'
	fi
}

# run ARGUMENT...: leaves $status, out, err
run()
{
	status=0
	timeout -s KILL 60 "$vmm" --accel kvm --mem "$mem" "$@" \
		</dev/null >out 2>err || status=$?
}

# check NAME COMMAND...
check()
{
	name=$1
	shift
	if "$@"; then
		verdict 0 "$name"
	else
		verdict 1 "$name"
	fi
}

# ends STATUS NAME ARGUMENT...
ends()
{
	want=$1
	name=$2
	shift 2
	run "$@"
	verdict "$((status != want))" "$name" "exit $status, not $want"
}

# refused PATTERN NAME ARGUMENT...: one sentence, exit 1
refused()
{
	pattern=$1
	name=$2
	shift 2
	run "$@"
	if [ "$status" -eq 1 ] && [ "$(wc -l <err)" -eq 1 ] &&
		grep -qE "$pattern" err; then
		verdict 0 "$name"
	else
		verdict 1 "$name" "exit $status"
	fi
}

run --kernel "$guests/real.bin"
! grep -q 'built without it' err || skip "$(cat err)"

# ---- modes and protocols; 33 is success -------------------------------------

ends 33 "flat, real mode" --kernel "$guests/real.bin"
check "its words on COM1" grep -qx hello out
ends 33 "flat, real mode, asked for" --flat real --kernel "$guests/real.bin"
ends 33 "flat, long mode" --flat long --kernel "$guests/long"
gzip -c "$guests/long" >long.gz
ends 33 "flat, long mode, gzip" --flat long --kernel long.gz
ends 33 "an interrupt of COM1" --kernel "$guests/irq.bin"
ends 33 "a second CPU by INIT and SIPI" --cpus 2 --flat long \
	--kernel "$guests/sipi"

printf first >one
printf second >two
ends 33 "Multiboot, ELF" --kernel "$guests/multiboot.elf" \
	--append 'one two' --initrd 'one with words,two'
ends 33 "Multiboot, flat" --kernel "$guests/multiboot.flat" \
	--append 'one two' --initrd 'one,two'
for protocol in pvh.elf vmlinux bzImage; do
	ends 33 "$protocol" --kernel "$guests/$protocol" \
		--append 'one two' --initrd one
done
# Each notices if it is not told so.
ends 9 "Multiboot without its command line" --initrd 'one,two' \
	--kernel "$guests/multiboot.elf"
ends 7 "PVH without a module" --kernel "$guests/pvh.elf" --append 'one two'

# ---- the end ----------------------------------------------------------------

for code in 0 1 16 127 255; do
	ends $(((code * 2 | 1) & 255)) "debug-exit $code" \
		--kernel "$guests/exit$code.bin"
done
ends 0 "power off" --kernel "$guests/poweroff.bin"
for how in reset i8042; do
	ends 0 "reboot by $how ends it with --no-reboot" --no-reboot \
		--kernel "$guests/$how.bin"
	mkfifo fifo
	timeout -s KILL 60 "$vmm" --accel kvm --mem 16M \
		--kernel "$guests/$how.bin" </dev/null >fifo 2>err &
	check "reboot by $how starts it again" \
		[ "$(head -c 3 <fifo)" = xxx ]
	kill $! 2>/dev/null || true
	wait $! 2>/dev/null || true
	rm fifo
done

run --flat long --kernel "$guests/triple"
if [ "$status" -eq 1 ] && grep -q 'triple fault' err &&
	grep -q '1122334455667788' err && [ "$(wc -l <err)" -le 24 ]; then
	verdict 0 "a triple fault, in one screen"
else
	verdict 1 "a triple fault, in one screen" "exit $status"
fi

# ---- which CPU --------------------------------------------------------------

# auto STATUS ARGUMENT...: without --accel
auto()
{
	want=$1
	shift
	status=0
	timeout -s KILL 60 "$vmm" "$@" </dev/null >out 2>err || status=$?
	[ "$status" -eq "$want" ]
}

# An x86 guest has no choice; it is told if this KVM only emulates.
if auto 33 --mem 16M --flat long --kernel "$guests/long" &&
	! grep -v 'only emulates' err; then
	verdict 0 "auto, an x86 guest"
else
	verdict 1 "auto, an x86 guest" "exit $status"
fi

# The built-in one has: the embedded CPU, if this KVM only emulates.
built_in="auto, the built-in guest"
if auto 0 --move-slot=count=100 --order ours --report json; then
	accel=kvm
	! grep -q 'only emulates.*taking the embedded CPU' err || accel=soft
	check "$built_in" grep -q "\"accel\": \"$accel\"" out
else
	verdict 1 "$built_in" "exit $status"
fi
ends 0 "the built-in guest on KVM" --move-slot=count=100,interval=1000 \
	--order ours

# ---- refused ----------------------------------------------------------------

mem=512K
refused 'at least 1048576 bytes' "too little RAM" \
	--kernel "$guests/real.bin"
mem=16M
head -c 1500 "$guests/bzImage" >short
refused 'is truncated: it has 1500 bytes of 1[0-9]*' "half a bzImage" \
	--kernel short
refused 'characters; this kernel takes at most 255' \
	"too long a command line" --kernel "$guests/bzImage" \
	--append "$(printf '%0250d' 0)"
refused 'this guest takes 1|no file one,two' "two initrds for Linux" \
	--kernel "$guests/bzImage" --initrd one,two
refused 'overlaps slotctl' "a slot over a device" \
	--kernel "$guests/real.bin" --slot id=2,base=0xfe000000,size=4K
refused 'overlaps interrupt controllers' "a slot over the APIC" \
	--kernel "$guests/real.bin" --slot id=2,base=0xfee00000,size=4K
refused 'has none' "a device tree" --kernel "$guests/real.bin" --dump-dtb dtb
exit "$failed"
