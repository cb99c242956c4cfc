#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: the Debian package of this tree, built in a copy of it: for `make deb`.
#
# usage: sh packaging/debian/build.sh BUILD_DIR    (prints where the package is)
set -eu
cd "$(dirname "$0")/../.."
build=$(mkdir -p "$1" && cd "$1" && pwd)
version=$(cat VERSION)
copy=$build/deb/rdsrv-$version
log=$build/deb/log

die()
{
	echo "make deb: $*" >&2
	exit 1
}

for tool in dpkg-buildpackage dh; do
	command -v "$tool" >/dev/null ||
		die "needs dpkg-dev and debhelper: apt-get install dpkg-dev debhelper"
done
rm -rf "$build/deb"
mkdir -p "$copy"

sh packaging/tree.sh "$copy"
cp -R "$copy/packaging/debian" "$copy/debian"
rm "$copy/debian/build.sh" "$copy/debian/changelog.awk"

# When the version was made: git knows, or the file.
when=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct -- VERSION 2>/dev/null || true)}
when=${when:-$(stat -c %Y VERSION)}
{
	[ ! -f CHANGELOG.md ] || cat CHANGELOG.md
} | awk -f packaging/debian/changelog.awk -v version="$version" \
	-v maintainer="$(sed -n 's/^Maintainer: //p' packaging/debian/control)" \
	-v date="$(LC_ALL=C date -u -R -d "@$when")" >"$copy/debian/changelog"

awk '
	/^Copyright/ && !n {
		sub(/^Copyright (\(c\) )?/, "")
		print "s/@COPYRIGHT@/" $0 "/"
		n = 1
	}' \
	LICENSE >"$build/deb/holder"
sed -e '1,/^Permission/{/^Permission/!d}' -e 's/^$/./; s/^/ /' LICENSE >"$build/deb/licence"
sed -i -f "$build/deb/holder" -e "/@LICENCE@/{
	r $build/deb/licence
	d
}" "$copy/debian/copyright"

export SOURCE_DATE_EPOCH="$when"
# The copy is no clone, and can't tell its commit.
if [ -e .git ]; then
	COMMIT=$(git describe --always --dirty --exclude='*' --abbrev=12)
	export COMMIT
fi
(cd "$copy" && dpkg-buildpackage -b -us -uc -Jauto) >"$log" 2>&1 || {
	cat "$log" >&2
	die "the build failed; above is its log"
}
cp "$build"/deb/rdsrv_"$version"_*.deb "$build/"
ls "$build"/rdsrv_"$version"_*.deb
