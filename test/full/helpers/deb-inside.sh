# SPDX-License-Identifier: MIT
# Goal: what test/full/deb.sh does inside the booted system: the package installed, upgraded,
# removed, purged, and taking over from hbbs. /one.deb is older than /two.deb.
# shellcheck shell=sh
# shellcheck disable=SC2317,SC2086 # expect calls the functions; no word here has blanks
set -u
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
data=/var/lib/rdsrv
failed=0

# expect WHAT COMMAND...
expect()
{
	what=$1
	shift
	if "$@" >/tmp/said 2>&1; then
		echo "PASS deb: $what"
	else
		sed 's/^/  /' /tmp/said
		systemctl --no-pager -l status rdsrv 2>&1 | sed 's/^/  /' | tail -n 15
		echo "FAIL deb: $what"
		failed=1
	fi
}

# Without a terminal: what asks, fails.
install()
{
	apt-get -q -y install "$@" </dev/null >/tmp/apt 2>&1
	status=$?
	cat /tmp/apt
	return $status
}

remove()
{
	apt-get -q -y "$@" rdsrv </dev/null >/tmp/apt 2>&1
	status=$?
	cat /tmp/apt
	return $status
}

active()
{
	systemctl is-active "$1"
}

enabled()
{
	systemctl is-enabled "$1"
}

not()
{
	! "$@"
}

runs()
{
	active rdsrv.service && rdsrv ctl -d $data id status && rdsrv ctl -d $data relay status
}

main_pid()
{
	systemctl show -p MainPID --value rdsrv.service
}

as_its_user()
{
	ps -o user=,args= -p "$(main_pid)"
	[ "$(ps -o user= -p "$(main_pid)")" = rdsrv ]
}

private()
{
	stat -c '%a %U %n' $data $data/id_ed25519
	[ "$(stat -c '%a %U' $data)" = '700 rdsrv' ] &&
		[ "$(stat -c '%a %U' $data/id_ed25519)" = '600 rdsrv' ]
}

same_key()
{
	echo "was $key, is $(cat $data/id_ed25519.pub)"
	[ -n "$key" ] && [ "$(cat $data/id_ed25519.pub)" = "$key" ]
}

# Not the file that an upgrade has replaced.
new_program()
{
	readlink "/proc/$(main_pid)/exe"
	[ "$(readlink "/proc/$(main_pid)/exe")" = /usr/bin/rdsrv ]
}

port_80_listens()
{
	ss -Hltn 'sport = :80'
	[ -n "$(ss -Hltn 'sport = :80')" ]
}

# Clients get it, too.
exported()
{
	rdsrv export-conf --id-server id.example.com --format json
	rdsrv export-conf --id-server id.example.com --format json 2>/dev/null | grep -qF "$key"
}

version_is()
{
	dpkg-query -W rdsrv
	rdsrv --version
	[ "$(dpkg-query -W -f '${Version}' rdsrv)" = "$1" ] && rdsrv --version | grep -qF "$1"
}

links()
{
	[ "$(readlink -f /usr/bin/hbbs)" = /usr/bin/rdsrv ] &&
		hbbr --help | grep -q '^usage: hbbr' &&
		rustdesk-utils genkeypair | grep -q '^Public Key: '
}

# Programs of no package, one of them elsewhere.
put_programs()
{
	echo stock >/usr/bin/hbbs
	ln -s /opt/rustdesk/hbbr /usr/bin/hbbr
}

programs_stay()
{
	ls -l /usr/bin/hbb* /usr/bin/rustdesk*
	[ "$(cat /usr/bin/hbbs)" = stock ] &&
		[ "$(readlink /usr/bin/hbbr)" = /opt/rustdesk/hbbr ] &&
		not ls -d /usr/bin/*.distrib /usr/bin/rustdesk-utils
}

# Where a file is all that is of value.
purge_keeps()
{
	install /two.deb && systemctl stop rdsrv || return 1
	rm -f $data/id_ed25519* $data/keyring.json
	mkdir -p "$(dirname "$data/$1")"
	echo 192.0.2.1 >"$data/$1"
	remove purge && ls $data && [ -e "$data/$1" ] || return 1
	rm -r $data
}

# The key that hbbs has is the one that rdsrv runs with.
taken_over()
{
	runs && key=$old_key && same_key && not active rustdesksignal && not active rustdeskrelay &&
		rdsrv ctl -d $data id settings | grep -q relay.example.com
}

old_ones_run()
{
	active rustdesksignal && active rustdeskrelay && enabled rustdesksignal && not active rdsrv
}

# hbbs as install scripts leave it; the program is this one by that name.
install_old_server()
{
	mkdir -p /opt/rustdesk
	dpkg-deb -x /one.deb /tmp/x
	cp /tmp/x/usr/bin/rdsrv /opt/rustdesk/hbbs
	cp /tmp/x/usr/bin/rdsrv /opt/rustdesk/hbbr
	old_unit rustdesksignal 'hbbs -r relay.example.com:21117'
	old_unit rustdeskrelay 'hbbr -k _'
	systemctl daemon-reload
	systemctl enable --now rustdesksignal rustdeskrelay
	for try in $(seq 100); do
		[ ! -e /opt/rustdesk/db_v2.sqlite3 ] || break
		sleep 0.1
	done
	echo "after $try tries"
	old_key=$(cat /opt/rustdesk/id_ed25519.pub)
}

old_unit()
{
	cat >"/etc/systemd/system/$1.service" <<UNIT
[Service]
ExecStart=/opt/rustdesk/$2
WorkingDirectory=/opt/rustdesk
Restart=always
[Install]
WantedBy=multi-user.target
UNIT
}

# A package of the stock server, as far as dpkg is concerned.
install_stock_package()
{
	mkdir -p /tmp/stock/DEBIAN /tmp/stock/usr/bin
	printf '%s\n' 'Package: rustdesk-server-hbbs' 'Version: 1.1' 'Architecture: all' \
		'Maintainer: nobody <nobody@example.com>' 'Description: x' \
		>/tmp/stock/DEBIAN/control
	echo stock >/tmp/stock/usr/bin/hbbs
	dpkg-deb -b /tmp/stock /tmp/stock.deb && dpkg -i /tmp/stock.deb
}

# --- a first installation

expect 'installed' install /one.deb
expect 'it asked nothing and warned of nothing' not grep -iE 'warning|error|failed' /tmp/apt
expect 'the server runs' runs
expect 'under systemd as the user rdsrv' as_its_user
expect 'key and directory are private' private
expect 'rdsrv.service is enabled' enabled rdsrv.service
expect 'rdsrv-id.service is not' not enabled rdsrv-id.service
expect 'rdsrv-relay.service is not' not enabled rdsrv-relay.service
key=$(cat $data/id_ed25519.pub)
expect 'the key can be exported' exported
expect 'hbbs, hbbr and rustdesk-utils' links
expect 'manual pages' test -e /usr/share/man/man8/rdsrv-migrate.8.gz
expect 'completions' test -e /usr/share/bash-completion/completions/rdsrv \
	-a -e /usr/share/zsh/vendor-completions/_rdsrv
expect "firewalls' profiles" test -e /etc/ufw/applications.d/rdsrv \
	-a -e /usr/lib/firewalld/services/rdsrv.xml
expect 'version' version_is "$ONE"

# --- upgrade

echo 'enrol = approve' >>/etc/rdsrv/rdsrv.conf
pid=$(main_pid)
expect 'upgraded' install /two.deb
expect 'the new version' version_is "$TWO"
expect 'it runs' runs
expect 'and was started anew' test "$(main_pid)" != "$pid"
expect 'with the same key' same_key
expect 'settings stay' grep -qx 'enrol = approve' /etc/rdsrv/rdsrv.conf
systemctl stop rdsrv
systemctl enable --now rdsrv.socket 2>/dev/null
systemctl start rdsrv
expect 'upgraded with a socket' install --reinstall /two.deb
expect 'the socket stays' active rdsrv.socket
expect 'port 80 is served' port_80_listens
expect 'by the new program' new_program
systemctl disable --now rdsrv.socket 2>/dev/null
systemctl disable rdsrv 2>/dev/null
systemctl restart rdsrv
expect 'upgraded where it runs but is disabled' install --reinstall /two.deb
expect 'it runs on' runs
expect 'with the new program' new_program
expect 'and is still disabled' not enabled rdsrv.service
systemctl enable rdsrv 2>/dev/null
systemctl stop rdsrv
expect 'upgraded where it is enabled but stopped' install --reinstall /two.deb
expect 'it stays stopped' not active rdsrv.service
expect 'and enabled' enabled rdsrv.service
systemctl disable rdsrv 2>/dev/null
expect 'installed again where it is disabled' install --reinstall /two.deb
expect 'it is not started' not active rdsrv.service
expect 'nor enabled' not enabled rdsrv.service
systemctl enable --now rdsrv 2>/dev/null

# --- removal

expect 'removed' remove remove
expect 'nothing runs' not pgrep -x rdsrv
expect 'key and settings stay' test -e $data/id_ed25519 -a -e /etc/rdsrv/rdsrv.conf
expect 'installed after that' install /two.deb
expect 'it runs again' runs
expect 'with the same key as ever' same_key
expect 'purged' remove purge
expect 'the key stays' same_key
expect 'the purge says so' grep -q "$data is kept" /tmp/apt
expect 'nothing else stays' not ls /etc/rdsrv /usr/bin/rdsrv /lib/systemd/system/rdsrv.service \
	/etc/systemd/system/multi-user.target.wants/rdsrv.service
expect 'installed beside an old key' install /two.deb
expect 'which is used' runs
expect 'and kept' same_key
systemctl stop rdsrv
rm $data/id_ed25519* $data/keyring.json 2>/dev/null
expect 'purged without a key or peers' remove purge
expect 'the directory is gone' not test -e $data

for file in blocklist.txt backup/id_ed25519 db_before_20260101000000.sqlite3; do
	expect "a purge keeps $file" purge_keeps $file
	rm -rf $data
done

# --- where programs of these names are

put_programs
expect 'installed beside programs of no package' install /two.deb
expect 'the names are ours' links
expect 'upgraded' install --reinstall /two.deb
expect 'removed' remove purge
expect 'they are there again' programs_stay
rm -rf /usr/bin/hbb* $data

# --- where hbbs is

expect 'hbbs of an install script runs' install_old_server
systemctl stop rustdesksignal rustdeskrelay
expect 'installed where it is enabled but stopped' install /two.deb
expect 'nothing is started' not active rdsrv.service
expect 'nor enabled' not enabled rdsrv.service
expect 'no key is made' not test -e $data/id_ed25519
expect 'it says how to take over' grep -q rdsrv-migrate /tmp/apt
expect 'purged' remove purge
rm -rf $data
systemctl start rustdesksignal rustdeskrelay
expect 'installed beside it' install /two.deb
expect 'nothing is started' not active rdsrv.service
expect 'no key is made' not test -e $data/id_ed25519
expect 'it says how to take over' grep -q rdsrv-migrate /tmp/apt
expect 'rdsrv-migrate' rdsrv-migrate --yes
expect 'rdsrv runs with its key and relay' taken_over
expect 'rdsrv-migrate --back' rdsrv-migrate --back --yes
expect 'hbbs and hbbr run again' old_ones_run
expect 'purged' remove purge
expect 'installed beside them and a key' install /two.deb
expect 'they still run' old_ones_run
expect 'rdsrv is not enabled' not enabled rdsrv.service
expect 'and forth once more' rdsrv-migrate --yes
expect 'rdsrv runs as before' taken_over
expect 'purged for good' remove purge
expect "the stock server's package" install_stock_package
expect 'is replaced' install /two.deb
expect 'by links' links
exit $failed
