#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317 # expect calls most of what is here
# Goal: the tarballs hold what they should, need nothing but glibc 2.34, and work on the oldest
# processors of their kind: keys, exports, a registration and a session, natively or under qemu.
# Not on an Ubuntu 22.04 or Rocky 9 themselves: neither can be had here.
#
# usage: sh test/full/dist.sh [ARCH...]
set -eu
cd "$(dirname "$0")/../.."
root=$PWD
version=$(cat VERSION)
title=dist
. test/full/helpers/common.sh
[ "$(id -u)" -eq 0 ] || skip 'needs root, to install cross compilers and qemu'
command -v apt-get >/dev/null || skip 'needs Debian packages'
packages qemu-user binutils-multiarch python3 python3-nacl
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; clean_up' EXIT

make_it()
{
	make -s dist ARCH="$arch"
}

sums()
(
	cd "$root/dist"
	grep " rdsrv-$version-linux-$arch.tar.gz\$" SHA256SUMS | sha256sum -c -
)

# One directory of that name, nothing outside, nobody's and nothing that others may change.
well_formed()
{
	tar -tvf "$tarball" >"$place/list"
	! awk '{ print $6 }' "$place/list" | grep -vE "^$name/" &&
		! grep -vE '^[-dl]r[-w]x?r?' "$place/list" && ! grep -v ' 0/0 ' "$place/list" &&
		! grep -E '^-....w|^-.......w' "$place/list"
}

holds()
{
	for file in bin/rdsrv bin/hbbs bin/hbbr bin/rustdesk-utils sbin/rdsrv-migrate \
		share/man/man1/rdsrv.1 \
		share/bash-completion/completions/rdsrv share/zsh/site-functions/_rdsrv \
		share/fish/vendor_completions.d/rdsrv.fish lib/systemd/system/rdsrv.service lib/rdsrv/libwslay.so.1 \
		lib/rdsrv/libqrencode.so.4 share/doc/rdsrv/README.md share/doc/rdsrv/LICENSE \
		share/doc/rdsrv/licences/CONTENTS; do
		[ -s "$dir/$file" ] || {
			echo "no $file"
			return 1
		}
	done
}

# What is installed by make, all of it: man pages, units, completions, migrating.
holds_what_is_installed()
{
	targets=$(sed -n 's/^\(install[a-z-]*\):.*/\1/p' packaging/install.mk)
	# shellcheck disable=SC2086 # a list of words
	make -s $targets DESTDIR="$place/installed" PREFIX=/usr/local BUILD="build-dist/$arch/build" \
		PKG_CONFIG=true -o "build-dist/$arch/build/rdsrv" >/dev/null
	(cd "$place/installed/usr/local" && find . -type f -o -type l) | sort >"$place/there"
	while read -r file; do
		[ -e "$dir/$file" ] || [ -L "$dir/$file" ] || echo "missing: $file"
	done <"$place/there" | tee "$place/missing"
	rm -rf "$place/installed"
	[ -s "$place/there" ] && [ ! -s "$place/missing" ]
}

licences()
{
	for of in libssl libsodium libsqlite3 libnanopb libwslay libqrencode libevent cjson; do
		[ -s "$(echo "$dir/share/doc/rdsrv/licences/$of"*)" ] || {
			echo "none of $of"
			return 1
		}
	done
	[ -s "$dir/share/doc/rdsrv/licences/LGPL-2.1" ] && [ -s "$dir/share/doc/rdsrv/licences/Apache-2.0" ]
}

# Every file that is ELF.
elf_files()
{
	find "$dir" -type f | while read -r file; do
		[ "$(head -c 4 "$file" | tr -d '\177')" = ELF ] && echo "$file"
	done
	return 0
}

glibc_versions()
{
	elf_files >"$place/elf"
	cat "$place/elf"
	[ "$(wc -l <"$place/elf")" -ge 3 ] || return 1
	while read -r file; do
		objdump -T "$file" | grep -o 'GLIBC_[0-9][0-9.]*' || true
	done <"$place/elf" | sort -u -V >"$place/versions"
	cat "$place/versions"
	[ "$( (cat "$place/versions" && echo GLIBC_2.34) | sort -V | tail -n 1)" = GLIBC_2.34 ]
}

needed_libraries()
{
	elf_files | while read -r file; do
		readelf -d "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
	done | sort -u | tee "$place/needed" | while read -r so; do
		case $so in
		libc.so.6 | libm.so.6 | libdl.so.2 | libpthread.so.0 | ld-linux*) ;;
		*) [ -f "$dir/lib/rdsrv/$so" ] || echo "not there: $so" ;;
		esac
	done >"$place/absent"
	cat "$place/needed" "$place/absent"
	[ -s "$place/needed" ] && [ ! -s "$place/absent" ]
}

hardened()
{
	readelf -W -h -l -d "$dir/bin/rdsrv" >"$place/headers"
	grep -q 'Type: *DYN' "$place/headers" && grep -q GNU_RELRO "$place/headers" &&
		grep -q BIND_NOW "$place/headers" && grep -q 'RUNPATH.*.ORIGIN/../lib/rdsrv' "$place/headers" &&
		! grep -q 'GNU_STACK.*RWE' "$place/headers"
}

# What the linker wrote down of the processor that the code is for.
baseline()
{
	case $arch in
	amd64)
		readelf -n "$dir/bin/rdsrv" | tee "$place/isa"
		! grep 'ISA needed' "$place/isa" | grep -E 'v2|v3|v4'
		;;
	arm64) readelf -h "$dir/bin/rdsrv" | grep AArch64 ;;
	armhf)
		# OpenSSL and libsodium have code for NEON, too, which they use where there is some; what
		# the compiler made has none.
		readelf -A "$dir/bin/rdsrv" | grep -x '  Tag_CPU_arch: v7' || return 1
		for object in build-dist/armhf/build/*/*.o build-dist/armhf/parts/cjson/*.o; do
			readelf -A "$object" >"$place/isa"
			if grep Tag_Advanced_SIMD_arch "$place/isa" ||
				! grep -q 'Tag_FP_arch: VFPv3-D16' "$place/isa"; then
				echo "$object"
				return 1
			fi
		done
		;;
	esac
}

# run ARGUMENT...: in $place/data's server
run()
{
	# shellcheck disable=SC2086 # words
	$emulator "$dir/bin/rdsrv" "$@"
}

says_version()
{
	run --version | grep "^rdsrv $version"
}

makes_keys()
{
	rm -rf "$place/data"
	mkdir -m 700 "$place/data"
	run keygen --data-dir "$place/data" && [ "$(stat -c %a "$place/data/id_ed25519")" = 600 ]
}

exports()
{
	run export-conf --data-dir "$place/data" --id-server id.example >"$place/conf" &&
		grep -x "key=$(cat "$place/data/id_ed25519.pub")" "$place/conf" &&
		run export-conf --data-dir "$place/data" --id-server id.example --format qr
}

# start COMMAND...: keeps $server
start()
{
	"$@" serve --data-dir "$place/data" --bind "$host" --port "$port" >"$place/log" 2>&1 &
	server=$!
}

stop()
{
	kill "$server" 2>/dev/null || true
	wait "$server" || echo "the server ended with $?"
	server=
}

session()
{
	# shellcheck disable=SC2086 # words
	start $emulator "$dir/bin/rdsrv"
	if /usr/bin/python3 test/full/session.py "$host" "$port" "$(cat "$place/data/id_ed25519.pub")"; then
		stop
	else
		cat "$place/log"
		stop
		return 1
	fi
}

# A root that has glibc and what was unpacked, as the README says to do it, and nothing else.
with_glibc_alone()
{
	bare=$place/bare
	mkdir -p "$bare/lib64" "$bare/lib/x86_64-linux-gnu" "$bare/usr/local" "$bare/data" "$bare/dev"
	for so in libc.so.6 libm.so.6 libpthread.so.0 libdl.so.2; do
		cp -L "/lib/x86_64-linux-gnu/$so" "$bare/lib/x86_64-linux-gnu/"
	done
	cp -L /lib64/ld-linux-x86-64.so.2 "$bare/lib64/"
	mknod -m 666 "$bare/dev/null" c 1 3
	mknod -m 444 "$bare/dev/urandom" c 1 9
	mkdir "$bare/usr/local/bin"
	echo stock >"$bare/usr/local/bin/hbbs"
	# Newer versions of cp fail where they leave a file as it is.
	(
		cd "$dir" && cp -r lib sbin share "$bare/usr/local/" &&
			install -D bin/rdsrv "$bare/usr/local/bin/rdsrv" &&
			{ cp -rn bin "$bare/usr/local/" || true; } && cp -rn etc "$bare/"
	) || return 1
	[ "$(cat "$bare/usr/local/bin/hbbs") $(readlink "$bare/usr/local/bin/hbbr")" = 'stock rdsrv' ] ||
		return 1
	cp "$place/data"/id_ed25519* "$bare/data/"
	# shellcheck disable=SC2016 # the inner shell's
	unshare --mount sh -ec 'mkdir -p "$1/proc"; mount -t proc proc "$1/proc"
		cd "$1"; shift; exec chroot . "$@"' sh "$bare" /usr/local/bin/rdsrv serve \
		--data-dir /data --bind "$host" --port "$port" >"$place/log" 2>&1 &
	server=$!
	/usr/bin/python3 test/full/session.py "$host" "$port" "$(cat "$place/data/id_ed25519.pub")" || {
		cat "$place/log"
		stop
		return 1
	}
	stop
}

host=127.$((1 + $$ % 250)).$((10 + $$ / 250 % 200)).9
port=21116
[ $# -gt 0 ] || set -- amd64 arm64 armhf
for arch in "$@"; do
	case $arch in
	amd64) emulator='qemu-x86_64 -cpu qemu64' ;;
	arm64) emulator='qemu-aarch64 -cpu cortex-a53 -L /usr/aarch64-linux-gnu' ;;
	armhf) emulator='qemu-arm -cpu cortex-a9,neon=off -L /usr/arm-linux-gnueabihf' ;;
	esac
	title="dist $arch"
	name=rdsrv-$version-linux-$arch
	tarball=$root/dist/$name.tar.gz
	dir=$place/$name
	expect "make dist ARCH=$arch" make_it
	[ -f "$tarball" ] || continue
	expect 'its SHA-256 sum' sums
	expect 'form of the tarball' well_formed
	tar -C "$place" -xf "$tarball"
	expect 'what it holds' holds
	expect 'all that is installed' holds_what_is_installed
	expect 'licences of what it holds' licences
	expect 'no version of glibc above 2.34' glibc_versions
	expect 'no library but glibc and its own' needed_libraries
	expect 'hardened, and its libraries found beside it' hardened
	expect 'for the oldest processors of its kind' baseline
	expect "$emulator: --version" says_version
	expect "$emulator: keygen" makes_keys
	expect "$emulator: export-conf" exports
	expect "$emulator: registration and session" session
	[ "$arch" != amd64 ] || expect 'in a root with nothing but glibc' with_glibc_alone
done
exit $failed
