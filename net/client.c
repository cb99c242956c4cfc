// SPDX-License-Identifier: MIT
#include "net/client.h"

#include "core/alloc.h"
#include "net/listen.h"
#include "net/stream.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// The client's own deadline, which is set anew as it goes on, comes first.
#define IDLE_MS (60 * 60 * 1000)

struct rds_client {
	struct rds_loop *loop;
	struct rds_resolver *resolver;
	const struct rds_client_callbacks *callbacks;
	void *ctx;
	char *host;
	enum {
		CLIENT_NEW,
		CLIENT_LOOKING_UP,
		CLIENT_CONNECTING,
		CLIENT_OPENING, // a WebSocket
		CLIENT_OPEN,
		CLIENT_ENDED
	} state;
	struct event *clock; // begins the work, and is the deadline
	uint64_t deadline_ms;
	struct rds_look_up *look_up; // while it is under way
	struct rds_ip ips[RDS_RESOLVE_ADDRS];
	size_t n_ips;
	size_t tried;
	struct rds_addr remote;    // the address that is tried, or was reached
	int fd;                    // while it is being connected, else -1
	struct event *connecting;  // of fd
	struct rds_stream *stream; // once it is connected
	char *path;                // of a WebSocket; NULL: frames
	const struct rds_ws_hooks *hooks;
	bool shares_port;
	uint16_t local_port;
	char why[RDS_CLIENT_WHY_BYTES];
};

static void drop_fd(struct rds_client *client)
{
	if (client->connecting != NULL)
		event_free(client->connecting);
	client->connecting = NULL;
	if (client->fd >= 0)
		(void)close(client->fd);
	client->fd = -1;
}

static void drop_look_up(struct rds_client *client)
{
	rds_look_up_cancel(client->look_up);
	client->look_up = NULL;
}

void rds_client_free(struct rds_client *client)
{
	if (client == NULL)
		return;
	event_free(client->clock);
	drop_look_up(client);
	drop_fd(client);
	rds_stream_free(client->stream);
	free(client->host);
	free(client->path);
	free(client);
}

static void end(struct rds_client *client, enum rds_client_end how)
{
	client->state = CLIENT_ENDED;
	(void)event_del(client->clock);
	drop_look_up(client);
	drop_fd(client);
	client->callbacks->on_end(client->ctx, client, how, client->why);
}

// Why this address is of no use.
static void note_failure(struct rds_client *client, const char *why)
{
	char addr[RDS_ADDR_TEXT];
	rds_addr_format(&client->remote, addr);
	(void)snprintf(client->why, sizeof client->why, "%s: %s", addr, why);
}

// What the stream has to say.

static void on_payload(void *ctx, struct rds_stream *stream, struct rds_view payload)
{
	struct rds_client *client = ctx;
	(void)stream;
	if (client->state == CLIENT_OPEN)
		client->callbacks->on_payload(client->ctx, client, payload);
}

static void on_stream_end(void *ctx, struct rds_stream *stream, enum rds_reason why)
{
	struct rds_client *client = ctx;
	(void)stream;
	if (client->state != CLIENT_OPEN && client->state != CLIENT_OPENING)
		return;
	if (client->why[0] == '\0')
		note_failure(client, rds_reason_text(why));
	end(client,
	    why == RDS_WHY_EOF || why == RDS_WHY_RESET ? RDS_CLIENT_CLOSED : RDS_CLIENT_GARBAGE);
}

static void on_stream_gone(void *ctx, struct rds_stream *stream)
{
	struct rds_client *client = ctx;
	(void)stream;
	client->stream = NULL;
}

static void open_up(struct rds_client *client)
{
	client->state = CLIENT_OPEN;
	client->why[0] = '\0'; // of addresses that were of no use
	client->callbacks->on_connected(client->ctx, client);
}

static void on_opened(void *ctx, struct rds_stream *stream, int status)
{
	struct rds_client *client = ctx;
	char why[64];
	(void)stream;
	if (status == 101) {
		open_up(client);
		return;
	}
	(void)snprintf(why, sizeof why,
	               status == 0 ? "what answers there is no WebSocket"
	                           : "answers HTTP %d where a WebSocket was asked for",
	               status);
	note_failure(client, why);
}

// As it was entered, with the port where it isn't HTTP's own.
static bool open_websocket(struct rds_client *client)
{
	char host[320];
	bool six = strchr(client->host, ':') != NULL;
	int len = snprintf(host, sizeof host, six ? "[%s]" : "%s", client->host);
	if (client->remote.port != 80)
		(void)snprintf(host + len, sizeof host - (size_t)len, ":%u", client->remote.port);
	client->why[0] = '\0';
	client->state = CLIENT_OPENING;
	return rds_stream_open_websocket(client->stream, host, client->path, client->hooks);
}

static void take_connection(struct rds_client *client)
{
	static const struct rds_stream_callbacks callbacks = {.on_payload = on_payload,
	                                                      .on_opened = on_opened,
	                                                      .on_end = on_stream_end,
	                                                      .on_gone = on_stream_gone};
	struct rds_addr local;
	int fd = client->fd;
	client->fd = -1;
	drop_fd(client);
	client->local_port = rds_local_addr(fd, &local) == 0 ? local.port : 0;
	client->stream = rds_stream_new(client->loop, fd, &client->remote, &callbacks, client);
	rds_stream_set_idle(client->stream, IDLE_MS);
	if (client->path == NULL) {
		open_up(client);
	} else if (!open_websocket(client)) {
		note_failure(client, "can't ask for a WebSocket: too long a name");
		end(client, RDS_CLIENT_UNREACHED);
	}
}

static void try_addresses(struct rds_client *client, int error);

static void on_connecting(evutil_socket_t fd, short what, void *arg)
{
	struct rds_client *client = arg;
	int error = ETIMEDOUT;
	socklen_t len = sizeof error;
	if ((what & EV_TIMEOUT) == 0)
		(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error == 0) {
		take_connection(client);
		return;
	}
	drop_fd(client);
	note_failure(client, strerror(error));
	try_addresses(client, error);
}

// What is left until the deadline, shared by so many.
static struct timeval time_left(const struct rds_client *client, size_t among)
{
	uint64_t now_ms = rds_loop_now_ms(client->loop);
	uint64_t left_ms = client->deadline_ms > now_ms ? client->deadline_ms - now_ms : 0;
	uint64_t share_ms = left_ms / among;
	return (struct timeval){.tv_sec = (time_t)(share_ms / 1000),
	                        .tv_usec = (suseconds_t)(share_ms % 1000) * 1000};
}

// A port that can't be had is no reason not to connect: whoever asked sees which one it became.
static void share_port(const struct rds_client *client, bool six)
{
	static const int yes = 1;
	struct sockaddr_storage ss;
	struct rds_addr any = {.port = client->local_port};
	if (!six)
		any.ip = rds_ip_v4(0, 0, 0, 0);
	socklen_t len = rds_sockaddr_set(&ss, &any, six, 0);
	(void)setsockopt(client->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	(void)setsockopt(client->fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
	(void)bind(client->fd, (const struct sockaddr *)&ss, len);
}

// 0: it is being connected; or why it can't be, as an errno.
static int connect_next(struct rds_client *client)
{
	struct sockaddr_storage ss;
	struct timeval share = time_left(client, client->n_ips - client->tried);
	client->remote.ip = client->ips[client->tried++];
	bool six = !rds_ip_is_v4(&client->remote.ip);
	socklen_t len = rds_sockaddr_set(&ss, &client->remote, six, 0);
	client->fd =
	        socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		return errno;
	if (client->shares_port)
		share_port(client, six);
	if (connect(client->fd, (struct sockaddr *)&ss, len) != 0 && errno != EINPROGRESS)
		return errno;
	client->connecting =
	        event_new(rds_loop_base(client->loop), client->fd, EV_WRITE, on_connecting, client);
	if (client->connecting == NULL)
		abort();
	(void)event_add(client->connecting, &share);
	return 0;
}

// error: why the address before was of no use; 0: there was none.
static void try_addresses(struct rds_client *client, int error)
{
	client->state = CLIENT_CONNECTING;
	while (client->tried < client->n_ips) {
		error = connect_next(client);
		if (error == 0)
			return;
		drop_fd(client);
		note_failure(client, strerror(error));
	}
	size_t len = strlen(client->why);
	if (client->n_ips > 1)
		(void)snprintf(client->why + len, sizeof client->why - len,
		               " (the last of %zu addresses)", client->n_ips);
	end(client, error == ETIMEDOUT ? RDS_CLIENT_SILENT : RDS_CLIENT_UNREACHED);
}

static void end_unresolved(struct rds_client *client, const char *why)
{
	(void)snprintf(client->why, sizeof client->why, "the name does not resolve: %s", why);
	end(client, RDS_CLIENT_UNRESOLVED);
}

static void on_resolved(void *ctx, const char *name, const struct rds_ip *ips, size_t n,
                        const char *why)
{
	struct rds_client *client = ctx;
	(void)name;
	client->look_up = NULL;
	client->n_ips = n;
	if (n == 0) {
		end_unresolved(client, why);
		return;
	}
	memcpy(client->ips, ips, n * sizeof *ips);
	try_addresses(client, 0);
}

static void begin(struct rds_client *client)
{
	struct timeval left = time_left(client, 1);
	struct rds_ip ip;
	(void)event_add(client->clock, &left);
	client->state = CLIENT_LOOKING_UP;
	if (rds_ip_parse(client->host, &ip) == 0)
		on_resolved(client, client->host, &ip, 1, NULL);
	else
		client->look_up =
		        rds_resolver_look_up(client->resolver, client->host, on_resolved, client);
}

static void on_clock(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct rds_client *client = arg;
	switch (client->state) {
	case CLIENT_NEW:
		begin(client);
		return;
	case CLIENT_LOOKING_UP:
		end_unresolved(client, "no answer in time");
		return;
	case CLIENT_CONNECTING:
		note_failure(client, strerror(ETIMEDOUT));
		end(client, RDS_CLIENT_SILENT);
		return;
	case CLIENT_OPENING:
	case CLIENT_OPEN:
		note_failure(client, "connected, but no answer in time");
		end(client, RDS_CLIENT_LATE);
		return;
	case CLIENT_ENDED:
		return;
	}
}

struct rds_client *rds_client_open(struct rds_loop *loop, struct rds_resolver *resolver,
                                   const char *host, uint16_t port, unsigned timeout_ms,
                                   const struct rds_client_callbacks *callbacks, void *ctx)
{
	struct rds_client *client = rds_calloc(1, sizeof *client);
	client->loop = loop;
	client->resolver = resolver;
	client->host = rds_strdup(host);
	client->remote.port = port;
	client->deadline_ms = rds_loop_now_ms(loop) + timeout_ms;
	client->callbacks = callbacks;
	client->ctx = ctx;
	client->fd = -1;
	client->clock = event_new(rds_loop_base(loop), -1, 0, on_clock, client);
	if (client->clock == NULL)
		abort();
	event_active(client->clock, EV_TIMEOUT, 0);
	return client;
}

void rds_client_want_websocket(struct rds_client *client, const char *path,
                               const struct rds_ws_hooks *hooks)
{
	client->path = rds_strdup(path);
	client->hooks = hooks;
}

void rds_client_share_port(struct rds_client *client, uint16_t port)
{
	client->shares_port = true;
	client->local_port = port;
}

uint16_t rds_client_local_port(const struct rds_client *client)
{
	return client->local_port;
}

void rds_client_extend(struct rds_client *client, unsigned timeout_ms)
{
	client->deadline_ms = rds_loop_now_ms(client->loop) + timeout_ms;
	if (client->state == CLIENT_OPEN) {
		struct timeval left = time_left(client, 1);
		(void)event_add(client->clock, &left);
	}
}

void rds_client_secure(struct rds_client *client, const struct rds_secure_hooks *hooks,
                       struct rds_channel *channel)
{
	rds_stream_secure(client->stream, hooks, channel);
}

void rds_client_send(struct rds_client *client, struct rds_view payload)
{
	rds_stream_send(client->stream, payload);
}

const struct rds_addr *rds_client_remote(const struct rds_client *client)
{
	return &client->remote;
}
