// SPDX-License-Identifier: MIT
// Goal: whatever a stream holds and however it is cut, the same frames come out of it.
#include "test/fuzz/fuzzing.h"

#include "core/alloc.h"
#include "core/frame.h"
#include "net/buffer.h"

// Payloads and the end, summed up as one number each.
struct effects {
	uint64_t sum;
	size_t payloads;
	size_t bytes;
	bool refused;
};

static void note(struct effects *effects, struct rds_view payload)
{
	uint8_t header[RDS_FRAME_HEADER_MAX];
	size_t len = rds_frame_header(payload.len, header);
	struct rds_view again;
	must(len >= 1 && len <= RDS_FRAME_HEADER_MAX);
	must(rds_frame_decode(header, len, payload.len, &again) == (payload.len == 0 ? 1 : 0));
	for (size_t i = 0; i < payload.len; i++)
		effects->sum = effects->sum * 31 + payload.data[i];
	effects->sum = effects->sum * 31 + payload.len;
	effects->payloads++;
	effects->bytes += payload.len;
}

static size_t deliver(struct effects *effects, const uint8_t *bytes, size_t len, size_t most)
{
	size_t used = 0;
	while (!effects->refused && len > used) {
		struct rds_view payload;
		long n = rds_frame_decode(bytes + used, len - used, most, &payload);
		if (n == 0)
			return used;
		effects->refused = n < 0;
		if (n < 0)
			break;
		must(payload.len <= most && (size_t)n <= len - used && (size_t)n > payload.len);
		must(payload.data + payload.len == bytes + used + n);
		used += (size_t)n;
		note(effects, payload);
	}
	return effects->refused ? len : used;
}

// step 0: all at once; else pieces of 1 to step bytes.
static struct effects feed(struct rds_view stream, size_t most, size_t step)
{
	struct effects effects = {0};
	struct rds_buffer in = {0};
	size_t piece = 0;
	while (stream.len > 0) {
		piece = step == 0 ? stream.len : piece % step + 1;
		struct rds_view now = take_bytes(&stream, piece);
		uint8_t *copy = exact_copy(now);
		if (in.len == 0) {
			size_t used = deliver(&effects, copy, now.len, most);
			rds_buffer_add(&in, copy + used, now.len - used);
		} else {
			rds_buffer_add(&in, copy, now.len);
			rds_buffer_drop(&in, deliver(&effects, rds_buffer_data(&in), in.len, most));
		}
		free(copy);
	}
	rds_buffer_clear(&in);
	return effects;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t bounds[] = {0, 10, 100, 5000, 1 << 20, RDS_FRAME_PAYLOAD_MAX};
	struct rds_view input = rds_view_of(data, size);
	size_t most = bounds[take_byte(&input) % (sizeof bounds / sizeof bounds[0])];
	size_t step = take_byte(&input);
	struct effects whole = feed(input, most, 0);
	struct effects pieces = feed(input, most, step + 1);
	must(whole.sum == pieces.sum && whole.payloads == pieces.payloads);
	must(whole.bytes == pieces.bytes && whole.refused == pieces.refused);
	return 0;
}
