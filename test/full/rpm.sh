#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: the RPM: the spec is read and checked, the package built from the tree, and installed,
# upgraded and erased below a directory. On Debian its dependencies have other names, so that
# they are left unchecked, as are the scripts that Fedora's macros make; the others are run apart.
# shellcheck disable=SC2317 # expect calls the functions
set -eu
cd "$(dirname "$0")/../.."
title=rpm
. test/full/helpers/common.sh
if command -v apt-get >/dev/null; then
	[ "$(id -u)" -eq 0 ] || skip 'needs root'
	packages rpm rpmlint cpio
	nodeps=--nodeps
else
	dnf -q -y install rpm-build rpmlint cpio systemd-rpm-macros >/dev/null
	nodeps=
fi
sh packaging/deps.sh build
root=$place/root

# build NAME VERSION: to $place/NAME.rpm
build()
{
	echo "$2" >"$place/tree/VERSION"
	make -C "$place/tree" rpm "BUILD=build-$1" RPMFLAGS="$nodeps" &&
		cp "$place/tree/build-$1"/rdsrv-*.rpm "$place/$1.rpm"
}

read_spec()
{
	rpmspec -P --define "rdsrv_version $one" packaging/rpm/rdsrv.spec >"$place/spec" &&
		cat "$place/spec" && grep -qE "^Version: +$one\$" "$place/spec" &&
		! grep -E '%\{|^%(systemd|config_)' "$place/spec"
}

no_error()
{
	rpmlint -r packaging/rpm/rpmlintrc "$place/one.rpm" packaging/rpm/rdsrv.spec \
		>"$place/lint" 2>&1
	cat "$place/lint"
	grep -q ' checked; 0 errors' "$place/lint"
}

holds()
{
	rpm -qpl "$place/one.rpm" >"$place/list"
	for file in /usr/bin/rdsrv /usr/bin/hbbs /usr/bin/hbbr /usr/bin/rustdesk-utils \
		/usr/sbin/rdsrv-migrate /usr/share/rdsrv/migrate.sh /etc/rdsrv/rdsrv.conf \
		/usr/lib/systemd/system/rdsrv.service /usr/lib/systemd/system/rdsrv-id.service \
		/usr/lib/systemd/system/rdsrv-relay.service /usr/lib/sysusers.d/rdsrv.conf \
		/usr/lib/tmpfiles.d/rdsrv.conf /var/lib/rdsrv /etc/ufw/applications.d/rdsrv \
		/usr/lib/firewalld/services/rdsrv.xml \
		/usr/share/bash-completion/completions/rdsrv; do
		grep -qx "$file" "$place/list" || {
			echo "no $file"
			return 1
		}
	done
	grep -q '/man8/rdsrv-migrate\.8' "$place/list"
}

private_directory()
{
	rpm -qplv "$place/one.rpm" | grep -E '^drwx------ .* rdsrv +rdsrv .* /var/lib/rdsrv$'
}

rpm_root()
{
	rpm --root "$root" --dbpath /var/lib/rpm --nodeps --noscripts "$@"
}

# script TAG ARGUMENT: that one of the package, below the directory, where its user is
script()
{
	{
		echo 'getent() { :; }'
		# As for what rpm finds below the directory.
		echo "rpm() { command rpm --root '$root' --dbpath /var/lib/rpm \\"
		echo "-qf \"\${2#'$root'}\"; }"
		rpm -qp --qf "%{$1}\n" "$place/one.rpm" | sed "s|/usr/bin/|$root&|g"
	} >"$place/script"
	sh "$place/script" "$2"
}

# Programs of no package, one of them elsewhere.
put_programs()
{
	mkdir -p "$root/usr/bin" && echo stock >"$root/usr/bin/hbbs" &&
		ln -s /opt/rustdesk/hbbr "$root/usr/bin/hbbr"
}

programs_stay()
{
	ls -l "$root/usr/bin"
	[ "$(cat "$root/usr/bin/hbbs$1")" = stock ] &&
		[ "$(readlink "$root/usr/bin/hbbr$1")" = /opt/rustdesk/hbbr ]
}

# What is the package's own is not moved.
put_aside()
{
	put_programs && script PREIN 1 && rpm_root -i "$place/one.rpm" &&
		programs_stay .before-rdsrv && rm "$root/usr/bin/rustdesk-utils" &&
		ln -s x "$root/usr/bin/rustdesk-utils" &&
		script PREIN 2 && [ -L "$root/usr/bin/rustdesk-utils" ] && script POSTUN 1 &&
		programs_stay .before-rdsrv
}

put_back()
{
	rpm_root -e rdsrv && script POSTUN 0 && programs_stay '' &&
		[ ! -e "$root/usr/bin/hbbs.before-rdsrv" ]
}

# A version that works, and what an admin has there.
installed()
{
	rm -rf "$root" && mkdir -p "$root" && rpm_root -i "$place/one.rpm" &&
		"$root/usr/bin/hbbs" --version &&
		"$root/usr/bin/rdsrv" keygen --data-dir "$root/var/lib/rdsrv" >"$place/key" &&
		echo 'enrol = approve' >>"$root/etc/rdsrv/rdsrv.conf"
}

key_stays()
{
	[ "$(cat "$place/key")" = "$(cat "$root/var/lib/rdsrv/id_ed25519.pub")" ]
}

upgraded()
{
	rpm_root -U "$place/two.rpm" && "$root/usr/bin/rdsrv" --version | grep -F "$one.1" &&
		grep -x 'enrol = approve' "$root/etc/rdsrv/rdsrv.conf" && key_stays
}

erased()
{
	rpm_root -e rdsrv && [ ! -e "$root/usr/bin/rdsrv" ] && [ ! -e "$root/usr/bin/hbbs" ] &&
		grep -x 'enrol = approve' "$root/etc/rdsrv/rdsrv.conf.rpmsave" && key_stays
}

one=$(cat VERSION)
sh packaging/tree.sh "$place/tree"
expect 'the spec is read' read_spec
expect 'make rpm' build one "$one"
expect 'rpmlint has no error' no_error
expect 'what is in it' holds
expect 'the data directory is private' private_directory
expect 'make rpm of the next version' build two "$one.1"
expect 'programs of its names and no package are put aside' put_aside
expect 'and put back when it is erased' put_back
expect 'installed' installed
expect 'upgraded: key and settings stay' upgraded
expect 'erased: key and settings stay' erased
exit $failed
