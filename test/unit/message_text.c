// SPDX-License-Identifier: MIT
// Goal: any payload becomes one line that says what is in it, and no secret of it: known answers,
// garbage, and lines that don't fit.
#include "test/unit/testing.h"

#include "core/alloc.h"
#include "core/message_text.h"

#include <stdio.h>
#include <stdlib.h>

#define KEY  "0miFGAdyJOQBSgI4dbrVfZpT36jce/gCVqk1vFtNdjk="
#define UUID "2f1f7c2e-5a0a-4a51-9f5d-0f1f6c1d2e3f"

// What messages.json's cases look like, in their order.
static const char *const lines[] = {
        "RegisterPeer{id=\"ridge-042\"}",
        "RegisterPeer{id=\"ridge-042\", serial=3}",
        "RegisterPeerResponse{request_pk=false}",
        "RegisterPeerResponse{request_pk=true}",
        "RegisterPk{id=\"ridge-042\", uuid=(14 bytes), pk=(32 bytes)}",
        "RegisterPk{id=\"crest-007\", uuid=(14 bytes), old_id=\"ridge-042\"}",
        "RegisterPkResponse{result=OK}",
        "RegisterPkResponse{result=UUID_MISMATCH}",
        "RegisterPkResponse{result=OK, keep_alive=60}",
        "PunchHoleRequest{id=\"ridge-042\", nat_type=1, licence_key=(44 bytes), "
        "version=\"1.4.2\", udp_port=40777, force_relay=true, "
        "socket_addr_v6=[2001:db8::23]:40999}",
        "PunchHole{socket_addr=198.51.100.23:40123, relay_server=\"relay.example.com\", "
        "nat_type=1, udp_port=40777, force_relay=true, socket_addr_v6=[2001:db8::23]:40999}",
        "PunchHoleSent{socket_addr=198.51.100.23:40123, id=\"ridge-042\", "
        "relay_server=\"relay.example.com\", nat_type=1, version=\"1.4.2\", "
        "socket_addr_v6=[2001:db8::23]:40999}",
        "PunchHoleResponse{socket_addr=203.0.113.77:50555, pk=(109 bytes), "
        "relay_server=\"relay.example.com\", nat_type=1}",
        "PunchHoleResponse{socket_addr=203.0.113.77:50555, pk=(109 bytes), "
        "relay_server=\"relay.example.com\", is_local=true}",
        "PunchHoleResponse{failure=ID_NOT_EXIST}",
        "PunchHoleResponse{failure=OFFLINE}",
        "PunchHoleResponse{failure=LICENSE_MISMATCH}",
        "FetchLocalAddr{socket_addr=198.51.100.23:40123, relay_server=\"relay.example.com\"}",
        "LocalAddr{socket_addr=198.51.100.23:40123, local_addr=203.0.113.77:50555, "
        "relay_server=\"relay.example.com\", id=\"ridge-042\", version=\"1.4.2\"}",
        "RequestRelay{id=\"ridge-042\", uuid=\"" UUID "\", relay_server=\"relay.example.com\", "
        "secure=true, licence_key=(44 bytes)}",
        "RelayResponse{socket_addr=198.51.100.23:40123, uuid=\"" UUID "\", "
        "relay_server=\"relay.example.com\", id=\"ridge-042\", version=\"1.4.2\"}",
        "RelayResponse{uuid=\"" UUID "\", relay_server=\"relay.example.com\", pk=(109 bytes), "
        "version=\"1.4.2\"}",
        "TestNatRequest{}",
        "TestNatResponse{port=40123}",
        "OnlineRequest{id=\"crest-007\", peers=\"ridge-042\", peers=\"nobody-1\", "
        "peers=\"other-22\"}",
        "OnlineResponse{states=0xa0}",
};

// The line of that payload, which must fit.
static const char *line_of(const char *hex)
{
	static char line[1024];
	uint8_t bytes[512];
	size_t len = rds_message_describe(from_hex(hex, bytes, sizeof bytes), line, sizeof line);
	assert_int_equal(len, strlen(line));
	assert_true(len < sizeof line - 1);
	return line;
}

static void known_messages(void **state)
{
	(void)state;
	cJSON *file = vectors_open("messages.json");
	const cJSON *one = NULL;
	size_t n = 0;
	cJSON_ArrayForEach(one, member(file, "cases")) {
		assert_true(n < COUNT(lines));
		assert_string_equal(line_of(member_text(one, "bytes")), lines[n]);
		n++;
	}
	assert_int_equal(n, COUNT(lines));
	cJSON_Delete(file);
}

static void what_is_no_message(void **state)
{
	(void)state;
	cJSON *file = vectors_open("messages.json");
	const cJSON *one = NULL;
	cJSON_ArrayForEach(one, member(file, "bad")) {
		const char *line = line_of(one->valuestring);
		char expected[64];
		size_t len = strlen(one->valuestring) / 2;
		(void)snprintf(expected, sizeof expected, "%zu byte%s that %s no message", len,
		               len == 1 ? "" : "s", len == 1 ? "is" : "are");
		assert_string_equal(line, expected);
	}
	cJSON_Delete(file);
	assert_string_equal(line_of(""), "heartbeat (nothing)");
	assert_string_equal(line_of("800100"), "3 bytes of an unknown message");
	assert_string_equal(line_of("f8070a"), "3 bytes of an unknown message");
	// Field 0, a group, and a member whose own fields break off.
	assert_string_equal(line_of("0200"), "2 bytes that are no message");
	assert_string_equal(line_of("3334"), "2 bytes that are no message");
	assert_string_equal(line_of("32020a09"), "4 bytes that are no message");
	assert_string_equal(line_of("474554202f20485454502f312e310d0a0d"),
	                    "17 bytes that are no message");
}

static void names_of_numbers(void **state)
{
	(void)state;
	assert_string_equal(line_of("8201020807"), "RegisterPkResponse{result=SERVER_ERROR}");
	assert_string_equal(line_of("8201020808"), "RegisterPkResponse{result=NOT_DEPLOYED}");
	assert_string_equal(line_of("8201020863"), "RegisterPkResponse{result=99}");
	assert_string_equal(line_of("8201020801"), "RegisterPkResponse{result=1}");
	assert_string_equal(line_of("820104103c0807"),
	                    "RegisterPkResponse{result=OK, keep_alive=60, result=SERVER_ERROR}");
	assert_string_equal(line_of("5a021804"), "PunchHoleResponse{failure=LICENSE_OVERUSE}");
	assert_string_equal(line_of("5a0b18ffffffffffffffffff01"), "PunchHoleResponse{failure=-1}");
}

static void what_it_does_not_know(void **state)
{
	(void)state;
	// A field of a later client, one of another type, one of each fixed width.
	assert_string_equal(line_of("3208620161"
	                            "0a0162"
	                            "6805"),
	                    "RegisterPeer{unknown_12=(1 byte), id=\"b\", unknown_13=5}");
	assert_string_equal(line_of("32020805"), "RegisterPeer{unknown_1=5}");
	assert_string_equal(line_of("32056d01020304"), "RegisterPeer{unknown_13=(4 bytes)}");
	assert_string_equal(line_of("3209690102030405060708"),
	                    "RegisterPeer{unknown_13=(8 bytes)}");
	// Beside a member of ours.
	assert_string_equal(line_of("8001003a00"), "RegisterPeerResponse{request_pk=false}");
	assert_string_equal(line_of("a20100"
	                            "3a00"),
	                    "TestNatRequest{} RegisterPeerResponse{request_pk=false}");
}

static void messages_in_messages(void **state)
{
	(void)state;
	assert_string_equal(line_of("aa010a0807120608041202616a"),
	                    "TestNatResponse{port=7, cu={serial=4, "
	                    "rendezvous_servers=\"aj\"}}");
	assert_string_equal(line_of("aa010612040802120a"), "TestNatResponse{cu=(4 bytes)}");
}

static void hostile_bytes(void **state)
{
	(void)state;
	// ESC, a quote, a right-to-left override, no UTF-8.
	assert_string_equal(line_of("320b0a091b5b22e280aeff6161"),
	                    "RegisterPeer{id=\"\\x1b[\\\"\\u202e\\xffaa\"}");
	assert_string_equal(line_of("4a030a0101"), "PunchHole{socket_addr=0.0.0.0:1}");
	assert_string_equal(line_of("4a130a1101010101010101010101010101010101ff"),
	                    "PunchHole{socket_addr=(17 bytes)}");
}

static void secrets_stay_secret(void **state)
{
	(void)state;
	// One of each: 8 licence_key, token and switch_code; 18 the same; 26 token; 25 keys.
	assert_string_equal(line_of("420c1a0161"
	                            "2a026161"
	                            "5a03616161"),
	                    "PunchHoleRequest{licence_key=(1 byte), token=(2 bytes), "
	                    "switch_code=(3 bytes)}");
	assert_string_equal(line_of("92010c"
	                            "320161"
	                            "42026161"
	                            "5a03616161"),
	                    "RequestRelay{licence_key=(1 byte), token=(2 bytes), "
	                    "switch_code=(3 bytes)}");
	assert_string_equal(line_of("d201030a0161"), "HealthCheck{token=(1 byte)}");
	assert_string_equal(line_of("ca01070a02616112016b"),
	                    "KeyExchange{keys=(2 bytes), unknown_2=(1 byte)}");
	assert_string_equal(line_of("da010c"
	                            "0a0147"
	                            "12012f"
	                            "1a0161"
	                            "220162"),
	                    "HttpProxyRequest{method=\"G\", path=\"/\", headers=(1 byte), "
	                    "body=(1 byte)}");
}

// Whatever the room, the text ends in it, and is UTF-8 to its end.
static void lines_that_do_not_fit(void **state)
{
	(void)state;
	static const char whole[] = "RegisterPeer{id=\"\xc3\xa4\xc3\xa4\xc3\xa4\xe2\x82\xac\"}";
	static const uint8_t bytes[] = {0x32, 0x0b, 0x0a, 0x09, 0xc3, 0xa4, 0xc3,
	                                0xa4, 0xc3, 0xa4, 0xe2, 0x82, 0xac};
	struct rds_view payload = rds_view_of(bytes, sizeof bytes);
	for (size_t cap = 1; cap <= sizeof whole; cap++) {
		char *line = rds_calloc(cap, 1);
		size_t len = rds_message_describe(payload, line, cap);
		assert_int_equal(len, strlen(line));
		if (cap == sizeof whole)
			assert_string_equal(line, whole);
		else if (cap >= 4)
			assert_string_equal(line + len - 3, "...");
		for (size_t at = 0; at + 3 < len && cap < sizeof whole;) {
			size_t n = (uint8_t)line[at] < 0x80 ? 1 : (uint8_t)line[at] < 0xe0 ? 2 : 3;
			assert_memory_equal(line + at, whole + at, n);
			at += n;
			assert_true(at + 3 <= len);
		}
		free(line);
	}
	assert_int_equal(rds_message_describe(payload, NULL, 0), 0);
}

static void long_text_is_cut(void **state)
{
	(void)state;
	char line[512];
	uint8_t bytes[606] = {0x32, 0xdb, 0x04, 0x0a, 0xd8, 0x04};
	memset(bytes + 6, 'a', 600);
	size_t len = rds_message_describe(rds_view_of(bytes, sizeof bytes), line, sizeof line);
	assert_true(len < 300);
	assert_contains(line, "aaa...\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(known_messages),       cmocka_unit_test(what_is_no_message),
	        cmocka_unit_test(names_of_numbers),     cmocka_unit_test(what_it_does_not_know),
	        cmocka_unit_test(messages_in_messages), cmocka_unit_test(hostile_bytes),
	        cmocka_unit_test(secrets_stay_secret),  cmocka_unit_test(lines_that_do_not_fit),
	        cmocka_unit_test(long_text_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
