// SPDX-License-Identifier: MIT
// A borrowed run of bytes: what decoders hand out instead of copies.
#ifndef RDS_CORE_VIEW_H
#define RDS_CORE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rds_view {
	const uint8_t *data; // borrows; not NUL-terminated
	size_t len;
};

static inline struct rds_view rds_view_of(const void *data, size_t len)
{
	return (struct rds_view){.data = data, .len = len};
}

static inline struct rds_view rds_view_text(const char *text)
{
	return rds_view_of(text, text == NULL ? 0 : strlen(text));
}

static inline bool rds_view_equal(struct rds_view a, struct rds_view b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

// Without the ASCII white space around it.
static inline struct rds_view rds_view_trim(struct rds_view v)
{
	while (v.len > 0 && (v.data[0] == ' ' || (v.data[0] >= '\t' && v.data[0] <= '\r'))) {
		v.data++;
		v.len--;
	}
	while (v.len > 0 && (v.data[v.len - 1] == ' ' ||
	                     (v.data[v.len - 1] >= '\t' && v.data[v.len - 1] <= '\r')))
		v.len--;
	return v;
}

#endif
