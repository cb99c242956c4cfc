// SPDX-License-Identifier: MIT
#include "net/datagram.h"

#include "core/alloc.h"
#include "net/listen.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct rds_datagram {
	const struct rds_datagram_callbacks *callbacks;
	void *ctx;
	struct rds_loop *loop;
	int fd;
	struct event *readable;
	int send_error; // to be told by the next turn of the loop; 0: none
};

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct rds_datagram *datagram = arg;
	int error = datagram->send_error;
	datagram->send_error = 0;
	if (error == 0 && (what & EV_READ) != 0) {
		uint8_t *scratch = rds_loop_scratch(datagram->loop);
		ssize_t n = recv(fd, scratch, RDS_LOOP_SCRATCH_BYTES, 0);
		if (n >= 0) {
			datagram->callbacks->on_payload(datagram->ctx, datagram,
			                                rds_view_of(scratch, (size_t)n));
			return;
		}
		error = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : errno;
	}
	if (error != 0)
		datagram->callbacks->on_refused(datagram->ctx, datagram,
		                                error == ECONNREFUSED
		                                        ? "nothing listens at that UDP port"
		                                        : strerror(error));
}

int rds_datagram_open(struct rds_loop *loop, const struct rds_addr *to,
                      const struct rds_datagram_callbacks *callbacks, void *ctx,
                      struct rds_datagram **out, struct rds_error *err)
{
	struct sockaddr_storage ss;
	bool six = !rds_ip_is_v4(&to->ip);
	socklen_t len = rds_sockaddr_set(&ss, to, six, 0);
	int fd = socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&ss, len) != 0) {
		int error = errno;
		if (fd >= 0)
			(void)close(fd);
		return rds_fail(err, RDS_ESYS, "%s", strerror(error));
	}
	struct rds_datagram *datagram = rds_calloc(1, sizeof *datagram);
	*datagram =
	        (struct rds_datagram){.callbacks = callbacks, .ctx = ctx, .loop = loop, .fd = fd};
	datagram->readable =
	        event_new(rds_loop_base(loop), fd, EV_READ | EV_PERSIST, on_readable, datagram);
	if (datagram->readable == NULL)
		abort();
	(void)event_add(datagram->readable, NULL);
	*out = datagram;
	return 0;
}

void rds_datagram_close(struct rds_datagram *datagram)
{
	if (datagram == NULL)
		return;
	event_free(datagram->readable);
	(void)close(datagram->fd);
	free(datagram);
}

void rds_datagram_send(struct rds_datagram *datagram, struct rds_view payload)
{
	if (send(datagram->fd, payload.data, payload.len, MSG_NOSIGNAL) >= 0)
		return;
	datagram->send_error = errno;
	event_active(datagram->readable, EV_TIMEOUT, 0);
}

uint16_t rds_datagram_local_port(const struct rds_datagram *datagram)
{
	struct rds_addr local;
	return rds_local_addr(datagram->fd, &local) == 0 ? local.port : 0;
}
