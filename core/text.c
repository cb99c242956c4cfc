// SPDX-License-Identifier: MIT
#include "core/text.h"

#include <stdio.h>
#include <time.h>

size_t rds_utf8_next(struct rds_view v, uint32_t *code)
{
	if (v.len == 0)
		return 0;
	uint8_t lead = v.data[0];
	if (lead < 0x80) {
		*code = lead;
		return 1;
	}
	size_t len = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
	if (lead < 0xc2 || lead > 0xf4 || v.len < len)
		return 0;
	uint32_t c = lead & (0x7fU >> len);
	for (size_t i = 1; i < len; i++) {
		if ((v.data[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (v.data[i] & 0x3fU);
	}
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*code = c;
	return len;
}

bool rds_char_is_unsafe(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	       c == 0x061c;
}

static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f);
}

static bool is_space(uint32_t c)
{
	return c == ' ' || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
	       c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool rds_text_is_id(struct rds_view v)
{
	while (v.len > 0) {
		uint32_t c = 0;
		size_t n = rds_utf8_next(v, &c);
		if (n == 0 || is_control(c) || is_space(c))
			return false;
		v.data += n;
		v.len -= n;
	}
	return true;
}

// The escaped form of what v starts with; *used says how many bytes of v that is.
static size_t escape_one(struct rds_view v, bool quoted, char out[8], size_t *used)
{
	uint32_t c = 0;
	size_t n = rds_utf8_next(v, &c);
	*used = n > 0 ? n : 1;
	if (n == 0)
		return (size_t)snprintf(out, 8, "\\x%02x", v.data[0]);
	if (rds_char_is_unsafe(c))
		return (size_t)snprintf(out, 8, c < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned)c);
	if (quoted && (c == '"' || c == '\\'))
		return (size_t)snprintf(out, 8, "\\%c", (char)c);
	memcpy(out, v.data, n);
	return n;
}

static char *escape(struct rds_view v, bool quoted, char *out, size_t cap)
{
	static const char more[] = "...";
	size_t len = 0;
	while (v.len > 0) {
		char one[8];
		size_t used = 0;
		size_t n = escape_one(v, quoted, one, &used);
		if (len + n + sizeof more > cap) {
			memcpy(out + len, more, sizeof more);
			return out;
		}
		memcpy(out + len, one, n);
		len += n;
		v.data += used;
		v.len -= used;
	}
	out[len] = '\0';
	return out;
}

char *rds_text_escape(struct rds_view v, char *out, size_t cap)
{
	return escape(v, true, out, cap);
}

char *rds_text_printable(struct rds_view v, char *out, size_t cap)
{
	return escape(v, false, out, cap);
}

const char *rds_text_time(int64_t unix_sec, char out[RDS_TIME_TEXT])
{
	struct tm tm;
	time_t at = (time_t)unix_sec;
	out[0] = '\0';
	if (unix_sec != 0 && gmtime_r(&at, &tm) != NULL)
		(void)strftime(out, RDS_TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}
