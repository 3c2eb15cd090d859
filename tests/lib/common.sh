# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# common.sh - what the project's scripts share; sourced, never run
#
# The caller has set `root`, the top of the source tree.

# shellcheck disable=SC2034 # read by the scripts that source this file
cache=${root:?}/.cache

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# step TEXT: a heading that is easy to find among a guest's console output
step()
{
	printf '\n== %s\n' "$*"
}

# An apt log is read by a person who wants the reason; the addresses in it
# differ from machine to machine and are nobody's business.
apt_reasons()
{
	sed -n -e 's/^[EW]: //p' "$1" |
		sed -E -e 's, *\[IP: [^]]*\],,' -e 's,[a-z+]+://[^ ]*,(archive),g' \
			-e "s/'[A-Za-z0-9.-]+\.[A-Za-z]+'/(archive)/g" \
			-e 's/[A-Za-z0-9.-]+:[0-9]+ \([0-9a-f.:]+\)/(archive)/g' |
		sort -u | head -n 3
}
