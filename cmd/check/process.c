// SPDX-License-Identifier: MIT
#include "cmd/check/process.h"

#include "keys/datadir.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

ssize_t check_read_file(const char *path, char *out, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	out[0] = '\0';
	if (fd < 0)
		return -1;
	ssize_t n = rds_read_to_end(fd, (uint8_t *)out, cap - 1);
	(void)close(fd);
	out[n > 0 ? n : 0] = '\0';
	return n;
}

size_t check_cut(char *line, char **words, size_t max)
{
	size_t n = 0;
	char *rest = NULL;
	for (char *word = strtok_r(line, " \t\n", &rest); word != NULL && n < max;
	     word = strtok_r(NULL, " \t\n", &rest))
		words[n++] = word;
	return n;
}

// The last part of the path that is a service, whatever lies below it.
char *check_unit_of_cgroup(const char *text, char *out, size_t cap)
{
	out[0] = '\0';
	for (const char *at = text; *at != '\0';) {
		size_t len = strcspn(at, "/\n");
		if (len > 8 && len < cap && strncmp(at + len - 8, ".service", 8) == 0 &&
		    strncmp(at, "user@", 5) != 0)
			(void)snprintf(out, cap, "%.*s", (int)len, at);
		at += len + (at[len] != '\0');
	}
	return out;
}

// "PID (NAME) STATE ...": the name may have anything in it.
static bool parse_stat(char *text, struct check_process *out)
{
	char *open = strchr(text, '(');
	char *close = strrchr(text, ')');
	if (open == NULL || close == NULL || close < open || close[1] == '\0')
		return false;
	*close = '\0';
	(void)snprintf(out->name, sizeof out->name, "%s", open + 1);
	out->state = close[2];
	return true;
}

bool check_process_read(pid_t pid, struct check_process *out)
{
	char path[64];
	char text[4096];
	struct stat st;
	*out = (struct check_process){.pid = pid};
	(void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (pid <= 0 || check_read_file(path, text, sizeof text) <= 0 || !parse_stat(text, out))
		return false;
	(void)snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
	if (check_read_file(path, text, sizeof text) > 0)
		(void)check_unit_of_cgroup(text, out->unit, sizeof out->unit);
	(void)snprintf(path, sizeof path, "/proc/%d", (int)pid);
	if (stat(path, &st) != 0)
		return false;
	out->uid = st.st_uid;
	out->gid = st.st_gid;
	return true;
}

static int64_t count_entries(const char *path)
{
	int64_t n = 0;
	DIR *list = opendir(path);
	if (list == NULL)
		return -1;
	while (readdir(list) != NULL)
		n++;
	(void)closedir(list);
	return n - 2;
}

bool check_process_descriptors(pid_t pid, uint64_t *limit, int64_t *used)
{
	static const char heading[] = "Max open files";
	char path[64];
	char text[4096];
	(void)snprintf(path, sizeof path, "/proc/%d/limits", (int)pid);
	if (check_read_file(path, text, sizeof text) <= 0)
		return false;
	const char *line = strstr(text, heading);
	if (line == NULL)
		return false;
	line += sizeof heading - 1;
	line += strspn(line, " ");
	*limit = strncmp(line, "unlimited", 9) == 0 ? UINT64_MAX : strtoull(line, NULL, 10);
	(void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	*used = count_entries(path);
	return true;
}
