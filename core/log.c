// SPDX-License-Identifier: MIT
#include "core/log.h"

#include "core/limits.h"
#include "core/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static struct {
	rds_log_sink_fn sink;
	void *ctx;
	_Atomic enum rds_log_level most; // the store's thread reads it too
} log_to;

static const char *const level_names[] = {"error", "warn", "info", "debug", "trace"};
static const int journald_priority[] = {3, 4, 6, 7, 7};

void rds_log_to(rds_log_sink_fn sink, void *ctx, enum rds_log_level most)
{
	log_to.sink = sink;
	log_to.ctx = ctx;
	log_to.most = most;
}

void rds_log_set_level(enum rds_log_level most)
{
	log_to.most = most;
}

bool rds_log_wants(enum rds_log_level level)
{
	return log_to.sink != NULL && level <= log_to.most;
}

void rds_log_fields(enum rds_log_level level, const char *event, const struct rds_field *fields,
                    size_t n)
{
	if (rds_log_wants(level))
		log_to.sink(log_to.ctx, level, event, fields, n);
}

const char *rds_log_level_name(enum rds_log_level level)
{
	return level_names[level];
}

// A line being written; keeps room for the mark that it was cut, the closing brace and newline.
struct line {
	char *out;
	size_t len;
	size_t cap;
	bool cut;
};

static void put(struct line *line, const char *text, size_t len)
{
	if (line->cut || line->len + len + 16 > line->cap) {
		line->cut = true;
		return;
	}
	memcpy(line->out + line->len, text, len);
	line->len += len;
}

static void put_text(struct line *line, const char *text)
{
	put(line, text, strlen(text));
}

static void put_time(struct line *line, uint64_t unix_ms)
{
	char text[40];
	time_t seconds = (time_t)(unix_ms / 1000);
	struct tm tm;
	if (gmtime_r(&seconds, &tm) == NULL)
		return;
	size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(text + n, sizeof text - n, ".%03uZ", (unsigned)(unix_ms % 1000));
	put_text(line, text);
}

// The value as text; borrows from field or from scratch.
static struct rds_view field_value(const struct rds_field *field, char scratch[RDS_ADDR_TEXT])
{
	switch (field->kind) {
	case RDS_FIELD_BYTES:
		return field->bytes;
	case RDS_FIELD_UINT:
		(void)snprintf(scratch, RDS_ADDR_TEXT, "%" PRIu64, field->number);
		break;
	case RDS_FIELD_ADDR:
		rds_addr_format(field->address, scratch);
		break;
	}
	return rds_view_text(scratch);
}

static void put_escaped(struct line *line, struct rds_view v)
{
	char text[6000];
	put_text(line, rds_text_escape(v, text, sizeof text));
}

// JSON knows no \x: what isn't plain printable text goes as \u00NN.
static void put_json(struct line *line, struct rds_view v)
{
	put_text(line, "\"");
	while (v.len > 0) {
		uint32_t c = 0;
		size_t n = rds_utf8_next(v, &c);
		char one[8];
		if (n == 0 || rds_char_is_unsafe(c)) {
			(void)snprintf(one, sizeof one, "\\u%04x",
			               n == 0 ? v.data[0] : (unsigned)c);
			put_text(line, one);
		} else {
			if (c == '"' || c == '\\')
				put_text(line, "\\");
			put(line, (const char *)v.data, n);
		}
		n = n == 0 ? 1 : n;
		v.data += n;
		v.len -= n;
	}
	put_text(line, "\"");
}

static void put_json_member(struct line *line, const char *name, struct rds_view value,
                            bool is_number)
{
	put_text(line, line->out[line->len - 1] == '{' ? "\"" : ",\"");
	put_text(line, name);
	put_text(line, "\":");
	if (is_number)
		put(line, (const char *)value.data, value.len);
	else
		put_json(line, value);
}

static void format_json(struct line *line, uint64_t unix_ms, enum rds_log_level level,
                        const char *event, const struct rds_field *fields, size_t n)
{
	put_text(line, "{\"time\":\"");
	put_time(line, unix_ms);
	put_text(line, "\"");
	put_json_member(line, "level", rds_view_text(level_names[level]), false);
	put_json_member(line, "event", rds_view_text(event), false);
	for (size_t i = 0; i < n; i++) {
		char scratch[RDS_ADDR_TEXT];
		// A member is whole or not there, so that a line that was cut is still JSON.
		size_t before = line->len;
		put_json_member(line, fields[i].name, field_value(&fields[i], scratch),
		                fields[i].kind == RDS_FIELD_UINT);
		if (line->cut)
			line->len = before;
	}
}

static void format_text(struct line *line, const char *event, const struct rds_field *fields,
                        size_t n)
{
	put_escaped(line, rds_view_text(event));
	for (size_t i = 0; i < n; i++) {
		char scratch[RDS_ADDR_TEXT];
		bool quoted = fields[i].kind == RDS_FIELD_BYTES;
		put_text(line, " ");
		put_text(line, fields[i].name);
		put_text(line, quoted ? "=\"" : "=");
		put_escaped(line, field_value(&fields[i], scratch));
		put_text(line, quoted ? "\"" : "");
	}
}

static size_t finish(struct line *line, enum rds_log_format format)
{
	const char *end = format != RDS_LOG_JSON ? (line->cut ? " (cut)\n" : "\n")
	                                         : (line->cut ? ",\"cut\":\"\"}\n" : "}\n");
	size_t len = strlen(end);
	memcpy(line->out + line->len, end, len + 1);
	return line->len + len;
}

size_t rds_log_format_line(enum rds_log_format format, uint64_t unix_ms, enum rds_log_level level,
                           const char *event, const struct rds_field *fields, size_t n, char *out,
                           size_t cap)
{
	struct line line = {.out = out, .cap = cap};
	if (format == RDS_LOG_JSON) {
		format_json(&line, unix_ms, level, event, fields, n);
		return finish(&line, format);
	}
	char head[16];
	if (format == RDS_LOG_JOURNALD) {
		(void)snprintf(head, sizeof head, "<%d>", journald_priority[level]);
	} else {
		put_time(&line, unix_ms);
		(void)snprintf(head, sizeof head, " %-5s ", level_names[level]);
	}
	put_text(&line, head);
	format_text(&line, event, fields, n);
	return finish(&line, format);
}

bool rds_log_limit_pass(struct rds_log_limit *limit, uint64_t now_ms, uint64_t *held_back)
{
	if (limit->second != now_ms / 1000) {
		limit->second = now_ms / 1000;
		limit->used = 0;
	}
	if (limit->used >= RDS_LOG_BURST) {
		limit->held_back++;
		return false;
	}
	limit->used++;
	*held_back = limit->held_back;
	limit->held_back = 0;
	return true;
}
