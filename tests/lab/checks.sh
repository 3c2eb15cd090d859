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
	program kvm_oracle 100000
}

# ---- running them ----------------------------------------------------------

# check NAME: run it and say `lab: VERDICT NAME (SECONDS s): REASON`
check()
{
	echo "lab: begin $1"
	start=$(date +%s)
	status=0
	"check_$1" >/tmp/out 2>&1 || status=$?
	cat /tmp/out
	case $status in
	0) verdict=passed reason= ;;
	77) verdict=skipped reason=": $(tail -n 1 /tmp/out)" ;;
	*) verdict=failed reason=": status $status" ;;
	esac
	echo "lab: $verdict $1 ($(($(date +%s) - start)) s)$reason"
}

# run_checks NAMES: these, or all in the order of this file
run_checks()
{
	[ -n "$1" ] || set -- "$(sed -n 's/^check_\([a-z0-9_]*\)().*/\1/p' \
		/lab/checks.sh)"
	for name in $1; do
		check "$name"
	done
}
