# SPDX-License-Identifier: MIT
# Goal: end-to-end tests with programs that the usual run skips where they are missing, since
# installing them changes a host. Sourced after common.sh.
# shellcheck shell=sh
# shellcheck disable=SC2154 # set in common.sh
policy=/usr/sbin/policy-rc.d
made_policy=''
take_back()
{
	[ -z "$made_policy" ] || rm -f "$policy"
}
trap 'take_back || true; clean_up' EXIT

# need_programs PROGRAM[:PACKAGE]...: installs those that are missing. What they serve isn't started,
# now or at a boot: it would take this machine's ports, or close them.
need_programs()
{
	wanted=''
	for program; do
		command -v "${program%:*}" >/dev/null || wanted="$wanted ${program#*:}"
	done
	[ -n "$wanted" ] || return 0
	[ "$(id -u)" -eq 0 ] || skip "missing:$wanted"
	command -v apt-get >/dev/null || skip "missing:$wanted"
	if [ ! -e "$policy" ]; then
		made_policy=yes
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	apt-get update -q >/dev/null || true
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $wanted >/dev/null
	for package in $wanted; do
		[ ! -e "/lib/systemd/system/$package.service" ] || [ ! -x /bin/systemctl ] ||
			systemctl disable -q "$package" 2>/dev/null || true
	done
}

# passes PATTERN FILE...: those tests do, and none of them is skipped
passes()
{
	pattern=$1
	shift
	RDSRV="${RDSRV:-$PWD/build/rdsrv}" /usr/bin/python3 -m pytest -q -rs -k "$pattern" "$@" \
		>"$place/tests" 2>&1
	status=$?
	cat "$place/tests"
	[ "$status" -eq 0 ] && ! grep -q skipped "$place/tests"
}
