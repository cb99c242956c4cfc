#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: the units work under a systemd that runs: with their sandbox, as a user without rights, with
# port 80 handed over, and restarted when the server hangs. The machine is a Debian 12 made by
# debootstrap, with namespaces of its own; clients come from this one.
# shellcheck disable=SC2317 # functions are called by their names
set -eu
cd "$(dirname "$0")/../.."
title=systemd
. test/full/helpers/common.sh
need_debian
grep -qw cgroup2 /proc/filesystems || skip 'no control groups, version 2'

require 'debootstrap' debian "$system" "systemd,systemd-sysv,dbus,iproute2,$libraries"
expect 'make install install-systemd' install_rdsrv
boot

show()
{
	inside systemctl show -P "$2" "$1"
}

# is UNIT PROPERTY VALUE
is()
{
	value=$(show "$1" "$2")
	echo "$1: $2 is $value"
	[ "$value" = "$3" ]
}

# in_log UNIT TEXT
in_log()
{
	inside journalctl -q -o cat -u "$1" | grep -F -- "$2"
}

control()
{
	inside systemctl "$@" && return
	inside journalctl -q -n 20 -o cat
	return 1
}

# A client of this machine's, in the other one's network.
client()
{
	nsenter -t "$booted" --net env PYTHONPATH=test/e2e PYTHONDONTWRITEBYTECODE=1 \
		/usr/bin/python3 test/full/client.py "$system/var/lib/rdsrv/id_ed25519.pub" "$@"
}

settings()
{
	printf '%s\n' "$@" >"$system/etc/rdsrv/rdsrv.conf"
}

# drop_in UNIT LINE...: settings of a unit's own section [Service]
drop_in()
{
	dir=$system/etc/systemd/system/$1.d
	shift
	mkdir -p "$dir"
	printf '%s\n' '[Service]' "$@" >"$dir/test.conf"
	inside systemctl daemon-reload
}

owned()
{
	inside stat -c '%a %U %G' /var/lib/rdsrv /var/lib/rdsrv/id_ed25519 /var/log/rdsrv | tee "$place/modes"
	printf '%s\n' '700 rdsrv rdsrv' '600 rdsrv rdsrv' '750 rdsrv rdsrv' | cmp - "$place/modes"
}

confined()
{
	pid=$(show "$1" MainPID)
	inside grep -E '^(Seccomp|NoNewPrivs|CapEff|CapBnd|Uid):' "/proc/$pid/status" | tee "$place/status"
	most=$(inside sh -c 'ulimit -H -n')
	[ "$most" -le 524288 ] || most=524288
	inside grep 'open files' "/proc/$pid/limits" | grep -w "$most" &&
		grep -qx 'Seccomp:	2' "$place/status" && grep -qx 'NoNewPrivs:	1' "$place/status" &&
		grep -qx 'CapBnd:	0000000000000000' "$place/status" && ! grep -q '^Uid:	0' "$place/status"
}

# That the filter forbids nothing that the server does: with it, a forbidden call is the end of it.
expect 'the user' inside systemd-sysusers
expect 'the directories' inside systemd-tmpfiles --create rdsrv.conf
for unit in rdsrv.service rdsrv-id.service rdsrv-relay.service; do
	drop_in "$unit" 'SystemCallErrorNumber=kill'
done
expect 'start' control start rdsrv
expect 'is active' is rdsrv ActiveState active
expect 'says what it does' is rdsrv StatusText 'peers online: 0 of 0; sessions: 0'
expect 'owners and modes' owned
expect 'the sandbox is on' confined rdsrv
expect 'a peer, a session by splice, WebSockets' client whole
expect 'reload' control reload rdsrv
expect 'read its settings' in_log rdsrv 'settings reloaded'
expect 'is active after a reload' is rdsrv ActiveState active
settings 'port = no port'
wrong_settings()
{
	! inside systemctl reload rdsrv && in_log rdsrv 'no port' && is rdsrv ActiveState active
}
expect 'a reload of wrong settings says so' wrong_settings
settings ''
expect 'ctl' inside rdsrv ctl --data-dir /var/lib/rdsrv id status
expect 'backup' inside rdsrv ctl --data-dir /var/lib/rdsrv id backup /var/lib/rdsrv/backup
expect 'rotation while it runs' inside rdsrv keygen --data-dir /var/lib/rdsrv --rotate
expect 'a peer, a session, WebSockets with the new key' client whole
expect 'no call was forbidden' is rdsrv NRestarts 0

expect 'the other roles end it' control start rdsrv-id rdsrv-relay
expect 'it has ended' is rdsrv ActiveState inactive
expect 'it has ended well' is rdsrv Result success
expect 'both run' control is-active rdsrv-id rdsrv-relay
expect 'a peer, a session, WebSockets with two processes' client apart
expect 'stop' control stop rdsrv-id rdsrv-relay
expect 'all stopped well' is rdsrv-relay Result success

settings 'bind = tailscale0'
expect 'start without the interface' control start rdsrv
awaits()
{
	show rdsrv StatusText | grep '^waiting for tailscale0'
}
expect 'waits for the interface' awaits
inside ip link add tailscale0 type veth peer name other
inside ip addr add 100.64.0.1/10 dev tailscale0
inside ip link set tailscale0 up
expect 'has seen the interface' within 5 in_log rdsrv 'all interfaces of bind have addresses'
expect 'a peer and a session there' client --host 100.64.0.1 plain
expect 'stop' control stop rdsrv
settings ''

expect 'port 80' control start rdsrv.socket
expect 'start with port 80' control start rdsrv
expect 'WebSockets on port 80' client --websocket-port 80 websocket
expect 'stop' control stop rdsrv.socket rdsrv
for role in id relay; do
	expect "port 80 of $role" control start "rdsrv-$role.socket" "rdsrv-$role"
	expect "WebSockets on port 80 of $role" client --websocket-port 80 "websocket-$role"
	expect 'stop' control stop "rdsrv-$role.socket" "rdsrv-$role"
done

settings 'port = no port'
inside systemctl start rdsrv 2>/dev/null || true
failed_for_good()
{
	is rdsrv ActiveState failed && is rdsrv ExecMainStatus 2 && is rdsrv NRestarts 0
}
expect 'wrong settings are not tried again' within 10 failed_for_good
settings ''
inside systemctl reset-failed rdsrv

drop_in rdsrv.service 'WatchdogSec=3s' 'RestartSec=1s'
expect 'start with a quick watchdog' control start rdsrv
expect 'the watchdog hears enough' client wait 8
expect 'no restart so far' is rdsrv NRestarts 0
# There is no kill but the shell's here.
inside sh -c "kill -STOP $(show rdsrv MainPID)"
restarted()
{
	is rdsrv NRestarts 1 && is rdsrv ActiveState active && client plain
}
expect 'one that hangs is restarted' within 30 restarted
expect 'because of the watchdog' in_log rdsrv "Failed with result 'watchdog'"
inside sh -c "kill -KILL $(show rdsrv MainPID)"
killed()
{
	is rdsrv NRestarts 2 && is rdsrv ActiveState active && client plain
}
expect 'one that is killed is restarted' within 15 killed

settings 'drain-timeout = 600'
drop_in rdsrv.service 'TimeoutStopSec=8s'
expect 'restart' control restart rdsrv
client hold 16 >"$place/held" 2>&1 &
holder=$!
expect 'a session' within 10 grep -q joined "$place/held"
expect 'a stop that waits for it' control stop rdsrv
expect 'the session was not cut off' wait "$holder"
expect 'drained, not killed' is rdsrv Result success

for unit in rdsrv rdsrv-id rdsrv-relay; do
	inside journalctl -q -o cat -u "$unit"
done >"$place/journal"
no_refusals()
{
	! grep -iE 'not permitted|permission denied|SIGSYS|status=31|can.t be told' "$place/journal"
}
expect 'nothing was refused' no_refusals
exit "$failed"
