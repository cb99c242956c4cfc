#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: the RPM: the spec is read and checked, the package built from the tree, and installed,
# upgraded and erased below a directory. On Debian its dependencies have other names, so that
# they are left unchecked, as are the scripts that Fedora's macros make.
# shellcheck disable=SC2317 # expect calls the functions
set -eu
cd "$(dirname "$0")/../.."

if command -v apt-get >/dev/null; then
	[ "$(id -u)" -eq 0 ] || {
		echo 'SKIP rpm: needs root'
		exit 0
	}
	for tool in rpmbuild:rpm rpmlint:rpmlint cpio:cpio; do
		command -v "${tool%:*}" >/dev/null || echo "${tool#*:}"
	done | xargs -r env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		-o DPkg::Lock::Timeout=300 install --no-install-recommends >/dev/null
	nodeps=--nodeps
else
	dnf -q -y install rpm-build rpmlint cpio systemd-rpm-macros >/dev/null
	nodeps=
fi
sh packaging/deps.sh build

bare=$(mktemp -d)
trap 'rm -rf "$bare"' EXIT
trap 'exit 1' HUP INT TERM
root=$bare/root
failed=0

# expect WHAT COMMAND...
expect()
{
	what=$1
	shift
	if "$@" >"$bare/said" 2>&1; then
		echo "PASS rpm: $what"
	else
		tail -n 40 "$bare/said" | sed 's/^/  /'
		echo "FAIL rpm: $what"
		failed=1
	fi
}

# build NAME VERSION: to $bare/NAME.rpm
build()
{
	echo "$2" >"$bare/tree/VERSION"
	make -C "$bare/tree" rpm "BUILD=build-$1" RPMFLAGS="$nodeps" &&
		cp "$bare/tree/build-$1"/rdsrv-*.rpm "$bare/$1.rpm"
}

read_spec()
{
	rpmspec -P --define "rdsrv_version $one" packaging/rpm/rdsrv.spec >"$bare/spec" &&
		cat "$bare/spec" && grep -qE "^Version: +$one\$" "$bare/spec" &&
		! grep -E '%\{|^%(systemd|config_)' "$bare/spec"
}

no_error()
{
	rpmlint -r packaging/rpm/rpmlintrc "$bare/one.rpm" packaging/rpm/rdsrv.spec \
		>"$bare/lint" 2>&1
	cat "$bare/lint"
	grep -q ' checked; 0 errors' "$bare/lint"
}

holds()
{
	rpm -qpl "$bare/one.rpm" >"$bare/list"
	for file in /usr/bin/rdsrv /usr/bin/hbbs /usr/bin/hbbr /usr/bin/rustdesk-utils \
		/usr/sbin/rdsrv-migrate /usr/share/rdsrv/migrate.sh /etc/rdsrv/rdsrv.conf \
		/usr/lib/systemd/system/rdsrv.service /usr/lib/systemd/system/rdsrv-id.service \
		/usr/lib/systemd/system/rdsrv-relay.service /usr/lib/sysusers.d/rdsrv.conf \
		/usr/lib/tmpfiles.d/rdsrv.conf /var/lib/rdsrv /etc/ufw/applications.d/rdsrv \
		/usr/lib/firewalld/services/rdsrv.xml \
		/usr/share/bash-completion/completions/rdsrv; do
		grep -qx "$file" "$bare/list" || {
			echo "no $file"
			return 1
		}
	done
	grep -q '/man8/rdsrv-migrate\.8' "$bare/list"
}

private_directory()
{
	rpm -qplv "$bare/one.rpm" | grep -E '^drwx------ .* rdsrv +rdsrv .* /var/lib/rdsrv$'
}

rpm_root()
{
	rpm --root "$root" --dbpath /var/lib/rpm --nodeps --noscripts "$@"
}

# A version that works, and what an admin has there.
installed()
{
	mkdir -p "$root" && rpm_root -i "$bare/one.rpm" && "$root/usr/bin/hbbs" --version &&
		"$root/usr/bin/rdsrv" keygen --data-dir "$root/var/lib/rdsrv" >"$bare/key" &&
		echo 'enrol = approve' >>"$root/etc/rdsrv/rdsrv.conf"
}

key_stays()
{
	[ "$(cat "$bare/key")" = "$(cat "$root/var/lib/rdsrv/id_ed25519.pub")" ]
}

upgraded()
{
	rpm_root -U "$bare/two.rpm" && "$root/usr/bin/rdsrv" --version | grep -F "$one.1" &&
		grep -x 'enrol = approve' "$root/etc/rdsrv/rdsrv.conf" && key_stays
}

erased()
{
	rpm_root -e rdsrv && [ ! -e "$root/usr/bin/rdsrv" ] && [ ! -e "$root/usr/bin/hbbs" ] &&
		grep -x 'enrol = approve' "$root/etc/rdsrv/rdsrv.conf.rpmsave" && key_stays
}

one=$(cat VERSION)
sh packaging/tree.sh "$bare/tree"
expect 'the spec is read' read_spec
expect 'make rpm' build one "$one"
expect 'rpmlint has no error' no_error
expect 'what is in it' holds
expect 'the data directory is private' private_directory
expect 'make rpm of the next version' build two "$one.1"
expect 'installed' installed
expect 'upgraded: key and settings stay' upgraded
expect 'erased: key and settings stay' erased
exit $failed
