// SPDX-License-Identifier: MIT
// Goal: the relay's WebSocket frames: heads of every length are read and written, illegal ones are
// refused as soon as they show, masks come off wherever they begin.
#include "test/unit/testing.h"

#include "net/ws_frame.h"

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

// A client's head with its length in 0, 2 or 8 further bytes; how long it is.
static size_t put_head(unsigned first, unsigned wide, uint64_t len,
                       uint8_t out[RDS_WS_FRAME_HEAD_MAX])
{
	out[0] = (uint8_t)first;
	out[1] = (uint8_t)(0x80U | (wide == 0 ? len : wide == 2 ? 126 : 127));
	for (size_t i = 0; i < wide; i++)
		out[2 + i] = (uint8_t)(len >> (8 * (wide - 1 - i)));
	memcpy(out + 2 + wide, mask, sizeof mask);
	return 2 + wide + sizeof mask;
}

// All of its lengths, also where a shorter form would do.
static void heads_of_every_length_are_read(void **state)
{
	(void)state;
	static const struct {
		unsigned wide;
		uint64_t len;
	} cases[] = {
	        {0, 0},       {0, 1},         {0, 125},         {2, 0}, {2, 125},
	        {2, 126},     {2, 256},       {2, 65535},       {8, 0}, {8, 126},
	        {8, 65535},   {8, 65536},     {8, 0x100000000}, {8, 1}, // not the shortest
	        {8, 1 << 24}, {8, INT64_MAX},
	};
	static const unsigned opcodes[] = {RDS_WS_CONTINUATION, RDS_WS_TEXT, RDS_WS_BINARY};
	for (size_t i = 0; i < COUNT(cases) * COUNT(opcodes) * 2; i++) {
		uint64_t len = cases[i / 6].len;
		unsigned opcode = opcodes[i % 3];
		bool fin = (i / 3 & 1) != 0;
		uint8_t head[RDS_WS_FRAME_HEAD_MAX];
		struct rds_ws_frame frame = {0};
		size_t n = put_head((fin ? 0x80U : 0U) | opcode, cases[i / 6].wide, len, head);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(rds_ws_frame_decode(head, k, &frame), 0);
		assert_int_equal(rds_ws_frame_decode(head, n, &frame), n);
		assert_true(frame.len == len && frame.fin == fin && frame.opcode == opcode);
		assert_memory_equal(frame.mask, mask, sizeof mask);
		assert_false(rds_ws_is_control(&frame));
	}
}

static void control_frames_are_read(void **state)
{
	(void)state;
	static const unsigned opcodes[] = {RDS_WS_CLOSE, RDS_WS_PING, RDS_WS_PONG};
	for (size_t i = 0; i < COUNT(opcodes); i++) {
		for (uint64_t len = 0; len <= RDS_WS_CONTROL_MAX_BYTES; len++) {
			uint8_t head[RDS_WS_FRAME_HEAD_MAX];
			struct rds_ws_frame frame = {0};
			size_t n = put_head(0x80U | opcodes[i], 0, len, head);
			assert_int_equal(rds_ws_frame_decode(head, n, &frame), n);
			assert_true(frame.len == len && frame.fin && frame.opcode == opcodes[i]);
			assert_true(rds_ws_is_control(&frame));
		}
	}
}

// What is behind a head is none of its business.
static void bytes_behind_a_head_are_left_alone(void **state)
{
	(void)state;
	uint8_t bytes[20] = {0x82, 0x81, 1, 2, 3, 4, 0xff, 0xff};
	struct rds_ws_frame frame = {0};
	assert_int_equal(rds_ws_frame_decode(bytes, sizeof bytes, &frame), 6);
	assert_int_equal(frame.len, 1);
}

// The first two bytes, all 65536 of them, against the rules of RFC 6455 section 5.2 in other
// words.
static void illegal_heads_are_refused_at_once(void **state)
{
	(void)state;
	for (unsigned both = 0; both < 65536; both++) {
		unsigned first = both >> 8;
		unsigned second = both & 0xffU;
		unsigned opcode = first % 16;
		bool data = opcode == 0 || opcode == 1 || opcode == 2;
		bool control = opcode == 8 || opcode == 9 || opcode == 10;
		bool legal = first / 16 % 8 == 0 && second >= 128 &&
		             (data || (control && first >= 128 && second - 128 <= 125));
		uint8_t head[RDS_WS_FRAME_HEAD_MAX] = {(uint8_t)first, (uint8_t)second};
		struct rds_ws_frame frame;
		long n = rds_ws_frame_decode(head, 2, &frame);
		if (n != (legal ? 0 : -RDS_EPARSE))
			fail_msg("%04x: %ld", both, n);
		n = rds_ws_frame_decode(head, sizeof head, &frame);
		if (legal ? n < 6 || n > (long)sizeof head : n != -RDS_EPARSE)
			fail_msg("%04x and zeros: %ld", both, n);
	}
}

static void lengths_of_64_bits_are_refused(void **state)
{
	(void)state;
	static const uint64_t lens[] = {(uint64_t)1 << 63, UINT64_MAX};
	for (size_t i = 0; i < COUNT(lens); i++) {
		uint8_t head[RDS_WS_FRAME_HEAD_MAX];
		struct rds_ws_frame frame;
		size_t n = put_head(0x82, 8, lens[i], head);
		assert_int_equal(rds_ws_frame_decode(head, n, &frame), -RDS_EPARSE);
	}
}

// The shortest form, and no mask.
static void heads_are_written(void **state)
{
	(void)state;
	static const struct {
		uint64_t len;
		const char *hex;
	} cases[] = {
	        {0, "8200"},
	        {1, "8201"},
	        {125, "827d"},
	        {126, "827e007e"},
	        {65535, "827effff"},
	        {65536, "827f0000000000010000"},
	        {16 << 20, "827f0000000001000000"},
	        {INT64_MAX, "827f7fffffffffffffff"},
	};
	uint8_t head[RDS_WS_FRAME_HEAD_MAX];
	uint8_t expected[RDS_WS_FRAME_HEAD_MAX];
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t n = rds_ws_frame_head(RDS_WS_BINARY, true, cases[i].len, head);
		assert_views_equal(rds_view_of(head, n),
		                   from_hex(cases[i].hex, expected, sizeof expected));
	}
	assert_int_equal(rds_ws_frame_head(RDS_WS_CONTINUATION, false, 5, head), 2);
	assert_memory_equal(head, "\x00\x05", 2);
	assert_int_equal(rds_ws_frame_head(RDS_WS_PONG, true, 125, head), 2);
	assert_memory_equal(head, "\x8a\x7d", 2);
}

// Every offset into the mask, every length up to some words, every alignment on both sides; the
// bytes around stay as they are.
static void masks_come_off(void **state)
{
	(void)state;
	struct testing_random random = {11};
	uint8_t in[140];
	uint8_t out[140];
	for (uint64_t offset = 0; offset < 9; offset++) {
		for (size_t len = 0; len <= 100; len++) {
			size_t from = random_below(&random, 16);
			size_t to = 1 + random_below(&random, 16);
			random_bytes(&random, in, sizeof in);
			memset(out, 0xee, sizeof out);
			rds_ws_unmask(in + from, len, mask, offset, out + to);
			for (size_t i = 0; i < len; i++)
				assert_int_equal(out[to + i],
				                 in[from + i] ^ mask[(offset + i) % 4]);
			assert_int_equal(out[to - 1], 0xee);
			assert_int_equal(out[to + len], 0xee);
		}
	}
}

// However a payload is cut, and in place as well.
static void masks_come_off_piece_by_piece(void **state)
{
	(void)state;
	struct testing_random random = {12};
	uint8_t plain[5000];
	uint8_t masked[sizeof plain];
	random_bytes(&random, plain, sizeof plain);
	for (int round = 0; round < 200; round++) {
		uint64_t far = round % 2 == 0 ? 0 : ((uint64_t)1 << 40) + 3;
		for (size_t i = 0; i < sizeof plain; i++)
			masked[i] = (uint8_t)(plain[i] ^ mask[(far + i) % 4]);
		for (size_t at = 0; at < sizeof masked;) {
			size_t n = 1 + random_below(&random, round < 100 ? 20 : 2000);
			n = n < sizeof masked - at ? n : sizeof masked - at;
			rds_ws_unmask(masked + at, n, mask, far + at, masked + at);
			at += n;
		}
		assert_memory_equal(masked, plain, sizeof plain);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(heads_of_every_length_are_read),
	        cmocka_unit_test(control_frames_are_read),
	        cmocka_unit_test(bytes_behind_a_head_are_left_alone),
	        cmocka_unit_test(illegal_heads_are_refused_at_once),
	        cmocka_unit_test(lengths_of_64_bits_are_refused),
	        cmocka_unit_test(heads_are_written),
	        cmocka_unit_test(masks_come_off),
	        cmocka_unit_test(masks_come_off_piece_by_piece),
	};
	return cmocka_run_group_tests_name("ws_frame", tests, NULL, NULL);
}
