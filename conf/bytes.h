// SPDX-License-Identifier: MIT
// Bytes that grow while they are written.
#ifndef RDS_CONF_BYTES_H
#define RDS_CONF_BYTES_H

#include "core/view.h"

// {0} is an empty one.
struct rds_bytes {
	uint8_t *data; // owned
	size_t len;
	size_t cap;
};

void rds_bytes_clear(struct rds_bytes *bytes);

void rds_bytes_add(struct rds_bytes *bytes, const void *data, size_t len);
void rds_bytes_text(struct rds_bytes *bytes, const char *text);
void rds_bytes_format(struct rds_bytes *bytes, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));

static inline struct rds_view rds_bytes_view(const struct rds_bytes *bytes)
{
	return rds_view_of(bytes->data, bytes->len);
}

#endif
