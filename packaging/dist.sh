#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: a tarball that unpacks and runs on Linux hosts with glibc 2.34 or later, and needs nothing
# but that: dist/rdsrv-VERSION-linux-ARCH.tar.gz, and dist/SHA256SUMS of all that are there.
# Built on Debian 12, whose packages it is made of: compilers come from this machine's, libraries
# from packages that are unpacked beside the build and not installed.
#
# usage: sh packaging/dist.sh [amd64|arm64|armhf]   (the machine's own by default)
set -eu
cd "$(dirname "$0")/.."
root=$PWD
version=$(cat VERSION)
GLIBC_MAX=2.34
arch=${1:-$(dpkg --print-architecture)}

die()
{
	echo "dist: $*" >&2
	exit 1
}

say()
{
	echo "dist: $*"
}

# --- per architecture: names, and the oldest processors that it runs on

case $arch in
amd64)
	triplet=x86_64-linux-gnu
	cross='gcc libc6-dev'
	baseline='-march=x86-64 -mtune=generic'
	emulator=qemu-x86_64
	;;
arm64)
	triplet=aarch64-linux-gnu
	cross='gcc-aarch64-linux-gnu libc6-dev-arm64-cross'
	baseline='-march=armv8-a'
	emulator='qemu-aarch64 -L /usr/aarch64-linux-gnu'
	;;
armhf)
	triplet=arm-linux-gnueabihf
	cross='gcc-arm-linux-gnueabihf libc6-dev-armhf-cross'
	# Time in 64 bits: without it these machines' clocks end in 2038.
	baseline='-march=armv7-a+fp -mfloat-abi=hard -D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64'
	emulator='qemu-arm -L /usr/arm-linux-gnueabihf'
	;;
*) die "there is no ARCH $arch: amd64, arm64 or armhf" ;;
esac

work=$root/build-dist/$arch
apt=$work/apt
sysroot=$work/sysroot
parts=$work/parts # libraries that are built here
name=rdsrv-$version-linux-$arch
stage=$work/$name
static_packages='libssl-dev libsodium-dev libsqlite3-dev libnanopb-dev'
shared_packages='libwslay-dev libwslay1 libqrencode-dev libqrencode4'
source_packages='libevent cjson'
flags="-O2 -g $baseline"

command -v apt-get >/dev/null || die 'this takes Debian packages, and there is no apt-get here'

# --- what it is made of

need_tools()
{
	wanted=
	for package in $cross qemu-user binutils dpkg-dev make nanopb pkg-config xz-utils; do
		dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed' ||
			wanted="$wanted $package"
	done
	[ -n "$wanted" ] || return 0
	[ "$(id -u)" -eq 0 ] || die "missing packages: apt-get install$wanted"
	say "installing with apt-get:$wanted"
	apt-get -q update || say 'apt-get update failed; going on'
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $wanted
}

# An apt of its own for this architecture and for sources, that leaves the machine's alone.
set_up_apt()
{
	mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/debs" "$apt/sources.list.d"
	: >"$apt/status"
	# shellcheck source=/dev/null
	. /etc/os-release
	# shellcheck disable=SC2016 # apt's, not the shell's
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(SIGNED_BY) $(ORIGIN)' \
		'Created-By: Packages' 2>/dev/null |
		awk -v code="$VERSION_CODENAME" '$NF ~ /^Debian/ && $2 ~ "^" code && $3 == "main" &&
			!seen[$1 $2]++ { print $1, $2, $4 }' >"$work/mirrors"
	[ -s "$work/mirrors" ] || die 'apt has no mirror of Debian here'
	while read -r uri suite key; do
		case $key in
		/*) option="[signed-by=$key]" ;;
		*) option= ;;
		esac
		echo "deb $option $uri $suite main"
		echo "deb-src $option $uri $suite main"
	done <"$work/mirrors" >"$apt/sources.list"
	cat >"$apt/apt.conf" <<END
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Dir::State "$apt";
Dir::State::status "$apt/status";
Dir::Cache "$apt";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "$apt/sources.list.d";
END
	# Of several sources one may be out of reach; whether that matters, the next step tells.
	apt_get update || echo "dist: some lists of packages for $arch could not be fetched, so that" \
		'newer versions (fixes of security) may be missed' >&3
}

apt_get()
{
	APT_CONFIG="$apt/apt.conf" apt-get -q "$@"
}

fetch()
{
	mkdir -p "$parts/src"
	# shellcheck disable=SC2086 # lists of words
	(cd "$apt/debs" && apt_get download $static_packages $shared_packages)
	# shellcheck disable=SC2086
	(cd "$parts/src" && apt_get source $source_packages)
	for deb in "$apt"/debs/*.deb; do
		dpkg -x "$deb" "$sysroot"
	done
}

# --- libraries that are built here

# libevent of Debian 12 takes random numbers from arc4random of glibc 2.36; its own are as good.
# They have the same names, so glibc's declarations come first and out of the way. What automake
# made is new enough.
build_libevent()
{
	mkdir -p "$parts/libevent"
	{
		echo '#include <stdlib.h>'
		for name_of_both in arc4random arc4random_buf arc4random_uniform; do
			echo "#define $name_of_both libevent_$name_of_both"
		done
	} >"$parts/libevent/own_random.h"
	find "$parts"/src/libevent-* \( -name aclocal.m4 -o -name configure -o -name '*.in' \) \
		-exec touch {} +
	(cd "$parts/libevent" &&
		ac_cv_func_arc4random=no ac_cv_func_arc4random_buf=no \
			sh "$parts"/src/libevent-*/configure --quiet --host="$triplet" \
			--disable-shared --disable-openssl --disable-samples \
			--disable-libevent-regress --disable-debug-mode \
			CC="$triplet-gcc" CFLAGS="$flags -fPIE -fstack-protector-strong \
				-include $parts/libevent/own_random.h" &&
		make -s include/event2/event-config.h &&
		make -s -j "$(nproc)" libevent_core.la libevent_extra.la)
}

build_cjson()
{
	mkdir -p "$parts/cjson"
	cp "$parts"/src/cjson-*/cJSON.[ch] "$parts/cjson/"
	# shellcheck disable=SC2086
	"$triplet-gcc" $flags -fPIE -fstack-protector-strong -c -o "$parts/cjson/cJSON.o" \
		"$parts/cjson/cJSON.c"
	"$triplet-ar" rcs "$parts/cjson/libcjson.a" "$parts/cjson/cJSON.o"
}

# --- rdsrv

# Static but for glibc and the two that have no .a: these are found beside the binary.
build_rdsrv()
{
	lib=$sysroot/usr/lib/$triplet
	event=$(echo "$parts"/src/libevent-*)
	make -s -j "$(nproc)" BUILD="build-dist/$arch/build" CC="$triplet-gcc" PKG_CONFIG=true \
		CFLAGS="$flags" RUN="$emulator -E LD_LIBRARY_PATH=$lib" \
		CPPFLAGS="-I$parts/cjson -I$parts/libevent/include -I$event/include \
			-I$sysroot/usr/include/$triplet -I$sysroot/usr/include \
			-I$sysroot/usr/include/nanopb" \
		LDFLAGS="-Wl,-rpath,'\$\$ORIGIN/../lib/rdsrv' -Wl,--enable-new-dtags" \
		RDS_LIBS="$parts/libevent/.libs/libevent_extra.a \
			$parts/libevent/.libs/libevent_core.a $parts/cjson/libcjson.a \
			$lib/libcrypto.a $lib/libsodium.a $lib/libsqlite3.a $lib/libprotobuf-nanopb.a \
			$lib/libwslay.so $lib/libqrencode.so -lm -ldl -lpthread" \
		"$@"
}

put_together()
{
	rm -rf "$stage"
	targets=$(sed -n 's/^\(install[a-z-]*\):.*/\1/p' packaging/install.mk)
	# shellcheck disable=SC2086 # a list of words
	build_rdsrv $targets DESTDIR="$stage" PREFIX=/usr/local
	mv "$stage/usr/local"/* "$stage/"
	rmdir "$stage/usr/local" "$stage/usr"
	"$triplet-strip" "$stage/bin/rdsrv"
	mkdir -p "$stage/lib/rdsrv"
	for so in libwslay.so.1 libqrencode.so.4; do
		cp -L "$sysroot/usr/lib/$triplet/$so" "$stage/lib/rdsrv/"
		chmod 644 "$stage/lib/rdsrv/$so"
	done
	put_texts
}

# What is in it, under whose licences, and from which source.
put_texts()
{
	doc=$stage/share/doc/rdsrv
	mkdir -p "$doc/licences"
	cp README.md LICENSE "$doc/"
	[ ! -f CHANGELOG.md ] || cp CHANGELOG.md "$doc/"
	for package in libssl-dev libsodium-dev libsqlite3-dev libnanopb-dev libwslay1 libqrencode4; do
		cp -L "$sysroot/usr/share/doc/$package/copyright" "$doc/licences/$package"
	done
	for package in $source_packages; do
		cp "$parts"/src/"$package"-*/debian/copyright "$doc/licences/$package"
	done
	# Texts that those refer to.
	grep -oh '/usr/share/common-licenses/[A-Za-z0-9.-]*[A-Za-z0-9]' "$doc"/licences/* |
		sort -u | while read -r text; do
		[ ! -f "$text" ] || cp -L "$text" "$doc/licences/"
	done
	{
		echo "rdsrv $version for linux-$arch holds, from Debian's packages:"
		for package in $static_packages libwslay1 libqrencode4; do
			file=$(echo "$apt"/debs/"$package"_*.deb)
			dpkg-deb -f "$file" Package Version Source | tr '\n' ' '
			echo
		done
		for package in $source_packages; do
			sed -n '1s/^/Source: /p' "$parts"/src/"$package"-*/debian/changelog
		done
		echo
		echo 'Their licences are beside this file; their source is in that release of Debian.'
		echo 'libwslay and libqrencode (which is LGPL) are separate files in lib/rdsrv, to be exchanged at will.'
	} >"$doc/licences/CONTENTS"
}

# --- checks

# The newest version of glibc that a file asks for.
glibc_of()
{
	"$triplet-objdump" -T "$1" | grep -o 'GLIBC_[0-9.]*' | sort -u -V | tail -n 1
}

check_files()
{
	for file in "$stage/bin/rdsrv" "$stage"/lib/rdsrv/*; do
		newest=$(glibc_of "$file")
		[ "$(printf '%s\nGLIBC_%s\n' "$newest" "$GLIBC_MAX" | sort -V | tail -n 1)" = \
			"GLIBC_$GLIBC_MAX" ] || die "$file needs $newest, which is above $GLIBC_MAX"
		"$triplet-readelf" -d "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
			grep -vE '^(libc|libm|libdl|libpthread|ld-linux[-a-z0-9_]*)\.so\.[0-9]$' |
			while read -r so; do
				[ -f "$stage/lib/rdsrv/$so" ] || die "$file needs $so, which is not there"
			done
		say "${file#"$stage/"} needs ${newest:-no version of glibc}"
	done
}

pack()
{
	mkdir -p "$root/dist"
	when=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y VERSION)}
	tar -C "$work" --sort=name --mtime="@$when" --owner=0 --group=0 --numeric-owner \
		--mode=go-w -cf - "$name" | gzip -n -9 >"$root/dist/.$name.tar.gz"
	mv "$root/dist/.$name.tar.gz" "$root/dist/$name.tar.gz"
	(cd "$root/dist" && sha256sum -- *.tar.gz >.sums && mv .sums SHA256SUMS)
	say "dist/$name.tar.gz"
}

# step WHAT FUNCTION: what it says is shown only if it fails, which ends everything.
step()
{
	say "$1"
	running=$1
	"$2" >"$work/log" 2>&1
	running=
}

exec 3>&2
running=
trap '[ -z "$running" ] || { tail -n 40 "$work/log"; echo "dist: this failed: $running"; } >&2' EXIT
trap 'exit 1' HUP INT TERM
need_tools
# What was fetched and built within a day serves again.
if [ -z "$(find "$work/parts-are-there" -mtime -1 2>/dev/null)" ]; then
	rm -rf "$work"
	mkdir -p "$sysroot" "$parts"
	step "fetching lists of packages for $arch" set_up_apt
	step 'fetching packages' fetch
	step 'building libevent' build_libevent
	step 'building cJSON' build_cjson
	touch "$work/parts-are-there"
fi
step 'building rdsrv' build_rdsrv
step 'putting it together' put_together
check_files
pack
