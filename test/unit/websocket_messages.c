// SPDX-License-Identifier: MIT
// Goal: WebSocket, the server's side, once it is open: messages both ways, bounds, closing.
#include "test/unit/testing.h"

#include "net/websocket.h"

#define MOST 1000

static struct rds_ws *ws;
static uint8_t output[8192];
static size_t n_output;
static uint8_t messages[4096]; // one behind the other, with the length of each before it
static size_t n_messages;
static size_t messages_len;

static void on_message(void *ctx, struct rds_view message)
{
	(void)ctx;
	assert_true(messages_len + message.len <= sizeof messages);
	if (message.len > 0)
		memcpy(messages + messages_len, message.data, message.len);
	messages_len += message.len;
	n_messages++;
}

static void on_output(void *ctx, const uint8_t *bytes, size_t len)
{
	(void)ctx;
	assert_true(n_output + len <= sizeof output);
	memcpy(output + n_output, bytes, len);
	n_output += len;
}

static int set_up(void **state)
{
	(void)state;
	static const struct rds_ws_callbacks callbacks = {.on_message = on_message,
	                                                  .on_output = on_output};
	ws = rds_ws_new(MOST, &callbacks);
	n_output = n_messages = messages_len = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rds_ws_free(ws);
	return 0;
}

enum { CONTINUED = 0, TEXT = 1, BINARY = 2, CLOSING = 8, PING = 9, PONG = 10, LAST = 0x80 };

// A client's frame, masked. Returns its length.
static size_t client_frame(unsigned first, const void *bytes, size_t len, uint8_t *out)
{
	static const uint8_t mask[4] = {0x11, 0xf2, 0x33, 0x9c};
	size_t at = 0;
	out[at++] = (uint8_t)first;
	if (len < 126) {
		out[at++] = (uint8_t)(0x80 | len);
	} else {
		out[at++] = 0x80 | 126;
		out[at++] = (uint8_t)(len >> 8);
		out[at++] = (uint8_t)len;
	}
	memcpy(out + at, mask, 4);
	at += 4;
	for (size_t i = 0; i < len; i++)
		out[at++] = (uint8_t)(((const uint8_t *)bytes)[i] ^ mask[i % 4]);
	return at;
}

static bool send_frame(unsigned first, const void *bytes, size_t len)
{
	uint8_t frame[2048];
	return rds_ws_receive(ws, frame, client_frame(first, bytes, len, frame));
}

#define assert_output(bytes, n) \
	assert_views_equal(rds_view_of(output, n_output), rds_view_of(bytes, n))
#define assert_messages(n, text)                                               \
	do {                                                                   \
		assert_int_equal(n_messages, (n));                             \
		assert_view_text(rds_view_of(messages, messages_len), (text)); \
	} while (0)

static void binary_and_text_are_messages(void **state)
{
	(void)state;
	assert_true(send_frame(LAST | BINARY, "one", 3));
	assert_messages(1, "one");
	assert_true(send_frame(LAST | TEXT, "two", 3));
	assert_messages(2, "onetwo");
	assert_true(send_frame(LAST | BINARY, "", 0)); // a heartbeat
	assert_messages(3, "onetwo");
	assert_output("", 0);
}

static void frames_come_in_pieces_and_together(void **state)
{
	(void)state;
	uint8_t bytes[64];
	size_t len = client_frame(LAST | BINARY, "one", 3, bytes);
	len += client_frame(LAST | BINARY, "two", 3, bytes + len);
	for (size_t i = 0; i < len; i++)
		assert_true(rds_ws_receive(ws, bytes + i, 1));
	assert_messages(2, "onetwo");
	assert_true(rds_ws_receive(ws, bytes, len));
	assert_messages(4, "onetwoonetwo");
}

// With a ping between its parts, as it may be.
static void fragments_are_one_message(void **state)
{
	(void)state;
	static const uint8_t pong[] = {LAST | PONG, 2, 'h', 'i'};
	assert_true(send_frame(BINARY, "one", 3));
	assert_true(send_frame(CONTINUED, "", 0));
	assert_true(send_frame(LAST | PING, "hi", 2));
	assert_true(send_frame(CONTINUED, "two", 3));
	assert_messages(0, "");
	assert_true(send_frame(LAST | CONTINUED, "three", 5));
	assert_messages(1, "onetwothree");
	assert_output(pong, sizeof pong);
}

static void pings_are_answered_and_pongs_are_not(void **state)
{
	(void)state;
	static const uint8_t pongs[] = {LAST | PONG, 0, LAST | PONG, 3, 'a', 'b', 'c'};
	assert_true(send_frame(LAST | PING, "", 0));
	assert_true(send_frame(LAST | PONG, "xyz", 3));
	assert_true(send_frame(LAST | PING, "abc", 3));
	assert_messages(0, "");
	assert_output(pongs, sizeof pongs);
}

static void closing_is_answered_once(void **state)
{
	(void)state;
	static const uint8_t answer[] = {LAST | CLOSING, 2, 0x03, 0xe8};
	assert_false(send_frame(LAST | CLOSING, "\x03\xe8", 2));
	assert_output(answer, sizeof answer);
	assert_false(send_frame(LAST | BINARY, "late", 4));
	rds_ws_close(ws);
	rds_ws_send(ws, rds_view_text("late"));
	assert_messages(0, "");
	assert_output(answer, sizeof answer);
}

// What was sent before the closing frame counts.
static void messages_before_the_end_arrive(void **state)
{
	(void)state;
	uint8_t bytes[64];
	size_t len = client_frame(LAST | BINARY, "last", 4, bytes);
	len += client_frame(LAST | CLOSING, "", 0, bytes + len);
	assert_false(rds_ws_receive(ws, bytes, len));
	assert_messages(1, "last");
	assert_int_equal(output[0], LAST | CLOSING);
}

static void our_closing_frame_goes_out_once(void **state)
{
	(void)state;
	static const uint8_t frame[] = {LAST | CLOSING, 2, 0x03, 0xe8};
	rds_ws_close(ws);
	assert_output(frame, sizeof frame);
	rds_ws_close(ws);
	rds_ws_send(ws, rds_view_text("late"));
	assert_output(frame, sizeof frame);
	assert_false(send_frame(LAST | CLOSING, "\x03\xe8", 2));
	assert_output(frame, sizeof frame);
}

// The longest message, whole and in parts; one byte more ends the connection.
static void messages_are_bounded(void **state)
{
	(void)state;
	uint8_t bytes[MOST + 1];
	memset(bytes, 'x', sizeof bytes);
	assert_true(send_frame(LAST | BINARY, bytes, MOST));
	assert_true(send_frame(BINARY, bytes, MOST / 2));
	assert_true(send_frame(LAST | CONTINUED, bytes, MOST - MOST / 2));
	assert_int_equal(n_messages, 2);
	assert_int_equal(messages_len, 2 * MOST);
	assert_false(send_frame(LAST | BINARY, bytes, MOST + 1));
	static const uint8_t too_big[] = {LAST | CLOSING, 2, 0x03, 0xf1}; // 1009
	assert_views_equal(rds_view_of(output, n_output < 4 ? n_output : 4),
	                   rds_view_of(too_big, output[1] == 2 ? 4 : 0));
	assert_int_equal(n_messages, 2);
}

static void long_fragments_are_bounded_together(void **state)
{
	(void)state;
	uint8_t bytes[MOST];
	memset(bytes, 'x', sizeof bytes);
	assert_true(send_frame(BINARY, bytes, MOST));
	assert_false(send_frame(LAST | CONTINUED, bytes, 1));
	assert_int_equal(n_messages, 0);
}

// A huge length is refused with its first byte, not after so much has come.
static void huge_frames_are_refused_at_once(void **state)
{
	(void)state;
	static const uint8_t start[] = {
	        LAST | BINARY, 0x80 | 127, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 'x'};
	assert_false(rds_ws_receive(ws, start, sizeof start));
	assert_int_equal(n_messages, 0);
}

static void wrong_frames_end_it(void **state)
{
	static const uint8_t unmasked[] = {LAST | BINARY, 3, 'o', 'n', 'e'};
	static const struct {
		unsigned first;
		size_t len;
	} cases[] = {
	        {LAST | CONTINUED, 3}, // of nothing
	        {LAST | 3, 3},         // reserved kinds
	        {LAST | 11, 3},
	        {LAST | BINARY | 0x40, 3}, // reserved bits
	        {PING, 3},                 // control frames are whole, and short
	        {LAST | PING, 126},
	        {LAST | CLOSING, 1},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		uint8_t bytes[126] = {0};
		if (send_frame(cases[i].first, bytes, cases[i].len))
			fail_msg("case %zu is taken", i);
		assert_int_equal(n_messages, 0);
		tear_down(state);
		set_up(state);
	}
	assert_false(rds_ws_receive(ws, unmasked, sizeof unmasked));
	assert_int_equal(n_messages, 0);
}

// Unmasked, binary, of every form of length.
static void sending_makes_binary_messages(void **state)
{
	(void)state;
	static const struct {
		size_t len;
		uint8_t head[4];
		size_t head_len;
	} cases[] = {
	        {0, {LAST | BINARY, 0}, 2},
	        {1, {LAST | BINARY, 1}, 2},
	        {125, {LAST | BINARY, 125}, 2},
	        {126, {LAST | BINARY, 126, 0, 126}, 4},
	        {2000, {LAST | BINARY, 126, 0x07, 0xd0}, 4},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		uint8_t expected[2004];
		memset(expected, 'x', sizeof expected);
		n_output = 0;
		rds_ws_send(ws, rds_view_of(expected + 4, cases[i].len));
		memcpy(expected, cases[i].head, cases[i].head_len);
		assert_output(expected, cases[i].head_len + cases[i].len);
	}
	n_output = 0;
	rds_ws_send(ws, rds_view_of(NULL, 0));
	assert_output(cases[0].head, 2);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	        ROW(binary_and_text_are_messages),
	        ROW(frames_come_in_pieces_and_together),
	        ROW(fragments_are_one_message),
	        ROW(pings_are_answered_and_pongs_are_not),
	        ROW(closing_is_answered_once),
	        ROW(messages_before_the_end_arrive),
	        ROW(our_closing_frame_goes_out_once),
	        ROW(messages_are_bounded),
	        ROW(long_fragments_are_bounded_together),
	        ROW(huge_frames_are_refused_at_once),
	        ROW(wrong_frames_end_it),
	        ROW(sending_makes_binary_messages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
