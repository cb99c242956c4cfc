# SPDX-License-Identifier: MIT
# Goal: what the tests in test/full share: how they tell what came of it, a directory that goes away
# with them, a Debian made by debootstrap, and systemd as its first process. Sourced from the top of
# the tree, with `title` set to what stands before each result.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # set here and used there, or the other way round
BOOT_S=60
failed=0
machine=''
booted=''
place=$(mktemp -d)
system=$place/system
group=rdsrv-test-$$

# Those of the packages that rdsrv asks for, in a Debian that has no network later.
libraries=libevent-core-2.1-7,libevent-extra-2.1-7,libsodium23,libcjson1,libqrencode4
libraries=$libraries,libsqlite3-0,libwslay1,libssl3

# Ends the machine, if one was booted, and takes its control groups and the directory away.
clean_up()
{
	[ -z "$booted" ] || kill -KILL "$booted" 2>/dev/null || true
	if [ -n "$machine" ]; then
		wait "$machine" 2>/dev/null || true
		# shellcheck disable=SC2016 # that shell's
		unshare --mount sh -c 'mount -t cgroup2 none "$1" && [ ! -d "$1/$2" ] ||
			find "$1/$2" -depth -type d -exec rmdir {} +' \
			sh "$place/groups" "$group" 2>/dev/null || true
	fi
	rm -rf --one-file-system "$place"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# --- results

skip()
{
	echo "SKIP $title: $*"
	exit 0
}

# result WHAT STATUS: what was said is in $place/said, and shown if it failed
result()
{
	if [ "$2" -eq 0 ]; then
		echo "PASS $title: $1"
	else
		tail -n 60 "$place/said" | sed 's/^/  /'
		echo "FAIL $title: $1"
		failed=1
	fi
}

# expect WHAT COMMAND...
expect()
{
	what=$1
	shift
	if "$@" >"$place/said" 2>&1; then
		result "$what" 0
	else
		result "$what" 1
	fi
}

# The same, where nothing can go on without it.
require()
{
	expect "$@"
	[ "$failed" -eq 0 ] || exit 1
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

# --- a Debian

# packages NAME...: installed here, those that are missing
packages()
{
	missing=''
	for name; do
		dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed ||
			missing="$missing $name"
	done
	[ -n "$missing" ] || return 0
	apt-get update -q >/dev/null || true
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 install \
		--no-install-recommends $missing >/dev/null
}

# What a Debian can be made with: the mirror from which this machine itself installs, and the way there.
need_debian()
{
	[ "$(id -u)" -eq 0 ] || skip 'needs root'
	command -v apt-get >/dev/null || skip 'takes its mirror from apt, which is not here'
	packages debootstrap
	# shellcheck disable=SC2016 # apt's, not the shell's
	mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' |
		sed -n 's/^Debian //p' | head -n 1)
	[ -n "$mirror" ] || skip 'apt has no mirror of Debian here'
}

# debian DIRECTORY [PACKAGE,...]
debian()
{
	debootstrap --variant=minbase ${2:+--include="$2"} bookworm "$1" "$mirror" || return 1
	apt-config dump | grep -E '^Acquire::https?::Proxy' >"$1/etc/apt/apt.conf.d/proxy" || true
}

# The program as it is built, where packages would put it.
install_rdsrv()
{
	make -s -j "$(nproc)" build/rdsrv &&
		make -s install install-systemd DESTDIR="$system" PREFIX=/usr
}

# --- systemd in it

# The machine's first process, as this machine knows it.
find_machine()
{
	booted=$(tr -d ' ' <"/proc/$machine/task/$machine/children") 2>/dev/null || return 1
	[ -n "$booted" ] && [ "$(cat "/proc/$booted/comm" 2>/dev/null)" = systemd ]
}

# inside COMMAND...
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

# Of $system, which has systemd, in namespaces of its own: its network is a loopback.
boot()
{
	unshare --mount sh test/full/helpers/boot.sh "$system" "$place/groups" "$group" \
		</dev/null >"$place/console" 2>&1 &
	machine=$!
	if ! within 20 find_machine || ! within $BOOT_S is_up >"$place/said" 2>&1; then
		cat "$place/console" "$place/said"
		skip 'systemd does not boot in namespaces here'
	fi
	result 'systemd boots' 0
}
