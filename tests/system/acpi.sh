#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage: acpi.sh TEST_ACPI
#
# The ACPI tables are ones that Intel's compiler understands, and the DSDT is
# the same when it has been taken apart and put together again. TEST_ACPI
# writes them.
set -eu

command -v iasl >/dev/null || {
	echo "SKIP: there is no iasl (package acpica-tools)"
	exit 77
}
test_acpi=$(realpath "$1")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
failed=0

"$test_acpi" "$tmp"
for table in XSDT FACP APIC MCFG DSDT; do
	if iasl -d "$table.dat" >log 2>&1 && [ -s "$table.dsl" ] &&
		! grep -qiE 'error|invalid|incorrect|unknown' log; then
		echo "ok - $table"
	else
		failed=1
		echo "not ok - $table"
		sed 's/^/# /' log
	fi
done

# The header names the compiler, so the code alone is compared.
if grep -q 'Name (_S5' DSDT.dsl && iasl DSDT.dsl >log 2>&1 &&
	cmp -i 36 DSDT.dat DSDT.aml >>log 2>&1; then
	echo "ok - the DSDT again"
else
	failed=1
	echo "not ok - the DSDT again"
	sed 's/^/# /' log
fi
exit "$failed"
