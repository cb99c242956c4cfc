// SPDX-License-Identifier: MIT
#include "net/address_watch.h"

#include "core/alloc.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct rds_address_watch {
	struct event *readable;
	int fd;
	rds_event_fn fn;
	void *ctx;
};

// What the messages say doesn't matter: some may have been lost (ENOBUFS), so all is looked at.
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	const struct rds_address_watch *watch = arg;
	char bytes[8192];
	while (recv(fd, bytes, sizeof bytes, 0) > 0 || errno == ENOBUFS || errno == EINTR)
		;
	watch->fn(watch->ctx);
}

static int open_socket(void)
{
	struct sockaddr_nl all = {.nl_family = AF_NETLINK,
	                          .nl_groups =
	                                  RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd >= 0 && bind(fd, (const struct sockaddr *)&all, sizeof all) == 0)
		return fd;
	int error = errno;
	if (fd >= 0)
		(void)close(fd);
	errno = error;
	return -1;
}

int rds_address_watch_new(struct rds_loop *loop, rds_event_fn fn, void *ctx,
                          struct rds_address_watch **out, struct rds_error *err)
{
	int fd = open_socket();
	if (fd < 0)
		return rds_fail(err, RDS_ESYS, "can't watch the interfaces: %s", strerror(errno));
	struct rds_address_watch *watch = rds_calloc(1, sizeof *watch);
	watch->fd = fd;
	watch->fn = fn;
	watch->ctx = ctx;
	watch->readable =
	        event_new(rds_loop_base(loop), fd, EV_READ | EV_PERSIST, on_readable, watch);
	if (watch->readable == NULL)
		abort();
	(void)event_add(watch->readable, NULL);
	*out = watch;
	return 0;
}

void rds_address_watch_free(struct rds_address_watch *watch)
{
	if (watch == NULL)
		return;
	event_free(watch->readable);
	(void)close(watch->fd);
	free(watch);
}
