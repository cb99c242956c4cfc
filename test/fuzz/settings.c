// SPDX-License-Identifier: MIT
// Goal: settings from any file and any environment: taken within their bounds, or an error.
#include "test/fuzz/fuzzing.h"

#include "conf/settings.h"
#include "core/alloc.h"
#include "core/limits.h"

// Everything that is asked of settings can be answered.
static void check(const struct rds_settings *settings)
{
	char shown[RDS_SETTING_MAX_BYTES + 1];
	for (int i = 0; i < RDS_SET_COUNT; i++) {
		enum rds_setting setting = (enum rds_setting)i;
		const struct rds_setting_row *row = rds_setting_row(setting);
		int64_t number = rds_settings_number(settings, setting);
		must(strlen(rds_settings_text(settings, setting)) <= RDS_SETTING_MAX_BYTES);
		must(rds_settings_where(settings, setting)[0] != '\0');
		must(rds_settings_is_set(settings, setting) ==
		     (rds_settings_origin(settings, setting) != RDS_FROM_DEFAULT));
		must(row->type != RDS_TYPE_NUMBER || (number >= row->least && number <= row->most));
		must(row->type != RDS_TYPE_PORT || (number >= 0 && number <= 65535));
		must(rds_settings_shown(settings, setting, shown, sizeof shown) == shown);
		must(memchr(shown, '\0', sizeof shown) != NULL);
		(void)rds_settings_port(settings, setting);
	}
}

static void read_file(struct rds_settings *settings, enum rds_origin origin, struct rds_view bytes)
{
	uint8_t *copy = exact_copy(bytes);
	struct rds_error err = {""};
	int rc = rds_settings_read(settings, rds_view_of(copy, bytes.len), "file", origin, &err);
	must(rc == 0 || rc == -RDS_EINVAL);
	must(rc == 0 || strncmp(err.text, "file:", 5) == 0);
	must(memchr(err.text, '\0', sizeof err.text) != NULL);
	free(copy);
}

// Variables end in NULs.
static void read_environment(struct rds_settings *settings, struct rds_view bytes)
{
	char *variables[33];
	size_t n = 0;
	struct rds_error err = {""};
	while (bytes.len > 0 && n < 32) {
		const uint8_t *end = memchr(bytes.data, '\0', bytes.len);
		struct rds_view one = take_bytes(
		        &bytes, end == NULL ? bytes.len : (size_t)(end - bytes.data) + 1);
		variables[n++] = rds_strndup(one.data, one.len);
	}
	variables[n] = NULL;
	int rc = rds_settings_read_environment(settings, variables, &err);
	must(rc == 0 || (rc == -RDS_EINVAL && err.text[0] != '\0'));
	for (size_t i = 0; i < n; i++)
		free(variables[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rds_view input = rds_view_of(data, size);
	struct rds_settings *settings = rds_settings_new();
	for (int layer = 0; layer < 3 && input.len > 0; layer++) {
		uint8_t kind = take_byte(&input);
		struct rds_view part =
		        take_bytes(&input, layer == 2 ? input.len : take_u16(&input));
		switch (kind % 4) {
		case 0:
			read_environment(settings, part);
			break;
		case 1:
			read_file(settings, RDS_FROM_DOTENV, part);
			break;
		case 2:
			read_file(settings, RDS_FROM_SYSTEM_FILE, part);
			break;
		default:
			read_file(settings, RDS_FROM_CONFIG_FILE, part);
			break;
		}
		check(settings);
	}
	rds_settings_free(settings);
	return 0;
}
