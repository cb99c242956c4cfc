// SPDX-License-Identifier: MIT
#include "cmd/log_sink.h"

#include "core/alloc.h"
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct {
	int fd;
	enum rds_log_format format;
	char *path; // NULL: stderr
} sink = {.fd = STDERR_FILENO};

static void write_line(void *ctx, enum rds_log_level level, const char *event,
                       const struct rds_field *fields, size_t n)
{
	char line[8192];
	struct timespec now;
	(void)ctx;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	uint64_t unix_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	size_t len = rds_log_format_line(sink.format, unix_ms, level, event, fields, n, line,
	                                 sizeof line);
	// One write a line, so that lines of several threads and processes don't mix.
	while (write(sink.fd, line, len) < 0 && errno == EINTR)
		;
}

// systemd names the journal's socket: our stderr may be it.
static bool is_journal(int fd)
{
	const char *name = getenv("JOURNAL_STREAM");
	struct stat st;
	char ours[64];
	if (name == NULL || fstat(fd, &st) != 0)
		return false;
	(void)snprintf(ours, sizeof ours, "%llu:%llu", (unsigned long long)st.st_dev,
	               (unsigned long long)st.st_ino);
	return strcmp(name, ours) == 0;
}

static int open_file(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

int rds_log_sink_open(const struct rds_settings *settings, struct rds_error *err)
{
	const char *path = rds_settings_text(settings, RDS_SET_LOG_FILE);
	if (path[0] != '\0') {
		int fd = open_file(path);
		if (fd < 0)
			return rds_fail(err, RDS_ESYS, "log file %s: %s", path, strerror(errno));
		sink.fd = fd;
		sink.path = rds_strdup(path);
	}
	sink.format = rds_settings_number(settings, RDS_SET_LOG_FORMAT) == RDS_LOG_JSON
	                      ? RDS_LOG_JSON
	              : is_journal(sink.fd) ? RDS_LOG_JOURNALD
	                                    : RDS_LOG_TEXT;
	rds_log_to(write_line, NULL,
	           (enum rds_log_level)rds_settings_number(settings, RDS_SET_LOG_LEVEL));
	return 0;
}

void rds_log_sink_reopen(void)
{
	if (sink.path == NULL)
		return;
	int fd = open_file(sink.path);
	if (fd < 0) {
		rds_log(RDS_LOG_ERROR, "can't reopen the log file; going on with the old one",
		        rds_field_text("file", sink.path), rds_field_text("why", strerror(errno)));
		return;
	}
	// The new file takes the old descriptor's number: no thread can write to a closed one.
	(void)dup3(fd, sink.fd, O_CLOEXEC);
	(void)close(fd);
	rds_log(RDS_LOG_INFO, "log file reopened", rds_field_text("file", sink.path));
}

void rds_log_sink_close(void)
{
	rds_log_to(NULL, NULL, RDS_LOG_ERROR);
	if (sink.path == NULL)
		return;
	(void)close(sink.fd);
	free(sink.path);
	sink.path = NULL;
	sink.fd = STDERR_FILENO;
}
