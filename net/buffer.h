// SPDX-License-Identifier: MIT
// Bytes that wait: grows as they come, holds no memory when it is empty.
#ifndef RDS_NET_BUFFER_H
#define RDS_NET_BUFFER_H

#include <stddef.h>
#include <stdint.h>

// Zero it to start.
struct rds_buffer {
	uint8_t *bytes;
	size_t start; // of what is held
	size_t len;   // of what is held
	size_t cap;
};

static inline const uint8_t *rds_buffer_data(const struct rds_buffer *buffer)
{
	return buffer->bytes == NULL ? NULL : buffer->bytes + buffer->start;
}

// Room for len more bytes behind what is held; adding them to len makes them part of it.
uint8_t *rds_buffer_room(struct rds_buffer *buffer, size_t len);

// Appends a copy.
void rds_buffer_add(struct rds_buffer *buffer, const uint8_t *bytes, size_t len);

// Drops len bytes (at most all) from the front.
void rds_buffer_drop(struct rds_buffer *buffer, size_t len);

void rds_buffer_clear(struct rds_buffer *buffer);

#endif
