// SPDX-License-Identifier: MIT
// Sockets that the service manager hands over.
#include "net/listen.h"

#include "core/log.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_INHERITED 3
#define INHERITED_MAX   64
#define NAME_BYTES      32

// What there is; -1: taken.
static struct {
	int fds[INHERITED_MAX];
	char names[INHERITED_MAX][NAME_BYTES];
	size_t n;
} inherited;

// How many descriptors were handed over to this process.
static long handed_over(void)
{
	const char *pid = getenv("LISTEN_PID");
	const char *fds = getenv("LISTEN_FDS");
	if (pid == NULL || fds == NULL || strtol(pid, NULL, 10) != (long)getpid())
		return 0;
	return strtol(fds, NULL, 10);
}

static int option_of(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof value;
	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

// What makes it of no use; NULL: nothing does.
static const char *unusable(int fd, const char *name)
{
	struct stat st;
	int type = option_of(fd, SO_TYPE);
	int family = option_of(fd, SO_DOMAIN);
	if (fstat(fd, &st) != 0)
		return "isn't open";
	if (!S_ISSOCK(st.st_mode))
		return "is no socket";
	if (family != AF_INET && family != AF_INET6)
		return family == AF_UNIX ? "is a Unix socket" : "is no socket of the internet";
	if (type == SOCK_DGRAM)
		return strcmp(name, RDS_LISTEN_WEBSOCKET) == 0 ? "is a UDP socket" : NULL;
	if (type != SOCK_STREAM)
		return "is neither TCP nor UDP";
	return option_of(fd, SO_ACCEPTCONN) > 0 ? NULL
	                                        : "is a connection (Accept=yes), not a listener";
}

// LISTEN_FDNAMES is "a:b:c".
static void set_names(void)
{
	const char *at = getenv("LISTEN_FDNAMES");
	for (size_t i = 0; i < inherited.n && at != NULL; i++) {
		size_t len = strcspn(at, ":");
		(void)snprintf(inherited.names[i], NAME_BYTES, "%.*s", (int)len, at);
		at = at[len] == ':' ? at + len + 1 : NULL;
	}
}

static int check_inherited(struct rds_error *err)
{
	for (size_t i = 0; i < inherited.n; i++) {
		const char *name = inherited.names[i];
		const char *fault = unusable(inherited.fds[i], name);
		if (fault != NULL)
			return rds_fail(err, RDS_EINVAL,
			                "descriptor %d%s%s, which the service manager hands over, "
			                "%s; rdsrv takes ListenStream= and ListenDatagram= of "
			                "addresses and ports",
			                inherited.fds[i], name[0] == '\0' ? "" : ", ", name, fault);
	}
	return 0;
}

int rds_listen_inherit(struct rds_error *err)
{
	long n = handed_over();
	if (n > INHERITED_MAX)
		return rds_fail(err, RDS_EINVAL, "LISTEN_FDS is %ld: at most %d sockets are taken",
		                n, INHERITED_MAX);
	for (long i = 0; i < n; i++)
		inherited.fds[inherited.n++] = FIRST_INHERITED + (int)i;
	set_names();
	// Not for children.
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	int rc = check_inherited(err);
	for (size_t i = 0; i < inherited.n && rc == 0; i++) {
		(void)fcntl(inherited.fds[i], F_SETFD, FD_CLOEXEC);
		(void)fcntl(inherited.fds[i], F_SETFL, O_NONBLOCK);
	}
	if (rc != 0)
		inherited.n = 0;
	return rc;
}

static bool fits(int fd, enum rds_proto proto, const struct rds_bind *bind, uint16_t port)
{
	struct rds_addr local;
	return option_of(fd, SO_TYPE) == (proto == RDS_UDP ? SOCK_DGRAM : SOCK_STREAM) &&
	       rds_local_addr(fd, &local) == 0 && local.port == port &&
	       (bind->any ? rds_ip_is_any(&local.ip) : rds_ip_equal(&local.ip, &bind->ip));
}

int rds_listen_inherited(enum rds_proto proto, const struct rds_bind *bind, uint16_t port)
{
	for (size_t i = 0; i < inherited.n; i++) {
		int fd = inherited.fds[i];
		if (fd >= 0 && fits(fd, proto, bind, port)) {
			inherited.fds[i] = -1;
			return fd;
		}
	}
	return -1;
}

int rds_listen_named(const char *name)
{
	for (size_t i = 0; i < inherited.n; i++) {
		int fd = inherited.fds[i];
		if (fd >= 0 && strcmp(inherited.names[i], name) == 0) {
			inherited.fds[i] = -1;
			return fd;
		}
	}
	return -1;
}

void rds_listen_drop_unused(void)
{
	for (size_t i = 0; i < inherited.n; i++) {
		struct rds_addr local = {0};
		if (inherited.fds[i] < 0)
			continue;
		(void)rds_local_addr(inherited.fds[i], &local);
		rds_log(RDS_LOG_WARN, "a socket that was handed over fits no setting; closed it",
		        rds_field_addr("addr", &local));
		(void)close(inherited.fds[i]);
		inherited.fds[i] = -1;
	}
}
