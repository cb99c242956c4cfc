// SPDX-License-Identifier: MIT
#include "cmd/check/disk.h"

#include "cmd/check/process.h"
#include "core/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define MOUNTINFO_MAX (1024 * 1024)

// Spaces and the like are written as \040.
static void unescape(char *text)
{
	char *to = text;
	for (const char *from = text; *from != '\0'; to++) {
		if (from[0] == '\\' && strspn(from + 1, "01234567") >= 3) {
			*to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + from[3] - '0');
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

static bool lies_in(const char *path, const char *mount)
{
	size_t len = strlen(mount);
	return strcmp(mount, "/") == 0 ||
	       (strncmp(path, mount, len) == 0 && (path[len] == '/' || path[len] == '\0'));
}

static bool has_option(const char *options, const char *name)
{
	size_t len = strlen(name);
	for (const char *at = options; at != NULL; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, name, len) == 0 && (at[len] == ',' || at[len] == '\0'))
			return true;
	}
	return false;
}

// "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue"
static bool parse_line(const char *line, const char *path, struct check_disk *out)
{
	char mount[512];
	char options[512];
	char type[64];
	char super[1024] = "";
	const char *rest = strstr(line, " - ");
	if (rest == NULL || sscanf(line, "%*d %*d %*s %*s %511s %511s", mount, options) != 2 ||
	    sscanf(rest, " - %63s %*s %1023s", type, super) < 1)
		return false;
	unescape(mount);
	if (!lies_in(path, mount) || strlen(mount) < strlen(out->mount))
		return false;
	(void)snprintf(out->mount, sizeof out->mount, "%s", mount);
	(void)snprintf(out->type, sizeof out->type, "%s", type);
	out->read_only = has_option(options, "ro") || has_option(super, "ro");
	out->mount_read_only = has_option(options, "ro") && !has_option(super, "ro");
	return true;
}

bool check_disk_parse(const char *mountinfo, const char *path, struct check_disk *out)
{
	bool found = false;
	out->mount[0] = '\0';
	while (*mountinfo != '\0') {
		size_t len = strcspn(mountinfo, "\n");
		char *line = rds_strndup(mountinfo, len);
		found = parse_line(line, path, out) || found; // a later mount hides an earlier one
		free(line);
		mountinfo += len + (mountinfo[len] == '\n');
	}
	return found;
}

bool check_disk_is_remote(const char *type)
{
	static const char *const types[] = {"nfs",    "nfs4", "cifs", "smb3",      "smbfs",
	                                    "9p",     "afs",  "ceph", "glusterfs", "virtiofs",
	                                    "vboxsf", "gfs2", "ocfs2"};
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return strncmp(type, "fuse", 4) == 0 && strcmp(type, "fuseblk") != 0;
}

bool check_disk_read(const char *path, struct check_disk *out)
{
	struct statvfs st;
	char *real = realpath(path, NULL);
	*out = (struct check_disk){.read_only = false};
	if (real == NULL || statvfs(real, &st) != 0) {
		free(real);
		return false;
	}
	char *text = rds_calloc(MOUNTINFO_MAX, 1);
	if (check_read_file("/proc/self/mountinfo", text, MOUNTINFO_MAX) > 0)
		(void)check_disk_parse(text, real, out);
	free(text);
	free(real);
	out->read_only = out->read_only || (st.f_flag & ST_RDONLY) != 0;
	out->bytes_free = (uint64_t)st.f_bavail * st.f_frsize;
	out->has_inodes = st.f_files > 0;
	out->inodes_free = st.f_favail;
	return true;
}
