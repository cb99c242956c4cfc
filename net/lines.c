// SPDX-License-Identifier: MIT
#include "net/lines.h"

#include "core/alloc.h"
#include "core/log.h"
#include "core/text.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>

struct rds_lines {
	struct rds_loop *loop;
	const char *name;
	bool typed;
	rds_line_fn answer;
	void *ctx;
	struct client *newest;
	struct client *oldest;
	size_t n;
	struct rds_log_limit refusals;
};

struct client {
	struct rds_lines *lines;
	struct client *newer;
	struct client *older;
	struct bufferevent *bev;
	bool answered;
	bool ended; // the other side sends nothing more
};

// Whether bytes may be (the start of) text.
static bool has_control(struct rds_view bytes)
{
	for (size_t i = 0; i < bytes.len; i++)
		if ((bytes.data[i] < 0x20 && bytes.data[i] != '\t') || bytes.data[i] == 0x7f)
			return true;
	return false;
}

static bool is_utf8(struct rds_view bytes)
{
	while (bytes.len > 0) {
		uint32_t code = 0;
		size_t n = rds_utf8_next(bytes, &code);
		if (n == 0)
			return false;
		bytes = rds_view_of(bytes.data + n, bytes.len - n);
	}
	return true;
}

long rds_line_read(struct rds_view bytes, bool ended, struct rds_view *line)
{
	const uint8_t *newline = bytes.len == 0 ? NULL : memchr(bytes.data, '\n', bytes.len);
	size_t len = newline == NULL ? bytes.len : (size_t)(newline - bytes.data);
	bool cr = len > 0 && bytes.data[len - 1] == '\r';
	struct rds_view text = rds_view_of(bytes.data, cr ? len - 1 : len);
	if (has_control(text))
		return -RDS_EPARSE;
	if (text.len > RDS_LINE_MAX_BYTES)
		return -RDS_ETOOBIG;
	if (newline == NULL && (!ended || len == 0))
		return 0;
	if (!is_utf8(text))
		return -RDS_EPARSE;
	*line = text;
	return (long)len + (newline != NULL);
}

static struct timeval timeval_of(unsigned ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
}

static void set_patience(struct client *client, unsigned read_ms)
{
	struct timeval reading = timeval_of(read_ms);
	struct timeval writing = timeval_of(RDS_LINE_IDLE_MS);
	(void)bufferevent_set_timeouts(client->bev, &reading, &writing);
}

static void client_free(struct client *client)
{
	struct rds_lines *lines = client->lines;
	*(client->newer != NULL ? &client->newer->older : &lines->newest) = client->older;
	*(client->older != NULL ? &client->older->newer : &lines->oldest) = client->newer;
	lines->n--;
	bufferevent_free(client->bev);
	free(client);
}

static void refuse(struct client *client, long rc)
{
	struct rds_lines *lines = client->lines;
	uint64_t held_back;
	if (rds_log_limit_pass(&lines->refusals, rds_loop_now_ms(lines->loop), &held_back))
		rds_log(RDS_LOG_INFO, "not a line of text", rds_field_text("on", lines->name),
		        rds_field_reason(rc == -RDS_ETOOBIG ? RDS_WHY_TOO_LONG : RDS_WHY_MALFORMED),
		        rds_field_uint("not_logged_before", held_back));
	client_free(client);
}

static void on_discard(struct bufferevent *bev, void *arg)
{
	(void)arg;
	struct evbuffer *input = bufferevent_get_input(bev);
	(void)evbuffer_drain(input, evbuffer_get_length(input));
}

static void on_event(struct bufferevent *bev, short what, void *arg);

// Closing with bytes unread would take the answer back: the other side has time to close first.
static void on_written(struct bufferevent *bev, void *arg)
{
	struct client *client = arg;
	if (client->ended) {
		client_free(client);
		return;
	}
	(void)shutdown(bufferevent_getfd(bev), SHUT_WR);
	bufferevent_setcb(bev, on_discard, NULL, on_event, client);
	set_patience(client, RDS_CONN_LINGER_MS);
	(void)bufferevent_enable(bev, EV_READ);
	on_discard(bev, client);
}

// Answers the line if it is whole.
static void take(struct client *client, bool ended)
{
	struct rds_lines *lines = client->lines;
	struct evbuffer *input = bufferevent_get_input(client->bev);
	struct rds_view line = {0};
	size_t len = evbuffer_get_length(input);
	long rc = rds_line_read(rds_view_of(evbuffer_pullup(input, -1), len), ended, &line);
	if (rc < 0) {
		refuse(client, rc);
		return;
	}
	if (rc == 0) {
		if (ended)
			client_free(client);
		return;
	}
	char *text = rds_strndup(line.data, line.len);
	char *answer = lines->answer(lines->ctx, text);
	client->answered = true;
	(void)bufferevent_disable(client->bev, EV_READ);
	bufferevent_setcb(client->bev, NULL, on_written, on_event, client);
	(void)evbuffer_add_printf(bufferevent_get_output(client->bev), "%s\n", answer);
	free(answer);
	free(text);
}

static void on_bytes(struct bufferevent *bev, void *arg)
{
	struct client *client = arg;
	(void)bev;
	if (client->lines->typed)
		set_patience(client, RDS_LINE_PAUSE_MS);
	take(client, false);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct client *client = arg;
	bool pause = (what & BEV_EVENT_TIMEOUT) != 0 && (what & BEV_EVENT_READING) != 0;
	(void)bev;
	client->ended = (what & BEV_EVENT_EOF) != 0;
	if (client->lines->typed && !client->answered && (client->ended || pause))
		take(client, true);
	else
		client_free(client);
}

struct rds_lines *rds_lines_new(struct rds_loop *loop, const char *name, bool typed,
                                rds_line_fn answer, void *ctx)
{
	struct rds_lines *lines = rds_calloc(1, sizeof *lines);
	lines->loop = loop;
	lines->name = name;
	lines->typed = typed;
	lines->answer = answer;
	lines->ctx = ctx;
	return lines;
}

void rds_lines_free(struct rds_lines *lines)
{
	if (lines == NULL)
		return;
	for (struct client *client = lines->newest, *older; client != NULL; client = older) {
		older = client->older;
		client_free(client);
	}
	free(lines);
}

void rds_lines_take(struct rds_lines *lines, int fd)
{
	struct bufferevent *bev =
	        bufferevent_socket_new(rds_loop_base(lines->loop), fd, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL)
		abort();
	if (lines->n == RDS_LINE_CLIENTS)
		client_free(lines->oldest);
	struct client *client = rds_calloc(1, sizeof *client);
	client->lines = lines;
	client->bev = bev;
	client->older = lines->newest;
	*(lines->newest != NULL ? &lines->newest->newer : &lines->oldest) = client;
	lines->newest = client;
	lines->n++;
	bufferevent_setcb(bev, on_bytes, NULL, on_event, client);
	// One byte more shows that a line is too long.
	bufferevent_setwatermark(bev, EV_READ, 0, RDS_LINE_MAX_BYTES + 3);
	set_patience(client, RDS_LINE_IDLE_MS);
	(void)bufferevent_enable(bev, EV_READ | EV_WRITE);
}
