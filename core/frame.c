// SPDX-License-Identifier: MIT
#include "core/frame.h"

#include "core/error.h"

#include <assert.h>

long rds_frame_decode(const uint8_t *buf, size_t len, size_t max_payload, struct rds_view *payload)
{
	if (len == 0)
		return 0;
	size_t header_len = (buf[0] & 3U) + 1U;
	if (len < header_len)
		return 0;
	uint32_t header = 0;
	for (size_t i = 0; i < header_len; i++)
		header |= (uint32_t)buf[i] << (8 * i);
	size_t payload_len = header >> 2;
	if (payload_len > max_payload)
		return -RDS_ETOOBIG;
	if (len - header_len < payload_len)
		return 0;
	*payload = rds_view_of(buf + header_len, payload_len);
	return (long)(header_len + payload_len);
}

size_t rds_frame_header(size_t len, uint8_t out[RDS_FRAME_HEADER_MAX])
{
	assert(len <= RDS_FRAME_PAYLOAD_MAX);
	size_t header_len = 1;
	while (header_len < RDS_FRAME_HEADER_MAX && len >> (8 * header_len - 2) != 0)
		header_len++;
	uint32_t header = (uint32_t)len << 2 | (uint32_t)(header_len - 1);
	for (size_t i = 0; i < header_len; i++)
		out[i] = (uint8_t)(header >> (8 * i));
	return header_len;
}
