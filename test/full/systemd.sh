#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: the units work under a systemd that runs: with their sandbox, as a user without rights, with
# port 80 handed over, and restarted when the server hangs. The machine is a Debian 12 made by
# debootstrap, with namespaces of its own; clients come from this one.
# shellcheck disable=SC2317 # functions are called by their names
set -eu
cd "$(dirname "$0")/../.."
release=bookworm
failed=0
booted=''

skip()
{
	echo "SKIP systemd: $*"
	exit 0
}

[ "$(id -u)" -eq 0 ] || skip 'needs root'
command -v apt-get >/dev/null || skip 'takes its mirror from apt, which is not here'
grep -qw cgroup2 /proc/filesystems || skip 'no control groups, version 2'
if ! command -v debootstrap >/dev/null; then
	apt-get update -q >/dev/null
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends debootstrap \
		>/dev/null
fi
# The mirror from which this machine itself installs Debian, and the way there.
# shellcheck disable=SC2016 # apt's, not the shell's
mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' |
	sed -n 's/^Debian //p' | head -n 1)
[ -n "$mirror" ] || skip 'apt has no mirror of Debian here'

bare=$(mktemp -d)
system=$bare/system
group=rdsrv-test-$$

# Ends the machine and takes its control groups away.
clean_up()
{
	[ -z "$booted" ] || kill -KILL "$booted" 2>/dev/null || true
	[ -z "${machine:-}" ] || wait "$machine" 2>/dev/null || true
	mkdir -p "$bare/groups"
	# shellcheck disable=SC2016 # that shell's
	unshare --mount sh -c 'mount -t cgroup2 none "$1" && [ ! -d "$1/$2" ] ||
		find "$1/$2" -depth -type d -exec rmdir {} +' sh "$bare/groups" "$group" 2>/dev/null || true
	rm -rf --one-file-system "$bare"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# expect WHAT COMMAND...
expect()
{
	what=$1
	shift
	if "$@" >"$bare/said" 2>&1; then
		echo "PASS systemd: $what"
	else
		sed 's/^/  /' "$bare/said"
		echo "FAIL systemd: $what"
		failed=1
	fi
}

# The program as it is built, with the libraries of the packages that it asks for.
install_rdsrv()
{
	make -s -j "$(nproc)" build/rdsrv &&
		make -s install install-systemd DESTDIR="$system" PREFIX=/usr
}

if debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,iproute2,libevent-core-2.1-7,libevent-extra-2.1-7,libsodium23,libcjson1,libqrencode4,libsqlite3-0,libwslay1,libssl3 \
	"$release" "$system" "$mirror" >"$bare/log" 2>&1; then
	echo 'PASS systemd: debootstrap'
else
	cat "$bare/log"
	echo 'FAIL systemd: debootstrap'
	exit 1
fi
expect 'make install install-systemd' install_rdsrv

# systemd as the first process, in a control group of its own.
cat >"$bare/boot.sh" <<'END'
system=$1 groups=$2 group=$3
mount --make-rprivate /
mkdir -p "$groups"
mount -t cgroup2 none "$groups"
mkdir "$groups/$group"
echo $$ >"$groups/$group/cgroup.procs"
ulimit -H -n 1048576 || echo "the limit on open files can't be raised here"
exec unshare --pid --fork --kill-child --net --uts --ipc --cgroup sh -eu -c '
	system=$1
	mount --bind "$system" "$system"
	mount -t proc proc "$system/proc"
	mount -t sysfs -o ro sysfs "$system/sys"
	mount -t cgroup2 none "$system/sys/fs/cgroup"
	for place in run tmp dev; do mount -t tmpfs tmpfs "$system/$place"; done
	for device in null zero full random urandom tty; do
		: >"$system/dev/$device"
		mount --bind "/dev/$device" "$system/dev/$device"
	done
	ln -s /proc/self/fd "$system/dev/fd"
	ln -s pts/ptmx "$system/dev/ptmx"
	mkdir "$system/dev/pts" "$system/dev/shm" "$system/run/old"
	mount -t devpts -o newinstance,ptmxmode=0666 devpts "$system/dev/pts"
	ip link set lo up
	cd "$system"
	pivot_root . run/old
	umount -l /run/old
	exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		/lib/systemd/systemd --log-target=journal' sh "$system"
END
unshare --mount sh -eu "$bare/boot.sh" "$system" "$bare/groups" "$group" >"$bare/console" 2>&1 &
machine=$!

# The machine's first process, as this machine knows it.
find_machine()
{
	booted=$(tr -d ' ' <"/proc/$machine/task/$machine/children") 2>/dev/null || return 1
	[ -n "$booted" ] && [ "$(cat "/proc/$booted/comm" 2>/dev/null)" = systemd ]
}

# within SECONDS COMMAND...: asks until it is so
within()
{
	limit=$(($(date +%s) + $1))
	shift
	until "$@"; do
		[ "$(date +%s)" -lt "$limit" ] || return 1
		sleep 0.2
	done
}

inside()
{
	nsenter -t "$booted" --mount --pid --net --uts --ipc --cgroup --root --wd "$@"
}

is_up()
{
	state=$(inside systemctl is-system-running) || true
	echo "$state"
	[ "$state" = running ] || [ "$state" = degraded ]
}

if ! within 20 find_machine || ! within 60 is_up >"$bare/said" 2>&1; then
	cat "$bare/console" "$bare/said"
	skip 'systemd does not boot here'
fi
echo 'PASS systemd: boots'

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
	place=$system/etc/systemd/system/$1.d
	shift
	mkdir -p "$place"
	printf '%s\n' '[Service]' "$@" >"$place/test.conf"
	inside systemctl daemon-reload
}

owned()
{
	inside stat -c '%a %U %G' /var/lib/rdsrv /var/lib/rdsrv/id_ed25519 /var/log/rdsrv | tee "$bare/modes"
	printf '%s\n' '700 rdsrv rdsrv' '600 rdsrv rdsrv' '750 rdsrv rdsrv' | cmp - "$bare/modes"
}

confined()
{
	pid=$(show "$1" MainPID)
	inside grep -E '^(Seccomp|NoNewPrivs|CapEff|CapBnd|Uid):' "/proc/$pid/status" | tee "$bare/status"
	most=$(inside sh -c 'ulimit -H -n')
	[ "$most" -le 524288 ] || most=524288
	inside grep 'open files' "/proc/$pid/limits" | grep -w "$most" &&
		grep -qx 'Seccomp:	2' "$bare/status" && grep -qx 'NoNewPrivs:	1' "$bare/status" &&
		grep -qx 'CapBnd:	0000000000000000' "$bare/status" && ! grep -q '^Uid:	0' "$bare/status"
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
client hold 16 >"$bare/held" 2>&1 &
holder=$!
expect 'a session' within 10 grep -q joined "$bare/held"
expect 'a stop that waits for it' control stop rdsrv
expect 'the session was not cut off' wait "$holder"
expect 'drained, not killed' is rdsrv Result success

for unit in rdsrv rdsrv-id rdsrv-relay; do
	inside journalctl -q -o cat -u "$unit"
done >"$bare/journal"
no_refusals()
{
	! grep -iE 'not permitted|permission denied|SIGSYS|status=31|can.t be told' "$bare/journal"
}
expect 'nothing was refused' no_refusals
exit "$failed"
