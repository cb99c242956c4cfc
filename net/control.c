// SPDX-License-Identifier: MIT
#include "net/control.h"

#include "core/alloc.h"
#include "net/acceptor.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX_BYTES (64 * 1024 * 1024)

struct rds_control {
	char *path;
	struct rds_acceptor *acceptor;
	struct rds_lines *lines;
};

static void on_connection(void *ctx, int fd, const struct rds_addr *remote)
{
	(void)remote;
	rds_lines_take(ctx, fd);
}

static int set_path(struct sockaddr_un *addr, const char *path)
{
	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof addr->sun_path)
		return -RDS_ETOOBIG;
	memcpy(addr->sun_path, path, strlen(path) + 1);
	return 0;
}

// A listening socket of mode 0600 from its first moment; -1 and errno.
static int listen_at(const char *path)
{
	struct sockaddr_un addr;
	if (set_path(&addr, path) != 0) {
		errno = ENAMETOOLONG;
		return -1;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	(void)unlink(path);
	mode_t before = umask(0177);
	int rc = bind(fd, (const struct sockaddr *)&addr, sizeof addr);
	(void)umask(before);
	if (rc == 0 && listen(fd, 16) == 0)
		return fd;
	int error = errno;
	(void)close(fd);
	errno = error;
	return -1;
}

int rds_control_open(struct rds_loop *loop, const char *path, rds_line_fn answer, void *ctx,
                     struct rds_control **out, struct rds_error *err)
{
	int fd = listen_at(path);
	if (fd < 0)
		return rds_fail(err, RDS_ESYS, "can't make the control socket: %s",
		                strerror(errno));
	struct rds_control *control = rds_calloc(1, sizeof *control);
	control->path = rds_strdup(path);
	control->lines = rds_lines_new(loop, "control", false, answer, ctx);
	control->acceptor = rds_acceptor_new(loop, fd, on_connection, control->lines);
	*out = control;
	return 0;
}

void rds_control_close(struct rds_control *control)
{
	if (control == NULL)
		return;
	rds_acceptor_free(control->acceptor);
	rds_lines_free(control->lines);
	(void)unlink(control->path);
	free(control->path);
	free(control);
}

// Waits until fd is ready or the time is up; 0 then with errno.
static bool await(int fd, short events, unsigned timeout_ms)
{
	struct pollfd poller = {.fd = fd, .events = events};
	int n = poll(&poller, 1, (int)timeout_ms);
	if (n == 0)
		errno = ETIMEDOUT;
	return n > 0;
}

static char *read_answer(int fd, unsigned timeout_ms)
{
	size_t len = 0;
	size_t cap = 4096;
	char *text = rds_calloc(cap, 1);
	for (;;) {
		ssize_t n =
		        await(fd, POLLIN, timeout_ms) ? recv(fd, text + len, cap - len - 1, 0) : -1;
		if (n < 0 || len + (size_t)n > ANSWER_MAX_BYTES) {
			free(text);
			return NULL;
		}
		len += (size_t)n;
		text[len] = '\0';
		if (n == 0)
			return text;
		if (len + 1 == cap)
			text = rds_realloc(text, cap *= 2, 1);
	}
}

int rds_control_ask(const char *path, const char *request, unsigned timeout_ms, char **answer,
                    struct rds_error *err)
{
	struct sockaddr_un addr;
	if (set_path(&addr, path) != 0)
		return rds_fail(err, RDS_ESYS, "%s: the path is too long for a socket", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return rds_fail(err, RDS_ESYS, "can't make a socket: %s", strerror(errno));
	int rc = 0;
	char *line = rds_asprintf("%s\n", request);
	struct timeval timeout = {.tv_sec = timeout_ms / 1000,
	                          .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
	if (connect(fd, (const struct sockaddr *)&addr, sizeof addr) != 0)
		rc = errno == ENOENT || errno == ECONNREFUSED
		             ? -RDS_ENOENT
		             : rds_fail(err, RDS_ESYS, "can't reach the control socket: %s",
		                        strerror(errno));
	else if (send(fd, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line) ||
	         (*answer = read_answer(fd, timeout_ms)) == NULL)
		rc = rds_fail(err, RDS_ESYS, "no answer from the control socket: %s",
		              strerror(errno));
	int error = errno;
	free(line);
	(void)close(fd);
	errno = error;
	return rc;
}
