// SPDX-License-Identifier: MIT
// Goal: a relayed session's messages from one framing to the other: what becomes of frames,
// fragments, control frames and ends, and what is too long or no frame at all.
#include "test/unit/testing.h"

#include "core/frame.h"
#include "core/limits.h"
#include "net/transcode.h"
#include "test/unit/frames.h"

#include <stdlib.h>

#define MIB (1024 * 1024)

static const uint8_t mask[4] = {0x01, 0x80, 0x5a, 0xff};

static struct rds_transcoder coder;
static struct rds_buffer in;
static struct rds_buffer out;

static int set_up(void **state)
{
	(void)state;
	rds_transcoder_init(&coder, true, true);
	in = out = (struct rds_buffer){0};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rds_transcoder_clear(&coder);
	rds_buffer_clear(&in);
	rds_buffer_clear(&out);
	return 0;
}

static void start(bool from_websocket, bool to_websocket)
{
	(void)tear_down(NULL);
	rds_transcoder_init(&coder, from_websocket, to_websocket);
}

// Hands over what was put into `in`; how much of it was taken, or the code. What wasn't is gone.
static long run(void)
{
	long n = rds_transcode(&coder, rds_buffer_data(&in), in.len, &out);
	rds_buffer_clear(&in);
	return n;
}

// All of it.
static void run_all(void)
{
	long len = (long)in.len;
	assert_int_equal(run(), len);
}

static void put_ws(unsigned first, const char *payload)
{
	struct rds_view v = rds_view_text(payload);
	frames_put_ws(&in, first, v.len < 126 ? 0 : 2, mask, v);
}

// What has come out so far, and then it is taken.
#define assert_out(hex) testing_out((hex), __FILE__, __LINE__)
static void testing_out(const char *hex, const char *file, int line)
{
	uint8_t expected[300];
	testing_views_equal(rds_view_of(rds_buffer_data(&out), out.len),
	                    from_hex(hex, expected, sizeof expected), file, line);
	rds_buffer_clear(&out);
}

static void assert_answer(const char *hex)
{
	uint8_t expected[200];
	assert_views_equal(rds_view_of(coder.answer, coder.answer_len),
	                   from_hex(hex, expected, sizeof expected));
}

// --- one message

static void tcp_frames_become_messages(void **state)
{
	(void)state;
	for (size_t header_len = 1; header_len <= 4; header_len++) {
		start(false, true);
		frames_put_tcp(&in, header_len, rds_view_text("abc"));
		frames_put_tcp(&in, header_len, rds_view_text(""));
		frames_put_tcp(&in, header_len, rds_view_text("d"));
		run_all();
		assert_out("8203616263"
		           "8200"
		           "820164");
	}
}

static void messages_become_tcp_frames(void **state)
{
	(void)state;
	static const unsigned opcodes[] = {0x81, 0x82};
	for (size_t i = 0; i < COUNT(opcodes); i++) {
		start(true, false);
		put_ws(opcodes[i], "abc");
		put_ws(opcodes[i], "");
		put_ws(opcodes[i], "d");
		run_all();
		assert_out("0c616263"
		           "00"
		           "0464");
	}
}

static void messages_stay_messages(void **state)
{
	(void)state;
	start(true, true);
	put_ws(0x81, "abc");
	put_ws(0x82, "");
	put_ws(0x82, "d");
	run_all();
	assert_out("8203616263"
	           "8200"
	           "820164");
}

// A payload goes on as it comes: nothing waits for its end.
static void payloads_stream_through(void **state)
{
	(void)state;
	for (int kind = 0; kind < 3; kind++) {
		bool from_websocket = kind > 0;
		bool to_websocket = kind < 2;
		start(from_websocket, to_websocket);
		if (from_websocket)
			frames_put_ws_head(&in, 0x82, 8, (const uint8_t[4]){0}, 1000000);
		else
			frames_put_tcp_head(&in, 3, 1000000);
		run_all();
		assert_out(to_websocket ? "827f00000000000f4240" : "02093d");
		rds_buffer_add(&in, (const uint8_t *)"abc", 3);
		run_all();
		assert_out("616263");
		assert_null(coder.message.bytes);
	}
}

// --- fragments

static void fragments_become_one_tcp_frame(void **state)
{
	(void)state;
	start(true, false);
	put_ws(0x01, "ab"); // text
	put_ws(0x00, "");
	put_ws(0x00, "c");
	run_all();
	assert_out("");
	put_ws(0x80, "de");
	put_ws(0x82, "f");
	run_all();
	assert_out("146162636465"
	           "0466");
	assert_null(coder.message.bytes);
}

static void empty_fragments_become_an_empty_frame(void **state)
{
	(void)state;
	start(true, false);
	put_ws(0x02, "");
	put_ws(0x00, "");
	put_ws(0x80, "");
	run_all();
	assert_out("00");
}

static void fragments_stay_fragments(void **state)
{
	(void)state;
	start(true, true);
	put_ws(0x01, "ab");
	put_ws(0x00, "");
	put_ws(0x80, "c");
	run_all();
	assert_out("02026162"
	           "0000"
	           "800163");
}

static void fragments_out_of_order_are_refused(void **state)
{
	(void)state;
	static const struct {
		unsigned first, second;
	} cases[] = {{0x00, 0x80}, {0x80, 0x82}, {0x02, 0x82}, {0x02, 0x81}, {0x01, 0x02}};
	for (size_t i = 0; i < 2 * COUNT(cases); i++) {
		start(true, i % 2 == 0);
		put_ws(cases[i / 2].first, "ab");
		put_ws(cases[i / 2].second, "cd");
		assert_int_equal(run(), -RDS_EPARSE);
	}
}

static void bytes_that_are_no_frame_are_refused(void **state)
{
	(void)state;
	start(true, true);
	put_ws(0x82, "ab");
	put_ws(0xc2, "cd"); // a reserved bit
	assert_int_equal(run(), -RDS_EPARSE);
	assert_out("82026162");
}

// --- control frames

static void pings_are_answered(void **state)
{
	(void)state;
	start(true, false);
	put_ws(0x89, "hello");
	run_all();
	assert_answer("8a0568656c6c6f");
	put_ws(0x89, "");
	run_all();
	assert_answer("8a00");
	assert_out("");
}

static void the_longest_ping_is_answered(void **state)
{
	(void)state;
	char payload[126];
	memset(payload, 'p', 125);
	payload[125] = '\0';
	start(true, true);
	put_ws(0x89, payload);
	run_all();
	assert_int_equal(coder.answer_len, 127);
	assert_memory_equal(coder.answer, "\x8a\x7d", 2);
	assert_memory_equal(coder.answer + 2, payload, 125);
}

// RFC 6455 section 5.5.3 allows to answer the latest of several alone.
static void the_latest_ping_is_answered(void **state)
{
	(void)state;
	start(true, false);
	put_ws(0x89, "ab");
	put_ws(0x82, "x");
	put_ws(0x89, "c");
	run_all();
	assert_answer("8a0163");
	assert_out("0478");
}

static void pongs_are_no_ones_business(void **state)
{
	(void)state;
	start(true, true);
	put_ws(0x8a, "ab");
	run_all();
	assert_answer("");
	assert_out("");
}

static void control_frames_come_between_fragments(void **state)
{
	(void)state;
	for (int to_websocket = 0; to_websocket < 2; to_websocket++) {
		start(true, to_websocket);
		put_ws(0x02, "ab");
		put_ws(0x89, "p");
		put_ws(0x8a, "q");
		put_ws(0x80, "c");
		run_all();
		assert_answer("8a0170");
		assert_out(to_websocket ? "02026162"
		                          "800163"
		                        : "0c616263");
	}
}

// With the code that it came with, without the words; nothing behind it counts.
static void closing_frames_are_answered(void **state)
{
	(void)state;
	static const struct {
		const char *payload;
		const char *answer;
	} cases[] = {{"", "8800"},
	             {"\x03\xe8", "880203e8"},
	             {"\x03\xe9going away", "880203e9"},
	             {"\x03", "8800"}};
	for (size_t i = 0; i < COUNT(cases); i++) {
		start(true, false);
		put_ws(0x82, "a");
		put_ws(0x88, cases[i].payload);
		long len = (long)in.len;
		put_ws(0x82, "b");
		put_ws(0xff, "no frame at all");
		assert_int_equal(run(), len);
		assert_true(coder.closed);
		assert_answer(cases[i].answer);
		assert_out("0461");
		put_ws(0x82, "c");
		assert_int_equal(run(), 0);
		assert_out("");
	}
}

// --- answers among what goes to the one who is answered

static void answers_come_between_frames(void **state)
{
	(void)state;
	struct rds_transcoder towards;
	rds_transcoder_init(&towards, false, true);
	start(true, false);
	put_ws(0x89, "p");
	run_all();
	rds_transcoder_answer(&towards, &coder, &out);
	assert_out("8a0170");
	rds_transcoder_answer(&towards, &coder, &out); // once
	assert_out("");
}

// The end of the frame that is on its way isn't seen from outside: chunks end anywhere.
static void answers_wait_for_the_end_of_a_frame(void **state)
{
	(void)state;
	struct rds_transcoder towards;
	rds_transcoder_init(&towards, false, true);
	start(true, false);
	put_ws(0x89, "p");
	run_all();
	assert_int_equal(rds_transcode(&towards, (const uint8_t *)"\x08z", 2, &out), 2);
	rds_transcoder_answer(&towards, &coder, &out);
	assert_out("82027a");
	assert_int_equal(rds_transcode(&towards, (const uint8_t *)"z\x08y", 3, &out), 3);
	assert_out("7a"
	           "8a0170"
	           "820279");
	assert_answer("");
}

// Between the frames of one message, too.
static void answers_come_between_parts_of_a_long_message(void **state)
{
	(void)state;
	struct rds_transcoder towards;
	struct rds_view rest;
	struct frame_read frame;
	static uint8_t zeros[RDS_WS_CLIENT_FRAME_BYTES + 1];
	rds_transcoder_init(&towards, false, true);
	start(true, false);
	put_ws(0x89, "p");
	run_all();
	frames_put_tcp_head(&in, 4, sizeof zeros);
	assert_int_equal(rds_transcode(&towards, rds_buffer_data(&in), in.len, &out), 4);
	rds_transcoder_answer(&towards, &coder, &out);
	assert_int_equal(rds_transcode(&towards, zeros, sizeof zeros, &out), sizeof zeros);
	rest = rds_view_of(rds_buffer_data(&out), out.len);
	assert_true(frames_take(&rest, true, &frame) && frame.opcode == 2 && !frame.fin);
	assert_true(frames_take(&rest, true, &frame) && frame.opcode == 10 && frame.fin);
	assert_true(frames_take(&rest, true, &frame) && frame.opcode == 0 && frame.fin);
	assert_int_equal(rest.len, 0);
}

// --- ends

static void a_websocket_is_told_the_end(void **state)
{
	(void)state;
	start(false, true);
	frames_put_tcp(&in, 1, rds_view_text("a"));
	run_all();
	rds_transcoder_end(&coder, &out);
	assert_out("820161"
	           "880203e8");
}

static void no_frame_is_cut_by_the_end(void **state)
{
	(void)state;
	start(false, true);
	frames_put_tcp_head(&in, 1, 2);
	run_all();
	rds_transcoder_end(&coder, &out);
	assert_out("8202");
}

static void a_tcp_side_is_told_nothing(void **state)
{
	(void)state;
	start(true, false);
	rds_transcoder_end(&coder, &out);
	assert_out("");
}

// --- the first message

static void stops_after_one_message(void **state)
{
	(void)state;
	static const char *const firsts[] = {"a", ""};
	for (size_t i = 0; i < COUNT(firsts); i++) {
		start(true, false);
		coder.stop_after_message = true;
		put_ws(0x89, "p");
		put_ws(0x02, firsts[i]);
		put_ws(0x8a, "q");
		put_ws(0x80, firsts[i]);
		long len = (long)in.len;
		put_ws(0x82, "b");
		assert_int_equal(run(), len);
		assert_out(i == 0 ? "086161" : "00");
		assert_answer("8a0170");
		put_ws(0x82, "b");
		put_ws(0x89, "p");
		assert_int_equal(run(), 7);
		assert_out("0462");
	}
}

// --- what is too long

static void long_tcp_frames_are_refused(void **state)
{
	(void)state;
	start(false, true);
	frames_put_tcp_head(&in, 4, RDS_WS_CLIENT_MESSAGE_BYTES + 1);
	assert_int_equal(run(), -RDS_ETOOBIG);
	assert_out("");
	start(false, true);
	frames_put_tcp_head(&in, 4, RDS_WS_CLIENT_MESSAGE_BYTES);
	run_all();
	assert_out("027f0000000001000000");
}

// In frames that clients take, all of one message, from either transport.
static void long_frames_go_in_parts(void **state)
{
	(void)state;
	static const uint8_t zeros[MIB] = {0};
	static const struct {
		size_t len;
		size_t n;
		size_t last;
	} cases[] = {{16 * MIB - 1, 1, 16 * MIB - 1},
	             {16 * MIB, 1, 16 * MIB},
	             {16 * MIB + 1, 2, 1},
	             {32 * MIB, 2, 16 * MIB}};
	for (size_t turn = 0; turn < 2 * COUNT(cases); turn++) {
		bool from_websocket = turn % 2 == 1;
		size_t i = turn / 2;
		struct rds_view rest;
		struct frame_read frame = {0};
		start(from_websocket, true);
		if (from_websocket)
			frames_put_ws_head(&in, 0x81, 8, mask, cases[i].len);
		else
			frames_put_tcp_head(&in, 4, (uint32_t)cases[i].len);
		run_all();
		for (size_t left = cases[i].len, n; left > 0; left -= n) {
			n = left < sizeof zeros ? left : sizeof zeros;
			assert_int_equal(rds_transcode(&coder, zeros, n, &out), n);
		}
		rest = rds_view_of(rds_buffer_data(&out), out.len);
		for (size_t k = 1; k <= cases[i].n; k++) {
			assert_true(frames_take(&rest, true, &frame));
			assert_int_equal(frame.opcode, k == 1 ? 2 : 0);
			assert_int_equal(frame.fin, k == cases[i].n);
			assert_int_equal(frame.len, k < cases[i].n ? 16 * MIB : cases[i].last);
		}
		assert_int_equal(rest.len, 0);
	}
}

static void long_messages_for_tcp_are_refused(void **state)
{
	(void)state;
	start(true, false);
	frames_put_ws_head(&in, 0x82, 8, mask, RDS_FRAME_PAYLOAD_MAX + UINT64_C(1));
	assert_int_equal(run(), -RDS_ETOOBIG);
	assert_out("");
	start(true, false);
	frames_put_ws_head(&in, 0x82, 8, mask, RDS_FRAME_PAYLOAD_MAX);
	run_all();
	assert_out("ffffffff");
}

// Fragments are held: so many bytes and no more, counted over all of them as soon as they are
// announced.
static void long_fragments_for_tcp_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *before; // a whole fragment
		uint64_t announced;
		long result;
	} cases[] = {
	        {NULL, RDS_RELAY_MESSAGE_MAX_BYTES, 0},
	        {NULL, RDS_RELAY_MESSAGE_MAX_BYTES + UINT64_C(1), -RDS_ETOOBIG},
	        {NULL, INT64_MAX, -RDS_ETOOBIG},
	        {"ab", RDS_RELAY_MESSAGE_MAX_BYTES - 2, 0},
	        {"ab", RDS_RELAY_MESSAGE_MAX_BYTES - 1, -RDS_ETOOBIG},
	        {"ab", INT64_MAX, -RDS_ETOOBIG},
	};
	for (size_t i = 0; i < 2 * COUNT(cases); i++) {
		unsigned fin = i % 2 == 0 || cases[i / 2].before == NULL ? 0 : 0x80;
		start(true, false);
		if (cases[i / 2].before != NULL)
			put_ws(0x02, cases[i / 2].before);
		frames_put_ws_head(&in, fin | (cases[i / 2].before == NULL ? 0x02U : 0x00U), 8,
		                   mask, cases[i / 2].announced);
		long len = (long)in.len;
		long n = run();
		assert_int_equal(n, cases[i / 2].result == 0 ? len : cases[i / 2].result);
		assert_out("");
	}
}

// Nothing of a WebSocket's message is held for another one, however long it gets.
static void long_messages_for_a_websocket_are_passed_on(void **state)
{
	(void)state;
	start(true, true);
	frames_put_ws_head(&in, 0x02, 8, mask, INT64_MAX);
	run_all();
	assert_out("027f0000000001000000");
	assert_null(coder.message.bytes);
}

#define test(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        test(tcp_frames_become_messages),
	        test(messages_become_tcp_frames),
	        test(messages_stay_messages),
	        test(payloads_stream_through),
	        test(fragments_become_one_tcp_frame),
	        test(empty_fragments_become_an_empty_frame),
	        test(fragments_stay_fragments),
	        test(fragments_out_of_order_are_refused),
	        test(bytes_that_are_no_frame_are_refused),
	        test(pings_are_answered),
	        test(the_longest_ping_is_answered),
	        test(the_latest_ping_is_answered),
	        test(pongs_are_no_ones_business),
	        test(control_frames_come_between_fragments),
	        test(closing_frames_are_answered),
	        test(answers_come_between_frames),
	        test(answers_wait_for_the_end_of_a_frame),
	        test(answers_come_between_parts_of_a_long_message),
	        test(a_websocket_is_told_the_end),
	        test(no_frame_is_cut_by_the_end),
	        test(a_tcp_side_is_told_nothing),
	        test(stops_after_one_message),
	        test(long_tcp_frames_are_refused),
	        test(long_frames_go_in_parts),
	        test(long_messages_for_tcp_are_refused),
	        test(long_fragments_for_tcp_are_refused),
	        test(long_messages_for_a_websocket_are_passed_on),
	};
	return cmocka_run_group_tests_name("transcode", tests, NULL, NULL);
}
