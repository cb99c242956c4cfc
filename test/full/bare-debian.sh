#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: the README's two commands work on a bare Debian 12, without compiler or make, and a second
# start is quick. The bare machine is a directory made by debootstrap, with namespaces of its own
# for mounts and processes, so that nothing outlives it; the network is the host's, for apt.
set -eu
cd "$(dirname "$0")/../.."
title='bare Debian'
. test/full/helpers/common.sh
need_debian
require 'debootstrap' debian "$system"

# The tree as a clone would have it, with what is not committed yet.
mkdir "$system/rdsrv"
git ls-files -co --exclude-standard | while read -r file; do
	[ ! -e "$file" ] || printf '%s\n' "$file"
done | tar -cf - -T - | tar -xf - --no-same-owner -C "$system/rdsrv"

# Where this machine uses the ports already, other ones do.
if grep -qE ':527[BCD] ' /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 2>/dev/null; then
	export PORT=31116
fi

cat >"$system/trial.sh" <<'END'
set -u
cd /rdsrv
failed=0

# expect WHAT COMMAND...
expect()
{
	what=$1
	shift
	if "$@" >/tmp/said 2>&1; then
		echo "PASS bare Debian: $what"
	else
		sed 's/^/  /' /tmp/said
		echo "FAIL bare Debian: $what"
		failed=1
	fi
}

# timed MS COMMAND...: the command works, and within that time
timed()
{
	limit=$1
	shift
	began=$(date +%s%3N)
	"$@" || return 1
	took=$(($(date +%s%3N) - began))
	echo "took $took ms"
	[ "$took" -le "$limit" ]
}

no_tools()
{
	for tool in cc gcc clang make pkg-config python3; do
		! command -v "$tool" || return 1
	done
}

# The README's commands are its indented lines.
in_readme()
{
	grep -qx '    sh packaging/quickstart.sh' README.md && grep -qx '    sh test/run.sh' README.md
}

quickstart()
{
	sh packaging/quickstart.sh >/tmp/told 2>&1
	status=$?
	cat /tmp/told
	return $status
}

told()
{
	cat /tmp/told
	key=$(cat data/id_ed25519.pub)
	grep -q "^  Key  *$key\$" /tmp/told &&
		grep -qE '^  Fingerprint  *SHA256:[A-Za-z0-9+/]{43}$' /tmp/told &&
		grep -qE '^  ID server  *[^ ]' /tmp/told &&
		grep -qE '^  [0-9A-Za-z_-]{100,}$' /tmp/told &&
		grep -qE "^  Listens on  *TCP $((port - 1))-$((port + 3)); UDP $port-$((port + 1))\$" /tmp/told &&
		grep -qE "^  Stop  .*kill $(server_pid)\\)" /tmp/told
}

modes()
{
	stat -c '%a %n' data data/id_ed25519
	[ "$(stat -c %a data)" = 700 ] && [ "$(stat -c %a data/id_ed25519)" = 600 ]
}

server_pid()
{
	build/rdsrv ctl --json --data-dir data id status 2>/dev/null |
		sed -n 's/^[[:space:]]*"pid":[[:space:]]*\([0-9]*\),$/\1/p'
}

same_server()
{
	echo "was $pid, is $(server_pid)"
	[ -n "$pid" ] && [ "$(server_pid)" = "$pid" ]
}

stops()
{
	sh packaging/quickstart.sh stop && [ -z "$(server_pid)" ]
}

all_tests()
{
	sh test/run.sh </dev/null >/tmp/tests 2>&1
	status=$?
	cat /tmp/tests
	[ $status -eq 0 ] && tail -n 1 /tmp/tests | grep -qE '^[1-9][0-9]* passed, 0 failed$'
}

port=${PORT:-21116}
expect 'no compiler, make or Python at first' no_tools
expect 'the README has both commands' in_readme
expect 'quickstart' quickstart
expect 'quickstart tells key, address, ports and how to stop it' told
expect 'the data directory is private' modes
pid=$(server_pid)
expect 'a second quickstart takes less than 3 s' timed 3000 quickstart
expect 'it tells the same' told
expect 'and starts no second server' same_server
expect 'quickstart stop' stops
expect 'a start after that takes less than 3 s' timed 3000 quickstart
expect 'it works like the first' told
expect 'quickstart stop once more' stops
unset PORT
expect 'test/run.sh' all_tests
exit $failed
END

cat >"$place/enter.sh" <<'END'
set -eu
# A mount of its own, since the tests make mount namespaces.
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount -t sysfs sysfs "$1/sys"
mount -t tmpfs tmpfs "$1/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$1/dev/pts"
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root ${PORT:+PORT="$PORT"} \
	${http_proxy:+http_proxy="$http_proxy"} chroot "$1" sh /trial.sh
END
unshare --mount --pid --fork --kill-child sh "$place/enter.sh" "$system"
