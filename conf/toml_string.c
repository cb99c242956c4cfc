// SPDX-License-Identifier: MIT
// What TOML's strings say.
#include "conf/toml.h"

#include "conf/bytes.h"
#include "core/alloc.h"

#include <stdlib.h>

static struct rds_view behind(struct rds_view text, size_t n)
{
	return rds_view_of(text.data + n, text.len - n);
}

static bool add_code(struct rds_bytes *out, uint32_t c)
{
	uint8_t utf8[4];
	size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
	if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return false;
	for (size_t i = len; i-- > 1; c >>= 6)
		utf8[i] = (uint8_t)(0x80 | (c & 0x3f));
	utf8[0] = (uint8_t)(leads[len] | c);
	rds_bytes_add(out, utf8, len);
	return true;
}

// uXXXX or UXXXXXXXX. Returns its length, or 0.
static size_t add_unicode(struct rds_view text, struct rds_bytes *out)
{
	static const char all[] = "0123456789abcdef";
	size_t digits = text.data[0] == 'u' ? 4 : 8;
	uint32_t c = 0;
	if (text.len <= digits)
		return 0;
	for (size_t i = 1; i <= digits; i++) {
		const char *at = memchr(all, text.data[i] | 0x20, sizeof all - 1);
		// Digits have that bit already; what is a capital without it becomes a letter.
		if (at == NULL || text.data[i] < '0')
			return 0;
		c = c << 4 | (uint32_t)(at - all);
	}
	return add_code(out, c) ? digits + 1 : 0;
}

// White space, a line end in it, that a backslash at a line's end takes away. 0: it is none.
static size_t folded(struct rds_view text)
{
	static const char white[] = " \t\r\n";
	size_t n = 0;
	bool line_end = false;
	while (n < text.len && memchr(white, text.data[n], sizeof white - 1) != NULL)
		line_end = text.data[n++] == '\n' || line_end;
	return line_end ? n : 0;
}

// What follows a backslash. Returns its length, or 0.
static size_t add_escaped(struct rds_view text, bool several_lines, struct rds_bytes *out)
{
	static const char names[] = "btnfr\"\\";
	static const char chars[] = "\b\t\n\f\r\"\\";
	if (text.len == 0)
		return 0;
	const char *at = memchr(names, text.data[0], sizeof names - 1);
	if (at != NULL) {
		rds_bytes_add(out, &chars[at - names], 1);
		return 1;
	}
	if (text.data[0] == 'u' || text.data[0] == 'U')
		return add_unicode(text, out);
	return several_lines ? folded(text) : 0;
}

static bool unescape(struct rds_view text, bool several_lines, struct rds_bytes *out)
{
	while (text.len > 0) {
		size_t n = 1;
		if (text.data[0] == '\\') {
			size_t escaped = add_escaped(behind(text, 1), several_lines, out);
			if (escaped == 0)
				return false;
			n += escaped;
		} else {
			rds_bytes_add(out, text.data, 1);
		}
		text = behind(text, n);
	}
	return true;
}

char *rds_toml_string(struct rds_view value)
{
	uint8_t quote = value.len < 2 ? 0 : value.data[0];
	if ((quote != '"' && quote != '\'') || value.data[value.len - 1] != quote)
		return NULL;
	bool several_lines = value.len >= 6 && value.data[1] == quote && value.data[2] == quote;
	size_t n = several_lines ? 3 : 1;
	struct rds_view text = rds_view_of(value.data + n, value.len - 2 * n);
	// A line end right behind the opening quotes isn't part of it.
	if (several_lines && text.len > 0 && text.data[0] == '\n')
		text = behind(text, 1);
	else if (several_lines && text.len > 1 && memcmp(text.data, "\r\n", 2) == 0)
		text = behind(text, 2);
	if (quote == '\'')
		return rds_strndup(text.data, text.len);
	struct rds_bytes out = {0};
	char *said = unescape(text, several_lines, &out) ? rds_strndup(out.data, out.len) : NULL;
	rds_bytes_clear(&out);
	return said;
}
