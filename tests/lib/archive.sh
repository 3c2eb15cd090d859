# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# archive.sh - packages of any suite and architecture from Debian's archive
#
# Sourced, never run, after common.sh. apt does the work and checks the
# signatures, with a configuration of its own: the machine's sources, package
# lists and foreign architectures are neither used nor changed. Only where the
# archive is, and how to get there (proxies), is learnt from the machine.
# Needs no root.
#
#   archive_open ARCH DIR     work for that architecture, in an empty folder
#   archive_choose SUITE      use it from now on, if its index can be had
#   archive_ask COMMAND...    apt-cache, with the chosen suite's lists
#   archive_download PACKAGE  into DIR/deb
#   archive_unpack PACKAGE TO PATTERN...   files of a downloaded package
#   archive_fail WHY          end the program, after apt's own reasons

archive_tools()
{
	for tool in apt-get dpkg-deb flock; do
		command -v "$tool" >/dev/null || return 1
	done
}

archive_fail()
{
	[ ! -s "$archive_log" ] || apt_reasons "$archive_log" >&2
	die "$*"
}

# Where this machine gets Debian's main archive from. The lists name their
# origin; a machine that never ran `apt-get update` has only the addresses
# of its sources, and then the security archive is told by its name.
archive_site()
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

archive_open()
{
	archive_arch=$1
	archive_dir=$2
	archive_log=$archive_dir/log
	archive_keyring=
	for k in /usr/share/keyrings/debian-archive-keyring.pgp \
		/usr/share/keyrings/debian-archive-keyring.gpg; do
		[ ! -r "$k" ] || archive_keyring=$k
	done
	[ -n "$archive_keyring" ] || die "Debian's archive keyring not found:" \
		"install debian-archive-keyring"
	archive_url=$(archive_site) || die "no source of Debian's archive in" \
		"this machine's apt configuration"
	mkdir -p "$archive_dir/state/lists/partial" \
		"$archive_dir/cache/archives/partial" \
		"$archive_dir/etc" "$archive_dir/deb"
	: >"$archive_dir/state/status"
}

archive_ask()
{
	tool=$1
	shift
	"$tool" -q \
		-o Dir::State="$archive_dir/state" \
		-o Dir::State::lists="$archive_dir/state/lists" \
		-o Dir::State::status="$archive_dir/state/status" \
		-o Dir::Cache="$archive_dir/cache" \
		-o Dir::Etc::sourcelist="$archive_dir/etc/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null \
		-o Dir::Etc::preferencesparts=/dev/null \
		-o APT::Architecture="$archive_arch" \
		-o APT::Architectures="$archive_arch" \
		-o APT::Sandbox::User=root \
		-o APT::Update::Error-Mode=any \
		-o APT::Update::Post-Invoke::= \
		-o Acquire::Languages=none \
		-o Acquire::Retries=2 \
		"$@" 2>>"$archive_log"
}

# Archives and networks have bad minutes.
archive_twice()
{
	"$@" && return
	sleep 5
	"$@"
}

archive_update()
{
	archive_ask apt-get update >>"$archive_log"
}

archive_choose()
{
	printf 'deb [signed-by=%s] %s %s main\n' \
		"$archive_keyring" "$archive_url" "$1" \
		>"$archive_dir/etc/sources.list"
	archive_twice archive_update
}

archive_download_once()
{
	(cd "$archive_dir/deb" &&
		archive_ask apt-get download "$1" >>"$archive_log")
}

archive_download()
{
	archive_twice archive_download_once "$1"
}

archive_unpack()
{
	package=$1
	to=$2
	shift 2
	mkdir -p "$to"
	dpkg-deb --fsys-tarfile "$archive_dir/deb/${package}"_*.deb |
		tar -x -C "$to" --no-same-owner --wildcards "$@" \
			2>>"$archive_log"
}
