#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tidy.sh - the house rules that a program can check
set -eu

cd "$(dirname "$0")/../.."
# rule() is the end of a pipe, and so a process of its own.
broken=$(mktemp)
trap 'rm -f "$broken"' EXIT

# rule NAME: what stdin lists breaks it
rule()
{
	found=$(cat)
	if [ -z "$found" ]; then
		echo "ok - $1"
	else
		echo "$1" >>"$broken"
		echo "not ok - $1"
		echo "$found" | head -n 20 | sed 's/^/# /'
	fi
}

# Source files by the rooms they are in, whether git knows them or not.
sources()
{
	find "$@" -name '*.[ch]' 2>/dev/null | sort
}

rooms="memslot pagetrack devices vmm examples tests"

{
	grep -nE '^#include "(pagetrack|devices|vmm)/' -r memslot || true
	grep -nE '^#include "(devices|vmm)/' -r pagetrack || true
	grep -nE '^#include "vmm/' -r devices || true
} | rule "no include points upwards"

# shellcheck disable=SC2086
{
	for f in $(sources $rooms) $(find . -path './build*' -prune -o \
		-name meson.build -print) *.md docs/*.md meson_options.txt \
		.gitignore .clang-format examples/demo.sh tests/run.sh \
		.ci/run tests/*/*.sh tests/*/*.py; do
		head -n 3 "$f" | grep -q 'SPDX-License-Identifier: MIT' ||
			echo "$f"
	done
} | rule "every file names its licence"

# shellcheck disable=SC2086
{
	if command -v clang-format >/dev/null; then
		clang-format --dry-run $(sources $rooms) 2>&1 |
			grep 'code should be' | sort -u || true
	fi
} | rule "clang-format has nothing to change"

# shellcheck disable=SC2086
awk 'length($0) > 100 {print FILENAME ":" FNR}' $(sources $rooms) |
	rule "no line is far too long"

# The public headers, as a C++ program would include them.
{
	if command -v g++ >/dev/null; then
		echo '#include "vmm/vmm.h"' | g++ -std=c++11 -Wall -Wextra \
			-Werror -fsyntax-only -I. -x c++ - 2>&1 || true
	fi
} | rule "the headers are C++ too"

# Nothing freestanding may need more than mem* and the compiler's own helpers
# (hosted.c is the exception).
{
	tmp=$(mktemp -d)
	for f in memslot/*.c pagetrack/*.c; do
		case $f in memslot/hosted.c | memslot/yield.c) continue ;; esac
		o=$tmp/$(echo "$f" | tr / _).o
		gcc -std=gnu11 -O2 -ffreestanding -fno-stack-protector \
			-fno-pic -nostdlib -I. -c "$f" -o "$o" 2>&1 || true
	done
	ld -r -o "$tmp/all.o" "$tmp"/*.c.o 2>&1 || true
	nm -u "$tmp/all.o" | awk '{print $2}' |
		grep -vxE 'mem(cpy|move|set|cmp)|__popcountdi2' || true
	rm -rf "$tmp"
} | rule "memslot and pagetrack need nothing of libc but mem*"

[ ! -s "$broken" ]
