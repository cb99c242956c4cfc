// SPDX-License-Identifier: MIT
// Goal: WebSocket, the client's side: what it asks, which answers it takes, and messages between it
// and the server's side.
#include "test/unit/testing.h"

#include "keys/keypair.h"
#include "net/websocket.h"

#include <stdio.h>

// RFC 6455's sample: the nonce is "the sample nonce".
#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define START  "HTTP/1.1 101 Switching Protocols\r\n"
#define HEADS  "Upgrade: websocket\r\nConnection: Upgrade\r\n"

static const uint8_t nonce[16] = "the sample nonce";

static void request_is_what_servers_take(void **state)
{
	(void)state;
	char request[RDS_WS_REQUEST_BYTES];
	struct rds_ws_request parsed;
	assert_true(rds_ws_request_write("rd.example.com:21118", "/ws/id", nonce, request));
	assert_int_equal(rds_ws_request_parse(rds_view_text(request), &parsed), strlen(request));
	assert_view_text(parsed.path, "/ws/id");
	assert_view_text(parsed.key, KEY);
	assert_contains(request, "Host: rd.example.com:21118\r\n");
}

static void request_that_does_not_fit_is_none(void **state)
{
	(void)state;
	char host[RDS_WS_REQUEST_BYTES];
	char request[RDS_WS_REQUEST_BYTES];
	memset(host, 'a', sizeof host - 1);
	host[sizeof host - 1] = '\0';
	assert_false(rds_ws_request_write(host, "/", nonce, request));
}

static void answers_are_judged(void **state)
{
	(void)state;
	static const struct {
		const char *head;
		long verdict; // 0: its length
	} cases[] = {
	        {START HEADS ACCEPT "\r\n", 0},
	        {START "sec-websocket-accept:s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" HEADS "\r\n", 0},
	        {START HEADS "\r\n", -1},
	        {START HEADS "Sec-WebSocket-Accept: c3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", -1},
	        {"HTTP/1.1 404 Not Found\r\n\r\n", -404},
	        {"HTTP/1.1 426\r\n\r\n", -426},
	        {"HTTP/1.1 4x4 No\r\n\r\n", -1},
	        {"HTTP/1.0 101 Switching Protocols\r\n" HEADS ACCEPT "\r\n", -1},
	        {"SSH-2.0-OpenSSH_9.2\r\n", -1},
	        {"\r\n", -1},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rds_view head = rds_view_text(cases[i].head);
		long wanted = cases[i].verdict == 0 ? (long)head.len : cases[i].verdict;
		if (rds_ws_answer_parse(head, nonce, rds_sha1) != wanted)
			fail_msg("judged wrongly: %s", cases[i].head);
	}
}

static void answer_comes_in_pieces(void **state)
{
	(void)state;
	static const char head[] = START HEADS ACCEPT "\r\n";
	for (size_t part = 0; part < sizeof head - 1; part++)
		assert_int_equal(rds_ws_answer_parse(rds_view_of(head, part), nonce, rds_sha1), 0);
}

static void answer_is_bounded(void **state)
{
	(void)state;
	char endless[RDS_WS_HEAD_MAX_BYTES];
	memset(endless, 'x', sizeof endless);
	struct rds_view bytes = rds_view_of(endless, sizeof endless);
	assert_int_equal(rds_ws_answer_parse(bytes, nonce, rds_sha1), -1);
	(void)memcpy(endless, START, sizeof START - 1);
	assert_int_equal(rds_ws_answer_parse(bytes, nonce, rds_sha1), -1);
}

// --- two sides that talk to each other

struct side {
	struct rds_ws *ws;
	uint8_t wire[4096]; // for the other one
	size_t wire_len;
	uint8_t got[512]; // the last message
	size_t got_len;
	size_t messages;
};

static void on_message(void *ctx, struct rds_view message)
{
	struct side *side = ctx;
	assert_true(message.len <= sizeof side->got);
	if (message.len > 0)
		memcpy(side->got, message.data, message.len);
	side->got_len = message.len;
	side->messages++;
}

static void on_output(void *ctx, const uint8_t *bytes, size_t len)
{
	struct side *side = ctx;
	assert_true(side->wire_len + len <= sizeof side->wire);
	memcpy(side->wire + side->wire_len, bytes, len);
	side->wire_len += len;
}

static void open_side(struct side *side, bool is_client)
{
	struct rds_ws_callbacks callbacks = {.ctx = side,
	                                     .on_message = on_message,
	                                     .on_output = on_output,
	                                     .random = is_client ? rds_random : NULL};
	*side = (struct side){.ws = rds_ws_new(400, &callbacks)};
}

static bool pass_on(struct side *from, struct side *to)
{
	size_t len = from->wire_len;
	from->wire_len = 0;
	return rds_ws_receive(to->ws, from->wire, len);
}

static void messages_go_both_ways(void **state)
{
	(void)state;
	struct side client;
	struct side server;
	uint8_t bytes[300];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 7);
	open_side(&client, true);
	open_side(&server, false);
	static const size_t lengths[] = {0, 1, 125, 126, 300};
	for (size_t i = 0; i < COUNT(lengths); i++) {
		struct rds_view message = rds_view_of(bytes, lengths[i]);
		rds_ws_send(client.ws, message);
		assert_true(pass_on(&client, &server));
		assert_views_equal(rds_view_of(server.got, server.got_len), message);
		rds_ws_send(server.ws, message);
		assert_true(pass_on(&server, &client));
		assert_views_equal(rds_view_of(client.got, client.got_len), message);
	}
	assert_int_equal(client.messages, COUNT(lengths));
	assert_int_equal(server.messages, COUNT(lengths));
	rds_ws_free(client.ws);
	rds_ws_free(server.ws);
}

// RFC 6455 section 5.1: servers don't mask, clients do.
static void each_side_takes_the_other_ones_frames_only(void **state)
{
	(void)state;
	struct side clients[2];
	struct side servers[2];
	for (size_t i = 0; i < 2; i++) {
		open_side(&clients[i], true);
		open_side(&servers[i], false);
	}
	rds_ws_send(clients[0].ws, rds_view_text("hello"));
	assert_false(pass_on(&clients[0], &clients[1]));
	rds_ws_send(servers[0].ws, rds_view_text("hello"));
	assert_false(pass_on(&servers[0], &servers[1]));
	assert_int_equal(clients[1].messages + servers[1].messages, 0);
	for (size_t i = 0; i < 2; i++) {
		rds_ws_free(clients[i].ws);
		rds_ws_free(servers[i].ws);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(request_is_what_servers_take),
	        cmocka_unit_test(request_that_does_not_fit_is_none),
	        cmocka_unit_test(answers_are_judged),
	        cmocka_unit_test(answer_comes_in_pieces),
	        cmocka_unit_test(answer_is_bounded),
	        cmocka_unit_test(messages_go_both_ways),
	        cmocka_unit_test(each_side_takes_the_other_ones_frames_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
