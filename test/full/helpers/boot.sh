#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: systemd as the first process of a system in a directory, in namespaces of its own: mounts,
# processes, names, a control group, and a network with nothing but a loopback. Its end is the end of
# all of them, but for the control group.
#
# usage: unshare --mount sh boot.sh SYSTEM GROUPS GROUP   (GROUPS: where to mount the host's groups)
set -eu
system=$1
groups=$2
group=$3

mount --make-rprivate /
mkdir -p "$groups"
mount -t cgroup2 none "$groups"
mkdir "$groups/$group"
echo $$ >"$groups/$group/cgroup.procs"
# shellcheck disable=SC3045 # dash has it
ulimit -H -n 1048576 || echo "the limit on open files can't be raised here"
# shellcheck disable=SC2016 # that shell's
exec unshare --pid --fork --kill-child --net --uts --ipc --cgroup sh -euc '
	system=$1
	mount --bind "$system" "$system"
	mount -t proc proc "$system/proc"
	mount -t sysfs sysfs "$system/sys"
	mount -t cgroup2 none "$system/sys/fs/cgroup"
	for place in run tmp dev; do mount -t tmpfs tmpfs "$system/$place"; done
	for device in null zero full random urandom tty; do
		: >"$system/dev/$device"
		mount --bind "/dev/$device" "$system/dev/$device"
	done
	ln -s /proc/self/fd "$system/dev/fd"
	ln -s pts/ptmx "$system/dev/ptmx"
	mkdir "$system/dev/pts" "$system/dev/shm" "$system/run/old"
	mount -t tmpfs tmpfs "$system/dev/shm"
	mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$system/dev/pts"
	ip link set lo up
	cd "$system"
	# No mere chroot: in one, services can have no users of their own (PrivateUsers).
	pivot_root . run/old
	umount -l /run/old
	exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		/lib/systemd/systemd --log-target=journal' sh "$system"
