// SPDX-License-Identifier: MIT
// Goal: TCP framing (protocol.md section 2), and that any chunking of the same bytes has the
// same effects.
#include "test/unit/testing.h"

#include "core/alloc.h"
#include "core/frame.h"
#include "core/limits.h"
#include "net/buffer.h"

#include <stdlib.h>

static void headers_are_as_known(void **state)
{
	(void)state;
	cJSON *file = vectors_open("frame.json");
	const cJSON *one = NULL;
	size_t n = 0;
	cJSON_ArrayForEach(one, member(file, "cases"))
	{
		uint8_t expected[RDS_FRAME_HEADER_MAX];
		uint8_t header[RDS_FRAME_HEADER_MAX];
		struct rds_view want = member_hex(one, "header", expected, sizeof expected);
		size_t len = rds_frame_header((size_t)member_number(one, "payload_length"), header);
		assert_views_equal(rds_view_of(header, len), want);
		n++;
	}
	assert_int_equal(n, 15);
	cJSON_Delete(file);
}

// The header says how many bytes are missing; with all but one of them there is no frame yet.
static void known_headers_are_understood(void **state)
{
	(void)state;
	cJSON *file = vectors_open("frame.json");
	const cJSON *one = NULL;
	uint8_t *bytes = rds_calloc(RDS_FRAME_HEADER_MAX + 4194304, 1);
	cJSON_ArrayForEach(one, member(file, "cases"))
	{
		size_t len = (size_t)member_number(one, "payload_length");
		size_t head = member_hex(one, "header", bytes, RDS_FRAME_HEADER_MAX).len;
		struct rds_view payload = rds_view_of(NULL, 0);
		for (size_t i = 0; i < head; i++)
			assert_int_equal(rds_frame_decode(bytes, i, len, &payload), 0);
		if (len > 0)
			assert_int_equal(rds_frame_decode(bytes, head, len - 1, &payload),
			                 -RDS_ETOOBIG);
		if (len > 4194304)
			continue;
		if (len > 0)
			assert_int_equal(rds_frame_decode(bytes, head + len - 1, len, &payload), 0);
		assert_int_equal(rds_frame_decode(bytes, head + len, len, &payload), head + len);
		assert_ptr_equal(payload.data, bytes + head);
		assert_int_equal(payload.len, len);
	}
	free(bytes);
	cJSON_Delete(file);
}

// Too long an announcement is refused with the header alone, whatever else is there or not.
static void too_long_is_refused_early(void **state)
{
	(void)state;
	uint8_t header[RDS_FRAME_HEADER_MAX];
	struct rds_view payload;
	size_t len = rds_frame_header(RDS_FRAME_MAX_BYTES, header);
	assert_int_equal(rds_frame_decode(header, len, RDS_FRAME_MAX_BYTES, &payload), 0);
	len = rds_frame_header(RDS_FRAME_MAX_BYTES + 1, header);
	assert_int_equal(rds_frame_decode(header, len - 1, RDS_FRAME_MAX_BYTES, &payload), 0);
	assert_int_equal(rds_frame_decode(header, len, RDS_FRAME_MAX_BYTES, &payload),
	                 -RDS_ETOOBIG);
}

static void longer_headers_are_accepted(void **state)
{
	(void)state;
	static const struct {
		const char *hex;
		size_t takes;
	} forms[] = {
	        {"0c616263", 4}, {"0d00616263", 5}, {"0e0000616263", 6}, {"0f000000616263", 7}};
	for (size_t i = 0; i < COUNT(forms); i++) {
		uint8_t bytes[8];
		struct rds_view payload = rds_view_of(NULL, 0);
		struct rds_view frame = from_hex(forms[i].hex, bytes, sizeof bytes);
		assert_int_equal(rds_frame_decode(frame.data, frame.len, 3, &payload),
		                 forms[i].takes);
		assert_view_text(payload, "abc");
	}
}

static void empty_payload_is_a_frame(void **state)
{
	(void)state;
	static const uint8_t heartbeat[] = {0};
	struct rds_view payload = rds_view_of(NULL, 99);
	assert_int_equal(rds_frame_decode(heartbeat, 0, 0, &payload), 0);
	assert_int_equal(rds_frame_decode(heartbeat, 1, 0, &payload), 1);
	assert_int_equal(payload.len, 0);
}

// What came out of a stream: every payload with its length, in order, and the end if there was
// one.
struct effects {
	uint8_t bytes[1 << 19];
	size_t len;
	size_t payloads;
	bool refused;
};

static void note(struct effects *effects, struct rds_view payload)
{
	uint32_t len = (uint32_t)payload.len;
	assert_true(effects->len + sizeof len + payload.len <= sizeof effects->bytes);
	memcpy(effects->bytes + effects->len, &len, sizeof len);
	effects->len += sizeof len;
	if (len > 0)
		memcpy(effects->bytes + effects->len, payload.data, len);
	effects->len += len;
	effects->payloads++;
}

// As net/stream.c does it: whole frames straight from what was read, the rest through a buffer.
static size_t deliver(struct effects *effects, const uint8_t *bytes, size_t len, size_t most)
{
	size_t used = 0;
	while (!effects->refused) {
		struct rds_view payload;
		long n = rds_frame_decode(bytes + used, len - used, most, &payload);
		if (n == 0)
			return used;
		effects->refused = n < 0;
		if (n < 0)
			break;
		used += (size_t)n;
		note(effects, payload);
	}
	return len;
}

static void take_bytes(struct effects *effects, struct rds_buffer *in, const uint8_t *bytes,
                       size_t len, size_t most)
{
	if (in->len == 0) {
		size_t used = deliver(effects, bytes, len, most);
		rds_buffer_add(in, bytes + used, len - used);
		return;
	}
	rds_buffer_add(in, bytes, len);
	rds_buffer_drop(in, deliver(effects, rds_buffer_data(in), in->len, most));
}

static size_t make_stream(struct testing_random *random, uint8_t *out, size_t *frames)
{
	static const size_t lengths[] = {0, 0, 1, 2, 20, 62, 63, 64, 65, 300, 5000, 16383, 16384};
	size_t len = 0;
	*frames = 5 + random_below(random, 15);
	for (size_t i = 0; i < *frames; i++) {
		size_t payload = lengths[random_below(random, COUNT(lengths))];
		len += rds_frame_header(payload, out + len);
		random_bytes(random, out + len, payload);
		len += payload;
	}
	return len;
}

// Mostly small pieces, some large, some of one byte only.
static size_t piece(struct testing_random *random, size_t left)
{
	static const size_t most[] = {1, 2, 5, 50, 2000, 40000};
	size_t n = 1 + random_below(random, most[random_below(random, COUNT(most))]);
	return n < left ? n : left;
}

static void feed(struct testing_random *random, const uint8_t *stream, size_t len, size_t most,
                 struct effects *effects)
{
	struct rds_buffer in = {0};
	memset(effects, 0, sizeof *effects);
	for (size_t at = 0; at < len;) {
		size_t n = random == NULL ? len : piece(random, len - at);
		take_bytes(effects, &in, stream + at, n, most);
		at += n;
	}
	if (!effects->refused)
		assert_int_equal(in.len, 0);
	rds_buffer_clear(&in);
}

static void check_chunkings(size_t most, unsigned seed)
{
	struct testing_random random = {seed};
	uint8_t *stream = rds_calloc(1 << 19, 1);
	struct effects *at_once = rds_calloc(1, sizeof *at_once);
	struct effects *chunked = rds_calloc(1, sizeof *chunked);
	size_t frames = 0;
	size_t len = make_stream(&random, stream, &frames);
	feed(NULL, stream, len, most, at_once);
	if (most >= 16384)
		assert_int_equal(at_once->payloads, frames);
	for (int i = 0; i < 20; i++) {
		feed(&random, stream, len, most, chunked);
		assert_int_equal(chunked->payloads, at_once->payloads);
		assert_int_equal(chunked->refused, at_once->refused);
		assert_views_equal(rds_view_of(chunked->bytes, chunked->len),
		                   rds_view_of(at_once->bytes, at_once->len));
	}
	free(stream);
	free(at_once);
	free(chunked);
}

static void any_chunking_has_the_same_effects(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 40; seed++)
		check_chunkings(RDS_FRAME_MAX_BYTES, seed);
}

// Also where a frame in the middle is over the bound.
static void any_chunking_refuses_alike(void **state)
{
	(void)state;
	for (unsigned seed = 100; seed < 120; seed++)
		check_chunkings(4000, seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(headers_are_as_known),
	        cmocka_unit_test(known_headers_are_understood),
	        cmocka_unit_test(too_long_is_refused_early),
	        cmocka_unit_test(longer_headers_are_accepted),
	        cmocka_unit_test(empty_payload_is_a_frame),
	        cmocka_unit_test(any_chunking_has_the_same_effects),
	        cmocka_unit_test(any_chunking_refuses_alike),
	};
	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
