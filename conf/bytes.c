// SPDX-License-Identifier: MIT
#include "conf/bytes.h"

#include "core/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void rds_bytes_clear(struct rds_bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct rds_bytes){0};
}

void rds_bytes_add(struct rds_bytes *bytes, const void *data, size_t len)
{
	if (len == 0)
		return;
	if (len > bytes->cap - bytes->len) {
		bytes->cap = 2 * bytes->cap + len;
		bytes->data = rds_realloc(bytes->data, bytes->cap, 1);
	}
	memcpy(bytes->data + bytes->len, data, len);
	bytes->len += len;
}

void rds_bytes_text(struct rds_bytes *bytes, const char *text)
{
	rds_bytes_add(bytes, text, strlen(text));
}

void rds_bytes_format(struct rds_bytes *bytes, const char *fmt, ...)
{
	va_list args;
	char *text = NULL;
	va_start(args, fmt);
	int len = vasprintf(&text, fmt, args);
	va_end(args);
	if (len < 0)
		abort();
	rds_bytes_add(bytes, text, (size_t)len);
	free(text);
}
