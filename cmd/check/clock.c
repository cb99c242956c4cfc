// SPDX-License-Identifier: MIT
// clock: a wrong one ends keys' grace too early or too late, and breaks TLS.
#include "cmd/check/local.h"

#include "cmd/check/tool.h"
#include "core/alloc.h"
#include "core/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <time.h>

// 2025-01-01: there was no rdsrv before it, so no right clock shows an earlier day.
#define NOT_BEFORE 1735689600
// What file systems and other hosts' clocks may differ by.
#define SLACK_SEC 120

// The newest file of the data directory; 0: there is none.
static time_t newest(const char *dir, char name[256])
{
	time_t latest = 0;
	DIR *list = opendir(dir);
	for (const struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
		struct stat st;
		if (entry->d_name[0] == '.' ||
		    fstatat(dirfd(list), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		    st.st_mtime <= latest)
			continue;
		latest = st.st_mtime;
		(void)snprintf(name, 256, "%s", entry->d_name);
	}
	if (list != NULL)
		(void)closedir(list);
	return latest;
}

// What sets clocks right here.
static const char *set_right(char *out, size_t cap)
{
	char *timedatectl = check_tool_find("timedatectl");
	char *dnf = check_tool_find("dnf");
	if (timedatectl != NULL)
		(void)snprintf(out, cap, "%stimedatectl set-ntp true", local_sudo());
	else
		(void)snprintf(out, cap, "%s%s install chrony", local_sudo(),
		               dnf != NULL ? "dnf" : "apt-get");
	free(timedatectl);
	free(dnf);
	return out;
}

static const char *length_text(int64_t sec, char out[48])
{
	if (sec >= 2 * 86400)
		(void)snprintf(out, 48, "%lld days", (long long)(sec / 86400));
	else if (sec >= 2 * 3600)
		(void)snprintf(out, 48, "%lld hours", (long long)(sec / 3600));
	else
		(void)snprintf(out, 48, "%lld minutes", (long long)(sec / 60));
	return out;
}

static void tell_synchronised(const char *now_text, struct check_result *result)
{
	char command[128];
	struct timex state = {.modes = 0};
	int rc = adjtimex(&state);
	if (rc < 0) {
		check_ok(result, "%s; whether something keeps it right can't be seen", now_text);
	} else if (rc == TIME_ERROR || (state.status & STA_UNSYNC) != 0) {
		check_warn(result, "%s, but nothing keeps it right (not synchronised)", now_text);
		check_fix(result, "%s", set_right(command, sizeof command));
	} else {
		check_ok(result, "%s, synchronised", now_text);
	}
}

void check_clock(struct check *check)
{
	const struct check_site *site = &check->site;
	struct check_result result;
	char name[256] = "";
	char now_text[RDS_TIME_TEXT];
	char command[128];
	char ahead[48];
	time_t now = time(NULL);
	time_t latest = site->dir == NULL ? 0 : newest(site->data_dir, name);
	check_begin(&result, "clock");
	(void)rds_text_time(now, now_text);
	if (now < NOT_BEFORE) {
		check_fail(&result, "it shows %s, which is before this program was written",
		           now_text);
		check_fix(&result, "%s", set_right(command, sizeof command));
	} else if (latest > now + SLACK_SEC) {
		char *path = local_path(site, name);
		char *word = local_quote(path);
		check_fail(&result, "it shows %s, but %s was written %s after that", now_text, path,
		           length_text(latest - now, ahead));
		check_fix(&result, "%s; or if the clock is right now: `touch -h %s`",
		          set_right(command, sizeof command), word);
		free(word);
		free(path);
	} else {
		tell_synchronised(now_text, &result);
	}
	check_end(check, &result);
}
