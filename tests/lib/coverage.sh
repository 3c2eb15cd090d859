#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage: tests/lib/coverage.sh [raise]
#
# Which branches of memslot/ and pagetrack/ do the tests take? Builds
# build-cov/ with gcc --coverage, runs the suites unit, property and seed and
# the corpus of fuzz_ops, and prints a table of the files and
#
#   branch coverage memslot X.X %, pagetrack Y.Y %
#
# Fails if a test fails, or if one of the two is below its floor in
# tests/coverage.txt. The floors only rise: `raise` sets them to what was
# measured where that is more. Exits 77 if there is no gcovr.
#
# A branch that no input can take may be left out by a comment in the source,
# GCOVR_EXCL_BR_LINE with the reason; tests are to be preferred. Branches that
# gcc makes on lines without code are not counted.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/common.sh
. "$root/tests/lib/common.sh"
cd "$root"

dir=build-cov
floors=tests/coverage.txt

command -v gcovr >/dev/null || {
	echo "SKIP: gcovr is not installed"
	exit 77
}

log=$(mktemp)
table=$(mktemp)
trap 'rm -f "$log" "$table"' EXIT

[ -f "$dir/build.ninja" ] ||
	meson setup "$dir" -Dlibc=host -Db_coverage=true >"$log" 2>&1 || {
	tail -n 20 "$log"
	die "meson setup failed"
}
ninja -C "$dir" >"$log" 2>&1 || {
	tail -n 20 "$log"
	die "the build failed"
}
find "$dir" -name '*.gcda' -delete
failed=0
meson test -C "$dir" --no-rebuild --suite unit --suite property --suite seed \
	--timeout-multiplier 8 >"$log" 2>&1 || {
	grep -E 'FAIL|TIMEOUT' "$log" || tail -n 20 "$log"
	failed=1
}
# Its corpus reaches what no hand-written sequence does.
if [ -x "$dir/tests/fuzz_ops" ]; then
	"$dir/tests/fuzz_ops" tests/fuzz/corpus/ops >"$log" 2>&1 || {
		tail -n 3 "$log"
		failed=1
	}
fi

# gcovr's rows: name, branches, taken, percentage, lines
gcovr -r . --object-directory "$dir" --branches \
	--exclude-unreachable-branches \
	--filter 'memslot/' --filter 'pagetrack/' "$dir" 2>"$log" >"$table" || {
	tail -n 5 "$log"
	die "gcovr failed"
}
awk '/^(memslot|pagetrack)\//' "$table"

# percent FOLDER: with one digit, rounded down
percent()
{
	awk -v folder="$1/" 'index($1, folder) == 1 { all += $2; hit += $3 }
		END { if (!all) exit 1
			printf "%.1f\n", int(1000 * hit / all) / 10 }' "$table"
}

# floor FOLDER
floor()
{
	awk -v folder="$1" '$1 == folder { print $2 }' "$floors"
}

# less A B
less()
{
	awk -v a="$1" -v b="$2" 'BEGIN { exit !(a < b) }'
}

memslot=$(percent memslot) || die "no file of memslot/ was measured"
pagetrack=$(percent pagetrack) || die "no file of pagetrack/ was measured"
echo "branch coverage memslot $memslot %, pagetrack $pagetrack %"

# judge FOLDER PERCENT RAISE
judge()
{
	least=$(floor "$1")
	if less "$2" "$least"; then
		echo "$1: $2 % of the branches, below the floor $least %"
		failed=1
	elif [ "$3" = raise ] && less "$least" "$2"; then
		sed -i "s/^$1 .*/$1 $2/" "$floors"
	fi
}

judge memslot "$memslot" "${1-}"
judge pagetrack "$pagetrack" "${1-}"
exit $failed
