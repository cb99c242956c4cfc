// SPDX-License-Identifier: MIT
// Goal: NAT test, online query, the old update messages, and messages at the wrong door
// (protocol.md sections 1, 2, 4 point 7 and 7).
#include "test/unit/world.h"

static const struct rds_view *servers(void)
{
	static struct rds_view views[2];
	views[0] = rds_view_text("id1.example.com");
	views[1] = rds_view_text("id2.example.com:31116");
	return views;
}

static struct rds_rendezvous_config with_serial(int32_t serial)
{
	return (struct rds_rendezvous_config){
	        .serial = serial, .rendezvous_servers = servers(), .n_rendezvous_servers = 2};
}

static rds_message nat_request(int32_t serial)
{
	rds_message msg = {.which_member = rds_RendezvousMessage_test_nat_request_tag};
	msg.member.test_nat_request.serial = serial;
	return msg;
}

static void nat_test_tells_the_port_seen(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path udp = path_of("198.51.100.1", 40123);
	struct rds_addr tcp = addr_of("198.51.100.1", 65535);
	rds_message msg = nat_request(0);
	datagram(w, &udp, &msg);
	const struct world_event *answer = expect_answer(w, &udp, 21);
	assert_view_text(rds_view_of(answer->bytes, answer->len), "\xaa\x01\x04\x08\xbb\xb9\x02");
	frame(w, RDS_DOOR_MAIN, 1, &tcp, &msg);
	assert_int_equal(expect_payload(w, 1)->msg.member.test_nat_response.port, 65535);
	expect_nothing(w); // the connection on the main port stays open
	frame(w, RDS_DOOR_NAT, 2, &tcp, &msg);
	assert_int_equal(expect_payload(w, 2)->msg.member.test_nat_response.port, 65535);
	expect_close(w, 2, RDS_WHY_DONE);
	world_close(w);
}

static const char cu_of_5[] = "\x08\x05\x12\x0f"
                              "id1.example.com\x12\x15"
                              "id2.example.com:31116";

// Over TCP, and only to those that are older; an empty one would wipe the client's list.
static void nat_test_updates_older_clients(void **state)
{
	(void)state;
	struct rds_rendezvous_config config = with_serial(5);
	struct world *w = world_open(&config);
	struct rds_path udp = path_of("198.51.100.1", 1);
	static const int32_t serials[] = {0, 3, 4, 5, 6, INT32_MAX};
	for (size_t i = 0; i < COUNT(serials); i++) {
		rds_message msg = nat_request(serials[i]);
		frame(w, RDS_DOOR_MAIN, 1, &udp.remote, &msg);
		const struct world_event *answer = expect_payload(w, 1);
		assert_int_equal(answer->msg.member.test_nat_response.has_cu, serials[i] < 5);
		struct rds_view whole = rds_view_of(answer->bytes, answer->len);
		struct rds_cursor at = rds_cursor_of(whole, 21, 2);
		struct rds_view cu = {0};
		assert_int_equal(rds_cursor_next(&at, &cu), serials[i] < 5);
		if (serials[i] < 5)
			assert_view_text(cu, cu_of_5);
		datagram(w, &udp, &msg);
		assert_false(expect_answer(w, &udp, 21)->msg.member.test_nat_response.has_cu);
	}
	world_close(w);
}

static void no_list_no_update(void **state)
{
	(void)state;
	struct rds_rendezvous_config config = {.serial = 5};
	struct world *w = world_open(&config);
	struct rds_path b = path_of("198.51.100.1", 1);
	rds_message msg = nat_request(3);
	frame(w, RDS_DOOR_MAIN, 1, &b.remote, &msg);
	assert_false(expect_payload(w, 1)->msg.member.test_nat_response.has_cu);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	send_register_peer(w, "ridge-042", 3, &b);
	expect_request_pk(w, &b, false);
	expect_nothing(w);
	world_close(w);
}

static void register_peer_updates_older_clients(void **state)
{
	(void)state;
	struct rds_rendezvous_config config = with_serial(5);
	struct world *w = world_open(&config);
	struct rds_path b = path_of("203.0.113.7", 5000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	static const int32_t serials[] = {0, 3, 4, 5, 6};
	for (size_t i = 0; i < COUNT(serials); i++) {
		send_register_peer(w, "ridge-042", serials[i], &b);
		expect_request_pk(w, &b, false);
		if (serials[i] >= 5) {
			expect_nothing(w);
			continue;
		}
		const struct world_event *update = expect_answer(w, &b, 14);
		struct rds_view whole = rds_view_of(update->bytes, update->len);
		assert_view_text(rds_view_of(whole.data + 2, whole.len - 2), cu_of_5);
	}
	world_close(w);
}

// A long answer goes to nobody who has not shown its uuid there: it could be aimed at others.
static void unproven_addresses_get_no_list(void **state)
{
	(void)state;
	struct rds_rendezvous_config config = with_serial(5);
	struct world *w = world_open(&config);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_path other_port = path_of("203.0.113.7", 53);
	struct rds_path stranger = path_of("198.51.100.66", 53);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	send_register_peer(w, "ridge-042", 0, &stranger);
	expect_request_pk(w, &stranger, true);
	send_register_peer(w, "nobody-1", 0, &stranger);
	expect_request_pk(w, &stranger, true);
	send_register_peer(w, "ridge-042", 0, &other_port);
	expect_request_pk(w, &other_port, true); // to show its uuid, since there is news
	expect_nothing(w);
	send_register_peer(w, "ridge-042", 0, &b);
	expect_request_pk(w, &b, true); // the other port has made it unsure
	expect_nothing(w);
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
	expect_result(w, &b, OK);
	send_register_peer(w, "ridge-042", 0, &b);
	expect_request_pk(w, &b, false);
	(void)expect_answer(w, &b, 14);
	world_close(w);
}

// Online queries.

#define MANY 1000

static struct rds_view ids[MANY];
static char texts[MANY][16];

// The states of the first n ids, asked at a door.
static struct rds_view ask(struct world *w, enum rds_door door, size_t n, uint8_t *out, size_t cap)
{
	static uint8_t wire[MANY * 20];
	struct rds_addr asker = addr_of("198.51.100.1", 40000);
	struct rds_list list = {.items = ids, .n = n};
	rds_message msg = {.which_member = rds_RendezvousMessage_online_request_tag};
	assert_true(rds_set(&msg.member.online_request.id, rds_view_text("crest-007")));
	msg.member.online_request.peers = rds_list_field(&list);
	long len = rds_message_encode(&msg, wire, sizeof wire);
	assert_true(len >= 0);
	frame_bytes(w, door, 3, &asker, rds_view_of(wire, (size_t)len));
	const struct world_event *answer = expect_payload(w, 3);
	assert_int_equal(answer->msg.which_member, 24);
	struct rds_cursor at = rds_cursor_of(rds_view_of(answer->bytes, answer->len), 24, 1);
	struct rds_view states = rds_view_of(NULL, 0);
	(void)rds_cursor_next(&at, &states);
	assert_true(states.len <= cap);
	if (states.len > 0)
		memcpy(out, states.data, states.len);
	return rds_view_of(out, states.len);
}

// Each third is online.
static struct world *open_with_many(void)
{
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	for (size_t i = 0; i < MANY; i++) {
		(void)snprintf(texts[i], sizeof texts[i], "id-%06zu", i);
		ids[i] = rds_view_text(texts[i]);
	}
	for (size_t i = 0; i < MANY; i++) {
		if (i % 3 == 0)
			load(w, texts[i], "uuid-1", "pk-1", "203.0.113.7");
		if (i % 6 == 0)
			load(w, texts[i + 1], "uuid-1", "pk-1", "203.0.113.7"); // but offline
		if (i % 3 == 0) {
			send_register_peer(w, texts[i], 0, &b);
			expect_request_pk(w, &b, false);
		}
	}
	return w;
}

// One bit an id, the first the highest; always as many bytes as that takes.
static void states_are_bits_in_order(void **state)
{
	(void)state;
	struct world *w = open_with_many();
	static const size_t counts[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 1000};
	for (size_t i = 0; i < COUNT(counts); i++) {
		uint8_t out[MANY];
		uint8_t expected[MANY] = {0};
		size_t n = counts[i];
		for (size_t k = 0; k < n; k += 3)
			expected[k / 8] |= (uint8_t)(1U << (7 - k % 8));
		struct rds_view states = ask(w, RDS_DOOR_NAT, n, out, sizeof out);
		expect_close(w, 3, RDS_WHY_DONE);
		assert_views_equal(states, rds_view_of(expected, (n + 7) / 8));
		states = ask(w, RDS_DOOR_MAIN, n, out, sizeof out);
		expect_nothing(w);
		assert_views_equal(states, rds_view_of(expected, (n + 7) / 8));
	}
	world_close(w);
}

static void doubles_and_empty_ids_have_bits_too(void **state)
{
	(void)state;
	struct world *w = open_with_many();
	uint8_t out[2];
	struct rds_view before[9];
	memcpy(before, ids, sizeof before);
	for (size_t i = 0; i < 9; i++)
		ids[i] = i == 1 ? rds_view_of("", 0) : before[i == 8 ? 0 : 3];
	struct rds_view states = ask(w, RDS_DOOR_MAIN, 9, out, sizeof out);
	assert_views_equal(states, rds_view_of("\xbf\x80", 2));
	world_close(w);
}

static void assert_told(const struct world_event *event, const char *url)
{
	assert_int_equal(event->msg.which_member, 17);
	assert_view_text(rds_get(event->msg.member.software_update.url), url);
}

// SoftwareUpdate: an older version is told the configured URL.
static void software_updates(void **state)
{
	(void)state;
	static const char url[] = "https://x.example/1.4.2";
	struct rds_rendezvous_config config = {.software_url = url};
	static const struct {
		const char *theirs;
		bool told;
	} cases[] = {
	        {"https://x.example/1.4.1", true},
	        {"https://x.example/1.4.2", false},
	        {"https://x.example/1.4.3", false},
	        {"https://x.example/1.10.0", false},
	        {"https://x.example/1.3.99", true},
	        {"https://x.example/0.9", true},
	        {"https://x.example/2", false},
	        {"https://x.example/1.4", true},
	        {"https://x.example/1.4.10", false},
	        {"https://x.example/rustdesk-1.4.1-x86_64.exe", true},
	        {"https://x.example/rustdesk-1.4.3-x86_64.exe", false},
	        {"https://x.example/64", false},
	        {"https://x.example/", true},
	};
	for (size_t i = 0; i < 2 * COUNT(cases); i++) {
		struct world *w = world_open(&config);
		struct rds_path a = path_of("198.51.100.1", 40000);
		rds_message msg = {.which_member = rds_RendezvousMessage_software_update_tag};
		assert_true(rds_set(&msg.member.software_update.url,
		                    rds_view_text(cases[i / 2].theirs)));
		if (i % 2 == 0)
			datagram(w, &a, &msg);
		else
			frame(w, RDS_DOOR_MAIN, 1, &a.remote, &msg);
		if (cases[i / 2].told)
			assert_told(i % 2 == 0 ? expect_datagram(w, &a) : expect_payload(w, 1),
			            url);
		world_close(w);
	}
}

// Whoever asks by UDP may be somebody else: no answer that is more than 16 bytes longer than
// the question, whatever the lengths.
static void check_no_amplifier(size_t url_len)
{
	char url[256];
	memset(url, 'x', sizeof url);
	memcpy(url + url_len - 6, "/1.4.2", 7);
	struct rds_rendezvous_config config = {.software_url = url};
	struct world *w = world_open(&config);
	struct rds_path a = path_of("198.51.100.1", 40000);
	for (size_t len = 0; len < url_len - 6; len++) {
		rds_message msg = {.which_member = rds_RendezvousMessage_software_update_tag};
		uint8_t wire[300];
		assert_true(rds_set(&msg.member.software_update.url, rds_view_of(url, len)));
		long asked = rds_message_encode(&msg, wire, sizeof wire);
		uint64_t before = counted(w, RDS_WHY_REPLY_TOO_LONG);
		datagram_bytes(w, &a, rds_view_of(wire, (size_t)asked));
		if (counted(w, RDS_WHY_REPLY_TOO_LONG) == before)
			assert_true(expect_answer(w, &a, 17)->len <= (size_t)asked + 16);
		expect_nothing(w);
	}
	assert_true(counted(w, RDS_WHY_REPLY_TOO_LONG) >= url_len - 22);
	rds_message msg = {.which_member = rds_RendezvousMessage_software_update_tag};
	frame(w, RDS_DOOR_MAIN, 1, &a.remote, &msg); // TCP proves the address
	assert_told(expect_payload(w, 1), url);
	world_close(w);
}

static void software_update_is_no_amplifier(void **state)
{
	(void)state;
	for (size_t url_len = 30; url_len < 250; url_len++)
		check_no_amplifier(url_len);
}

static void no_software_url_no_answer(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	rds_message msg = {.which_member = rds_RendezvousMessage_software_update_tag};
	frame(w, RDS_DOOR_MAIN, 1, &a, &msg);
	expect_nothing(w);
	world_close(w);
}

// Which messages are served where: u UDP, m TCP on the main port, n on the NAT port. All others
// are dropped on UDP and end the connection.
static const struct {
	int number;
	const char *doors;
} served[] = {
        {6, "u"}, {7, ""},    {8, "m"}, {9, ""},    {10, "um"}, {11, ""},  {12, ""},    {13, "um"},
        {14, ""}, {15, "um"}, {16, ""}, {17, "um"}, {18, "m"},  {19, "m"}, {20, "umn"}, {21, ""},
        {22, ""}, {23, "mn"}, {24, ""}, {25, ""},   {26, "m"},  {27, "m"}, {28, ""},
};

static void doors_serve_their_messages_only(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(served); i++) {
		struct world *w = world_open(NULL);
		struct rds_path from = path_of("198.51.100.1", 40000);
		rds_message msg = {.which_member = (pb_size_t)served[i].number};
		w->deaf = true;
		datagram(w, &from, &msg);
		uint64_t unknown = strchr(served[i].doors, 'u') == NULL;
		assert_int_equal(counted(w, RDS_WHY_UNKNOWN_MESSAGE), unknown);
		w->deaf = false;
		for (int door = RDS_DOOR_MAIN; door <= RDS_DOOR_NAT; door++) {
			bool is_served =
			        strchr(served[i].doors, door == RDS_DOOR_MAIN ? 'm' : 'n') != NULL;
			unknown += !is_served;
			world_forget(w);
			frame(w, (enum rds_door)door, 1, &from.remote, &msg);
			if (!is_served)
				expect_close(w, 1, RDS_WHY_UNKNOWN_MESSAGE);
			assert_int_equal(counted(w, RDS_WHY_UNKNOWN_MESSAGE), unknown);
			world_forget(w);
		}
		world_close(w);
	}
}

// What does not parse, or is of no kind, is ignored on UDP and ends a connection.
static void known_bad_payloads(void **state)
{
	(void)state;
	static const char *const lists[] = {"bad", "of_no_kind"};
	static const enum rds_reason why[] = {RDS_WHY_MALFORMED, RDS_WHY_UNKNOWN_MESSAGE};
	cJSON *file = vectors_open("messages.json");
	for (size_t i = 0; i < 2; i++) {
		const cJSON *one = NULL;
		struct world *w = world_open(NULL);
		struct rds_path from = path_of("198.51.100.1", 40000);
		cJSON_ArrayForEach(one, member(file, lists[i])) {
			uint8_t bytes[64];
			struct rds_view payload =
			        from_hex(cJSON_GetStringValue(one), bytes, sizeof bytes);
			uint64_t before = counted(w, why[i]);
			datagram_bytes(w, &from, payload);
			expect_nothing(w);
			assert_int_equal(counted(w, why[i]), before + 1);
			frame_bytes(w, RDS_DOOR_MAIN, 1, &from.remote, payload);
			if (payload.len > 0)
				expect_close(w, 1, why[i]);
			frame_bytes(w, RDS_DOOR_NAT, 2, &from.remote, payload);
			if (payload.len > 0)
				expect_close(w, 2, why[i]);
		}
		world_close(w);
	}
	cJSON_Delete(file);
}

// A frame with an empty payload is a heartbeat: nothing comes of it.
static void heartbeats_are_nothing(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	frame_bytes(w, RDS_DOOR_MAIN, 1, &a, rds_view_of(NULL, 0));
	frame_bytes(w, RDS_DOOR_NAT, 2, &a, rds_view_of("", 0));
	expect_nothing(w);
	for (int i = 0; i < RDS_REASON_COUNT; i++)
		assert_int_equal(counted(w, (enum rds_reason)i), 0);
	rds_rendezvous_count(w->rules, RDS_WHY_TOO_LONG); // what the host drops itself
	assert_int_equal(counted(w, RDS_WHY_TOO_LONG), 1);
	world_close(w);
}

static void refusals_are_logged_at_a_limited_rate(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	log_capture(RDS_LOG_INFO);
	for (int i = 0; i < 1000; i++) {
		send_punch(w, 1, &a, "a\nb\"c");
		(void)expect_payload(w, 1);
	}
	const char *text = log_captured();
	size_t lines = 0;
	for (size_t i = 0; text[i] != '\0'; i++)
		lines += text[i] == '\n';
	assert_int_equal(lines, RDS_LOG_BURST);
	assert_contains(text, "reason=\"id-unknown\"");
	assert_contains(text, "id=\"a\\x0ab\\\"c\"");
	assert_contains(text, "from=198.51.100.1:40000");
	log_release();
	world_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nat_test_tells_the_port_seen),
	        cmocka_unit_test(nat_test_updates_older_clients),
	        cmocka_unit_test(no_list_no_update),
	        cmocka_unit_test(register_peer_updates_older_clients),
	        cmocka_unit_test(unproven_addresses_get_no_list),
	        cmocka_unit_test(states_are_bits_in_order),
	        cmocka_unit_test(doubles_and_empty_ids_have_bits_too),
	        cmocka_unit_test(software_updates),
	        cmocka_unit_test(software_update_is_no_amplifier),
	        cmocka_unit_test(no_software_url_no_answer),
	        cmocka_unit_test(doors_serve_their_messages_only),
	        cmocka_unit_test(known_bad_payloads),
	        cmocka_unit_test(heartbeats_are_nothing),
	        cmocka_unit_test(refusals_are_logged_at_a_limited_rate),
	};
	return cmocka_run_group_tests_name("rendezvous_query", tests, NULL, NULL);
}
