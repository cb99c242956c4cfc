#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: systemd as the first process of a system in a directory, in namespaces of its own: mounts,
# processes, names, control groups, and a network with nothing but a loopback. Its end is the end of
# all of them.
#
# usage: unshare -m -p -f -u -i -C -n --kill-child sh boot.sh DIRECTORY
set -eu
root=$1
groups=$root/sys/fs/cgroup

mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
for place in run tmp dev; do
	mount -t tmpfs tmpfs "$root/$place"
done
for node in null zero full random urandom tty; do
	touch "$root/dev/$node"
	mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t devpts devpts "$root/dev/pts" -o newinstance,ptmxmode=0666,mode=620
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

# As the host has them: one tree, or the old way's several, of which systemd needs its own.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	mount -t cgroup2 cgroup2 "$groups"
else
	mount -t tmpfs tmpfs "$groups"
	mkdir "$groups/systemd" "$groups/unified"
	mount -t cgroup -o none,name=systemd cgroup "$groups/systemd"
	mount -t cgroup2 cgroup2 "$groups/unified"
fi
ip link set lo up
# No mere chroot: in one, services can't have users of their own (PrivateUsers).
pivot_root "$root" "$root/mnt"
cd /
umount -l /mnt
exec env -i PATH=/usr/sbin:/usr/bin container=other /lib/systemd/systemd --show-status=no
