// SPDX-License-Identifier: MIT
#include "net/acceptor.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "core/log.h"
#include "net/listen.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

// At most so many in one go, so that a flood of newcomers doesn't starve those who are in.
#define ACCEPTS_AT_ONCE 64

struct rds_acceptor {
	struct rds_loop *loop;
	int fd;
	int most; // descriptors from this number on are not for connections
	struct event *readable;
	struct event *resume;
	rds_accept_fn on_accept;
	void *ctx;
	bool paused; // the last accept failed
	bool near;   // the limit on descriptors
};

// Says so when it begins and when it is over, not each time that it is tried in between.
static void pause_accepting(struct rds_acceptor *acceptor, int error)
{
	static const struct timeval delay = {.tv_usec = 200000};
	bool full = error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
	(void)event_del(acceptor->readable);
	(void)event_add(acceptor->resume, &delay);
	if (!acceptor->paused)
		rds_log(RDS_LOG_WARN, "accepting paused",
		        rds_field_reason(full ? RDS_WHY_NO_DESCRIPTORS : RDS_WHY_RESET),
		        rds_field_text("why", strerror(error)),
		        rds_field_text("do", full ? "raise the limit on open files (LimitNOFILE=, "
		                                    "ulimit -n)"
		                                  : "restart the server"));
	acceptor->paused = true;
}

// Descriptors are given out from the lowest free number on: this one tells how many are in use.
static bool is_spare(struct rds_acceptor *acceptor, int client)
{
	bool spare = client >= acceptor->most;
	if (spare != acceptor->near && spare)
		rds_log(RDS_LOG_WARN, "newcomers refused: near the limit on open files",
		        rds_field_reason(RDS_WHY_NO_DESCRIPTORS),
		        rds_field_text("do", "raise it (LimitNOFILE=, ulimit -n)"));
	else if (spare != acceptor->near)
		rds_log(RDS_LOG_INFO, "newcomers taken again");
	acceptor->near = spare;
	return spare;
}

static void note_accepted(struct rds_acceptor *acceptor)
{
	if (acceptor->paused)
		rds_log(RDS_LOG_INFO, "accepting again");
	acceptor->paused = false;
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct rds_acceptor *acceptor = arg;
	(void)event_add(acceptor->readable, NULL);
}

static bool is_passing(int error)
{
	return error == EINTR || error == ECONNABORTED || error == EPROTO;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct rds_acceptor *acceptor = arg;
	for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
		struct sockaddr_storage ss = {0};
		socklen_t len = sizeof ss;
		struct rds_addr remote;
		int client =
		        accept4(fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (client < 0 && is_passing(errno))
			continue;
		if (client < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				pause_accepting(acceptor, errno);
			return;
		}
		note_accepted(acceptor);
		if (is_spare(acceptor, client)) {
			(void)close(client);
			continue;
		}
		rds_sockaddr_get(&ss, &remote);
		acceptor->on_accept(acceptor->ctx, client, &remote);
	}
}

static int most_descriptors(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX)
		return INT_MAX;
	int most = (int)limit.rlim_cur;
	return most - (most / 4 < RDS_SPARE_DESCRIPTORS ? most / 4 : RDS_SPARE_DESCRIPTORS);
}

struct rds_acceptor *rds_acceptor_new(struct rds_loop *loop, int fd, rds_accept_fn on_accept,
                                      void *ctx)
{
	struct rds_acceptor *acceptor = rds_calloc(1, sizeof *acceptor);
	struct event_base *base = rds_loop_base(loop);
	acceptor->loop = loop;
	acceptor->fd = fd;
	acceptor->most = most_descriptors();
	acceptor->on_accept = on_accept;
	acceptor->ctx = ctx;
	acceptor->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, acceptor);
	acceptor->resume = event_new(base, -1, 0, on_resume, acceptor);
	if (acceptor->readable == NULL || acceptor->resume == NULL)
		abort();
	(void)event_add(acceptor->readable, NULL);
	return acceptor;
}

int rds_acceptor_fd(const struct rds_acceptor *acceptor)
{
	return acceptor->fd;
}

void rds_acceptor_free(struct rds_acceptor *acceptor)
{
	if (acceptor == NULL)
		return;
	event_free(acceptor->readable);
	event_free(acceptor->resume);
	(void)close(acceptor->fd);
	free(acceptor);
}
