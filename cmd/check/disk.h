// SPDX-License-Identifier: MIT
// The file system that a directory is on.
#ifndef RDS_CMD_CHECK_DISK_H
#define RDS_CMD_CHECK_DISK_H

#include <stdbool.h>
#include <stdint.h>

struct check_disk {
	char mount[512]; // where it is mounted; "": not known
	char type[64];   // "ext4", "nfs4", "fuse.sshfs"
	bool read_only;
	bool mount_read_only; // by the mount alone; the file system itself could be written
	bool has_inodes;
	uint64_t bytes_free; // for others than root
	uint64_t inodes_free;
};

// false: there is no such directory, or the system doesn't tell.
bool check_disk_read(const char *path, struct check_disk *out);

// Finds the mount that path lies in, in the text of /proc/self/mountinfo.
bool check_disk_parse(const char *mountinfo, const char *path, struct check_disk *out);

// Whether SQLite's log of changes, which needs locks and shared memory, can't be trusted on it.
bool check_disk_is_remote(const char *type);

#endif
