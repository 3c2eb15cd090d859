#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh - verify the model of the protocol with Spin
#
# usage: run.sh [--chart FILE.svg] [NAME...]
#
# Runs the named verifications, or all: the order of memslot/txn.c must pass,
# the legacy order must fail as expected, and so must every mutation of ours.
# --chart draws the legacy counter-example. KEEP=DIR keeps the trails and logs
# there. Exit 77: no spin.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
chart=

while [ $# -gt 0 ]; do
	case $1 in
	--chart) chart=$2; shift ;;
	-*) echo "usage: run.sh [--chart FILE.svg] [NAME...]" >&2
		exit 2 ;;
	*) break ;;
	esac
	shift
done
wanted=" $* "

for tool in spin "${CC:-cc}" python3; do
	if ! command -v "$tool" >/dev/null; then
		echo "SKIP: no $tool"
		exit 77
	fi
done

work=${KEEP:-$(mktemp -d)}
mkdir -p "$work"
[ -n "${KEEP:-}" ] || trap 'rm -rf "$work"' EXIT
python3 "$here/phases.py" "$root/memslot/txn.c" >"$work/phases.inc"
cp "$here/protocol.pml" "$work"

failed=0

# check NAME VERDICT "SWITCHES" ["CC FLAGS"]: VERDICT is "pass" or a part of
# what Spin must complain about
check()
{
	name=$1 verdict=$2 switches=$3 ccflags=${4:-}
	case $wanted in
	"  ") ;;
	*" $name "*) ;;
	*) return 0 ;;
	esac
	mkdir -p "$work/$name"
	cp "$work/protocol.pml" "$work/phases.inc" "$work/$name"
	cd "$work/$name"
	# word splitting of switches is meant
	# shellcheck disable=SC2086
	if ! spin -a $switches protocol.pml >spin.log 2>&1; then
		cat spin.log
		exit 1
	fi
	case $switches in
	*-DLIVE_*) kind=-DNFAIR=4 search="-a -f" ;; # weakly fair cycles
	*) kind=-DSAFETY search= ;;
	esac
	# shellcheck disable=SC2086
	"${CC:-cc}" -O2 -w $kind -DMEMLIM=${memory:-2000} -DVECTORSZ=512 $ccflags \
		-o pan pan.c
	rc=0
	# shellcheck disable=SC2086
	timeout "${LIMIT:-150}" ./pan $search -m400000 "-w${width:-22}" >pan.log 2>&1 || rc=$?
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log)
	complaint=$(sed -n 's/^pan:[0-9]*: \(.*\) (at depth.*/\1/p' pan.log)
	if [ "$rc" != 0 ] || grep -q 'limit\|MEMLIM\|too small' pan.log; then
		got="NOT FINISHED (exit $rc)"
	elif [ -n "$complaint" ]; then
		got=$complaint
	elif grep -q 'errors: 0' pan.log; then
		got=pass
	else
		got="no verdict"
	fi
	case $got in
	*"$verdict"*) mark=ok ;;
	*) mark="NOT AS EXPECTED ($verdict)"; failed=$((failed + 1)) ;;
	esac
	seconds=$(sed -n 's/^pan: elapsed time \([0-9.]*\) .*/\1/p' pan.log)
	printf '%-22s %10s states %6s s  %s: %s\n' \
		"$name" "${states:-?}" "${seconds:-0}" "$mark" "$got"
	cd "$here"
}

fine="-DTRIES=1 -DADDS=1 -DFIXED_PAGES"
coarse="$fine -DCOARSE"
c="-DCOLLAPSE"
unseen='owed[r])||(told[r]==1'
freed='freed['
stuck='invalid end state'
abort='table==wanted'

# One line a model. Readers with every step, without a client:
check readers         pass "-DNCPU=1 -DNDEV=1 -DNO_TRACKER -DTRIES=1" $c
check readers-last    pass "-DNCPU=1 -DNDEV=0 -DNO_TRACKER -DTRIES=2 -DLAST_HIT" $c
live="-DNCPU=1 -DNDEV=1 -DNO_TRACKER -DTRIES=1 -DFIXED_PAGES"
check waits-end       pass "$live -DLIVE_WAIT" $c
check grace-ends      pass "$live -DLIVE_GRACE" $c
# One writer of each kind against transaction and client, with every step:
check device          pass "-DNCPU=0 -DNDEV=1 $fine" $c
check cpu             pass "-DNCPU=1 -DNDEV=0 $fine" $c
# With sections as single steps: policies, moves, shootdown, more tries:
check follow          pass "-DNCPU=1 -DNDEV=1 $coarse -DPOLICY=1" $c
check retry           pass "-DNCPU=1 -DNDEV=0 -DCOARSE -DTRIES=2 -DADDS=2" $c
check move-stay       pass "-DNCPU=1 -DNDEV=0 -DCOARSE -DTRIES=1 -DADDS=2 -DKIND_MOVE" $c
check move-follow     pass "-DNCPU=1 -DNDEV=0 -DCOARSE -DTRIES=1 -DADDS=2 -DKIND_MOVE -DPOLICY=1" $c
check shootdown       pass "-DNCPU=1 -DNDEV=1 $coarse -DDIRECT" $c
check two-cpus        pass "-DNCPU=2 -DNDEV=0 $coarse -DNO_BREAK" $c
# All of them at once, with hashes of states: 67 s, 2.5 GB, and not more.
LIMIT=600 width=25 memory=3000 # a table that grows would take as much again
check everybody       pass "-DNCPU=2 -DNDEV=1 $coarse -DWRITES=1 -DNO_BREAK" -DHC4
LIMIT=150 width=22 memory=2000

# The legacy order: protection is lost by a failed prepare ...
check legacy          "$abort" "-DNCPU=1 -DNDEV=1 $coarse -DLEGACY" $c
# ... and a write goes unseen. Breadth first: the shortest way there.
told="-DNCPU=1 -DNDEV=0 $coarse -DLEGACY -DUNSEEN_ONLY -DCHART -DNO_REMOVE"
check legacy-unseen   "$unseen" "$told" -DBFS
# A node that refuses moves, and adds a page while one runs (docs/model.md)
check refuse          pass "-DNCPU=1 -DNDEV=0 $coarse -DPOLICY=2" $c
check refuse-late     'assertion violated 0' "-DNCPU=1 -DNDEV=0 $coarse -DPOLICY=2 -DM_REFUSE_LATE" $c

# Mutations of our order
one="-DNCPU=1 -DNDEV=0 $coarse"
check no-grace        'cache[r]>=2' "$one -DDIRECT -DM_NO_GRACE" $c
check no-kick         "$stuck" "$one -DM_NO_KICK" $c
check hold-late       "$unseen" "$one -DPOLICY=1 -DM_HOLD_LATE" $c
check free-early      "$freed" "$one -DM_FREE_EARLY" $c
check flush-late      'cache[r]>=2' "$one -DM_FLUSH_LATE" $c
check protect-no-wait 'armed' "$one -DM_PROTECT_NO_WAIT" $c
check count-late      'armed' "$one -DM_COUNT_LATE" $c
check unregister-no-wait 'unregistered' "$one -DM_UNREGISTER_NO_WAIT" $c
check no-kick-live     'acceptance cycle' "$live -DLIVE_GRACE -DM_NO_KICK" $c
readers="-DNCPU=1 -DNDEV=1 -DNO_TRACKER -DTRIES=1"
check no-wake         "$stuck" "$readers -DM_NO_WAKE" $c
check ask-late        "$stuck" "$readers -DM_ASK_LATE" $c
check futex-unchecked "$stuck" "$readers -DM_FUTEX_UNCHECKED" $c
check set-first       "$freed" "$readers -DM_SET_FIRST" $c
check keep-last       "$freed" "$readers -DLAST_HIT -DM_KEEP_LAST" $c

if [ -n "$chart" ]; then
	case $chart in
	/*) ;;
	*) chart=$PWD/$chart ;;
	esac
	cd "$work/legacy-unseen"
	# shellcheck disable=SC2086
	spin -t $told protocol.pml | python3 "$here/chart.py" >"$chart"
	echo "drawn: $chart"
fi
if [ "$failed" != 0 ]; then
	echo "$failed verifications did not end as expected"
	exit 1
fi
echo "all verifications ended as expected"
