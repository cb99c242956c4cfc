#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: the packages are there with which rdsrv is built, or built and tested.
# It looks first: where nothing is missing it says and does nothing.
#
# usage: sh packaging/deps.sh build|test
set -eu

# The same things, under Debian's and under Fedora's names.
deb_build='gcc make pkg-config libssl-dev libevent-dev libsodium-dev libwslay-dev nanopb libnanopb-dev
	libcjson-dev libqrencode-dev libsqlite3-dev'
deb_test='clang clang-tidy llvm cppcheck shellcheck mandoc libcmocka-dev python3-pytest
	python3-pytest-xdist python3-pytest-timeout python3-nacl python3-websockets iproute2 procps sqlite3 strace
	util-linux git zbar-tools systemd zsh fish faketime nftables iptables'
rpm_build='gcc make pkgconf-pkg-config openssl-devel libevent-devel libsodium-devel wslay-devel nanopb
	nanopb-devel cjson-devel qrencode-devel sqlite-devel'
rpm_test='clang clang-tools-extra compiler-rt llvm cppcheck ShellCheck mandoc libcmocka-devel
	python3-pytest python3-pytest-xdist python3-pytest-timeout python3-pynacl python3-websockets iproute procps-ng
	sqlite strace util-linux git-core zbar systemd zsh fish libfaketime nftables iptables-nft'

die()
{
	echo "deps.sh: $*" >&2
	exit 1
}

# Those of the packages that are not installed.
missing_deb()
{
	# Complains of packages that it has never heard of, which is what is asked here.
	# shellcheck disable=SC2016 # dpkg-query's, not the shell's
	have=$(dpkg-query -W -f '[${db:Status-Status} ${Package}]' "$@" 2>/dev/null) || true
	for package in "$@"; do
		case $have in
		*"[installed $package]"*) ;;
		*) echo "$package" ;;
		esac
	done
}

missing_rpm()
{
	for package in "$@"; do
		rpm -q --whatprovides "$package" >/dev/null 2>&1 || echo "$package"
	done
}

# Runs a command as root; what it says is shown only if it fails.
as_root()
{
	[ "$(id -u)" -eq 0 ] || set -- sudo "$@"
	"$@" >"$log" 2>&1 </dev/null || {
		cat "$log" >&2
		return 1
	}
}

apt_get()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
		-o Acquire::Retries=3 "$@"
}

# Says what is to come, or why it can't.
announce()
{
	manager=$1
	shift
	if [ "$(id -u)" -eq 0 ]; then
		echo "deps.sh: installing with $manager: $*"
	elif command -v sudo >/dev/null; then
		echo "deps.sh: installing with sudo $manager: $*"
	else
		die "this needs root, and there is no sudo: as root, run $manager install $*"
	fi
}

updated=
install_deb()
{
	wanted=$(missing_deb "$@" | tr '\n' ' ')
	[ -n "$wanted" ] || return 0
	# shellcheck disable=SC2086 # a list of words, as below
	announce apt-get $wanted
	# Of several sources one may be out of reach; whether that matters, the next step tells.
	[ -n "$updated" ] || apt_get update || echo "deps.sh: apt-get update failed; going on" >&2
	updated=yes
	# shellcheck disable=SC2086
	apt_get install --no-install-recommends $wanted ||
		die "apt-get could not install these: ${wanted% }"
}

# Half of the names are in EPEL, and what those need is in CRB. Fedora has and needs neither.
add_rpm_sources()
{
	! grep -q '^ID="*fedora' /etc/os-release || return 0
	rpm -q epel-release dnf-plugins-core >/dev/null 2>&1 ||
		as_root dnf -y install epel-release dnf-plugins-core ||
		echo "deps.sh: no EPEL repository; going on without it" >&2
	as_root dnf config-manager --set-enabled crb ||
		echo "deps.sh: no CRB repository; going on without it" >&2
}

install_rpm()
{
	wanted=$(missing_rpm "$@" | tr '\n' ' ')
	[ -n "$wanted" ] || return 0
	# shellcheck disable=SC2086 # a list of words, as below
	announce dnf $wanted
	add_rpm_sources
	# shellcheck disable=SC2086
	as_root dnf -y --setopt=install_weak_deps=False install $wanted ||
		die "dnf could not install these: ${wanted% }"
}

# Debian names the sanitizers' and fuzzers' runtime after the version that clang has.
clang_runtime()
{
	major=$(clang -dumpversion | cut -d. -f1)
	echo "libclang-rt-$major-dev"
}

what=${1:-}
case $what in
build) deb_test='' rpm_test='' ;;
test) ;;
*)
	echo "usage: sh packaging/deps.sh build|test" >&2
	exit 2
	;;
esac
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 1' HUP INT TERM

# shellcheck disable=SC2086 # lists of words
if command -v apt-get >/dev/null; then
	install_deb $deb_build $deb_test
	[ "$what" = build ] || install_deb "$(clang_runtime)"
elif command -v dnf >/dev/null; then
	install_rpm $rpm_build $rpm_test
else
	die "neither apt-get nor dnf here; by Debian's names it takes:" $deb_build $deb_test
fi
