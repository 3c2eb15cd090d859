#!/bin/sh
# SPDX-License-Identifier: MIT
#
# grace_walk.sh - walk the interleavings of memslot/reader.c, and show that
# the walk can fail: mutations of reader.c must be caught
#
# usage: grace_walk.sh [preemptions]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# build NAME SED-SCRIPT; to look more than once would only make schedules longer
build()
{
	sed -e 's/#define GRACE_LOOKS     4/#define GRACE_LOOKS 1/' -e "$2" \
		"$root/memslot/reader.c" >"$work/$1.c"
	"${CC:-cc}" -std=gnu11 -O1 -w -I"$root" "-DREADER_C=\"$work/$1.c\"" \
		-o "$work/$1" "$here/grace_walk.c"
}

mutate()
{
	build "$1" "$2"
	if cmp -s "$work/$1.c" "$work/reader.c"; then
		echo "$1: the mutation does not fit reader.c any more"
		exit 1
	fi
	if timeout 100 "$work/$1" "${3:-2}" >"$work/log"; then
		echo "$1: NOT CAUGHT"
		exit 1
	fi
	echo "$1: caught: $(cat "$work/log")"
}

build reader ''
timeout 100 "$work/reader" "${1:-3}"
mutate no-wake 's/if (atomic_load(&r->asked)) {/if (0) {/'
mutate passed-at-once 's/atomic_load(&r->section) != r->seen;/atomic_load(\&r->section) >= r->seen;/'
mutate outside-first 's/^	atomic_store(&r->section, (count(r) + 1) | 1);/	atomic_store(\&r->section, (count(r) | 1) + 1);/'
mutate set-first '/^	atomic_store(&r->section, (count(r) + 1) | 1);/{h;d;};/r->set = atomic_load(&ms->set);/G'
mutate keep-last 's/^		r->last_pages = 0;//'
mutate never-asked 's/^		atomic_store(&r->asked, 1);//'
mutate wait-unchecked 's/^		if (reader_passed(r))$/		if (0)/' 3
