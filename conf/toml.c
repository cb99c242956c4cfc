// SPDX-License-Identifier: MIT
#include "conf/toml.h"

#include "conf/bytes.h"
#include "core/alloc.h"

#include <ctype.h>
#include <stdlib.h>

static int fail(const struct rds_toml *toml, const char *what, struct rds_error *err)
{
	return rds_fail(err, RDS_EPARSE, "line %zu: %s", toml->line, what);
}

// '\0' at the end; a NUL in the text is refused before this is asked.
static char peek(const struct rds_toml *toml)
{
	return toml->at < toml->text.len ? (char)toml->text.data[toml->at] : '\0';
}

static bool follows(const struct rds_toml *toml, const char *what)
{
	size_t len = strlen(what);
	return toml->text.len - toml->at >= len &&
	       memcmp(toml->text.data + toml->at, what, len) == 0;
}

static void skip_blanks(struct rds_toml *toml)
{
	while (peek(toml) == ' ' || peek(toml) == '\t')
		toml->at++;
}

static void skip_comment(struct rds_toml *toml)
{
	if (peek(toml) == '#')
		while (toml->at < toml->text.len && peek(toml) != '\n' && !follows(toml, "\r\n"))
			toml->at++;
}

static bool skip_newline(struct rds_toml *toml)
{
	size_t len = follows(toml, "\r\n") ? 2 : follows(toml, "\n") ? 1 : 0;
	toml->at += len;
	toml->line += len > 0;
	return len > 0;
}

static void skip_empty_lines(struct rds_toml *toml)
{
	do {
		skip_blanks(toml);
		skip_comment(toml);
	} while (skip_newline(toml));
}

// Steps over a string to behind its closing quotes.
static int skip_string(struct rds_toml *toml, struct rds_error *err)
{
	char quote = peek(toml);
	const char *thrice = quote == '"' ? "\"\"\"" : "'''";
	bool several_lines = follows(toml, thrice);
	size_t opened = toml->line;
	toml->at += several_lines ? 3 : 1;
	while (toml->at < toml->text.len) {
		if (several_lines ? follows(toml, thrice) : peek(toml) == quote) {
			toml->at += several_lines ? 3 : 1;
			// Up to two quotes may stand before the closing ones.
			for (int i = 0; several_lines && i < 2 && peek(toml) == quote; i++)
				toml->at++;
			return 0;
		}
		if (skip_newline(toml)) {
			if (!several_lines)
				break;
			continue;
		}
		toml->at += quote == '"' && peek(toml) == '\\' && toml->at + 1 < toml->text.len &&
		                            toml->text.data[toml->at + 1] != '\n' &&
		                            toml->text.data[toml->at + 1] != '\r'
		                    ? 2
		                    : 1;
	}
	toml->line = opened;
	return fail(toml, "a string that doesn't end", err);
}

static bool is_bare(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_';
}

// One part of a name, appended to *name.
static int read_part(struct rds_toml *toml, struct rds_bytes *name, struct rds_error *err)
{
	size_t start = toml->at;
	if (peek(toml) == '"' || peek(toml) == '\'') {
		int rc = skip_string(toml, err);
		if (rc != 0)
			return rc;
		char *text =
		        rds_toml_string(rds_view_of(toml->text.data + start, toml->at - start));
		if (text == NULL)
			return fail(toml, "a bad name", err);
		rds_bytes_text(name, text);
		free(text);
		return 0;
	}
	while (is_bare(peek(toml)))
		toml->at++;
	rds_bytes_add(name, toml->text.data + start, toml->at - start);
	return toml->at > start ? 0 : fail(toml, "expected [table] or name = value", err);
}

static int read_name(struct rds_toml *toml, char **out, struct rds_error *err)
{
	struct rds_bytes name = {0};
	int rc = 0;
	for (;;) {
		skip_blanks(toml);
		rc = read_part(toml, &name, err);
		skip_blanks(toml);
		if (rc != 0 || peek(toml) != '.')
			break;
		toml->at++;
		rds_bytes_text(&name, ".");
	}
	if (rc == 0)
		*out = rds_strndup(name.data, name.len);
	rds_bytes_clear(&name);
	return rc;
}

// Number, date or true: up to what ends a value where it stands.
static int skip_word(struct rds_toml *toml, struct rds_error *err)
{
	size_t start = toml->at;
	while (is_bare(peek(toml)) || (peek(toml) != '\0' && strchr("+.:", peek(toml)) != NULL) ||
	       // A date and a time may be parted by one blank.
	       (peek(toml) == ' ' && toml->at - start == strlen("1979-05-27") &&
	        toml->at + 1 < toml->text.len && isdigit(toml->text.data[toml->at + 1])))
		toml->at++;
	return toml->at > start ? 0 : fail(toml, "a value is missing or of no known form", err);
}

// Steps over arrays and inline tables, counting brackets; what is in them may be nonsense.
static int skip_brackets(struct rds_toml *toml, struct rds_error *err)
{
	size_t depth = 0;
	size_t opened = toml->line;
	while (toml->at < toml->text.len) {
		char c = peek(toml);
		if (c == '"' || c == '\'') {
			int rc = skip_string(toml, err);
			if (rc != 0)
				return rc;
			continue;
		}
		skip_comment(toml);
		if (skip_newline(toml))
			continue;
		if (c == '[' || c == '{')
			depth++;
		toml->at += toml->at < toml->text.len;
		if ((c == ']' || c == '}') && --depth == 0)
			return 0;
	}
	toml->line = opened;
	return fail(toml, "an array or table that doesn't end", err);
}

static int skip_value(struct rds_toml *toml, struct rds_view *out, struct rds_error *err)
{
	size_t start = toml->at;
	char c = peek(toml);
	int rc = c == '"' || c == '\''  ? skip_string(toml, err)
	         : c == '[' || c == '{' ? skip_brackets(toml, err)
	                                : skip_word(toml, err);
	*out = rds_view_of(toml->text.data + start, toml->at - start);
	return rc;
}

static int read_table(struct rds_toml *toml, struct rds_toml_statement *out, struct rds_error *err)
{
	bool twice = follows(toml, "[[");
	out->kind = twice ? RDS_TOML_ARRAY_TABLE : RDS_TOML_TABLE;
	toml->at += twice ? 2 : 1;
	int rc = read_name(toml, &out->name, err);
	if (rc != 0)
		return rc;
	if (!follows(toml, twice ? "]]" : "]"))
		return fail(toml, "a table's name that doesn't end in ]", err);
	toml->at += twice ? 2 : 1;
	return 0;
}

static int read_value(struct rds_toml *toml, struct rds_toml_statement *out, struct rds_error *err)
{
	out->kind = RDS_TOML_VALUE;
	int rc = read_name(toml, &out->name, err);
	if (rc != 0)
		return rc;
	if (peek(toml) != '=')
		return fail(toml, "a name without =", err);
	toml->at++;
	skip_blanks(toml);
	return skip_value(toml, &out->value, err);
}

int rds_toml_next(struct rds_toml *toml, struct rds_toml_statement *out, struct rds_error *err)
{
	*out = (struct rds_toml_statement){0};
	if (toml->at == 0) {
		toml->line = 1;
		if (toml->text.len > 0 && memchr(toml->text.data, '\0', toml->text.len) != NULL)
			return rds_fail(err, RDS_EPARSE, "no text: there are zero bytes in it");
	}
	skip_empty_lines(toml);
	if (toml->at == toml->text.len)
		return 0;
	out->line = toml->line;
	int rc = peek(toml) == '[' ? read_table(toml, out, err) : read_value(toml, out, err);
	if (rc == 0) {
		skip_blanks(toml);
		skip_comment(toml);
		if (!skip_newline(toml) && toml->at < toml->text.len)
			rc = fail(toml, "there is more in it than one statement", err);
	}
	if (rc != 0) {
		free(out->name);
		return rc;
	}
	out->end = toml->at;
	return 1;
}
