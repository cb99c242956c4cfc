// SPDX-License-Identifier: MIT
#include "cmd/check/talk_private.h"

#include "core/alloc.h"
#include "core/message_text.h"
#include "keys/keypair.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Payloads that wait to be read; a server that sends more is of no use.
#define QUEUE_MAX 64

static const struct rds_ws_hooks ws_hooks = {.sha1 = rds_sha1, .random = rds_random};

struct talks *talks_new(const struct check *check)
{
	struct rds_error err;
	struct talks *talks = rds_calloc(1, sizeof *talks);
	talks->check = check;
	if (rds_loop_new(&talks->loop, &err) != 0) {
		(void)fprintf(stderr, "rdsrv check: %s\n", err.text);
		abort(); // without a loop there is nothing to be said
	}
	talks->resolver = rds_resolver_new(talks->loop);
	return talks;
}

static void free_queue(struct talk *talk)
{
	while (talk->queue != NULL) {
		struct payload *next = talk->queue->next;
		free(talk->queue);
		talk->queue = next;
	}
	free(talk->current);
	talk->current = NULL;
}

void talk_close(struct talk *talk)
{
	rds_client_free(talk->client);
	rds_datagram_close(talk->datagram);
	talk->client = NULL;
	talk->datagram = NULL;
	if (talk->end == TALK_OPEN)
		talk->end = TALK_CLOSED;
	free_queue(talk);
}

void talks_free(struct talks *talks)
{
	while (talks->all != NULL) {
		struct talk *next = talks->all->next;
		talk_close(talks->all);
		free(talks->all);
		talks->all = next;
	}
	rds_resolver_free(talks->resolver);
	rds_loop_free(talks->loop);
	free(talks);
}

// --- waiting

static void on_time(void *ctx)
{
	rds_loop_stop(ctx);
}

void talks_wait(struct talks *talks, uint64_t until_ms)
{
	uint64_t now_ms = rds_loop_now_ms(talks->loop);
	unsigned left_ms = until_ms > now_ms ? (unsigned)(until_ms - now_ms) : 0;
	struct rds_timer *timer =
	        rds_timer_every(talks->loop, left_ms == 0 ? 1 : left_ms, on_time, talks->loop);
	if (rds_loop_run(talks->loop) != 0)
		abort(); // epoll itself fails
	rds_timer_free(timer);
}

uint64_t talks_in_ms(const struct talks *talks, unsigned ms)
{
	return rds_loop_now_ms(talks->loop) + ms;
}

bool talks_is_over(const struct talks *talks, uint64_t until_ms)
{
	return rds_loop_now_ms(talks->loop) >= until_ms;
}

// --- what happens

void talk_show(const struct talk *talk, const char *direction, struct rds_view payload)
{
	char text[512];
	if (!talk->talks->check->options.verbose)
		return;
	if (talk->is_raw)
		(void)snprintf(text, sizeof text, "%zu bytes of the session", payload.len);
	else
		(void)rds_message_describe(payload, text, sizeof text);
	(void)fprintf(stderr, "%s %s %s\n", talk->name, direction, text);
}

static void take_payload(struct talk *talk, struct rds_view bytes)
{
	struct payload **last = &talk->queue;
	talk_show(talk, "<", bytes);
	rds_loop_stop(talk->talks->loop);
	if (talk->n_queued == QUEUE_MAX)
		return;
	struct payload *payload = rds_calloc(1, sizeof *payload + bytes.len);
	payload->len = bytes.len;
	if (bytes.len > 0)
		memcpy(payload->bytes, bytes.data, bytes.len);
	while (*last != NULL)
		last = &(*last)->next;
	*last = payload;
	talk->n_queued++;
}

static void on_connected(void *ctx, struct rds_client *client)
{
	struct talk *talk = ctx;
	char addr[RDS_ADDR_TEXT];
	talk->remote = *rds_client_remote(client);
	rds_addr_format(&talk->remote, addr);
	(void)snprintf(talk->name, sizeof talk->name, "%s %s",
	               talk->by == TALK_TCP ? "tcp" : "websocket", addr);
	talk->is_open = true;
	if (talk->talks->check->options.verbose)
		(void)fprintf(stderr, "%s is open\n", talk->name);
	rds_loop_stop(talk->talks->loop);
}

static void on_payload(void *ctx, struct rds_client *client, struct rds_view payload)
{
	(void)client;
	take_payload(ctx, payload);
}

static enum talk_end end_of(const struct talk *talk, enum rds_client_end how)
{
	switch (how) {
	case RDS_CLIENT_UNRESOLVED:
		return TALK_UNRESOLVED;
	case RDS_CLIENT_UNREACHED:
		return TALK_UNREACHED;
	case RDS_CLIENT_SILENT:
		return TALK_TIMED_OUT;
	case RDS_CLIENT_CLOSED:
		return TALK_CLOSED;
	case RDS_CLIENT_GARBAGE:
		return TALK_NONSENSE;
	case RDS_CLIENT_LATE:
		break;
	}
	return talk->is_open ? TALK_CLOSED : TALK_TIMED_OUT;
}

static void on_end(void *ctx, struct rds_client *client, enum rds_client_end how, const char *why)
{
	struct talk *talk = ctx;
	(void)client;
	talk->end = end_of(talk, how);
	talk_note(talk, "%s", why);
	if (talk->talks->check->options.verbose)
		(void)fprintf(stderr, "%s: %s\n", talk->name, why);
	rds_loop_stop(talk->talks->loop);
}

static void on_datagram(void *ctx, struct rds_datagram *datagram, struct rds_view payload)
{
	(void)datagram;
	take_payload(ctx, payload);
}

static void on_refused(void *ctx, struct rds_datagram *datagram, const char *why)
{
	struct talk *talk = ctx;
	(void)datagram;
	talk->end = TALK_UNREACHED;
	talk_note(talk, "%s: %s", talk->name, why);
	rds_loop_stop(talk->talks->loop);
}

// --- opening

static struct talk *new_talk(struct talks *talks, enum talk_by by, const char *host, uint16_t port)
{
	static const char *const kinds[] = {"udp", "tcp", "websocket"};
	struct talk *talk = rds_calloc(1, sizeof *talk);
	bool six = strchr(host, ':') != NULL;
	talk->talks = talks;
	talk->by = by;
	talk->next = talks->all;
	talks->all = talk;
	(void)snprintf(talk->name, sizeof talk->name, six ? "%s [%s]:%u" : "%s %s:%u", kinds[by],
	               host, port);
	return talk;
}

static void on_looked_up(void *ctx, const char *name, const struct rds_ip *ips, size_t n,
                         const char *why)
{
	struct talks *talks = ctx;
	(void)name;
	talks->looked_up = true;
	talks->n_ips = n;
	if (n > 0)
		memcpy(talks->ips, ips, n * sizeof *ips);
	(void)snprintf(talks->look_up_why, sizeof talks->look_up_why, "%s", why == NULL ? "" : why);
	rds_loop_stop(talks->loop);
}

static bool look_up(struct talks *talks, const char *host)
{
	struct rds_ip ip;
	if (rds_ip_parse(host, &ip) == 0) {
		on_looked_up(talks, host, &ip, 1, NULL);
		return true;
	}
	uint64_t until_ms = talks_in_ms(talks, talks->check->options.timeout_ms);
	talks->looked_up = false;
	talks->n_ips = 0;
	(void)snprintf(talks->look_up_why, sizeof talks->look_up_why, "no answer in time");
	struct rds_look_up *look_up =
	        rds_resolver_look_up(talks->resolver, host, on_looked_up, talks);
	while (!talks->looked_up && !talks_is_over(talks, until_ms))
		talks_wait(talks, until_ms);
	if (!talks->looked_up)
		rds_look_up_cancel(look_up);
	return talks->n_ips > 0;
}

static void open_datagram(struct talk *talk, const char *host, uint16_t port)
{
	static const struct rds_datagram_callbacks callbacks = {.on_payload = on_datagram,
	                                                        .on_refused = on_refused};
	struct talks *talks = talk->talks;
	struct rds_error err = {""};
	char addr[RDS_ADDR_TEXT];
	if (!look_up(talks, host)) {
		talk->end = TALK_UNRESOLVED;
		talk_note(talk, "%s: the name does not resolve: %s", host, talks->look_up_why);
		return;
	}
	for (size_t i = 0; i < talks->n_ips && talk->datagram == NULL; i++) {
		talk->remote = (struct rds_addr){.ip = talks->ips[i], .port = port};
		if (rds_datagram_open(talks->loop, &talk->remote, &callbacks, talk, &talk->datagram,
		                      &err) != 0)
			talk->datagram = NULL;
	}
	rds_addr_format(&talk->remote, addr);
	(void)snprintf(talk->name, sizeof talk->name, "udp %s", addr);
	talk->is_open = talk->datagram != NULL;
	if (talk->is_open)
		return;
	talk->end = TALK_UNREACHED;
	talk_note(talk, "%s: %s", talk->name, err.text);
}

void talk_settle(struct talk *talk)
{
	uint64_t until_ms = talks_in_ms(talk->talks, talk->talks->check->options.timeout_ms + 1000);
	while (!talk->is_open && talk->end == TALK_OPEN && !talks_is_over(talk->talks, until_ms))
		talks_wait(talk->talks, until_ms);
	if (talk->is_open)
		rds_client_extend(talk->client, 60 * 1000); // each wait has its own end
}

static void begin_connection(struct talk *talk, const char *host, uint16_t port)
{
	static const struct rds_client_callbacks callbacks = {
	        .on_connected = on_connected, .on_payload = on_payload, .on_end = on_end};
	talk->client = rds_client_open(talk->talks->loop, talk->talks->resolver, host, port,
	                               talk->talks->check->options.timeout_ms, &callbacks, talk);
}

struct talk *talk_begin(struct talks *talks, const char *host, uint16_t port)
{
	struct talk *talk = new_talk(talks, TALK_TCP, host, port);
	begin_connection(talk, host, port);
	rds_client_share_port(talk->client, 0);
	return talk;
}

struct talk *talk_open(struct talks *talks, enum talk_by by, const char *host, uint16_t port)
{
	struct talk *talk = NULL;
	switch (by) {
	case TALK_UDP:
		talk = new_talk(talks, by, host, port);
		open_datagram(talk, host, port);
		break;
	case TALK_TCP:
		talk = talk_begin(talks, host, port);
		talk_settle(talk);
		break;
	case TALK_WEBSOCKET:
		talk = talk_open_path(talks, host, port, "/");
		break;
	}
	return talk;
}

struct talk *talk_open_path(struct talks *talks, const char *host, uint16_t port, const char *path)
{
	struct talk *talk = new_talk(talks, TALK_WEBSOCKET, host, port);
	begin_connection(talk, host, port);
	rds_client_want_websocket(talk->client, path, &ws_hooks);
	talk_settle(talk);
	return talk;
}

struct talk *talk_open_beside(struct talks *talks, const struct talk *other, const char *host,
                              uint16_t port)
{
	struct talk *talk = new_talk(talks, TALK_TCP, host, port);
	begin_connection(talk, host, port);
	rds_client_share_port(talk->client, talk_local_port(other));
	talk_settle(talk);
	return talk;
}

// --- what is known of one

enum talk_end talk_ended(const struct talk *talk)
{
	return talk->end;
}

const char *talk_why(const struct talk *talk)
{
	return talk->why;
}

const char *talk_name(const struct talk *talk)
{
	return talk->name;
}

const struct rds_addr *talk_remote(const struct talk *talk)
{
	return &talk->remote;
}

uint16_t talk_local_port(const struct talk *talk)
{
	return talk->datagram != NULL ? rds_datagram_local_port(talk->datagram)
	                              : rds_client_local_port(talk->client);
}

void talk_note(struct talk *talk, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(talk->why, sizeof talk->why, fmt, ap);
	va_end(ap);
}
