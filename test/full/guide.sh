#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: rdsrv-guide(7), typed at a Debian 12 with systemd, sudo, ufw and firewalld as it stands in the
# page: from the installed units to the restored backup. Its commands for Docker, for packages and for
# other hosts are run by other tests here; test/e2e/test_guide.py reads those.
set -eu
cd "$(dirname "$0")/../.."
title=guide
. test/full/helpers/common.sh
need_debian

# What is typed here: not what other hosts, other tests and the network are for.
is_for_here()
{
	case $1 in
	*docker* | *'~/rustdesk'* | *' >.env' | make* | 'sh packaging/'* | *rdsrv-migrate*) return 1 ;;
	*' apt '* | *' dnf '* | tar\ * | cd\ * | *' /usr/local/'* | *' cp -rn etc '*) return 1 ;;
	'sudo make install install-systemd'* | *rdsrv-relay.service) return 1 ;;
	*' disable --now rdsrv.service') return 1 ;; # on the relay's host
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

# What debootstrap itself can't set up.
add_firewalls()
{
	chroot "$system" env DEBIAN_FRONTEND=noninteractive apt-get -q -y install \
		--no-install-recommends ufw firewalld
}

require 'a Debian with systemd and sudo' debian "$system" \
	"systemd-sysv,dbus,iproute2,procps,sudo,make,$libraries"
require 'ufw and firewalld' add_firewalls
require 'make install install-systemd' install_rdsrv
require 'the tree' sh packaging/tree.sh "$system/root/rdsrv"
mkdir -p "$system/media/stick/rustdesk"
echo 'id-server = id.example.com' >"$system/etc/rdsrv/rdsrv.conf"
printf '127.0.0.1 localhost\n192.0.2.1 id.example.com relay.example.com\n' >"$system/etc/hosts"
rm -f "$system/etc/systemd/system/multi-user.target.wants"/ufw.service \
	"$system/etc/systemd/system/multi-user.target.wants"/firewalld.service

boot
inside ip addr add 192.0.2.1/32 dev lo

/usr/bin/python3 test/full/helpers/guide-commands.py >"$place/commands"
key=''
while read -r number line; do
	is_for_here "$line" || continue
	case $line in
	*firewall-cmd*) inside systemctl start firewalld >/dev/null 2>&1 || true ;;
	*KEY*) key=$(inside rdsrv keygen --public 2>/dev/null) ;;
	*--check*server.conf*) inside rdsrv export-conf -o /media/stick/rustdesk/server.conf 2>/dev/null ;;
	esac
	typed=$(printf '%s\n' "$line" | sed "s|KEY|$key|; s|DATE|$(inside date +%F)|")
	status=0
	inside sh -euc "cd /root/rdsrv && $typed" </dev/null >"$place/said" 2>&1 || status=$?
	if is_fine "$line" $status; then
		echo "PASS guide: $number: $line"
	else
		result "$number: $line" 1
	fi
done <"$place/commands"

inside rdsrv check >"$place/said" 2>&1 || true
status=0
! grep -E '^FAIL' "$place/said" >/dev/null || status=1
result 'at the end nothing fails that a check knows' $status
