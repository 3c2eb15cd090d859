# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# checks.sh - what the lab checks; sourced in the lab's machine by its init
#
# A check is a function check_NAME with a comment that says what it shows.
# It passes if it returns 0, is skipped if it returns 77, and then the last
# thing it said is the reason. Its output goes to the console. Everything has
# a limit: the whole run ends within five minutes.

npt=${npt:-1}

# program NAME ARGUMENT...: a program of tests/kvm/, at most for $limit
program()
{
	if [ ! -x "/lab/$1" ]; then
		echo "$1 is not built"
		return 77
	fi
	timeout -s KILL "${limit:-60}" "$@"
}

# ---- the lab itself --------------------------------------------------------

check_kvm() # there is a KVM, with the paging that was asked for
{
	[ -c /dev/kvm ] || return
	case $(cat /sys/module/kvm_amd/parameters/npt) in
	Y | 1) [ "$npt" = 1 ] ;;
	*) [ "$npt" = 0 ] ;;
	esac
}

# ---- slots -----------------------------------------------------------------

check_oracle() # the slot manager's rules are the kernel's
{
	limit=120
	program kvm_oracle 100000
}

check_naive() # the naive way does lose writes, so the hammer can tell
{
	program kvm_naive 500
}

check_hammer() # transactions of several slots that no vCPU sees
{
	limit=150
	program kvm_hammer 10000 25
}

check_dirty() # what is harvested is what was written
{
	program kvm_dirty 200
}

# ---- tracking --------------------------------------------------------------

check_zoo3() # stores of all kinds to tracked pages, by a guest's program
{
	program kvm_zoo 3
}

check_zoo0() # and by its kernel
{
	program kvm_zoo 0
}

check_walker() # accessed and dirty bits in a tracked page table
{
	program kvm_walker 3 && program kvm_walker 0
}

# ---- Linux -----------------------------------------------------------------

# A build without the backend has nothing to show.
has_kvm()
{
	vmm --help >/tmp/help 2>&1
	grep -q -e '--accel .*kvm' /tmp/help && return
	echo "this vmm has no --accel kvm"
	return 77
}

# linux APPEND ARGUMENT...: Debian's kernel under vmm; its console in
# /tmp/console
linux()
{
	has_kvm || return
	append=$1
	shift
	timeout -s KILL "${limit:-60}" vmm --kernel /guest/Image \
		--initrd /guest/initrd.gz --mem 256M \
		--append "console=ttyS0 quiet $append" "$@" \
		</dev/null >/tmp/console 2>&1 || {
		echo "vmm: status $?"
		cat /tmp/console
		return 1
	}
	grep -a '^guest: ' /tmp/console
}

check_boot1() # Debian's kernel reaches userspace, and powers off
{
	linux window=none --cpus 1 || return
	grep -aq '^guest: init reached, .* x86_64, 1 CPU' /tmp/console
}

check_boot2() # with two CPUs
{
	linux window=none --cpus 2 || return
	grep -aq '^guest: init reached, .* x86_64, 2 CPU' /tmp/console
}

check_moves() # the window of a running Linux moves
{
	linux '' --cpus 2 --move-slot=count=50 --report json || return
	grep -aq '^guest: verdict ok' /tmp/console
}

check_move_slot() # the demonstration: ours loses nothing, legacy does
{
	has_kvm || return
	count=$([ "$npt" = 1 ] && echo 400 || echo 100)
	timeout -s KILL 60 vmm --accel kvm \
		--move-slot="count=$count,interval=1000" </dev/null || return
	timeout -s KILL 60 vmm --accel kvm \
		--move-slot="count=$count,interval=1000" </dev/null |
		grep -q '^verdict .*nothing lost .*LOST'
}

# ---- only if named --------------------------------------------------------------

# QEMU 7.2's processors do not get to the end of it: both come to wait for the
# lock of one run queue of the lab's kernel, and nothing ends that. On a
# machine's own /dev/kvm it is test kvm-failures of suite kvm.
bench_failures() # each ioctl fails in turn: the guest finds all as before
{
	limit=150
	program kvm_failures
}

# ---- benchmarks: only if named ------------------------------------------------

bench_slots() # changes of slots beside raw ioctls
{
	limit=200
	program kvm_bench_slots "$([ "$npt" = 1 ] && echo 100 || echo 10)"
}

bench_track() # writes to tracked pages beside a bare exit; pauses
{
	limit=200
	program kvm_bench_track 1000
}

bench_start() # from the start of vmm to the first instruction
{
	program kvm_bench_start /lab/vmm 21
}

# hundredths of a second
now()
{
	read -r up _ </proc/uptime
	echo "${up%.*}${up#*.}"
}

# boot_time NAME COMMAND...: adds it to /tmp/NAME
boot_time()
{
	name=$1
	shift
	start=$(now)
	timeout -s KILL 60 "$@" </dev/null >/tmp/console 2>&1 || {
		cat /tmp/console
		return 1
	}
	end=$(now)
	grep -aq '^guest: init reached' /tmp/console || {
		cat /tmp/console
		return 1
	}
	echo $((end - start)) >>"/tmp/$name"
}

# The median of the rounds' ratios: a machine that slows down, slows both.
median_ratio()
{
	paste /tmp/ours /tmp/peer | awk '{ print $1 / $2 }' | sort -n |
		awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

bench_boot() # Debian's kernel to power-off, beside QEMU's microvm on KVM
{
	if [ ! -x /qemu/qemu ]; then
		echo "QEMU is not in this lab: lab.sh --peer"
		return 77
	fi
	append='console=ttyS0 quiet window=none'
	for round in 1 2 3 4 5 6 7; do
		boot_time ours vmm --accel kvm --kernel /guest/Image \
			--initrd /guest/initrd.gz --mem 256M \
			--append "$append" || return
		boot_time peer /qemu/qemu -M microvm,acpi=on,rtc=on \
			-accel kvm -cpu host -m 256M -nodefaults \
			-no-user-config -display none -no-reboot \
			-serial stdio -kernel /guest/Image \
			-initrd /guest/initrd.gz -append "$append" || return
		echo "round $round: vmm $(tail -n 1 /tmp/ours)," \
			"QEMU $(tail -n 1 /tmp/peer) hundredths of a second"
	done
	awk -v r="$(median_ratio)" 'BEGIN {
		printf "boot ratio %.2f (limit 1.00, and 0.10 for noise)\n", r
		exit r > 1.10
	}'
}

# ---- running them ----------------------------------------------------------

# check NAME: run it and say `lab: VERDICT NAME (SECONDS s): REASON`
check()
{
	echo "lab: begin $1"
	limit=
	started=$(date +%s)
	status=0
	case $(type "check_$1" 2>&1) in
	*function*) "check_$1" ;;
	*) "bench_$1" ;;
	esac >/tmp/out 2>&1 || status=$?
	cat /tmp/out
	case $status in
	0) verdict=passed reason= ;;
	77) verdict=skipped reason=": $(tail -n 1 /tmp/out)" ;;
	*) verdict=failed reason=": status $status" ;;
	esac
	echo "lab: $verdict $1 ($(($(date +%s) - started)) s)$reason"
}

# run_checks NAMES: these, or all checks in the order of this file
run_checks()
{
	[ -n "$1" ] || set -- "$(sed -n 's/^check_\([a-z0-9_]*\)() #.*/\1/p' \
		/lab/checks.sh)"
	for name in $1; do
		check "$name"
	done
}
