// SPDX-License-Identifier: MIT
#include "conf/settings.h"

#include "conf/relays.h"
#include "core/alloc.h"
#include "core/base64.h"
#include "core/limits.h"
#include "core/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct rds_settings {
	struct value {
		char *text;
		char *where;
		int64_t number;
		enum rds_origin origin;
	} values[RDS_SET_COUNT];
};

static int check_choice(const struct rds_setting_row *row, const char *text, int64_t *number)
{
	const char *at = row->choices;
	for (*number = 0; *at != '\0'; (*number)++) {
		size_t len = strcspn(at, " ");
		if (strlen(text) == len && strncasecmp(text, at, len) == 0)
			return 0;
		at += len;
		at += *at == ' ';
	}
	return -RDS_EINVAL;
}

static int check_port(const char *text, int64_t *number)
{
	*number = 0;
	if (text[0] == '\0' || strcasecmp(text, "off") == 0)
		return 0;
	return rds_value_number(text, 1, 65535, number);
}

static int check_text(const struct rds_setting_row *row, const char *text)
{
	struct rds_view v = rds_view_text(text);
	if (row->most > 0 && v.len > (size_t)row->most)
		return -RDS_EINVAL;
	while (v.len > 0) {
		uint32_t c = 0;
		size_t n = rds_utf8_next(v, &c);
		if (n == 0 || c < 0x20 || c == 0x7f)
			return -RDS_EINVAL;
		v.data += n;
		v.len -= n;
	}
	return 0;
}

// The accepted form, for an error.
static void describe(const struct rds_setting_row *row, char *out, size_t cap)
{
	switch (row->type) {
	case RDS_TYPE_NUMBER:
		(void)snprintf(out, cap, "a number from %lld to %lld", (long long)row->least,
		               (long long)row->most);
		return;
	case RDS_TYPE_PORT:
		(void)snprintf(out, cap, "a port from 1 to 65535, or off");
		return;
	case RDS_TYPE_URL:
		(void)snprintf(out, cap, "a URL such as https://id.example.com");
		return;
	case RDS_TYPE_SHARE:
		(void)snprintf(out, cap, "a number from 0 to 1, such as 0.66");
		return;
	case RDS_TYPE_SWITCH:
		(void)snprintf(out, cap, "Y or N");
		return;
	case RDS_TYPE_CHOICE:
		(void)snprintf(out, cap, "one of: %s", row->choices);
		return;
	default:
		(void)snprintf(out, cap, "%s, plain text without control characters", row->value);
		return;
	}
}

static int check(const struct rds_setting_row *row, const char *text, int64_t *number,
                 struct rds_error *err)
{
	struct rds_cidrs cidrs;
	struct rds_ports ports;
	struct rds_relays relays;
	struct rds_switch sw;
	bool on = false;
	int rc = 0;
	*number = 0;
	(void)describe(row, err->text, sizeof err->text);
	switch (row->type) {
	case RDS_TYPE_TEXT:
		return check_text(row, text);
	case RDS_TYPE_NUMBER:
		return rds_value_number(text, row->least, row->most, number);
	case RDS_TYPE_PORT:
		return check_port(text, number);
	case RDS_TYPE_SHARE:
		return rds_value_share(text, number);
	case RDS_TYPE_SWITCH:
		rc = rds_value_switch(text, &on);
		*number = on;
		return rc;
	case RDS_TYPE_SWITCH_OR_CIDRS:
		rc = rds_value_switch_or_cidrs(text, &sw, err);
		*number = sw.on;
		rds_switch_free(&sw);
		return rc;
	case RDS_TYPE_CHOICE:
		return check_choice(row, text, number);
	case RDS_TYPE_PORTS:
		rc = rds_value_ports(text, &ports, err);
		if (rc == 0 && ports.n > 0)
			*number = ports.items[0];
		if (rc == 0)
			rds_ports_free(&ports);
		return rc;
	case RDS_TYPE_BINDS:
		return rds_value_binds(text, err);
	case RDS_TYPE_CIDRS:
		rc = rds_value_cidrs(text, &cidrs, err);
		if (rc == 0)
			rds_cidrs_free(&cidrs);
		return rc;
	case RDS_TYPE_URL:
		return text[0] == '\0' ? 0 : rds_value_url(text);
	case RDS_TYPE_HOSTS:
		return rds_value_hosts(text, err);
	case RDS_TYPE_RELAYS:
		rc = rds_relays_parse(text, &relays, err);
		if (rc == 0)
			rds_relays_free(&relays);
		return rc;
	}
	return -RDS_EINVAL;
}

// What looks like a secret key has to be a whole one: else it would be taken for a public text, and
// be told to everybody.
static int check_key(const char *text, struct rds_error *form)
{
	uint8_t bytes[67];
	size_t len = strlen(text);
	if (!rds_text_may_be_secret(text, len))
		return 0;
	long n = rds_base64_decode(text, len, bytes, sizeof bytes);
	explicit_bzero(bytes, sizeof bytes);
	return n == 64 ? 0
	               : rds_fail(form, RDS_EINVAL,
	                          "a whole secret key (base64 of 64 bytes), a public key, or "
	                          "another text that doesn't look like a damaged secret");
}

int rds_settings_set(struct rds_settings *settings, enum rds_setting setting, const char *value,
                     enum rds_origin origin, const char *where, struct rds_error *err)
{
	const struct rds_setting_row *row = rds_setting_row(setting);
	struct value *slot = &settings->values[setting];
	struct rds_error form = {""};
	int64_t number = 0;
	struct rds_view trimmed = rds_view_trim(rds_view_text(value));
	if (trimmed.len > RDS_SETTING_MAX_BYTES)
		return rds_fail(err, RDS_EINVAL, "%s: the value of %s is too long (%zu bytes)",
		                where, row->name, trimmed.len);
	char *text = rds_strndup(trimmed.data, trimmed.len);
	if (check(row, text, &number, &form) != 0 ||
	    (setting == RDS_SET_KEY && check_key(text, &form) != 0)) {
		char shown[128];
		(void)rds_text_escape(trimmed, shown, sizeof shown);
		free(text);
		return rds_fail(err, RDS_EINVAL, "%s: bad value \"%s\" for %s: expected %s", where,
		                setting == RDS_SET_KEY ? "(not shown)" : shown, row->name,
		                form.text);
	}
	if (origin < slot->origin) {
		free(text);
		return 0;
	}
	// `where` may be what the slot holds.
	char *where_copy = rds_strdup(where);
	free(slot->text);
	free(slot->where);
	*slot = (struct value){
	        .text = text, .where = where_copy, .number = number, .origin = origin};
	return 0;
}

struct rds_settings *rds_settings_new(void)
{
	struct rds_settings *settings = rds_calloc(1, sizeof *settings);
	for (int i = 0; i < RDS_SET_COUNT; i++) {
		const char *initial = rds_setting_row((enum rds_setting)i)->initial;
		struct rds_error err;
		if (rds_settings_set(settings, (enum rds_setting)i, initial == NULL ? "" : initial,
		                     RDS_FROM_DEFAULT, "default", &err) != 0)
			abort(); // the table contradicts itself
	}
	return settings;
}

void rds_settings_free(struct rds_settings *settings)
{
	if (settings == NULL)
		return;
	for (int i = 0; i < RDS_SET_COUNT; i++) {
		explicit_bzero(settings->values[i].text, strlen(settings->values[i].text));
		free(settings->values[i].text);
		free(settings->values[i].where);
	}
	free(settings);
}

void rds_settings_copy(struct rds_settings *to, const struct rds_settings *from,
                       enum rds_setting setting)
{
	const struct value *value = &from->values[setting];
	free(to->values[setting].text);
	free(to->values[setting].where);
	to->values[setting] = (struct value){.text = rds_strdup(value->text),
	                                     .where = rds_strdup(value->where),
	                                     .number = value->number,
	                                     .origin = value->origin};
}

const char *rds_settings_text(const struct rds_settings *settings, enum rds_setting setting)
{
	return settings->values[setting].text;
}

int64_t rds_settings_number(const struct rds_settings *settings, enum rds_setting setting)
{
	return settings->values[setting].number;
}

bool rds_settings_is_set(const struct rds_settings *settings, enum rds_setting setting)
{
	return settings->values[setting].origin != RDS_FROM_DEFAULT;
}

enum rds_origin rds_settings_origin(const struct rds_settings *settings, enum rds_setting setting)
{
	return settings->values[setting].origin;
}

const char *rds_settings_where(const struct rds_settings *settings, enum rds_setting setting)
{
	return settings->values[setting].where;
}

// A port that was set, or what it follows; 0: off.
static uint16_t own_or(const struct rds_settings *settings, enum rds_setting setting,
                       int64_t followed)
{
	if (rds_settings_text(settings, setting)[0] != '\0')
		return (uint16_t)rds_settings_number(settings, setting); // a number, or 0 for off
	return (uint16_t)(followed > 0 && followed <= UINT16_MAX ? followed : 0);
}

uint16_t rds_settings_port(const struct rds_settings *settings, enum rds_setting setting)
{
	int64_t n = rds_settings_number(settings, RDS_SET_PORT);
	uint16_t relay = own_or(settings, RDS_SET_RELAY_PORT, n + 1);
	switch (setting) {
	case RDS_SET_NAT_PORT:
		return own_or(settings, setting, n - 1);
	case RDS_SET_RELAY_PORT:
		return relay;
	case RDS_SET_WEBSOCKET_PORT:
		return own_or(settings, setting, n + 2);
	case RDS_SET_RELAY_WEBSOCKET_PORT:
		return own_or(settings, setting, relay == 0 ? 0 : relay + 2);
	default:
		return (uint16_t)rds_settings_number(settings, setting);
	}
}

const char *rds_settings_shown(const struct rds_settings *settings, enum rds_setting setting,
                               char *out, size_t cap)
{
	const char *text = rds_settings_text(settings, setting);
	bool follows = setting == RDS_SET_WEBSOCKET_PORT && text[0] == '\0';
	if (rds_setting_row(setting)->type == RDS_TYPE_PORT || follows) {
		uint16_t port = rds_settings_port(settings, setting);
		(void)snprintf(out, cap, port == 0 ? "off" : "%u", (unsigned)port);
	} else if (setting == RDS_SET_KEY && rds_text_may_be_secret(text, strlen(text))) {
		(void)snprintf(out, cap, "(a secret key)");
	} else {
		(void)snprintf(out, cap, "%s", text);
	}
	return out;
}
