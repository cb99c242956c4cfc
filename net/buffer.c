// SPDX-License-Identifier: MIT
#include "net/buffer.h"

#include "core/alloc.h"

#include <stdlib.h>
#include <string.h>

static void make_room(struct rds_buffer *buffer, size_t len)
{
	if (buffer->start > 0) {
		memmove(buffer->bytes, buffer->bytes + buffer->start, buffer->len);
		buffer->start = 0;
	}
	if (buffer->len + len <= buffer->cap)
		return;
	size_t doubled = buffer->cap * 2;
	buffer->cap = buffer->len + len > doubled ? buffer->len + len : doubled;
	buffer->bytes = rds_realloc(buffer->bytes, buffer->cap, 1);
}

uint8_t *rds_buffer_room(struct rds_buffer *buffer, size_t len)
{
	if (buffer->start + buffer->len + len > buffer->cap)
		make_room(buffer, len);
	return buffer->bytes + buffer->start + buffer->len;
}

void rds_buffer_add(struct rds_buffer *buffer, const uint8_t *bytes, size_t len)
{
	if (len == 0)
		return;
	memcpy(rds_buffer_room(buffer, len), bytes, len);
	buffer->len += len;
}

void rds_buffer_drop(struct rds_buffer *buffer, size_t len)
{
	buffer->start += len;
	buffer->len -= len;
	if (buffer->len == 0)
		rds_buffer_clear(buffer);
}

void rds_buffer_clear(struct rds_buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct rds_buffer){0};
}
