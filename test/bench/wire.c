// SPDX-License-Identifier: MIT
#include "test/bench/wire.h"

#include "test/bench/peers.h"
#include "test/bench/tool.h"

#include "core/frame.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define WAIT_SEC 20

// RFC 6455: the bits of a client's frame, and a length that takes two more bytes.
#define WS_BINARY 0x82
#define WS_MASKED 0x80
#define WS_LONG   126

static const char opening[] = "GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

void wire_open(struct wire *wire, const struct sockaddr_in *server, uint32_t source, bool websocket)
{
	static const struct timeval wait = {.tv_sec = WAIT_SEC};
	*wire = (struct wire){.fd = tool_connect(server, source), .websocket = websocket};
	(void)setsockopt(wire->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	if (websocket)
		(void)send(wire->fd, opening, sizeof opening - 1, MSG_NOSIGNAL);
}

void wire_close(struct wire *wire)
{
	if (wire->fd >= 0)
		(void)close(wire->fd);
	wire->fd = -1;
}

static void drop(struct wire *wire, size_t len)
{
	wire->len -= len;
	memmove(wire->bytes, wire->bytes + len, wire->len);
}

bool wire_greeted(struct wire *wire)
{
	struct rds_view payload;
	if (!wire->websocket) {
		while (!wire_next(wire, &payload))
			if (!wire_receive(wire))
				return false;
		return true;
	}
	const uint8_t *end = NULL;
	while ((end = memmem(wire->bytes, wire->len, "\r\n\r\n", 4)) == NULL)
		if (!wire_receive(wire))
			return false;
	drop(wire, (size_t)(end - wire->bytes) + 4);
	return true;
}

bool wire_send(struct wire *wire, struct rds_view payload)
{
	uint8_t head[8] = {WS_BINARY, (uint8_t)(WS_MASKED | payload.len)};
	size_t head_len = 6; // with a mask of zeros
	if (!wire->websocket) {
		head_len = rds_frame_header(payload.len, head);
	} else if (payload.len >= WS_LONG) {
		head[1] = WS_MASKED | WS_LONG;
		head[2] = (uint8_t)(payload.len >> 8);
		head[3] = (uint8_t)payload.len;
		head_len = 8;
	}
	ssize_t len = (ssize_t)payload.len;
	return send(wire->fd, head, head_len, MSG_NOSIGNAL | (len > 0 ? MSG_MORE : 0)) ==
	               (ssize_t)head_len &&
	       (len == 0 || send(wire->fd, payload.data, payload.len, MSG_NOSIGNAL) == len);
}

bool wire_send_message(struct wire *wire, const rds_message *msg)
{
	uint8_t bytes[WIRE_BYTES];
	long len = rds_message_encode(msg, bytes, sizeof bytes);
	return len >= 0 && wire_send(wire, rds_view_of(bytes, (size_t)len));
}

bool wire_receive(struct wire *wire)
{
	ssize_t n = recv(wire->fd, wire->bytes + wire->len, sizeof wire->bytes - wire->len, 0);
	if (n <= 0)
		return false;
	wire->len += (size_t)n;
	return true;
}

// The length of the WebSocket message at the start of what has come, and where it begins; 0: it
// isn't all there.
static size_t ws_message(const struct wire *wire, size_t *head)
{
	if (wire->len < 2)
		return 0;
	size_t len = wire->bytes[1];
	*head = len == WS_LONG ? 4 : 2;
	if (len == WS_LONG && wire->len >= 4)
		len = (size_t)wire->bytes[2] << 8 | wire->bytes[3];
	return wire->len >= *head + len ? *head + len : 0;
}

bool wire_next(struct wire *wire, struct rds_view *payload)
{
	long used = 0;
	drop(wire, wire->taken);
	wire->taken = 0;
	if (wire->websocket) {
		size_t head = 0;
		used = (long)ws_message(wire, &head);
		*payload = rds_view_of(wire->bytes + head, (size_t)used - head);
	} else {
		used = rds_frame_decode(wire->bytes, wire->len, WIRE_BYTES, payload);
	}
	if (used <= 0)
		return false;
	wire->taken = (size_t)used;
	return true;
}

bool wire_read(struct wire *wire, struct rds_view *payload)
{
	do {
		while (!wire_next(wire, payload))
			if (!wire_receive(wire))
				return false;
	} while (payload->len == 0);
	return true;
}

bool wire_read_message(struct wire *wire, rds_message *msg)
{
	struct rds_view payload;
	return wire_read(wire, &payload) && rds_message_decode(payload, msg) == 0;
}

void wire_register_pk(uint32_t i, rds_message *out)
{
	struct peer_texts texts;
	rds_RegisterPk *pk = &out->member.register_pk;
	peers_texts(i, &texts);
	*out = (rds_message){.which_member = rds_RendezvousMessage_register_pk_tag};
	(void)rds_set(&pk->id, rds_view_of(texts.id, sizeof texts.id));
	(void)rds_set(&pk->uuid, rds_view_of(texts.uuid, sizeof texts.uuid));
	(void)rds_set(&pk->pk, rds_view_of(texts.pk, sizeof texts.pk));
}

void wire_punch_hole_request(uint32_t i, const char *key, rds_message *out)
{
	struct peer_texts texts;
	rds_PunchHoleRequest *request = &out->member.punch_hole_request;
	peers_texts(i, &texts);
	*out = (rds_message){.which_member = rds_RendezvousMessage_punch_hole_request_tag};
	(void)rds_set(&request->id, rds_view_of(texts.id, sizeof texts.id));
	(void)rds_set(&request->licence_key, rds_view_text(key));
	(void)rds_set(&request->version, rds_view_text("1.4.2"));
	request->nat_type = rds_NatType_ASYMMETRIC;
}

void wire_answer_punch(const struct sockaddr_in *server, uint32_t source, uint32_t i,
                       const rds_PunchHole *punch)
{
	struct wire wire;
	struct peer_texts texts;
	rds_message msg = {.which_member = rds_RendezvousMessage_punch_hole_sent_tag};
	rds_PunchHoleSent *sent = &msg.member.punch_hole_sent;
	peers_texts(i, &texts);
	(void)rds_set(&sent->id, rds_view_of(texts.id, sizeof texts.id));
	(void)rds_set(&sent->socket_addr, rds_get(punch->socket_addr));
	(void)rds_set(&sent->version, rds_view_text("1.4.2"));
	sent->nat_type = rds_NatType_ASYMMETRIC;
	wire_open(&wire, server, source, false);
	(void)wire_send_message(&wire, &msg);
	wire_close(&wire);
}

uint32_t wire_punch(const struct sockaddr_in *server, uint32_t source, uint32_t i, const char *key,
                    bool offer)
{
	struct wire wire;
	rds_message msg;
	bool ok = false;
	uint64_t start_us = 0;
	wire_punch_hole_request(i, key, &msg);
	wire_open(&wire, server, source, false);
	if (!offer || wire_greeted(&wire)) {
		start_us = tool_now_us();
		ok = wire_send_message(&wire, &msg) && wire_read_message(&wire, &msg) &&
		     msg.which_member == rds_RendezvousMessage_punch_hole_response_tag &&
		     msg.member.punch_hole_response.pk.size > 0;
	}
	uint32_t took_us = (uint32_t)(tool_now_us() - start_us);
	wire_close(&wire);
	return ok ? took_us : 0;
}
