#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage: guest-riscv64.sh
#
# Fetch what a riscv64 guest is made of, from Debian's archive:
#   .cache/riscv64/Image    Debian's kernel, as it comes
#   .cache/riscv64/busybox  a static busybox
#   .cache/riscv64/VERSION  which packages they are from
#
# apt does the work and checks the signatures, with a configuration of its
# own: the machine's sources, package lists and foreign architectures are
# neither used nor changed. Only where the archive is, and how to get there
# (proxies), is learnt from the machine. Needs no root. Does nothing when the
# files are there; remove .cache to fetch anew.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/common.sh
. "$root/tests/lib/common.sh"

# The first of these whose index the archive has in full: for hours after an
# update a mirror may have only half of a suite.
suites='trixie forky'
arch=riscv64
kernel_meta=linux-image-$arch
out=$cache/$arch

have_all()
{
	[ -s "$out/Image" ] && [ -s "$out/busybox" ] && [ -s "$out/VERSION" ]
}

have_all && exit 0

for tool in apt-get dpkg-deb flock; do
	command -v "$tool" >/dev/null ||
		die "$tool not found: fetching the guest needs a Debian system;" \
			"elsewhere put a riscv64 kernel Image and a static busybox" \
			"into .cache/$arch (with a file VERSION)"
done

mkdir -p "$cache"

# Whoever comes second waits, and then finds the files there.
exec 9>"$cache/lock"
flock 9
have_all && exit 0

tmp=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
log=$tmp/log

fail()
{
	[ ! -s "$log" ] || apt_reasons "$log" >&2
	die "$*"
}

# ---- apt, on its own -----------------------------------------------------

# Where this machine gets Debian's main archive from. The lists name their
# origin; a machine that never ran `apt-get update` has only the addresses
# of its sources, and then the security archive is told by its name.
archive()
{
	apt-get indextargets 2>/dev/null | awk '
		function done() {
			if (origin == "Debian" && label == "Debian" && !found) {
				print site
				found = 1
			}
			origin = label = site = ""
		}
		/^$/ { done() }
		/^Origin: / { origin = $2 }
		/^Label: / { label = $2 }
		/^Site: / { site = $2 }
		END { done(); exit !found }
	' && return
	apt-get update --print-uris 2>/dev/null | awk -F "'" '
		$2 ~ /\/dists\// && $2 !~ /security/ && !found {
			sub(/\/dists\/.*/, "", $2)
			print $2
			found = 1
		}
		END { exit !found }
	'
}

keyring=
for k in /usr/share/keyrings/debian-archive-keyring.pgp \
	/usr/share/keyrings/debian-archive-keyring.gpg; do
	[ ! -r "$k" ] || keyring=$k
done
[ -n "$keyring" ] ||
	die "Debian's archive keyring not found: install debian-archive-keyring"
site=$(archive) ||
	die "no source of Debian's archive in this machine's apt configuration"

mkdir -p "$tmp/state/lists/partial" "$tmp/cache/archives/partial" \
	"$tmp/etc" "$tmp/deb" "$tmp/files"
: >"$tmp/state/status"

# private_apt TOOL ARGUMENT...
private_apt()
{
	tool=$1
	shift
	"$tool" -q \
		-o Dir::State="$tmp/state" \
		-o Dir::State::lists="$tmp/state/lists" \
		-o Dir::State::status="$tmp/state/status" \
		-o Dir::Cache="$tmp/cache" \
		-o Dir::Etc::sourcelist="$tmp/etc/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null \
		-o Dir::Etc::preferencesparts=/dev/null \
		-o APT::Architecture="$arch" \
		-o APT::Architectures="$arch" \
		-o APT::Sandbox::User=root \
		-o APT::Update::Error-Mode=any \
		-o APT::Update::Post-Invoke::= \
		-o Acquire::Languages=none \
		-o Acquire::Retries=2 \
		"$@" 2>>"$log"
}

# Archives and networks have bad minutes.
twice()
{
	"$@" && return
	sleep 5
	"$@"
}

update()
{
	private_apt apt-get update >>"$log"
}

# download PACKAGE: into $tmp/deb, checked against the signed lists
download()
{
	(cd "$tmp/deb" && private_apt apt-get download "$1" >>"$log")
}

# ---- the guest -----------------------------------------------------------

printf "fetching Debian's %s kernel and busybox (about 120 MB)\n" "$arch"

# choose SUITE: use it from now on, if its index can be had
choose()
{
	suite=$1
	printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$site" "$suite" \
		>"$tmp/etc/sources.list"
	twice update
}

for suite in $suites none; do
	[ "$suite" != none ] ||
		fail "cannot fetch Debian's list of packages for $arch"
	! choose "$suite" || break
done

# The meta package names the current kernel. One built without signatures
# and for the plain architecture is what we want; since forky the file is in
# a package of its own.
kernel=$(private_apt apt-cache depends --important "$kernel_meta" |
	awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ { print $2; exit }')
binary=$(printf '%s\n' "$kernel" | sed 's/^linux-image-/linux-binary-/')
! private_apt apt-cache show "$binary" >/dev/null || kernel=$binary
[ -n "$kernel" ] || fail "Debian $suite has no kernel package for $arch"

for package in "$kernel" busybox-static; do
	twice download "$package" || fail "cannot fetch $package for $arch"
done

# extract PACKAGE PATTERN FILE: the one file of a package that is needed
extract()
{
	mkdir "$tmp/x"
	dpkg-deb --fsys-tarfile "$tmp/deb/$1"_*.deb |
		tar -x -C "$tmp/x" --no-same-owner --wildcards "$2" \
			2>>"$log" || die "$1 for $arch has no $2"
	find "$tmp/x" -type f -exec mv {} "$tmp/files/$3" \;
	rm -rf "$tmp/x"
	[ -s "$tmp/files/$3" ] || die "$1 for $arch has no $2"
}

case $kernel in
linux-binary-*) extract "$kernel" './usr/lib/modules/*/vmlinuz' Image ;;
*) extract "$kernel" './boot/vmlinu[xz]-*' Image ;;
esac
extract busybox-static '*/busybox' busybox
chmod 644 "$tmp/files/Image"
chmod 755 "$tmp/files/busybox"
for deb in "$tmp"/deb/*.deb; do
	dpkg-deb --show "$deb"
done >"$tmp/files/VERSION"

rm -rf "$out"
mv "$tmp/files" "$out"
