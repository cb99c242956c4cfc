#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: the RPM of this tree: for `make rpm`.
#
# usage: sh packaging/rpm/build.sh BUILD_DIR [OPTION of rpmbuild...]   (prints where the package is)
set -eu
cd "$(dirname "$0")/../.."
build=$(mkdir -p "$1" && cd "$1" && pwd)
shift
top=$build/rpm
log=$top/log
version=$(cat VERSION)

die()
{
	echo "make rpm: $*" >&2
	exit 1
}

command -v rpmbuild >/dev/null || die "needs rpmbuild: dnf install rpm-build"
rm -rf "$top"
mkdir -p "$top/SOURCES" "$top/SPECS"
# The copy is no clone, and can't tell its commit.
if [ -e .git ]; then
	COMMIT=$(git describe --always --dirty --exclude='*' --abbrev=12)
	export COMMIT
fi
sh packaging/tree.sh "$top/rdsrv-$version"
tar -czf "$top/SOURCES/rdsrv-$version.tar.gz" -C "$top" "rdsrv-$version"

# The version's day, as spec files have it.
when=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct -- VERSION 2>/dev/null || true)}
when=${when:-$(stat -c %Y VERSION)}
{
	cat packaging/rpm/rdsrv.spec
	printf '\n%%changelog\n'
	printf '* %s rdsrv maintainers <rdsrv@rdsrv.example> - %s-1\n' \
		"$(LC_ALL=C date -u -d "@$when" '+%a %b %d %Y')" "$version"
	echo '- See CHANGELOG.md.'
} >"$top/SPECS/rdsrv.spec"
rpmbuild -bb "$@" --define "_topdir $top" --define "rdsrv_version $version" \
	"$top/SPECS/rdsrv.spec" >"$log" 2>&1 || {
	cat "$log" >&2
	die "the build failed; above is its log"
}
cp "$top"/RPMS/*/rdsrv-"$version"-*.rpm "$build/"
ls "$build"/rdsrv-"$version"-*.rpm
