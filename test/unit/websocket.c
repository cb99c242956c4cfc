// SPDX-License-Identifier: MIT
// Goal: WebSocket, the server's side: the opening handshake.
#include "test/unit/testing.h"

#include "core/alloc.h"
#include "keys/keypair.h"
#include "net/websocket.h"

#include <stdio.h>
#include <stdlib.h>

// RFC 6455's sample key, and what goes with it.
#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define START    "GET /ws/id HTTP/1.1\r\n"
#define UPGRADE  "Upgrade: websocket\r\n"
#define CONNECT  "Connection: Upgrade\r\n"
#define VERSION  "Sec-WebSocket-Version: 13\r\n"
#define SENT_KEY "Sec-WebSocket-Key: " KEY "\r\n"
#define END      "\r\n"

static long parse(const char *head, struct rds_ws_request *out)
{
	return rds_ws_request_parse(rds_view_text(head), out);
}

static void known_key_has_the_known_answer(void **state)
{
	(void)state;
	struct rds_ws_request request;
	char answer[RDS_WS_ANSWER_BYTES];
	const char *head = START UPGRADE CONNECT VERSION SENT_KEY END;
	assert_int_equal(parse(head, &request), strlen(head));
	assert_view_text(request.path, "/ws/id");
	assert_view_text(request.key, KEY);
	assert_int_equal(request.real_ip.len + request.forwarded_len, 0);
	rds_ws_answer(&request, rds_sha1, answer);
	assert_string_equal(answer, "HTTP/1.1 101 Switching Protocols\r\n"
	                            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	                            "Sec-WebSocket-Accept: " ACCEPT "\r\n\r\n");
}

// In every case, order and company; with what proxies add.
static void other_spellings_are_taken(void **state)
{
	(void)state;
	static const char *const heads[] = {
	        START SENT_KEY VERSION CONNECT UPGRADE END,
	        START "UPGRADE: WebSocket\r\nCONNECTION: upgrade\r\n"
	              "SEC-WEBSOCKET-VERSION: 13\r\nSEC-WEBSOCKET-KEY: " KEY "\r\n" END,
	        START "Upgrade:websocket\r\nConnection:keep-alive , Upgrade\r\n"
	              "Sec-WebSocket-Version:13 \r\nSec-WebSocket-Key:\t" KEY "  \r\n" END,
	        START "Upgrade: h2c, websocket\r\n" CONNECT VERSION SENT_KEY END,
	        START UPGRADE "Connection: keep-alive\r\n" CONNECT VERSION SENT_KEY END,
	        START "Host: relay.example.com:21118\r\nOrigin:\r\nX: a:b:c\r\n"
	              "Sec-WebSocket-Extensions: permessage-deflate\r\n" UPGRADE CONNECT VERSION
	                      SENT_KEY END,
	        "GET /ws/id HTTP/1.1\nUpgrade: websocket\nConnection: Upgrade\n"
	        "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: " KEY "\n\n",
	};
	for (size_t i = 0; i < COUNT(heads); i++) {
		struct rds_ws_request request;
		if (parse(heads[i], &request) != (long)strlen(heads[i]))
			fail_msg("refused: %s", heads[i]);
		assert_view_text(request.path, "/ws/id");
		assert_view_text(request.key, KEY);
	}
}

static void proxies_headers_are_found(void **state)
{
	(void)state;
	struct rds_ws_request request;
	const char *head = START UPGRADE CONNECT VERSION SENT_KEY
	        "X-Forwarded-For: 198.51.100.1\r\nx-real-ip:  203.0.113.7 \r\n"
	        "X-Forwarded-For: 203.0.113.7, 10.1.2.3\r\n" END;
	assert_int_equal(parse(head, &request), strlen(head));
	assert_view_text(request.real_ip, "203.0.113.7");
	assert_view_text(rds_view_of(request.forwarded_for, request.forwarded_len),
	                 ",198.51.100.1,203.0.113.7, 10.1.2.3"); // one list
}

static void any_path_is_handed_on(void **state)
{
	(void)state;
	static const char *const paths[] = {"/", "/ws/relay", "/a?b=c", "*", "/%20"};
	for (size_t i = 0; i < COUNT(paths); i++) {
		char head[300];
		struct rds_ws_request request;
		(void)snprintf(head, sizeof head, "GET %s HTTP/1.1\r\n%s", paths[i],
		               UPGRADE CONNECT VERSION SENT_KEY END);
		assert_int_equal(parse(head, &request), strlen(head));
		assert_view_text(request.path, paths[i]);
	}
}

// Cut anywhere it asks for more; what comes behind it is left alone.
static void heads_come_in_pieces(void **state)
{
	(void)state;
	const char *head = START UPGRADE CONNECT VERSION SENT_KEY END;
	size_t len = strlen(head);
	char *bytes = rds_calloc(len + 9, 1);
	(void)snprintf(bytes, len + 9, "%s\r\n\r\nabcd", head);
	struct rds_ws_request request;
	for (size_t part = 0; part < len; part++)
		assert_int_equal(rds_ws_request_parse(rds_view_of(bytes, part), &request), 0);
	for (size_t part = len; part <= len + 8; part++)
		assert_int_equal(rds_ws_request_parse(rds_view_of(bytes, part), &request), len);
	free(bytes);
}

static void what_opens_nothing_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *head;
		long status;
	} cases[] = {
	        {START END, -426},
	        {START "Host: relay.example.com\r\n" END, -426},
	        {START CONNECT VERSION SENT_KEY END, -426},
	        {START "Upgrade: h2c\r\n" CONNECT VERSION SENT_KEY END, -426},
	        {START "Upgrade: websockets\r\n" CONNECT VERSION SENT_KEY END, -426},
	        {START UPGRADE VERSION SENT_KEY END, -426},
	        {START UPGRADE "Connection: keep-alive\r\n" VERSION SENT_KEY END, -426},
	        {START UPGRADE CONNECT SENT_KEY END, -426},
	        {START UPGRADE CONNECT "Sec-WebSocket-Version: 8\r\n" SENT_KEY END, -426},
	        {START UPGRADE CONNECT "Sec-WebSocket-Version: 130\r\n" SENT_KEY END, -426},
	        {START UPGRADE CONNECT VERSION END, -400},
	        {START UPGRADE CONNECT VERSION "Sec-WebSocket-Key:\r\n" END, -400},
	        {START UPGRADE CONNECT VERSION "Sec-WebSocket-Key: AAAA\r\n" END, -400},
	        {START UPGRADE CONNECT VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n" END,
	         -400},
	        {START UPGRADE CONNECT VERSION "Sec-WebSocket-Key: " KEY KEY "\r\n" END, -400},
	        {START UPGRADE CONNECT VERSION
	         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ!=\r\n" END,
	         -400},
	        {"POST /ws/id HTTP/1.1\r\n" UPGRADE CONNECT VERSION SENT_KEY END, -400},
	        {"get /ws/id HTTP/1.1\r\n", -400},
	        {"GET /ws/id HTTP/1.0\r\n" UPGRADE CONNECT VERSION SENT_KEY END, -400},
	        {"GET /ws/id HTTP/2\r\n", -400},
	        {"GET /ws/id\r\n", -400},
	        {"GET  HTTP/1.1\r\n", -400},
	        {"GET /ws id HTTP/1.1\r\n", -400},
	        {"\r\n", -400},
	        {"\n", -400},
	        {START "no colon\r\n", -400},
	        {START ": no name\r\n", -400},
	        {START "Upgrade : websocket\r\n", -400},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rds_ws_request request;
		if (parse(cases[i].head, &request) != cases[i].status)
			fail_msg("not %ld: %s", cases[i].status, cases[i].head);
	}
	assert_contains(rds_ws_refusal(426), "HTTP/1.1 426 ");
	assert_contains(rds_ws_refusal(426), "\r\nSec-WebSocket-Version: 13\r\n");
	assert_contains(rds_ws_refusal(400), "HTTP/1.1 400 ");
	assert_contains(rds_ws_refusal(400), "\r\nConnection: close\r\n");
	for (int status = 400; status <= 426; status += 26) {
		const char *text = rds_ws_refusal(status);
		assert_string_equal(text + strlen(text) - 4, "\r\n\r\n");
	}
}

// A head of `len` bytes.
static char *padded_head(size_t len)
{
	static const char start[] = START UPGRADE CONNECT VERSION SENT_KEY "X: ";
	char *head = rds_calloc(len + 1, 1);
	memset(head, 'x', len);
	memcpy(head, start, sizeof start - 1);
	memcpy(head + len - 4, "\r\n\r\n", 4);
	return head;
}

static void heads_are_bounded(void **state)
{
	(void)state;
	struct rds_ws_request request;
	char *head = padded_head(RDS_WS_HEAD_MAX_BYTES);
	assert_int_equal(parse(head, &request), RDS_WS_HEAD_MAX_BYTES);
	struct rds_view part = rds_view_of(head, RDS_WS_HEAD_MAX_BYTES - 1);
	assert_int_equal(rds_ws_request_parse(part, &request), 0);
	free(head);
	head = padded_head(RDS_WS_HEAD_MAX_BYTES + 1);
	assert_int_equal(parse(head, &request), -400);
	part = rds_view_of(head, RDS_WS_HEAD_MAX_BYTES);
	assert_int_equal(rds_ws_request_parse(part, &request), -400); // it can't end in time
	free(head);
	char line[RDS_WS_HEAD_MAX_BYTES];
	memset(line, 'x', sizeof line);
	assert_int_equal(rds_ws_request_parse(rds_view_of(line, sizeof line), &request), -400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(known_key_has_the_known_answer),
	        cmocka_unit_test(other_spellings_are_taken),
	        cmocka_unit_test(proxies_headers_are_found),
	        cmocka_unit_test(any_path_is_handed_on),
	        cmocka_unit_test(heads_come_in_pieces),
	        cmocka_unit_test(what_opens_nothing_is_refused),
	        cmocka_unit_test(heads_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
