// SPDX-License-Identifier: MIT
#include "net/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096

void rds_sockaddr_get(const struct sockaddr_storage *from, struct rds_addr *out)
{
	if (from->ss_family == AF_INET6) {
		struct sockaddr_in6 six;
		memcpy(&six, from, sizeof six);
		memcpy(out->ip.b, &six.sin6_addr, 16);
		out->port = ntohs(six.sin6_port);
		return;
	}
	struct sockaddr_in four;
	*out = (struct rds_addr){0};
	if (from->ss_family != AF_INET)
		return;
	memcpy(&four, from, sizeof four);
	uint8_t b[4];
	memcpy(b, &four.sin_addr, 4);
	out->ip = rds_ip_v4(b[0], b[1], b[2], b[3]);
	out->port = ntohs(four.sin_port);
}

uint32_t rds_sockaddr_set(struct sockaddr_storage *out, const struct rds_addr *addr, bool six,
                          unsigned scope)
{
	memset(out, 0, sizeof *out);
	if (six) {
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
		                           .sin6_port = htons(addr->port),
		                           .sin6_scope_id = scope};
		memcpy(&in6.sin6_addr, addr->ip.b, 16);
		memcpy(out, &in6, sizeof in6);
		return sizeof in6;
	}
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
	memcpy(&in.sin_addr, addr->ip.b + 12, 4);
	memcpy(out, &in, sizeof in);
	return sizeof in;
}

int rds_local_addr(int fd, struct rds_addr *out)
{
	struct sockaddr_storage ss = {0};
	socklen_t len = sizeof ss;
	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return -RDS_ESYS;
	rds_sockaddr_get(&ss, out);
	return 0;
}

static int fail(enum rds_proto proto, const struct rds_bind *bind, uint16_t port,
                struct rds_error *err)
{
	int error = errno;
	char text[RDS_ADDR_TEXT];
	struct rds_addr addr = {.ip = bind->ip, .port = port};
	rds_addr_format(&addr, text);
	const char *hint = error == EADDRINUSE ? "another program holds it: `ss -lunpt` shows which"
	                   : error == EACCES
	                           ? "ports below 1024 need root or CAP_NET_BIND_SERVICE; a "
	                             "service has 80 from rdsrv.socket, see rdsrv-serve(1)"
	                   : error == EADDRNOTAVAIL ? "no interface has this address: see bind"
	                                            : "see bind and port";
	return rds_fail(err, RDS_ESYS, "can't listen on %s %s: %s; %s",
	                proto == RDS_UDP ? "UDP" : "TCP", text, strerror(error), hint);
}

// A bound (and for TCP listening) socket; -1 and errno.
static int open_socket(enum rds_proto proto, bool six, const struct rds_bind *at, uint16_t port)
{
	static const int yes = 1;
	static const int no = 0;
	struct sockaddr_storage ss;
	struct rds_addr addr = {.ip = at->ip, .port = port};
	if (at->any && !six)
		addr.ip = rds_ip_v4(0, 0, 0, 0);
	if (at->any && six)
		addr.ip = (struct rds_ip){{0}};
	int type = (proto == RDS_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
	int fd = socket(six ? AF_INET6 : AF_INET, type, 0);
	if (fd < 0)
		return -1;
	socklen_t len = rds_sockaddr_set(&ss, &addr, six, 0);
	bool ok =
	        proto == RDS_UDP || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0;
	ok = ok && (!six || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, at->any ? &no : &yes,
	                               sizeof yes) == 0);
	// An interface's IPv6 address may still be under test for duplicates.
	ok = ok &&
	     (!at->of_interface || setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &yes, sizeof yes) == 0);
	ok = ok && bind(fd, (const struct sockaddr *)&ss, len) == 0;
	ok = ok && (proto == RDS_UDP || listen(fd, BACKLOG) == 0);
	if (ok)
		return fd;
	int error = errno;
	(void)close(fd);
	errno = error;
	return -1;
}

int rds_listen(enum rds_proto proto, const struct rds_bind *bind, uint16_t port, int *fd,
               struct rds_error *err)
{
	*fd = rds_listen_inherited(proto, bind, port);
	if (*fd >= 0)
		return 0;
	bool six = !rds_ip_is_v4(&bind->ip);
	*fd = open_socket(proto, six, bind, port);
	// A kernel without IPv6 has no such family, or no such address.
	if (*fd < 0 && bind->any && six && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
		*fd = open_socket(proto, false, bind, port);
	return *fd >= 0 ? 0 : fail(proto, bind, port, err);
}
