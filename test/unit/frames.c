// SPDX-License-Identifier: MIT
#include "test/unit/frames.h"

#include "test/unit/testing.h"

static void put_byte(struct rds_buffer *out, uint64_t byte)
{
	uint8_t one = (uint8_t)byte;
	rds_buffer_add(out, &one, 1);
}

void frames_put_tcp_head(struct rds_buffer *out, size_t header_len, uint32_t payload_len)
{
	uint64_t header = (uint64_t)payload_len * 4 + (header_len - 1);
	assert_true(header >> (8 * header_len) == 0);
	for (size_t i = 0; i < header_len; i++)
		put_byte(out, header >> (8 * i));
}

void frames_put_tcp(struct rds_buffer *out, size_t header_len, struct rds_view payload)
{
	frames_put_tcp_head(out, header_len, (uint32_t)payload.len);
	rds_buffer_add(out, payload.data, payload.len);
}

void frames_put_ws_head(struct rds_buffer *out, unsigned first, unsigned wide, const uint8_t *mask,
                        uint64_t payload_len)
{
	assert_true(wide == 8 || payload_len < (wide == 0 ? 126U : 65536U));
	put_byte(out, first);
	put_byte(out, 128 + (wide == 0 ? payload_len : wide == 2 ? 126 : 127));
	for (unsigned i = wide; i > 0; i--)
		put_byte(out, payload_len >> (8 * (i - 1)));
	rds_buffer_add(out, mask, 4);
}

void frames_put_ws(struct rds_buffer *out, unsigned first, unsigned wide, const uint8_t *mask,
                   struct rds_view payload)
{
	frames_put_ws_head(out, first, wide, mask, payload.len);
	for (size_t i = 0; i < payload.len; i++)
		put_byte(out, payload.data[i] ^ mask[i % 4]);
}

static uint64_t number(const uint8_t *bytes, size_t len, bool big_endian)
{
	uint64_t n = 0;
	for (size_t i = 0; i < len; i++)
		n = n * 256 + bytes[big_endian ? i : len - 1 - i];
	return n;
}

// How long the head is; 0: it isn't there yet.
static size_t read_tcp_head(struct rds_view bytes, struct frame_read *out)
{
	size_t n = bytes.len == 0 ? 0 : bytes.data[0] % 4U + 1;
	if (bytes.len == 0 || bytes.len < n)
		return 0;
	out->len = number(bytes.data, n, false) / 4;
	out->opcode = 2;
	out->fin = true;
	assert_true(n == 1 || out->len >> (8 * (n - 1) - 2) != 0);
	return n;
}

static size_t read_ws_head(struct rds_view bytes, struct frame_read *out)
{
	if (bytes.len < 2)
		return 0;
	size_t wide = bytes.data[1] == 126 ? 2 : bytes.data[1] == 127 ? 8 : 0;
	if (bytes.len < 2 + wide)
		return 0;
	assert_true(bytes.data[1] < 128);
	assert_int_equal(bytes.data[0] & 0x70, 0);
	out->fin = bytes.data[0] >= 128;
	out->opcode = bytes.data[0] % 16;
	out->len = wide == 0 ? bytes.data[1] : number(bytes.data + 2, wide, true);
	assert_true(wide == 0 || out->len > (wide == 2 ? 125 : 65535));
	return 2 + wide;
}

bool frames_take(struct rds_view *bytes, bool websocket, struct frame_read *out)
{
	size_t head = websocket ? read_ws_head(*bytes, out) : read_tcp_head(*bytes, out);
	if (head == 0)
		return false;
	size_t there = bytes->len - head;
	size_t n = out->len < there ? (size_t)out->len : there;
	out->payload = rds_view_of(bytes->data + head, n);
	*bytes = rds_view_of(bytes->data + head + n, there - n);
	return true;
}
