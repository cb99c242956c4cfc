// SPDX-License-Identifier: MIT
// Goal: whatever a stranger sends, the log gets one line of printable text; as JSON, JSON.
#include "test/fuzz/fuzzing.h"

#include "core/log.h"
#include "core/text.h"

#include <cJSON.h>

static void check_json(const char *line)
{
	cJSON *json = cJSON_Parse(line);
	must(cJSON_IsObject(json));
	must(cJSON_IsString(cJSON_GetObjectItemCaseSensitive(json, "time")));
	must(strcmp(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "event")),
	            "refused") == 0);
	cJSON_Delete(json);
}

static void check_line(enum rds_log_format format, const char *line, size_t len, size_t cap)
{
	must(len > 0 && len < cap && strlen(line) == len);
	must(line[len - 1] == '\n');
	for (size_t i = 0; i + 1 < len; i++) // without asking the code under test
		must((uint8_t)line[i] >= 0x20 && line[i] != 0x7f);
	struct rds_view left = rds_view_of(line, len - 1);
	while (left.len > 0) {
		uint32_t code = 0;
		size_t n = rds_utf8_next(left, &code);
		must(n > 0 && !rds_char_is_unsafe(code));
		left = rds_view_of(left.data + n, left.len - n);
	}
	if (format == RDS_LOG_JSON)
		check_json(line);
}

static size_t make_fields(struct rds_view *input, struct rds_addr *addr, struct rds_field *fields)
{
	size_t n = take_byte(input) % 6;
	for (size_t i = 0; i < 16; i++)
		addr->ip.b[i] = take_byte(input);
	addr->port = take_u16(input);
	for (size_t i = 0; i < n; i++) {
		static const char *const names[] = {"id", "from", "by", "version", "meaning", "n"};
		switch (take_byte(input) % 3) {
		case 1:
			fields[i] = rds_field_addr(names[i], addr);
			break;
		case 2:
			fields[i] = rds_field_uint(names[i], (uint64_t)take_u16(input) << 48);
			break;
		default:
			fields[i] = rds_field_bytes(names[i],
			                            take_bytes(input, take_u16(input) % 3000));
			break;
		}
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rds_view input = rds_view_of(data, size);
	struct rds_field fields[6];
	struct rds_addr addr;
	uint64_t unix_ms = 0;
	for (int i = 0; i < 4; i++)
		unix_ms = unix_ms << 16 | take_u16(&input);
	enum rds_log_level level = (enum rds_log_level)(take_byte(&input) % 5);
	size_t cap = 128 + take_u16(&input) % 4096;
	size_t n = make_fields(&input, &addr, fields);
	for (int f = RDS_LOG_TEXT; f <= RDS_LOG_JOURNALD; f++) {
		char *line = malloc(cap);
		must(line != NULL);
		size_t len = rds_log_format_line((enum rds_log_format)f, unix_ms, level, "refused",
		                                 fields, n, line, cap);
		check_line((enum rds_log_format)f, line, len, cap);
		free(line);
	}
	return 0;
}
