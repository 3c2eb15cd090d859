#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage: acpi.sh TEST_ACPI TEST_ACPI_PCI
#
# The ACPI tables are ones that Intel's compiler understands, and the DSDT is
# the same when it has been taken apart and put together again; one with a PCI
# host bridge says what it should. The tests write them.
set -eu

command -v iasl >/dev/null || {
	echo "SKIP: there is no iasl (package acpica-tools)"
	exit 77
}
test_acpi=$(realpath "$1")
test_acpi_pci=$(realpath "$2")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
failed=0

"$test_acpi" "$tmp"
"$test_acpi_pci" "$tmp"
for table in XSDT FACP APIC MCFG DSDT PCI; do
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

# says PATTERN: in what the disassembler makes of the host bridge
says()
{
	if tr -d '\n' <PCI.dsl | tr -s ' ' | grep -q "$1"; then
		echo "ok - the host bridge: $1"
	else
		failed=1
		echo "not ok - the host bridge: $1"
	fi
}
says 'Device (PCI0) {.*EisaId ("PNP0A08").*EisaId ("PNP0A03")'
says 'WordBusNumber (.*0x0001, // Length'
says 'DWordMemory (.*0xD0000000,.*0xDFFFFFFF,.*0x10000000, // Length'
says 'QWordMemory (.*Prefetchable.*0x0000100000000000,.*0x0000001000000000,'
says '{ 0x0001FFFF, 0x00, Zero, 0x11 }'
says '{ 0x001FFFFF, 0x03, Zero, 0x12 } })'
says 'Device (ECAM) {.*Memory32Fixed (ReadWrite, 0xE0000000,'
exit "$failed"
