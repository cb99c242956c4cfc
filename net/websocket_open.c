// SPDX-License-Identifier: MIT
// WebSocket's opening handshake (RFC 6455 section 4), both sides.
#include "net/websocket.h"

#include "core/base64.h"

#include <stdio.h>
#include <strings.h>

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

// Appends to the list of forwarders; if it gets too long, its beginning goes.
static void add_forwarded(struct rds_ws_request *request, struct rds_view value)
{
	char *list = request->forwarded_for;
	size_t room = sizeof request->forwarded_for;
	if (value.len >= room)
		value = rds_view_of(value.data + (value.len - (room - 1)), room - 1);
	size_t kept = request->forwarded_len;
	if (kept + 1 + value.len > room)
		kept = room - 1 - value.len;
	memmove(list, list + (request->forwarded_len - kept), kept);
	list[kept] = ',';
	memcpy(list + kept + 1, value.data, value.len);
	request->forwarded_len = kept + 1 + value.len;
}

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
		add_forwarded(head->request, value);
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

#define KEY_TEXT_BYTES 24 // base64 of 16 bytes
#define ACCEPT_TEXT    (RDS_BASE64_LEN(20) + 1)

static void accept_of(const void *key, rds_sha1_fn sha1, char accept[ACCEPT_TEXT])
{
	static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455, 1.3
	uint8_t text[KEY_TEXT_BYTES + sizeof magic];
	uint8_t hash[20] = {0};
	memcpy(text, key, KEY_TEXT_BYTES);
	memcpy(text + KEY_TEXT_BYTES, magic, sizeof magic - 1);
	(void)sha1(rds_view_of(text, KEY_TEXT_BYTES + sizeof magic - 1), hash);
	rds_base64_encode(hash, sizeof hash, accept);
}

void rds_ws_answer(const struct rds_ws_request *request, rds_sha1_fn sha1,
                   char out[RDS_WS_ANSWER_BYTES])
{
	char accept[ACCEPT_TEXT];
	accept_of(request->key.data, sha1, accept);
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

bool rds_ws_request_write(const char *host, const char *path, const uint8_t nonce[16],
                          char out[RDS_WS_REQUEST_BYTES])
{
	char key[RDS_BASE64_LEN(16) + 1];
	rds_base64_encode(nonce, 16, key);
	return snprintf(out, RDS_WS_REQUEST_BYTES,
	                "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
	                "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
	                "Sec-WebSocket-Version: 13\r\n\r\n",
	                path, host, key) < RDS_WS_REQUEST_BYTES;
}

// "HTTP/1.1 101 Switching Protocols": the status; 0: it is no such line.
static int parse_status_line(struct rds_view line)
{
	static const char version[] = "HTTP/1.1 ";
	int status = 0;
	if (line.len < sizeof version + 2 || memcmp(line.data, version, sizeof version - 1) != 0)
		return 0;
	for (size_t i = 0; i < 3; i++) {
		uint8_t digit = line.data[sizeof version - 1 + i];
		if (digit < '0' || digit > '9')
			return 0;
		status = status * 10 + (digit - '0');
	}
	return status;
}

// Whether the headers up to the empty line hold that Sec-WebSocket-Accept; *ended: the line is
// there.
static bool has_accept(struct rds_view *rest, const char *accept, bool *ended)
{
	struct rds_view line;
	bool has = false;
	while (!*ended && take_line(rest, &line)) {
		const uint8_t *colon = line.len == 0 ? NULL : memchr(line.data, ':', line.len);
		*ended = line.len == 0;
		if (colon == NULL)
			continue;
		size_t at = (size_t)(colon - line.data);
		struct rds_view value = rds_view_trim(rds_view_of(colon + 1, line.len - at - 1));
		if (equals(rds_view_of(line.data, at), "Sec-WebSocket-Accept"))
			has = rds_view_equal(value, rds_view_text(accept));
	}
	return has;
}

long rds_ws_answer_parse(struct rds_view bytes, const uint8_t nonce[16], rds_sha1_fn sha1)
{
	char key[RDS_BASE64_LEN(16) + 1];
	char accept[ACCEPT_TEXT];
	struct rds_view rest = bytes;
	struct rds_view line;
	bool ended = false;
	rds_base64_encode(nonce, 16, key);
	accept_of(key, sha1, accept);
	if (!take_line(&rest, &line))
		return bytes.len >= RDS_WS_HEAD_MAX_BYTES ? -1 : 0;
	int status = parse_status_line(line);
	if (status != 101)
		return status == 0 ? -1 : -status;
	bool fits = has_accept(&rest, accept, &ended);
	if (!ended)
		return bytes.len >= RDS_WS_HEAD_MAX_BYTES ? -1 : 0;
	return fits ? (long)(bytes.len - rest.len) : -1;
}
