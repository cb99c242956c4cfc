// SPDX-License-Identifier: MIT
#include "net/ws_frame.h"

#include "core/error.h"

#include <string.h>

#define FIN      0x80U
#define RESERVED 0x70U
#define MASKED   0x80U

static uint64_t big_endian(const uint8_t *bytes, size_t len)
{
	uint64_t n = 0;
	for (size_t i = 0; i < len; i++)
		n = n << 8 | bytes[i];
	return n;
}

static bool is_opcode(unsigned opcode)
{
	return opcode <= RDS_WS_BINARY || (opcode >= RDS_WS_CLOSE && opcode <= RDS_WS_PONG);
}

long rds_ws_frame_decode(const uint8_t *bytes, size_t len, struct rds_ws_frame *out)
{
	if (len < 2)
		return 0;
	size_t wide = (bytes[1] & 0x7fU) == 126 ? 2 : (bytes[1] & 0x7fU) == 127 ? 8 : 0;
	out->fin = (bytes[0] & FIN) != 0;
	out->opcode = bytes[0] & 0x0fU;
	if ((bytes[0] & RESERVED) != 0 || !is_opcode(out->opcode) || (bytes[1] & MASKED) == 0 ||
	    (rds_ws_is_control(out) && (!out->fin || wide > 0)))
		return -RDS_EPARSE;
	if (len < 2 + wide + sizeof out->mask)
		return 0;
	out->len = wide > 0 ? big_endian(bytes + 2, wide) : bytes[1] & 0x7fU;
	if (out->len >> 63 != 0)
		return -RDS_EPARSE;
	memcpy(out->mask, bytes + 2 + wide, sizeof out->mask);
	return (long)(2 + wide + sizeof out->mask);
}

size_t rds_ws_frame_head(enum rds_ws_opcode opcode, bool fin, uint64_t len,
                         uint8_t out[RDS_WS_FRAME_HEAD_MAX])
{
	size_t wide = len < 126 ? 0 : len <= UINT16_MAX ? 2 : 8;
	out[0] = (uint8_t)((fin ? FIN : 0U) | (unsigned)opcode);
	out[1] = (uint8_t)(wide == 0 ? len : wide == 2 ? 126 : 127);
	for (size_t i = 0; i < wide; i++)
		out[2 + i] = (uint8_t)(len >> (8 * (wide - 1 - i)));
	return 2 + wide;
}

void rds_ws_unmask(const uint8_t *bytes, size_t len, const uint8_t mask[4], uint64_t offset,
                   uint8_t *out)
{
	uint8_t turned[8];
	uint64_t wide_mask;
	uint64_t words[4]; // which compilers take at once, in wider registers
	size_t i = 0;
	// Writes that are not aligned would cost half as much again.
	for (; i < len && (uintptr_t)(out + i) % sizeof words != 0; i++)
		out[i] = bytes[i] ^ mask[(offset + i) & 3];
	for (size_t k = 0; k < sizeof turned; k++)
		turned[k] = mask[(offset + i + k) & 3];
	memcpy(&wide_mask, turned, sizeof wide_mask);
	for (; i + sizeof words <= len; i += sizeof words) {
		memcpy(words, bytes + i, sizeof words);
		for (size_t k = 0; k < 4; k++)
			words[k] ^= wide_mask;
		memcpy(out + i, words, sizeof words);
	}
	for (; i < len; i++)
		out[i] = bytes[i] ^ mask[(offset + i) & 3];
}
