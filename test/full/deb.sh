#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: the Debian package: built from the tree without a fault that lintian knows, and installed,
# started by systemd, upgraded, removed, purged, and taking over from hbbs, in a system made by
# debootstrap that systemd boots in namespaces of its own.
# shellcheck disable=SC2317 # functions are called by their names
set -eu
cd "$(dirname "$0")/../.."
title=deb
. test/full/helpers/common.sh
need_debian
sh packaging/deps.sh build
packages debhelper lintian dpkg-dev util-linux iproute2

# --- two versions of the package

one=$(cat VERSION)
two=$one.1
sh packaging/tree.sh "$place/tree"

# build NAME: to $place/NAME.deb
build()
{
	make -C "$place/tree" deb "BUILD=build-$1" &&
		cp "$place/tree/build-$1"/rdsrv_*.deb "$place/$1.deb"
}

# With its dependencies, so that it needs no network later.
add_libraries()
{
	dpkg-deb -f "$place/one.deb" Depends | tr ',' '\n' | sed 's/[|(].*//; s/ //g' | grep '^lib' |
		xargs chroot "$system" env DEBIAN_FRONTEND=noninteractive apt-get -q -y install \
			--no-install-recommends
}

require 'make deb' build one
expect 'lintian has no error' lintian --allow-root --fail-on error \
	"$place"/tree/build-one/deb/*.changes
echo "$two" >"$place/tree/VERSION"
require 'make deb of the next version' build two

# --- a system for it

require 'debootstrap' debian "$system" systemd-sysv,dbus,iproute2,procps,sqlite3
require 'its libraries' add_libraries
cp "$place/one.deb" "$place/two.deb" test/full/helpers/deb-inside.sh "$system/"
boot
inside env "ONE=$one" "TWO=$two" sh /deb-inside.sh || failed=1
exit $failed
