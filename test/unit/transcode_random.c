// SPDX-License-Identifier: MIT
// Goal: whatever a side says (messages of all lengths, in fragments, with pings between them), and
// however it comes in, the other side gets just its messages, and it gets its answers.
#include "test/unit/testing.h"

#include "net/transcode.h"
#include "test/unit/frames.h"

// A side's bytes, and what they mean.
struct script {
	struct testing_random random;
	bool websocket;
	struct rds_buffer bytes;
	struct rds_buffer messages; // each with its length before it
	struct {
		size_t end; // of the frame that is to be answered
		uint8_t answer[127];
		size_t len;
	} due[400];
	size_t n_due;
};

static void note_message(struct rds_buffer *messages, const uint8_t *bytes, size_t len)
{
	rds_buffer_add(messages, (const uint8_t *)&len, sizeof len);
	rds_buffer_add(messages, bytes, len);
}

// Around the places where heads change their form, and now and then far beyond.
static size_t some_length(struct testing_random *random)
{
	static const size_t edges[] = {0, 1, 63, 64, 125, 126, 127, 16383, 16384, 65535, 65536};
	switch (random_below(random, 8)) {
	case 0:
		return edges[random_below(random, COUNT(edges))];
	case 1:
		return random_below(random, 100000);
	default:
		return random_below(random, 40);
	}
}

static void put_frame(struct script *script, unsigned first, struct rds_view payload)
{
	uint8_t mask[4];
	unsigned least = payload.len < 126 ? 0 : payload.len < 65536 ? 1 : 2;
	unsigned wide = least;
	if ((first & 8U) == 0)
		wide += (unsigned)random_below(&script->random, 3 - least);
	random_bytes(&script->random, mask, sizeof mask);
	frames_put_ws(&script->bytes, first, wide == 0 ? 0 : wide == 1 ? 2 : 8, mask, payload);
}

static void put_control(struct script *script, unsigned opcode)
{
	uint8_t payload[125];
	size_t len = random_below(&script->random, sizeof payload + 1);
	random_bytes(&script->random, payload, len);
	put_frame(script, 0x80U | opcode, rds_view_of(payload, len));
	if (opcode == 10)
		return;
	assert_true(script->n_due < COUNT(script->due));
	size_t back = opcode == 9 ? len : len < 2 ? 0 : 2;
	script->due[script->n_due].end = script->bytes.len;
	script->due[script->n_due].len = 2 + back;
	script->due[script->n_due].answer[0] = opcode == 9 ? 0x8a : 0x88;
	script->due[script->n_due].answer[1] = (uint8_t)back;
	memcpy(script->due[script->n_due++].answer + 2, payload, back);
}

static void put_some_control(struct script *script)
{
	while (random_below(&script->random, 4) == 0)
		put_control(script, random_below(&script->random, 3) == 0 ? 10 : 9);
}

static void put_ws_message(struct script *script, struct rds_view payload)
{
	unsigned opcode = random_below(&script->random, 3) == 0 ? 1 : 2;
	size_t fragments =
	        random_below(&script->random, 3) == 0 ? 1 + random_below(&script->random, 5) : 1;
	for (size_t i = 0; i < fragments; i++) {
		size_t left = payload.len;
		size_t n = i + 1 == fragments ? left : random_below(&script->random, left + 1);
		unsigned fin = i + 1 == fragments ? 0x80 : 0;
		put_frame(script, fin | (i == 0 ? opcode : 0), rds_view_of(payload.data, n));
		if (i + 1 < fragments)
			put_some_control(script);
		payload = rds_view_of(payload.data + n, left - n);
	}
}

static void put_tcp_message(struct script *script, struct rds_view payload)
{
	size_t least = payload.len < 64 ? 1 : payload.len < 16384 ? 2 : 3;
	frames_put_tcp(&script->bytes, least + random_below(&script->random, 5 - least), payload);
}

static void write_script(struct script *script, bool websocket, uint64_t seed)
{
	static uint8_t payload[100000];
	*script = (struct script){.random = {seed}, .websocket = websocket};
	for (size_t n = random_below(&script->random, 30); n > 0; n--) {
		size_t len = some_length(&script->random);
		random_bytes(&script->random, payload, len);
		note_message(&script->messages, payload, len);
		if (!websocket) {
			put_tcp_message(script, rds_view_of(payload, len));
			continue;
		}
		put_some_control(script);
		put_ws_message(script, rds_view_of(payload, len));
	}
	if (websocket && random_below(&script->random, 2) == 0)
		put_control(script, 8);
}

static void script_clear(struct script *script)
{
	rds_buffer_clear(&script->bytes);
	rds_buffer_clear(&script->messages);
}

// The answer is that to the latest that came in between two places, if any did.
static void check_answer(const struct script *script, struct rds_transcoder *coder, size_t from,
                         size_t to)
{
	size_t i = script->n_due;
	while (i > 0 && script->due[i - 1].end > to)
		i--;
	bool is_due = i > 0 && script->due[i - 1].end > from;
	assert_int_equal(coder->answer_len, is_due ? script->due[i - 1].len : 0);
	if (is_due)
		assert_memory_equal(coder->answer, script->due[i - 1].answer, coder->answer_len);
	coder->answer_len = 0;
}

// step 0: all at once; else pieces of 1 to step bytes.
static void play(struct script *script, bool to_websocket, size_t step, struct rds_buffer *out)
{
	struct rds_transcoder coder;
	rds_transcoder_init(&coder, script->websocket, to_websocket);
	for (size_t at = 0, n; at < script->bytes.len; at += n) {
		size_t left = script->bytes.len - at;
		n = step == 0 ? left : 1 + random_below(&script->random, step);
		n = n < left ? n : left;
		long used = rds_transcode(&coder, rds_buffer_data(&script->bytes) + at, n, out);
		assert_int_equal(used, n);
		check_answer(script, &coder, at, at + n);
	}
	assert_int_equal(coder.out_left, 0);
	assert_null(coder.message.bytes);
	rds_transcoder_clear(&coder);
}

// What a receiver makes of it.
static void read_messages(const struct rds_buffer *bytes, bool websocket,
                          struct rds_buffer *messages)
{
	struct rds_view rest = rds_view_of(rds_buffer_data(bytes), bytes->len);
	struct rds_buffer message = {0};
	struct frame_read frame;
	bool within = false;
	while (frames_take(&rest, websocket, &frame)) {
		assert_true(frame.payload.len == frame.len);
		assert_int_equal(frame.opcode, within ? 0 : 2);
		rds_buffer_add(&message, frame.payload.data, frame.payload.len);
		within = !frame.fin;
		if (within)
			continue;
		note_message(messages, rds_buffer_data(&message), message.len);
		rds_buffer_clear(&message);
	}
	assert_false(within);
	assert_int_equal(rest.len, 0);
	rds_buffer_clear(&message);
}

static struct rds_view all_of(const struct rds_buffer *buffer)
{
	return rds_view_of(rds_buffer_data(buffer), buffer->len);
}

static void play_all_ways(uint64_t seed, bool from_websocket, bool to_websocket)
{
	static const size_t steps[] = {1, 3, 20, 5000, 65536};
	struct script script;
	struct rds_buffer whole = {0};
	struct rds_buffer messages = {0};
	write_script(&script, from_websocket, seed);
	play(&script, to_websocket, 0, &whole);
	read_messages(&whole, to_websocket, &messages);
	assert_views_equal(all_of(&messages), all_of(&script.messages));
	for (size_t i = 0; i < COUNT(steps); i++) {
		struct rds_buffer pieces = {0};
		play(&script, to_websocket, steps[i], &pieces);
		assert_views_equal(all_of(&pieces), all_of(&whole));
		rds_buffer_clear(&pieces);
	}
	rds_buffer_clear(&whole);
	rds_buffer_clear(&messages);
	script_clear(&script);
}

static void tcp_to_websocket(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++)
		play_all_ways(seed, false, true);
}

static void websocket_to_tcp(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++)
		play_all_ways(seed, true, false);
}

static void websocket_to_websocket(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++)
		play_all_ways(seed, true, true);
}

// What went out of one relay's WebSocket direction and is masked goes into the next one: back to
// TCP, the frames are as they were at first.
static void there_and_back_again(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct script script;
		struct rds_buffer there = {0};
		struct rds_buffer masked = {0};
		struct rds_buffer back = {0};
		struct rds_buffer messages = {0};
		struct frame_read frame;
		write_script(&script, false, seed);
		play(&script, true, 1000, &there);
		for (struct rds_view rest = all_of(&there); frames_take(&rest, true, &frame);) {
			unsigned fin = frame.fin ? 0x80 : 0;
			frames_put_ws(&masked, fin | frame.opcode, 8, (const uint8_t *)"mask",
			              frame.payload);
		}
		rds_buffer_clear(&script.bytes);
		script.bytes = masked;
		script.websocket = true;
		play(&script, false, 1000, &back);
		read_messages(&back, false, &messages);
		assert_views_equal(all_of(&messages), all_of(&script.messages));
		rds_buffer_clear(&there);
		rds_buffer_clear(&back);
		rds_buffer_clear(&messages);
		script_clear(&script);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(tcp_to_websocket),
	        cmocka_unit_test(websocket_to_tcp),
	        cmocka_unit_test(websocket_to_websocket),
	        cmocka_unit_test(there_and_back_again),
	};
	return cmocka_run_group_tests_name("transcode, random", tests, NULL, NULL);
}
