// SPDX-License-Identifier: MIT
// Allocation that doesn't fail: out of memory ends the process with one line. Sizes that a
// stranger controls are bounded by core/limits.h before they get here.
#ifndef RDS_CORE_ALLOC_H
#define RDS_CORE_ALLOC_H

#include <stddef.h>

// Zeroed memory for n objects of size bytes; free() it.
void *rds_calloc(size_t n, size_t size) __attribute__((malloc, warn_unused_result));

// As realloc(3); new bytes are not zeroed.
void *rds_realloc(void *old, size_t n, size_t size) __attribute__((warn_unused_result));

// A copy of text; NULL for NULL.
char *rds_strdup(const char *text) __attribute__((malloc, warn_unused_result));

// A NUL-terminated copy of len bytes.
char *rds_strndup(const void *bytes, size_t len) __attribute__((malloc, warn_unused_result));

// printf into fresh memory.
char *rds_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2), warn_unused_result));

#endif
