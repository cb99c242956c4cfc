// SPDX-License-Identifier: MIT
// The JSON that clients import, and what it is wrapped in: config string and link.
#include "conf/form_private.h"

#include "core/alloc.h"
#include "core/base64.h"
#include "core/text.h"

#include <cJSON.h>
#include <stdlib.h>

#define LINK "rustdesk://config/"

static void add(cJSON *json, const char *name, const char *text)
{
	if (cJSON_AddStringToObject(json, name, text) == NULL)
		abort();
}

// JSON in ASCII: scanners of QR codes guess the encoding of what is beyond it, and guess wrong.
static char *escaped(const char *json)
{
	struct rds_bytes out = {0};
	struct rds_view rest = rds_view_text(json);
	while (rest.len > 0) {
		uint32_t c = 0;
		size_t n = rds_utf8_next(rest, &c);
		if (n <= 1) {
			n = 1;
			rds_bytes_add(&out, rest.data, n);
		} else if (c < 0x10000) {
			rds_bytes_format(&out, "\\u%04x", c);
		} else {
			rds_bytes_format(&out, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10),
			                 0xdc00 + (c & 0x3ff));
		}
		rest = rds_view_of(rest.data + n, rest.len - n);
	}
	char *text = rds_strndup(out.data, out.len);
	rds_bytes_clear(&out);
	return text;
}

char *form_json_text(const struct rds_client_conf *conf)
{
	cJSON *json = cJSON_CreateObject();
	add(json, "host", conf->id_server);
	add(json, "relay", conf->relay_server);
	add(json, "api", conf->api_server);
	add(json, "key", conf->key);
	char *text = cJSON_PrintUnformatted(json);
	if (text == NULL)
		abort();
	cJSON_Delete(json);
	char *ascii = escaped(text);
	free(text);
	return ascii;
}

static void reverse(char *text, size_t len)
{
	for (size_t i = 0; i < len / 2; i++) {
		char c = text[i];
		text[i] = text[len - 1 - i];
		text[len - 1 - i] = c;
	}
}

char *form_config_string(const struct rds_client_conf *conf)
{
	char *json = form_json_text(conf);
	size_t len = strlen(json);
	char *text = rds_calloc(RDS_BASE64_LEN(len) + 1, 1);
	rds_base64url_encode((const uint8_t *)json, len, text);
	reverse(text, strlen(text));
	free(json);
	return text;
}

// Appends a line of two parts, and frees the second.
static int add_line(struct rds_bytes *out, const char *before, char *text)
{
	rds_bytes_format(out, "%s%s\n", before, text);
	free(text);
	return 0;
}

int form_json_write(const struct rds_client_conf *conf, struct rds_form_options options,
                    struct rds_bytes *out, struct rds_error *err)
{
	(void)options;
	(void)err;
	return add_line(out, "", form_json_text(conf));
}

int form_string_write(const struct rds_client_conf *conf, struct rds_form_options options,
                      struct rds_bytes *out, struct rds_error *err)
{
	(void)options;
	(void)err;
	return add_line(out, "", form_config_string(conf));
}

int form_link_write(const struct rds_client_conf *conf, struct rds_form_options options,
                    struct rds_bytes *out, struct rds_error *err)
{
	(void)options;
	(void)err;
	return add_line(out, LINK, form_config_string(conf));
}

static void take(const cJSON *json, const char *name, char **member)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
	if (text != NULL)
		form_set(member, rds_view_text(text));
}

// `config=` before it: the text of a QR code.
bool form_json_looks(struct rds_view text)
{
	text = rds_view_trim(text);
	return form_begins(text, "{") || form_begins(text, "config=");
}

int form_json_read(struct rds_view text, struct rds_client_conf *out, struct rds_error *err)
{
	text = rds_view_trim(text);
	size_t before = form_begins(text, "config=") ? strlen("config=") : 0;
	cJSON *json = cJSON_ParseWithLength((const char *)text.data + before, text.len - before);
	bool is_object = cJSON_IsObject(json);
	if (is_object) {
		take(json, "host", &out->id_server);
		take(json, "relay", &out->relay_server);
		take(json, "api", &out->api_server);
		take(json, "key", &out->key);
	}
	cJSON_Delete(json);
	return is_object ? 0 : rds_fail(err, RDS_EPARSE, "no JSON object");
}

bool form_string_looks(struct rds_view text)
{
	static const char signs[] = "-_+/=";
	text = rds_view_trim(text);
	for (size_t i = 0; i < text.len; i++)
		if (!(text.data[i] >= 'a' && text.data[i] <= 'z') &&
		    !(text.data[i] >= 'A' && text.data[i] <= 'Z') &&
		    !(text.data[i] >= '0' && text.data[i] <= '9') &&
		    memchr(signs, text.data[i], sizeof signs - 1) == NULL)
			return false;
	return text.len > 0;
}

int form_string_read(struct rds_view text, struct rds_client_conf *out, struct rds_error *err)
{
	text = rds_view_trim(text);
	char *copy = rds_strndup(text.data, text.len);
	uint8_t *json = rds_calloc(text.len, 1);
	reverse(copy, text.len);
	long len = rds_base64url_decode(copy, text.len, json, text.len);
	int rc = len < 0 ? -RDS_EPARSE : form_json_read(rds_view_of(json, (size_t)len), out, NULL);
	free(copy);
	free(json);
	return rc == 0 ? 0 : rds_fail(err, RDS_EPARSE, "no config string: it is damaged, or cut");
}

bool form_link_looks(struct rds_view text)
{
	return form_begins(rds_view_trim(text), LINK);
}

int form_link_read(struct rds_view text, struct rds_client_conf *out, struct rds_error *err)
{
	text = rds_view_trim(text);
	return form_string_read(rds_view_of(text.data + strlen(LINK), text.len - strlen(LINK)), out,
	                        err);
}
