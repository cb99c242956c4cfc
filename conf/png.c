// SPDX-License-Identifier: MIT
#include "conf/png.h"

static const char signature[] = "\x89PNG\r\n\x1a\n";
// iTXt: keyword, neither compressed nor of a language, then the text.
static const char text_head[] = "Description\0\0\0\0";
#define SIGNATURE_BYTES (sizeof signature - 1)
#define TEXT_HEAD_BYTES (sizeof text_head) // the literal's own NUL is the last of five

#define STORED_MAX 65535U // of one block of deflate's

static void add_be32(struct rds_bytes *out, uint32_t n)
{
	uint8_t bytes[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
	rds_bytes_add(out, bytes, sizeof bytes);
}

static uint32_t be32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static uint32_t crc32_of(const uint8_t *bytes, size_t len)
{
	uint32_t crc = UINT32_MAX;
	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320U : 0);
	}
	return ~crc;
}

static uint32_t adler32_of(struct rds_view v)
{
	uint32_t a = 1;
	uint32_t b = 0;
	for (size_t i = 0; i < v.len; i++) {
		a = (a + v.data[i]) % 65521;
		b = (b + a) % 65521;
	}
	return b << 16 | a;
}

// Length, type, data, and the checksum of type and data.
static void add_chunk(struct rds_bytes *out, const char *type, struct rds_view data)
{
	add_be32(out, (uint32_t)data.len);
	size_t start = out->len;
	rds_bytes_add(out, type, 4);
	rds_bytes_add(out, data.data, data.len);
	add_be32(out, crc32_of(out->data + start, out->len - start));
}

static void add_header(struct rds_bytes *out, size_t width, size_t height)
{
	struct rds_bytes header = {0};
	add_be32(&header, (uint32_t)width);
	add_be32(&header, (uint32_t)height);
	// One bit, grey; deflate, no filter, not interlaced.
	rds_bytes_add(&header, "\x01\x00\x00\x00\x00", 5);
	add_chunk(out, "IHDR", rds_bytes_view(&header));
	rds_bytes_clear(&header);
}

// zlib's form, its blocks stored as they are.
static void add_stored(struct rds_bytes *out, struct rds_view raw)
{
	uint32_t sum = adler32_of(raw);
	rds_bytes_add(out, "\x78\x01", 2);
	while (raw.len > 0) {
		uint16_t n = (uint16_t)(raw.len < STORED_MAX ? raw.len : STORED_MAX);
		uint16_t inverse = (uint16_t)~n;
		uint8_t head[5] = {n == raw.len, (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)inverse,
		                   (uint8_t)(inverse >> 8)};
		rds_bytes_add(out, head, sizeof head);
		rds_bytes_add(out, raw.data, n);
		raw = rds_view_of(raw.data + n, raw.len - n);
	}
	add_be32(out, sum);
}

static void add_rows(struct rds_bytes *out, const uint8_t *rows, size_t row_bytes, size_t height)
{
	struct rds_bytes raw = {0};
	struct rds_bytes stored = {0};
	for (size_t y = 0; y < height; y++) {
		rds_bytes_add(&raw, "\0", 1); // no filter
		rds_bytes_add(&raw, rows + y * row_bytes, row_bytes);
	}
	add_stored(&stored, rds_bytes_view(&raw));
	add_chunk(out, "IDAT", rds_bytes_view(&stored));
	rds_bytes_clear(&raw);
	rds_bytes_clear(&stored);
}

void rds_png_write(const uint8_t *rows, size_t row_bytes, size_t height, const char *text,
                   struct rds_bytes *out)
{
	struct rds_bytes description = {0};
	rds_bytes_add(&description, text_head, TEXT_HEAD_BYTES);
	rds_bytes_text(&description, text);
	rds_bytes_add(out, signature, SIGNATURE_BYTES);
	add_header(out, row_bytes * 8, height);
	add_chunk(out, "iTXt", rds_bytes_view(&description));
	add_rows(out, rows, row_bytes, height);
	add_chunk(out, "IEND", rds_view_of(NULL, 0));
	rds_bytes_clear(&description);
}

bool rds_png_looks(struct rds_view file)
{
	return file.len >= SIGNATURE_BYTES && memcmp(file.data, signature, SIGNATURE_BYTES) == 0;
}

bool rds_png_text(struct rds_view file, struct rds_view *out)
{
	size_t at = SIGNATURE_BYTES;
	while (rds_png_looks(file) && file.len - at >= 12) {
		const uint8_t *chunk = file.data + at;
		size_t len = be32(chunk);
		if (len > file.len - at - 12)
			return false;
		*out = rds_view_of(chunk + 8, len);
		if (memcmp(chunk + 4, "iTXt", 4) == 0 && len >= TEXT_HEAD_BYTES &&
		    memcmp(out->data, text_head, TEXT_HEAD_BYTES) == 0) {
			*out = rds_view_of(out->data + TEXT_HEAD_BYTES, len - TEXT_HEAD_BYTES);
			return true;
		}
		at += 12 + len;
	}
	return false;
}
