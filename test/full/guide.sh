#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: rdsrv-guide(7), typed at a Debian 12 with systemd, sudo, ufw and firewalld as it stands in the
# page: from the installed units to the restored backup. Its commands for Docker, for packages and for
# other hosts are run by other tests here; test/e2e/test_guide.py reads those.
set -eu
cd "$(dirname "$0")/../.."
release=bookworm
MOST_S=60
libraries=libevent-core-2.1-7,libevent-extra-2.1-7,libsodium23,libcjson1,libqrencode4
libraries=$libraries,libsqlite3-0,libwslay1,libssl3

skip()
{
	echo "SKIP guide: $*"
	exit 0
}

[ "$(id -u)" -eq 0 ] || skip 'needs root'
command -v apt-get >/dev/null || skip 'takes its mirror from apt, which is not here'
command -v debootstrap >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
	--no-install-recommends debootstrap >/dev/null
# shellcheck disable=SC2016 # apt's, not the shell's
mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' |
	sed -n 's/^Debian //p' | head -n 1)
[ -n "$mirror" ] || skip 'apt has no mirror of Debian here'

booted=
bare=$(mktemp -d)
system=$bare/system
end()
{
	# unshare ignores SIGTERM while its child runs.
	if [ -n "$booted" ]; then
		kill -KILL "$booted" 2>/dev/null || true
		wait "$booted" 2>/dev/null || true
	fi
	rm -rf --one-file-system "$bare"
}
trap end EXIT
trap 'exit 1' HUP INT TERM

# result WHAT STATUS: and what was said, if it failed
result()
{
	if [ "$2" -eq 0 ]; then
		echo "PASS guide: $1"
	else
		sed 's/^/  /' "$bare/said"
		echo "FAIL guide: $1"
	fi
}

# What is typed here: not what other hosts, other tests and the network are for.
is_for_here()
{
	case $1 in
	*docker* | *'~/rustdesk'* | *' >.env' | make* | 'sh packaging/'* | *rdsrv-migrate*) return 1 ;;
	*' apt '* | *' dnf '* | tar\ * | cd\ * | *' cp -r bin '* | *' cp -rn etc '*) return 1 ;;
	'sudo make install install-systemd'* | *rdsrv-relay.service) return 1 ;;
	'mkdir -m 700 data' | 'rdsrv serve '*) return 1 ;;
	esac
}

# The exit code of a check says what this machine lacks; 2 would be wrong use.
is_fine()
{
	case $1 in
	'sudo rdsrv check'* | 'rdsrv check'*) [ "$2" -le 1 ] ;;
	*) [ "$2" -eq 0 ] ;;
	esac
}

status=0
debootstrap --variant=minbase \
	--include="systemd-sysv,dbus,iproute2,procps,sudo,make,$libraries" \
	"$release" "$system" "$mirror" >"$bare/said" 2>&1 || status=$?
# What debootstrap itself can't set up.
apt-config dump | grep -E '^Acquire::https?::Proxy' >"$system/etc/apt/apt.conf.d/proxy" || true
[ $status -ne 0 ] || chroot "$system" env DEBIAN_FRONTEND=noninteractive apt-get -q -y install \
	--no-install-recommends ufw firewalld >"$bare/said" 2>&1 || status=$?
result 'a Debian with systemd, sudo, ufw and firewalld' $status
[ $status -eq 0 ] || exit 1
{
	make -s -j "$(nproc)" build/rdsrv &&
		make -s install install-systemd DESTDIR="$system" PREFIX=/usr
} >"$bare/said" 2>&1 || status=$?
result 'make install install-systemd' $status
[ $status -eq 0 ] || exit 1
sh packaging/tree.sh "$system/root/rdsrv" >"$bare/said" 2>&1 || status=$?
mkdir -p "$system/media/stick/rustdesk"
echo 'id-server = id.example.com' >"$system/etc/rdsrv/rdsrv.conf"
printf '127.0.0.1 localhost\n192.0.2.1 id.example.com relay.example.com\n' >"$system/etc/hosts"
rm -f "$system/etc/systemd/system/multi-user.target.wants"/ufw.service \
	"$system/etc/systemd/system/multi-user.target.wants"/firewalld.service

unshare -m -p -f -u -i -C -n --kill-child sh test/full/helpers/boot.sh "$system" \
	</dev/null >"$bare/boot" 2>&1 &
booted=$!
inside()
{
	first=$(cat "/proc/$booted/task/$booted/children")
	nsenter -t "${first%% *}" -m -p -u -i -C -n -r -w "$@"
}
limit=$(($(date +%s) + MOST_S))
until state=$(inside systemctl is-system-running 2>/dev/null) || [ "$state" = degraded ]; do
	if [ "$(date +%s)" -gt "$limit" ] || ! kill -0 "$booted" 2>/dev/null; then
		cat "$bare/boot"
		skip "systemd does not boot in namespaces here: $state"
	fi
	sleep 0.2
done
inside ip addr add 192.0.2.1/32 dev lo

/usr/bin/python3 test/full/helpers/guide-commands.py >"$bare/commands"
key=''
while read -r number line; do
	is_for_here "$line" || continue
	case $line in
	*firewall-cmd*) inside systemctl start firewalld >/dev/null 2>&1 || true ;;
	*KEY*) key=$(inside rdsrv keygen --public 2>/dev/null) ;;
	*--check*server.conf*) inside rdsrv export-conf -o /media/stick/rustdesk/server.conf 2>/dev/null ;;
	esac
	typed=$(printf '%s\n' "$line" | sed "s|KEY|$key|")
	status=0
	inside sh -euc "cd /root/rdsrv && $typed" </dev/null >"$bare/said" 2>&1 || status=$?
	if is_fine "$line" $status; then
		echo "PASS guide: $number: $line"
	else
		result "$number: $line" 1
	fi
done <"$bare/commands"

inside rdsrv check >"$bare/said" 2>&1 || true
status=0
! grep -E '^FAIL' "$bare/said" >/dev/null || status=1
result 'at the end nothing fails that a check knows' $status
