// SPDX-License-Identifier: MIT
#include "net/websocket.h"

#include "core/alloc.h"
#include "core/base64.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <wslay/wslay.h>

// Takes one line off *rest, without its end. false: there is no whole line.
static bool take_line(struct rds_view *rest, struct rds_view *line)
{
	const uint8_t *newline = rest->len == 0 ? NULL : memchr(rest->data, '\n', rest->len);
	if (newline == NULL)
		return false;
	size_t len = (size_t)(newline - rest->data);
	*line = rds_view_of(rest->data, len > 0 && newline[-1] == '\r' ? len - 1 : len);
	*rest = rds_view_of(newline + 1, rest->len - len - 1);
	return true;
}

static bool equals(struct rds_view v, const char *text)
{
	return v.len == strlen(text) && strncasecmp((const char *)v.data, text, v.len) == 0;
}

// Whether a comma-separated header value holds a token.
static bool has_token(struct rds_view list, const char *token)
{
	while (list.len > 0) {
		const uint8_t *comma = memchr(list.data, ',', list.len);
		size_t len = comma == NULL ? list.len : (size_t)(comma - list.data);
		if (equals(rds_view_trim(rds_view_of(list.data, len)), token))
			return true;
		size_t used = len + (comma != NULL);
		list = rds_view_of(list.data + used, list.len - used);
	}
	return false;
}

// "GET PATH HTTP/1.1"
static bool parse_request_line(struct rds_view line, struct rds_view *path)
{
	static const char method[] = "GET ";
	static const char version[] = " HTTP/1.1";
	size_t around = sizeof method - 1 + sizeof version - 1;
	if (line.len <= around || memcmp(line.data, method, sizeof method - 1) != 0 ||
	    memcmp(line.data + line.len - (sizeof version - 1), version, sizeof version - 1) != 0)
		return false;
	*path = rds_view_of(line.data + sizeof method - 1, line.len - around);
	return memchr(path->data, ' ', path->len) == NULL;
}

struct head {
	struct rds_ws_request *request;
	bool upgrade;    // Upgrade: websocket
	bool connection; // Connection: Upgrade
	bool version;    // Sec-WebSocket-Version: 13
};

static void take_header(struct head *head, struct rds_view name, struct rds_view value)
{
	if (equals(name, "Upgrade"))
		head->upgrade = head->upgrade || has_token(value, "websocket");
	else if (equals(name, "Connection"))
		head->connection = head->connection || has_token(value, "upgrade");
	else if (equals(name, "Sec-WebSocket-Version"))
		head->version = equals(value, "13");
	else if (equals(name, "Sec-WebSocket-Key"))
		head->request->key = value;
	else if (equals(name, "X-Real-IP"))
		head->request->real_ip = value;
	else if (equals(name, "X-Forwarded-For"))
		head->request->forwarded_for = value;
}

static bool is_key(struct rds_view key)
{
	uint8_t bytes[18];
	return rds_base64_decode((const char *)key.data, key.len, bytes, sizeof bytes) == 16;
}

// The headers up to the empty line; 0: it isn't there yet; else their verdict.
static int parse_headers(struct head *head, struct rds_view *rest)
{
	struct rds_view line;
	while (take_line(rest, &line)) {
		if (line.len == 0)
			return !head->upgrade || !head->connection || !head->version ? -426
			       : !is_key(head->request->key)                         ? -400
			                                                             : 1;
		const uint8_t *colon = memchr(line.data, ':', line.len);
		if (colon == NULL || colon == line.data || colon[-1] == ' ')
			return -400;
		size_t at = (size_t)(colon - line.data);
		take_header(head, rds_view_of(line.data, at),
		            rds_view_trim(rds_view_of(colon + 1, line.len - at - 1)));
	}
	return 0;
}

long rds_ws_request_parse(struct rds_view bytes, struct rds_ws_request *out)
{
	struct rds_view rest = bytes;
	struct rds_view line;
	struct head head = {.request = out};
	*out = (struct rds_ws_request){0};
	int verdict = 0;
	if (take_line(&rest, &line))
		verdict = parse_request_line(line, &out->path) ? parse_headers(&head, &rest) : -400;
	if (verdict == 0)
		return bytes.len >= RDS_WS_HEAD_MAX_BYTES ? -400 : 0;
	if (verdict < 0)
		return verdict;
	size_t used = bytes.len - rest.len;
	return used > RDS_WS_HEAD_MAX_BYTES ? -400 : (long)used;
}

void rds_ws_answer(const struct rds_ws_request *request, rds_sha1_fn sha1,
                   char out[RDS_WS_ANSWER_BYTES])
{
	static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455, 1.3
	uint8_t text[24 + sizeof magic];
	uint8_t hash[20] = {0};
	char accept[RDS_BASE64_LEN(sizeof hash) + 1];
	memcpy(text, request->key.data, 24); // base64 of 16 bytes
	memcpy(text + 24, magic, sizeof magic - 1);
	(void)sha1(rds_view_of(text, 24 + sizeof magic - 1), hash);
	rds_base64_encode(hash, sizeof hash, accept);
	(void)snprintf(out, RDS_WS_ANSWER_BYTES,
	               "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	               "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
	               accept);
}

const char *rds_ws_refusal(int status)
{
	return status == 426 ? "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n"
	                       "Connection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\n"
	                       "Content-Length: 0\r\n\r\n"
	                     : "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
	                       "Content-Length: 0\r\n\r\n";
}

struct rds_ws {
	wslay_event_context_ptr wslay;
	struct rds_ws_callbacks callbacks;
	struct rds_view in; // what wslay hasn't taken yet
	bool receiving;
	bool closed; // our closing frame is out
};

static ssize_t on_recv(wslay_event_context_ptr wslay, uint8_t *out, size_t len, int flags,
                       void *arg)
{
	struct rds_ws *ws = arg;
	(void)flags;
	if (ws->in.len == 0) {
		wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	size_t n = len < ws->in.len ? len : ws->in.len;
	memcpy(out, ws->in.data, n);
	ws->in = rds_view_of(ws->in.data + n, ws->in.len - n);
	return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr wslay, const uint8_t *bytes, size_t len, int flags,
                       void *arg)
{
	struct rds_ws *ws = arg;
	(void)wslay;
	(void)flags;
	ws->callbacks.on_output(ws->callbacks.ctx, bytes, len);
	return (ssize_t)len;
}

static void on_message(wslay_event_context_ptr wslay,
                       const struct wslay_event_on_msg_recv_arg *message, void *arg)
{
	struct rds_ws *ws = arg;
	(void)wslay;
	// Clients take text for binary, and so do we.
	if (message->opcode == WSLAY_BINARY_FRAME || message->opcode == WSLAY_TEXT_FRAME)
		ws->callbacks.on_message(ws->callbacks.ctx,
		                         rds_view_of(message->msg, message->msg_length));
}

struct rds_ws *rds_ws_new(size_t max_message, const struct rds_ws_callbacks *callbacks)
{
	static const struct wslay_event_callbacks wslay_callbacks = {
	        .recv_callback = on_recv,
	        .send_callback = on_send,
	        .on_msg_recv_callback = on_message,
	};
	struct rds_ws *ws = rds_calloc(1, sizeof *ws);
	ws->callbacks = *callbacks;
	if (wslay_event_context_server_init(&ws->wslay, &wslay_callbacks, ws) != 0)
		abort(); // out of memory
	wslay_event_config_set_max_recv_msg_length(ws->wslay, max_message);
	return ws;
}

void rds_ws_free(struct rds_ws *ws)
{
	if (ws == NULL)
		return;
	wslay_event_context_free(ws->wslay);
	free(ws);
}

// Inside wslay_event_recv, what is queued goes out when it returns.
static void flush(struct rds_ws *ws)
{
	while (!ws->receiving && wslay_event_want_write(ws->wslay))
		if (wslay_event_send(ws->wslay) != 0)
			return;
}

bool rds_ws_receive(struct rds_ws *ws, const uint8_t *bytes, size_t len)
{
	ws->in = rds_view_of(bytes, len);
	ws->receiving = true;
	int rc = wslay_event_recv(ws->wslay);
	ws->receiving = false;
	ws->in = rds_view_of(NULL, 0);
	flush(ws);
	return rc == 0 && wslay_event_want_read(ws->wslay) &&
	       !wslay_event_get_close_received(ws->wslay);
}

void rds_ws_send(struct rds_ws *ws, struct rds_view message)
{
	static const uint8_t nothing[1];
	struct wslay_event_msg msg = {.opcode = WSLAY_BINARY_FRAME,
	                              .msg = message.len > 0 ? message.data : nothing,
	                              .msg_length = message.len};
	(void)wslay_event_queue_msg(ws->wslay, &msg);
	flush(ws);
}

void rds_ws_close(struct rds_ws *ws)
{
	if (ws->closed)
		return;
	ws->closed = true;
	(void)wslay_event_queue_close(ws->wslay, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0);
	flush(ws);
}
