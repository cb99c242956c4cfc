// SPDX-License-Identifier: MIT
#include "net/listen.h"

#include "core/alloc.h"
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_INHERITED 3
#define INHERITED_MAX   64
#define BACKLOG         4096

// What the service manager handed over; -1: taken.
static struct {
	int fds[INHERITED_MAX];
	size_t n;
} inherited;

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

static void bind_add(struct rds_binds *binds, const struct rds_bind *bind)
{
	for (size_t i = 0; i < binds->n; i++)
		if (rds_ip_equal(&binds->items[i].ip, &bind->ip))
			return;
	binds->items = rds_realloc(binds->items, binds->n + 1, sizeof *binds->items);
	binds->items[binds->n++] = *bind;
}

// Adds the addresses of an interface; how many.
static size_t add_interface(const struct ifaddrs *all, const char *name, struct rds_binds *out)
{
	size_t before = out->n;
	for (const struct ifaddrs *at = all; at != NULL; at = at->ifa_next) {
		if (at->ifa_addr == NULL || strcmp(at->ifa_name, name) != 0 ||
		    (at->ifa_addr->sa_family != AF_INET && at->ifa_addr->sa_family != AF_INET6))
			continue;
		struct sockaddr_storage ss = {0};
		struct rds_addr addr;
		bool six = at->ifa_addr->sa_family == AF_INET6;
		memcpy(&ss, at->ifa_addr,
		       six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
		rds_sockaddr_get(&ss, &addr);
		if (six && addr.ip.b[0] == 0xfe && (addr.ip.b[1] & 0xc0) == 0x80)
			continue;
		struct rds_bind at_ip = {.ip = addr.ip, .of_interface = true};
		bind_add(out, &at_ip);
	}
	return out->n - before;
}

static int add_item(const struct ifaddrs *all, const char *item, struct rds_binds *out,
                    struct rds_error *err)
{
	struct rds_bind at = {0};
	if (rds_ip_parse(item, &at.ip) == 0) {
		at.any = rds_ip_is_any(&at.ip);
		bind_add(out, &at);
		return 0;
	}
	if (add_interface(all, item, out) > 0)
		return 0;
	return rds_fail(err, RDS_ENOENT,
	                "bind: \"%s\" is neither an address nor an interface that has one; "
	                "`ip -brief address` lists both",
	                item);
}

static bool covers(const struct rds_bind *wide, const struct rds_bind *narrow)
{
	if (!wide->any || wide == narrow)
		return false;
	return rds_ip_is_none(&wide->ip) || rds_ip_is_v4(&narrow->ip);
}

// "All addresses" leaves nothing to the others: the kernel would refuse them.
static void drop_covered(struct rds_binds *binds)
{
	size_t kept = 0;
	for (size_t i = 0; i < binds->n; i++) {
		bool covered = false;
		for (size_t j = 0; j < binds->n; j++)
			covered = covered || covers(&binds->items[j], &binds->items[i]);
		if (!covered)
			binds->items[kept++] = binds->items[i];
	}
	binds->n = kept;
}

int rds_binds_resolve(char *const *items, size_t n, struct rds_binds *out, struct rds_error *err)
{
	struct ifaddrs *all = NULL;
	*out = (struct rds_binds){0};
	if (n == 0) {
		struct rds_bind everywhere = {.any = true};
		bind_add(out, &everywhere);
		return 0;
	}
	if (getifaddrs(&all) != 0)
		return rds_fail(err, RDS_ESYS, "bind: can't list the interfaces: %s",
		                strerror(errno));
	int rc = 0;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = add_item(all, items[i], out, err);
	freeifaddrs(all);
	if (rc != 0)
		rds_binds_free(out);
	drop_covered(out);
	return rc;
}

void rds_binds_free(struct rds_binds *binds)
{
	free(binds->items);
	*binds = (struct rds_binds){0};
}

static bool is_socket(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

// How many descriptors were handed over to this process; 0 where it is nonsense.
static long handed_over(void)
{
	const char *pid = getenv("LISTEN_PID");
	const char *fds = getenv("LISTEN_FDS");
	if (pid == NULL || fds == NULL || strtol(pid, NULL, 10) != (long)getpid())
		return 0;
	long n = strtol(fds, NULL, 10);
	for (long i = 0; i < n; i++)
		if (i >= INHERITED_MAX || !is_socket(FIRST_INHERITED + (int)i))
			return 0;
	return n;
}

void rds_listen_inherit(void)
{
	long n = handed_over();
	for (long i = 0; i < n; i++) {
		int fd = FIRST_INHERITED + (int)i;
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
		(void)fcntl(fd, F_SETFL, O_NONBLOCK);
		inherited.fds[inherited.n++] = fd;
	}
	// Not for children.
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
}

static bool fits(int fd, enum rds_proto proto, const struct rds_bind *bind, uint16_t port)
{
	int type = 0;
	int family = 0;
	int listens = 0;
	socklen_t len = sizeof type;
	struct rds_addr local;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) != 0 ||
	    rds_local_addr(fd, &local) != 0)
		return false;
	if ((family != AF_INET && family != AF_INET6) || (proto == RDS_TCP && listens == 0))
		return false;
	return type == (proto == RDS_UDP ? SOCK_DGRAM : SOCK_STREAM) && local.port == port &&
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

static int fail(enum rds_proto proto, const struct rds_bind *bind, uint16_t port,
                struct rds_error *err)
{
	int error = errno;
	char text[RDS_ADDR_TEXT];
	struct rds_addr addr = {.ip = bind->ip, .port = port};
	rds_addr_format(&addr, text);
	const char *hint = error == EADDRINUSE ? "another program holds it: `ss -lunpt` shows which"
	                   : error == EACCES ? "ports below 1024 need root or CAP_NET_BIND_SERVICE"
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
