#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: the Debian package: built from the tree without a fault that lintian knows, and installed,
# started by systemd, upgraded, removed, purged, and taking over from hbbs, in a system made by
# debootstrap that systemd boots in namespaces of its own.
set -eu
cd "$(dirname "$0")/../.."
release=bookworm

skip()
{
	echo "SKIP deb: $*"
	exit 0
}

# result WHAT STATUS: and what was said, if it failed
result()
{
	if [ "$2" -eq 0 ]; then
		echo "PASS deb: $1"
	else
		tail -n 40 "$bare/said" | sed 's/^/  /'
		echo "FAIL deb: $1"
	fi
}

[ "$(id -u)" -eq 0 ] || skip 'needs root'
command -v apt-get >/dev/null || skip 'needs apt, for its mirror'
sh packaging/deps.sh build
for tool in debootstrap dh:debhelper lintian dpkg-buildpackage:dpkg-dev unshare:util-linux \
	ip:iproute2; do
	command -v "${tool%:*}" >/dev/null || echo "${tool#*:}"
done | xargs -r env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
	install --no-install-recommends >/dev/null
# shellcheck disable=SC2016 # apt's, not the shell's
mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' |
	sed -n 's/^Debian //p' | head -n 1)
[ -n "$mirror" ] || skip 'apt has no mirror of Debian here'
proxy=$(apt-config dump | grep -E '^Acquire::https?::Proxy' || true)

booted=
bare=$(mktemp -d)
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
system=$bare/system

# --- two versions of the package

one=$(cat VERSION)
two=$one.1
sh packaging/tree.sh "$bare/tree"
status=0
make -C "$bare/tree" deb BUILD=build-deb >"$bare/said" 2>&1 || status=$?
result 'make deb' $status
[ $status -eq 0 ] || exit 1
cp "$bare"/tree/build-deb/rdsrv_*.deb "$bare/one.deb"

status=0
lintian --allow-root --fail-on error "$bare"/tree/build-deb/deb/*.changes >"$bare/said" 2>&1 ||
	status=$?
result 'lintian has no error' $status

echo "$two" >"$bare/tree/VERSION"
status=0
make -C "$bare/tree" deb BUILD=build-two >"$bare/said" 2>&1 || status=$?
result 'make deb of the next version' $status
[ $status -eq 0 ] || exit 1
cp "$bare"/tree/build-two/rdsrv_*.deb "$bare/two.deb"

# --- a system with what it depends on, so that it needs no network later

status=0
debootstrap --variant=minbase --include=systemd-sysv,dbus,iproute2,procps,sqlite3 "$release" \
	"$system" "$mirror" >"$bare/said" 2>&1 || status=$?
result 'debootstrap' $status
[ $status -eq 0 ] || exit 1
[ -z "$proxy" ] || echo "$proxy" >"$system/etc/apt/apt.conf.d/proxy"
dpkg-deb -f "$bare/one.deb" Depends | tr ',' '\n' | sed 's/[|(].*//; s/ //g' | grep '^lib' |
	xargs chroot "$system" env DEBIAN_FRONTEND=noninteractive apt-get -q -y install \
		--no-install-recommends >"$bare/said" 2>&1 || status=$?
result 'its libraries' $status
[ $status -eq 0 ] || exit 1
cp "$bare/one.deb" "$bare/two.deb" test/full/helpers/deb-inside.sh "$system/"

# --- booted

unshare -m -p -f -u -i -C -n --kill-child sh test/full/helpers/boot.sh "$system" \
	</dev/null >"$bare/boot" 2>&1 &
booted=$!
inside()
{
	first=$(cat "/proc/$booted/task/$booted/children")
	nsenter -t "${first%% *}" -m -p -u -i -C -n -r -w "$@"
}
tries=0
until state=$(inside systemctl is-system-running 2>/dev/null) || [ "$state" = degraded ]; do
	tries=$((tries + 1))
	if [ $tries -gt 600 ] || ! kill -0 "$booted" 2>/dev/null; then
		cat "$bare/boot"
		skip "systemd does not boot in namespaces here: $state"
	fi
	sleep 0.1
done
echo "PASS deb: systemd is the first process of that system ($state)"
inside env "ONE=$one" "TWO=$two" sh /deb-inside.sh
