// SPDX-License-Identifier: MIT
#include "net/notify.h"

#include "core/log.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static struct {
	int fd; // 0: nobody listens
	struct sockaddr_un to;
	socklen_t to_len;
	unsigned watchdog_ms;
	bool complained;
} notify;

// An absolute path, or "@" and a name without a file.
static bool read_address(const char *text)
{
	size_t len = text == NULL ? 0 : strlen(text);
	if (len < 2 || len >= sizeof notify.to.sun_path || (text[0] != '/' && text[0] != '@'))
		return false;
	notify.to = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(notify.to.sun_path, text, len);
	if (text[0] == '@')
		notify.to.sun_path[0] = '\0';
	notify.to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return true;
}

// Meant for another process, or nonsense: none.
static unsigned read_watchdog(const char *usec, const char *pid)
{
	char *end = NULL;
	if (usec == NULL || (pid != NULL && strtol(pid, NULL, 10) != (long)getpid()))
		return 0;
	errno = 0;
	unsigned long long n = strtoull(usec, &end, 10);
	if (errno != 0 || usec[0] < '0' || usec[0] > '9' || *end != '\0')
		return 0;
	return n / 1000 > UINT_MAX ? UINT_MAX : (unsigned)(n / 1000);
}

void rds_notify_open(void)
{
	static const struct timeval patience = {.tv_sec = 1};
	if (read_address(getenv("NOTIFY_SOCKET"))) {
		int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd > 0) {
			(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
			notify.fd = fd;
			notify.watchdog_ms =
			        read_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
		}
	}
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
}

void rds_notify_close(void)
{
	if (notify.fd > 0)
		(void)close(notify.fd);
	notify.fd = 0;
}

bool rds_notify_wanted(void)
{
	return notify.fd > 0;
}

void rds_notify(const char *format, ...)
{
	char text[512];
	va_list args;
	if (notify.fd <= 0)
		return;
	va_start(args, format);
	int len = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	size_t n = len < 0 ? 0 : (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
	ssize_t sent;
	do
		sent = sendto(notify.fd, text, n, MSG_NOSIGNAL, (const struct sockaddr *)&notify.to,
		              notify.to_len);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && !notify.complained)
		rds_log(RDS_LOG_WARN, "the service manager can't be told",
		        rds_field_text("why", strerror(errno)));
	notify.complained = sent < 0;
}

void rds_notify_reloading(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	rds_notify("RELOADING=1\nMONOTONIC_USEC=%llu",
	           (unsigned long long)now.tv_sec * 1000000 +
	                   (unsigned long long)now.tv_nsec / 1000);
}

unsigned rds_notify_watchdog_ms(void)
{
	return notify.watchdog_ms;
}
