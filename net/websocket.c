// SPDX-License-Identifier: MIT
#include "net/websocket.h"

#include "core/alloc.h"
#include "net/buffer.h"

#include <stdlib.h>
#include <wslay/wslay.h>

struct rds_ws {
	wslay_frame_context_ptr frames;
	struct rds_ws_callbacks callbacks;
	size_t max_message;
	struct rds_view in;        // what wslay hasn't taken yet
	struct rds_buffer message; // its fragments so far
	bool in_message;
	bool in_frame;
	uint64_t frame_left; // bytes of the current frame still to come
	uint8_t opcode;      // of the current frame
	bool fin;
	uint8_t control[125]; // payload of a control frame, which may come between fragments
	size_t control_len;
	bool closed; // our closing frame is out
};

static ssize_t on_recv(uint8_t *out, size_t len, int flags, void *arg)
{
	struct rds_ws *ws = arg;
	(void)flags;
	if (ws->in.len == 0)
		return -1; // nothing more for now
	size_t n = len < ws->in.len ? len : ws->in.len;
	memcpy(out, ws->in.data, n);
	ws->in = rds_view_of(ws->in.data + n, ws->in.len - n);
	return (ssize_t)n;
}

static ssize_t on_send(const uint8_t *bytes, size_t len, int flags, void *arg)
{
	struct rds_ws *ws = arg;
	(void)flags;
	ws->callbacks.on_output(ws->callbacks.ctx, bytes, len);
	return (ssize_t)len;
}

static int on_mask(uint8_t *out, size_t len, void *arg)
{
	const struct rds_ws *ws = arg;
	return ws->callbacks.random(out, len) ? 0 : -1;
}

struct rds_ws *rds_ws_new(size_t max_message, const struct rds_ws_callbacks *callbacks)
{
	static const struct wslay_frame_callbacks wslay_callbacks = {
	        .recv_callback = on_recv,
	        .send_callback = on_send,
	        .genmask_callback = on_mask,
	};
	struct rds_ws *ws = rds_calloc(1, sizeof *ws);
	ws->callbacks = *callbacks;
	ws->max_message = max_message;
	if (wslay_frame_context_init(&ws->frames, &wslay_callbacks, ws) != 0)
		abort(); // out of memory
	return ws;
}

void rds_ws_free(struct rds_ws *ws)
{
	if (ws == NULL)
		return;
	wslay_frame_context_free(ws->frames);
	rds_buffer_clear(&ws->message);
	free(ws);
}

static void send_frame(struct rds_ws *ws, uint8_t opcode, struct rds_view payload)
{
	struct wslay_frame_iocb frame = {.fin = 1,
	                                 .mask = ws->callbacks.random != NULL,
	                                 .opcode = opcode,
	                                 .payload_length = payload.len,
	                                 .data = payload.data,
	                                 .data_length = payload.len};
	if (!ws->closed)
		(void)wslay_frame_send(ws->frames, &frame); // on_send takes it all
}

// Ends the connection with a code of RFC 6455, section 7.4.1; false for the caller to return.
static bool end(struct rds_ws *ws, uint16_t code)
{
	uint8_t bytes[2] = {(uint8_t)(code >> 8), (uint8_t)code};
	send_frame(ws, WSLAY_CONNECTION_CLOSE, rds_view_of(bytes, sizeof bytes));
	ws->closed = true;
	return false;
}

// The rules for a frame's head (section 5); how the frame is read follows from it.
static bool start_frame(struct rds_ws *ws, const struct wslay_frame_iocb *frame)
{
	bool is_control = wslay_is_ctrl_frame(frame->opcode);
	bool known = frame->opcode <= WSLAY_BINARY_FRAME || frame->opcode == WSLAY_PING ||
	             frame->opcode == WSLAY_PONG || frame->opcode == WSLAY_CONNECTION_CLOSE;
	bool continues = frame->opcode == WSLAY_CONTINUATION_FRAME;
	if (!known || frame->rsv != WSLAY_RSV_NONE ||
	    (frame->mask != 0) != (ws->callbacks.random == NULL))
		return end(ws, WSLAY_CODE_PROTOCOL_ERROR);
	if (is_control && (frame->fin == 0 || frame->payload_length > sizeof ws->control))
		return end(ws, WSLAY_CODE_PROTOCOL_ERROR);
	if (!is_control && continues != ws->in_message)
		return end(ws, WSLAY_CODE_PROTOCOL_ERROR);
	if (!is_control && frame->payload_length > ws->max_message - ws->message.len)
		return end(ws, WSLAY_CODE_MESSAGE_TOO_BIG);
	ws->in_frame = true;
	ws->in_message = ws->in_message || !is_control;
	ws->frame_left = frame->payload_length;
	ws->opcode = frame->opcode;
	ws->fin = frame->fin != 0;
	ws->control_len = 0;
	return true;
}

static void take_payload(struct rds_ws *ws, const struct wslay_frame_iocb *frame)
{
	ws->frame_left -= frame->data_length;
	if (!wslay_is_ctrl_frame(ws->opcode)) {
		rds_buffer_add(&ws->message, frame->data, frame->data_length);
		return;
	}
	if (frame->data_length > 0)
		memcpy(ws->control + ws->control_len, frame->data, frame->data_length);
	ws->control_len += frame->data_length;
}

// Clients take text for binary, and so do we: a message is bytes, whatever kind it says.
static void finish_message(struct rds_ws *ws)
{
	struct rds_buffer message = ws->message;
	ws->message = (struct rds_buffer){0};
	ws->in_message = false;
	ws->callbacks.on_message(ws->callbacks.ctx,
	                         rds_view_of(rds_buffer_data(&message), message.len));
	rds_buffer_clear(&message);
}

// false: nothing will come any more.
static bool finish_frame(struct rds_ws *ws)
{
	ws->in_frame = false;
	switch (ws->opcode) {
	case WSLAY_PING:
		send_frame(ws, WSLAY_PONG, rds_view_of(ws->control, ws->control_len));
		return true;
	case WSLAY_PONG:
		return true;
	case WSLAY_CONNECTION_CLOSE:
		// The code that it gave goes back.
		send_frame(ws, WSLAY_CONNECTION_CLOSE,
		           rds_view_of(ws->control, ws->control_len < 2 ? 0 : 2));
		ws->closed = true;
		return false;
	default:
		if (ws->fin)
			finish_message(ws);
		return true;
	}
}

bool rds_ws_receive(struct rds_ws *ws, const uint8_t *bytes, size_t len)
{
	ws->in = rds_view_of(bytes, len);
	while (!ws->closed) {
		struct wslay_frame_iocb frame = {0};
		ssize_t n = wslay_frame_recv(ws->frames, &frame);
		if (n == WSLAY_ERR_WANT_READ)
			return true;
		if (n < 0)
			return end(ws, WSLAY_CODE_PROTOCOL_ERROR);
		if (!ws->in_frame && !start_frame(ws, &frame))
			return false;
		take_payload(ws, &frame);
		if (ws->frame_left == 0 && !finish_frame(ws))
			return false;
	}
	return false;
}

void rds_ws_send(struct rds_ws *ws, struct rds_view message)
{
	send_frame(ws, WSLAY_BINARY_FRAME, message);
}

void rds_ws_close(struct rds_ws *ws)
{
	if (!ws->closed)
		(void)end(ws, WSLAY_CODE_NORMAL_CLOSURE);
}

const char *rds_wslay_version(void)
{
	return WSLAY_VERSION;
}
