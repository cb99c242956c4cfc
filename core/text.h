// SPDX-License-Identifier: MIT
// Bytes from strangers as text: what is UTF-8, what an id may be, what must be escaped.
#ifndef RDS_CORE_TEXT_H
#define RDS_CORE_TEXT_H

#include "core/view.h"

// Reads one character at the start of v into *code. Returns its length in bytes, or 0 where v is
// empty or doesn't start with well-formed UTF-8 (RFC 3629).
size_t rds_utf8_next(struct rds_view v, uint32_t *code);

// Whether a character moves the cursor, hides or reorders text on a terminal: control
// characters, bidirectional overrides, zero-width ones.
bool rds_char_is_unsafe(uint32_t code);

// Whether v is UTF-8 without control characters and white space: an id (protocol.md section 4
// point 4), of whatever length. Joiners, which some scripts need, may be in it.
bool rds_text_is_id(struct rds_view v);

// Copies v into out (NUL-terminated, at most cap bytes), unsafe characters, quotes and
// backslashes as \xNN, \" and \\; too long a text ends in "...". Returns out.
char *rds_text_escape(struct rds_view v, char *out, size_t cap);

// The same for text that stands in no quotes, and keeps those that it has.
char *rds_text_printable(struct rds_view v, char *out, size_t cap);

// A time (Unix seconds) as logs and answers show it, 2026-01-31T00:00:00Z; "" for 0. Returns out.
#define RDS_TIME_TEXT 32
const char *rds_text_time(int64_t unix_sec, char out[RDS_TIME_TEXT]);

#endif
